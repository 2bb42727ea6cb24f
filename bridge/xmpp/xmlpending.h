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
	struct strbuf standalone;
};

/* Its start tag; everything is copied. */
void xml_pending_begin(struct xml_pending *p, const struct xml_name *name, const char **attributes);

/*
 * Its last byte is there; bytes are all of it, as received. The element points
 * into p and bytes.
 */
void xml_pending_finish(struct xml_pending *p, const char *bytes, size_t size, struct xml_element *out);

/* Release what grew large, or all. */
void xml_pending_reset(struct xml_pending *p);
void xml_pending_free(struct xml_pending *p);

/* Empty a buffer that will be used again; memory beyond the usual is given back. */
void xml_recycle(struct strbuf *b);

#endif
