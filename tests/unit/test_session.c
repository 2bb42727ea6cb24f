/*
 * test_session.c - sessions that a user of a pool begins: their texts, where these
 * go, who says them, and how they end. What is said beside text is test_signals.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gatewaytest.h"

#define FIRST     "ms-text-format: text/plain; charset=UTF-8; ms-body=Zmlyc3Q=\r\n" /* "first" */
#define INFO_TYPE "Content-Type: application/xml\r\n"
#define TYPING    "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>"
#define CPIM_TYPE "Content-Type: message/cpim\r\n"
#define CPIM_LINES                                                                                           \
	"From: <sip:tybalt@corp.test>\r\nTo: <sip:juliet@partner.test>\r\nNS: imdn "                         \
	"<urn:ietf:params:imdn>\r\n"
static const struct outcome delivered = { .confirmed = true };

/* --- INVITE --- */

static void test_without_text(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	const char *answer;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_invite(&t, &d, "Supported: ms-text-format\r\n" SDP_TYPE, SDP);
	answer = gatewaytest_accepted(&t, &d);
	assert_null(sip_field(answer, "Supported"));
	assert_non_null(strstr(sip_field(answer, "Allow"), "MESSAGE"));
	assert_non_null(strstr(sip_field(answer, "To"), ";tag="));
	assert_string_equal(sip_field(answer, "Content-Type"), "application/sdp");
	assert_non_null(strstr(sip_body(answer), "m=message 5060 sip sip:juliet@partner.test\r\n"));
	assert_non_null(strstr(sip_body(answer), "a=accept-types:text/plain"));
	gatewaytest_quiet(&t);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_hears(&t, "<body>one</body>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	/* The XMPP user answers in it. */
	GIVE(&t, .id = "a", .inner = "<body>two</body>");
	assert_string_equal(sip_field(gatewaytest_request(&t, "MESSAGE"), "Call-ID"), d.call_id);
	assert_string_equal(sip_field(t.pool.message.s, "CSeq"), "1 MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	gatewaytest_end(&t);
}

/* The 200 says that the text was read when it was, and not before. */
static void test_embedded_text(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	t.router.hold = true;
	gatewaytest_invite(
		&t, &d,
		"Subject: About\r\nms-im-format: text/html; charset=UTF-8; ms-body=PGI+Zmlyc3Q8L2I+\r\n" FIRST
		"Supported: ms-embedded-first-message\r\n"
		"EndPoints: <sip:tybalt@corp.test>, \"J, <x>\" <sip:juliet@partner.test>\r\n" SDP_TYPE,
		SDP);
	stanza = gatewaytest_hears(&t, "<body>first</body>");
	assert_non_null(strstr(stanza, "type='chat'"));
	assert_non_null(strstr(stanza, "from='tybalt@corp.test'"));
	assert_non_null(strstr(stanza, "to='juliet@partner.test'"));
	assert_non_null(strstr(stanza, "<subject>About</subject>"));
	assert_non_null(strstr(stanza, "<active xmlns='http://jabber.org/protocol/chatstates'/>"));
	assert_non_null(strstr(stanza, "<thread>call-1</thread>"));
	assert_non_null(strstr(stanza, ">Tybalt</nick>"));
	nettest_is_quiet(&t.net);
	assert_false(sippeer_poll(&t.pool) && strstr(t.pool.message.s, "SIP/2.0 200") != NULL);
	t.router.hold = false;
	gatewaytest_delivered(&t, &delivered);
	assert_string_equal(sip_field(gatewaytest_accepted(&t, &d), "Supported"), "ms-text-format");
	gatewaytest_quiet(&t);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "second");
	gatewaytest_hears(&t, "<body>second</body>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_end(&t);
}

/* Text that cannot be read there is left to the MESSAGE that follows; it must not come twice or never. */
static void test_embedded_and_unread(void **state)
{
	static const char *const headers[] = {
		"ms-text-format: text/plain; charset=UTF-8; ms-body=Zmly!!\r\n",
		"ms-text-format: text/plain; charset=UTF-8\r\n",
		"ms-text-format: text/rtf; ms-body=e1xydGYxfQ==\r\n",
		"ms-text-format: text/plain; ms-body=\r\n",
		"ms-text-format: text/plain; charset=UTF-8; ms-body=/w==\r\n",
		"ms-im-format: text/html; charset=UTF-8; ms-body=PGI+Zmlyc3Q8L2I+\r\n",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct peer_dialog d;
		struct gatewaytest t;
		char extra[512];

		gatewaytest_begin(&t, POOL_AUTO);
		snprintf(extra, sizeof(extra), "%s" SDP_TYPE, headers[i]);
		gatewaytest_invite(&t, &d, extra, SDP);
		assert_null(sip_field(gatewaytest_accepted(&t, &d), "Supported"));
		assert_int_equal(t.router.submitted_count, 0);
		gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "first");
		gatewaytest_hears(&t, "<body>first</body>");
		gatewaytest_response(&t, "200 OK", "MESSAGE");
		gatewaytest_end(&t);
	}
}

/* Nobody has the first message: no session. */
static void test_not_delivered(void **state)
{
	static const struct {
		enum condition condition;
		const char *status;
	} cases[] = {
		{ COND_RECIPIENT_UNAVAILABLE, "600 Busy Everywhere" },
		{ COND_ITEM_NOT_FOUND, "604 Does Not Exist Anywhere" },
		{ COND_REMOTE_SERVER_TIMEOUT, "408 Request Timeout" },
		{ COND_POLICY_VIOLATION, "403 Forbidden" },
	};
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	t.router.hold = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outcome outcome = { .condition = cases[i].condition };

		gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
		gatewaytest_hears(&t, "<body>first</body>");
		gatewaytest_delivered(&t, &outcome);
		gatewaytest_response(&t, cases[i].status, "INVITE");
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		gatewaytest_in_dialog(&t, &d, "ACK", "", NO_BODY);
		snprintf(d.to, sizeof(d.to), "%s", sip_field(t.pool.message.s, "To"));
		gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "into nothing");
		gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", "MESSAGE");
	}
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

static void test_refused(void **state)
{
	static const struct {
		const char *extra, *body, *status;
	} cases[] = {
		{ "EndPoints: <sip:a@corp.test>, <sip:b@corp.test>, <sip:juliet@partner.test>\r\n" SDP_TYPE,
		  SDP, "488 Not Acceptable Here" },
		{ "EndPoints: <sip:a@corp.test>, <sip:b@corp.test>\r\n"
		  "EndPoints: <sip:juliet@partner.test>\r\n" SDP_TYPE,
		  SDP, "488 Not Acceptable Here" },
		{ SDP_TYPE,
		  "v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
		  "m=audio 5000 RTP/AVP 0\r\n",
		  "488 Not Acceptable Here" },
		{ SDP_TYPE,
		  "v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
		  "m=message 5000 TCP/MSRP *\r\na=accept-types:text/plain\r\n",
		  "488 Not Acceptable Here" },
		{ SDP_TYPE,
		  "v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
		  "m=message 5060 sip null\r\na=accept-types:image/gif\r\n",
		  "488 Not Acceptable Here" },
		{ SDP_TYPE, "nonsense", "400 Bad Request" },
		{ "Content-Type: multipart/mixed;boundary=x\r\n", "--x--", "415 Unsupported Media Type" },
		{ "Content-Type: text/plain\r\n", "hello", "415 Unsupported Media Type" },
	};
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gatewaytest_invite(&t, &d, cases[i].extra, cases[i].body);
		gatewaytest_response(&t, cases[i].status, "INVITE");
		if (strncmp(cases[i].status, "415", 3) == 0)
			assert_string_equal(sip_field(t.pool.message.s, "Accept"), "application/sdp");
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	assert_int_equal(t.router.submitted_count, 0);
	gatewaytest_end(&t);
}

/* No offer: ours is in the 200, and theirs in the ACK, whatever it says. */
static void test_without_offer(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_invite(&t, &d, "", NO_BODY);
	assert_non_null(
		strstr(sip_body(gatewaytest_accepted(&t, &d)), "m=message 5060 sip null\r\na=accept-types:"));
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_hears(&t, "<body>one</body>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_end(&t);
}

/* Other media beside the text are refused line by line; the older name is answered in kind. */
static void test_answer_line_by_line(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_invite(&t, &d, SDP_TYPE,
			   "v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
			   "m=audio 5000 RTP/AVP 0\r\nm=x-ms-message 5060 sip null\r\n");
	assert_non_null(strstr(sip_body(gatewaytest_accepted(&t, &d)),
			       "m=audio 0 RTP/AVP 0\r\nm=x-ms-message 5060 sip sip:juliet@partner.test\r\n"));
	gatewaytest_end(&t);
}

static void test_refresh(void **state)
{
	static const struct {
		const char *extra, *body, *status;
	} cases[] = {
		{ SDP_TYPE, SDP, "200 OK" },
		{ "", NO_BODY, "200 OK" },
		{ SDP_TYPE, "nonsense", "400 Bad Request" },
		{ "Content-Type: text/plain\r\n", "x", "415 Unsupported Media Type" },
		{ "EndPoints: <sip:a@corp.test>, <sip:b@corp.test>, <sip:c@corp.test>\r\n" SDP_TYPE, SDP,
		  "488 Not Acceptable Here" },
	};
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_theirs(&t, &d, SDP);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char extra[512];

		snprintf(extra, sizeof(extra), "Contact: <sip:moved%zu@" NEW_POOL ":5060>\r\n%s", i,
			 cases[i].extra);
		gatewaytest_in_dialog(&t, &d, "INVITE", extra, cases[i].body);
		if (strcmp(cases[i].status, "200 OK") == 0)
			gatewaytest_accepted(&t, &d);
		else
			gatewaytest_response(&t, cases[i].status, "INVITE");
		/* The session goes on, whatever became of it. */
		gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
		gatewaytest_hears(&t, "<body>one</body>");
		gatewaytest_response(&t, "200 OK", "MESSAGE");
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* CANCEL before the answer: 487, and no session, whatever becomes of the text. */
static void test_cancel(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	t.router.hold = true;
	gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
	gatewaytest_hears(&t, "<body>first</body>");
	GIVE(&t, .id = "a", .inner = "<body>waits for it</body>");
	sippeer_printf(
		&t.pool,
		"CANCEL sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/UDP " NEW_POOL
		":5060;branch=z9hG4bK-test-%u\r\nMax-Forwards: 69\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\n"
		"CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
		t.number, d.from, d.to, d.call_id);
	/* 200 to CANCEL, 487 to INVITE, and an INVITE of ours for what has waited, in some order. */
	for (unsigned seen = 0; seen != 7;) {
		const char *message = sippeer_receive(&t.pool), *cseq = sip_field(message, "CSeq");

		seen |= strncmp(message, "SIP/2.0 200", 11) == 0 && strstr(cseq, "CANCEL") != NULL ? 1 : 0;
		seen |= strncmp(message, "SIP/2.0 487", 11) == 0 && strstr(cseq, "INVITE") != NULL ? 2 : 0;
		seen |= strncmp(message, "INVITE sip:", 11) == 0 ? 4 : 0;
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	gatewaytest_delivered(&t, &delivered);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	gatewaytest_end(&t);
}

/* BYE where CANCEL is meant, of a client that gives its INVITE up for ours. */
static void test_bye_without_tag(void **state)
{
	(void)state;

	for (int answered = 0; answered < 2; answered++) {
		struct peer_dialog d, early, none;
		struct gatewaytest t;
		char invite[8192];

		gatewaytest_begin(&t, POOL_AUTO);
		t.router.hold = true;
		GIVE(&t, .id = "a", .inner = "<body>ours</body>" STATE("active"));
		snprintf(invite, sizeof(invite), "%s", gatewaytest_request(&t, "INVITE"));
		gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
		gatewaytest_hears(&t, "<body>first</body>");
		early = none = d;
		if (answered) {
			gatewaytest_delivered(&t, &delivered);
			gatewaytest_accepted(&t, &d);
		}
		snprintf(none.from, sizeof(none.from), "<sip:tybalt@corp.test>;tag=another");
		gatewaytest_in_dialog(&t, &none, "BYE", "", NO_BODY);
		gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", "BYE");
		gatewaytest_in_dialog(&t, &none, "INFO", INFO_TYPE, TYPING);
		gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", "INFO");
		early.cseq = 2;
		gatewaytest_in_dialog(&t, &early, "BYE", "", NO_BODY);
		gatewaytest_response(&t, "200 OK", "BYE");
		if (!answered) {
			gatewaytest_response(&t, "487 Request Terminated", "INVITE");
			gatewaytest_delivered(&t, &delivered);
		}
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		/* The conversation goes on in ours: it is not gone. */
		strbuf_reset(&t.pool.message);
		strbuf_puts(&t.pool.message, invite);
		gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
		gatewaytest_request(&t, "ACK");
		gatewaytest_confirmed(&t, "a");
		assert_int_equal(t.router.submitted_count, 0);
		gatewaytest_end(&t);
	}
}

/* No ACK in 64*T1: BYE. */
static void test_no_ack(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_prepare(&t, POOL_AUTO);
	t.t1_ms = 10;
	gatewaytest_open(&t);
	gatewaytest_invite(&t, &d, SDP_TYPE, SDP);
	gatewaytest_response(&t, "200 OK", "INVITE");
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_request(&t, "BYE");
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	gatewaytest_end(&t);
}

/* --- in the dialog --- */

static void test_bodies(void **state)
{
	static const struct {
		const char *extra, *body, *heard, *status;
	} cases[] = {
		{ TEXT_TYPE, "a <b> & c", "<body>a &lt;b&gt; &amp; c</body>", "200 OK" },
		{ "Content-Type: text/plain; charset=UTF-8;msgr=WAAtAE0A\r\n", "formatted",
		  "<body>formatted</body>", "200 OK" },
		{ "Content-Type: multipart/alternative; boundary=\"b1\"\r\n",
		  "--b1\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n<b>html</b>\r\n"
		  "--b1\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nplain\r\n--b1--\r\n",
		  "<body>plain</body>", "200 OK" },
		{ "Content-Type: text/html; charset=UTF-8\r\n", "<b>only</b> &lt;html&gt;",
		  "<body>only &lt;html&gt;</body>", "200 OK" },
		{ CPIM_TYPE, CPIM_LINES "\r\nContent-Type: text/plain\r\n\r\nin cpim", "<body>in cpim</body>",
		  "200 OK" },
		{ "Content-Type: text/rtf\r\n", "{\\rtf1 x}", NULL, "415 Unsupported Media Type" },
		{ "Content-Type: text/x-msmsgsinvite; charset=UTF-8\r\n", "Invitation-Command: INVITE", NULL,
		  "415 Unsupported Media Type" },
		{ TEXT_TYPE, "\xFF", NULL, "400 Body Cannot Be Read" },
		{ "Content-Type: multipart/alternative\r\n", "x", NULL, "400 Body Cannot Be Read" },
		{ "", NO_BODY, NULL, "200 OK" },
	};
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_theirs(&t, &d, SDP);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gatewaytest_in_dialog(&t, &d, "MESSAGE", cases[i].extra, cases[i].body);
		gatewaytest_response(&t, cases[i].status, "MESSAGE");
		if (cases[i].heard != NULL)
			gatewaytest_hears(&t, cases[i].heard);
		if (strncmp(cases[i].status, "415", 3) == 0)
			assert_non_null(strstr(sip_field(t.pool.message.s, "Accept"), "text/plain"));
		assert_int_equal(t.router.submitted_count, 0);
	}
	/* INFO is for typing: text in it is none. */
	gatewaytest_in_dialog(&t, &d, "INFO", TEXT_TYPE, "not so");
	gatewaytest_response(&t, "415 Unsupported Media Type", "INFO");
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

static void test_order_and_dialogs(void **state)
{
	struct peer_dialog d, other;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_theirs(&t, &d, SDP);
	d.cseq = 10;
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "eleven");
	gatewaytest_hears(&t, "<body>eleven</body>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	d.cseq = 5;
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "six");
	gatewaytest_response(&t, "500 CSeq Out of Order", "MESSAGE");
	d.cseq = 11;
	for (int i = 0; i < 3; i++) {
		other = d;
		snprintf(i == 0   ? other.call_id
			 : i == 1 ? other.from
				  : other.to,
			 256, "%s",
			 i == 0   ? "nosuch"
			 : i == 1 ? "<sip:tybalt@corp.test>;tag=other"
				  : "<sip:juliet@partner.test>;tag=other");
		gatewaytest_in_dialog(&t, &other, i == 2 ? "BYE" : "MESSAGE", i == 2 ? "" : TEXT_TYPE,
				      i == 2 ? NO_BODY : "x");
		gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", i == 2 ? "BYE" : "MESSAGE");
	}
	gatewaytest_in_dialog(&t, &d, "NOTIFY", "Event: x\r\nSubscription-State: active\r\n", NO_BODY);
	gatewaytest_response(&t, "405 Method Not Allowed", "NOTIFY");
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* BYE ends it; the XMPP user sees it if his client shows such things. */
static void test_bye(void **state)
{
	for (int knows = 0; knows < 2; knows++) {
		struct peer_dialog d;
		struct gatewaytest t;
		(void)state;

		gatewaytest_begin(&t, POOL_AUTO);
		gatewaytest_theirs(&t, &d, SDP);
		if (knows)
			GIVE(&t, .id = "s", .inner = STATE("active"));
		else
			GIVE(&t, .id = "s", .type = "normal", .inner = STATE("none-of-them"));
		gatewaytest_confirmed(&t, "s");
		gatewaytest_in_dialog(&t, &d, "BYE", "", NO_BODY);
		gatewaytest_response(&t, "200 OK", "BYE");
		if (knows)
			assert_non_null(strstr(gatewaytest_hears(&t, "<gone "), "type='chat'"));
		gatewaytest_quiet(&t);
		gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "too late");
		gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", "MESSAGE");
		/* And he writes again: a new session, which does not take their Call-ID for its own. */
		GIVE(&t, .id = "a", .inner = "<body>hi</body><thread>call-1</thread>");
		assert_string_not_equal(sip_field(gatewaytest_request(&t, "INVITE"), "Call-ID"), d.call_id);
		gatewaytest_end(&t);
	}
}

/* --- where it goes --- */

/* To the client that wrote last, in its thread; until it is gone. */
static void test_resource_and_thread(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_session(&t, &d, SDP);
	GIVE(&t, .id = "b", .inner = "<body>hi</body><thread>mine</thread>");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	stanza = gatewaytest_hears(&t, "to='" JULIET "'");
	assert_non_null(strstr(stanza, "<thread>mine</thread>"));
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	/* The other resource of hers went: nothing changes. Then that one. */
	GIVE(&t, .kind = STANZA_PRESENCE, .id = "p", .from = "juliet@partner.test/other",
	     .type = "unavailable", .inner = "");
	gatewaytest_told(&t);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "two");
	gatewaytest_hears(&t, "to='" JULIET "'");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	GIVE(&t, .kind = STANZA_PRESENCE, .id = "p", .type = "unavailable", .inner = "");
	gatewaytest_told(&t);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "three");
	gatewaytest_hears(&t, "to='juliet@partner.test'");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	/* The thread ends with the conversation. */
	gatewaytest_in_dialog(&t, &d, "BYE", "", NO_BODY);
	gatewaytest_response(&t, "200 OK", "BYE");
	gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
	gatewaytest_accepted(&t, &d);
	stanza = gatewaytest_hears(&t, "<body>first</body>");
	gatewaytest_absent(stanza, "<thread>mine</thread>");
	gatewaytest_end(&t);
}

/* gr is the resource, both ways; a pool that names one means that one. */
static void test_devices(void **state)
{
	struct peer_dialog d = { .call_id = "c",
				 .from = "<sip:tybalt@corp.test;gr=pc>;tag=1",
				 .to = "<sip:juliet@partner.test>",
				 .target = "sip:juliet@partner.test;gr=orchard" };
	struct gatewaytest t;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_in_dialog(&t, &d, "INVITE", "Contact: <sip:tybalt@" NEW_POOL ":5060>\r\n" FIRST SDP_TYPE,
			      SDP);
	gatewaytest_accepted(&t, &d);
	stanza = gatewaytest_hears(&t, "to='juliet@partner.test/orchard'");
	assert_non_null(strstr(stanza, "from='tybalt@corp.test/pc'"));
	/* From in a dialog is the dialog's, whatever the request says now. */
	snprintf(d.from, sizeof(d.from), "\"Paris\" <sip:paris@corp.test>;tag=1");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "two");
	stanza = gatewaytest_hears(&t, "to='juliet@partner.test/orchard'");
	assert_non_null(strstr(stanza, "from='tybalt@corp.test/pc'"));
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_end(&t);
}

/* --- names --- */

static void expect_name(struct gatewaytest *t, const char *name)
{
	GIVE(t, .kind = STANZA_IQ, .id = "v", .type = "get", .inner = "<vCard xmlns='vcard-temp'/>");
	gatewaytest_confirmed(t, "v");
	gatewaytest_hears(t, name);
}

static void test_names(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_invite(
		&t, &d, FIRST "P-Asserted-Identity: \"Tybalt & Co\"<sip:tybalt@corp.test>\r\n" SDP_TYPE, SDP);
	gatewaytest_accepted(&t, &d);
	gatewaytest_hears(&t, "<nick xmlns='http://jabber.org/protocol/nick'>Tybalt</nick>");
	expect_name(&t, "<FN>Tybalt &amp; Co</FN>");
	/* Without a name the last one is kept; an address is no name; what XML cannot carry is none. */
	snprintf(d.from, sizeof(d.from), "<sip:tybalt@corp.test>;tag=t%u", 1);
	for (int i = 0; i < 3; i++) {
		static const char *const from[] = { "", "\"tybalt@corp.test\" ", "\"x\xEF\xBF\xBE\" " };

		snprintf(d.from, sizeof(d.from), "%s<sip:tybalt@corp.test>;tag=t1", from[i]);
		gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
		stanza = gatewaytest_hears(&t, "<body>one</body>");
		gatewaytest_absent(stanza, "<nick");
		gatewaytest_response(&t, "200 OK", "MESSAGE");
		expect_name(&t, "<FN>Tybalt &amp; Co</FN>");
	}
	gatewaytest_in_dialog(&t, &d, "MESSAGE",
			      "P-Asserted-Identity: \"x\xEF\xBF\xBE\" <sip:tybalt@corp.test>\r\n" TEXT_TYPE,
			      "two");
	gatewaytest_hears(&t, "<body>two</body>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	expect_name(&t, "<FN>Tybalt &amp; Co</FN>");
	/* Nobody else learns it. */
	GIVE(&t, .kind = STANZA_IQ, .id = "v", .from = "nurse@partner.test/x", .type = "get",
	     .inner = "<vCard xmlns='vcard-temp'/>");
	gatewaytest_confirmed(&t, "v");
	stanza = gatewaytest_hears(&t, "<JABBERID>tybalt@corp.test</JABBERID>");
	gatewaytest_absent(stanza, "<FN>");
	gatewaytest_end(&t);
}

static void test_iq(void **state)
{
	static const struct {
		const char *type, *inner, *answer; /* NULL: service-unavailable */
	} cases[] = {
		{ "get", "<ping xmlns='urn:xmpp:ping'/>", "type='result'" },
		{ "get", "<query xmlns='jabber:iq:version'/>", "<name>poolbridge</name>" },
		{ "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>",
		  "<feature var='urn:xmpp:receipts'/>" },
		{ "get", "<vCard xmlns='vcard-temp'/>", "<JABBERID>" },
		{ "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", NULL },
		{ "get", "<ping xmlns='x'><ping xmlns='urn:xmpp:ping'/></ping>", NULL },
		{ "get", "<query xmlns='jabber:iq:last'/>", NULL },
		{ "get", "", NULL },
		{ "set", "<ping xmlns='urn:xmpp:ping'/>", NULL },
		{ "set", "<vCard xmlns='vcard-temp'/>", NULL },
	};
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		GIVE(&t, .kind = STANZA_IQ, .id = "q", .type = cases[i].type, .inner = cases[i].inner);
		if (cases[i].answer != NULL) {
			gatewaytest_confirmed(&t, "q");
			assert_non_null(strstr(gatewaytest_hears(&t, cases[i].answer), "id='q'"));
		} else {
			gatewaytest_refused(&t, "q", COND_SERVICE_UNAVAILABLE);
		}
	}
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* Many sessions of one pair: the newest speaks, the oldest are ended. */
static void test_sessions_are_bounded(void **state)
{
	struct peer_dialog d, first;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (int i = 0; i < 6; i++) {
		gatewaytest_invite(&t, &d, SDP_TYPE, SDP);
		if (i == 0)
			first = d;
		if (i >= 4) {
			gatewaytest_request(&t, "BYE");
			if (i == 4)
				assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), first.call_id);
			gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		}
		gatewaytest_accepted(&t, &d);
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 4);
	GIVE(&t, .id = "a");
	assert_string_equal(sip_field(gatewaytest_request(&t, "MESSAGE"), "Call-ID"), d.call_id);
	gatewaytest_end(&t);
}

/* When there may be no more of them, the oldest end; nobody is kept out by those who came first. */
static void test_sessions_give_way(void **state)
{
	struct peer_dialog first, second, third;
	struct gatewaytest t;
	(void)state;

	gatewaytest_prepare(&t, POOL_AUTO);
	t.config.sip.conversations = 2;
	gatewaytest_open(&t);
	gatewaytest_theirs(&t, &first, SDP);
	gatewaytest_theirs(&t, &second, SDP);
	gatewaytest_invite(&t, &third, SDP_TYPE, SDP);
	for (int i = 0; i < 2; i++) {
		gatewaytest_request(&t, "BYE");
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	}
	gatewaytest_accepted(&t, &third);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* Ms-Conversation-ID belongs to the conversation: our INVITE has theirs. */
static void test_conversation_id(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_invite(&t, &d, "Ms-Conversation-ID: AdABC==\r\n" SDP_TYPE, SDP);
	gatewaytest_accepted(&t, &d);
	GIVE(&t, .id = "a");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "481 Call Leg Does Not Exist", "", NO_BODY);
	assert_string_equal(sip_field(gatewaytest_request(&t, "INVITE"), "Ms-Conversation-ID"), "AdABC==");
	gatewaytest_end(&t);
}

/* Stopping ends what waits for its answer, and what was accepted. */
static void test_stop(void **state)
{
	struct peer_dialog open, waiting;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_theirs(&t, &open, SDP);
	t.router.hold = true;
	gatewaytest_invite(&t, &waiting, FIRST SDP_TYPE, SDP);
	gatewaytest_hears(&t, "<body>first</body>");
	gateway_abort(t.gateway);
	gatewaytest_response(&t, "503 Shutting Down", "INVITE");
	assert_string_equal(sip_field(gatewaytest_request(&t, "BYE"), "Call-ID"), open.call_id);
	gatewaytest_delivered(&t, &delivered);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	gatewaytest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_text),
		cmocka_unit_test(test_embedded_text),
		cmocka_unit_test(test_embedded_and_unread),
		cmocka_unit_test(test_not_delivered),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_without_offer),
		cmocka_unit_test(test_answer_line_by_line),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_bye_without_tag),
		cmocka_unit_test(test_no_ack),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_order_and_dialogs),
		cmocka_unit_test(test_bye),
		cmocka_unit_test(test_resource_and_thread),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_iq),
		cmocka_unit_test(test_sessions_are_bounded),
		cmocka_unit_test(test_sessions_give_way),
		cmocka_unit_test(test_conversation_id),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
