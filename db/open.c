/*
 * open.c - opening a database file of ours: its settings, who else may have it
 * open, and the words for one that cannot be used.
 *
 * The tables are made by migrate.c. A new file is readable by its owner only, and
 * SQLite gives the files beside it (-wal, -shm) the same mode. Made by root it
 * belongs to the owner of its folder, so that the daemon can open what an
 * administrator made first.
 *
 * No error is fatal here; each comes with what is wrong and how to mend it.
 */
#include "db/open_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
static enum err explain_system(const struct db_kind *kind, int error, const char **why, const char *path)
{
	char folder[1024], mend[1200];

	folder_of(path, folder, sizeof(folder));
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		snprintf(mend, sizeof(mend), "make the folder %s, or correct '%s' in the configuration file",
			 folder, kind->option);
		break;
	case EACCES:
	case EPERM:
		snprintf(mend, sizeof(mend),
			 "run as the owner of the file and of the folder %s, or as root (sudo)", folder);
		break;
	case EROFS:
		snprintf(mend, sizeof(mend), "the %s must be on a file system that can be written",
			 kind->name);
		break;
	case EISDIR:
		snprintf(mend, sizeof(mend), "'%s' in the configuration file must name a file", kind->option);
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
	char correct[160];

	snprintf(correct, sizeof(correct), "correct '%s' in the configuration file", db->kind->option);
	switch (db->code & 0xff) {
	case SQLITE_NOTADB:
		strcat(correct, ", or restore the file from a copy");
		mend = correct;
		break;
	case SQLITE_CORRUPT:
		mend = "restore it from a copy, or save what is left with: sqlite3 FILE .recover";
		break;
	case SQLITE_READONLY:
		mend = "run as the owner of the file, or as root (sudo)";
		break;
	}
	if (e == ERR_REFUSED)
		mend = correct;
	if (e == ERR_VERSION && db->version > db->kind->schema->count)
		mend = "use the newer poolbridge that wrote it, or restore a copy from before its upgrade";
	else if (e == ERR_VERSION)
		mend = "start the poolbridge of this version once, which brings it up to date";
	if (e == ERR_BUSY)
		mend = "another program keeps it locked: end that program's transaction, then try again";
	return explain(e == ERR_VERSION || e == ERR_BUSY || e == ERR_NOT_FOUND ? e : ERR_IO, why, path,
		       db_error(db), mend);
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
 * Not SQLite's locks, which come and go with transactions. The descriptor is
 * closed after SQLite's: closing any descriptor of the file drops those locks.
 */
static enum err lock_out_others(const char *path, int *lock, const char **why)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int error = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;

	*lock = fd;
	if (error == EWOULDBLOCK)
		return explain(ERR_BUSY, why, path, "another poolbridge is running on it",
			       "stop that one first, or give each its own files");
	if (error != 0)
		return explain(ERR_IO, why, path, strerror(error), "it must be on a local file system");
	return OK;
}

/*
 * trusted_schema stays on: SQLite before 3.41 counts json_object(), which the
 * audit triggers need, among the functions that it forbids then. We define no
 * functions and load no extensions, so there is nothing for a schema to misuse.
 */
static void harden(struct db *db)
{
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
}

static enum err settle(struct db *db)
{
	enum err e;

	harden(db);
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

/* A reader cannot bring the file up to date. */
static enum err settle_reader(struct db *db)
{
	enum err e;

	harden(db);
	e = migrate_check(db);
	if (e != OK || db->version == db->kind->schema->count)
		return e;
	snprintf(db->error, sizeof(db->error), "has schema %d, and this program reads schema %d", db->version,
		 db->kind->schema->count);
	return db->version == 0 ? ERR_NOT_FOUND : ERR_VERSION;
}

static enum err connect_to(struct db *db, const char *path, int access)
{
	/* A connection is used by one thread only, so it needs no mutex. */
	return db_result(db, sqlite3_open_v2(path, &db->handle,
					     access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL));
}

enum err db_open_as(const struct db_kind *kind, enum db_mode mode, const char *path, struct db **out,
		    const char **why)
{
	struct db *db;
	enum err e = OK;
	int error = mode == DB_READER ? 0 : make_file(path);

	if (error == 0)
		error = check_access(path);
	if (error == ENOENT && mode == DB_READER)
		return explain(ERR_NOT_FOUND, why, path, strerror(error),
			       "the daemon makes it at its first start");
	if (error != 0)
		return explain_system(kind, error, why, path);

	db = xcalloc(1, sizeof(*db));
	db->kind = kind;
	db->lock = -1;
	if (mode == DB_SOLE)
		e = lock_out_others(path, &db->lock, why);
	if (e != OK)
		goto done;
	e = connect_to(db, path, mode == DB_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	if (e == OK)
		e = mode == DB_READER ? settle_reader(db) : settle(db);
	if (e != OK)
		e = explain_database(db, e, why, path);
done:
	if (e == OK)
		*out = db;
	else
		db_close(db);
	return e;
}

enum err db_open(const char *path, struct db **out, const char **why)
{
	return db_open_as(&db_registry, DB_SHARED, path, out, why);
}
