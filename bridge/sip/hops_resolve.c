/*
 * hops_resolve.c - from the names in the configuration to targets: once at the
 * start, where it may block, and again and again while the daemon runs.
 *
 * A look-up that fails or finds nothing leaves what was known: a resolver that
 * is away for an hour must not take the pools away with it. A target that is
 * still there keeps its state.
 *
 * Owns nothing but the query of an entry. A name that is not known at the start
 * ends it where nothing else says who the peers are.
 */
#include "bridge/sip/hops_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/core/log.h"

enum { RESOLVE_MS = 60 * 1000, PER_ENTRY_MAX = 8, SIP_PORT = 5060, SIPS_PORT = 5061 };

/* RFC 3263 section 4.1: SIP over TLS has a service of its own. */
static const char *service_of(enum transport t)
{
	static const char *const services[] = {
		[TRANSPORT_UDP] = "_sip._udp",
		[TRANSPORT_TCP] = "_sip._tcp",
		[TRANSPORT_TLS] = "_sips._tcp",
	};

	return services[t];
}

static uint16_t port_for(const struct next_hop *hop)
{
	if (hop->port != 0)
		return hop->port;
	return hop->transport == TRANSPORT_TLS ? SIPS_PORT : SIP_PORT;
}

static struct dns_query *ask(const struct entry *e, struct dns *dns, dns_done_fn *done, void *ctx)
{
	const struct next_hop *hop = &e->configured;

	if (hop->port != 0)
		return dns_host(dns, hop->host, hop->port, done, ctx);
	return dns_srv(dns, service_of(hop->transport), hop->host, port_for(hop), done, ctx);
}

/* --- what was found becomes the targets --- */

static struct target *known(const struct entry *e, const struct sockaddr *addr)
{
	struct target *t;

	DL_FOREACH (e->targets, t)
		if (hops_same_address((const struct sockaddr *)&t->addr, addr, true))
			return t;
	return NULL;
}

static size_t count_addresses(struct sip_hops *h)
{
	size_t count = 0;
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e)
		DL_FOREACH (e->targets, t)
			if (count < SIP_TARGETS_MAX)
				h->addresses[count++] = t->addr;
	return count;
}

/* In the order given. True: there are others than before. */
static bool apply(struct entry *e, const struct dns_target *found, size_t count)
{
	struct target *before = e->targets, *t, *next;
	bool changed = false;

	e->targets = NULL;
	for (size_t i = 0; i < count && i < PER_ENTRY_MAX; i++) {
		const struct sockaddr *addr = (const struct sockaddr *)&found[i].addr;

		if (known(e, addr) != NULL)
			continue;
		DL_FOREACH_SAFE (before, t, next) {
			if (!hops_same_address((const struct sockaddr *)&t->addr, addr, true))
				continue;
			DL_DELETE(before, t);
			DL_APPEND(e->targets, t);
			break;
		}
		if (known(e, addr) == NULL) {
			hops_add_target(e, addr, found[i].addr_len);
			changed = true;
		}
	}
	DL_FOREACH_SAFE (before, t, next) {
		DL_DELETE(before, t);
		DL_APPEND(e->targets, t);
		hops_remove_target(t);
		changed = true;
	}
	e->hops->address_count = count_addresses(e->hops);
	return changed;
}

/* --- later --- */

static void note_unknown(struct entry *e, bool unknown)
{
	if (e->unknown != unknown)
		log_event(unknown ? LOG_WARNING : LOG_NOTICE, unknown ? "sip-hop-unknown" : "sip-hop-known",
			  NULL, "host=%s", log_value(e->configured.host));
	e->unknown = unknown;
}

static void on_found(void *ctx, enum dns_status status, const struct dns_target *found, size_t count)
{
	struct entry *e = ctx;
	struct sip_hops *h = e->hops;

	e->query = NULL;
	note_unknown(e, status != DNS_OK);
	if (status == DNS_OK && apply(e, found, count))
		h->setup.moved(h->setup.ctx);
}

static void on_resolve_timer(void *ctx)
{
	struct sip_hops *h = ctx;
	struct entry *e;

	DL_FOREACH (h->entries, e)
		if (!e->is_address && e->query == NULL)
			e->query = ask(e, h->setup.dns, on_found, e);
	loop_timer_set(h->resolve_timer, h->setup.resolve_ms > 0 ? h->setup.resolve_ms : RESOLVE_MS);
}

void hops_resolve_begin(struct sip_hops *h)
{
	if (h->setup.dns == NULL)
		return;
	h->resolve_timer = loop_timer_create(h->setup.loop, on_resolve_timer, h);
	loop_timer_set(h->resolve_timer, h->setup.resolve_ms > 0 ? h->setup.resolve_ms : RESOLVE_MS);
}

void hops_resolve_end(struct sip_hops *h)
{
	struct entry *e;

	loop_timer_destroy(h->resolve_timer);
	DL_FOREACH (h->entries, e)
		dns_cancel(e->query);
}

/* --- at the start --- */

struct first {
	struct loop *loop;
	struct dns_target found[PER_ENTRY_MAX];
	size_t count;
};

static void on_first(void *ctx, enum dns_status status, const struct dns_target *found, size_t count)
{
	struct first *first = ctx;

	if (status == DNS_OK) {
		first->count = count < PER_ENTRY_MAX ? count : PER_ENTRY_MAX;
		memcpy(first->found, found, first->count * sizeof(*found));
	}
	loop_stop(first->loop);
}

/* The daemon's loop does not run yet, so this takes one of its own. */
static void ask_and_wait(const struct entry *e, struct first *first)
{
	const struct config *c = e->hops->setup.config;
	const struct dns_config settings = {
		.resolver = c->dns.resolver,
		.transparent_zones = c->dns.transparent_zones.item,
		.transparent_count = c->dns.transparent_zones.count,
		.timeout_ms = c->dns.timeout_ms,
		.trust_anchor = c->dns.trust_anchor,
	};
	struct dns *dns;

	first->loop = loop_create();
	if (dns_create(first->loop, &settings, &dns) == OK) {
		(void)ask(e, dns, on_first, first);
		loop_run(first->loop);
		dns_destroy(dns);
	}
	loop_destroy(first->loop);
}

/* By the system: /etc/hosts, and whatever else nsswitch.conf(5) says. */
static void ask_system(const struct entry *e, int flags, struct first *first)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", (unsigned)port_for(&e->configured));
	if (getaddrinfo(e->configured.host, port, &hints, &list) != 0)
		return;
	for (const struct addrinfo *a = list; a != NULL && first->count < PER_ENTRY_MAX; a = a->ai_next) {
		struct dns_target *t = &first->found[first->count++];

		memcpy(&t->addr, a->ai_addr, a->ai_addrlen);
		t->addr_len = a->ai_addrlen;
	}
	freeaddrinfo(list);
}

static bool resolve_entry(struct entry *e)
{
	struct first first = { .count = 0 };

	ask_system(e, AI_NUMERICHOST, &first);
	e->is_address = first.count > 0;
	if (first.count == 0 && e->hops->setup.dns != NULL)
		ask_and_wait(e, &first);
	if (first.count == 0)
		ask_system(e, 0, &first);
	apply(e, first.found, first.count);
	return first.count > 0;
}

enum err hops_resolve_now(struct sip_hops *h, const char **why)
{
	static char words[512];
	struct entry *e;

	DL_FOREACH (h->entries, e) {
		if (resolve_entry(e))
			continue;
		if (h->setup.config->sip.allow.count == 0) {
			snprintf(words, sizeof(words),
				 "sip.%s_pool: the address of %s is not known; correct the name, or list the "
				 "pools' addresses in sip.allow",
				 e->pool == POOL_NEW ? "new" : "legacy", e->configured.host);
			*why = words;
			return ERR_NOT_FOUND;
		}
		note_unknown(e, true);
	}
	return OK;
}
