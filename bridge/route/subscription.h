/*
 * subscription.h - the state machine of presence subscriptions (RFC 6121,
 * Appendix A), from the view of the local user's server. Pure.
 *
 * The nine states of section A.1 are the pairs of two halves: what the local
 * user has of the contact ("To", "Pending Out"), and what the contact has of the
 * local user ("From", "Pending In"). Pre-approval (section 3.4) is optional and
 * not kept.
 */
#ifndef POOLBRIDGE_ROUTE_SUBSCRIPTION_H
#define POOLBRIDGE_ROUTE_SUBSCRIPTION_H

#include "bridge/core/base.h"

enum subscription_half { SUBSCRIPTION_NONE, SUBSCRIPTION_PENDING, SUBSCRIPTION_ACTIVE };

struct subscription {
	enum subscription_half out; /* the local user watches the contact */
	enum subscription_half in;  /* the contact watches the local user */
};

enum subscription_event {
	SUBSCRIPTION_SUBSCRIBE,
	SUBSCRIPTION_SUBSCRIBED,
	SUBSCRIPTION_UNSUBSCRIBE,
	SUBSCRIPTION_UNSUBSCRIBED,
	SUBSCRIPTION_EVENTS
};

struct subscription_step {
	struct subscription next;
	bool pass;         /* outbound: route it to the contact; inbound: deliver it to the local user */
	const char *reply; /* inbound: the type to answer with in the local user's name; NULL: none */
};

/* From the local user to the contact: section A.2. */
struct subscription_step subscription_outbound(struct subscription s, enum subscription_event event);
/* From the contact to the local user: section A.3. */
struct subscription_step subscription_inbound(struct subscription s, enum subscription_event event);

/* A presence stanza's type; ERR_NOT_FOUND for NULL and for types that are none of the four. */
MUST_CHECK enum err subscription_event_parse(const char *type, enum subscription_event *out);
/* As section A.1 names it: "None + Pending Out+In". */
const char *subscription_name(struct subscription s);

#endif
