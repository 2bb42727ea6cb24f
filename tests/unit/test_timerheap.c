/* Tests of timerheap.h against a plain array, with many random operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/core/timerheap.h"

enum { ENTRIES = 200, OPERATIONS = 50000 };

static struct timer_entry *earliest(struct timer_entry *e)
{
	struct timer_entry *best = NULL;

	for (size_t i = 0; i < ENTRIES; i++) {
		if (e[i].place != 0 && (best == NULL || e[i].when < best->when ||
					(e[i].when == best->when && e[i].order < best->order)))
			best = &e[i];
	}
	return best;
}

static void test_random(void **state)
{
	static struct timer_entry e[ENTRIES];
	struct timerheap h = { 0 };
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < OPERATIONS; i++) {
		struct timer_entry *one = &e[(size_t)rand_r(&seed) % ENTRIES];

		if (rand_r(&seed) % 3 == 0)
			timerheap_remove(&h, one);
		else
			timerheap_put(&h, one, rand_r(&seed) % 50); /* many are equal */
		assert_ptr_equal(timerheap_first(&h), earliest(e));
	}
	while (timerheap_first(&h) != NULL) {
		assert_ptr_equal(timerheap_first(&h), earliest(e));
		timerheap_remove(&h, timerheap_first(&h));
	}
	assert_null(earliest(e));
	timerheap_free(&h);
}

static void test_equal_deadlines_keep_their_order(void **state)
{
	static struct timer_entry e[ENTRIES];
	struct timerheap h = { 0 };

	(void)state;
	for (size_t i = 0; i < ENTRIES; i++)
		timerheap_put(&h, &e[i], 7);
	timerheap_put(&h, &e[0], 7); /* set again: now the last */
	for (size_t i = 1; i <= ENTRIES; i++) {
		assert_ptr_equal(timerheap_first(&h), &e[i % ENTRIES]);
		timerheap_remove(&h, &e[i % ENTRIES]);
	}
	timerheap_remove(&h, &e[0]); /* not there any more: nothing happens */
	assert_null(timerheap_first(&h));
	timerheap_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_equal_deadlines_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
