/*
 * Escaping, both ways: a text of XML characters that is written into a stanza
 * and read by the stream parser is the same text; any other text is refused by
 * the parser too, so utf8_is_xml() and the parser agree on what XML is.
 */
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"
#include "bridge/xmpp/xml.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static const char head[] =
	"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";

struct expected {
	const char *text;
	unsigned seen;
};

static void on_open(void *ctx, const struct xml_header *header)
{
	(void)ctx;
	(void)header;
}

static void check_stanza(const struct expected *e, const struct xml_element *element)
{
	struct stanza *s = NULL;
	struct stanza_tree *t = NULL;

	CHECK(strcmp(element->from, e->text) == 0 && strcmp(element->to, e->text) == 0);
	CHECK(strcmp(element->id, e->text) == 0 && strcmp(element->type, e->text) == 0);
	CHECK(strcmp(element->lang, e->text) == 0);
	CHECK(stanza_from_element(element, &s) == OK);
	CHECK(stanza_tree_build(s, &t) == OK);
	CHECK(strcmp(stanza_tree_text(t, "body", NULL), e->text) == 0);
	stanza_tree_free(t);
	stanza_unref(s);
}

static void on_element(void *ctx, const struct xml_element *element)
{
	struct expected *e = ctx;

	check_stanza(e, element);
	e->seen++;
}

static void on_close(void *ctx)
{
	(void)ctx;
	abort();
}

/* How many stanzas the parser found. */
static unsigned parse(const struct stanza *s, const char *text, enum err *result)
{
	static const struct xmlstream_limits limits = { SIZE_MAX / 2, 10, 10, 10 };
	static const struct xmlstream_ops ops = { on_open, on_element, on_close };
	struct expected expected = { .text = text };
	struct xmlstream *x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &ops, &expected);
	size_t used;

	CHECK(xmlstream_feed(x, head, sizeof(head) - 1, &used) == OK);
	*result = xmlstream_feed(x, s->bytes, s->size, &used);
	xmlstream_destroy(x);
	return expected.seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	bool is_xml = utf8_is_xml(text, strlen(text));
	struct strbuf body = { 0 };
	struct stanza *s;
	enum err e;
	unsigned seen;

	strbuf_puts(&body, "<body>");
	xml_text(&body, text, strlen(text));
	strbuf_puts(&body, "</body>");
	s = stanza_make(STANZA_MESSAGE, text, text, text, text, text, &body);
	seen = parse(s, text, &e);
	CHECK(seen == (is_xml ? 1 : 0));
	CHECK((e == OK) == is_xml);
	stanza_unref(s);
	strbuf_free(&body);
	free(text);
	return 0;
}
