/* test_map_presence.c - presence as a value, and presence stanzas (RFC 6121 section 4.7, RFC 8048 section 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/jid.h"
#include "tests/unit/presencetest.h"

/* --- values --- */

static const struct presence base = { true, SHOW_AWAY, 5, (char *)"out", (char *)"en", (char *)"balcony" };

static void test_equal(void **state)
{
	struct presence other[] = { base, base, base, base, base, base, base, base };
	(void)state;

	other[1].available = false;
	other[2].show = SHOW_XA;
	other[3].priority = 6;
	other[4].status = (char *)"in";
	other[5].status = NULL;
	other[6].lang = NULL;
	other[7].resource = NULL;
	assert_true(presence_equal(&base, &other[0]));
	for (size_t i = 1; i < ARRAY_SIZE(other); i++) {
		if (presence_equal(&base, &other[i]) || presence_equal(&other[i], &base))
			fail_msg("case %zu", i);
	}
}

/* From the preferred one on. */
static const struct presence ordered[] = {
	{ .available = true, .show = SHOW_CHAT, .priority = -1 },
	{ .available = true, .priority = 127 },
	{ .available = true, .priority = 5 },
	{ .available = true, .priority = 5, .resource = (char *)"a" },
	{ .available = true, .priority = 5, .resource = (char *)"b" },
	{ .available = true, .priority = -128 },
	{ .available = true, .show = SHOW_AWAY, .priority = 127 },
	{ .available = true, .show = SHOW_XA, .priority = 127 },
	{ .available = true, .show = SHOW_DND, .priority = 127 },
	{ .available = false },
	{ .available = false, .resource = (char *)"a" },
};

static void test_compare(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ordered); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(ordered); j++) {
			int order = presence_compare(&ordered[i], &ordered[j]);

			if ((order < 0) != (i < j) || (order > 0) != (i > j))
				fail_msg("%zu, %zu: %d", i, j, order);
		}
	}
}

static void test_list(void **state)
{
	struct presence_list a = { NULL, 0 }, b = { NULL, 0 };
	struct presence p = base, bare = { .available = true };
	(void)state;

	assert_null(presence_list_find(&a, NULL));
	assert_true(presence_list_equal(&a, &b));
	assert_int_equal(presence_list_put(&a, &p), OK);
	assert_int_equal(presence_list_put(&a, &bare), OK);
	assert_int_equal(a.count, 2);
	assert_true(presence_equal(presence_list_find(&a, "balcony"), &base));
	assert_true(presence_equal(presence_list_find(&a, NULL), &bare));
	assert_null(presence_list_find(&a, "Balcony"));

	/* The order does not matter, the values do. */
	assert_int_equal(presence_list_put(&b, &bare), OK);
	assert_false(presence_list_equal(&a, &b));
	assert_int_equal(presence_list_put(&b, &p), OK);
	assert_true(presence_list_equal(&a, &b));
	p.show = SHOW_DND;
	assert_int_equal(presence_list_put(&b, &p), OK);
	assert_int_equal(b.count, 2);
	assert_false(presence_list_equal(&a, &b));

	/* One of the list's own. */
	assert_int_equal(presence_list_put(&b, presence_list_find(&b, "balcony")), OK);
	assert_int_equal(presence_list_find(&b, "balcony")->show, SHOW_DND);

	presence_list_clear(&a);
	presence_list_copy(&b, &a);
	assert_true(presence_list_equal(&a, &b));
	presence_list_remove(&a, "nowhere");
	presence_list_remove(&a, NULL);
	assert_int_equal(a.count, 1);
	assert_non_null(presence_list_find(&a, "balcony"));
	presence_list_remove(&a, "balcony");
	assert_int_equal(a.count, 0);
	presence_list_clear(&a);
	presence_list_clear(&b);
	presence_list_copy(&a, &b);
	assert_int_equal(b.count, 0);
}

static void test_list_limit(void **state)
{
	struct presence_list l = { NULL, 0 };
	char resource[16];
	struct presence p = { .available = true, .resource = resource };
	(void)state;

	for (int i = 0; i < PRESENCE_RESOURCES; i++) {
		snprintf(resource, sizeof(resource), "r%d", i);
		assert_int_equal(presence_list_put(&l, &p), OK);
	}
	assert_int_equal(presence_list_put(&l, &p), OK);
	strcpy(resource, "more");
	assert_int_equal(presence_list_put(&l, &p), ERR_LIMIT);
	assert_int_equal(l.count, PRESENCE_RESOURCES);
	presence_list_clear(&l);
}

/* --- stanzas --- */

/* A stanza as the stream parser would hand it out. */
static struct stanza *make(const char *from, const char *type, const char *lang, const char *inner)
{
	struct strbuf b = { 0 };
	struct stanza *s;

	strbuf_puts(&b, inner);
	s = stanza_make(STANZA_PRESENCE, from, "tybalt@corp.test", NULL, type, lang, &b);
	strbuf_free(&b);
	return s;
}

#define FROM "juliet@partner.test/balcony"

static const struct {
	const char *from, *type, *lang, *inner;
	const char *drawn; /* NULL: refused */
} read_cases[] = {
	{ FROM, NULL, NULL, "", "balcony: open none 0" },
	{ "juliet@partner.test", NULL, NULL, "", "-: open none 0" },
	{ FROM, "unavailable", NULL, "", "balcony: closed none 0" },
	{ FROM, NULL, NULL, "<show>chat</show>", "balcony: open chat 0" },
	{ FROM, NULL, NULL, "<show>away</show>", "balcony: open away 0" },
	{ FROM, NULL, NULL, "<show>xa</show>", "balcony: open xa 0" },
	{ FROM, NULL, NULL, "<show>dnd</show>", "balcony: open dnd 0" },
	{ FROM, NULL, NULL, "<show>\n away </show>", "balcony: open away 0" },
	{ FROM, NULL, NULL, "<show>busy</show>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<show/>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<show xmlns='jabber:client'>away</show>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<x xmlns='u'><show xmlns='jabber:server'>dnd</show></x>",
	  "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>5</priority>", "balcony: open none 5" },
	{ FROM, NULL, NULL, "<priority> -128 </priority>", "balcony: open none -128" },
	{ FROM, NULL, NULL, "<priority>+127</priority>", "balcony: open none 127" },
	{ FROM, NULL, NULL, "<priority>-0</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>007</priority>", "balcony: open none 7" },
	{ FROM, NULL, NULL, "<priority>128</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>-129</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>4294967297</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>- 1</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>--1</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>1.5</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority>high</priority>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<priority/>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<status>on the balcony</status>", "balcony: open none 0 'on the balcony'" },
	{ FROM, NULL, "en", "<status>on the balcony</status>", "balcony: open none 0 'on the balcony'@en" },
	{ FROM, NULL, "not a language", "<status>x</status>", "balcony: open none 0 'x'" },
	{ FROM, NULL, "en", "<status xml:lang='de'>auf dem Balkon</status>",
	  "balcony: open none 0 'auf dem Balkon'@de" },
	{ FROM, NULL, "en", "<status xml:lang='de'>auf dem Balkon</status><status>out</status>",
	  "balcony: open none 0 'out'@en" },
	{ FROM, NULL, NULL, "<status xml:lang='de'>d</status><status xml:lang='cs'>c</status>",
	  "balcony: open none 0 'd'@de" },
	{ FROM, NULL, "en", "<status> \t\n</status>", "balcony: open none 0" },
	{ FROM, NULL, NULL, "<status>\n  a &lt;b&gt;\n  </status>", "balcony: open none 0 'a <b>'" },
	{ FROM, "unavailable", NULL, "<show>away</show><priority>5</priority><status>bye</status>",
	  "balcony: closed none 0 'bye'" },
	{ FROM, NULL, NULL, "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' hash='sha-1'/>",
	  "balcony: open none 0" },
	{ FROM, "subscribe", NULL, "", NULL },
	{ FROM, "subscribed", NULL, "", NULL },
	{ FROM, "unsubscribe", NULL, "", NULL },
	{ FROM, "unsubscribed", NULL, "", NULL },
	{ FROM, "probe", NULL, "", NULL },
	{ FROM, "error", NULL, "", NULL },
	{ FROM, "available", NULL, "", NULL },
	{ FROM, "", NULL, "", NULL },
};

static void test_from_stanza(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(read_cases); i++) {
		struct stanza *s =
			make(read_cases[i].from, read_cases[i].type, read_cases[i].lang, read_cases[i].inner);
		struct presence p = { .available = false };
		struct strbuf drawn = { 0 };
		enum err e = presence_from_stanza(s, &p);

		if (e != (read_cases[i].drawn != NULL ? OK : ERR_REFUSED))
			fail_msg("case %zu: %s", i, err_text(e));
		presence_draw(&drawn, &p);
		if (e == OK)
			assert_string_equal(drawn.s, read_cases[i].drawn);
		strbuf_free(&drawn);
		presence_clear(&p);
		stanza_unref(s);
	}
}

static void test_from_no_presence(void **state)
{
	struct stanza *message = stanza_make(STANZA_MESSAGE, FROM, NULL, NULL, NULL, NULL, NULL);
	struct stanza *nobody = stanza_make(STANZA_PRESENCE, NULL, NULL, NULL, NULL, NULL, NULL);
	struct stanza *wrong = stanza_make(STANZA_PRESENCE, "@", NULL, NULL, NULL, NULL, NULL);
	struct stanza *broken = make(FROM, NULL, NULL, "<show>");
	struct presence p;
	(void)state;

	assert_int_equal(presence_from_stanza(message, &p), ERR_REFUSED);
	assert_int_equal(presence_from_stanza(nobody, &p), ERR_SYNTAX);
	assert_int_equal(presence_from_stanza(wrong, &p), ERR_SYNTAX);
	assert_int_equal(presence_from_stanza(broken, &p), ERR_SYNTAX);
	stanza_unref(message);
	stanza_unref(nobody);
	stanza_unref(wrong);
	stanza_unref(broken);
}

/* Three bytes of UTF-8 each: a status is cut between characters, and stays readable. */
static void test_long_status(void **state)
{
	struct strbuf inner = { 0 };
	struct presence p;
	struct stanza *s;
	(void)state;

	strbuf_puts(&inner, "<status>x");
	for (int i = 0; i < PRESENCE_STATUS_MAX; i++)
		strbuf_puts(&inner, "\xE2\x82\xAC");
	strbuf_puts(&inner, "</status>");
	s = make(FROM, NULL, NULL, inner.s);
	assert_int_equal(presence_from_stanza(s, &p), OK);
	assert_true(strlen(p.status) <= PRESENCE_STATUS_MAX && strlen(p.status) > PRESENCE_STATUS_MAX - 3);
	assert_true(utf8_is_xml(p.status, strlen(p.status)));
	assert_string_equal(p.status + strlen(p.status) - 6, "\xE2\x82\xAC\xE2\x80\xA6");
	presence_clear(&p);
	assert_true(!p.available && p.status == NULL);
	stanza_unref(s);

	/* As long as it may be. */
	strbuf_reset(&inner);
	strbuf_puts(&inner, "<status>");
	for (int i = 0; i < PRESENCE_STATUS_MAX; i++)
		strbuf_putc(&inner, 'x');
	strbuf_puts(&inner, "</status>");
	s = make(FROM, NULL, NULL, inner.s);
	assert_int_equal(presence_from_stanza(s, &p), OK);
	assert_int_equal(strlen(p.status), PRESENCE_STATUS_MAX);
	assert_int_equal(p.status[PRESENCE_STATUS_MAX - 1], 'x');
	presence_clear(&p);
	stanza_unref(s);
	strbuf_free(&inner);
}

#define TO     "romeo@corp.test/sip"
#define HEAD   "<presence from='" TO "' to='" FROM "'"
#define NO_WAY (char *)"\x01"

static const struct {
	struct presence p;
	const char *nick;
	bool no_status;
	const char *bytes; /* NULL: ERR_SYNTAX */
} write_cases[] = {
	{ { .available = true }, NULL, false, HEAD "/>" },
	{ { .available = false }, NULL, false, HEAD " type='unavailable'/>" },
	{ { .available = true, .show = SHOW_CHAT }, NULL, false, HEAD "><show>chat</show></presence>" },
	{ { .available = true, .show = SHOW_DND, .priority = -1 },
	  NULL,
	  false,
	  HEAD "><show>dnd</show><priority>-1</priority></presence>" },
	{ { true, SHOW_XA, 5, (char *)"a<b", (char *)"en", (char *)"r" },
	  NULL,
	  false,
	  HEAD " xml:lang='en'><show>xa</show><status>a&lt;b</status><priority>5</priority></presence>" },
	{ { true, SHOW_XA, 5, (char *)"a<b", (char *)"en", (char *)"r" },
	  NULL,
	  true,
	  HEAD "><show>xa</show><priority>5</priority></presence>" },
	{ { true, SHOW_NONE, 0, (char *)"a", (char *)"' to='", NULL },
	  NULL,
	  false,
	  HEAD "><status>a</status></presence>" },
	{ { false, SHOW_NONE, 0, (char *)"bye", NULL, NULL },
	  NULL,
	  false,
	  HEAD " type='unavailable'><status>bye</status></presence>" },
	{ { .available = true },
	  "Romeo & Co",
	  false,
	  HEAD "><nick xmlns='http://jabber.org/protocol/nick'>Romeo &amp; Co</nick></presence>" },
	{ { true, SHOW_NONE, 0, NO_WAY, NULL, NULL }, NULL, false, NULL },
	{ { true, SHOW_NONE, 0, NO_WAY, NULL, NULL }, NULL, true, HEAD "/>" },
	{ { .available = true }, "\xFF", false, NULL },
};

static void test_to_stanza(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(write_cases); i++) {
		const struct presence_stanza how = { TO, FROM, write_cases[i].nick,
						     write_cases[i].no_status };
		struct stanza *s = NULL;
		enum err e = presence_to_stanza(&write_cases[i].p, &how, &s);

		if (e != (write_cases[i].bytes != NULL ? OK : ERR_SYNTAX))
			fail_msg("case %zu: %s", i, err_text(e));
		if (e == OK)
			assert_string_equal(s->bytes, write_cases[i].bytes);
		stanza_unref(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),       cmocka_unit_test(test_compare),
		cmocka_unit_test(test_list),        cmocka_unit_test(test_list_limit),
		cmocka_unit_test(test_from_stanza), cmocka_unit_test(test_from_no_presence),
		cmocka_unit_test(test_long_status), cmocka_unit_test(test_to_stanza),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
