/*
 * statement.h - prepared statements and the one place that reads SQLite's
 * results. Internal to db/.
 *
 * A failure sticks to the statement: bind and step do nothing any more, and
 * statement_close() reports it. So a caller is straight-line code:
 *
 *	struct statement *st = statement_open(db, sql);
 *	statement_bind_text(st, 1, name);
 *	if (statement_step(st))
 *		... statement_text(st, 0) ...
 *	return statement_close(st);
 */
#ifndef POOLBRIDGE_DB_STATEMENT_H
#define POOLBRIDGE_DB_STATEMENT_H

#include <sqlite3.h>

#include "db/db.h"

struct statement;
struct db_kind;
struct place;
struct registry_view;

struct db {
	const struct db_kind *kind;
	sqlite3 *handle;
	int lock;                     /* a descriptor that keeps other writers out; -1: they are welcome */
	struct statement *statements; /* prepared once, kept */
	struct registry_view *view;   /* NULL: every row is read anew */
	struct place *place;
	const char *gone; /* the one of its files that is not there any more; NULL: all are */
	int version;
	int code;   /* of the last failure, as SQLite counts, and its words */
	int system; /* errno of the last failure, where it was one of the system; else 0 */
	char error[1024];
};

/* A result of SQLite as ours; a failure's words are kept for db_error(). */
enum err db_result(struct db *db, int rc);

/* The error of a connection whose file has gone (db->gone). */
enum err place_error(struct db *db);

/* sql is a constant: its address is the key under which the statement is kept. */
struct statement *statement_open(struct db *db, const char *sql);
/* Parameters count from 1 and are borrowed until the statement is closed; NULL is SQL's NULL. */
void statement_bind_text(struct statement *st, int index, const char *text);
void statement_bind_blob(struct statement *st, int index, const void *bytes, size_t size);
void statement_bind_int(struct statement *st, int index, int64_t value);
bool statement_step(struct statement *st); /* true: there is a row */
/* Columns count from 0; a text is valid until the next step. */
const char *statement_text(struct statement *st, int column);
const void *statement_blob(struct statement *st, int column, size_t *size); /* as statement_text() */
int64_t statement_int(struct statement *st, int column);
MUST_CHECK enum err statement_close(struct statement *st);
/* The same, with the caller's own result for the case that the statement has none to report. */
MUST_CHECK enum err statement_close_with(struct statement *st, enum err e);

/* All steps, then close. *changes may be NULL: the rows that the statement itself changed. */
MUST_CHECK enum err statement_run(struct statement *st, int64_t *changes);
/* The same for a change that must meet a row: ERR_NOT_FOUND when it met none. */
MUST_CHECK enum err statement_run_on_row(struct statement *st);

/* The first column of the only row; without a row 0. *out is untouched on failure. */
MUST_CHECK enum err statement_run_number(struct statement *st, int64_t *out);

/* The number that the last INSERT of this connection was given. */
int64_t db_last_id(const struct db *db);

/* Statements that are used once. */
MUST_CHECK enum err db_execute(struct db *db, const char *sql);

void statement_free_all(struct db *db);

#endif
