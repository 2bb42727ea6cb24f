/*
 * csv.h - text files as administrators bring them: UTF-8 or UTF-16, with or
 * without a byte order mark, LF or CRLF; and the CSV in them (RFC 4180).
 */
#ifndef POOLBRIDGE_CTL_CSV_H
#define POOLBRIDGE_CTL_CSV_H

#include "bridge/core/base.h"

#define TEXT_FILE_MAX   (256u << 20) /* bytes */
#define CSV_COLUMNS_MAX 64

/*
 * The whole file ("-": standard input) as UTF-8 without the mark. On failure
 * *why (static buffer) says what is wrong with which file.
 */
MUST_CHECK enum err text_read(const char *path, struct strbuf *out, const char **why);

/* The second half of it, in place: the bytes of the file of that name as UTF-8 without the mark. */
MUST_CHECK enum err text_decode(const char *path, struct strbuf *text, const char **why);

/* Cuts the next line out of *at, without its end; NULL at the end of the text. */
char *text_next_line(char **at);

/* A walk through the rows of a text, which is changed on the way. */
struct csv {
	struct strbuf text;
	char *at;
	unsigned line; /* on which the present row begins */
	unsigned next_line;
	char separator;
	char *field[CSV_COLUMNS_MAX];
	size_t count;
	char *name[CSV_COLUMNS_MAX]; /* the columns' names */
	size_t columns;
};

/* Takes the text. A first line "#TYPE ..." is skipped; the names are read; comma, semicolon or tab separates. */
MUST_CHECK enum err csv_start(struct csv *csv, struct strbuf *text, const char **why);
/* Empty lines are skipped. ERR_NOT_FOUND at the end; ERR_SYNTAX: *why says what is wrong with this row. */
MUST_CHECK enum err csv_next(struct csv *csv, const char **why);
void csv_free(struct csv *csv);

/* The number of a column, whatever the case of its letters; -1: there is none. */
int csv_column(const struct csv *csv, const char *name);

/* A field as it is written to a file, quoted where it must be. */
void csv_put(struct strbuf *out, const char *field);

/* The text into a file ("-": standard output); false: errno says why not. */
MUST_CHECK bool text_write(const char *path, const struct strbuf *text);

#endif
