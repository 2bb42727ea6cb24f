/*
 * xmlcapture.c - the content of a first-level element that is not a stanza.
 *
 * The stream negotiation reads a few small elements by name and text; a flat
 * list in document order serves that better than a tree. Text may come in
 * pieces and with children between, so every open child gathers its own. Owns
 * all that it lists, until xml_capture_reset(). Nothing is fatal.
 */
#include "bridge/xmpp/xmlcapture.h"

#include <stdlib.h>
#include <string.h>

struct xml_capture_node {
	size_t parent; /* as xml_capture.open */
	struct strbuf text;
};

static void make_room(struct xml_capture *c)
{
	if (c->count < c->cap)
		return;
	c->cap = c->cap > 0 ? 2 * c->cap : 8;
	c->children = xrealloc(c->children, c->cap * sizeof(*c->children));
	c->nodes = xrealloc(c->nodes, c->cap * sizeof(*c->nodes));
}

void xml_capture_start(struct xml_capture *c, const struct xml_name *name)
{
	unsigned depth = c->open > 0 ? c->children[c->open - 1].depth + 1 : 1;

	make_room(c);
	c->children[c->count] = (struct xml_child){
		.depth = depth,
		.ns = xstrndup(name->ns, name->ns_length),
		.name = xstrndup(name->local, name->local_length),
	};
	c->nodes[c->count] = (struct xml_capture_node){ .parent = c->open };
	c->open = ++c->count;
}

void xml_capture_text(struct xml_capture *c, const char *text, size_t n)
{
	strbuf_add(c->open > 0 ? &c->nodes[c->open - 1].text : &c->text, text, n);
}

void xml_capture_end(struct xml_capture *c)
{
	c->open = c->nodes[c->open - 1].parent;
}

void xml_capture_finish(struct xml_capture *c, struct xml_element *element)
{
	for (size_t i = 0; i < c->count; i++)
		c->children[i].text = c->nodes[i].text.s != NULL ? c->nodes[i].text.s : "";
	element->text = c->text.s != NULL ? c->text.s : "";
	element->children = c->children;
	element->child_count = c->count;
}

void xml_capture_reset(struct xml_capture *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free((char *)c->children[i].ns);
		free((char *)c->children[i].name);
		strbuf_free(&c->nodes[i].text);
	}
	free(c->children);
	free(c->nodes);
	strbuf_free(&c->text);
	*c = (struct xml_capture){ 0 };
}
