/*
 * stanza_text.c - the texts of a stanza, without a tree: what tells a message that
 * is sent again from another one with the same id.
 *
 * The bytes are those of a stanza, so they are well-formed and hold no comments,
 * instructions or document types; of bytes that are not, it reads no further than
 * it understands. References stay as they are written: who sends a stanza again
 * writes it as before. Nothing is fatal.
 */
#include "bridge/xmpp/stanza.h"

#include <string.h>

struct scan {
	const char *at, *end;
	unsigned depth;
	bool in_body, in_delay; /* which child of the stanza this is */
	bool has_body;
	struct strbuf *out;
};

static void take_text(struct scan *s, const char *text, const char *end)
{
	if (s->depth < 2 || s->in_delay || text == end)
		return;
	strbuf_add(s->out, text, (size_t)(end - text));
	strbuf_putc(s->out, '<'); /* which no text has */
	s->has_body = s->has_body || s->in_body;
}

static bool starts(const char *at, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - at) >= n && memcmp(at, word, n) == 0;
}

/* A name is the whole word. */
static bool is_named(const char *tag, const char *end, const char *name)
{
	size_t n = strlen(name);

	return starts(tag, end, name) && tag + n < end && strchr(" \t\r\n/>", tag[n]) != NULL;
}

/* The '>' of the tag that begins at 'at'; NULL: there is none. Values, which may have one, are skipped. */
static const char *tag_end(const char *at, const char *end)
{
	for (; at < end && *at != '>'; at++) {
		if (*at != '"' && *at != '\'')
			continue;
		at = memchr(at + 1, *at, (size_t)(end - at - 1));
		if (at == NULL)
			return NULL;
	}
	return at < end ? at : NULL;
}

static void note_child(struct scan *s, const char *name, const char *end)
{
	static const char old[] = "jabber:x:delay";

	s->in_body = is_named(name, s->end, "body");
	s->in_delay = is_named(name, s->end, "delay") ||
		      (is_named(name, s->end, "x") &&
		       memmem(name, (size_t)(end - name), old, sizeof(old) - 1) != NULL);
}

/* at is a '<'. */
static bool take_tag(struct scan *s)
{
	const char *name = s->at + 1, *end = tag_end(name, s->end);
	bool closes = end != NULL && *name == '/', is_empty = end != NULL && end[-1] == '/';

	if (end == NULL || (closes && s->depth == 0))
		return false;
	if (!closes && s->depth == 1)
		note_child(s, name, end);
	if (closes)
		s->depth--;
	else if (!is_empty)
		s->depth++;
	s->at = end + 1;
	return true;
}

static bool take_cdata(struct scan *s)
{
	const char *text = s->at + strlen("<![CDATA["), *end;

	end = memmem(text, (size_t)(s->end - text), "]]>", 3);
	if (end == NULL)
		return false;
	take_text(s, text, end);
	s->at = end + 3;
	return true;
}

bool stanza_texts(const struct stanza *stanza, struct strbuf *out)
{
	struct scan s = { .at = stanza->bytes, .end = stanza->bytes + stanza->size, .out = out };
	const char *tag;

	while ((tag = memchr(s.at, '<', (size_t)(s.end - s.at))) != NULL) {
		take_text(&s, s.at, tag);
		s.at = tag;
		if (!(starts(tag, s.end, "<![CDATA[") ? take_cdata(&s) : take_tag(&s)))
			break;
	}
	return s.has_body;
}
