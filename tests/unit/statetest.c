/* statetest.c - see statetest.h. */
#include "tests/unit/statetest.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

void statetest_open_limited(struct statetest *t, int64_t per_user, int64_t total)
{
	const struct ledger_limits limits = { per_user, total };
	const char *why = NULL;

	if (state_open(t->files->path, &t->state, &why) != OK)
		fail_msg("%s", why);
	t->ledger = ledger_create(t->state, &limits);
}

void statetest_open(struct statetest *t)
{
	statetest_open_limited(t, 100000, 1000000);
}

void statetest_close(struct statetest *t)
{
	ledger_destroy(t->ledger);
	state_close(t->state);
	t->ledger = NULL;
	t->state = NULL;
}

int statetest_setup(void **state)
{
	struct statetest *t = xcalloc(1, sizeof(*t));

	t->files = dbtest_folder();
	statetest_open(t);
	*state = t;
	return 0;
}

int statetest_teardown(void **state)
{
	struct statetest *t = *state;

	statetest_close(t);
	dbtest_remove(t->files);
	free(t);
	return 0;
}

void assert_same_entry(const struct ledger_entry *a, const struct ledger_entry *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->via, b->via);
	assert_int_equal(a->evidence, b->evidence);
	assert_int_equal(a->since, b->since);
	assert_int_equal(a->seen, b->seen);
}
