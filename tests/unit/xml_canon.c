/* What an XML stream says, written one way; see xml_canon.h. */
#include "tests/unit/xml_canon.h"

#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LANG "http://www.w3.org/XML/1998/namespace\xFFlang"

struct canon {
	unsigned depth;
	char *lang;
	struct strbuf text;
	char **elements;
	size_t count;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_attributes(struct canon *c, const char **attributes)
{
	char *pairs[512];
	size_t count = 0;
	bool has_lang = false;

	for (; attributes[0] != NULL && count < ARRAY_SIZE(pairs) - 1; attributes += 2) {
		has_lang = has_lang || strcmp(attributes[0], LANG) == 0;
		pairs[count++] = xasprintf(" %s=\"%s\"", attributes[0], attributes[1]);
	}
	if (c->depth == 1 && c->lang != NULL && !has_lang)
		pairs[count++] = xasprintf(" %s=\"%s\"", LANG, c->lang);
	qsort(pairs, count, sizeof(pairs[0]), compare);
	for (size_t i = 0; i < count; i++) {
		strbuf_puts(&c->text, pairs[i]);
		free(pairs[i]);
	}
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct canon *c = ctx;

	if (c->depth > 0) {
		strbuf_printf(&c->text, "<{%s}", name);
		add_attributes(c, attributes);
		strbuf_putc(&c->text, '>');
	} else {
		for (; attributes[0] != NULL; attributes += 2)
			if (strcmp(attributes[0], LANG) == 0 && attributes[1][0] != '\0')
				c->lang = xstrdup(attributes[1]);
	}
	c->depth++;
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct canon *c = ctx;

	(void)name;
	if (--c->depth == 0)
		return;
	strbuf_puts(&c->text, "</>");
	if (c->depth == 1 && c->count < CANON_MAX)
		c->elements[c->count++] = strbuf_take(&c->text);
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
	struct canon *c = ctx;

	if (c->depth > 1)
		strbuf_add(&c->text, text, (size_t)n);
}

static size_t run(const char *const pieces[], const size_t sizes[], size_t count, char *elements[CANON_MAX],
		  bool *complete)
{
	XML_Parser parser = XML_ParserCreateNS("UTF-8", '\xFF');
	struct canon c = { .elements = elements };
	bool ok = true;

	XML_SetUserData(parser, &c);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	for (size_t i = 0; i < count && ok; i++)
		ok = sizes[i] <= INT_MAX &&
		     XML_Parse(parser, pieces[i], (int)sizes[i], i + 1 == count) == XML_STATUS_OK;
	XML_ParserFree(parser);
	free(c.lang);
	strbuf_free(&c.text);
	*complete = ok;
	return c.count;
}

size_t xml_canon(const char *stream, size_t n, char *elements[CANON_MAX])
{
	bool complete;

	return run(&stream, &n, 1, elements, &complete);
}

bool xml_canon_is_complete(const char *stream, size_t n)
{
	char *elements[CANON_MAX];
	bool complete;
	size_t count = run(&stream, &n, 1, elements, &complete);

	for (size_t i = 0; i < count; i++)
		free(elements[i]);
	return complete;
}

char *xml_canon_alone(const char *element, size_t n)
{
	static const char head[] = "<stream:stream xmlns='jabber:server' "
				   "xmlns:stream='http://etherx.jabber.org/streams'>";
	static const char tail[] = "</stream:stream>";
	const char *const pieces[] = { head, element, tail };
	const size_t sizes[] = { sizeof(head) - 1, n, sizeof(tail) - 1 };
	char *elements[CANON_MAX], *canon = NULL;
	bool complete;
	size_t count = run(pieces, sizes, ARRAY_SIZE(pieces), elements, &complete);

	if (complete && count == 1)
		canon = elements[0], count = 0;
	for (size_t i = 0; i < count; i++)
		free(elements[i]);
	return canon;
}
