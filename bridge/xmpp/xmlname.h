/*
 * xmlname.h - names as expat reports them in namespace mode with prefixes:
 * [namespace SEPARATOR] local [SEPARATOR prefix].
 *
 * For the stream parser's files alone. Pure; points into the reported name.
 */
#ifndef POOLBRIDGE_XMPP_XMLNAME_H
#define POOLBRIDGE_XMPP_XMLNAME_H

#include "bridge/core/base.h"

/* A byte that no UTF-8 text holds, so that no namespace can forge a name (CVE-2022-25236). */
#define XML_SEPARATOR '\xFF'

struct xml_name {
	const char *ns, *local; /* not terminated; ns "" for none */
	const char *prefix;     /* terminated; NULL for none */
	size_t ns_length, local_length;
};

struct xml_name xml_name_split(const char *reported);
bool xml_name_has_ns(const struct xml_name *name, const char *ns);
bool xml_name_is_local(const struct xml_name *name, const char *local);

/* The prefix of an attribute, or NULL. */
const char *xml_attribute_prefix(const char *reported);

/* The attributes that the stream parser reads; none of them has a prefix but xml:lang. */
enum xml_field {
	XML_FROM,
	XML_TO,
	XML_ID,
	XML_TYPE,
	XML_LANG,
	XML_VERSION,
	XML_MECHANISM,
	XML_H,
	XML_FIELDS
};

/* XML_FIELDS: another attribute. */
enum xml_field xml_attribute_field(const char *reported);

#endif
