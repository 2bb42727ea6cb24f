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

static void keep(char **where, const char **attributes, const char *name)
{
	const char *value = end_xml_attribute(attributes, name);

	free(*where);
	*where = value ? xstrdup(value) : NULL;
}

void end_xml_take(struct end_xml_element *e, const char *name, const char **attributes)
{
	str_copy(e->name, sizeof(e->name), end_xml_local(name));
	keep(&e->from, attributes, "from");
	keep(&e->to, attributes, "to");
	keep(&e->type, attributes, "type");
	keep(&e->id, attributes, "id");
	keep(&e->h, attributes, "h");
}

void end_xml_forget(struct end_xml_element *e)
{
	free(e->from);
	free(e->to);
	free(e->type);
	free(e->id);
	free(e->h);
	*e = (struct end_xml_element){ .name = "" };
}

void end_xml_header(struct strbuf *out, const char *from, const char *to, const char *id)
{
	strbuf_printf(
		out,
		"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
		"xmlns:stream='http://etherx.jabber.org/streams' from='%s' to='%s' version='1.0'",
		from, to);
	if (id)
		strbuf_printf(out, " id='%s'", id);
	strbuf_puts(out, ">");
}

void end_xml_features(struct strbuf *out)
{
	strbuf_puts(out, "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
			 "<sm xmlns='urn:xmpp:sm:3'/></stream:features>");
}

void end_xml_vouch(struct strbuf *out, const struct end_xml_element *question, const char *from,
		   const char *to)
{
	strbuf_printf(out, "<db:%s from='%s' to='%s'", question->name, question->to ? question->to : from,
		      question->from ? question->from : to);
	if (question->id)
		strbuf_printf(out, " id='%s'", question->id);
	strbuf_puts(out, " type='valid'/>");
}
