/*
 * relay.c - the relay's transactions: a request forwarded, its responses sent
 * back, CANCEL, and what happens when nobody answers (RFC 3261 sections 16.7 to
 * 16.10).
 *
 * Two transactions of sofia-sip's, the server's and the client's, make one
 * struct relayed. It ends with the final response; after a 2xx to INVITE it
 * stays for 64*T1 to pass the 2xx on when it is repeated, to the same place and
 * nowhere else (RFC 6026's "accepted"; a response without a transaction is not
 * forwarded). Provisional responses but 100 and final ones pass unchanged,
 * except 503, which would speak for us: it becomes 500 (section 16.7 step 6).
 * Silence is 408 for INVITE; other requests get nothing, for their sender has
 * given up as well (RFC 4320 section 4.2).
 *
 * sofia-sip's own timer C and CANCEL end a client transaction over TCP without
 * a word, so both are done here.
 *
 * Owns both transactions until the end. Nothing is fatal.
 */
#include "bridge/sip/relay_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sofia-sip/sip_util.h>

#include "bridge/core/log.h"

enum {
	TIMER_C = 362,  /* times T1: more than three minutes (section 16.6 step 11) */
	TIMER_END = 64, /* times T1 */
};

struct relayed {
	struct sip_relay *relay;
	nta_incoming_t *irq;
	struct endpoint_attempt attempt; /* ended once a 2xx has answered the INVITE */
	struct relay_way way;
	bool invite;
	bool repeatable;
	bool heard;     /* a provisional response has come: CANCEL may follow */
	bool cancelled; /* by its sender, or by timer C */
	bool cancel_sent, accepted;
	struct loop_timer *timer; /* INVITE: timer C; then the end of what was cancelled, or accepted */
	struct relayed *prev, *next;
	UT_hash_handle hh;
};

/* --- the end --- */

static void end(struct relayed *t)
{
	struct sip_relay *r = t->relay;

	if (t->accepted)
		HASH_DEL(r->accepted, t);
	DL_DELETE(r->under_way, t);
	r->count--;
	r->to[t->way.to]--;
	loop_timer_destroy(t->timer);
	attempt_end(&t->attempt);
	nta_incoming_destroy(t->irq);
	free(t);
}

static void answer(struct relayed *t, int status, const char *phrase)
{
	nta_incoming_treply(t->irq, status, phrase, TAG_END());
	end(t);
}

/* --- CANCEL (sections 9.1 and 16.10) --- */

static void send_cancel(struct relayed *t)
{
	struct sip_relay *r = t->relay;
	msg_t *msg;

	if (!t->heard || t->cancel_sent)
		return;
	t->cancel_sent = true;
	loop_timer_set(t->timer, (int64_t)TIMER_END * r->ep->t1_ms);
	msg = relay_make_cancel(r, t->attempt.orq);
	if (msg != NULL &&
	    nta_outgoing_mcreate(r->ep->agent, NULL, NULL, URL_STRING_MAKE(t->attempt.target.uri), msg,
				 NTATAG_BRANCH_KEY(t->attempt.branch), TAG_END()) == NULL)
		msg_destroy(msg);
}

static void cancel(struct relayed *t)
{
	if (t->accepted || t->cancelled)
		return;
	t->cancelled = true;
	send_cancel(t);
}

/* Timer C; or, cancelled, it has not ended all the same; or the time for repeated 2xx is over. */
static void on_timer(void *ctx)
{
	struct relayed *t = ctx;

	if (t->accepted)
		end(t);
	else if (t->cancel_sent || !t->heard)
		answer(t, SIP_408_REQUEST_TIMEOUT);
	else
		cancel(t);
}

/* CANCEL has been answered by sofia-sip; sip is NULL when an ACK has not come. */
static int on_incoming(void *ctx, nta_incoming_t *irq, const sip_t *sip)
{
	(void)irq;
	if (sip != NULL && sip->sip_request != NULL && sip->sip_request->rq_method == sip_method_cancel)
		cancel(ctx);
	return 0;
}

/* --- responses (section 16.7) --- */

static int on_response(void *ctx, nta_outgoing_t *orq, const sip_t *sip);

static void aim(struct relayed *t, const struct relay_onward *onward)
{
	t->attempt.target = onward->target;
	memcpy(t->attempt.branch, onward->branch, sizeof(onward->branch));
}

/* Takes the message. */
static bool send_request(struct relayed *t, msg_t *msg)
{
	return attempt_send(&t->attempt, msg, on_response, t, true);
}

/* Another next hop may get it: this one has certainly not taken it, or twice is as good as once. */
static bool may_go_elsewhere(const struct relayed *t, int status, bool own_word)
{
	if (t->heard || t->cancelled)
		return false;
	/* Only for an INVITE is there time left after silence. */
	if (status == 408)
		return t->invite;
	return t->repeatable || !(own_word && attempt_may_have_arrived(&t->attempt));
}

/*
 * Nothing was heard from this next hop, or only that it is too busy: another
 * gets the request, with a branch of its own (section 16.7 step 6; RFC 3263
 * section 4.3).
 */
static bool send_elsewhere(struct relayed *t, int status, bool own_word)
{
	struct relay_onward onward;
	struct relay_refusal refused;
	msg_t *received;

	if (!may_go_elsewhere(t, status, own_word))
		return false;
	received = nta_incoming_getrequest(t->irq);
	refused = relay_make_onward(t->relay, received, &t->way, &t->attempt.target, &onward);
	msg_destroy(received);
	if (refused.status != 0)
		return false;
	t->relay->elsewhere++;
	attempt_renew(&t->attempt);
	aim(t, &onward);
	return send_request(t, onward.msg);
}

/* Takes msg, whose topmost Via is ours. False: it is none that can be sent (section 16.7 step 3). */
static bool send_back(struct relayed *t, msg_t *msg)
{
	sip_t *sip = sip_object(msg);

	sip_via_remove(msg, sip);
	if (sip->sip_via == NULL || !relay_is_clean(msg)) {
		msg_destroy(msg);
		return false;
	}
	nta_incoming_mreply(t->irq, msg);
	return true;
}

static void on_provisional(struct relayed *t, int status)
{
	t->heard = true;
	if (status > 100)
		send_back(t, nta_outgoing_getresponse(t->attempt.orq));
	if (t->cancelled)
		send_cancel(t);
	else if (t->invite && status > 100)
		loop_timer_set(t->timer, (int64_t)TIMER_C * t->relay->ep->t1_ms);
}

/* From now on each 2xx comes to relay_take_response(). */
static void accept_invite(struct relayed *t)
{
	attempt_end(&t->attempt);
	t->accepted = true;
	HASH_ADD_STR(t->relay->accepted, attempt.branch, t);
	loop_timer_set(t->timer, (int64_t)TIMER_END * t->relay->ep->t1_ms);
}

/*
 * Nobody has answered: what that means for the sender. Section 16.9: as if 503 had been received; but of
 * what may have arrived that is not said.
 */
static void on_silence(struct relayed *t, int status)
{
	const bool lost = !t->repeatable && attempt_may_have_arrived(&t->attempt);

	if (status == 503) {
		t->relay->unreachable++;
		answer(t, lost ? 504 : 500, lost ? "Connection Lost" : "Next Hop Unreachable");
	} else {
		t->relay->silent++;
		attempt_abort_connection(&t->attempt);
		answer(t, SIP_408_REQUEST_TIMEOUT);
	}
}

static void on_final(struct relayed *t, nta_outgoing_t *orq, int status)
{
	if (status == 503) {
		t->relay->unreachable++;
		answer(t, 500, "Next Hop Unavailable");
		return;
	}
	if (!send_back(t, nta_outgoing_getresponse(orq)))
		answer(t, SIP_502_BAD_GATEWAY);
	else if (t->invite && status < 300)
		accept_invite(t);
	else
		end(t);
}

static int on_response(void *ctx, nta_outgoing_t *orq, const sip_t *sip)
{
	struct relayed *t = ctx;
	int status = nta_outgoing_status(orq);
	bool silent = sip == NULL || nta_sip_is_internal(sip);

	if (status < 200) {
		on_provisional(t, status);
		return 0;
	}
	if (silent && status == 503 && !t->heard && attempt_again(&t->attempt, on_response, t))
		return 0;
	endpoint_report(t->relay->ep, &t->attempt.target, status, silent ? NULL : sip);
	if ((silent || status == 503) && send_elsewhere(t, status, silent))
		return 0;
	if (silent)
		on_silence(t, status);
	else
		on_final(t, orq, status);
	return 0;
}

bool relay_take_response(struct sip_relay *r, msg_t *msg, sip_t *sip)
{
	struct relayed *t = NULL;

	if (sip->sip_via == NULL || sip->sip_via->v_branch == NULL ||
	    sip->sip_cseq->cs_method != sip_method_invite || sip->sip_status->st_status / 100 != 2)
		return false;
	HASH_FIND_STR(r->accepted, sip->sip_via->v_branch, t);
	if (t == NULL)
		return false;
	send_back(t, msg);
	return true;
}

/* --- requests --- */

static void refuse(struct sip_relay *r, nta_incoming_t *irq, const sip_t *sip,
		   const struct relay_refusal *refused)
{
	r->refused++;
	log_event(LOG_NOTICE, "relay-refused", NULL, "method=%s status=%u phrase=%s",
		  log_value(sip->sip_request->rq_method_name), refused->status, log_value(refused->phrase));
	endpoint_refuse(irq, refused->status, refused->phrase,
			refused->header[0] != '\0' ? refused->header : NULL);
}

/* A silent pool has as much as it leaves for the other one. */
static bool is_full(const struct sip_relay *r, enum pool to)
{
	return r->stopped ||
	       r->count + r->to[to] + r->ep->waiting_count >= (size_t)r->ep->config->sip.queue_total;
}

/* A text, or a call, twice is one too many. */
static bool may_be_repeated(sip_method_t method)
{
	return method != sip_method_message && method != sip_method_invite && method != sip_method_info;
}

static void forward(struct sip_relay *r, nta_incoming_t *irq, const sip_t *sip, const struct relay_way *way,
		    const struct relay_onward *onward)
{
	struct relayed *t = xcalloc(1, sizeof(*t));

	t->relay = r;
	t->irq = irq;
	t->way = *way;
	t->attempt.ep = r->ep;
	aim(t, onward);
	t->invite = sip->sip_request->rq_method == sip_method_invite;
	t->repeatable = may_be_repeated(sip->sip_request->rq_method);
	t->timer = loop_timer_create(r->ep->loop, on_timer, t);
	DL_APPEND(r->under_way, t);
	r->count++;
	r->to[way->to]++;
	r->requests++;
	nta_incoming_bind(irq, on_incoming, t);
	if (t->invite) {
		nta_incoming_treply(irq, SIP_100_TRYING, TAG_END()); /* section 16.2 */
		loop_timer_set(t->timer, (int64_t)TIMER_C * r->ep->t1_ms);
	}
	if (!send_request(t, onward->msg))
		answer(t, SIP_500_INTERNAL_SERVER_ERROR);
}

void relay_start(struct sip_relay *r, nta_incoming_t *irq, struct relay_way *way)
{
	msg_t *received = nta_incoming_getrequest(irq);
	const sip_t *sip = sip_object(received);
	struct relay_refusal refused = { SIP_503_SERVICE_UNAVAILABLE, "Retry-After: 5" };
	struct relay_onward onward;

	way->near = relay_listener_of(r, irq);
	if (!is_full(r, way->to))
		refused = relay_make_onward(r, received, way, NULL, &onward);
	if (refused.status != 0)
		refuse(r, irq, sip, &refused);
	else
		forward(r, irq, sip, way, &onward);
	msg_destroy(received);
}

void relay_pass(struct sip_relay *r, msg_t *msg, const struct relay_way *way)
{
	struct relay_onward onward;
	struct relay_refusal refused = relay_make_onward(r, msg, way, NULL, &onward);

	if (refused.status == 0) {
		r->acks++;
		nta_msg_tsend(r->ep->agent, onward.msg, URL_STRING_MAKE(onward.target.uri),
			      NTATAG_BRANCH_KEY(onward.branch), TAG_END());
	} else {
		r->refused++;
	}
	nta_msg_discard(r->ep->agent, msg);
}

void sip_relay_forward(struct sip_relay *r, const struct sip_request *request, enum pool to)
{
	const sip_t *sip = request->view->sip;
	const char *tag = sip->sip_from->a_tag;
	nta_incoming_t *irq = endpoint_take_transaction(request->transaction);
	const enum pool other = to == POOL_NEW ? POOL_LEGACY : POOL_NEW;
	const enum pool from = request->pool >= 0 ? (enum pool)request->pool : other;
	struct relay_way way = { .to = to };

	if (irq == NULL)
		return;
	relay_mark_make(&r->key, sip->sip_call_id->i_id, tag != NULL ? tag : "", from, to, way.mark);
	relay_start(r, irq, &way);
}

/* --- the object --- */

struct sip_relay *sip_relay_create(struct sip_endpoint *ep)
{
	struct sip_relay *r = xcalloc(1, sizeof(*r));

	r->ep = ep;
	relay_key_make(ep->config->dialback.secret, &r->key);
	ep->relay = (struct endpoint_relay){
		.on_request = relay_on_request,
		.on_response = relay_on_response,
		.ctx = r,
	};
	return r;
}

void sip_relay_stop(struct sip_relay *r)
{
	r->stopped = true;
}

void sip_relay_destroy(struct sip_relay *r)
{
	struct relayed *t, *next;

	if (r == NULL)
		return;
	DL_FOREACH_SAFE (r->under_way, t, next) {
		if (t->accepted)
			end(t);
		else
			answer(t, SIP_503_SERVICE_UNAVAILABLE);
	}
	r->ep->relay = (struct endpoint_relay){ .ctx = NULL };
	free(r);
}

json_t *sip_relay_status(const struct sip_relay *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "under_way", (json_int_t)r->count,
			 "requests", (json_int_t)r->requests, "acks", (json_int_t)r->acks, "refused",
			 (json_int_t)r->refused, "loops", (json_int_t)r->loops, "silent",
			 (json_int_t)r->silent, "unreachable", (json_int_t)r->unreachable, "elsewhere",
			 (json_int_t)r->elsewhere);
}
