/*
 * presence_notified.c - the NOTIFYs of a pool to a contact's subscription there
 * (RFC 6665 section 4.1.3), and what each means for the contact.
 *
 * "active" is the user's approval, and the only thing that is; a document is told
 * as it says; how a subscription has ended says what to do about it. The
 * subscription itself is presence_subscriber.c's. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <string.h>

/* RFC 6665 section 4.1.3: why it has ended says what to do. */
static void terminated(struct subscriber *s, const struct sip_request *r)
{
	const char *reason = r->reason != NULL ? r->reason : "";
	bool at_once = strcmp(reason, "deactivated") == 0 || strcmp(reason, "timeout") == 0;
	bool never = strcmp(reason, "noresource") == 0 || strcmp(reason, "invariant") == 0;

	if (strcmp(reason, "rejected") == 0) {
		subscriber_deny(s);
	} else if (s->probed) {
		subscriber_finish(s, NULL);
	} else if (at_once) {
		subscriber_begin_anew(s);
	} else {
		/* The contact's approval stays, and the user may be back one day: seldom rather than never. */
		subscriber_lose_sight(s);
		if (never)
			subscriber_rest(s);
		else
			subscriber_retry_later(s, r->retry_after);
	}
}

static void activate(struct subscriber *s)
{
	struct watch *w = s->watch;
	struct subscription next = { .out = w->state.out, .in = SUBSCRIPTION_ACTIVE };

	if (w->state.in == SUBSCRIPTION_ACTIVE || watch_step(w, next) != OK)
		return; /* failed: the next NOTIFY or refresh tries again */
	if (!s->probed)
		watch_send(w, "subscribed");
	subscriber_settle(s);
	w->untold = true;
	store_dialog(w, LEDGER_TO_LOCAL, s->dialog, NULL, s->expires_at, &s->row);
}

/* What the NOTIFY says of the subscription's time is what counts; it may only be less than we know. */
static void take_time(struct subscriber *s, int64_t seconds, bool was_awaited)
{
	int64_t until = unix_now() + seconds;
	bool less = seconds > 0 && s->expires_at > 0 && until < s->expires_at;

	if (less)
		s->expires_at = until;
	if (s->request == NULL && (was_awaited || less))
		subscriber_wait_for_refresh(s);
}

/* Pending, or active. state NULL: the pool does not say; it approves nothing then. */
static void take_state(struct subscriber *s, const char *state, const struct presence_body *body)
{
	bool pending = state != NULL && strcmp(state, "pending") == 0;

	if (state != NULL && strcmp(state, "active") == 0)
		activate(s);
	if (s->probed)
		subscriber_end(s, false);
	else if (s->watch->state.in == SUBSCRIPTION_ACTIVE && pending)
		tell_lost(s->watch);
	else if (s->watch->state.in == SUBSCRIPTION_ACTIVE)
		subscriber_read_body(s, body);
}

static void take_last(struct subscriber *s, const char *state)
{
	s->last_heard = state != NULL && strcmp(state, "terminated") == 0;
	if (s->last_heard && s->request == NULL)
		subscriber_finish(s, NULL);
}

void subscriber_take_notify(struct subscriber *s, const struct sip_request *r)
{
	const char *state = r->subscription_state;
	const struct presence_body body = { .type = sip_header(r->view, "Content-Type", 0),
					    .language = r->content_language,
					    .bytes = r->body,
					    .size = r->body_size };
	bool was_awaited = s->awaited;

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
	if (s->watch->book->gateway->stopped)
		return;
	if (s->ending) {
		take_last(s, state);
		return;
	}
	s->awaited = false;
	if (state != NULL && strcmp(state, "terminated") == 0) {
		terminated(s, r);
		return;
	}
	s->failures = 0;
	take_time(s, r->state_expires, was_awaited);
	take_state(s, state, &body);
}
