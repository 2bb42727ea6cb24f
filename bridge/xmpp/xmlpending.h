/*
 * xmlpending.h - the first-level element in progress: what its start tag said,
 * what is in it where that is wanted, and its standalone form at the end.
 *
 * For xmlstream.c alone, which bounds it.
 */
#ifndef POOLBRIDGE_XMPP_XMLPENDING_H
#define POOLBRIDGE_XMPP_XMLPENDING_H

#include "bridge/xmpp/xmlcapture.h"
#include "bridge/xmpp/xmlname.h"
#include "bridge/xmpp/xmlscope.h"
#include "bridge/xmpp/xmlstream.h"

struct xml_pending {
	bool is_stanza;                      /* message, presence or iq: nobody asks for its content here */
	struct xml_scope scope;              /* of the stream; lives longer than an element */
	struct xml_capture capture;          /* unless it is a stanza */
	struct strbuf strings;               /* each with its NUL */
	size_t ns, name, fields[XML_FIELDS]; /* where in strings; a field that is absent: 0 */
	size_t *renames; /* offsets of the start tags that declare the content namespace by name, to be changed */
	size_t rename_count, rename_cap;
	struct strbuf standalone;
};

/* Its start tag; everything is copied. content: the name of its namespace where that is the stream's, else NULL. */
void xml_pending_begin(struct xml_pending *p, const struct xml_name *name, const char *content,
		       const char **attributes);

/* The start tag at this offset in the element declares the content namespace, which has another name for others. */
void xml_pending_rename(struct xml_pending *p, size_t offset);

/*
 * Its last byte is there; bytes are all of it, as received; form is the content
 * namespace that replaces the stream's. The element points into p and bytes.
 */
void xml_pending_finish(struct xml_pending *p, const char *bytes, size_t size, const char *form,
			struct xml_element *out);

/* Release what grew large, or all. */
void xml_pending_reset(struct xml_pending *p);
void xml_pending_free(struct xml_pending *p);

/* Empty a buffer that will be used again; memory beyond the usual is given back. */
void xml_recycle(struct strbuf *b);

#endif
