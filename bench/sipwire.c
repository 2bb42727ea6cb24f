/*
 * sipwire.c - see sipwire.h.
 *
 * Keeps nothing. What it cannot read it does not take, and its caller waits for
 * more: a peer that sends such things is a failed run.
 */
#include "bench/sipwire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum header { OTHER, VIA, FROM, TO, CALL_ID, CSEQ, CONTACT, LENGTH };

static bool is_name(struct slice name, const char *one)
{
	return name.n == strlen(one) && strncasecmp(name.s, one, name.n) == 0;
}

static enum header header_of(struct slice name)
{
	static const struct {
		const char *name, *compact;
		enum header header;
	} known[] = {
		{ "Via", "v", VIA },
		{ "From", "f", FROM },
		{ "To", "t", TO },
		{ "Call-ID", "i", CALL_ID },
		{ "CSeq", "CSeq", CSEQ },
		{ "Contact", "m", CONTACT },
		{ "Content-Length", "l", LENGTH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (is_name(name, known[i].name) || is_name(name, known[i].compact))
			return known[i].header;
	return OTHER;
}

static void take_line(struct sipwire *m, const char *line, const char *end)
{
	const char *colon = memchr(line, ':', (size_t)(end - line)), *value;
	struct slice name = { line, colon ? (size_t)(colon - line) : 0 };
	enum header header;

	while (name.n > 0 && line[name.n - 1] == ' ')
		name.n--;
	header = header_of(name);
	if (header == OTHER)
		return;
	for (value = colon + 1; value < end && *value == ' '; value++)
		;
	if ((header == VIA || header == FROM || header == CALL_ID || header == CSEQ) &&
	    m->copies < SIPWIRE_COPIES)
		m->copied[m->copies++] = (struct slice){ line, (size_t)(end - line) };
	if (header == TO)
		m->to = (struct slice){ value, (size_t)(end - value) };
	else if (header == CALL_ID)
		m->call_id = (struct slice){ value, (size_t)(end - value) };
	else if (header == CSEQ)
		m->cseq = (struct slice){ value, (size_t)(end - value) };
	else if (header == CONTACT)
		m->contact = (struct slice){ value, (size_t)(end - value) };
	else if (header == LENGTH)
		m->body.n = strtoul(value, NULL, 10);
}

bool sipwire_read(const char *data, size_t size, struct sipwire *out)
{
	const char *end = data + size, *line = data, *eol;
	struct sipwire m = { .copies = 0 };

	while (line < end && (*line == '\r' || *line == '\n'))
		line++;
	for (;; line = eol + 2) {
		eol = memchr(line, '\r', (size_t)(end - line));
		if (eol == NULL || eol + 1 >= end)
			return false;
		if (m.first.s == NULL)
			m.first = (struct slice){ line, (size_t)(eol - line) };
		else if (eol == line)
			break;
		else
			take_line(&m, line, eol);
	}
	m.body.s = eol + 2;
	m.size = (size_t)(m.body.s - data) + m.body.n;
	if (m.size > size)
		return false;
	*out = m;
	return true;
}

bool sipwire_is(const struct sipwire *m, const char *beginning)
{
	return m->first.n >= strlen(beginning) && memcmp(m->first.s, beginning, strlen(beginning)) == 0;
}

unsigned sipwire_status(const struct sipwire *m)
{
	return sipwire_is(m, "SIP/2.0 ") ? (unsigned)strtoul(m->first.s + 8, NULL, 10) : 0;
}

static void add(struct strbuf *out, struct slice slice)
{
	strbuf_add(out, slice.s, slice.n);
}

void sipwire_answer(struct strbuf *out, const struct sipwire *request, const char *status, const char *tag,
		    const char *rest)
{
	strbuf_puts(out, "SIP/2.0 ");
	strbuf_puts(out, status);
	for (size_t i = 0; i < request->copies; i++) {
		strbuf_add(out, "\r\n", 2);
		add(out, request->copied[i]);
	}
	strbuf_puts(out, "\r\nTo: ");
	add(out, request->to);
	if (memmem(request->to.s, request->to.n, "tag=", 4) == NULL) {
		strbuf_puts(out, ";tag=");
		strbuf_puts(out, tag);
	}
	strbuf_add(out, "\r\n", 2);
	strbuf_puts(out, rest);
}
