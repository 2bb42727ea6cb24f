/*
 * output.c - the documents of the commands, laid out for people.
 *
 * The layout knows nothing of domains or users: it shows whatever keys a
 * document has, so that the daemon's status can grow without a change here. A
 * newline in a value is shown as a space: one row stays one line.
 */
#include "bridge/ctl/output.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void add_value(struct strbuf *out, const json_t *value)
{
	const char *key;
	size_t i;
	json_t *item;

	switch (json_typeof(value)) {
	case JSON_STRING:
		strbuf_puts(out, json_string_value(value));
		break;
	case JSON_INTEGER:
		strbuf_printf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		strbuf_printf(out, "%g", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		strbuf_puts(out, json_is_true(value) ? "yes" : "no");
		break;
	case JSON_NULL:
		break;
	case JSON_ARRAY:
		json_array_foreach (value, i, item) {
			strbuf_puts(out, i > 0 ? ", " : "");
			add_value(out, item);
		}
		break;
	case JSON_OBJECT:
		json_object_foreach ((json_t *)value, key, item) {
			strbuf_printf(out, "%s%s=", out->len > 0 ? " " : "", key);
			add_value(out, item);
		}
		break;
	}
}

char *output_value(const json_t *value)
{
	struct strbuf out = { 0 };
	char *text;

	if (value)
		add_value(&out, value);
	text = strbuf_take(&out);
	for (char *s = text; *s; s++)
		if (*s == '\n')
			*s = ' ';
	return text;
}

static void add_padded(struct strbuf *out, const char *text, size_t width)
{
	strbuf_puts(out, text);
	for (size_t n = width_of(text); n < width + 2; n++)
		strbuf_putc(out, ' ');
}

static size_t width_of_column(const json_t *rows, const struct output_column *column)
{
	size_t i, width = width_of(column->title);
	json_t *row;

	json_array_foreach (rows, i, row) {
		char *text = output_value(json_object_get(row, column->key));

		if (width_of(text) > width)
			width = width_of(text);
		free(text);
	}
	return width;
}

static void end_line(struct ctl *ctl, struct strbuf *line)
{
	while (line->len > 0 && line->s[line->len - 1] == ' ')
		line->s[--line->len] = '\0';
	ctl_say(ctl, "%s\n", line->len > 0 ? line->s : "");
	strbuf_reset(line);
}

void output_table(struct ctl *ctl, const json_t *rows, const struct output_column *columns, size_t count)
{
	size_t *width = xcalloc(count, sizeof(*width)), i;
	struct strbuf line = { 0 };
	json_t *row;

	for (size_t c = 0; c < count; c++) {
		width[c] = width_of_column(rows, &columns[c]);
		add_padded(&line, columns[c].title, width[c]);
	}
	end_line(ctl, &line);
	json_array_foreach (rows, i, row) {
		for (size_t c = 0; c < count; c++) {
			char *text = output_value(json_object_get(row, columns[c].key));

			add_padded(&line, text, width[c]);
			free(text);
		}
		end_line(ctl, &line);
	}
	strbuf_free(&line);
	free(width);
}

static bool holds_objects(const json_t *value)
{
	return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static void fields(struct ctl *ctl, const json_t *object, int depth)
{
	const char *key;
	json_t *value, *item;
	size_t i;

	json_object_foreach ((json_t *)object, key, value) {
		char *text;

		if (json_is_object(value) && json_object_size(value) > 0) {
			ctl_say(ctl, "%*s%s:\n", depth * 2, "", key);
			fields(ctl, value, depth + 1);
			continue;
		}
		if (holds_objects(value)) {
			ctl_say(ctl, "%*s%s:\n", depth * 2, "", key);
			json_array_foreach (value, i, item) {
				text = output_value(item);
				ctl_say(ctl, "%*s%s\n", depth * 2 + 2, "", text);
				free(text);
			}
			continue;
		}
		text = output_value(value);
		ctl_say(ctl, "%*s%s: %s\n", depth * 2, "", key, text[0] ? text : "-");
		free(text);
	}
}

void output_fields(struct ctl *ctl, const json_t *object)
{
	if (!ctl->inv->json)
		fields(ctl, object, 0);
}

static void add_change(struct strbuf *out, const char *key, const json_t *old, const json_t *new)
{
	char *from = output_value(old), *to = output_value(new);

	strbuf_printf(out, "%s%s %s", out->len > 0 ? ", " : "", key, from[0] ? from : "(none)");
	strbuf_printf(out, " -> %s", to[0] ? to : "(none)");
	free(from);
	free(to);
}

/* All but its name, which comes first. */
static void add_row(struct strbuf *out, const json_t *row)
{
	const json_t *first = json_object_iter_value(json_object_iter((json_t *)row));
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)row, key, value) {
		char *text = output_value(value);

		if (text[0] && value != first)
			strbuf_printf(out, "%s%s %s", out->len > 0 ? ", " : "", key, text);
		free(text);
	}
}

char *output_difference(const json_t *before, const json_t *after)
{
	struct strbuf out = { 0 };
	const char *key;
	json_t *value;

	if (json_is_object(before) && json_is_object(after)) {
		json_object_foreach ((json_t *)after, key, value)
			if (!json_equal(json_object_get(before, key), value))
				add_change(&out, key, json_object_get(before, key), value);
	} else {
		add_row(&out, json_is_object(after) ? after : before);
	}
	return strbuf_take(&out);
}

int output_change(struct ctl *ctl, const char *object, const char *name, const json_t *before, json_t *after)
{
	char *changes = output_difference(before, after);

	if (changes[0])
		ctl_say(ctl, "%s %s: %s\n", object, name, changes);
	else
		ctl_say(ctl, "%s %s is so already\n", object, name);
	free(changes);
	json_object_set_new(after, "changed", json_boolean(!json_equal(before, after)));
	return ctl_document(ctl, json_incref(after));
}

const char *output_time(int64_t seconds, char out[OUTPUT_TIME_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, OUTPUT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return "?";
	return out;
}
