/* test_turns.c - requests under way and waiting, in turns by recipient. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/sip/turns.h"

enum { MAX = 8, SEATS = 32 };

struct stage {
	struct turns w;
	struct turns_seat seats[SEATS];
	size_t used;
};

static enum turns_place enter(struct stage *s, const char *recipient)
{
	struct turns_seat *seat = &s->seats[s->used++];

	*seat = (struct turns_seat){ .owner = (void *)(uintptr_t)recipient };
	return turns_enter(&s->w, seat, recipient, 10);
}

/* So many that go, of those that enter. */
static size_t enter_many(struct stage *s, const char *recipient, size_t count)
{
	size_t went = 0;

	while (count-- > 0)
		went += enter(s, recipient) == TURNS_GOES;
	return went;
}

static const char *next(struct stage *s)
{
	const struct turns_seat *seat = turns_next(&s->w);

	return seat != NULL ? seat->owner : NULL;
}

static void leave_all(struct stage *s)
{
	for (size_t i = 0; i < s->used; i++)
		turns_leave(&s->w, &s->seats[i]);
	assert_int_equal(s->w.under_way, 0);
	assert_int_equal(s->w.waiting, 0);
	assert_null(s->w.by_name);
	assert_null(s->w.ring);
}

/* One who never answers has half, and the others go on. */
static void test_silent(void **state)
{
	struct stage s = { .w.max = MAX };

	(void)state;
	assert_int_equal(enter_many(&s, "silent", 6), 4);
	assert_null(next(&s));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(enter(&s, "b"), TURNS_GOES);
		turns_leave(&s.w, &s.seats[s.used - 1]);
		assert_null(next(&s));
	}
	/* Whoever is new has one as long as there is any. */
	assert_int_equal(enter_many(&s, "b", 2), 2);
	assert_int_equal(enter_many(&s, "c", 2), 1);
	assert_int_equal(enter_many(&s, "d", 2), 1);
	assert_int_equal(s.w.under_way, MAX);
	assert_int_equal(enter_many(&s, "e", 1), 0);
	leave_all(&s);
}

/* Those that wait take turns; the requests of one recipient keep their order. */
static void test_turns(void **state)
{
	struct stage s = { .w.max = MAX };

	(void)state;
	assert_int_equal(enter_many(&s, "a", 7), 4); /* seats 0..3 go, 4..6 wait */
	assert_int_equal(enter_many(&s, "b", 2), 2); /* 7, 8 */
	assert_int_equal(enter_many(&s, "c", 3), 1); /* 9 goes, 10, 11 wait */
	assert_int_equal(enter(&s, "d"), TURNS_GOES);
	assert_int_equal(enter(&s, "d"), TURNS_WAITS);
	assert_int_equal(s.w.under_way, MAX);
	assert_null(next(&s));
	for (size_t i = 0; i < 4; i++)
		turns_leave(&s.w, &s.seats[i]);
	assert_ptr_equal(turns_next(&s.w), &s.seats[4]);
	assert_string_equal(next(&s), "c");
	assert_string_equal(next(&s), "d");
	/* One left: everybody has something under way, and leaves it to whoever comes. */
	assert_null(next(&s));
	assert_int_equal(enter(&s, "e"), TURNS_GOES);
	turns_leave(&s.w, &s.seats[4]);
	turns_leave(&s.w, &s.seats[7]);
	turns_leave(&s.w, &s.seats[8]);
	/* One that waited leaves without having gone. */
	turns_leave(&s.w, &s.seats[5]);
	assert_ptr_equal(turns_next(&s.w), &s.seats[6]);
	leave_all(&s);
}

static void test_bound(void **state)
{
	struct stage s = { .w.max = MAX };

	(void)state;
	assert_int_equal(enter_many(&s, "a", 14), 4);
	assert_int_equal(s.w.waiting, 10);
	assert_int_equal(enter(&s, "a"), TURNS_FULL);
	/* Who need not wait is not refused. */
	assert_int_equal(enter(&s, "b"), TURNS_GOES);
	/* Whoever has not entered may leave all the same. */
	turns_leave(&s.w, &s.seats[14]);
	leave_all(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
