/*
 * db.c - transactions on one connection, and its end. Opening is open.c's.
 *
 * What is stored is the business of registry.c, audit.c and ledger.c. No error is
 * fatal here.
 */
#include "db/db.h"

#include <stdlib.h>
#include <unistd.h>

#include "db/open_internal.h"
#include "db/registry_view_internal.h"
#include "db/statement.h"

void db_close(struct db *db)
{
	if (!db)
		return;
	view_free(db);
	statement_free_all(db);
	sqlite3_close(db->handle);
	place_free(db->place);
	if (db->lock >= 0)
		close(db->lock); /* only now: see open.c */
	free(db);
}

void db_set_wait(struct db *db, int ms)
{
	sqlite3_busy_timeout(db->handle, ms);
}

const char *db_error(const struct db *db)
{
	return db->error;
}

enum err db_begin(struct db *db, const char *actor)
{
	struct statement *st;
	enum err e;

	view_release(db);
	e = db_execute(db, "BEGIN IMMEDIATE; DELETE FROM actor");

	if (e == OK) {
		st = statement_open(db, "INSERT INTO actor (name) VALUES (?1)");
		statement_bind_text(st, 1, actor);
		e = statement_run(st, NULL);
	}
	if (e != OK)
		db_rollback(db);
	return e;
}

enum err db_commit(struct db *db)
{
	enum err e = db_execute(db, "DELETE FROM actor; COMMIT");

	if (e != OK)
		db_rollback(db);
	return e;
}

void db_rollback(struct db *db)
{
	/* Not db_execute: the words of the failure that led here are kept. */
	if (!sqlite3_get_autocommit(db->handle))
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

enum err db_scrub(struct db *db)
{
	struct statement *st = statement_open(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	bool done = statement_step(st) && statement_int(st, 0) == 0;

	return statement_close_with(st, done ? OK : ERR_BUSY);
}

enum err db_data_version(struct db *db, int64_t *out)
{
	return statement_run_number(statement_open(db, "PRAGMA data_version"), out);
}

int db_schema_version(const struct db *db)
{
	return db->version;
}
