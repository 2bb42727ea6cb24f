/*
 * test_moved.c - conversations in progress when their user leaves a pool: what
 * ends, what goes on, and that nothing in flight is lost; and what is known of
 * clients that come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gatewaytest.h"

#define FIRST      "ms-text-format: text/plain; charset=UTF-8; ms-body=Zmlyc3Q=\r\n" /* "first" */
#define INFO_TYPE  "Content-Type: application/xml\r\n"
#define TYPING     "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>"
#define THREAD(id) "<body>in " id "</body><thread>" id "</thread>" STATE("active")

static const struct outcome delivered = { .confirmed = true };

static void expect_start(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("not '%s...' but %s", start, text);
}

/* BYE, which is answered. */
static void expect_bye(struct gatewaytest *t)
{
	gatewaytest_request(t, "BYE");
	gatewaytest_answer(t, "200 OK", "", NO_BODY);
}

/* Juliet writes in that thread, which opens a session; returns the INVITE. */
static const char *open_thread(struct gatewaytest *t, const char *inner, bool at_legacy)
{
	static char invite[4096];

	t->peer = at_legacy ? &t->legacy : &t->pool;
	GIVE(t, .id = "first", .inner = inner, .at_legacy = at_legacy);
	snprintf(invite, sizeof(invite), "%s", gatewaytest_request(t, "INVITE"));
	gatewaytest_answer(t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(t, "ACK");
	gatewaytest_confirmed(t, "first");
	return invite;
}

/* Likewise, and the user types, which she sees; *d is the session's dialog. */
static void open_and_type(struct gatewaytest *t, struct peer_dialog *d)
{
	GIVE(t, .id = "first", .inner = THREAD("th-1"));
	gatewaytest_request(t, "INVITE");
	gatewaytest_dialog(t, d);
	gatewaytest_answer(t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(t, "ACK");
	gatewaytest_confirmed(t, "first");
	gatewaytest_in_dialog(t, d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(t, "200 OK", "INFO");
	gatewaytest_hears(t, "<composing ");
}

/* --- what ends, and what goes on --- */

/* From the gateway to the legacy gateway, and back: another session, the same conversation. */
static void test_away_and_back(void **state)
{
	struct gatewaytest t;
	char id[64];
	const char *invite;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	invite = open_thread(&t, THREAD("th-1"), false);
	assert_string_equal(sip_field(invite, "Call-ID"), "th-1");
	snprintf(id, sizeof(id), "%s", sip_field(invite, "Ms-Conversation-ID"));
	gatewaytest_moved(&t, ROUTE_HOLD, POOL_LEGACY);
	gatewaytest_quiet(&t);
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	expect_bye(&t);
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_NEW);
	gatewaytest_quiet(&t);
	invite = open_thread(&t, THREAD("th-1"), false);
	assert_string_equal(sip_field(invite, "Ms-Conversation-ID"), id);
	gatewaytest_end(&t);
}

/* From pool to pool, for a partner that is cut over. */
static void test_between_pools(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	char id[64];
	const char *invite;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	invite = open_thread(&t, THREAD("th-1"), false);
	snprintf(id, sizeof(id), "%s", sip_field(invite, "Ms-Conversation-ID"));
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
	expect_bye(&t);
	invite = open_thread(&t, THREAD("th-1"), true);
	/* That pool has not seen a dialog of this Call-ID. */
	assert_string_equal(sip_field(invite, "Call-ID"), "th-1");
	assert_string_equal(sip_field(invite, "Ms-Conversation-ID"), id);
	/* What the user says there belongs to the same thread. */
	gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
	assert_non_null(strstr(gatewaytest_hears(&t, ">first</body>"), "<thread>th-1</thread>"));
	gatewaytest_accepted(&t, &d);
	/* Nothing has changed for him. */
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
	gateway_registry_changed(t.gateway, NULL);
	gateway_registry_changed(t.gateway, "romeo@corp.test");
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 2);
	/* The domain is cut over. */
	t.router.verdict.pool = POOL_NEW;
	gateway_registry_changed(t.gateway, NULL);
	expect_bye(&t);
	expect_bye(&t);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* Who signs out at the old pool, to sign in at the new one, has not ended his conversations. */
static void test_signed_out(void **state)
{
	for (int moving = 0; moving < 2; moving++) {
		struct gatewaytest t;
		struct peer_dialog d;
		const char *stanza;
		(void)state;

		gatewaytest_begin(&t, POOL_AUTO);
		open_and_type(&t, &d);
		t.router.verdict.route = moving ? ROUTE_HOLD : ROUTE_GATEWAY;
		gatewaytest_in_dialog(&t, &d, "BYE", "", NO_BODY);
		gatewaytest_response(&t, "200 OK", "BYE");
		gatewaytest_hears(&t, moving ? "<active " : "<gone ");
		gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
		gatewaytest_quiet(&t);
		t.peer = &t.legacy;
		gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
		stanza = gatewaytest_hears(&t, ">first</body>");
		assert_int_equal(strstr(stanza, "<thread>th-1</thread>") != NULL, moving);
		gatewaytest_accepted(&t, &d);
		gatewaytest_end(&t);
	}
}

/* --- in flight to the pool --- */

/* A message is under way in the dialog, two wait behind it. */
static void test_message_in_flight(void **state)
{
	static const struct {
		const char *status;
		bool put_back, bye;
	} cases[] = {
		{ "200 OK", false, true },
		{ "404 Not Found", true, true },
		{ "480 Temporarily Unavailable", true, true },
		{ "481 Call Leg Does Not Exist", true, false },
		{ "503 Service Unavailable", true, true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gatewaytest t;

		gatewaytest_begin(&t, POOL_AUTO);
		gatewaytest_session(&t, NULL, SDP);
		GIVE(&t, .id = "a");
		GIVE(&t, .id = "b");
		GIVE(&t, .id = "s", .inner = STATE("composing"));
		GIVE(&t, .id = "c");
		gatewaytest_confirmed(&t, "s");
		gatewaytest_request(&t, "MESSAGE");
		gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
		gatewaytest_put_back(&t, "b");
		gatewaytest_put_back(&t, "c");
		gatewaytest_quiet(&t);
		gatewaytest_answer(&t, cases[i].status, "", NO_BODY);
		if (cases[i].put_back)
			gatewaytest_put_back(&t, "a");
		else
			gatewaytest_confirmed(&t, "a");
		if (cases[i].bye)
			expect_bye(&t);
		gatewaytest_quiet(&t);
		assert_int_equal(gatewaytest_counter(&t, "queued"), 0);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		gatewaytest_end(&t);
	}
}

/* Nobody knows whether the pool has it: its sender is told, and it goes nowhere else. */
static void test_silence(void **state)
{
	struct gatewaytest t;
	struct told told;
	(void)state;

	gatewaytest_prepare(&t, POOL_PAGER);
	t.t1_ms = 5;
	gatewaytest_open(&t);
	GIVE(&t, .id = "a");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	told = gatewaytest_told(&t);
	assert_false(told.confirmed);
	assert_false(told.unsent);
	gatewaytest_end(&t);
}

/* It rings where nobody sits any more. */
static void test_invite_in_flight(void **state)
{
	static const struct {
		const char *status, *extra;
		bool opens, read;
	} cases[] = {
		{ "487 Request Terminated", "", false, false },
		{ "486 Busy Here", "", false, false },
		{ "200 OK", ACCEPTED READ_IT, true, true },
		{ "200 OK", ACCEPTED, true, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gatewaytest t;
		char invite[4096];

		gatewaytest_begin(&t, POOL_AUTO);
		GIVE(&t, .id = "a");
		GIVE(&t, .id = "b");
		snprintf(invite, sizeof(invite), "%s", gatewaytest_request(&t, "INVITE"));
		gatewaytest_answer(&t, "180 Ringing", "", NO_BODY);
		nettest_is_quiet(&t.net);
		gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
		gatewaytest_put_back(&t, "b");
		gatewaytest_request(&t, "CANCEL");
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		t.peer->message.len = 0;
		strbuf_puts(&t.peer->message, invite);
		gatewaytest_answer(&t, cases[i].status, cases[i].extra, cases[i].opens ? SDP : NO_BODY);
		gatewaytest_request(&t, "ACK");
		if (cases[i].opens)
			expect_bye(&t);
		if (cases[i].read)
			gatewaytest_confirmed(&t, "a");
		else
			gatewaytest_put_back(&t, "a");
		gatewaytest_quiet(&t);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		gatewaytest_end(&t);
	}
}

/* What waits for its turn at a pool that he has left takes with it what came for the other. */
static void test_waiting_for_both(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_PAGER);
	GIVE(&t, .id = "a");
	gatewaytest_request(&t, "MESSAGE");
	GIVE(&t, .id = "b");
	GIVE(&t, .id = "c", .at_legacy = true);
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
	gatewaytest_put_back(&t, "b");
	gatewaytest_put_back(&t, "c");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	t.peer = &t.legacy;
	GIVE(&t, .id = "b", .at_legacy = true);
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "b");
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* --- in flight from the pool --- */

static void test_from_pool(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_session(&t, &d, SDP);
	t.router.hold = true;
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_hears(&t, ">one</body>");
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	nettest_is_quiet(&t.net);
	assert_false(sippeer_poll(&t.pool));
	gatewaytest_delivered(&t, &delivered);
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	expect_bye(&t);
	gatewaytest_quiet(&t);
	/* It is over. */
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "two");
	gatewaytest_response(&t, "481 Call/Transaction Does Not Exist", "MESSAGE");
	gatewaytest_end(&t);
}

/* A session that is only left open for what is in flight takes nothing new. */
static void test_left_open(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_session(&t, &d, SDP);
	t.router.hold = true;
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_hears(&t, ">one</body>");
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
	t.peer = &t.legacy;
	GIVE(&t, .id = "a", .at_legacy = true);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "a");
	t.peer = &t.pool;
	gatewaytest_delivered(&t, &delivered);
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	expect_bye(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* BYE is not sent before the ACK of a session that is just opened (RFC 3261 section 15). */
static void test_opening_from_pool(void **state)
{
	for (int with_text = 0; with_text < 2; with_text++) {
		struct gatewaytest t;
		struct peer_dialog d;
		(void)state;

		gatewaytest_begin(&t, POOL_AUTO);
		t.config.sip.session_ms = 600000; /* it is not this time that ends it */
		t.router.hold = with_text != 0;
		gatewaytest_invite(&t, &d, with_text ? FIRST SDP_TYPE : SDP_TYPE, SDP);
		if (with_text)
			gatewaytest_hears(&t, ">first</body>");
		else
			gatewaytest_response(&t, "200 OK", "INVITE");
		gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
		nettest_is_quiet(&t.net);
		if (with_text)
			gatewaytest_delivered(&t, &delivered);
		/* The 200, or its repetition. */
		gatewaytest_accepted(&t, &d);
		while (strncmp(sippeer_receive(&t.pool), "BYE ", 4) != 0)
			expect_start(t.pool.message.s, "SIP/2.0 200 OK\r\n");
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
		assert_int_equal(gatewaytest_counter(&t, "sessions"), 0);
		gatewaytest_end(&t);
	}
}

/* --- typing --- */

/* The contact is not left with somebody who types for ever. */
static void test_typing_shown(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	open_and_type(&t, &d);
	assert_false(t.router.submitted[0].takes_back);
	gatewaytest_moved(&t, ROUTE_HOLD, POOL_LEGACY);
	gatewaytest_quiet(&t);
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	assert_int_equal(t.router.submitted_count, 1);
	assert_true(t.router.submitted[0].takes_back);
	stanza = gatewaytest_hears(&t, "<active ");
	assert_non_null(strstr(stanza, "to='" JULIET "'"));
	assert_non_null(strstr(stanza, "<thread>th-1</thread>"));
	assert_null(strstr(stanza, "<body"));
	expect_bye(&t);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* Nor is the pool's user, where no BYE says it. */
static void test_typing_in_pager_mode(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	GIVE(&t, .id = "a", .inner = "<body>a</body>" STATE("active"));
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "405 Method Not Allowed", "", NO_BODY);
	gatewaytest_request(&t, "ACK");
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	GIVE(&t, .id = "s", .inner = STATE("composing"));
	gatewaytest_confirmed(&t, "s");
	assert_non_null(strstr(gatewaytest_request(&t, "MESSAGE"), "<state>active</state>"));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	nettest_is_quiet(&t.net);
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_LEGACY);
	assert_non_null(strstr(gatewaytest_request(&t, "MESSAGE"), "<state>idle</state>"));
	/* Nothing waits for its answer, and his client there may be another one. */
	t.peer = &t.legacy;
	GIVE(&t, .id = "b", .at_legacy = true);
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "b");
	gatewaytest_end(&t);
}

/* --- chats that have passed by the legacy gateway --- */

/* They go on: in the same thread, with the client that wrote, and who typed there types no more. */
static void test_passing(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	const char *stanza;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	gatewaytest_pass(&t, true, NULL, THREAD("th-1"));
	gatewaytest_pass(&t, false, NULL, THREAD("th-1"));
	gatewaytest_pass(&t, false, NULL, "<thread>th-1</thread>" STATE("composing"));
	/* Something else has changed. */
	gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
	gatewaytest_moved(&t, ROUTE_HOLD, POOL_LEGACY);
	gateway_registry_changed(t.gateway, NULL);
	gatewaytest_quiet(&t);
	gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_NEW);
	assert_true(t.router.submitted[0].takes_back);
	stanza = gatewaytest_hears(&t, "<active ");
	assert_non_null(strstr(stanza, "from='" OLD_CLIENT "'"));
	assert_non_null(strstr(stanza, "to='" JULIET "'"));
	assert_non_null(strstr(stanza, "<thread>th-1</thread>"));
	gatewaytest_quiet(&t);
	gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
	stanza = gatewaytest_hears(&t, ">first</body>");
	assert_non_null(strstr(stanza, "<thread>th-1</thread>"));
	assert_non_null(strstr(stanza, "to='" JULIET "'"));
	assert_non_null(strstr(stanza, "type='chat'"));
	gatewaytest_accepted(&t, &d);
	gatewaytest_end(&t);
}

/* What ends typing, or the conversation, before the move; and what is none. */
static void test_passing_ends(void **state)
{
	static const struct {
		const char *type, *inner; /* of what comes after composing */
		bool types;
		const char *thread; /* of what is said after the move; NULL: another */
	} cases[] = {
		{ NULL, STATE("composing"), true, "th-1" },
		{ NULL, "<body>plain</body>", false, "th-1" },
		{ NULL, STATE("paused"), false, "th-1" },
		{ NULL, STATE("gone"), false, NULL },
		{ NULL, "<body>b</body><thread>th-2</thread>", false, "th-2" },
		{ NULL, "<body>not a state: http://jabber.org/protocol/chatstates</body>", false, "th-1" },
		{ NULL, "<received xmlns='urn:xmpp:receipts' id='1'/>", true, "th-1" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[300];
		struct gatewaytest t;
		struct peer_dialog d;
		const char *stanza;

		gatewaytest_begin(&t, POOL_AUTO);
		gatewaytest_moved(&t, ROUTE_LEGACY, POOL_LEGACY);
		gatewaytest_pass(&t, true, NULL, THREAD("th-1"));
		gatewaytest_pass(&t, false, NULL, STATE("composing"));
		gatewaytest_pass(&t, false, cases[i].type, cases[i].inner);
		gatewaytest_moved(&t, ROUTE_GATEWAY, POOL_NEW);
		if (cases[i].types)
			gatewaytest_hears(&t, "<active ");
		gatewaytest_quiet(&t);
		gatewaytest_invite(&t, &d, FIRST SDP_TYPE, SDP);
		stanza = gatewaytest_hears(&t, ">first</body>");
		snprintf(expected, sizeof(expected), "<thread>%s</thread>",
			 cases[i].thread != NULL ? cases[i].thread : d.call_id);
		assert_non_null(strstr(stanza, expected));
		gatewaytest_accepted(&t, &d);
		gatewaytest_end(&t);
	}
}

/* Nothing is kept of what says nothing, nor more than there is room for beside the gateway's own. */
static void test_passing_is_bounded(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_prepare(&t, POOL_AUTO);
	t.config.sip.conversations = 2;
	gatewaytest_open(&t);
	gatewaytest_pass(&t, true, NULL, "<body>plain</body>");
	gatewaytest_pass(&t, true, "normal", THREAD("th-1"));
	assert_int_equal(gatewaytest_counter(&t, "conversations"), 0);
	/* Half of the room is not for them. */
	GIVE(&t, .id = "a", .to = "romeo@corp.test");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_pass(&t, true, NULL, THREAD("th-1"));
	assert_int_equal(gatewaytest_counter(&t, "conversations"), 1);
	t.config.sip.conversations = 4;
	gatewaytest_pass(&t, true, NULL, THREAD("th-1"));
	assert_int_equal(gatewaytest_counter(&t, "conversations"), 2);
	gatewaytest_end(&t);
}

/* What is said without text after a move goes where the user is, too. */
static void test_note_after_move(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	t.config.sip.new_pool_mode = t.config.sip.legacy_pool_mode = POOL_PAGER;
	GIVE(&t, .id = "a", .inner = "<body>a</body>" STATE("active"));
	gatewaytest_request(&t, "MESSAGE");
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_confirmed(&t, "a");
	t.peer = &t.legacy;
	GIVE(&t, .id = "s", .inner = STATE("composing"), .at_legacy = true);
	gatewaytest_confirmed(&t, "s");
	assert_non_null(strstr(gatewaytest_request(&t, "MESSAGE"), "<state>active</state>"));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* Typing that goes on is repeated, where the client would forget it (RFC 3994 section 3.2). */
static void test_typing_goes_on(void **state)
{
	struct gatewaytest t;
	(void)state;

	gatewaytest_prepare(&t, POOL_AUTO);
	t.t1_ms = 5;
	gatewaytest_open(&t);
	/* Keyboard activity has no such time. */
	gatewaytest_session(&t, NULL, SDP);
	GIVE(&t, .id = "k", .inner = STATE("composing"));
	gatewaytest_confirmed(&t, "k");
	assert_non_null(strstr(gatewaytest_request(&t, "INFO"), "status=\"type\""));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	GIVE(&t, .to = "romeo@corp.test", .id = "a");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP_TYPING);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "a");
	GIVE(&t, .to = "romeo@corp.test", .id = "s", .inner = STATE("composing"));
	gatewaytest_confirmed(&t, "s");
	for (int i = 0; i < 3; i++) {
		assert_non_null(strstr(gatewaytest_request(&t, "MESSAGE"), "<state>active</state>"));
		gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	}
	/* A client that is gone types no more. */
	GIVE(&t, .kind = STANZA_PRESENCE, .to = "romeo@corp.test", .id = "u", .type = "unavailable",
	     .inner = "");
	gatewaytest_told(&t);
	assert_non_null(strstr(gatewaytest_request(&t, "MESSAGE"), "<state>idle</state>"));
	gatewaytest_answer(&t, "200 OK", "", NO_BODY);
	gatewaytest_quiet(&t);
	gatewaytest_end(&t);
}

/* --- clients --- */

/* What one client of Juliet's understands is not what the next one does. */
static void test_other_client(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	gatewaytest_session(&t, &d, SDP);
	GIVE(&t, .kind = STANZA_PRESENCE, .id = "u", .type = "unavailable", .inner = "");
	gatewaytest_told(&t);
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(&t, "200 OK", "INFO");
	gatewaytest_quiet(&t);
	/* It is asked anew with the first text, and answers. */
	gatewaytest_in_dialog(&t, &d, "MESSAGE", TEXT_TYPE, "one");
	gatewaytest_response(&t, "200 OK", "MESSAGE");
	assert_non_null(strstr(gatewaytest_hears(&t, ">one</body>"), "<active "));
	GIVE(&t, .id = "s", .from = "juliet@partner.test/phone", .inner = STATE("active"));
	gatewaytest_confirmed(&t, "s");
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(&t, "200 OK", "INFO");
	gatewaytest_hears(&t, "<composing ");
	gatewaytest_end(&t);
}

/* A window that is closed on another device ends nothing, and its chat states say nothing of this one's. */
static void test_other_device(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	GIVE(&t, .id = "first", .inner = "<body>no chat states</body>");
	gatewaytest_request(&t, "INVITE");
	gatewaytest_dialog(&t, &d);
	gatewaytest_answer(&t, "200 OK", ACCEPTED READ_IT, SDP);
	gatewaytest_request(&t, "ACK");
	gatewaytest_confirmed(&t, "first");
	GIVE(&t, .id = "s", .from = "juliet@partner.test/phone", .inner = STATE("gone"));
	gatewaytest_confirmed(&t, "s");
	gatewaytest_in_dialog(&t, &d, "INFO", INFO_TYPE, TYPING);
	gatewaytest_response(&t, "200 OK", "INFO");
	gatewaytest_quiet(&t);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

/* A dialog has its thread's Call-ID once, however many threads there were between. */
static void test_threads_alternate(void **state)
{
	static const char *const threads[] = { THREAD("th-a"), THREAD("th-b"), THREAD("th-a"),
					       THREAD("th-b") };
	static const char *const call_ids[] = { "th-a", "th-b" };
	struct gatewaytest t;
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		const char *invite = open_thread(&t, threads[i], false);

		assert_int_equal(strcmp(sip_field(invite, "Call-ID"), call_ids[i % 2]) == 0, i < 2);
		GIVE(&t, .id = "s", .inner = STATE("gone"));
		gatewaytest_confirmed(&t, "s");
		expect_bye(&t);
	}
	gatewaytest_end(&t);
}

/* The INVITE that is cancelled is the one that ends. */
static void test_cancelled(void **state)
{
	struct gatewaytest t;
	struct peer_dialog d[2];
	char via[256];
	(void)state;

	gatewaytest_begin(&t, POOL_AUTO);
	t.router.hold = true;
	gatewaytest_invite(&t, &d[0], FIRST SDP_TYPE, SDP);
	gatewaytest_hears(&t, ">first</body>");
	gatewaytest_invite(&t, &d[1], FIRST SDP_TYPE, SDP);
	snprintf(via, sizeof(via), "SIP/2.0/UDP " NEW_POOL ":5060;branch=z9hG4bK-test-%u", t.number);
	while (t.router.submitted_count < 2)
		nettest_is_quiet(&t.net);
	sippeer_printf(t.peer,
		       "CANCEL sip:juliet@partner.test SIP/2.0\r\nVia: %s\r\nMax-Forwards: 69\r\nFrom: %s\r\n"
		       "To: %s\r\nCall-ID: %s\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
		       via, d[1].from, d[1].to, d[1].call_id);
	gatewaytest_response(&t, "200 OK", "CANCEL");
	gatewaytest_response(&t, "487 Request Terminated", "INVITE");
	assert_string_equal(sip_field(t.peer->message.s, "Call-ID"), d[1].call_id);
	gatewaytest_delivered(&t, &delivered);
	gatewaytest_accepted(&t, &d[0]);
	gatewaytest_delivered(&t, &delivered);
	assert_int_equal(gatewaytest_counter(&t, "sessions"), 1);
	gatewaytest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_away_and_back),
		cmocka_unit_test(test_between_pools),
		cmocka_unit_test(test_signed_out),
		cmocka_unit_test(test_message_in_flight),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_invite_in_flight),
		cmocka_unit_test(test_waiting_for_both),
		cmocka_unit_test(test_from_pool),
		cmocka_unit_test(test_left_open),
		cmocka_unit_test(test_opening_from_pool),
		cmocka_unit_test(test_typing_shown),
		cmocka_unit_test(test_typing_in_pager_mode),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_passing_ends),
		cmocka_unit_test(test_passing_is_bounded),
		cmocka_unit_test(test_note_after_move),
		cmocka_unit_test(test_typing_goes_on),
		cmocka_unit_test(test_other_client),
		cmocka_unit_test(test_other_device),
		cmocka_unit_test(test_threads_alternate),
		cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
