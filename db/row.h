/*
 * row.h - what those share who read and write rows. Internal to db/.
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

/*
 * The number of a new row of a table that never uses one twice, in a turn that was undone neither: whoever holds it
 * still would hold another's row. last: a parameter, the last one that this process was given; 0: none.
 */
#define ROW_NEW_ID(table, last)                                                                              \
	"max(" last " + 1, 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = '" table "'), 0))"

/* A word or text that does not fit the struct: the schema forbids it, so the file is damaged. */
MUST_CHECK enum err row_damaged(struct db *db, const char *table, const char *key);

#endif
