/*
 * endpoint_in.c - received requests: who may send them, and which are taken.
 *
 * Order of the checks: the source; hops and loops, which the relay needs too;
 * the relay's own, by their Route; then RFC 3261 section 8.2. A request whose
 * values cannot be read as what they should be is answered 400, never handed on
 * in part. OPTIONS is answered here; dialogs are the holder's.
 *
 * Owns nothing: an accepted request is a transaction of endpoint_answer.c.
 * Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <string.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/tport.h>

#include "bridge/core/log.h"

enum { STRANGER_LOG_MS = 1000 };

struct refusal {
	unsigned status; /* 0: none */
	const char *phrase;
	const char *header;
};

static const struct refusal none = { .status = 0 };

/* sofia-sip's status macros are the first two arguments in one. */
static struct refusal refusal(unsigned status, const char *phrase, const char *header)
{
	return (struct refusal){ .status = status, .phrase = phrase, .header = header };
}

/* --- on its way: hops and loops --- */

static bool is_benotify(const sip_t *sip)
{
	return strcmp(sip->sip_request->rq_method_name, "BENOTIFY") == 0;
}

static bool has_our_via(const struct sip_endpoint *ep, const sip_t *sip)
{
	for (const sip_via_t *v = sip->sip_via; v != NULL; v = v->v_next)
		if (endpoint_is_our_via(ep, v))
			return true;
	return false;
}

static bool is_same_address(const url_t *a, const url_t *b)
{
	return url_cmp(a, b) == 0;
}

/*
 * A request that we have sent or relayed, back with the Request-URI that it
 * began with, goes round in a loop. One that was meanwhile aimed at somebody
 * else does not (a spiral, RFC 3261 section 16.3), nor does one in a dialog,
 * which may pass through here twice.
 */
static struct refusal check_way(const struct sip_endpoint *ep, const sip_t *sip)
{
	if (sip->sip_max_forwards != NULL && sip->sip_max_forwards->mf_count == 0 &&
	    sip->sip_request->rq_method != sip_method_options)
		return refusal(SIP_483_TOO_MANY_HOPS, NULL);
	if (sip->sip_to->a_tag == NULL && has_our_via(ep, sip) &&
	    is_same_address(sip->sip_request->rq_url, sip->sip_to->a_url))
		return refusal(SIP_482_LOOP_DETECTED, NULL);
	return none;
}

/* --- RFC 3261 section 8.2 --- */

static struct refusal check_uris(const sip_t *sip)
{
	/* RFC 7247 section 8: XMPP cannot promise that every hop has TLS. */
	if (sip->sip_request->rq_url->url_type == url_sips || sip->sip_to->a_url->url_type == url_sips)
		return refusal(416, "SIPS Cannot Be Promised Here", NULL);
	if (sip->sip_request->rq_url->url_type != url_sip)
		return refusal(SIP_416_UNSUPPORTED_URI, NULL);
	return none;
}

static struct refusal check_method(const sip_t *sip)
{
	if (endpoint_takes_method(sip->sip_request->rq_method))
		return none;
	switch (sip->sip_request->rq_method) {
	case sip_method_options:
		return refusal(SIP_200_OK, SIP_ALLOW "\r\nAccept: text/plain");
	case sip_method_cancel: /* what it could cancel sofia-sip would have found */
		return refusal(SIP_481_NO_TRANSACTION, NULL);
	case sip_method_unknown:
		return refusal(SIP_501_NOT_IMPLEMENTED, SIP_ALLOW);
	default:
		return refusal(SIP_405_METHOD_NOT_ALLOWED, SIP_ALLOW);
	}
}

/* Each pool has as much as it leaves for the others: one whose requests wait long does not shut them out. */
static struct refusal check_content(const struct sip_endpoint *ep, const sip_t *sip, int pool)
{
	const size_t all = ep->waiting_count + ep->unacked_count;
	const size_t own = ep->waiting_of[pool + 1] + ep->unacked_of[pool + 1];

	if (sip->sip_content_encoding != NULL)
		return refusal(415, "Unsupported Content Encoding", "Accept-Encoding: identity");
	if (all + own >= (size_t)ep->config->sip.queue_total)
		return refusal(SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5");
	return none;
}

/* The body alone: headers are bounded by endpoint_header.c. */
static struct refusal check_size(const struct sip_endpoint *ep, const sip_t *sip)
{
	if (sip->sip_payload != NULL && sip->sip_payload->pl_len > (usize_t)ep->config->sip.message_bytes)
		return refusal(SIP_413_REQUEST_TOO_LARGE, NULL);
	return none;
}

static struct refusal check(const struct sip_endpoint *ep, const sip_t *sip, int pool)
{
	struct refusal r = check_size(ep, sip);

	if (r.status == 0)
		r = check_uris(sip);
	if (r.status == 0)
		r = check_method(sip);
	if (r.status == 0)
		r = check_content(ep, sip, pool);
	return r;
}

/* What makes a dialog must say where its requests go (section 8.1.1.8). */
static struct refusal check_dialog(const struct sip_request *r, sip_method_t method)
{
	if (r->to_tag != NULL || (method != sip_method_invite && method != sip_method_subscribe))
		return none;
	if (r->from_tag == NULL)
		return refusal(400, "From Has No Tag", NULL);
	if (r->contact_uri == NULL)
		return refusal(400, "Bad Contact", NULL);
	return none;
}

/* --- handing on --- */

static void log_refusal(struct sip_endpoint *ep, const sip_t *sip, const char *source,
			const struct refusal *r)
{
	if (r->status < 300)
		return;
	ep->refused++;
	log_event(LOG_NOTICE, "sip-refused", NULL, "method=%s from=%s status=%u phrase=%s",
		  log_value(sip->sip_request->rq_method_name), source, r->status, log_value(r->phrase));
}

static void refuse(struct sip_endpoint *ep, nta_incoming_t *irq, const struct sip_view *view,
		   const struct refusal *r)
{
	log_refusal(ep, view->sip, view->source, r);
	endpoint_refuse(irq, r->status, r->phrase, r->header);
}

/* A delivered message, and where it came from. */
struct arrival {
	struct sip_endpoint *ep;
	msg_t *msg;
	struct sip_view *view;
	enum transport transport;
	int pool; /* enum pool, or -1 */
	int way;  /* what on_route said */
	struct sip_request request;
	bool is_viewed; /* what on_route gets of it */
};

/* The request as plain values, or why not. */
static struct refusal read_request(const struct arrival *a, struct sip_request *request)
{
	const char *phrase;

	if (a->is_viewed) {
		*request = a->request;
		phrase = endpoint_view_rest(a->view, request);
	} else {
		phrase = endpoint_view_request(a->view, request);
	}
	if (phrase != NULL)
		return refusal(400, phrase, NULL);
	request->pool = a->pool;
	return check_dialog(request, a->view->sip->sip_request->rq_method);
}

static void take(const struct arrival *a, nta_incoming_t *irq)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	struct sip_request request;
	struct refusal r = check(ep, sip, a->pool);

	/* Answers for itself, with the list of what it does not support (RFC 3261 section 8.2.2.3). */
	if (r.status == 0 && nta_check_required(irq, sip, NULL, TAG_END()) != 0) {
		nta_incoming_destroy(irq);
		ep->refused++;
		return;
	}
	if (r.status == 0)
		r = read_request(a, &request);
	if (r.status == 0 && request.to_tag == NULL && endpoint_is_merged(ep, sip))
		r = refusal(482, "Request merged", NULL);
	if (r.status != 0) {
		refuse(ep, irq, a->view, &r);
		return;
	}
	ep->received++;
	request.way = a->way;
	request.local_tag = nta_incoming_gettag(irq);
	request.transaction = endpoint_open_transaction(ep, irq, a->transport, a->pool);
	ep->setup.on_request(ep->setup.ctx, &request);
}

/* ACK and BENOTIFY: there is nothing to answer, so what is wrong with them is only logged. */
static void take_silent(const struct arrival *a)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	struct sip_request request;
	struct refusal r = check_size(ep, sip);

	if (r.status == 0)
		r = check_uris(sip);
	if (r.status == 0)
		r = read_request(a, &request);
	if (r.status != 0) {
		log_refusal(ep, sip, a->view->source, &r);
		return;
	}
	ep->received++;
	ep->setup.on_request(ep->setup.ctx, &request);
}

/* True: irq, or without one the message, is the relay's now. */
static bool offer_to_relay(const struct arrival *a, nta_incoming_t *irq)
{
	const struct endpoint_relay *relay = &a->ep->relay;

	return relay->on_request != NULL && relay->on_request(relay->ctx, irq, a->msg, sip_object(a->msg));
}

/* True: it has been taken, or refused. */
static bool route(struct arrival *a, nta_incoming_t *irq)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	struct sip_request request;
	const char *phrase;
	struct refusal r;

	/* In a dialog, or to ourselves: ours. */
	if (ep->setup.on_route == NULL || sip->sip_to->a_tag != NULL ||
	    sip->sip_request->rq_method == sip_method_cancel ||
	    endpoint_is_our_uri(ep, sip->sip_request->rq_url))
		return false;
	r = check_uris(sip);
	phrase = endpoint_view_route(a->view, &request);
	a->request = request;
	a->is_viewed = true;
	if (r.status == 0 && phrase != NULL)
		r = refusal(400, phrase, NULL);
	if (r.status != 0) {
		refuse(ep, irq, a->view, &r);
		return true;
	}
	request.pool = a->pool;
	request.transaction = endpoint_open_transaction(ep, irq, a->transport, a->pool);
	a->way = ep->setup.on_route(ep->setup.ctx, &request);
	if (a->way == SIP_TAKEN)
		return true;
	endpoint_take_transaction(request.transaction);
	return false;
}

static void receive_silent(const struct arrival *a)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	bool is_ack = sip->sip_request->rq_method == sip_method_ack;
	bool is_ours = is_ack && endpoint_take_ack(ep, sip);
	bool may_go_on = check_way(ep, sip).status == 0;

	if (!is_ours && may_go_on && offer_to_relay(a, NULL))
		return;
	if (is_ours || !is_ack)
		take_silent(a);
	nta_msg_discard(ep->agent, a->msg);
}

/* Without a transaction, which would be remembered. */
static void refuse_unremembered(const struct arrival *a)
{
	const struct refusal r = refusal(SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5");

	log_refusal(a->ep, a->view->sip, a->view->source, &r);
	nta_msg_treply(a->ep->agent, a->msg, (int)r.status, r.phrase, SIPTAG_HEADER_STR(r.header), TAG_END());
}

static void receive(struct arrival *a)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	struct refusal r = check_way(ep, sip);
	char tag[SIP_TOKEN_SIZE];
	nta_incoming_t *irq = nta_incoming_create(ep->agent, NULL, a->msg, sip_object(a->msg), TAG_END());

	if (irq == NULL)
		return;
	if (r.status != 0) {
		refuse(ep, irq, a->view, &r);
		return;
	}
	if (offer_to_relay(a, irq) || route(a, irq))
		return;
	if (sip->sip_to->a_tag == NULL) {
		/* Made now, so that provisional responses and the 200 to a CANCEL have it, too (section 9.2). */
		sip_token(tag);
		nta_incoming_tag(irq, tag);
	}
	take(a, irq);
}

/* Of a pool that is reached by TLS: its address alone proves nothing. */
static bool is_clear_text(const struct arrival *a)
{
	return a->transport != TRANSPORT_TLS && sip_hops_need_tls(a->ep->hops, &msg_addr(a->msg)->su_sa);
}

/*
 * Not a peer. On TCP the address is proved, so an answer helps whoever set it
 * up; on UDP it would go wherever the sender says.
 */
static void refuse_stranger(const struct arrival *a)
{
	struct sip_endpoint *ep = a->ep;
	const sip_t *sip = a->view->sip;
	int64_t now = loop_now(ep->loop);

	ep->strangers++;
	if (ep->strangers == 1 || now - ep->stranger_logged >= STRANGER_LOG_MS) {
		ep->stranger_logged = now;
		log_event(LOG_WARNING, "sip-stranger", NULL, "method=%s from=%s count=%llu hint=\"%s\"",
			  log_value(sip->sip_request->rq_method_name), a->view->source,
			  (unsigned long long)ep->strangers,
			  is_clear_text(a) ? "this pool's next hop is configured with TLS"
					   : "not in sip.allow");
	}
	if (a->transport != TRANSPORT_UDP && sip->sip_request->rq_method != sip_method_ack)
		nta_msg_treply(ep->agent, a->msg, 403, "Source Not Allowed",
			       NTATAG_TPORT(tport_delivered_by(nta_agent_tports(ep->agent), a->msg)),
			       TPTAG_CLOSE_AFTER(1), TAG_END());
	else
		nta_msg_discard(ep->agent, a->msg);
}

int endpoint_receive(struct sip_endpoint *ep, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	struct sip_view view;
	struct arrival arrival = { .ep = ep, .msg = msg, .view = &view };
	msg_t *held;

	if (sip->sip_request == NULL) {
		if (endpoint_take_response(ep, sip) || ep->relay.on_response == NULL ||
		    !ep->relay.on_response(ep->relay.ctx, msg, sip))
			nta_msg_discard(agent, msg);
		return 0;
	}
	arrival.transport = endpoint_transport_of(agent, msg);
	arrival.pool = endpoint_pool_of(ep, msg_addr(msg));
	/* The callback may answer, and go on reading. */
	held = msg_ref_create(msg);
	endpoint_view_begin(&view, sip);
	endpoint_view_source(&view, agent, msg);
	if (!sip_peers_allow(ep->peers, &msg_addr(msg)->su_sa) || is_clear_text(&arrival))
		refuse_stranger(&arrival);
	else if (sip->sip_request->rq_method == sip_method_ack || is_benotify(sip))
		receive_silent(&arrival);
	else if (!endpoint_may_remember(ep, arrival.transport, sip->sip_request->rq_method))
		refuse_unremembered(&arrival);
	else
		receive(&arrival);
	endpoint_view_end(&view);
	msg_destroy(held);
	return 0;
}
