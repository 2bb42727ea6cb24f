/*
 * endpoint_attempt.c - a request on its way to one next hop: what the endpoint's
 * own requests and the relay's have in common.
 *
 * A TCP connection that breaks under a request is told to us at once (SDWN_ERROR
 * in endpoint_listen.c; sofia-sip would wait for timer F), and the request goes
 * out once more on a fresh connection: the same transaction, so that a server
 * which has it already can tell.
 *
 * Whether the next hop may have the request decides whether another one can get
 * it. sofia-sip does not say what it has written, but whether a connection came
 * up: what was given to one that did may have arrived, even when it broke. A
 * datagram that was refused at once has not; one that was repeated before may.
 *
 * Owns the transaction and a reference to its connection.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>

#include <sofia-sip/sip_util.h>
#include <sofia-sip/tport.h>

tport_t *endpoint_connection(const struct sip_endpoint *ep, const char *uri)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	tp_name_t name[1] = { 0 };
	tport_t *tport = NULL;

	if (tport_name_by_url(home, name, URL_STRING_MAKE(uri)) >= 0)
		tport = tport_by_name(nta_agent_tports(ep->agent), name);
	tport = tport != NULL && tport_is_secondary(tport) ? tport_ref(tport) : NULL;
	su_home_deinit(home);
	return tport;
}

/*
 * Of one that has failed. What is explained was no connection yet, though one of our certificate that
 * is refused in TLS 1.3 looks like one.
 */
static void note_connection(struct endpoint_attempt *a, bool explained)
{
	const int64_t elapsed = loop_now(a->ep->loop) - a->sent_at;

	if (a->connection != NULL && !explained)
		a->may_have_arrived |= tport_is_connected(a->connection) != 0;
	else if (!a->target.tcp)
		a->may_have_arrived |= elapsed >= (int64_t)a->ep->t1_ms;
	tport_unref(a->connection);
	a->connection = NULL;
}

bool attempt_send(struct endpoint_attempt *a, msg_t *msg, nta_response_f *on_response, void *ctx,
		  bool pass_100)
{
	a->pass_100 = pass_100;
	a->sent_at = loop_now(a->ep->loop);
	a->orq = nta_outgoing_mcreate(a->ep->agent, on_response, ctx, URL_STRING_MAKE(a->target.uri), msg,
				      NTATAG_BRANCH_KEY(a->branch), NTATAG_PASS_100(pass_100), TAG_END());
	if (a->orq == NULL)
		msg_destroy(msg);
	else if (a->target.tcp) /* the one that sofia-sip has taken, or begun just now */
		a->connection = endpoint_connection(a->ep, a->target.uri);
	return a->orq != NULL;
}

void attempt_end(struct endpoint_attempt *a)
{
	if (a->orq != NULL)
		nta_outgoing_destroy(a->orq);
	tport_unref(a->connection);
	a->orq = NULL;
	a->connection = NULL;
}

msg_t *attempt_copy(const struct endpoint_attempt *a)
{
	msg_t *request = nta_outgoing_getrequest(a->orq), *copy = msg_dup(request);

	msg_destroy(request);
	if (copy != NULL)
		sip_via_remove(copy, sip_object(copy));
	return copy;
}

bool attempt_again(struct endpoint_attempt *a, nta_response_f *on_response, void *ctx)
{
	const bool explained = sip_hops_is_explained(a->ep->hops, a->target.hop);
	msg_t *copy;

	note_connection(a, explained);
	if (!a->target.tcp || a->repeated || explained)
		return false;
	copy = attempt_copy(a);
	if (copy == NULL)
		return false;
	a->repeated = true;
	attempt_end(a);
	return attempt_send(a, copy, on_response, ctx, a->pass_100);
}

bool attempt_may_have_arrived(const struct endpoint_attempt *a)
{
	return a->may_have_arrived;
}

void attempt_renew(struct endpoint_attempt *a)
{
	attempt_end(a);
	a->repeated = a->may_have_arrived = false;
}
