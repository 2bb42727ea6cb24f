/*
 * schema.h - the migrations of schema/, compiled in by schema/embed.awk: a table
 * for each kind of file. The first one brings a file to user_version 1, and so on
 * without a gap.
 */
#ifndef POOLBRIDGE_DB_SCHEMA_H
#define POOLBRIDGE_DB_SCHEMA_H

struct migration {
	const char *name; /* "001-registry" */
	const char *sql;
};

struct schema {
	const struct migration *migrations;
	int count;
};
extern const struct schema registry_schema, state_schema;

#endif
