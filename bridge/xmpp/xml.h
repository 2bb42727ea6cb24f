/*
 * xml.h - writing XML text into a buffer, safely.
 *
 * The caller has made sure that values are UTF-8 of XML characters only
 * (utf8_is_xml); these functions escape & < > " '.
 */
#ifndef POOLBRIDGE_XMPP_XML_H
#define POOLBRIDGE_XMPP_XML_H

#include "bridge/core/base.h"

void xml_text(struct strbuf *b, const char *text, size_t n);
/* " name='value'"; nothing when value is NULL. */
void xml_attr(struct strbuf *b, const char *name, const char *value);

#endif
