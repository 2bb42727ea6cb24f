/*
 * ctl_report.c - results, warnings and errors of poolbridgectl, for people and
 * as JSON.
 *
 * People read standard output and, for warnings and errors, standard error. A
 * program reads one JSON document on standard output: the result with its
 * warnings, or {"error": ...}; the errors are on standard error as well. Text from
 * the registry or the command line may hold anything, so controls never reach a terminal.
 */
#include "bridge/ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of the UTF-8 sequence at s when it is one and no control; else 0. */
static size_t harmless_length(const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c < 0x20 || c == 0x7f || strnlen(s, n) < n || !utf8_is_xml(s, n))
		return 0;
	return c == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : n; /* C1 controls */
}

static void make_harmless(char *text, char allowed)
{
	for (char *s = text; *s;) {
		size_t n = harmless_length(s);

		if (n == 0 && *s != allowed)
			*s = '?';
		s += n > 0 ? n : 1;
	}
}

json_t *ctl_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (!value) {
		copy = xstrdup(text);
		make_harmless(copy, '\n');
		value = json_string(copy);
		free(copy);
	}
	return value;
}

/* The message is made harmless in place. */
static void report(const char *level, json_t *list, char *text, bool print)
{
	make_harmless(text, ' ');
	json_array_append_new(list, json_string(text));
	if (print)
		fprintf(stderr, "poolbridgectl: %s%s\n", level, text);
}

static char *format(const char *fmt, va_list args) PRINTF_LIKE(1, 0);

static char *format(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		abort();
	return text;
}

/* The three below differ in little, but each needs its own list of arguments. */
int ctl_fail(struct ctl *ctl, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = format(fmt, args);
	va_end(args);
	report("", ctl->errors, text, true);
	free(text);
	return 1;
}

int ctl_usage(struct ctl *ctl, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = format(fmt, args);
	va_end(args);
	report("", ctl->errors, text, true);
	free(text);
	return 2;
}

void ctl_warn(struct ctl *ctl, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = format(fmt, args);
	va_end(args);
	report("warning: ", ctl->warnings, text, !ctl->inv->json);
	free(text);
}

int ctl_fail_db(struct ctl *ctl, enum err e)
{
	const char *words = db_error(ctl->db), *mend = db_mend(ctl->db, e);

	return ctl_fail(ctl, "%s: %s%s%s", ctl->config->registry, words[0] ? words : err_text(e),
			mend[0] ? ": " : "", mend);
}

void ctl_say(struct ctl *ctl, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (ctl->inv->json)
		return;
	va_start(args, fmt);
	text = format(fmt, args);
	va_end(args);
	make_harmless(text, '\n');
	fputs(text, stdout);
	free(text);
}

static void dump(const json_t *document, size_t flags)
{
	/* Fails only with the stream, which ctl_finish() looks at. */
	(void)json_dumpf(document, stdout, flags | JSON_ENCODE_ANY);
}

int ctl_document(struct ctl *ctl, json_t *document)
{
	if (ctl->inv->json) {
		if (json_is_object(document) && json_array_size(ctl->warnings) > 0)
			json_object_set(document, "warnings", ctl->warnings);
		dump(document, JSON_INDENT(2));
		putchar('\n');
		ctl->printed = true;
	}
	json_decref(document);
	return 0;
}

void ctl_list_begin(struct ctl *ctl)
{
	if (ctl->inv->json)
		fputs("[", stdout);
	ctl->printed = true;
}

void ctl_list_item(struct ctl *ctl, json_t *item)
{
	if (ctl->inv->json) {
		fputs(ctl->listed > 0 ? ",\n  " : "\n  ", stdout);
		dump(item, 0);
	}
	ctl->listed++;
	json_decref(item);
}

void ctl_list_end(struct ctl *ctl)
{
	if (ctl->inv->json)
		fputs(ctl->listed > 0 ? "\n]\n" : "]\n", stdout);
}

int ctl_finish(struct ctl *ctl, int status)
{
	if (status != 0 && ctl->inv->json && !ctl->printed) {
		json_t *document = json_pack("{s:O}", "error", json_array_get(ctl->errors, 0));

		if (json_array_size(ctl->errors) > 1)
			json_object_set(document, "errors", ctl->errors);
		(void)ctl_document(ctl, document);
	}
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0)
		status = ctl_fail(ctl, "standard output: %s%s", strerror(errno),
				  ctl->committed ? " (what was asked for is done; only this report is lost)"
						 : "");
	return status;
}
