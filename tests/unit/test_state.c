/*
 * Tests of state.h: one transaction a turn and those who wait for it, two kinds
 * of files that are never mistaken for each other, one daemon at a time, and
 * disks that are full or broken.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/schema.h"
#include "db/statement.h"
#include "db/seen.h"
#include "tests/unit/statetest.h"

static const struct ledger_key key = { "romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL };
static const struct ledger_key other_key = { "romeo@corp.test", "rosaline@partner.test", LEDGER_TO_LOCAL };
static const struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_HANDSHAKE, 1000, 2000 };

/* SQLite's fsync, which a test can break: the dynamic linker finds ours first. */
static bool disk_is_broken;
static unsigned syncs;
int fdatasync(int fd);
int fsync(int fd);

int fdatasync(int fd)
{
	syncs++;
	if (!disk_is_broken)
		return (int)syscall(SYS_fdatasync, fd);
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	syncs++;
	if (!disk_is_broken)
		return (int)syscall(SYS_fsync, fd);
	errno = EIO;
	return -1;
}

static const char *rows(const struct statetest *t)
{
	return dbtest_value(t->files, "SELECT count(*) FROM subscription");
}

struct told {
	int calls;
	enum err e;
};

static void tell(void *ctx, enum err e)
{
	struct told *told = ctx;

	told->calls++;
	told->e = e;
}

/* --- a turn --- */

static void test_one_transaction(void **state)
{
	struct statetest *t = *state;
	struct told first = { 0 }, second = { 0 };

	state_on_commit(t->state, tell, &first);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), OK);
	state_on_commit(t->state, tell, &second);
	assert_string_equal(rows(t), "0"); /* from outside */
	assert_int_equal(first.calls + second.calls, 0);
	assert_true(state_commit(t->state));
	assert_string_equal(rows(t), "2");
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(first.e, OK);
	assert_int_equal(second.e, OK);

	assert_false(state_commit(t->state)); /* nothing to do, nobody to tell */
	assert_int_equal(first.calls, 1);
}

/* Who waits without a write of his own is told all the same. */
static void test_told_without_a_write(void **state)
{
	struct statetest *t = *state;
	struct told told = { 0 };

	state_on_commit(t->state, tell, &told);
	assert_true(state_commit(t->state));
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.e, OK);
}

struct again {
	struct statetest *t;
	struct told told;
};

static void write_again(void *ctx, enum err e)
{
	struct again *again = ctx;

	assert_int_equal(e, OK);
	assert_int_equal(ledger_put(again->t->ledger, &other_key, &entry), OK);
	state_on_commit(again->t->state, tell, &again->told);
}

static void test_write_from_a_callback(void **state)
{
	struct statetest *t = *state;
	struct again again = { .t = t };

	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	state_on_commit(t->state, write_again, &again);
	assert_true(state_commit(t->state));
	assert_int_equal(again.told.calls, 0);
	assert_string_equal(rows(t), "1");
	assert_true(state_commit(t->state));
	assert_int_equal(again.told.calls, 1);
	assert_string_equal(rows(t), "2");
}

static void forget_other(void *ctx, enum err e)
{
	struct again *again = ctx;

	(void)e;
	state_forget(again->t->state, &again->told);
}

static void test_forget(void **state)
{
	struct statetest *t = *state;
	struct again again = { .t = t };

	state_on_commit(t->state, tell, &again.told);
	state_on_commit(t->state, forget_other, &again);
	state_on_commit(t->state, tell, &again.told);
	state_on_commit(t->state, tell, &again.told);
	assert_true(state_commit(t->state));
	assert_int_equal(again.told.calls, 1);
	state_on_commit(t->state, tell, &again.told);
	state_forget(t->state, &again.told);
	assert_false(state_commit(t->state));
	assert_int_equal(again.told.calls, 1);
}

static void test_closing_commits(void **state)
{
	struct statetest *t = *state;
	struct told told = { 0 };

	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	state_on_commit(t->state, tell, &told);
	statetest_close(t);
	assert_string_equal(rows(t), "1");
	assert_int_equal(told.calls, 0);
}

/* --- failure --- */

static int refuse(void *ctx)
{
	(void)ctx;
	return 1;
}

/* A commit that fails takes the whole turn with it, and the next turn starts afresh. */
static void test_failed_commit(void **state)
{
	struct statetest *t = *state;
	sqlite3 *handle = state_db(t->state)->handle;
	struct told told = { 0 };

	sqlite3_commit_hook(handle, refuse, NULL);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	state_on_commit(t->state, tell, &told);
	assert_true(state_commit(t->state));
	assert_int_equal(told.calls, 1);
	assert_int_not_equal(told.e, OK);
	assert_string_equal(rows(t), "0");

	sqlite3_commit_hook(handle, NULL, NULL);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	state_on_commit(t->state, tell, &told);
	assert_true(state_commit(t->state));
	assert_int_equal(told.e, OK);
	assert_string_equal(rows(t), "1");
}

/* A spoiled turn stays spoiled: nothing of it is stored, later writes are refused at once. */
static void test_spoiled_turn(void **state)
{
	struct statetest *t = *state;
	struct told told = { 0 };

	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_int_equal(state_wrote(t->state, ERR_REFUSED),
			 ERR_REFUSED); /* a row's refusal spoils nothing */
	assert_int_equal(state_begin(t->state), OK);
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), ERR_IO);
	assert_int_equal(ledger_remove(t->ledger, &key), ERR_IO);
	state_on_commit(t->state, tell, &told);
	assert_true(state_commit(t->state));
	assert_int_equal(told.e, ERR_IO);
	assert_string_equal(rows(t), "0");
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), OK);
	assert_false(state_commit(t->state));
	assert_string_equal(rows(t), "1");
}

/* The next start would not find what is written into a file that has gone: nothing is, until it is there again. */
static void test_moved(void **state)
{
	struct statetest *t = *state;
	char aside[128];

	snprintf(aside, sizeof(aside), "%s.aside", t->files->path);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_false(state_commit(t->state));
	assert_int_equal(rename(t->files->path, aside), 0);
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), ERR_IO);
	assert_false(state_commit(t->state));
	assert_non_null(strstr(state_trouble(t->state), t->files->path));
	assert_int_equal(state_begin_unsynced(t->state), ERR_IO);
	assert_false(state_commit(t->state));
	assert_int_equal(rename(aside, t->files->path), 0);
	assert_int_equal(state_begin_unsynced(t->state), OK);
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), OK);
	assert_false(state_commit(t->state));
	assert_string_equal(rows(t), "2");
}

/* Somebody's open transaction in a shell: the turn fails, soon, and the next one does not. */
static void test_locked_by_a_shell(void **state)
{
	struct statetest *t = *state;
	struct told told = { 0 };
	sqlite3 *shell = NULL;

	assert_int_equal(sqlite3_open(t->files->path, &shell), SQLITE_OK);
	assert_int_equal(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), ERR_BUSY);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), ERR_BUSY); /* without waiting again */
	state_on_commit(t->state, tell, &told);
	assert_true(state_commit(t->state));
	assert_int_equal(told.e, ERR_BUSY);
	assert_int_equal(sqlite3_exec(shell, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(shell);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_false(state_commit(t->state));
	assert_string_equal(rows(t), "1");
}

/* In a child, which may be broken for good: the exit status of what it does. */
static int in_child(struct statetest *t, int (*run)(struct statetest *t))
{
	pid_t child = fork();
	int status = -1;

	assert_true(child >= 0);
	if (child == 0)
		_exit(run(t));
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { CHILD_DONE = 7, CHILD_WRONG = 8 };

static int fill_the_disk(struct statetest *t)
{
	char told_text[LEDGER_TOLD_MAX + 1];
	struct told told = { 0 };
	struct rlimit limit = { 0, RLIM_INFINITY };
	enum err e;

	memset(told_text, 'x', LEDGER_TOLD_MAX);
	told_text[LEDGER_TOLD_MAX] = '\0';
	statetest_open(t);
	signal(SIGXFSZ, SIG_IGN);
	limit.rlim_cur = 40000; /* bytes a file may have: a row fits, the text does not */
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return CHILD_WRONG;
	e = ledger_put(t->ledger, &key, &entry);
	if (e == OK)
		e = ledger_tell(t->ledger, &key, told_text);
	state_on_commit(t->state, tell, &told);
	state_commit(t->state);
	if (told.calls != 1 || told.e != ERR_IO)
		return CHILD_WRONG;
	limit.rlim_cur = RLIM_INFINITY;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || ledger_put(t->ledger, &other_key, &entry) != OK)
		return CHILD_WRONG;
	state_on_commit(t->state, tell, &told);
	state_commit(t->state);
	return told.calls == 2 && told.e == OK ? CHILD_DONE : CHILD_WRONG;
}

static void test_full_disk(void **state)
{
	struct statetest *t = *state;

	statetest_close(t);
	assert_int_equal(in_child(t, fill_the_disk), CHILD_DONE);
	assert_string_equal(dbtest_value(t->files, "SELECT group_concat(contact) FROM subscription"),
			    other_key.contact);
	assert_string_equal(dbtest_value(t->files, "PRAGMA integrity_check"), "ok");
}

static int break_the_disk(struct statetest *t)
{
	statetest_open(t);
	if (ledger_put(t->ledger, &key, &entry) != OK)
		return CHILD_WRONG;
	disk_is_broken = true;
	state_commit(t->state);
	return CHILD_DONE; /* it should have ended */
}

static void test_broken_disk_ends_the_process(void **state)
{
	struct statetest *t = *state;

	statetest_close(t);
	assert_int_equal(in_child(t, break_the_disk), 1);
}

/* --- files --- */

static void assert_refused(const char *path, enum err expected, const char *words)
{
	struct state *s = NULL;
	const char *why = NULL;

	assert_int_equal(state_open(path, &s, &why), expected);
	assert_null(s);
	assert_non_null(why);
	if (!strstr(why, path) || !strstr(why, words))
		fail_msg("'%s' does not name %s and say '%s'", why, path, words);
}

static void test_new_file(void **state)
{
	struct statetest *t = *state;
	char version[16];
	struct stat st;

	assert_int_equal(stat(t->files->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(dbtest_value(t->files, "PRAGMA journal_mode"), "wal");
	snprintf(version, sizeof(version), "%d", state_schema.count);
	assert_string_equal(dbtest_value(t->files, "PRAGMA user_version"), version);
	statetest_close(t);
	statetest_open(t); /* again: nothing is done twice */
}

static void test_kinds(void **state)
{
	struct statetest *t = *state;
	char path[128];
	struct db *db = NULL;
	const char *why = NULL;

	statetest_close(t);
	assert_int_equal(db_open(t->files->path, &db, &why), ERR_IO);
	assert_non_null(strstr(why, "is a poolbridge state file, not a registry: correct 'registry'"));
	snprintf(path, sizeof(path), "%s/other.db", t->files->folder);
	assert_int_equal(db_open(path, &db, &why), OK);
	db_close(db);
	assert_refused(path, ERR_IO, "is a poolbridge registry, not a state file: correct 'state'");
	assert_refused(t->files->folder, ERR_IO, "'state' in the configuration file must name a file");
	assert_string_equal(dbtest_value(t->files, "SELECT group_concat(name) FROM sqlite_schema "
						   "WHERE type = 'table' AND name NOT LIKE 'sqlite%'"),
			    "subscription,holding,dialog,message,seen,seen_key");
}

static void test_newer(void **state)
{
	struct statetest *t = *state;

	statetest_close(t);
	assert_null(dbtest_sql(t->files, "PRAGMA user_version = 99"));
	assert_refused(t->files->path, ERR_VERSION, "newer poolbridge");
}

static int open_it_too(struct statetest *t)
{
	struct state *s = NULL;
	const char *why = "";

	if (state_open(t->files->path, &s, &why) != ERR_BUSY || s)
		return CHILD_WRONG;
	return strstr(why, "another poolbridge is running on it: stop that one first") ? CHILD_DONE
										       : CHILD_WRONG;
}

static int open_it_alone(struct statetest *t)
{
	statetest_open(t);
	return CHILD_DONE; /* and ends without closing: a killed daemon's lock goes with it */
}

/* By whatever name. The first one goes on undisturbed. */
static void test_one_daemon(void **state)
{
	struct statetest *t = *state;
	char path[128];

	assert_int_equal(in_child(t, open_it_too), CHILD_DONE);
	snprintf(path, sizeof(path), "%s/link", t->files->folder);
	assert_int_equal(symlink(t->files->path, path), 0);
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_false(state_commit(t->state));
	strcpy(t->files->path, path);
	assert_int_equal(in_child(t, open_it_too), CHILD_DONE);
	statetest_close(t);
	assert_int_equal(in_child(t, open_it_alone), CHILD_DONE);
	statetest_open(t);
	assert_string_equal(rows(t), "1");
}

/* --- looking --- */

static void test_reader(void **state)
{
	struct statetest *t = *state;
	struct state *reader = NULL;
	struct ledger *ledger = NULL;
	struct ledger_entry found;
	struct ledger_counts counts;
	const char *why = NULL;

	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_false(state_commit(t->state));
	assert_int_equal(state_open_reader(t->files->path, &reader, &why), OK);
	ledger = ledger_create(reader, NULL);
	assert_int_equal(ledger_get(ledger, &key, &found), OK);
	assert_same_entry(&found, &entry);
	assert_int_equal(ledger_count(ledger, &counts), OK);
	assert_int_equal(counts.subscriptions, 1);
	/* It sees what is committed, and can change nothing. */
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), OK);
	assert_int_equal(ledger_get(ledger, &other_key, &found), ERR_NOT_FOUND);
	assert_false(state_commit(t->state));
	assert_int_equal(ledger_get(ledger, &other_key, &found), OK);
	assert_int_not_equal(ledger_remove(ledger, &key), OK);
	assert_string_equal(rows(t), "2");
	ledger_destroy(ledger);
	state_close(reader);
}

static int die_with_a_log_to_replay(struct statetest *t)
{
	statetest_open(t);
	if (ledger_put(t->ledger, &key, &entry) != OK)
		return CHILD_WRONG;
	state_commit(t->state);
	if (ledger_put(t->ledger, &other_key, &entry) != OK)
		return CHILD_WRONG;
	return CHILD_DONE; /* in the middle of a turn, without closing */
}

/* After kill -9: what was committed is there, for a reader and for the next daemon; the open turn is not. */
static void test_killed(void **state)
{
	struct statetest *t = *state;
	struct state *reader = NULL;
	struct ledger *ledger = NULL;
	struct ledger_entry found;
	const char *why = NULL;

	statetest_close(t);
	assert_int_equal(in_child(t, die_with_a_log_to_replay), CHILD_DONE);
	assert_int_equal(state_open_reader(t->files->path, &reader, &why), OK);
	ledger = ledger_create(reader, NULL);
	assert_int_equal(ledger_get(ledger, &key, &found), OK);
	assert_int_equal(ledger_get(ledger, &other_key, &found), ERR_NOT_FOUND);
	ledger_destroy(ledger);
	state_close(reader);
	statetest_open(t);
	assert_int_equal(ledger_get(t->ledger, &key, &found), OK);
	assert_same_entry(&found, &entry);
	assert_int_equal(ledger_get(t->ledger, &other_key, &found), ERR_NOT_FOUND);
}

static void test_reader_of_nothing(void **state)
{
	struct statetest *t = *state;
	struct state *reader = NULL;
	const char *why = NULL;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/none", t->files->folder);
	assert_int_equal(state_open_reader(path, &reader, &why), ERR_NOT_FOUND);
	assert_int_equal(access(path, F_OK), -1); /* it makes none */
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(state_open_reader(path, &reader, &why), ERR_NOT_FOUND);
	assert_null(reader);
	statetest_close(t);
	assert_null(dbtest_sql(t->files, "PRAGMA user_version = 99"));
	assert_int_equal(state_open_reader(t->files->path, &reader, &why), ERR_VERSION);
	assert_non_null(strstr(why, "newer poolbridge"));
	assert_null(dbtest_sql(t->files, "PRAGMA application_id = 5"));
	assert_int_equal(state_open_reader(t->files->path, &reader, &why), ERR_IO);
	assert_non_null(strstr(why, "another program"));
	assert_null(reader);
}

/* A turn without an fsync, and what a turn with one makes of it. */
static void test_unsynced(void **state)
{
	struct statetest *t = *state;
	struct told told = { 0, OK };

	assert_false(state_has_begun(t->state));
	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
	assert_true(state_has_begun(t->state));
	state_commit(t->state); /* the log is begun */
	syncs = 0;
	assert_int_equal(state_begin_unsynced(t->state), OK);
	assert_true(state_has_begun(t->state));
	assert_int_equal(seen_add(t->state, 1, 1, &(struct seen_hash){ 1, 2 }, 1), OK);
	state_on_commit(t->state, tell, &told);
	state_commit(t->state);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.e, OK);
	assert_int_equal(syncs, 0);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM seen"), "1");
	/* Who comes later in the same turn has his fsync, and so has all before him. */
	assert_int_equal(state_begin_unsynced(t->state), OK);
	assert_int_equal(seen_add(t->state, 2, 1, &(struct seen_hash){ 3, 4 }, 1), OK);
	assert_int_equal(ledger_put(t->ledger, &other_key, &entry), OK);
	state_commit(t->state);
	assert_int_equal(syncs, 1);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM seen"), "2");
	assert_string_equal(rows(t), "2");
	/* In a turn that has one anyway there is no other. */
	assert_int_equal(ledger_remove(t->ledger, &key), OK);
	assert_int_equal(state_begin_unsynced(t->state), OK);
	assert_int_equal(seen_add(t->state, 3, 1, &(struct seen_hash){ 5, 6 }, 1), OK);
	state_commit(t->state);
	assert_int_equal(syncs, 2);
	/* And a turn that fails takes both along. */
	assert_int_equal(state_begin_unsynced(t->state), OK);
	assert_int_equal(seen_add(t->state, 4, 1, &(struct seen_hash){ 7, 8 }, 1), OK);
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	assert_int_equal(state_begin(t->state), ERR_IO);
	state_commit(t->state);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM seen"), "3");
	assert_int_equal(ledger_remove(t->ledger, &other_key), OK);
	state_commit(t->state);
	assert_string_equal(rows(t), "0");
	assert_int_equal(syncs, 3);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, statetest_setup, statetest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPENED(test_unsynced),
		OPENED(test_one_transaction),
		OPENED(test_told_without_a_write),
		OPENED(test_write_from_a_callback),
		OPENED(test_forget),
		OPENED(test_closing_commits),
		OPENED(test_failed_commit),
		OPENED(test_spoiled_turn),
		OPENED(test_moved),
		OPENED(test_locked_by_a_shell),
		OPENED(test_full_disk),
		OPENED(test_broken_disk_ends_the_process),
		OPENED(test_new_file),
		OPENED(test_kinds),
		OPENED(test_newer),
		OPENED(test_one_daemon),
		OPENED(test_reader),
		OPENED(test_killed),
		OPENED(test_reader_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
