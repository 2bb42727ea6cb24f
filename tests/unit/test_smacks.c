/* test_smacks.c - the window of received stanzas, h on the wire, and what it acknowledges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/xmpp/smacks.h"

static void test_prefix(void **state)
{
	struct sm_received r = { 0 };
	(void)state;

	for (int i = 0; i < 4; i++)
		assert_int_equal(sm_receive(&r), i);
	sm_finish(&r, 2);
	assert_int_equal(sm_tell(&r), 0);
	sm_finish(&r, 0);
	assert_int_equal(sm_tell(&r), 1);
	sm_finish(&r, 1);
	assert_int_equal(sm_tell(&r), 3);
	sm_finish(&r, 1); /* twice */
	sm_finish(&r, 9); /* never received */
	assert_int_equal(sm_tell(&r), 3);
	sm_finish(&r, 3);
	assert_int_equal(sm_tell(&r), 4);
}

/* The ring is used many times over, finished in reverse within each round. */
static void test_window(void **state)
{
	struct sm_received r = { 0 };
	(void)state;

	for (int round = 0; round < 5; round++) {
		uint64_t first = r.received;

		while (!sm_is_full(&r))
			sm_receive(&r);
		assert_int_equal(r.received - first, SM_WINDOW);
		for (uint64_t n = r.received; n-- > first + 1;)
			sm_finish(&r, n);
		assert_true(sm_is_full(&r));
		sm_finish(&r, first);
		assert_int_equal(r.finished, r.received);
	}
}

/* What was read together with the stanza that filled the window does not wipe out another's place. */
static void test_more_than_the_window(void **state)
{
	struct sm_received r = { 0 };
	(void)state;

	while (r.received < SM_WINDOW + 3000)
		sm_receive(&r);
	for (uint64_t n = SM_WINDOW; n < r.received; n++)
		sm_finish(&r, n);
	assert_int_equal(sm_tell(&r), 0);
	sm_finish(&r, 0);
	assert_int_equal(sm_tell(&r), 1);
}

static void test_wrap(void **state)
{
	const uint64_t wrap = UINT64_C(1) << 32;
	struct sm_received r = { .received = wrap - 1, .finished = wrap - 1 };
	(void)state;

	sm_finish(&r, sm_receive(&r));
	assert_int_equal(sm_tell(&r), 0);
	sm_finish(&r, sm_receive(&r));
	assert_int_equal(sm_tell(&r), 1);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		enum err expected;
		uint32_t value;
	} cases[] = {
		{ "0", OK, 0 },
		{ "7", OK, 7 },
		{ "4294967295", OK, UINT32_MAX },
		{ "4294967296", ERR_SYNTAX, 0 },
		{ "99999999999", ERR_SYNTAX, 0 },
		{ "", ERR_SYNTAX, 0 },
		{ "-1", ERR_SYNTAX, 0 },
		{ "+1", ERR_SYNTAX, 0 },
		{ " 1", ERR_SYNTAX, 0 },
		{ "1 ", ERR_SYNTAX, 0 },
		{ "0x1", ERR_SYNTAX, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t value = 0;

		assert_int_equal(sm_parse_h(cases[i].text, &value), cases[i].expected);
		assert_int_equal(value, cases[i].value);
	}
}

static void test_acknowledged(void **state)
{
	static const struct {
		uint64_t sent, acked;
		uint32_t h;
		enum err expected;
		uint64_t covered;
	} cases[] = {
		{ 0, 0, 0, OK, 0 },
		{ 5, 0, 0, OK, 0 },
		{ 5, 0, 5, OK, 5 },
		{ 5, 3, 3, OK, 3 },
		{ 5, 3, 4, OK, 4 },
		{ 5, 0, 6, ERR_LIMIT, 0 },                       /* more than was sent */
		{ 5, 3, 2, ERR_LIMIT, 0 },                       /* less than before */
		{ 0x100000002, 0xfffffffe, 1, OK, 0x100000001 }, /* the counter has wrapped */
		{ 0x100000002, 0xfffffffe, 3, ERR_LIMIT, 0 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t covered = 0;

		assert_int_equal(sm_acknowledged(cases[i].sent, cases[i].acked, cases[i].h, &covered),
				 cases[i].expected);
		assert_int_equal(covered, cases[i].covered);
	}
}

/* An answer is owed once, when all is finished that was there when the peer asked. */
static void test_owed(void **state)
{
	struct sm_received r = { 0 };

	(void)state;
	sm_receive(&r);
	sm_receive(&r);
	assert_false(sm_is_owed(&r));
	sm_ask(&r);
	assert_int_equal(sm_tell(&r), 0);
	sm_receive(&r);
	sm_finish(&r, 1);
	assert_false(sm_is_owed(&r));
	sm_finish(&r, 0);
	assert_true(sm_is_owed(&r));
	assert_int_equal(sm_tell(&r), 2);
	assert_false(sm_is_owed(&r));
	sm_finish(&r, 2);
	assert_false(sm_is_owed(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix),       cmocka_unit_test(test_owed),
		cmocka_unit_test(test_window),       cmocka_unit_test(test_more_than_the_window),
		cmocka_unit_test(test_wrap),         cmocka_unit_test(test_parse),
		cmocka_unit_test(test_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
