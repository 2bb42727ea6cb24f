/*
 * audit.h - what changed in domain, partner, partner_alias and user, written by
 * triggers whoever makes the change, and its undoing.
 */
#ifndef POOLBRIDGE_DB_AUDIT_H
#define POOLBRIDGE_DB_AUDIT_H

#include "db/db.h"

struct audit_entry {
	int64_t id;
	const char *at;     /* UTC, "2026-11-21T07:40:12.345Z" */
	const char *actor;  /* "root via poolbridgectl", or "sql" for a change by hand */
	const char *object; /* domain, partner, alias, user */
	const char *key;
	const char *before; /* the row as a JSON object; NULL: it did not exist */
	const char *after;  /* NULL: it was removed */
};

struct audit_filter {
	const char *since;  /* "2026-11-21T07:40:12Z" or a prefix of it; NULL: all */
	int64_t after_id;   /* entries with a greater id; 0: all */
	const char *object; /* NULL: all */
	const char *key;    /* NULL: all */
	unsigned limit;     /* the newest this many, still in order of id; 0: all */
};

MUST_CHECK enum err audit_each(struct db *db, const struct audit_filter *filter,
			       bool (*fn)(void *ctx, const struct audit_entry *e), void *ctx);

/* The number of the newest entry that there has ever been; 0: none. */
MUST_CHECK enum err audit_last(struct db *db, int64_t *out);

/*
 * Put the row back to what it was before entry id (inside a transaction; the
 * undoing is audited too). ERR_NOT_FOUND: no such entry. ERR_CONFLICT: the row
 * is no longer as the entry left it; *why (static buffer) shows both.
 * ERR_REFUSED: the schema forbids it (for example its domain is gone).
 */
MUST_CHECK enum err audit_undo(struct db *db, int64_t id, const char **why);

/* All entries of one object, for whoever asks to be forgotten (inside a transaction); how many. */
MUST_CHECK enum err audit_erase(struct db *db, const char *object, const char *key, int64_t *count);

#endif
