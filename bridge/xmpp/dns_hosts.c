/*
 * dns_hosts.c - from SRV records to addresses: the records of each service
 * that was asked for, the hosts they name, and the one list that comes of it.
 *
 * Look-ups of a service's hosts begin when its answer is there, so that what
 * another service does not answer costs no time; the order over all of them is
 * made at the end. A domain without any SRV record is its own host.
 *
 * Everything here belongs to the query. Nothing is fatal.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/dns_internal.h"

static void start_host(struct dns_query *q, struct host *host)
{
	dns_lookup(q, &host->a.lookup, host->srv.target, ns_t_a);
	dns_lookup(q, &host->aaaa.lookup, host->srv.target, ns_t_aaaa);
}

static struct host *make_only(struct dns_query *q)
{
	q->only = xcalloc(1, sizeof(*q->only));
	q->only->srv.port = q->port;
	/* What is longer than any name in DNS stays "". */
	(void)str_copy(q->only->srv.target, sizeof(q->only->srv.target), q->name);
	return q->only;
}

void dns_hosts_only(struct dns_query *q, bool secure)
{
	struct host *host = make_only(q);

	host->secure = secure;
	if (host->srv.target[0] != '\0')
		start_host(q, host);
}

bool dns_hosts_literal(struct dns_query *q)
{
	unsigned char bytes[DNS_ADDRESS_SIZE];
	const int family = dns_literal(q->name, bytes);
	struct addresses *a;

	if (family == AF_UNSPEC)
		return false;
	a = family == AF_INET ? &make_only(q)->a : &make_only(q)->aaaa;
	a->lookup.type = family == AF_INET ? ns_t_a : ns_t_aaaa;
	memcpy(a->bytes[0], bytes, sizeof(bytes));
	a->count = 1;
	return true;
}

void dns_hosts_fall_back(struct dns_query *q)
{
	bool secure = true;

	for (size_t i = 0; i < q->service_count; i++) {
		if (q->services[i].lookup.answer != ANSWER_NONE)
			return;
		secure = secure && q->services[i].lookup.secure;
	}
	dns_hosts_only(q, secure);
}

void dns_hosts_service(struct dns_query *q, const char *service, bool direct_tls)
{
	struct service *s = &q->services[q->service_count++];
	char *name = xasprintf("%s.%s", service, q->name);

	s->direct_tls = direct_tls;
	dns_lookup(q, &s->lookup, name, ns_t_srv);
	free(name);
}

static uint32_t any_number(void *ctx, uint32_t bound)
{
	(void)ctx;
	return arc4random_uniform(bound);
}

static void take_services(struct service *s, const struct ub_result *r)
{
	struct dns_query *q = s->lookup.query;
	struct srv_record records[SRV_READ_MAX];
	size_t count = 0, root = 0;

	for (size_t i = 0; r->data[i] != NULL && count < SRV_READ_MAX; i++) {
		if (srv_parse(r->data[i], (size_t)r->len[i], &records[count]) != OK)
			dns_log_failure(r->qname, ns_t_srv, "malformed record");
		else if (records[count].target[0] == '\0')
			root++;
		else
			count++;
	}
	if (count == 0) {
		/* With "." the service is decidedly not available: RFC 2782. */
		q->failed = q->failed || root == 0;
		return;
	}
	srv_order(records, count, any_number, NULL);
	s->host_count = count < SRV_USED_MAX ? count : SRV_USED_MAX;
	s->hosts = xcalloc(s->host_count, sizeof(*s->hosts));
	for (size_t i = 0; i < s->host_count; i++) {
		s->hosts[i].srv = records[i];
		s->hosts[i].direct_tls = s->direct_tls;
		s->hosts[i].secure = s->lookup.secure;
		start_host(q, &s->hosts[i]);
	}
}

static void take_addresses(struct addresses *a, const struct ub_result *r)
{
	const int size = a->lookup.type == ns_t_a ? sizeof(struct in_addr) : sizeof(struct in6_addr);

	for (size_t i = 0; r->data[i] != NULL && a->count < ADDRESSES_MAX; i++) {
		if (r->len[i] == size)
			memcpy(a->bytes[a->count++], r->data[i], (size_t)size);
	}
}

void dns_hosts_answered(struct lookup *l, const struct ub_result *result)
{
	if (l->type != ns_t_srv) {
		if (l->answer == ANSWER_DATA)
			take_addresses((struct addresses *)l, result);
	} else if (l->answer == ANSWER_DATA) {
		take_services((struct service *)l, result);
	} else if (l->answer == ANSWER_NONE) {
		dns_hosts_fall_back(l->query);
	}
}

/* --- the one list --- */

static size_t add_targets(const struct host *host, const struct addresses *a, struct dns_target *targets,
			  size_t count)
{
	const int family = a->lookup.type == ns_t_a ? AF_INET : AF_INET6;
	const size_t size = a->lookup.type == ns_t_a ? sizeof(struct in_addr) : sizeof(struct in6_addr);

	for (size_t i = 0; i < a->count && count < DNS_TARGETS_MAX; i++) {
		struct dns_target *t = &targets[count];

		if (dns_address(family, a->bytes[i], size, host->srv.port, &t->addr, &t->addr_len) != OK)
			continue;
		(void)str_copy(t->host, sizeof(t->host), host->srv.target);
		t->port = host->srv.port;
		t->direct_tls = host->direct_tls;
		t->secure = host->secure && a->lookup.secure;
		count++;
	}
	return count;
}

size_t dns_hosts_targets(struct dns_query *q, struct dns_target targets[DNS_TARGETS_MAX])
{
	struct srv_record order[SERVICES_MAX * SRV_USED_MAX + 1];
	const struct host *hosts[ARRAY_SIZE(order)];
	size_t n = 0, count = 0;

	if (q->only != NULL)
		hosts[n++] = q->only;
	for (size_t s = 0; s < q->service_count; s++) {
		for (size_t i = 0; i < q->services[s].host_count; i++)
			hosts[n++] = &q->services[s].hosts[i];
	}
	for (size_t i = 0; i < n; i++) {
		order[i] = hosts[i]->srv;
		order[i].tag = (unsigned)i;
	}
	srv_order(order, n, any_number, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct host *host = hosts[order[i].tag];

		count = add_targets(host, &host->a, targets, count);
		count = add_targets(host, &host->aaaa, targets, count);
	}
	return count;
}

void dns_hosts_each(struct dns_query *q, void (*visit)(struct lookup *l))
{
	for (size_t s = 0; s < q->service_count; s++) {
		visit(&q->services[s].lookup);
		for (size_t i = 0; i < q->services[s].host_count; i++) {
			visit(&q->services[s].hosts[i].a.lookup);
			visit(&q->services[s].hosts[i].aaaa.lookup);
		}
	}
	if (q->only != NULL) {
		visit(&q->only->a.lookup);
		visit(&q->only->aaaa.lookup);
	}
}

void dns_hosts_free(struct dns_query *q)
{
	for (size_t s = 0; s < q->service_count; s++)
		free(q->services[s].hosts);
	free(q->only);
}
