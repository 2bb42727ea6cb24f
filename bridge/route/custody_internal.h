/*
 * custody_internal.h - what the files of custody share.
 *
 *	custody.c          arriving, keeping, the lanes, the object
 *	custody_release.c  letting go, what an administrator asks
 *	custody_told.c     what will not be delivered: its sender is told, then it leaves
 */
#ifndef POOLBRIDGE_ROUTE_CUSTODY_INTERNAL_H
#define POOLBRIDGE_ROUTE_CUSTODY_INTERNAL_H

#include <uthash.h>

#include "bridge/route/custody.h"

enum { CUSTODY_TICK_MS = 250, CUSTODY_RETRY_MS = 1000 };

/* All messages of one user to another that are kept or under way. */
struct lane {
	struct custody *custody;
	size_t count;             /* in the spool, but for quarantine */
	size_t passes;            /* not left yet */
	size_t under_way;         /* of these, with a next hop */
	enum spool_hop under_hop; /* with which; one at a time */
	enum spool_hop hop;       /* what its first kept message waits for */
	bool busy;                /* that one is on its way, or about to be */
	struct stanza *stanza;    /* that one, while it is on its way */
	enum spool_origin origin; /* likewise */
	bool finished;            /* that one is to leave the spool: before that, nothing follows it */
	bool erased;              /* meanwhile that one was */
	int64_t id;               /* of that one */
	size_t failing;    /* their senders are told, and their rows do not say so yet: nothing follows */
	size_t counting;   /* times that count is to be read anew, behind the commit */
	unsigned failures; /* in a row */
	int64_t retry_at;
	struct lane *prev, *next; /* of those that keep something, the one that was let go last at the end */
	UT_hash_handle hh;
	size_t from_length;
	char key[]; /* "FROM TO", bare */
};

/* A message that will not be delivered. */
struct failure {
	int64_t id;
	struct lane *lane;     /* in which it counts; NULL: none */
	struct stanza *stanza; /* borrowed; NULL: it cannot be read */
	enum spool_hop hop;
	enum spool_origin origin;
	bool noted; /* its row says so */
};

struct custody {
	struct custody_setup setup;
	struct lane *lanes;
	struct lane *keeping; /* those with something in the spool */
	struct told *told;    /* by id */
	int64_t failed_id;    /* those before it have been taken up from the last process */
	bool failed_read;     /* so have all */
	struct loop_timer *tick;
	size_t releasing[SPOOL_HOPS]; /* on their way, by what they have waited for */
	bool away[SPOOL_HOPS];        /* the last one that went there came back */
	int64_t position;             /* of the message that came last */
	bool stopped, ended;
	bool walking;      /* along the lanes: none is freed */
	int64_t expire_at; /* not before */
	uint64_t kept, released, bounced, refused, dropped;
};

/* custody.c */
struct lane *custody_find(const struct custody *c, const char *key);
struct lane *custody_lane(struct custody *c, const char *key); /* made where there is none */
void lane_gained(struct lane *lane, size_t count);
void lane_lost(struct lane *lane);  /* one of the kept */
void lane_count(struct lane *lane); /* behind the commit: as many as the spool has then */
void lane_check(struct lane *lane); /* freed when nothing needs it */
void custody_sweep(struct custody *c);
void custody_arm(struct custody *c, int64_t ms);
void custody_trouble(const struct custody *c, int64_t id);

/* custody_release.c */
void custody_tick(void *ctx);

/* custody_told.c */
void custody_tell(struct custody *c, const struct failure *f, const struct outcome *outcome);
bool custody_is_told(const struct custody *c, int64_t id);
size_t custody_told_count(const struct custody *c);
void custody_free_told(struct custody *c);
void custody_expire(struct custody *c); /* within a walk along the lanes */

#endif
