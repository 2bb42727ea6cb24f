/*
 * end_xml.h - what the playing ends that speak XMPP ask of expat, and what all of them say.
 *
 * Memory that cannot be had ends the program.
 */
#ifndef POOLBRIDGE_BENCH_END_XML_H
#define POOLBRIDGE_BENCH_END_XML_H

#include <expat.h>

#include "bridge/core/base.h"

/* Of names with namespaces, which a "|" ends. The caller frees it. */
XML_Parser end_xml_new(void);
/* The next bytes are a new stream's; owner is what start and end are called with. */
void end_xml_begin(XML_Parser parser, void *owner, XML_StartElementHandler start, XML_EndElementHandler end);
/* A name without its namespace. */
const char *end_xml_local(const char *name);
/* NULL: it is not there. */
const char *end_xml_attribute(const char **attributes, const char *name);

/* A first-level element. Attributes are NULL where they are not there. */
struct end_xml_element {
	char name[64]; /* without its namespace */
	char *from, *to, *type, *id, *h;
};
/* In the place of the last one. */
void end_xml_take(struct end_xml_element *e, const char *name, const char **attributes);
void end_xml_forget(struct end_xml_element *e);

/* The header of a stream between servers; id: NULL on one that we open. */
void end_xml_header(struct strbuf *out, const char *from, const char *to, const char *id);
/* Of a stream that was opened to us: dialback and XEP-0198. */
void end_xml_features(struct strbuf *out);
/* The answer to a question of dialback: every key is valid. from, to: ours and theirs where it does not say. */
void end_xml_vouch(struct strbuf *out, const struct end_xml_element *question, const char *from,
		   const char *to);

#endif
