/*
 * A large registry: users loaded in one transaction, and each look-up still one
 * descent of the primary key. POOLBRIDGE_USERS sets how many (100000); the time
 * is printed, not judged: POOLBRIDGE_USERS=1000000 tests/unit/test_load
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "db/registry.h"
#include "db/statement.h"
#include "tests/unit/dbtest.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned user_count(void)
{
	const char *text = getenv("POOLBRIDGE_USERS");

	return text ? (unsigned)strtoul(text, NULL, 10) : 100000;
}

/* A step through the addresses in no order: 7919 is prime, so all are met. */
static void address_of(unsigned i, unsigned count, char *out, size_t size)
{
	snprintf(out, size, "user%07u@corp.test", (unsigned)((uint64_t)i * 7919 % count));
}

static void load(struct db *db, unsigned count, enum mark mark, unsigned expected_changes)
{
	char address[64];
	unsigned changes = 0;

	assert_int_equal(db_begin(db, "loader"), OK);
	for (unsigned i = 0; i < count; i++) {
		bool changed = false;

		address_of(i, count, address, sizeof(address));
		assert_int_equal(registry_mark_user(db, address, mark, &changed), OK);
		changes += changed;
	}
	assert_int_equal(db_commit(db), OK);
	assert_int_equal(changes, expected_changes);
}

/* The steps of SQLite's machine that one look-up takes. */
static int look_up_steps(struct db *db, const char *address)
{
	struct user u;
	int steps = 0;

	assert_int_equal(registry_find_user(db, address, &u), OK); /* prepared by now */
	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(db->handle, st));)
		sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
	assert_int_equal(registry_find_user(db, address, &u), OK);
	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(db->handle, st));)
		steps += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0);
	return steps;
}

static void test_load(void **state)
{
	struct dbtest *t = *state;
	unsigned count = user_count(), looks = 10000;
	int64_t users = 0;
	int few;
	struct domain d;
	double start;

	domain_init(&d, "corp.test");
	assert_int_equal(db_begin(t->db, "loader"), OK);
	assert_int_equal(registry_add_domain(t->db, &d), OK);
	assert_int_equal(db_commit(t->db), OK);

	load(t->db, 10, MARK_LEGACY, 10);
	few = look_up_steps(t->db, "user0000005@corp.test");
	assert_true(few > 0);

	start = now();
	load(t->db, count, MARK_LEGACY, count - 10);
	printf("# %u users loaded in %.2f s\n", count, now() - start);
	start = now();
	load(t->db, count, MARK_LEGACY, 0);
	printf("# the same again, unchanged, in %.2f s\n", now() - start);
	start = now();
	assert_int_equal(registry_count_users(t->db, &(struct user_filter){ 0 }, &users), OK);
	assert_int_equal(users, count);
	printf("# counted in %.3f s\n", now() - start);

	start = now();
	for (unsigned i = 0; i < looks; i++) {
		char address[64];
		struct user u;

		address_of(i, count, address, sizeof(address));
		assert_int_equal(registry_find_user(t->db, address, &u), OK);
		assert_string_equal(u.address, address);
	}
	printf("# a look-up takes %.2f us\n", (now() - start) / looks * 1e6);

	/* The work of a look-up is the same whether there are ten users or a million. */
	assert_int_equal(look_up_steps(t->db, "user0000005@corp.test"), few);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_load, dbtest_setup, dbtest_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
