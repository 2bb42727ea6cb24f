/*
 * The stream parser: a table of inputs with the events and the condition that
 * must come of them, each input fed whole, cut in two at every byte, and byte
 * by byte. What leaves is compared with what went in, by a parser of its own.
 */
#include "bridge/xmpp/xmlstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/xml_canon.h"

#define HEAD_OPEN                                                                                            \
	"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "              \
	"xmlns:db='jabber:server:dialback'"
#define HEAD      "<?xml version='1.0'?>" HEAD_OPEN " to='b.test' from='a.test' id='1' version='1.0'>"
#define HEAD_LANG HEAD_OPEN " xml:lang='en'>"
#define OPEN      "open from=a.test to=b.test id=1 version=1.0 db\n"
#define OPEN_LANG "open lang=en db\n"

static const struct xmlstream_limits limits = {
	.stanza_bytes = 10000,
	.depth = 10,
	.elements = 50,
	.attributes = 20,
};

/* What the callbacks saw, as text. */
struct seen {
	struct xmlstream *x;
	struct strbuf log;
	unsigned stop_after; /* events; 0: never */
	unsigned events;
	unsigned elements;
	char **canon; /* of the input; NULL: do not compare */
	size_t canon_count;
};

static void count_event(struct seen *seen)
{
	seen->events++;
	if (seen->events == seen->stop_after)
		xmlstream_stop(seen->x);
	else if (seen->stop_after != 0 && seen->events > seen->stop_after)
		strbuf_puts(&seen->log, "(after stop)");
}

static void log_value_of(struct strbuf *log, const char *name, const char *value)
{
	if (value != NULL)
		strbuf_printf(log, " %s=%s", name, value);
}

static void on_open(void *ctx, const struct xml_header *h)
{
	struct seen *seen = ctx;

	strbuf_puts(&seen->log, "open");
	log_value_of(&seen->log, "from", h->from);
	log_value_of(&seen->log, "to", h->to);
	log_value_of(&seen->log, "id", h->id);
	log_value_of(&seen->log, "version", h->version);
	log_value_of(&seen->log, "lang", h->lang);
	strbuf_puts(&seen->log, h->has_dialback ? " db\n" : "\n");
	count_event(seen);
}

static void compare_canon(struct seen *seen, const struct xml_element *e)
{
	char *copy = xmalloc(e->size), *alone;

	/* Exactly the bytes that it says, no more. */
	memcpy(copy, e->bytes, e->size);
	alone = xml_canon_alone(copy, e->size);
	if (alone == NULL)
		fail_msg("not one element: %.*s", (int)e->size, copy);
	assert_true(seen->elements < seen->canon_count);
	assert_string_equal(alone, seen->canon[seen->elements]);
	free(alone);
	free(copy);
}

static void on_element(void *ctx, const struct xml_element *e)
{
	struct seen *seen = ctx;

	strbuf_printf(&seen->log, "{%s}%s", e->ns, e->name);
	log_value_of(&seen->log, "from", e->from);
	log_value_of(&seen->log, "to", e->to);
	log_value_of(&seen->log, "id", e->id);
	log_value_of(&seen->log, "type", e->type);
	log_value_of(&seen->log, "lang", e->lang);
	if (e->text != NULL && e->text[0] != '\0')
		strbuf_printf(&seen->log, " \"%s\"", e->text);
	for (size_t i = 0; i < e->child_count; i++)
		strbuf_printf(&seen->log, " [%u {%s}%s \"%s\"]", e->children[i].depth, e->children[i].ns,
			      e->children[i].name, e->children[i].text);
	strbuf_puts(&seen->log, "\n ");
	strbuf_add(&seen->log, e->bytes, e->size);
	strbuf_putc(&seen->log, '\n');
	if (seen->canon != NULL)
		compare_canon(seen, e);
	seen->elements++;
	count_event(seen);
}

static void on_close(void *ctx)
{
	struct seen *seen = ctx;

	strbuf_puts(&seen->log, "close\n");
	count_event(seen);
}

static const struct xmlstream_ops ops = { on_open, on_element, on_close };

/* Feed a copy of exactly these bytes; false when the stream failed. Adds to *used. */
static bool feed(struct xmlstream *x, const char *bytes, size_t n, size_t *used)
{
	char *copy = xmalloc(n);
	size_t taken = 0;
	enum err e;

	memcpy(copy, bytes, n);
	e = xmlstream_feed(x, copy, n, &taken);
	free(copy);
	if (e != OK) {
		assert_non_null(xmlstream_condition(x));
		assert_int_equal(e, strcmp(xmlstream_condition(x), "policy-violation") == 0 ? ERR_LIMIT
											    : ERR_SYNTAX);
		assert_int_equal(taken, 0);
		return false;
	}
	assert_null(xmlstream_condition(x));
	assert_true(taken <= n);
	*used += taken;
	return true;
}

/* As many '>' as an element may have bytes. */
static bool feed_filler(struct xmlstream *x)
{
	char *filler = xmalloc(limits.stanza_bytes);
	size_t used = 0;
	bool ok;

	memset(filler, '>', limits.stanza_bytes);
	ok = feed(x, filler, limits.stanza_bytes, &used);
	free(filler);
	return ok;
}

struct row {
	const char *what, *input;
	const char *events;
	const char *condition; /* NULL: none */
	size_t size;           /* 0: strlen(input) */
	unsigned stop_after;
	const char *rest;           /* with stop_after: the bytes not used */
	const char *content, *form; /* NULL: jabber:server */
};

/* Feed the row's input in pieces: the first of n bytes, then all of them of 'each' bytes. */
static void run_row(const struct row *row, size_t first, size_t each, char **canon, size_t canon_count)
{
	size_t size = row->size != 0 ? row->size : strlen(row->input), used = 0, n = first;
	const char *content = row->content != NULL ? row->content : NS_SERVER;
	const char *form = row->form != NULL ? row->form : NS_SERVER;
	/* In another form, it says something else. */
	struct seen seen = { .stop_after = row->stop_after,
			     .canon = content == form ? canon : NULL,
			     .canon_count = canon_count };
	bool ok = true;

	seen.x = xmlstream_create(content, form, &limits, &ops, &seen);
	strbuf_puts(&seen.log, "");
	for (size_t at = 0; at < size && ok; at += n, n = each) {
		if (n > size - at)
			n = size - at;
		ok = feed(seen.x, row->input + at, n, &used);
	}
	/* Cut, the verdict may wait for '>' or the size limit. Nothing else comes before it. */
	if (row->condition != NULL && ok && first < size)
		ok = feed_filler(seen.x);
	if (strcmp(seen.log.s, row->events) != 0)
		fail_msg("%s, cut at %zu and every %zu:\n%s--- expected:\n%s", row->what, first, each,
			 seen.log.s, row->events);
	if (ok != (row->condition == NULL))
		fail_msg("%s, cut at %zu and every %zu: %s", row->what, first, each,
			 ok ? "no failure" : xmlstream_condition(seen.x));
	if (!ok) {
		if (strcmp(xmlstream_condition(seen.x), row->condition) != 0)
			fail_msg("%s, cut at %zu and every %zu: %s instead of %s", row->what, first, each,
				 xmlstream_condition(seen.x), row->condition);
		assert_false(feed(seen.x, " ", 1, &used)); /* it stays so */
	} else {
		assert_int_equal(used, size - (row->rest != NULL ? strlen(row->rest) : 0));
		if (row->rest != NULL)
			assert_memory_equal(row->input + used, row->rest, strlen(row->rest));
	}
	strbuf_free(&seen.log);
	xmlstream_destroy(seen.x);
}

static void run_cut(const struct row *row)
{
	size_t size = row->size != 0 ? row->size : strlen(row->input);
	char *canon[CANON_MAX];
	size_t canon_count = xml_canon(row->input, size, canon);

	run_row(row, size, size, canon, canon_count);
	run_row(row, 1, 1, canon, canon_count);
	run_row(row, 3, 7, canon, canon_count);
	if (size <= 3000)
		for (size_t first = 1; first < size; first++)
			run_row(row, first, size, canon, canon_count);
	else
		for (size_t each = 16; each < size; each *= 3)
			run_row(row, each - 1, each, canon, canon_count);
	for (size_t i = 0; i < canon_count; i++)
		free(canon[i]);
}

static void run_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		run_cut(&rows[i]);
}

static const struct row headers[] = {
	{ .what = "nothing", .input = " ", .events = "" },
	{ .what = "usual", .input = HEAD, .events = OPEN },
	{ .what = "white space before", .input = " \n\t" HEAD_OPEN ">", .events = "open db\n" },
	{ .what = "double quotes, references in values, white space",
	  .input = "<stream:stream\n xmlns=\"jabber:server\"\t"
		   "xmlns:stream=\"http://etherx.jabber.org/streams\" to=\"&#98;.test\" from='&apos;' >",
	  .events = "open from=' to=b.test\n" },
	{ .what = "another prefix",
	  .input = "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' id=''>",
	  .events = "open id=\n" },
	{ .what = "dialback under another prefix",
	  .input = "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' "
		   "xmlns:x='jabber:server:dialback'>",
	  .events = "open db\n" },
	{ .what = "attributes in a namespace are not the plain ones",
	  .input = HEAD_OPEN " db:from='x.test' db:to='x.test' db:id='x' db:version='1.0' db:lang='en'>",
	  .events = "open db\n" },
	{ .what = "language", .input = HEAD_LANG, .events = OPEN_LANG },
	{ .what = "UTF-8 declared, in any case",
	  .input = "<?xml version='1.0' encoding='utf-8' standalone='no'?>" HEAD_OPEN ">",
	  .events = "open db\n" },
	{ .what = "empty stream", .input = HEAD_OPEN "/>", .events = "open db\nclose\n" },
	{ .what = "closed at once", .input = HEAD "</stream:stream>", .events = OPEN "close\n" },
	{ .what = "what follows the end is dropped",
	  .input = HEAD "</stream:stream>\n<x/>&\xFF",
	  .events = OPEN "close\n" },

	{ .what = "no namespace", .input = "<stream>", .events = "", .condition = "invalid-namespace" },
	{ .what = "HTTP", .input = "GET / HTTP/1.1\r\n", .events = "", .condition = "not-well-formed" },
	{ .what = "TLS", .input = "\x16\x03\x01\x02", .events = "", .condition = "not-well-formed" },
	{ .what = "wrong stream namespace",
	  .input = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/stream'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "namespace that only begins so",
	  .input = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streamss'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "wrong content namespace",
	  .input = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "no content namespace",
	  .input = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "stream namespace as the default",
	  .input = "<stream xmlns='http://etherx.jabber.org/streams'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "content namespace with a prefix only",
	  .input = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='jabber:server'>",
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "another element",
	  .input = "<stream:features xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>",
	  .events = "",
	  .condition = "invalid-xml" },
	{ .what = "prefix not declared",
	  .input = "<stream:stream xmlns='jabber:server'>",
	  .events = "",
	  .condition = "not-well-formed" },
	{ .what = "attribute twice",
	  .input = HEAD_OPEN " id='1' id='2'>",
	  .events = "",
	  .condition = "not-well-formed" },
	{ .what = "text before", .input = "x" HEAD, .events = "", .condition = "not-well-formed" },
};

/* RFC 6120 sections 11.1 and 11.6. */
static const struct row restrictions[] = {
	{ .what = "ISO-8859-1",
	  .input = "<?xml version='1.0' encoding='ISO-8859-1'?>" HEAD_OPEN ">",
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-16 declared",
	  .input = "<?xml version='1.0' encoding='UTF-16'?>" HEAD_OPEN ">",
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-16 BOM, big end first",
	  .input = "\xFE\xFF\0<\0s",
	  .size = 6,
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-16 BOM, little end first",
	  .input = "\xFF\xFE<\0s\0",
	  .size = 6,
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-16 without BOM, big end first",
	  .input = "\0<\0s\0t",
	  .size = 6,
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-16 without BOM, little end first",
	  .input = "<\0s\0t\0",
	  .size = 6,
	  .events = "",
	  .condition = "unsupported-encoding" },
	{ .what = "UTF-8 BOM",
	  .input = "\xEF\xBB\xBF" HEAD_OPEN ">",
	  .events = "",
	  .condition = "not-well-formed" },
	{ .what = "comment before", .input = "<!-- x -->" HEAD, .events = "", .condition = "restricted-xml" },
	{ .what = "comment between", .input = HEAD "<!---->", .events = OPEN, .condition = "restricted-xml" },
	{ .what = "comment inside",
	  .input = HEAD "<message><body>a<!-- </body> -->b</body></message>",
	  .events = OPEN,
	  .condition = "restricted-xml" },
	{ .what = "instruction before",
	  .input = "<?xml-stylesheet href='x'?>" HEAD_OPEN ">",
	  .events = "",
	  .condition = "restricted-xml" },
	{ .what = "instruction between",
	  .input = HEAD "<?x?>",
	  .events = OPEN,
	  .condition = "restricted-xml" },
	{ .what = "instruction inside",
	  .input = HEAD "<message><body><?php x ?></body></message>",
	  .events = OPEN,
	  .condition = "restricted-xml" },
	{ .what = "second declaration",
	  .input = HEAD "<?xml version='1.0'?>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "DTD",
	  .input = "<!DOCTYPE stream>" HEAD_OPEN ">",
	  .events = "",
	  .condition = "restricted-xml" },
	{ .what = "DTD from outside",
	  .input = "<!DOCTYPE stream SYSTEM 'file:///etc/passwd'>" HEAD_OPEN ">",
	  .events = "",
	  .condition = "restricted-xml" },
	{ .what = "DTD with an attribute default",
	  .input = "<!DOCTYPE s [<!ATTLIST message from CDATA 'evil.test'>]>" HEAD_OPEN "><message/>",
	  .events = "",
	  .condition = "restricted-xml" },
	{ .what = "billion laughs",
	  .input = "<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;'>"
		   "<!ENTITY c '&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;'>]>" HEAD_OPEN
		   "><message><body>&d;</body></message>",
	  .events = "",
	  .condition = "restricted-xml" },
	{ .what = "DTD inside",
	  .input = HEAD "<!DOCTYPE x>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "entity in text",
	  .input = HEAD "<message><body>&nbsp;</body></message>",
	  .events = OPEN,
	  .condition = "restricted-xml" },
	{ .what = "entity in a value",
	  .input = HEAD "<message from='&x;'/>",
	  .events = OPEN,
	  .condition = "restricted-xml" },
	{ .what = "entity between", .input = HEAD "&x;", .events = OPEN, .condition = "restricted-xml" },
	{ .what = "the five, and references to characters",
	  .input = HEAD
	  "<message id='&lt;&gt;&amp;&quot;&apos;&#9;&#x1F600;'><body>&lt;&#0060;</body></message>",
	  .events = OPEN
	  "{jabber:server}message id=<>&\"'\t\U0001F600\n "
	  "<message id='&lt;&gt;&amp;&quot;&apos;&#9;&#x1F600;'><body>&lt;&#0060;</body></message>\n" },
	{ .what = "CDATA",
	  .input = HEAD "<message><body><![CDATA[<!-- & </body> ]]]]><![CDATA[>]]></body></message>",
	  .events = OPEN "{jabber:server}message\n "
			 "<message><body><![CDATA[<!-- & </body> ]]]]><![CDATA[>]]></body></message>\n" },
};

static const struct row ill_formed[] = {
	{ .what = "NUL",
	  .input = HEAD "<message>\0</message>",
	  .size = sizeof(HEAD "<message>\0</message>") - 1,
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "NUL between",
	  .input = HEAD "\0",
	  .size = sizeof(HEAD "\0") - 1,
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "NUL by reference",
	  .input = HEAD "<message>&#0;</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "control",
	  .input = HEAD "<message>\x01</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "control in a value",
	  .input = HEAD "<message id='\x1B'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "control by reference",
	  .input = HEAD "<message>&#8;</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "U+FFFE",
	  .input = HEAD "<message>\xEF\xBF\xBE</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "U+FFFF by reference",
	  .input = HEAD "<message>&#xFFFF;</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "lone surrogate",
	  .input = HEAD "<message>\xED\xA0\x80</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "surrogate by reference",
	  .input = HEAD "<message>&#xD800;</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "overlong",
	  .input = HEAD "<message>\xC0\xBC</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "beyond Unicode",
	  .input = HEAD "<message>\xF4\x90\x80\x80</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "cut sequence in a name (CVE-2022-25235)",
	  .input = HEAD "<\xE2message/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "cut sequence in a namespace (CVE-2022-25235)",
	  .input = HEAD "<a xmlns='\xE2'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "the separator in a namespace (CVE-2022-25236)",
	  .input = HEAD "<a xmlns='jabber:server\xFFmessage'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "Latin-1", .input = HEAD "<a>\xE9</a>", .events = OPEN, .condition = "not-well-formed" },
	{ .what = "crossed tags",
	  .input = HEAD "<message><a></message></a>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "end without begin",
	  .input = HEAD "</message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "one of two elements is bad",
	  .input = HEAD "<message id='1'/><message id=1/>",
	  .events = OPEN "{jabber:server}message id=1\n <message id='1'/>\n",
	  .condition = "not-well-formed" },
	{ .what = "end of CDATA in text",
	  .input = HEAD "<message>]]></message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "prefix that nobody declared",
	  .input = HEAD "<message><x:y/></message>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "prefix of a value that nobody declared",
	  .input = HEAD "<message x:y='1'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "prefix taken away",
	  .input = HEAD "<message xmlns:db=''/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "two colons", .input = HEAD "<db:a:b/>", .events = OPEN, .condition = "not-well-formed" },
	{ .what = "the prefix xml bound anew",
	  .input = HEAD "<message xmlns:xml='urn:x'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "one attribute under two prefixes",
	  .input = HEAD "<message xmlns:a='urn:x' xmlns:b='urn:x' a:n='1' b:n='2'/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "text between", .input = HEAD " \nx", .events = OPEN, .condition = "not-well-formed" },
	{ .what = "text between that is ill-formed besides",
	  .input = HEAD "x]]>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "text between, as CDATA",
	  .input = HEAD "<![CDATA[x]]>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "text between, by reference",
	  .input = HEAD "&#120;",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "zero width space between",
	  .input = HEAD "\u200B",
	  .events = OPEN,
	  .condition = "not-well-formed" },
	{ .what = "byte order mark between",
	  .input = HEAD "\uFEFF<message/>",
	  .events = OPEN,
	  .condition = "not-well-formed" },
};

static const struct row namespaces[] = {
	{ .what = "prefix for the content namespace",
	  .input = HEAD "<x:message xmlns:x='jabber:server'/>",
	  .events = OPEN,
	  .condition = "bad-namespace-prefix" },
	{ .what = "the same inside",
	  .input = HEAD "<message xmlns:x='jabber:server'><x:body>b</x:body></message>",
	  .events = OPEN,
	  .condition = "bad-namespace-prefix" },
	{ .what = "the same, declared on the header",
	  .input = HEAD_OPEN " xmlns:x='jabber:server'><message><x:body>b</x:body></message>",
	  .events = "open db\n",
	  .condition = "bad-namespace-prefix" },
	{ .what = "jabber:client",
	  .input = HEAD "<message xmlns='jabber:client'/>",
	  .events = OPEN,
	  .condition = "invalid-namespace" },
	{ .what = "content namespace repeated",
	  .input = HEAD "<message xmlns='jabber:server'/>",
	  .events = OPEN "{jabber:server}message\n <message xmlns='jabber:server'/>\n" },
	{ .what = "looks like a stanza (RFC 6120 section 4.8.4)",
	  .input = HEAD
	  "<ns2:message xmlns:ns2='http://example.org/ns2' from='a'><body>hi</body></ns2:message>",
	  .events = OPEN
	  "{http://example.org/ns2}message from=a [1 {jabber:server}body \"hi\"]\n "
	  "<ns2:message xmlns:ns2='http://example.org/ns2' from='a'><body>hi</body></ns2:message>\n" },
	{ .what = "no namespace",
	  .input = HEAD "<message xmlns='' id='1'/>",
	  .events = OPEN "{}message id=1\n <message xmlns='' id='1'/>\n" },
	{ .what = "header's prefix inside a stanza",
	  .input = HEAD "<message id='1'><db:x/><stream:y a='1'/></message>",
	  .events = OPEN "{jabber:server}message id=1\n "
			 "<message xmlns:stream='http://etherx.jabber.org/streams' "
			 "xmlns:db='jabber:server:dialback' id='1'><db:x/><stream:y a='1'/></message>\n" },
	{ .what = "header's prefix on an attribute",
	  .input = HEAD "<message><x xmlns='urn:x' db:a='1'/></message><iq/>",
	  .events = OPEN "{jabber:server}message\n <message xmlns:db='jabber:server:dialback'>"
			 "<x xmlns='urn:x' db:a='1'/></message>\n{jabber:server}iq\n <iq/>\n" },
	{ .what = "one prefix in one stanza, another in the next",
	  .input = HEAD "<message><db:x/></message><message><stream:x/></message>",
	  .events = OPEN "{jabber:server}message\n "
			 "<message xmlns:db='jabber:server:dialback'><db:x/></message>\n"
			 "{jabber:server}message\n "
			 "<message xmlns:stream='http://etherx.jabber.org/streams'><stream:x/></message>\n" },
	{ .what = "header's prefix hidden by the element",
	  .input = HEAD "<message xmlns:db='urn:x'><db:x/></message>",
	  .events = OPEN "{jabber:server}message\n <message xmlns:db='urn:x'><db:x/></message>\n" },
	{ .what = "header's prefix hidden in one child, used in the next",
	  .input = HEAD "<message><db:x xmlns:db='urn:x'><db:y/></db:x><db:z/></message>",
	  .events = OPEN "{jabber:server}message\n <message xmlns:db='jabber:server:dialback'>"
			 "<db:x xmlns:db='urn:x'><db:y/></db:x><db:z/></message>\n" },
	{ .what = "header's prefix on the element itself",
	  .input = HEAD "<db:result from='a.test' to='b.test'>key</db:result>",
	  .events = OPEN
	  "{jabber:server:dialback}result from=a.test to=b.test \"key\"\n "
	  "<db:result xmlns:db='jabber:server:dialback' from='a.test' to='b.test'>key</db:result>\n" },
	{ .what = "empty element, nothing behind the name",
	  .input = HEAD "<db:x/>",
	  .events = OPEN "{jabber:server:dialback}x\n <db:x xmlns:db='jabber:server:dialback'/>\n" },
	{ .what = "a namespace that must be escaped",
	  .input = HEAD_OPEN " xmlns:e=\"a'&lt;&#10;>&amp;\"><message><e:x/></message>",
	  .events = "open db\n{jabber:server}message\n "
		    "<message xmlns:e='a&apos;&lt;&#10;&gt;&amp;'><e:x/></message>\n" },
	{ .what = "header's language",
	  .input = HEAD_LANG "<message><body>b</body></message><presence/>",
	  .events = OPEN_LANG
	  "{jabber:server}message lang=en\n <message xml:lang='en'><body>b</body></message>\n"
	  "{jabber:server}presence lang=en\n <presence xml:lang='en'/>\n" },
	{ .what = "own language",
	  .input = HEAD_LANG "<message xml:lang='de'/><message xml:lang=''/>",
	  .events = OPEN_LANG "{jabber:server}message lang=de\n <message xml:lang='de'/>\n"
			      "{jabber:server}message lang=\n <message xml:lang=''/>\n" },
	{ .what = "language of a child is not the element's",
	  .input = HEAD_LANG "<message><body xml:lang='de'/></message>",
	  .events = OPEN_LANG
	  "{jabber:server}message lang=en\n <message xml:lang='en'><body xml:lang='de'/></message>\n" },
	{ .what = "header's language is empty",
	  .input = HEAD_OPEN " xml:lang=''><message/>",
	  .events = "open lang= db\n{jabber:server}message\n <message/>\n" },
	{ .what = "language and prefix",
	  .input = HEAD_LANG "<message\n><db:x/></message>",
	  .events = OPEN_LANG
	  "{jabber:server}message lang=en\n "
	  "<message xml:lang='en' xmlns:db='jabber:server:dialback'\n><db:x/></message>\n" },
	{ .what = "the prefix xml declared on the header",
	  .input = HEAD_OPEN " xmlns:xml='http://www.w3.org/XML/1998/namespace'><message xml:lang='de'/>",
	  .events = "open db\n{jabber:server}message lang=de\n <message xml:lang='de'/>\n" },
	{ .what = "attributes in a namespace are not the plain ones",
	  .input = HEAD "<message xmlns:x='urn:x' x:from='f' x:to='t' x:id='i' x:type='y' lang='l'/>",
	  .events = OPEN "{jabber:server}message\n "
			 "<message xmlns:x='urn:x' x:from='f' x:to='t' x:id='i' x:type='y' lang='l'/>\n" },
};

static const struct row contents[] = {
	{ .what = "bytes as they came",
	  .input = HEAD "<message  to=\"b@b.test\"\n\tfrom = 'a@a.test/r' type='chat'id='&#x31;' ><body  >"
			"\r\n<b a='&quot;'></b\t><c/ ></body></message >"
			"<message  to=\"b@b.test\"\n\tfrom = 'a@a.test/r' type='chat'></message>",
	  .events = OPEN,
	  .condition = "not-well-formed" }, /* no white space between two attributes */
	{ .what = "bytes as they came, well-formed",
	  .input = HEAD "<message  to=\"b@b.test\"\n\tfrom = 'a@a.test/r' type='chat' id='&#x31;' ><body  >"
			"\r\n<b a='&quot;'></b\t><c /></body></message >\r\n"
			"<iq\n/>",
	  .events = OPEN "{jabber:server}message from=a@a.test/r to=b@b.test id=1 type=chat\n "
			 "<message  to=\"b@b.test\"\n\tfrom = 'a@a.test/r' type='chat' id='&#x31;' ><body  >"
			 "\r\n<b a='&quot;'></b\t><c /></body></message >\n"
			 "{jabber:server}iq\n <iq\n/>\n" },
	{ .what = "several stanzas and keep-alives",
	  .input = HEAD
	  " \n<message id='1'/>\r\r\n \t<presence id='2'></presence><iq id='3'/>\n\n</stream:stream>",
	  .events = OPEN "{jabber:server}message id=1\n <message id='1'/>\n"
			 "{jabber:server}presence id=2\n <presence id='2'></presence>\n"
			 "{jabber:server}iq id=3\n <iq id='3'/>\nclose\n" },
	{ .what = "attributes in any order, last first",
	  .input = HEAD "<iq xml:lang='x' type='get' id='i' to='t' from='f'/>",
	  .events = OPEN "{jabber:server}iq from=f to=t id=i type=get lang=x\n "
			 "<iq xml:lang='x' type='get' id='i' to='t' from='f'/>\n" },
	{ .what = "names that only begin so",
	  .input = HEAD "<messages fromm='1' too='1' idd='1' types='1'/>",
	  .events = OPEN "{jabber:server}messages\n <messages fromm='1' too='1' idd='1' types='1'/>\n" },
	{ .what = "features",
	  .input = HEAD
	  "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
	  "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
	  "<mechanism>X&amp;<![CDATA[<Y]]></mechanism></mechanisms></stream:features>",
	  .events =
		  OPEN "{http://etherx.jabber.org/streams}features"
		       " [1 {urn:ietf:params:xml:ns:xmpp-tls}starttls \"\"]"
		       " [2 {urn:ietf:params:xml:ns:xmpp-tls}required \"\"]"
		       " [1 {urn:ietf:params:xml:ns:xmpp-sasl}mechanisms \"\"]"
		       " [2 {urn:ietf:params:xml:ns:xmpp-sasl}mechanism \"EXTERNAL\"]"
		       " [2 {urn:ietf:params:xml:ns:xmpp-sasl}mechanism \"X&<Y\"]\n "
		       "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
		       "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
		       "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
		       "<mechanism>X&amp;<![CDATA[<Y]]></mechanism></mechanisms></stream:features>\n" },
	{ .what = "text on both sides of a child",
	  .input = HEAD "<x xmlns='urn:x'>a<y>b<z>c</z>d</y>e</x><x xmlns='urn:x'/>",
	  .events = OPEN "{urn:x}x \"ae\" [1 {urn:x}y \"bd\"] [2 {urn:x}z \"c\"]\n <x "
			 "xmlns='urn:x'>a<y>b<z>c</z>d</y>e</x>\n"
			 "{urn:x}x\n <x xmlns='urn:x'/>\n" },
	{ .what = "a stanza lists nothing",
	  .input = HEAD "<message>a<body>b</body></message><a>t</a><message>u</message>",
	  .events = OPEN "{jabber:server}message\n <message>a<body>b</body></message>\n"
			 "{jabber:server}a \"t\"\n <a>t</a>\n"
			 "{jabber:server}message\n <message>u</message>\n" },
	{ .what = "stop at a stanza",
	  .input = HEAD "<message id='1'/><message id='2'/>\n<message id='3'/>",
	  .events = OPEN "{jabber:server}message id=1\n <message id='1'/>\n",
	  .stop_after = 2,
	  .rest = "<message id='2'/>\n<message id='3'/>" },
	{ .what = "stop at starttls, with bytes that are no XML behind it",
	  .input = HEAD "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>\x16\x03\x01&<",
	  .events = OPEN "{urn:ietf:params:xml:ns:xmpp-tls}starttls\n "
			 "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>\n",
	  .stop_after = 2,
	  .rest = "\x16\x03\x01&<" },
	{ .what = "stop at the header",
	  .input = HEAD "<message/>",
	  .events = OPEN,
	  .stop_after = 1,
	  .rest = "<message/>" },
	{ .what = "stop at an empty stream's header",
	  .input = HEAD_OPEN "/>x",
	  .events = "open db\n",
	  .stop_after = 1,
	  .rest = "x" },
	{ .what = "stop at the end",
	  .input = HEAD "</stream:stream>  ",
	  .events = OPEN "close\n",
	  .stop_after = 2,
	  .rest = "  " },
	{ .what = "stop at the last byte",
	  .input = HEAD "<message/>",
	  .events = OPEN "{jabber:server}message\n <message/>\n",
	  .stop_after = 2,
	  .rest = "" },
};

static void test_headers(void **state)
{
	(void)state;
	run_rows(headers, ARRAY_SIZE(headers));
}

static void test_restrictions(void **state)
{
	(void)state;
	run_rows(restrictions, ARRAY_SIZE(restrictions));
}

static void test_ill_formed(void **state)
{
	(void)state;
	run_rows(ill_formed, ARRAY_SIZE(ill_formed));
}

static void test_namespaces(void **state)
{
	(void)state;
	run_rows(namespaces, ARRAY_SIZE(namespaces));
}

#define IN_HEAD  "<stream:stream xmlns='" NS_COMPONENT "' xmlns:stream='" NS_STREAMS "' id='1'>"
#define IN       .content = NS_COMPONENT, .form = NS_SERVER
#define OUT_HEAD "<stream:stream xmlns='" NS_SERVER "' xmlns:stream='" NS_STREAMS "' id='1'>"
#define OUT      .content = NS_SERVER, .form = NS_COMPONENT
#define BEGIN    "open id=1\n"

/* Between a component's stream and a server's. */
static const struct row forms[] = {
	{ IN, .what = "in: what inherits the namespace",
	  .input = IN_HEAD "<handshake/><message to='a'><body>x</body></message>",
	  .events = BEGIN "{jabber:server}handshake\n <handshake/>\n"
			  "{jabber:server}message to=a\n <message to='a'><body>x</body></message>\n" },
	{ IN, .what = "in: what names it, in whatever way",
	  .input = IN_HEAD "<message xmlns='jabber:component:accept' to='a'/>"
			   "<message to=\"x xmlns='y'\" xmlns = \"jabber&#58;component:accept\" id='2'>"
			   "<body xmlns='jabber:component:accept'/><a b='c'/></message>",
	  .events = BEGIN "{jabber:server}message to=a\n <message xmlns='jabber:server' to='a'/>\n"
			  "{jabber:server}message to=x xmlns='y' id=2\n "
			  "<message to=\"x xmlns='y'\" xmlns = \"jabber:server\" id='2'>"
			  "<body xmlns='jabber:server'/><a b='c'/></message>\n" },
	{ IN, .what = "in: within foreign elements, where jabber:server is free to stand",
	  .input = IN_HEAD "<iq><f xmlns='urn:f'><message xmlns='jabber:component:accept'/>"
			   "<message xmlns='jabber:server'/></f></iq>",
	  .events = BEGIN "{jabber:server}iq\n <iq><f xmlns='urn:f'><message xmlns='jabber:server'/>"
			  "<message xmlns='jabber:server'/></f></iq>\n" },
	{ IN, .what = "in: together with what the header declares",
	  .input =
		  "<stream:stream xmlns='" NS_COMPONENT "' xmlns:stream='" NS_STREAMS
		  "' xmlns:x='urn:x' xml:lang='en'><message xmlns='jabber:component:accept'><x:a/></message>",
	  .events = "open lang=en\n{jabber:server}message lang=en\n "
		    "<message xml:lang='en' xmlns:x='urn:x' xmlns='jabber:server'><x:a/></message>\n" },
	{ IN, .what = "in: a server's header", .input = HEAD, .events = "",
	  .condition = "invalid-namespace" },
	{ IN, .what = "in: a server's stanza", .input = IN_HEAD "<message xmlns='jabber:server'/>",
	  .events = BEGIN, .condition = "invalid-namespace" },
	{ IN, .what = "in: a client's stanza", .input = IN_HEAD "<message xmlns='jabber:client'/>",
	  .events = BEGIN, .condition = "invalid-namespace" },
	{ IN, .what = "in: a prefix for the namespace",
	  .input = IN_HEAD "<message><c:body xmlns:c='jabber:component:accept'/></message>", .events = BEGIN,
	  .condition = "bad-namespace-prefix" },
	{ IN, .what = "in: a prefix for what it will be",
	  .input = IN_HEAD "<message><c:body xmlns:c='jabber:server'/></message>", .events = BEGIN,
	  .condition = "bad-namespace-prefix" },
	{ IN, .what = "in: a comment", .input = IN_HEAD "<message><!-- --></message>", .events = BEGIN,
	  .condition = "restricted-xml" },

	{ OUT, .what = "out: what names it",
	  .input = OUT_HEAD "<message xmlns='jabber:server'><body xmlns=\"jabber:server\">x</body></message>",
	  .events = BEGIN "{jabber:component:accept}message\n <message xmlns='jabber:component:accept'>"
			  "<body xmlns=\"jabber:component:accept\">x</body></message>\n" },
	{ OUT, .what = "out: within foreign elements it stays, behind them it does not",
	  .input =
		  OUT_HEAD "<iq><f xmlns='urn:f'><message xmlns='jabber:server'><body xmlns='jabber:server'/>"
			   "</message></f><a xmlns='jabber:server'/></iq>",
	  .events = BEGIN
	  "{jabber:component:accept}iq\n <iq><f xmlns='urn:f'><message xmlns='jabber:server'>"
	  "<body xmlns='jabber:server'/></message></f><a xmlns='jabber:component:accept'/></iq>\n" },
	{ .what = "a component's header on a server's stream",
	  .input = IN_HEAD,
	  .events = "",
	  .condition = "invalid-namespace" },
	{ .what = "a component's stanza on a server's stream is no stanza",
	  .input = OUT_HEAD "<message xmlns='jabber:component:accept'/>",
	  .events = BEGIN "{jabber:component:accept}message\n <message xmlns='jabber:component:accept'/>\n" },
};

static void test_forms(void **state)
{
	(void)state;
	run_rows(forms, ARRAY_SIZE(forms));
}

static void test_contents(void **state)
{
	(void)state;
	run_rows(contents, ARRAY_SIZE(contents));
}

/* Input too long to write down: before, a unit many times, after. */
static const struct {
	const char *what, *before, *unit;
	size_t times;
	const char *after;
	bool ok; /* else policy-violation */
	const char *condition;
} generated[] = {
	{ "deep enough", HEAD "<message>", "<a>", 9, "", true, NULL },
	{ "one too deep", HEAD "<message>", "<a>", 10, "", false, NULL },
	{ "nested 300,000 deep", HEAD "<message>", "<a>", 300000, "", false, NULL },
	{ "many elements", HEAD "<message>", "<a/>", 49, "</message>", true, NULL },
	{ "one element too many", HEAD "<message>", "<a/>", 50, "</message>", false, NULL },
	{ "40,000 siblings", HEAD "<message>", "<a/>", 40000, "</message>", false, NULL },
	{ "the count begins anew", HEAD, "<message><a/><b/></message>", 300, "", true, NULL },
	{ "keep-alives", HEAD, " ", 200000, "<message/>", true, NULL },
	{ "keep-alives, other white space", HEAD, "\r\n\t\n\r", 20000, "<message/>", true, NULL },
	{ "white space before the header", " ", " ", 11000, HEAD_OPEN ">", false, NULL },
	{ "huge value", HEAD "<message id='", "x", 1000000, "'/>", false, NULL },
	{ "huge value in a child", HEAD "<message><a id='", "x", 1000000, "'/>", false, NULL },
	{ "huge name", HEAD "<", "x", 1000000, "/>", false, NULL },
	{ "huge end tag", HEAD "<message></message", " ", 1000000, ">", false, NULL },
	{ "huge text", HEAD "<message><body>", "text &amp; ", 100000, "</body></message>", false, NULL },
	{ "huge CDATA", HEAD "<message><body><![CDATA[", "x", 1000000, "]]></body></message>", false, NULL },
	{ "huge comment", HEAD "<message><!--", "x", 1000000, "-->", false, NULL },
	{ "huge reference", HEAD "<message>&#", "0", 1000000, "65;</message>", false, NULL },
	{ "huge header", HEAD_OPEN " id='", "x", 1000000, "'>", false, NULL },
	{ "huge declaration", "<?xml version='1.0'", " ", 1000000, "?>", false, NULL },
	{ "empty CDATA between", HEAD, "<![CDATA[]]>", 10000, "", false, NULL },
	{ "value that is within", HEAD "<message id='", "x", 9984, "'/>", true, NULL },
	{ "value that is one byte beyond", HEAD "<message id='", "x", 9985, "'/>", false, NULL },
	{ "the limit is one element's", HEAD, "<message><body>0123456789</body></message>", 2000, "", true,
	  NULL },
	{ "attributes", HEAD "<message ", "a", 1,
	  "='1' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' l='' "
	  "m='' n='' o='' p='' q='' r='' s='' t=''/>",
	  true, NULL },
	{ "one attribute too many", HEAD "<message ", "a", 1,
	  "='1' b='' c='' d='' e='' f='' g='' h='' i='' j='' "
	  "k='' l='' m='' n='' o='' p='' q='' r='' s='' t='' u=''/>",
	  false, NULL },
	{ "declarations are attributes", HEAD "<message ", "a", 1,
	  "='1' b='' c='' d='' e='' f='' g='' h='' i='' "
	  "j='' k='' l='' m='' n='' o='' p='' q='' r='' s='' xmlns:t='t' "
	  "xmlns:u='u'/>",
	  false, NULL },
	{ "declarations on the header", HEAD_OPEN, " ", 1,
	  "a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' "
	  "l='' m='' n='' o='' p='' q='' r=''>",
	  false, NULL },
	{ "declarations alone", HEAD "<message ",
	  "xmlns:a='a' xmlns:b='b' xmlns:c='c' xmlns:d='d' xmlns:e='e' "
	  "xmlns:f='f' xmlns:g='g' ",
	  1,
	  "xmlns:h='h' xmlns:i='i' xmlns:j='j' "
	  "xmlns:k='k' xmlns:l='l' xmlns:m='m' xmlns:n='n' xmlns:o='o' xmlns:p='p' "
	  "xmlns:q='q' xmlns:r='r' xmlns:s='s' xmlns:t='t' xmlns:u='u'/>",
	  false, NULL },
	{ "an error before the limit counts first", HEAD "<message>", "x", 9000, "&<", false,
	  "not-well-formed" },
	{ "an error behind the limit is too late", HEAD "<message>", "x", 10000, "&<", false,
	  "policy-violation" },
};

static void ignore_header(void *ctx, const struct xml_header *h)
{
	(void)ctx;
	(void)h;
}

static void ignore_element(void *ctx, const struct xml_element *e)
{
	(void)ctx;
	(void)e;
}

static void ignore_close(void *ctx)
{
	(void)ctx;
}

static const struct xmlstream_ops quiet = { ignore_header, ignore_element, ignore_close };

static const char *run_quiet(const char *bytes, size_t n, size_t each)
{
	struct xmlstream *x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &quiet, NULL);
	const char *condition;
	size_t used = 0;

	for (size_t at = 0; at < n; at += each)
		if (!feed(x, bytes + at, each < n - at ? each : n - at, &used))
			break;
	condition = xmlstream_condition(x); /* a constant */
	xmlstream_destroy(x);
	return condition;
}

static void test_limits(void **state)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 1, 7, 999, 10000, 65536 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(generated); i++) {
		const char *expected = generated[i].condition;
		struct strbuf b = { 0 };

		if (!generated[i].ok && expected == NULL)
			expected = "policy-violation";
		strbuf_puts(&b, generated[i].before);
		for (size_t k = 0; k < generated[i].times; k++)
			strbuf_puts(&b, generated[i].unit);
		strbuf_puts(&b, generated[i].after);
		for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
			const char *condition = run_quiet(b.s, b.len, pieces[k]);

			if (expected == NULL ? condition != NULL
					     : condition == NULL || strcmp(condition, expected) != 0)
				fail_msg("%s, every %zu: %s", generated[i].what, pieces[k],
					 condition != NULL ? condition : "no failure");
		}
		strbuf_free(&b);
	}
}

/* The limit strikes with the first byte beyond it, not at the end of what was sent. */
static void test_limit_at_once(void **state)
{
	struct xmlstream *x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &quiet, NULL);
	size_t used = 0;

	(void)state;
	assert_true(feed(x, HEAD "<message><a b='", strlen(HEAD "<message><a b='"), &used));
	for (size_t i = strlen("<message><a b='"); i < limits.stanza_bytes; i++)
		assert_true(feed(x, "x", 1, &used));
	assert_false(feed(x, "x", 1, &used));
	assert_string_equal(xmlstream_condition(x), "policy-violation");
	xmlstream_destroy(x);
	xmlstream_destroy(NULL);
}

/* Feed byte by byte; what came of it. */
static const char *run_slowly(const char *before, const char *unit, size_t times, const char *after,
			      unsigned *elements)
{
	struct seen seen = { 0 };
	struct strbuf b = { 0 };
	const char *condition;
	size_t used = 0;

	strbuf_puts(&b, before);
	for (size_t i = 0; i < times; i++)
		strbuf_puts(&b, unit);
	strbuf_puts(&b, after);
	seen.x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &ops, &seen);
	for (size_t i = 0; i < b.len && feed(seen.x, b.s + i, 1, &used); i++)
		;
	condition = xmlstream_condition(seen.x);
	*elements = seen.elements;
	xmlstream_destroy(seen.x);
	strbuf_free(&seen.log);
	strbuf_free(&b);
	return condition;
}

/*
 * A tag that comes byte by byte is complete with its last byte, not with the
 * next packet; but one that could have ended again and again is too expensive.
 */
static void test_slow_tag(void **state)
{
	unsigned n;

	(void)state;
	assert_null(run_slowly(HEAD "<message id='", "x", 9000, "'/>", &n));
	assert_int_equal(n, 1);
	assert_null(run_slowly(HEAD "<message id='", ">", 99, "'/>", &n));
	assert_int_equal(n, 1);
	assert_null(run_slowly(HEAD "<message><body>", ">", 5000, "</body></message>", &n));
	assert_int_equal(n, 1);
	assert_null(run_slowly(HEAD "<message>", "<a b='>'/>", 49, "</message>", &n));
	assert_int_equal(n, 1);
	assert_null(run_slowly(HEAD, "<message a='>'/>", 500, "", &n));
	assert_int_equal(n, 500);
	assert_string_equal(run_slowly(HEAD "<message id='", ">", 101, "'/>", &n), "policy-violation");
	assert_int_equal(n, 0);
	assert_string_equal(run_slowly(HEAD_OPEN " id='", ">", 101, "'>", &n), "policy-violation");
}

/* Wider limits hold at once, for the element in progress too. */
static void test_set_limits(void **state)
{
	struct xmlstream_limits wider = limits;
	struct seen seen = { .stop_after = 0 };
	struct strbuf b = { 0 };
	size_t used;

	(void)state;
	wider.stanza_bytes = 3 * limits.stanza_bytes;
	strbuf_puts(&b, HEAD "<a>");
	while (b.len < 2 * limits.stanza_bytes)
		strbuf_putc(&b, 'x');
	strbuf_puts(&b, "</a>");
	for (unsigned late = 0; late < 2; late++) {
		size_t cut = limits.stanza_bytes - 100;

		strbuf_puts(&seen.log, "");
		seen.x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &ops, &seen);
		assert_int_equal(xmlstream_feed(seen.x, b.s, cut, &used), OK);
		if (!late)
			xmlstream_set_limits(seen.x, &wider);
		assert_int_equal(xmlstream_feed(seen.x, b.s + cut, b.len - cut, &used),
				 late ? ERR_LIMIT : OK);
		xmlstream_destroy(seen.x);
		strbuf_free(&seen.log);
	}
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),    cmocka_unit_test(test_restrictions),
		cmocka_unit_test(test_ill_formed), cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_forms),      cmocka_unit_test(test_contents),
		cmocka_unit_test(test_limits),     cmocka_unit_test(test_limit_at_once),
		cmocka_unit_test(test_slow_tag),   cmocka_unit_test(test_set_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
