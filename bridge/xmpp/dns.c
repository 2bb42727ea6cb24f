/*
 * dns.c - look-ups by libunbound, which works in a thread of its own and
 * wakes the loop through a pipe; DNSSEC is its business too.
 *
 * A query is a handful of look-ups at the same time under one timer: SRV and
 * then the addresses of hosts (dns_hosts.c), or one TLSA. It belongs to this
 * module from the call that began it until its callback or dns_cancel().
 * Callbacks come from the loop after ub_process() has returned, so they may do
 * anything, dns_destroy() included. What record data means is dns_parse.c's
 * business.
 *
 * Fatal: libunbound has no memory.
 */
#include "bridge/xmpp/dns.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/dns_context.h"
#include "bridge/xmpp/dns_internal.h"

enum { TLSA_USED_MAX = 16 };

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

static void free_query(void *obj)
{
	struct dns_query *q = obj;

	dns_hosts_free(q);
	ub_resolve_free(q->tlsa_result);
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
	dns_hosts_each(q, cancel_lookup);
	cancel_lookup(&q->tlsa);
	loop_timer_destroy(q->timer);
	q->timer = NULL;
	q->ended = true;
	loop_retire(q->dns->loop, free_query, q);
}

static void tell_targets(struct dns_query *q)
{
	struct dns_target targets[DNS_TARGETS_MAX];
	const size_t count = dns_hosts_targets(q, targets);

	end_query(q);
	if (count > 0)
		q->done(q->ctx, DNS_OK, targets, count);
	else
		q->done(q->ctx, q->failed ? DNS_FAILURE : DNS_NONE, NULL, 0);
}

/* Its result is there until the end of the turn. */
static void tell_tlsa(struct dns_query *q)
{
	struct dns_tlsa records[TLSA_USED_MAX];
	const struct ub_result *r = q->tlsa_result;
	size_t count = 0;

	for (size_t i = 0; r != NULL && r->data[i] != NULL && count < TLSA_USED_MAX; i++) {
		if (tlsa_parse(r->data[i], (size_t)r->len[i], &records[count]) == OK)
			count++;
		else
			dns_log_failure(r->qname, ns_t_tlsa, "malformed record");
	}
	end_query(q);
	if (count > 0)
		q->tlsa_done(q->ctx, DNS_OK, records, count);
	else
		q->tlsa_done(q->ctx, q->failed ? DNS_FAILURE : DNS_NONE, NULL, 0);
}

static void tell(struct dns_query *q)
{
	if (q->tlsa_done != NULL)
		tell_tlsa(q);
	else
		tell_targets(q);
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
	switch (type) {
	case ns_t_srv:
		return "SRV";
	case ns_t_tlsa:
		return "TLSA";
	case ns_t_a:
		return "A";
	default:
		return "AAAA";
	}
}

void dns_log_failure(const char *name, ns_type type, const char *why)
{
	log_event(LOG_INFO, "dns-failure", NULL, "name=%s type=%s why=%s", log_value(name), type_name(type),
		  log_value(why));
}

void dns_lookup(struct dns_query *q, struct lookup *l, const char *name, ns_type type)
{
	int error;

	l->query = q;
	l->type = type;
	error = resolve(q->dns, name, l);
	if (error == 0) {
		l->running = true;
		q->running++;
	} else if (error == UB_SYNTAX) { /* as in judge() */
		l->answer = ANSWER_NONE;
	} else {
		l->answer = ANSWER_FAILED;
		q->failed = true;
		dns_log_failure(name, type, ub_strerror(error));
	}
}

/* --- answers --- */

static enum answer judge(const struct lookup *l, int error, const struct ub_result *r)
{
	if (error == UB_SYNTAX)
		return ANSWER_NONE; /* what DNS cannot spell does not exist */
	if (error != 0) {
		dns_log_failure(l->query->name, l->type, ub_strerror(error));
		return ANSWER_FAILED;
	}
	if (r->bogus) {
		dns_log_failure(r->qname, l->type, r->why_bogus != NULL ? r->why_bogus : "bogus");
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

/*
 * TLSA counts only where DNSSEC proves it; without that, the record is what anybody on the way wants
 * it to be (RFC 6698 section 4.1).
 */
static void take_tlsa(struct lookup *l, struct ub_result *result)
{
	if (l->answer == ANSWER_DATA && l->secure) {
		l->query->tlsa_result = result;
		return;
	}
	if (l->answer == ANSWER_DATA)
		dns_log_failure(result->qname, ns_t_tlsa, "not signed, so of no use");
	ub_resolve_free(result);
}

/* From ub_process(). */
static void on_answer(void *ctx, int error, struct ub_result *result)
{
	struct lookup *l = ctx;
	struct dns_query *q = l->query;

	l->answer = judge(l, error, result);
	l->secure = result != NULL && result->secure;
	l->running = false;
	q->running--;
	if (l->answer == ANSWER_FAILED)
		q->failed = true;
	if (l->type == ns_t_tlsa) {
		take_tlsa(l, result);
	} else {
		dns_hosts_answered(l, result);
		ub_resolve_free(result);
	}
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

static struct dns_query *new_query(struct dns *dns, const char *name, uint16_t port, void *ctx)
{
	struct dns_query *q = xcalloc(1, sizeof(*q));

	q->dns = dns;
	q->ctx = ctx;
	q->name = xstrdup(name);
	q->port = port;
	q->timer = loop_timer_create(dns->loop, on_timer, q);
	DL_APPEND(dns->queries, q);
	return q;
}

static struct dns_query *set_timer(struct dns_query *q)
{
	loop_timer_set(q->timer, q->running > 0 ? q->dns->timeout_ms : 0);
	return q;
}

struct dns_query *dns_srv(struct dns *dns, const char *service, const char *domain, uint16_t fallback_port,
			  dns_done_fn *done, void *ctx)
{
	struct dns_query *q = new_query(dns, domain, fallback_port, ctx);

	q->done = done;
	if (!dns_hosts_literal(q)) {
		dns_hosts_service(q, service, false);
		dns_hosts_fall_back(q);
	}
	return set_timer(q);
}

struct dns_query *dns_s2s(struct dns *dns, const char *domain, uint16_t fallback_port, dns_done_fn *done,
			  void *ctx)
{
	struct dns_query *q = new_query(dns, domain, fallback_port, ctx);

	q->done = done;
	if (!dns_hosts_literal(q)) {
		dns_hosts_service(q, "_xmpp-server._tcp", false);
		dns_hosts_service(q, "_xmpps-server._tcp", true);
		dns_hosts_fall_back(q);
	}
	return set_timer(q);
}

struct dns_query *dns_host(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx)
{
	struct dns_query *q = new_query(dns, host, port, ctx);

	q->done = done;
	if (!dns_hosts_literal(q))
		dns_hosts_only(q, true);
	return set_timer(q);
}

struct dns_query *dns_tlsa(struct dns *dns, const char *host, uint16_t port, dns_tlsa_fn *done, void *ctx)
{
	struct dns_query *q = new_query(dns, host, port, ctx);
	char *name = xasprintf("_%u._tcp.%s", port, host);

	q->tlsa_done = done;
	dns_lookup(q, &q->tlsa, name, ns_t_tlsa);
	free(name);
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
