/*
 * Tests of service.h: each question for a domain and for a user, what must not be
 * answered, and what is not there.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/service.h"

#define DISCO    "http://jabber.org/protocol/disco#info"
#define SOFTWARE "<name>" PACKAGE_NAME "</name><version>" PACKAGE_VERSION "</version>"

static const char *const user_features[] = { NS_VCARD, "urn:xmpp:receipts" };
static const struct service user = {
	.identities = "<identity category='account' type='registered'/>",
	.features = user_features,
	.feature_count = ARRAY_SIZE(user_features),
	.vcard = "<FN>Romeo &amp; co</FN>",
};

struct row {
	const struct service *service;
	const char *type, *question;
	const char *answer; /* what it has; NULL: there is none */
};

static const struct row rows[] = {
	{ &service_of_domain, "get", "<ping xmlns='urn:xmpp:ping'/>", "type='result'" },
	{ &user, "get", "<ping xmlns='urn:xmpp:ping'/>", "type='result'" },
	{ &service_of_domain, "get", "<query xmlns='" DISCO "'/>", "category='gateway' type='simple'" },
	{ &service_of_domain, "get", "<query xmlns='" DISCO "'/>", "<feature var='jabber:iq:version'/>" },
	{ &service_of_domain, "get", "<query xmlns='" DISCO "' node=''/>", "category='server'" },
	{ &user, "get", "<query xmlns='" DISCO "'/>", "category='account' type='registered'" },
	{ &user, "get", "<query xmlns='" DISCO "'/>",
	  "<feature var='vcard-temp'/><feature var='urn:xmpp:receipts'/></query>" },
	/* XEP-0030, section 3.2: a node that is not there */
	{ &service_of_domain, "get", "<query xmlns='" DISCO "' node='http://example.org/#abc'/>",
	  "<error type='cancel'><item-not-found" },
	{ &user, "get", "<query xmlns='" DISCO "' node='x'/>", "<error type='cancel'><item-not-found" },
	{ &service_of_domain, "get", "<query xmlns='jabber:iq:version'/>", SOFTWARE },
	{ &user, "get", "<query xmlns='jabber:iq:version'/>", SOFTWARE },
	{ &user, "get", "<vCard xmlns='vcard-temp'/>",
	  "<vCard xmlns='vcard-temp'><FN>Romeo &amp; co</FN></vCard>" },
	/* not served */
	{ &service_of_domain, "get", "<vCard xmlns='vcard-temp'/>", NULL },
	{ &service_of_domain, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", NULL },
	{ &user, "get", "<query xmlns='urn:example:nothing'/>", NULL },
	{ &user, "get", "<query xmlns='urn:example:nothing' node='x'/>", NULL },
	{ &user, "get", "<ping/>", NULL },
	{ &user, "set", "<vCard xmlns='vcard-temp'/>", NULL },
	{ &user, "set", "<query xmlns='" DISCO "' node='x'/>", NULL },
	{ &user, "result", "<ping xmlns='urn:xmpp:ping'/>", NULL },
	{ &user, "error", "<ping xmlns='urn:xmpp:ping'/>", NULL },
	{ &user, NULL, "<ping xmlns='urn:xmpp:ping'/>", NULL },
};

static struct stanza *make(enum stanza_kind kind, const char *type, const char *inner)
{
	struct strbuf b = { 0 };
	struct stanza *s;

	strbuf_puts(&b, inner);
	s = stanza_make(kind, "juliet@partner.test/balcony", "corp.test", "q1", type, NULL, &b);
	strbuf_free(&b);
	return s;
}

static void test_questions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stanza *iq = make(STANZA_IQ, rows[i].type, rows[i].question);
		struct stanza *answer = service_answer(rows[i].service, iq);

		if ((answer != NULL) != (rows[i].answer != NULL))
			fail_msg("row %zu: %s", i, answer != NULL ? answer->bytes : "no answer");
		if (answer != NULL && strstr(answer->bytes, rows[i].answer) == NULL)
			fail_msg("row %zu: %s", i, answer->bytes);
		if (answer != NULL) {
			assert_string_equal(answer->id, "q1");
			assert_string_equal(answer->from, "corp.test");
			assert_string_equal(answer->to, "juliet@partner.test/balcony");
		}
		stanza_unref(answer);
		stanza_unref(iq);
	}
}

static void test_no_iq(void **state)
{
	struct stanza *message = make(STANZA_MESSAGE, "get", "<ping xmlns='urn:xmpp:ping'/>");

	(void)state;
	assert_null(service_answer(&user, message));
	stanza_unref(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_no_iq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
