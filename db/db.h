/*
 * db.h - one SQLite connection to the registry file: opening, migrating,
 * transactions. db/ is the only caller of SQLite; its types stay there. The
 * daemon's own memory is another file: state.h.
 *
 * The file is in WAL mode, so the daemon reads while poolbridgectl writes.
 * Migrations are the numbered files of schema/, compiled in; PRAGMA
 * user_version says how far a file has come.
 */
#ifndef POOLBRIDGE_DB_DB_H
#define POOLBRIDGE_DB_DB_H

#include "bridge/core/base.h"

struct db;

/*
 * Open, making and migrating the file where needed, each migration in one
 * transaction. ERR_VERSION: the file is from a newer program. ERR_IO: it cannot
 * be opened, is no database, is corrupt or read-only. *why (static buffer)
 * names the file and says in words what is wrong and how to mend it.
 */
MUST_CHECK enum err db_open(const char *path, struct db **out, const char **why);
void db_close(struct db *db); /* NULL is allowed */

/*
 * How long a lock of another program is waited for; 5 s from db_open(). Whoever must not stand still for so
 * long sets less.
 */
void db_set_wait(struct db *db, int ms);

/* The words for the last failure on this connection. */
const char *db_error(const struct db *db);
/* What to do about it, in words; "" for an error that has none. */
const char *db_mend(const struct db *db, enum err e);
/* It was a sync that failed: whether the transaction is there after a crash, nobody knows. */
bool db_is_uncertain(const struct db *db);

/*
 * Writing: BEGIN IMMEDIATE, with the actor that the audit triggers record
 * until the transaction ends. ERR_BUSY after the busy time-out (5 s).
 */
MUST_CHECK enum err db_begin(struct db *db, const char *actor);
MUST_CHECK enum err db_commit(struct db *db);
void db_rollback(struct db *db);

/*
 * Whether the file, and those beside it, are still where they were opened. ERR_IO: they were moved, removed or
 * replaced, and until this finds them there again everything else fails likewise.
 */
MUST_CHECK enum err db_check_place(struct db *db);

/*
 * What was deleted is in none of the file's pages any more (secure_delete); now the log beside it is
 * emptied, too. ERR_BUSY: another program reads just now, and keeps the log alive.
 */
MUST_CHECK enum err db_scrub(struct db *db);

/* Changes whenever another connection has committed (PRAGMA data_version). */
MUST_CHECK enum err db_data_version(struct db *db, int64_t *out);
int db_schema_version(const struct db *db);

#endif
