/*
 * open.c - opening a database file of ours: its settings, and who else may have
 * it open. The words for one that cannot be used are open_words.c's.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/statement.h"

#define BUSY_MS      5000
#define BUSY_STEP_MS 10

/* A file system that cannot do it (EINVAL) has nothing to do. */
static int sync_folder(const char *path)
{
	char folder[4096];
	int fd, error = 0;

	db_folder_of(path, folder, sizeof(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (fsync(fd) < 0 && errno != EINVAL)
		error = errno;
	close(fd);
	return error;
}

/* Root's file becomes that of the folder's owner. */
static int hand_over(int fd, const char *path)
{
	char folder[4096];
	struct stat st;

	db_folder_of(path, folder, sizeof(folder));
	return stat(folder, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) < 0 ? errno : 0;
}

/* What an earlier try left that ended before it had handed it over. */
static bool is_unfinished(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

static int make_file(const char *path)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	int fd = open(path, flags | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
	bool made = fd >= 0;
	int error = 0;

	if (fd < 0 && errno != EEXIST)
		return errno;
	if (fd < 0 && geteuid() == 0 && is_unfinished(path))
		fd = open(path, flags);
	if (fd < 0)
		return 0; /* it is there; check_access() has the words */
	if (geteuid() == 0)
		error = hand_over(fd, path);
	close(fd);
	return error == 0 && made ? sync_folder(path) : error;
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
	db_folder_of(path, folder, sizeof(folder));
	return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 ||
			       faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0
		       ? errno
		       : 0;
}

static enum err switch_to_wal(struct db *db)
{
	struct statement *st = statement_open(db, "PRAGMA journal_mode = WAL");
	bool wal = statement_step(st) && strcmp(statement_text(st, 0), "wal") == 0;
	enum err e;

	while (statement_step(st)) /* the answer is given before the switch is committed */
		continue;
	e = statement_close(st);
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
		return db_explain(ERR_BUSY, why, path, "another poolbridge is running on it",
				  "stop that one first, or give each its own files");
	if (error != 0)
		return db_explain(ERR_IO, why, path, strerror(error), "it must be on a local file system");
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

/* A damaged file is left as it is: what is written into it would make it worse. */
static enum err check_pages(struct db *db)
{
	struct statement *st = statement_open(db, "PRAGMA quick_check(1)");
	char found[200] = "";
	enum err e;

	if (statement_step(st) && strcmp(statement_text(st, 0), "ok") != 0)
		snprintf(found, sizeof(found), "%s", statement_text(st, 0));
	e = statement_close(st);
	if (e != OK || found[0] == '\0')
		return e;
	for (char *c = found; (c = strchr(c, '\n')) != NULL;)
		*c = ' ';
	snprintf(db->error, sizeof(db->error), "is damaged: %s", found);
	db->code = SQLITE_CORRUPT;
	return ERR_IO;
}

/*
 * What the log beside the file (-wal) holds is read from the kernel's memory, and need not be on disk: the
 * last process may have ended because its fsync failed. So it is written to the file anew, and that is synced,
 * before anything is built on it. A reader may keep the log from being emptied (busy), not from being copied.
 */
static enum err empty_log(struct db *db)
{
	int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return (rc & 0xff) == SQLITE_BUSY ? OK : db_result(db, rc);
}

static enum err configure(struct db *db)
{
	enum err e = use_wal(db);

	if (e == OK)
		e = db_execute(
			db,
			"PRAGMA synchronous = FULL;"
			"PRAGMA foreign_keys = ON;"
			"PRAGMA secure_delete = ON;"
			"PRAGMA temp_store = MEMORY;" /* with triggers every change of a row keeps a journal of its own */
			"PRAGMA cache_size = -131072;" /* KiB, at most: a load of a million users spills to disk with less */
			"PRAGMA journal_size_limit = 67108864;");
	return e;
}

/* The names of the file and of its log. SQLite syncs them, too, but does not look whether that fails. */
static enum err sync_names(struct db *db, const char *path)
{
	int error = sync_folder(path);

	if (error == 0)
		return OK;
	snprintf(db->error, sizeof(db->error), "its folder cannot be synced: %s", strerror(error));
	db->code = SQLITE_IOERR_DIR_FSYNC;
	return ERR_IO;
}

static enum err settle(struct db *db, enum db_mode mode, const char *path)
{
	enum err e;

	harden(db);
	e = migrate_check(db);
	if (e == OK && mode == DB_SOLE)
		e = check_pages(db);
	if (e == OK)
		e = configure(db);
	if (e == OK && mode == DB_SOLE)
		e = sync_names(db, path);
	if (e == OK && mode == DB_SOLE)
		e = empty_log(db);
	return e == OK ? migrate(db) : e;
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

static enum err connect_and_settle(struct db *db, const char *path, enum db_mode mode, const char **why)
{
	int access = mode == DB_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	enum err e = connect_to(db, path, access);

	if (e == OK)
		e = mode == DB_READER ? settle_reader(db) : settle(db, mode, path);
	return e == OK ? OK : db_explain_database(db, e, why, path);
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
		return db_explain(ERR_NOT_FOUND, why, path, strerror(error),
				  "the daemon makes it at its first start");
	if (error != 0)
		return db_explain_system(kind, error, why, path);

	db = xcalloc(1, sizeof(*db));
	db->kind = kind;
	db->lock = -1;
	if (mode == DB_SOLE)
		e = lock_out_others(path, &db->lock, why);
	if (e == OK)
		e = connect_and_settle(db, path, mode, why);
	if (e == OK) {
		db->place = place_of(db, path);
		*out = db;
	} else {
		db_close(db);
	}
	return e;
}

enum err db_open(const char *path, struct db **out, const char **why)
{
	return db_open_as(&db_registry, DB_SHARED, path, out, why);
}
