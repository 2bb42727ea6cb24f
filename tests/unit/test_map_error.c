/* test_map_error.c - RFC 7247 section 7: every row of tables 2 and 3, and the classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/gateway/map.h"

static const struct {
	const char *condition;
	unsigned full, bare;
} to_sip[] = {
	{ "bad-request", 400, 400 },
	{ "conflict", 400, 400 },
	{ "feature-not-implemented", 405, 501 },
	{ "forbidden", 403, 603 },
	{ "gone", 410, 410 },
	{ "internal-server-error", 500, 500 },
	{ "item-not-found", 404, 604 },
	{ "jid-malformed", 400, 400 },
	{ "not-acceptable", 406, 606 },
	{ "not-allowed", 403, 403 },
	{ "not-authorized", 401, 401 },
	{ "policy-violation", 403, 403 },
	{ "recipient-unavailable", 480, 600 },
	{ "redirect", 302, 302 },
	{ "registration-required", 407, 407 },
	{ "remote-server-not-found", 404, 404 },
	{ "remote-server-timeout", 408, 408 },
	{ "resource-constraint", 500, 500 },
	{ "service-unavailable", 403, 403 },
	{ "subscription-required", 400, 400 },
	{ "undefined-condition", 400, 400 },
	{ "unexpected-request", 491, 491 },
};

static void test_condition_to_status(void **state)
{
	bool seen[CONDITIONS] = { false };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(to_sip); i++) {
		enum condition c;

		assert_int_equal(condition_parse(to_sip[i].condition, &c), OK);
		assert_false(seen[c]);
		seen[c] = true;
		assert_int_equal(map_condition_to_status(c, true, false), to_sip[i].full);
		assert_int_equal(map_condition_to_status(c, false, false), to_sip[i].bare);
		if (c != COND_GONE)
			assert_int_equal(map_condition_to_status(c, false, true), to_sip[i].bare);
	}
	assert_int_equal(ARRAY_SIZE(to_sip), CONDITIONS);
	assert_int_equal(map_condition_to_status(COND_GONE, true, true), 301);
	assert_int_equal(map_condition_to_status(COND_GONE, false, true), 301);
}

static const struct {
	unsigned status;
	const char *condition;
} to_xmpp[] = {
	{ 300, "redirect" },
	{ 301, "gone" },
	{ 302, "redirect" },
	{ 305, "redirect" },
	{ 380, "not-acceptable" },
	{ 399, "redirect" },
	{ 400, "bad-request" },
	{ 401, "not-authorized" },
	{ 402, "bad-request" },
	{ 403, "forbidden" },
	{ 404, "item-not-found" },
	{ 405, "feature-not-implemented" },
	{ 406, "not-acceptable" },
	{ 407, "registration-required" },
	{ 408, "remote-server-timeout" },
	{ 409, "bad-request" },
	{ 410, "gone" },
	{ 413, "policy-violation" },
	{ 414, "policy-violation" },
	{ 415, "not-acceptable" },
	{ 416, "not-acceptable" },
	{ 420, "feature-not-implemented" },
	{ 421, "not-acceptable" },
	{ 422, "bad-request" },
	{ 423, "resource-constraint" },
	{ 430, "recipient-unavailable" },
	{ 439, "feature-not-implemented" },
	{ 440, "policy-violation" },
	{ 480, "recipient-unavailable" },
	{ 481, "item-not-found" },
	{ 482, "not-acceptable" },
	{ 483, "not-acceptable" },
	{ 484, "item-not-found" },
	{ 485, "item-not-found" },
	{ 486, "recipient-unavailable" },
	{ 487, "recipient-unavailable" },
	{ 488, "not-acceptable" },
	{ 489, "policy-violation" },
	{ 491, "unexpected-request" },
	{ 493, "bad-request" },
	{ 494, "bad-request" },
	{ 499, "bad-request" },
	{ 500, "internal-server-error" },
	{ 501, "feature-not-implemented" },
	{ 502, "remote-server-not-found" },
	{ 503, "internal-server-error" },
	{ 504, "remote-server-timeout" },
	{ 505, "not-acceptable" },
	{ 513, "policy-violation" },
	{ 580, "internal-server-error" },
	{ 599, "internal-server-error" },
	{ 600, "recipient-unavailable" },
	{ 601, "recipient-unavailable" },
	{ 603, "recipient-unavailable" },
	{ 604, "item-not-found" },
	{ 606, "not-acceptable" },
	{ 699, "recipient-unavailable" },
	/* No final failure at all: a peer may send anything. */
	{ 0, "undefined-condition" },
	{ 100, "undefined-condition" },
	{ 200, "undefined-condition" },
	{ 700, "undefined-condition" },
	{ 4294967295U, "undefined-condition" },
};

static void test_status_to_condition(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(to_xmpp); i++) {
		enum condition expected, c;

		assert_int_equal(condition_parse(to_xmpp[i].condition, &expected), OK);
		c = map_status_to_condition(to_xmpp[i].status, true);
		if (c != expected)
			fail_msg("%u: %s", to_xmpp[i].status, condition_name(c));
		/* <redirect/> needs the new address. */
		if (expected == COND_REDIRECT)
			expected = COND_RECIPIENT_UNAVAILABLE;
		c = map_status_to_condition(to_xmpp[i].status, false);
		if (c != expected)
			fail_msg("%u without an address: %s", to_xmpp[i].status, condition_name(c));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_condition_to_status),
		cmocka_unit_test(test_status_to_condition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
