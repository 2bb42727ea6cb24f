/*
 * xmlscope.h - what an element inherits from its stream header: namespace
 * prefixes and xml:lang. It says what must be written into the element's start
 * tag so that the element means the same on another stream.
 *
 * For the stream parser's files alone.
 */
#ifndef POOLBRIDGE_XMPP_XMLSCOPE_H
#define POOLBRIDGE_XMPP_XMLSCOPE_H

#include "bridge/core/base.h"

struct xml_prefix;

struct xml_scope {
	struct xml_prefix *prefixes; /* declared on the header */
	size_t count;
	char *lang;   /* of the header; NULL when it has none, or an empty one */
	bool lacking; /* the element uses one of the prefixes */
};

/* The header: xmlns:prefix='uri'. */
void xml_scope_declare(struct xml_scope *s, const char *prefix, const char *uri);
void xml_scope_set_lang(struct xml_scope *s, const char *lang);

/* The element: one of its tags declares the prefix anew, until it ends. */
void xml_scope_enter(struct xml_scope *s, const char *prefix);
void xml_scope_leave(struct xml_scope *s, const char *prefix);
/* The element: a name in it has the prefix. */
void xml_scope_use(struct xml_scope *s, const char *prefix);

/* Append the attributes that the element lacks; with_lang: xml:lang too. Ready for the next element then. */
void xml_scope_write(struct xml_scope *s, bool with_lang, struct strbuf *out);
void xml_scope_free(struct xml_scope *s);

#endif
