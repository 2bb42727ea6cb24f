/*
 * audit.c - the entries that the schema's triggers wrote, and their undoing.
 *
 * An entry holds the whole row before and after as JSON. Undoing compares the
 * row as it is now with what the entry left, byte for byte, and only then puts
 * back what was before; so a later change is never overwritten unseen. Both go
 * through the view "present", which knows each table's columns. The undoing is
 * an ordinary change: the triggers audit it as well.
 *
 * Nothing here writes to the table audit itself, but for erasing.
 */
#include "db/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/statement.h"

enum err audit_each(struct db *db, const struct audit_filter *filter,
		    bool (*fn)(void *ctx, const struct audit_entry *e), void *ctx)
{
	struct statement *st = statement_open(
		db, "SELECT * FROM (SELECT id, at, actor, object, key, before, after FROM audit "
		    "WHERE id > ?1 AND (?2 IS NULL OR at >= rtrim(?2, 'Z')) "
		    "AND (?3 IS NULL OR object = ?3) AND (?4 IS NULL OR key = ?4) "
		    "ORDER BY id DESC LIMIT ?5) ORDER BY id");

	statement_bind_int(st, 1, filter->after_id);
	statement_bind_text(st, 2, filter->since);
	statement_bind_text(st, 3, filter->object);
	statement_bind_text(st, 4, filter->key);
	statement_bind_int(st, 5, filter->limit ? (int64_t)filter->limit : -1);
	while (statement_step(st)) {
		struct audit_entry e = {
			.id = statement_int(st, 0),
			.at = statement_text(st, 1),
			.actor = statement_text(st, 2),
			.object = statement_text(st, 3),
			.key = statement_text(st, 4),
			.before = statement_text(st, 5),
			.after = statement_text(st, 6),
		};
		if (!fn(ctx, &e))
			break;
	}
	return statement_close(st);
}

enum err audit_last(struct db *db, int64_t *out)
{
	struct statement *st =
		statement_open(db, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'");

	return statement_run_number(st, out);
}

/* What an undoing needs to know; the strings are owned. */
struct undoing {
	int64_t id;
	char *object, *before, *after;
	char *key; /* the row's name since the entry: another one than before when it was renamed */
	char *now; /* the row as it is */
};

static void undoing_free(struct undoing *u)
{
	free(u->object);
	free(u->before);
	free(u->after);
	free(u->key);
	free(u->now);
}

static char *copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static enum err read_entry(struct db *db, struct undoing *u)
{
	struct statement *st = statement_open(
		db, "SELECT object, before, after, coalesce(json_extract(after, CASE object "
		    "WHEN 'user' THEN '$.address' WHEN 'alias' THEN '$.alias' ELSE '$.name' END), key) "
		    "FROM audit WHERE id = ?1");
	enum err e = ERR_NOT_FOUND;

	statement_bind_int(st, 1, u->id);
	if (statement_step(st)) {
		u->object = copy_of(statement_text(st, 0));
		u->before = copy_of(statement_text(st, 1));
		u->after = copy_of(statement_text(st, 2));
		u->key = copy_of(statement_text(st, 3));
		e = OK;
	}
	return statement_close_with(st, e);
}

static enum err read_now(struct db *db, struct undoing *u)
{
	struct statement *st = statement_open(db, "SELECT row FROM present WHERE object = ?1 AND key = ?2");

	statement_bind_text(st, 1, u->object);
	statement_bind_text(st, 2, u->key);
	if (statement_step(st))
		u->now = copy_of(statement_text(st, 0));
	return statement_close(st);
}

static bool is_as_left(const struct undoing *u)
{
	return u->now && u->after ? strcmp(u->now, u->after) == 0 : u->now == u->after;
}

static enum err put_back(struct db *db, const struct undoing *u)
{
	struct statement *st;

	if (!u->after)
		st = statement_open(db, "INSERT INTO present (object, key, row) VALUES (?1, ?2, ?3)");
	else if (!u->before)
		st = statement_open(db, "DELETE FROM present WHERE object = ?1 AND key = ?2");
	else
		st = statement_open(db, "UPDATE present SET row = ?3 WHERE object = ?1 AND key = ?2");
	statement_bind_text(st, 1, u->object);
	statement_bind_text(st, 2, u->key);
	if (u->before)
		statement_bind_text(st, 3, u->before);
	return statement_run(st, NULL);
}

static const char *row_or_none(const char *row)
{
	return row ? row : "no such row";
}

enum err audit_undo(struct db *db, int64_t id, const char **why)
{
	static char words[8192];
	struct undoing u = { .id = id };
	enum err e = read_entry(db, &u);

	if (e == OK)
		e = read_now(db, &u);
	if (e == OK && !is_as_left(&u))
		e = ERR_CONFLICT;
	if (e == OK)
		e = put_back(db, &u);

	if (e == ERR_NOT_FOUND)
		snprintf(words, sizeof(words), "there is no audit entry %lld", (long long)id);
	else if (e == ERR_CONFLICT)
		snprintf(words, sizeof(words),
			 "%s '%s' was changed after entry %lld: the entry left %s, and now there is %s",
			 u.object, u.key, (long long)id, row_or_none(u.after), row_or_none(u.now));
	else if (e != OK)
		snprintf(words, sizeof(words), "%s", db_error(db));
	if (e != OK)
		*why = words;
	undoing_free(&u);
	return e;
}

enum err audit_erase(struct db *db, const char *object, const char *key, int64_t *count)
{
	struct statement *st = statement_open(
		db, "DELETE FROM audit WHERE object = ?1 AND (key = ?2 OR "
		    "json_extract(before, '$.address') = ?2 OR json_extract(after, '$.address') = ?2)");

	statement_bind_text(st, 1, object);
	statement_bind_text(st, 2, key);
	return statement_run(st, count);
}
