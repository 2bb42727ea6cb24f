/*
 * end_xml.h - what the playing ends that speak XMPP ask of expat.
 *
 * Memory that cannot be had ends the program.
 */
#ifndef POOLBRIDGE_BENCH_END_XML_H
#define POOLBRIDGE_BENCH_END_XML_H

#include <expat.h>

/* Of names with namespaces, which a "|" ends. The caller frees it. */
XML_Parser end_xml_new(void);
/* The next bytes are a new stream's; owner is what start and end are called with. */
void end_xml_begin(XML_Parser parser, void *owner, XML_StartElementHandler start, XML_EndElementHandler end);
/* A name without its namespace. */
const char *end_xml_local(const char *name);
/* NULL: it is not there. */
const char *end_xml_attribute(const char **attributes, const char *name);
/* A copy of it in the place of the last one. */
void end_xml_keep(char **where, const char **attributes, const char *name);

#endif
