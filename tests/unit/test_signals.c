/*
 * test_signals.c - what is said beside text: typing, receipts, and what is never
 * looked into.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gatewaytest.h"

#define INFO_TYPE "Content-Type: application/xml\r\n"
#define TYPING    "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>"
#define IDLE      "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"idle\" /></KeyboardActivity>"
#define ISC_TYPE  "Content-Type: application/im-iscomposing+xml\r\n"
#define ISC(state)                                                                                           \
	"<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>" state "</state></isComposing>"
#define CPIM_TYPE "Content-Type: message/cpim\r\n"
#define CPIM_LINES                                                                                           \
	"From: <sip:tybalt@corp.test>\r\nTo: <sip:juliet@partner.test>\r\nNS: imdn "                         \
	"<urn:ietf:params:imdn>\r\n"
#define CPIM                                                                                                 \
	CPIM_LINES "imdn.Message-ID: m1\r\nDateTime: 2026-11-21T10:00:00Z\r\n"                               \
		   "imdn.Disposition-Notification: positive-delivery\r\n\r\nContent-Type: "                  \
		   "text/plain\r\n\r\nasked"
#define RECEIPT_WANTED "<request xmlns='urn:xmpp:receipts'/>"

/* --- chat states (XEP-0085 section 5) --- */

static void test_typing_to_xmpp(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_theirs(&t, &d, SDP);
	/* Nothing is known of the client: nothing stands alone, but a message may ask. */
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(&t, "200 OK", "INFO");
	assert_int_equal(t.router.submitted_count, 0);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_hears(&t, "<active ");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	/* It knows them: each change, once. */
	GIVE(&t, .id = "a", .inner = "<body>hi</body>" STATE("active"));
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	for (int i = 0; i < 2; i++) {
		gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
		gatewaytest_response(&t, "200 OK", "INFO");
		if (i == 0) {
			const char *stanza = gatewaytest_hears(&t, "<composing ");

			gatewaytest_absent(stanza, "<body");
			assert_non_null(strstr(stanza, "type='chat'"));
			assert_non_null(strstr(stanza, "to='" JULIET "'"));
		}
	}
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, IDLE);
	gatewaytest_response(&t, "200 OK", "INFO");
	gatewaytest_hears(&t, "<active ");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", ISC_TYPE, ISC("active"));
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_hears(&t, "<composing ");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", ISC_TYPE, ISC("idle"));
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_hears(&t, "<active ");
	/* It has answered without one: no more of them, not even in messages. */
	GIVE(&t, .id = "b");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(&t, "200 OK", "INFO");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "two");
	gatewaytest_absent(gatewaytest_hears(&t, "<body>two</body>"), "chatstates");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* RFC 3994 section 3.3: who types no more says nothing, and is believed for so long only. */
static void test_typing_ends_by_itself(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_session(&t, &d, SDP);
	gatewaytest_in_dialog(
		&t, &d, "MESSAGE", ISC_TYPE,
		"<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
		"<refresh>1</refresh></isComposing>");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_hears(&t, "<composing ");
	gatewaytest_hears(&t, "<active ");
	gatewaytest_end(&t);
}

/* INFO to a client that has not said that it takes isComposing; only changes; nothing after a refusal. */
static void test_typing_to_pool(void **state)
{
	for (int is_composing = 0; is_composing < 2; is_composing++) {
		const char *method = is_composing ? "MESSAGE" : "INFO";
		struct gatewaytest t;
		(void)state;

		gatewaytest_begin(&t, POOL_SESSION);
		/* Before there is a session: nothing. */
		GIVE(&t, .id = "s", .inner = STATE("composing"));
		gatewaytest_confirmed(&t, "s");
		gatewaytest_quiet(&t);
		gatewaytest_session(&t, NULL, is_composing ? SDP_TYPING : SDP);
		for (int i = 0; i < 2; i++) {
			GIVE(&t, .id = "s", .inner = STATE("composing"));
			gatewaytest_confirmed(&t, "s");
		}
		gatewaytest_request(&t, method);
		assert_non_null(strstr(sip_body(t.pool.message.s),
				       is_composing ? "<state>active</state>" : "status=\"type\""));
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_quiet(&t);
		GIVE(&t, .id = "s", .inner = STATE("paused"));
		GIVE(&t, .id = "s", .inner = STATE("inactive"));
		gatewaytest_request(&t, method);
		assert_non_null(strstr(sip_body(t.pool.message.s),
				       is_composing ? "<state>idle</state>" : "status=\"idle\""));
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "s");
		gatewaytest_confirmed(&t, "s");
		gatewaytest_quiet(&t);
		/* A message is the end of typing, without a word. */
		GIVE(&t, .id = "s", .inner = STATE("composing"));
		gatewaytest_confirmed(&t, "s");
		gatewaytest_request(&t, method);
		gatewaytest_answer(&t, is_composing ? "415 Unsupported Media Type" : "501 Not Implemented",
				   "", NO_BODY);
		GIVE(&t, .id = "a", .inner = "<body>hi</body>" STATE("active"));
		gatewaytest_request(&t, "MESSAGE");
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "a");
		/* It was refused: no more of it. */
		GIVE(&t, .id = "s", .inner = STATE("composing"));
		gatewaytest_confirmed(&t, "s");
		gatewaytest_quiet(&t);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
		gatewaytest_end(&t);
	}
}

/* Who types while his first message still opens the session is shown behind it, as he does at the end. */
static void test_typing_behind_the_first(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	GIVE(&t, .id = "a", .inner = "<body>hi</body>" STATE("active"));
	gatewaytest_request(&t, "INVITE");
	GIVE(&t, .id = "s", .inner = STATE("composing"));
	GIVE(&t, .id = "s", .inner = STATE("paused"));
	GIVE(&t, .id = "s", .inner = STATE("composing"));
	for (int i = 0; i < 3; i++)
		gatewaytest_confirmed(&t, "s");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "a");
	gatewaytest_request(&t, "INFO");
	assert_non_null(strstr(sip_body(t.pool.message.s), "status=\"type\""));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* In pager mode typing is isComposing, once it is known that the user takes single messages. */
static void test_typing_to_pager(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_PAGER);
	GIVE(&t, .id = "a", .inner = "<body>hi</body>" STATE("active"));
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	GIVE(&t, .id = "s", .inner = STATE("composing"));
	gatewaytest_confirmed(&t, "s");
	gatewaytest_request(&t, "MESSAGE");
	assert_string_equal(sip_field(t.pool.message.s, "Content-Type"), "application/im-iscomposing+xml");
	assert_non_null(strstr(sip_body(t.pool.message.s), "<state>active</state>"));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_end(&t);
}

/* --- receipts (XEP-0184) --- */

/* Only when the recipient's client has it: 200, and not 202 or a refusal; only where it was asked for. */
static void test_receipts(void **state)
{
	static const struct {
		const char *status;
		const char *inner;
		bool receipt;
	} cases[] = {
		{ "200 OK", "<body>hi</body>" RECEIPT_WANTED, true },
		{ "202 Accepted", "<body>hi</body>" RECEIPT_WANTED, false },
		{ "403 Forbidden", "<body>hi</body>" RECEIPT_WANTED, false },
		{ "200 OK", "<body>hi</body>", false },
		{ "200 OK",
		  "<body>hi</body><forwarded xmlns='urn:xmpp:forward:0'>"
		  "<message xmlns='jabber:client'>" RECEIPT_WANTED "</message></forwarded>",
		  false },
	};
	(void)state;

	for (int mode = POOL_SESSION; mode <= POOL_PAGER; mode++) {
		struct gatewaytest t;

		gatewaytest_begin(&t, (enum pool_mode)mode);
		if (mode == POOL_SESSION)
			gatewaytest_session(&t, NULL, SDP);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			GIVE(&t, .id = "r1", .inner = cases[i].inner);
			gatewaytest_request(&t, "MESSAGE");
			assert_int_equal(t.router.submitted_count, 0);
			gatewaytest_answer(&t, cases[i].status, "", NO_BODY);
			gatewaytest_told(&t);
			if (cases[i].receipt) {
				const char *stanza = gatewaytest_hears(
					&t, "<received xmlns='urn:xmpp:receipts' id='r1'/>");

				assert_non_null(strstr(stanza, "to='" JULIET "'"));
				assert_non_null(strstr(stanza, "from='" TYBALT "'"));
				gatewaytest_absent(stanza, "<body");
				gatewaytest_absent(stanza, "<request");
			}
			gatewaytest_quiet(&t);
		}
		gatewaytest_end(&t);
	}
}

/* The text that rode in the INVITE, and was read. */
static void test_receipt_of_embedded(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	GIVE(&t, .id = "r1", .inner = "<body>hi</body>" RECEIPT_WANTED);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "r1");
	gatewaytest_hears(&t, "id='r1'");
	gatewaytest_end(&t);
}

/* The value of id in the stanza. */
static void id_of(const char *stanza, char *id, size_t size)
{
	const char *start = strstr(stanza, " id='");

	assert_non_null(start);
	snprintf(id, size, "%.*s", (int)strcspn(start + 5, "'"), start + 5);
}

/* CPIM that asks for a notification: the XMPP client's receipt is the notification, once. */
static void test_imdn(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	char id[128], inner[512];
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_theirs(&t, &d, SDP);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", CPIM_TYPE, CPIM);
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	id_of(gatewaytest_hears(&t, "<body>asked</body><thread>call-1</thread>"), id, sizeof(id));
	/* A receipt for something else; then the one, and the same again. */
	GIVE(&t, .id = "r", .inner = "<received xmlns='urn:xmpp:receipts' id='nosuch'/>");
	gatewaytest_confirmed(&t, "r");
	gatewaytest_quiet(&t);
	snprintf(inner, sizeof(inner), "<received xmlns='urn:xmpp:receipts' id='%s'/>", id);
	/* Not from somebody else. */
	GIVE(&t, .id = "r", .from = "nurse@partner.test/x", .inner = inner);
	gatewaytest_confirmed(&t, "r");
	gatewaytest_quiet(&t);
	for (int i = 0; i < 2; i++) {
		GIVE(&t, .id = "r", .inner = inner);
		gatewaytest_confirmed(&t, "r");
	}
	gatewaytest_request(&t, "MESSAGE");
	assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), d.call_id);
	assert_string_equal(sip_field(t.pool.message.s, "Content-Type"), "message/cpim");
	assert_non_null(strstr(sip_body(t.pool.message.s), "<message-id>m1</message-id>"));
	assert_non_null(strstr(sip_body(t.pool.message.s), "<delivered/>"));
	/* A client that takes none of it may take typing all the same. */
	gatewaytest_answer(&t, "415 Unsupported Media Type", "", NO_BODY);
	gatewaytest_quiet(&t);
	GIVE(&t, .id = "s", .inner = STATE("composing"));
	gatewaytest_confirmed(&t, "s");
	gatewaytest_request(&t, "INFO");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_end(&t);
}

/* Asked in pager mode, and not asked: the XMPP user is asked for a receipt, or is not. */
static void test_receipt_is_asked(void **state)
{
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_theirs(&t, &d, SDP);
	gatewaytest_in_dialog(&t, &d, "MESSAGE", CPIM_TYPE, CPIM);
	gatewaytest_hears(&t, RECEIPT_WANTED);
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	gatewaytest_in_dialog(&t, &d, "MESSAGE", CPIM_TYPE,
			      CPIM_LINES
			      "imdn.Message-ID: m2\r\n\r\nContent-Type: text/plain\r\n\r\nnot asked");
	gatewaytest_absent(gatewaytest_hears(&t, "<body>not asked</body>"), RECEIPT_WANTED);
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	/* So many questions are remembered; none of what is forgotten is answered. */
	for (int i = 0; i < 40; i++) {
		gatewaytest_in_dialog(&t, &d, "MESSAGE", CPIM_TYPE, CPIM);
		gatewaytest_hears(&t, RECEIPT_WANTED);
		gatewaytest_response(&t, "200 OK", "MESSAGE");
	}
	gatewaytest_end(&t);
}

/* --- what is never looked into --- */

/* A carbon or a forward may say anything: only what stands in the message itself counts. */
static void test_wrappers(void **state)
{
	static const char *const inners[] = {
		"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
		"<message xmlns='jabber:client' from='evil@partner.test' to='tybalt@corp.test' type='chat'>"
		"<body>forged</body></message></forwarded></received>",
		"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
		"<message xmlns='jabber:client'><body>forged</body></message></forwarded></sent>",
		"<forwarded xmlns='urn:xmpp:forward:0'><message "
		"xmlns='jabber:client'><body>forged</body>" STATE("gone") "</message></forwarded>",
	};
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_session(&t, NULL, SDP);
	for (size_t i = 0; i < ARRAY_SIZE(inners); i++) {
		GIVE(&t, .id = "w", .inner = inners[i]);
		gatewaytest_refused(&t, "w", COND_NOT_ACCEPTABLE);
	}
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typing_to_xmpp),      cmocka_unit_test(test_typing_ends_by_itself),
		cmocka_unit_test(test_typing_to_pool),      cmocka_unit_test(test_typing_behind_the_first),
		cmocka_unit_test(test_typing_to_pager),     cmocka_unit_test(test_receipts),
		cmocka_unit_test(test_receipt_of_embedded), cmocka_unit_test(test_imdn),
		cmocka_unit_test(test_receipt_is_asked),    cmocka_unit_test(test_wrappers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
