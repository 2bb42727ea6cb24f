/* test_shares.c - a limit that many share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/shares.h"

static size_t take_all(struct shares *s, const char *name, size_t max)
{
	size_t count = 0;

	while (shares_take(s, name, strlen(name), max))
		count++;
	return count;
}

static void give(struct shares *s, const char *name, size_t count)
{
	while (count-- > 0)
		shares_give(s, name, strlen(name));
}

/* Each gets half of what is left, and somebody new always something until the end. */
static void test_shares(void **state)
{
	struct shares s = { .total = 0 };

	(void)state;
	assert_int_equal(take_all(&s, "a.test", 8), 4);
	assert_int_equal(take_all(&s, "b.test", 8), 2);
	assert_int_equal(take_all(&s, "c.test", 8), 1);
	assert_int_equal(take_all(&s, "a.test", 8), 0);
	assert_int_equal(take_all(&s, "d.test", 8), 1);
	assert_int_equal(take_all(&s, "e.test", 8), 0);
	assert_int_equal(s.total, 8);
	assert_int_equal(shares_of(&s, "b.test", strlen("b.test")), 2);
	assert_int_equal(shares_of(&s, "e.test", strlen("e.test")), 0);
	/* What one gives back another can have, and he himself less. */
	give(&s, "a.test", 3);
	assert_int_equal(take_all(&s, "b.test", 8), 1);
	assert_int_equal(take_all(&s, "a.test", 8), 1);
	give(&s, "a.test", 2);
	give(&s, "b.test", 3);
	give(&s, "c.test", 1);
	give(&s, "d.test", 1);
	assert_int_equal(s.total, 0);
	assert_null(s.by_name);
}

static void test_ends(void **state)
{
	struct shares s = { .total = 0 };

	(void)state;
	assert_int_equal(take_all(&s, "a", 0), 0);
	assert_null(s.by_name);
	assert_int_equal(take_all(&s, "a", 1), 1);
	assert_int_equal(take_all(&s, "", 1), 0);
	give(&s, "a", 1);
	assert_int_equal(take_all(&s, "", 1), 1);
	/* A name is its bytes up to the length, not to a NUL. */
	assert_false(shares_take(&s, "ab", 1, 1));
	give(&s, "", 1);
	assert_null(s.by_name);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_shares), cmocka_unit_test(test_ends) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
