/* test_map_message.c - threads, languages, and the stanza for a SIP MESSAGE (RFC 7572). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map.h"

static const struct {
	const char *thread;
	bool valid;
} thread_cases[] = {
	{ "D9AA95FD-2BD5-46E2-AF0F-6CFAA96BDDFA", true },
	{ "e0ffe42b28561960c6b12b944a092794b9683a38", true },
	{ "f81d4fae-7dec@corp.test", true },
	{ "-.!%*_+`'~()<>:\\\"/[]?{}", true },
	{ "a", true },
	{ "", false },
	{ "@", false },
	{ "a@", false },
	{ "@a", false },
	{ "a@b@c", false },
	{ "two words", false },
	{ " a", false },
	{ "a\r\nX-Evil: 1", false },
	{ "a\n", false },
	{ "a\t", false },
	{ "a;b", false },
	{ "a,b", false },
	{ "a=b", false },
	{ "f\xC3\xBC", false },
};

static void test_thread(void **state)
{
	char out[64], small[5] = "old";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(thread_cases); i++) {
		if (map_thread_to_call_id(thread_cases[i].thread, out, sizeof(out)) != thread_cases[i].valid)
			fail_msg("'%s'", thread_cases[i].thread);
		if (thread_cases[i].valid)
			assert_string_equal(out, thread_cases[i].thread);
	}
	assert_true(map_thread_to_call_id("1234", small, sizeof(small)));
	assert_false(map_thread_to_call_id("12345", small, sizeof(small)));
}

static const struct {
	const char *lang;
	bool valid;
} lang_cases[] = {
	{ "en", true },
	{ "cs", true },
	{ "de-CH-1996", true },
	{ "zh-cmn-Hans-CN", true },
	{ "x-private", true },
	{ "i-klingon", true },
	{ "", false },
	{ "-", false },
	{ "en-", false },
	{ "-en", false },
	{ "en--US", false },
	{ "123", false },
	{ "1n", false },
	{ "abcdefghi", false },
	{ "en-abcdefghi", false },
	{ "en_US", false },
	{ "en, de", false },
	{ "en\r\nX: 1", false },
	{ "en ", false },
	{ "f\xC3\xBC", false },
	{ "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaa", true }, /* 64 */
	{ "en-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa", false },
};

static void test_lang(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lang_cases); i++)
		if (map_lang_valid(lang_cases[i].lang) != lang_cases[i].valid)
			fail_msg("'%s'", lang_cases[i].lang);
}

#define FROM "romeo@example.net/orchard"
#define TO   "juliet@example.com"

static const struct {
	const char *what;
	struct map_message m;
	enum err expected;
	const char *lang, *inner; /* what is in the stanza */
} cases[] = {
	{ "body alone",
	  { FROM, TO, "g1", NULL, NULL, NULL, "Neither, fair saint.", 20 },
	  OK,
	  NULL,
	  "<body>Neither, fair saint.</body>" },
	{ "all parts",
	  { FROM, TO, "g1", "Re: names", "call-1@corp.test", "cs", "hi", 2 },
	  OK,
	  "cs",
	  "<subject>Re: names</subject><body>hi</body><thread>call-1@corp.test</thread>" },
	{ "markup",
	  { FROM, TO, "g1", "<a&b>", "a<b", NULL, "</body><x y='1'>&amp;\"]]>", 25 },
	  OK,
	  NULL,
	  "<subject>&lt;a&amp;b&gt;</subject><body>&lt;/body&gt;&lt;x "
	  "y=&apos;1&apos;&gt;&amp;amp;&quot;]]&gt;</body>"
	  "<thread>a&lt;b</thread>" },
	{ "only so many bytes of the body",
	  { FROM, TO, "g1", NULL, NULL, NULL, "hello, not this", 5 },
	  OK,
	  NULL,
	  "<body>hello</body>" },
	{ "UTF-8, tab and line feed",
	  { FROM, TO, "g1", NULL, NULL, NULL, "\xF0\x9F\x92\x8C\tgr\xC3\xBC\xC3\x9F\n", 12 },
	  OK,
	  NULL,
	  "<body>\xF0\x9F\x92\x8C\tgr\xC3\xBC\xC3\x9F\n</body>" },
	{ "line breaks",
	  { FROM, TO, "g1", NULL, NULL, NULL, "a\r\nb\r\n\r\nc\r\rd\ne\r", 15 },
	  OK,
	  NULL,
	  "<body>a\nb\n\nc&#13;&#13;d\ne&#13;</body>" },
	{ "empty body", { FROM, TO, "g1", NULL, NULL, NULL, "", 0 }, OK, NULL, "<body></body>" },
	{ "a list of languages is no language",
	  { FROM, TO, "g1", NULL, NULL, "en, de", "hi", 2 },
	  OK,
	  NULL,
	  "<body>hi</body>" },
	{ "NUL", { FROM, TO, "g1", NULL, NULL, NULL, "a\0b", 3 }, ERR_SYNTAX, NULL, NULL },
	{ "control", { FROM, TO, "g1", NULL, NULL, NULL, "a\x1B[2Jb", 6 }, ERR_SYNTAX, NULL, NULL },
	{ "Latin-1", { FROM, TO, "g1", NULL, NULL, NULL, "gr\xFC\xDF", 4 }, ERR_SYNTAX, NULL, NULL },
	{ "half a character", { FROM, TO, "g1", NULL, NULL, NULL, "gr\xC3", 3 }, ERR_SYNTAX, NULL, NULL },
	{ "surrogate", { FROM, TO, "g1", NULL, NULL, NULL, "\xED\xA0\x80", 3 }, ERR_SYNTAX, NULL, NULL },
	{ "U+FFFE", { FROM, TO, "g1", NULL, NULL, NULL, "\xEF\xBF\xBE", 3 }, ERR_SYNTAX, NULL, NULL },
	{ "bad subject", { FROM, TO, "g1", "\xFF", NULL, NULL, "hi", 2 }, ERR_SYNTAX, NULL, NULL },
	{ "bad thread", { FROM, TO, "g1", NULL, "\x01", NULL, "hi", 2 }, ERR_SYNTAX, NULL, NULL },
};

static void test_stanza(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stanza *s = NULL;
		enum err e = map_message_to_stanza(&cases[i].m, &s);
		const char *inner;

		if (e != cases[i].expected)
			fail_msg("%s: %s", cases[i].what, err_text(e));
		if (e != OK) {
			assert_null(s);
			continue;
		}
		assert_int_equal(s->kind, STANZA_MESSAGE);
		assert_string_equal(s->from, cases[i].m.from);
		assert_string_equal(s->to, cases[i].m.to);
		assert_string_equal(s->id, cases[i].m.id);
		assert_null(s->type);
		if (cases[i].lang)
			assert_string_equal(s->lang, cases[i].lang);
		else
			assert_null(s->lang);
		inner = memchr(s->bytes, '>', s->size);
		assert_non_null(inner);
		assert_int_equal(s->bytes + s->size - (inner + 1),
				 strlen(cases[i].inner) + strlen("</message>"));
		assert_memory_equal(inner + 1, cases[i].inner, strlen(cases[i].inner));
		stanza_unref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_lang),
		cmocka_unit_test(test_stanza),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
