/*
 * Bodies of SIP requests: whatever is taken for text is text that XML can
 * carry, becomes a stanza and comes back as itself, in proportion to its bytes;
 * a message that asks for a notification gets one that is read as such.
 *
 * The first byte chooses: even, the first line is the Content-Type of the rest;
 * odd, the lines are header fields with the first message of a session.
 */
#include "bridge/gateway/map_content.h"

#include <string.h>

#include "bridge/gateway/map.h"
#include "tests/fuzz/fuzz.h"

enum { VALUES_MAX = 4 };

static bool is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s == 0x7F)
			return false;
	return true;
}

static void check_stanza(const char *text)
{
	const struct map_message m = {
		.from = "a@b.test", .to = "c@d.test", .body = text, .body_size = strlen(text)
	};
	struct stanza_tree *tree;
	struct stanza *stanza;

	CHECK(map_message_to_stanza(&m, &stanza) == OK);
	CHECK(stanza_tree_build(stanza, &tree) == OK);
	CHECK(strcmp(stanza_tree_text(tree, "body", NULL), text) == 0);
	stanza_tree_free(tree);
	stanza_unref(stanza);
}

/* In an INVITE of ours, read by another one of us. */
static void check_first_message(const char *text)
{
	struct strbuf value = { .s = NULL };
	struct map_first_message m;
	struct map_content content;
	const char *values[1];

	CHECK(map_first_message_write(text, &value) == (strlen(text) <= MAP_FIRST_MESSAGE_MAX));
	if (value.len > 0) {
		values[0] = value.s;
		CHECK(map_first_message_read(values, 1, &m) == OK);
		CHECK(map_content_read(m.type, m.body, m.size, &content) == OK);
		/* Byte order marks, which HTML may have put there, are none of the text. */
		while (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
			text += 3;
		CHECK(content.kind == (text[0] != '\0' ? MAP_CONTENT_TEXT : MAP_CONTENT_EMPTY));
		CHECK(content.text == NULL || strcmp(content.text, text) == 0);
		map_content_free(&content);
		map_first_message_free(&m);
	}
	strbuf_free(&value);
}

static void check_cpim(const struct map_cpim *c)
{
	struct map_content answer;
	char *body;

	CHECK(c->wanted == 0 || c->message_id != NULL);
	CHECK(c->subject == NULL || utf8_is_xml(c->subject, strlen(c->subject)));
	CHECK(c->date_time == NULL || is_printable(c->date_time));
	if (c->message_id == NULL || c->from_uri == NULL || c->to_uri == NULL)
		return;
	CHECK(map_imdn_write(c, IMDN_DELIVERED, "id", &body) == OK);
	CHECK(map_content_read(MAP_IMDN_TYPE, body, strlen(body), &answer) == OK);
	CHECK(answer.kind == MAP_CONTENT_IMDN && answer.status == IMDN_DELIVERED);
	CHECK(strcmp(answer.message_id, c->message_id) == 0);
	CHECK(strcmp(answer.cpim->from_uri, c->to_uri) == 0 && strcmp(answer.cpim->to_uri, c->from_uri) == 0);
	map_content_free(&answer);
	free(body);
}

static void check_content(const char *type, const char *body, size_t size)
{
	struct map_content c;

	if (map_content_read(type, body, size, &c) != OK)
		return;
	CHECK((c.text != NULL) == (c.kind == MAP_CONTENT_TEXT));
	CHECK((c.message_id != NULL) == (c.kind == MAP_CONTENT_IMDN));
	if (c.text != NULL) {
		CHECK(c.text[0] != '\0' && strlen(c.text) <= 3 * size);
		CHECK(utf8_is_xml(c.text, strlen(c.text)));
		check_stanza(c.text);
		check_first_message(c.text);
	}
	if (c.kind == MAP_CONTENT_TYPING)
		CHECK(c.refresh > 0 && c.refresh <= MAP_REFRESH_MAX);
	if (c.cpim != NULL)
		check_cpim(c.cpim);
	map_content_free(&c);
}

static void check_values(char *text)
{
	const char *values[VALUES_MAX];
	struct map_first_message m;
	size_t count = 0;

	for (char *line = strtok(text, "\n"); line != NULL && count < VALUES_MAX; line = strtok(NULL, "\n"))
		values[count++] = line;
	if (map_first_message_read(values, count, &m) != OK)
		return;
	CHECK(m.body[m.size] == '\0');
	check_content(m.type, m.body, m.size);
	map_first_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *end, *body;

	if (size == 0)
		return 0;
	text = xstrndup((const char *)data + 1, size - 1);
	if (data[0] % 2 == 1) {
		check_values(text);
	} else if ((end = strchr(text, '\n')) != NULL) {
		size_t before = (size_t)(end + 1 - text) + 1;

		/* Of its own size, so that the sanitizer sees a read beyond. */
		*end = '\0';
		body = xmalloc(size - before + 1);
		memcpy(body, data + before, size - before);
		body = xrealloc(body, size > before ? size - before : 1);
		check_content(text, body, size - before);
		free(body);
	}
	free(text);
	return 0;
}
