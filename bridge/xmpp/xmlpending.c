/*
 * xmlpending.c - the first-level element in progress.
 *
 * Expat's strings live as long as one event, so what the start tag said is
 * copied. The element's own bytes are not: they are copied only when something
 * of the stream header must be written into them. Owns its buffers and keeps
 * them from one element to the next. Nothing is fatal.
 */
#include "bridge/xmpp/xmlpending.h"

#include <string.h>

/* Memory kept for the next element. */
enum { KEEP_BYTES = 16384 };

void xml_recycle(struct strbuf *b)
{
	if (b->cap > KEEP_BYTES)
		strbuf_free(b);
	else
		strbuf_reset(b);
}

static bool is_stanza(const struct xml_name *name)
{
	return xml_name_has_ns(name, NS_SERVER) &&
	       (xml_name_is_local(name, "message") || xml_name_is_local(name, "presence") ||
		xml_name_is_local(name, "iq"));
}

/* The byte behind the string is there: a separator or the NUL. */
static size_t add_string(struct xml_pending *p, const char *s, size_t n)
{
	size_t at = p->strings.len;

	strbuf_add(&p->strings, s, n + 1);
	p->strings.s[at + n] = '\0';
	return at;
}

void xml_pending_begin(struct xml_pending *p, const struct xml_name *name, const char **attributes)
{
	p->is_stanza = is_stanza(name);
	memset(p->fields, 0, sizeof(p->fields));
	strbuf_reset(&p->strings);
	/* The names come first, so no field is at 0. */
	p->ns = add_string(p, name->ns, name->ns_length);
	p->name = add_string(p, name->local, name->local_length);
	for (; attributes[0] != NULL; attributes += 2) {
		enum xml_field field = xml_attribute_field(attributes[0]);

		if (field != XML_FIELDS)
			p->fields[field] = add_string(p, attributes[1], strlen(attributes[1]));
	}
}

static const char *field_value(const struct xml_pending *p, enum xml_field field)
{
	return p->fields[field] != 0 ? p->strings.s + p->fields[field] : NULL;
}

/* Write into the start tag, behind its name, what the element took from the header. */
static void make_standalone(struct xml_pending *p, struct xml_element *e)
{
	bool with_lang = p->scope.lang != NULL && e->lang == NULL;
	size_t name_end;

	if (with_lang)
		e->lang = p->scope.lang;
	if (!with_lang && !p->scope.lacking)
		return;
	name_end = strcspn(e->bytes, " \t\r\n/>");
	strbuf_add(&p->standalone, e->bytes, name_end);
	xml_scope_write(&p->scope, with_lang, &p->standalone);
	strbuf_add(&p->standalone, e->bytes + name_end, e->size - name_end);
	e->bytes = p->standalone.s;
	e->size = p->standalone.len;
}

void xml_pending_finish(struct xml_pending *p, const char *bytes, size_t size, struct xml_element *out)
{
	*out = (struct xml_element){
		.ns = p->strings.s + p->ns,
		.name = p->strings.s + p->name,
		.from = field_value(p, XML_FROM),
		.to = field_value(p, XML_TO),
		.id = field_value(p, XML_ID),
		.type = field_value(p, XML_TYPE),
		.lang = field_value(p, XML_LANG),
		.mechanism = field_value(p, XML_MECHANISM),
		.h = field_value(p, XML_H),
		.bytes = bytes,
		.size = size,
	};
	make_standalone(p, out);
	if (!p->is_stanza)
		xml_capture_finish(&p->capture, out);
}

void xml_pending_reset(struct xml_pending *p)
{
	if (!p->is_stanza)
		xml_capture_reset(&p->capture);
	xml_recycle(&p->strings);
	xml_recycle(&p->standalone);
}

void xml_pending_free(struct xml_pending *p)
{
	xml_scope_free(&p->scope);
	xml_capture_reset(&p->capture);
	strbuf_free(&p->strings);
	strbuf_free(&p->standalone);
}
