/* Tests of db.h: making, migrating and refusing files; transactions of several connections. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/registry.h"
#include "db/schema.h"
#include "db/statement.h"
#include "tests/unit/dbtest.h"

static void assert_opens(struct dbtest *t)
{
	const char *why = NULL;

	if (db_open(t->path, &t->db, &why) != OK)
		fail_msg("%s", why);
}

/* Opening fails with this result, naming the file and saying this. */
static void assert_refused(const char *path, enum err expected, const char *words)
{
	struct db *db = NULL;
	const char *why = NULL;
	enum err e = db_open(path, &db, &why);

	assert_int_equal(e, expected);
	assert_null(db);
	assert_non_null(why);
	if (!strstr(why, path) || !strstr(why, words))
		fail_msg("'%s' does not name %s and say '%s'", why, path, words);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void test_new_file(void **state)
{
	struct dbtest *t = *state;
	struct stat st;

	assert_opens(t);
	assert_int_equal(db_schema_version(t->db), registry_schema.count);
	assert_int_equal(stat(t->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(dbtest_value(t, "PRAGMA journal_mode"), "wal");
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM audit"), "0");

	/* Again: nothing is done twice. */
	db_close(t->db);
	assert_opens(t);
	assert_int_equal(db_schema_version(t->db), registry_schema.count);
}

static void test_empty_file(void **state)
{
	struct dbtest *t = *state;

	write_file(t->path, "", 0);
	assert_opens(t);
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM domain"), "0");
}

static void test_unusable_paths(void **state)
{
	struct dbtest *t = *state;
	char path[128];

	assert_refused(t->folder, ERR_IO, "must name a file");
	snprintf(path, sizeof(path), "%s/none/registry.db", t->folder);
	assert_refused(path, ERR_IO, "make the folder");
	write_file(t->path, "", 0);
	snprintf(path, sizeof(path), "%s/under-a-file", t->path);
	assert_refused(path, ERR_IO, "make the folder");
	assert_refused("", ERR_IO, "correct 'registry'");
}

/* As a user who may not: root may do everything, so the test steps down. */
static void test_no_permission(void **state)
{
	struct dbtest *t = *state;
	uid_t self = geteuid();

	write_file(t->path, "", 0);
	assert_int_equal(chmod(t->path, 0400), 0);
	assert_int_equal(chmod(t->folder, 0555), 0);
	if (self == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_refused(t->path, ERR_IO, "sudo");
	assert_int_equal(chmod(t->path, 0400), self == 0 ? -1 : 0);
	if (self == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(unlink(t->path), self == 0 ? 0 : -1);
	if (self == 0) {
		assert_int_equal(seteuid(65534), 0);
		assert_refused(t->path, ERR_IO, "sudo");
		assert_int_equal(seteuid(0), 0);
	}
	assert_int_equal(chmod(t->folder, 0700), 0);
}

/* What root makes belongs to the folder's owner, or the daemon could not open it. */
static void test_owner(void **state)
{
	struct dbtest *t = *state;
	uid_t owner = geteuid() == 0 ? 65534 : geteuid();
	struct stat st;

	assert_int_equal(chown(t->folder, owner, (gid_t)-1), 0);
	assert_opens(t);
	assert_int_equal(stat(t->path, &st), 0);
	assert_int_equal(st.st_uid, owner);
}

static void test_not_a_database(void **state)
{
	static const char text[] =
		"registry = \"/var/lib/poolbridge/registry.db\"; # not a database at all\n";
	struct dbtest *t = *state;
	char big[8192];

	write_file(t->path, text, sizeof(text) - 1);
	assert_refused(t->path, ERR_IO, "not a database");
	memset(big, 'x', sizeof(big));
	write_file(t->path, big, sizeof(big));
	assert_refused(t->path, ERR_IO, "not a database");
}

static void test_corrupt(void **state)
{
	struct dbtest *t = *state;
	char junk[2048];
	int fd;

	assert_opens(t);
	db_close(t->db);
	t->db = NULL;
	assert_null(dbtest_sql(t, "PRAGMA journal_mode = DELETE"));
	memset(junk, 0xa5, sizeof(junk));
	fd = open(t->path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 100), sizeof(junk));
	close(fd);
	assert_refused(t->path, ERR_IO, "restore it from a copy");
}

static void test_newer(void **state)
{
	struct dbtest *t = *state;
	char sql[64];

	assert_opens(t);
	db_close(t->db);
	t->db = NULL;
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", registry_schema.count + 1);
	assert_null(dbtest_sql(t, sql));
	assert_refused(t->path, ERR_VERSION, "newer poolbridge");
	/* It is left alone. */
	snprintf(sql, sizeof(sql), "%d", registry_schema.count + 1);
	assert_string_equal(dbtest_value(t, "PRAGMA user_version"), sql);
}

static void test_another_programs_file(void **state)
{
	struct dbtest *t = *state;

	assert_null(dbtest_sql(t, "CREATE TABLE mail (x); PRAGMA user_version = 1"));
	assert_refused(t->path, ERR_IO, "another program");
	assert_string_equal(dbtest_value(t, "SELECT group_concat(name) FROM sqlite_schema"), "mail");
	assert_string_equal(dbtest_value(t, "PRAGMA journal_mode"), "delete");
}

/* A migration that fails half-way leaves nothing of itself. */
static void test_failing_migration(void **state)
{
	struct dbtest *t = *state;

	assert_opens(t);
	db_close(t->db);
	t->db = NULL;
	assert_null(dbtest_sql(t, "PRAGMA user_version = 0"));
	assert_refused(t->path, ERR_IO, "already exists");
	assert_string_equal(dbtest_value(t, "PRAGMA user_version"), "0");
}

static void test_locked(void **state)
{
	struct dbtest *t = *state;
	struct db *other = NULL;
	const char *why = NULL;
	struct domain d;

	assert_opens(t);
	assert_int_equal(db_open(t->path, &other, &why), OK);
	assert_int_equal(db_begin(t->db, "one"), OK);
	/* Reading goes on while another connection writes; it sees the last commit. */
	domain_init(&d, "corp.test");
	assert_int_equal(registry_add_domain(t->db, &d), OK);
	assert_int_equal(registry_find_domain(other, "corp.test", &d), ERR_NOT_FOUND);
	sqlite3_busy_timeout(other->handle, 1); /* the time-out itself is SQLite's; no need to sit it out */
	assert_int_equal(db_begin(other, "two"), ERR_BUSY);
	assert_non_null(strstr(db_error(other), "locked"));
	assert_int_equal(db_commit(t->db), OK);
	assert_int_equal(registry_find_domain(other, "corp.test", &d), OK);
	assert_int_equal(db_begin(other, "two"), OK);
	db_rollback(other);
	db_close(other);
}

static void test_rollback(void **state)
{
	struct dbtest *t = *state;
	struct domain d;

	assert_opens(t);
	domain_init(&d, "corp.test");
	assert_int_equal(db_begin(t->db, "one"), OK);
	assert_int_equal(registry_add_domain(t->db, &d), OK);
	db_rollback(t->db);
	db_rollback(t->db); /* harmless */
	assert_int_equal(registry_find_domain(t->db, "corp.test", &d), ERR_NOT_FOUND);
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM audit"), "0");
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM actor"), "0");
}

static void test_data_version(void **state)
{
	struct dbtest *t = *state;
	int64_t first = 0, second = 0, third = 0;

	assert_opens(t);
	assert_int_equal(db_data_version(t->db, &first), OK);
	assert_int_equal(db_data_version(t->db, &second), OK);
	assert_int_equal(first, second);
	assert_null(dbtest_sql(t, "INSERT INTO domain (name) VALUES ('corp.test')"));
	assert_int_equal(db_data_version(t->db, &third), OK);
	assert_int_not_equal(first, third);
}

/* One of several programs that start together: open, add one user, leave. */
static int add_one(const char *path, int number)
{
	struct db *db = NULL;
	const char *why = NULL;
	char address[64];
	int failed = db_open(path, &db, &why) != OK;
	struct domain d;
	enum err e;

	if (failed) {
		fprintf(stderr, "# %s\n", why);
		return 1;
	}
	snprintf(address, sizeof(address), "user%d@corp.test", number);
	domain_init(&d, "corp.test");
	e = db_begin(db, "racer");
	if (e == OK) {
		e = registry_add_domain(db, &d);
		if (e == OK || e == ERR_EXISTS)
			e = registry_mark_user(db, address, MARK_MIGRATED, NULL);
		if (e == OK)
			e = db_commit(db);
		else
			db_rollback(db);
	}
	if (e != OK)
		fprintf(stderr, "# %s: %s\n", err_text(e), db_error(db));
	db_close(db);
	return e != OK;
}

enum { RACERS = 8 };

static void test_first_use_by_several(void **state)
{
	struct dbtest *t = *state;
	pid_t children[RACERS];
	int gate[2], failures = 0;
	char count[16];

	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < RACERS; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			char byte;

			close(gate[1]);
			(void)!read(gate[0], &byte, 1); /* until the gate is opened for all */
			_exit(add_one(t->path, i));
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < RACERS; i++) {
		int status = -1;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		failures += status != 0;
	}
	assert_int_equal(failures, 0);
	snprintf(count, sizeof(count), "%d", RACERS);
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM user"), count);
	assert_string_equal(dbtest_value(t, "PRAGMA integrity_check"), "ok");
}

/* A writer that commits pairs, and a reader that must never see half of one. */
static void test_reader_beside_writer(void **state)
{
	enum { PAIRS = 50 };
	struct dbtest *t = *state;
	struct user_filter all = { 0 };
	int64_t seen = 0;
	int status = -1;
	pid_t writer;

	assert_opens(t);
	assert_null(dbtest_sql(t, "INSERT INTO domain (name) VALUES ('corp.test')"));
	writer = fork();
	assert_true(writer >= 0);
	if (writer == 0) {
		struct db *db = NULL;
		const char *why;
		int bad = db_open(t->path, &db, &why) != OK;

		for (int i = 0; !bad && i < PAIRS; i++) {
			char a[64], b[64];

			snprintf(a, sizeof(a), "a%d@corp.test", i);
			snprintf(b, sizeof(b), "b%d@corp.test", i);
			bad = db_begin(db, "writer") != OK ||
			      registry_mark_user(db, a, MARK_LEGACY, NULL) != OK ||
			      registry_mark_user(db, b, MARK_LEGACY, NULL) != OK || db_commit(db) != OK;
		}
		_exit(bad);
	}
	while (seen < (int64_t)PAIRS * 2) {
		int64_t now = 0;

		assert_int_equal(registry_count_users(t->db, &all, &now), OK);
		assert_int_equal(now % 2, 0);
		assert_true(now >= seen);
		seen = now;
		if (waitpid(writer, &status, WNOHANG) == writer) {
			assert_int_equal(status, 0);
			writer = -1;
			assert_int_equal(registry_count_users(t->db, &all, &seen), OK);
			break;
		}
	}
	if (writer > 0)
		assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(seen, PAIRS * 2);
}

static int make_folder(void **state)
{
	*state = dbtest_folder();
	return 0;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_new_file),
		IN_FOLDER(test_empty_file),
		IN_FOLDER(test_unusable_paths),
		IN_FOLDER(test_no_permission),
		IN_FOLDER(test_owner),
		IN_FOLDER(test_not_a_database),
		IN_FOLDER(test_corrupt),
		IN_FOLDER(test_newer),
		IN_FOLDER(test_another_programs_file),
		IN_FOLDER(test_failing_migration),
		IN_FOLDER(test_locked),
		IN_FOLDER(test_rollback),
		IN_FOLDER(test_data_version),
		IN_FOLDER(test_first_use_by_several),
		IN_FOLDER(test_reader_beside_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
