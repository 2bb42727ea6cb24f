/*
 * migrate.h - bring a file to this program's schema. Internal to db/.
 */
#ifndef POOLBRIDGE_DB_MIGRATE_H
#define POOLBRIDGE_DB_MIGRATE_H

#include "db/db.h"
#include "db/schema.h"

/* What a file of ours is for. */
struct db_kind {
	const char *name;   /* "registry" */
	const char *option; /* of the configuration: it names the file */
	int application_id; /* PRAGMA application_id, so that one is never taken for the other */
	const struct schema *schema;
};
extern const struct db_kind db_registry, db_state;

/*
 * Look at what kind of file it is, before anything is changed in it. ERR_VERSION:
 * from a newer program. ERR_REFUSED: of another kind, or another program's (db_error has the words).
 */
MUST_CHECK enum err migrate_check(struct db *db);

/* Apply what is missing, each migration in one transaction of its own. */
MUST_CHECK enum err migrate(struct db *db);

#endif
