/*
 * seen.h - what was delivered or taken into custody lately, in the state file:
 * keyed hashes, so that a peer that sends something again after a crash of ours
 * is not taken at its word. bridge/route/duplicates.h is what uses it.
 *
 * Changes join the turn's transaction; the caller begins it (state_begin or
 * state_begin_unsynced). Errors: ERR_IO, ERR_BUSY.
 */
#ifndef POOLBRIDGE_DB_SEEN_H
#define POOLBRIDGE_DB_SEEN_H

#include "db/state.h"

enum { SEEN_KEY_SIZE = 16, SEEN_ROW_MAX = 4096 /* hashes */ };

/* Who sent it, with its id; and what it says, to whom. */
struct seen_hash {
	uint64_t name, content; /* content 0: forget what was seen by this name */
};

/* Made with the file. */
MUST_CHECK enum err seen_get_key(struct state *s, unsigned char key[SEEN_KEY_SIZE]);

/* number: of the first; at: Unix seconds. */
MUST_CHECK enum err seen_add(struct state *s, int64_t number, int64_t at, const struct seen_hash *hashes,
			     size_t count);
/* Those before that number, but for some at its edge. */
MUST_CHECK enum err seen_prune(struct state *s, int64_t number);

/* Every row, the oldest first; hashes last for the callback. */
typedef void seen_each_fn(void *ctx, int64_t number, int64_t at, const struct seen_hash *hashes,
			  size_t count);
MUST_CHECK enum err seen_each(struct state *s, seen_each_fn *fn, void *ctx);

#endif
