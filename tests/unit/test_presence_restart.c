/*
 * test_presence_restart.c - presence over the end of the daemon: what the ledger
 * brings back, what is asked for anew, and that nobody is shown who has gone.
 */
#include "watchtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "presencetest.h"

#define OPEN_DESK  PIDF("<tuple id='ID-desk'>" OPEN "</tuple>")
#define CLOSED     PIDF("<tuple id='ID-desk'><status><basic>closed</basic></status></tuple>")
#define NOTED      PIDF("<tuple id='ID-desk'>" OPEN "<note>secret</note></tuple>")
#define DESK       "<presence from='" TYBALT "/desk' to='" JULIET "'"
#define BASIC_OPEN "<basic>open</basic>"
#define NO_BASIC   "<basic>closed</basic>"

static struct watchtest t;

static void run_sql(const char *sql)
{
	assert_null(dbtest_sql(t.state.files, sql));
}

static unsigned long cseq_of(const char *message)
{
	return strtoul(sip_field(message, "CSeq"), NULL, 10);
}

/* The refresh in the dialog of before. */
static const char *refresh(const struct peer_dialog *d)
{
	const char *message = watchtest_request(&t, "SUBSCRIBE");

	assert_string_equal(sip_field(message, "Call-ID"), d->call_id);
	assert_string_equal(sip_field(message, "From"), d->to);
	assert_string_equal(sip_field(message, "To"), d->from);
	return message;
}

/* The contact watches: the dialog goes on, with numbers never used, and he is asked nothing. */
static void test_subscriber(void **state)
{
	struct peer_dialog d;
	unsigned long cseq = 1;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	for (int i = 0; i < 3; i++) {
		const char *message;

		watchtest_restart(&t);
		message = refresh(&d);
		assert_true(cseq_of(message) > cseq);
		cseq = cseq_of(message);
		/* The second time nothing comes back before the end. */
		if (i == 1)
			continue;
		watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
		watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
		/* Whether it had arrived before nobody knows. */
		watchtest_hears(&t, DESK "/>");
		watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
		watchtest_quiet(&t);
	}
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* A NOTIFY in the dialog before anything else. */
static void test_notify_first(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_restart(&t);
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* He was shown, and is gone: in all ways in which the pool can say so. */
static void test_gone_meanwhile(void **state)
{
	static const char *const answers[] = { "200 OK", "481 No Such Subscription", "404 Not Found" };
	struct peer_dialog d;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		watchtest_begin(&t);
		watchtest_subscribed(&t, &d, OPEN_DESK);
		watchtest_restart(&t);
		refresh(&d);
		watchtest_answer(&t, answers[i], i == 0 ? "Expires: 3600\r\n" : "", "");
		if (i == 0)
			watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
		if (i == 1)
			watchtest_accept(&t, &d, CLOSED);
		watchtest_hears(&t, DESK " type='unavailable'");
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* The last thing that was told may not have left: it is told again even when it was that nobody is there. */
static void test_gone_before(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	t.router.hold = true;
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_stop(&t);
	t.router.hold = false;
	watchtest_open(&t);
	refresh(&d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'"); /* nobody has said that it arrived */
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Refused meanwhile. */
static void test_refused_meanwhile(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_restart(&t);
	refresh(&d);
	watchtest_answer(&t, "403 Forbidden", "", "");
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_quiet(&t);
	watchtest_restart(&t);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Not answered yet: the user of the pool is not asked twice, and the contact not at all. */
static void test_pending(void **state)
{
	struct peer_dialog ours, theirs;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &ours);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &ours, "pending;expires=3600", NULL);
	watchtest_subscribe(&t, &theirs, "");
	watchtest_accepted(&t, &theirs);
	watchtest_notified(&t, &theirs, "pending", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_restart(&t);
	/* An endpoint still waits for his word. */
	watchtest_hears_type(&t, "subscribe");
	refresh(&ours);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &ours, "active;expires=3600", OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_give(&t, "subscribed", NULL, NULL);
	watchtest_notified(&t, &theirs, "active", NULL);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The end came between the contact's request and the pool's answer. */
static void test_without_dialog(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	/* Where he lives by now is the router's word. */
	watchtest_stop(&t);
	t.router.verdict.pool = POOL_LEGACY;
	watchtest_open(&t);
	watchtest_request_at(&t, &t.legacy, "SUBSCRIBE");
	assert_string_not_equal(sip_field(t.legacy.message.s, "Call-ID"), d.call_id);
	watchtest_end(&t);
}

/* A local user watches: his endpoint is told in its dialog, and the contact's server is asked how he is. */
static void test_notifier(void **state)
{
	struct peer_dialog d;
	unsigned long cseq = 3;
	(void)state;

	watchtest_begin(&t);
	t.event = "presence;id=7";
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	for (int i = 0; i < 2; i++) {
		const char *message;

		watchtest_restart(&t);
		watchtest_hears_type(&t, "probe");
		watchtest_give(&t, NULL, NULL, "<show>away</show>");
		message = watchtest_notified(&t, &d, "active", ">away</show>");
		assert_string_equal(sip_field(message, "Event"), "presence;id=7");
		assert_true(cseq_of(message) > cseq);
		cseq = cseq_of(message);
		watchtest_quiet(&t);
	}
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, &d, "active", ">away</show>");
	watchtest_restart(&t);
	watchtest_hears_type(&t, "probe");
	/* He is gone. */
	watchtest_give(&t, "unavailable", NULL, NULL);
	watchtest_notified(&t, &d, "active", NO_BASIC);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* His server does not answer, or cannot be reached. */
static void test_contact_is_silent(void **state)
{
	struct peer_dialog d;
	(void)state;

	for (int lost = 0; lost < 2; lost++) {
		watchtest_prepare(&t);
		t.t1_ms = 10;
		watchtest_open(&t);
		watchtest_approved(&t, &d);
		watchtest_give(&t, NULL, NULL, NULL);
		watchtest_notified(&t, &d, "active", BASIC_OPEN);
		t.router.lost = lost;
		watchtest_restart(&t);
		if (!lost)
			watchtest_hears_type(&t, "probe");
		watchtest_notified(&t, &d, "active", NO_BASIC);
		watchtest_quiet(&t);
		/* Late is better than never. */
		watchtest_give(&t, NULL, NULL, NULL);
		watchtest_notified(&t, &d, "active", BASIC_OPEN);
		watchtest_end(&t);
	}
}

/* Nobody has watched when the end came: nobody is asked for. */
static void test_nobody_watches(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	watchtest_send(&t, &d, "SUBSCRIBE", "Expires: 0\r\n", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, &d, "terminated", NO_BASIC);
	watchtest_restart(&t);
	for (int i = 0; i < 4; i++)
		watchtest_quiet(&t);
	/* The approval is remembered. */
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &d, "active", NULL);
	watchtest_hears_type(&t, "probe");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Its time was over while we were away. What the one direction says and what the other does comes in any order. */
static void test_expired(void **state)
{
	struct peer_dialog ours, theirs, fresh;
	int subscribes = 0, notifies = 0;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &theirs);
	watchtest_subscribed(&t, &ours, OPEN_DESK);
	watchtest_stop(&t);
	run_sql("UPDATE dialog SET expires_at = 1");
	watchtest_open(&t);
	watchtest_hears_type(&t, "probe");
	while (subscribes < 2 || notifies < 1) {
		sippeer_receive(&t.pool);
		if (strncmp(t.pool.message.s, "NOTIFY", 6) == 0) {
			notifies++;
			assert_string_equal(sip_field(t.pool.message.s, "Subscription-State"),
					    "terminated;reason=timeout");
			watchtest_answer(&t, "200 OK", "", "");
			continue;
		}
		assert_memory_equal(t.pool.message.s, "SUBSCRIBE", 9);
		if (subscribes++ == 0) {
			assert_string_equal(sip_field(t.pool.message.s, "Call-ID"), ours.call_id);
			watchtest_answer(&t, "481 Long Gone", "", "");
		} else {
			watchtest_dialog(&t, &fresh);
			assert_string_not_equal(fresh.call_id, ours.call_id);
			watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
		}
	}
	assert_int_equal(subscribes, 2);
	assert_int_equal(notifies, 1);
	watchtest_notify(&t, &fresh, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_becomes(&t, "notifiers", 0);
	assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM subscription WHERE state = 'active'"),
			    "2");
	watchtest_end(&t);
}

/* What is in the file is not trusted; nobody is asked for approval because of it. */
static void test_damaged(void **state)
{
	static const char *const damages[] = {
		"UPDATE dialog SET dialog = '{}'",
		"UPDATE dialog SET dialog = '[1,2]'",
		"UPDATE dialog SET dialog = json_set(dialog, '$.remote_uri', 'x' || char(13, 10) || 'Evil: "
		"1')",
		"UPDATE dialog SET dialog = json_set(dialog, '$.local_cseq', 2147483647)",
		"INSERT INTO dialog (local, contact, direction, dialog, expires_at) "
		"SELECT local, contact, direction, '{}', expires_at FROM dialog",
		"UPDATE subscription SET told = 'nonsense'",
		"UPDATE subscription SET told = "
		"'[{\"resource\":\"a\\u0000b\",\"show\":7,\"priority\":\"x\"},{},3,null]'",
	};
	struct peer_dialog d;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		const char *stanza;

		watchtest_begin(&t);
		watchtest_subscribed(&t, &d, OPEN_DESK);
		watchtest_stop(&t);
		run_sql(damages[i]);
		watchtest_open(&t);
		watchtest_accept(&t, &d, OPEN_DESK);
		watchtest_hears(&t, DESK "/>");
		/* He may have been shown as what cannot be read. */
		nettest_is_quiet(&t.net);
		while (t.router.submitted_count > 0) {
			stanza = watchtest_stanza(&t);
			assert_non_null(strstr(stanza, "unavailable"));
		}
		watchtest_quiet(&t);
		assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM dialog"), "1");
		watchtest_end(&t);
	}
}

/* What was told comes back as it was: what has not changed since need not be told as a change. */
static void test_told(void **state)
{
	static const char all[] = PIDF(
		"<tuple id='ID-desk'><status><basic>open</basic><show xmlns='jabber:client'>xa</show>"
		"</status><contact priority='0.5'>sip:a@b</contact><note xml:lang='it'>\xC3\xA8 &lt;</note>"
		"</tuple><tuple id='ID-car'>" OPEN "</tuple>");
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_accept(&t, &d, all);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, "<show>xa</show><status>\xC3\xA8 &lt;</status><priority>64</priority>");
	watchtest_hears(&t, "/car'");
	watchtest_restart(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t,
			"xml:lang='it'><show>xa</show><status>\xC3\xA8 &lt;</status><priority>64</priority>");
	watchtest_hears(&t, "/car'");
	refresh(&d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "active;expires=3600", all);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* A partner of a public service sees no notes after a start either. */
static void test_partner_type(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, NOTED);
	watchtest_stop(&t);
	t.router.verdict.partner_type = PARTNER_PUBLIC_VERIFIED;
	watchtest_open(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, DESK "/>");
	refresh(&d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "active;expires=3600", NOTED);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* What the legacy gateway's users have is not ours to keep alive. */
static void test_legacy_rows(void **state)
{
	(void)state;

	watchtest_prepare(&t);
	statetest_open(&t.state);
	statetest_close(&t.state);
	run_sql("INSERT INTO subscription (local, contact, direction, state, via, evidence, since, seen) "
		"VALUES "
		"('" TYBALT "', '" JULIET "', 'to-local', 'active', 'legacy', 'handshake', 1, 1), "
		"('" TYBALT "', '" JULIET "', 'to-contact', 'active', 'legacy', 'handshake', 1, 1)");
	t.router.verdict.route = ROUTE_LEGACY;
	watchtest_open(&t);
	watchtest_quiet(&t);
	watchtest_becomes(&t, "pairs", 0);
	watchtest_end(&t);
}

/* Many at once: no more than the pool is asked for at a time, and all of them in the end. */
static void test_many(void **state)
{
	enum { MANY = 300 };
	unsigned asked = 0;
	(void)state;

	watchtest_prepare(&t);
	statetest_open(&t.state);
	for (int i = 0; i < MANY; i++) {
		char contact[64];
		struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_GATEWAY, LEDGER_HANDSHAKE, 1, 1 };
		struct ledger_key key = { TYBALT, contact, LEDGER_TO_LOCAL };

		snprintf(contact, sizeof(contact), "c%d@partner.test", i);
		assert_int_equal(ledger_put(t.state.ledger, &key, &entry), OK);
	}
	statetest_close(&t.state);
	watchtest_open(&t);
	for (; asked < 200; asked++)
		watchtest_request(&t, "SUBSCRIBE");
	/* The others wait until one of them is answered. */
	for (int i = 0; i < 30; i++)
		nettest_is_quiet(&t.net);
	assert_false(sippeer_poll(&t.pool));
	watchtest_answer(&t, "403 Forbidden", "", "");
	watchtest_request(&t, "SUBSCRIBE");
	assert_false(sippeer_poll(&t.pool));
	watchtest_end(&t);
}

static int clean(void **state)
{
	(void)state;
	watchtest_clean(&t);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_subscriber, clean),
		cmocka_unit_test_teardown(test_notify_first, clean),
		cmocka_unit_test_teardown(test_gone_meanwhile, clean),
		cmocka_unit_test_teardown(test_gone_before, clean),
		cmocka_unit_test_teardown(test_refused_meanwhile, clean),
		cmocka_unit_test_teardown(test_pending, clean),
		cmocka_unit_test_teardown(test_without_dialog, clean),
		cmocka_unit_test_teardown(test_notifier, clean),
		cmocka_unit_test_teardown(test_contact_is_silent, clean),
		cmocka_unit_test_teardown(test_nobody_watches, clean),
		cmocka_unit_test_teardown(test_expired, clean),
		cmocka_unit_test_teardown(test_damaged, clean),
		cmocka_unit_test_teardown(test_told, clean),
		cmocka_unit_test_teardown(test_partner_type, clean),
		cmocka_unit_test_teardown(test_legacy_rows, clean),
		cmocka_unit_test_teardown(test_many, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
