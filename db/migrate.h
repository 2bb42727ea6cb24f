/*
 * migrate.h - bring the registry file to this program's schema. Internal to db/.
 */
#ifndef POOLBRIDGE_DB_MIGRATE_H
#define POOLBRIDGE_DB_MIGRATE_H

#include "db/db.h"

/*
 * Look at what kind of file it is, before anything is changed in it. ERR_VERSION:
 * from a newer program. ERR_REFUSED: another program's database (db_error has the words).
 */
MUST_CHECK enum err migrate_check(struct db *db);

/* Apply what is missing, each migration in one transaction of its own. */
MUST_CHECK enum err migrate(struct db *db);

#endif
