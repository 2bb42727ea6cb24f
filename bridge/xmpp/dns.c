/*
 * dns.c - look-ups by libunbound, which works in a thread of its own and
 * wakes the loop through a pipe.
 *
 * A query is one SRV look-up or none, then an A and an AAAA look-up for each
 * host, all at the same time, under one timer. It belongs to this module from
 * dns_srv() or dns_host() until its callback or dns_cancel(). Callbacks come
 * from the loop after ub_process() has returned, so they may do anything,
 * dns_destroy() included. What record data means is dns_parse.c's business.
 *
 * Fatal: libunbound has no memory.
 */
#include "bridge/xmpp/dns.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/dns_context.h"
#include "bridge/xmpp/dns_parse.h"

enum {
	SRV_READ_MAX = 64, /* of one answer */
	SRV_USED_MAX = 16, /* of those, in their order */
	ADDRESSES_MAX = 8  /* of one host and family, so that no host crowds out its backup */
};

struct lookup {
	struct dns_query *query;
	ns_type type; /* ns_t_srv, ns_t_a, ns_t_aaaa */
	int id;       /* libunbound's, while running */
	bool running;
	size_t count; /* addresses */
	unsigned char address[ADDRESSES_MAX][DNS_ADDRESS_SIZE];
};

struct host {
	char name[DNS_NAME_SIZE];
	uint16_t port;
	struct lookup a, aaaa;
};

struct dns_query {
	struct dns *dns;
	dns_done_fn *done;
	void *ctx;
	struct loop_timer *timer;
	char *name;
	uint16_t port; /* of the host, or the fallback */
	struct lookup srv;
	struct host *hosts;
	size_t host_count;
	size_t running; /* look-ups */
	bool failed;    /* one of them got no answer */
	bool ready;     /* in that list */
	bool ended;
	struct dns_query *prev, *next;
};

struct dns {
	struct loop *loop;
	struct ub_ctx *ub;
	struct loop_fd *watch;
	int64_t timeout_ms;
	struct dns_query *queries; /* with look-ups running, or waiting for their timer */
	struct dns_query *ready;   /* answered; their callbacks are due */
};

/* --- the end of a query --- */

static void cancel_lookup(struct lookup *l)
{
	if (!l->running)
		return;
	/* An error means that the answer is on its way; libunbound drops it all the same. */
	(void)ub_cancel(l->query->dns->ub, l->id);
	l->running = false;
	l->query->running--;
}

static void cancel_lookups(struct dns_query *q)
{
	cancel_lookup(&q->srv);
	for (size_t i = 0; i < q->host_count; i++) {
		cancel_lookup(&q->hosts[i].a);
		cancel_lookup(&q->hosts[i].aaaa);
	}
}

static void free_query(void *obj)
{
	struct dns_query *q = obj;

	free(q->hosts);
	free(q->name);
	free(q);
}

static void leave_list(struct dns_query *q)
{
	struct dns_query **list = q->ready ? &q->dns->ready : &q->dns->queries;

	DL_DELETE(*list, q);
}

/* Its memory stays until the end of the turn. */
static void end_query(struct dns_query *q)
{
	leave_list(q);
	cancel_lookups(q);
	loop_timer_destroy(q->timer);
	q->timer = NULL;
	q->ended = true;
	loop_retire(q->dns->loop, free_query, q);
}

static size_t add_targets(const struct host *host, const struct lookup *l, struct dns_target *targets,
			  size_t count)
{
	const int family = l->type == ns_t_a ? AF_INET : AF_INET6;
	const size_t size = l->type == ns_t_a ? sizeof(struct in_addr) : sizeof(struct in6_addr);

	for (size_t i = 0; i < l->count && count < DNS_TARGETS_MAX; i++) {
		struct dns_target *t = &targets[count];

		if (dns_address(family, l->address[i], size, host->port, &t->addr, &t->addr_len) != OK)
			continue;
		(void)str_copy(t->host, sizeof(t->host), host->name);
		t->port = host->port;
		count++;
	}
	return count;
}

static void tell(struct dns_query *q)
{
	struct dns_target targets[DNS_TARGETS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < q->host_count; i++) {
		count = add_targets(&q->hosts[i], &q->hosts[i].a, targets, count);
		count = add_targets(&q->hosts[i], &q->hosts[i].aaaa, targets, count);
	}
	end_query(q);
	if (count > 0)
		q->done(q->ctx, DNS_OK, targets, count);
	else
		q->done(q->ctx, q->failed ? DNS_FAILURE : DNS_NONE, NULL, 0);
}

/* --- look-ups --- */

static void on_answer(void *ctx, int error, struct ub_result *result);

/*
 * The first one starts libunbound's thread, which must not take the signals that the loop waits
 * for, whatever was set up before.
 */
static int resolve(struct dns *dns, const char *name, struct lookup *l)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = ub_resolve_async(dns->ub, name, (int)l->type, ns_c_in, l, on_answer, &l->id);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static const char *type_name(ns_type type)
{
	return type == ns_t_srv ? "SRV" : type == ns_t_a ? "A" : "AAAA";
}

static void log_failure(const char *name, ns_type type, const char *why)
{
	log_event(LOG_INFO, "dns-failure", NULL, "name=%s type=%s why=%s", log_value(name), type_name(type),
		  log_value(why));
}

/* Begin, or find at once that there is nothing to ask for. */
static void start_lookup(struct dns_query *q, struct lookup *l, const char *name, ns_type type)
{
	int error;

	l->query = q;
	l->type = type;
	error = resolve(q->dns, name, l);
	if (error == 0) {
		l->running = true;
		q->running++;
	} else if (error != UB_SYNTAX) { /* as in judge() */
		q->failed = true;
		log_failure(name, type, ub_strerror(error));
	}
}

static void start_host(struct dns_query *q, struct host *host, const char *name, uint16_t port)
{
	if (!str_copy(host->name, sizeof(host->name), name))
		return; /* longer than any name in DNS */
	host->port = port;
	start_lookup(q, &host->a, name, ns_t_a);
	start_lookup(q, &host->aaaa, name, ns_t_aaaa);
}

static void start_fallback(struct dns_query *q)
{
	q->hosts = xcalloc(1, sizeof(*q->hosts));
	q->host_count = 1;
	start_host(q, &q->hosts[0], q->name, q->port);
}

/* --- answers --- */

enum answer { ANSWER_DATA, ANSWER_NONE, ANSWER_FAILED };

static enum answer judge(const struct lookup *l, int error, const struct ub_result *r)
{
	if (error == UB_SYNTAX)
		return ANSWER_NONE; /* what DNS cannot spell does not exist */
	if (error != 0) {
		log_failure(l->query->name, l->type, ub_strerror(error));
		return ANSWER_FAILED;
	}
	if (r->bogus) {
		log_failure(r->qname, l->type, r->why_bogus != NULL ? r->why_bogus : "bogus");
		return ANSWER_FAILED;
	}
	if (r->rcode == ns_r_nxdomain || (r->rcode == ns_r_noerror && !r->havedata))
		return ANSWER_NONE;
	if (r->rcode == ns_r_noerror)
		return ANSWER_DATA;
	log_event(LOG_INFO, "dns-failure", NULL, "name=%s type=%s rcode=%d", log_value(r->qname),
		  type_name(l->type), r->rcode);
	return ANSWER_FAILED;
}

static uint32_t any_number(void *ctx, uint32_t bound)
{
	(void)ctx;
	return arc4random_uniform(bound);
}

static void take_srv(struct dns_query *q, const struct ub_result *r)
{
	struct srv_record records[SRV_READ_MAX];
	size_t count = 0, root = 0;

	for (size_t i = 0; r->data[i] != NULL && count < SRV_READ_MAX; i++) {
		if (srv_parse(r->data[i], (size_t)r->len[i], &records[count]) != OK)
			log_failure(r->qname, ns_t_srv, "malformed record");
		else if (records[count].target[0] == '\0')
			root++;
		else
			count++;
	}
	if (count == 0) {
		q->failed = root == 0; /* with "." the service is decidedly not available: RFC 2782 */
		return;
	}
	srv_order(records, count, any_number, NULL);
	q->host_count = count < SRV_USED_MAX ? count : SRV_USED_MAX;
	q->hosts = xcalloc(q->host_count, sizeof(*q->hosts));
	for (size_t i = 0; i < q->host_count; i++)
		start_host(q, &q->hosts[i], records[i].target, records[i].port);
}

static void take_addresses(struct lookup *l, const struct ub_result *r)
{
	const int size = l->type == ns_t_a ? sizeof(struct in_addr) : sizeof(struct in6_addr);

	for (size_t i = 0; r->data[i] != NULL && l->count < ADDRESSES_MAX; i++) {
		if (r->len[i] == size)
			memcpy(l->address[l->count++], r->data[i], (size_t)size);
	}
}

/* From ub_process(). */
static void on_answer(void *ctx, int error, struct ub_result *result)
{
	struct lookup *l = ctx;
	struct dns_query *q = l->query;
	const enum answer answer = judge(l, error, result);

	l->running = false;
	q->running--;
	if (answer == ANSWER_FAILED)
		q->failed = true;
	else if (answer == ANSWER_DATA && l->type == ns_t_srv)
		take_srv(q, result);
	else if (answer == ANSWER_DATA)
		take_addresses(l, result);
	else if (l->type == ns_t_srv)
		start_fallback(q);
	ub_resolve_free(result);
	if (q->running == 0) {
		leave_list(q);
		q->ready = true;
		DL_APPEND(q->dns->ready, q);
	}
}

static void on_readable(void *ctx, unsigned events)
{
	struct dns *dns = ctx;
	int error = ub_process(dns->ub);

	(void)events;
	if (error != 0)
		log_event(LOG_ERROR, "dns-failure", NULL, "why=%s", log_value(ub_strerror(error)));
	/* A callback may destroy dns: the list is empty then, and the memory there until the turn ends. */
	while (dns->ready != NULL)
		tell(dns->ready);
}

/* Time is up, or there was nothing to look up. */
static void on_timer(void *ctx)
{
	struct dns_query *q = ctx;

	if (q->running > 0) {
		q->failed = true;
		log_event(LOG_INFO, "dns-timeout", NULL, "name=%s", log_value(q->name));
	}
	tell(q);
}

/* --- the interface --- */

static struct dns_query *new_query(struct dns *dns, const char *name, uint16_t port, dns_done_fn *done,
				   void *ctx)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	q->dns = dns;
	q->done = done;
	q->ctx = ctx;
	q->name = xstrdup(name);
	q->port = port;
	q->timer = loop_timer_create(dns->loop, on_timer, q);
	DL_APPEND(dns->queries, q);
	return q;
}

/* An address literal is its own answer. */
static bool take_literal(struct dns_query *q)
{
	unsigned char address[DNS_ADDRESS_SIZE];
	const int family = dns_literal(q->name, address);
	struct lookup *l;

	if (family == AF_UNSPEC)
		return false;
	q->hosts = xcalloc(1, sizeof(*q->hosts));
	q->host_count = 1;
	(void)str_copy(q->hosts[0].name, sizeof(q->hosts[0].name), q->name);
	q->hosts[0].port = q->port;
	l = family == AF_INET ? &q->hosts[0].a : &q->hosts[0].aaaa;
	l->type = family == AF_INET ? ns_t_a : ns_t_aaaa;
	memcpy(l->address[0], address, sizeof(address));
	l->count = 1;
	return true;
}

static struct dns_query *set_timer(struct dns_query *q)
{
	loop_timer_set(q->timer, q->running > 0 ? q->dns->timeout_ms : 0);
	return q;
}

struct dns_query *dns_srv(struct dns *dns, const char *service, const char *domain, uint16_t fallback_port,
			  dns_done_fn *done, void *ctx)
{
	struct dns_query *q = new_query(dns, domain, fallback_port, done, ctx);

	if (!take_literal(q)) {
		char *name = xasprintf("%s.%s", service, domain);

		start_lookup(q, &q->srv, name, ns_t_srv);
		free(name);
		if (!q->srv.running && !q->failed)
			start_fallback(q);
	}
	return set_timer(q);
}

struct dns_query *dns_host(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx)
{
	struct dns_query *q = new_query(dns, host, port, done, ctx);

	if (!take_literal(q))
		start_fallback(q);
	return set_timer(q);
}

void dns_cancel(struct dns_query *query)
{
	if (query != NULL && !query->ended)
		end_query(query);
}

enum err dns_create(struct loop *loop, const struct dns_config *config, struct dns **out)
{
	struct ub_ctx *ub;
	struct dns *dns;
	const enum err e = dns_context_create(config, &ub);

	if (e != OK)
		return e;
	dns = xcalloc(1, sizeof(*dns));
	dns->loop = loop;
	dns->ub = ub;
	dns->timeout_ms = config->timeout_ms;
	dns->watch = loop_fd_add(loop, ub_fd(ub), LOOP_READ, on_readable, dns);
	*out = dns;
	return OK;
}

void dns_destroy(struct dns *dns)
{
	if (dns == NULL)
		return;
	while (dns->queries != NULL)
		end_query(dns->queries);
	while (dns->ready != NULL)
		end_query(dns->ready);
	loop_fd_remove(dns->watch);
	ub_ctx_delete(dns->ub);
	loop_retire(dns->loop, free, dns);
}
