/*
 * xml.c - writing XML text into a buffer, safely.
 *
 * One escaping serves character data and attribute values in either quotes.
 * Besides the five characters of markup, tab, line feed and carriage return
 * become character references where a parser would otherwise change them (XML
 * 1.0 sections 2.11 and 3.3.3): a value that was read is written as the same
 * value. Nothing is checked here: the caller has proved that the text is UTF-8
 * of XML characters. Owns nothing; nothing is fatal.
 */
#include "bridge/xmpp/xml.h"

#include <string.h>

/* The replacement of a byte; NULL when it stands for itself. */
static const char *escape_of(char c, bool attribute)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	case '\r':
		return "&#13;";
	case '\n':
		return attribute ? "&#10;" : NULL;
	case '\t':
		return attribute ? "&#9;" : NULL;
	default:
		return NULL;
	}
}

static void add_escaped(struct strbuf *b, const char *text, size_t n, bool attribute)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++) {
		const char *escape = escape_of(text[i], attribute);

		if (escape == NULL)
			continue;
		strbuf_add(b, text + done, i - done);
		strbuf_puts(b, escape);
		done = i + 1;
	}
	strbuf_add(b, text + done, n - done);
}

void xml_text(struct strbuf *b, const char *text, size_t n)
{
	add_escaped(b, text, n, false);
}

void xml_attr(struct strbuf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	strbuf_putc(b, ' ');
	strbuf_puts(b, name);
	strbuf_puts(b, "='");
	add_escaped(b, value, strlen(value), true);
	strbuf_putc(b, '\'');
}
