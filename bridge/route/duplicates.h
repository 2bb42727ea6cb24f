/*
 * duplicates.h - a message that comes a second time, because its sender never
 * got our acknowledgement, is acknowledged and not delivered again: within a
 * window of so many messages and so much time, which outlives the process.
 *
 * Who sends something again after a failure that he was told of, means it: what
 * failed is forgotten. Under load the window is written every few milliseconds,
 * without an fsync, or with the transaction of the turn: see docs/reliability.md.
 *
 * Every function takes NULL for the window: then there is none.
 */
#ifndef POOLBRIDGE_ROUTE_DUPLICATES_H
#define POOLBRIDGE_ROUTE_DUPLICATES_H

#include <jansson.h>

#include "bridge/core/hash.h"
#include "bridge/core/loop.h"
#include "bridge/route/fingerprint.h"

struct duplicates;
struct waiting;

/* The first one of its kind, from when it came until it is settled: a part of what its owner keeps for so long. */
struct arrival {
	struct duplicates *window; /* NULL: it is none, or settled */
	struct seen_hash hash;
	uint32_t source;
	bool kept; /* it is in the ring already */
	struct waiting *waiting;
	UT_hash_handle hh;
};

struct duplicates_setup {
	struct loop *loop;
	struct state *state;
	int64_t count;   /* how many are remembered; 0: there is no window, and *out is NULL */
	int64_t time_ms; /* and for how long */
};

/* Reads what the state file remembers. Errors: those of db/seen.h. */
MUST_CHECK enum err duplicates_create(const struct duplicates_setup *setup, struct duplicates **out);
/* What is not written yet joins the state's last transaction. */
void duplicates_destroy(struct duplicates *d);
/* Before each state_commit(). */
void duplicates_flush(struct duplicates *d);

/* For the hashes of requests; NULL: there is no window. */
struct fingerprint *duplicates_fingerprint(const struct duplicates *d);
/* The hashes of a stanza. false: it is none that is looked for. */
bool duplicates_hash(struct duplicates *d, const struct stanza *stanza, const struct jid *from,
		     const struct jid *to, struct seen_hash *out);

enum arrival_kind {
	ARRIVAL_NEW,   /* go on; the arrival is to be settled */
	ARRIVAL_WAITS, /* the first one is under way: done is called when that is settled */
	ARRIVAL_AGAIN  /* the first one has arrived: confirm this one, and drop it */
};
/* What became of the first one, and so of this. */
typedef void arrival_fn(void *ctx, bool confirmed);

/*
 * What comes twice from the same source (a stream's number) was rather said twice than sent again: it
 * counts for a minute only. Source 0 is no source. *out is filled in; it is none but for ARRIVAL_NEW, and where
 * there is no window.
 */
enum arrival_kind duplicates_enter(struct duplicates *d, const struct seen_hash *hash, uint32_t source,
				   arrival_fn *done, void *ctx, struct arrival *out);
/* It goes into the turn's transaction together with the message: to be called before that is written. */
void duplicates_keep(struct arrival *a); /* one that is none is allowed, like below */
/* Its next hop or the spool has it, or its sender the error. */
void duplicates_settle(struct arrival *a, bool confirmed);
/* Its sender is told that it failed after all: he may send it again. */
void duplicates_forget(struct duplicates *d, const struct jid *from, const char *id);

json_t *duplicates_status(const struct duplicates *d); /* {"suppressed", ...}; the caller owns it */

#endif
