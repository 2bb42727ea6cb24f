/*
 * custody_internal.h - what the files of custody share.
 *
 *	custody.c          arriving, keeping, the object
 *	custody_lanes.c    which lanes may go, which wait, and whose they are
 *	custody_release.c  letting go, what an administrator asks
 *	custody_told.c     what will not be delivered: its sender is told, then it leaves
 */
#ifndef POOLBRIDGE_ROUTE_CUSTODY_INTERNAL_H
#define POOLBRIDGE_ROUTE_CUSTODY_INTERNAL_H

#include "bridge/core/hash.h"
#include "bridge/core/timerheap.h"
#include "bridge/route/custody.h"

enum { CUSTODY_TICK_MS = 250, CUSTODY_RETRY_MS = 1000 };

enum lane_place { LANE_NOWHERE, LANE_TO_LOOK_AT, LANE_READY, LANE_WAITING };

struct lane_user;

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
	enum lane_place place;
	enum spool_hop ready_hop;             /* in whose list it is, when it is ready */
	struct lane *place_prev, *place_next; /* in that list, or in the one to look at */
	struct timer_entry wait;              /* in the heap */
	struct lane_user *user;               /* NULL: it keeps nothing */
	struct lane *user_prev, *user_next;   /* of those that keep something for him */
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
	struct lane_user *users; /* those for whom something is in the spool */
	size_t pairs;            /* lanes with something in the spool */
	struct lane *to_look_at; /* something about them has changed */
	/* In the order in which they came to be so; the one that went last at the end. */
	struct lane *ready[SPOOL_HOPS];
	struct timerheap waiting; /* for their time */
	struct told *told;        /* by id */
	int64_t failed_id;        /* those before it have been taken up from the last process */
	bool failed_read;         /* so have all */
	struct loop_timer *tick;
	size_t releasing[SPOOL_HOPS]; /* on their way, by what they have waited for */
	bool away[SPOOL_HOPS];        /* the last one that went there came back */
	int64_t position;             /* of the message that came last */
	bool stopped, ended;
	int64_t expire_at; /* not before */
	uint64_t kept, released, bounced, refused, dropped;
};

/* custody.c */
void custody_arm(struct custody *c, int64_t ms);
void custody_trouble(const struct custody *c, int64_t id);

/* custody_lanes.c */
struct lane *custody_find(const struct custody *c, const char *key);
struct lane *custody_lane(struct custody *c, const char *key); /* made where there is none */
void lane_gained(struct lane *lane, size_t count);
void lane_lost(struct lane *lane);  /* one of the kept */
void lane_count(struct lane *lane); /* behind the commit: as many as the spool has then */
void lane_check(struct lane *lane); /* freed when nothing needs it */
void lane_count_anew(struct lane *lane);
/* What kept it back may be over, or its time is another one. */
void lane_look(struct lane *lane);
/* All that are to be looked at, and all whose time has come. */
void lanes_place(struct custody *c, int64_t now);
struct lane *lanes_take_ready(struct custody *c, enum spool_hop hop); /* NULL: none */
/* Along user_next; of NULL, everybody's: call fn for each, which frees none. */
void lanes_each(const struct custody *c, const char *user, void (*fn)(struct lane *lane, void *ctx),
		void *ctx);
void lanes_free(struct custody *c);

/* custody_release.c */
void custody_tick(void *ctx);
void lane_leave_again(struct lane *lane); /* it could not leave the spool */
/* Its time is far away: a change of its user's mark wakes it. */
void lane_await_move(struct lane *lane);

/* custody_told.c */
void custody_tell(struct custody *c, const struct failure *f, const struct outcome *outcome);
bool custody_is_told(const struct custody *c, int64_t id);
size_t custody_told_count(const struct custody *c);
void custody_free_told(struct custody *c);
void custody_expire(struct custody *c);

#endif
