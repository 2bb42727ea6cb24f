/* test_map_pidf.c - PIDF with RPID and the XMPP show, read (RFC 3863, 4480, 8048). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_presence_internal.h"
#include "tests/unit/presencetest.h"

#define PERSON(inner) PIDF("<tuple id='t'>" OPEN "</tuple><dm:person id='p'>" inner "</dm:person>")
#define PRIORITY(p)   TUPLE(OPEN "<contact priority='" p "'>sip:romeo@corp.test</contact>")

static const struct {
	const char *bytes, *drawn;
} pidf_cases[] = {
	/* Tuples and their basic status. */
	{ TUPLE(OPEN), "t: open none 0" },
	{ TUPLE("<status><basic>closed</basic></status>"), "t: closed none 0" },
	{ TUPLE("<status>\n  <basic>\n open </basic></status>"), "t: open none 0" },
	{ PIDF(""), "" },
	{ TUPLE(""), "" },
	{ TUPLE("<status/>"), "" },
	{ TUPLE("<status><basic/></status>"), "" },
	{ TUPLE("<status><basic>Open</basic></status>"), "" },
	{ TUPLE("<status><basic>open closed</basic></status>"), "" },
	{ TUPLE("<status><basic xmlns='u'>open</basic></status>"), "" },
	{ TUPLE("<x xmlns='u'><status xmlns='" NS_PIDF "'><basic>open</basic></status></x>"), "" },
	{ TUPLE("<status><basic>closed</basic></status>" OPEN), "t: closed none 0" },
	{ PIDF("<tuple id='a'>" OPEN "</tuple><tuple id='b'><status><basic>closed</basic></status></tuple>"),
	  "a: open none 0; b: closed none 0" },
	{ "<p:presence xmlns:p='" NS_PIDF "'><p:tuple id='t'><p:status><p:basic>open</p:basic></p:status>"
	  "</p:tuple></p:presence>",
	  "t: open none 0" },
	{ "<!-- by hand --><presence xmlns='" NS_PIDF "'><?x?><tuple id='t'>" OPEN "</tuple></presence>",
	  "t: open none 0" },

	/* Identifiers and GRUUs. */
	{ PIDF("<tuple id='ID-balcony'>" OPEN "</tuple>"), "balcony: open none 0" },
	{ PIDF("<tuple id='ID-a_20_2fb_5f'>" OPEN "</tuple>"), "a /b_: open none 0" },
	{ PIDF("<tuple id='ID-f_c3_bc'>" OPEN "</tuple>"), "f\xC3\xBC: open none 0" },
	{ PIDF("<tuple id='ID-my_phone'>" OPEN "</tuple>"), "my_phone: open none 0" },
	{ PIDF("<tuple id='ID-a_FF'>" OPEN "</tuple>"), "a_FF: open none 0" },
	{ PIDF("<tuple id='ID-a_ff'>" OPEN "</tuple>"), "a_ff: open none 0" },
	{ PIDF("<tuple id='ID-a_61'>" OPEN "</tuple>"), "a_61: open none 0" },
	{ PIDF("<tuple id='ID-a_00'>" OPEN "</tuple>"), "a_00: open none 0" },
	{ PIDF("<tuple id='ID-a_01'>" OPEN "</tuple>"), "a_01: open none 0" },
	{ PIDF("<tuple id='ID-a_4'>" OPEN "</tuple>"), "a_4: open none 0" },
	{ PIDF("<tuple id='a_20'>" OPEN "</tuple>"), "a_20: open none 0" },
	{ PIDF("<tuple id='ID-'>" OPEN "</tuple>"), "-: open none 0" },
	{ PIDF("<tuple id=''>" OPEN "</tuple>"), "-: open none 0" },
	{ PIDF("<tuple>" OPEN "</tuple>"), "-: open none 0" },
	{ PIDF("<tuple dm:id='x'>" OPEN "</tuple>"), "-: open none 0" },
	{ PIDF("<tuple id='&#xE000;'>" OPEN "</tuple>"), "-: open none 0" },
	{ TUPLE(OPEN "<contact>sip:romeo@corp.test;gr=orchard</contact>"), "orchard: open none 0" },
	{ TUPLE(OPEN "<contact>sip:romeo@corp.test;gr=a%20b</contact>"), "a b: open none 0" },
	{ TUPLE(OPEN "<contact>sip:romeo@corp.test;gr</contact>"), "t: open none 0" },
	{ TUPLE(OPEN "<contact>tel:+420123</contact>"), "t: open none 0" },
	{ TUPLE(OPEN "<contact/>"), "t: open none 0" },

	/* Services of one resource: the more available one. */
	{ PIDF("<tuple id='t'><status><basic>closed</basic></status></tuple><tuple id='t'>" OPEN "</tuple>"),
	  "t: open none 0" },
	{ PIDF("<tuple id='t'>" OPEN "</tuple><tuple id='t'><status><basic>closed</basic></status></tuple>"),
	  "t: open none 0" },
	{ PIDF("<tuple id='a'>" OPEN "<contact priority='0.1'>sip:r@corp.test;gr=x</contact></tuple>"
	       "<tuple id='b'>" OPEN "<contact priority='1'>sip:r@corp.test;gr=x</contact></tuple>"),
	  "x: open none 127" },

	/* Priorities. */
	{ PRIORITY("0"), "t: open none 0" },
	{ PRIORITY("0."), "t: open none 0" },
	{ PRIORITY("0.007"), "t: open none 1" },
	{ PRIORITY("0.015"), "t: open none 2" },
	{ PRIORITY("0.5"), "t: open none 64" },
	{ PRIORITY("0.8"), "t: open none 102" },
	{ PRIORITY("0.80"), "t: open none 102" },
	{ PRIORITY("0.992"), "t: open none 126" },
	{ PRIORITY("0.999"), "t: open none 127" },
	{ PRIORITY("1"), "t: open none 127" },
	{ PRIORITY("1.000"), "t: open none 127" },
	{ PRIORITY("1.001"), "t: open none 0" },
	{ PRIORITY("1.5"), "t: open none 0" },
	{ PRIORITY("2"), "t: open none 0" },
	{ PRIORITY("-0.5"), "t: open none 0" },
	{ PRIORITY("0.0007"), "t: open none 0" },
	{ PRIORITY("0,5"), "t: open none 0" },
	{ PRIORITY("00.5"), "t: open none 0" },
	{ PRIORITY(".5"), "t: open none 0" },
	{ PRIORITY("0.x"), "t: open none 0" },
	{ PRIORITY("0.0:"), "t: open none 0" },
	{ PRIORITY("0.9-"), "t: open none 0" },
	{ PRIORITY(""), "t: open none 0" },
	{ TUPLE("<status><basic>closed</basic></status><contact priority='1'>x</contact>"),
	  "t: closed none 0" },

	/* The XMPP show. */
	{ STATUS("<show xmlns='jabber:client'>away</show>"), "t: open away 0" },
	{ STATUS("<show xmlns='jabber:client'>xa</show>"), "t: open xa 0" },
	{ STATUS("<show xmlns='jabber:client'>dnd</show>"), "t: open dnd 0" },
	{ STATUS("<show xmlns='jabber:client'>chat</show>"), "t: open chat 0" },
	{ STATUS("<show xmlns='jabber:client'>online</show>"), "t: open none 0" },
	{ STATUS("<show xmlns='jabber:server'>away</show>"), "t: open none 0" },
	{ STATUS("<show>away</show>"), "t: open none 0" },
	{ TUPLE("<status><basic>closed</basic><show xmlns='jabber:client'>away</show></status>"),
	  "t: closed none 0" },
	{ PIDF("<tuple id='t'><status><basic>open</basic><show "
	       "xmlns='jabber:client'>xa</show></status></tuple>"
	       "<dm:person id='p'><rpid:activities><rpid:busy/></rpid:activities></dm:person>"),
	  "t: open xa 0" },

	/* Activities. */
	{ PERSON("<rpid:activities/>"), "t: open none 0" },
	{ PERSON("<rpid:activities><rpid:away/></rpid:activities>"), "t: open away 0" },
	{ PERSON("<rpid:activities><rpid:busy/></rpid:activities>"), "t: open dnd 0" },
	{ PERSON("<rpid:activities><rpid:vacation/></rpid:activities>"), "t: open xa 0" },
	{ PERSON("<rpid:activities><rpid:other>away</rpid:other></rpid:activities>"), "t: open none 0" },
	{ PERSON("<rpid:activities><rpid:unknown/></rpid:activities>"), "t: open none 0" },
	{ PERSON("<rpid:activities><away xmlns='u'/></rpid:activities>"), "t: open none 0" },
	{ PERSON("<activities><away/></activities>"), "t: open none 0" },
	{ PERSON("<rpid:activities><rpid:meal/><rpid:on-the-phone/></rpid:activities>"), "t: open dnd 0" },
	{ PERSON("<rpid:activities><rpid:on-the-phone/></rpid:activities><rpid:activities><rpid:meal/>"
		 "</rpid:activities>"),
	  "t: open dnd 0" },
	{ PERSON("<rpid:user-input>idle</rpid:user-input>"), "t: open away 0" },
	{ PERSON("<rpid:user-input idle-threshold='600'>active</rpid:user-input>"), "t: open none 0" },
	{ STATUS("<ep:activities><ep:activity>away</ep:activity></ep:activities>"), "t: open away 0" },
	{ STATUS("<ep:activities><ep:activity>\nbusy\n</ep:activity></ep:activities>"), "t: open dnd 0" },
	{ STATUS("<ep:activities><ep:activity>open</ep:activity></ep:activities>"), "t: open none 0" },
	{ STATUS("<ep:activities><ep:activity/></ep:activities>"), "t: open none 0" },
	{ STATUS("<ep:activities><ep:meeting/></ep:activities>"), "t: open dnd 0" },
	{ STATUS("<rpid:activities><rpid:away/></rpid:activities>"), "t: open away 0" },
	{ TUPLE(OPEN "<rpid:activities><rpid:away/></rpid:activities>"), "t: open away 0" },
	{ PIDF("<tuple id='t'><status><basic>closed</basic></status></tuple>"
	       "<dm:person id='p'><rpid:activities><rpid:away/></rpid:activities></dm:person>"),
	  "t: closed none 0" },
	{ PIDF("<dm:person id='p'><rpid:activities><rpid:away/></rpid:activities></dm:person>"
	       "<tuple id='a'>" OPEN "<rpid:activities><rpid:busy/></rpid:activities></tuple>"
	       "<tuple id='b'>" OPEN "</tuple>"),
	  "a: open dnd 0; b: open away 0" },
	{ STATUS("<x:must xmlns:x='u' xmlns:i='" NS_PIDF
		 "' i:mustUnderstand='1'><basic>closed</basic></x:must>"),
	  "t: open none 0" },

	/* Notes. */
	{ TUPLE(OPEN "<note>here</note>"), "t: open none 0 'here'" },
	{ TUPLE(OPEN "<note xml:lang='de'>hier</note>"), "t: open none 0 'hier'@de" },
	{ TUPLE(OPEN "<note xml:lang='de'> </note><note xml:lang='en'>here</note><note>x</note>"),
	  "t: open none 0 'here'@en" },
	{ TUPLE(OPEN "<note xml:lang='not a language'>x</note>"), "t: open none 0 'x'" },
	{ TUPLE(OPEN "<note>a <b xmlns='u'>c</b></note>"), "t: open none 0 'a'" },
	{ PIDF("<tuple id='t' xml:lang='cs'>" OPEN "<note>tady</note></tuple>"), "t: open none 0 'tady'@cs" },
	{ PIDF("<tuple id='t'>" OPEN "</tuple><note xml:lang='en'>all day</note>"),
	  "t: open none 0 'all day'@en" },
	{ PERSON("<dm:note xml:lang='en'>out</dm:note>"), "t: open none 0 'out'@en" },
	{ PERSON("<rpid:activities><rpid:away/><rpid:note>at lunch</rpid:note></rpid:activities>"),
	  "t: open away 0 'at lunch'" },
	{ PIDF("<tuple id='a'>" OPEN "<note>of a</note></tuple><tuple id='b'>" OPEN "</tuple>"
	       "<note>of all</note><dm:person id='p'><dm:note>of p</dm:note></dm:person>"),
	  "a: open none 0 'of a'; b: open none 0 'of p'" },
	{ TUPLE("<status><basic>closed</basic></status><note>bye</note>"), "t: closed none 0 'bye'" },
};

static void test_pidf(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pidf_cases); i++)
		presence_expect(i, PIDF_TYPE, pidf_cases[i].bytes, NULL, pidf_cases[i].drawn);
}

/* RFC 4480 section 3.2, all of it. */
static const struct {
	const char *activity, *show;
} activity_cases[] = {
	{ "appointment", "dnd" },
	{ "away", "away" },
	{ "breakfast", "away" },
	{ "busy", "dnd" },
	{ "dinner", "away" },
	{ "holiday", "xa" },
	{ "in-transit", "away" },
	{ "looking-for-work", "none" },
	{ "lunch", "away" },
	{ "meal", "away" },
	{ "meeting", "dnd" },
	{ "on-the-phone", "dnd" },
	{ "other", "none" },
	{ "performance", "dnd" },
	{ "permanent-absence", "xa" },
	{ "playing", "none" },
	{ "presentation", "dnd" },
	{ "shopping", "away" },
	{ "sleeping", "xa" },
	{ "spectator", "none" },
	{ "steering", "dnd" },
	{ "travel", "away" },
	{ "tv", "none" },
	{ "unknown", "none" },
	{ "vacation", "xa" },
	{ "working", "none" },
	{ "worship", "dnd" },
};

static void test_activities(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(activity_cases); i++) {
		const char *name = activity_cases[i].activity;
		char *now = xasprintf(PERSON("<rpid:activities><rpid:%s/></rpid:activities>"), name);
		char *old = xasprintf(STATUS("<ep:activities><ep:activity>%s</ep:activity></ep:activities>"),
				      name);
		char *drawn = xasprintf("t: open %s 0", activity_cases[i].show);

		presence_expect(i, PIDF_TYPE, now, NULL, drawn);
		presence_expect(i, PIDF_TYPE, old, NULL, drawn);
		free(now);
		free(old);
		free(drawn);
	}
}

static void test_language_of_the_body(void **state)
{
	static const struct {
		const char *language, *bytes, *drawn;
	} cases[] = {
		{ "en", TUPLE(OPEN "<note>here</note>"), "t: open none 0 'here'@en" },
		{ "en", TUPLE(OPEN "<note xml:lang='de'>hier</note>"), "t: open none 0 'hier'@de" },
		{ "en, de", TUPLE(OPEN "<note>here</note>"), "t: open none 0 'here'" },
		{ "en", TUPLE(OPEN), "t: open none 0" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct presence_body body = { .type = PIDF_TYPE,
						    .language = cases[i].language,
						    .bytes = cases[i].bytes,
						    .size = strlen(cases[i].bytes) };
		struct presence_list l = { NULL, 0 };
		char *drawn;

		assert_int_equal(presence_read(&body, &l), OK);
		drawn = presence_list_draw(&l);
		assert_string_equal(drawn, cases[i].drawn);
		free(drawn);
		presence_list_clear(&l);
	}
}

static enum err read_tuples(size_t count)
{
	struct presence_list l = { NULL, 0 };
	struct strbuf b = { 0 };
	enum err e;

	strbuf_puts(&b, "<presence xmlns='" NS_PIDF "'>");
	for (size_t i = 0; i < count; i++)
		strbuf_printf(&b, "<tuple id='t%zu'>" OPEN "</tuple>", i);
	strbuf_puts(&b, "</presence>");
	e = presence_read_text(PIDF_TYPE, b.s, NULL, &l);
	if (e == OK)
		assert_int_equal(l.count, count);
	strbuf_free(&b);
	presence_list_clear(&l);
	return e;
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(read_tuples(PRESENCE_RESOURCES), OK);
	assert_int_equal(read_tuples(PRESENCE_RESOURCES + 1), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pidf),
		cmocka_unit_test(test_activities),
		cmocka_unit_test(test_language_of_the_body),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
