/*
 * registry_view.c - when the rows that were read are still what the registry says.
 *
 * A stamp stands for one state of the file. It changes when another connection has
 * committed (PRAGMA data_version) and when this one has changed anything
 * (sqlite3_total_changes64(), which counts what is rolled back as well). In a
 * transaction that writes nothing is kept and nothing is known: it reads what may
 * never be committed.
 *
 * A view is a transaction that reads: it begins with its first look-up, and sees one
 * state of the file, so that what has to be read costs no locks. Who wants to write
 * ends it (db_begin()), and so does SQLite when the file cannot be read; the next
 * look-up begins another one.
 *
 * Where the file cannot say whether it has changed, everything is read anew, and
 * that reports the error.
 */
#include "db/registry_view_internal.h"

#include <stdlib.h>
#include <string.h>

#include "db/registry.h"
#include "db/row_cache_internal.h"
#include "db/statement.h"

struct registry_view {
	struct row_cache *tables[VIEW_TABLES];
	uint64_t stamp;
	int64_t version, changes; /* what the stamp stands for */
	unsigned depth;           /* of views within each other; 0: none */
	bool reading;             /* the transaction of the outermost one has begun */
	bool valid;               /* the stamp is that of now */
	uint64_t recalled;        /* the stamp when something was to be worked out; 0: none */
};

void registry_keep_rows(struct db *db)
{
	/* Strangers' domains are partners, too: by the row "*". */
	static const size_t places[VIEW_TABLES] = {
		[VIEW_DOMAINS] = 256, [VIEW_PARTNERS] = 1024, [VIEW_USERS] = 65536, [VIEW_WORKED_OUT] = 4096
	};

	if (db->view != NULL)
		return;
	db->view = xcalloc(1, sizeof(*db->view));
	for (size_t i = 0; i < VIEW_TABLES; i++)
		db->view->tables[i] = row_cache_create(places[i]);
}

void view_free(struct db *db)
{
	if (db->view == NULL)
		return;
	for (size_t i = 0; i < VIEW_TABLES; i++)
		row_cache_destroy(db->view->tables[i]);
	free(db->view);
	db->view = NULL;
}

static void run(struct db *db, const char *sql)
{
	struct statement *st = statement_open(db, sql);

	/* What is wrong with the file, whoever reads it is told. */
	if (statement_run(st, NULL) != OK && !sqlite3_get_autocommit(db->handle))
		db_rollback(db);
}

void view_release(struct db *db)
{
	if (db->view == NULL || !db->view->reading)
		return;
	db->view->reading = false;
	if (!sqlite3_get_autocommit(db->handle))
		run(db, "COMMIT");
}

void registry_view_begin(struct db *db)
{
	if (db->view != NULL)
		db->view->depth++;
}

void registry_view_end(struct db *db)
{
	if (db->view != NULL && --db->view->depth == 0)
		view_release(db);
}

/* The file is asked, by the first look-up of a view or by each of those outside of one. */
static bool ask(struct db *db)
{
	struct registry_view *v = db->view;
	int64_t version;

	v->reading = false;
	if (!sqlite3_get_autocommit(db->handle))
		return false;
	if (v->depth > 0) {
		run(db, "BEGIN");
		v->reading = !sqlite3_get_autocommit(db->handle);
	}
	if (db_data_version(db, &version) != OK) {
		view_release(db);
		return false;
	}
	if (version != v->version || v->stamp == 0)
		v->stamp++;
	v->version = version;
	return true;
}

static bool is_valid(struct db *db)
{
	struct registry_view *v = db->view;
	const int64_t changes = sqlite3_total_changes64(db->handle);
	const bool reads_on = v->reading && !sqlite3_get_autocommit(db->handle);

	if (!reads_on && !ask(db))
		return false;
	if (changes != v->changes)
		v->stamp++;
	v->changes = changes;
	return true;
}

bool view_find(struct db *db, enum view_table table, const char *key, void *out, size_t size, enum err *e)
{
	struct registry_view *v = db->view;
	const void *row;
	size_t kept;

	if (v == NULL)
		return false;
	v->valid = is_valid(db);
	row = v->valid ? row_cache_find(v->tables[table], v->stamp, key, &kept) : NULL;
	if (row == NULL)
		return false;
	*e = kept == size ? OK : ERR_NOT_FOUND;
	if (*e == OK)
		memcpy(out, row, size);
	return true;
}

enum err view_keep(struct db *db, enum view_table table, const char *key, const void *row, size_t size,
		   enum err e)
{
	const struct registry_view *v = db->view;

	if (v != NULL && v->valid && (e == OK || e == ERR_NOT_FOUND))
		row_cache_put(v->tables[table], v->stamp, key, row, e == OK ? size : 0);
	return e;
}

bool registry_recall(struct db *db, const char *key, void *out, size_t size)
{
	enum err e;
	const bool found = view_find(db, VIEW_WORKED_OUT, key, out, size, &e);

	if (db->view != NULL)
		db->view->recalled = db->view->valid ? db->view->stamp : 0;
	return found;
}

/* Not what comes of rows of two states of the file: then it changed between two of the look-ups. */
void registry_remember(struct db *db, const char *key, const void *value, size_t size)
{
	const struct registry_view *v = db->view;

	if (v != NULL && v->valid && v->stamp == v->recalled)
		row_cache_put(v->tables[VIEW_WORKED_OUT], v->stamp, key, value, size);
}
