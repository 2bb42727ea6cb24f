/*
 * test_changes.c - who is told of which change of the registry, and how a move
 * that nobody ends is ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/log.h"
#include "bridge/route/changes.h"
#include "db/statement.h"
#include "tests/unit/dbtest.h"
#include "tests/unit/nettest.h"

#define MINUTES_15 (15 * 60 * 1000)
#define LONG_AGO   "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')"

struct watch {
	struct dbtest *files;
	struct nettest net;
	struct changes *changes;
	char told[65536]; /* names, each with a space behind it; "*" is everybody */
	const char *awaited;
};

static void on_change(void *ctx, const char *user)
{
	struct watch *w = ctx;

	assert_true(strlen(w->told) + 1300 < sizeof(w->told));
	strcat(strcat(w->told, user != NULL ? user : "*"), " ");
}

static void sql(const struct watch *w, const char *text)
{
	const char *error = dbtest_sql(w->files, text);

	if (error != NULL)
		fail_msg("%s: %s", text, error);
}

static void start(struct watch *w, int64_t limit_ms)
{
	const struct changes_setup setup = { w->net.loop, w->files->db, limit_ms };

	assert_int_equal(changes_create(&setup, &w->changes), OK);
	changes_subscribe(w->changes, on_change, w);
}

static void begin(struct watch *w, void **state)
{
	memset(w, 0, sizeof(*w));
	w->files = *state;
	nettest_begin(&w->net);
	sql(w, "INSERT INTO domain (name) VALUES ('corp.test'); INSERT INTO partner (name) VALUES "
	       "('partner.test');"
	       "INSERT INTO user (address, mark) VALUES ('romeo@corp.test', 'legacy'),"
	       "('tybalt@corp.test', 'migrated'), ('mark@corp.test', 'legacy')");
}

static void end(struct watch *w)
{
	changes_destroy(w->changes);
	nettest_end(&w->net);
}

static bool has_come(void *ctx)
{
	const struct watch *w = ctx;

	return strstr(w->told, w->awaited) != NULL;
}

/* All that was told until, and with, that one; then it is forgotten. */
static const char *told(struct watch *w, const char *awaited)
{
	static char text[sizeof(w->told)];

	w->awaited = awaited;
	nettest_run(&w->net, has_come, w);
	strcpy(text, w->told);
	w->told[0] = '\0';
	return text;
}

/* Changes "mark@corp.test", and expects exactly these before it. */
static void expect(struct watch *w, const char *before)
{
	char all[256];

	sql(w, "UPDATE user SET xmpp_access = 1 - xmpp_access WHERE address = 'mark@corp.test'");
	snprintf(all, sizeof(all), "%smark@corp.test ", before);
	assert_string_equal(told(w, "mark@corp.test "), all);
}

static int64_t counter(const struct watch *w, const char *name)
{
	json_t *status = changes_status(w->changes);
	int64_t value = json_integer_value(json_object_get(status, name));

	assert_true(json_is_integer(json_object_get(status, name)));
	json_decref(status);
	return value;
}

/* --- who is told --- */

static void test_names(void **state)
{
	static const struct {
		const char *sql, *told;
	} cases[] = {
		{ "UPDATE user SET mark = 'moving' WHERE address = 'romeo@corp.test'", "romeo@corp.test " },
		{ "UPDATE user SET mark = 'migrated' WHERE address = 'romeo@corp.test';"
		  "UPDATE user SET mark = 'legacy' WHERE address = 'romeo@corp.test'",
		  "romeo@corp.test " },
		{ "UPDATE user SET mark = 'legacy' WHERE address = 'romeo@corp.test'", "" },
		{ "CREATE TABLE other (x); INSERT INTO other VALUES (1); DROP TABLE other", "" },
		{ "INSERT OR REPLACE INTO user (address, mark) VALUES ('romeo@corp.test', 'moving')",
		  "romeo@corp.test " },
		{ "UPDATE user SET mark = 'legacy'", "romeo@corp.test tybalt@corp.test " },
		{ "UPDATE user SET address = 'benvolio@corp.test' WHERE address = 'romeo@corp.test'",
		  "romeo@corp.test benvolio@corp.test " },
		{ "DELETE FROM user WHERE address = 'tybalt@corp.test'", "tybalt@corp.test " },
	};
	struct watch w;

	begin(&w, state);
	start(&w, MINUTES_15);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sql(&w, cases[i].sql);
		expect(&w, cases[i].told);
	}
	end(&w);
}

/* A domain, a partner, an alias: whom they concern is anybody's guess. */
static void test_everybody(void **state)
{
	static const char *const cases[] = {
		"UPDATE domain SET phase = 'migrated'",
		"UPDATE partner SET gateway = 'bridge'",
		"INSERT INTO partner_alias VALUES ('alias.test', 'partner.test')",
		"DELETE FROM partner",
		"INSERT INTO user (address, mark) VALUES ('paris@corp.test', 'moving');"
		"INSERT INTO domain (name) VALUES ('other.test')",
		/* Too many to name. */
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)"
		"INSERT INTO user (address, mark) SELECT 'u' || i || '@corp.test', 'legacy' FROM n",
		/* What was written about somebody was erased, with him. */
		"DELETE FROM user WHERE address = 'tybalt@corp.test';"
		"DELETE FROM audit WHERE key = 'tybalt@corp.test'",
		/* A copy of another day was put back. */
		"DELETE FROM audit; UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit';"
		"UPDATE domain SET phase = 'legacy'",
	};
	struct watch w;

	begin(&w, state);
	start(&w, MINUTES_15);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sql(&w, cases[i]);
		assert_string_equal(told(&w, "* "), "* ");
	}
	end(&w);
}

static void test_thousand(void **state)
{
	struct watch w;
	const char *text;

	begin(&w, state);
	start(&w, MINUTES_15);
	sql(&w, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
		"INSERT INTO user (address, mark) SELECT 'u' || i || '@corp.test', 'legacy' FROM n");
	text = told(&w, "u1000@corp.test ");
	assert_null(strchr(text, '*'));
	assert_non_null(strstr(text, "u1@corp.test u2@corp.test "));
	end(&w);
}

/* What was before the start is old. */
static void test_start(void **state)
{
	struct watch w;

	begin(&w, state);
	sql(&w, "UPDATE user SET mark = 'moving'");
	start(&w, MINUTES_15);
	expect(&w, "");
	end(&w);
}

/* --- the end of a move --- */

static const char *value(const struct watch *w, const char *query)
{
	return dbtest_value(w->files, query);
}

#define ROMEO_IS "SELECT mark || ' ' || xmpp_access FROM user WHERE address = 'romeo@corp.test'"

/* He is as he was before; what was not listed is not, unless the row says more than the mark. */
static void test_back(void **state)
{
	static const struct {
		const char *sql, *is;
	} cases[] = {
		{ "UPDATE user SET mark = 'moving'", "legacy 1" },
		{ "UPDATE user SET mark = 'migrated'; UPDATE user SET mark = 'moving'", "migrated 1" },
		{ "UPDATE user SET mark = 'migrated', xmpp_access = 0; UPDATE user SET mark = 'moving'",
		  "migrated 0" },
		{ "REPLACE INTO user (address, mark) VALUES ('romeo@corp.test', 'moving')", "legacy 1" },
		{ "INSERT INTO user (address, mark) VALUES ('romeo@corp.test', 'moving')"
		  " ON CONFLICT (address) DO UPDATE SET mark = excluded.mark",
		  "legacy 1" },
		/* Not listed before. */
		{ "DELETE FROM user; INSERT INTO user (address, mark) VALUES ('romeo@corp.test', 'moving')",
		  "" },
		{ "DELETE FROM user; INSERT INTO user (address, mark, xmpp_access)"
		  " VALUES ('romeo@corp.test', 'moving', 0)",
		  "legacy 0" },
		{ "UPDATE domain SET unlisted = 'migrated'; DELETE FROM user;"
		  "INSERT INTO user (address, mark, xmpp_access) VALUES ('romeo@corp.test', 'moving', 'off')",
		  "migrated off" },
		{ "UPDATE domain SET unlisted = 'reject'; DELETE FROM user;"
		  "INSERT INTO user (address, mark) VALUES ('romeo@corp.test', 'moving')",
		  "" },
		/* Under another address he is the same. */
		{ "INSERT INTO user (address, mark) VALUES ('old@corp.test', 'migrated'); DELETE FROM user"
		  " WHERE address = 'romeo@corp.test'; UPDATE user SET mark = 'moving';"
		  "UPDATE user SET address = 'romeo@corp.test' WHERE address = 'old@corp.test'",
		  "migrated 1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct watch w;
		void *own;

		assert_int_equal(dbtest_setup(&own), 0);
		begin(&w, &own);
		sql(&w, cases[i].sql);
		sql(&w, "UPDATE moving SET since = " LONG_AGO);
		start(&w, MINUTES_15);
		told(&w, "romeo@corp.test ");
		assert_string_equal(value(&w, ROMEO_IS), cases[i].is);
		assert_string_equal(value(&w, "SELECT count(*) FROM moving"), "0");
		assert_string_equal(value(&w,
					  "SELECT actor || ' ' || json_extract(before, '$.mark') || ' ' ||"
					  "coalesce(json_extract(after, '$.mark'), '-') FROM audit"
					  " WHERE key = 'romeo@corp.test' ORDER BY id DESC LIMIT 1") +
					    strlen("poolbridge moving "),
				    cases[i].is[0] == 'm'   ? "migrated"
				    : cases[i].is[0] == 'l' ? "legacy"
							    : "-");
		assert_int_equal(counter(&w, "moving"), 0);
		end(&w);
		dbtest_teardown(&own);
	}
	(void)state;
}

/* The time begins with the mark, and again with each one. */
static void test_in_time(void **state)
{
	struct watch w;

	begin(&w, state);
	sql(&w, "UPDATE user SET mark = 'moving' WHERE address <> 'mark@corp.test'; UPDATE moving SET since "
		"= " LONG_AGO);
	/* Marked again: another move. Changed otherwise: the same one. */
	sql(&w, "UPDATE user SET mark = 'legacy' WHERE address = 'romeo@corp.test';"
		"UPDATE user SET mark = 'moving' WHERE address = 'romeo@corp.test';"
		"UPDATE user SET xmpp_access = 0 WHERE address = 'tybalt@corp.test';"
		"REPLACE INTO user (address, mark) VALUES ('tybalt@corp.test', 'moving')");
	start(&w, MINUTES_15);
	assert_int_equal(counter(&w, "overdue"), 1);
	assert_int_equal(counter(&w, "moving"), 2);
	assert_string_equal(told(&w, "tybalt@corp.test "), "tybalt@corp.test ");
	assert_int_equal(counter(&w, "ended"), 1);
	assert_int_equal(counter(&w, "moving"), 1);
	expect(&w, "");
	assert_string_equal(value(&w, ROMEO_IS), "moving 1");
	assert_string_equal(value(&w, "SELECT mark FROM user WHERE address = 'tybalt@corp.test'"),
			    "migrated");
	end(&w);
}

/* A limit that is over while the daemon watches. */
static void test_short(void **state)
{
	struct watch w;

	begin(&w, state);
	start(&w, 1);
	sql(&w, "UPDATE user SET mark = 'moving' WHERE address = 'romeo@corp.test'");
	while (counter(&w, "ended") == 0)
		told(&w, "romeo@corp.test ");
	assert_string_equal(value(&w, ROMEO_IS), "legacy 1");
	end(&w);
}

/* More than are ended at once. */
static void test_many(void **state)
{
	struct watch w;

	begin(&w, state);
	sql(&w, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 450)"
		"INSERT INTO user (address, mark) SELECT 'u' || i || '@corp.test', 'migrated' FROM n;"
		"UPDATE user SET mark = 'moving' WHERE address GLOB 'u*'; UPDATE moving SET since = " LONG_AGO
		" || '' WHERE address <> 'u7@corp.test'");
	sql(&w, "UPDATE moving SET since = '2001-01-01T00:00:00.000Z' WHERE address = 'u450@corp.test'");
	start(&w, MINUTES_15);
	/* The longest first. */
	assert_non_null(strstr(told(&w, "u450@corp.test "), "u450@corp.test "));
	while (counter(&w, "ended") < 449)
		told(&w, " ");
	assert_string_equal(value(&w, "SELECT group_concat(address) FROM moving"), "u7@corp.test");
	assert_string_equal(value(&w, "SELECT count(*) FROM audit WHERE actor = 'poolbridge'"), "449");
	end(&w);
}

static bool has_tried(void *ctx)
{
	const struct nettest *net = &((struct watch *)ctx)->net;

	return net->ticks > 1500; /* at least as many milliseconds */
}

/* Another program writes for a while: it is not waited for, and the move ends when it is done. */
static void test_locked(void **state)
{
	sqlite3 *other = NULL;
	struct watch w;

	begin(&w, state);
	db_set_wait(w.files->db, 1);
	sql(&w, "UPDATE user SET mark = 'moving'; UPDATE moving SET since = " LONG_AGO);
	start(&w, MINUTES_15);
	assert_int_equal(sqlite3_open(w.files->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other,
				      "BEGIN IMMEDIATE; UPDATE user SET mark = 'migrated'"
				      " WHERE address = 'romeo@corp.test'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	nettest_run(&w.net, has_tried, &w);
	assert_string_equal(w.told, "");
	assert_int_equal(counter(&w, "overdue"), 3);
	assert_int_equal(counter(&w, "ended"), 0);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	while (counter(&w, "ended") < 2)
		told(&w, " ");
	/* The administrator's word came first. */
	assert_string_equal(value(&w, ROMEO_IS), "migrated 1");
	assert_string_equal(value(&w, "SELECT count(*) FROM audit WHERE actor = 'poolbridge'"), "2");
	end(&w);
}

/* The disk gives nothing more, once, from the commit of a move's end on. */
struct failing {
	bool committed, failed;
};

static int on_commit(void *ctx)
{
	((struct failing *)ctx)->committed = true;
	return 0;
}

static int interrupt(void *ctx)
{
	struct failing *f = ctx;
	const bool now = f->committed && !f->failed;

	f->failed = f->failed || now;
	return now;
}

/* What was ended is told of, also when it could not be read behind its commit. */
static void test_end_that_is_read_later(void **state)
{
	struct failing f = { .failed = false };
	struct watch w;

	begin(&w, state);
	sql(&w, "UPDATE user SET mark = 'moving' WHERE address = 'romeo@corp.test'; UPDATE moving SET since "
		"= " LONG_AGO);
	start(&w, MINUTES_15);
	sqlite3_commit_hook(w.files->db->handle, on_commit, &f);
	sqlite3_progress_handler(w.files->db->handle, 1, interrupt, &f);
	assert_string_equal(told(&w, "romeo@corp.test "), "romeo@corp.test ");
	assert_true(f.failed);
	assert_string_equal(value(&w, ROMEO_IS), "legacy 1");
	end(&w);
}

static bool is_unreadable(void *ctx)
{
	struct watch *w = ctx;
	json_t *status = changes_status(w->changes);
	const bool is = json_is_null(status);

	json_decref(status);
	return is;
}

/* The file has gone from its place: no word of it counts until it is there again, and then nothing was missed. */
static void test_moved(void **state)
{
	char aside[128];
	struct watch w;

	begin(&w, state);
	start(&w, MINUTES_15);
	snprintf(aside, sizeof(aside), "%s.aside", w.files->path);
	assert_false(is_unreadable(&w));
	assert_int_equal(rename(w.files->path, aside), 0);
	nettest_run(&w.net, is_unreadable, &w);
	assert_int_equal(rename(aside, w.files->path), 0);
	sql(&w, "UPDATE user SET mark = 'moving' WHERE address = 'romeo@corp.test'");
	assert_string_equal(told(&w, "romeo@corp.test "), "romeo@corp.test ");
	assert_false(is_unreadable(&w));
	end(&w);
}

/* A file of the first schema, in which users are being moved. */
static void test_migration(void **state)
{
	struct watch w;
	const char *why = NULL;

	begin(&w, state);
	sql(&w, "UPDATE user SET mark = 'moving' WHERE address <> 'mark@corp.test';"
		"INSERT INTO user (address, mark) VALUES ('new@corp.test', 'moving'),"
		"('pruned@corp.test', 'moving');"
		"UPDATE user SET xmpp_access = 0 WHERE address = 'tybalt@corp.test';"
		"UPDATE audit SET at = '2001-01-01T00:00:00.000Z';"
		"DELETE FROM audit WHERE key = 'pruned@corp.test'");
	db_close(w.files->db);
	w.files->db = NULL;
	sql(&w, "DROP TRIGGER user_insert_moving; DROP TRIGGER user_insert_moved; DROP TRIGGER "
		"user_update_moving;"
		"DROP TRIGGER user_delete_moving; DROP TABLE moving; PRAGMA user_version = 1");
	if (db_open(w.files->path, &w.files->db, &why) != OK)
		fail_msg("%s", why);
	assert_string_equal(value(&w, "SELECT group_concat(address || ' ' || coalesce(was, '-') || ' ' ||"
				      " (since = '2001-01-01T00:00:00.000Z')) FROM moving"),
			    "new@corp.test - 1,pruned@corp.test - 0,romeo@corp.test legacy 1,"
			    "tybalt@corp.test migrated 1");
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_everybody, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_thousand, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_start, dbtest_setup, dbtest_teardown),
		cmocka_unit_test(test_back),
		cmocka_unit_test_setup_teardown(test_in_time, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_short, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_many, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_locked, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_end_that_is_read_later, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_moved, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_migration, dbtest_setup, dbtest_teardown),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
