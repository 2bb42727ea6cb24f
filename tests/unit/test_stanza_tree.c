/* The tree of a stanza: what the gateway finds in it, and what it must not find. */
#include "bridge/xmpp/stanza.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHATSTATES "http://jabber.org/protocol/chatstates"
#define ERRORS     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"

/* A tree of these bytes; NULL when it cannot be built. */
static struct stanza_tree *build(const char *bytes)
{
	struct stanza s = { .bytes = bytes, .size = strlen(bytes) };
	struct stanza_tree *t = NULL;

	if (stanza_tree_build(&s, &t) != OK)
		assert_null(t);
	return t;
}

static const struct {
	const char *bytes, *name, *ns;
	const char *text; /* NULL: no such child */
} texts[] = {
	{ "<message><body>hi</body></message>", "body", NULL, "hi" },
	{ "<message xmlns='jabber:server'><body>hi</body></message>", "body", NULL, "hi" },
	{ "<message><body xmlns='jabber:server'>hi</body></message>", "body", NULL, "hi" },
	{ "<message><body>hi</body></message>", "body", "jabber:server", "hi" },
	{ "<message><body/></message>", "body", NULL, "" },
	{ "<message><body></body></message>", "body", NULL, "" },
	{ "<message/>", "body", NULL, NULL },
	{ "<message>body</message>", "body", NULL, NULL },
	{ "<message><body>one</body><body>two</body></message>", "body", NULL, "one" },
	{ "<message><subject>s</subject><body>b</body></message>", "subject", NULL, "s" },
	{ "<message><body>&lt;&amp;&#x1F600;<![CDATA[<b>]]>\r\n\u00E9</body></message>", "body", NULL,
	  "<&\U0001F600<b>\n\u00E9" },
	{ "<message><body>a<b>not this</b>c<d/>e</body></message>", "body", NULL, "ace" },
	{ "<message> \n<body> x </body></message>", "body", NULL, " x " },
	/* not a child, or not in the namespace */
	{ "<message><x xmlns='urn:x'><body>inner</body></x><body>b</body></message>", "body", NULL, "b" },
	{ "<message><x xmlns='urn:x'><body xmlns='jabber:server'>inner</body></x></message>", "body", NULL,
	  NULL },
	{ "<message><body xmlns='urn:x'>x</body></message>", "body", NULL, NULL },
	{ "<message><body xmlns='urn:x'>x</body><body>b</body></message>", "body", NULL, "b" },
	{ "<message><body xmlns='urn:x'>x</body></message>", "body", "urn:x", "x" },
	{ "<message xmlns:x='urn:x'><x:body>x</x:body></message>", "body", "urn:x", "x" },
	{ "<message xmlns:x='urn:x'><x:body>x</x:body></message>", "body", NULL, NULL },
	{ "<message><body xmlns=''>x</body></message>", "body", NULL, NULL },
	{ "<message><body xmlns='' xmlns:x='urn:x' x:xmlns='jabber:server'>x</body></message>", "body", NULL,
	  NULL },
	{ "<message><body xmlns='jabber:client'>x</body></message>", "body", NULL, NULL },
	{ "<message><bodys>x</bodys></message>", "body", NULL, NULL },
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct stanza_tree *t = build(texts[i].bytes);
		const char *text;

		assert_non_null(t);
		text = stanza_tree_text(t, texts[i].name, texts[i].ns);
		if (texts[i].text == NULL ? text != NULL : text == NULL || strcmp(text, texts[i].text) != 0)
			fail_msg("%s: '%s'", texts[i].bytes, text != NULL ? text : "(null)");
		stanza_tree_free(t);
	}
	stanza_tree_free(NULL);
}

static const struct {
	const char *bytes, *name, *ns, *attribute;
	const char *value; /* NULL: none */
} attributes[] = {
	{ "<message><received xmlns='urn:r' id='1'/></message>", "received", "urn:r", "id", "1" },
	{ "<message><received xmlns='urn:r' id=''/></message>", "received", "urn:r", "id", "" },
	{ "<message><received xmlns='urn:r' id='a&#10;&apos;&lt;'/></message>", "received", "urn:r", "id",
	  "a\n'<" },
	{ "<message><received xmlns='urn:r'/></message>", "received", "urn:r", "id", NULL },
	{ "<message id='1'><received xmlns='urn:r'/></message>", "received", "urn:r", "id", NULL },
	{ "<message><received xmlns='urn:x' id='1'/></message>", "received", "urn:r", "id", NULL },
	{ "<message xmlns:x='urn:x'><received xmlns='urn:r' x:id='1'/></message>", "received", "urn:r", "id",
	  NULL },
	{ "<message xmlns:x='urn:x'><received xmlns='urn:r' x:id='1' id='2'/></message>", "received", "urn:r",
	  "id", "2" },
	{ "<message><received xmlns='urn:r' id='1'/><received xmlns='urn:r' id='2'/></message>", "received",
	  "urn:r", "id", "1" },
	/* no stranger moves an element into another namespace */
	{ "<message><a xmlns='urn:a' xmlns:x='urn:x' x:xmlns='urn:r' id='1'/></message>", "a", "urn:r", "id",
	  NULL },
	/* of children alone */
	{ "<message><x xmlns='urn:x'><received xmlns='urn:r' id='1'/></x></message>", "received", "urn:r",
	  "id", NULL },
};

static void test_attribute(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		struct stanza_tree *t = build(attributes[i].bytes);
		const char *value;

		assert_non_null(t);
		value = stanza_tree_attribute(t, attributes[i].name, attributes[i].ns,
					      attributes[i].attribute);
		if ((value != NULL) != (attributes[i].value != NULL) ||
		    (value != NULL && strcmp(value, attributes[i].value) != 0))
			fail_msg("%s: %s", attributes[i].bytes, value != NULL ? value : "none");
		stanza_tree_free(t);
	}
}

static void test_is_within(void **state)
{
	struct stanza_tree *t =
		build("<message><body>b</body><active xmlns='" CHATSTATES "'/><thread>t</thread></message>");

	static const char *const both[] = { "jabber:server", CHATSTATES };

	(void)state;
	assert_true(stanza_tree_is_within(t, both, 2));
	assert_false(stanza_tree_is_within(t, both, 1));
	assert_false(stanza_tree_is_within(t, both + 1, 1));
	assert_false(stanza_tree_is_within(t, both, 0));
	/* Strings stay while the tree stays. */
	const char *body = stanza_tree_text(t, "body", NULL), *thread = stanza_tree_text(t, "thread", NULL);
	assert_string_equal(body, "b");
	assert_string_equal(thread, "t");
	stanza_tree_free(t);
}

static const struct {
	const char *bytes;
	enum condition condition;
	const char *text;
} errors[] = {
	{ "<message type='error'><error type='cancel'><item-not-found " ERRORS "/></error></message>",
	  COND_ITEM_NOT_FOUND, NULL },
	{ "<message type='error'><body>b</body><error type='auth'><text " ERRORS
	  " xml:lang='en'>no &amp; no</text>"
	  "<forbidden " ERRORS "/></error></message>",
	  COND_FORBIDDEN, "no & no" },
	{ "<iq type='error'><error>\n <gone " ERRORS ">xmpp:a@b</gone>\n</error></iq>", COND_GONE, NULL },
	{ "<iq type='error'><error><x xmlns='urn:x'/><unexpected-request " ERRORS "/></error></iq>",
	  COND_UNEXPECTED_REQUEST, NULL },
	{ "<iq type='error'><error><text " ERRORS "/></error></iq>", COND_UNDEFINED_CONDITION, "" },
	{ "<iq type='error'/>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error/></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error>gone</error></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error><gone/></error></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error><gone xmlns='urn:x'/></error></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error><so-what " ERRORS "/></error></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><gone " ERRORS "/></iq>", COND_UNDEFINED_CONDITION, NULL },
	{ "<iq type='error'><error xmlns='urn:x'><gone " ERRORS "/></error></iq>", COND_UNDEFINED_CONDITION,
	  NULL },
};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct stanza_tree *t = build(errors[i].bytes);
		const char *text = "untouched";

		assert_non_null(t);
		if (stanza_tree_error(t, &text) != errors[i].condition)
			fail_msg("%s", errors[i].bytes);
		if (errors[i].text == NULL)
			assert_null(text);
		else
			assert_string_equal(text, errors[i].text);
		stanza_tree_free(t);
	}
}

/* Our own errors, read again. */
static void test_errors_of_ours(void **state)
{
	struct stanza *s = stanza_make(STANZA_MESSAGE, "a@x.test", "b@y.test", NULL, NULL, NULL, NULL);

	(void)state;
	for (int c = 0; c < CONDITIONS; c++) {
		struct stanza *answer = stanza_error(s, (enum condition)c, "a <text> & \"more\"", "xmpp:x@y");
		struct stanza_tree *t = NULL;
		const char *text;

		assert_int_equal(stanza_tree_build(answer, &t), OK);
		assert_int_equal(stanza_tree_error(t, &text), c);
		assert_string_equal(text, "a <text> & \"more\"");
		stanza_tree_free(t);
		stanza_unref(answer);
	}
	stanza_unref(s);
}

/* The stream parser lets nothing of this through; a tree of it would be a lie. */
static void test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"text",
		"<message>",
		"<message/><message/>",
		"<message/><message><body>x</body></message>",
		"<message/></wrapper><wrapper>",
		"</wrapper><wrapper xmlns='jabber:server'><message/>",
		"<message></body></message>",
		"<x:message/>",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (build(rows[i]) != NULL)
			fail_msg("built: %s", rows[i]);
}

/* Deep, and in many pieces: as far as the limits of a stream may let it. */
static void test_large(void **state)
{
	struct strbuf b = { 0 };
	struct stanza_tree *t;

	(void)state;
	strbuf_puts(&b, "<message>");
	for (int i = 0; i < 1000; i++)
		strbuf_puts(&b, "<a>");
	for (int i = 0; i < 1000; i++)
		strbuf_puts(&b, "</a>");
	strbuf_puts(&b, "<body>");
	for (int i = 0; i < 100000; i++)
		strbuf_puts(&b, "\n&amp;");
	strbuf_puts(&b, "</body></message>");
	t = build(b.s);
	assert_non_null(t);
	assert_int_equal(strlen(stanza_tree_text(t, "body", NULL)), 200000);
	stanza_tree_free(t);
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),           cmocka_unit_test(test_attribute),
		cmocka_unit_test(test_is_within),      cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_of_ours), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
