/*
 * state.h - the state file: what the daemon itself must remember over a restart,
 * apart from the registry, so that a long import there never delays a commit here.
 *
 * One transaction a turn of the loop: the first write begins it, state_commit(),
 * a hook of LOOP_COMMIT, ends it with one fsync. Who may send only what is on
 * disk asks to be told, and sends from the callback:
 *
 *	e = ledger_put(ledger, &key, &entry);
 *	if (e == OK)
 *		state_on_commit(state, send_it, what);
 *
 * The tables are their modules' business (db/ledger.h).
 */
#ifndef POOLBRIDGE_DB_STATE_H
#define POOLBRIDGE_DB_STATE_H

#include "db/db.h"

struct state;

/*
 * The daemon's: made and migrated where needed, and locked as long as it is open,
 * so that it has one writer. ERR_BUSY: another daemon has it. Else as db_open().
 */
MUST_CHECK enum err state_open(const char *path, struct state **out, const char **why);
/* For looking only, beside a daemon or without one. ERR_NOT_FOUND: no daemon has made it yet. */
MUST_CHECK enum err state_open_reader(const char *path, struct state **out, const char **why);
/* Commits what is open. Callbacks that are still waiting are not called: who asked is gone by then. */
void state_close(struct state *s); /* NULL is allowed */

/* For the modules that have tables in the file. */
struct db *state_db(struct state *s);
/* Why nothing can be written now, as of the last turn that tried; "": it can. */
const char *state_trouble(const struct state *s);

/*
 * Before every write; begins the turn's transaction when it has none. Once
 * something has spoiled it, all further writes of the turn get that error.
 */
MUST_CHECK enum err state_begin(struct state *s);
/*
 * The same for what may be lost with the machine, but not with the process: a turn that writes nothing
 * else is committed without an fsync. One that does is committed as ever.
 */
MUST_CHECK enum err state_begin_unsynced(struct state *s);
bool state_has_begun(const struct state *s); /* a transaction, in this turn */
/*
 * Every write's result passes through here and is returned: a failing database spoils the turn's
 * transaction, for SQLite may have undone all of it; a refused row does not.
 */
MUST_CHECK enum err state_wrote(struct state *s, enum err e);

/*
 * Called once, in the commit phase of this turn, with OK when all that was written so far is on
 * disk; else with the error, and then nothing that was written in this turn is.
 */
typedef void state_done_fn(void *ctx, enum err e);
void state_on_commit(struct state *s, state_done_fn *fn, void *ctx);
/*
 * Called at the end of each turn, until state_forget(), before those who asked and with the same: whoever keeps in memory
 * what is in the file brings it up to date before anybody looks at it. It changes nothing in the file.
 */
void state_follow(struct state *s, state_done_fn *fn, void *ctx);
/* Not to be called for this ctx any more: it is about to be freed. */
void state_forget(struct state *s, const void *ctx);

/*
 * Commit, then tell. True when somebody was told: what he began may need another
 * turn soon. A failed commit is logged, and so is the first one that succeeds again; a failed fsync
 * ends the process, because nobody knows then what is on disk.
 */
bool state_commit(struct state *s);

/* As db_scrub(), between transactions; a failed fsync ends the process here, too. */
MUST_CHECK enum err state_scrub(struct state *s);
#endif
