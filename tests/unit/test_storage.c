/*
 * Tests of the state file and the registry on a disk that fails: each call of
 * SQLite to the file system is made to fail in turn, once and for good, while
 * messages are kept, deferred, quarantined, removed and erased.
 *
 * What was told to be on disk is there, what was told to have failed is not, a
 * failed sync ends the process, and a disk that works again is enough to go on.
 * The end of the process is played: what the disk has then is kept for the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/registry.h"
#include "db/seen.h"
#include "db/spool.h"
#include "db/statement.h"
#include "tests/unit/faultvfs.h"
#include "tests/unit/statetest.h"

#define ROMEO  "romeo@corp.test"
#define TYBALT "tybalt@corp.test"

static const char *const mode_names[FAULT_MODES] = {
	[FAULT_EIO] = "an I/O error",
	[FAULT_FULL] = "a full disk",
	[FAULT_BUSY] = "a lock",
};

static jmp_buf end_of_process;
static bool is_process;

enum { DONE, ENDED = 1, TEXT = 8192, MUCH_BYTES = 4200000, MUCH = 5 };

/* What a process knew, for the time that it is gone. */
struct known {
	char good[TEXT];    /* the state as of the last commit that was told */
	char pending[TEXT]; /* and as it is if the one that was under way is on disk */
	char what[32];
	int calls, last_sync;
	bool fired, opened;
};

struct disktest {
	struct statetest t;
	struct spool *spool;
	struct db *registry;
	struct known known;
	enum fault_mode mode;
	int number;
	bool for_good, mended;
	size_t turn_count; /* how many of the turns */
	int stderr_was;
	char log[128];
};

static int set_up(void **state)
{
	struct disktest *d = xcalloc(1, sizeof(*d));

	faultvfs_install();
	d->t.files = dbtest_folder_in_memory();
	d->turn_count = MUCH;
	d->stderr_was = dup(STDERR_FILENO);
	snprintf(d->log, sizeof(d->log), "%s/log", d->t.files->folder);
	assert_non_null(freopen(d->log, "w", stderr)); /* thousands of failures are in it */
	*state = d;
	return 0;
}

static int tear_down(void **state)
{
	struct disktest *d = *state;

	is_process = false;
	fflush(stderr);
	assert_int_equal(dup2(d->stderr_was, STDERR_FILENO), STDERR_FILENO);
	close(d->stderr_was);
	dbtest_remove(d->t.files);
	free(d);
	return 0;
}

/* The place of the fault is in every failure. */
#define wrong(d, ...)                                                                                        \
	do {                                                                                                 \
		print_error("%s %s call %d (%s):\n", mode_names[(d)->mode],                                  \
			    (d)->for_good ? "for good from" : "at", (d)->number, faultvfs_what());           \
		fail_msg(__VA_ARGS__);                                                                       \
	} while (0)

/* --- what is in the file --- */

static int append_value(void *ctx, int columns, char **values, char **names)
{
	char *out = ctx;
	size_t n = strlen(out);

	(void)names;
	for (int i = 0; i < columns && n < TEXT; i++)
		n += (size_t)snprintf(out + n, TEXT - n, "%s ", values[i] ? values[i] : "-");
	return 0;
}

static const char contents[] =
	"SELECT id, pair, hop, trouble, quarantined, begun, attempts, length(stanza), sum(length(stanza)) "
	"OVER () FROM message ORDER BY id;"
	"SELECT contact, told FROM subscription ORDER BY contact";

/* By the connection itself, which sees what it has not committed; the disk works for so long. */
static void read_contents(sqlite3 *handle, char out[TEXT])
{
	out[0] = '\0';
	assert_int_equal(sqlite3_exec(handle, contents, append_value, out, NULL), SQLITE_OK);
}

static enum err open_all(struct disktest *d, const char **why)
{
	static const struct spool_limits limits = { 1000, 10000000, 1000, 10000000, 1000, 10000000 };
	static const struct ledger_limits ledger = { 1000, 1000 };
	enum err e = state_open(d->t.files->path, &d->t.state, why);

	if (e != OK)
		return e;
	d->spool = spool_create(d->t.state, &limits);
	d->t.ledger = ledger_create(d->t.state, &ledger);
	return OK;
}

static void note_calls(struct disktest *d)
{
	struct known *k = &d->known;

	k->calls = faultvfs_calls();
	k->last_sync = faultvfs_last_sync();
	k->fired = faultvfs_fired();
	snprintf(k->what, sizeof(k->what), "%s", faultvfs_what());
}

static void close_all(struct disktest *d)
{
	spool_destroy(d->spool);
	d->spool = NULL;
	statetest_close(&d->t);
	db_close(d->registry);
	d->registry = NULL;
}

/* --- a process, its end, and what it leaves --- */

static void remove_files(const struct disktest *d)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", d->t.files->path, ends[i]);
		unlink(path);
	}
}

static void copy_file(const char *from, const char *to)
{
	char block[65536];
	size_t n;
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");

	assert_non_null(in);
	assert_non_null(out);
	while ((n = fread(block, 1, sizeof(block), in)) > 0)
		assert_int_equal(fwrite(block, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

/* The file and its log, to or from copies with another end. */
static void copy_files(const struct disktest *d, const char *from_end, const char *to_end)
{
	static const char *const ends[] = { "", "-wal" };
	char from[160], to[160];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(from, sizeof(from), "%s%s%s", d->t.files->path, from_end, ends[i]);
		snprintf(to, sizeof(to), "%s%s%s", d->t.files->path, to_end, ends[i]);
		copy_file(from, to);
	}
}

/* Of state.c: its last word. */
void _exit(int status)
{
	if (is_process)
		longjmp(end_of_process, 1);
	syscall(SYS_exit_group, status);
	abort();
}

/*
 * What is open when it is over was not closed: the next one finds the files as they are then. Returns DONE
 * or ENDED.
 */
static int in_process(struct disktest *d, void (*run)(struct disktest *d))
{
	volatile int status = DONE; /* longjmp */

	is_process = true;
	if (setjmp(end_of_process) == 0)
		run(d);
	else
		status = ENDED;
	is_process = false;
	note_calls(d);
	faultvfs_disarm();
	faultvfs_hold(false);
	if (d->t.state != NULL || d->registry != NULL) {
		copy_files(d, "", ".left");
		close_all(d);
		remove_files(d);
		copy_files(d, ".left", "");
	}
	return status;
}

/* --- a life of a state file --- */

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

static void put(struct disktest *d, const char *pair, size_t size)
{
	static char stanza[MUCH_BYTES];
	struct spool_message m = { .pair = pair,
				   .user = strchr(pair, ' ') + 1,
				   .hop = SPOOL_MOVE,
				   .origin = SPOOL_FROM_PARTNER,
				   .stanza = stanza,
				   .size = size,
				   .received_at = 1000,
				   .expires_at = 2000 };
	int64_t id;

	memset(stanza, 'x', size);
	(void)!spool_put(d->spool, &m, &id);
}

/* Of no weight: it need not be on disk, and what it says is not looked at here. */
static void see(struct disktest *d, int64_t number)
{
	const struct seen_hash hash = { 1, 2 };

	if (state_begin_unsynced(d->t.state) == OK)
		(void)!seen_add(d->t.state, number, 1000, &hash, 1);
}

static const struct ledger_key key = { ROMEO, "juliet@partner.test", LEDGER_TO_LOCAL };
static const struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_HANDSHAKE, 1000, 2000 };

/* The turns. Whatever fails in one, all of it is undone. */

static void turn_keep(struct disktest *d)
{
	put(d, "juliet@partner.test " ROMEO, 300);
	put(d, "juliet@partner.test " TYBALT, 5000);
	see(d, 1);
	(void)!ledger_put(d->t.ledger, &key, &entry);
}

static void turn_try(struct disktest *d)
{
	see(d, 2);
	(void)!spool_begin(d->spool, 1);
	(void)!spool_defer(d->spool, 1, SPOOL_NEW_POOL, "it is away");
	(void)!spool_quarantine(d->spool, 2, "poison");
}

static void turn_remove(struct disktest *d)
{
	put(d, "juliet@partner.test " ROMEO, 200);
	(void)!spool_remove(d->spool, 1);
	(void)!ledger_tell(d->t.ledger, &key, "available");
	see(d, 3);
}

static void turn_erase(struct disktest *d)
{
	int64_t count;

	(void)!spool_erase(d->spool, TYBALT, &count);
	(void)!spool_begin(d->spool, 3);
}

/* So much that the log is copied to the file behind it, and that the cache is not enough for the tables. */
static void turn_much(struct disktest *d)
{
	put(d, "rosaline@partner.test " TYBALT, MUCH_BYTES);
}

static void turn_last(struct disktest *d)
{
	put(d, "rosaline@partner.test " ROMEO, 100);
}

typedef void turn_fn(struct disktest *d);
static turn_fn *const turns[] = {
	turn_keep, turn_try, turn_remove, turn_erase, turn_last, [MUCH] = turn_much
};

static void check_told(struct disktest *d, size_t turn, const struct told *told, bool may_fail)
{
	struct known *k = &d->known;
	sqlite3 *handle = state_db(d->t.state)->handle;
	char now[TEXT];

	if (told->calls != 1)
		wrong(d, "turn %zu: told %d times", turn, told->calls);
	if (told->e != OK && !may_fail)
		wrong(d, "turn %zu: failed on a disk that works: %s", turn, db_error(state_db(d->t.state)));
	if (told->e != OK && state_trouble(d->t.state)[0] == '\0')
		wrong(d, "turn %zu: failed without a word", turn);
	read_contents(handle, now);
	if (told->e == OK)
		memcpy(k->good, k->pending, TEXT);
	if (strcmp(now, k->good) != 0)
		wrong(d, "turn %zu, told %d: %.200s instead of %.200s", turn, (int)told->e, now, k->good);
}

/* The disk works before, between the writes and the commit, and behind it, or fails as it is told to. */
static void take_turn(struct disktest *d, size_t turn)
{
	struct told told = { 0 };
	bool fired = faultvfs_fired();

	turns[turn](d);
	state_on_commit(d->t.state, tell, &told);
	faultvfs_hold(true);
	read_contents(state_db(d->t.state)->handle, d->known.pending);
	faultvfs_hold(false);
	state_commit(d->t.state);
	faultvfs_hold(true);
	check_told(d, turn, &told, !d->mended && faultvfs_fired() && (d->for_good || !fired));
	faultvfs_hold(false);
}

/* With the fault in one of the turns; then the disk works again, and so must all. */
static void live(struct disktest *d)
{
	const char *why = "";

	if (open_all(d, &why) != OK)
		wrong(d, "%s", why);
	read_contents(state_db(d->t.state)->handle, d->known.good);
	faultvfs_arm(d->mode, d->number, d->for_good);
	d->mended = false;
	for (size_t i = 0; i < d->turn_count; i++)
		take_turn(d, i);
	faultvfs_disarm();
	d->mended = true;
	take_turn(d, 0);
	close_all(d);
}

static bool has_log(const struct disktest *d)
{
	char path[128];

	snprintf(path, sizeof(path), "%s-wal", d->t.files->path);
	return access(path, F_OK) == 0;
}

/* With the fault in the opening; a file that cannot be opened is said to be so, with its name. */
static void open_only(struct disktest *d)
{
	const char *why = "";
	enum err e;

	faultvfs_arm(d->mode, d->number, d->for_good);
	e = open_all(d, &why);
	faultvfs_disarm();
	d->known.opened = e == OK;
	if (e == OK && !has_log(d))
		wrong(d, "it opened without a log");
	if (e == OK)
		close_all(d);
	else if (strstr(why, d->t.files->path) == NULL)
		wrong(d, "it said: %s", why);
}

/* --- what the next process finds --- */

static void check_file(struct disktest *d, int status)
{
	struct known *k = &d->known;
	const char *why = "";
	char found[TEXT], where[128];

	snprintf(where, sizeof(where), "%s %s call %d (%s)", mode_names[d->mode],
		 d->for_good ? "for good from" : "at", d->number, k->what);
	if (status != DONE && strcmp(k->what, "xSync") != 0)
		fail_msg("%s: exit status %d", where, status);
	if (open_all(d, &why) != OK)
		fail_msg("%s: %s", where, why);
	assert_string_equal(dbtest_value(d->t.files, "PRAGMA integrity_check"), "ok");
	read_contents(state_db(d->t.state)->handle, found);
	if (strcmp(found, k->good) != 0 && (status == DONE || strcmp(found, k->pending) != 0))
		fail_msg("%s: %.300s instead of %.300s", where, found, k->good);
	close_all(d);
}

/* All calls; of thousands that are alike, some, and all about the last sync, which is that of the copied log. */
static int next_number(int number, int calls, int last_sync)
{
	int next = calls < 500 || abs(number - last_sync) < 5 ? number + 1 : number + 197;

	return number < last_sync - 4 && next > last_sync - 4 ? last_sync - 4 : next;
}

static void all_calls(struct disktest *d, enum fault_mode mode, bool for_good)
{
	int calls, last_sync, status, ended = 0, tried = 0;

	d->mode = mode;
	d->number = 0;
	d->for_good = for_good;
	assert_int_equal(in_process(d, live), DONE);
	calls = d->known.calls;
	last_sync = d->known.last_sync;
	assert_true(calls > 5);
	for (int number = 1; number <= calls; number = next_number(number, calls, last_sync)) {
		remove_files(d);
		d->known = (struct known){ 0 };
		d->number = number;
		status = in_process(d, live);
		check_file(d, status);
		ended += status == ENDED;
		tried++;
	}
	if (mode == FAULT_EIO)
		assert_true(ended >= (tried == calls ? 5 : 1)); /* each commit's sync; that of the copy */
	print_message("# %s, %s: %d of %d calls, the process ended at %d\n", mode_names[mode],
		      for_good ? "for good" : "once", tried, calls, ended);
}

/* With a copy of the log to the file in the last turn. */
static void test_turns_checkpoint(void **state)
{
	struct disktest *d = *state;

	d->turn_count = ARRAY_SIZE(turns);
	all_calls(d, FAULT_EIO, false);
	all_calls(d, FAULT_FULL, false);
}

static void test_turns_eio(void **state)
{
	all_calls(*state, FAULT_EIO, false);
}

static void test_turns_eio_for_good(void **state)
{
	all_calls(*state, FAULT_EIO, true);
}

static void test_turns_full(void **state)
{
	all_calls(*state, FAULT_FULL, false);
}

static void test_turns_full_for_good(void **state)
{
	all_calls(*state, FAULT_FULL, true);
}

static void test_turns_busy(void **state)
{
	all_calls(*state, FAULT_BUSY, false);
}

static void test_turns_busy_for_good(void **state)
{
	all_calls(*state, FAULT_BUSY, true);
}

/* --- opening --- */

/* Killed: what it has committed is in the log. */
static void live_and_die(struct disktest *d)
{
	const char *why = "";

	if (open_all(d, &why) != OK)
		wrong(d, "%s", why);
	for (size_t i = 0; i < d->turn_count; i++)
		take_turn(d, i);
}

static void every_opening(struct disktest *d, enum fault_mode mode, bool for_good, bool is_new)
{
	char good[TEXT];
	int calls, opened = 0;

	memcpy(good, d->known.good, TEXT);
	d->mode = mode;
	d->for_good = for_good;
	d->number = 0;
	remove_files(d);
	if (!is_new)
		copy_files(d, ".kept", "");
	assert_int_equal(in_process(d, open_only), DONE);
	calls = d->known.calls;
	assert_true(calls > 5 && d->known.opened);
	for (d->number = 1; d->number <= calls; d->number++) {
		remove_files(d);
		if (!is_new)
			copy_files(d, ".kept", "");
		assert_int_equal(in_process(d, open_only), DONE);
		assert_true(d->known.fired);
		opened += d->known.opened;
		memcpy(d->known.good, good, TEXT);
		check_file(d, DONE);
	}
	print_message("# opening %s, %s %s: %d calls, it opened all the same at %d\n",
		      is_new ? "a new file" : "what a killed process left", mode_names[mode],
		      for_good ? "for good" : "once", calls, opened);
}

static void all_openings(struct disktest *d, enum fault_mode mode, bool is_new)
{
	every_opening(d, mode, false, is_new);
	if (mode != FAULT_BUSY) /* test_db: it is waited for, for seconds */
		every_opening(d, mode, true, is_new);
}

static void test_open_new(void **state)
{
	struct disktest *d = *state;
	const char *why = NULL;

	assert_int_equal(open_all(d, &why), OK);
	read_contents(state_db(d->t.state)->handle, d->known.good);
	close_all(d);
	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES; mode++)
		all_openings(d, mode, true);
}

static void test_open_after_a_kill(void **state)
{
	struct disktest *d = *state;

	assert_int_equal(in_process(d, live_and_die), DONE);
	copy_files(d, "", ".kept");
	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES; mode++)
		all_openings(d, mode, false);
}

/* --- a power cut --- */

/* What was told to be on disk is there without anything that was not synced. */
static void test_power_cut(void **state)
{
	struct disktest *d = *state;
	const char *why = NULL;
	char path[160], found[TEXT];
	sqlite3 *handle;

	faultvfs_keep_cuts(true);
	assert_int_equal(open_all(d, &why), OK);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(turns); i++) {
		d->mended = true; /* no turn may fail */
		take_turn(d, i % ARRAY_SIZE(turns));
		copy_files(d, ".cut", ".seen"); /* looking changes it */
		snprintf(path, sizeof(path), "%s.seen", d->t.files->path);
		assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
		read_contents(handle, found);
		sqlite3_close(handle);
		assert_string_equal(found, d->known.good);
	}
	faultvfs_keep_cuts(false);
	close_all(d);
}

/* --- reading --- */

/*
 * A read that fails undoes the turn's transaction behind our back: what is written in this turn all the
 * same must not be committed by itself.
 */
static void test_undone_by_a_read(void **state)
{
	struct disktest *d = *state;
	struct told told = { 0 };
	const char *why = NULL;
	char before[TEXT], after[TEXT];

	assert_int_equal(open_all(d, &why), OK);
	take_turn(d, 0);
	read_contents(state_db(d->t.state)->handle, before);
	put(d, "juliet@partner.test " ROMEO, 100);
	db_rollback(state_db(d->t.state)); /* what SQLite does then */
	put(d, "juliet@partner.test " ROMEO, 101);
	state_on_commit(d->t.state, tell, &told);
	state_commit(d->t.state);
	assert_int_equal(told.e, ERR_IO);
	read_contents(state_db(d->t.state)->handle, after);
	assert_string_equal(before, after);
	take_turn(d, 1);
	close_all(d);
}

/* --- the log --- */

static bool was_logged(const struct disktest *d, const char *event)
{
	char line[1024];
	bool found = false;
	FILE *in;

	fflush(stderr);
	in = fopen(d->log, "r");
	assert_non_null(in);
	while (!found && fgets(line, sizeof(line), in) != NULL)
		found = strstr(line, event) != NULL;
	fclose(in);
	return found;
}

static sqlite3_int64 log_size(const struct disktest *d)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s-wal", d->t.files->path);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* It is begun anew when nobody reads; while somebody does, it grows, and afterwards shrinks to its limit. */
static void test_log_is_bounded(void **state)
{
	enum { LIMIT = 67108864, PAGE = 4096, CHECKPOINT = 1000 * PAGE };
	struct disktest *d = *state;
	const char *why = NULL;
	sqlite3 *reader;
	int i;

	assert_int_equal(open_all(d, &why), OK);
	for (i = 0; i < 3000; i++) {
		put(d, "juliet@partner.test " ROMEO, 2000);
		if (i >= 10)
			(void)!spool_remove(d->spool, i - 9);
		state_commit(d->t.state);
		assert_true(log_size(d) < 2 * CHECKPOINT);
	}
	assert_false(was_logged(d, "state-log-grows"));
	assert_int_equal(sqlite3_open(d->t.files->path, &reader), SQLITE_OK);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM message", NULL, NULL, NULL),
			 SQLITE_OK);
	for (i = 0; log_size(d) < LIMIT + CHECKPOINT; i++)
		take_turn(d, i % 2 == 0 ? MUCH : 3); /* and erased */
	assert_true(was_logged(d, "state-log-grows"));
	assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	for (i = 0; i < 4; i++)
		take_turn(d, i % 2 == 0 ? MUCH : 3);
	assert_true(log_size(d) <= LIMIT);
	sqlite3_close(reader);
	close_all(d);
}

/* --- the registry --- */

static void mark_three(struct disktest *d)
{
	static const char *const users[] = { ROMEO, TYBALT, "paris@corp.test" };
	const char *why = "";
	enum err e = db_open(d->t.files->path, &d->registry, &why);

	if (e != OK)
		wrong(d, "%s", why);
	faultvfs_arm(d->mode, d->number, d->for_good);
	db_set_wait(d->registry, 0);
	e = db_begin(d->registry, "somebody");
	for (size_t i = 0; e == OK && i < ARRAY_SIZE(users); i++)
		e = registry_mark_user(d->registry, users[i], MARK_MIGRATED, NULL);
	if (e == OK)
		e = db_commit(d->registry);
	else
		db_rollback(d->registry);
	if (e != OK && db_error(d->registry)[0] == '\0')
		wrong(d, "no word of what is wrong");
	d->known.opened = e == OK;
	if (d->number % 2 == 0)
		close_all(d); /* on a disk that may fail still; else it is killed */
}

static void check_registry(struct disktest *d)
{
	const struct known *k = &d->known;
	const char *marks;

	assert_string_equal(dbtest_value(d->t.files, "PRAGMA integrity_check"), "ok");
	marks = dbtest_value(d->t.files,
			     "SELECT (SELECT count(*) FROM user WHERE mark = 'migrated') || ' ' || "
			     "(SELECT count(*) FROM audit WHERE object = 'user')");
	/* Which of both it is, after a failed sync, nobody can know. */
	if (strcmp(marks, k->opened ? "3 3" : "0 0") != 0 &&
	    (k->opened || strcmp(k->what, "xSync") != 0 || strcmp(marks, "3 3") != 0))
		wrong(d, "marks and audit %s", marks);
}

static void new_registry(struct disktest *d)
{
	struct db *db = NULL;
	struct domain domain;
	const char *why = NULL;

	remove_files(d);
	assert_int_equal(db_open(d->t.files->path, &db, &why), OK);
	domain_init(&domain, "corp.test");
	assert_int_equal(db_begin(db, "somebody"), OK);
	assert_int_equal(registry_add_domain(db, &domain), OK);
	assert_int_equal(db_commit(db), OK);
	db_close(db);
}

static void test_registry(void **state)
{
	struct disktest *d = *state;

	for (enum fault_mode mode = FAULT_EIO; mode < FAULT_MODES; mode++) {
		for (int good = 0; good < 2; good++) {
			d->mode = mode;
			d->for_good = good;
			d->number = 0;
			do {
				new_registry(d);
				assert_int_equal(in_process(d, mark_three), DONE);
				check_registry(d);
			} while (d->number++ == 0 || d->known.fired);
			print_message("# registry, %s %s: %d calls\n", mode_names[mode],
				      good ? "for good" : "once", d->number - 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_turns_eio, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_eio_for_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_full_for_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_busy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_busy_for_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_turns_checkpoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_after_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_power_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undone_by_a_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_registry, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
