/*
 * stanza_stored.c - a stanza that was kept as bytes: read again, and stamped with
 * how long it waited (XEP-0203).
 *
 * The bytes went through a stream before, but a file may be damaged: they are
 * parsed by the same front end, under limits of their own, and must be one
 * stanza and nothing else. Nothing is fatal.
 */
#include "bridge/xmpp/stanza.h"

#include <string.h>
#include <time.h>

#include "bridge/xmpp/xml.h"

struct reading {
	struct stanza *stanza;
	unsigned count;
	bool closed;
};

static void on_open(void *ctx, const struct xml_header *header)
{
	(void)ctx;
	(void)header;
}

static void on_element(void *ctx, const struct xml_element *element)
{
	struct reading *r = ctx;

	r->count++;
	if (r->stanza == NULL && stanza_from_element(element, &r->stanza) != OK)
		r->count++;
}

static void on_close(void *ctx)
{
	((struct reading *)ctx)->closed = true;
}

enum err stanza_parse(const char *bytes, size_t size, struct stanza **out)
{
	static const char head[] = "<stream:stream xmlns='" NS_SERVER "' xmlns:stream='" NS_STREAMS "'>",
			  tail[] = "</stream:stream>";
	static const struct xmlstream_ops ops = { on_open, on_element, on_close };
	const struct xmlstream_limits limits = { size + sizeof(head), 1000, 1000000, 1000 };
	struct reading r = { .stanza = NULL };
	struct xmlstream *x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &ops, &r);
	size_t used;
	bool ok = xmlstream_feed(x, head, sizeof(head) - 1, &used) == OK &&
		  xmlstream_feed(x, bytes, size, &used) == OK &&
		  xmlstream_feed(x, tail, sizeof(tail) - 1, &used) == OK;

	xmlstream_destroy(x);
	if (!ok || r.count != 1 || !r.closed || r.stanza == NULL) {
		stanza_unref(r.stanza);
		return ERR_SYNTAX;
	}
	*out = r.stanza;
	return OK;
}

/* Where the end tag of the stanza begins; size where there is none, as in an empty element. */
static size_t end_tag(const struct stanza *s)
{
	size_t at = s->size;

	while (at > 1 && !(s->bytes[at - 2] == '<' && s->bytes[at - 1] == '/'))
		at--;
	return at > 1 && s->bytes[s->size - 2] != '/' ? at - 2 : s->size;
}

struct stanza *stanza_delayed(const struct stanza *s, const char *from, int64_t since)
{
	const size_t at = end_tag(s);
	const time_t seconds = (time_t)since;
	char stamp[32];
	struct strbuf b = { .s = NULL };
	struct stanza *delayed = NULL;
	struct tm utc;

	if (at == s->size || gmtime_r(&seconds, &utc) == NULL)
		return NULL;
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
	strbuf_add(&b, s->bytes, at);
	strbuf_puts(&b, "<delay xmlns='urn:xmpp:delay'");
	xml_attr(&b, "from", from);
	xml_attr(&b, "stamp", stamp);
	strbuf_puts(&b, "/>");
	strbuf_add(&b, s->bytes + at, s->size - at);
	if (stanza_parse(b.s, b.len, &delayed) != OK)
		delayed = NULL;
	strbuf_free(&b);
	return delayed;
}
