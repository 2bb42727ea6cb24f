/* test_stanza_walk.c - the children of a stanza by a walk over its bytes: what it sees a tree sees, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/stanza.h"

#define MESSAGE(inner) "<message from='a@b.test' id=\"x>y\">" inner "</message>"

/* The children as name{namespace}text: & before the text says that it is not literal, - that there is none. */
static const struct {
	const char *stanza, *children; /* NULL: only a tree knows */
} rows[] = {
	{ "<message/>", "" },
	{ "<message to='>'/>", "" },
	{ "<message></message>", "" },
	{ MESSAGE("<body>hi</body>"), "body{}hi;" },
	{ MESSAGE("<body></body><thread/>"), "body{};thread{};" },
	{ MESSAGE("<body\n>a b</body\n>\n <x\t/> "), "body{}a b;x{};" },
	{ MESSAGE("<body>a &amp; b</body>"), "body{}&a &amp; b;" },
	{ MESSAGE("<active xmlns='urn:x'/><body>1</body>"), "active{urn:x};body{}1;" },
	{ MESSAGE("<active a='1' xmlns = \"urn:x\" b='2'/>"), "active{urn:x};" },
	{ MESSAGE("<x a=\"xmlns='urn:y'\" axmlns='urn:z' xmlns1='urn:w'/>"), "x{};" },
	{ MESSAGE("<x xmlns:y='urn:y' xmlns='urn:x' z='&lt;'/>"), "x{urn:x};" },
	{ MESSAGE("<x a='/>'>t</x><body>b</body>"), "x{}t;body{}b;" },
	{ MESSAGE("<x><body>inner</body></x><body>outer</body>"), "x{}-;body{}outer;" },
	{ MESSAGE("<x>t<y/></x><x><y/>t</x><x><x><x/></x></x>"), "x{}-;x{}-;x{}-;" },
	{ MESSAGE("<body>]]&gt;</body>"), "body{}&]]&gt;;" },
	{ MESSAGE("<body>a\r\nb</body>"), "body{}&a\r\nb;" },
	{ MESSAGE("<x xmlns=''/>"), "x{};" },
	{ MESSAGE("<y:x xmlns:y='urn:y'/>"), NULL },
	{ MESSAGE("<body>1</body><y:x xmlns:y='urn:y'>t</y:x>"), NULL },
	{ MESSAGE("<body><![CDATA[</body>]]></body>"), NULL },
	{ MESSAGE("<![CDATA[ ]]><body/>"), NULL },
	{ MESSAGE("<x xmlns='urn:&#120;'/>"), NULL },
	{ MESSAGE("<x xmlns='urn:\r\nx'/>"), NULL },
};

static struct stanza *make(const char *bytes)
{
	const struct xml_element e = { .ns = "jabber:server",
				       .name = "message",
				       .from = "a@b.test",
				       .to = "c@d.test",
				       .bytes = bytes,
				       .size = strlen(bytes) };
	struct stanza *stanza = NULL;

	assert_int_equal(stanza_from_element(&e, &stanza), OK);
	return stanza;
}

static void write_child(const struct stanza_child *c, struct strbuf *out)
{
	strbuf_add(out, c->name, c->name_size);
	strbuf_puts(out, "{");
	if (c->ns != NULL)
		strbuf_add(out, c->ns, c->ns_size);
	strbuf_puts(out, "}");
	if (c->text == NULL)
		strbuf_puts(out, "-");
	else if (!c->is_literal)
		strbuf_puts(out, "&");
	if (c->text != NULL)
		strbuf_add(out, c->text, c->text_size);
	strbuf_puts(out, ";");
}

static void test_children(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stanza *stanza = make(rows[i].stanza);
		struct stanza_walk w = stanza_walk_begin(stanza);
		struct stanza_child child;
		struct strbuf b = { 0 };

		strbuf_puts(&b, "");
		while (stanza_walk_next(&w, &child))
			write_child(&child, &b);
		if (w.is_complex != (rows[i].children == NULL))
			fail_msg("%s: is_complex %d", rows[i].stanza, w.is_complex);
		if (!w.is_complex)
			assert_string_equal(b.s, rows[i].children);
		assert_false(stanza_walk_next(&w, &child));
		strbuf_free(&b);
		stanza_unref(stanza);
	}
}

/* Literal text is what a tree has, to the byte. */
static void test_like_a_tree(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stanza *stanza = make(rows[i].stanza);
		struct stanza_walk w = stanza_walk_begin(stanza);
		struct stanza_child child;
		struct stanza_tree *tree;
		unsigned bodies = 0;

		assert_int_equal(stanza_tree_build(stanza, &tree), OK);
		while (stanza_walk_next(&w, &child)) {
			if (!stanza_child_is(&child, "body", "jabber:server") || !child.is_literal ||
			    bodies++ > 0)
				continue;
			assert_int_equal(strlen(stanza_tree_text(tree, "body", NULL)), child.text_size);
			assert_memory_equal(stanza_tree_text(tree, "body", NULL), child.text,
					    child.text_size);
		}
		stanza_tree_free(tree);
		stanza_unref(stanza);
	}
}

static void test_child_is(void **state)
{
	struct stanza *stanza = make(MESSAGE("<active xmlns='urn:x'/><body>b</body>"));
	struct stanza_walk w = stanza_walk_begin(stanza);
	struct stanza_child child;

	(void)state;
	assert_true(stanza_walk_next(&w, &child));
	assert_true(stanza_child_is(&child, "active", "urn:x"));
	assert_false(stanza_child_is(&child, "active", "urn:"));
	assert_false(stanza_child_is(&child, "activ", "urn:x"));
	assert_false(stanza_child_is(&child, "active", "jabber:server"));
	assert_true(stanza_walk_next(&w, &child));
	assert_true(stanza_child_is(&child, "body", "jabber:server"));
	assert_false(stanza_child_is(&child, "body", "urn:x"));
	stanza_unref(stanza);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_like_a_tree),
		cmocka_unit_test(test_child_is),
	};

	return cmocka_run_group_tests_name("stanza walk", tests, NULL, NULL);
}
