/*
 * test_presence_subscriber.c - an XMPP contact watches a user of a pool: what the
 * pool is asked, and what the contact is told (RFC 8048 sections 5.2 and 6.3,
 * RFC 6665 section 4.1, RFC 6121 appendix A.3).
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

#define OPEN_DESK PIDF("<tuple id='ID-desk'>" OPEN "</tuple>")
#define CLOSED    PIDF("<tuple id='ID-desk'><status><basic>closed</basic></status></tuple>")
#define DESK      "<presence from='" TYBALT "/desk' to='" JULIET "'"

static struct watchtest t;

/* What the ledger has of the contact's half: "active handshake", "" for none. */
static const char *half(struct watchtest *w)
{
	return watchtest_value(w,
			       "SELECT state || ' ' || evidence FROM subscription WHERE local = '" TYBALT
			       "' AND contact = '" JULIET "' AND direction = 'to-local' AND via = 'gateway'");
}

static const char *dialogs(struct watchtest *w)
{
	return watchtest_value(w, "SELECT count(*) FROM dialog");
}

static void test_subscribe(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", BALCONY, "<status>please</status>");
	assert_true(t.told.confirmed);
	message = watchtest_request(&t, "SUBSCRIBE");
	assert_memory_equal(message, "SUBSCRIBE sip:tybalt@corp.test SIP/2.0\r\n", 40);
	assert_string_equal(sip_field(message, "Event"), "presence");
	assert_string_equal(sip_field(message, "Expires"), "3600");
	assert_memory_equal(sip_field(message, "Accept"), "application/pidf+xml,", 21);
	assert_non_null(strstr(sip_field(message, "Accept"), "text/xml+msrtc.pidf"));
	assert_non_null(strstr(sip_field(message, "Accept"), "application/msrtc-event-categories+xml"));
	assert_null(sip_field(message, "Supported"));
	assert_memory_equal(sip_field(message, "From"), "<sip:juliet@partner.test>;tag=", 30);
	assert_string_equal(sip_field(message, "To"), "<sip:tybalt@corp.test>");
	assert_non_null(sip_field(message, "Contact"));
	assert_string_equal(half(&t), "pending handshake");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "pending;expires=3600", NULL);
	watchtest_notify(&t, &d, "pending;expires=3599", OPEN_DESK);
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "pending handshake");
	watchtest_notify(&t, &d, "active;expires=3599", OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	assert_string_equal(half(&t), "active handshake");
	assert_string_equal(dialogs(&t), "1");
	/* The same again is no news. */
	watchtest_notify(&t, &d, "active;expires=3599", OPEN_DESK);
	watchtest_notify(&t, &d, "active;expires=3598", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'/>");
	watchtest_quiet(&t);
	assert_int_equal(watchtest_counter(&t, "notified"), 5);
	assert_int_equal(watchtest_counter(&t, "notices"), 2);
	watchtest_end(&t);
}

/* RFC 6665 section 4.1.2.4, RFC 8048 section 5.2.1. */
static void test_notify_before_response(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_notify(&t, &d, "active;expires=3600", NULL);
	watchtest_hears_type(&t, "subscribed");
	/* Without a body: unknown, or closed. */
	watchtest_hears_type(&t, "unavailable");
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	/* Another branch of a forked one is not this dialog. */
	snprintf(d.from, sizeof(d.from), "<sip:tybalt@corp.test>;tag=other");
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, CLOSED);
	watchtest_response(&t, "481 Call/Transaction Does Not Exist", "NOTIFY");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

#define NOTE(text) "<status>" text "</status>"
#define MSRTC(availability, activity, note)                                                                  \
	"<presentity uri='tybalt@corp.test' "                                                                \
	"xmlns='http://schemas.microsoft.com/2002/09/sip/presence'>"                                         \
	"<availability aggregate='" availability "' description='' epid='' />"                               \
	"<activity aggregate='" activity "' description='' note='" note "'/></presentity>"
#define CATEGORIES(availability)                                                                             \
	"<categories xmlns='http://schemas.microsoft.com/2006/09/sip/categories' "                           \
	"uri='sip:tybalt@corp.test'><category name='state' instance='1' publishTime='' container='2' "       \
	"version='1' expireType='endpoint'><state xmlns='http://schemas.microsoft.com/2006/09/sip/state' "   \
	"xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "                                             \
	"xsi:type='aggregateState'><availability>" availability                                              \
	"</availability></state></category></categories>"

/* In the order of the table the same contact sees one after the other. */
static void test_documents(void **state)
{
	static const struct {
		const char *type, *lines, *body, *hears[3];
	} rows[] = {
		{ "application/pidf+xml", "", OPEN_DESK, { DESK "/>" } },
		{ "application/pidf+xml",
		  "Content-Language: it\r\n",
		  PIDF("<tuple id='ID-desk'><status><basic>open</basic><show xmlns='jabber:client'>dnd</show>"
		       "</status><contact priority='0.5'>sip:tybalt@corp.test</contact><note>in "
		       "&lt;duello&gt; "
		       "\xC3\xA8</note></tuple>"),
		  { "xml:lang='it'><show>dnd</show><status>in &lt;duello&gt; \xC3\xA8</status>"
		    "<priority>64</priority></presence>" } },
		{ "application/pidf+xml;charset=UTF-8",
		  "",
		  PIDF("<tuple id='ID-desk'>" OPEN "</tuple><tuple id='ID-car'>" OPEN "</tuple>"
		       "<dm:person id='p'><rpid:activities><rpid:away/></rpid:activities></dm:person>"),
		  { "/desk' to='" JULIET "'><show>away</show></presence>", "/car'" } },
		{ "application/pidf+xml",
		  "",
		  PIDF("<tuple id='ID-car'>" OPEN "</tuple>"),
		  { "/car'", DESK " type='unavailable'/>" } },
		{ "text/xml+msrtc.pidf",
		  "",
		  MSRTC("300", "600", "busy bee"),
		  { "<show>dnd</show>", "/car' to='" JULIET "' type='unavailable'" } },
		{ "application/msrtc-event-categories+xml",
		  "",
		  CATEGORIES("15500"),
		  { "<show>away</show>" } },
		{ "application/msrtc-event-categories+xml", "", CATEGORIES("3500"), { "<presence" } },
		{ "application/msrtc-event-categories+xml",
		  "",
		  CATEGORIES("18500"),
		  { "type='unavailable'" } },
		/* Nothing of availability is in it. */
		{ "application/pidf+xml", "", OPEN_DESK, { DESK "/>" } },
		{ "application/pidf+xml", "", PIDF(""), { DESK " type='unavailable'" } },
	};
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char extra[256];

		snprintf(extra, sizeof(extra), "Subscription-State: active\r\nContent-Type: %s\r\n%s",
			 rows[i].type, rows[i].lines);
		watchtest_send(&t, &d, "NOTIFY", extra, rows[i].body);
		watchtest_response(&t, "200 OK", "NOTIFY");
		for (size_t k = 0; rows[i].hears[k] != NULL; k++)
			watchtest_hears(&t, rows[i].hears[k]);
		watchtest_quiet(&t);
	}
	watchtest_end(&t);
}

/* They are answered 200, and change nothing. */
static void test_hostile_documents(void **state)
{
	static const struct {
		const char *type, *body;
	} rows[] = {
		{ "application/pidf+xml", "<presence" },
		{ "application/pidf+xml", "gr\xFC\xDF" },
		{ "application/pidf+xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>" },
		{ "application/pidf+xml", "<presence xmlns='urn:example:other'/>" },
		{ "application/pidf+xml;charset=UTF-16", OPEN_DESK },
		{ "text/plain", "hello" },
		{ "multipart/related;boundary=x", "--x--" },
		{ "multipart/related", "--x\r\n\r\n" },
	};
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char extra[256];

		snprintf(extra, sizeof(extra), "Subscription-State: active\r\nContent-Type: %s\r\n",
			 rows[i].type);
		watchtest_send(&t, &d, "NOTIFY", extra, rows[i].body);
		sippeer_receive(&t.client);
		watchtest_quiet(&t);
	}
	watchtest_notify(&t, &d, "active", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_end(&t);
}

/* We name neither piggybacking nor BENOTIFY, yet take them. */
static void test_microsoft_ways(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	watchtest_send(&t, &d, "BENOTIFY", "subscription-state: active;expires=3000\r\n" PIDF_IS, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);

	/* In the response, and no NOTIFY at all after it: that is no silence. */
	watchtest_prepare(&t);
	t.t1_ms = 10;
	t.expires = 1;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "200 OK", "Expires: 1\r\n" PIDF_IS, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	assert_string_equal(sip_field(watchtest_request(&t, "SUBSCRIBE"), "Call-ID"), d.call_id);
	watchtest_end(&t);
}

/* Before anything was approved. */
static void test_refused(void **state)
{
	static const char *const statuses[] = {
		"403 Forbidden", "489 Bad Event", "603 Decline",         "404 Not Found",
		"405 No",        "410 Gone",      "501 Not Implemented", "604 Does Not Exist",
	};
	(void)state;

	watchtest_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		watchtest_give(&t, "subscribe", NULL, NULL);
		watchtest_request(&t, "SUBSCRIBE");
		watchtest_answer(&t, statuses[i], "", "");
		watchtest_hears_type(&t, "unsubscribed");
		watchtest_quiet(&t);
		assert_string_equal(half(&t), "");
		watchtest_becomes(&t, "pairs", 0);
	}
	assert_int_equal(watchtest_counter(&t, "refused"), ARRAY_SIZE(statuses));
	watchtest_end(&t);
}

/* With refreshes within a second, and retries as soon. */
static void begin_quickly(struct watchtest *w, struct peer_dialog *d)
{
	watchtest_prepare(w);
	w->t1_ms = 10;
	w->expires = 1;
	watchtest_open(w);
	watchtest_subscribed(w, d, OPEN_DESK);
}

static const char *refresh(struct watchtest *w, const struct peer_dialog *d)
{
	const char *message = watchtest_request(w, "SUBSCRIBE");

	assert_string_equal(sip_field(message, "Call-ID"), d->call_id);
	assert_non_null(strstr(sip_field(message, "To"), ";tag=peer"));
	return message;
}

static void test_refresh(void **state)
{
	struct peer_dialog d;
	uint32_t cseq;
	(void)state;

	begin_quickly(&t, &d);
	cseq = (uint32_t)strtoul(sip_field(refresh(&t, &d), "CSeq"), NULL, 10);
	watchtest_answer(&t, "200 OK", "Expires: 1\r\n", "");
	watchtest_notify(&t, &d, "active;expires=1", OPEN_DESK);
	assert_int_equal(strtoul(sip_field(refresh(&t, &d), "CSeq"), NULL, 10), cseq + 1);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	/* The NOTIFY knows better. */
	watchtest_notify(&t, &d, "active;expires=1", OPEN_DESK);
	refresh(&t, &d);
	assert_int_equal(t.router.submitted_count, 0);
	watchtest_end(&t);
}

static void test_refresh_refused(void **state)
{
	static const char *const statuses[] = { "403 Forbidden", "489 Bad Event", "603 Decline" };
	struct peer_dialog d;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		begin_quickly(&t, &d);
		refresh(&t, &d);
		watchtest_answer(&t, statuses[i], "", "");
		watchtest_hears(&t, DESK " type='unavailable'");
		watchtest_hears_type(&t, "unsubscribed");
		assert_string_equal(half(&t), "");
		assert_string_equal(dialogs(&t), "0");
		watchtest_quiet(&t);
		watchtest_end(&t);
	}
}

/* The pool has forgotten it: at once again, and the contact notices nothing. */
static void test_refresh_unknown(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	begin_quickly(&t, &d);
	nettest_is_quiet(&t.net);
	refresh(&t, &d);
	watchtest_answer(&t, "481 Subscription Does Not Exist", "", "");
	watchtest_accept(&t, &fresh, OPEN_DESK);
	assert_string_not_equal(fresh.call_id, d.call_id);
	assert_string_not_equal(fresh.to, d.to);
	assert_int_equal(t.router.submitted_count, 0);
	assert_string_equal(half(&t), "active handshake");
	assert_string_equal(dialogs(&t), "1");
	/* The old dialog is no more. */
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, CLOSED);
	watchtest_response(&t, "481 Call/Transaction Does Not Exist", "NOTIFY");
	watchtest_end(&t);
}

/* RFC 6665 section 4.1.2.2: these end the subscription, but not the authorisation. */
static void test_refresh_ends(void **state)
{
	static const char *const statuses[] = { "404 Not Found", "480 Temporarily Unavailable",
						"485 Ambiguous", "604 Does Not Exist" };
	struct peer_dialog d, fresh;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		begin_quickly(&t, &d);
		refresh(&t, &d);
		watchtest_answer(&t, statuses[i], "", "");
		watchtest_hears(&t, DESK " type='unavailable'");
		assert_string_equal(half(&t), "active handshake");
		assert_string_equal(dialogs(&t), "0");
		watchtest_accept(&t, &fresh, OPEN_DESK);
		assert_string_not_equal(fresh.call_id, d.call_id);
		watchtest_hears(&t, DESK "/>");
		watchtest_end(&t);
	}
}

static void test_interval_too_brief(void **state)
{
	const char *message;
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	t.config.presence.expires_ms = 1000;
	watchtest_open(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "423 Interval Too Brief", "Min-Expires: 2\r\n", "");
	message = watchtest_request(&t, "SUBSCRIBE");
	assert_string_equal(sip_field(message, "Expires"), "2");
	assert_string_equal(sip_field(message, "Call-ID"), d.call_id);
	watchtest_answer(&t, "200 OK", "Expires: 1\r\n", "");
	watchtest_notify(&t, &d, "active;expires=1", OPEN_DESK);
	/* It is kept in mind, and does not loop. */
	message = refresh(&t, &d);
	assert_string_equal(sip_field(message, "Expires"), "2");
	watchtest_answer(&t, "423 Interval Too Brief", "Min-Expires: 2\r\n", "");
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK);
	watchtest_end(&t);
}

/* A pool in trouble: the contact sees what was last known as long as it may hold, and loses nothing. */
static void test_trouble(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	t.expires = 5; /* whole seconds are counted, and a refresh may come after four */
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	refresh(&t, &d);
	watchtest_answer(&t, "500 Trouble", "", "");
	watchtest_quiet(&t);
	while (t.router.submitted_count == 0) {
		if (sippeer_poll(&t.pool)) {
			assert_memory_equal(t.pool.message.s, "SUBSCRIBE ", 10);
			watchtest_answer(&t, "503 Service Unavailable", "", "");
		}
		nettest_is_quiet(&t.net);
	}
	watchtest_hears(&t, DESK " type='unavailable'/>");
	assert_string_equal(half(&t), "active handshake");
	t.expires = 3600;
	watchtest_accept(&t, &fresh, OPEN_DESK);
	assert_string_not_equal(fresh.call_id, d.call_id);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_silence(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	t.expires = 1;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	refresh(&t, &d);
	watchtest_hears(&t, DESK " type='unavailable'");
	assert_string_equal(half(&t), "active handshake");
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_end(&t);
}

/* Answered 200, but no NOTIFY comes (timer N). */
static void test_no_notify(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 10;
	watchtest_open(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &fresh);
	assert_string_not_equal(fresh.call_id, d.call_id);
	assert_int_equal(t.router.submitted_count, 0);
	assert_string_equal(half(&t), "pending handshake");
	/* Too late for the first one, whose dialog is gone. */
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, OPEN_DESK);
	watchtest_response(&t, "481 Call/Transaction Does Not Exist", "NOTIFY");
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &fresh, "active", OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK);
	watchtest_end(&t);
}

/* After a refresh: another dialog at once, unseen; when that one is silent too, nothing is known any more. */
static void test_no_notify_after_refresh(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 25;
	t.expires = 2;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	refresh(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &fresh);
	assert_string_not_equal(fresh.call_id, d.call_id);
	assert_int_equal(t.router.submitted_count, 0);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_hears(&t, DESK " type='unavailable'");
	assert_string_equal(half(&t), "active handshake");
	watchtest_end(&t);
}

/* RFC 6665 section 4.1.3. */
static void test_terminated(void **state)
{
	static const struct {
		const char *state;
		bool gone, ended; /* the contact sees it; and that it was for ever */
		bool at_once;     /* there is another dialog before anything else */
	} rows[] = {
		{ "terminated;reason=deactivated", false, false, true },
		{ "terminated;reason=timeout", false, false, true },
		{ "Terminated;Reason=Timeout;expires=60", false, false, true },
		{ "terminated;reason=rejected", true, true, false },
		{ "terminated;reason=probation;retry-after=1", true, false, false },
		{ "terminated;reason=giveup", true, false, false },
		{ "terminated;reason=unheard-of", true, false, false },
		{ "terminated", true, false, false },
	};
	struct peer_dialog d, fresh;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		watchtest_prepare(&t);
		t.t1_ms = 10;
		watchtest_open(&t);
		watchtest_subscribed(&t, &d, OPEN_DESK);
		/* One that lives for a while: a pool that ends each at once is not asked in circles. */
		for (int k = 0; rows[i].at_once && k < 6; k++)
			nettest_is_quiet(&t.net);
		watchtest_notify(&t, &d, rows[i].state, CLOSED);
		if (rows[i].gone)
			watchtest_hears(&t, DESK " type='unavailable'");
		if (rows[i].ended) {
			watchtest_hears_type(&t, "unsubscribed");
			watchtest_quiet(&t);
			assert_string_equal(half(&t), "");
		} else {
			assert_string_equal(half(&t), "active handshake");
			watchtest_accept(&t, &fresh, OPEN_DESK);
			assert_string_not_equal(fresh.call_id, d.call_id);
			if (rows[i].gone)
				watchtest_hears(&t, DESK "/>");
			watchtest_quiet(&t);
		}
		watchtest_end(&t);
	}
}

/* The user is no more: the contact's approval stays, and the pool is asked only seldom. */
static void test_no_resource(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_notify(&t, &d, "terminated;reason=noresource;retry-after=1", NULL);
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "active handshake");
	assert_string_equal(dialogs(&t), "0");
	watchtest_end(&t);
}

/* A pool that ends each subscription as soon as it is made. */
static void test_terminated_in_circles(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_notify(&t, &d, "terminated;reason=deactivated", NULL);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_unsubscribe(void **state)
{
	static const char *const answers[] = { "200 OK", "481 Gone", "500 Trouble" };
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const char *message;

		watchtest_subscribed(&t, &d, OPEN_DESK);
		watchtest_give(&t, "unsubscribe", NULL, NULL);
		watchtest_hears(&t, DESK " type='unavailable'");
		message = refresh(&t, &d);
		assert_string_equal(sip_field(message, "Expires"), "0");
		/* The farewell waits for the answer. */
		watchtest_quiet(&t);
		watchtest_answer(&t, answers[i], "Expires: 0\r\n", "");
		watchtest_hears_type(&t, "unsubscribed");
		if (i == 0)
			watchtest_notify(&t, &d, "terminated;reason=timeout", CLOSED);
		watchtest_quiet(&t);
		assert_string_equal(half(&t), "");
		watchtest_becomes(&t, "pairs", 0);
		watchtest_becomes(&t, "subscribers", 0);
	}
	watchtest_end(&t);
}

/* The last NOTIFY before the answer; and he comes back before it. */
static void test_unsubscribe_and_back(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_give(&t, "unsubscribe", NULL, NULL);
	watchtest_hears(&t, DESK " type='unavailable'");
	refresh(&t, &d);
	watchtest_notify(&t, &d, "terminated;reason=timeout", CLOSED);
	watchtest_quiet(&t);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_becomes(&t, "pairs", 0);

	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_give(&t, "unsubscribe", NULL, NULL);
	watchtest_hears(&t, DESK " type='unavailable'");
	refresh(&t, &d);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");

	/* After the answer, while the last NOTIFY is waited for. */
	watchtest_give(&t, "unsubscribe", NULL, NULL);
	watchtest_hears(&t, DESK " type='unavailable'");
	refresh(&t, &d);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* RFC 6121 appendix A.3, where the daemon is the user's server. */
static void test_appendix_a3(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	/* None: nothing to end. */
	watchtest_give(&t, "unsubscribe", NULL, NULL);
	watchtest_give(&t, "unsubscribed", NULL, NULL);
	watchtest_give(&t, "subscribed", NULL, NULL);
	assert_true(t.told.confirmed);
	watchtest_quiet(&t);
	/* Pending: asked once. */
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "pending", NULL);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_quiet(&t);
	/* Taken back before it was approved. */
	watchtest_give(&t, "unsubscribe", NULL, NULL);
	refresh(&t, &d);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_notify(&t, &d, "terminated;reason=timeout", NULL);
	/* Active: answered here, with what is known. */
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

static void test_probe(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	/* Known: answered from what is known. */
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears(&t, DESK "/>");
	watchtest_notify(&t, &d, "active", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears_type(&t, "unavailable");
	watchtest_quiet(&t);
	watchtest_end(&t);

	/* Not known: the pool says that he may see; he has asked for nothing, so nothing was granted. */
	watchtest_begin(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_accept(&t, &d, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "active handshake");
	watchtest_end(&t);
}

/* Nobody is asked for approval because of a probe, and nothing is left of it. */
static void test_probe_not_authorised(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_give(&t, "probe", NULL, NULL); /* once is enough */
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	watchtest_notify(&t, &d, "pending", NULL);
	assert_string_equal(sip_field(refresh(&t, &d), "Expires"), "0");
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_notify(&t, &d, "terminated;reason=timeout", NULL);
	watchtest_quiet(&t);
	watchtest_becomes(&t, "pairs", 0);
	/* The pool's no: RFC 6121 section 4.3.2. */
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "403 Forbidden", "", "");
	watchtest_hears_type(&t, "unsubscribed");
	/* Trouble is no answer. */
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "500 Trouble", "", "");
	watchtest_quiet(&t);
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "404 Not Found", "", "");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "");
	watchtest_becomes(&t, "pairs", 0);
	/* While it is asked, he asks himself: then he is answered. */
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_end(&t);
}

/* Many probes of strangers are not many subscriptions; and one partner's leave room for another's. */
static void test_probes_are_bounded(void **state)
{
	(void)state;

	watchtest_begin(&t);
	for (int i = 0; i < 600; i++) {
		char from[64];

		snprintf(from, sizeof(from), "stranger%d@partner.test", i);
		watchtest_give(&t, "probe", from, NULL);
	}
	watchtest_becomes(&t, "pairs", 500);
	watchtest_give(&t, "probe", "ann@other.test", NULL);
	watchtest_becomes(&t, "pairs", 501);
	watchtest_end(&t);
}

#define NOTED PIDF("<tuple id='ID-desk'>" OPEN "<note>secret</note></tuple>")

/* Partners of public services see no notes; those whose users nobody has verified see nothing unasked. */
static void test_partner_types(void **state)
{
	static const struct {
		enum partner_type type;
		const char *hears;
	} rows[] = {
		{ PARTNER_FEDERATED, DESK "><status>secret</status></presence>" },
		{ PARTNER_PUBLIC_VERIFIED, DESK "/>" },
	};
	struct peer_dialog d;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		watchtest_begin(&t);
		t.router.verdict.partner_type = rows[i].type;
		watchtest_give(&t, "subscribe", NULL, NULL);
		watchtest_accept(&t, &d, NOTED);
		watchtest_hears_type(&t, "subscribed");
		watchtest_hears(&t, rows[i].hears);
		/* The administrator's word is in force for the next one. */
		t.router.verdict.partner_type = PARTNER_PUBLIC_VERIFIED;
		watchtest_give(&t, "probe", NULL, NULL);
		watchtest_hears(&t, DESK "/>");
		watchtest_quiet(&t);
		assert_string_equal(watchtest_value(&t, "SELECT told LIKE '%secret%' FROM subscription"),
				    "0");
		watchtest_end(&t);
	}
}

/* Somebody is to be forgotten: the contact is told, the pool is told, and nothing is left. */
static void test_erase(void **state)
{
	static const char *const addresses[] = { "tybalt@corp.test", "juliet@partner.test" };
	struct peer_dialog d, ours;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		watchtest_begin(&t);
		watchtest_subscribed(&t, &d, NOTED);
		watchtest_approved(&t, &ours);
		gateway_erase(t.gateway, "tybal@corp.test");
		gateway_erase(t.gateway, "tybalt@corp.testx");
		watchtest_becomes(&t, "pairs", 1);
		gateway_erase(t.gateway, addresses[i]);
		watchtest_hears_type(&t, "unsubscribed");
		watchtest_hears_type(&t, "unsubscribe");
		watchtest_hears(&t, "unavailable");
		watchtest_notified(&t, &ours, "terminated;reason=noresource", "closed");
		watchtest_request(&t, "SUBSCRIBE");
		watchtest_answer(&t, "200 OK", "Expires: 0\r\n", "");
		watchtest_notify(&t, &d, "terminated;reason=timeout", NULL);
		watchtest_becomes(&t, "pairs", 0);
		assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM subscription"), "0");
		assert_string_equal(watchtest_value(&t, "SELECT count(*) FROM dialog"), "0");
		watchtest_end(&t);
	}
}

static void test_public_unverified(void **state)
{
	struct peer_dialog d, ours;
	(void)state;

	watchtest_begin(&t);
	t.router.verdict.partner_type = PARTNER_PUBLIC_UNVERIFIED;
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_give(&t, "probe", NULL, NULL);
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_quiet(&t);
	watchtest_becomes(&t, "pairs", 0);
	watchtest_write(&t);
	assert_false(t.told.confirmed);
	assert_int_equal(t.told.condition, COND_SUBSCRIPTION_REQUIRED);
	/* The user has added them. */
	watchtest_subscribe(&t, &ours, "");
	watchtest_accepted(&t, &ours);
	watchtest_notified(&t, &ours, "pending", NULL);
	watchtest_hears_type(&t, "subscribe");
	watchtest_write(&t);
	watchtest_request(&t, "MESSAGE");
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_accept(&t, &d, NOTED);
	watchtest_hears_type(&t, "subscribed");
	watchtest_hears(&t, DESK "/>");
	watchtest_end(&t);
}

static void test_notify_refused(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_give(&t, "subscribe", NULL, NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "Expires: 3600\r\n", "");
	/* Without Subscription-State nothing is approved. */
	watchtest_send(&t, &d, "NOTIFY", PIDF_IS, OPEN_DESK);
	watchtest_response(&t, "200 OK", "NOTIFY");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "pending handshake");
	/* Another package. */
	snprintf(d.event, sizeof(d.event), "presence.winfo");
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, OPEN_DESK);
	watchtest_response(&t, "489 Bad Event", "NOTIFY");
	assert_string_equal(sip_field(t.client.message.s, "Allow-Events"), "presence");
	snprintf(d.event, sizeof(d.event), "presence");
	/* Out of order. */
	d.cseq = 0;
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, OPEN_DESK);
	watchtest_response(&t, "500 CSeq Out of Order", "NOTIFY");
	d.cseq = 10;
	/* Another dialog. */
	snprintf(d.call_id, sizeof(d.call_id), "another");
	watchtest_send(&t, &d, "NOTIFY", "Subscription-State: active\r\n" PIDF_IS, OPEN_DESK);
	watchtest_response(&t, "481 Call/Transaction Does Not Exist", "NOTIFY");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "pending handshake");
	watchtest_end(&t);
}

/* What has been approved and is pending again shows nobody. */
static void test_pending_again(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_notify(&t, &d, "pending;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_notify(&t, &d, "active;expires=3600", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The user is not the gateway's any more, and comes back. */
static void test_not_routed(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 1;
	t.expires = 1;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	t.router.verdict.route = ROUTE_REJECT;
	watchtest_hears(&t, DESK " type='unavailable'");
	assert_string_equal(sip_field(watchtest_request(&t, "SUBSCRIBE"), "Expires"), "0");
	watchtest_answer(&t, "200 OK", "Expires: 0\r\n", "");
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "active handshake");
	assert_string_equal(dialogs(&t), "0");
	t.router.verdict.route = ROUTE_GATEWAY;
	t.expires = 3600;
	watchtest_accept(&t, &fresh, OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_end(&t);
}

/* While he is being moved his last state stands: a dialog that ends then says nothing of him. */
static void test_held(void **state)
{
	struct peer_dialog d, fresh;
	(void)state;

	watchtest_prepare(&t);
	t.t1_ms = 2;
	t.expires = 1;
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	t.router.verdict.route = ROUTE_HOLD;
	watchtest_notify(&t, &d, "terminated;reason=noresource", NULL);
	watchtest_quiet(&t);
	assert_string_equal(half(&t), "active handshake");
	t.router.verdict.route = ROUTE_GATEWAY;
	watchtest_accept(&t, &fresh, OPEN_DESK);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* He lives in the other pool now. */
static void test_moved_to_another_pool(void **state)
{
	struct peer_dialog d;
	const char *message;
	(void)state;

	begin_quickly(&t, &d);
	t.router.verdict.pool = POOL_LEGACY;
	message = watchtest_request_at(&t, &t.legacy, "SUBSCRIBE");
	assert_string_not_equal(sip_field(message, "Call-ID"), d.call_id);
	assert_int_equal(t.router.submitted_count, 0);
	watchtest_answer_at(&t.legacy, "403 Forbidden", "", "");
	watchtest_hears(&t, DESK " type='unavailable'");
	watchtest_hears_type(&t, "unsubscribed");
	watchtest_end(&t);
}

/* What did not arrive is told again with the next news from the pool, whatever they are. */
static void test_undelivered(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	t.router.lost = true;
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	t.router.lost = false;
	watchtest_quiet(&t);
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	watchtest_hears(&t, DESK "/>");
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	watchtest_quiet(&t);
	/* What was to be taken back. */
	t.router.lost = true;
	watchtest_notify(&t, &d, "active", CLOSED);
	assert_string_not_equal(watchtest_value(&t, "SELECT told FROM subscription"), "");
	t.router.lost = false;
	watchtest_notify(&t, &d, "active", CLOSED);
	watchtest_hears(&t, DESK " type='unavailable'");
	assert_string_equal(watchtest_value(&t, "SELECT told FROM subscription"), "");
	watchtest_notify(&t, &d, "active", CLOSED);
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The router tells what became of it when the pair, or the gateway, is gone. */
static void test_delivered_late(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_begin(&t);
	watchtest_subscribed(&t, &d, CLOSED);
	t.router.hold = true;
	t.router.lost = true;
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	watchtest_notify(&t, &d, "terminated;reason=rejected", NULL);
	watchtest_becomes(&t, "pairs", 0);
	assert_true(t.router.held_count > 0);
	watchtest_end(&t);
}

static void test_ledger_is_full(void **state)
{
	struct peer_dialog d;
	(void)state;

	watchtest_prepare(&t);
	t.per_user = 2; /* one of them unproved */
	watchtest_open(&t);
	watchtest_subscribed(&t, &d, OPEN_DESK);
	watchtest_give(&t, "subscribe", "nurse@partner.test", NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_give(&t, "subscribe", "mercutio@partner.test", NULL);
	assert_false(t.told.confirmed);
	assert_int_equal(t.told.condition, COND_RESOURCE_CONSTRAINT);
	/* A probe that may see is not kept either, and shows nothing. */
	watchtest_give(&t, "probe", "mercutio@partner.test", NULL);
	watchtest_request(&t, "SUBSCRIBE");
	watchtest_dialog(&t, &d);
	watchtest_answer(&t, "200 OK", "", "");
	watchtest_notify(&t, &d, "active", OPEN_DESK);
	assert_string_equal(sip_field(watchtest_request(&t, "SUBSCRIBE"), "Expires"), "0");
	watchtest_quiet(&t);
	watchtest_end(&t);
}

/* The registry cannot be read when the subscription is due: later. */
static void test_registry_is_unreadable(void **state)
{
	struct peer_dialog d;
	(void)state;

	begin_quickly(&t, &d);
	t.router.unreadable = true;
	watchtest_hears(&t, DESK " type='unavailable'");
	assert_false(sippeer_poll(&t.pool));
	t.router.unreadable = false;
	watchtest_request(&t, "SUBSCRIBE");
	assert_string_equal(half(&t), "active handshake");
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
		cmocka_unit_test_teardown(test_notify_before_response, clean),
		cmocka_unit_test_teardown(test_documents, clean),
		cmocka_unit_test_teardown(test_hostile_documents, clean),
		cmocka_unit_test_teardown(test_microsoft_ways, clean),
		cmocka_unit_test_teardown(test_refused, clean),
		cmocka_unit_test_teardown(test_refresh, clean),
		cmocka_unit_test_teardown(test_refresh_refused, clean),
		cmocka_unit_test_teardown(test_refresh_unknown, clean),
		cmocka_unit_test_teardown(test_refresh_ends, clean),
		cmocka_unit_test_teardown(test_interval_too_brief, clean),
		cmocka_unit_test_teardown(test_trouble, clean),
		cmocka_unit_test_teardown(test_silence, clean),
		cmocka_unit_test_teardown(test_no_notify, clean),
		cmocka_unit_test_teardown(test_no_notify_after_refresh, clean),
		cmocka_unit_test_teardown(test_terminated, clean),
		cmocka_unit_test_teardown(test_no_resource, clean),
		cmocka_unit_test_teardown(test_terminated_in_circles, clean),
		cmocka_unit_test_teardown(test_unsubscribe, clean),
		cmocka_unit_test_teardown(test_unsubscribe_and_back, clean),
		cmocka_unit_test_teardown(test_appendix_a3, clean),
		cmocka_unit_test_teardown(test_probe, clean),
		cmocka_unit_test_teardown(test_probe_not_authorised, clean),
		cmocka_unit_test_teardown(test_probes_are_bounded, clean),
		cmocka_unit_test_teardown(test_partner_types, clean),
		cmocka_unit_test_teardown(test_erase, clean),
		cmocka_unit_test_teardown(test_public_unverified, clean),
		cmocka_unit_test_teardown(test_notify_refused, clean),
		cmocka_unit_test_teardown(test_pending_again, clean),
		cmocka_unit_test_teardown(test_not_routed, clean),
		cmocka_unit_test_teardown(test_held, clean),
		cmocka_unit_test_teardown(test_moved_to_another_pool, clean),
		cmocka_unit_test_teardown(test_undelivered, clean),
		cmocka_unit_test_teardown(test_delivered_late, clean),
		cmocka_unit_test_teardown(test_ledger_is_full, clean),
		cmocka_unit_test_teardown(test_registry_is_unreadable, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
