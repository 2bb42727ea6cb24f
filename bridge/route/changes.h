/*
 * changes.h - what has changed in the registry, by whatever program: polled, so a
 * decision never waits for it (each one reads the registry itself), only what
 * must follow a change does: letting go of what was held, handing presence over,
 * ending conversations with the side that a user has left, ending a move that
 * takes too long.
 */
#ifndef POOLBRIDGE_ROUTE_CHANGES_H
#define POOLBRIDGE_ROUTE_CHANGES_H

#include <jansson.h>

#include "bridge/core/loop.h"
#include "db/db.h"

struct changes;

struct changes_setup {
	struct loop *loop;
	struct db *registry;
	int64_t move_limit_ms; /* a user is "moving" for so long at most; then he is marked as he was before */
};

/* What was changed before is not told of. ERR_IO: the registry cannot be read. */
MUST_CHECK enum err changes_create(const struct changes_setup *setup, struct changes **out);
void changes_destroy(struct changes *c); /* NULL is allowed */
void changes_stop(struct changes *c);    /* nobody is called any more, no move is ended */

/*
 * fn is called from the loop after a change that may have changed decisions: of this
 * user (bare), or of anybody (NULL: a domain or a partner was changed, or too many users to name).
 * In the order of subscribing; it may change anything but the registry.
 */
typedef void changed_fn(void *ctx, const char *user);
void changes_subscribe(struct changes *c, changed_fn *fn, void *ctx);

/*
 * {"moving", "overdue", "ended"}: users, those whose time is over and who cannot be marked yet, and
 * those marked as they were before since the start. The caller owns it.
 */
json_t *changes_status(const struct changes *c);

#endif
