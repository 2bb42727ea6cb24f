/*
 * registry_view_internal.h - rows of the registry that are kept while nothing in it
 * has changed. Internal to db/; what it is for is in registry.h.
 */
#ifndef POOLBRIDGE_DB_REGISTRY_VIEW_INTERNAL_H
#define POOLBRIDGE_DB_REGISTRY_VIEW_INTERNAL_H

#include "db/db.h"

enum view_table { VIEW_DOMAINS, VIEW_PARTNERS, VIEW_USERS, VIEW_WORKED_OUT, VIEW_TABLES };

/*
 * True: what a find_* would answer is known. *e says which, OK or ERR_NOT_FOUND, and
 * with OK the row is in *out. False: it has to be read, then kept.
 */
bool view_find(struct db *db, enum view_table table, const char *key, void *out, size_t size, enum err *e);
/* After view_find(), what was read. Errors but ERR_NOT_FOUND are not kept. Returns e. */
enum err view_keep(struct db *db, enum view_table table, const char *key, const void *row, size_t size,
		   enum err e);

/* Before this connection begins a transaction of its own. */
void view_release(struct db *db);
void view_free(struct db *db);

#endif
