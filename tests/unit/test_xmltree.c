/* test_xmltree.c - small XML documents: what is read, what is refused, and where the limits are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/xmltree.h"

#define NS_XML "http://www.w3.org/XML/1998/namespace"

/* One line for a tree: {ns}name[attributes](text; children). */
static void draw(struct strbuf *b, const struct xmlnode *n)
{
	strbuf_printf(b, "{%s}%s", n->ns, n->name);
	for (size_t i = 0; i < n->attribute_count; i++)
		strbuf_printf(b, "[{%s}%s=%s]", n->attributes[i].ns, n->attributes[i].name,
			      n->attributes[i].value);
	if (n->lang != NULL)
		strbuf_printf(b, "@%s", n->lang);
	strbuf_printf(b, "(%s", n->text);
	for (n = n->children; n != NULL; n = n->next)
		draw(b, n);
	strbuf_putc(b, ')');
}

static const struct {
	const char *xml, *within, *drawn; /* drawn NULL: ERR_SYNTAX */
} cases[] = {
	{ "<a/>", NULL, "{}a()" },
	{ "<?xml version='1.0' encoding='UTF-8'?>\r\n<a/>\r\n", NULL, "{}a()" },
	{ "<?xml version='1.0' encoding='utf-8' standalone='no'?><a/>", NULL, "{}a()" },
	{ "<?xml version='1.0' encoding='us-ascii'?><a/>", NULL, "{}a()" },
	{ "\xEF\xBB\xBF<a/>", NULL, "{}a()" },
	{ "<a xmlns='u' xmlns:p='v'><p:b p:c='1' d='2'/><b xmlns=''/></a>", NULL,
	  "{u}a({v}b[{v}c=1][{}d=2](){}b())" },
	{ "<a>x<b>y</b>z</a>", NULL, "{}a(xz{}b(y))" },
	{ "<a>x<!-- w -->y<?p i?>z<![CDATA[<&]]></a>", NULL, "{}a(xyz<&)" },
	{ "<a t='&quot;&#65;'>&lt;&gt;&amp;&apos;&#x20AC;</a>", NULL, "{}a[{}t=\"A](<>&'\xE2\x82\xAC)" },
	{ "<a xml:lang='en'><b/><b xml:lang='de'><c/></b><b xml:lang=''/></a>", NULL,
	  "{}a[{" NS_XML "}lang=en]@en({}b@en(){}b[{" NS_XML "}lang=de]@de({}c@de()){}b[{" NS_XML
	  "}lang=]())" },
	{ "<a lang='en' xml:space='de'/>", NULL, "{}a[{}lang=en][{" NS_XML "}space=de]()" },
	{ "<presence/>", "jabber:server", "{jabber:server}presence()" },
	{ "<a xmlns='u'>x</a>", "jabber:server", "{u}a(x)" },

	{ "", NULL, NULL },
	{ " ", NULL, NULL },
	{ "<a>", NULL, NULL },
	{ "<a/><a/>", NULL, NULL },
	{ "<a/>x", NULL, NULL },
	{ "x<a/>", NULL, NULL },
	{ "<a></b>", NULL, NULL },
	{ "<a>&b;</a>", NULL, NULL },
	{ "<a b='1' b='2'/>", NULL, NULL },
	{ "<p:a/>", NULL, NULL },
	{ "<a>\xFF</a>", NULL, NULL },
	{ "<a>\xC3</a>", NULL, NULL },
	{ "<a>\x01</a>", NULL, NULL },
	{ "<a>&#1;</a>", NULL, NULL },
	{ "<a>&#xFFFE;</a>", NULL, NULL },
	{ "\xFE\xFF\x00<", NULL, NULL },
	{ "<?xml version='1.0' encoding='UTF-16'?><a/>", NULL, NULL },
	{ "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", NULL, NULL },
	{ "<!DOCTYPE a><a/>", NULL, NULL },
	{ "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", NULL, NULL },
	{ "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", NULL, NULL },
	{ "", "jabber:server", NULL },
	{ "x", "jabber:server", NULL },
	{ "<a/><b/>", "jabber:server", NULL },
	{ "</wrapper><wrapper>", "jabber:server", NULL },
	{ "<a/></wrapper><wrapper>", "jabber:server", NULL },
	{ "<?xml version='1.0'?><a/>", "jabber:server", NULL },
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct xmltree *t = NULL;
		struct strbuf drawn = { 0 };
		enum err e = xmltree_parse(cases[i].xml, strlen(cases[i].xml), cases[i].within, &t);

		if (e != (cases[i].drawn != NULL ? OK : ERR_SYNTAX))
			fail_msg("%s: %s", cases[i].xml, err_text(e));
		if (e == OK) {
			draw(&drawn, xmltree_root(t));
			assert_string_equal(drawn.s, cases[i].drawn);
		} else {
			assert_null(t);
		}
		strbuf_free(&drawn);
		xmltree_free(t);
	}
	xmltree_free(NULL);
}

/* Whole documents in UTF-16, with a mark of the byte order and without. */
static void test_utf16(void **state)
{
	static const char documents[][10] = { "\xFF\xFE<\0a\0/\0>", "\xFE\xFF\0<\0a\0/\0>", "<\0a\0/\0>\0",
					      "\0<\0a\0/\0>" };
	static const size_t sizes[] = { 10, 10, 8, 8 };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		struct xmltree *t = NULL;

		assert_int_equal(xmltree_parse(documents[i], sizes[i], NULL, &t), ERR_SYNTAX);
		assert_null(t);
	}
}

static void test_questions(void **state)
{
	static const char xml[] =
		"<a xmlns='u' xmlns:p='v' p:t='1' t='2'><b>1</b><p:b>2</p:b><c/><b>3</b></a>";
	struct xmltree *t = NULL;
	const struct xmlnode *root, *b;
	(void)state;

	assert_int_equal(xmltree_parse(xml, sizeof(xml) - 1, NULL, &t), OK);
	root = xmltree_root(t);
	assert_true(xmlnode_is(root, "u", "a"));
	assert_false(xmlnode_is(root, "v", "a"));
	assert_string_equal(xmlnode_attribute(root, "v", "t"), "1");
	assert_string_equal(xmlnode_attribute(root, "", "t"), "2");
	assert_null(xmlnode_attribute(root, "", "b"));
	b = xmlnode_child(root, "u", "b");
	assert_string_equal(b->text, "1");
	b = xmlnode_next(b, "u", "b");
	assert_string_equal(b->text, "3");
	assert_null(xmlnode_next(b, "u", "b"));
	assert_string_equal(xmlnode_child(root, "v", "b")->text, "2");
	assert_null(xmlnode_child(root, "", "b"));
	assert_null(xmlnode_child(b, "u", "b"));
	assert_null(xmlnode_child(NULL, "u", "b"));
	xmltree_free(t);
}

static enum err parse(const struct strbuf *b)
{
	struct xmltree *t = NULL;
	enum err e = xmltree_parse(b->s, b->len, NULL, &t);

	xmltree_free(t);
	return e;
}

static enum err parse_repeated(const char *head, const char *item, size_t count, const char *tail)
{
	struct strbuf b = { 0 };
	enum err e;

	strbuf_puts(&b, head);
	for (size_t i = 0; i < count; i++)
		strbuf_puts(&b, item);
	strbuf_puts(&b, tail);
	e = parse(&b);
	strbuf_free(&b);
	return e;
}

static enum err parse_nested(size_t depth)
{
	struct strbuf b = { 0 };
	enum err e;

	for (size_t i = 0; i < depth; i++)
		strbuf_puts(&b, "<a>");
	for (size_t i = 0; i < depth; i++)
		strbuf_puts(&b, "</a>");
	e = parse(&b);
	strbuf_free(&b);
	return e;
}

/* Attributes, declared namespaces, or both. */
static enum err parse_attributes(size_t plain, size_t declared)
{
	struct strbuf b = { 0 };
	enum err e;

	strbuf_puts(&b, "<a");
	for (size_t i = 0; i < plain; i++)
		strbuf_printf(&b, " a%zu=''", i);
	for (size_t i = 0; i < declared; i++)
		strbuf_printf(&b, " xmlns:n%zu='u'", i);
	strbuf_puts(&b, "><b/></a>");
	e = parse(&b);
	strbuf_free(&b);
	return e;
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(parse_repeated("<a>", "x", XMLTREE_BYTES - 7, "</a>"), OK);
	assert_int_equal(parse_repeated("<a>", "x", XMLTREE_BYTES - 6, "</a>"), ERR_LIMIT);
	assert_int_equal(parse_repeated("<a>", "<b/>", XMLTREE_ELEMENTS - 1, "</a>"), OK);
	assert_int_equal(parse_repeated("<a>", "<b/>", XMLTREE_ELEMENTS, "</a>"), ERR_LIMIT);
	assert_int_equal(parse_nested(XMLTREE_DEPTH), OK);
	assert_int_equal(parse_nested(XMLTREE_DEPTH + 1), ERR_LIMIT);
	assert_int_equal(parse_attributes(XMLTREE_ATTRIBUTES, 0), OK);
	assert_int_equal(parse_attributes(XMLTREE_ATTRIBUTES + 1, 0), ERR_LIMIT);
	assert_int_equal(parse_attributes(0, XMLTREE_ATTRIBUTES), OK);
	assert_int_equal(parse_attributes(0, XMLTREE_ATTRIBUTES + 1), ERR_LIMIT);
	assert_int_equal(parse_attributes(XMLTREE_ATTRIBUTES - 1, 2), ERR_LIMIT);
	assert_int_equal(parse_repeated("<a xmlns='", "u", XMLTREE_NAMESPACE, "'/>"), OK);
	assert_int_equal(parse_repeated("<a xmlns='", "u", XMLTREE_NAMESPACE + 1, "'/>"), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_utf16),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
