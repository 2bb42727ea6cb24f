/* test_map_message.c - threads, languages, and the stanza for what a pool's user says (RFC 7572, RFC 7573). */
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
	const char *stamp, *date; /* NULL: none */
} date_cases[] = {
	{ "2026-11-21T21:00:05Z", "Sat, 21 Nov 2026 21:00:05 GMT" },
	{ "2026-11-21T21:00:05.123Z", "Sat, 21 Nov 2026 21:00:05 GMT" },
	{ "2026-11-21T21:00:05.Z", "Sat, 21 Nov 2026 21:00:05 GMT" },
	{ "2026-11-21T22:30:05+01:30", "Sat, 21 Nov 2026 21:00:05 GMT" },
	{ "2026-12-31T23:00:00-02:00", "Fri, 01 Jan 2027 01:00:00 GMT" },
	{ "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ "1969-12-31T23:59:59Z", NULL },
	{ "2026-11-21T21:00:05", NULL },
	{ "2026-11-21T21:00:05z", NULL },
	{ "2026-11-21T21:00:05Z ", NULL },
	{ "2026-11-21T21:00:05+1:30", NULL },
	{ "2026-11-21T21:00:05+01:60", NULL },
	{ "2026-11-21T21:00:05+01:30x", NULL },
	{ "2026-11-21T21:00:05+-1:+1", NULL },
	{ "2026-11-21T21:00:05+01:+1", NULL },
	{ "2026-11-21 21:00:05Z", NULL },
	{ "2026-13-21T21:00:05Z", NULL },
	{ "2026-11-21T25:00:05Z", NULL },
	{ "20261121T21:00:05", NULL },
	{ "2026-11-21T21:00:05Z\r\nX-Evil: 1", NULL },
	{ "", NULL },
};

static void test_date(void **state)
{
	char date[MAP_DATE_SIZE];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(date_cases); i++) {
		if (map_stamp_to_date(date_cases[i].stamp, date) != (date_cases[i].date != NULL))
			fail_msg("'%s'", date_cases[i].stamp);
		if (date_cases[i].date != NULL)
			assert_string_equal(date, date_cases[i].date);
	}
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

/* A pager message: what else there can be has a table of its own. */
#define MESSAGE(subject_, thread_, lang_, body_, size_)                                                      \
	{                                                                                                    \
		.from = FROM, .to = TO, .id = "g1", .subject = subject_, .thread = thread_, .lang = lang_,   \
		.body = body_, .body_size = size_                                                            \
	}

static const struct {
	const char *what;
	struct map_message m;
	enum err expected;
	const char *lang, *inner; /* what is in the stanza */
} cases[] = {
	{ "body alone", MESSAGE(NULL, NULL, NULL, "Neither, fair saint.", 20), OK, NULL,
	  "<body>Neither, fair saint.</body>" },
	{ "all parts", MESSAGE("Re: names", "call-1@corp.test", "cs", "hi", 2), OK, "cs",
	  "<subject>Re: names</subject><body>hi</body><thread>call-1@corp.test</thread>" },
	{ "markup", MESSAGE("<a&b>", "a<b", NULL, "</body><x y='1'>&amp;\"]]>", 25), OK, NULL,
	  "<subject>&lt;a&amp;b&gt;</subject><body>&lt;/body&gt;&lt;x "
	  "y=&apos;1&apos;&gt;&amp;amp;&quot;]]&gt;</body>"
	  "<thread>a&lt;b</thread>" },
	{ "only so many bytes of the body", MESSAGE(NULL, NULL, NULL, "hello, not this", 5), OK, NULL,
	  "<body>hello</body>" },
	{ "UTF-8, tab and line feed", MESSAGE(NULL, NULL, NULL, "\xF0\x9F\x92\x8C\tgr\xC3\xBC\xC3\x9F\n", 12),
	  OK, NULL, "<body>\xF0\x9F\x92\x8C\tgr\xC3\xBC\xC3\x9F\n</body>" },
	{ "line breaks", MESSAGE(NULL, NULL, NULL, "a\r\nb\r\n\r\nc\r\rd\ne\r", 15), OK, NULL,
	  "<body>a\nb\n\nc&#13;&#13;d\ne&#13;</body>" },
	{ "empty body", MESSAGE(NULL, NULL, NULL, "", 0), OK, NULL, "<body></body>" },
	{ "a list of languages is no language", MESSAGE(NULL, NULL, "en, de", "hi", 2), OK, NULL,
	  "<body>hi</body>" },
	{ "NUL", MESSAGE(NULL, NULL, NULL, "a\0b", 3), ERR_SYNTAX, NULL, NULL },
	{ "control", MESSAGE(NULL, NULL, NULL, "a\x1B[2Jb", 6), ERR_SYNTAX, NULL, NULL },
	{ "Latin-1", MESSAGE(NULL, NULL, NULL, "gr\xFC\xDF", 4), ERR_SYNTAX, NULL, NULL },
	{ "half a character", MESSAGE(NULL, NULL, NULL, "gr\xC3", 3), ERR_SYNTAX, NULL, NULL },
	{ "surrogate", MESSAGE(NULL, NULL, NULL, "\xED\xA0\x80", 3), ERR_SYNTAX, NULL, NULL },
	{ "U+FFFE", MESSAGE(NULL, NULL, NULL, "\xEF\xBF\xBE", 3), ERR_SYNTAX, NULL, NULL },
	{ "bad subject", MESSAGE("\xFF", NULL, NULL, "hi", 2), ERR_SYNTAX, NULL, NULL },
	{ "bad thread", MESSAGE(NULL, "\x01", NULL, "hi", 2), ERR_SYNTAX, NULL, NULL },
};

static void assert_inner(const char *what, const struct stanza *s, const char *inner)
{
	const char *start = memchr(s->bytes, '>', s->size);

	assert_non_null(start);
	if ((size_t)(s->bytes + s->size - (start + 1)) != strlen(inner) + strlen("</message>") ||
	    memcmp(start + 1, inner, strlen(inner)) != 0)
		fail_msg("%s: %.*s", what, (int)s->size, s->bytes);
}

static void test_stanza(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stanza *s = NULL;
		enum err e = map_message_to_stanza(&cases[i].m, &s);

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
		assert_inner(cases[i].what, s, cases[i].inner);
		stanza_unref(s);
	}
}

static const struct {
	const char *what;
	struct map_message m;
	enum err expected;
	const char *type, *inner;
} signal_cases[] = {
	{ "a chat",
	  { .from = FROM, .to = TO, .id = "g1", .type = "chat", .body = "hi", .body_size = 2 },
	  OK,
	  "chat",
	  "<body>hi</body>" },
	{ "a state alone",
	  { .from = FROM, .to = TO, .type = "chat", .thread = "t", .chat_state = CHAT_STATE_COMPOSING },
	  OK,
	  "chat",
	  "<thread>t</thread><composing xmlns='http://jabber.org/protocol/chatstates'/>" },
	{ "gone",
	  { .from = FROM, .to = TO, .chat_state = CHAT_STATE_GONE },
	  OK,
	  NULL,
	  "<gone xmlns='http://jabber.org/protocol/chatstates'/>" },
	{ "all signals",
	  { .from = FROM,
	    .to = TO,
	    .id = "g1",
	    .type = "chat",
	    .body = "hi",
	    .body_size = 2,
	    .chat_state = CHAT_STATE_ACTIVE,
	    .receipt_request = true,
	    .nick = "Romeo" },
	  OK,
	  "chat",
	  "<body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
	  "<request xmlns='urn:xmpp:receipts'/><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>" },
	{ "a receipt",
	  { .from = FROM, .to = TO, .id = "g2", .received_id = "a'><&\"\n" },
	  OK,
	  NULL,
	  "<received xmlns='urn:xmpp:receipts' id='a&apos;&gt;&lt;&amp;&quot;&#10;'/>" },
	{ "a name with markup",
	  { .from = FROM, .to = TO, .nick = "</nick><x/>" },
	  OK,
	  NULL,
	  "<nick xmlns='http://jabber.org/protocol/nick'>&lt;/nick&gt;&lt;x/&gt;</nick>" },
	{ "bad name", { .from = FROM, .to = TO, .nick = "\x01" }, ERR_SYNTAX, NULL, NULL },
	{ "bad id of a receipt", { .from = FROM, .to = TO, .received_id = "\xFF" }, ERR_SYNTAX, NULL, NULL },
};

static void test_signals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signal_cases); i++) {
		struct stanza *s = NULL;
		enum err e = map_message_to_stanza(&signal_cases[i].m, &s);

		if (e != signal_cases[i].expected)
			fail_msg("%s: %s", signal_cases[i].what, err_text(e));
		if (e != OK) {
			assert_null(s);
			continue;
		}
		assert_true(stanza_has_type(s, signal_cases[i].type));
		assert_inner(signal_cases[i].what, s, signal_cases[i].inner);
		stanza_unref(s);
	}
}

/* What is written of signals is read as the same. */
static void test_signals_return(void **state)
{
	struct map_message m = { .from = FROM, .to = TO, .body = "hi", .body_size = 2 };
	(void)state;

	for (int i = CHAT_STATE_NONE; i <= CHAT_STATE_GONE; i++)
		for (int j = 0; j < 8; j++) {
			struct map_signals signals;
			struct stanza_tree *tree;
			struct stanza *s;

			m.chat_state = (enum chat_state)i;
			m.receipt_request = (j & 1) != 0;
			m.received_id = j & 2 ? " <id>\t'\" " : NULL;
			m.nick = j & 4 ? "R\xC3\xB6meo & Co" : NULL;
			assert_int_equal(map_message_to_stanza(&m, &s), OK);
			assert_int_equal(stanza_tree_build(s, &tree), OK);
			map_signals_read(tree, &signals);
			assert_int_equal(signals.chat_state, m.chat_state);
			assert_int_equal(signals.receipt_request, m.receipt_request);
			assert_int_equal(signals.received_id != NULL, m.received_id != NULL);
			if (m.received_id != NULL)
				assert_string_equal(signals.received_id, m.received_id);
			assert_int_equal(signals.nick != NULL, m.nick != NULL);
			if (m.nick != NULL)
				assert_string_equal(signals.nick, m.nick);
			stanza_tree_free(tree);
			stanza_unref(s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread),  cmocka_unit_test(test_date),
		cmocka_unit_test(test_lang),    cmocka_unit_test(test_stanza),
		cmocka_unit_test(test_signals), cmocka_unit_test(test_signals_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
