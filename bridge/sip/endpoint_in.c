/*
 * endpoint_in.c - received requests: who may send them, which are taken, and
 * their answers.
 *
 * Order of the checks: the source, then RFC 3261 section 8.2. Only a MESSAGE
 * outside a dialog gets through; everything else is answered here. A request
 * whose values cannot be read as what they should be is answered 400, never
 * handed on in part.
 *
 * A transaction is the holder's from on_request until sip_answer(). When the
 * answer does not come in time, or the endpoint ends before, it is answered
 * here and left as an empty shell that sip_answer() frees: the holder's pointer
 * stays good. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/tport.h>

#include "bridge/core/log.h"

#define ALLOW "Allow: MESSAGE, OPTIONS"

enum {
	MARGIN_MS = 1000, /* what the holder may be late beyond sip.answer_time */
	STRANGER_LOG_MS = 1000
};

struct sip_transaction {
	struct sip_endpoint *ep; /* NULL: the endpoint has answered for itself */
	nta_incoming_t *irq;
	struct loop_timer *timer;
	struct sip_transaction *prev, *next;
};

/* --- answering --- */

static void reply(nta_incoming_t *irq, unsigned status, const char *phrase, const char *header)
{
	nta_incoming_treply(irq, (int)status, phrase, TAG_IF(header != NULL, SIPTAG_HEADER_STR(header)),
			    TAG_END());
	nta_incoming_destroy(irq);
}

/* The endpoint answers for the holder, who keeps an empty shell. */
static void close_transaction(struct sip_transaction *t, unsigned status, const char *phrase)
{
	reply(t->irq, status, phrase, NULL);
	loop_timer_destroy(t->timer);
	DL_DELETE(t->ep->waiting, t);
	t->ep->waiting_count--;
	t->ep = NULL;
}

static void on_expired(void *ctx)
{
	struct sip_transaction *t = ctx;

	t->ep->expired++;
	close_transaction(t, SIP_504_GATEWAY_TIME_OUT);
}

void endpoint_end_received(struct sip_endpoint *ep)
{
	struct sip_transaction *t, *next;

	DL_FOREACH_SAFE (ep->waiting, t, next)
		close_transaction(t, SIP_503_SERVICE_UNAVAILABLE);
}

/*
 * 408 never answers a request other than INVITE (RFC 4320 section 4.2: the
 * sender has given up by then); what is meant here is that the next hop is silent.
 */
void sip_answer(struct sip_transaction *t, unsigned status, const char *phrase, const char *header)
{
	char clean_phrase[256], clean_header[256];

	if (status < 200 || status > 699)
		status = 500;
	if (status == 408)
		status = 504;
	if (phrase != NULL && sip_header_text(phrase, clean_phrase, sizeof(clean_phrase)) != OK)
		phrase = NULL;
	if (header != NULL && sip_header_text(header, clean_header, sizeof(clean_header)) != OK)
		header = NULL;
	if (t->ep != NULL) {
		reply(t->irq, status, phrase, header);
		loop_timer_destroy(t->timer);
		DL_DELETE(t->ep->waiting, t);
		t->ep->waiting_count--;
	}
	free(t);
}

/* --- which requests are taken --- */

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
	switch (sip->sip_request->rq_method) {
	case sip_method_message:
		return none;
	case sip_method_options:
		return refusal(SIP_200_OK, ALLOW "\r\nAccept: text/plain");
	case sip_method_cancel: /* what it could cancel sofia-sip would have found */
		return refusal(SIP_481_NO_TRANSACTION, NULL);
	case sip_method_unknown:
		return refusal(SIP_501_NOT_IMPLEMENTED, ALLOW);
	default:
		return refusal(SIP_405_METHOD_NOT_ALLOWED, ALLOW);
	}
}

/* RFC 3261 section 8.2.2 and following, for a MESSAGE. */
static struct refusal check_message(const struct sip_endpoint *ep, const sip_t *sip)
{
	if (sip->sip_max_forwards != NULL && sip->sip_max_forwards->mf_count == 0)
		return refusal(SIP_483_TOO_MANY_HOPS, NULL);
	if (sip->sip_to->a_tag != NULL)
		return refusal(SIP_481_NO_CALL, NULL);
	if (sip->sip_content_encoding != NULL)
		return refusal(415, "Unsupported Content Encoding", "Accept-Encoding: identity");
	if (ep->waiting_count >= (size_t)ep->config->sip.queue_total)
		return refusal(SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5");
	return none;
}

/* The body alone: headers are bounded by what sofia-sip takes in one line and in all. */
static struct refusal check_size(const struct sip_endpoint *ep, const sip_t *sip)
{
	if (sip->sip_payload != NULL && sip->sip_payload->pl_len > (usize_t)ep->config->sip.message_bytes)
		return refusal(SIP_413_REQUEST_TOO_LARGE, NULL);
	return none;
}

static struct refusal check(const struct sip_endpoint *ep, const sip_t *sip)
{
	struct refusal r = check_uris(sip);

	if (r.status == 0)
		r = check_method(sip);
	if (r.status == 0)
		r = check_message(ep, sip);
	return r;
}

static void refuse(struct sip_endpoint *ep, nta_incoming_t *irq, const sip_t *sip, const char *source,
		   const struct refusal *r)
{
	if (r->status >= 300) {
		ep->refused++;
		log_event(LOG_NOTICE, "sip-refused", NULL, "method=%s from=%s status=%u phrase=%s",
			  log_value(sip->sip_request->rq_method_name), source, r->status,
			  log_value(r->phrase));
	}
	reply(irq, r->status, r->phrase, r->header);
}

static struct sip_transaction *open_transaction(struct sip_endpoint *ep, nta_incoming_t *irq)
{
	struct sip_transaction *t = xcalloc(1, sizeof(*t));

	t->ep = ep;
	t->irq = irq;
	t->timer = loop_timer_create(ep->loop, on_expired, t);
	loop_timer_set(t->timer, ep->config->sip.answer_ms + MARGIN_MS);
	DL_APPEND(ep->waiting, t);
	ep->waiting_count++;
	return t;
}

static void take(struct sip_endpoint *ep, nta_incoming_t *irq, const sip_t *sip, struct view_text *text)
{
	struct sip_request request = { .source = text->source };
	struct refusal r = check_size(ep, sip);

	if (r.status == 0)
		r = check(ep, sip);

	/* Answers for itself, with the list of what it does not support (RFC 3261 section 8.2.2.3). */
	if (r.status == 0 && nta_check_required(irq, sip, NULL, TAG_END()) != 0) {
		nta_incoming_destroy(irq);
		ep->refused++;
		return;
	}
	if (r.status == 0) {
		const char *phrase = endpoint_view(sip, text, &request);

		r = phrase != NULL ? refusal(400, phrase, NULL) : r;
	}
	if (r.status != 0) {
		refuse(ep, irq, sip, text->source, &r);
		return;
	}
	ep->received++;
	request.transaction = open_transaction(ep, irq);
	ep->on_request(ep->ctx, &request);
}

/*
 * Not a peer. On TCP the address is proved, so an answer helps whoever set it
 * up; on UDP it would go wherever the sender says.
 */
static void refuse_stranger(struct sip_endpoint *ep, nta_agent_t *agent, msg_t *msg, const sip_t *sip,
			    const char *source)
{
	tport_t *tport = tport_delivered_by(nta_agent_tports(agent), msg);
	int64_t now = loop_now(ep->loop);

	ep->strangers++;
	if (ep->strangers == 1 || now - ep->stranger_logged >= STRANGER_LOG_MS) {
		ep->stranger_logged = now;
		log_event(LOG_WARNING, "sip-stranger", NULL,
			  "method=%s from=%s count=%llu hint=\"not in sip.allow\"",
			  log_value(sip->sip_request->rq_method_name), source,
			  (unsigned long long)ep->strangers);
	}
	if (tport_is_tcp(tport) && sip->sip_request->rq_method != sip_method_ack)
		nta_msg_treply(agent, msg, 403, "Source Not Allowed", NTATAG_TPORT(tport),
			       TPTAG_CLOSE_AFTER(1), TAG_END());
	else
		nta_msg_discard(agent, msg);
}

int endpoint_receive(struct sip_endpoint *ep, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	struct view_text text;
	nta_incoming_t *irq;

	if (sip->sip_request == NULL) { /* an answer to nothing that we wait for */
		nta_msg_discard(agent, msg);
		return 0;
	}
	endpoint_source(&text, agent, msg);
	if (!sip_peers_allow(ep->peers, &msg_addr(msg)->su_sa)) {
		refuse_stranger(ep, agent, msg, sip, text.source);
	} else if (sip->sip_request->rq_method == sip_method_ack) {
		nta_msg_discard(agent, msg);
	} else {
		irq = nta_incoming_create(agent, NULL, msg, sip, TAG_END());
		if (irq != NULL)
			take(ep, irq, sip, &text);
	}
	return 0;
}
