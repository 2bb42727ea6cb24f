/*
 * xmltree.h - a small XML document as a tree: bodies of SIP requests, and the
 * attributes and repeated children of a stanza, which struct stanza_tree lacks.
 *
 * As hostile as what comes by a stream: UTF-8 only, no DTD, hence no entities
 * but the five, namespaces resolved, and fixed limits. Comments and processing
 * instructions, which bodies may have, are read over.
 *
 * A tree never changes; everything in it lives as long as the tree.
 */
#ifndef POOLBRIDGE_XMPP_XMLTREE_H
#define POOLBRIDGE_XMPP_XMLTREE_H

#include "bridge/core/base.h"

/* What a document may have. */
enum {
	XMLTREE_BYTES = 65536,
	XMLTREE_DEPTH = 64,
	XMLTREE_ELEMENTS = 2000,
	XMLTREE_ATTRIBUTES = 64, /* of one element, declarations of namespaces with them */
	XMLTREE_NAMESPACE = 255  /* bytes of one name */
};

struct xmlattribute {
	const char *ns, *name, *value; /* ns "" for none */
};

struct xmlnode {
	const char *ns, *name; /* ns "" for none */
	const char *text;      /* character data directly inside, joined; "" when none */
	const char *lang;      /* the xml:lang in force here; NULL when none */
	const struct xmlattribute *attributes;
	size_t attribute_count;
	const struct xmlnode *children, *next; /* the first; the next sibling */
};

struct xmltree;

/*
 * within: NULL for a document; for an element that stands in a stream (a stanza's bytes), the
 * stream's default namespace. ERR_SYNTAX: no XML, or XML that may not be used here; ERR_LIMIT.
 */
MUST_CHECK enum err xmltree_parse(const char *bytes, size_t n, const char *within, struct xmltree **out);
void xmltree_free(struct xmltree *t); /* NULL is allowed */
const struct xmlnode *xmltree_root(const struct xmltree *t);

bool xmlnode_is(const struct xmlnode *node, const char *ns, const char *name);
/* The first child, the next sibling of that name; NULL when there is none. A NULL node has no children. */
const struct xmlnode *xmlnode_child(const struct xmlnode *node, const char *ns, const char *name);
const struct xmlnode *xmlnode_next(const struct xmlnode *node, const char *ns, const char *name);
/* NULL when it is absent; ns "" for none. */
const char *xmlnode_attribute(const struct xmlnode *node, const char *ns, const char *name);

#endif
