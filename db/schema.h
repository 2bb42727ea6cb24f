/*
 * schema.h - the migrations of schema/, compiled in by schema/embed.awk. The
 * first one brings a file to user_version 1, and so on without a gap.
 */
#ifndef POOLBRIDGE_DB_SCHEMA_H
#define POOLBRIDGE_DB_SCHEMA_H

struct migration {
	const char *name; /* "001-registry" */
	const char *sql;
};
extern const struct migration migrations[];
extern const int migration_count;

#endif
