/*
 * stanza_text.c - the texts of a stanza, and its children, without a tree: what
 * tells a message that is sent again from another one with the same id, and what a
 * message that passes says.
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

static inline bool starts(const char *at, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - at) >= n && at[0] == word[0] && memcmp(at, word, n) == 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What may stand behind the name of an element. */
static bool ends_name(char c)
{
	return c == '>' || c == '/' || is_space(c);
}

/* A name is the whole word. */
static inline bool is_named(const char *tag, const char *end, const char *name)
{
	size_t n = strlen(name);

	return starts(tag, end, name) && tag + n < end && ends_name(tag[n]);
}

/* The '>' of the tag that begins at 'at'; NULL: there is none. Values, which may have one, are skipped. */
static const char *tag_end(const char *at, const char *end)
{
	static const bool is_mark[256] = { ['>'] = true, ['"'] = true, ['\''] = true };

	for (; at < end; at++) {
		if (!is_mark[(unsigned char)*at])
			continue;
		if (*at == '>')
			return at;
		at = memchr(at + 1, *at, (size_t)(end - at - 1));
		if (at == NULL)
			break;
	}
	return NULL;
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

/* --- children --- */

struct stanza_walk stanza_walk_begin(const struct stanza *stanza)
{
	struct stanza_walk w = { .end = stanza->bytes + stanza->size };
	const char *tag = tag_end(stanza->bytes, w.end);

	w.at = tag != NULL && tag[-1] != '/' ? tag + 1 : w.end;
	return w;
}

static bool give_up(struct stanza_walk *w)
{
	w->is_complex = true;
	w->at = w->end;
	return false;
}

/* Between the last attribute and the '=': is this the name? */
static bool is_named_attribute(const char *at, const char *equals, const char *name)
{
	const size_t n = strlen(name);

	while (at < equals && is_space(*at))
		at++;
	while (equals > at && is_space(equals[-1]))
		equals--;
	return (size_t)(equals - at) == n && memcmp(at, name, n) == 0;
}

/* From behind the name to the end of the tag. False: a namespace that is written in an unusual way. */
static bool read_namespace(const char *at, const char *end, struct stanza_child *out)
{
	out->ns = NULL;
	out->ns_size = 0;
	while (at < end) {
		const char *value = memchr(at, '=', (size_t)(end - at)), *stop;
		bool is_ns;

		if (value == NULL)
			return true;
		is_ns = is_named_attribute(at, value, "xmlns");
		while (++value < end && *value != '"' && *value != '\'')
			continue;
		stop = value < end ? memchr(value + 1, *value, (size_t)(end - value - 1)) : NULL;
		if (stop == NULL)
			return false;
		if (is_ns) {
			out->ns = value + 1;
			out->ns_size = (size_t)(stop - value - 1);
			/* A quote ends it, or is as unusual as the others. */
			if (strcspn(out->ns, "&\t\r\n\"'") < out->ns_size)
				return false;
		}
		at = stop + 1;
	}
	return true;
}

/* at is behind the child's start tag; what follows its end tag, or NULL. */
static const char *skip_content(const char *at, const char *end, struct stanza_child *out)
{
	unsigned depth = 1;
	const char *text = at, *tag;

	while ((tag = memchr(at, '<', (size_t)(end - at))) != NULL) {
		const char *stop = starts(tag, end, "<!") ? NULL : tag_end(tag + 1, end);
		const bool closes = stop != NULL && tag[1] == '/';

		if (stop == NULL)
			return NULL;
		if (at == text && closes) {
			out->text = text;
			out->text_size = (size_t)(tag - text);
			out->is_literal = memchr(text, '&', out->text_size) == NULL &&
					  memchr(text, '\r', out->text_size) == NULL;
		}
		if (closes && --depth == 0)
			return stop + 1;
		if (!closes && stop[-1] != '/')
			depth++;
		at = stop + 1;
	}
	return NULL;
}

bool stanza_walk_next(struct stanza_walk *w, struct stanza_child *out)
{
	const char *tag = memchr(w->at, '<', (size_t)(w->end - w->at)), *stop;

	if (tag == NULL || starts(tag, w->end, "</"))
		return false;
	stop = starts(tag, w->end, "<!") ? NULL : tag_end(tag + 1, w->end);
	if (stop == NULL)
		return give_up(w);
	*out = (struct stanza_child){ .name = tag + 1 };
	while (!ends_name(out->name[out->name_size]) && out->name[out->name_size] != ':')
		out->name_size++;
	if (out->name[out->name_size] == ':' || !read_namespace(out->name + out->name_size, stop, out))
		return give_up(w);
	if (stop[-1] == '/') {
		out->text = "";
		out->is_literal = true;
		w->at = stop + 1;
		return true;
	}
	w->at = skip_content(stop + 1, w->end, out);
	return w->at != NULL || give_up(w);
}

static bool is_same(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(text, word, n) == 0;
}

bool stanza_child_is(const struct stanza_child *child, const char *name, const char *ns)
{
	return is_same(child->name, child->name_size, name) &&
	       (child->ns != NULL ? is_same(child->ns, child->ns_size, ns) : strcmp(ns, NS_SERVER) == 0);
}
