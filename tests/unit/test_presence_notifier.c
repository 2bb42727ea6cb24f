/*
 * test_presence_notifier.c - a user of a pool watches an XMPP contact: what the
 * contact is asked, and what the user's endpoints are told (RFC 8048 sections
 * 5.3, 6.2 and 7.2, RFC 6665 section 4.2).
 */
#include "bridge/gateway/presence_internal.h"
#include "watchtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BASIC_OPEN   "<basic>open</basic>"
#define BASIC_CLOSED "<basic>closed</basic>"

static struct watchtest t;

/* What the ledger has of the user's half: "active", "" for none. */
static const char *half(void)
{
	return watchtest_value(&t, "SELECT state FROM subscription WHERE local = '" TYBALT
				   "' AND contact = '" JULIET
				   "' AND direction = 'to-contact' AND via = 'gateway'");
}

static const char *dialogs(void)
{
	return watchtest_value(&t, "SELECT count(*) FROM dialog");
}

static void test_subscribe(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribe(&t, &d, "Accept: application/pidf+xml\r\n");
	message = watchtest_accepted(&t, &d);
	assert_string_equal(sip_field(message, "Expires"), "3600");
	assert_non_null(sip_field(message, "Contact"));
	message = watchtest_notified(&t, &d, "pending;expires=", NULL);
	assert_memory_equal(message, "NOTIFY sip:tybalt@" NEW_POOL, 27);
	assert_string_equal(sip_field(message, "Event"), "presence");
	assert_non_null(sip_field(message, "Contact"));
	watchtest_hears_type(&t, "subscribe");
	assert_string_equal(half(), "pending");
	assert_string_equal(dialogs(), "1");
	/* What he says before he has approved is for others. */
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_quiet(&t);
	watchtest_give(&t, "subscribed", NULL, NULL);
	watchtest_notified(&t, &d, "active;expires=", NULL);
	assert_string_equal(half(), "active");
	watchtest_give(&t, NULL, NULL, NULL);
	message = watchtest_notified(&t, &d, "active;expires=", BASIC_OPEN);
	assert_non_null(strstr(message, "<tuple id='ID-balcony'>"));
	assert_non_null(strstr(message, "entity='sip:juliet@partner.test'"));
	watchtest_give(&t, NULL, NULL, NULL); /* no news */
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_documents(void **state)
{
	static const struct {
		const char *from, *type, *inner, *in[3], *out; /* what is in the document, and what is not */
	} rows[] = {
		{ BALCONY,
		  NULL,
		  "<show>away</show><status>back soon</status>",
		  { BASIC_OPEN, "<show xmlns='jabber:client'>away</show>", "<note>back soon</note>" },
		  "closed" },
		{ BALCONY,
		  NULL,
		  "<show>dnd</show><priority>127</priority>",
		  { "<rpid:busy/>", "<ep:activity>busy</ep:activity>", "<contact priority='1'>" },
		  "<note" },
		{ BALCONY,
		  NULL,
		  "<show>xa</show><priority>1</priority>",
		  { "<rpid:away/>", ">xa</show>", "<contact priority='0.007'>" },
		  "closed" },
		{ BALCONY,
		  NULL,
		  "<show>chat</show><priority>-1</priority>",
		  { BASIC_OPEN, ">chat</show>", "<presence" },
		  "<contact" },
		{ BALCONY,
		  NULL,
		  "<show>nonsense</show><status xml:lang='it'>&lt;&amp;&gt;</status>",
		  { BASIC_OPEN, "<note xml:lang='it'>&lt;&amp;&gt;</note>", "<presence" },
		  "<show" },
		{ JULIET "/orchard",
		  NULL,
		  "<show>away</show>",
		  { "<tuple id='ID-orchard'>", "<tuple id='ID-balcony'>", ">away</show>" },
		  "closed" },
		{ BALCONY,
		  "unavailable",
		  "",
		  { "<tuple id='ID-orchard'>", BASIC_OPEN, ">away</show>" },
		  "balcony" },
		{ BALCONY,
		  NULL,
		  "",
		  { "<tuple id='ID-balcony'>", "<tuple id='ID-orchard'>", BASIC_OPEN },
		  "closed" },
		{ JULIET,
		  "unavailable",
		  "<status>gone</status>",
		  { BASIC_CLOSED, "<tuple id='ID-'>", "<presence" },
		  "open" },
	};
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *message;

		watchtest_give(&t, rows[i].type, rows[i].from, rows[i].inner);
		message = watchtest_notified(&t, &d, "active;", rows[i].in[0]);
		assert_non_null(strstr(message, rows[i].in[1]));
		assert_non_null(strstr(message, rows[i].in[2]));
		if (strstr(sip_body(message), rows[i].out) != NULL)
			fail_msg("'%s' in %s", rows[i].out, message);
	}
	/* Known already. */
	watchtest_give(&t, "unavailable", BALCONY, NULL);
	watchtest_give(&t, "unavailable", JULIET, NULL);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* More than anybody has, and longer. */
static void test_hostile_presence(void **state)
{
	struct strbuf status = { .s = NULL };
	struct peer_dialog d;
	const char *message;
	size_t tuples = 0;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	strbuf_puts(&status, "<status>");
	for (int i = 0; i < 5000; i++)
		strbuf_puts(&status, "&#x20AC;");
	strbuf_puts(&status, "</status><priority>999</priority><show><away/></show>");
	watchtest_give(&t, NULL, NULL, status.s);
	message = watchtest_notified(&t, &d, "active;", "\xE2\x82\xAC\xE2\x80\xA6</note>");
	assert_in_range(strlen(sip_body(message)), 1000, 3000);
	strbuf_free(&status);
	for (int i = 0; i < 40; i++) {
		char from[64];

		snprintf(from, sizeof(from), JULIET "/device %d", i);
		watchtest_give(&t, NULL, from, NULL);
	}
	/* Perhaps one by itself; the rest comes together. */
	message = watchtest_notified(&t, &d, "active;", "device_200'");
	if (strstr(message, "device_2030'") == NULL)
		message = watchtest_notified(&t, &d, "active;", "device_2030'");
	for (const char *at = message; (at = strstr(at, "<tuple ")) != NULL; at++)
		tuples++;
	assert_int_equal(tuples, 32);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_refused_by_contact(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &d, "pending", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_notified(&t, &d, "terminated;reason=rejected", BASIC_CLOSED);
	watchtest_quiet(&t);
	assert_string_equal(half(), "");
	watchtest_becomes(&t, "pairs", 0);
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "481 Call/Transaction Does Not Exist", "SUBSCRIBE");
	/* After he had approved. */
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_notified(&t, &d, "terminated;reason=rejected", BASIC_CLOSED);
	assert_string_equal(half(), "");
	assert_string_equal(dialogs(), "0");
	/* Nobody is approved for having been once. */
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &d, "pending", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_end(&t);
}

/* Who asks has a name (XEP-0172). */
static void test_name(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	t.display = "\"Tybalt <\xC3\xA4> & \\\"Co\\\"\" ";
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, NULL, "pending", NULL);
	watchtest_hears(&t, " type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>Tybalt "
			    "&lt;\xC3\xA4&gt; &amp; ");
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, NULL, "pending", NULL);
	watchtest_hears(&t, "Co");
	watchtest_end(&t);
}

/* An approval that nobody asked for approves nothing (no pre-approval). */
static void test_approved_unasked(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribed", NULL, NULL);
	watchtest_give(&t, NULL, NULL, NULL);
	assert_true(t.told.confirmed);
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &d, "pending", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_end(&t);
}

static void test_refresh(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribe(&t, &d, "Expires: 100000\r\n");
	assert_string_equal(sip_field(watchtest_accepted(&t, &d), "Expires"), "28800");
	watchtest_notified(&t, &d, "pending;expires=28", NULL);
	watchtest_hears_type(&t, "subscribe");
	/* He may have been away when he was asked. */
	watchtest_send(&t, &d, "SUBSCRIBE", "Expires: 600\r\n", "");
	message = watchtest_response(&t, "200 OK", "SUBSCRIBE");
	assert_string_equal(sip_field(message, "Expires"), "600");
	watchtest_notified(&t, &d, "pending;expires=", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_give(&t, "subscribed", NULL, NULL);
	watchtest_notified(&t, &d, "active", NULL);
	/* Empty, as long as nothing is known. */
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, &d, "active;expires=3", NULL);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	d.cseq -= 2;
	watchtest_send(&t, &d, "SUBSCRIBE", "", "");
	watchtest_response(&t, "500 CSeq Out of Order", "SUBSCRIBE");
	d.cseq += 2;
	watchtest_send(&t, &d, "SUBSCRIBE", "Expires: 59\r\n", "");
	watchtest_response(&t, "423 Interval Too Brief", "SUBSCRIBE");
	watchtest_send(&t, &d, "MESSAGE", "", "");
	watchtest_response(&t, "405 Method Not Allowed", "MESSAGE");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The endpoint goes, and another one comes: the contact notices neither. */
static void test_end_and_back(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, "<show>away</show>");
	watchtest_notified(&t, &d, "active", ">away</show>");
	watchtest_send(&t, &d, "SUBSCRIBE", "Expires: 0\r\n", "");
	assert_string_equal(sip_field(watchtest_response(&t, "200 OK", "SUBSCRIBE"), "Expires"), "0");
	watchtest_notified(&t, &d, "terminated;reason=timeout", BASIC_CLOSED);
	watchtest_quiet(&t);
	assert_string_equal(half(), "active");
	assert_string_equal(dialogs(), "0");
	watchtest_becomes(&t, "notifiers", 0);
	watchtest_give(&t, NULL, NULL, "<show>dnd</show>");
	watchtest_quiet(&t);
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &d, "active", ">dnd</show>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Expires: 0 outside a dialog: what is known, once. */
static void test_look(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	assert_string_equal(sip_field(watchtest_accepted(&t, &d), "Expires"), "0");
	watchtest_notified(&t, &d, "terminated;reason=timeout", BASIC_OPEN);
	watchtest_quiet(&t);
	watchtest_becomes(&t, "notifiers", 1);
	watchtest_end(&t);
}

/* Cheap to ask for, and a probe each: so many wait at a time, of one partner half of them. */
static void test_many_looks(void **state)
{
	enum { LOOKS = 1000 };
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	for (int i = 0; i < LOOKS / 2; i++)
		assert_true(shares_take(&t.gateway->presence->looks, "partner.test", 12, LOOKS));
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	assert_string_equal(sip_field(watchtest_response(&t, "500 No Room for Subscriptions", "SUBSCRIBE"),
				      "Retry-After"),
			    "10");
	watchtest_becomes(&t, "pairs", 0);
	for (int i = 0; i < LOOKS / 2; i++)
		shares_give(&t.gateway->presence->looks, "partner.test", 12);
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	watchtest_accepted(&t, &d);
	watchtest_end(&t);
}

/* Nothing is known: his server is asked, and nobody is asked for approval. */
static void test_look_by_probe(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 100;
	watchtest_open(&t);
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	watchtest_accepted(&t, &d);
	watchtest_hears_type(&t, "probe");
	watchtest_give(&t, NULL, BALCONY, NULL);
	watchtest_give(&t, NULL, JULIET "/orchard", NULL);
	message = watchtest_notified(&t, &d, "terminated;reason=timeout", "balcony");
	assert_non_null(strstr(message, "orchard"));
	watchtest_quiet(&t);
	watchtest_becomes(&t, "pairs", 0);
	/* No answer. */
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	watchtest_accepted(&t, &d);
	watchtest_hears_type(&t, "probe");
	watchtest_notified(&t, &d, "terminated;reason=timeout", BASIC_CLOSED);
	/* A no. */
	watchtest_subscribe(&t, &d, "Expires: 0\r\n");
	watchtest_accepted(&t, &d);
	watchtest_hears_type(&t, "probe");
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_notified(&t, &d, "terminated;reason=", BASIC_CLOSED);
	watchtest_quiet(&t);
	assert_string_equal(half(), "");
	watchtest_becomes(&t, "pairs", 0);
	watchtest_end(&t);
}

static void test_refused(void **state)
{
	static const struct {
		const char *event, *extra, *status, *header, *value;
	} rows[] = {
		{ "presence.winfo", "", "489 Bad Event", "Allow-Events", "presence" },
		{ "dialog", "", "489 Bad Event", "Allow-Events", "presence" },
		{ "presence", "Accept: application/cpim-pidf+xml, text/plain\r\n", "406 Not Acceptable",
		  "Accept", "application/pidf+xml" },
		{ "presence", "Expires: 59\r\n", "423 Interval Too Brief", "Min-Expires", "60" },
		{ "presence", "Expires: 1\r\n", "423 Interval Too Brief", "Min-Expires", "60" },
	};
	static const char *const accepts[] = {
		("Accept: application/msrtc-event-categories+xml, application/xpidf+xml, "
		 "text/xml+msrtc.pidf, "
		 "application/pidf+xml, application/rlmi+xml, multipart/related\r\n"),
		"Accept: */*\r\n",
		"Accept: application/*\r\n",
		"",
	};
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *message;

		t.event = rows[i].event;
		watchtest_subscribe(&t, &d, rows[i].extra);
		message = watchtest_response(&t, rows[i].status, "SUBSCRIBE");
		assert_string_equal(sip_field(message, rows[i].header), rows[i].value);
		watchtest_quiet(&t);
	}
	assert_int_equal(watchtest_counter(&t, "refused"), ARRAY_SIZE(rows));
	watchtest_becomes(&t, "pairs", 0);
	t.event = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(accepts); i++) {
		watchtest_subscribe(&t, &d, accepts[i]);
		watchtest_accepted(&t, &d);
		watchtest_notified(&t, &d, "pending", NULL);
		watchtest_hears_type(&t, "subscribe");
	}
	watchtest_end(&t);
}

static void test_event_id(void **state)
{
	static const struct {
		const char *event, *answer;
	} rows[] = {
		{ "presence;id=a7.b", "presence;id=a7.b" },
		{ "presence; ID=7 ;x=y", "presence;id=7" },
		{ "presence;xid=7", "presence" },
		{ "Presence", "presence" },
	};
	(void)state;

	watchtest_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct peer_dialog d;

		t.event = rows[i].event;
		watchtest_subscribe(&t, &d, "");
		watchtest_accepted(&t, &d);
		assert_string_equal(sip_field(watchtest_notified(&t, &d, "pending", NULL), "Event"),
				    rows[i].answer);
		watchtest_hears_type(&t, "subscribe");
	}
	watchtest_end(&t);
}

static void test_several_endpoints(void **state)
{
	struct peer_dialog first, second, third;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &first);
	watchtest_subscribe(&t, &second, "");
	watchtest_accepted(&t, &second);
	watchtest_notified(&t, &second, "active", NULL);
	watchtest_hears_type(&t, "probe"); /* he has not been heard of yet */
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &first, "active", BASIC_OPEN);
	watchtest_notified(&t, &second, "active", BASIC_OPEN);
	watchtest_subscribe(&t, &third, "");
	watchtest_accepted(&t, &third);
	watchtest_notified(&t, &third, "active", BASIC_OPEN);
	watchtest_send(&t, &second, "SUBSCRIBE", "Expires: 0\r\n", "");
	watchtest_response(&t, "200 OK", "SUBSCRIBE");
	watchtest_notified(&t, &second, "terminated;reason=timeout", BASIC_CLOSED);
	watchtest_give(&t, "unavailable", NULL, NULL);
	watchtest_notified(&t, &first, "active", BASIC_CLOSED);
	watchtest_notified(&t, &third, "active", BASIC_CLOSED);
	watchtest_quiet(&t);
	assert_string_equal(dialogs(), "2");
	watchtest_end(&t);
}

/* The oldest, perhaps long dead, gives way. */
static void test_too_many_endpoints(void **state)
{
	struct peer_dialog first, d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &first);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &first, "active", BASIC_OPEN);
	for (int i = 0; i < 15; i++) {
		watchtest_subscribe(&t, &d, "");
		watchtest_accepted(&t, &d);
		watchtest_notified(&t, &d, "active", BASIC_OPEN);
	}
	watchtest_subscribe(&t, &d, "");
	watchtest_accepted(&t, &d);
	watchtest_notified(&t, &first, "terminated;reason=probation", BASIC_CLOSED);
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	watchtest_quiet(&t);
	assert_string_equal(dialogs(), "16");
	watchtest_becomes(&t, "notifiers", 16);
	watchtest_end(&t);
}

/* Each dialog has one NOTIFY under way; what changes meanwhile is in the next one, and the end is last. */
static void test_one_at_a_time(void **state)
{
	static const char *const shows[] = { "away", "dnd", "xa" };
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_request(&t, "NOTIFY");
	for (size_t i = 0; i < ARRAY_SIZE(shows); i++) {
		char inner[64];

		snprintf(inner, sizeof(inner), "<show>%s</show>", shows[i]);
		watchtest_give(&t, NULL, NULL, inner);
	}
	watchtest_quiet(&t);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_request(&t, "NOTIFY");
	assert_non_null(strstr(t.pool.message.s, ">xa</show>"));
	watchtest_give(&t, NULL, NULL, "<show>chat</show>");
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_quiet(&t);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_notified(&t, &d, "terminated;reason=rejected", BASIC_CLOSED);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* RFC 6665 section 4.2.2: the endpoint is gone; the contact's approval is not. */
static void test_notify_ends(void **state)
{
	static const char *const statuses[] = { "404 Not Found",    "480 Temporarily Unavailable",
						"481 No Such Call", "489 Bad Event",
						"501 No",           "604 Nowhere" };
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		watchtest_request(&t, "NOTIFY");
		watchtest_answer(&t, statuses[i], "", "");
		watchtest_quiet(&t);
		assert_string_equal(dialogs(), "0");
		assert_string_equal(half(), "active");
		watchtest_subscribe(&t, &d, "");
		watchtest_accepted(&t, &d);
	}
	/* One that says nothing of the subscription. */
	watchtest_request(&t, "NOTIFY");
	watchtest_answer(&t, "400 Bad Request", "", "");
	watchtest_quiet(&t);
	assert_string_equal(dialogs(), "1");
	watchtest_end(&t);
}

static void test_notify_silence(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	watchtest_open(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_request(&t, "NOTIFY");
	watchtest_becomes(&t, "notifiers", 0);
	assert_string_equal(half(), "active");
	assert_string_equal(dialogs(), "0");
	watchtest_end(&t);
}

/* The pool has trouble: it is told again. */
static void test_notify_again(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	watchtest_open(&t);
	watchtest_approved(&t, &d);
	watchtest_give(&t, NULL, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		watchtest_request(&t, "NOTIFY");
		watchtest_answer(&t, "500 Trouble", "", "");
	}
	watchtest_notified(&t, &d, "active", BASIC_OPEN);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_ledger_is_full(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.total = 2; /* one of them unproved */
	watchtest_open(&t);
	watchtest_give(&t, "subscribe", "nurse@partner.test", NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_subscribe(&t, &d, "");
	watchtest_response(&t, "500 No Room for Subscriptions", "SUBSCRIBE");
	assert_non_null(sip_field(t.client.message.s, "Retry-After"));
	watchtest_quiet(&t);
	watchtest_becomes(&t, "pairs", 1);
	watchtest_becomes(&t, "notifiers", 0);
	watchtest_end(&t);
}

/* Without a ledger there is no presence, in neither direction, and both sides are told. */
static void test_without_ledger(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.no_ledger = true;
	watchtest_open(&t);
	watchtest_subscribe(&t, &d, "");
	watchtest_response(&t, "489 Bad Event", "SUBSCRIBE");
	watchtest_give(&t, "subscribe", NULL, NULL);
	assert_false(t.told.confirmed);
	assert_int_equal(t.told.condition, COND_SERVICE_UNAVAILABLE);
	watchtest_give(&t, "probe", NULL, NULL);
	assert_true(t.told.confirmed);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* Both watch each other; what one half does is nothing to the other. */
static void test_both(void **state)
{
	struct peer_dialog ours, theirs;
	(void)state;

	watchtest_begin(&t);
	watchtest_approved(&t, &theirs);
	watchtest_subscribed(&t, &ours, NULL);
	watchtest_give(&t, NULL, NULL, NULL);
	watchtest_notified(&t, &theirs, "active", BASIC_OPEN);
	watchtest_notify(&t, &ours, "terminated;reason=rejected", NULL);
	watchtest_hears_type(&t, "unsubscribed");
	assert_string_equal(half(), "active");
	watchtest_subscribed(&t, &ours, NULL);
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_notified(&t, &theirs, "terminated;reason=rejected", BASIC_CLOSED);
	watchtest_quiet(&t);
	assert_string_equal(half(), "");
	assert_string_equal(watchtest_value(&t, "SELECT direction || ' ' || state FROM subscription"),
			    "to-local active");
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
		cmocka_unit_test_teardown(test_subscribe, clean),
		cmocka_unit_test_teardown(test_documents, clean),
		cmocka_unit_test_teardown(test_hostile_presence, clean),
		cmocka_unit_test_teardown(test_refused_by_contact, clean),
		cmocka_unit_test_teardown(test_name, clean),
		cmocka_unit_test_teardown(test_approved_unasked, clean),
		cmocka_unit_test_teardown(test_refresh, clean),
		cmocka_unit_test_teardown(test_end_and_back, clean),
		cmocka_unit_test_teardown(test_look, clean),
		cmocka_unit_test_teardown(test_many_looks, clean),
		cmocka_unit_test_teardown(test_look_by_probe, clean),
		cmocka_unit_test_teardown(test_refused, clean),
		cmocka_unit_test_teardown(test_event_id, clean),
		cmocka_unit_test_teardown(test_several_endpoints, clean),
		cmocka_unit_test_teardown(test_too_many_endpoints, clean),
		cmocka_unit_test_teardown(test_one_at_a_time, clean),
		cmocka_unit_test_teardown(test_notify_ends, clean),
		cmocka_unit_test_teardown(test_notify_silence, clean),
		cmocka_unit_test_teardown(test_notify_again, clean),
		cmocka_unit_test_teardown(test_ledger_is_full, clean),
		cmocka_unit_test_teardown(test_without_ledger, clean),
		cmocka_unit_test_teardown(test_both, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
