/*
 * output.h - JSON objects laid out for people: as a table, as fields, as the
 * difference of two.
 */
#ifndef POOLBRIDGE_CTL_OUTPUT_H
#define POOLBRIDGE_CTL_OUTPUT_H

#include "bridge/ctl/ctl.h"

struct output_column {
	const char *key, *title;
};

/* An array of objects, one a line under a line of titles. */
void output_table(struct ctl *ctl, const json_t *rows, const struct output_column *columns, size_t count);

/* One object, one key a line; objects in it are indented, arrays of objects one a line. */
void output_fields(struct ctl *ctl, const json_t *object);

/*
 * "phase coexist -> migrated, unlisted legacy -> reject". Where one of the two is
 * no object, all keys of the other but the first, its name. The caller frees it.
 */
char *output_difference(const json_t *before, const json_t *after);

/* What was changed of an object: said, and the row as it is now, with "changed", as the document. Returns 0. */
int output_change(struct ctl *ctl, const char *object, const char *name, const json_t *before, json_t *after);

/* UTC to the second, as the audit writes times; Unix seconds. */
enum { OUTPUT_TIME_SIZE = 32 };
const char *output_time(int64_t seconds, char out[OUTPUT_TIME_SIZE]);

/* A value as one word or line: yes, no, text, items with a comma between. The caller frees it. */
char *output_value(const json_t *value);

#endif
