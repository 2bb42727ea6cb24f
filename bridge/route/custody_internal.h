/*
 * custody_internal.h - what the files of custody share.
 *
 *	custody.c          arriving, keeping, the lanes, the object
 *	custody_release.c  letting go, time, what an administrator asks
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
	struct stanza *stanza;    /* that one, until it is on disk that it is let go */
	enum spool_origin origin; /* likewise */
	bool finished;            /* that one is to leave the spool: before that, nothing follows it */
	bool erased;              /* meanwhile that one was */
	bool noticed; /* its sender is told by a message that is kept in the transaction in which it leaves */
	int64_t id;   /* of that one */
	size_t counting;   /* times that count is to be read anew, behind the commit */
	unsigned failures; /* in a row */
	int64_t retry_at;
	struct lane *prev, *next; /* of those that keep something, the one that was let go last at the end */
	UT_hash_handle hh;
	size_t from_length;
	char key[]; /* "FROM TO", bare */
};

/* A message whose sender has been told, and which is to leave the spool: not to be told again, nor sent. */
struct told {
	struct custody *custody;
	int64_t id;
	char *pair;   /* NULL: it counts in no lane */
	bool removed; /* in this turn's transaction */
	bool noticed; /* as of a lane */
	UT_hash_handle hh;
};

struct custody {
	struct custody_setup setup;
	struct lane *lanes;
	struct lane *keeping; /* those with something in the spool */
	struct told *told;
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

#endif
