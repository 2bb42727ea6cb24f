/* test_map_sdp.c - session descriptions of IM sessions: offers, answers, and what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_sdp.h"

#define HEAD "v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
/* As real clients write them. */
#define LYNC                                                                                                 \
	"a=accept-types:text/plain multipart/alternative image/gif text/rtf text/html application/x-ms-ink " \
	"application/ms-imdn+xml text/x-msmsgsinvite \r\n"
#define SIPE                                                                                                 \
	"a=accept-types:text/plain text/html image/gif application/im-iscomposing+xml "                      \
	"application/ms-imdn+xml text/x-msmsgsinvite\r\n"

#define P MAP_SDP_PLAIN
#define H MAP_SDP_HTML
#define A MAP_SDP_ALTERNATIVE
#define C MAP_SDP_ISCOMPOSING

static const struct {
	const char *body;
	enum err expected;
	size_t count, chosen;
	unsigned accepts;
} cases[] = {
	{ HEAD "m=message 5060 sip null\r\n" LYNC, OK, 1, 0, P | H | A },
	{ HEAD "m=x-ms-message 5060 sip null\r\n" SIPE, OK, 1, 0, P | H | C },
	{ HEAD "m=x-ms-message 5060 sip sip:alice@corp.test\r\n" SIPE, OK, 1, 0, P | H | C },
	{ HEAD "m=message 5062 sip null\na=accept-types:text/plain\n", OK, 1, 0, P },
	{ HEAD "m=message 5060 sip null", OK, 1, 0, P },
	{ HEAD "m=message 5060 sip null\r\n\r\n", OK, 1, 0, P },
	{ HEAD "m=MESSAGE 5060 SIP null\r\na=Accept-Types: Text/HTML\tTEXT/Plain\r\n", OK, 1, 0, P | H },
	{ HEAD "m=message 5060/1 sip null\r\na=accept-types:*\r\n", OK, 1, 0, P | H | A | C },
	{ HEAD "m=message 5060 sip null\r\na=accept-types:text/*\r\na=accept-types:multipart/*\r\n", OK, 1, 0,
	  P | H | A },
	/* said of the session, said of the media */
	{ HEAD "a=accept-types:text/plain text/html\r\nm=message 5060 sip null\r\n", OK, 1, 0, P | H },
	{ HEAD "a=accept-types:text/html\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n", OK, 1,
	  0, P },
	{ HEAD "a=accept-types:text/plain\r\nm=message 5060 sip null\r\na=accept-types:text/rtf\r\n",
	  ERR_REFUSED, 0, 0, 0 },
	/* among others */
	{ HEAD "m=audio 40000 RTP/AVP 0 8\r\na=sendrecv\r\nm=message 5060 sip null\r\n" SIPE, OK, 2, 1,
	  P | H | C },
	{ HEAD "m=message 7654 TCP/MSRP *\r\na=accept-types:*\r\nm=message 5060 sip null\r\n", OK, 2, 1, P },
	{ HEAD "m=message 0 sip null\r\nm=x-ms-message 5060 sip null\r\nm=message 5060 sip null\r\n", OK, 3,
	  1, P },
	/* 488 */
	{ HEAD, ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=audio 40000 RTP/AVP 0 8\r\na=sendrecv\r\n", ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=message 7654 TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:msrp://127.0.0.70:7654/abc;"
	       "tcp\r\n",
	  ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=message 0 sip null\r\n", ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=message 5060 sip null\r\na=accept-types:text/html\r\n", ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=message 5060 sip null\r\na=accept-types:\r\n", ERR_REFUSED, 0, 0, 0 },
	{ HEAD "m=message 5060 sip null\r\na=accept-types:text/plainer xtext/plain\r\n", ERR_REFUSED, 0, 0,
	  0 },
	{ HEAD "m=messages 5060 sip null\r\n", ERR_REFUSED, 0, 0, 0 },
	{ "v=0\r\n", ERR_REFUSED, 0, 0, 0 },
	/* 400 */
	{ "", ERR_SYNTAX, 0, 0, 0 },
	{ "v=1\r\nm=message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ "m=message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ "v=0 \r\nm=message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060 sip\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060 sip \r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m= message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 65536 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 99999999999999999999 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message -1 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060/ sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060x sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060 sip n\x01ull\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060 sip n\rull\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m=message 5060 sip n\xC3\xBCll\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "M=message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD "m:message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
	{ HEAD " m=message 5060 sip null\r\n", ERR_SYNTAX, 0, 0, 0 },
};

static void test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct map_sdp *s = NULL;
		enum err e = map_sdp_read(cases[i].body, strlen(cases[i].body), &s);

		if (e != cases[i].expected)
			fail_msg("%zu: %s: %s", i, cases[i].body, err_text(e));
		if (e != OK) {
			assert_null(s);
			continue;
		}
		if (s->count != cases[i].count || s->chosen != cases[i].chosen ||
		    s->accepts != cases[i].accepts)
			fail_msg("%zu: %s: %zu of %zu, accepts %u", i, cases[i].body, s->chosen, s->count,
				 s->accepts);
		map_sdp_free(s);
	}
	map_sdp_free(NULL);
}

static void test_parts_of_a_line(void **state)
{
	static const char body[] =
		HEAD "m=audio 40000/2 RTP/AVP 0 8 101\r\nm=x-ms-message 5061  sip sip:alice@corp.test\r\n";
	struct map_sdp *s;
	(void)state;

	assert_int_equal(map_sdp_read(body, strlen(body), &s), OK);
	assert_string_equal(s->media[0].media, "audio");
	assert_int_equal(s->media[0].port, 40000);
	assert_string_equal(s->media[0].transport, "RTP/AVP");
	assert_string_equal(s->media[0].formats, "0 8 101");
	assert_string_equal(s->media[1].media, "x-ms-message");
	assert_int_equal(s->media[1].port, 5061);
	assert_string_equal(s->media[1].transport, "sip");
	assert_string_equal(s->media[1].formats, "sip:alice@corp.test");
	map_sdp_free(s);
}

static void test_limit_of_media(void **state)
{
	struct strbuf b = { .s = NULL };
	struct map_sdp *s = NULL;
	(void)state;

	strbuf_puts(&b, HEAD "m=message 5060 sip null\r\n");
	for (int i = 1; i < MAP_SDP_MEDIA; i++)
		strbuf_puts(&b, "m=audio 4 RTP/AVP 0\r\n");
	assert_int_equal(map_sdp_read(b.s, b.len, &s), OK);
	assert_int_equal(s->count, MAP_SDP_MEDIA);
	map_sdp_free(s);
	strbuf_puts(&b, "m=audio 4 RTP/AVP 0\r\n");
	assert_int_equal(map_sdp_read(b.s, b.len, &s), ERR_LIMIT);
	strbuf_free(&b);
}

#define TYPES "a=accept-types:text/plain text/html multipart/alternative application/im-iscomposing+xml\r\n"

static const struct {
	const char *host, *line; /* as o= and c= have it */
} hosts[] = {
	{ "192.0.2.20", "IN IP4 192.0.2.20" },
	{ "bridge.corp.test", "IN IP4 bridge.corp.test" },
	{ "2001:db8::1", "IN IP6 2001:db8::1" },
	{ "[2001:db8::1]", "IN IP6 2001:db8::1" },
};

static void test_offer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct strbuf b = { .s = NULL };
		char *expected = xasprintf("v=0\r\no=- 0 0 %s\r\ns=session\r\nc=%s\r\nt=0 0\r\n"
					   "m=message 5060 sip null\r\n" TYPES,
					   hosts[i].line, hosts[i].line);
		struct map_sdp *s;

		map_sdp_write_offer(&b, hosts[i].host);
		assert_string_equal(b.s, expected);
		assert_int_equal(map_sdp_read(b.s, b.len, &s), OK);
		assert_int_equal(s->accepts, P | H | A | C);
		map_sdp_free(s);
		strbuf_free(&b);
		free(expected);
	}
}

static const struct {
	const char *offer, *answer; /* the media of both */
} answers[] = {
	{ "m=message 5060 sip null\r\n" LYNC, "m=message 5060 sip sip:juliet@example.com\r\n" TYPES },
	{ "m=x-ms-message 5060 sip null\r\n" SIPE,
	  "m=x-ms-message 5060 sip sip:juliet@example.com\r\n" TYPES },
	/* the others in their places, refused, whatever they say behind them */
	{ "m=audio 40000/2 RTP/AVP 0 8\r\na=sendrecv\r\nm=message 5060 sip null\r\n" SIPE
	  "m=message 7654 TCP/MSRP *\r\na=path:msrp://x\r\n",
	  "m=audio 0 RTP/AVP 0 8\r\nm=message 5060 sip sip:juliet@example.com\r\n" TYPES
	  "m=message 0 TCP/MSRP *\r\n" },
	{ "m=message 5060 sip sip:a@b.test\r\nm=message 5060 sip sip:c@d.test\r\n",
	  "m=message 5060 sip sip:juliet@example.com\r\n" TYPES "m=message 0 sip sip:c@d.test\r\n" },
};

static void test_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		char *body = xasprintf(HEAD "%s", answers[i].offer);
		struct strbuf b = { .s = NULL };
		struct map_sdp *offer, *again;

		assert_int_equal(map_sdp_read(body, strlen(body), &offer), OK);
		map_sdp_write_answer(&b, offer, "192.0.2.20", "sip:juliet@example.com");
		assert_string_equal(strstr(b.s, "m="), answers[i].answer);
		assert_int_equal(map_sdp_read(b.s, b.len, &again), OK);
		assert_int_equal(again->count, offer->count);
		assert_int_equal(again->chosen, offer->chosen);
		map_sdp_free(again);
		map_sdp_free(offer);
		strbuf_free(&b);
		free(body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),           cmocka_unit_test(test_parts_of_a_line),
		cmocka_unit_test(test_limit_of_media), cmocka_unit_test(test_offer),
		cmocka_unit_test(test_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
