/* Tests of audit.h: what each change leaves behind, whoever makes it, and its undoing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/audit.h"
#include "db/registry.h"
#include "tests/unit/dbtest.h"

#define DOMAIN "{\"name\":\"corp.test\",\"phase\":\"coexist\",\"unlisted\":\"legacy\",\"xmpp_access\":1}"
#define PARTNER                                                                                              \
	"{\"name\":\"partner.test\",\"gateway\":\"by-user\",\"type\":\"federated\",\"tls\":\"required\","    \
	"\"sasl\":\"optional\",\"dialback\":1,\"keepalive\":1,\"connections\":0,\"proxy\":\"\","             \
	"\"description\":\"\"}"
#define USER(mark)                                                                                           \
	"{\"address\":\"bob@corp.test\",\"domain\":\"corp.test\",\"mark\":\"" mark "\",\"xmpp_access\":1}"

/* Everything that the registry holds, as one text. */
static char *snapshot(const struct dbtest *t)
{
	return xstrdup(dbtest_value(t, "SELECT group_concat(object || ' ' || row, char(10)) FROM "
				       "(SELECT object, row FROM present ORDER BY object, key)"));
}

static int64_t last_entry(const struct dbtest *t)
{
	return strtoll(dbtest_value(t, "SELECT coalesce(max(id), 0) FROM audit"), NULL, 10);
}

static void do_sql(const struct dbtest *t, const char *sql)
{
	const char *error = dbtest_sql(t, sql);

	if (error)
		fail_msg("%s: %s", sql, error);
}

/* What a domain, a partner with two aliases, and three users look like. */
static void fill(const struct dbtest *t)
{
	do_sql(t, "INSERT INTO domain (name) VALUES ('corp.test'), ('empty.test');"
		  "INSERT INTO partner (name, description) VALUES ('partner.test', '\"q\", \n \xc3\xbc \\');"
		  "INSERT INTO partner (name) VALUES ('second.test');"
		  "INSERT INTO partner_alias VALUES ('a.test', 'partner.test'), ('b.test', 'partner.test');"
		  "INSERT INTO user (address, mark) VALUES ('al@corp.test', 'legacy'),"
		  "('bob@corp.test', 'moving'), ('m\xc3\xbcller@corp.test', 'migrated')");
}

/* The entries that one statement writes; before and after as SQL would give them. */
static void test_entries(void **state)
{
	static const struct {
		const char *sql;
		const char *entries; /* object|key|before|after, one a line */
	} cases[] = {
		{ "INSERT INTO domain (name) VALUES ('corp.test')", "domain|corp.test||" DOMAIN },
		{ "UPDATE domain SET phase = 'coexist'", "" },
		{ "INSERT OR IGNORE INTO domain (name) VALUES ('corp.test')", "" },
		{ "INSERT OR REPLACE INTO domain (name) VALUES ('corp.test')", "" },
		{ "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'legacy')",
		  "user|bob@corp.test||" USER("legacy") },
		{ "UPDATE user SET mark = 'moving'",
		  "user|bob@corp.test|" USER("legacy") "|" USER("moving") },
		{ "UPDATE user SET mark = mark, xmpp_access = 1", "" },
		{ "UPDATE user SET domain = 'corp.test'", "" },
		/* REPLACE overwrites; the entry still has what was there. */
		{ "INSERT OR REPLACE INTO user (address, mark) VALUES ('bob@corp.test', 'migrated')",
		  "user|bob@corp.test|" USER("moving") "|" USER("migrated") },
		{ "REPLACE INTO user (address, mark) VALUES ('bob@corp.test', 'migrated')", "" },
		{ "PRAGMA recursive_triggers = ON;"
		  "REPLACE INTO user (address, mark) VALUES ('bob@corp.test', 'legacy')",
		  "user|bob@corp.test|" USER("migrated") "|\nuser|bob@corp.test||" USER("legacy") },
		{ "INSERT OR IGNORE INTO user (address, mark) VALUES ('bob@corp.test', 'moving')", "" },
		{ "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'moving')"
		  " ON CONFLICT (address) DO UPDATE SET mark = excluded.mark",
		  "user|bob@corp.test|" USER("legacy") "|" USER("moving") },
		{ "DELETE FROM user", "user|bob@corp.test|" USER("moving") "|" },
		/* What an ignored insert put aside is not taken for this one's. */
		{ "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'moving')",
		  "user|bob@corp.test||" USER("moving") },
		{ "DELETE FROM user", "user|bob@corp.test|" USER("moving") "|" },
		{ "DELETE FROM domain", "domain|corp.test|" DOMAIN "|" },
		{ "INSERT INTO partner (name) VALUES ('partner.test')", "partner|partner.test||" PARTNER },
		{ "UPDATE partner SET gateway = 'by-user'", "" },
		{ "INSERT INTO partner_alias VALUES ('a.test', 'partner.test')",
		  "alias|a.test||{\"alias\":\"a.test\",\"partner\":\"partner.test\"}" },
		{ "UPDATE partner_alias SET alias = 'b.test'",
		  "alias|a.test|{\"alias\":\"a.test\",\"partner\":\"partner.test\"}|"
		  "{\"alias\":\"b.test\",\"partner\":\"partner.test\"}" },
		{ "DELETE FROM partner", "alias|b.test|{\"alias\":\"b.test\",\"partner\":\"partner.test\"}|\n"
					 "partner|partner.test|" PARTNER "|" },
		{ "BEGIN; INSERT INTO domain (name) VALUES ('gone.test'); ROLLBACK", "" },
	};
	struct dbtest *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t before = last_entry(t);
		char sql[256];

		do_sql(t, cases[i].sql);
		snprintf(sql, sizeof(sql),
			 "SELECT group_concat(object || '|' || key || '|' || coalesce(before, '') || '|' || "
			 "coalesce(after, ''), char(10)) FROM audit WHERE id > %lld",
			 (long long)before);
		if (strcmp(dbtest_value(t, sql), cases[i].entries) != 0)
			fail_msg("%s: expected '%s', was '%s'", cases[i].sql, cases[i].entries,
				 dbtest_value(t, sql));
	}
	assert_string_equal(dbtest_value(t, "SELECT group_concat(DISTINCT actor) FROM audit"), "sql");
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM audit WHERE at NOT GLOB "
					    "'2[0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
					    "[0-6][0-9].[0-9][0-9][0-9]Z'"),
			    "0");
}

static void test_actor(void **state)
{
	struct dbtest *t = *state;
	struct domain d;

	domain_init(&d, "corp.test");
	assert_int_equal(db_begin(t->db, "root via poolbridgectl"), OK);
	assert_int_equal(registry_add_domain(t->db, &d), OK);
	assert_int_equal(db_commit(t->db), OK);
	assert_string_equal(dbtest_value(t, "SELECT actor FROM audit"), "root via poolbridgectl");
	do_sql(t, "UPDATE domain SET phase = 'migrated'");
	assert_string_equal(dbtest_value(t, "SELECT actor FROM audit ORDER BY id DESC"), "sql");
}

/* Undo every entry since, newest first: all must be as it was. */
static void undo_since(struct dbtest *t, int64_t first)
{
	for (int64_t id = last_entry(t); id > first; id--) {
		const char *why = NULL;

		assert_int_equal(db_begin(t->db, "undoer"), OK);
		if (audit_undo(t->db, id, &why) != OK)
			fail_msg("entry %lld: %s", (long long)id, why);
		assert_int_equal(db_commit(t->db), OK);
	}
}

static void test_undo_restores(void **state)
{
	static const char *const changes[] = {
		"INSERT INTO domain (name, phase, xmpp_access) VALUES ('new.test', 'legacy', 'off')",
		"UPDATE domain SET phase = 'migrated', unlisted = 'reject', xmpp_access = 'no'",
		"UPDATE domain SET name = 'renamed.test' WHERE name = 'empty.test'",
		"DELETE FROM domain WHERE name = 'empty.test'",
		"INSERT INTO user (address, mark) VALUES ('new@corp.test', 'legacy')",
		"INSERT INTO user (address, mark, xmpp_access) VALUES ('new@corp.test', 'legacy', 'off')",
		"UPDATE user SET mark = 'migrated'",
		"UPDATE user SET xmpp_access = 'off' WHERE address = 'bob@corp.test'",
		"UPDATE user SET address = 'rob@corp.test' WHERE address = 'bob@corp.test'",
		"UPDATE user SET address = 'bob@empty.test', domain = 'empty.test' "
		"WHERE address = 'bob@corp.test'",
		"DELETE FROM user",
		"REPLACE INTO user (address, mark) VALUES ('bob@corp.test', 'legacy')",
		"DELETE FROM user; DELETE FROM domain",
		"INSERT INTO partner (name, tls, sasl, proxy, connections) VALUES ('new.test', 'none', "
		"'none', "
		"'gw.new.test:5269', 7)",
		"UPDATE partner SET gateway = 'bridge', type = 'public-verified', tls = 'optional', "
		"sasl = 'required', dialback = 'no', keepalive = 'off', connections = 4294967295, "
		"proxy = 'p.test', description = char(10) || '\"' || char(9)",
		"UPDATE partner SET name = 'renamed.test' WHERE name = 'second.test'",
		"DELETE FROM partner",
		"REPLACE INTO partner (name, gateway) VALUES ('second.test', 'bridge')",
		"INSERT INTO partner_alias VALUES ('c.test', 'partner.test')",
		"UPDATE partner_alias SET alias = 'c.test' WHERE alias = 'a.test'",
		"UPDATE partner_alias SET partner = 'second.test'",
		"REPLACE INTO partner_alias VALUES ('a.test', 'second.test')",
		"DELETE FROM partner_alias",
	};
	struct dbtest *t = *state;

	fill(t);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char *before = snapshot(t), *after;
		int64_t first = last_entry(t), second;

		do_sql(t, changes[i]);
		second = last_entry(t);
		assert_true(second > first);
		after = snapshot(t);
		assert_string_not_equal(before, after);
		free(after);

		undo_since(t, first);
		after = snapshot(t);
		assert_string_equal(before, after);
		free(after);

		/* The undoing is audited, and can be undone: twice is back at the change, thrice at the start. */
		after = NULL;
		assert_int_equal(last_entry(t) - second, second - first);
		undo_since(t, second);
		assert_int_equal(last_entry(t) - second, 2 * (second - first));
		undo_since(t, second + (second - first));
		after = snapshot(t);
		assert_string_equal(before, after);
		free(after);
		free(before);
		assert_string_equal(dbtest_value(t, "SELECT actor FROM audit ORDER BY id DESC"), "undoer");
	}
	assert_string_equal(dbtest_value(t, "PRAGMA foreign_key_check"), "");
}

/* A partner's name carries its aliases along: entries of both, and undoing the partner's is enough. */
static void test_undo_of_a_rename(void **state)
{
	struct dbtest *t = *state;
	const char *why = NULL;
	char *before, *after;
	int64_t first;

	fill(t);
	before = snapshot(t);
	first = last_entry(t);
	do_sql(t, "UPDATE partner SET name = 'renamed.test' WHERE name = 'partner.test'");
	assert_int_equal(last_entry(t), first + 3);
	assert_int_equal(db_begin(t->db, "undoer"), OK);
	assert_int_equal(audit_undo(t->db, first + 1, &why), OK);
	assert_int_equal(db_commit(t->db), OK);
	after = snapshot(t);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_undo_refused(void **state)
{
	static const struct {
		const char *change, *later; /* the entry of the first statement of change is undone */
		enum err expected;
		const char *words[3];
	} cases[] = {
		{ "UPDATE user SET mark = 'migrated' WHERE address = 'bob@corp.test'",
		  "UPDATE user SET mark = 'legacy' WHERE address = 'bob@corp.test'",
		  ERR_CONFLICT,
		  { "bob@corp.test", "\"mark\":\"migrated\"", "\"mark\":\"legacy\"" } },
		{ "UPDATE user SET mark = 'migrated' WHERE address = 'bob@corp.test'",
		  "DELETE FROM user WHERE address = 'bob@corp.test'",
		  ERR_CONFLICT,
		  { "\"mark\":\"migrated\"", "no such row", "" } },
		{ "DELETE FROM user WHERE address = 'al@corp.test'",
		  "INSERT INTO user (address, mark) VALUES ('al@corp.test', 'moving')",
		  ERR_CONFLICT,
		  { "no such row", "\"mark\":\"moving\"", "" } },
		{ "INSERT INTO domain (name) VALUES ('new.test')",
		  "INSERT INTO user (address, mark) VALUES ('x@new.test', 'legacy')",
		  ERR_REFUSED,
		  { "users of the domain", "", "" } },
		{ "INSERT INTO user (address, mark) VALUES ('y@empty.test', 'legacy');"
		  "DELETE FROM user WHERE address = 'y@empty.test'",
		  NULL,
		  ERR_CONFLICT,
		  { "y@empty.test", "no such row", "" } },
		{ "DELETE FROM partner_alias WHERE alias = 'a.test'",
		  "DELETE FROM partner WHERE name = 'partner.test'",
		  ERR_REFUSED,
		  { "partner of the alias is not in the registry", "", "" } },
	};
	struct dbtest *t = *state;

	fill(t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t id = last_entry(t) + 1;
		const char *why = NULL;
		char *before, *after;
		enum err e;

		do_sql(t, cases[i].change);
		if (cases[i].later)
			do_sql(t, cases[i].later);
		before = snapshot(t);
		assert_int_equal(db_begin(t->db, "undoer"), OK);
		e = audit_undo(t->db, id, &why);
		db_rollback(t->db);
		assert_int_equal(e, cases[i].expected);
		for (size_t w = 0; w < ARRAY_SIZE(cases[i].words); w++)
			if (!strstr(why, cases[i].words[w]))
				fail_msg("'%s' does not say '%s'", why, cases[i].words[w]);
		after = snapshot(t);
		assert_string_equal(before, after);
		free(before);
		free(after);
	}
}

static void test_undo_of_a_deleted_users_domain(void **state)
{
	struct dbtest *t = *state;
	const char *why = NULL;
	int64_t id;

	do_sql(t, "INSERT INTO domain (name) VALUES ('corp.test');"
		  "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'legacy');"
		  "DELETE FROM user; DELETE FROM domain");
	id = last_entry(t) - 1;
	assert_int_equal(db_begin(t->db, "undoer"), OK);
	assert_int_equal(audit_undo(t->db, id, &why), ERR_REFUSED);
	assert_non_null(strstr(why, "add it first"));
	assert_int_equal(audit_undo(t->db, id + 1, &why), OK); /* the domain comes back, then the user can */
	assert_int_equal(audit_undo(t->db, id, &why), OK);
	assert_int_equal(db_commit(t->db), OK);
}

static void test_undo_of_no_entry(void **state)
{
	static const int64_t ids[] = { 0, -1, 1, 99, INT64_MAX, INT64_MIN };
	struct dbtest *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const char *why = NULL;

		assert_int_equal(audit_undo(t->db, ids[i], &why), ERR_NOT_FOUND);
		assert_non_null(strstr(why, "no audit entry"));
	}
}

static bool append_id(void *ctx, const struct audit_entry *e)
{
	char *list = ctx;

	snprintf(list + strlen(list), 256 - strlen(list), "%lld ", (long long)e->id);
	return true;
}

static void test_list(void **state)
{
	static const struct {
		struct audit_filter filter;
		const char *expected;
	} cases[] = {
		{ { 0 }, "1 2 3 4 " },
		{ { .after_id = 2 }, "3 4 " },
		{ { .limit = 2 }, "3 4 " },
		{ { .limit = 9 }, "1 2 3 4 " },
		{ { .object = "user" }, "2 3 " },
		{ { .key = "corp.test" }, "1 4 " },
		{ { .object = "user", .key = "al@corp.test" }, "3 " },
		{ { .object = "partner" }, "" },
		{ { .since = "2026" }, "2 3 4 " },
		{ { .since = "2026-11-21T07:40:12Z" }, "3 4 " },
		{ { .since = "2026-11-21T07:40:12" }, "3 4 " },
		{ { .since = "2026-11-21T07:40:12.345Z" }, "3 4 " },
		{ { .since = "2026-11-21T07:40:12.346" }, "4 " },
		{ { .since = "2027" }, "" },
	};
	struct dbtest *t = *state;

	do_sql(t, "INSERT INTO domain (name) VALUES ('corp.test');"
		  "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'legacy'), "
		  "('al@corp.test', 'legacy');"
		  "UPDATE domain SET phase = 'migrated';"
		  "UPDATE audit SET at = '2025-12-31T23:59:59.999Z' WHERE id = 1;"
		  "UPDATE audit SET at = '2026-01-01T00:00:00.000Z' WHERE id = 2;"
		  "UPDATE audit SET at = '2026-11-21T07:40:12.345Z' WHERE id = 3;"
		  "UPDATE audit SET at = '2026-11-21T07:40:13.000Z' WHERE id = 4;");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char list[256] = "";

		assert_int_equal(audit_each(t->db, &cases[i].filter, append_id, list), OK);
		if (strcmp(list, cases[i].expected) != 0)
			fail_msg("case %zu: expected '%s', was '%s'", i, cases[i].expected, list);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_entries),          CASE(test_actor),
		CASE(test_undo_restores),    CASE(test_undo_of_a_rename),
		CASE(test_undo_refused),     CASE(test_undo_of_a_deleted_users_domain),
		CASE(test_undo_of_no_entry), CASE(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
