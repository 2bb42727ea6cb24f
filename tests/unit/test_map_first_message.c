/* test_map_first_message.c - the first message of a session, in the INVITE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_content.h"

#define MSGR                                                                                                 \
	"msgr="                                                                                              \
	"WAAtAE0ATQBTAC0ASQBNAC0ARgBvAHIAbQBhAHQAOgAgAEYATgA9AE0AUwAlADIAMABTAGEAbgBzACUAMgAwAFMAZQByAG"     \
	"kAZgA7ACAARQBGAD0AOwAgAEMATwA9ADAAOwAgAFAARgA9ADAAOwAgAFIATAA9ADAADQAKAA0ACgA"

static const struct {
	const char *values[3];
	enum err expected;
	const char *type, *body;
} cases[] = {
	/* as Skype for Business and pidgin-sipe write it */
	{ { "text/plain; charset=UTF-8; ms-body=SGVsbG8gSnVsaWV0" },
	  OK,
	  "text/plain; charset=UTF-8",
	  "Hello Juliet" },
	{ { "text/plain; charset=UTF-8;" MSGR ";ms-body=SGVsbG8gQm9iLCBmaXJzdCBtZXNzYWdlIDwmPiDDpMO2w7w=" },
	  OK,
	  "text/plain; charset=UTF-8;" MSGR,
	  "Hello Bob, first message <&> \u00E4\u00F6\u00FC" },
	{ { "text/plain; ms-body=aGk=; charset=UTF-8" }, OK, "text/plain; charset=UTF-8", "hi" },
	{ { "text/plain; MS-Body=\"aGk=\"" }, OK, "text/plain", "hi" },
	/* several */
	{ { "text/html; charset=UTF-8; ms-body=PGI+aGk8L2I+",
	    "text/rtf; ms-body=e30=", "Text/Plain; ms-body=aGk=" },
	  OK,
	  "Text/Plain",
	  "hi" },
	{ { "text/html; charset=UTF-8; ms-body=PGI+aGk8L2I+", "text/rtf; ms-body=e30=" },
	  OK,
	  "text/html; charset=UTF-8",
	  "<b>hi</b>" },
	{ { "nonsense", "text/plain; ms-body=aGk=" }, OK, "text/plain", "hi" },
	{ { "text/plain; ms-body=aGk=", "text/plain; ms-body=bm8=" }, OK, "text/plain", "hi" },
	/* none, or not exactly that */
	{ { NULL }, ERR_NOT_FOUND, NULL, NULL },
	{ { "" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; charset=UTF-8" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body" }, ERR_SYNTAX, NULL, NULL },
	{ { "ms-body=aGk=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGk" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGl=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aG k=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGk=\r\n" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGk=,text/html; ms-body=aGk=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGk=; ms-body=bm8=" }, ERR_SYNTAX, NULL, NULL },
	{ { "text/plain; ms-body=aGk=; broken" }, ERR_SYNTAX, NULL, NULL },
	/* the plain one is the one, whether it can be read or not */
	{ { "text/html; ms-body=aGk=", "text/plain; ms-body=aGk" }, ERR_SYNTAX, NULL, NULL },
};

static void test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct map_first_message m = { .type = NULL };
		size_t count = 0;
		enum err e;

		while (count < 3 && cases[i].values[count] != NULL)
			count++;
		e = map_first_message_read(cases[i].values, count, &m);
		if (e != cases[i].expected)
			fail_msg("%s: %s", count > 0 ? cases[i].values[0] : "none", err_text(e));
		if (e != OK) {
			assert_null(m.type);
			assert_null(m.body);
			continue;
		}
		assert_string_equal(m.type, cases[i].type);
		assert_string_equal(m.body, cases[i].body);
		assert_int_equal(m.size, strlen(cases[i].body));
		map_first_message_free(&m);
	}
}

/* What we write is read as the same text, at every length that fits. */
static void test_what_is_written_is_read(void **state)
{
	char text[MAP_FIRST_MESSAGE_MAX + 2];
	struct strbuf b = { .s = NULL };
	(void)state;

	for (size_t n = 1; n <= MAP_FIRST_MESSAGE_MAX; n += n < 100 ? 1 : 487) {
		struct map_first_message m;
		struct map_content content;
		const char *value;

		memset(text, 'x', n);
		memcpy(text, "\u00FC\n", n > 3 ? 3 : 0);
		text[n] = '\0';
		strbuf_reset(&b);
		assert_true(map_first_message_write(text, &b));
		value = b.s;
		assert_int_equal(map_first_message_read(&value, 1, &m), OK);
		assert_int_equal(map_content_read(m.type, m.body, m.size, &content), OK);
		assert_int_equal(content.kind, MAP_CONTENT_TEXT);
		assert_string_equal(content.text, text);
		map_content_free(&content);
		map_first_message_free(&m);
	}
	strbuf_reset(&b);
	memset(text, 'x', MAP_FIRST_MESSAGE_MAX + 1);
	text[MAP_FIRST_MESSAGE_MAX + 1] = '\0';
	assert_false(map_first_message_write(text, &b));
	assert_false(map_first_message_write("", &b));
	assert_int_equal(b.len, 0);
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
