/*
 * migrate.c - numbered migrations, and whose file it is.
 *
 * PRAGMA user_version counts the migrations that a file has had; PRAGMA
 * application_id says what it is for, so that a path that names another program's
 * database by mistake, or our state file for the registry, is refused instead of
 * filled with tables.
 * Two programs may open a new file at the same moment: the version is read again
 * inside the transaction, so that the second one finds the work done.
 *
 * Errors leave the file as the last whole migration left it.
 */
#include "db/migrate.h"

#include <stdio.h>

#include "db/statement.h"

/* The numbers are "pbrg" and "pbst", big-endian. */
const struct db_kind db_registry = { "registry", "registry", 0x70627267, &registry_schema };
const struct db_kind db_state = { "state file", "state", 0x70627374, &state_schema };

static enum err read_number(struct db *db, const char *sql, int64_t *out)
{
	return statement_run_number(statement_open(db, sql), out);
}

static enum err read_version(struct db *db)
{
	int64_t version = 0;
	enum err e = read_number(db, "PRAGMA user_version", &version);

	if (e == OK)
		db->version = (int)version;
	return e;
}

static const char *what_it_is(int64_t application)
{
	if (application == db_registry.application_id)
		return "a poolbridge registry";
	if (application == db_state.application_id)
		return "a poolbridge state file";
	return "a database of another program";
}

enum err migrate_check(struct db *db)
{
	const struct db_kind *kind = db->kind;
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
	if (application != kind->application_id && (application != 0 || tables > 0 || db->version != 0)) {
		snprintf(db->error, sizeof(db->error), "is %s, not a %s", what_it_is(application),
			 kind->name);
		return ERR_REFUSED;
	}
	if (db->version > kind->schema->count) {
		snprintf(db->error, sizeof(db->error),
			 "has schema %d, and this program knows schemas up to %d", db->version,
			 kind->schema->count);
		return ERR_VERSION;
	}
	return OK;
}

static enum err apply_next(struct db *db)
{
	const struct schema *schema = db->kind->schema;
	char sql[96];
	enum err e = db_execute(db, "BEGIN IMMEDIATE");

	if (e != OK)
		return e;
	e = read_version(db);
	if (e == OK && db->version < schema->count) {
		e = db_execute(db, schema->migrations[db->version].sql);
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			 db->kind->application_id, db->version + 1);
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

	while (e == OK && db->version < db->kind->schema->count)
		e = apply_next(db);
	return e;
}
