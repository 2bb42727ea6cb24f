/*
 * waiting.h - what waits in the spool, in memory: the order within each pair, and the sums that limits are checked
 * against. Internal to db/.
 *
 * Changes are of one turn until waiting_settle(), and can be undone by it.
 */
#ifndef POOLBRIDGE_DB_WAITING_H
#define POOLBRIDGE_DB_WAITING_H

#include "db/spool.h"

struct waiting;
struct waiting_user;

struct waiting_item {
	int64_t position, id;
	struct waiting_user *user; /* of the index */
	size_t size;
	enum spool_hop hop;
	bool aside; /* out of the way: its pair goes on without it */
};

struct waiting *waiting_create(void);
void waiting_destroy(struct waiting *w); /* NULL is allowed */
/*
 * Between the two all is put that waits, and nothing else did. in_turn: in the midst of a turn, whose changes cannot be
 * undone then.
 */
void waiting_load(struct waiting *w);
void waiting_loaded(struct waiting *w, bool in_turn);

/* item->user is not looked at, but found by its name. */
void waiting_put(struct waiting *w, const char *pair, const char *user, struct waiting_item item);
/* It waits no more; false: it did not. */
bool waiting_take(struct waiting *w, const char *pair, int64_t position, int64_t id,
		  struct waiting_item *out);
/* Puts back what was taken, changed or not. */
void waiting_put_back(struct waiting *w, const char *pair, struct waiting_item item);
/* The end of a turn: it is on disk, or it never was. False: it should be undone, and cannot be. */
MUST_CHECK bool waiting_settle(struct waiting *w, bool done);

/* The first of a pair that is not aside; NULL: none. */
const struct waiting_item *waiting_first(const struct waiting *w, const char *pair);
/* Those of a pair that are not aside. */
int64_t waiting_count(const struct waiting *w, const char *pair);
void waiting_each_pair(const struct waiting *w, spool_pair_fn *fn, void *ctx);
/* The ids of all messages to and from one address, aside or not; how many. The caller frees *ids. */
size_t waiting_ids_of(const struct waiting *w, const char *address, int64_t **ids);

struct spool_occupancy waiting_of_all(const struct waiting *w);
struct spool_occupancy waiting_of_hop(const struct waiting *w, enum spool_hop hop);
struct spool_occupancy waiting_of_user(const struct waiting *w, const char *user);

#endif
