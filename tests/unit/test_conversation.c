/*
 * test_conversation.c - what an XMPP user says to a user of a pool: which way
 * it goes, in what order, once, and what he is told.
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

static void expect_start(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("not '%s...' but %s", start, text);
}

static bool has_base64_of_first(const char *invite)
{
	const char *value = sip_field(invite, "ms-text-format");

	return value != NULL && strstr(value, "ms-body=Zmlyc3Q=") != NULL;
}

/* --- the first message --- */

static void test_invite(void **state)
{
	struct gatewaytest t;
	const char *invite;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	GIVE(&t, .id = "a", .lang = "cs",
	     .inner = "<subject>About</subject><body>first</body><thread>th-1</thread>"
		      "<nick xmlns='http://jabber.org/protocol/nick'>Julie \"J\"</nick>");
	invite = gatewaytest_request(&t, "INVITE");
	expect_start(invite, "INVITE sip:tybalt@corp.test SIP/2.0\r\n");
	expect_start(sip_field(invite, "From"), "\"Julie \\\"J\\\"\" <sip:juliet@partner.test>;tag=");
	assert_string_equal(sip_field(invite, "To"), "<sip:tybalt@corp.test>");
	assert_string_equal(sip_field(invite, "Call-ID"), "th-1");
	assert_string_equal(sip_field(invite, "Subject"), "About");
	assert_string_equal(sip_field(invite, "EndPoints"),
			    "<sip:juliet@partner.test>, <sip:tybalt@corp.test>");
	assert_string_equal(sip_field(invite, "Content-Type"), "application/sdp");
	assert_non_null(strstr(sip_field(invite, "Contact"), OURS));
	assert_non_null(strstr(sip_field(invite, "Allow"), "INFO"));
	assert_int_equal(strlen(sip_field(invite, "Ms-Conversation-ID")), 32);
	assert_true(has_base64_of_first(invite));
	assert_non_null(strstr(sip_body(invite), "c=IN IP4 " OURS "\r\n"));
	assert_non_null(strstr(sip_body(invite), "m=message 5060 sip null\r\na=accept-types:text/plain"));
	gatewaytest_answer(&t, "101 Progress Report", "", NO_BODY);
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	expect_start(gatewaytest_request(&t, "ACK"), "ACK sip:tybalt@" NEW_POOL);
	gatewaytest_confirmed(&t, "a");
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	/* What follows goes in the dialog. */
	GIVE(&t, .id = "b", .lang = "cs", .inner = "<body>second</body><thread>th-1</thread>");
	expect_body(&t, "MESSAGE", "second");
	expect_start(t.pool.message.s, "MESSAGE sip:tybalt@" NEW_POOL);
	assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), "th-1");
	assert_string_equal(sip_field(t.pool.message.s, "CSeq"), "2 MESSAGE");
	assert_string_equal(sip_field(t.pool.message.s, "To"), "<sip:tybalt@corp.test>;tag=peer");
	assert_string_equal(sip_field(t.pool.message.s, "Content-Type"), "text/plain;charset=UTF-8");
	assert_string_equal(sip_field(t.pool.message.s, "Content-Language"), "cs");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_end(&t);
}

/* Text that was not said to be read comes as a MESSAGE, which decides. */
static void test_not_read(void **state)
{
	static const char *const extras[] = { ACCEPTED, ACCEPTED "Supported: ms-sender\r\n",
					      ACCEPTED "Supported: ms-text-format-x\r\n",
					      ACCEPTED "Require: ms-text-format\r\n" };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(extras); i++)
		for (int refused = 0; refused < 2; refused++) {
			struct gatewaytest t;

			gatewaytest_begin(&t, POOL_SESSION);
			GIVE(&t, .id = "a", .inner = "<body>first</body>");
			gatewaytest_request(&t, "INVITE");
			gatewaytest_answer(&t, "200 OK", extras[i], SDP);
			gatewaytest_request(&t, "ACK");
			expect_body(&t, "MESSAGE", "first");
			assert_string_equal(sip_field(t.pool.message.s, "CSeq"), "2 MESSAGE");
			assert_int_equal(t.router.told_count, 0);
			gatewaytest_answer(&t, refused ? "403 Forbidden" : "200 OK", "", NO_BODY);
			if (refused)
				gatewaytest_refused(&t, "a", COND_FORBIDDEN);
			else
				gatewaytest_confirmed(&t, "a");
			gatewaytest_end(&t);
		}
}

/* A long text does not ride in the INVITE, whatever the answer says. */
static void test_long_text(void **state)
{
	struct strbuf inner = { .s = NULL };
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	strbuf_puts(&inner, "<body>");
	for (int i = 0; i < 101; i++)
		strbuf_puts(&inner, "twelve bytes");
	strbuf_puts(&inner, "</body>");
	GIVE(&t, .id = "a", .inner = inner.s);
	gatewaytest_request(&t, "INVITE");
	assert_null(sip_field(t.pool.message.s, "ms-text-format"));
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	/* More than 1300 bytes: by TCP, where nobody is; the session is there all the same. */
	gatewaytest_told(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	GIVE(&t, .id = "b");
	expect_body(&t, "MESSAGE", "hi");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	strbuf_free(&inner);
	gatewaytest_end(&t);
}

/* A refusal is the user's word: it is told once, and nothing is tried again. */
static void test_declined(void **state)
{
	static const struct {
		const char *status, *extra;
		enum condition condition;
		const char *text;
	} cases[] = {
		{ "486 Busy Here", "", COND_RECIPIENT_UNAVAILABLE, "Busy Here" },
		{ "480 Temporarily Unavailable", "", COND_RECIPIENT_UNAVAILABLE, "Temporarily Unavailable" },
		{ "603 Decline", "", COND_RECIPIENT_UNAVAILABLE, "Decline" },
		{ "404 Not Found", "", COND_ITEM_NOT_FOUND, "Not Found" },
		{ "606 Not Acceptable", "", COND_NOT_ACCEPTABLE, "Not Acceptable" },
		{ "606 Not Acceptable",
		  "Warning: 309 lcs.microsoft.com \"Message contents not allowed by policy\"\r\n",
		  COND_NOT_ACCEPTABLE, "Message contents not allowed by policy" },
		{ "606 Not Acceptable", "Warning: 309 lcs.microsoft.com\r\n", COND_NOT_ACCEPTABLE,
		  "Not Acceptable" },
		{ "403 Forbidden",
		  "ms-diagnostics: 1027;reason=\"Cannot route this type\";source=\"edge.corp.test\"\r\n",
		  COND_FORBIDDEN, "Forbidden" },
		{ "504 Server time-out", "", COND_REMOTE_SERVER_TIMEOUT, "Server time-out" },
		{ "491 Request Pending", "", COND_UNEXPECTED_REQUEST, "Request Pending" },
		/* In mode session the other way is never taken. */
		{ "488 Not Acceptable Here", "", COND_NOT_ACCEPTABLE, "Not Acceptable Here" },
		{ "405 Method Not Allowed", "", COND_FEATURE_NOT_IMPLEMENTED, "Method Not Allowed" },
	};
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct told told;

		GIVE(&t, .id = "a");
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, cases[i].status, cases[i].extra, NO_BODY);
		gatewaytest_request(&t, "ACK");
		told = gatewaytest_told(&t);
		assert_false(told.confirmed);
		assert_string_equal(condition_name(told.condition), condition_name(cases[i].condition));
		assert_string_equal(told.text, cases[i].text);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	}
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* --- mode --- */

/* A client that has no sessions gets the message as a single one, and the next one so at once. */
static void test_auto_learns_pager(void **state)
{
	static const char *const refusals[] = { "405 Method Not Allowed", "415 Unsupported Media Type",
						"488 Not Acceptable Here", "501 Not Implemented" };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct gatewaytest t;

		gatewaytest_begin(&t, POOL_AUTO);
		GIVE(&t, .id = "a", .inner = "<body>one</body>");
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, refusals[i], "", NO_BODY);
		gatewaytest_request(&t, "ACK");
		expect_body(&t, "MESSAGE", "one");
		assert_null(strstr(sip_field(t.pool.message.s, "To"), "tag="));
		assert_int_equal(t.router.told_count, 0);
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "a");
		GIVE(&t, .id = "b", .inner = "<body>two</body>");
		expect_body(&t, "MESSAGE", "two");
		gatewaytest_answer(&t, "202 Accepted", "", NO_BODY);
		gatewaytest_confirmed(&t, "b");
		/* Another user of this pool, too, until he shows otherwise. */
		GIVE(&t, .id = "c", .to = "paris@corp.test", .inner = "<body>three</body>");
		expect_body(&t, "MESSAGE", "three");
		gatewaytest_answer(&t, "405 Method Not Allowed", "", NO_BODY);
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
		gatewaytest_request(&t, "ACK");
		gatewaytest_confirmed(&t, "c");
		/* The first one stays with what his client took. */
		GIVE(&t, .id = "d", .inner = "<body>four</body>");
		expect_body(&t, "MESSAGE", "four");
		assert_null(strstr(sip_field(t.pool.message.s, "To"), "tag="));
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		gatewaytest_confirmed(&t, "d");
		/* The other pool's users have shown nothing. */
		t.peer = &t.legacy;
		GIVE(&t, .id = "e", .to = "romeo@corp.test", .at_legacy = true);
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
		gatewaytest_request(&t, "ACK");
		gatewaytest_confirmed(&t, "e");
		gatewaytest_end(&t);
	}
}

/* Neither way: one error, and it is the last refusal's. */
static void test_auto_both_fail(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (int i = 0; i < 2; i++) {
		GIVE(&t, .id = "a");
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, "488 Not Acceptable Here", "", NO_BODY);
		gatewaytest_request(&t, "ACK");
		gatewaytest_request(&t, "MESSAGE");
		gatewaytest_answer(&t, "405 Method Not Allowed", "", NO_BODY);
		gatewaytest_refused(&t, "a", COND_FEATURE_NOT_IMPLEMENTED);
		gatewaytest_quiet(&t);
	}
	assert_int_equal(gatewaytest_counter(&t, "to_sip_failed"), 2);
	gatewaytest_end(&t);
}

/* The user's own word is not a client's inability. */
static void test_auto_keeps_the_way(void **state)
{
	static const char *const refusals[] = { "486 Busy Here", "603 Decline", "404 Not Found",
						"606 Not Acceptable", "500 Server Internal Error" };
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		GIVE(&t, .id = "a");
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, refusals[i], "", NO_BODY);
		gatewaytest_request(&t, "ACK");
		assert_false(gatewaytest_told(&t).confirmed);
		gatewaytest_quiet(&t);
	}
	gatewaytest_end(&t);
}

static void test_mode_pager(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_PAGER);
	GIVE(&t, .id = "a");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "405 Method Not Allowed", "", NO_BODY);
	gatewaytest_refused(&t, "a", COND_FEATURE_NOT_IMPLEMENTED);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* --- the queue --- */

/* Fifty messages, of which the pool refuses some and loses the dialog under others: in order, each once. */
static void test_order_of_fifty(void **state)
{
	enum { COUNT = 50 };
	struct gatewaytest t;
	char text[32], seen[COUNT] = { 0 };
	unsigned next_told = 0, next_read = 0, messages = 0;
	bool dead[COUNT] = { false };
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (unsigned i = 0; i < COUNT; i++) {
		char id[8];

		snprintf(id, sizeof(id), "%u", i);
		snprintf(text, sizeof(text), "<body>%u</body>", i);
		GIVE(&t, .id = id, .inner = text);
	}
	while (next_told < COUNT) {
		const char *message = sippeer_receive(&t.pool);

		if (strncmp(message, "INVITE ", 7) == 0) {
			gatewaytest_answer(&t, "200 OK", ACCEPTED, SDP);
		} else if (strncmp(message, "BYE ", 4) == 0) {
			gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		} else if (strncmp(message, "MESSAGE ", 8) == 0) {
			unsigned n = (unsigned)strtoul(sip_body(message), NULL, 10);
			bool kill = n % 7 == 3 && !dead[n], refuse = n % 5 == 4;

			messages++;
			assert_int_equal(n, next_read);
			dead[n] |= kill;
			gatewaytest_answer(&t,
					   kill     ? "481 Call Leg Does Not Exist"
					   : refuse ? "403 Forbidden"
						    : "200 OK",
					   "", NO_BODY);
			if (kill)
				continue;
			next_read++;
			seen[n]++;
			snprintf(text, sizeof(text), "%u", n);
			if (refuse)
				gatewaytest_refused(&t, text, COND_FORBIDDEN);
			else
				gatewaytest_confirmed(&t, text);
			next_told++;
		}
	}
	gatewaytest_quiet(&t);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(messages, COUNT + 7);
	assert_int_equal(gatewaytest_counter(&t, "queued"), 0);
	gatewaytest_end(&t);
}

/* The user was moved: the session at the old pool ends, and a new one begins where he is. */
static void test_moved(void **state)
{
	struct peer_dialog old;
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	t.peer = &t.legacy;
	GIVE(&t, .id = "a", .at_legacy = true);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_dialog(&t, &old);
	gatewaytest_answer(&t, "200 OK", "Contact: <sip:tybalt@" OLD_POOL ":5060>\r\n" SDP_TYPE READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "a");
	GIVE(&t, .id = "b", .inner = "<body>moved</body>");
	assert_string_equal(sip_field(gatewaytest_request(&t, "BYE"), "Call-ID"), old.call_id);
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	t.peer = &t.pool;
	assert_string_not_equal(sip_field(gatewaytest_request(&t, "INVITE"), "Call-ID"), old.call_id);
	gatewaytest_answer(&t, "200 OK", ACCEPTED, SDP);
	gatewaytest_request(&t, "ACK");
	expect_body(&t, "MESSAGE", "moved");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* Two XMPP users, two users of the pool: four conversations, none of which waits for another. */
static void test_pairs_are_apart(void **state)
{
	static const char *const from[] = { "juliet@partner.test/a", "nurse@partner.test/a" };
	static const char *const to[] = { TYBALT, "paris@corp.test" };
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_SESSION);
	for (int i = 0; i < 4; i++) {
		GIVE(&t, .from = from[i / 2], .to = to[i % 2]);
		gatewaytest_request(&t, "INVITE");
	}
	/* Another resource of the same user is not another pair. */
	GIVE(&t, .from = "juliet@partner.test/b");
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "conversations"), 4);
	gatewaytest_end(&t);
}

/* --- limits --- */

/* What is remembered is bounded: idle ones go first, then the session that was used longest ago, with BYE. */
static void test_conversations_are_bounded(void **state)
{
	enum { BOUND = 5 };
	struct gatewaytest t;
	char from[64];
	(void)state;

	gatewaytest_prepare(&t, POOL_SESSION);
	t.config.sip.conversations = BOUND;
	gatewaytest_open(&t);
	for (int i = 0; i < 2 * BOUND; i++) {
		snprintf(from, sizeof(from), "idle%d@partner.test", i);
		GIVE(&t, .from = from);
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, "404 Not Found", "", NO_BODY);
		gatewaytest_request(&t, "ACK");
		gatewaytest_refused(&t, "1", COND_ITEM_NOT_FOUND);
	}
	assert_int_equal(gatewaytest_counter(&t, "conversations"), BOUND);
	for (int i = 0; i < 2 * BOUND; i++) {
		snprintf(from, sizeof(from), "busy%d@partner.test", i);
		GIVE(&t, .from = from);
		if (i >= BOUND) {
			char expected[64];

			snprintf(expected, sizeof(expected), "<sip:busy%d@partner.test>", i - BOUND);
			expect_start(sip_field(gatewaytest_request(&t, "BYE"), "From"), expected);
			gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		}
		gatewaytest_request(&t, "INVITE");
		gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
		gatewaytest_request(&t, "ACK");
		gatewaytest_confirmed(&t, "1");
		assert_int_equal(gatewaytest_counter(&t, "conversations"), BOUND);
	}
	assert_int_equal(gatewaytest_counter(&t, "sessions"), BOUND);
	gatewaytest_end(&t);
}

/* --- stopping --- */

static void on_finished(void *ctx)
{
	*(bool *)ctx = true;
}

static bool is_true(void *ctx)
{
	return *(bool *)ctx;
}

/* A stop says BYE; a message under way is waited for, in whatever stage it is. */
static void test_stop(void **state)
{
	enum { IDLE, IN_DIALOG, INVITING, INVITING_UNREAD, STAGES };
	(void)state;

	for (int stage = IDLE; stage < STAGES; stage++) {
		struct gatewaytest t;
		bool finished = false;

		gatewaytest_begin(&t, POOL_SESSION);
		if (stage <= IN_DIALOG)
			gatewaytest_session(&t, NULL, SDP);
		if (stage != IDLE) {
			GIVE(&t, .id = "b");
			GIVE(&t, .id = "c");
			gatewaytest_request(&t, stage == IN_DIALOG ? "MESSAGE" : "INVITE");
		}
		gateway_stop(t.gateway, on_finished, &finished);
		assert_int_equal(finished, stage == IDLE);
		if (stage != IDLE) {
			gatewaytest_refused(&t, "c", COND_REMOTE_SERVER_TIMEOUT);
			if (stage == IN_DIALOG)
				gatewaytest_answer(&t, "200 OK", "", NO_BODY);
			else
				gatewaytest_answer(&t, "200 OK",
						   stage == INVITING ? ACCEPTED READ_IT : ACCEPTED, SDP);
			if (stage != IN_DIALOG)
				gatewaytest_request(&t, "ACK");
			if (stage == INVITING_UNREAD) {
				gatewaytest_request(&t, "MESSAGE");
				gatewaytest_answer(&t, "200 OK", "", NO_BODY);
			}
			gatewaytest_confirmed(&t, "b");
			nettest_run(&t.net, is_true, &finished);
		}
		gatewaytest_request(&t, "BYE");
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		gatewaytest_end(&t);
	}
}

/* The pool does not answer: two seconds, then CANCEL, and no timer comes back for what is gone. */
static void test_stop_gives_up(void **state)
{
	struct gatewaytest t;
	bool finished = false;
	(void)state;

	gatewaytest_prepare(&t, POOL_SESSION);
	t.config.sip.invite_ms = 2100;
	gatewaytest_open(&t);
	GIVE(&t, .id = "a");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "180 Ringing", "", NO_BODY);
	gateway_stop(t.gateway, on_finished, &finished);
	gatewaytest_request(&t, "CANCEL");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_refused(&t, "a", COND_REMOTE_SERVER_TIMEOUT);
	assert_true(finished);
	gateway_destroy(t.gateway);
	t.gateway = NULL;
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invite),
		cmocka_unit_test(test_not_read),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_declined),
		cmocka_unit_test(test_auto_learns_pager),
		cmocka_unit_test(test_auto_both_fail),
		cmocka_unit_test(test_auto_keeps_the_way),
		cmocka_unit_test(test_mode_pager),
		cmocka_unit_test(test_order_of_fifty),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_pairs_are_apart),
		cmocka_unit_test(test_conversations_are_bounded),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
