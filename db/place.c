/*
 * place.c - whether an open database file, and the two that SQLite keeps beside it, are
 * still where they were opened.
 *
 * Who moves, removes or replaces one of them splits the world: this connection goes on with
 * the file it has, and every other program works on what has the name now, so that a change
 * there would never be seen here; a log of the one beside the other makes a wreck of both.
 * From then on nothing is read or written, until they are there again.
 *
 * Owns the names.
 */
#include "db/open_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "db/statement.h"

enum { FILES = 3 };

struct file {
	char *path;
	bool known; /* it was there when the database was opened */
	dev_t device;
	ino_t inode;
};

struct place {
	struct file files[FILES];
};

static void note(struct file *f, const char *path, const char *ending)
{
	struct strbuf b = { 0 };
	struct stat st;

	strbuf_printf(&b, "%s%s", path, ending);
	f->path = b.s;
	f->known = stat(f->path, &st) == 0;
	f->device = f->known ? st.st_dev : 0;
	f->inode = f->known ? st.st_ino : 0;
}

struct place *place_of(struct db *db, const char *path)
{
	const char *target = sqlite3_db_filename(db->handle, "main"); /* of a symbolic link */
	struct place *p = xcalloc(1, sizeof(*p));

	note(&p->files[0], path, "");
	note(&p->files[1], target, "-wal");
	note(&p->files[2], target, "-shm");
	return p;
}

void place_free(struct place *p)
{
	for (size_t i = 0; p != NULL && i < FILES; i++)
		free(p->files[i].path);
	free(p);
}

/* An answer that says nothing about the file, such as a folder that cannot be read just now, is none. */
static bool has_gone(const struct file *f)
{
	struct stat st;

	if (!f->known)
		return false;
	if (stat(f->path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return st.st_dev != f->device || st.st_ino != f->inode;
}

enum err place_error(struct db *db)
{
	snprintf(db->error, sizeof(db->error),
		 "%s is not the file that was opened: that one was moved, removed or replaced", db->gone);
	db->code = SQLITE_READONLY_DBMOVED;
	return ERR_IO;
}

enum err db_check_place(struct db *db)
{
	db->gone = NULL;
	for (size_t i = 0; i < FILES && db->gone == NULL; i++)
		if (has_gone(&db->place->files[i]))
			db->gone = db->place->files[i].path;
	return db->gone == NULL ? OK : place_error(db);
}
