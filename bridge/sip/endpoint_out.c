/*
 * endpoint_out.c - requests that we send, followed to their one end.
 *
 * sofia-sip moves a large request from UDP to TCP by itself, but back to UDP
 * when TCP is refused; RFC 3428 section 8 does not allow that, so the transport
 * is chosen by endpoint_fit(), by the size on the wire, and is final.
 *
 * When a next hop cannot be reached, or answers 503, the request goes to the
 * pool's next one as a transaction of its own. Silence is another matter, and so
 * is a connection that broke: it may have been taken, and a text must not come
 * twice, so only a request that may be repeated goes on then. For the others
 * that is a 408: nobody knows.
 *
 * Of all requests to a pool so many are under way at a time, well below what
 * sofia-sip queues for one connection; the next ones wait, in turns by recipient
 * (turns.h), as long as a transaction lasts at most. An INVITE that rings is not
 * among them.
 *
 * An INVITE that is cancelled has no listener any more, but goes on: CANCEL as
 * soon as a provisional response allows it (RFC 3261 section 9.1), 64*T1 for the
 * final response, ACK and BYE when that is a 2xx all the same.
 *
 * Owns a sip_outgoing until its end. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sofia-sip/sip_util.h>

enum {
	LIFETIME_T1 = 64,
	RINGING_MS = 180 * 1000 /* an INVITE without a final response; timer C of RFC 3261 section 16.6 */
};

struct sip_outgoing {
	struct sip_endpoint *ep;
	struct endpoint_attempt attempt;
	sip_response_fn *done; /* NULL: cancelled */
	void *ctx;
	struct sip_dialog *dialog; /* the caller's; NULL: none */
	struct sip_dialog *own;    /* INVITE: as it was when it was sent */
	uint32_t cseq;
	enum pool pool;
	bool upgraded;   /* too large for UDP: TCP or nothing */
	bool proceeding; /* INVITE: it has a provisional response */
	bool giving_up;  /* INVITE: it is cancelled, and its end is waited for */
	bool repeatable; /* twice is as good as once */
	struct turns_seat seat;
	msg_t *parked; /* it waits for its turn; NULL: it does not */
	char *route;   /* the topmost; NULL: none */
	int64_t since;
	struct loop_timer *timer;
	int64_t failed_retry_after;
	unsigned failed_status; /* it could not even be sent: the callback comes in a turn of its own */
	const char *failed_phrase;
	struct sip_outgoing *prev, *next;
};

/* --- the end --- */

static void free_outgoing(struct sip_outgoing *o)
{
	attempt_end(&o->attempt);
	free(o->route);
	sip_dialog_free(o->own);
	free(o);
}

static void leave_window(struct sip_outgoing *o);

/* Unlinked before the callback: it has no way back to the endpoint. */
static void finish(struct sip_outgoing *o, const struct sip_response *response)
{
	DL_DELETE(o->ep->sent, o);
	leave_window(o);
	loop_timer_destroy(o->timer);
	if (o->done != NULL)
		o->done(o->ctx, response);
	free_outgoing(o);
}

/* The endpoint's own word. */
static struct sip_response word(unsigned status, const char *phrase)
{
	return (struct sip_response){ .status = status,
				      .phrase = phrase,
				      .expires = -1,
				      .retry_after = -1,
				      .content_type = "",
				      .charset = "",
				      .body = "" };
}

static void fail(struct sip_outgoing *o, unsigned status, const char *phrase)
{
	struct sip_response response = word(status, phrase);

	response.retry_after = o->failed_retry_after;
	finish(o, &response);
}

static void set_timer(struct sip_outgoing *o, loop_timer_fn *fn, int64_t ms)
{
	loop_timer_destroy(o->timer);
	o->timer = loop_timer_create(o->ep->loop, fn, o);
	loop_timer_set(o->timer, ms);
}

static void on_failed(void *ctx)
{
	struct sip_outgoing *o = ctx;

	fail(o, o->failed_status, o->failed_phrase);
}

static void fail_later(struct sip_outgoing *o, unsigned status, const char *phrase)
{
	o->failed_status = status;
	o->failed_phrase = phrase;
	set_timer(o, on_failed, 0);
}

/* --- on the wire --- */

static int on_response(void *magic, nta_outgoing_t *orq, sip_t const *sip);

/* Takes the message. */
static bool send_request(struct sip_outgoing *o, msg_t *msg)
{
	return attempt_send(&o->attempt, msg, on_response, o, o->own != NULL);
}

/*
 * It has certainly not been taken, or may be twice: the request goes to another next hop (RFC 3263
 * section 4.3). own_word: the next hop has not said so.
 */
static bool send_elsewhere(struct sip_outgoing *o, int status, bool own_word)
{
	const bool untaken = status == 503 && !(own_word && attempt_may_have_arrived(&o->attempt));
	msg_t *copy;

	if (o->done == NULL || o->proceeding || o->giving_up || (!untaken && !o->repeatable) ||
	    !endpoint_next_target(o->ep, o->pool, &o->attempt.target))
		return false;
	copy = attempt_copy(&o->attempt);
	if (copy == NULL)
		return false;
	endpoint_branch(o->attempt.branch);
	if (!endpoint_fit(o->ep, copy, o->attempt.branch, &o->attempt.target, &o->upgraded)) {
		msg_destroy(copy);
		return false;
	}
	attempt_renew(&o->attempt);
	if (!send_request(o, copy))
		fail_later(o, 500, "Cannot Be Sent");
	return true;
}

/* --- cancelling --- */

static void on_unanswered(void *ctx)
{
	struct sip_outgoing *o = ctx;

	fail(o, 487, "Request Terminated");
}

/* It has the INVITE's branch, Request-URI and Route, and goes where that went (section 9.1). */
static void send_cancel(struct sip_outgoing *o)
{
	const struct sip_send cancel = { .method = "CANCEL", .pool = o->own->pool };
	msg_t *msg = endpoint_build(o->ep, &cancel, o->own, o->cseq);

	set_timer(o, on_unanswered, (int64_t)LIFETIME_T1 * o->ep->t1_ms);
	if (msg != NULL &&
	    nta_outgoing_mcreate(o->ep->agent, NULL, NULL, URL_STRING_MAKE(o->attempt.target.uri), msg,
				 NTATAG_BRANCH_KEY(o->attempt.branch), TAG_END()) == NULL)
		msg_destroy(msg);
}

static void abandon(struct sip_outgoing *o)
{
	o->done = NULL;
	o->dialog = NULL;
	if (o->proceeding)
		send_cancel(o);
}

static void on_ringing_too_long(void *ctx)
{
	struct sip_outgoing *o = ctx;
	const struct sip_response response = word(408, "No Final Response");
	sip_response_fn *done = o->done;

	abandon(o);
	done(o->ctx, &response);
}

void sip_outgoing_give_up(struct sip_outgoing *o)
{
	if (o->giving_up || o->own == NULL)
		return;
	o->giving_up = true;
	if (o->proceeding)
		send_cancel(o);
}

/* sofia-sip sees other transactions through; nobody hears of it. */
void sip_outgoing_cancel(struct sip_outgoing *o)
{
	if (o->own != NULL && o->attempt.orq != NULL && !o->ep->ending) {
		abandon(o);
		return;
	}
	o->done = NULL;
	finish(o, NULL);
}

/* --- responses --- */

static void on_provisional(struct sip_outgoing *o)
{
	bool first = !o->proceeding;

	o->proceeding = true;
	if (o->own == NULL || !first)
		return;
	leave_window(o);
	if (o->done == NULL || o->giving_up)
		send_cancel(o);
	else
		set_timer(o, on_ringing_too_long, RINGING_MS);
}

static bool makes_dialog(sip_method_t method)
{
	return method == sip_method_invite || method == sip_method_subscribe;
}

static void on_final(struct sip_outgoing *o, const sip_t *sip)
{
	struct sip_response response;
	struct sip_view view;

	endpoint_view_begin(&view, sip);
	endpoint_view_response(&view, &response);
	if (response.status < 300 && o->dialog != NULL && makes_dialog(sip->sip_cseq->cs_method))
		sip_dialog_confirm(o->dialog, &response);
	if (response.status < 300 && o->own != NULL) {
		sip_dialog_confirm(o->own, &response);
		endpoint_acknowledge(o->ep, o->own, o->cseq, o->done == NULL);
	}
	finish(o, &response);
	endpoint_view_end(&view);
}

static void on_silence(struct sip_outgoing *o, unsigned status)
{
	if (status == 408)
		attempt_abort_connection(&o->attempt);
	if (status == 503 && attempt_may_have_arrived(&o->attempt) && !o->repeatable)
		fail(o, 408, "Connection Lost");
	else if (status == 503 && o->upgraded)
		fail(o, 513, "Too Large for UDP, and TCP Failed");
	else
		fail(o, status, sip_status_phrase((int)status));
}

/* sip is NULL, or made by sofia-sip, when there was no answer. */
static int on_response(void *magic, nta_outgoing_t *orq, sip_t const *sip)
{
	struct sip_outgoing *o = magic;
	int status = nta_outgoing_status(orq);
	bool silent = sip == NULL || nta_sip_is_internal(sip);

	if (status < 200) {
		on_provisional(o);
		return 0;
	}
	if (silent && status == 503 && o->done != NULL && attempt_again(&o->attempt, on_response, o))
		return 0;
	endpoint_report(o->ep, &o->attempt.target, status, silent ? NULL : sip);
	if ((silent || status == 503) && send_elsewhere(o, status, silent))
		return 0;
	if (!silent)
		on_final(o, sip);
	else
		on_silence(o, (unsigned)status);
	return 0;
}

/* --- sending --- */

/* Its turn has come. Takes the message. */
static void depart(struct sip_outgoing *o, msg_t *msg)
{
	struct endpoint_target *target = &o->attempt.target;

	if (!endpoint_choose_target(o->ep, o->pool, o->route, target)) {
		msg_destroy(msg);
		if (target->wait_ms >= 0)
			o->failed_retry_after = (target->wait_ms + 999) / 1000;
		fail_later(o, 503, "No Next Hop Is There");
		return;
	}
	endpoint_branch(o->attempt.branch);
	if (!endpoint_fit(o->ep, msg, o->attempt.branch, target, &o->upgraded)) {
		msg_destroy(msg);
		fail_later(o, 513, "Too Large for UDP");
		return;
	}
	o->ep->upgraded += o->upgraded;
	if (!send_request(o, msg))
		fail_later(o, 500, "Cannot Be Sent");
}

/* One whose time is over would be a surprise by now. */
static bool is_late(const struct sip_outgoing *o)
{
	return loop_now(o->ep->loop) - o->since > (int64_t)LIFETIME_T1 * o->ep->t1_ms;
}

static void admit(struct sip_endpoint *ep, struct turns *w)
{
	struct turns_seat *seat;

	while (!ep->ending && (seat = turns_next(w)) != NULL) {
		struct sip_outgoing *o = seat->owner;
		msg_t *msg = o->parked;

		o->parked = NULL;
		if (!o->giving_up && !is_late(o)) {
			depart(o, msg);
			continue;
		}
		msg_destroy(msg);
		fail_later(o, o->giving_up ? 487 : 503, o->giving_up ? "Request Terminated" : "Pool Is Slow");
	}
}

static void leave_window(struct sip_outgoing *o)
{
	struct turns *w = &o->ep->window[o->pool];

	msg_destroy(o->parked);
	o->parked = NULL;
	turns_leave(w, &o->seat);
	admit(o->ep, w);
}

/* At once, or when its turn comes. Takes the message. */
static void enter_window(struct sip_outgoing *o, msg_t *msg, const char *recipient)
{
	o->seat.owner = o;
	o->since = loop_now(o->ep->loop);
	switch (turns_enter(&o->ep->window[o->pool], &o->seat, recipient,
			    (size_t)o->ep->config->sip.queue_total)) {
	case TURNS_GOES:
		depart(o, msg);
		break;
	case TURNS_WAITS:
		o->parked = msg;
		break;
	case TURNS_FULL:
		msg_destroy(msg);
		fail_later(o, 503, "Too Many Requests Wait");
	}
}

static void launch(struct sip_outgoing *o, const struct sip_send *s, const struct sip_dialog *d)
{
	msg_t *msg = endpoint_build(o->ep, s, d, o->cseq);

	if (msg == NULL) {
		fail_later(o, 400, "Cannot Be Sent by SIP");
		return;
	}
	o->route = d->route_count > 0 ? xstrdup(d->route[0]) : NULL;
	o->repeatable = strcmp(s->method, "MESSAGE") != 0 && strcmp(s->method, "INVITE") != 0 &&
			strcmp(s->method, "INFO") != 0;
	if (strcmp(s->method, "INVITE") == 0)
		o->own = sip_dialog_copy(d);
	enter_window(o, msg, d->remote_uri);
}

struct sip_outgoing *sip_send(struct sip_endpoint *ep, const struct sip_send *s, sip_response_fn *done,
			      void *ctx)
{
	struct sip_outgoing *o = xcalloc(1, sizeof(*o));
	struct sip_dialog *once = NULL;

	o->ep = o->attempt.ep = ep;
	o->done = done;
	o->ctx = ctx;
	o->pool = s->dialog != NULL ? s->dialog->pool : s->pool;
	o->failed_retry_after = -1;
	o->dialog = s->dialog;
	DL_APPEND(ep->sent, o);
	ep->requests++;
	if (s->dialog != NULL) {
		o->cseq = ++s->dialog->local_cseq;
		launch(o, s, s->dialog);
		return o;
	}
	/* One counter for all: it increases for each Call-ID too. */
	o->cseq = ep->cseq = (ep->cseq + 1) & 0x7fffffff;
	once = sip_dialog_create(s->pool, s->from_uri, s->to_uri, s->call_id);
	launch(o, s, once);
	sip_dialog_free(once);
	return o;
}

/* A callback may send again, which fails here, too. */
void endpoint_end_sent(struct sip_endpoint *ep)
{
	while (ep->sent != NULL)
		fail(ep->sent, 503, "Shutting Down");
}
