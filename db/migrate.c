/*
 * migrate.c - numbered migrations, and whose file it is.
 *
 * PRAGMA user_version counts the migrations that a file has had; PRAGMA
 * application_id marks it as a registry, so that a path that names another
 * program's database by mistake is refused instead of filled with our tables.
 * Two programs may open a new file at the same moment: the version is read again
 * inside the transaction, so that the second one finds the work done.
 *
 * Errors leave the file as the last whole migration left it.
 */
#include "db/migrate.h"

#include <stdio.h>

#include "db/schema.h"
#include "db/statement.h"

/* "pbrg" as a big-endian number. */
#define APPLICATION_ID 0x70627267

static enum err read_number(struct db *db, const char *sql, int64_t *out)
{
	struct statement *st = statement_open(db, sql);

	if (statement_step(st))
		*out = statement_int(st, 0);
	return statement_close(st);
}

static enum err read_version(struct db *db)
{
	int64_t version = 0;
	enum err e = read_number(db, "PRAGMA user_version", &version);

	if (e == OK)
		db->version = (int)version;
	return e;
}

enum err migrate_check(struct db *db)
{
	int64_t application = 0, tables = 0;
	enum err e = db_execute(db, "BEGIN"); /* one view of the file for all three */

	if (e == OK)
		e = read_number(db, "PRAGMA application_id", &application);
	if (e == OK)
		e = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (e == OK)
		e = read_version(db);
	db_rollback(db);
	if (e != OK)
		return e;
	if (application != APPLICATION_ID && (application != 0 || tables > 0 || db->version != 0)) {
		snprintf(db->error, sizeof(db->error), "is a database of another program");
		return ERR_REFUSED;
	}
	if (db->version > migration_count) {
		snprintf(db->error, sizeof(db->error),
			 "has schema %d, and this program knows schemas up to %d", db->version,
			 migration_count);
		return ERR_VERSION;
	}
	return OK;
}

static enum err apply_next(struct db *db)
{
	char sql[96];
	enum err e = db_execute(db, "BEGIN IMMEDIATE");

	if (e != OK)
		return e;
	e = read_version(db);
	if (e == OK && db->version < migration_count) {
		e = db_execute(db, migrations[db->version].sql);
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			 APPLICATION_ID, db->version + 1);
		if (e == OK)
			e = db_execute(db, sql);
	}
	if (e == OK)
		e = db_execute(db, "COMMIT");
	if (e == OK)
		e = read_version(db);
	else
		db_rollback(db);
	return e;
}

enum err migrate(struct db *db)
{
	enum err e = OK;

	while (e == OK && db->version < migration_count)
		e = apply_next(db);
	return e;
}
