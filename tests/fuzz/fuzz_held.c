/*
 * Messages between colleagues as they are kept. The input is a kept stanza of a
 * damaged file when it begins with '<', else five lines (name, subject, language,
 * date, type) and a body: what can be kept comes back as it was, byte by byte,
 * and there is a notice of it, which has none itself.
 */
#include "bridge/gateway/map_held.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { LINES = 5 };

static void check_notice(const struct stanza *stanza)
{
	struct stanza *notice = map_held_notice(stanza, "why \x01 not"), *again;

	if (notice == NULL)
		return;
	CHECK(stanza_has_type(notice, "error"));
	CHECK(stanza_parse(notice->bytes, notice->size, &again) == OK);
	CHECK(map_held_notice(again, NULL) == NULL);
	stanza_unref(again);
	stanza_unref(notice);
}

static void read_damaged(const char *data, size_t size)
{
	struct stanza *stanza;
	struct map_held m;

	if (stanza_parse(data, size, &stanza) != OK)
		return;
	if (map_held_read(stanza, &m) == OK) {
		CHECK(m.expires >= -1 && m.content_type != NULL && m.body != NULL);
		map_held_free(&m);
	}
	check_notice(stanza);
	stanza_unref(stanza);
}

/* Empty: absent. */
static void check_same(const char *kept, const char *sent)
{
	if (sent == NULL)
		CHECK(kept == NULL);
	else
		CHECK(kept != NULL && strcmp(kept, sent) == 0);
}

static void keep(const struct map_held *m)
{
	struct stanza *written, *stanza;
	struct map_held out;
	struct jid from, to;

	CHECK(jid_parse("tybalt@corp.test", &from) == OK && jid_parse("romeo@corp.test", &to) == OK);
	if (map_held_write(&from, &to, m, &written) != OK)
		return;
	CHECK(stanza_parse(written->bytes, written->size, &stanza) == OK);
	CHECK(map_held_read(stanza, &out) == OK);
	check_same(out.call_id, m->call_id);
	check_same(out.date, m->date);
	CHECK(out.expires == m->expires);
	if (strcmp(out.content_type, m->content_type) == 0 && out.raw.len > 0)
		CHECK(out.size == m->size && memcmp(out.body, m->body, m->size) == 0);
	else
		CHECK(strcmp(out.content_type, "text/plain;charset=UTF-8") == 0 && out.size > 0);
	check_notice(stanza);
	map_held_free(&out);
	stanza_unref(stanza);
	stanza_unref(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *line = text;
	const char *field[LINES];
	struct map_held m = { .call_id = "c@h", .cseq = 1, .expires = (int64_t)size % 5 - 1 };
	size_t used = 0;

	if (text[0] == '<') {
		read_damaged((const char *)data, size);
		free(text);
		return 0;
	}
	for (size_t i = 0; i < LINES; i++) {
		char *end = line + strcspn(line, "\n");

		field[i] = line[0] != '\n' && line[0] != '\0' ? line : NULL;
		line = *end == '\n' ? end + 1 : end;
		*end = '\0';
	}
	m.name = field[0];
	m.subject = field[1];
	m.language = field[2];
	m.date = field[3];
	m.content_type = field[4] != NULL ? field[4] : "text/plain";
	used = (size_t)(line - text);
	m.body = (const char *)data + (used < size ? used : size);
	m.size = used < size ? size - used : 0;
	keep(&m);
	free(text);
	return 0;
}
