/* Addresses: tables of what is accepted, as what, and what is refused. */
#include "bridge/xmpp/jid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text;
	const char *local, *domain, *resource; /* local NULL: ERR_SYNTAX */
} jids[] = {
	/* RFC 7622 section 3.5, examples 1 to 15 */
	{ "juliet@example.com", "juliet", "example.com", "" },
	{ "juliet@example.com/foo", "juliet", "example.com", "foo" },
	{ "juliet@example.com/foo bar", "juliet", "example.com", "foo bar" },
	{ "juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar" },
	{ "foo\\20bar@example.com", "foo\\20bar", "example.com", "" },
	{ "fussball@example.com", "fussball", "example.com", "" },
	{ "fu\u00DFball@example.com", "fussball", "example.com", "" }, /* nodeprep folds, as servers do */
	{ "\u03C0@example.com", "\u03C0", "example.com", "" },
	{ "\u03A3@example.com/foo", "\u03C3", "example.com", "foo" },
	{ "\u03C3@example.com/foo", "\u03C3", "example.com", "foo" },
	{ "\u03C2@example.com/foo", "\u03C3", "example.com", "foo" }, /* likewise */
	{ "king@example.com/\u265A", "king", "example.com", "\u265A" },
	{ "example.com", "", "example.com", "" },
	{ "example.com/foobar", "", "example.com", "foobar" },
	{ "a.example.com/b@example.net", "", "a.example.com", "b@example.net" },
	/* and 16 to 23; nodeprep has 20 and 21, and so have the servers that use it */
	{ "\"juliet\"@example.com", NULL, NULL, NULL },
	{ "foo bar@example.com", NULL, NULL, NULL },
	{ "juliet@example.com/ foo", NULL, NULL, NULL },
	{ "@example.com/", NULL, NULL, NULL },
	{ "henry\u2163@example.com", "henryiv", "example.com", "" },
	{ "\u265A@example.com", "\u265A", "example.com", "" },
	{ "juliet@", NULL, NULL, NULL },
	{ "/foobar", NULL, NULL, NULL },
	/* one user in several spellings */
	{ "Bob@CORP.test", "bob", "corp.test", "" },
	{ "bob@corp.test.", "bob", "corp.test", "" },
	{ "B\u00D6B@B\u00DCCHER.example./Desk", "b\u00F6b", "xn--bcher-kva.example", "Desk" },
	{ "bo\u0308b@xn--bcher-kva.EXAMPLE", "b\u00F6b", "xn--bcher-kva.example", "" },
	{ "b\u00ADob@corp.test", "bob", "corp.test", "" },          /* soft hyphen: mapped to nothing */
	{ "\uFF22\uFF4F\uFF42@corp.test", "bob", "corp.test", "" }, /* full-width */
	{ "bob@corp\u3002test", "bob", "corp.test", "" },           /* ideographic full stop */
	{ "bob@corp.test/\u00C5", "bob", "corp.test", "\u00C5" },
	{ "bob@corp.test/A\u030A", "bob", "corp.test", "\u00C5" },
	{ "bob@corp.test/a/b//c", "bob", "corp.test", "a/b//c" },
	{ "bob@corp.test/\U0001F600", "bob", "corp.test", "\U0001F600" }, /* newer than Unicode 3.2 */
	{ "bob@corp.test/a ", "bob", "corp.test", "a " },
	{ "bob+x=y!#$%*?^_`{|}~@corp.test", "bob+x=y!#$%*?^_`{|}~", "corp.test", "" },
	/* empty parts and separators in wrong places */
	{ "", NULL, NULL, NULL },
	{ "@", NULL, NULL, NULL },
	{ "/", NULL, NULL, NULL },
	{ "@corp.test", NULL, NULL, NULL },
	{ "bob@corp.test/", NULL, NULL, NULL },
	{ "bob@/home", NULL, NULL, NULL },
	{ "bob@@corp.test", NULL, NULL, NULL },
	{ "bob@home@corp.test", NULL, NULL, NULL },
	{ "bob@corp.test@", NULL, NULL, NULL },
	{ "bob/home@corp.test", "", "bob", "home@corp.test" }, /* the slash comes first */
	/* characters that a localpart may not hold, plain and made by normalising */
	{ "a&b@corp.test", NULL, NULL, NULL },
	{ "a'b@corp.test", NULL, NULL, NULL },
	{ "a:b@corp.test", NULL, NULL, NULL },
	{ "a<b@corp.test", NULL, NULL, NULL },
	{ "a>b@corp.test", NULL, NULL, NULL },
	{ "a\tb@corp.test", NULL, NULL, NULL },
	{ "a\nb@corp.test", NULL, NULL, NULL },
	{ "a\x7F@corp.test", NULL, NULL, NULL },
	{ "a\u00A0b@corp.test", NULL, NULL, NULL },
	{ "a\uFF20b@corp.test", NULL, NULL, NULL }, /* full-width at sign */
	{ "a\uFF0Fb@corp.test", NULL, NULL, NULL }, /* full-width slash */
	{ "a\u2100b@corp.test", NULL, NULL, NULL }, /* "a/c" in one character */
	{ "\u00AD@corp.test", NULL, NULL, NULL },   /* nothing is left of it */
	{ "a\uE000@corp.test", NULL, NULL, NULL },  /* private use */
	{ "a\u202Eb@corp.test", NULL, NULL, NULL }, /* right-to-left override */
	{ "bob@corp.test/a\u202Eb", NULL, NULL, NULL },
	{ "bob@corp.test/a\nb", NULL, NULL, NULL },
	{ "bob@corp.test/a\x01", NULL, NULL, NULL },
	{ "bob@corp.test/\u00A0a", NULL, NULL, NULL }, /* becomes a leading space... and is prohibited */
	/* a Hangul syllable with marks inside: what libidn makes of it, it would change again (PR-29) */
	{ "x\u1101\u0318\u116A\u0335@corp.test", NULL, NULL, NULL },
	{ "bob@corp.test/x\u1101\u0318\u116A\u0335", NULL, NULL, NULL },
	/* bidirectional text: not mixed, and right-to-left at both ends (RFC 3454 section 6) */
	{ "\u05D0\u05D1@corp.test", "\u05D0\u05D1", "corp.test", "" },
	{ "\u05D01@corp.test", NULL, NULL, NULL },
	{ "\u05D0a\u05D1@corp.test", NULL, NULL, NULL },
	/* not UTF-8 */
	{ "b\xC0\xAF@corp.test", NULL, NULL, NULL },         /* overlong slash */
	{ "b\xE0\x80\xAF@corp.test", NULL, NULL, NULL },     /* longer still */
	{ "b\xED\xA0\x80@corp.test", NULL, NULL, NULL },     /* lone surrogate */
	{ "b\xF4\x90\x80\x80@corp.test", NULL, NULL, NULL }, /* beyond U+10FFFF */
	{ "b\xFF@corp.test", NULL, NULL, NULL },
	{ "b\xC3@corp.test", NULL, NULL, NULL }, /* cut short by the separator */
	{ "bob@corp\xC3.test", NULL, NULL, NULL },
	{ "bob@corp.test/\xC3", NULL, NULL, NULL },
	{ "bob@corp.test/\xEF\xBF\xBE", NULL, NULL, NULL }, /* U+FFFE */
};

static void test_jid_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jids); i++) {
		struct jid jid;
		enum err e;

		memset(&jid, 0x5A, sizeof(jid));
		e = jid_parse(jids[i].text, &jid);
		if (jids[i].local == NULL) {
			struct jid untouched;

			if (e != ERR_SYNTAX)
				fail_msg("'%s': accepted", jids[i].text);
			memset(&untouched, 0x5A, sizeof(untouched));
			assert_memory_equal(&jid, &untouched, sizeof(jid));
			continue;
		}
		if (e != OK)
			fail_msg("'%s': refused", jids[i].text);
		assert_string_equal(jid.local, jids[i].local);
		assert_string_equal(jid.domain, jids[i].domain);
		assert_string_equal(jid.resource, jids[i].resource);
	}
}

static const struct {
	const char *text, *domain; /* NULL: ERR_SYNTAX */
} domains[] = {
	{ "corp.test", "corp.test" },
	{ "CORP.Test", "corp.test" },
	{ "corp.test.", "corp.test" },
	{ "localhost", "localhost" },
	{ "1and1.example", "1and1.example" },
	{ "192.0.2.1.example", "192.0.2.1.example" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
	{ "b\u00FCcher.EXAMPLE", "xn--bcher-kva.example" },
	{ "B\u00DCCHER.example.", "xn--bcher-kva.example" },
	{ "stra\u00DFe.example", "strasse.example" },
	{ "\u4F8B\u3048.\u30C6\u30B9\u30C8", "xn--r8jz45g.xn--zckzah" },
	{ "\U0001F600.test", "xn--e28h.test" }, /* newer than Unicode 3.2 */
	{ "", NULL },
	{ ".", NULL },
	{ "..", NULL },
	{ ".corp.test", NULL },
	{ "corp..test", NULL },
	{ "corp.test..", NULL },
	{ "corp.test\u3002.", NULL },
	{ "corp.\u00FC..", NULL },
	{ "*", NULL },
	{ "*.corp.test", NULL },
	{ "corp test", NULL },
	{ " corp.test", NULL },
	{ "corp.test ", NULL },
	{ "corp.test\n", NULL },
	{ "corp_1.test", NULL },
	{ "-corp.test", NULL },
	{ "corp-.test", NULL },
	{ "corp.test:5269", NULL },
	{ "bob@corp.test", NULL },
	{ "corp.test/x", NULL },
	{ "[::1]", NULL },
	{ "::1", NULL },
	{ "192.0.2.1", NULL },
	{ "192.0.2.1.", NULL },
	{ "\uFF11\uFF19\uFF12.0.2.1", NULL }, /* full-width digits */
	{ "127.1", NULL },
	{ "2130706433", NULL },
	{ "0x7f000001", NULL },
	{ "0X7F.0x1", NULL },
	{ "xn--\u00FC.test", NULL }, /* the prefix of an A-label before a U-label */
	{ "b\xFC"
	  "cher.test",
	  NULL },
	{ "corp\u202Etest", NULL },
	{ "corp\u2024test.test", NULL }, /* one dot leader */
};

static void test_jid_domain(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		char domain[JID_DOMAIN_MAX + 1] = "untouched";
		enum err e = jid_domain(domains[i].text, domain);

		if (e != (domains[i].domain == NULL ? ERR_SYNTAX : OK))
			fail_msg("'%s': %s", domains[i].text, e == OK ? domain : "refused");
		assert_string_equal(domain, domains[i].domain == NULL ? "untouched" : domains[i].domain);
	}
}

/* Where a part is repeated to a length in bytes. */
static const struct {
	const char *before, *unit;
	size_t units;
	const char *after;
	bool ok;
} lengths[] = {
	{ "", "a", 1023, "@corp.test", true },
	{ "", "a", 1024, "@corp.test", false },
	{ "", "A", 1023, "@corp.test", true },
	{ "", "A", 1024, "@corp.test", false },
	{ "", "\u00E9", 511, "@corp.test", true },
	{ "", "\u00E9", 512, "@corp.test", false },
	{ "", "e\u0301", 511, "@corp.test", true },  /* 1533 bytes that become 1022 */
	{ "", "\uFDFA", 1000, "@corp.test", false }, /* one character that becomes eighteen */
	{ "", "\uFDFA", 60, "@corp.test", false },
	{ "", "a", 100000, "@corp.test", false },
	{ "", "\u00E9", 100000, "@corp.test", false },
	{ "bob@corp.test/", "r", 1023, "", true },
	{ "bob@corp.test/", "r", 1024, "", false },
	{ "bob@corp.test/", "\u00E9", 511, "", true },
	{ "bob@corp.test/", "\u00E9", 512, "", false },
	{ "bob@", "a", 63, ".test", true },
	{ "bob@", "a", 64, ".test", false },
	{ "bob@", "\u00FC", 53, ".test", true }, /* one A-label of at most 63 bytes */
	{ "bob@", "\u00FC", 64, ".test", false },
	{ "bob@", "ab.", 83, "test", true }, /* 253 */
	{ "bob@", "ab.", 83, "test.", true },
	{ "bob@", "ab.", 83, "tests", false }, /* 254 */
	{ "bob@", "\u00FC.", 28, "test", true },
	{ "bob@", "\u00FC.", 32, "test", false },
	{ "bob@", "a.", 100000, "test", false },
	{ "bob@", "\u00FC.", 100000, "test", false },
};

static void test_jid_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct strbuf text = { 0 };
		struct jid jid;
		enum err e;

		strbuf_puts(&text, lengths[i].before);
		for (size_t k = 0; k < lengths[i].units; k++)
			strbuf_puts(&text, lengths[i].unit);
		strbuf_puts(&text, lengths[i].after);
		e = jid_parse(text.s, &jid);
		if (e != (lengths[i].ok ? OK : ERR_SYNTAX))
			fail_msg("row %zu: %s", i, e == OK ? "accepted" : "refused");
		strbuf_free(&text);
	}
}

static void test_jid_text(void **state)
{
	struct jid jid;
	char bare[JID_BARE_SIZE], full[JID_FULL_SIZE];

	(void)state;
	assert_int_equal(jid_parse("Bob@Corp.Test/Desk", &jid), OK);
	jid_bare(&jid, bare);
	jid_full(&jid, full);
	assert_string_equal(bare, "bob@corp.test");
	assert_string_equal(full, "bob@corp.test/Desk");
	assert_int_equal(jid_parse("Corp.Test/Desk", &jid), OK);
	jid_bare(&jid, bare);
	jid_full(&jid, full);
	assert_string_equal(bare, "corp.test");
	assert_string_equal(full, "corp.test/Desk");
	assert_int_equal(jid_parse("bob@corp.test", &jid), OK);
	jid_full(&jid, full);
	assert_string_equal(full, "bob@corp.test");
}

/* The longest address there is fills its buffers to the last byte. */
static void test_jid_longest(void **state)
{
	char text[JID_FULL_SIZE], full[JID_FULL_SIZE];
	struct jid jid;
	int n;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[JID_PART_MAX] = '@';
	for (n = JID_PART_MAX + 64; n < JID_BARE_SIZE - 1; n += 64)
		text[n] = '.';
	text[JID_BARE_SIZE - 1] = '/';
	text[JID_FULL_SIZE - 1] = '\0';
	assert_int_equal(jid_parse(text, &jid), OK);
	jid_full(&jid, full);
	assert_string_equal(full, text);
	assert_int_equal(strlen(full), JID_FULL_SIZE - 1);
}

static const struct {
	const char *bytes;
	size_t n;
	bool ok;
} texts[] = {
	{ "", 0, true },
	{ "plain\t\r\n~", 9, true },
	{ "\xC2\x80", 2, true },
	{ "\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBD", 9, true }, /* U+D7FF U+E000 U+FFFD */
	{ "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8, true },     /* U+10000 U+10FFFF */
	{ "\x7F", 1, true },
	{ "a\0b", 3, false },
	{ "\x01", 1, false },
	{ "\x0B", 1, false },
	{ "\x1F", 1, false },
	{ "\x80", 1, false },
	{ "\xC1\x81", 2, false },
	{ "\xC2", 1, false },
	{ "\xC2\x41", 2, false },
	{ "\xE0\x9F\xBF", 3, false },
	{ "\xE2\x82", 2, false },
	{ "\xED\xBF\xBF", 3, false },
	{ "\xEF\xBF\xBE", 3, false },
	{ "\xEF\xBF\xBF", 3, false },
	{ "\xF0\x8F\xBF\xBF", 4, false },
	{ "\xF0\x9F\x98", 3, false },
	{ "\xF4\x90\x80\x80", 4, false },
	{ "\xF8\x88\x80\x80\x80", 5, false },
};

static void test_utf8_is_xml(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		/* A copy of exactly n bytes: the sanitizer sees a read beyond. */
		char *copy = xmalloc(texts[i].n);

		memcpy(copy, texts[i].bytes, texts[i].n);
		if (utf8_is_xml(copy, texts[i].n) != texts[i].ok)
			fail_msg("row %zu", i);
		free(copy);
	}
}

static void test_pair(void **state)
{
	struct jid first, second;
	char pair[JID_PAIR_SIZE];

	(void)state;
	assert_int_equal(jid_parse("Romeo@corp.test/orchard", &first), OK);
	assert_int_equal(jid_parse("partner.test", &second), OK);
	assert_int_equal(jid_pair(&first, &second, pair), 15);
	assert_string_equal(pair, "romeo@corp.test partner.test");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),        cmocka_unit_test(test_jid_parse),
		cmocka_unit_test(test_jid_domain),  cmocka_unit_test(test_jid_lengths),
		cmocka_unit_test(test_jid_text),    cmocka_unit_test(test_jid_longest),
		cmocka_unit_test(test_utf8_is_xml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
