/*
 * test_conversation_session.c - what becomes of the session that carries a
 * conversation: its dialog dies, both begin one at the same time, it ends; and each
 * text goes out once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gatewaytest.h"

static void expect_body(struct gatewaytest *t, const char *method, const char *body)
{
	assert_string_equal(sip_body(gatewaytest_request(t, method)), body);
}

/* --- a dialog that is dead --- */

static void test_dead_dialog(void **state)
{
	static const struct {
		const char *status;
		bool bye;
	} cases[] = {
		{ "408 Request Timeout", true },
		{ "480 Temporarily Unavailable", true },
		{ "481 Call Leg Does Not Exist", false },
		{ "404 Not Found", true },
		{ "410 Gone", true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer_dialog first, second;
		struct gatewaytest t;
		char invite[8192];

		gatewaytest_begin(&t, POOL_SESSION);
		gatewaytest_session(&t, &first, SDP);
		GIVE(&t, .id = "b", .inner = "<body>again</body>");
		GIVE(&t, .id = "c", .inner = "<body>behind</body>");
		expect_body(&t, "MESSAGE", "again");
		gatewaytest_answer(&t, cases[i].status, "", NO_BODY);
		if (cases[i].bye) {
			assert_string_equal(sip_field(gatewaytest_request(&t, "BYE"), "Call-ID"),
					    first.call_id);
			gatewaytest_answer(&t, "481 Call Leg Does Not Exist", "", NO_BODY);
		}
		snprintf(invite, sizeof(invite), "%s", gatewaytest_request(&t, "INVITE"));
		gatewaytest_dialog(&t, &second);
		assert_string_not_equal(second.call_id, first.call_id);
		gatewaytest_answer(&t, "200 OK", ACCEPTED, SDP);
		gatewaytest_request(&t, "ACK");
		expect_body(&t, "MESSAGE", "again");
		assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), second.call_id);
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "b");
		expect_body(&t, "MESSAGE", "behind");
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "c");
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
		gatewaytest_end(&t);
	}
}

/* The second dialog is dead at once, too: one error, and no third. */
static void test_dead_twice(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_session(&t, NULL, SDP);
	GIVE(&t, .id = "b");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "481 Call Leg Does Not Exist", "", NO_BODY);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "481 Call Leg Does Not Exist", "", NO_BODY);
	gatewaytest_refused(&t, "b", COND_ITEM_NOT_FOUND);
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	/* And the new INVITE is refused: one error. */
	gatewaytest_session(&t, NULL, SDP);
	GIVE(&t, .id = "c");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "481 Call Leg Does Not Exist", "", NO_BODY);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "486 Busy Here", "", NO_BODY);
	gatewaytest_request(&t, "ACK");
	gatewaytest_refused(&t, "c", COND_RECIPIENT_UNAVAILABLE);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* A refusal of the text is no word about the dialog. */
static void test_refused_in_dialog(void **state)
{
	static const struct {
		const char *status;
		enum condition condition;
	} cases[] = {
		{ "403 Forbidden", COND_FORBIDDEN },
		{ "415 Unsupported Media Type", COND_NOT_ACCEPTABLE },
		{ "500 Server Internal Error", COND_INTERNAL_SERVER_ERROR },
		{ "606 Not Acceptable", COND_NOT_ACCEPTABLE },
	};
	struct peer_dialog d;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_session(&t, &d, SDP);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		GIVE(&t, .id = "b");
		assert_string_equal(sip_field(gatewaytest_request(&t, "MESSAGE"), "Call-ID"), d.call_id);
		gatewaytest_answer(&t, cases[i].status, "", NO_BODY);
		gatewaytest_refused(&t, "b", cases[i].condition);
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* BYE while a message is under way in the dialog: its response decides, and the message is there once. */
static void test_bye_meets_message(void **state)
{
	static const struct {
		const char *status;
		bool again;
	} cases[] = {
		{ "200 OK", false },
		{ "481 Call Leg Does Not Exist", true },
		{ "487 Request Terminated", true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer_dialog d;
		struct gatewaytest t;
		char message[8192];

		gatewaytest_begin(&t, POOL_SESSION);
		gatewaytest_session(&t, &d, SDP);
		GIVE(&t, .id = "b", .inner = "<body>crossing</body>" STATE("active"));
		snprintf(message, sizeof(message), "%s", gatewaytest_request(&t, "MESSAGE"));
		gatewaytest_in_dialog(&t, &d, "BYE", "", NO_BODY);
		gatewaytest_response(&t, "200 OK", "BYE");
		gatewaytest_hears(&t, "<gone ");
		strbuf_reset(&t.pool.message);
		strbuf_puts(&t.pool.message, message);
		gatewaytest_answer(&t, cases[i].status, "", NO_BODY);
		if (cases[i].again) {
			assert_string_not_equal(sip_field(gatewaytest_request(&t, "INVITE"), "Call-ID"),
						d.call_id);
			gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
			gatewaytest_request(&t, "ACK");
		}
		gatewaytest_confirmed(&t, "b");
		gatewaytest_quiet(&t);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), cases[i].again);
		gatewaytest_end(&t);
	}
}

/* --- both begin at the same time --- */

/* Their INVITE comes while ours is under way. */
static void test_glare(void **state)
{
	static const struct {
		const char *status; /* to ours */
		bool refused;
	} cases[] = {
		{ "491 Request Pending", true },
		{ "486 Busy Here", true },
		{ "200 OK", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer_dialog ours, theirs;
		struct gatewaytest t;
		char invite[8192];

		gatewaytest_begin(&t, POOL_AUTO);
		GIVE(&t, .id = "a", .inner = "<body>ours</body>");
		snprintf(invite, sizeof(invite), "%s", gatewaytest_request(&t, "INVITE"));
		gatewaytest_dialog(&t, &ours);
		gatewaytest_invite(&t, &theirs, "ms-text-format: text/plain; ms-body=dGhlaXJz\r\n" SDP_TYPE,
				   SDP);
		gatewaytest_accepted(&t, &theirs);
		gatewaytest_hears(&t, "<body>theirs</body>");
		strbuf_reset(&t.pool.message);
		strbuf_puts(&t.pool.message, invite);
		gatewaytest_answer(&t, cases[i].status, cases[i].refused ? "" : ACCEPTED READ_IT,
				   cases[i].refused ? NO_BODY : SDP);
		gatewaytest_request(&t, "ACK");
		if (cases[i].refused) {
			expect_body(&t, "MESSAGE", "ours");
			assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), theirs.call_id);
			assert_string_equal(sip_field(t.pool.message.s, "From"), theirs.to);
			assert_non_null(strstr(theirs.from, sip_field(t.pool.message.s, "To")));
			gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		}
		gatewaytest_confirmed(&t, "a");
		assert_int_equal(gatewaytest_counter(&t, "sessions"), cases[i].refused ? 1 : 2);
		/* Both are read. */
		gatewaytest_in_dialog(&t, &theirs, "MESSAGE", TEXT_TYPE, "in theirs");
		gatewaytest_hears(&t, "<body>in theirs</body>");
		gatewaytest_response(&t, "200 OK", "MESSAGE");
		if (!cases[i].refused) {
			gatewaytest_in_dialog(&t, &ours, "MESSAGE", TEXT_TYPE, "in ours");
			gatewaytest_hears(&t, "<body>in ours</body>");
			gatewaytest_response(&t, "200 OK", "MESSAGE");
		}
		gatewaytest_quiet(&t);
		gatewaytest_end(&t);
	}
}

/* What is written while their first message is still being delivered waits for that session. */
static void test_no_glare_while_answering(void **state)
{
	static const struct outcome delivered = { .confirmed = true }, failed = { .confirmed = false };
	(void)state;

	for (int ok = 0; ok < 2; ok++) {
		struct peer_dialog theirs;
		struct gatewaytest t;

		gatewaytest_begin(&t, POOL_AUTO);
		t.router.hold = true;
		gatewaytest_invite(&t, &theirs, "ms-text-format: text/plain; ms-body=dGhlaXJz\r\n" SDP_TYPE,
				   SDP);
		gatewaytest_hears(&t, "<body>theirs</body>");
		GIVE(&t, .id = "a", .inner = "<body>ours</body>");
		GIVE(&t, .id = "b", .inner = "<body>too</body>");
		nettest_is_quiet(&t.net);
		assert_int_equal(gatewaytest_counter(&t, "queued"), 2);
		gatewaytest_delivered(&t, ok ? &delivered : &failed);
		if (ok) {
			gatewaytest_accepted(&t, &theirs);
			for (int i = 0; i < 2; i++) {
				expect_body(&t, "MESSAGE", i == 0 ? "ours" : "too");
				assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), theirs.call_id);
				gatewaytest_answer(&t, "200 OK", "", NO_BODY);
				gatewaytest_confirmed(&t, i == 0 ? "a" : "b");
			}
		} else {
			gatewaytest_response(&t, "400 Bad Request", "INVITE");
			gatewaytest_request(&t, "INVITE");
		}
		gatewaytest_end(&t);
	}
}

/* --- the end of a session --- */

/* gone ends it, and the next message begins a new one. */
static void test_gone(void **state)
{
	struct peer_dialog first;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	gatewaytest_session(&t, &first, SDP);
	GIVE(&t, .id = "g", .inner = STATE("gone"));
	gatewaytest_confirmed(&t, "g");
	gatewaytest_request(&t, "BYE");
	assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), first.call_id);
	assert_string_equal(sip_field(t.pool.message.s, "CSeq"), "2 BYE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	/* Once more: there is nothing to end. */
	GIVE(&t, .id = "g", .inner = STATE("gone"));
	gatewaytest_confirmed(&t, "g");
	gatewaytest_quiet(&t);
	GIVE(&t, .id = "b");
	assert_string_not_equal(sip_field(gatewaytest_request(&t, "INVITE"), "Call-ID"), first.call_id);
	gatewaytest_end(&t);
}

/* gone comes behind what was written before. */
static void test_gone_behind_messages(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	GIVE(&t, .id = "a", .inner = "<body>one</body>");
	GIVE(&t, .id = "b", .inner = "<body>two</body>");
	GIVE(&t, .id = "g", .inner = STATE("gone"));
	gatewaytest_confirmed(&t, "g");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "a");
	expect_body(&t, "MESSAGE", "two");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_request(&t, "BYE");
	gatewaytest_end(&t);
}

/* After sip.session_time without a message; the next one begins anew. */
static void test_session_time(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_prepare(&t, POOL_SESSION);
	t.config.sip.session_ms = 50;
	gatewaytest_open(&t);
	gatewaytest_session(&t, NULL, SDP);
	gatewaytest_request(&t, "BYE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	assert_int_equal(gatewaytest_counter(&t, "conversations"), 1);
	GIVE(&t, .id = "b");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_end(&t);
}

/* The final response to the INVITE that was received before its CANCEL. */
static void answer_invite(struct gatewaytest *t, const char *invite, const char *status, const char *extra,
			  const char *body)
{
	strbuf_reset(&t->pool.message);
	strbuf_puts(&t->pool.message, invite);
	gatewaytest_answer(t, status, extra, body);
}

/* The request that the pool gets, rings for, and gets the CANCEL of. */
static void ring_until_cancelled(struct gatewaytest *t, char invite[8192])
{
	snprintf(invite, 8192, "%s", gatewaytest_request(t, "INVITE"));
	gatewaytest_answer(t, "180 Ringing", "", NO_BODY);
	gatewaytest_request(t, "CANCEL");
	gatewaytest_answer(t, "200 OK", "", NO_BODY);
	assert_int_equal(t->router.told_count, 0);
}

/* A user who does not take it in time: CANCEL, and with the INVITE's end the message has failed. */
static void test_invite_time(void **state)
{
	struct gatewaytest t;
	char invite[8192];
	(void)state;

	gatewaytest_prepare(&t, POOL_AUTO);
	t.config.sip.invite_ms = 50;
	gatewaytest_open(&t);
	GIVE(&t, .id = "a", .inner = "<body>one</body>");
	GIVE(&t, .id = "b", .inner = "<body>two</body>");
	ring_until_cancelled(&t, invite);
	answer_invite(&t, invite, "487 Request Terminated", "", NO_BODY);
	gatewaytest_refused(&t, "a", COND_REMOTE_SERVER_TIMEOUT);
	/* The second has its own turn; its 200 has crossed the CANCEL: the user has read it. */
	gatewaytest_request(&t, "ACK");
	t.router.told_count = 0;
	ring_until_cancelled(&t, invite);
	answer_invite(&t, invite, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "b");
	gatewaytest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dead_dialog),
		cmocka_unit_test(test_dead_twice),
		cmocka_unit_test(test_refused_in_dialog),
		cmocka_unit_test(test_bye_meets_message),
		cmocka_unit_test(test_glare),
		cmocka_unit_test(test_no_glare_while_answering),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_gone_behind_messages),
		cmocka_unit_test(test_session_time),
		cmocka_unit_test(test_invite_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
