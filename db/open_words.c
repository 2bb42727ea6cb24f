/*
 * open_words.c - why a database file cannot be used, and how that is mended, in
 * the words that the administrator reads.
 *
 * Every sentence names the file. The buffer is static: the next one overwrites it.
 */
#include "db/open_internal.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "db/statement.h"

static const char make_room[] = "make room on its file system, then try again";

static char words[2048];

enum err db_explain(enum err e, const char **why, const char *path, const char *what, const char *mend)
{
	snprintf(words, sizeof(words), "%s: %s: %s", path, what, mend);
	*why = words;
	return e;
}

void db_folder_of(const char *path, char *out, size_t size)
{
	char copy[4096];

	if (!str_copy(copy, sizeof(copy), path) || !str_copy(out, size, dirname(copy)))
		snprintf(out, size, "its folder");
}

enum err db_explain_system(const struct db_kind *kind, int error, const char **why, const char *path)
{
	char folder[1024], mend[1200];

	db_folder_of(path, folder, sizeof(folder));
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		snprintf(mend, sizeof(mend), "make the folder %s, or correct '%s' in the configuration file",
			 folder, kind->option);
		break;
	case EACCES:
	case EPERM:
		snprintf(mend, sizeof(mend),
			 "run as its owner or as root (sudo); what the daemon uses, the folder %s too, must "
			 "belong to the daemon's user (chown)",
			 folder);
		break;
	case EROFS:
		snprintf(mend, sizeof(mend), "the %s must be on a file system that can be written",
			 kind->name);
		break;
	case EISDIR:
		snprintf(mend, sizeof(mend), "'%s' in the configuration file must name a file", kind->option);
		break;
	case ENOSPC:
	case EDQUOT:
		snprintf(mend, sizeof(mend), "make room on the file system of %s, then try again", folder);
		break;
	default:
		snprintf(mend, sizeof(mend), "see to the file system of %s", folder);
	}
	return db_explain(ERR_IO, why, path, strerror(error), mend);
}

const char *db_mend(const struct db *db, enum err e)
{
	if (e == ERR_BUSY)
		return "another program is writing to it; try again";
	if (e != ERR_IO)
		return "";
	if (db->code == SQLITE_READONLY_DBMOVED)
		return "put the files back where they were; or stop poolbridge, remove what is left of "
		       "FILE-wal and "
		       "FILE-shm, put the other file in place, and start poolbridge again";
	switch (db->code & 0xff) {
	case SQLITE_CORRUPT: /* also what SQLite makes of a page that the disk does not give */
		return "see in the kernel's log whether the disk fails; if not, restore it from a copy, or "
		       "save what is "
		       "left with: sqlite3 FILE .recover";
	case SQLITE_FULL:
		return make_room;
	case SQLITE_READONLY:
		return "run as the owner of the file, or as root (sudo)";
	default:
		return db->system == ENOSPC || db->system == EDQUOT ? make_room
								    : "see to the disk, then try again";
	}
}

bool db_is_uncertain(const struct db *db)
{
	return db->code == SQLITE_IOERR_FSYNC || db->code == SQLITE_IOERR_DIR_FSYNC;
}

enum err db_explain_database(struct db *db, enum err e, const char **why, const char *path)
{
	const char *mend = db_mend(db, ERR_IO);
	char correct[160];

	snprintf(correct, sizeof(correct), "correct '%s' in the configuration file", db->kind->option);
	if (e == ERR_REFUSED)
		mend = correct;
	else if (e == ERR_VERSION && db->version > db->kind->schema->count)
		mend = "use the newer poolbridge that wrote it, or restore a copy from before its upgrade";
	else if (e == ERR_VERSION)
		mend = "start the poolbridge of this version once, which brings it up to date";
	else if (e == ERR_BUSY)
		mend = "another program keeps it locked: end that program's transaction, then try again";
	else if ((db->code & 0xff) == SQLITE_NOTADB)
		mend = strcat(correct, ", or restore the file from a copy");
	return db_explain(e == ERR_VERSION || e == ERR_BUSY || e == ERR_NOT_FOUND ? e : ERR_IO, why, path,
			  db_error(db), mend);
}
