/*
 * move.c - the table moving, and the end of a move that takes too long.
 *
 * Only ends are written here: a change of the user's row, which the audit has and
 * upon which the triggers clear the table. Who was not listed before leaves the
 * list, unless he is denied XMPP, which only a row can say: he gets the mark that
 * his domain's default means.
 *
 * Times are the registry's, in UTC: a clock that is set changes what is left of a
 * move. Owns nothing; no error is fatal.
 */
#include "db/move.h"

#include <stdio.h>
#include <stdlib.h>

#include "db/row.h"

#define TIME "'%Y-%m-%dT%H:%M:%fZ'"
/* ?1 is the limit, as SQLite adds it to a time. */
#define COLUMNS                                                                                              \
	"moving.address, since, strftime(" TIME ", since, '+' || ?1), "                                      \
	"CASE WHEN was IS NOT NULL THEN was WHEN " ROW_IS_TRUE(                                              \
		"user.xmpp_access") " THEN NULL "                                                            \
				    "WHEN unlisted = 'migrated' OR phase = 'migrated' THEN 'migrated' "      \
				    "ELSE 'legacy' END"
#define TABLES                                                                                               \
	" FROM moving JOIN user ON user.address = moving.address JOIN domain ON domain.name = user.domain "
#define OVERDUE " since <= strftime(" TIME ", 'now', '-' || ?1) "

enum { LIMIT_SIZE = 48 };

static const char *limit_text(int64_t limit_ms, char text[LIMIT_SIZE])
{
	snprintf(text, LIMIT_SIZE, "%lld.%03lld seconds", (long long)(limit_ms / 1000),
		 (long long)(limit_ms % 1000));
	return text;
}

static enum err read_move(struct db *db, struct statement *st, struct move *out)
{
	struct move m = { .address = statement_text(st, 0),
			  .since = statement_text(st, 1),
			  .until = statement_text(st, 2) };
	const char *mark = statement_text(st, 3);

	m.listed = mark != NULL;
	/* A time that cannot be counted from has been written by hand. */
	if (m.until == NULL || (mark != NULL && mark_parse(mark, &m.mark) != OK))
		return row_damaged(db, "moving", m.address);
	*out = m;
	return OK;
}

enum err move_find(struct db *db, const char *address, int64_t limit_ms, move_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(db, "SELECT " COLUMNS TABLES "WHERE moving.address = ?2 AND mark = 'moving'");
	char limit[LIMIT_SIZE];
	enum err e = ERR_NOT_FOUND;
	struct move m;

	statement_bind_text(st, 1, limit_text(limit_ms, limit));
	statement_bind_text(st, 2, address);
	if (statement_step(st))
		e = read_move(db, st, &m);
	if (e == OK)
		fn(ctx, &m);
	return statement_close_with(st, e);
}

enum err move_count(struct db *db, int64_t limit_ms, struct move_counts *out)
{
	struct statement *st = statement_open(
		db, "SELECT count(*), (SELECT count(*) FROM moving WHERE" OVERDUE ") FROM moving");
	struct move_counts counts = { 0, 0 };
	char limit[LIMIT_SIZE];
	enum err e;

	statement_bind_text(st, 1, limit_text(limit_ms, limit));
	if (statement_step(st))
		counts = (struct move_counts){ statement_int(st, 0), statement_int(st, 1) };
	e = statement_close(st);
	if (e == OK)
		*out = counts;
	return e;
}

static enum err put_back(struct db *db, const struct move *m)
{
	struct statement *st =
		m->listed ? statement_open(db, "UPDATE user SET mark = ?2 "
					       "WHERE address = ?1 AND mark = 'moving'")
			  : statement_open(db, "DELETE FROM user WHERE address = ?1 AND mark = 'moving'");

	statement_bind_text(st, 1, m->address);
	if (m->listed)
		statement_bind_text(st, 2, mark_name(m->mark));
	return statement_run_on_row(st);
}

/* ERR_NOT_FOUND: there is none. */
static enum err end_first(struct db *db, const char *limit, move_fn *fn, void *ctx)
{
	struct statement *st = statement_open(db, "SELECT " COLUMNS TABLES "WHERE mark = 'moving' AND" OVERDUE
						  "ORDER BY since LIMIT 1");
	enum err e = ERR_NOT_FOUND;
	struct move m;

	statement_bind_text(st, 1, limit);
	if (statement_step(st))
		e = read_move(db, st, &m);
	if (e == OK)
		e = put_back(db, &m);
	if (e == OK)
		fn(ctx, &m);
	return statement_close_with(st, e);
}

enum err move_end_overdue(struct db *db, int64_t limit_ms, unsigned most, move_fn *fn, void *ctx)
{
	char limit[LIMIT_SIZE];
	enum err e = OK;

	limit_text(limit_ms, limit);
	for (unsigned i = 0; e == OK && i < most; i++)
		e = end_first(db, limit, fn, ctx);
	return e == ERR_NOT_FOUND ? OK : e;
}
