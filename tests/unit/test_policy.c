/* test_policy.c - the 18 rows of the negotiation matrix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/xmpp/policy.h"

#define R      REQUIRE_REQUIRED
#define O      REQUIRE_OPTIONAL
#define N      REQUIRE_NONE
#define SASL   METHOD_SASL_TLS
#define DB_TLS METHOD_DIALBACK_TLS
#define DB_TCP METHOD_DIALBACK_TCP

static const struct {
	enum requirement tls, sasl;
	unsigned with_dialback, without;
} rows[] = {
	{ R, R, SASL, SASL },          { O, R, SASL | DB_TLS | DB_TCP, SASL }, { N, R, DB_TCP, 0 },
	{ R, O, SASL | DB_TLS, SASL }, { O, O, SASL | DB_TLS | DB_TCP, SASL }, { N, O, DB_TCP, 0 },
	{ R, N, DB_TLS, 0 },           { O, N, DB_TLS | DB_TCP, 0 },           { N, N, DB_TCP, 0 },
};

static void test_matrix(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(policy_methods(rows[i].tls, rows[i].sasl, true), rows[i].with_dialback);
		assert_int_equal(policy_methods(rows[i].tls, rows[i].sasl, false), rows[i].without);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_matrix) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
