/*
 * stanza_tree.c - the tree of a stanza, for the gateway: libstrophe's stanza
 * API, and the only file that sees it.
 *
 * The bytes are those of a stanza: the stream parser has checked and bounded
 * them, or stanza_make() has written them. Expat builds the tree here, not
 * libstrophe's own parser: that one joins text in quadratic time, and takes an
 * attribute of any namespace for the plain one of that name, so that 'x:xmlns'
 * moves an element into another namespace. Of attributes the tree has the plain
 * ones of the stanza's children; those of the stanza itself are in struct stanza.
 *
 * A tree owns its nodes and every string that it gave out. The parser and
 * libstrophe's context are one for all, made with the first tree and kept.
 * Nothing but memory is fatal.
 */
#include "bridge/xmpp/stanza.h"

#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>

#include "bridge/xmpp/xmlname.h"

struct stanza_tree {
	xmpp_ctx_t *strophe; /* shared */
	xmpp_stanza_t *root; /* NULL until its start tag */
	char **texts;        /* given out; libstrophe's memory */
	size_t text_count;
};

static struct {
	xmpp_ctx_t *strophe;
	XML_Parser parser; /* NULL: to be made */
	size_t parsed;     /* by it, bytes */
} shared;

enum { PARSED_MAX = 256 * 1024 };

struct builder {
	struct stanza_tree *tree;
	xmpp_stanza_t **open; /* the open elements; open[0] is the wrapper's place, NULL */
	size_t depth, cap;
	bool failed;        /* there is more than one stanza, or what is behind it */
	bool closed;        /* the wrapper */
	struct strbuf text; /* of the innermost open element, not in the tree yet */
};

static void *strophe_malloc(size_t size, void *ctx)
{
	(void)ctx;
	return xmalloc(size);
}

static void *strophe_realloc(void *p, size_t size, void *ctx)
{
	(void)ctx;
	return xrealloc(p, size);
}

static void strophe_free(void *p, void *ctx)
{
	(void)ctx;
	free(p);
}

static void flush_text(struct builder *b)
{
	xmpp_stanza_t *node;

	if (b->text.len == 0)
		return;
	node = xmpp_stanza_new(b->tree->strophe);
	xmpp_stanza_set_text_with_size(node, b->text.s, b->text.len);
	xmpp_stanza_add_child_ex(b->open[b->depth - 1], node, 0);
	strbuf_reset(&b->text);
}

static xmpp_stanza_t *new_element(const struct stanza_tree *t, const char *reported)
{
	struct xml_name name = xml_name_split(reported);
	xmpp_stanza_t *node = xmpp_stanza_new(t->strophe);
	char *ns = xstrndup(name.ns, name.ns_length);

	xmpp_stanza_set_name(node, name.local);
	xmpp_stanza_set_ns(node, ns);
	free(ns);
	return node;
}

/* xmlns is none of them: expat does not report it. */
static void set_plain_attributes(xmpp_stanza_t *node, const XML_Char **attributes)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strchr(attributes[0], XML_SEPARATOR) == NULL)
			xmpp_stanza_set_attribute(node, attributes[0], attributes[1]);
}

static void push(struct builder *b, xmpp_stanza_t *node)
{
	if (b->depth == b->cap) {
		b->cap = b->cap > 0 ? 2 * b->cap : 8;
		b->open = xrealloc(b->open, b->cap * sizeof(xmpp_stanza_t *));
	}
	b->open[b->depth++] = node;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct builder *b = ctx;
	xmpp_stanza_t *node;

	if (b->depth == 0 && !b->closed) {
		push(b, NULL);
		return;
	}
	b->failed = b->failed || b->closed || (b->depth == 1 && b->tree->root != NULL);
	if (b->failed)
		return;
	node = new_element(b->tree, name);
	if (b->depth == 1) {
		b->tree->root = node;
	} else {
		flush_text(b);
		if (b->depth == 2)
			set_plain_attributes(node, attributes);
		/* Handed over: no node has two owners. */
		xmpp_stanza_add_child_ex(b->open[b->depth - 1], node, 0);
	}
	push(b, node);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct builder *b = ctx;

	(void)name;
	b->failed = b->failed || b->closed;
	if (b->failed)
		return;
	if (b->depth > 1)
		flush_text(b);
	b->closed = --b->depth == 0;
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
	struct builder *b = ctx;

	if (!b->failed && b->depth > 1)
		strbuf_add(&b->text, text, (size_t)n);
}

static bool feed(const char *bytes, size_t size)
{
	return XML_Parse(shared.parser, bytes, (int)size, XML_FALSE) == XML_STATUS_OK;
}

static void drop_parser(void)
{
	XML_ParserFree(shared.parser);
	shared.parser = NULL;
	shared.parsed = 0;
}

/*
 * It reads one document that never ends, of which each stanza is a part: a parser costs as much to make as
 * a stanza to parse, and knows names that it has had before. False: there is no memory.
 */
static bool open_parser(struct builder *b)
{
	static const XML_Memory_Handling_Suite memory = { xmalloc, xrealloc, free };
	static const char separator[] = { XML_SEPARATOR, '\0' }, root[] = "<root>";
	const bool is_new = shared.parser == NULL;

	if (is_new)
		shared.parser = XML_ParserCreate_MM("UTF-8", &memory, separator);
	XML_SetUserData(shared.parser, b);
	if (!is_new)
		return true;
	if (!feed(root, sizeof(root) - 1))
		return false;
	XML_SetElementHandler(shared.parser, on_start, on_end);
	XML_SetCharacterDataHandler(shared.parser, on_text);
	return true;
}

/* In a wrapper, so that the stanza has the default namespace of its stream, and that what it leaves open is an error. */
static bool parse(struct builder *b, const struct stanza *s)
{
	static const char head[] = "<wrapper xmlns='" NS_SERVER "'>", tail[] = "</wrapper>";
	const bool ok = s->size <= INT_MAX && open_parser(b) && feed(head, sizeof(head) - 1) &&
			feed(s->bytes, s->size) && feed(tail, sizeof(tail) - 1) && b->closed;

	shared.parsed += s->size;
	/* It remembers every name, and has grown as large as the largest stanza. */
	if (shared.parser != NULL && (!ok || shared.parsed > PARSED_MAX))
		drop_parser();
	return ok;
}

enum err stanza_tree_build(const struct stanza *s, struct stanza_tree **out)
{
	static const xmpp_mem_t strophe_memory = { strophe_malloc, strophe_free, strophe_realloc, NULL };
	struct stanza_tree *t = xcalloc(1, sizeof(*t));
	struct builder b = { .tree = t };
	bool ok;

	if (shared.strophe == NULL)
		shared.strophe = xmpp_ctx_new(&strophe_memory, NULL);
	t->strophe = shared.strophe;
	ok = parse(&b, s) && !b.failed && t->root != NULL;
	strbuf_free(&b.text);
	free(b.open);
	if (!ok) {
		stanza_tree_free(t);
		return ERR_SYNTAX;
	}
	*out = t;
	return OK;
}

void stanza_tree_free(struct stanza_tree *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->text_count; i++)
		xmpp_free(t->strophe, t->texts[i]);
	free(t->texts);
	if (t->root != NULL)
		xmpp_stanza_release(t->root);
	free(t);
}

static const char *text_of(struct stanza_tree *t, xmpp_stanza_t *node)
{
	char *text = xmpp_stanza_get_text(node);

	if (text == NULL)
		return "";
	t->texts = xrealloc(t->texts, (t->text_count + 1) * sizeof(*t->texts));
	t->texts[t->text_count++] = text;
	return text;
}

static xmpp_stanza_t *child_of(xmpp_stanza_t *parent, const char *name, const char *ns)
{
	return xmpp_stanza_get_child_by_name_and_ns(parent, name, ns != NULL ? ns : NS_SERVER);
}

const char *stanza_tree_text(struct stanza_tree *t, const char *name, const char *ns)
{
	xmpp_stanza_t *child = child_of(t->root, name, ns);

	return child != NULL ? text_of(t, child) : NULL;
}

const char *stanza_tree_attribute(const struct stanza_tree *t, const char *name, const char *ns,
				  const char *attribute)
{
	xmpp_stanza_t *child = child_of(t->root, name, ns);

	return child != NULL ? xmpp_stanza_get_attribute(child, attribute) : NULL;
}

static bool is_one_of(const char *ns, const char *const *namespaces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(ns, namespaces[i]) == 0)
			return true;
	return false;
}

bool stanza_tree_is_within(const struct stanza_tree *t, const char *const *namespaces, size_t count)
{
	xmpp_stanza_t *child = xmpp_stanza_get_children(t->root);

	for (; child != NULL; child = xmpp_stanza_get_next(child)) {
		const char *ns = xmpp_stanza_is_tag(child) ? xmpp_stanza_get_ns(child) : NULL;

		if (xmpp_stanza_is_tag(child) && (ns == NULL || !is_one_of(ns, namespaces, count)))
			return false;
	}
	return true;
}

/* RFC 6120 section 8.3.2: one child is the condition, another may be the text. */
enum condition stanza_tree_error(struct stanza_tree *t, const char **text)
{
	xmpp_stanza_t *error = child_of(t->root, "error", NULL), *words, *child;
	enum condition c = COND_UNDEFINED_CONDITION;

	*text = NULL;
	if (error == NULL)
		return c;
	words = child_of(error, "text", NS_STANZA_ERRORS);
	if (words != NULL)
		*text = text_of(t, words);
	for (child = xmpp_stanza_get_children(error); child != NULL; child = xmpp_stanza_get_next(child)) {
		const char *ns = xmpp_stanza_is_tag(child) ? xmpp_stanza_get_ns(child) : NULL;

		if (ns != NULL && strcmp(ns, NS_STANZA_ERRORS) == 0 &&
		    condition_parse(xmpp_stanza_get_name(child), &c) == OK)
			break;
	}
	return c;
}
