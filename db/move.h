/*
 * move.h - the users who are being moved: since when, and what they were before.
 * Triggers write it, whoever marks a user.
 */
#ifndef POOLBRIDGE_DB_MOVE_H
#define POOLBRIDGE_DB_MOVE_H

#include "db/registry.h"

struct move {
	const char *address;
	const char *since; /* UTC, "2026-11-21T07:40:12.345Z" */
	const char *until; /* the same, when its time is over */
	/* What he was before, and is again when nobody ends the move. */
	bool listed;    /* else the domain's default decides */
	enum mark mark; /* where listed */
};
typedef void move_fn(void *ctx, const struct move *m); /* the strings are valid while it runs */

/* ERR_NOT_FOUND: he is not being moved. */
MUST_CHECK enum err move_find(struct db *db, const char *address, int64_t limit_ms, move_fn *fn, void *ctx);

struct move_counts {
	int64_t moving, overdue; /* the second: longer than the limit */
};
MUST_CHECK enum err move_count(struct db *db, int64_t limit_ms, struct move_counts *out);

/*
 * Users who have been moving for longer than the limit, the longest first and at most so many, are put
 * back to what they were: the mark, or off the list, where the domain's default decides. fn is told
 * of each. Within a transaction, so that an administrator who marks the same user does so
 * before, and nothing is done, or after.
 */
MUST_CHECK enum err move_end_overdue(struct db *db, int64_t limit_ms, unsigned most, move_fn *fn, void *ctx);

#endif
