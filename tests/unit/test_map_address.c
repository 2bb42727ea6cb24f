/* test_map_address.c - JIDs and SIP addresses: RFC 7247 section 6, XEP-0106, and hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map.h"

/* The examples of XEP-0106 and its ten sequences. */
static const struct {
	const char *text, *local;
} escape_cases[] = {
	{ "space cadet", "space\\20cadet" },
	{ "call me \"ishmael\"", "call\\20me\\20\\22ishmael\\22" },
	{ "at&t guy", "at\\26t\\20guy" },
	{ "d'artagnan", "d\\27artagnan" },
	{ "/.fanboy", "\\2f.fanboy" },
	{ "::foo::", "\\3a\\3afoo\\3a\\3a" },
	{ "<foo>", "\\3cfoo\\3e" },
	{ "user@host", "user\\40host" },
	{ "c:\\net", "c\\3a\\net" },
	{ "c:\\\\net", "c\\3a\\\\net" },
	{ "c:\\cool stuff", "c\\3a\\cool\\20stuff" },
	{ "c:\\5commas", "c\\3a\\5c5commas" },
	{ "\\3and\\2is\\5cool", "\\5c3and\\2is\\5c5cool" },
	{ "\\2plus\\2is\\4", "\\2plus\\2is\\4" },
	{ "foo\\bar", "foo\\bar" },
	{ "foob\\41r", "foob\\41r" },
	{ "", "" },
	{ "a b\"c&d'e/f:g<h>i@j", "a\\20b\\22c\\26d\\27e\\2ff\\3ag\\3ch\\3ei\\40j" },
	{ "\\20\\22\\26\\27\\2f\\3a\\3c\\3e\\40\\5c",
	  "\\5c20\\5c22\\5c26\\5c27\\5c2f\\5c3a\\5c3c\\5c3e\\5c40\\5c5c" },
	{ "a\\", "a\\" },
	{ "a\\5", "a\\5" },
	{ "a\\ b", "a\\\\20b" },
	/* Folded to lower case afterwards, it would read as an escape. */
	{ "a\\2Fb\\3A\\5C", "a\\5c2Fb\\5c3A\\5c5C" },
	{ "f\xC3\xBC\xC3\x9F", "f\xC3\xBC\xC3\x9F" },
};

static void test_escape(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(escape_cases); i++) {
		char out[256];

		assert_int_equal(map_escape_local(escape_cases[i].text, out, sizeof(out)), OK);
		assert_string_equal(out, escape_cases[i].local);
		assert_int_equal(map_unescape_local(escape_cases[i].local, out, sizeof(out)), OK);
		assert_string_equal(out, escape_cases[i].text);
	}
}

static void test_escape_refuses(void **state)
{
	static const char *const spaces[] = { " a", "a ", " ", "  ", " a b " };
	static const char *const locals[] = { "\\20a", "a\\20", "\\20" };
	char out[64] = "untouched";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
		assert_int_equal(map_escape_local(spaces[i], out, sizeof(out)), ERR_SYNTAX);
	for (size_t i = 0; i < ARRAY_SIZE(locals); i++)
		assert_int_equal(map_unescape_local(locals[i], out, sizeof(out)), ERR_SYNTAX);
	assert_string_equal(out, "untouched");
}

static void test_escape_limits(void **state)
{
	char text[JID_PART_MAX + 2], out[JID_PART_MAX + 1] = "untouched";
	(void)state;

	assert_int_equal(map_escape_local("a@b", out, 5), ERR_LIMIT);
	assert_string_equal(out, "untouched");
	assert_int_equal(map_escape_local("a@b", out, 6), OK);
	assert_int_equal(map_unescape_local("a\\40b", out, 3), ERR_LIMIT);
	assert_int_equal(map_unescape_local("a\\40b", out, 4), OK);
	memset(text, 'a', sizeof(text));
	text[JID_PART_MAX + 1] = '\0';
	assert_int_equal(map_escape_local(text, out, sizeof(out)), ERR_LIMIT);
	assert_int_equal(map_unescape_local(text, out, sizeof(out)), ERR_LIMIT);
	text[JID_PART_MAX] = '\0';
	assert_int_equal(map_escape_local(text, out, sizeof(out)), OK);
	assert_string_equal(out, text);
	text[JID_PART_MAX - 1] = '@';
	assert_int_equal(map_escape_local(text, out, sizeof(out)), ERR_LIMIT);
}

static const struct {
	const char *uri;
	enum err expected;
	const char *jid;
} sip_cases[] = {
	/* RFC 7247 section 6.4 */
	{ "sip:f%C3%BC@sip.example", OK, "f\xC3\xBC@sip.example" },
	{ "sip:o'malley@sip.example", OK, "o\\27malley@sip.example" },
	{ "sip:foo@sip.example;gr=bar", OK, "foo@sip.example/bar" },
	{ "sip:here%27s_a_wild_%26_%2Fcr%25zy%2F_address@example.com", OK,
	  "here\\27s_a_wild_\\26_\\2fcr%zy\\2f_address@example.com" },
	{ "sip:Foo@SIP.Example:5061;transport=tcp", OK, "foo@sip.example" },
	{ "sip:sip.example", OK, "sip.example" },
	{ "sip:sip.example;gr=x", OK, "sip.example/x" },
	{ "sip:user%40host@sip.example", OK, "user\\40host@sip.example" },
	{ "sip:a%3Ab%22c@sip.example", OK, "a\\3ab\\22c@sip.example" },
	{ "sip:foo@sip.example;gr=a/b%40c%20d", OK, "foo@sip.example/a/b@c d" },
	{ "sip:foo@sip.example;gr=f%C3%BC", OK, "foo@sip.example/f\xC3\xBC" },
	{ "sip:foo@sip.example;gr", OK, "foo@sip.example" },
	{ "sip:+15551234567@sip.example;user=phone", OK, "+15551234567@sip.example" },
	{ "sip:a%5C2Fb@sip.example", OK, "a\\5c2fb@sip.example" },
	{ "sips:foo@sip.example", ERR_REFUSED, NULL },
	{ "sips:foo@sip.example;gr=bar", ERR_REFUSED, NULL },
	/* XMPP has no addresses at IP literals, and no names that DNS has not. */
	{ "sip:foo@[2001:db8::1]", ERR_SYNTAX, NULL },
	{ "sip:foo@192.0.2.1", ERR_SYNTAX, NULL },
	{ "sip:%20foo@sip.example", ERR_SYNTAX, NULL },
	{ "sip:foo%20@sip.example", ERR_SYNTAX, NULL },
	/* What normalisation would turn into a separator or an escape. */
	{ "sip:foo%EF%BC%A0bar@sip.example", ERR_SYNTAX, NULL },
	{ "sip:%EF%BC%8Ffoo@sip.example", ERR_SYNTAX, NULL },
	{ "sip:%EF%BC%BC3afoo@sip.example", ERR_SYNTAX, NULL },
	{ "sip:%5C%EF%BC%93afoo@sip.example", ERR_SYNTAX, NULL },
	{ "sip:%5C3%C2%AAfoo@sip.example", ERR_SYNTAX, NULL },
	/* Prohibited by nodeprep: a private-use character, a byte order mark that leaves nothing. */
	{ "sip:%EE%80%80@sip.example", ERR_SYNTAX, NULL },
	{ "sip:%C2%AD@sip.example", ERR_SYNTAX, NULL },
};

static void test_sip_to_jid(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sip_cases); i++) {
		struct sip_address a;
		struct jid jid = { .local = "untouched" };
		char full[JID_FULL_SIZE];
		enum err e;

		assert_int_equal(sip_address_parse(sip_cases[i].uri, &a), OK);
		e = map_sip_to_jid(&a, &jid);
		if (e != sip_cases[i].expected)
			fail_msg("%s: %s", sip_cases[i].uri, err_text(e));
		if (e != OK) {
			assert_string_equal(jid.local, "untouched");
			continue;
		}
		jid_full(&jid, full);
		assert_string_equal(full, sip_cases[i].jid);
	}
}

static const struct {
	const char *jid;
	enum err expected;
	const char *uri;
} jid_cases[] = {
	/* RFC 7247 section 6.5 */
	{ "m\\26m@xmpp.example", OK, "sip:m&m@xmpp.example" },
	{ "tsch\xC3\xBCss@xmpp.example", OK, "sip:tsch%C3%BCss@xmpp.example" },
	{ "baz@xmpp.example/qux", OK, "sip:baz@xmpp.example;gr=qux" },
	{ "treville\\40musketeers.lit@smtp.gascon.fr", OK, "sip:treville%40musketeers.lit@smtp.gascon.fr" },
	{ "a\\20b\\22c\\26d\\27e\\2ff\\3ag\\3ch\\3ei\\40j@xmpp.example", OK,
	  "sip:a%20b%22c&d'e/f%3Ag%3Ch%3Ei%40j@xmpp.example" },
	{ "#%[\\]^`{|}@xmpp.example", OK, "sip:%23%25%5B%5C%5D%5E%60%7B%7C%7D@xmpp.example" },
	{ "c\\3a\\5c5commas@xmpp.example", OK, "sip:c%3A%5C5commas@xmpp.example" },
	{ "xmpp.example", OK, "sip:xmpp.example" },
	{ "xmpp.example/announce", OK, "sip:xmpp.example;gr=announce" },
	{ "baz@xmpp.example/a/b@c;d=e?f \"g\" <h>,\\", OK,
	  "sip:baz@xmpp.example;gr=a/b%40c%3Bd%3De%3Ff%20%22g%22%20%3Ch%3E%2C%5C" },
	{ "baz@xmpp.example/\xF0\x9F\x92\x8C", OK, "sip:baz@xmpp.example;gr=%F0%9F%92%8C" },
	{ "baz@b\xC3\xBC"
	  "cher.example",
	  OK, "sip:baz@xn--bcher-kva.example" },
	/* Escapes that no escaping makes: their plain form is another address's. */
	{ "foo\\5cbar@xmpp.example", ERR_SYNTAX, NULL },
	{ "\\20foo@xmpp.example", ERR_SYNTAX, NULL },
	{ "foo\\20@xmpp.example", ERR_SYNTAX, NULL },
};

static void test_jid_to_sip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jid_cases); i++) {
		struct sip_address a = { .user = "untouched" };
		struct jid jid, again;
		char uri[SIP_URI_SIZE];
		enum err e;

		assert_int_equal(jid_parse(jid_cases[i].jid, &jid), OK);
		e = map_jid_to_sip(&jid, &a);
		if (e != jid_cases[i].expected)
			fail_msg("%s: %s", jid_cases[i].jid, err_text(e));
		if (e != OK) {
			assert_string_equal(a.user, "untouched");
			continue;
		}
		assert_int_equal(sip_address_format(&a, uri), OK);
		assert_string_equal(uri, jid_cases[i].uri);
		assert_int_equal(sip_address_parse(uri, &a), OK);
		assert_int_equal(map_sip_to_jid(&a, &again), OK);
		assert_string_equal(again.local, jid.local);
		assert_string_equal(again.domain, jid.domain);
		assert_string_equal(again.resource, jid.resource);
	}
}

/* The longest JID that there is, in the characters that take the most room. */
static void test_longest(void **state)
{
	struct jid jid = { .domain = "xmpp.example" }, again;
	struct sip_address a;
	char uri[SIP_URI_SIZE];
	(void)state;

	memset(jid.local, '#', JID_PART_MAX);
	memset(jid.resource, '"', JID_PART_MAX);
	assert_int_equal(map_jid_to_sip(&jid, &a), OK);
	assert_int_equal(sip_address_format(&a, uri), OK);
	assert_int_equal(sip_address_parse(uri, &a), OK);
	assert_int_equal(map_sip_to_jid(&a, &again), OK);
	assert_string_equal(again.local, jid.local);
	assert_string_equal(again.resource, jid.resource);
	memset(a.user, '@', SIP_PART_MAX);
	assert_int_equal(map_sip_to_jid(&a, &again), ERR_LIMIT);
}

static void test_uri(void **state)
{
	static const struct {
		const char *jid, *uri;
	} cases[] = {
		{ "romeo@corp.test/orchard", "xmpp:romeo@corp.test" },
		{ "corp.test", "xmpp:corp.test" },
		{ "f\xC3\xBC\\27o-._~@corp.test", "xmpp:f%C3%BC%5C27o-._~@corp.test" },
		{ "a?b;c#d%=+@corp.test", "xmpp:a%3Fb%3Bc%23d%25%3D%2B@corp.test" },
	};
	char uri[MAP_URI_SIZE];
	struct jid jid = { .local = "" };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(jid_parse(cases[i].jid, &jid), OK);
		map_jid_to_uri(&jid, uri);
		assert_string_equal(uri, cases[i].uri);
	}
	memset(jid.local, '#', JID_PART_MAX);
	memset(jid.domain, 'a', JID_DOMAIN_MAX);
	jid.domain[JID_DOMAIN_MAX] = '\0';
	map_jid_to_uri(&jid, uri);
	assert_int_equal(strlen(uri), 5 + 3 * JID_PART_MAX + 1 + JID_DOMAIN_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),        cmocka_unit_test(test_escape_refuses),
		cmocka_unit_test(test_escape_limits), cmocka_unit_test(test_sip_to_jid),
		cmocka_unit_test(test_jid_to_sip),    cmocka_unit_test(test_longest),
		cmocka_unit_test(test_uri),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
