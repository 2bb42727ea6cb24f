/*
 * custody.h - messages that cannot go on now and are kept: for a user who is
 * being moved, or while a next hop is away. What is kept is on disk before its
 * sender is told that we have it, and goes on in order, before anything newer of
 * the same two users.
 *
 * The router decides; custody keeps and tries again.
 */
#ifndef POOLBRIDGE_ROUTE_CUSTODY_H
#define POOLBRIDGE_ROUTE_CUSTODY_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/s2s.h"
#include "db/spool.h"

struct custody;

/* What became of a kept message that was let go on. */
enum release {
	RELEASE_DONE,  /* its next hop has it */
	RELEASE_WAIT,  /* not now: hop says for what it waits */
	RELEASE_AGAIN, /* nobody can say now where it is to go: soon once more, for the same */
	RELEASE_FAILED /* never: its sender is to be told the outcome */
};
/* outcome NULL: RELEASE_DONE. */
typedef void release_fn(void *ctx, enum release release, enum spool_hop hop, const struct outcome *outcome);

/* The end of telling a sender. over: he has heard, or never will; else it could not be tried now. */
typedef void told_fn(void *ctx, bool over);

/*
 * A message from when it arrives until it is answered. The messages of two users are in order: a
 * newer one waits while an older one is kept, or is on its way to another next hop.
 */
struct custody_pass {
	struct lane *lane; /* NULL: none */
	int64_t position;
	bool under_way, returned;
};

/* A message on its way into custody, or out of it. */
struct custody_item {
	struct stanza *stanza;
	const struct jid *from, *to;
	enum spool_hop hop;
	enum spool_origin origin;
};

struct custody_setup {
	struct loop *loop;
	struct state *state;
	struct spool *spool;
	const struct config *config;
	/* Try it again by a new decision; done is called once, perhaps from inside. */
	void (*submit)(void *ctx, const struct custody_item *item, release_fn *done, void *done_ctx);
	/* It will not be delivered: its sender gets the error. done is called once, last, perhaps from inside. */
	void (*bounce)(void *ctx, const struct custody_item *item, const struct outcome *outcome,
		       told_fn *done, void *done_ctx);
	void *ctx;
};

/* Takes up what the spool has. */
MUST_CHECK enum err custody_create(const struct custody_setup *setup, struct custody **out);
void custody_destroy(struct custody *c); /* NULL is allowed */
void custody_stop(struct custody *c);    /* nothing is let go any more; what comes back is kept */
void custody_end(struct custody *c);     /* nor is anything kept: there will be no commit */

/* What becomes of a message that cannot go on now. */
enum custody_kind {
	CUSTODY_KEEP, /* somebody wrote it */
	CUSTODY_DROP, /* typing: it is nothing later */
	CUSTODY_NONE  /* errors, headlines, group chat: they fail */
};
enum custody_kind custody_kind_of(const struct stanza *stanza);
/* Presence that asks or answers, rather than shows a state (RFC 6121 section 3): kept, too, for nobody says it again. */
bool custody_is_handshake(const struct stanza *stanza);
/* It arrives; to be left again. */
void custody_enter(struct custody *c, const struct jid *from, const struct jid *to,
		   struct custody_pass *pass);
/* Whether it is to be kept rather than given to that next hop now, because of an older one. */
bool custody_waits(const struct custody_pass *pass, enum spool_hop hop);
/* It goes to that next hop now: past those for which it should wait, nobody waits for it either. */
void custody_go(struct custody_pass *pass, enum spool_hop hop);
/* The next hop did not take it, or it was answered; before custody_keep() where it is to be kept. */
void custody_return(struct custody_pass *pass);
void custody_leave(struct custody_pass *pass);

/*
 * In the place of the pass, among the messages of the two. done is called when it is on disk
 * (confirmed), or cannot be kept (the condition for its sender).
 */
void custody_keep(const struct custody_pass *pass, const struct custody_item *item, delivery_fn *done,
		  void *done_ctx);

/* Something changed for this user (NULL: for all): try now. */
void custody_wake(struct custody *c, const char *user);

/* An administrator's: try this one now, out of quarantine, too. ERR_NOT_FOUND, or as the spool. */
MUST_CHECK enum err custody_retry(struct custody *c, int64_t id);
/* An administrator's: ERR_NOT_FOUND (its sender is being told, too), ERR_BUSY (it is on its way now), or as the spool. */
MUST_CHECK enum err custody_bounce(struct custody *c, int64_t id);
/* All to and from this address, telling nobody; what is on its way meanwhile goes on. */
MUST_CHECK enum err custody_erase(struct custody *c, const char *user, int64_t *count);
size_t custody_count(const struct custody *c, const char *user); /* NULL: all */

json_t *custody_status(const struct custody *c); /* {"messages", "bytes", "pairs", ...}; the caller owns it */

#endif
