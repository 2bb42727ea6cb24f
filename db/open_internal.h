/*
 * open_internal.h - the ways to open a file of ours. Internal to db/.
 */
#ifndef POOLBRIDGE_DB_OPEN_INTERNAL_H
#define POOLBRIDGE_DB_OPEN_INTERNAL_H

#include "db/migrate.h"

enum db_mode {
	DB_SHARED, /* any program may write */
	DB_SOLE,   /* one program at a time; ERR_BUSY: another has it */
	DB_READER  /* nothing is made or changed; ERR_NOT_FOUND: it is not there yet */
};

/* As db_open(). */
MUST_CHECK enum err db_open_as(const struct db_kind *kind, enum db_mode mode, const char *path,
			       struct db **out, const char **why);

/* open_words.c. Each fills *why with a static buffer and returns the error: the one given, or its class. */
enum err db_explain(enum err e, const char **why, const char *path, const char *what, const char *mend);
/* The system refused to make, reach or write the file. */
enum err db_explain_system(const struct db_kind *kind, int error, const char **why, const char *path);
/* SQLite could not use the file. */
enum err db_explain_database(struct db *db, enum err e, const char **why, const char *path);
/* place.c. Where the files of an open database are. */
struct place *place_of(struct db *db, const char *path);
void place_free(struct place *place); /* NULL is allowed */
void db_folder_of(const char *path, char *out, size_t size);

#endif
