/*
 * xml_canon.h - what an XML stream says, written one way: a second opinion for
 * the tests and fuzzers of the stream parser, by a plain expat of its own.
 */
#ifndef POOLBRIDGE_TESTS_XML_CANON_H
#define POOLBRIDGE_TESTS_XML_CANON_H

#include "bridge/core/base.h"

#define CANON_MAX 256

/*
 * The first-level elements of a stream, as far as it is well-formed: names with
 * their namespaces, attributes sorted, text joined, an inherited xml:lang
 * written out. Free each string with free(). Returns how many there are.
 */
size_t xml_canon(const char *stream, size_t n, char *elements[CANON_MAX]);

/* Is it well-formed from its first byte to its last? */
bool xml_canon_is_complete(const char *stream, size_t n);

/* The canonical form of one element, put alone into a fresh jabber:server stream; NULL unless it is exactly one. */
char *xml_canon_alone(const char *element, size_t n);

#endif
