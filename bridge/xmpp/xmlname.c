/*
 * xmlname.c - names as expat reports them.
 *
 * Called for every tag: it looks at each byte of a name once, and copies none.
 */
#include "bridge/xmpp/xmlname.h"

#include <string.h>

#define LANG "http://www.w3.org/XML/1998/namespace\xFFlang\xFFxml"

struct xml_name xml_name_split(const char *reported)
{
	const char *separator = strchr(reported, XML_SEPARATOR), *second;
	struct xml_name name = { .ns = "", .local = reported };

	if (separator == NULL) {
		name.local_length = strlen(reported);
		return name;
	}
	name.ns = reported;
	name.ns_length = (size_t)(separator - reported);
	name.local = separator + 1;
	second = strchr(name.local, XML_SEPARATOR);
	name.local_length = second != NULL ? (size_t)(second - name.local) : strlen(name.local);
	name.prefix = second != NULL ? second + 1 : NULL;
	return name;
}

bool xml_name_has_ns(const struct xml_name *name, const char *ns)
{
	return strncmp(ns, name->ns, name->ns_length) == 0 && ns[name->ns_length] == '\0';
}

bool xml_name_is_local(const struct xml_name *name, const char *local)
{
	return strncmp(local, name->local, name->local_length) == 0 && local[name->local_length] == '\0';
}

const char *xml_attribute_prefix(const char *reported)
{
	const char *separator = strchr(reported, XML_SEPARATOR);

	/* One that has a namespace has a prefix. */
	return separator != NULL ? strrchr(separator, XML_SEPARATOR) + 1 : NULL;
}

enum xml_field xml_attribute_field(const char *reported)
{
	switch (reported[0]) {
	case 'f':
		return strcmp(reported, "from") == 0 ? XML_FROM : XML_FIELDS;
	case 't':
		if (strcmp(reported, "to") == 0)
			return XML_TO;
		return strcmp(reported, "type") == 0 ? XML_TYPE : XML_FIELDS;
	case 'i':
		return strcmp(reported, "id") == 0 ? XML_ID : XML_FIELDS;
	case 'v':
		return strcmp(reported, "version") == 0 ? XML_VERSION : XML_FIELDS;
	case 'h':
		if (strcmp(reported, "h") == 0)
			return XML_H;
		return strcmp(reported, LANG) == 0 ? XML_LANG : XML_FIELDS;
	case 'm':
		return strcmp(reported, "mechanism") == 0 ? XML_MECHANISM : XML_FIELDS;
	default:
		return XML_FIELDS;
	}
}
