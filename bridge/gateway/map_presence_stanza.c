/*
 * map_presence_stanza.c - presence stanzas to presence and back (RFC 6121
 * section 4.7, RFC 8048 section 6).
 *
 * Only presence that tells a state; subscriptions, probes and errors are the
 * caller's. What we do not understand in a stanza is not carried over, and
 * nothing is invented: no capabilities, no delay.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/xml.h"

#define NS_XML "http://www.w3.org/XML/1998/namespace"

/* An integer from -128 to 127, as xs:byte has it; all else is the default, 0 (RFC 6121 section 4.7.2.3). */
static int read_priority(const char *text)
{
	bool negative;
	unsigned value;

	text += strspn(text, " \t\r\n");
	negative = *text == '-';
	if (*text == '-' || *text == '+')
		text++;
	if (*text < '0' || *text > '9' || !word_number(text, negative ? -PRIORITY_MIN : PRIORITY_MAX, &value))
		return 0;
	return negative ? -(int)value : (int)value;
}

/* Several are translations (RFC 6121 section 4.7.2.2): the one in the language of the stanza, else the first. */
static const struct xmlnode *choose_status(const struct xmlnode *root)
{
	const struct xmlnode *first = xmlnode_child(root, NS_SERVER, "status"), *status;

	for (status = first; status != NULL; status = xmlnode_next(status, NS_SERVER, "status"))
		if (xmlnode_attribute(status, NS_XML, "lang") == NULL)
			return status;
	return first;
}

static enum err read_from(const char *from, struct presence *p)
{
	struct jid jid;
	enum err e = from != NULL ? jid_parse(from, &jid) : ERR_SYNTAX;

	if (e == OK && jid.resource[0] != '\0')
		p->resource = xstrdup(jid.resource);
	return e;
}

static void read_children(const struct xmlnode *root, struct presence *p)
{
	const struct xmlnode *show = xmlnode_child(root, NS_SERVER, "show");
	const struct xmlnode *priority = xmlnode_child(root, NS_SERVER, "priority");
	const struct xmlnode *status = choose_status(root);

	if (p->available && show != NULL)
		word_show(show->text, &p->show);
	if (p->available && priority != NULL)
		p->priority = read_priority(priority->text);
	if (status != NULL)
		presence_set_status(p, status->text, status->lang);
}

enum err presence_from_stanza(const struct stanza *s, struct presence *out)
{
	struct presence p = { .available = s->type == NULL };
	struct xmltree *t = NULL;
	enum err e;

	if (s->kind != STANZA_PRESENCE || (s->type != NULL && !stanza_has_type(s, "unavailable")))
		return ERR_REFUSED;
	e = xmltree_parse(s->bytes, s->size, NS_SERVER, &t);
	if (e == OK)
		e = read_from(s->from, &p);
	if (e == OK) {
		read_children(xmltree_root(t), &p);
		*out = p;
	}
	xmltree_free(t);
	return e;
}

static void put_element(struct strbuf *inner, const char *name, const char *ns, const char *text)
{
	if (text == NULL)
		return;
	strbuf_printf(inner, "<%s", name);
	xml_attr(inner, "xmlns", ns);
	strbuf_putc(inner, '>');
	xml_text(inner, text, strlen(text));
	strbuf_printf(inner, "</%s>", name);
}

static bool is_xml(const char *s)
{
	return s == NULL || utf8_is_xml(s, strlen(s));
}

enum err presence_to_stanza(const struct presence *p, const struct presence_stanza *how, struct stanza **out)
{
	const char *status = how->no_status ? NULL : p->status;
	const char *lang = status != NULL && p->lang != NULL && map_lang_valid(p->lang) ? p->lang : NULL;
	struct strbuf inner = { 0 };

	if (!is_xml(status) || !is_xml(how->nick))
		return ERR_SYNTAX;
	if (p->available)
		put_element(&inner, "show", NULL, presence_show_name(p->show));
	put_element(&inner, "status", NULL, status);
	if (p->available && p->priority != 0)
		strbuf_printf(&inner, "<priority>%d</priority>", p->priority);
	put_element(&inner, "nick", NS_NICK, how->nick);
	*out = stanza_make(STANZA_PRESENCE, how->from, how->to, NULL, p->available ? NULL : "unavailable",
			   lang, &inner);
	strbuf_free(&inner);
	return OK;
}
