/*
 * xmlpending.c - the first-level element in progress.
 *
 * Expat's strings live as long as one event, so what the start tag said is
 * copied. The element's own bytes are not: they are copied only when something
 * of the stream header must be written into them, or a namespace renamed. Owns
 * its buffers and keeps them from one element to the next. Nothing is fatal.
 */
#include "bridge/xmpp/xmlpending.h"

#include <stdlib.h>
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
	return xml_name_is_local(name, "message") || xml_name_is_local(name, "presence") ||
	       xml_name_is_local(name, "iq");
}

/* The byte behind the string is there: a separator or the NUL. */
static size_t add_string(struct xml_pending *p, const char *s, size_t n)
{
	size_t at = p->strings.len;

	strbuf_add(&p->strings, s, n + 1);
	p->strings.s[at + n] = '\0';
	return at;
}

void xml_pending_begin(struct xml_pending *p, const struct xml_name *name, const char *content,
		       const char **attributes)
{
	p->is_stanza = content != NULL && is_stanza(name);
	p->rename_count = 0;
	memset(p->fields, 0, sizeof(p->fields));
	strbuf_reset(&p->strings);
	/* The names come first, so no field is at 0. */
	p->ns = content != NULL ? add_string(p, content, strlen(content))
				: add_string(p, name->ns, name->ns_length);
	p->name = add_string(p, name->local, name->local_length);
	for (; attributes[0] != NULL; attributes += 2) {
		enum xml_field field = xml_attribute_field(attributes[0]);

		if (field != XML_FIELDS)
			p->fields[field] = add_string(p, attributes[1], strlen(attributes[1]));
	}
}

void xml_pending_rename(struct xml_pending *p, size_t offset)
{
	if (p->rename_count == p->rename_cap) {
		p->rename_cap = p->rename_cap > 0 ? 2 * p->rename_cap : 4;
		p->renames = xrealloc(p->renames, p->rename_cap * sizeof(*p->renames));
	}
	p->renames[p->rename_count++] = offset;
}

static const char *field_value(const struct xml_pending *p, enum xml_field field)
{
	return p->fields[field] != 0 ? p->strings.s + p->fields[field] : NULL;
}

/*
 * The value of the attribute xmlns in a start tag that has it and is well-formed,
 * as expat has found: there, a quote is no part of a name or of white space.
 */
static const char *default_namespace(const char *tag, size_t *size)
{
	static const char space[] = " \t\r\n";
	const char *at = tag + strcspn(tag, " \t\r\n");

	for (;;) {
		const char *name = at + strspn(at, space), *value;
		size_t name_size = strcspn(name, " \t\r\n=");

		value = name + strcspn(name, "'\"");
		*size = (size_t)(strchr(value + 1, value[0]) - (value + 1));
		if (name_size == 5 && memcmp(name, "xmlns", 5) == 0)
			return value + 1;
		at = value + 1 + *size + 1;
	}
}

/* Write into the start tag, behind its name, what the element took from the header, and rename where asked. */
static void make_standalone(struct xml_pending *p, const char *form, struct xml_element *e)
{
	bool with_lang = p->scope.lang != NULL && e->lang == NULL;
	const char *rest = e->bytes;

	if (with_lang)
		e->lang = p->scope.lang;
	if (!with_lang && !p->scope.lacking && p->rename_count == 0)
		return;
	rest += strcspn(e->bytes, " \t\r\n/>");
	strbuf_add(&p->standalone, e->bytes, (size_t)(rest - e->bytes));
	xml_scope_write(&p->scope, with_lang, &p->standalone);
	for (size_t i = 0; i < p->rename_count; i++) {
		size_t size;
		const char *value = default_namespace(e->bytes + p->renames[i], &size);

		strbuf_add(&p->standalone, rest, (size_t)(value - rest));
		strbuf_puts(&p->standalone, form);
		rest = value + size;
	}
	strbuf_add(&p->standalone, rest, e->size - (size_t)(rest - e->bytes));
	e->bytes = p->standalone.s;
	e->size = p->standalone.len;
}

void xml_pending_finish(struct xml_pending *p, const char *bytes, size_t size, const char *form,
			struct xml_element *out)
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
	make_standalone(p, form, out);
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
	free(p->renames);
	strbuf_free(&p->strings);
	strbuf_free(&p->standalone);
}
