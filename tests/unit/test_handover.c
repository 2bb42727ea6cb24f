/*
 * test_handover.c - presence that follows its user from the legacy gateway to us
 * and back: in which order the contact sees what, and that nobody is asked.
 */
#include "watchtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "presencetest.h"

#define OPEN_DESK      PIDF("<tuple id='ID-desk'>" OPEN "</tuple>")
#define CLOSED         PIDF("<tuple id='ID-desk'><status><basic>closed</basic></status></tuple>")
#define SEEN(resource) "<presence from='" TYBALT "/" resource "' to='" JULIET "'"
#define ENDS           " type='unavailable'"
#define TOLD_OLD       "[{\"resource\":\"old\"}]"

static struct watchtest t;

static int clean(void **state)
{
	(void)state;
	watchtest_clean(&t);
	return 0;
}

/* A row of the legacy gateway's, as the tap has left it. */
static void put_row(enum ledger_direction direction, enum ledger_evidence evidence, const char *told)
{
	const struct ledger_key key = { TYBALT, JULIET, direction };
	const struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_LEGACY, evidence, 1, 1 };

	assert_int_equal(ledger_put(t.state.ledger, &key, &entry), OK);
	assert_int_equal(ledger_tell(t.state.ledger, &key, told), OK);
}

/* Juliet watches Tybalt, who was the legacy gateway's and is ours at the start. */
static void begin_with(enum ledger_evidence evidence, const char *told)
{
	statetest_open(&t.state);
	put_row(LEDGER_TO_LOCAL, evidence, told);
	put_row(LEDGER_TO_CONTACT, LEDGER_HANDSHAKE, "");
	statetest_close(&t.state);
	watchtest_open(&t);
}

static const char *rows(void)
{
	return watchtest_value(
		&t, "SELECT group_concat(direction || ' ' || state || ' ' || via || ' ' || told, ', ') "
		    "FROM (SELECT * FROM subscription ORDER BY direction)");
}

static void move(enum route route)
{
	t.router.verdict.route = route;
	gateway_registry_changed(t.gateway, TYBALT);
}

/* The legacy gateway, of a resource of Tybalt's, or of his bare address; whether it is kept from Juliet. */
static bool legacy_says(const char *resource, const char *type)
{
	char from[64];
	struct jid local, contact;
	struct submission s = { .origin = ORIGIN_LEGACY, .from = &local, .to = &contact };
	bool kept;

	snprintf(from, sizeof(from), TYBALT "%s%s", resource != NULL ? "/" : "",
		 resource != NULL ? resource : "");
	assert_int_equal(jid_parse(from, &local), OK);
	assert_int_equal(jid_parse(JULIET, &contact), OK);
	s.stanza = stanza_make(STANZA_PRESENCE, from, JULIET, NULL, type, NULL, NULL);
	kept = t.router.fake.presence(t.router.fake.presence_ctx, &s, &t.router.verdict);
	stanza_unref(s.stanza);
	return kept;
}

/* The subscription at the pool is ended; its contact hears nothing of it. */
static void pool_hears_end(const struct peer_dialog *d)
{
	const char *message = watchtest_request(&t, "SUBSCRIBE");

	assert_string_equal(sip_field(message, "Call-ID"), d->call_id);
	assert_string_equal(sip_field(message, "Expires"), "0");
	watchtest_answer(&t, "200 OK", "Expires: 0\r\n", "");
}

/* --- to us --- */

static void test_taken_over(void **state)
{
	struct peer_dialog d, endpoint;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_quiet(&t);
	assert_string_equal(rows(),
			    "to-contact active gateway , to-local active gateway [{\"resource\":\"desk\"}]");
	assert_int_equal(watchtest_counter(&t, "taken_over"), 1);
	/* He sees her without asking: she is only asked what she says now. */
	watchtest_subscribe(&t, &endpoint, "");
	watchtest_accepted(&t, &endpoint);
	watchtest_notified(&t, &endpoint, "active", NULL);
	watchtest_hears_type(&t, "probe");
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &endpoint, "active", "<basic>open</basic>");
	watchtest_end(&t);
}

/* Offline there: then offline, once. */
static void test_not_there(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_accept(&t, &d, CLOSED);
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The same resource on both sides has no end; of the bare address, what is there is said again behind it. */
static void test_resources(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE,
		   "[{\"resource\":\"desk\",\"show\":\"away\"},{\"resource\":\"old\",\"gone\":true},{}]");
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_hears_type(&t, "unavailable");
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Who asks, or is asked for, is taken over then, before the walk has come to him. */
static void test_touched(void **state)
{
	struct peer_dialog endpoint;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, SEEN("old") "/>"); /* as she was told before */
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_quiet(&t);
	watchtest_end(&t);

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_subscribe(&t, &endpoint, "");
	watchtest_accepted(&t, &endpoint);
	watchtest_hears_type(&t, "probe");
	watchtest_end(&t);
}

/* Nothing is heard from the pool but trouble, or that somebody has yet to approve: his old side ends in its time. */
static void test_overdue(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.config.presence.handover_ms = 100;
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "480 Temporarily Unavailable", "", "");
	watchtest_hears(&t, SEEN("old") ENDS);
	assert_int_equal(watchtest_counter(&t, "overdue"), 1);
	watchtest_end(&t);

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "pending", NULL);
	watchtest_quiet(&t);
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_end(&t);
}

/* The pool does not know him yet: it is asked again soon. */
static void test_late_pool(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 2;
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "404 Not Found", "", "");
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_end(&t);
}

/* A mere probe approves nothing: the pool's word does. */
static void test_probed(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_PROBE, "");
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "pending", NULL);
	pool_hears_end(&d);
	watchtest_quiet(&t);
	assert_string_equal(rows(), "to-contact active gateway ");
	watchtest_end(&t);

	watchtest_prepare(&t);
	begin_with(LEDGER_PROBE, "");
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* After kill -9: taken over, but not heard of; and the end of the old side was sent, but has not arrived. */
static void test_killed(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_request(&t, "SUBSCRIBE");
	assert_string_equal(rows(), "to-contact active gateway , to-local active gateway " TOLD_OLD);
	watchtest_restart(&t);
	t.router.hold = true;
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_stop(&t);
	t.router.hold = false;
	watchtest_open(&t);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("old") ENDS);
	watchtest_quiet(&t);
	assert_string_equal(rows(),
			    "to-contact active gateway , to-local active gateway [{\"resource\":\"desk\"}]");
	watchtest_end(&t);
}

/* From one pool to the other, at once. */
static void test_other_pool(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	t.router.verdict.pool = POOL_LEGACY;
	move(ROUTE_GATEWAY);
	message = watchtest_request_at(&t, &t.legacy, "SUBSCRIBE");
	assert_string_not_equal(sip_field(message, "Call-ID"), d.call_id);
	pool_hears_end(&d);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* --- while he is being moved --- */

static void test_moving(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	move(ROUTE_HOLD);
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED); /* he logs out */
	watchtest_quiet(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, SEEN("desk") "/>");
	/* He logs in at the legacy gateway, which is seen; what ends there is not. */
	assert_false(legacy_says("new", NULL));
	assert_true(legacy_says("new", "unavailable"));
	assert_false(legacy_says("unknown", "unavailable"));
	assert_false(legacy_says(NULL, "subscribe"));
	watchtest_quiet(&t);
	/* It is given up: what is true now is asked for. */
	move(ROUTE_GATEWAY);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_hears(&t, SEEN("desk") ENDS);
	watchtest_hears(&t, SEEN("new") ENDS);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Of the legacy gateway's: a probe is answered with what the ledger has, and a contact's news are nobody's. */
static void test_moving_legacy(void **state)
{
	(void)state;

	watchtest_prepare(&t);
	t.router.verdict.route = ROUTE_HOLD;
	begin_with(LEDGER_HANDSHAKE,
		   "[{\"resource\":\"old\",\"show\":\"away\"},{\"resource\":\"older\",\"gone\":true}]");
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, SEEN("old") "><show>away</show></presence>");
	watchtest_hears(&t, SEEN("older") "/>");
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_quiet(&t);
	/* And back: what had ended is said. */
	move(ROUTE_LEGACY);
	watchtest_hears(&t, SEEN("older") ENDS);
	watchtest_quiet(&t);
	assert_string_equal(rows(), "to-contact active legacy , to-local active legacy "
				    "[{\"resource\":\"old\",\"show\":\"away\"}]");
	watchtest_end(&t);

	/* Nothing is known of him, or nobody has approved. */
	watchtest_prepare(&t);
	t.router.verdict.route = ROUTE_HOLD;
	begin_with(LEDGER_PROBE, "");
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* --- back --- */

static void begin_back(struct peer_dialog *d)
{
	watchtest_subscribed(&t, d, OPEN_DESK);
	move(ROUTE_LEGACY);
	pool_hears_end(d);
	watchtest_asks(&t, "probe");
	watchtest_quiet(&t);
}

static void test_given_back(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	begin_back(&d);
	assert_false(legacy_says("new", NULL));
	watchtest_hears(&t, SEEN("desk") ENDS);
	watchtest_becomes(&t, "pairs", 0);
	assert_string_equal(rows(), "to-local active legacy [{\"resource\":\"new\"}]");
	watchtest_quiet(&t);
	assert_int_equal(watchtest_counter(&t, "given_back"), 1);
	/* He is its: nothing is kept back any more. */
	assert_false(legacy_says("new", "unavailable"));
	watchtest_end(&t);
}

/* Nobody is there, or nobody knows her: that is his presence now, not the end of an approval. */
static void test_given_back_to_nobody(void **state)
{
	static const char *const types[] = { "unavailable", "unsubscribed" };
	struct peer_dialog d;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		watchtest_begin(&t);
		begin_back(&d);
		assert_int_equal(legacy_says(NULL, types[i]), strcmp(types[i], "unsubscribed") == 0);
		watchtest_hears(&t, SEEN("desk") ENDS);
		watchtest_becomes(&t, "pairs", 0);
		assert_string_equal(rows(), "to-local active legacy ");
		watchtest_end(&t);
	}
}

static void test_given_back_to_silence(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.config.presence.handover_ms = 100;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	move(ROUTE_LEGACY);
	watchtest_asks(&t, "probe");
	watchtest_hears(&t, SEEN("desk") ENDS);
	watchtest_becomes(&t, "pairs", 0);
	assert_int_equal(watchtest_counter(&t, "overdue"), 1);
	assert_string_equal(rows(), "to-local active legacy ");
	watchtest_end(&t);
}

/* His endpoints are told where to ask, and the legacy gateway what the contact says now. */
static void test_given_back_both(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	move(ROUTE_LEGACY);
	watchtest_notified(&t, &d, "terminated;reason=deactivated", "closed");
	watchtest_hears_type(&t, "probe");
	watchtest_becomes(&t, "pairs", 0);
	assert_string_equal(rows(), "to-contact active legacy ");
	assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM dialog"), "0");
	watchtest_end(&t);
}

/* What nobody has approved yet is asked there; and the refresh of a subscription finds out by itself. */
static void test_given_back_unapproved(void **state)
{
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "500 Later", "", "");
	move(ROUTE_LEGACY);
	watchtest_asks(&t, "subscribe");
	watchtest_becomes(&t, "pairs", 0);
	assert_string_equal(rows(), "to-local pending legacy ");
	watchtest_end(&t);
}

/* Killed while the end of ours was under way: it is said again. */
static void test_given_back_killed(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	begin_back(&d);
	t.router.hold = true;
	assert_false(legacy_says("new", NULL));
	watchtest_becomes(&t, "notices", 2);
	watchtest_stop(&t);
	t.router.hold = false;
	watchtest_open(&t);
	watchtest_asks(&t, "probe");
	assert_false(legacy_says("new", NULL));
	watchtest_hears(&t, SEEN("desk") ENDS);
	watchtest_becomes(&t, "pairs", 0);
	assert_string_equal(rows(), "to-local active legacy [{\"resource\":\"new\"}]");
	watchtest_end(&t);
}

/* It cannot be delivered: the row keeps it, and whoever looks next sends it. */
static void test_given_back_undelivered(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	begin_back(&d);
	t.router.lost = true;
	assert_false(legacy_says("new", NULL));
	watchtest_becomes(&t, "pairs", 0);
	t.router.lost = false;
	assert_string_equal(
		rows(),
		"to-local active legacy [{\"resource\":\"new\"},{\"resource\":\"desk\",\"gone\":true}]");
	gateway_registry_changed(t.gateway, NULL);
	watchtest_hears(&t, SEEN("desk") ENDS);
	assert_string_equal(rows(), "to-local active legacy [{\"resource\":\"new\"}]");
	watchtest_end(&t);
}

/* To and fro, faster than anybody answers. */
static void test_changed_again(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_begin(&t);
	begin_back(&d);
	move(ROUTE_GATEWAY);
	watchtest_accept(&t, &fresh, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_quiet(&t);
	/* Ours: what the legacy gateway says of him is not for her. */
	assert_true(legacy_says("new", NULL));
	assert_true(legacy_says("new", "unavailable"));
	move(ROUTE_LEGACY);
	pool_hears_end(&fresh);
	watchtest_asks(&t, "probe");
	t.router.hold = true;
	assert_false(legacy_says("new", NULL));
	watchtest_becomes(&t, "notices", 3);
	t.router.hold = false;
	move(ROUTE_GATEWAY);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_hears(&t, SEEN("new") ENDS);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* What is rejected is handed over to nobody: it is ended. */
static void test_rejected(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	move(ROUTE_REJECT);
	watchtest_hears(&t, SEEN("desk") ENDS);
	pool_hears_end(&d);
	watchtest_quiet(&t);
	/* And he may again. */
	move(ROUTE_GATEWAY);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, SEEN("desk") "/>");
	watchtest_end(&t);

	watchtest_prepare(&t);
	t.router.verdict.route = ROUTE_REJECT;
	begin_with(LEDGER_HANDSHAKE, TOLD_OLD);
	watchtest_quiet(&t);
	assert_string_equal(rows(), "to-contact active legacy , to-local active legacy " TOLD_OLD);
	watchtest_end(&t);
}

/* Very many at once: no more than some are under way, and all come to their end. */
static void test_many(void **state)
{
	enum { MANY = 600, UNDER_WAY = 200 };
	struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_HANDSHAKE, 1, 1 };
	unsigned asked = 0;
	(void)state;

	watchtest_prepare(&t);
	statetest_open(&t.state);
	for (int i = 0; i < MANY; i++) {
		char contact[64];
		struct ledger_key key = { TYBALT, contact, LEDGER_TO_LOCAL };

		snprintf(contact, sizeof(contact), "c%d@partner.test", i);
		assert_int_equal(ledger_put(t.state.ledger, &key, &entry), OK);
	}
	statetest_close(&t.state);
	watchtest_open(&t);
	while (asked < MANY) {
		json_t *status;
		const json_t *handover;

		watchtest_request(&t, "SUBSCRIBE");
		watchtest_answer(&t, "403 Forbidden", "", "");
		asked++;
		status = gateway_status(t.gateway);
		handover = json_object_get(json_object_get(status, "presence"), "handover");
		assert_true(json_integer_value(json_object_get(handover, "under_way")) <= UNDER_WAY);
		json_decref(status);
		while (t.router.submitted_count > 0)
			stanza_unref(t.router.submitted[--t.router.submitted_count]);
	}
	watchtest_becomes(&t, "pairs", 0);
	watchtest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_taken_over, clean),
		cmocka_unit_test_teardown(test_not_there, clean),
		cmocka_unit_test_teardown(test_resources, clean),
		cmocka_unit_test_teardown(test_touched, clean),
		cmocka_unit_test_teardown(test_overdue, clean),
		cmocka_unit_test_teardown(test_late_pool, clean),
		cmocka_unit_test_teardown(test_probed, clean),
		cmocka_unit_test_teardown(test_killed, clean),
		cmocka_unit_test_teardown(test_other_pool, clean),
		cmocka_unit_test_teardown(test_moving, clean),
		cmocka_unit_test_teardown(test_moving_legacy, clean),
		cmocka_unit_test_teardown(test_given_back, clean),
		cmocka_unit_test_teardown(test_given_back_to_nobody, clean),
		cmocka_unit_test_teardown(test_given_back_to_silence, clean),
		cmocka_unit_test_teardown(test_given_back_both, clean),
		cmocka_unit_test_teardown(test_given_back_unapproved, clean),
		cmocka_unit_test_teardown(test_given_back_killed, clean),
		cmocka_unit_test_teardown(test_given_back_undelivered, clean),
		cmocka_unit_test_teardown(test_changed_again, clean),
		cmocka_unit_test_teardown(test_rejected, clean),
		cmocka_unit_test_teardown(test_many, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
