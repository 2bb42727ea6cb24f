/*
 * presence_notifier.c - a user of a pool watches a contact: the SUBSCRIBEs of his
 * endpoints, and our NOTIFYs (RFC 6665 section 4.2, RFC 8048 section 5.3).
 *
 * The first of them asks the contact ("subscribe"); approval is kept in the
 * ledger and outlives every dialog, so that an endpoint that comes back sees the
 * contact at once and nobody is asked again. An endpoint that ends its
 * subscription has only gone: the contact's approval stays (RFC 8048 section
 * 5.3.3 would also tell him "unavailable", which here would contradict what he
 * sees of the user by his own subscription).
 *
 * One NOTIFY is under way for each dialog; what changes meanwhile goes with the
 * next. One that asks only once (Expires: 0) waits a little for the answer to a
 * probe, when nothing is known. Each owns its dialog and its row in the ledger.
 * Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

enum {
	EXPIRES_DEFAULT = 3600,
	EXPIRES_MIN = 60,
	EXPIRES_MAX = 28800,
	NOTIFIERS_MAX = 16,
	LOOKS_MAX = 1000, /* in all */
	/* In units of T1: five seconds, five minutes, three seconds, a tenth of one. */
	RETRY_MIN_T1 = 10,
	RETRY_MAX_T1 = 600,
	LOOK_T1 = 6,
	MORE_T1_PART = 5 /* of it */
};

/* --- the object --- */

static void on_timer(void *ctx);

static struct notifier *create(struct watch *w, struct sip_dialog *dialog, const char *event_id)
{
	struct notifier *n = xcalloc(1, sizeof(*n));
	struct presence_book *b = w->book;
	char key[SIP_DIALOG_KEY_SIZE];

	if (!sip_dialog_key(dialog, key)) {
		free(n);
		return NULL;
	}
	n->watch = w;
	n->dialog = dialog;
	n->event_id = event_id != NULL && event_id[0] != '\0' ? xstrdup(event_id) : NULL;
	n->timer = loop_timer_create(b->gateway->loop, on_timer, n);
	n->key = xstrdup(key);
	DL_APPEND(w->notifiers, n);
	HASH_ADD_KEYPTR(hh, b->notifiers, n->key, strlen(n->key), n);
	return n;
}

static void end_look(struct watch *w)
{
	const char *partner = watch_partner(w);

	shares_give(&w->book->looks, partner, strlen(partner));
}

void notifier_free(struct notifier *n)
{
	if (n->request != NULL)
		sip_outgoing_cancel(n->request);
	DL_DELETE(n->watch->notifiers, n);
	HASH_DEL(n->watch->book->notifiers, n);
	if (n->look)
		end_look(n->watch);
	loop_timer_destroy(n->timer);
	sip_dialog_free(n->dialog);
	free(n->event_id);
	free(n->key);
	free(n);
}

static void arm(struct notifier *n)
{
	int64_t left = n->expires_at - unix_now();

	loop_timer_set(n->timer, left > 0 ? 1000 * left : 0);
}

/* The endpoint is gone, or told so. */
static void drop(struct notifier *n)
{
	struct watch *w = n->watch;

	store_remove_dialog(w->book, &n->row);
	notifier_free(n);
	if (w->state.out != SUBSCRIPTION_ACTIVE && !notifier_looks(w)) {
		presence_list_clear(&w->known); /* an answer to a probe, which nobody keeps up */
		w->heard = false;
	}
	watch_check(w);
}

/* --- NOTIFY --- */

static int64_t times_t1(const struct notifier *n, int64_t times)
{
	return times * n->watch->book->gateway->t1_ms;
}

static const char *state_of(const struct notifier *n)
{
	return n->watch->state.out == SUBSCRIPTION_ACTIVE ? "active" : "pending";
}

static void write_state(const struct notifier *n, char *line, size_t size)
{
	int64_t left = n->expires_at - unix_now();

	if (n->over)
		snprintf(line, size, "Subscription-State: terminated;reason=%s", n->reason);
	else
		snprintf(line, size, "Subscription-State: %s;expires=%lld", state_of(n),
			 (long long)(left > 0 ? left : 0));
}

/* The contact's URI, as the endpoint asked for it. */
static bool write_body(const struct notifier *n, struct strbuf *out)
{
	static const struct presence_list nobody = { .count = 0 };
	const struct watch *w = n->watch;
	bool known = w->heard && (w->state.out == SUBSCRIPTION_ACTIVE || n->look);

	/*
	 * Pending says nothing of the contact, who has not agreed yet (RFC 3856 section 6.6.2); nor does an
	 * approval whose contact has not been heard of since the start. What ends shows nobody any more.
	 */
	if (!n->over && !known)
		return false;
	return pidf_write(known && (!n->over || n->look) ? &w->known : &nobody, n->dialog->local_uri, out) ==
	       OK;
}

/* RFC 6665 section 4.2.2: after these, and after silence, the endpoint has no such subscription any more. */
static bool ends_dialog(unsigned status)
{
	static const unsigned ends[] = {
		404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604
	};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends[i] == status)
			return true;
	return false;
}

static void notify(struct notifier *n);

static void retry_later(struct notifier *n, int64_t after)
{
	int64_t wait = times_t1(n, RETRY_MIN_T1), max = times_t1(n, RETRY_MAX_T1);

	for (unsigned i = 0; i < n->failures && wait < max; i++)
		wait *= 2;
	n->failures++;
	if (after > 0 && 1000 * after > wait)
		wait = 1000 * after;
	loop_timer_set(n->timer, wait < max ? wait : max);
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct notifier *n = ctx;

	n->request = NULL;
	if (r->status / 100 != 2)
		log_event(LOG_INFO, "notify-answered", NULL, "pair=%s status=%u phrase=%s",
			  log_value(n->watch->key), r->status, log_value(r->phrase));
	if (ends_dialog(r->status) || (n->over && !n->dirty)) {
		drop(n);
	} else if (n->dirty) {
		notify(n);
	} else if (r->status / 100 == 5) {
		retry_later(n, r->retry_after);
	} else if (n->failures > 0) {
		n->failures = 0;
		arm(n);
	}
}

static void notify(struct notifier *n)
{
	struct presence_book *b = n->watch->book;
	char state[96], event[192];
	const char *headers[] = { event, state };
	struct strbuf body = { .s = NULL };
	struct sip_send send = { .method = "NOTIFY",
				 .pool = n->dialog->pool,
				 .dialog = n->dialog,
				 .headers = headers,
				 .header_count = ARRAY_SIZE(headers) };

	if (n->look && !n->over) {
		n->over = true;
		n->reason = "timeout";
	}
	n->dirty = n->request != NULL;
	if (n->dirty || b->gateway->stopped)
		return;
	snprintf(event, sizeof(event), "Event: presence%s%s", n->event_id != NULL ? ";id=" : "",
		 n->event_id != NULL ? n->event_id : "");
	write_state(n, state, sizeof(state));
	if (write_body(n, &body)) {
		send.content_type = PIDF_TYPE;
		send.body = body.s;
		send.body_size = body.len;
	}
	n->request = sip_send(b->gateway->endpoint, &send, on_response, n);
	strbuf_free(&body);
}

static void finish(struct notifier *n, const char *reason)
{
	n->over = true;
	n->reason = reason;
	notify(n);
}

/* Its time is over, or a NOTIFY is to be tried again. */
static void on_timer(void *ctx)
{
	struct notifier *n = ctx;

	if (n->over)
		return;
	if (n->expires_at <= unix_now()) {
		finish(n, "timeout");
		return;
	}
	notify(n);
	arm(n);
}

void notifier_notify_all(struct watch *w)
{
	struct notifier *n;

	/* The probe that a look waits for may be answered by several resources, at once. */
	DL_FOREACH (w->notifiers, n)
		if (n->look && !n->over)
			loop_timer_set(n->timer, times_t1(n, 1) / MORE_T1_PART);
		else if (!n->over)
			notify(n);
}

void notifier_end_all(struct watch *w, const char *reason)
{
	struct notifier *n;

	DL_FOREACH (w->notifiers, n)
		if (!n->over)
			finish(n, reason);
}

bool notifier_looks(const struct watch *w)
{
	const struct notifier *n;

	DL_FOREACH (w->notifiers, n)
		if (n->look && !n->over)
			return true;
	return false;
}

void notifier_resume(struct watch *w, struct sip_dialog *dialog, const char *event_id, int64_t row,
		     int64_t expires_at, int64_t delay_ms)
{
	struct notifier *n = create(w, dialog, event_id);

	if (n == NULL) {
		sip_dialog_free(dialog);
		return;
	}
	n->row = row;
	n->expires_at = expires_at;
	if (expires_at > unix_now())
		arm(n);
	else
		loop_timer_set(n->timer, delay_ms);
}

/* --- SUBSCRIBE --- */

struct refusal {
	unsigned status; /* 0: none */
	const char *header;
};

/* We write PIDF only. Without Accept it is what presence means (RFC 3856 section 6.5). */
static bool takes_pidf(const struct sip_request *r)
{
	const char *type = sip_header(r->view, "Accept", 0);

	if (type == NULL)
		return true;
	for (unsigned i = 0; (type = sip_header(r->view, "Accept", i)) != NULL; i++)
		if (strcasestr(type, PIDF_TYPE) != NULL || strcasestr(type, "application/*") != NULL ||
		    strstr(type, "*/*") != NULL)
			return true;
	return false;
}

static struct refusal check(const struct sip_request *r)
{
	if (r->event == NULL || strcmp(r->event, "presence") != 0)
		return (struct refusal){ 489, "Allow-Events: presence" };
	if (!takes_pidf(r))
		return (struct refusal){ 406, "Accept: " PIDF_TYPE };
	if (r->expires > 0 && r->expires < EXPIRES_MIN)
		return (struct refusal){ 423, "Min-Expires: 60" };
	return (struct refusal){ 0, NULL };
}

static int64_t granted(const struct sip_request *r)
{
	if (r->expires < 0)
		return EXPIRES_DEFAULT;
	return r->expires < EXPIRES_MAX ? r->expires : EXPIRES_MAX;
}

static void accept_subscribe(const struct sip_request *r, int64_t expires)
{
	char line[48];
	const char *headers[] = { line };
	struct sip_reply reply = { .status = 200, .headers = headers, .header_count = 1 };

	snprintf(line, sizeof(line), "Expires: %lld", (long long)expires);
	sip_reply(r->transaction, &reply);
}

/* The id parameter of Event, a token (RFC 6665 section 8.2.1). */
static void event_id_of(const struct sip_request *r, char *out, size_t size)
{
	const char *at = sip_header(r->view, "Event", 0);
	size_t n;

	out[0] = '\0';
	while (at != NULL && (at = strchr(at, ';')) != NULL) {
		at += 1 + strspn(at + 1, " \t");
		if (strncasecmp(at, "id=", 3) != 0)
			continue;
		n = strspn(at + 3,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~");
		if (n > 0 && n < size)
			snprintf(out, size, "%.*s", (int)n, at + 3);
		return;
	}
}

/* The contact is asked when he has not been; else what he says now is asked for. */
static enum err ask_contact(struct watch *w, const char *name)
{
	struct subscription_step step = subscription_outbound(w->state, SUBSCRIPTION_SUBSCRIBE);
	enum err e = OK;

	if (w->state.out == SUBSCRIPTION_ACTIVE) {
		if (!w->heard)
			watch_send(w, "probe");
		return OK;
	}
	e = watch_step(w, step.next);
	if (e == OK)
		watch_ask(w, name);
	return e;
}

/* One endpoint too many: the oldest, perhaps long dead, gives way; before that, one that only looks. */
static void make_room(struct watch *w)
{
	struct notifier *n, *oldest = NULL;
	size_t total = 0;

	DL_FOREACH (w->notifiers, n) {
		if (n->over)
			continue;
		if (oldest == NULL || (n->look && !oldest->look))
			oldest = n;
		total++;
	}
	if (total < NOTIFIERS_MAX)
		return;
	store_remove_dialog(w->book, &oldest->row);
	finish(oldest, "probation");
}

/* Looks cost a probe each, and are cheap to ask for: so many wait at a time. */
static bool may_look(struct watch *w)
{
	const char *partner = watch_partner(w);

	if (shares_take(&w->book->looks, partner, strlen(partner), LOOKS_MAX))
		return true;
	w->book->refused++;
	return false;
}

static struct notifier *accept_dialog(struct watch *w, const struct sip_request *r)
{
	char event_id[128];
	struct sip_dialog *dialog;
	struct notifier *n = NULL;

	event_id_of(r, event_id, sizeof(event_id));
	if (sip_dialog_accept(r, &dialog) != OK)
		return NULL;
	n = create(w, dialog, event_id);
	if (n == NULL)
		sip_dialog_free(dialog);
	return n;
}

/* Only what is known now is wanted (RFC 6665 section 4.4.3, RFC 8048 section 7.2). */
static void look(struct notifier *n)
{
	if (n->watch->heard) {
		notify(n);
		return;
	}
	watch_send(n->watch, "probe");
	loop_timer_set(n->timer, times_t1(n, LOOK_T1));
}

static void begin(struct watch *w, const struct sip_request *r)
{
	int64_t expires = granted(r);
	struct notifier *n;

	if (expires == 0 && !may_look(w)) {
		sip_answer(r->transaction, 500, "No Room for Subscriptions", "Retry-After: 10");
		return;
	}
	make_room(w);
	n = accept_dialog(w, r);
	if (n == NULL) {
		if (expires == 0)
			end_look(w);
		sip_answer(r->transaction, 400, NULL, NULL);
		return;
	}
	n->look = expires == 0;
	n->expires_at = unix_now() + expires;
	if (expires > 0 && ask_contact(w, r->from_display) != OK) {
		w->book->refused++;
		sip_answer(r->transaction, 500, "No Room for Subscriptions", "Retry-After: 600");
		notifier_free(n);
		return;
	}
	accept_subscribe(r, expires);
	if (expires == 0) {
		look(n);
		return;
	}
	store_dialog(w, LEDGER_TO_CONTACT, n->dialog, n->event_id, n->expires_at, &n->row);
	notify(n);
	arm(n);
}

void presence_take_subscribe(struct presence_book *b, const struct sip_request *r, const struct jid *user,
			     const struct jid *contact)
{
	struct refusal refusal = check(r);
	struct watch *w;

	if (b->ledger == NULL)
		refusal = (struct refusal){ 489, NULL };
	if (refusal.status != 0) {
		b->refused++;
		sip_answer(r->transaction, refusal.status, NULL, refusal.header);
		return;
	}
	if (watch_know(b, user, contact) != OK) {
		sip_answer(r->transaction, 500, "Subscriptions Cannot Be Read", "Retry-After: 60");
		return;
	}
	w = watch_get(b, user, contact);
	begin(w, r);
	watch_check(w);
}

void notifier_take(struct notifier *n, const struct sip_request *r)
{
	struct refusal refusal = check(r);
	int64_t expires = granted(r);

	if (strcmp(r->method, "SUBSCRIBE") != 0) {
		sip_answer(r->transaction, 405, NULL, SIP_ALLOW);
		return;
	}
	if (refusal.status != 0 || n->over) {
		sip_answer(r->transaction, n->over ? 481 : refusal.status, NULL,
			   n->over ? NULL : refusal.header);
		return;
	}
	if (!sip_dialog_take(n->dialog, r)) {
		sip_answer(r->transaction, 500, "CSeq Out of Order", NULL);
		return;
	}
	accept_subscribe(r, expires);
	n->expires_at = unix_now() + expires;
	if (expires == 0) {
		store_remove_dialog(n->watch->book, &n->row);
		finish(n, "timeout");
		return;
	}
	/* He may have been away when he was asked. */
	if (n->watch->state.out == SUBSCRIPTION_PENDING)
		watch_ask(n->watch, r->from_display);
	store_dialog(n->watch, LEDGER_TO_CONTACT, n->dialog, n->event_id, n->expires_at, &n->row);
	notify(n);
	arm(n);
}
