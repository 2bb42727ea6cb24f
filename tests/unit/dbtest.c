/* dbtest.c - see dbtest.h. */
#include "tests/unit/dbtest.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct dbtest *folder_in(const char *place)
{
	struct dbtest *t = xcalloc(1, sizeof(*t));

	snprintf(t->folder, sizeof(t->folder), "%s/poolbridge-db-XXXXXX", place);
	assert_non_null(mkdtemp(t->folder));
	snprintf(t->path, sizeof(t->path), "%s/registry.db", t->folder);
	return t;
}

struct dbtest *dbtest_folder(void)
{
	return folder_in("/tmp");
}

struct dbtest *dbtest_folder_in_memory(void)
{
	return folder_in(access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void dbtest_remove(struct dbtest *t)
{
	db_close(t->db);
	nftw(t->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(t);
}

int dbtest_setup(void **state)
{
	struct dbtest *t = dbtest_folder();
	const char *why = NULL;

	if (db_open(t->path, &t->db, &why) != OK)
		fail_msg("%s", why);
	*state = t;
	return 0;
}

int dbtest_teardown(void **state)
{
	dbtest_remove(*state);
	return 0;
}

static int keep_first(void *ctx, int columns, char **values, char **names)
{
	char *out = ctx;

	(void)columns;
	(void)names;
	if (!out[0] && values[0])
		snprintf(out, 4096, "%s", values[0]);
	return 0;
}

static const char *run(const struct dbtest *t, const char *sql, char *first)
{
	static char words[1024];
	sqlite3 *shell = NULL;
	char *message = NULL;
	int rc;

	assert_int_equal(sqlite3_open(t->path, &shell), SQLITE_OK);
	rc = sqlite3_exec(shell, sql, first ? keep_first : NULL, first, &message);
	snprintf(words, sizeof(words), "%s", message ? message : "");
	sqlite3_free(message);
	sqlite3_close(shell);
	return rc == SQLITE_OK ? NULL : words;
}

const char *dbtest_sql(const struct dbtest *t, const char *sql)
{
	return run(t, sql, NULL);
}

const char *dbtest_value(const struct dbtest *t, const char *sql)
{
	static char first[4096];
	const char *error;

	first[0] = '\0';
	error = run(t, sql, first);
	if (error)
		fail_msg("%s: %s", sql, error);
	return first;
}
