/*
 * state.c - the one transaction of a turn of the loop, and those who wait for
 * its commit.
 *
 * It knows no tables. A turn that failed stays failed until its commit phase, so
 * that what is written later in the turn cannot survive what was written earlier;
 * then the next turn tries afresh.
 *
 * Fatal: an fsync that fails. The kernel may have dropped what it could not
 * write, and a second fsync would say that all is well.
 */
#include "db/state.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "bridge/core/log.h"
#include "db/open_internal.h"
#include "db/statement.h"

/*
 * Nobody else writes, so a lock is held only by a shell's transaction or a
 * checkpoint of a reader that is just leaving; the whole loop waits for it.
 */
#define BUSY_MS     100
#define LOG_SECONDS 60 /* a full disk is said once in so long */

struct waiter {
	struct waiter *prev, *next;
	uint64_t turn;
	state_done_fn *fn;
	void *ctx;
};

struct state {
	struct db *db;
	bool begun;
	enum err spoiled;       /* OK: the turn's transaction, if any, may be committed */
	struct waiter *waiters; /* in the order of asking */
	uint64_t turn;
	uint64_t unsaid; /* failed turns that the log has not told */
	int64_t logged_at;
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

enum err state_open(const char *path, struct state **out, const char **why)
{
	enum err e = open_as(path, DB_SOLE, out, why);

	if (e == OK)
		sqlite3_busy_timeout((*out)->db->handle, BUSY_MS);
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

enum err state_begin(struct state *s)
{
	if (s->begun || s->spoiled != OK)
		return s->spoiled;
	s->spoiled = db_execute(s->db, "BEGIN IMMEDIATE");
	s->begun = s->spoiled == OK;
	return s->spoiled;
}

enum err state_wrote(struct state *s, enum err e)
{
	if (e == ERR_IO || e == ERR_BUSY)
		s->spoiled = e;
	return e;
}

void state_on_commit(struct state *s, state_done_fn *fn, void *ctx)
{
	struct waiter *w = xmalloc(sizeof(*w));

	*w = (struct waiter){ .turn = s->turn, .fn = fn, .ctx = ctx };
	DL_APPEND(s->waiters, w);
}

void state_forget(struct state *s, const void *ctx)
{
	struct waiter *w, *next;

	DL_FOREACH_SAFE (s->waiters, w, next) {
		if (w->ctx != ctx)
			continue;
		DL_DELETE(s->waiters, w);
		free(w);
	}
}

static int64_t now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void note_loss(struct state *s)
{
	int64_t now = now_seconds();

	s->unsaid++;
	if (s->logged_at != 0 && now - s->logged_at < LOG_SECONDS)
		return;
	log_event(LOG_ERROR, "state-unwritable", NULL, "why=%s times=%llu", log_value(db_error(s->db)),
		  (unsigned long long)s->unsaid);
	s->logged_at = now;
	s->unsaid = 0;
}

static void end_if_unsafe(const struct state *s)
{
	if (s->db->code != SQLITE_IOERR_FSYNC && s->db->code != SQLITE_IOERR_DIR_FSYNC)
		return;
	log_event(LOG_ERROR, "state-not-on-disk", NULL, "why=%s", log_value(db_error(s->db)));
	_exit(1);
}

static enum err end_transaction(struct state *s)
{
	enum err e = s->spoiled;

	if (s->begun && e == OK) {
		e = db_execute(s->db, "COMMIT");
		if (e != OK)
			end_if_unsafe(s);
	}
	if (e != OK) {
		db_rollback(s->db);
		note_loss(s);
	}
	s->begun = false;
	s->spoiled = OK;
	return e;
}

/* What a callback writes or asks for belongs to the next turn. It may make others be forgotten. */
bool state_commit(struct state *s)
{
	enum err e = end_transaction(s);
	bool told = s->waiters != NULL;

	s->turn++;
	while (s->waiters && s->waiters->turn != s->turn) {
		struct waiter *first = s->waiters, w = *first;

		DL_DELETE(s->waiters, first);
		free(first);
		w.fn(w.ctx, e);
	}
	return told;
}

void state_close(struct state *s)
{
	struct waiter *w, *next;

	if (!s)
		return;
	(void)end_transaction(s);
	DL_FOREACH_SAFE (s->waiters, w, next) {
		DL_DELETE(s->waiters, w);
		free(w);
	}
	db_close(s->db);
	free(s);
}
