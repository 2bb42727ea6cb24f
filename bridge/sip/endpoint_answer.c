/*
 * endpoint_answer.c - received requests that wait for their answer, and the
 * answers.
 *
 * A transaction is the holder's from on_request until sip_reply(). When the
 * answer does not come in time, the endpoint ends before, or a CANCEL does, it
 * is answered here and left as an empty shell that sip_reply() frees: the
 * holder's pointer stays good. A 2xx to INVITE goes on to endpoint_invite.c; the
 * relay takes a transaction over as it is. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sofia-sip/tport.h>

enum { MARGIN_MS = 1000 /* what the holder may be late beyond sip.answer_time */ };

void endpoint_refuse(nta_incoming_t *irq, unsigned status, const char *phrase, const char *header)
{
	nta_incoming_treply(irq, (int)status, phrase, TAG_IF(header != NULL, SIPTAG_HEADER_STR(header)),
			    TAG_END());
	nta_incoming_destroy(irq);
}

/* --- the life of a transaction --- */

/* The endpoint has no more to do with it. */
static nta_incoming_t *release(struct sip_transaction *t)
{
	nta_incoming_t *irq = t->irq;

	nta_incoming_bind(irq, NULL, NULL);
	loop_timer_destroy(t->timer);
	DL_DELETE(t->ep->waiting, t);
	t->ep->waiting_count--;
	t->ep->waiting_of[t->pool + 1]--;
	t->ep = NULL;
	t->irq = NULL;
	return irq;
}

static void on_expired(void *ctx)
{
	struct sip_transaction *t = ctx;

	t->ep->expired++;
	endpoint_refuse(release(t), SIP_504_GATEWAY_TIME_OUT, NULL);
}

/* What comes for an INVITE that waits: sofia-sip has answered the CANCEL. */
static int on_cancelled(void *magic, nta_incoming_t *irq, sip_t const *sip)
{
	struct sip_transaction *t = magic;
	struct sip_endpoint *ep = t->ep;

	(void)irq;
	if (sip == NULL || sip->sip_request->rq_method != sip_method_cancel)
		return 0;
	endpoint_refuse(release(t), SIP_487_REQUEST_TERMINATED, NULL);
	if (ep->setup.on_cancel != NULL)
		ep->setup.on_cancel(ep->setup.ctx, t);
	return 0;
}

static void restart_timer(struct sip_transaction *t)
{
	loop_timer_set(t->timer, t->ep->config->sip.answer_ms + MARGIN_MS);
}

struct sip_transaction *endpoint_open_transaction(struct sip_endpoint *ep, nta_incoming_t *irq,
						  enum transport transport, int pool)
{
	struct sip_transaction *t = xcalloc(1, sizeof(*t));

	t->ep = ep;
	t->irq = irq;
	t->transport = transport;
	t->pool = pool;
	t->timer = loop_timer_create(ep->loop, on_expired, t);
	restart_timer(t);
	if (nta_incoming_method(irq) == sip_method_invite)
		nta_incoming_bind(irq, on_cancelled, t);
	DL_APPEND(ep->waiting, t);
	ep->waiting_count++;
	ep->waiting_of[pool + 1]++;
	return t;
}

nta_incoming_t *endpoint_take_transaction(struct sip_transaction *t)
{
	nta_incoming_t *irq = t->ep != NULL ? release(t) : NULL;

	free(t);
	return irq;
}

void endpoint_end_received(struct sip_endpoint *ep)
{
	while (ep->waiting != NULL)
		endpoint_refuse(release(ep->waiting), SIP_503_SERVICE_UNAVAILABLE, NULL);
}

/* --- the response --- */

static unsigned status_of(const struct sip_transaction *t, unsigned status)
{
	if (status < 200 || status > 699)
		return 500;
	/*
	 * 408 never answers a request other than INVITE (RFC 4320 section 4.2: the sender has given up by
	 * then); what is meant here is that the next hop is silent.
	 */
	if (status == 408 && nta_incoming_method(t->irq) != sip_method_invite)
		return 504;
	return status;
}

static bool needs_contact(const struct sip_transaction *t, unsigned status)
{
	sip_method_t method = nta_incoming_method(t->irq);

	return status < 300 && (method == sip_method_invite || method == sip_method_subscribe);
}

static bool add_contact(const struct sip_transaction *t, msg_t *msg)
{
	struct strbuf value = { .s = NULL };
	char uri[SIP_URI_SIZE];
	bool ok;

	if (!endpoint_contact(t->ep, t->transport, uri))
		return false;
	strbuf_printf(&value, "<%s>", uri);
	ok = sip_add_tl(msg, sip_object(msg), SIPTAG_CONTACT_STR(value.s), TAG_END()) >= 0;
	strbuf_free(&value);
	return ok;
}

static bool add_body(msg_t *msg, const struct sip_reply *r)
{
	if (r->content_type == NULL || !endpoint_is_clean(r->content_type))
		return true;
	return sip_add_tl(msg, sip_object(msg), SIPTAG_CONTENT_TYPE_STR(r->content_type),
			  SIPTAG_PAYLOAD(sip_payload_create(msg_home(msg), r->body, (isize_t)r->body_size)),
			  TAG_END()) >= 0;
}

/* NULL: sofia-sip cannot make sense of a value. */
static msg_t *build(const struct sip_transaction *t, const struct sip_reply *r, unsigned status)
{
	const char *phrase = r->phrase != NULL && endpoint_is_clean(r->phrase) ? r->phrase : NULL;
	msg_t *msg = nta_msg_create(t->ep->agent, 0);
	bool ok = !needs_contact(t, status) || add_contact(t, msg);

	for (size_t i = 0; ok && i < r->header_count; i++)
		if (r->headers[i] != NULL && endpoint_is_clean(r->headers[i]))
			ok = sip_add_tl(msg, sip_object(msg), SIPTAG_HEADER_STR(r->headers[i]), TAG_END()) >=
			     0;
	if (ok && add_body(msg, r) &&
	    nta_incoming_complete_response(t->irq, msg, (int)status, phrase, TAG_END()) >= 0)
		return msg;
	msg_destroy(msg);
	return NULL;
}

void sip_reply(struct sip_transaction *t, const struct sip_reply *r)
{
	struct sip_endpoint *ep;
	nta_incoming_t *irq;
	unsigned status;
	msg_t *msg;
	int pool;

	if (t == NULL || t->ep == NULL) {
		free(t);
		return;
	}
	ep = t->ep;
	status = status_of(t, r->status);
	if (r->dialog != NULL)
		nta_incoming_tag(t->irq, r->dialog->local_tag);
	msg = build(t, r, status);
	pool = t->pool;
	irq = release(t);
	free(t);
	if (msg == NULL) {
		endpoint_refuse(irq, SIP_500_INTERNAL_SERVER_ERROR, NULL);
		return;
	}
	nta_incoming_mreply(irq, msg);
	if (status < 300 && nta_incoming_method(irq) == sip_method_invite)
		endpoint_await_ack(ep, irq, r, pool);
	else
		nta_incoming_destroy(irq);
}

void sip_answer(struct sip_transaction *t, unsigned status, const char *phrase, const char *header)
{
	const struct sip_reply reply = {
		.status = status,
		.phrase = phrase,
		.headers = &header,
		.header_count = header != NULL ? 1 : 0,
	};

	sip_reply(t, &reply);
}

void sip_progress(struct sip_transaction *t, unsigned status)
{
	if (t == NULL || t->ep == NULL || status < 100 || status > 199)
		return;
	nta_incoming_treply(t->irq, (int)status, NULL, TAG_END());
	restart_timer(t);
}
