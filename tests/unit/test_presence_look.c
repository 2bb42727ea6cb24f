/*
 * test_presence_look.c - the registry changes while something is under way: a
 * SUBSCRIBE, a NOTIFY that has to follow it, or a commit. Whoever looks at such a
 * moment must not be the last one who looks.
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

#define OPEN_DESK  PIDF("<tuple id='ID-desk'>" OPEN "</tuple>")
#define CLOSED     PIDF("<tuple id='ID-desk'><status><basic>closed</basic></status></tuple>")
#define DESK       "<presence from='" TYBALT "/desk' to='" JULIET "'"
#define ENDS       " type='unavailable'"
#define GRANTED    "Expires: 3600\r\n"
#define BASIC_OPEN "<basic>open</basic>"
#define NO_BASIC   "<basic>closed</basic>"

/* What is tried again by itself, or taken for silence, comes only after the test: minutes. */
enum { SLOW_T1 = 4000 };

static struct watchtest t;

static bool is_ours(void *ctx)
{
	(void)ctx;
	return strcmp(watchtest_value(&t, "SELECT count(*) FROM subscription WHERE via = 'gateway'"), "1") ==
	       0;
}

static bool is_not_ours(void *ctx)
{
	return !is_ours(ctx);
}

static int clean(void **state)
{
	(void)state;
	watchtest_clean(&t);
	return 0;
}

static void move(enum route route, enum pool pool)
{
	t.router.verdict.route = route;
	t.router.verdict.pool = pool;
	gateway_registry_changed(t.gateway, TYBALT);
}

/* Juliet sees Tybalt; he was being moved when his pool said more, so it is asked again now. */
static void begin_asking(struct peer_dialog *d)
{
	watchtest_prepare(&t);
	t.t1_ms = SLOW_T1;
	watchtest_open(&t);
	watchtest_subscribed(&t, d, OPEN_DESK);
	move(ROUTE_HOLD, POOL_NEW);
	watchtest_notify(&t, d, "active;expires=3600", CLOSED);
	watchtest_quiet(&t);
	move(ROUTE_GATEWAY, POOL_NEW);
	watchtest_request(&t, "SUBSCRIBE");
}

/* While his pool has not answered, or not said what is so. */
static void move_while_asking(bool answered, enum route route, enum pool pool)
{
	if (answered) {
		watchtest_answer(&t, "200 OK", GRANTED, "");
		watchtest_quiet(&t);
	}
	move(route, pool);
	if (!answered) {
		watchtest_quiet(&t);
		watchtest_answer(&t, "200 OK", GRANTED, "");
	}
}

/* The subscription at the new pool is ended; its contact hears nothing of it. */
static void pool_hears_end(const struct peer_dialog *d)
{
	const char *message = watchtest_request(&t, "SUBSCRIBE");

	assert_string_equal(sip_field(message, "Call-ID"), d->call_id);
	assert_string_equal(sip_field(message, "Expires"), "0");
	watchtest_answer(&t, "200 OK", "Expires: 0\r\n", "");
}

/* To the other pool. */
static void test_other_pool(void **state)
{
	struct peer_dialog d;
	(void)state;

	for (int answered = 0; answered < 2; answered++) {
		begin_asking(&d);
		move_while_asking(answered, ROUTE_GATEWAY, POOL_LEGACY);
		watchtest_request_at(&t, &t.legacy, "SUBSCRIBE");
		pool_hears_end(&d);
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* A failure is an answer, too. */
static void test_other_pool_after_failure(void **state)
{
	struct peer_dialog d;
	(void)state;

	begin_asking(&d);
	move(ROUTE_GATEWAY, POOL_LEGACY);
	watchtest_quiet(&t);
	watchtest_answer(&t, "500 Trouble", "", "");
	watchtest_request_at(&t, &t.legacy, "SUBSCRIBE");
	watchtest_end(&t);
}

/* He may not be seen any more: what was shown is taken back, whatever is under way. And he may again. */
static void test_rejected(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	for (int answered = 0; answered < 2; answered++) {
		begin_asking(&d);
		move_while_asking(answered, ROUTE_REJECT, POOL_NEW);
		watchtest_hears(&t, DESK ENDS);
		pool_hears_end(&d);
		watchtest_quiet(&t);
		move(ROUTE_GATEWAY, POOL_NEW);
		watchtest_accept(&t, &fresh, OPEN_DESK);
		watchtest_hears(&t, DESK "/>");
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* Access is taken and given back before the pool has answered: all goes on. */
static void test_rejected_for_a_moment(void **state)
{
	struct peer_dialog d;
	(void)state;

	begin_asking(&d);
	move(ROUTE_REJECT, POOL_NEW);
	watchtest_quiet(&t);
	move(ROUTE_GATEWAY, POOL_NEW);
	watchtest_quiet(&t);
	watchtest_answer(&t, "200 OK", GRANTED, "");
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_hears(&t, DESK ENDS);
	watchtest_end(&t);
}

/* Somebody looks again between the answer and the NOTIFY: that is no silence, and he is not shown as gone. */
static void test_awaited(void **state)
{
	struct peer_dialog d;
	(void)state;

	begin_asking(&d);
	watchtest_answer(&t, "200 OK", GRANTED, "");
	watchtest_quiet(&t);
	move(ROUTE_GATEWAY, POOL_NEW);
	watchtest_quiet(&t);
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_quiet(&t);
	watchtest_notify(&t, &d, "active;expires=3600", CLOSED);
	watchtest_hears(&t, DESK ENDS);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* What the pool says before anybody has looked could not be delivered; it is asked again when he may be seen. */
static void test_news_while_rejected(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	t.router.verdict.route = ROUTE_REJECT;
	t.router.lost = true;
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_quiet(&t);
	t.router.lost = false;
	move(ROUTE_GATEWAY, POOL_NEW);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "200 OK", GRANTED, "");
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* While he has no access, nothing of the contact comes to him: what he saw is not true any more, and asked for after it. */
static void test_contact_of_rejected(void **state)
{
	struct peer_dialog d;
	(void)state;

	for (int restarted = 0; restarted < 2; restarted++) {
		watchtest_begin(&t);
		watchtest_approved(&t, &d);
		watchtest_give(&t, NULL, NULL, NULL);
		watchtest_notified(&t, &d, "active", BASIC_OPEN);
		watchtest_quiet(&t);
		if (restarted) {
			watchtest_stop(&t);
			t.router.verdict.route = ROUTE_REJECT;
			watchtest_open(&t);
		} else {
			move(ROUTE_REJECT, POOL_NEW);
		}
		watchtest_notified(&t, &d, "active", NO_BASIC);
		watchtest_quiet(&t);
		move(ROUTE_GATEWAY, POOL_NEW);
		watchtest_hears_type(&t, "probe");
		watchtest_give(&t, NULL, NULL, "<show>away</show>");
		watchtest_notified(&t, &d, "active", ">away</show>");
		move(ROUTE_GATEWAY, POOL_NEW);
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* --- rows that cannot be written --- */

static const char *rows(void)
{
	return watchtest_value(
		&t, "SELECT group_concat(direction || ' ' || state || ' ' || via || ' ' || told, ', ') "
		    "FROM (SELECT * FROM subscription ORDER BY direction)");
}

static void put_legacy(const char *contact, const char *told)
{
	const struct ledger_key key = { TYBALT, contact, LEDGER_TO_LOCAL };
	const struct ledger_entry entry = { LEDGER_ACTIVE, LEDGER_LEGACY, LEDGER_HANDSHAKE, 1, 1 };

	assert_int_equal(ledger_put(t.state.ledger, &key, &entry), OK);
	assert_int_equal(ledger_tell(t.state.ledger, &key, told), OK);
}

/* He is taken over, and that is not on disk: it is written again, and a start finds him ours. */
static void test_taken_over_without_commit(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	statetest_open(&t.state);
	put_legacy(JULIET, "[{\"resource\":\"old\"}]");
	statetest_close(&t.state);
	t.no_commit = true;
	watchtest_open(&t);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	assert_string_equal(rows(), "to-local active legacy [{\"resource\":\"old\"}]");
	t.no_commit = false;
	watchtest_answer(&t, "200 OK", GRANTED, "");
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_hears(&t, "/old'");
	nettest_run(&t.net, is_ours, NULL);
	watchtest_quiet(&t);
	assert_string_equal(rows(), "to-local active gateway [{\"resource\":\"desk\"}]");
	watchtest_end(&t);
}

/* He is given back, and that is not on disk: so that he is not nobody's. */
static void test_given_back_without_commit(void **state)
{
	struct peer_dialog d;
	(void)state;

	for (int back_again = 0; back_again < 2; back_again++) {
		watchtest_prepare(&t);
		t.config.presence.handover_ms = 100;
		watchtest_open(&t);
		watchtest_subscribed(&t, &d, OPEN_DESK);
		move(ROUTE_LEGACY, POOL_NEW);
		pool_hears_end(&d);
		watchtest_asks(&t, "probe");
		t.router.hold = true;
		watchtest_becomes(&t, "notices", 2);
		t.no_commit = true;
		watchtest_becomes(&t, "given_back", 1);
		t.no_commit = false;
		t.router.hold = false;
		if (back_again) {
			t.config.presence.handover_ms = 600 * 1000;
			move(ROUTE_GATEWAY, POOL_NEW);
			watchtest_accept(&t, &d, OPEN_DESK);
			watchtest_hears(&t, DESK "/>");
		}
		nettest_run(&t.net, back_again ? is_ours : is_not_ours, NULL);
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* A dialog that went with its turn's commit is written again with the next news of it. */
static void test_dialog_without_commit(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = SLOW_T1;
	watchtest_open(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	t.no_commit = true;
	watchtest_answer(&t, "200 OK", GRANTED, "");
	watchtest_notify(&t, &d, "pending;expires=3600", NULL);
	t.no_commit = false;
	assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM dialog"), "0");
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM dialog"), "1");
	watchtest_end(&t);
}

/* A row that the ledger refuses to change keeps nobody behind it waiting. */
static void test_refused_row(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	statetest_open(&t.state);
	put_legacy("beatrice@partner.test", "");
	put_legacy(JULIET, "");
	statetest_close(&t.state);
	assert_null(dbtest_sql(
		t.state.files,
		"CREATE TRIGGER never BEFORE UPDATE ON subscription WHEN NEW.contact LIKE 'beatrice%' "
		"BEGIN SELECT RAISE(ABORT, 'never'); END"));
	watchtest_open(&t);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_other_pool, clean),
		cmocka_unit_test_teardown(test_other_pool_after_failure, clean),
		cmocka_unit_test_teardown(test_rejected, clean),
		cmocka_unit_test_teardown(test_rejected_for_a_moment, clean),
		cmocka_unit_test_teardown(test_awaited, clean),
		cmocka_unit_test_teardown(test_news_while_rejected, clean),
		cmocka_unit_test_teardown(test_contact_of_rejected, clean),
		cmocka_unit_test_teardown(test_taken_over_without_commit, clean),
		cmocka_unit_test_teardown(test_given_back_without_commit, clean),
		cmocka_unit_test_teardown(test_dialog_without_commit, clean),
		cmocka_unit_test_teardown(test_refused_row, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
