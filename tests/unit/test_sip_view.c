/*
 * test_sip_view.c - received SIP messages as plain values: fields of requests and
 * responses, any header field by its name, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/sip/endpoint_internal.h"

/* A message, and its view. */
struct parsed {
	msg_t *msg;
	struct sip_view view;
};

static void parse(struct parsed *p, const char *bytes)
{
	p->msg = msg_make(sip_default_mclass(), 0, bytes, (ssize_t)strlen(bytes));
	assert_non_null(p->msg);
	endpoint_view_begin(&p->view, sip_object(p->msg));
}

static void end(struct parsed *p)
{
	endpoint_view_end(&p->view);
	msg_destroy(p->msg);
}

#define CORE                                                                                                 \
	"Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK5F3A.8D02;branched=FALSE\r\n"                        \
	"Max-Forwards: 69\r\n"                                                                               \
	"Call-ID: 4d2c1f0a9b8e\r\nCSeq: 4294967295 INVITE\r\n"
#define PARTIES                                                                                              \
	"From: \"Romeo \\\"M\\\"\"<sip:romeo@example.net>;tag=1f2e;epid=5a1b\r\n"                            \
	"To: \"Juliet\" <sip:juliet@example.com;gr=balcony>;tag=gw7f\r\n"

static const char pool_invite[] =
	"INVITE sip:juliet@example.com;gr=x%20y SIP/2.0\r\n" CORE PARTIES
	"Record-Route: <sip:fe.example.net:5061;transport=tls;opaque=state:F;lr>;tag=01\r\n"
	"Record-Route: <sip:a.example.net;lr>, <sip:b.example.net;lr>\r\n"
	"Contact: <sip:romeo@example.net;opaque=user:epid:AbCd;gruu>\r\n"
	"User-Agent: UCCAPI/16.0\r\n  (Client)\r\n"
	"P-Asserted-Identity: \"Romeo\"<sip:romeo@example.net>\r\n"
	"Supported: ms-dialog-route-set-update\r\n"
	"ms-text-format: text/plain; charset=UTF-8; ms-body=SGVsbG8=\r\n"
	"MS-Text-Format: text/html; charset=UTF-8; ms-body=PGI+\r\n"
	"Supported: ms-embedded-first-message, timer\r\n"
	"Bad: a\x01b\r\n"
	"Latin: gr\xFC\xDF\r\n"
	"Empty:\r\n"
	"EndPoints: <sip:romeo@example.net>, <sip:juliet@example.com>\r\n"
	"Event: Presence;id=7\r\n"
	"Expires: 28800\r\n"
	"Content-Type: Application/SDP ; charset=\"UTF-8\"\r\n"
	"Content-Length: 5\r\n\r\nv=0\r\n";

static void test_request(void **state)
{
	struct parsed p;
	struct sip_request r;
	(void)state;

	parse(&p, pool_invite);
	assert_null(endpoint_view_request(&p.view, &r));
	assert_string_equal(r.method, "INVITE");
	assert_string_equal(r.to.user, "juliet");
	assert_string_equal(r.to.gr, "x y");
	assert_string_equal(r.to_header.gr, "balcony");
	assert_string_equal(r.to_uri, "sip:juliet@example.com;gr=balcony");
	assert_string_equal(r.to_display, "Juliet");
	assert_string_equal(r.to_tag, "gw7f");
	assert_string_equal(r.from_uri, "sip:romeo@example.net");
	assert_string_equal(r.from_display, "Romeo \"M\"");
	assert_string_equal(r.from_tag, "1f2e");
	assert_true(r.cseq == UINT32_MAX);
	assert_int_equal(r.max_forwards, 69);
	assert_string_equal(r.contact_uri, "sip:romeo@example.net;opaque=user:epid:AbCd;gruu");
	assert_string_equal(r.event, "presence");
	assert_int_equal(r.expires, 28800);
	assert_string_equal(r.content_type, "application/sdp");
	assert_string_equal(r.charset, "utf-8");
	assert_int_equal(r.body_size, 5);
	assert_null(r.subject);
	assert_null(r.subscription_state);
	assert_int_equal(r.state_expires, -1);
	assert_int_equal(r.pool, -1);
	end(&p);
}

static void test_little(void **state)
{
	struct parsed p;
	struct sip_request r;
	(void)state;

	parse(&p, "BYE sip:192.0.2.20:5062;transport=tls SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n"
		  "From: sip:romeo@example.net\r\nTo: <tel:+15551234567>\r\nCall-ID: 1\r\n"
		  "CSeq: 0 BYE\r\n\r\n");
	assert_null(endpoint_view_request(&p.view, &r));
	assert_string_equal(r.to.user, "");
	assert_null(r.to_uri);
	assert_string_equal(r.to_header.host, "");
	assert_null(r.to_tag);
	assert_null(r.from_tag);
	assert_null(r.contact_uri);
	assert_null(r.event);
	assert_string_equal(r.from_display, "");
	assert_string_equal(r.content_type, "");
	assert_string_equal(r.body, "");
	assert_int_equal(r.body_size, 0);
	assert_int_equal(r.max_forwards, 70);
	assert_int_equal(r.expires, -1);
	end(&p);
}

static void test_header(void **state)
{
	static const struct {
		const char *name;
		unsigned index;
		const char *value; /* NULL: none */
	} cases[] = {
		{ "ms-text-format", 0, "text/plain; charset=UTF-8; ms-body=SGVsbG8=" },
		{ "MS-TEXT-FORMAT", 1, "text/html; charset=UTF-8; ms-body=PGI+" },
		{ "ms-text-format", 2, NULL },
		{ "ms-im-format", 0, NULL },
		{ "Record-Route", 0, "<sip:fe.example.net:5061;transport=tls;opaque=state:F;lr>;tag=01" },
		{ "record-route", 1, "<sip:a.example.net;lr>" },
		{ "Record-Route", 2, "<sip:b.example.net;lr>" },
		{ "Record-Route", 3, NULL },
		{ "Route", 0, NULL },
		/* Lists of tokens are one value. */
		{ "Supported", 0, "ms-dialog-route-set-update, ms-embedded-first-message, timer" },
		{ "Supported", 1, NULL },
		{ "User-Agent", 0, "UCCAPI/16.0 (Client)" }, /* folded */
		{ "P-Asserted-Identity", 0, "\"Romeo\"<sip:romeo@example.net>" },
		{ "EndPoints", 0, "<sip:romeo@example.net>, <sip:juliet@example.com>" },
		{ "Event", 0, "Presence;id=7" },
		{ "Content-Type", 0, "Application/SDP;charset=\"UTF-8\"" },
		{ "Empty", 0, "" },
		{ "Bad", 0, NULL },
		{ "Latin", 0, NULL },
		{ "", 0, NULL },
		{ "i", 0, NULL }, /* the short form is no name here */
	};
	struct parsed p;
	(void)state;

	parse(&p, pool_invite);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *value = sip_header(&p.view, cases[i].name, cases[i].index);

		if ((value == NULL) != (cases[i].value == NULL) ||
		    (value != NULL && strcmp(value, cases[i].value) != 0))
			fail_msg("%s %u: '%s'", cases[i].name, cases[i].index,
				 value != NULL ? value : "(none)");
	}
	assert_null(sip_header(NULL, "From", 0));
	end(&p);
}

static void expect_text(const char *text, const char *expected)
{
	if (expected == NULL)
		assert_null(text);
	else
		assert_string_equal(text != NULL ? text : "(none)", expected);
}

static void test_subscription_state(void **state)
{
	static const struct {
		const char *value, *state, *reason;
		int64_t expires, retry_after;
	} cases[] = {
		{ "active;expires=3500", "active", NULL, 3500, -1 },
		{ "Pending", "pending", NULL, -1, -1 },
		{ "terminated;reason=Timeout;retry-after=30", "terminated", "timeout", -1, 30 },
		{ "terminated;reason=\"noresource\";expires=0", "terminated", "noresource", 0, -1 },
		{ "active;expires=-1", "active", NULL, -1, -1 },
		{ "active;expires=99999999999", "active", NULL, -1, -1 },
		{ ";expires=1", NULL, NULL, -1, -1 }, /* the library finds no such header field */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed p;
		struct sip_request r;
		char text[1024];

		snprintf(text, sizeof(text),
			 "NOTIFY sip:192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n" PARTIES
			 "Call-ID: 1\r\nCSeq: 1 NOTIFY\r\nSubscription-State: %s\r\n\r\n",
			 cases[i].value);
		parse(&p, text);
		assert_null(endpoint_view_request(&p.view, &r));
		expect_text(r.subscription_state, cases[i].state);
		expect_text(r.reason, cases[i].reason);
		assert_int_equal(r.state_expires, cases[i].expires);
		assert_int_equal(r.retry_after, cases[i].retry_after);
		end(&p);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to, *more, *phrase;
	} cases[] = {
		{ "<sip:a@b.test>;tag=\"x y\"", "<sip:c@d.test>", "", "Bad From" },
		{ "<sip:a@b.test>;tag=1", "<sip:c@d.test>;tag=\"a\\\"b\"", "", "Bad To" },
		{ "<sip:a@b.test>;tag=1", "\"\xFF\" <sip:c@d.test>", "", "Bad To" },
		{ "<sip:a@b.test>;tag=1", "<sip:c@d.test>", "Event: a\x7F\r\n", "Bad Event" },
		{ "<sip:a@b.test>;tag=1", "<sip:c@d.test>", "Subscription-State: a;reason=\"\x02\"\r\n",
		  "Bad Subscription-State" },
		{ "<sip:a@b.test;x=\x01>;tag=1", "<sip:c@d.test>", "", "Bad From" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed p;
		struct sip_request r;
		char text[1024];
		const char *phrase;

		snprintf(text, sizeof(text),
			 "INFO sip:x@y.test SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nFrom: %s\r\nTo: %s\r\nCall-ID: "
			 "1\r\n"
			 "CSeq: 1 INFO\r\n%s\r\n",
			 cases[i].from, cases[i].to, cases[i].more);
		parse(&p, text);
		assert_true(p.view.sip->sip_from != NULL && p.view.sip->sip_to != NULL);
		phrase = endpoint_view_request(&p.view, &r);
		if (phrase == NULL || strcmp(phrase, cases[i].phrase) != 0)
			fail_msg("%zu: %s", i, phrase != NULL ? phrase : "taken");
		end(&p);
	}
}

static void test_response(void **state)
{
	struct parsed p;
	struct sip_response r;
	(void)state;

	parse(&p, "SIP/2.0 200 OK\r\n" CORE PARTIES
		  "Contact: <sip:pool01.example.net:5061;transport=tls>\r\nExpires: 3600\r\n"
		  "subscription-state: active;expires=3600\r\nms-piggyback-cseq: 1\r\n"
		  "Content-Type: application/PIDF+xml\r\nContent-Length: 11\r\n\r\n<presence/>");
	endpoint_view_response(&p.view, &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.to_tag, "gw7f");
	assert_string_equal(r.contact_uri, "sip:pool01.example.net:5061;transport=tls");
	assert_int_equal(r.expires, 3600);
	assert_int_equal(r.retry_after, -1);
	assert_string_equal(r.content_type, "application/pidf+xml");
	assert_int_equal(r.body_size, 11);
	assert_string_equal(sip_header(r.view, "ms-piggyback-cseq", 0), "1");
	end(&p);

	/* What cannot be read is not there; the status is. */
	parse(&p, "SIP/2.0 503 \r\nVia: SIP/2.0/TCP a\r\nFrom: <sip:a@b.test>;tag=1\r\n"
		  "To: <sip:c@d.test>;tag=\"a b\"\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <tel:+1>\r\n"
		  "Retry-After: 18000;duration=3600\r\nContent-Type: a/\x01\r\nContent-Length: 1\r\n\r\nx");
	endpoint_view_response(&p.view, &r);
	assert_int_equal(r.status, 503);
	assert_string_equal(r.phrase, "");
	assert_null(r.to_tag);
	assert_null(r.contact_uri);
	assert_int_equal(r.retry_after, 18000);
	assert_string_equal(r.charset, "");
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request), cmocka_unit_test(test_little),
		cmocka_unit_test(test_header),  cmocka_unit_test(test_subscription_state),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
