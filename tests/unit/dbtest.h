/*
 * dbtest.h - a registry in a temporary folder, and a plain SQLite connection
 * that plays the administrator's sqlite3 shell (foreign_keys off).
 */
#ifndef POOLBRIDGE_TESTS_DBTEST_H
#define POOLBRIDGE_TESTS_DBTEST_H

#include <sqlite3.h>

#include "db/db.h"

struct dbtest {
	char folder[64];
	char path[96]; /* folder/registry.db */
	struct db *db;
};

/* cmocka set-up and tear-down; *state is a struct dbtest with an open registry. */
int dbtest_setup(void **state);
int dbtest_teardown(void **state);

/* The same in two steps, for tests that make the file themselves. */
struct dbtest *dbtest_folder(void);
struct dbtest *dbtest_folder_in_memory(void); /* for thousands of files, where there is such a place */
void dbtest_remove(struct dbtest *t);

/* What the shell would do: the message of SQLite, or NULL when it was done. */
const char *dbtest_sql(const struct dbtest *t, const char *sql);
/* The first column of the first row, "" for NULL or no row. */
const char *dbtest_value(const struct dbtest *t, const char *sql);

#endif
