/*
 * test_request.c - what becomes of a SIP request from a pool: every pair of a
 * caller and a callee, from each side.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/request.h"
#include "dbtest.h"

enum { OTHER = -1 };

static const char registry[] =
	"INSERT INTO domain (name) VALUES ('corp.test'), ('branch.test');"
	"INSERT INTO partner (name, gateway) VALUES ('partner.test', 'by-user'), ('old.test', 'legacy'),"
	" ('new.test', 'bridge'), ('blocked.test', 'blocked');"
	"INSERT INTO user (address, domain, mark, xmpp_access) VALUES"
	" ('romeo@corp.test', 'corp.test', 'legacy', 1), ('tybalt@corp.test', 'corp.test', 'migrated', 1),"
	" ('mercutio@corp.test', 'corp.test', 'moving', 1), ('nurse@corp.test', 'corp.test', 'migrated', 0),"
	" ('paris@branch.test', 'branch.test', 'migrated', 1);";

static const struct {
	int source;
	const char *from, *to;
	enum request_route route;
	enum pool pool; /* of REQUEST_RELAY */
	unsigned row;
} cases[] = {
	/* Colleagues: by the callee's mark, in either direction, and never back. */
	{ POOL_NEW, "tybalt@corp.test", "romeo@corp.test", REQUEST_RELAY, POOL_LEGACY, 0 },
	{ POOL_LEGACY, "romeo@corp.test", "tybalt@corp.test", REQUEST_RELAY, POOL_NEW, 0 },
	{ POOL_LEGACY, "romeo@corp.test", "paris@branch.test", REQUEST_RELAY, POOL_NEW, 0 },
	{ POOL_NEW, "tybalt@corp.test", "paris@branch.test", REQUEST_LOOP, 0, 0 },
	{ POOL_LEGACY, "tybalt@corp.test", "romeo@corp.test", REQUEST_LOOP, 0, 0 },
	{ OTHER, "tybalt@corp.test", "romeo@corp.test", REQUEST_RELAY, POOL_LEGACY, 0 },
	{ OTHER, "romeo@corp.test", "tybalt@corp.test", REQUEST_RELAY, POOL_NEW, 0 },
	{ POOL_NEW, "tybalt@corp.test", "mercutio@corp.test", REQUEST_HOLD, 0, 0 },
	{ POOL_LEGACY, "romeo@corp.test", "mercutio@corp.test", REQUEST_HOLD, 0, 0 },
	{ POOL_NEW, "tybalt@corp.test", "stranger@corp.test", REQUEST_RELAY, POOL_LEGACY, 0 },
	{ POOL_LEGACY, "romeo@corp.test", "stranger@corp.test", REQUEST_LOOP, 0, 0 },
	/* XMPP access is about partners only. */
	{ POOL_LEGACY, "romeo@corp.test", "nurse@corp.test", REQUEST_RELAY, POOL_NEW, 0 },
	/* To partners, by the rows. */
	{ POOL_NEW, "tybalt@corp.test", "juliet@old.test", REQUEST_RELAY, POOL_LEGACY, 4 },
	{ POOL_NEW, "romeo@corp.test", "juliet@partner.test", REQUEST_RELAY, POOL_LEGACY, 10 },
	{ POOL_NEW, "tybalt@corp.test", "juliet@partner.test", REQUEST_GATEWAY, 0, 9 },
	{ POOL_NEW, "mercutio@corp.test", "juliet@partner.test", REQUEST_GATEWAY, 0, 6 },
	{ POOL_NEW, "romeo@corp.test", "juliet@new.test", REQUEST_GATEWAY, 0, 7 },
	{ POOL_LEGACY, "romeo@corp.test", "juliet@new.test", REQUEST_GATEWAY, 0, 7 },
	{ OTHER, "romeo@corp.test", "juliet@old.test", REQUEST_RELAY, POOL_LEGACY, 4 },
	{ POOL_LEGACY, "romeo@corp.test", "juliet@old.test", REQUEST_LOOP, 0, 4 },
	{ POOL_LEGACY, "romeo@corp.test", "juliet@partner.test", REQUEST_LOOP, 0, 10 },
	{ POOL_NEW, "nurse@corp.test", "juliet@partner.test", REQUEST_REJECT, 0, 3 },
	{ POOL_NEW, "tybalt@corp.test", "juliet@blocked.test", REQUEST_REJECT, 0, 2 },
	{ POOL_NEW, "tybalt@corp.test", "juliet@unknown.test", REQUEST_REJECT, 0, 2 },
	/* What somebody has brought to a pool is not taken back. */
	{ POOL_NEW, "juliet@partner.test", "tybalt@corp.test", REQUEST_LOOP, 0, 0 },
	{ POOL_LEGACY, "juliet@partner.test", "tybalt@corp.test", REQUEST_LOOP, 0, 0 },
	{ OTHER, "juliet@unknown.test", "romeo@corp.test", REQUEST_LOOP, 0, 0 },
	/* Nobody is ours. */
	{ POOL_NEW, "juliet@partner.test", "juliet@old.test", REQUEST_REJECT, 0, 1 },
	{ POOL_NEW, "juliet@unknown.test", "juliet@partner.test", REQUEST_REJECT, 0, 1 },
};

static void test_cases(void **state)
{
	struct dbtest *t = *state;

	assert_null(dbtest_sql(t, registry));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct request_verdict v;
		struct jid from, to;

		assert_int_equal(jid_parse(cases[i].from, &from), OK);
		assert_int_equal(jid_parse(cases[i].to, &to), OK);
		assert_int_equal(request_lookup(t->db, &from, &to, cases[i].source, &v), OK);
		if (v.route != cases[i].route || v.verdict.row != cases[i].row ||
		    (v.route == REQUEST_RELAY && v.pool != cases[i].pool))
			fail_msg("case %zu, %s to %s: got route %d, pool %d, row %u", i, cases[i].from,
				 cases[i].to, v.route, v.pool, v.verdict.row);
		assert_non_null(v.verdict.reason);
	}
}

/* A domain without a policy for the unlisted sends nobody anywhere. */
static void test_unlisted(void **state)
{
	struct dbtest *t = *state;
	struct request_verdict v;
	struct jid from, to;

	assert_null(dbtest_sql(t, registry));
	assert_null(dbtest_sql(t, "UPDATE domain SET unlisted = 'reject'"));
	assert_int_equal(jid_parse("romeo@corp.test", &from), OK);
	assert_int_equal(jid_parse("stranger@corp.test", &to), OK);
	assert_int_equal(request_lookup(t->db, &from, &to, POOL_LEGACY, &v), OK);
	assert_int_equal(v.route, REQUEST_REJECT);
	assert_null(dbtest_sql(t, "UPDATE domain SET unlisted = 'migrated'"));
	assert_int_equal(request_lookup(t->db, &from, &to, POOL_LEGACY, &v), OK);
	assert_int_equal(v.route, REQUEST_RELAY);
	assert_int_equal(v.pool, POOL_NEW);
}

/* A registry that cannot be read is an error, never a route. */
static void test_unreadable(void **state)
{
	struct dbtest *t = *state;
	struct request_verdict v = { .route = REQUEST_HOLD };
	struct jid from, to;

	assert_null(dbtest_sql(t, "DROP TABLE user"));
	assert_int_equal(jid_parse("romeo@corp.test", &from), OK);
	assert_int_equal(jid_parse("tybalt@corp.test", &to), OK);
	assert_int_not_equal(request_lookup(t->db, &from, &to, POOL_LEGACY, &v), OK);
	assert_int_equal(v.route, REQUEST_HOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_unlisted, dbtest_setup, dbtest_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, dbtest_setup, dbtest_teardown),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
