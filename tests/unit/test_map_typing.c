/* test_map_typing.c - isComposing, KeyboardActivity and chat states (RFC 3994, RFC 7573 section 5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_typing.h"

#define ISCOMPOSING "<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'>"
#define END         "</isComposing>"

/* RFC 7573 tables 3 and 4. */
static const struct {
	enum chat_state state;
	bool said;
	enum typing typing;
	const char *name;
} states[] = {
	{ CHAT_STATE_NONE, false, TYPING_IDLE, NULL },
	{ CHAT_STATE_ACTIVE, true, TYPING_IDLE, "active" },
	{ CHAT_STATE_COMPOSING, true, TYPING_ACTIVE, "composing" },
	{ CHAT_STATE_PAUSED, true, TYPING_IDLE, "paused" },
	{ CHAT_STATE_INACTIVE, true, TYPING_IDLE, "inactive" },
	{ CHAT_STATE_GONE, false, TYPING_IDLE, "gone" },
};

static void test_chat_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		enum typing typing = TYPING_ACTIVE;

		assert_int_equal(map_chatstate_to_typing(states[i].state, &typing), states[i].said);
		assert_int_equal(typing, states[i].said ? states[i].typing : TYPING_ACTIVE);
		if (states[i].name == NULL)
			assert_null(chat_state_name(states[i].state));
		else
			assert_string_equal(chat_state_name(states[i].state), states[i].name);
	}
	assert_int_equal(map_typing_to_chatstate(TYPING_ACTIVE), CHAT_STATE_COMPOSING);
	assert_int_equal(map_typing_to_chatstate(TYPING_IDLE), CHAT_STATE_ACTIVE);
}

struct read_case {
	const char *body;
	enum err expected;
	enum typing typing;
	unsigned refresh;
};

static const struct read_case iscomposing_cases[] = {
	{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?><isComposing "
	  "xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state><contenttype>text/plain"
	  "</contenttype><refresh>60</refresh></isComposing>",
	  OK, TYPING_ACTIVE, 60 },
	/* RFC 3994 section 5, with its attributes of other namespaces */
	{ "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing "
	  "xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"\r\n"
	  "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\r\n"
	  "xsi:schemaLocation=\"urn:ietf:params:xml:ns:im-composing iscomposing.xsd\">\r\n"
	  "  <state>idle</state>\r\n  <lastactive>2003-01-27T10:43:00Z</lastactive>\r\n"
	  "  <contenttype>audio</contenttype>\r\n</isComposing>\r\n",
	  OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ "<c:isComposing xmlns:c='urn:ietf:params:xml:ns:im-iscomposing'><c:state>active</c:state>"
	  "</c:isComposing>",
	  OK, TYPING_ACTIVE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>\n  active\t</state>" END, OK, TYPING_ACTIVE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>activex</state>" END, OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>active active</state>" END, OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>Active</state>" END, OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>thinking</state>" END, OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state/>" END, OK, TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<x xmlns='urn:x'><state>idle</state></x><state>active</state>" END, OK, TYPING_ACTIVE,
	  MAP_REFRESH_DEFAULT },
	/* refresh: xs:positiveInteger */
	{ ISCOMPOSING "<state>active</state><refresh> +0090 </refresh>" END, OK, TYPING_ACTIVE, 90 },
	{ ISCOMPOSING "<state>active</state><refresh>1</refresh>" END, OK, TYPING_ACTIVE, 1 },
	{ ISCOMPOSING "<state>active</state><refresh>3600</refresh>" END, OK, TYPING_ACTIVE, 3600 },
	{ ISCOMPOSING "<state>active</state><refresh>3601</refresh>" END, OK, TYPING_ACTIVE, 3600 },
	{ ISCOMPOSING "<state>active</state><refresh>99999999999999999999999</refresh>" END, OK,
	  TYPING_ACTIVE, 3600 },
	{ ISCOMPOSING "<state>active</state><refresh>4294967297</refresh>" END, OK, TYPING_ACTIVE, 3600 },
	{ ISCOMPOSING "<state>active</state><refresh>0</refresh>" END, OK, TYPING_ACTIVE,
	  MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>active</state><refresh>-5</refresh>" END, OK, TYPING_ACTIVE,
	  MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>active</state><refresh>5s</refresh>" END, OK, TYPING_ACTIVE,
	  MAP_REFRESH_DEFAULT },
	{ ISCOMPOSING "<state>active</state><refresh/>" END, OK, TYPING_ACTIVE, MAP_REFRESH_DEFAULT },
	/* not this document, or none */
	{ ISCOMPOSING END, ERR_SYNTAX, TYPING_IDLE, 0 },
	{ ISCOMPOSING "<state xmlns='urn:x'>active</state>" END, ERR_SYNTAX, TYPING_IDLE, 0 },
	{ "<isComposing><state>active</state></isComposing>", ERR_NOT_FOUND, TYPING_IDLE, 0 },
	{ "<other xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></other>", ERR_NOT_FOUND,
	  TYPING_IDLE, 0 },
	{ ISCOMPOSING "<state>active</state>", ERR_SYNTAX, TYPING_IDLE, 0 },
	{ ISCOMPOSING "<state>active</state>" END "<x/>", ERR_SYNTAX, TYPING_IDLE, 0 },
	{ "<!DOCTYPE isComposing [<!ENTITY a 'active'>]>" ISCOMPOSING "<state>&a;</state>" END, ERR_SYNTAX,
	  TYPING_IDLE, 0 },
	{ "active", ERR_SYNTAX, TYPING_IDLE, 0 },
	{ "", ERR_SYNTAX, TYPING_IDLE, 0 },
};

static const struct read_case keyboard_cases[] = {
	{ "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>", OK,
	  TYPING_ACTIVE, MAP_REFRESH_DEFAULT },
	{ "<?xml version=\"1.0\"?><KeyboardActivity> <status status=\"type\" /></KeyboardActivity>", OK,
	  TYPING_ACTIVE, MAP_REFRESH_DEFAULT },
	{ "<?xml version=\"1.0\"?><KeyboardActivity><status status=\"idle\" /></KeyboardActivity>", OK,
	  TYPING_IDLE, MAP_REFRESH_DEFAULT },
	{ "<KeyboardActivity xmlns='urn:x'><status status='type'/></KeyboardActivity>", OK, TYPING_ACTIVE,
	  MAP_REFRESH_DEFAULT },
	{ "<KeyboardActivity><status status='away'/></KeyboardActivity>", OK, TYPING_IDLE,
	  MAP_REFRESH_DEFAULT },
	{ "<KeyboardActivity><status/></KeyboardActivity>", ERR_NOT_FOUND, TYPING_IDLE, 0 },
	{ "<KeyboardActivity/>", ERR_NOT_FOUND, TYPING_IDLE, 0 },
	{ "<KeyboardActivity><x><status status='type'/></x></KeyboardActivity>", ERR_NOT_FOUND, TYPING_IDLE,
	  0 },
	{ "<action name='x'><status status='type'/></action>", ERR_NOT_FOUND, TYPING_IDLE, 0 },
	{ "<KeyboardActivity><status status='type'></KeyboardActivity>", ERR_SYNTAX, TYPING_IDLE, 0 },
	{ "", ERR_SYNTAX, TYPING_IDLE, 0 },
};

static void check_read(const struct read_case *c, enum err (*read)(const char *, size_t, struct map_typing *))
{
	struct map_typing typing = { .refresh = 777 };
	enum err e = read(c->body, strlen(c->body), &typing);

	if (e != c->expected)
		fail_msg("%s: %s", c->body, err_text(e));
	if (typing.refresh != (e == OK ? c->refresh : 777) || (e == OK && typing.state != c->typing))
		fail_msg("%s: %d, refresh %u", c->body, (int)typing.state, typing.refresh);
}

static void test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(iscomposing_cases); i++)
		check_read(&iscomposing_cases[i], map_iscomposing_read);
	for (size_t i = 0; i < ARRAY_SIZE(keyboard_cases); i++)
		check_read(&keyboard_cases[i], map_keyboard_read);
}

static void test_what_is_written_is_read(void **state)
{
	static const unsigned refreshs[] = { 0, 1, 60, MAP_REFRESH_DEFAULT, MAP_REFRESH_MAX };
	struct map_typing typing;
	char *body;
	(void)state;

	for (int t = TYPING_IDLE; t <= TYPING_ACTIVE; t++) {
		for (size_t i = 0; i < ARRAY_SIZE(refreshs); i++) {
			bool given = refreshs[i] > 0 && t == TYPING_ACTIVE;

			body = map_iscomposing_write((enum typing)t, refreshs[i]);
			assert_int_equal(map_iscomposing_read(body, strlen(body), &typing), OK);
			assert_int_equal(typing.state, t);
			assert_int_equal(typing.refresh, given ? refreshs[i] : MAP_REFRESH_DEFAULT);
			free(body);
		}
		body = map_keyboard_write((enum typing)t);
		assert_int_equal(map_keyboard_read(body, strlen(body), &typing), OK);
		assert_int_equal(typing.state, t);
		free(body);
	}
}

static const struct {
	const char *inner;
	enum chat_state state;
	bool request;
	const char *received, *nick;
} signal_cases[] = {
	{ "<body>hi</body>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<active xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_ACTIVE, false, NULL, NULL },
	{ "<composing xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_COMPOSING, false, NULL,
	  NULL },
	{ "<paused xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_PAUSED, false, NULL, NULL },
	{ "<inactive xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_INACTIVE, false, NULL,
	  NULL },
	{ "<body/><gone xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_GONE, false, NULL,
	  NULL },
	{ "<composing/>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<composing xmlns='jabber:x:event'/>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<typing xmlns='http://jabber.org/protocol/chatstates'/>", CHAT_STATE_NONE, false, NULL, NULL },
	/* forwarded by somebody: not this client's state, nor its receipt */
	{ "<x xmlns='urn:x'><composing xmlns='http://jabber.org/protocol/chatstates'/>"
	  "<received xmlns='urn:xmpp:receipts' id='1'/></x>",
	  CHAT_STATE_NONE, false, NULL, NULL },
	{ "<request xmlns='urn:xmpp:receipts'/>", CHAT_STATE_NONE, true, NULL, NULL },
	{ "<request xmlns='urn:xmpp:chat-markers:0'/>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<received xmlns='urn:xmpp:receipts' id='bf9m36d5'/>", CHAT_STATE_NONE, false, "bf9m36d5", NULL },
	{ "<received xmlns='urn:xmpp:receipts'/>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<received xmlns='urn:xmpp:carbons:2' id='1'/>", CHAT_STATE_NONE, false, NULL, NULL },
	{ "<nick xmlns='http://jabber.org/protocol/nick'>Ishmael &amp; I</nick>", CHAT_STATE_NONE, false,
	  NULL, "Ishmael & I" },
	{ "<nick xmlns='http://jabber.org/protocol/nick'/>", CHAT_STATE_NONE, false, NULL, NULL },
};

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void test_signals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(signal_cases); i++) {
		char *bytes = xasprintf("<message>%s</message>", signal_cases[i].inner);
		struct stanza s = { .bytes = bytes, .size = strlen(bytes) };
		struct map_signals signals;
		struct stanza_tree *tree;

		assert_int_equal(stanza_tree_build(&s, &tree), OK);
		map_signals_read(tree, &signals);
		if (signals.chat_state != signal_cases[i].state ||
		    signals.receipt_request != signal_cases[i].request ||
		    !same(signals.received_id, signal_cases[i].received) ||
		    !same(signals.nick, signal_cases[i].nick))
			fail_msg("%s", signal_cases[i].inner);
		stanza_tree_free(tree);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chat_states),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
