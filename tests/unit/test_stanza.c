/* Stanzas: what is written is escaped, what is answered is what RFC 6120 section 8.3 asks. */
#include "bridge/xmpp/stanza.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/xml.h"

#define TEXT_ERROR(type, condition, text)                                                                    \
	"<error type='" type "'><" condition " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"                \
	"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>" text "</text></error>"

static void test_xml_text(void **state)
{
	static const struct {
		const char *in, *text, *attr;
	} rows[] = {
		{ "", "", " a=''" },
		{ "plain", "plain", " a='plain'" },
		{ "<&>\"'", "&lt;&amp;&gt;&quot;&apos;", " a='&lt;&amp;&gt;&quot;&apos;'" },
		{ "]]>", "]]&gt;", " a=']]&gt;'" },
		{ "a&b", "a&amp;b", " a='a&amp;b'" },
		{ "1\t2\n3\r4", "1\t2\n3&#13;4", " a='1&#9;2&#10;3&#13;4'" },
		{ "\u00E9\U0001F600'", "\u00E9\U0001F600&apos;", " a='\u00E9\U0001F600&apos;'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf text = { 0 }, attr = { 0 };

		xml_text(&text, rows[i].in, strlen(rows[i].in));
		xml_attr(&attr, "a", rows[i].in);
		assert_string_equal(text.s, rows[i].text);
		assert_string_equal(attr.s, rows[i].attr);
		strbuf_reset(&attr);
		xml_attr(&attr, "a", NULL);
		assert_int_equal(attr.len, 0);
		strbuf_free(&text);
		strbuf_free(&attr);
	}
}

static struct stanza *make(enum stanza_kind kind, const char *type, const char *inner)
{
	struct strbuf b = { 0 };
	struct stanza *s;

	strbuf_puts(&b, inner);
	s = stanza_make(kind, "a@x.test/r", "b@y.test", "1", type, NULL, &b);
	strbuf_free(&b);
	return s;
}

static void test_make(void **state)
{
	struct stanza *s = make(STANZA_MESSAGE, "chat", "<body>hi</body>");

	(void)state;
	assert_string_equal(s->bytes, "<message from='a@x.test/r' to='b@y.test' id='1' type='chat'>"
				      "<body>hi</body></message>");
	assert_int_equal(s->size, strlen(s->bytes));
	assert_string_equal(s->from, "a@x.test/r");
	assert_string_equal(s->to, "b@y.test");
	assert_string_equal(s->id, "1");
	assert_null(s->lang);
	assert_true(stanza_has_type(s, "chat"));
	assert_false(stanza_has_type(s, "error"));
	assert_false(stanza_has_type(s, NULL));
	assert_ptr_equal(stanza_ref(s), s);
	stanza_unref(s);
	assert_string_equal(s->type, "chat"); /* still there */
	stanza_unref(s);
	stanza_unref(NULL);

	s = stanza_make(STANZA_PRESENCE, NULL, NULL, NULL, NULL, "de", NULL);
	assert_string_equal(s->bytes, "<presence xml:lang='de'/>");
	assert_true(stanza_has_type(s, NULL));
	assert_false(stanza_has_type(s, ""));
	stanza_unref(s);
}

/* Every attribute with everything that could end it. */
static void test_make_escapes(void **state)
{
	struct stanza *s =
		stanza_make(STANZA_IQ, "f'><x/>", "t\"<", "i&amp;\n", "y'/><message>", "l\t", NULL);

	(void)state;
	assert_string_equal(s->bytes,
			    "<iq from='f&apos;&gt;&lt;x/&gt;' to='t&quot;&lt;' id='i&amp;amp;&#10;' "
			    "type='y&apos;/&gt;&lt;message&gt;' xml:lang='l&#9;'/>");
	assert_string_equal(s->id, "i&amp;\n");
	stanza_unref(s);
}

static void test_from_element(void **state)
{
	static const char bytes[] = "<presence from='a'><x/></presence>";
	struct xml_element e = { .ns = NS_SERVER, .name = "presence", .from = "a", .bytes = bytes };
	struct stanza *s = NULL;

	(void)state;
	e.size = sizeof(bytes) - 1;
	assert_int_equal(stanza_from_element(&e, &s), OK);
	assert_int_equal(s->kind, STANZA_PRESENCE);
	assert_string_equal(stanza_kind_name(s->kind), "presence");
	assert_string_equal(s->from, "a");
	assert_null(s->to);
	assert_null(s->type);
	assert_string_equal(s->bytes, bytes);
	assert_ptr_not_equal(s->bytes, bytes);
	stanza_unref(s);
	s = NULL;
	e.name = "presences";
	assert_int_equal(stanza_from_element(&e, &s), ERR_SYNTAX);
	e.name = "message";
	e.ns = "jabber:client";
	assert_int_equal(stanza_from_element(&e, &s), ERR_SYNTAX);
	e.ns = "";
	assert_int_equal(stanza_from_element(&e, &s), ERR_SYNTAX);
	assert_null(s);
}

static void test_conditions(void **state)
{
	/* RFC 6120 section 8.3.3, in its order; "" where it allows any type */
	static const struct {
		const char *name, *types;
	} rows[CONDITIONS] = {
		{ "bad-request", "modify" },
		{ "conflict", "cancel" },
		{ "feature-not-implemented", "cancel modify" },
		{ "forbidden", "auth" },
		{ "gone", "cancel" },
		{ "internal-server-error", "cancel" },
		{ "item-not-found", "cancel" },
		{ "jid-malformed", "modify" },
		{ "not-acceptable", "modify" },
		{ "not-allowed", "cancel" },
		{ "not-authorized", "auth" },
		{ "policy-violation", "modify wait" },
		{ "recipient-unavailable", "wait" },
		{ "redirect", "modify" },
		{ "registration-required", "auth" },
		{ "remote-server-not-found", "cancel" },
		{ "remote-server-timeout", "wait" },
		{ "resource-constraint", "wait" },
		{ "service-unavailable", "cancel" },
		{ "subscription-required", "auth" },
		{ "undefined-condition", "auth cancel modify wait" },
		{ "unexpected-request", "wait modify" },
	};
	enum condition c = COND_GONE;

	(void)state;
	for (size_t i = 0; i < CONDITIONS; i++) {
		assert_string_equal(condition_name((enum condition)i), rows[i].name);
		assert_non_null(strstr(rows[i].types, condition_type((enum condition)i)));
		assert_int_equal(condition_parse(rows[i].name, &c), OK);
		assert_int_equal(c, i);
	}
	c = COND_GONE;
	assert_int_equal(condition_parse("text", &c), ERR_NOT_FOUND);
	assert_int_equal(condition_parse("", &c), ERR_NOT_FOUND);
	assert_int_equal(c, COND_GONE);
}

static void test_error(void **state)
{
	struct stanza *s = make(STANZA_MESSAGE, "chat", "<body>secret</body>");
	struct stanza *answer = stanza_error(s, COND_NOT_ALLOWED, "no <such> & 'user'", NULL);

	(void)state;
	assert_string_equal(
		answer->bytes,
		"<message from='b@y.test' to='a@x.test/r' id='1' type='error'>" TEXT_ERROR(
			"cancel", "not-allowed", "no &lt;such&gt; &amp; &apos;user&apos;") "</message>");
	assert_string_equal(answer->from, "b@y.test");
	assert_string_equal(answer->to, "a@x.test/r");
	assert_true(stanza_has_type(answer, "error"));
	assert_null(stanza_error(answer, COND_NOT_ALLOWED, NULL, NULL)); /* never an error for an error */
	stanza_unref(answer);

	answer = stanza_error(s, COND_GONE, NULL, "xmpp:b@z.test?x&y");
	assert_string_equal(
		answer->bytes,
		"<message from='b@y.test' to='a@x.test/r' id='1' type='error'><error type='cancel'>"
		"<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:b@z.test?x&amp;y</gone>"
		"</error></message>");
	stanza_unref(answer);

	/* No other condition has content. */
	answer = stanza_error(s, COND_FORBIDDEN, NULL, "xmpp:b@z.test");
	assert_null(strstr(answer->bytes, "z.test"));
	stanza_unref(answer);
	stanza_unref(s);
}

static void test_error_not_sent(void **state)
{
	static const struct {
		enum stanza_kind kind;
		const char *from, *type;
		bool answered;
	} rows[] = {
		{ STANZA_MESSAGE, "a@x.test", NULL, true },
		{ STANZA_MESSAGE, "a@x.test", "chat", true },
		{ STANZA_MESSAGE, "a@x.test", "error", false },
		{ STANZA_MESSAGE, NULL, "chat", false },
		{ STANZA_PRESENCE, "a@x.test", NULL, true },
		{ STANZA_PRESENCE, "a@x.test", "subscribe", true },
		{ STANZA_PRESENCE, "a@x.test", "error", false },
		{ STANZA_IQ, "a@x.test", "get", true },
		{ STANZA_IQ, "a@x.test", "set", true },
		{ STANZA_IQ, "a@x.test", "result", false },
		{ STANZA_IQ, "a@x.test", "error", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stanza *s =
			stanza_make(rows[i].kind, rows[i].from, "b@y.test", NULL, rows[i].type, NULL, NULL);
		struct stanza *answer = stanza_error(s, COND_SERVICE_UNAVAILABLE, NULL, NULL);

		if ((answer != NULL) != rows[i].answered)
			fail_msg("row %zu", i);
		if (answer != NULL) {
			assert_int_equal(answer->kind, rows[i].kind);
			assert_null(answer->id);
		}
		stanza_unref(answer);
		stanza_unref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xml_text),       cmocka_unit_test(test_make),
		cmocka_unit_test(test_make_escapes),   cmocka_unit_test(test_from_element),
		cmocka_unit_test(test_conditions),     cmocka_unit_test(test_error),
		cmocka_unit_test(test_error_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
