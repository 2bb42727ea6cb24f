/*
 * Stanzas, whose bytes are read without a tree: the walk over the children sees
 * what a tree sees, or says that it does not understand; and a stanza that waited
 * has its stamp, and is as it was otherwise. Bytes that no stream has passed are
 * only read, since a file may be damaged.
 */
#include "bridge/xmpp/stanza.h"

#include <string.h>

#include "bridge/xmpp/xmltree.h"
#include "tests/fuzz/fuzz.h"

static bool is_text(const char *text, size_t size, const char *expected)
{
	return strlen(expected) == size && memcmp(text, expected, size) == 0;
}

static void check_child(const struct stanza_child *child, const struct xmlnode *node)
{
	CHECK(node != NULL && stanza_child_is(child, node->name, node->ns));
	CHECK((child->text == NULL) == (node->children != NULL));
	if (child->text == NULL)
		return;
	CHECK((child->text_size > 0) == (node->text[0] != '\0'));
	if (child->is_literal)
		CHECK(is_text(child->text, child->text_size, node->text));
}

static void walk(const struct stanza *stanza, const struct xmlnode *node)
{
	struct stanza_walk w = stanza_walk_begin(stanza);
	struct stanza_child child;

	while (stanza_walk_next(&w, &child)) {
		check_child(&child, node);
		node = node->next;
	}
	CHECK(w.is_complex || node == NULL);
}

static size_t count(const struct xmlnode *root)
{
	size_t n = 0;

	for (const struct xmlnode *node = root->children; node != NULL; node = node->next)
		n++;
	return n;
}

static void check_delayed(const struct stanza *stanza, const struct xmlnode *root)
{
	struct stanza *delayed = stanza_delayed(stanza, "corp.test", 1000000000);
	struct xmltree *tree;

	if (delayed == NULL)
		return;
	if (xmltree_parse(delayed->bytes, delayed->size, NS_SERVER, &tree) == OK) {
		const struct xmlnode *stamp = xmlnode_child(xmltree_root(tree), "urn:xmpp:delay", "delay");

		CHECK(count(xmltree_root(tree)) == count(root) + 1 && stamp != NULL);
		xmltree_free(tree);
	}
	stanza_unref(delayed);
}

static void check_stanza(const struct stanza *stanza)
{
	struct strbuf texts = { .s = NULL };
	struct xmltree *tree;

	if (xmltree_parse(stanza->bytes, stanza->size, NS_SERVER, &tree) != OK)
		return;
	walk(stanza, xmltree_root(tree)->children);
	(void)stanza_texts(stanza, &texts);
	CHECK(texts.len <= stanza->size);
	strbuf_free(&texts);
	check_delayed(stanza, xmltree_root(tree));
	xmltree_free(tree);
}

static void read_damaged(const char *bytes, size_t size)
{
	const struct xml_element e = { .ns = NS_SERVER, .name = "message", .bytes = bytes, .size = size };
	struct strbuf texts = { .s = NULL };
	struct stanza_child child;
	struct stanza_walk w;
	struct stanza *stanza;

	CHECK(stanza_from_element(&e, &stanza) == OK);
	w = stanza_walk_begin(stanza);
	while (stanza_walk_next(&w, &child))
		CHECK(child.name + child.name_size <= stanza->bytes + size);
	(void)stanza_texts(stanza, &texts);
	strbuf_free(&texts);
	stanza_unref(stanza);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stanza *stanza;

	read_damaged((const char *)data, size);
	if (stanza_parse((const char *)data, size, &stanza) != OK)
		return 0;
	check_stanza(stanza);
	stanza_unref(stanza);
	return 0;
}
