/*
 * presence_subscriber.c - a contact watches a user of a pool: our SUBSCRIBE there
 * (RFC 6665 section 4.1), and what its NOTIFYs mean for the contact (RFC 8048
 * section 5.2).
 *
 * A subscription is refreshed well before it ends, at a random moment, so that
 * many of them do not come at once. What the pool says about authorisation
 * (403, 489, 603, "rejected") ends it; everything else is a trouble that passes:
 * it is tried again, ever more seldom, and the contact keeps his subscription.
 * Meanwhile nobody is shown as being there of whom nothing is known any more.
 *
 * A subscription begun by a probe alone has no right to deny: nobody has asked.
 * Owns its dialog and its row in the ledger. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXPIRES_MAX = 28800, /* what the gateways of the pools use, too */
	UNDER_WAY_MAX = 200,
	BUSY_MS = 500,
	RETRY_MIN_S = 30,
	RETRY_MAX_S = 3600,
	NOTIFY_MS = 32 * 1000 /* timer N (RFC 6665 section 4.1.2.4) */
};

static void send_subscribe(struct subscriber *s, int64_t expires);

/* What we ask for, in seconds. */
static int64_t lifetime(const struct presence_book *b)
{
	return b->gateway->config->presence.expires_ms / 1000;
}

/* --- what the contact is told --- */

static void tell_one(struct watch *w, const struct presence *p)
{
	char local[JID_BARE_SIZE], from[JID_BARE_SIZE + 1 + JID_PART_MAX];
	struct presence_stanza how = { .from = from, .to = watch_contact(w), .no_status = w->no_status };
	struct stanza *stanza;

	watch_local(w, local);
	snprintf(from, sizeof(from), "%s%s%s", local, p->resource != NULL ? "/" : "",
		 p->resource != NULL ? p->resource : "");
	if (presence_to_stanza(p, &how, &stanza) != OK)
		return;
	w->book->notices++;
	gateway_submit(w->book->gateway, stanza);
	stanza_unref(stanza);
}

/* First what is there, then what is no more: the contact sees no gap. */
static void tell_changes(struct watch *w, const struct presence_list *now)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct presence *p = &now->items[i], *old = presence_list_find(&w->told, p->resource);

		if (p->available && (w->untold || old == NULL || !presence_equal(old, p)))
			tell_one(w, p);
	}
	for (size_t i = 0; i < w->told.count; i++) {
		const struct presence *p = presence_list_find(now, w->told.items[i].resource);
		struct presence gone = { .resource = w->told.items[i].resource };

		if (w->told.items[i].available && (p == NULL || !p->available))
			tell_one(w, &gone);
	}
	w->untold = false;
}

static void tell(struct watch *w, const struct presence_list *now)
{
	if (!w->untold && presence_list_equal(&w->told, now))
		return;
	tell_changes(w, now);
	presence_list_clear(&w->told);
	presence_list_copy(now, &w->told);
	store_told(w);
}

void subscriber_tell(struct watch *w)
{
	static const struct presence nobody = { .available = false };

	if (w->told.count == 0)
		tell_one(w, &nobody);
	w->untold = true;
	tell_changes(w, &w->told);
}

static void tell_gone(struct watch *w)
{
	const struct presence_list nobody = { .count = 0 };

	w->untold = false;
	tell(w, &nobody);
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

static void drop_dialog(struct subscriber *s)
{
	if (s->request != NULL) {
		sip_outgoing_cancel(s->request);
		s->watch->book->under_way--;
	}
	s->request = NULL;
	if (s->key != NULL)
		HASH_DEL(s->watch->book->subscribers, s);
	free(s->key);
	s->key = NULL;
	sip_dialog_free(s->dialog);
	s->dialog = NULL;
}

void subscriber_free(struct subscriber *s)
{
	s->watch->subscriber = NULL;
	drop_dialog(s);
	loop_timer_destroy(s->timer);
	free(s);
}

/* The contact's half is over: the row and its dialog go, and the watch, if nothing else is left of it. */
static void end(struct subscriber *s, const char *type)
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

/* The pool has said no; only who has asked is told. */
static void deny(struct subscriber *s)
{
	s->watch->book->refused++;
	end(s, s->probed ? NULL : "unsubscribed");
}

static int64_t jitter(int64_t ms)
{
	return ms / 2 + (int64_t)arc4random_uniform((uint32_t)(ms / 2 > 0 ? ms / 2 : 1));
}

static void retry_later(struct subscriber *s, int64_t seconds)
{
	int64_t wait = RETRY_MIN_S;

	for (unsigned i = 0; i < s->failures && wait < RETRY_MAX_S; i++)
		wait *= 2;
	s->failures++;
	if (seconds > wait)
		wait = seconds;
	if (wait > RETRY_MAX_S)
		wait = RETRY_MAX_S;
	loop_timer_set(s->timer, jitter(2000 * wait));
}

/* Nothing is known of the user now; the subscription itself stays. */
static void lose_dialog(struct subscriber *s)
{
	drop_dialog(s);
	store_remove_dialog(s->watch->book, &s->row);
}

/* --- responses --- */

static void read_body(struct subscriber *s, const struct presence_body *body)
{
	struct presence_list list = { .count = 0 };
	struct presence_body with = *body;

	with.known = &s->watch->told;
	if (presence_read(&with, &list) == OK)
		tell(s->watch, &list);
	presence_list_clear(&list);
}

static void confirm(struct subscriber *s, const struct sip_response *r)
{
	struct watch *w = s->watch;
	int64_t expires = r->expires > 0 && r->expires <= EXPIRES_MAX ? r->expires : lifetime(w->book);
	/* Some pools put the first state into the response. */
	const struct presence_body body = { .type = r->view != NULL ? sip_header(r->view, "Content-Type", 0)
								    : NULL,
					    .bytes = r->body,
					    .size = r->body_size };

	s->failures = 0;
	s->expires_at = unix_now() + expires;
	if (w->state.in != SUBSCRIPTION_NONE)
		store_dialog(w, LEDGER_TO_LOCAL, s->dialog, NULL, s->expires_at, &s->row);
	loop_timer_set(s->timer, jitter(1000 * expires * 4 / 5));
	if (r->body_size > 0 && w->state.in == SUBSCRIPTION_ACTIVE)
		read_body(s, &body);
}

/* Before anything was approved, whatever will not be better another time ends it, too. */
static bool says_no(const struct subscriber *s, unsigned status)
{
	static const unsigned never[] = { 404, 405, 410, 501, 604 };

	if (status == 403 || status == 489 || status == 603)
		return true;
	for (size_t i = 0; s->watch->state.in == SUBSCRIPTION_PENDING && i < ARRAY_SIZE(never); i++)
		if (status == never[i])
			return true;
	return false;
}

/* Another dialog, at once: this one is not known, or its time was too short (RFC 6665 sections 4.1.2.2, 4.1.2.3). */
static bool says_anew(const struct subscriber *s, unsigned status)
{
	return status == 481 && s->dialog != NULL && s->dialog->remote_tag != NULL;
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct subscriber *s = ctx;
	struct watch *w = s->watch;
	const char *min = r->view != NULL ? sip_header(r->view, "Min-Expires", 0) : NULL;

	s->request = NULL;
	w->book->under_way--;
	log_event(r->status / 100 == 2 ? LOG_DEBUG : LOG_INFO, "subscribe-answered", NULL,
		  "pair=%s status=%u phrase=%s", log_value(w->key), r->status, log_value(r->phrase));
	if (w->state.in == SUBSCRIPTION_NONE && !s->probed) {
		end(s, "unsubscribed"); /* Expires: 0 has its answer, whatever it is */
	} else if (r->status / 100 == 2) {
		confirm(s, r);
	} else if (says_no(s, r->status)) {
		deny(s);
	} else if (says_anew(s, r->status)) {
		lose_dialog(s);
		send_subscribe(s, lifetime(w->book));
	} else if (r->status == 423 && min != NULL && s->failures == 0 &&
		   strtoll(min, NULL, 10) <= EXPIRES_MAX) {
		s->failures++;
		send_subscribe(s, strtoll(min, NULL, 10));
	} else {
		if (s->expires_at <= unix_now() || r->status == 404 || r->status == 410 || r->status == 604) {
			lose_dialog(s);
			tell_gone(w);
		}
		retry_later(s, r->retry_after);
	}
}

/* --- requests --- */

static char *uri_of(const struct jid *jid)
{
	struct sip_address address;
	char uri[SIP_URI_SIZE];

	return map_jid_to_sip(jid, &address) == OK && sip_address_format(&address, uri) == OK ? xstrdup(uri)
											      : NULL;
}

static struct sip_dialog *new_dialog(const struct watch *w, enum pool pool)
{
	struct jid local, contact;
	char *from = NULL, *to = NULL;
	struct sip_dialog *dialog = NULL;

	if (watch_jids(w, &local, &contact)) {
		from = uri_of(&contact);
		to = uri_of(&local);
	}
	if (from != NULL && to != NULL)
		dialog = sip_dialog_create(pool, from, to, NULL);
	free(from);
	free(to);
	return dialog;
}

static void send_subscribe(struct subscriber *s, int64_t expires)
{
	struct presence_book *b = s->watch->book;
	char line[48];
	const char *headers[] = { "Event: presence", "Accept: " PRESENCE_ACCEPT, line };
	struct sip_send send = { .method = "SUBSCRIBE",
				 .headers = headers,
				 .header_count = ARRAY_SIZE(headers) };

	if (s->dialog == NULL) {
		s->dialog = new_dialog(s->watch, s->pool);
		if (s->dialog == NULL) {
			retry_later(s, RETRY_MAX_S);
			return;
		}
		publish(s);
	}
	if (b->under_way >= UNDER_WAY_MAX && expires > 0) {
		loop_timer_set(s->timer, BUSY_MS + (int64_t)arc4random_uniform(BUSY_MS));
		return;
	}
	snprintf(line, sizeof(line), "Expires: %lld", (long long)expires);
	send.pool = s->dialog->pool;
	send.dialog = s->dialog;
	b->under_way++;
	loop_timer_cancel(s->timer);
	s->request = sip_send(b->gateway->endpoint, &send, on_response, s);
}

static void on_timer(void *ctx)
{
	struct subscriber *s = ctx;

	if (s->request == NULL && !s->watch->book->gateway->stopped)
		send_subscribe(s, lifetime(s->watch->book));
}

static struct subscriber *create(struct watch *w, enum pool pool)
{
	struct subscriber *s = xcalloc(1, sizeof(*s));

	s->watch = w;
	s->pool = pool;
	s->timer = loop_timer_create(w->book->gateway->loop, on_timer, s);
	w->subscriber = s;
	return s;
}

void subscriber_start(struct watch *w, enum pool pool, bool probed)
{
	struct subscriber *s = create(w, pool);

	s->probed = probed;
	send_subscribe(s, lifetime(w->book));
}

void subscriber_resume(struct watch *w, struct sip_dialog *dialog, int64_t row, int64_t expires_at,
		       int64_t delay_ms)
{
	struct subscriber *s;

	if (w->subscriber != NULL) {
		sip_dialog_free(dialog);
		return;
	}
	s = create(w, dialog != NULL ? dialog->pool : POOL_NEW);
	s->dialog = dialog;
	s->row = row;
	s->expires_at = expires_at;
	if (dialog != NULL)
		publish(s);
	loop_timer_set(s->timer, delay_ms);
}

void subscriber_end(struct watch *w)
{
	struct subscriber *s = w->subscriber;

	if (s == NULL)
		return;
	s->probed = false;
	tell_gone(w);
	if (s->dialog == NULL || s->dialog->remote_tag == NULL) {
		end(s, "unsubscribed");
		return;
	}
	if (s->request != NULL) { /* a refresh: this comes after it */
		sip_outgoing_cancel(s->request);
		w->book->under_way--;
		s->request = NULL;
	}
	send_subscribe(s, 0);
}

/* --- NOTIFY --- */

/* RFC 6665 section 4.1.3: why it has ended says what to do. */
static void terminated(struct subscriber *s, const struct sip_request *r)
{
	const char *reason = r->reason != NULL ? r->reason : "";

	if (strcmp(reason, "rejected") == 0) {
		deny(s);
		return;
	}
	lose_dialog(s);
	if (strcmp(reason, "deactivated") == 0 || strcmp(reason, "timeout") == 0) {
		send_subscribe(s, lifetime(s->watch->book));
	} else {
		tell_gone(s->watch);
		retry_later(s, r->retry_after);
	}
}

static void activate(struct subscriber *s)
{
	struct watch *w = s->watch;
	struct subscription next = { .out = w->state.out, .in = SUBSCRIPTION_ACTIVE };

	if (w->state.in == SUBSCRIPTION_ACTIVE)
		return;
	if (watch_step(w, next) != OK)
		return; /* the next NOTIFY or refresh tries again */
	if (!s->probed)
		watch_send(w, "subscribed");
	s->probed = false;
	w->untold = true;
	store_dialog(w, LEDGER_TO_LOCAL, s->dialog, NULL, s->expires_at, &s->row);
}

void subscriber_take_notify(struct subscriber *s, const struct sip_request *r)
{
	const char *state = r->subscription_state;
	const struct presence_body body = { .type = sip_header(r->view, "Content-Type", 0),
					    .language = r->content_language,
					    .bytes = r->body,
					    .size = r->body_size };

	if (r->event == NULL || strcmp(r->event, "presence") != 0) {
		sip_answer(r->transaction, 489, NULL, "Allow-Events: presence");
		return;
	}
	if (!sip_dialog_take(s->dialog, r)) {
		sip_answer(r->transaction, 500, "CSeq Out of Order", NULL);
		return;
	}
	s->watch->book->notified++;
	sip_answer(r->transaction, 200, NULL, NULL);
	if (s->watch->state.in == SUBSCRIPTION_NONE && !s->probed)
		return; /* it is being ended */
	if (state != NULL && strcmp(state, "terminated") == 0) {
		terminated(s, r);
	} else if (state == NULL || strcmp(state, "active") == 0) {
		activate(s);
		read_body(s, &body);
	}
}
