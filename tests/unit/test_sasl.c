/* test_sasl.c - the authorisation identity of SASL EXTERNAL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/sasl.h"

static const struct {
	const char *text, *from;
	enum err expected;
} cases[] = {
	{ "cGFydG5lci50ZXN0", "partner.test", OK },
	{ "UEFSVE5FUi50ZXN0", "partner.test", OK }, /* PARTNER.test */
	{ "=", "partner.test", OK },
	{ "", "partner.test", OK },
	{ "=", "", ERR_REFUSED },
	{ "", "", ERR_REFUSED },
	{ "Y29ycC50ZXN0", "partner.test", ERR_REFUSED }, /* corp.test */
	{ "cGFydG5lci50ZXN0", "", ERR_REFUSED },
	{ "YQ==", "a", OK },
	{ "YWI=", "ab", OK },
	{ "YQ=", "a", ERR_SYNTAX },
	{ "YQ", "a", ERR_SYNTAX },
	{ "YQ==YQ==", "a", ERR_SYNTAX },
	{ "====", "a", ERR_SYNTAX },
	{ "Y===", "a", ERR_SYNTAX },
	{ " YQ==", "a", ERR_SYNTAX },
	{ "YQ==\n", "a", ERR_SYNTAX },
	{ "cGFydG5lci50ZXN0AAAA", "partner.test", ERR_SYNTAX },  /* NULs behind the name */
	{ "cGFydG5lci50ZXN0IA==", "partner.test", ERR_REFUSED }, /* a blank behind it */
};

static void test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (sasl_check_authzid(cases[i].text, cases[i].from) != cases[i].expected)
			fail_msg("'%s' for '%s'", cases[i].text, cases[i].from);
}

static void test_round_trip(void **state)
{
	char domain[JID_DOMAIN_MAX + 1], text[SASL_AUTHZID_SIZE];
	(void)state;

	for (size_t n = 1; n <= JID_DOMAIN_MAX; n++) {
		for (size_t i = 0; i < n; i++)
			domain[i] = i % 32 == 31 && i + 1 < n ? '.' : 'a';
		domain[n] = '\0';
		sasl_encode_authzid(domain, text);
		assert_true(strlen(text) < SASL_AUTHZID_SIZE);
		assert_int_equal(sasl_check_authzid(text, domain), OK);
	}
}

static void test_too_long(void **state)
{
	char text[5000];
	(void)state;

	memset(text, 'Y', sizeof(text));
	text[4000] = '\0';
	assert_int_equal(sasl_check_authzid(text, "partner.test"), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
