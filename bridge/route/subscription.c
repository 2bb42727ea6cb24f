/*
 * subscription.c - RFC 6121, Appendix A, as two small tables instead of eight.
 *
 * Each stanza of the four concerns one half of the state only: what the user
 * sends as "subscribe" or "unsubscribe", and what he receives as "subscribed" or
 * "unsubscribed", is about his own subscription; the rest is about the contact's.
 * So the nine states of a table of the RFC are three, and its tables come in
 * pairs. tests/unit/subscription.table has them as they are printed.
 *
 * No state is kept here, and nothing is sent.
 */
#include "bridge/route/subscription.h"

#include <string.h>

/* What becomes of one half. */
struct cell {
	enum subscription_half next;
	bool pass;
	const char *reply;
};

#define NONE    SUBSCRIPTION_NONE
#define PENDING SUBSCRIPTION_PENDING
#define ACTIVE  SUBSCRIPTION_ACTIVE

/* By the half's state. For "subscribed" without a request (A.2.3): pre-approval, which we do not keep. */
static const struct cell outbound[SUBSCRIPTION_EVENTS][3] = {
	[SUBSCRIPTION_SUBSCRIBE] = { { PENDING, true, NULL },
				     { PENDING, true, NULL },
				     { ACTIVE, true, NULL } },
	[SUBSCRIPTION_UNSUBSCRIBE] = { { NONE, true, NULL }, { NONE, true, NULL }, { NONE, true, NULL } },
	[SUBSCRIPTION_SUBSCRIBED] = { { NONE, false, NULL },
				      { ACTIVE, true, NULL },
				      { ACTIVE, false, NULL } },
	[SUBSCRIPTION_UNSUBSCRIBED] = { { NONE, false, NULL }, { NONE, true, NULL }, { NONE, true, NULL } },
};
static const struct cell inbound[SUBSCRIPTION_EVENTS][3] = {
	[SUBSCRIPTION_SUBSCRIBE] = { { PENDING, true, NULL },
				     { PENDING, false, NULL },
				     { ACTIVE, false, "subscribed" } },
	[SUBSCRIPTION_UNSUBSCRIBE] = { { NONE, false, NULL },
				       { NONE, true, "unsubscribed" },
				       { NONE, true, "unsubscribed" } },
	[SUBSCRIPTION_SUBSCRIBED] = { { NONE, false, NULL },
				      { ACTIVE, true, NULL },
				      { ACTIVE, false, NULL } },
	[SUBSCRIPTION_UNSUBSCRIBED] = { { NONE, false, NULL }, { NONE, true, NULL }, { NONE, true, NULL } },
};

static const char *const event_names[] = {
	[SUBSCRIPTION_SUBSCRIBE] = "subscribe",
	[SUBSCRIPTION_SUBSCRIBED] = "subscribed",
	[SUBSCRIPTION_UNSUBSCRIBE] = "unsubscribe",
	[SUBSCRIPTION_UNSUBSCRIBED] = "unsubscribed",
};

/* Whether the event is about the subscription of the one who sends it. */
static bool is_about_sender(enum subscription_event event)
{
	return event == SUBSCRIPTION_SUBSCRIBE || event == SUBSCRIPTION_UNSUBSCRIBE;
}

struct subscription_step subscription_outbound(struct subscription s, enum subscription_event event)
{
	struct subscription_step step = { .next = s };
	enum subscription_half *half = is_about_sender(event) ? &step.next.out : &step.next.in;
	const struct cell *cell = &outbound[event][*half];

	*half = cell->next;
	step.pass = cell->pass;
	return step;
}

struct subscription_step subscription_inbound(struct subscription s, enum subscription_event event)
{
	struct subscription_step step = { .next = s };
	enum subscription_half *half = is_about_sender(event) ? &step.next.in : &step.next.out;
	const struct cell *cell = &inbound[event][*half];

	*half = cell->next;
	step.pass = cell->pass;
	step.reply = cell->reply;
	return step;
}

enum err subscription_event_parse(const char *type, enum subscription_event *out)
{
	for (unsigned i = 0; type && i < SUBSCRIPTION_EVENTS; i++)
		if (strcmp(event_names[i], type) == 0) {
			*out = (enum subscription_event)i;
			return OK;
		}
	return ERR_NOT_FOUND;
}

const char *subscription_name(struct subscription s)
{
	static const char *const names[3][3] = {
		/* out, in */
		{ "None", "None + Pending In", "From" },
		{ "None + Pending Out", "None + Pending Out+In", "From + Pending Out" },
		{ "To", "To + Pending In", "Both" },
	};

	return names[s.out][s.in];
}
