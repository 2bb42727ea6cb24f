/*
 * db.c - one connection to the registry file: its settings, transactions, and
 * the words for a file that cannot be opened.
 *
 * What is stored is registry.c's and audit.c's business; the tables are made by
 * migrate.c. A new file is readable by its owner only, and SQLite gives the files
 * beside it (-wal, -shm) the same mode. Made by root it belongs to the owner of
 * its folder, so that the daemon can open what an administrator made first.
 *
 * No error is fatal here; each comes with what is wrong and how to mend it.
 */
#include "db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/migrate.h"
#include "db/statement.h"

#define BUSY_MS      5000
#define BUSY_STEP_MS 10

static char words[2048];

static enum err explain(enum err e, const char **why, const char *path, const char *what, const char *mend)
{
	snprintf(words, sizeof(words), "%s: %s: %s", path, what, mend);
	*why = words;
	return e;
}

static void folder_of(const char *path, char *out, size_t size)
{
	char copy[4096];

	if (!str_copy(copy, sizeof(copy), path) || !str_copy(out, size, dirname(copy)))
		snprintf(out, size, "its folder");
}

/* The system refused to make, reach or write the file. */
static enum err explain_system(int error, const char **why, const char *path)
{
	char folder[1024], mend[1200];

	folder_of(path, folder, sizeof(folder));
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		snprintf(mend, sizeof(mend),
			 "make the folder %s, or correct 'registry' in the configuration file", folder);
		break;
	case EACCES:
	case EPERM:
		snprintf(mend, sizeof(mend),
			 "run as the owner of the file and of the folder %s, or as root (sudo)", folder);
		break;
	case EROFS:
		snprintf(mend, sizeof(mend), "the registry must be on a file system that can be written");
		break;
	case EISDIR:
		snprintf(mend, sizeof(mend), "'registry' in the configuration file must name a file");
		break;
	default:
		snprintf(mend, sizeof(mend), "see to the file system of %s", folder);
	}
	return explain(ERR_IO, why, path, strerror(error), mend);
}

/* SQLite could not use the file. */
static enum err explain_database(struct db *db, enum err e, const char **why, const char *path)
{
	const char *mend = "see to the disk, then try again";

	switch (db->code & 0xff) {
	case SQLITE_NOTADB:
		mend = "correct 'registry' in the configuration file, or restore the file from a copy";
		break;
	case SQLITE_CORRUPT:
		mend = "restore it from a copy, or save what is left with: sqlite3 FILE .recover";
		break;
	case SQLITE_READONLY:
		mend = "run as the owner of the file, or as root (sudo)";
		break;
	}
	if (e == ERR_REFUSED)
		mend = "correct 'registry' in the configuration file";
	if (e == ERR_VERSION)
		mend = "use the newer poolbridge that wrote it, or restore a copy from before its upgrade";
	if (e == ERR_BUSY)
		mend = "another program keeps it locked: end that program's transaction, then try again";
	return explain(e == ERR_VERSION || e == ERR_BUSY ? e : ERR_IO, why, path, db_error(db), mend);
}

static int make_file(const char *path)
{
	char folder[4096];
	struct stat st;
	int error = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);

	if (fd < 0)
		return errno == EEXIST ? 0 : errno;
	folder_of(path, folder, sizeof(folder));
	if (geteuid() == 0 && stat(folder, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		error = errno;
	close(fd);
	return error;
}

/* SQLite writes beside the file as well, so the folder must be writable. */
static int check_access(const char *path)
{
	char folder[4096];
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	folder_of(path, folder, sizeof(folder));
	return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 ||
			       faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0
		       ? errno
		       : 0;
}

static enum err switch_to_wal(struct db *db)
{
	struct statement *st = statement_open(db, "PRAGMA journal_mode = WAL");
	bool wal = statement_step(st) && strcmp(statement_text(st, 0), "wal") == 0;
	enum err e = statement_close(st);

	if (e == OK && !wal) {
		snprintf(db->error, sizeof(db->error), "cannot be switched to write-ahead logging");
		e = ERR_IO;
	}
	return e;
}

/*
 * Programs that open a new file together all want to switch it, and SQLite
 * answers all but one of them "locked" at once, without the busy time-out.
 */
static enum err use_wal(struct db *db)
{
	enum err e = switch_to_wal(db);

	for (int waited = 0; e == ERR_BUSY && waited < BUSY_MS; waited += BUSY_STEP_MS) {
		sqlite3_sleep(BUSY_STEP_MS);
		e = switch_to_wal(db);
	}
	return e;
}

/*
 * trusted_schema stays on: SQLite before 3.41 counts json_object(), which the
 * audit triggers need, among the functions that it forbids then. We define no
 * functions and load no extensions, so there is nothing for a schema to misuse.
 */
static enum err settle(struct db *db)
{
	enum err e;

	sqlite3_busy_timeout(db->handle, BUSY_MS);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	e = migrate_check(db);
	if (e == OK)
		e = use_wal(db);
	if (e == OK)
		e = db_execute(
			db,
			"PRAGMA synchronous = FULL;"
			"PRAGMA foreign_keys = ON;"
			"PRAGMA secure_delete = ON;"
			"PRAGMA cache_size = -131072;" /* KiB, at most: a load of a million users spills to disk with less */
			"PRAGMA journal_size_limit = 67108864;");
	if (e == OK)
		e = migrate(db);
	return e;
}

enum err db_open(const char *path, struct db **out, const char **why)
{
	struct db *db;
	enum err e;
	int error = make_file(path);

	if (error == 0)
		error = check_access(path);
	if (error != 0)
		return explain_system(error, why, path);

	db = xcalloc(1, sizeof(*db));
	/* A connection is used by one thread only, so it needs no mutex. */
	e = db_result(db, sqlite3_open_v2(path, &db->handle,
					  SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
					  NULL));
	if (e == OK)
		e = settle(db);
	if (e != OK) {
		e = explain_database(db, e, why, path);
		db_close(db);
		return e;
	}
	*out = db;
	return OK;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	statement_free_all(db);
	sqlite3_close(db->handle);
	free(db);
}

const char *db_error(const struct db *db)
{
	return db->error;
}

enum err db_begin(struct db *db, const char *actor)
{
	struct statement *st;
	enum err e = db_execute(db, "BEGIN IMMEDIATE; DELETE FROM actor");

	if (e == OK) {
		st = statement_open(db, "INSERT INTO actor (name) VALUES (?1)");
		statement_bind_text(st, 1, actor);
		e = statement_run(st, NULL);
	}
	if (e != OK)
		db_rollback(db);
	return e;
}

enum err db_commit(struct db *db)
{
	enum err e = db_execute(db, "DELETE FROM actor; COMMIT");

	if (e != OK)
		db_rollback(db);
	return e;
}

void db_rollback(struct db *db)
{
	/* Not db_execute: the words of the failure that led here are kept. */
	if (!sqlite3_get_autocommit(db->handle))
		(void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

enum err db_data_version(struct db *db, int64_t *out)
{
	struct statement *st = statement_open(db, "PRAGMA data_version");
	int64_t version = 0;
	enum err e;

	if (statement_step(st))
		version = statement_int(st, 0);
	e = statement_close(st);
	if (e == OK)
		*out = version;
	return e;
}

int db_schema_version(const struct db *db)
{
	return db->version;
}
