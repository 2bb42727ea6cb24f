/*
 * xmlcapture.h - the content of a first-level element that is not a stanza
 * (features, dialback, errors), flat, as struct xml_child lists it.
 *
 * For the stream parser's files alone; the parser has bounded the number of elements and bytes.
 */
#ifndef POOLBRIDGE_XMPP_XMLCAPTURE_H
#define POOLBRIDGE_XMPP_XMLCAPTURE_H

#include "bridge/xmpp/xmlname.h"
#include "bridge/xmpp/xmlstream.h"

struct xml_capture_node;

struct xml_capture {
	struct strbuf text; /* directly inside the first-level element */
	struct xml_child *children;
	struct xml_capture_node *nodes; /* one for each child */
	size_t count, cap;
	size_t open; /* 1 + index of the innermost open child; 0: none */
};

/* A descendant begins; the names are copied. */
void xml_capture_start(struct xml_capture *c, const struct xml_name *name);
void xml_capture_text(struct xml_capture *c, const char *text, size_t n);
void xml_capture_end(struct xml_capture *c);

/* The first-level element is complete: fill in text and children, which belong to the capture. */
void xml_capture_finish(struct xml_capture *c, struct xml_element *element);
void xml_capture_reset(struct xml_capture *c);

#endif
