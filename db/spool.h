/*
 * spool.h - messages that wait in the state file: for a user who is being moved,
 * or for a next hop that is away. In the order in which they came, for each pair
 * of sender and recipient.
 *
 * Every change joins the turn's transaction (state_begin); times are Unix
 * seconds, given by the caller. Errors: ERR_IO, ERR_BUSY; ERR_LIMIT where said.
 */
#ifndef POOLBRIDGE_DB_SPOOL_H
#define POOLBRIDGE_DB_SPOOL_H

#include "db/state.h"

/* What a message waits for. */
enum spool_hop { SPOOL_MOVE, SPOOL_LEGACY_GATEWAY, SPOOL_LEGACY_POOL, SPOOL_NEW_POOL, SPOOL_HOPS };
const char *spool_hop_name(enum spool_hop hop); /* "move", "legacy-gateway", ... */

enum spool_origin { SPOOL_FROM_PARTNER, SPOOL_FROM_POOL };
const char *spool_origin_name(enum spool_origin origin);

struct spool_limits {
	int64_t messages_per_user, bytes_per_user;
	int64_t messages_per_hop, bytes_per_hop;
	int64_t messages, bytes;
};

struct spool_message {
	int64_t id;
	int64_t position; /* in order of arrival */
	const char *pair; /* "FROM TO", bare */
	const char *user; /* the local user, bare */
	enum spool_hop hop;
	enum spool_origin origin;
	const char *stanza;
	size_t size;
	int64_t received_at, expires_at;
	int64_t attempts;
	int64_t begun;       /* attempts without an outcome, since the last one with */
	const char *trouble; /* "": none yet */
	bool quarantined;    /* out of the way: nothing sends it but an administrator */
	const char *failed;  /* the condition that its sender is being told; "": it is to be delivered */
};

struct spool;

/* The state is borrowed. A reader (state_open_reader) needs no limits: NULL. */
struct spool *spool_create(struct state *state, const struct spool_limits *limits);
void spool_destroy(struct spool *s); /* NULL is allowed */
const char *spool_error(const struct spool *s);

/* id, attempts, begun, trouble, quarantined and failed are not looked at. ERR_LIMIT: it would be too many or too much. */
MUST_CHECK enum err spool_put(struct spool *s, const struct spool_message *m, int64_t *id);
MUST_CHECK enum err spool_remove(struct spool *s, int64_t id); /* ERR_NOT_FOUND */
/* An attempt begins. ERR_NOT_FOUND. */
MUST_CHECK enum err spool_begin(struct spool *s, int64_t id);
/* One attempt more, for which it waits now, and why the last one failed. */
MUST_CHECK enum err spool_defer(struct spool *s, int64_t id, enum spool_hop hop, const char *trouble);
MUST_CHECK enum err spool_quarantine(struct spool *s, int64_t id, const char *trouble);
/* Never to be sent: its sender is told this condition, and why. ERR_NOT_FOUND. */
MUST_CHECK enum err spool_fail(struct spool *s, int64_t id, const char *condition, const char *trouble);
/* Out of quarantine, as if it had not been tried yet; it expires at expires_at at the earliest. */
MUST_CHECK enum err spool_revive(struct spool *s, int64_t id, int64_t expires_at);
/* All messages to and from one address; how many there were. */
MUST_CHECK enum err spool_erase(struct spool *s, const char *user, int64_t *count);

/* The strings last for the callback, which changes nothing in the spool; false ends the walk. */
typedef bool spool_each_fn(void *ctx, const struct spool_message *m);
/* In order; user NULL: everybody's. */
MUST_CHECK enum err spool_each(struct spool *s, const char *user, spool_each_fn *fn, void *ctx);
/* The highest position there is; 0: none. */
MUST_CHECK enum err spool_last_position(struct spool *s, int64_t *out);
/* The first of the pair that is neither quarantined nor failed; fn is called once, or ERR_NOT_FOUND. */
MUST_CHECK enum err spool_first(struct spool *s, const char *pair, spool_each_fn *fn, void *ctx);
MUST_CHECK enum err spool_get(struct spool *s, int64_t id, spool_each_fn *fn, void *ctx);
MUST_CHECK enum err spool_count_pair(struct spool *s, const char *pair,
				     int64_t *out); /* but for quarantined and failed ones */
/* Those whose time is over, at most so many; but for quarantined and failed ones. */
MUST_CHECK enum err spool_each_expired(struct spool *s, int64_t now, int64_t max, spool_each_fn *fn,
				       void *ctx);

/* Those that have failed, with numbers behind this one, in their order; at most so many. */
MUST_CHECK enum err spool_each_failed(struct spool *s, int64_t after, int64_t max, spool_each_fn *fn,
				      void *ctx);

/* Each pair that has messages, but for quarantined and failed ones: how many, and for what its first one waits. */
typedef void spool_pair_fn(void *ctx, const char *pair, enum spool_hop hop, int64_t count);
MUST_CHECK enum err spool_each_pair(struct spool *s, spool_pair_fn *fn, void *ctx);

struct spool_occupancy {
	int64_t messages, bytes;
};
/* owner: a user, "hop:NAME", or "" for all. */
MUST_CHECK enum err spool_count(struct spool *s, const char *owner, struct spool_occupancy *out);
struct spool_age {
	int64_t oldest; /* when the one that waits longest came; 0: none waits */
	int64_t quarantined;
};
MUST_CHECK enum err spool_look(struct spool *s, struct spool_age *out);

#endif
