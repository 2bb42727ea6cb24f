/*
 * colleagues.h - messages between users of the two pools that cannot be relayed
 * now: the recipient is being moved, or older ones of the same two users wait.
 * They are kept (custody.h) and let go to the pool on which he then is.
 */
#ifndef POOLBRIDGE_ROUTE_COLLEAGUES_H
#define POOLBRIDGE_ROUTE_COLLEAGUES_H

#include "bridge/route/custody.h"
#include "bridge/route/decision.h"

struct colleagues;

/* The gateway's part. */
struct colleagues_egress {
	/* To that pool; done is called once, perhaps at once. */
	void (*send)(void *ctx, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx);
	/* What tells the sender that it was not delivered; NULL: nothing does, it is such a one itself. */
	struct stanza *(*notice)(const struct stanza *stanza, const char *why);
	void *ctx;
};

struct colleagues *colleagues_create(struct db *db);
void colleagues_destroy(struct colleagues *c);
void colleagues_set_custody(struct colleagues *c, struct custody *custody); /* NULL: nothing is kept */
void colleagues_set_egress(struct colleagues *c, const struct colleagues_egress *egress); /* NULL: none */

/* Older ones of these two wait, behind which a newer one has to. */
bool colleagues_wait(struct colleagues *c, const struct jid *from, const struct jid *to, enum pool pool);
/* pool: to which it would go now; -1: the recipient is being moved. done as of custody_keep(). */
void colleagues_keep(struct colleagues *c, struct stanza *stanza, const struct jid *from,
		     const struct jid *to, int pool, delivery_fn *done, void *done_ctx);

/* Of custody's setup, for what came from a pool. */
void colleagues_release(struct colleagues *c, const struct custody_item *item, release_fn *done,
			void *done_ctx);
/* The notice is kept in the turn's transaction; done is called from inside. */
void colleagues_bounce(struct colleagues *c, const struct custody_item *item, const struct outcome *outcome,
		       told_fn *done, void *done_ctx);

json_t *colleagues_status(const struct colleagues *c); /* counters */

#endif
