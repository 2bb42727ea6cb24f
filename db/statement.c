/*
 * statement.c - prepared statements: found by the address of their text,
 * prepared at first use, reset and kept afterwards.
 *
 * A statement that is still being walked (a callback of a list that asks again)
 * is busy, and a second one is prepared beside it. The connection owns them all
 * and frees them when it is closed. What SQLite answers becomes an enum err
 * here and nowhere else.
 *
 * Fatal: out of memory, as everywhere.
 */
#include "db/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

struct statement {
	struct statement *next;
	struct db *db;
	sqlite3_stmt *handle;
	const char *sql;
	bool busy;
	enum err result;
};

static enum err class_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	case SQLITE_CONSTRAINT:
		return rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE ? ERR_EXISTS
											    : ERR_REFUSED;
	default:
		return ERR_IO;
	}
}

/* The name of a CHECK constraint is a sentence of ours: it needs no introduction. */
static const char *own_words(const char *message)
{
	static const char check[] = "CHECK constraint failed: ";

	return strncmp(message, check, sizeof(check) - 1) == 0 ? message + sizeof(check) - 1 : message;
}

enum err db_result(struct db *db, int rc)
{
	enum err e = class_of(rc);

	if (rc == SQLITE_NOMEM)
		abort();
	if (e != OK) {
		int system = e == ERR_IO ? sqlite3_system_errno(db->handle) : 0;

		db->code = rc;
		db->system = system;
		snprintf(db->error, sizeof(db->error), "%s%s%s%s", own_words(sqlite3_errmsg(db->handle)),
			 system ? " (" : "", system ? strerror(system) : "", system ? ")" : "");
	}
	return e;
}

struct statement *statement_open(struct db *db, const char *sql)
{
	struct statement *st;

	LL_FOREACH (db->statements, st)
		if (st->sql == sql && !st->busy)
			break;
	if (!st) {
		st = xcalloc(1, sizeof(*st));
		st->db = db;
		st->sql = sql;
		LL_PREPEND(db->statements, st);
	}
	st->busy = true;
	st->result = db->gone != NULL ? place_error(db) : OK;
	if (st->result == OK && !st->handle)
		st->result = db_result(db, sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
							      &st->handle, NULL));
	return st;
}

void statement_bind_text(struct statement *st, int index, const char *text)
{
	if (st->result == OK)
		st->result = db_result(st->db, sqlite3_bind_text(st->handle, index, text, -1, SQLITE_STATIC));
}

void statement_bind_int(struct statement *st, int index, int64_t value)
{
	if (st->result == OK)
		st->result = db_result(st->db, sqlite3_bind_int64(st->handle, index, value));
}

void statement_bind_blob(struct statement *st, int index, const void *bytes, size_t size)
{
	if (st->result == OK)
		st->result =
			db_result(st->db, sqlite3_bind_blob64(st->handle, index, bytes, size, SQLITE_STATIC));
}

bool statement_step(struct statement *st)
{
	int rc;

	if (st->result != OK)
		return false;
	rc = sqlite3_step(st->handle);
	st->result = db_result(st->db, rc);
	return rc == SQLITE_ROW;
}

const char *statement_text(struct statement *st, int column)
{
	return (const char *)sqlite3_column_text(st->handle, column);
}

const void *statement_blob(struct statement *st, int column, size_t *size)
{
	const void *bytes = sqlite3_column_blob(st->handle, column);

	*size = (size_t)sqlite3_column_bytes(st->handle, column);
	return bytes;
}

int64_t statement_int(struct statement *st, int column)
{
	return sqlite3_column_int64(st->handle, column);
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

enum err statement_close(struct statement *st)
{
	if (st->handle) {
		/* Repeats the failure of the last step, which is in st->result already. */
		(void)sqlite3_reset(st->handle);
		(void)sqlite3_clear_bindings(st->handle);
	}
	st->busy = false;
	return st->result;
}

enum err statement_close_with(struct statement *st, enum err e)
{
	enum err closed = statement_close(st);

	return closed != OK ? closed : e;
}

enum err statement_run(struct statement *st, int64_t *changes)
{
	while (statement_step(st))
		continue;
	if (st->result == OK && changes)
		*changes = sqlite3_changes64(st->db->handle);
	return statement_close(st);
}

enum err statement_run_on_row(struct statement *st)
{
	int64_t changes = 0;
	enum err e = statement_run(st, &changes);

	return e == OK && changes == 0 ? ERR_NOT_FOUND : e;
}

enum err statement_run_number(struct statement *st, int64_t *out)
{
	int64_t number = 0;
	enum err e;

	if (statement_step(st))
		number = statement_int(st, 0);
	e = statement_close(st);
	if (e == OK)
		*out = number;
	return e;
}

enum err db_execute(struct db *db, const char *sql)
{
	if (db->gone != NULL)
		return place_error(db);
	return db_result(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

void statement_free_all(struct db *db)
{
	struct statement *st, *next;

	LL_FOREACH_SAFE (db->statements, st, next) {
		sqlite3_finalize(st->handle);
		free(st);
	}
	db->statements = NULL;
}
