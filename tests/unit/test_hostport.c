/* test_hostport.c - hostport_parse() on good, ugly and hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/hostport.h"

static const struct {
	const char *text;
	uint16_t fallback;
	enum err expected;
	const char *host;
	uint16_t port;
} cases[] = {
	{ "xmpp.partner.test", 5269, OK, "xmpp.partner.test", 5269 },
	{ "xmpp.partner.test:5270", 5269, OK, "xmpp.partner.test", 5270 },
	{ "127.0.0.1:1", 0, OK, "127.0.0.1", 1 },
	{ "[::1]:5269", 0, OK, "::1", 5269 },
	{ "[::1]", 5269, OK, "::1", 5269 },
	{ "[fe80::1%lo]:65535", 0, ERR_SYNTAX, NULL, 0 },
	{ "host", 0, ERR_SYNTAX, NULL, 0 },
	{ "", 5269, ERR_SYNTAX, NULL, 0 },
	{ ":5269", 0, ERR_SYNTAX, NULL, 0 },
	{ "host:", 5269, ERR_SYNTAX, NULL, 0 },
	{ "host:0", 5269, ERR_SYNTAX, NULL, 0 },
	{ "host:65536", 5269, ERR_SYNTAX, NULL, 0 },
	{ "host:052690", 5269, ERR_SYNTAX, NULL, 0 },
	{ "host:+1", 5269, ERR_SYNTAX, NULL, 0 },
	{ "host:80 ", 5269, ERR_SYNTAX, NULL, 0 },
	{ "ho st:80", 0, ERR_SYNTAX, NULL, 0 },
	{ "::1", 5269, ERR_SYNTAX, NULL, 0 },
	{ "[::1", 5269, ERR_SYNTAX, NULL, 0 },
	{ "[::1]5269", 0, ERR_SYNTAX, NULL, 0 },
	{ "[]:5269", 0, ERR_SYNTAX, NULL, 0 },
	{ "[host]:5269", 0, ERR_SYNTAX, NULL, 0 },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hostport hp = { .host = "untouched" };
		enum err e = hostport_parse(cases[i].text, cases[i].fallback, &hp);

		if (e != cases[i].expected)
			fail_msg("'%s': %s", cases[i].text, err_text(e));
		assert_string_equal(hp.host, e == OK ? cases[i].host : "untouched");
		if (e == OK)
			assert_int_equal(hp.port, cases[i].port);
	}
}

static void test_too_long(void **state)
{
	char text[300];
	struct hostport hp;
	(void)state;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(hostport_parse(text, 5269, &hp), ERR_SYNTAX);
	text[253] = '\0';
	assert_int_equal(hostport_parse(text, 5269, &hp), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
