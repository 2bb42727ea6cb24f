/* end_xml.c - see end_xml.h. */
#include "config.h"

#include "bench/end_xml.h"

#include <stdlib.h>
#include <string.h>

#include "bench/end.h"

XML_Parser end_xml_new(void)
{
	XML_Parser parser = XML_ParserCreateNS(NULL, '|');

	if (!parser)
		end_fail("expat");
	return parser;
}

void end_xml_begin(XML_Parser parser, void *owner, XML_StartElementHandler start, XML_EndElementHandler end)
{
	XML_ParserReset(parser, NULL);
	XML_SetUserData(parser, owner);
	XML_SetElementHandler(parser, start, end);
#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	XML_SetReparseDeferralEnabled(parser, XML_FALSE);
#endif
}

const char *end_xml_local(const char *name)
{
	const char *bar = strrchr(name, '|');

	return bar ? bar + 1 : name;
}

const char *end_xml_attribute(const char **attributes, const char *name)
{
	for (; attributes[0]; attributes += 2)
		if (strcmp(attributes[0], name) == 0)
			return attributes[1];
	return NULL;
}

void end_xml_keep(char **where, const char **attributes, const char *name)
{
	const char *value = end_xml_attribute(attributes, name);

	free(*where);
	*where = value ? xstrdup(value) : NULL;
}
