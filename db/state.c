/*
 * state.c - the one transaction of a turn of the loop, and those who wait for
 * its commit.
 *
 * It knows no tables. A turn that failed stays failed until its commit phase, so
 * that what is written later in the turn cannot survive what was written earlier;
 * then the next turn tries afresh.
 *
 * Committed is what is in the log beside the file (-wal) and synced. From there
 * it is copied to the file, a checkpoint, every so many pages; by this module,
 * for SQLite's own would not say what went wrong.
 *
 * Fatal: an fsync that fails. The kernel may have dropped what it could not
 * write, and a second fsync would say that all is well. The next start writes
 * anew what this process wrote (open.c).
 */
#include "db/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "bridge/core/log.h"
#include "db/open_internal.h"
#include "db/statement.h"

/*
 * Nobody else writes, so a lock is held only by a shell's transaction, or by the
 * checkpoint of a reader that is just leaving. The whole loop waits for it, so it
 * waits once; until a turn succeeds again, those that follow only look.
 */
#define BUSY_MS     100
#define LOG_SECONDS 60 /* what fails again and again is said once in so long */

enum {
	CHECKPOINT_PAGES = 1000,
	LOG_PAGES_MAX = 16384 /* 64 MiB: somebody reads for so long that the log cannot be begun anew */
};

struct waiter {
	struct waiter *prev, *next;
	uint64_t turn;
	state_done_fn *fn;
	void *ctx;
};

struct state {
	struct db *db;
	bool begun;
	bool unsynced;          /* the transaction is committed without an fsync */
	enum err spoiled;       /* OK: the turn's transaction, if any, may be committed */
	struct waiter *waiters; /* in the order of asking */
	struct waiter *followers;
	uint64_t turn;
	char trouble[256]; /* why the last turn that wrote something failed; "": it did not */
	uint64_t unsaid;   /* failed turns that the log has not told */
	int64_t logged_at;
	int pages, copied; /* in the log; as of the last checkpoint */
	int64_t checkpoint_logged_at;
};

static enum err open_as(const char *path, enum db_mode mode, struct state **out, const char **why)
{
	struct db *db;
	enum err e = db_open_as(&db_state, mode, path, &db, why);

	if (e != OK)
		return e;
	*out = xcalloc(1, sizeof(**out));
	(*out)->db = db;
	return OK;
}

static int note_pages(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct state *s = ctx;

	(void)handle;
	(void)name;
	s->pages = pages;
	return SQLITE_OK;
}

enum err state_open(const char *path, struct state **out, const char **why)
{
	enum err e = open_as(path, DB_SOLE, out, why);

	if (e == OK) {
		db_set_wait((*out)->db, BUSY_MS);
		sqlite3_wal_hook((*out)->db->handle, note_pages, *out);
	}
	return e;
}

enum err state_open_reader(const char *path, struct state **out, const char **why)
{
	return open_as(path, DB_READER, out, why);
}

struct db *state_db(struct state *s)
{
	return s->db;
}

const char *state_trouble(const struct state *s)
{
	return s->trouble;
}

static void end_if_unsafe(const struct state *s)
{
	if (!db_is_uncertain(s->db))
		return;
	log_event(LOG_ERROR, "state-not-on-disk", NULL, "why=%s", log_value(db_error(s->db)));
	_exit(1);
}

/* Not within a transaction: SQLite refuses that. */
static enum err set_synced(struct state *s, bool synced)
{
	enum err e;

	if (s->unsynced == !synced)
		return OK;
	e = db_execute(s->db, synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
	if (e == OK)
		s->unsynced = !synced;
	return e;
}

/* What is promised by a file that the next start will not find is not kept. */
static enum err begin(struct state *s, bool synced)
{
	enum err e = OK;

	db_rollback(s->db); /* nothing, unless the last one failed as well */
	if (synced || s->db->gone != NULL)
		e = db_check_place(s->db);
	if (e == OK)
		e = set_synced(s, synced);
	if (e == OK)
		e = db_execute(s->db, "BEGIN IMMEDIATE");
	if (e == ERR_BUSY)
		db_set_wait(s->db, 0);
	return e;
}

/*
 * A read that fails makes SQLite undo the transaction, too, and then every further write would be one of
 * its own.
 */
static void notice_undone(struct state *s)
{
	if (s->begun && s->spoiled == OK && sqlite3_get_autocommit(s->db->handle))
		s->spoiled = ERR_IO;
}

static enum err begin_turn(struct state *s, bool synced)
{
	notice_undone(s);
	if (s->begun && synced && s->unsynced && s->spoiled == OK) {
		s->spoiled = db_execute(s->db, "COMMIT");
		s->begun = s->spoiled != OK;
		if (s->spoiled != OK)
			end_if_unsafe(s);
	}
	if (s->begun || s->spoiled != OK)
		return s->spoiled;
	s->spoiled = begin(s, synced);
	s->begun = s->spoiled == OK;
	return s->spoiled;
}

enum err state_begin(struct state *s)
{
	return begin_turn(s, true);
}

enum err state_begin_unsynced(struct state *s)
{
	return begin_turn(s, false);
}

bool state_has_begun(const struct state *s)
{
	return s->begun;
}

enum err state_wrote(struct state *s, enum err e)
{
	if (e == ERR_IO)
		end_if_unsafe(s);
	if (e == ERR_IO || e == ERR_BUSY)
		s->spoiled = e;
	return e;
}

static void append(struct waiter **list, struct waiter waiter)
{
	struct waiter *w = xmalloc(sizeof(*w));

	*w = waiter;
	DL_APPEND(*list, w);
}

void state_on_commit(struct state *s, state_done_fn *fn, void *ctx)
{
	append(&s->waiters, (struct waiter){ .turn = s->turn, .fn = fn, .ctx = ctx });
}

void state_follow(struct state *s, state_done_fn *fn, void *ctx)
{
	append(&s->followers, (struct waiter){ .fn = fn, .ctx = ctx });
}

/* ctx NULL: all of them. */
static void forget(struct waiter **list, const void *ctx)
{
	struct waiter *w, *next;

	DL_FOREACH_SAFE (*list, w, next) {
		if (ctx != NULL && w->ctx != ctx)
			continue;
		DL_DELETE(*list, w);
		free(w);
	}
}

void state_forget(struct state *s, const void *ctx)
{
	forget(&s->waiters, ctx);
	forget(&s->followers, ctx);
}

static int64_t now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Whether it is time to log it again. */
static bool is_due(int64_t *logged_at)
{
	int64_t now = now_seconds();

	if (*logged_at != 0 && now - *logged_at < LOG_SECONDS)
		return false;
	*logged_at = now;
	return true;
}

static void note_loss(struct state *s, enum err e)
{
	const char *why = db_error(s->db);

	snprintf(s->trouble, sizeof(s->trouble), "%s", why[0] != '\0' ? why : err_text(e));
	s->unsaid++;
	if (!is_due(&s->logged_at))
		return;
	log_event(LOG_ERROR, "state-unwritable", NULL, "why=%s times=%llu hint=%s", log_value(s->trouble),
		  (unsigned long long)s->unsaid,
		  log_value("messages that must wait are refused; see to the disk of the state file, "
			    "or end the program that keeps it locked"));
	s->unsaid = 0;
}

static void note_recovery(struct state *s)
{
	if (s->trouble[0] == '\0')
		return;
	log_event(LOG_NOTICE, "state-writable-again", NULL, NULL);
	s->trouble[0] = '\0';
	s->logged_at = 0;
	s->unsaid = 0;
	db_set_wait(s->db, BUSY_MS);
}

static enum err end_transaction(struct state *s)
{
	enum err e;

	notice_undone(s);
	e = s->spoiled;
	if (s->begun && e == OK) {
		e = db_execute(s->db, "COMMIT");
		if (e != OK)
			end_if_unsafe(s);
		else
			note_recovery(s);
	}
	if (e != OK) {
		db_rollback(s->db);
		note_loss(s, e);
	}
	s->begun = false;
	s->spoiled = OK;
	return e;
}

/*
 * One that fails leaves all in the log, and is tried again some pages later. What cannot be copied because
 * it is being read is no failure.
 */
static void checkpoint(struct state *s)
{
	int rc;

	if (s->pages < s->copied)
		s->copied = 0; /* the log was begun anew */
	if (s->pages - s->copied < CHECKPOINT_PAGES)
		return;
	s->copied = s->pages;
	rc = sqlite3_wal_checkpoint_v2(s->db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (db_result(s->db, rc) == ERR_IO) {
		end_if_unsafe(s);
		if (is_due(&s->checkpoint_logged_at))
			log_event(LOG_ERROR, "state-checkpoint-failed", NULL, "why=%s pages=%d",
				  log_value(db_error(s->db)), s->pages);
	} else if (s->pages > LOG_PAGES_MAX && is_due(&s->checkpoint_logged_at)) {
		log_event(LOG_WARNING, "state-log-grows", NULL, "pages=%d hint=%s", s->pages,
			  log_value("a program has been reading the state file for long; end it"));
	}
}

/* What a callback writes or asks for belongs to the next turn. It may make others be forgotten. */
bool state_commit(struct state *s)
{
	enum err e = end_transaction(s);
	bool told = s->waiters != NULL;
	struct waiter *f;

	checkpoint(s);
	s->turn++;
	DL_FOREACH (s->followers, f)
		f->fn(f->ctx, e);
	while (s->waiters && s->waiters->turn != s->turn) {
		struct waiter *first = s->waiters, w = *first;

		DL_DELETE(s->waiters, first);
		free(first);
		w.fn(w.ctx, e);
	}
	return told;
}

enum err state_scrub(struct state *s)
{
	enum err e = db_scrub(s->db);

	if (e != OK)
		end_if_unsafe(s);
	return e;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	(void)end_transaction(s);
	forget(&s->waiters, NULL);
	forget(&s->followers, NULL);
	db_close(s->db);
	free(s);
}
