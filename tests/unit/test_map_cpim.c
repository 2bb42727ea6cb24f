/* test_map_cpim.c - message/cpim (RFC 3862), and the notifications that it asks for (RFC 5438). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_content.h"

#define FROM "From: MR SANDERS <im:piglet@100akerwood.com>\r\n"
#define TO   "To: Depressed Donkey <im:eeyore@100akerwood.com>\r\n"
#define DATE "DateTime: 2000-12-13T13:40:00-08:00\r\n"
#define NS   "NS: imdn <urn:ietf:params:imdn>\r\n"
#define ID   "imdn.Message-ID: 34jk324j\r\n"
#define WANT "imdn.Disposition-Notification: "
#define HI   "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi"
#define ALL  (IMDN_WANT_DELIVERY | IMDN_WANT_FAILURE | IMDN_WANT_DISPLAY)

static enum err read_body(const char *body, struct map_content *out)
{
	size_t n = strlen(body);
	char *bytes = malloc(n);
	enum err e;

	assert_non_null(bytes);
	memcpy(bytes, body, n);
	e = map_content_read("Message/CPIM", bytes, n, out);
	free(bytes);
	return e;
}

static void assert_text(const char *what, const char *value, const char *expected)
{
	if ((value == NULL) != (expected == NULL) || (value != NULL && strcmp(value, expected) != 0))
		fail_msg("%s: '%s'", what, value != NULL ? value : "none");
}

static const struct {
	const char *body;
	enum map_content_kind kind;
	const char *text, *from, *to, *date, *subject, *id;
	unsigned wanted;
} cases[] = {
	{ FROM TO DATE
	  "\r\nContent-type: text/plain; charset=utf-8\r\nContent-ID: <1234567890@foo.com>\r\n\r\nHere\r\nis",
	  MAP_CONTENT_TEXT, "Here\nis", "im:piglet@100akerwood.com", "im:eeyore@100akerwood.com",
	  "2000-12-13T13:40:00-08:00", NULL, NULL, 0 },
	/* as a gateway sends it to a standard client */
	{ "From: <sip:carol@partner.test>\r\nTo: <sip:linda@corp.test>\r\nDateTime: "
	  "2026-11-20T10:00:00Z\r\n" NS
	  "imdn.Message-ID: abc123\r\nimdn.Disposition-Notification: positive-delivery, display\r\n\r\n"
	  "Content-Type: text/plain; charset=UTF-8\r\n\r\nCPIM with IMDN request",
	  MAP_CONTENT_TEXT, "CPIM with IMDN request", "sip:carol@partner.test", "sip:linda@corp.test",
	  "2026-11-20T10:00:00Z", NULL, "abc123", IMDN_WANT_DELIVERY | IMDN_WANT_DISPLAY },
	{ "From: <sip:a@b.test>\nTo: <sip:c@d.test>\n\nContent-Type: text/plain\n\nLF\n", MAP_CONTENT_TEXT,
	  "LF\n", "sip:a@b.test", "sip:c@d.test", NULL, NULL, NULL, 0 },
	{ TO "\r\n\r\nno type", MAP_CONTENT_TEXT, "no type", NULL, "im:eeyore@100akerwood.com", NULL, NULL,
	  NULL, 0 },
	{ TO "To: <im:rabbit@100akerwood.com>\r\ncc: <im:owl@100akerwood.com>\r\n" HI, MAP_CONTENT_TEXT, "hi",
	  NULL, "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	/* what is inside */
	{ TO "\r\nContent-Type: text/html\r\n\r\n<b>hi</b><br>", MAP_CONTENT_TEXT, "hi", NULL,
	  "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=",
	  MAP_CONTENT_TEXT, "hi", NULL, "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: multipart/alternative;boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--",
	  MAP_CONTENT_TEXT, "hi", NULL, "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: application/im-iscomposing+xml\r\n\r\n"
	     "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>",
	  MAP_CONTENT_TYPING, NULL, NULL, "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: image/gif\r\n\r\nGIF89a", MAP_CONTENT_UNSUPPORTED, NULL, NULL,
	  "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: message/cpim\r\n\r\n" TO HI, MAP_CONTENT_UNSUPPORTED, NULL, NULL,
	  "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO "\r\nContent-Type: text/plain\r\n\r\n", MAP_CONTENT_EMPTY, NULL, NULL,
	  "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	{ TO, MAP_CONTENT_EMPTY, NULL, NULL, "im:eeyore@100akerwood.com", NULL, NULL, NULL, 0 },
	/* the subject */
	{ "Subject: the weather will be fine today\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL,
	  "the weather will be fine today", NULL, 0 },
	{ "Subject:;lang=fr beau temps\r\nSubject: second\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL,
	  "beau temps", NULL, 0 },
	{ "Subject: a\\\\b\\\"\\'\\n\\u00FC\\u20AC\\u0041\\x\\u12\\uD83D\\u0001\\\r\n" HI, MAP_CONTENT_TEXT,
	  "hi", NULL, NULL, NULL,
	  "a\\b\"' \u00FC\u20AC"
	  "A\\x\\u12\\uD83D\\u0001\\",
	  NULL, 0 },
	/* notifications */
	{ NS ID WANT "positive-delivery, negative-delivery, display, processing\r\n" HI, MAP_CONTENT_TEXT,
	  "hi", NULL, NULL, NULL, NULL, "34jk324j", ALL },
	{ NS ID WANT "Negative-Delivery;x=y ,, display; positive-delivery\r\n" HI, MAP_CONTENT_TEXT, "hi",
	  NULL, NULL, NULL, NULL, "34jk324j", IMDN_WANT_FAILURE | IMDN_WANT_DISPLAY },
	{ NS ID WANT "positive-deliveries, xdisplay\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL,
	  "34jk324j", 0 },
	{ NS WANT "display\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL, NULL, 0 },
	{ ID WANT "display\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL, NULL, 0 }, /* not bound */
	{ "NS: x <urn:ietf:params:imdn>\r\nx.Message-ID: 1\r\n" HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL,
	  NULL, "1", 0 },
	{ "NS: <urn:ietf:params:imdn>\r\nMessage-ID: 1\r\nDisposition-Notification: display\r\n" HI,
	  MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL, "1", IMDN_WANT_DISPLAY },
	{ NS "NS: imdn <urn:other>\r\n" ID HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL, NULL, 0 },
	{ NS "NS: y <urn:other>\r\ny.Message-ID: 2\r\nimdnx.Message-ID: 3\r\n" ID HI, MAP_CONTENT_TEXT, "hi",
	  NULL, NULL, NULL, NULL, "34jk324j", 0 },
	/* what it requires */
	{ NS "Require: imdn.Message-ID, Subject\r\n" ID HI, MAP_CONTENT_TEXT, "hi", NULL, NULL, NULL, NULL,
	  "34jk324j", 0 },
	{ "NS: f <mid:f@id.foo.com>\r\nRequire: f.Vital\r\nf.Vital: x\r\n" HI, MAP_CONTENT_UNSUPPORTED, NULL,
	  NULL, NULL, NULL, NULL, NULL, 0 },
	/* a notification asks for none */
	{ NS ID WANT "display\r\n\r\nContent-Type: message/imdn+xml\r\n\r\n"
		     "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>9</message-id></imdn>",
	  MAP_CONTENT_IMDN, NULL, NULL, NULL, NULL, NULL, "34jk324j", 0 },
};

static void test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct map_content c;
		enum err e = read_body(cases[i].body, &c);

		if (e != OK || c.kind != cases[i].kind)
			fail_msg("%s: %s, kind %d", cases[i].body, err_text(e), (int)c.kind);
		assert_text(cases[i].body, c.text, cases[i].text);
		if (c.cpim == NULL) {
			assert_int_equal(c.kind, MAP_CONTENT_UNSUPPORTED);
			continue;
		}
		assert_text(cases[i].body, c.cpim->from_uri, cases[i].from);
		assert_text(cases[i].body, c.cpim->to_uri, cases[i].to);
		assert_text(cases[i].body, c.cpim->date_time, cases[i].date);
		assert_text(cases[i].body, c.cpim->subject, cases[i].subject);
		assert_text(cases[i].body, c.cpim->message_id, cases[i].id);
		if (c.cpim->wanted != cases[i].wanted)
			fail_msg("%s: wanted %u", cases[i].body, c.cpim->wanted);
		map_content_free(&c);
	}
}

static const struct {
	const char *body;
	enum err expected;
} refused[] = {
	{ "\r\n\r\nno header", ERR_SYNTAX },
	{ "text", ERR_SYNTAX },
	{ "From <sip:a@b.test>\r\n" HI, ERR_SYNTAX },
	{ "From: sip:a@b.test\r\n" HI, ERR_SYNTAX },
	{ "From: <sip:a@b.test\r\n" HI, ERR_SYNTAX },
	{ "From: <>\r\n" HI, ERR_SYNTAX },
	{ "From: <sip:a b@c.test>\r\n" HI, ERR_SYNTAX },
	{ "From: <sip:a@b.test> x\r\n" HI, ERR_SYNTAX },
	{ FROM FROM HI, ERR_SYNTAX },
	{ DATE DATE HI, ERR_SYNTAX },
	{ "DateTime: 2000-12-13 13:40\r\n" HI, ERR_SYNTAX },
	{ "DateTime:\r\n" HI, ERR_SYNTAX },
	{ "Subject: \xFF\r\n" HI, ERR_SYNTAX },
	{ "Subject: a\x01\r\n" HI, ERR_SYNTAX },
	{ NS ID ID HI, ERR_SYNTAX },
	{ NS "imdn.Message-ID: a b\r\n" HI, ERR_SYNTAX },
	{ NS "imdn.Message-ID:\r\n" HI, ERR_SYNTAX },
	{ "NS: imdn urn:ietf:params:imdn\r\n" HI, ERR_SYNTAX },
	{ "NS: a b <urn:x>\r\n" HI, ERR_SYNTAX },
	{ TO "\r\nno header\r\n\r\nhi", ERR_SYNTAX },
	{ TO "\r\nContent-Type: text/plain\r\n\r\n\x01", ERR_SYNTAX },
	{ TO "\r\nContent-Type: text\r\n\r\nhi", ERR_SYNTAX },
};

static void test_refused(void **state)
{
	struct strbuf b = { .s = NULL };
	struct map_content c;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		enum err e = read_body(refused[i].body, &c);

		if (e != refused[i].expected)
			fail_msg("%s: %s", refused[i].body, err_text(e));
	}
	for (int i = 0; i <= 64; i++)
		strbuf_puts(&b, "x: y\r\n");
	strbuf_puts(&b, HI);
	assert_int_equal(read_body(b.s + strlen("x: y\r\n"), &c), OK);
	map_content_free(&c);
	assert_int_equal(read_body(b.s, &c), ERR_LIMIT);
	strbuf_free(&b);
}

/* Our notification, read as a client reads it. */
static void test_notification_returns(void **state)
{
	static const enum imdn_status statuses[] = { IMDN_DELIVERED, IMDN_DISPLAYED, IMDN_FAILED };
	struct map_content asked, answer;
	(void)state;

	assert_int_equal(read_body(FROM TO DATE NS ID WANT "display\r\n" HI, &asked), OK);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		char *body = NULL;

		assert_int_equal(map_imdn_write(asked.cpim, statuses[i], "d834jied93rf", &body), OK);
		assert_int_equal(map_content_read(MAP_IMDN_TYPE, body, strlen(body), &answer), OK);
		assert_int_equal(answer.kind, MAP_CONTENT_IMDN);
		assert_int_equal(answer.status, statuses[i]);
		assert_string_equal(answer.message_id, "34jk324j");
		assert_string_equal(answer.cpim->from_uri, asked.cpim->to_uri);
		assert_string_equal(answer.cpim->to_uri, asked.cpim->from_uri);
		assert_string_equal(answer.cpim->message_id, "d834jied93rf");
		map_content_free(&answer);
		free(body);
	}
	map_content_free(&asked);
}

static void test_notification(void **state)
{
	struct map_cpim asked = { .from_uri = "sip:a@b.test",
				  .to_uri = "sip:c&d@e.test",
				  .message_id = "<1>" };
	char *body = NULL;
	(void)state;

	assert_int_equal(map_imdn_write(&asked, IMDN_DELIVERED, "2", &body), OK);
	assert_string_equal(
		body,
		"From: <sip:c&d@e.test>\r\nTo: <sip:a@b.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
		"imdn.Message-ID: 2\r\n\r\nContent-Type: message/imdn+xml\r\n"
		"Content-Disposition: notification\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		"<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>&lt;1&gt;</message-id>"
		"<recipient-uri>sip:c&amp;d@e.test</recipient-uri>"
		"<original-recipient-uri>sip:c&amp;d@e.test</original-recipient-uri>"
		"<delivery-notification><status><delivered/></status></delivery-notification></imdn>");
	free(body);
}

static const struct {
	struct map_cpim asked;
	enum imdn_status status;
	const char *id;
} unwritable[] = {
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test" }, IMDN_DELIVERED, "2" },
	{ { .to_uri = "sip:c@d.test", .message_id = "1" }, IMDN_DELIVERED, "2" },
	{ { .from_uri = "sip:a@b.test", .message_id = "1" }, IMDN_DELIVERED, "2" },
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test", .message_id = "1" }, IMDN_OTHER, "2" },
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test", .message_id = "1" }, IMDN_DELIVERED, "" },
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test", .message_id = "1" },
	  IMDN_DELIVERED,
	  "2\r\nX: y" },
	{ { .from_uri = "sip:a@b.test\r\nX: y", .to_uri = "sip:c@d.test", .message_id = "1" },
	  IMDN_DELIVERED,
	  "2" },
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test", .message_id = "\xFF" },
	  IMDN_DELIVERED,
	  "2" },
	{ { .from_uri = "sip:a@b.test", .to_uri = "sip:c@d.test", .message_id = "1", .date_time = "a b" },
	  IMDN_DELIVERED,
	  "2" },
};

static void test_notification_refused(void **state)
{
	char *body = NULL;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(unwritable); i++) {
		assert_int_equal(
			map_imdn_write(&unwritable[i].asked, unwritable[i].status, unwritable[i].id, &body),
			ERR_SYNTAX);
		assert_null(body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_notification_returns),
		cmocka_unit_test(test_notification),
		cmocka_unit_test(test_notification_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
