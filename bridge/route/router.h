/*
 * router.h - the one door: everything that arrives, from either side, is
 * submitted here, decided by route_decide(), and handed to its next hop; what
 * cannot be delivered is answered to its sender.
 */
#ifndef POOLBRIDGE_ROUTE_ROUTER_H
#define POOLBRIDGE_ROUTE_ROUTER_H

#include <jansson.h>

#include "bridge/route/colleagues.h"
#include "bridge/route/custody.h"
#include "bridge/route/duplicates.h"
#include "bridge/route/request.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/s2s.h"

struct router;
struct ledger_tap;

enum origin { ORIGIN_PARTNER, ORIGIN_LEGACY, ORIGIN_POOL };

struct submission {
	enum origin origin;
	struct stanza *stanza;       /* borrowed, like the next two */
	const struct jid *from, *to; /* its addresses, parsed */
	/*
	 * Called once with what became of it, perhaps before router_submit() returns. NULL: a failure
	 * is answered with an error stanza to the sender.
	 */
	delivery_fn *done;
	void *ctx;
	/* Acknowledged to the sending server when it is finished, its error delivered. */
	struct receipt receipt;
	int64_t deadline_ms; /* 0: the configured queue time */
	bool takes_back;     /* the end of something that our gateway has shown the partner's user */
};

/*
 * The gateway's side of the door: take a stanza for a user of the verdict's pool; of one being moved (ROUTE_HOLD), a
 * contact's presence and probes. Calls done once, perhaps at once.
 */
typedef void router_egress_fn(void *ctx, struct stanza *stanza, const struct verdict *v, delivery_fn *done,
			      void *done_ctx);

struct router *router_create(struct s2s *s2s, struct db *db);
void router_destroy(struct router *r); /* NULL is allowed */
/* Shown the presence that passes to and from the legacy gateway; borrowed. */
void router_set_tap(struct router *r, struct ledger_tap *tap);
/*
 * Presence of the legacy gateway, for a partner: whoever shows its user to contacts, too, hears of it. True: it
 * does not go on.
 */
typedef bool router_presence_fn(void *ctx, const struct submission *s, const struct verdict *v);
void router_set_presence(struct router *r, router_presence_fn *presence, void *ctx);
/* Keeps what cannot go on now; its submit and bounce are the two below. Borrowed. */
void router_set_custody(struct router *r, struct custody *custody);
void router_release(void *ctx, const struct custody_item *item, release_fn *done, void *done_ctx);
void router_expire(void *ctx, const struct custody_item *item, const struct outcome *outcome, told_fn *done,
		   void *done_ctx);
/* Between true and false all decisions are of one state of the registry: for what was all read before. */
void router_view(const struct router *r, bool begins);
/* Knows what comes a second time; NULL: nobody does. Borrowed. */
void router_set_duplicates(struct router *r, struct duplicates *duplicates);
struct duplicates *router_duplicates(const struct router *r);
/* Messages between users of the two pools, which only the gateway can carry. */
struct colleagues *router_colleagues(struct router *r);
void router_set_gateway(struct router *r, router_egress_fn *egress, void *ctx);

/*
 * A message that passes between a partner and the legacy gateway, either way: whoever goes on with the
 * conversation when its user is moved hears of it.
 */
typedef void router_passing_fn(void *ctx, const struct submission *s);
void router_set_passing(struct router *r, router_passing_fn *passing, void *ctx);

void router_submit(struct router *r, const struct submission *s);

/*
 * What would be decided now for a local user and a partner's domain; for what is kept up rather than
 * submitted. Nothing is counted. ERR_IO: the registry cannot be read.
 */
MUST_CHECK enum err router_decide(struct router *r, const struct jid *local, const char *partner,
				  struct verdict *out);

/*
 * A SIP request from a pool, before anything is made of it: request_lookup(),
 * counted. The caller carries it out. ERR_IO: the registry cannot be read.
 */
MUST_CHECK enum err router_decide_request(struct router *r, const struct jid *from, const struct jid *to,
					  int source, struct request_verdict *out);

json_t *router_status(const struct router *r); /* counters */

#endif
