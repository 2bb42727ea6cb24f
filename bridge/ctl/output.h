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

/* A value as one word or line: yes, no, text, items with a comma between. The caller frees it. */
char *output_value(const json_t *value);

#endif
