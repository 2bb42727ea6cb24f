/*
 * row.h - a row of the registry as a struct. Internal to db/.
 */
#ifndef POOLBRIDGE_DB_ROW_H
#define POOLBRIDGE_DB_ROW_H

#include "db/registry.h"
#include "db/statement.h"

/*
 * Booleans may be stored as words, because administrators type SQL by hand. Not
 * IN (...), which builds a temporary table for each look-up.
 */
#define ROW_IS_TRUE(column) "(" column " = 1 OR " column " = 'on' OR " column " = 'yes')"

/* A word or text that does not fit the struct: the schema forbids it, so the file is damaged. */
MUST_CHECK enum err row_damaged(struct db *db, const char *table, const char *key);

#endif
