/*
 * test_ackmarks.c - application bytes from acknowledged wire bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/xmpp/ackmarks.h"

static void test_rounds_down_to_records(void **state)
{
	static const struct {
		uint64_t wire, app;
	} rows[] = {
		{ 0, 7 },     { 31, 7 },    { 32, 17 },    { 33, 17 }, { 131, 17 },
		{ 132, 107 }, { 132, 107 }, { 131, 107 },  { 0, 107 }, /* never falls */
		{ 163, 107 }, { 164, 108 }, { 5000, 108 },
	};
	struct ackmarks m = { .acked = 7 };

	(void)state;
	ackmarks_add(&m, 17, 32);
	ackmarks_add(&m, 107, 132);
	ackmarks_add(&m, 108, 164);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(ackmarks_settle(&m, rows[i].wire), rows[i].app);
	assert_int_equal(m.count, 0);
	assert_null(m.mark);
}

/* A long life with a bounded number of records on the way needs bounded memory. */
static void test_memory_is_bounded(void **state)
{
	enum { RECORDS = 100000, ON_THE_WAY = 37 };
	struct ackmarks m = { 0 };

	(void)state;
	for (uint64_t i = 1; i <= RECORDS; i++) {
		ackmarks_add(&m, i * 10, i * 32);
		if (i > ON_THE_WAY)
			assert_int_equal(ackmarks_settle(&m, (i - ON_THE_WAY) * 32), (i - ON_THE_WAY) * 10);
		assert_true(m.cap <= 128);
	}
	assert_int_equal(m.count, ON_THE_WAY);
	assert_int_equal(ackmarks_settle(&m, UINT64_MAX), (uint64_t)RECORDS * 10);
}

static void test_full_tells_before_it_grows(void **state)
{
	struct ackmarks m = { 0 };

	(void)state;
	for (uint64_t i = 1; i <= 1000; i++) {
		const size_t cap = m.cap;
		const bool full = ackmarks_full(&m);

		ackmarks_add(&m, i, i);
		assert_true(full || m.cap == cap);
	}
	ackmarks_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds_down_to_records),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_full_tells_before_it_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
