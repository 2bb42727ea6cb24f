/*
 * test_registry_view.c - rows that are kept say what the registry says: from the next look-up on, or,
 * within a view, from the next view on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/lookup.h"
#include "db/registry.h"
#include "db/row_cache_internal.h"
#include "db/statement.h"
#include "tests/unit/dbtest.h"

static int begin(void **state)
{
	struct dbtest *t;

	if (dbtest_setup(state) != 0)
		return -1;
	t = *state;
	registry_keep_rows(t->db);
	assert_null(dbtest_sql(t, "INSERT INTO domain (name) VALUES ('corp.test')"));
	assert_null(dbtest_sql(t, "INSERT INTO partner (name) VALUES ('partner.test')"));
	assert_null(dbtest_sql(t, "INSERT INTO user (address, domain, mark) "
				  "VALUES ('bob@corp.test', 'corp.test', 'legacy')"));
	return 0;
}

static enum mark mark_of(const struct dbtest *t, const char *address)
{
	struct user u;

	assert_int_equal(registry_find_user(t->db, address, &u), OK);
	assert_string_equal(u.address, address);
	assert_string_equal(u.domain, "corp.test");
	return u.mark;
}

static void test_users(void **state)
{
	const struct dbtest *t = *state;
	struct user u;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
		assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
		assert_null(dbtest_sql(t, "UPDATE user SET mark = 'migrated'"));
		assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MIGRATED);
		assert_null(dbtest_sql(t, "UPDATE user SET xmpp_access = 0"));
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), OK);
		assert_false(u.xmpp_access);
		assert_null(dbtest_sql(t, "DELETE FROM user"));
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_NOT_FOUND);
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_NOT_FOUND);
		assert_null(dbtest_sql(t, "INSERT INTO user (address, domain, mark) "
					  "VALUES ('bob@corp.test', 'corp.test', 'legacy')"));
	}
}

/* By name, by alias, by the row for all others: whichever it was, the next look-up knows better. */
static void test_partners(void **state)
{
	const struct dbtest *t = *state;
	struct partner p;

	assert_int_equal(registry_find_partner(t->db, "other.test", &p), ERR_NOT_FOUND);
	assert_null(dbtest_sql(t, "INSERT INTO partner (name, gateway) VALUES ('*', 'blocked')"));
	assert_int_equal(registry_find_partner(t->db, "other.test", &p), OK);
	assert_string_equal(p.name, "*");
	assert_int_equal(p.gateway, GATEWAY_BLOCKED);
	assert_null(dbtest_sql(t, "INSERT INTO partner_alias VALUES ('other.test', 'partner.test')"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(registry_find_partner(t->db, "other.test", &p), OK);
		assert_string_equal(p.name, "partner.test");
	}
	assert_null(dbtest_sql(t, "UPDATE partner SET gateway = 'bridge' WHERE name = 'partner.test'"));
	assert_int_equal(registry_find_partner(t->db, "other.test", &p), OK);
	assert_int_equal(p.gateway, GATEWAY_BRIDGE);
}

static void test_domains(void **state)
{
	const struct dbtest *t = *state;
	struct domain d;

	assert_int_equal(registry_find_domain(t->db, "corp.test", &d), OK);
	assert_int_equal(d.phase, PHASE_COEXIST);
	assert_int_equal(registry_find_domain(t->db, "branch.test", &d), ERR_NOT_FOUND);
	assert_null(dbtest_sql(t, "UPDATE domain SET phase = 'migrated'"));
	assert_null(dbtest_sql(t, "INSERT INTO domain (name) VALUES ('branch.test')"));
	assert_int_equal(registry_find_domain(t->db, "corp.test", &d), OK);
	assert_int_equal(d.phase, PHASE_MIGRATED);
	assert_int_equal(registry_find_domain(t->db, "branch.test", &d), OK);
}

/* What came with one read was there before the change. */
static void test_view(void **state)
{
	const struct dbtest *t = *state;

	registry_view_begin(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'moving'"));
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	registry_view_end(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MOVING);
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'migrated'"));
	registry_view_begin(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MIGRATED);
	registry_view_end(t->db);
}

static void test_view_in_view(void **state)
{
	const struct dbtest *t = *state;

	registry_view_begin(t->db);
	registry_view_begin(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	registry_view_end(t->db);
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'moving'"));
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	assert_int_not_equal(sqlite3_get_autocommit(t->db->handle), 1);
	registry_view_end(t->db);
	assert_int_equal(sqlite3_get_autocommit(t->db->handle), 1);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MOVING);
}

/* When the partner is looked for, after the domain and before the user. */
static int change_both(unsigned kind, void *ctx, void *handle, void *sql)
{
	struct dbtest *t = ctx;

	(void)kind;
	(void)handle;
	if (strstr(sql, "FROM partner") != NULL)
		assert_null(dbtest_sql(t, "BEGIN; UPDATE domain SET phase = 'migrated';"
					  "UPDATE user SET mark = 'legacy'; COMMIT"));
	return 0;
}

/* Before the cutover he is on the new side by his mark, after it by his domain's phase; never is he on the old one. */
static void test_one_decision(void **state)
{
	struct dbtest *t = *state;
	struct verdict v;
	struct jid bob;

	assert_int_equal(jid_parse("bob@corp.test", &bob), OK);
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'migrated'"));
	assert_int_equal(sqlite3_trace_v2(t->db->handle, SQLITE_TRACE_STMT, change_both, t), SQLITE_OK);
	assert_int_equal(route_lookup(t->db, &bob, "partner.test", &v), OK);
	assert_int_equal(v.row, 9);
	sqlite3_trace_v2(t->db->handle, 0, NULL, NULL);
	assert_int_equal(route_lookup(t->db, &bob, "partner.test", &v), OK);
	assert_int_equal(v.row, 8);
}

/* What was decided before is decided anew when anything has changed that it came of. */
static void test_verdicts(void **state)
{
	static const struct {
		const char *sql;
		unsigned row;
	} rows[] = {
		{ "UPDATE user SET mark = 'moving'", 6 },
		{ "UPDATE user SET mark = 'migrated'", 9 },
		{ "UPDATE partner SET gateway = 'bridge'", 7 },
		{ "UPDATE partner SET gateway = 'blocked'", 2 },
		{ "UPDATE partner SET gateway = 'by-user'", 9 },
		{ "UPDATE domain SET phase = 'migrated'", 8 },
		{ "UPDATE user SET xmpp_access = 0", 3 },
		{ "DELETE FROM user", 8 },
		{ "UPDATE domain SET phase = 'coexist'", 11 },
		{ "INSERT INTO user (address, domain, mark) VALUES ('bob@corp.test', 'corp.test', 'legacy')",
		  10 },
		{ "DELETE FROM partner", 2 },
	};
	struct dbtest *t = *state;
	struct partner partner;
	struct verdict v;
	struct jid bob;

	assert_int_equal(jid_parse("bob@corp.test/x", &bob), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_null(dbtest_sql(t, rows[i].sql));
		for (int again = 0; again < 2; again++) {
			assert_int_equal(route_lookup(t->db, &bob, "partner.test", &v), OK);
			assert_int_equal(v.row, rows[i].row);
			assert_int_equal(route_lookup(t->db, &bob, "other.test", &v), OK);
			assert_int_equal(v.row, 2);
		}
	}
	assert_int_equal(db_begin(t->db, "me"), OK);
	assert_int_equal(registry_mark_user(t->db, "bob@corp.test", MARK_MOVING, NULL), OK);
	partner_init(&partner, "partner.test");
	assert_int_equal(registry_add_partner(t->db, &partner), OK);
	assert_int_equal(route_lookup(t->db, &bob, "partner.test", &v), OK);
	assert_int_equal(v.row, 6);
	db_rollback(t->db);
	assert_int_equal(route_lookup(t->db, &bob, "partner.test", &v), OK);
	assert_int_equal(v.row, 2);
}

/* Outside of a view each look-up sees what there is then: what was worked out of two states is not kept. */
static void test_two_states(void **state)
{
	const struct dbtest *t = *state;
	const unsigned worked_out = 1;
	unsigned kept;

	assert_false(registry_recall(t->db, "bob", &kept, sizeof(kept)));
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	registry_remember(t->db, "bob", &worked_out, sizeof(worked_out));
	assert_true(registry_recall(t->db, "bob", &kept, sizeof(kept)));
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'moving'"));
	assert_false(registry_recall(t->db, "bob", &kept, sizeof(kept)));
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'migrated'"));
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MIGRATED);
	registry_remember(t->db, "bob", &worked_out, sizeof(worked_out));
	assert_false(registry_recall(t->db, "bob", &kept, sizeof(kept)));
}

/* As SQLite does it when the file cannot be read. */
static void test_undone(void **state)
{
	const struct dbtest *t = *state;

	registry_view_begin(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	db_rollback(t->db);
	assert_null(dbtest_sql(t, "UPDATE user SET mark = 'moving'"));
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MOVING);
	registry_view_end(t->db);
	assert_string_equal(db_error(t->db), "");
}

static void test_own_changes(void **state)
{
	const struct dbtest *t = *state;

	registry_view_begin(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	assert_int_equal(db_begin(t->db, "me"), OK);
	assert_int_equal(registry_mark_user(t->db, "bob@corp.test", MARK_MOVING, NULL), OK);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MOVING);
	db_rollback(t->db);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	assert_int_equal(db_begin(t->db, "me"), OK);
	assert_int_equal(registry_mark_user(t->db, "bob@corp.test", MARK_MIGRATED, NULL), OK);
	assert_int_equal(db_commit(t->db), OK);
	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_MIGRATED);
	registry_view_end(t->db);
}

/* More names than there are places. */
static void test_many(void **state)
{
	const struct dbtest *t = *state;
	struct partner p;
	char name[32];

	assert_null(dbtest_sql(t, "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < "
				  "4999) INSERT INTO partner (name, description) "
				  "SELECT 'p' || i || '.test', 'number ' || i FROM n"));
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 5000; i++) {
			char description[32];

			snprintf(name, sizeof(name), "p%u.test", i);
			snprintf(description, sizeof(description), "number %u", i);
			assert_int_equal(registry_find_partner(t->db, name, &p), OK);
			assert_string_equal(p.name, name);
			assert_string_equal(p.description, description);
		}
	}
}

/* Whoever makes addresses up can make them long. */
static void test_long_keys(void **state)
{
	struct row_cache *c = row_cache_create(4);
	char key[257];
	size_t size;

	(void)state;
	memset(key, 'a', sizeof(key));
	key[255] = '\0';
	row_cache_put(c, 1, key, "row", 4);
	assert_string_equal(row_cache_find(c, 1, key, &size), "row");
	key[255] = 'a';
	key[256] = '\0';
	row_cache_put(c, 1, key, "row", 4);
	assert_null(row_cache_find(c, 1, key, &size));
	row_cache_destroy(c);
}

static void test_unreadable(void **state)
{
	const struct dbtest *t = *state;
	struct user u;

	assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	assert_null(dbtest_sql(t, "DROP TABLE user"));
	for (int i = 0; i < 2; i++) {
		enum err e = registry_find_user(t->db, "bob@corp.test", &u);

		assert_int_not_equal(e, OK);
		assert_int_not_equal(e, ERR_NOT_FOUND);
	}
}

/* One of the three files has gone, or another one has its name: what was read before is not answered either. */
static void test_moved(void **state)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	const struct dbtest *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		char path[128], aside[160];
		struct user u;
		FILE *other;

		snprintf(path, sizeof(path), "%s%s", t->path, endings[i]);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		assert_int_equal(db_check_place(t->db), OK);
		assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
		assert_int_equal(rename(path, aside), 0);
		assert_int_equal(db_check_place(t->db), ERR_IO);
		assert_non_null(strstr(db_error(t->db), path));
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_IO);
		assert_int_equal(db_begin(t->db, "me"), ERR_IO);
		assert_non_null(strstr(db_mend(t->db, ERR_IO), "put the files back"));
		other = fopen(path, "w");
		assert_non_null(other);
		fclose(other);
		assert_int_equal(db_check_place(t->db), ERR_IO);
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_IO);
		assert_int_equal(rename(aside, path), 0);
		assert_int_equal(db_check_place(t->db), OK);
		assert_int_equal(mark_of(t, "bob@corp.test"), MARK_LEGACY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_users, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_partners, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_domains, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_view, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_view_in_view, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_one_decision, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_verdicts, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_two_states, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_undone, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_own_changes, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_many, begin, dbtest_teardown),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test_setup_teardown(test_unreadable, begin, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_moved, begin, dbtest_teardown),
	};

	return cmocka_run_group_tests_name("registry view", tests, NULL, NULL);
}
