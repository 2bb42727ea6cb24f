/*
 * Files of administrators: whatever the bytes, rows keep their bounds, and what
 * was read is read again as the same after it was written.
 */
#include "bridge/ctl/csv.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void put_row(struct strbuf *out, char *const *field, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		strbuf_puts(out, i > 0 ? "," : "");
		csv_put(out, field[i]);
	}
	strbuf_putc(out, '\n');
}

/* Rows in, rows out; "" alone on a line would be an empty line, so such rows are left out. */
static void copy_rows(struct csv *csv, struct strbuf *out)
{
	const char *why = NULL;
	enum err e;

	put_row(out, csv->name, csv->columns);
	while ((e = csv_next(csv, &why)) != ERR_NOT_FOUND) {
		CHECK(e == OK || (e == ERR_SYNTAX && why != NULL));
		if (e == OK)
			CHECK(csv->count == csv->columns && csv->count <= CSV_COLUMNS_MAX);
		if (e == OK && (csv->count > 1 || csv->field[0][0]))
			put_row(out, csv->field, csv->count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf text = { 0 }, once = { 0 }, twice = { 0 }, copy = { 0 };
	struct csv csv = { 0 };
	const char *why = NULL;

	strbuf_add(&text, data, size);
	if (text_decode("input", &text, &why) == OK && csv_start(&csv, &text, &why) == OK &&
	    (csv.columns > 1 || csv.name[0][0]) && strncmp(csv.name[0], "#TYPE", 5) != 0) {
		copy_rows(&csv, &once);
		csv_free(&csv);
		strbuf_add(&copy, once.s, once.len);
		CHECK(csv_start(&csv, &copy, &why) == OK);
		copy_rows(&csv, &twice);
		CHECK(once.len == twice.len && memcmp(once.s, twice.s, once.len) == 0);
	}
	csv_free(&csv);
	strbuf_free(&text);
	strbuf_free(&once);
	strbuf_free(&twice);
	return 0;
}
