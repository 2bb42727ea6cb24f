/*
 * The stream parser: however the bytes are cut, the same comes of them; and
 * what leaves is, alone in a fresh stream, exactly one element that says what it
 * said where it came from. A stanza can be built into a tree and be answered, and
 * says the same after its way over a component's stream.
 *
 * The first four bytes say how the rest is cut.
 */
#include "bridge/xmpp/component.h"
#include "bridge/xmpp/stanza.h"
#include "bridge/xmpp/xmlstream.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/xml_canon.h"

enum { CUTS = 4, BYTES_MAX = 1000 };

struct seen {
	struct strbuf log;
	char **canon;
	size_t canon_count, elements;
};

static void add(struct seen *seen, const char *value)
{
	strbuf_puts(&seen->log, value != NULL ? value : "(null)");
	strbuf_putc(&seen->log, '\n');
}

static void on_open(void *ctx, const struct xml_header *h)
{
	struct seen *seen = ctx;

	add(seen, "open");
	add(seen, h->from);
	add(seen, h->to);
	add(seen, h->id);
	add(seen, h->version);
	add(seen, h->lang);
	add(seen, h->has_dialback ? "dialback" : NULL);
}

static void check_canon(const struct seen *seen, const char *bytes, size_t size)
{
	char *exact = xmalloc(size), *alone;

	memcpy(exact, bytes, size);
	alone = xml_canon_alone(exact, size);
	CHECK(alone != NULL);
	if (seen != NULL && seen->elements < CANON_MAX) {
		CHECK(seen->elements < seen->canon_count);
		CHECK(strcmp(alone, seen->canon[seen->elements]) == 0);
	}
	free(alone);
	free(exact);
}

static void ignore_header(void *ctx, const struct xml_header *h)
{
	(void)ctx;
	(void)h;
}

static void ignore_close(void *ctx)
{
	(void)ctx;
}

static void take_canon(void *ctx, const struct xml_element *e)
{
	char **canon = ctx;

	CHECK(*canon == NULL && strcmp(e->ns, NS_SERVER) == 0);
	*canon = xml_canon_alone(e->bytes, e->size);
}

/* Out as a component, and in again from its server. What is the component's own namespace is not for servers. */
static void check_component(struct stanza *s)
{
	static const char header[] = "<stream:stream xmlns='" NS_COMPONENT "' xmlns:stream='" NS_STREAMS "'>";
	static const struct xmlstream_limits limits = { 10 * BYTES_MAX, 20, 50, 20 };
	static const struct xmlstream_ops ops = { ignore_header, take_canon, ignore_close };
	char *before = xml_canon_alone(s->bytes, s->size), *after = NULL;
	struct xmlstream *x = xmlstream_create(NS_COMPONENT, NS_SERVER, &limits, &ops, &after);
	struct stanza *sent = NULL;
	size_t used;

	if (strstr(before, NS_COMPONENT) == NULL) {
		CHECK(component_stanza(s, &sent) == OK);
		CHECK(xmlstream_feed(x, header, sizeof(header) - 1, &used) == OK);
		CHECK(xmlstream_feed(x, sent->bytes, sent->size, &used) == OK);
		CHECK(after != NULL && strcmp(before, after) == 0);
	}
	stanza_unref(sent);
	xmlstream_destroy(x);
	free(after);
	free(before);
}

static void check_stanza(const struct xml_element *e)
{
	struct stanza *s = NULL, *answer;
	struct stanza_tree *t = NULL;
	const char *text;

	if (stanza_from_element(e, &s) != OK)
		return;
	check_component(s);
	CHECK(stanza_tree_build(s, &t) == OK);
	stanza_tree_text(t, "body", NULL);
	stanza_tree_error(t, &text);
	answer = stanza_error(s, COND_GONE, text, s->to);
	if (answer != NULL)
		check_canon(NULL, answer->bytes, answer->size);
	stanza_unref(answer);
	stanza_tree_free(t);
	stanza_unref(s);
}

static void on_element(void *ctx, const struct xml_element *e)
{
	struct seen *seen = ctx;

	add(seen, e->ns);
	add(seen, e->name);
	add(seen, e->from);
	add(seen, e->to);
	add(seen, e->id);
	add(seen, e->type);
	add(seen, e->lang);
	add(seen, e->text);
	for (size_t i = 0; i < e->child_count; i++) {
		strbuf_printf(&seen->log, "%u ", e->children[i].depth);
		add(seen, e->children[i].ns);
		add(seen, e->children[i].name);
		add(seen, e->children[i].text);
	}
	strbuf_add(&seen->log, e->bytes, e->size);
	strbuf_putc(&seen->log, '\n');
	check_canon(seen, e->bytes, e->size);
	check_stanza(e);
	seen->elements++;
}

static void on_close(void *ctx)
{
	add(ctx, "close");
}

static void feed(struct xmlstream *x, const char *bytes, size_t n)
{
	char *exact = xmalloc(n);
	size_t used = 0;

	memcpy(exact, bytes, n);
	if (xmlstream_feed(x, exact, n, &used) == OK)
		CHECK(used == n);
	else
		CHECK(xmlstream_condition(x) != NULL);
	free(exact);
}

/* The last BYTES_MAX bytes go in one piece. */
static void feed_all(struct seen *seen, const struct strbuf *stream, const uint8_t cuts[CUTS])
{
	static const struct xmlstream_limits limits = { BYTES_MAX, 20, 50, 10 };
	static const struct xmlstream_ops ops = { on_open, on_element, on_close };
	struct xmlstream *x = xmlstream_create(NS_SERVER, NS_SERVER, &limits, &ops, seen);
	size_t n = stream->len - BYTES_MAX;

	for (size_t at = 0, i = 0; at < n; i++) {
		/* So few pieces that no unfinished tag is too expensive. */
		size_t piece = cuts != NULL ? cuts[i % CUTS] % 64 + BYTES_MAX / 90u : n;

		if (piece > n - at)
			piece = n - at;
		feed(x, stream->s + at, piece);
		at += piece;
	}
	feed(x, stream->s + n, BYTES_MAX);
	add(seen, xmlstream_condition(x));
	xmlstream_destroy(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *canon[CANON_MAX], filler[BYTES_MAX];
	struct seen whole = { .canon = canon }, cut = { .canon = canon };
	struct strbuf stream = { 0 };

	if (size <= CUTS)
		return 0;
	strbuf_add(&stream, data + CUTS, size - CUTS);
	/* As many '>' as an element may have bytes: no verdict is open then. */
	memset(filler, '>', sizeof(filler));
	strbuf_add(&stream, filler, sizeof(filler));
	whole.canon_count = cut.canon_count = xml_canon(stream.s, stream.len, canon);
	feed_all(&whole, &stream, NULL);
	feed_all(&cut, &stream, data);
	CHECK(whole.log.len == cut.log.len && memcmp(whole.log.s, cut.log.s, cut.log.len) == 0);
	for (size_t i = 0; i < whole.canon_count; i++)
		free(canon[i]);
	strbuf_free(&whole.log);
	strbuf_free(&cut.log);
	strbuf_free(&stream);
	return 0;
}
