/*
 * statetest.h - a state file with a ledger in a temporary folder. The shell of
 * dbtest.h looks at the same file, from outside.
 */
#ifndef POOLBRIDGE_TESTS_STATETEST_H
#define POOLBRIDGE_TESTS_STATETEST_H

#include "db/ledger.h"
#include "tests/unit/dbtest.h"

struct statetest {
	struct dbtest *files; /* files->path is the state file */
	struct state *state;
	struct ledger *ledger;
};

/* cmocka set-up and tear-down; *state is a struct statetest with limits that no test reaches by chance. */
int statetest_setup(void **state);
int statetest_teardown(void **state);

void statetest_open(struct statetest *t);
void statetest_open_limited(struct statetest *t, int64_t per_user, int64_t total);
void statetest_close(struct statetest *t); /* in order, as at the end of the daemon */

/* Member by member: what lies between them is undefined. */
void assert_same_entry(const struct ledger_entry *a, const struct ledger_entry *b);

#endif
