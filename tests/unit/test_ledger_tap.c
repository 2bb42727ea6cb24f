/*
 * Tests of ledger_tap.h: what the ledger knows after presence has passed between
 * romeo@corp.test, a legacy user, and juliet@partner.test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_told.h"
#include "bridge/route/ledger_tap.h"
#include "tests/unit/statetest.h"

#define ROMEO  "romeo@corp.test"
#define JULIET "juliet@partner.test"

/* A presence stanza of this type ("": available) from one to the other, past the tap. */
static void pass(struct ledger_tap *tap, enum stanza_kind kind, const char *from, const char *to,
		 const char *type, bool is_outbound)
{
	struct stanza *s = stanza_make(kind, from, to, "x1", type[0] ? type : NULL, NULL, NULL);
	struct jid sender, recipient;

	assert_int_equal(jid_parse(from, &sender), OK);
	assert_int_equal(jid_parse(to, &recipient), OK);
	if (is_outbound)
		assert_false(ledger_tap_outbound(tap, s, &sender, &recipient, false));
	else
		ledger_tap_inbound(tap, s, &sender, &recipient);
	stanza_unref(s);
}

/*
 * "> TYPE" from romeo to juliet, "< TYPE" back; several with ", " between. TYPE "available" is none;
 * with "/r" behind it the stanza goes to a resource.
 */
static void play(struct ledger_tap *tap, const char *steps)
{
	char *copy = xstrdup(steps), *at = copy, *step;

	while ((step = strsep(&at, ","))) {
		char *type, *resource;
		bool is_outbound;

		step += strspn(step, " ");
		is_outbound = step[0] == '>';
		type = step + 2;
		resource = strstr(type, "/r");
		if (resource)
			*resource = '\0';
		if (strcmp(type, "available") == 0)
			*type = '\0';
		if (is_outbound)
			pass(tap, STANZA_PRESENCE, ROMEO "/orchard", resource ? JULIET "/balcony" : JULIET,
			     type, true);
		else
			pass(tap, STANZA_PRESENCE, JULIET "/balcony", resource ? ROMEO "/orchard" : ROMEO,
			     type, false);
	}
	free(copy);
}

static bool note_row(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		     const char *told)
{
	struct strbuf *b = ctx;

	assert_string_equal(key->local, ROMEO);
	assert_string_equal(key->contact, JULIET);
	if (told[0] != '\0')
		assert_string_equal(told, "[{\"resource\":\"orchard\"}]");
	strbuf_printf(b, "%s%s %s %s %s", b->len > 0 ? ", " : "", ledger_direction_name(key->direction),
		      ledger_state_name(entry->state), ledger_evidence_name(entry->evidence),
		      ledger_via_name(entry->via));
	return true;
}

static char *rows_of(struct statetest *t)
{
	struct strbuf b = { 0 };

	assert_int_equal(ledger_each(t->ledger, NULL, note_row, &b), OK);
	return strbuf_take(&b);
}

static const struct {
	const char *steps, *rows;
} cases[] = {
	/* the handshake, begun by either side */
	{ "> subscribe", "to-contact pending handshake legacy" },
	{ "> subscribe, > subscribe", "to-contact pending handshake legacy" },
	{ "> subscribe, < subscribed", "to-contact active handshake legacy" },
	{ "> subscribe, < unsubscribed", "" },
	{ "> subscribe, > unsubscribe", "" },
	{ "> subscribe, < subscribed, < unsubscribed", "" },
	{ "> subscribe, < subscribed, > unsubscribe", "" },
	{ "< subscribe", "to-local pending handshake legacy" },
	{ "< subscribe, > subscribed", "to-local active handshake legacy" },
	{ "< subscribe, > unsubscribed", "" },
	{ "< subscribe, > subscribed, > unsubscribed", "" },
	{ "< subscribe, > subscribed, < unsubscribe", "" },
	{ "< subscribe, > subscribed, > subscribe, < subscribed",
	  "to-contact active handshake legacy, to-local active handshake legacy" },
	{ "< subscribe, > subscribed, > subscribe, < subscribed, < unsubscribe",
	  "to-contact active handshake legacy" },
	/* the same to a resource: the type counts, not the address */
	{ "< subscribe/r, > subscribed/r", "to-local active handshake legacy" },
	/* a partner may not say that the local user watches him */
	{ "< subscribed", "" },
	{ "< subscribed, < subscribed", "" },
	/* the legacy gateway may: the request came before us */
	{ "> subscribed", "to-local active handshake legacy" },
	{ "< unsubscribed", "" },
	{ "> unsubscribed", "" },
	/* older subscriptions: a probe, and presence to a bare address */
	{ "< probe", "to-local active probe legacy" },
	{ "< available", "to-contact active presence legacy" },
	{ "> probe", "to-contact active probe legacy" },
	{ "> available", "to-local active presence legacy" },
	{ "< probe, > available", "to-local active presence legacy" },
	{ "> available, < probe", "to-local active presence legacy" },
	{ "< probe, > unsubscribed", "" },
	{ "< probe, > subscribed", "to-local active handshake legacy" },
	{ "< probe, < subscribe", "to-local active probe legacy" },
	{ "< available, < unsubscribed", "" },
	/* presence for one resource is no sign of a subscription; nor is what is not available */
	{ "< available/r", "" },
	{ "> available/r", "" },
	{ "< probe/r", "" },
	{ "< unavailable", "" },
	{ "> unavailable", "" },
	{ "< error", "" },
	{ "> error", "" },
	{ "< nonsense", "" },
	/* a request is not answered by a probe, nor by presence of the side that was asked ... */
	{ "< subscribe, < probe", "to-local pending handshake legacy" },
	{ "> subscribe, < available", "to-contact pending handshake legacy" },
	{ "> subscribe, > probe", "to-contact pending handshake legacy" },
	/* ... but by presence from the legacy gateway: the answer went another way */
	{ "< subscribe, > available", "to-local active presence legacy" },
	/* what is proved does not become less so */
	{ "< subscribe, > subscribed, > available, < probe", "to-local active handshake legacy" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		void *made;
		struct statetest *t;
		struct ledger_tap *tap;
		char *rows;

		statetest_setup(&made);
		t = made;
		tap = ledger_tap_create(t->ledger);
		play(tap, cases[i].steps);
		rows = rows_of(t);
		if (strcmp(rows, cases[i].rows) != 0)
			fail_msg("%s: '%s' instead of '%s'", cases[i].steps, rows, cases[i].rows);
		free(rows);
		ledger_tap_destroy(tap);
		statetest_teardown(&made);
	}
}

static void assert_rows(struct statetest *t, const char *expected)
{
	char *rows = rows_of(t);

	assert_string_equal(rows, expected);
	free(rows);
}

/* What is no presence, or is not about a local user, says nothing. */
static void test_others(void **state)
{
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);

	pass(tap, STANZA_MESSAGE, JULIET, ROMEO, "subscribe", false);
	pass(tap, STANZA_IQ, JULIET, ROMEO, "subscribe", false);
	pass(tap, STANZA_PRESENCE, JULIET, "corp.test", "subscribe", false);
	pass(tap, STANZA_PRESENCE, "corp.test", JULIET, "", true);
	assert_rows(t, "");
	ledger_tap_destroy(tap);
}

/* A contact may be a service without a name before the @. */
static void test_domain_as_contact(void **state)
{
	const struct ledger_key key = { ROMEO, "news.partner.test", LEDGER_TO_CONTACT };
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);
	struct ledger_entry entry;

	pass(tap, STANZA_PRESENCE, ROMEO "/orchard", key.contact, "subscribe", true);
	pass(tap, STANZA_PRESENCE, key.contact, ROMEO, "subscribed", false);
	assert_int_equal(ledger_get(t->ledger, &key, &entry), OK);
	assert_int_equal(entry.state, LEDGER_ACTIVE);
	ledger_tap_destroy(tap);
}

static void test_rows_of_the_gateway(void **state)
{
	static const struct ledger_entry ours = { LEDGER_ACTIVE, LEDGER_GATEWAY, LEDGER_HANDSHAKE, 5, 6 };
	const struct ledger_key key = { ROMEO, JULIET, LEDGER_TO_LOCAL };
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);
	struct ledger_entry entry;

	assert_int_equal(ledger_put(t->ledger, &key, &ours), OK);
	play(tap, "> unsubscribed, < unsubscribe, < probe, > available, > subscribed");
	assert_int_equal(ledger_get(t->ledger, &key, &entry), OK);
	assert_same_entry(&entry, &ours);
	ledger_tap_destroy(tap);
}

/* Presence that says nothing new costs no write; once a day it does, so that what is dead can be told. */
static void test_seen(void **state)
{
	static const struct ledger_entry old = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_PRESENCE, 5, 6 };
	const struct ledger_key key = { ROMEO, JULIET, LEDGER_TO_LOCAL };
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);
	struct ledger_entry first, second;

	assert_int_equal(ledger_put(t->ledger, &key, &old), OK);
	play(tap, "> available");
	assert_int_equal(ledger_get(t->ledger, &key, &first), OK);
	assert_int_equal(first.since, 5);
	assert_true(first.seen > 1700000000);
	first.seen -= 3600;
	assert_int_equal(ledger_put(t->ledger, &key, &first), OK);
	play(tap, "> available, > available, < probe");
	assert_int_equal(ledger_get(t->ledger, &key, &second), OK);
	assert_same_entry(&first, &second);
	ledger_tap_destroy(tap);
}

/* --- what contacts were told --- */

/* Presence of romeo, from a resource or from his bare address; whether it is kept back. */
static bool show(struct ledger_tap *tap, const char *from, const char *to, const char *type,
		 const char *inner, bool moved)
{
	struct strbuf text = { .s = NULL };
	struct stanza *s;
	struct jid sender, recipient;
	bool kept;

	strbuf_puts(&text, inner);
	s = stanza_make(STANZA_PRESENCE, from, to, NULL, type, NULL, &text);
	assert_int_equal(jid_parse(from, &sender), OK);
	assert_int_equal(jid_parse(to, &recipient), OK);
	kept = ledger_tap_outbound(tap, s, &sender, &recipient, moved);
	stanza_unref(s);
	strbuf_free(&text);
	return kept;
}

static void assert_told(struct statetest *t, const char *expected)
{
	const struct ledger_key key = { ROMEO, JULIET, LEDGER_TO_LOCAL };
	struct strbuf text = { .s = NULL };

	assert_int_equal(ledger_told(t->ledger, &key, &text), OK);
	assert_string_equal(text.s, expected);
	strbuf_free(&text);
}

#define DESK  ROMEO "/desk"
#define PHONE ROMEO "/phone"
#define AWAY  "<show>away</show><status>a note, which is not kept</status><priority>5</priority>"
#define BOTH  "[{\"resource\":\"desk\"},{\"resource\":\"phone\",\"show\":\"away\",\"priority\":5}]"
#define ENDED                                                                                                \
	"[{\"resource\":\"desk\",\"gone\":true},{\"resource\":\"phone\",\"show\":\"away\",\"priority\":5}]"
#define NO_END false

static void test_told(void **state)
{
	static const struct ledger_entry active = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_HANDSHAKE, 5, 6 };
	const struct ledger_key key = { ROMEO, JULIET, LEDGER_TO_LOCAL };
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);

	assert_int_equal(ledger_put(t->ledger, &key, &active), OK);
	assert_false(show(tap, DESK, JULIET, NULL, "", NO_END));
	assert_false(show(tap, PHONE, JULIET "/balcony", NULL, AWAY, NO_END)); /* the answer to a probe */
	assert_told(t, BOTH);
	assert_false(show(tap, DESK, JULIET, "unavailable", "", NO_END));
	assert_told(t, "[{\"resource\":\"phone\",\"show\":\"away\",\"priority\":5}]");
	assert_false(show(tap, ROMEO, JULIET, "unavailable", "", NO_END));
	assert_told(t, "");

	/* He is being moved: what ends is noted, and said by whoever takes him over. */
	assert_false(show(tap, DESK, JULIET, NULL, "", true));
	assert_false(show(tap, PHONE, JULIET, NULL, AWAY, true));
	assert_false(show(tap, ROMEO "/unknown", JULIET, "unavailable", "", true));
	assert_told(t, BOTH);
	assert_true(show(tap, DESK, JULIET, "unavailable", "", true));
	assert_told(t, ENDED);
	assert_true(show(tap, DESK, JULIET, "unavailable", "", true));
	assert_false(show(tap, DESK, JULIET, NULL, "", true)); /* and begins again */
	assert_told(t, "[{\"resource\":\"desk\"},{\"resource\":\"phone\",\"show\":\"away\",\"priority\":5}]");
	assert_true(show(tap, ROMEO, JULIET, "unavailable", "", true));
	assert_told(t, "[{\"resource\":\"desk\",\"gone\":true},{\"resource\":\"phone\",\"gone\":true}]");
	ledger_tap_destroy(tap);
}

/* Nobody who is not subscribed was told anything; and one cannot be told of very many. */
static void test_told_nothing(void **state)
{
	static const struct ledger_entry rows[] = {
		{ LEDGER_PENDING, LEDGER_LEGACY, LEDGER_HANDSHAKE, 5, 6 },
		{ LEDGER_ACTIVE, LEDGER_GATEWAY, LEDGER_HANDSHAKE, 5, 6 },
	};
	const struct ledger_key key = { ROMEO, JULIET, LEDGER_TO_LOCAL };
	struct statetest *t = *state;
	struct ledger_tap *tap = ledger_tap_create(t->ledger);
	struct presence_list told = { .count = 0 };
	struct strbuf text = { .s = NULL };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ledger_put(t->ledger, &key, &rows[i]), OK);
		assert_false(show(tap, DESK, JULIET "/balcony", NULL, "", true));
		assert_false(show(tap, DESK, JULIET, "unavailable", "", true));
		assert_told(t, "");
		assert_int_equal(ledger_remove(t->ledger, &key), OK);
	}
	for (int i = 0; i < PRESENCE_RESOURCES + 8; i++) {
		char from[64];

		snprintf(from, sizeof(from), ROMEO "/r%d", i);
		assert_false(show(tap, from, JULIET, NULL, "", NO_END));
	}
	assert_int_equal(ledger_told(t->ledger, &key, &text), OK);
	told_read(text.s, &told);
	assert_int_equal(told.count, PRESENCE_RESOURCES);
	presence_list_clear(&told);
	strbuf_free(&text);
	ledger_tap_destroy(tap);
}

/* A ledger that is full, or fails, loses the row; nobody else learns of it. */
static void test_failures(void **state)
{
	struct statetest *t = *state;
	struct ledger_tap *tap;

	statetest_close(t);
	statetest_open_limited(t, 2, 1000);
	tap = ledger_tap_create(t->ledger);
	pass(tap, STANZA_PRESENCE, JULIET, ROMEO, "subscribe", false);
	pass(tap, STANZA_PRESENCE, "rosaline@partner.test", ROMEO, "subscribe", false);
	assert_rows(t, "to-local pending handshake legacy");
	state_commit(t->state);

	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	play(tap, "> subscribed");
	assert_rows(t, "to-local pending handshake legacy");
	state_commit(t->state);
	play(tap, "> subscribed");
	assert_rows(t, "to-local active handshake legacy");
	ledger_tap_destroy(tap);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, statetest_setup, statetest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		OPENED(test_others),
		OPENED(test_domain_as_contact),
		OPENED(test_told),
		OPENED(test_told_nothing),
		OPENED(test_rows_of_the_gateway),
		OPENED(test_seen),
		OPENED(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
