/*
 * csv.c - reading whole text files, and CSV in them.
 *
 * PowerShell's Export-Csv writes a "#TYPE" line first, quotes every field, and
 * may write UTF-16; Excel writes a byte order mark and, in many countries,
 * semicolons. All of that is read; what is neither UTF-8 nor UTF-16 is an error
 * that names the line, never guessed at. A row is cut in place, so a million
 * rows take no more memory than their file.
 */
#include "bridge/ctl/csv.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridge/xmpp/jid.h"

static char words[512];

static enum err fail(enum err e, const char **why, const char *path, const char *what)
{
	snprintf(words, sizeof(words), "%s: %s", path, what);
	*why = words;
	return e;
}

static enum err read_bytes(const char *path, struct strbuf *out, const char **why)
{
	bool from_input = strcmp(path, "-") == 0;
	FILE *f = from_input ? stdin : fopen(path, "rbe");
	char bytes[65536];
	size_t n;
	enum err e = OK;

	if (!f)
		return fail(ERR_IO, why, path, strerror(errno));
	while (e == OK && (n = fread(bytes, 1, sizeof(bytes), f)) > 0) {
		strbuf_add(out, bytes, n);
		if (out->len > TEXT_FILE_MAX)
			e = fail(ERR_LIMIT, why, path, "larger than 256 MiB: split it");
	}
	if (e == OK && ferror(f))
		e = fail(ERR_IO, why, path, strerror(errno));
	if (!from_input)
		fclose(f);
	return e;
}

static enum err from_utf16(const char *path, struct strbuf *text, const char **why)
{
	iconv_t converter = iconv_open("UTF-8", "UTF-16"); /* reads and drops the mark */
	size_t left = text->len, room = text->len * 2 + 4; /* three bytes for two at most, and some */
	char *in = text->s, *start = xmalloc(room), *end = start;
	size_t rc;

	if (converter == (iconv_t)-1) {
		free(start);
		return fail(ERR_IO, why, path, "UTF-16 cannot be read here: save the file as UTF-8");
	}
	rc = iconv(converter, &in, &left, &end, &room);
	iconv_close(converter);
	strbuf_reset(text);
	strbuf_add(text, start, (size_t)(end - start));
	free(start);
	return rc == (size_t)-1 ? fail(ERR_SYNTAX, why, path, "damaged UTF-16: save the file as UTF-8") : OK;
}

/* The line of the first byte that is not text. */
static enum err check_text(const char *path, const struct strbuf *text, const char **why)
{
	const char *line = text->s, *end = text->s + text->len;

	for (unsigned number = 1; line < end; number++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		if (!utf8_is_xml(line, (size_t)(stop - line))) {
			snprintf(
				words, sizeof(words),
				"%s:%u: not UTF-8 text, or a control character in it: save the file as UTF-8",
				path, number);
			*why = words;
			return ERR_SYNTAX;
		}
		line = stop + 1;
	}
	return OK;
}

enum err text_decode(const char *path, struct strbuf *text, const char **why)
{
	enum err e = OK;

	strbuf_puts(text, ""); /* a string even when the file is empty */
	if (text->len >= 2 && (memcmp(text->s, "\xff\xfe", 2) == 0 || memcmp(text->s, "\xfe\xff", 2) == 0))
		e = from_utf16(path, text, why);
	if (e == OK && text->len >= 3 && memcmp(text->s, "\xef\xbb\xbf", 3) == 0)
		strbuf_consume(text, 3);
	return e == OK ? check_text(path, text, why) : e;
}

enum err text_read(const char *path, struct strbuf *out, const char **why)
{
	struct strbuf text = { 0 };
	enum err e = read_bytes(path, &text, why);

	if (e == OK)
		e = text_decode(path, &text, why);
	if (e == OK)
		*out = text;
	else
		strbuf_free(&text);
	return e;
}

char *text_next_line(char **at)
{
	char *line = *at, *end;

	if (!*line)
		return NULL;
	end = line + strcspn(line, "\n");
	*at = *end ? end + 1 : end;
	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	return line;
}

/* --- CSV --- */

static enum err bad_row(const char **why, const char *what)
{
	*why = what;
	return ERR_SYNTAX;
}

/* A field in quotes, to where its closing quote was; doubled quotes become one. NULL: it does not close. */
static char *cut_quoted(struct csv *csv, char *from)
{
	char *to = from, *start = from;

	for (; *from; from++) {
		if (*from == '"' && from[1] != '"')
			break;
		if (*from == '"')
			from++;
		csv->next_line += *from == '\n';
		*to++ = *from;
	}
	if (!*from)
		return NULL;
	csv->field[csv->count++] = start;
	*to = '\0';
	return from + 1;
}

/* One row into field[]; csv->at is left at the next one. */
static enum err cut_row(struct csv *csv, const char **why)
{
	char *at = csv->at;

	csv->count = 0;
	csv->line = csv->next_line;
	for (;;) {
		char *start = at, end;

		if (csv->count == CSV_COLUMNS_MAX)
			return bad_row(why, "more than 64 columns");
		if (*at == '"') {
			at = cut_quoted(csv, at + 1);
			if (!at)
				return bad_row(why, "a quote is not closed");
		} else {
			at += strcspn(at, csv->separator == ';'    ? ";\r\n"
					  : csv->separator == '\t' ? "\t\r\n"
								   : ",\r\n");
			csv->field[csv->count++] = start;
		}
		end = *at;
		if (end == '\r' && at[1] == '\n')
			*at++ = '\0';
		if (end && end != csv->separator && *at != '\n')
			return bad_row(why, "text after a closing quote, or a stray carriage return");
		csv->next_line += *at == '\n';
		if (*at)
			*at++ = '\0';
		csv->at = at;
		if (end != csv->separator)
			return OK;
	}
}

static void skip_line(struct csv *csv)
{
	(void)text_next_line(&csv->at);
	csv->next_line++;
}

/* The first one of the first row that stands outside quotes. */
static char find_separator(const char *row)
{
	bool quoted = false;

	for (; *row && (quoted || *row != '\n'); row++) {
		quoted ^= *row == '"';
		if (!quoted && (*row == ',' || *row == ';' || *row == '\t'))
			return *row;
	}
	return ',';
}

enum err csv_start(struct csv *csv, struct strbuf *text, const char **why)
{
	enum err e;

	*csv = (struct csv){ .text = *text, .at = text->s, .next_line = 1 };
	*text = (struct strbuf){ 0 };
	if (strncmp(csv->at, "#TYPE", 5) == 0)
		skip_line(csv);
	csv->separator = find_separator(csv->at);
	e = csv_next(csv, why);
	if (e == ERR_NOT_FOUND) {
		csv->line = csv->next_line;
		return bad_row(why, "the file is empty: expected a line with the columns' names");
	}
	if (e == OK) {
		memcpy(csv->name, csv->field, sizeof(csv->name));
		csv->columns = csv->count;
	}
	return e;
}

enum err csv_next(struct csv *csv, const char **why)
{
	static char text[96];
	enum err e;

	while (*csv->at == '\n' || (*csv->at == '\r' && csv->at[1] == '\n'))
		skip_line(csv);
	if (!*csv->at)
		return ERR_NOT_FOUND;
	e = cut_row(csv, why);
	if (e != OK) {
		/* Where the row ends is not known any more: the rest of the file is not looked at. */
		csv->at += strlen(csv->at);
		return e;
	}
	if (csv->columns != 0 && csv->count != csv->columns) {
		snprintf(text, sizeof(text), "%zu field%s where the first line names %zu column%s",
			 csv->count, csv->count == 1 ? "" : "s", csv->columns, csv->columns == 1 ? "" : "s");
		return bad_row(why, text);
	}
	return OK;
}

void csv_free(struct csv *csv)
{
	strbuf_free(&csv->text);
}

int csv_column(const struct csv *csv, const char *name)
{
	for (size_t i = 0; i < csv->columns; i++)
		if (strcasecmp(csv->name[i], name) == 0)
			return (int)i;
	return -1;
}

void csv_put(struct strbuf *out, const char *field)
{
	if (!strpbrk(field, ",;\"\r\n\t")) {
		strbuf_puts(out, field);
		return;
	}
	strbuf_putc(out, '"');
	for (; *field; field++) {
		if (*field == '"')
			strbuf_putc(out, '"');
		strbuf_putc(out, *field);
	}
	strbuf_putc(out, '"');
}

bool text_write(const char *path, const struct strbuf *text)
{
	bool to_output = strcmp(path, "-") == 0;
	FILE *f = to_output ? stdout : fopen(path, "we");
	bool good;

	if (!f)
		return false;
	good = fwrite(text->s, 1, text->len, f) == text->len;
	if (to_output)
		return fflush(f) == 0 && good;
	return fclose(f) == 0 && good;
}
