/*
 * Tests of seen_ring.h: what is found, what has given way, names that are used
 * again and again, forgetting, and a long game against a plain list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/route/seen_ring.h"

static void add(struct seen_ring *r, uint64_t name, uint64_t content)
{
	seen_ring_add(r, &(struct seen_hash){ name, content }, (int32_t)(name + content), (uint32_t)content);
}

static bool has(const struct seen_ring *r, uint64_t name, uint64_t content)
{
	uint32_t source = 0;
	int32_t at = 0;
	bool found = seen_ring_find(r, &(struct seen_hash){ name, content }, &at, &source);

	if (found) {
		assert_int_equal(at, name + content);
		assert_int_equal(source, content);
	}
	return found;
}

static void test_empty(void **state)
{
	struct seen_ring *r = seen_ring_create(10);
	(void)state;

	assert_false(has(r, 1, 1));
	assert_false(seen_ring_forget(r, 1));
	assert_int_equal(seen_ring_end(r), 0);
	assert_int_equal(seen_ring_begin(r), 0);
	assert_int_equal(seen_ring_memory(r), 0);
	seen_ring_destroy(r);
	seen_ring_destroy(NULL);
}

/* Bounds below, at, above and between the sizes by which memory grows; round several times. */
static void test_bound(void **state)
{
	static const size_t bounds[] = { 1, 2, 5, 63, 64, 65, 100, 128, 129, 1000 };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		struct seen_ring *r = seen_ring_create(bounds[i]);

		for (uint64_t n = 0; n < 3 * bounds[i] + 7; n++) {
			add(r, n * 64, 1 + n); /* many in one chain */
			for (uint64_t k = n > 70 ? n - 70 : 0; k <= n; k++)
				if (has(r, k * 64, 1 + k) != (k + bounds[i] > n))
					fail_msg("bound %zu: %d of %d", bounds[i], (int)k, (int)n);
			assert_int_equal(seen_ring_end(r), n + 1);
			assert_int_equal(seen_ring_begin(r), n + 1 > bounds[i] ? n + 1 - bounds[i] : 0);
			assert_int_equal(seen_ring_at(r, n).name, n * 64);
		}
		assert_in_range(seen_ring_memory(r), bounds[i] * 20, bounds[i] * 48 + 64 * 40);
		seen_ring_destroy(r);
	}
}

static void test_content_counts(void **state)
{
	struct seen_ring *r = seen_ring_create(100);
	(void)state;

	add(r, 7, 1);
	assert_true(has(r, 7, 1));
	assert_false(has(r, 7, 2));
	assert_false(has(r, 71, 1));
	assert_false(has(r, 7 + 64, 1)); /* the same chain */
	seen_ring_destroy(r);
}

/* Of one name the newest few are known, so that nobody makes a chain long. */
static void test_same_name(void **state)
{
	struct seen_ring *r = seen_ring_create(1000);
	(void)state;

	add(r, 64, 1);
	for (uint64_t n = 1; n <= 500; n++) {
		add(r, 0, n);
		for (uint64_t k = 1; k <= n; k++)
			assert_int_equal(has(r, 0, k), k + SEEN_SAME_NAME_MAX > n);
	}
	assert_true(has(r, 64, 1));
	assert_true(seen_ring_forget(r, 0));
	assert_false(has(r, 0, 500));
	assert_false(seen_ring_forget(r, 0));
	assert_true(has(r, 64, 1));
	seen_ring_destroy(r);
}

/* A place that is only a place, and one that was forgotten, go round like any other. */
static void test_forgotten_places(void **state)
{
	struct seen_ring *r = seen_ring_create(4);
	(void)state;

	add(r, 1, 1);
	add(r, 2, 0);
	add(r, 3, 3);
	assert_false(has(r, 2, 0));
	assert_true(seen_ring_forget(r, 1));
	assert_int_equal(seen_ring_at(r, 0).name, 1);
	for (uint64_t n = 4; n < 20; n++) {
		add(r, n, n);
		assert_true(has(r, n, n));
		assert_int_equal(has(r, 3, 3), n < 7);
	}
	seen_ring_destroy(r);
}

/* What was forgotten before the memory grew is not found after. */
static void test_forgotten_before_growing(void **state)
{
	struct seen_ring *r = seen_ring_create(1000);
	(void)state;

	add(r, 1, 1);
	add(r, 2, 0);
	add(r, 3, 3);
	assert_true(seen_ring_forget(r, 1));
	for (uint64_t n = 4; n < 500; n++)
		add(r, n, n);
	assert_false(has(r, 1, 1));
	assert_false(has(r, 2, 0));
	assert_true(has(r, 3, 3));
	seen_ring_destroy(r);
}

/* Against a list that is walked from its end. */
static void test_game(void **state)
{
	enum { BOUND = 50, STEPS = 20000 };
	static struct seen_hash list[STEPS];
	static bool gone[STEPS];
	struct seen_ring *r = seen_ring_create(BOUND);
	size_t count = 0;
	(void)state;

	srand(1);
	while (count < STEPS) {
		uint64_t name = (uint64_t)(rand() % 40) * 16, content = 1 + (uint64_t)(rand() % 2);
		bool known = false, named = false;
		unsigned same = 0;

		for (size_t i = count; i > 0 && i + BOUND > count; i--) {
			if (gone[i - 1] || list[i - 1].name != name || ++same > SEEN_SAME_NAME_MAX)
				continue;
			named = true;
			known = known || list[i - 1].content == content;
		}
		assert_int_equal(has(r, name, content), known);
		if (rand() % 10 == 0) {
			assert_int_equal(seen_ring_forget(r, name), named);
			for (size_t i = 0; i < count; i++)
				gone[i] = gone[i] || list[i].name == name;
			continue;
		}
		add(r, name, content);
		list[count++] = (struct seen_hash){ name, content };
	}
	seen_ring_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_content_counts),
		cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_forgotten_places),
		cmocka_unit_test(test_forgotten_before_growing),
		cmocka_unit_test(test_game),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
