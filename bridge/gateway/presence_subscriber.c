/*
 * presence_subscriber.c - a contact watches a user of a pool: our SUBSCRIBE there
 * (RFC 6665 section 4.1, RFC 8048 section 5.2), as long as it lives. What NOTIFYs
 * say is presence_notified.c's.
 *
 * A subscription is refreshed well before it ends, at a random moment, so that
 * many of them do not come at once. What the pool says about authorisation
 * (403, 489, 603, "rejected") ends it; everything else is a trouble that passes:
 * it is tried again, ever more seldom, and the contact keeps his subscription.
 * Meanwhile nobody is shown as being there of whom nothing is known any more.
 *
 * Where the user lives is asked of the router each time. When he is no longer
 * ours, the subscription is left alone until he comes back.
 *
 * One that was begun by a probe alone becomes a subscription when the pool says
 * that it is active; it asks nobody for approval, so it does not wait for one.
 * Owns its dialog and its row in the ledger. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXPIRES_MAX = 28800, /* what the gateways of the pools use, too */
	UNDER_WAY_MAX = 200,
	PROBING_MAX = 1000,
	BUSY_MS = 500,
	/* In units of T1: half a minute, half an hour, ten seconds, five, timer N (RFC 6665 section 4.1.2.4). */
	RETRY_MIN_T1 = 60,
	RETRY_MAX_T1 = 3600,
	ANEW_T1 = 20,
	CROSSING_T1 = 10,
	NOTIFY_T1 = 64
};

static void send_subscribe(struct subscriber *s, int64_t expires);

/* What we ask for, in seconds. */
static int64_t lifetime(const struct subscriber *s)
{
	int64_t ours = s->watch->book->gateway->config->presence.expires_ms / 1000;

	return s->least > ours ? s->least : ours;
}

static int64_t times_t1(const struct subscriber *s, int64_t n)
{
	return n * s->watch->book->gateway->t1_ms;
}

/* --- the object --- */

/* A NOTIFY may come before the response, so the key is the one without the pool's tag. */
static void publish(struct subscriber *s)
{
	char key[SIP_DIALOG_KEY_SIZE], *remote_tag = s->dialog->remote_tag;
	struct presence_book *b = s->watch->book;
	bool ok;

	s->dialog->remote_tag = NULL;
	ok = sip_dialog_key(s->dialog, key);
	s->dialog->remote_tag = remote_tag;
	if (!ok)
		return;
	s->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, b->subscribers, s->key, strlen(s->key), s);
}

static void cancel_request(struct subscriber *s)
{
	if (s->request == NULL)
		return;
	sip_outgoing_cancel(s->request);
	s->request = NULL;
	s->watch->book->under_way--;
}

static void drop_dialog(struct subscriber *s)
{
	cancel_request(s);
	if (s->key != NULL)
		HASH_DEL(s->watch->book->subscribers, s);
	free(s->key);
	s->key = NULL;
	sip_dialog_free(s->dialog);
	s->dialog = NULL;
	s->awaited = false;
}

void subscriber_settle(struct subscriber *s)
{
	const char *partner = watch_partner(s->watch);

	if (s->probed)
		shares_give(&s->watch->book->probing, partner, strlen(partner));
	s->probed = false;
}

void subscriber_free(struct subscriber *s)
{
	subscriber_settle(s);
	s->watch->subscriber = NULL;
	drop_dialog(s);
	loop_timer_destroy(s->timer);
	free(s);
}

/* The contact's half is over: the row and its dialog go, and the watch, if nothing else is left of it. */
void subscriber_finish(struct subscriber *s, const char *type)
{
	struct watch *w = s->watch;
	struct subscription next = { .out = w->state.out, .in = SUBSCRIPTION_NONE };

	tell_gone(w);
	if (type != NULL)
		watch_send(w, type);
	store_remove_dialog(w->book, &s->row);
	subscriber_free(s);
	if (watch_step(w, next) == OK)
		watch_check(w);
}

/* The pool has said no; of a user who is not its, it may say so because of that. */
void subscriber_deny(struct subscriber *s)
{
	struct verdict v;

	if (!s->probed && watch_decide(s->watch, &v) == OK && v.route != ROUTE_GATEWAY) {
		subscriber_lose_sight(s);
		subscriber_rest(s);
		return;
	}
	s->watch->book->refused++;
	subscriber_finish(s, "unsubscribed");
}

/* --- waiting --- */

/* From half of it to all of it. */
static int64_t jitter(int64_t ms)
{
	return ms / 2 + (int64_t)arc4random_uniform((uint32_t)(ms / 2 > 0 ? ms / 2 : 1));
}

void subscriber_wait_for_refresh(struct subscriber *s)
{
	int64_t left = s->expires_at - unix_now();

	loop_timer_set(s->timer, jitter(1000 * (left > 1 ? left : 1) * 4 / 5));
}

/* As long as what was last heard may hold, but no longer, the contact is shown it. */
static void set_retry_timer(struct subscriber *s, int64_t ms)
{
	int64_t left = 1000 * (s->expires_at - unix_now()), soon = jitter(times_t1(s, CROSSING_T1));

	/* He has just come to this pool, which may not know him yet, and contacts wait. */
	if (crossing_is_on(s->watch) && soon < ms)
		ms = soon;

	if (s->watch->told.count > 0 && left > 0 && left < ms)
		ms = left;
	loop_timer_set(s->timer, ms);
}

/* From half an hour to an hour. */
void subscriber_rest(struct subscriber *s)
{
	set_retry_timer(s, jitter(2 * times_t1(s, RETRY_MAX_T1)));
}

/* after: seconds that the pool has asked for; -1: none. */
void subscriber_retry_later(struct subscriber *s, int64_t after)
{
	int64_t wait = times_t1(s, RETRY_MIN_T1), max = times_t1(s, RETRY_MAX_T1);

	for (unsigned i = 0; i < s->failures && wait < max; i++)
		wait *= 2;
	s->failures++;
	if (after > max / 1000)
		wait = max;
	else if (1000 * after > wait)
		wait = 1000 * after;
	set_retry_timer(s, jitter(2 * (wait < max ? wait : max)));
}

/* The subscription itself stays. */
static void lose_dialog(struct subscriber *s)
{
	drop_dialog(s);
	store_remove_dialog(s->watch->book, &s->row);
}

/* Nothing is known of the user now. */
void subscriber_lose_sight(struct subscriber *s)
{
	lose_dialog(s);
	s->expires_at = 0;
	tell_lost(s->watch);
}

/* A trouble that passes: what there is stays until its time is over. */
static void try_later(struct subscriber *s, int64_t after)
{
	if (s->expires_at <= unix_now())
		subscriber_lose_sight(s);
	subscriber_retry_later(s, after);
}

/* In another dialog, at once; but not again and again with a pool that ends each of them. */
void subscriber_begin_anew(struct subscriber *s)
{
	bool soon = s->began_ms != 0 &&
		    loop_now(s->watch->book->gateway->loop) - s->began_ms < times_t1(s, ANEW_T1);

	lose_dialog(s);
	if (soon)
		subscriber_retry_later(s, -1);
	else
		send_subscribe(s, lifetime(s));
}

/* --- responses --- */

void subscriber_read_body(struct subscriber *s, const struct presence_body *body)
{
	struct presence_list list = { .count = 0 };
	struct presence_body with = *body;

	with.known = &s->watch->told;
	/* Without a body it is unknown, or closed (RFC 8048 section 5.2.1). */
	if (body->size == 0 || presence_read(&with, &list) == OK)
		tell_heard(s->watch, &list);
	presence_list_clear(&list);
}

static void confirm(struct subscriber *s, const struct sip_response *r)
{
	struct watch *w = s->watch;
	int64_t expires = r->expires > 0 && r->expires <= EXPIRES_MAX ? r->expires : lifetime(s);
	/* COMPAT: some pools put the first state into the response, and send no NOTIFY then. */
	const struct presence_body body = { .type = r->view != NULL ? sip_header(r->view, "Content-Type", 0)
								    : NULL,
					    .bytes = r->body,
					    .size = r->body_size };

	s->expires_at = unix_now() + expires;
	if (w->state.in != SUBSCRIPTION_NONE)
		store_dialog(w, LEDGER_TO_LOCAL, s->dialog, NULL, s->expires_at, &s->row);
	if (r->body_size > 0 && w->state.in == SUBSCRIPTION_ACTIVE) {
		s->awaited = false;
		s->failures = 0;
		subscriber_read_body(s, &body);
	}
	if (s->awaited)
		loop_timer_set(s->timer, times_t1(s, NOTIFY_T1));
	else
		subscriber_wait_for_refresh(s);
}

/* Before anything was approved, whatever will not be better another time ends it, too. */
static bool says_no(const struct subscriber *s, unsigned status)
{
	static const unsigned always[] = { 403, 489, 603 }, at_first[] = { 404, 405, 410, 501, 604 };

	return map_status_is(status, always, ARRAY_SIZE(always)) ||
	       (s->watch->state.in == SUBSCRIPTION_PENDING &&
		map_status_is(status, at_first, ARRAY_SIZE(at_first)));
}

/* RFC 6665 section 4.1.2.2: after these there is no such subscription any more. */
static bool ends_dialog(unsigned status)
{
	static const unsigned ends[] = { 404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 501, 604 };

	return map_status_is(status, ends, ARRAY_SIZE(ends));
}

static void take_failure(struct subscriber *s, const struct sip_response *r)
{
	const char *min = r->view != NULL ? sip_header(r->view, "Min-Expires", 0) : NULL;
	int64_t least = r->status == 423 && min != NULL ? strtoll(min, NULL, 10) : 0;

	if (least > lifetime(s) && least <= EXPIRES_MAX) {
		s->least = least;
		send_subscribe(s, least);
	} else if (s->probed) {
		subscriber_finish(s, NULL);
	} else if (r->status == 481 && s->dialog->remote_tag != NULL) {
		subscriber_begin_anew(s);
	} else {
		if (ends_dialog(r->status))
			subscriber_lose_sight(s);
		try_later(s, r->retry_after);
	}
}

/* Expires: 0 has its answer, whatever it is; the last NOTIFY may be still to come (RFC 6665 section 4.1.2.3). */
static void take_farewell(struct subscriber *s, const struct sip_response *r)
{
	if (s->farewell)
		watch_send(s->watch, "unsubscribed");
	s->farewell = false;
	if (r->status / 100 != 2 || s->last_heard)
		subscriber_finish(s, NULL);
	else
		loop_timer_set(s->timer, times_t1(s, NOTIFY_T1));
}

/* Of a place that the user may have left since: its refusal is not the last word. May free it. */
static void ask_again(struct subscriber *s, const struct sip_response *r)
{
	if (r->status / 100 == 2)
		confirm(s, r);
	send_subscribe(s, lifetime(s));
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct subscriber *s = ctx;
	struct watch *w = s->watch;

	s->request = NULL;
	s->awaited = s->awaited && r->status / 100 == 2;
	w->book->under_way--;
	log_event(r->status / 100 == 2 ? LOG_DEBUG : LOG_INFO, "subscribe-answered", NULL,
		  "pair=%s status=%u phrase=%s", log_value(w->key), r->status, log_value(r->phrase));
	if (w->book->gateway->stopped)
		return;
	if (s->ending && w->state.in == SUBSCRIPTION_NONE) {
		take_farewell(s, r);
	} else if (s->ending) { /* he has asked again meanwhile */
		s->ending = false;
		lose_dialog(s);
		send_subscribe(s, lifetime(s));
	} else if (s->again) {
		ask_again(s, r);
	} else if (r->status / 100 == 2) {
		confirm(s, r);
	} else if (says_no(s, r->status)) {
		subscriber_deny(s);
	} else {
		take_failure(s, r);
	}
}

/* --- requests --- */

static struct sip_dialog *new_dialog(const struct watch *w, enum pool pool)
{
	char from[SIP_URI_SIZE], to[SIP_URI_SIZE];
	struct jid local, contact;

	if (!watch_jids(w, &local, &contact) || map_jid_to_sip_uri(&contact, from) != OK ||
	    map_jid_to_sip_uri(&local, to) != OK)
		return NULL;
	return sip_dialog_create(pool, from, to, NULL);
}

/* The pool need not tell us any more either. */
static void end_sight(struct subscriber *s)
{
	parting_begin(s->watch->book, s->dialog);
	subscriber_lose_sight(s);
}

/*
 * The user is not ours now. Who takes him over tells the contact what is true;
 * where nobody does, what was told is taken back.
 */
static void stand_by(struct subscriber *s, const struct verdict *v)
{
	log_event(LOG_INFO, "subscription-resting", NULL, "pair=%s route=%s row=%u", log_value(s->watch->key),
		  route_name(v->route), v->row);
	s->failures = 0;
	if (v->route == ROUTE_HOLD) {
		try_later(s, -1);
		return;
	}
	if (v->route == ROUTE_LEGACY)
		watch_look(s->watch); /* which ends the dialog, too */
	else
		end_sight(s);
	subscriber_rest(s);
}

/* The old one's NOTIFYs get 481; what it has shown stands until the new one is heard. */
static void change_pool(struct subscriber *s)
{
	parting_begin(s->watch->book, s->dialog);
	lose_dialog(s);
	if (s->watch->state.in == SUBSCRIPTION_ACTIVE)
		crossing_begin(s->watch);
}

/* Where the user lives, and a dialog there. */
static bool prepare(struct subscriber *s)
{
	struct verdict v;

	if (watch_decide(s->watch, &v) != OK) {
		try_later(s, -1);
		return false;
	}
	if (v.route != ROUTE_GATEWAY) {
		if (s->probed)
			subscriber_finish(s, NULL);
		else
			stand_by(s, &v);
		return false;
	}
	if (s->dialog != NULL && s->dialog->pool != v.pool)
		change_pool(s);
	if (s->dialog == NULL) {
		s->dialog = new_dialog(s->watch, v.pool);
		if (s->dialog == NULL) {
			subscriber_finish(s, "unsubscribed"); /* an address that SIP cannot carry */
			return false;
		}
		s->began_ms = loop_now(s->watch->book->gateway->loop);
		publish(s);
	}
	return true;
}

static void send_subscribe(struct subscriber *s, int64_t expires)
{
	struct presence_book *b = s->watch->book;
	char line[48];
	const char *headers[] = { "Event: presence", "Accept: " PRESENCE_ACCEPT, line };
	struct sip_send send = { .method = "SUBSCRIBE",
				 .headers = headers,
				 .header_count = ARRAY_SIZE(headers) };

	s->awaited = s->again = false;
	if (b->under_way >= UNDER_WAY_MAX && expires > 0) {
		loop_timer_set(s->timer, BUSY_MS + (int64_t)arc4random_uniform(BUSY_MS));
		return;
	}
	if (expires > 0 && !prepare(s))
		return;
	snprintf(line, sizeof(line), "Expires: %lld", (long long)expires);
	send.pool = s->dialog->pool;
	send.dialog = s->dialog;
	s->awaited = expires > 0;
	b->under_way++;
	loop_timer_cancel(s->timer);
	s->request = sip_send(b->gateway->endpoint, &send, on_response, s);
}

/* It was answered 200, and no NOTIFY came. */
static void take_silence(struct subscriber *s)
{
	bool first = s->began_ms != 0 &&
		     loop_now(s->watch->book->gateway->loop) - s->began_ms < times_t1(s, NOTIFY_T1 + ANEW_T1);

	log_event(LOG_INFO, "subscription-silent", NULL, "pair=%s", log_value(s->watch->key));
	if (s->probed) {
		subscriber_finish(s, NULL);
	} else if (first) {
		subscriber_lose_sight(s);
		subscriber_retry_later(s, -1);
	} else {
		subscriber_begin_anew(s);
	}
}

static void on_timer(void *ctx)
{
	struct subscriber *s = ctx;

	if (s->request != NULL || s->watch->book->gateway->stopped)
		return;
	if (s->ending)
		subscriber_finish(s, NULL);
	else if (s->awaited)
		take_silence(s);
	else
		send_subscribe(s, lifetime(s));
}

static struct subscriber *create(struct watch *w)
{
	struct subscriber *s = xcalloc(1, sizeof(*s));

	s->watch = w;
	s->timer = loop_timer_create(w->book->gateway->loop, on_timer, s);
	w->subscriber = s;
	return s;
}

void subscriber_start(struct watch *w, bool probed)
{
	const char *partner = watch_partner(w);
	struct subscriber *s;

	if (probed && !shares_take(&w->book->probing, partner, strlen(partner), PROBING_MAX))
		return;
	s = create(w);
	s->probed = probed;
	send_subscribe(s, lifetime(s));
}

void subscriber_resume(struct watch *w, struct sip_dialog *dialog, int64_t row, int64_t expires_at,
		       int64_t delay_ms)
{
	struct subscriber *s = create(w);

	s->dialog = dialog;
	s->row = row;
	s->expires_at = expires_at;
	if (dialog != NULL)
		publish(s);
	loop_timer_set(s->timer, delay_ms);
}

void subscriber_asked(struct subscriber *s)
{
	subscriber_settle(s);
	if (!s->ending || s->request != NULL)
		return;
	s->ending = false;
	lose_dialog(s);
	send_subscribe(s, lifetime(s));
}

void subscriber_end(struct subscriber *s, bool said)
{
	if (s->ending)
		return;
	subscriber_settle(s);
	tell_gone(s->watch);
	if (s->dialog == NULL || s->dialog->remote_tag == NULL) {
		subscriber_finish(s, said ? "unsubscribed" : NULL);
		return;
	}
	cancel_request(s); /* a refresh: this comes after it */
	s->ending = true;
	s->farewell = said;
	s->last_heard = false;
	send_subscribe(s, 0);
}

void subscriber_refresh(struct subscriber *s)
{
	s->again = s->request != NULL;
	if (s->again)
		return;
	s->awaited = false; /* or the timer would take it for silence */
	loop_timer_set(s->timer, 0);
}

void subscriber_leave(struct subscriber *s)
{
	struct presence_book *b = s->watch->book;

	parting_begin(b, s->dialog);
	store_remove_dialog(b, &s->row);
	subscriber_free(s);
}
