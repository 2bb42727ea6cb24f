/*
 * xmltree.c - a small XML document as a tree, by expat.
 *
 * Not libstrophe's tree: that one knows no namespace of an attribute and no
 * document but a stanza. A node is one allocation, its names and attributes
 * behind it. Namespaces are copied to each node, so they are short ones: a long
 * one, declared once and used everywhere, would make much of little.
 *
 * The tree owns its nodes. Limits are checked before anything is made. Nothing
 * but memory is fatal.
 */
#include "bridge/xmpp/xmltree.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridge/xmpp/xml.h"
#include "bridge/xmpp/xmlname.h"

#define NS_XML "http://www.w3.org/XML/1998/namespace"

struct node {
	struct xmlnode pub;
	struct node *first, *last, *next; /* children in order; the next sibling */
	char *text;
};

struct xmltree {
	struct node *root; /* NULL until its start tag */
};

struct level {
	struct node *node;
	struct strbuf text;
};

struct builder {
	XML_Parser expat;
	struct xmltree *tree;
	unsigned wrapped;  /* 1: the root stands in a wrapper of ours */
	unsigned seen;     /* open elements, with the wrapper */
	unsigned depth;    /* of them in the tree */
	unsigned elements; /* so far */
	unsigned declared; /* namespaces, in the present tag */
	enum err e;
	struct level open[XMLTREE_DEPTH];
};

static void fail(struct builder *b, enum err e)
{
	if (b->e != OK)
		return;
	b->e = e;
	XML_StopParser(b->expat, XML_FALSE);
}

static void node_free(struct node *n)
{
	struct node *child, *next;

	if (n == NULL)
		return;
	for (child = n->first; child != NULL; child = next) {
		next = child->next;
		node_free(child);
	}
	free(n->text);
	free(n);
}

/* --- nodes --- */

static size_t count_attributes(const char **attributes)
{
	size_t n = 0;

	while (attributes[2 * n] != NULL)
		n++;
	return n;
}

static const char *pack(char **end, const char *s, size_t n)
{
	char *at = *end;

	memcpy(at, s, n);
	at[n] = '\0';
	*end = at + n + 1;
	return at;
}

/* Room for a reported name: its parts, each with a NUL, take at most two bytes more. */
static size_t room_for(const char *reported)
{
	return strlen(reported) + 2;
}

static struct node *node_make(const char *reported, const char **attributes, const char *lang)
{
	struct xml_name name = xml_name_split(reported);
	size_t count = count_attributes(attributes), room = room_for(reported);
	struct xmlattribute *list;
	struct node *n;
	char *end;

	for (size_t i = 0; i < count; i++)
		room += room_for(attributes[2 * i]) + strlen(attributes[2 * i + 1]) + 1;
	n = xmalloc(sizeof(*n) + count * sizeof(*list) + room);
	list = (struct xmlattribute *)(n + 1);
	end = (char *)(list + count);
	*n = (struct node){
		.pub = { .text = "", .lang = lang, .attributes = list, .attribute_count = count }
	};
	n->pub.ns = pack(&end, name.ns, name.ns_length);
	n->pub.name = pack(&end, name.local, name.local_length);
	for (size_t i = 0; i < count; i++) {
		struct xml_name a = xml_name_split(attributes[2 * i]);
		const char *value = attributes[2 * i + 1];

		list[i].ns = pack(&end, a.ns, a.ns_length);
		list[i].name = pack(&end, a.local, a.local_length);
		list[i].value = pack(&end, value, strlen(value));
		if (strcmp(list[i].ns, NS_XML) == 0 && strcmp(list[i].name, "lang") == 0)
			n->pub.lang = list[i].value[0] != '\0' ? list[i].value : NULL;
	}
	return n;
}

static void append(struct node *parent, struct node *n)
{
	if (parent->last == NULL) {
		parent->first = n;
		parent->pub.children = &n->pub;
	} else {
		parent->last->next = n;
		parent->last->pub.next = &n->pub;
	}
	parent->last = n;
}

/* --- what expat reports; it may report one more event after it was stopped --- */

static bool is_within_limits(const struct builder *b, const char **attributes)
{
	return b->depth < XMLTREE_DEPTH && b->elements < XMLTREE_ELEMENTS &&
	       b->declared + count_attributes(attributes) <= XMLTREE_ATTRIBUTES;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct builder *b = ctx;
	struct node *parent = b->depth > 0 ? b->open[b->depth - 1].node : NULL, *n;

	if (b->e != OK || b->seen++ < b->wrapped)
		return;
	if (!is_within_limits(b, attributes)) {
		fail(b, ERR_LIMIT);
		return;
	}
	b->declared = 0;
	if (parent == NULL && b->tree->root != NULL) {
		fail(b, ERR_SYNTAX);
		return;
	}
	n = node_make(name, attributes, parent != NULL ? parent->pub.lang : NULL);
	if (parent != NULL)
		append(parent, n);
	else
		b->tree->root = n;
	b->elements++;
	b->open[b->depth++] = (struct level){ .node = n };
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct builder *b = ctx;
	struct level *level;

	(void)name;
	if (b->e != OK || b->seen-- <= b->wrapped)
		return;
	level = &b->open[--b->depth];
	if (level->text.len > 0) {
		level->node->text = strbuf_take(&level->text);
		level->node->pub.text = level->node->text;
	}
	strbuf_free(&level->text);
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
	struct builder *b = ctx;

	if (b->e == OK && b->depth > 0)
		strbuf_add(&b->open[b->depth - 1].text, text, (size_t)n);
}

static void XMLCALL on_namespace(void *ctx, const XML_Char *prefix, const XML_Char *uri)
{
	struct builder *b = ctx;

	(void)prefix;
	/* A document's declarations come before its start tag, the wrapper's before anything. */
	if (b->seen >= b->wrapped && ++b->declared > XMLTREE_ATTRIBUTES)
		fail(b, ERR_LIMIT);
	if (uri != NULL && strlen(uri) > XMLTREE_NAMESPACE)
		fail(b, ERR_LIMIT);
}

static void XMLCALL on_declaration(void *ctx, const XML_Char *version, const XML_Char *encoding,
				   int standalone)
{
	(void)version;
	(void)standalone;
	if (encoding != NULL && strcasecmp(encoding, "UTF-8") != 0 && strcasecmp(encoding, "US-ASCII") != 0)
		fail(ctx, ERR_SYNTAX);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
			       int has_subset)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_subset;
	fail(ctx, ERR_SYNTAX);
}

/* --- documents --- */

static XML_Parser make_parser(struct builder *b)
{
	static const XML_Memory_Handling_Suite memory = { xmalloc, xrealloc, free };
	static const char separator[] = { XML_SEPARATOR, '\0' };
	XML_Parser expat = XML_ParserCreate_MM("UTF-8", &memory, separator);

	XML_SetUserData(expat, b);
	XML_SetElementHandler(expat, on_start, on_end);
	XML_SetCharacterDataHandler(expat, on_text);
	XML_SetStartNamespaceDeclHandler(expat, on_namespace);
	XML_SetXmlDeclHandler(expat, on_declaration);
	XML_SetDoctypeDeclHandler(expat, on_doctype, NULL);
	return expat;
}

/* Told to read UTF-8, expat still takes UTF-16 when the first bytes look like it. */
static bool may_be_utf8(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && i < 2; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == 0x00 || c == 0xFE || c == 0xFF)
			return false;
	}
	return true;
}

static bool feed(XML_Parser expat, const char *bytes, size_t n, bool is_last)
{
	return XML_Parse(expat, bytes, (int)n, is_last ? XML_TRUE : XML_FALSE) == XML_STATUS_OK;
}

static bool feed_all(XML_Parser expat, const char *bytes, size_t n, const char *within)
{
	static const char tail[] = "</wrapper>";
	struct strbuf head = { 0 };
	bool ok;

	if (within == NULL)
		return feed(expat, bytes, n, true);
	strbuf_puts(&head, "<wrapper");
	xml_attr(&head, "xmlns", within);
	strbuf_putc(&head, '>');
	ok = feed(expat, head.s, head.len, false) && feed(expat, bytes, n, false) &&
	     feed(expat, tail, sizeof(tail) - 1, true);
	strbuf_free(&head);
	return ok;
}

enum err xmltree_parse(const char *bytes, size_t n, const char *within, struct xmltree **out)
{
	struct builder b = { .wrapped = within != NULL ? 1 : 0 };

	if (n > XMLTREE_BYTES)
		return ERR_LIMIT;
	if (!may_be_utf8(bytes, n))
		return ERR_SYNTAX;
	b.tree = xcalloc(1, sizeof(*b.tree));
	b.expat = make_parser(&b);
	if (!feed_all(b.expat, bytes, n, within) && b.e == OK)
		b.e = ERR_SYNTAX;
	if (b.e == OK && b.tree->root == NULL)
		b.e = ERR_SYNTAX;
	XML_ParserFree(b.expat);
	while (b.depth > 0)
		strbuf_free(&b.open[--b.depth].text);
	if (b.e != OK)
		xmltree_free(b.tree);
	else
		*out = b.tree;
	return b.e;
}

void xmltree_free(struct xmltree *t)
{
	if (t == NULL)
		return;
	node_free(t->root);
	free(t);
}

const struct xmlnode *xmltree_root(const struct xmltree *t)
{
	return &t->root->pub;
}

/* --- questions --- */

bool xmlnode_is(const struct xmlnode *node, const char *ns, const char *name)
{
	return strcmp(node->name, name) == 0 && strcmp(node->ns, ns) == 0;
}

static const struct xmlnode *first_of(const struct xmlnode *node, const char *ns, const char *name)
{
	while (node != NULL && !xmlnode_is(node, ns, name))
		node = node->next;
	return node;
}

const struct xmlnode *xmlnode_child(const struct xmlnode *node, const char *ns, const char *name)
{
	return node != NULL ? first_of(node->children, ns, name) : NULL;
}

const struct xmlnode *xmlnode_next(const struct xmlnode *node, const char *ns, const char *name)
{
	return first_of(node->next, ns, name);
}

const char *xmlnode_attribute(const struct xmlnode *node, const char *ns, const char *name)
{
	for (size_t i = 0; i < node->attribute_count; i++)
		if (strcmp(node->attributes[i].name, name) == 0 && strcmp(node->attributes[i].ns, ns) == 0)
			return node->attributes[i].value;
	return NULL;
}
