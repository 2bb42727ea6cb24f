/*
 * xmlscope.c - what an element inherits from its stream header.
 *
 * A prefix is lacking when a name in the element has it, and no tag of the
 * element between that name and the header declares it anew: each prefix of the
 * header counts the declarations that hide it. Such a declaration can then be
 * added to the first tag: that tag does not declare the prefix itself, and
 * below it means what it meant.
 *
 * Only names are looked at. A prefix in a value ("xsi:type='db:x'") is beyond
 * XML namespaces, and XMPP has none (RFC 6120 section 8.4 asks every stanza to
 * declare what it uses). Owns its strings; nothing is fatal.
 */
#include "bridge/xmpp/xmlscope.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/xml.h"

struct xml_prefix {
	char *name, *uri;
	unsigned hidden; /* open elements that declare it anew */
	bool used;
};

void xml_scope_declare(struct xml_scope *s, const char *prefix, const char *uri)
{
	s->prefixes = xrealloc(s->prefixes, (s->count + 1) * sizeof(*s->prefixes));
	s->prefixes[s->count++] = (struct xml_prefix){ .name = xstrdup(prefix), .uri = xstrdup(uri) };
}

void xml_scope_set_lang(struct xml_scope *s, const char *lang)
{
	if (lang != NULL && lang[0] != '\0')
		s->lang = xstrdup(lang);
}

static struct xml_prefix *find(const struct xml_scope *s, const char *prefix)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->prefixes[i].name, prefix) == 0)
			return &s->prefixes[i];
	return NULL;
}

void xml_scope_enter(struct xml_scope *s, const char *prefix)
{
	struct xml_prefix *p = find(s, prefix);

	if (p != NULL)
		p->hidden++;
}

void xml_scope_leave(struct xml_scope *s, const char *prefix)
{
	struct xml_prefix *p = find(s, prefix);

	if (p != NULL)
		p->hidden--;
}

void xml_scope_use(struct xml_scope *s, const char *prefix)
{
	struct xml_prefix *p = find(s, prefix);

	if (p != NULL && p->hidden == 0)
		p->used = s->lacking = true;
}

void xml_scope_write(struct xml_scope *s, bool with_lang, struct strbuf *out)
{
	if (with_lang)
		xml_attr(out, "xml:lang", s->lang);
	if (!s->lacking)
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct xml_prefix *p = &s->prefixes[i];
		char *name;

		if (!p->used)
			continue;
		name = xasprintf("xmlns:%s", p->name);
		xml_attr(out, name, p->uri);
		free(name);
		p->used = false;
	}
	s->lacking = false;
}

void xml_scope_free(struct xml_scope *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->prefixes[i].name);
		free(s->prefixes[i].uri);
	}
	free(s->prefixes);
	free(s->lang);
	*s = (struct xml_scope){ 0 };
}
