/* test_map_pidf.c - presence documents: PIDF with RPID both ways, and what Microsoft's pools send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_presence_internal.h"
#include "tests/unit/presencetest.h"

static enum err read_text(const char *type, const char *bytes, const struct presence_list *known,
			  struct presence_list *out)
{
	const struct presence_body body = {
		.type = type, .bytes = bytes, .size = strlen(bytes), .known = known
	};

	return presence_read(&body, out);
}

static void expect(size_t at, const char *type, const char *bytes, const struct presence_list *known,
		   const char *expected)
{
	struct presence_list l = { NULL, 0 };
	enum err e = read_text(type, bytes, known, &l);
	char *drawn;

	if (e != OK)
		fail_msg("case %zu: %s", at, err_text(e));
	drawn = presence_list_draw(&l);
	if (strcmp(drawn, expected) != 0)
		fail_msg("case %zu: %s, not %s", at, drawn, expected);
	free(drawn);
	presence_list_clear(&l);
}

/* --- PIDF, read --- */

#define PIDF(inner)                                                                                          \
	"<?xml version='1.0' encoding='UTF-8'?>\n<presence xmlns='" NS_PIDF "' xmlns:dm='" NS_DATA_MODEL     \
	"' xmlns:rpid='" NS_RPID "' xmlns:ep='" NS_RPID_STATUS "' entity='sip:romeo@corp.test'>" inner       \
	"</presence>"
#define OPEN          "<status><basic>open</basic></status>"
#define TUPLE(inner)  PIDF("<tuple id='t'>" inner "</tuple>")
#define STATUS(inner) TUPLE("<status><basic>open</basic>" inner "</status>")
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
		expect(i, PIDF_TYPE, pidf_cases[i].bytes, NULL, pidf_cases[i].drawn);
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

		expect(i, PIDF_TYPE, now, NULL, drawn);
		expect(i, PIDF_TYPE, old, NULL, drawn);
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

/* --- Microsoft's forms --- */

#define MS_ATTRIBUTES "' description='' epid='e'/>"
#define MSRTC(availability, activity)                                                                        \
	"<presentity uri='romeo@corp.test' xmlns='http://schemas.microsoft.com/2002/09/sip/presence'>"       \
	"<availability aggregate='" availability MS_ATTRIBUTES                                               \
	"<activity aggregate='" activity MS_ATTRIBUTES "<displayName displayName='Romeo'/></presentity>"

static const struct {
	const char *bytes, *drawn;
} msrtc_cases[] = {
	{ MSRTC("0", "0"), "-: closed none 0" },
	{ MSRTC("99", "400"), "-: closed none 0" },
	{ MSRTC("100", "400"), "-: open none 0" },
	{ MSRTC("300", "0"), "-: open away 0" },
	{ MSRTC("300", "100"), "-: open away 0" },
	{ MSRTC("300", "149"), "-: open away 0" },
	{ MSRTC("300", "150"), "-: open away 0" },
	{ MSRTC("300", "200"), "-: open away 0" },
	{ MSRTC("300", "300"), "-: open away 0" },
	{ MSRTC("300", "399"), "-: open away 0" },
	{ MSRTC("300", "400"), "-: open none 0" },
	{ MSRTC("300", "499"), "-: open none 0" },
	{ MSRTC("300", "500"), "-: open dnd 0" },
	{ MSRTC("300", "600"), "-: open dnd 0" },
	{ MSRTC("300", "699"), "-: open dnd 0" },
	{ MSRTC("300", "700"), "-: open away 0" },
	{ MSRTC("300", "799"), "-: open away 0" },
	{ MSRTC("300", "800"), "-: open none 0" },
	{ MSRTC("300", "999999"), "-: open none 0" },
	{ MSRTC("300", "x"), "-: open none 0" },
	{ MSRTC("x", "400"), "-: closed none 0" },
	{ MSRTC("-300", "400"), "-: closed none 0" },
	{ MSRTC("4294967596", "400"), "-: closed none 0" },
	{ MSRTC("", ""), "-: closed none 0" },
	{ "<presentity uri='a@b'><availability aggregate='300'/><activity aggregate='600'/></presentity>",
	  "-: open dnd 0" },
	{ "<presentity uri='a@b'><availability aggregate='300'/></presentity>", "-: open none 0" },
	{ "<presentity uri='a@b'><activity aggregate='400'/></presentity>", "-: closed none 0" },
	{ "<presentity/>", "-: closed none 0" },
	{ "<presentity><x><availability aggregate='300'/></x></presentity>", "-: closed none 0" },
	{ "<presentity><availability aggregate='300'/><userInfo><note>In "
	  "Verona</note></userInfo></presentity>",
	  "-: open none 0 'In Verona'" },
};

static void test_msrtc(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(msrtc_cases); i++)
		expect(i, "text/xml+msrtc.pidf", msrtc_cases[i].bytes, NULL, msrtc_cases[i].drawn);
}

#define NS_STATE "http://schemas.microsoft.com/2006/09/sip/state"
#define CATEGORIES(inner)                                                                                    \
	"<categories xmlns='http://schemas.microsoft.com/2006/09/sip/categories' uri='sip:romeo@corp.test' " \
	"xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>" inner "</categories>"
#define STATE_OF(type, availability)                                                                         \
	"<state xmlns='" NS_STATE "' xsi:type='" type "'><availability>" availability                        \
	"</availability></state>"
#define STATE_CATEGORY(inner) "<category name='state' instance='1' publishTime=''>" inner "</category>"
#define AGGREGATE(n)          STATE_CATEGORY(STATE_OF("aggregateState", n))
#define NOTE_CATEGORY(inner)                                                                                 \
	"<category name='note' instance='0'><note "                                                          \
	"xmlns='http://schemas.microsoft.com/2006/09/sip/note'>" inner "</note></category>"

static const struct {
	unsigned availability;
	const char *drawn;
} range_cases[] = {
	{ 0, "-: open none 0" },       { 3500, "-: open none 0" },    { 4499, "-: open none 0" },
	{ 4500, "-: open away 0" },    { 5999, "-: open away 0" },    { 6000, "-: open dnd 0" },
	{ 7499, "-: open dnd 0" },     { 7500, "-: open dnd 0" },     { 8999, "-: open dnd 0" },
	{ 9000, "-: open dnd 0" },     { 11999, "-: open dnd 0" },    { 12000, "-: open away 0" },
	{ 14999, "-: open away 0" },   { 15000, "-: open away 0" },   { 17999, "-: open away 0" },
	{ 18000, "-: closed none 0" }, { 18500, "-: closed none 0" }, { 1000000, "-: closed none 0" },
};

static void test_availability_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(range_cases); i++) {
		char *bytes = xasprintf(CATEGORIES(AGGREGATE("%u")), range_cases[i].availability);

		expect(i, "application/msrtc-event-categories+xml", bytes, NULL, range_cases[i].drawn);
		free(bytes);
	}
}

static const struct {
	bool known; /* open, dnd, 'In Verona' is known */
	const char *bytes, *drawn;
} category_cases[] = {
	{ false, CATEGORIES(AGGREGATE("3500") NOTE_CATEGORY("<body type='personal' uri=''>In Verona</body>")),
	  "-: open none 0 'In Verona'" },
	{ false,
	  CATEGORIES(STATE_CATEGORY(STATE_OF("userState", "3500") STATE_OF("aggregateState", "6500")
					    STATE_OF("machineState", "18500"))),
	  "-: open dnd 0" },
	{ false,
	  CATEGORIES(STATE_CATEGORY(STATE_OF("userState", "3500"))
			     STATE_CATEGORY(STATE_OF("machineState", "15500"))),
	  "-: open away 0" },
	{ false,
	  CATEGORIES(STATE_CATEGORY(STATE_OF("s:aggregateState", "6500") STATE_OF("userState", "3500"))),
	  "-: open dnd 0" },
	{ false, CATEGORIES(STATE_CATEGORY(STATE_OF("aggregateState", "later"))), "-: closed none 0" },
	{ false, CATEGORIES(STATE_CATEGORY(STATE_OF("aggregateState", "-1"))), "-: closed none 0" },
	{ false, CATEGORIES(STATE_CATEGORY("")), "-: closed none 0" },
	{ false, CATEGORIES(STATE_CATEGORY("<state><availability>3500</availability></state>")),
	  "-: closed none 0" },
	{ false, CATEGORIES("<category/><category name='contactCard'/>"), "" },
	{ false, CATEGORIES(""), "" },
	{ false, CATEGORIES(NOTE_CATEGORY("<body type='personal'>In Verona</body>")), "" },
	{ false, CATEGORIES(AGGREGATE("3500") NOTE_CATEGORY("<body type='OOF'> </body><body>here</body>")),
	  "-: open none 0 'here'" },

	/* Part of what is known. */
	{ true, CATEGORIES(AGGREGATE("3500")), "-: open none 0 'In Verona'@it" },
	{ true, CATEGORIES(STATE_CATEGORY("")), "-: closed none 0 'In Verona'@it" },
	{ true, CATEGORIES(NOTE_CATEGORY("<body>In Mantua</body>")), "-: open dnd 0 'In Mantua'" },
	{ true, CATEGORIES(NOTE_CATEGORY("")), "-: open dnd 0" },
	{ true, CATEGORIES("<category name='note' instance='0'/>"), "-: open dnd 0" },
	{ true, CATEGORIES(""), "-: open dnd 0 'In Verona'@it" },
};

static void test_categories(void **state)
{
	struct presence before = { .available = true, .show = SHOW_DND };
	struct presence_list known = { &before, 1 };
	(void)state;

	presence_set_status(&before, "In Verona", "it");
	for (size_t i = 0; i < ARRAY_SIZE(category_cases); i++)
		expect(i, "application/msrtc-event-categories+xml", category_cases[i].bytes,
		       category_cases[i].known ? &known : NULL, category_cases[i].drawn);
	presence_clear(&before);
}

/* --- what cannot be read --- */

static const struct {
	const char *type, *bytes;
	enum err e;
} refused[] = {
	{ NULL, TUPLE(OPEN), ERR_NOT_FOUND },
	{ "", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/xpidf+xml", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/pidf", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/pidf+xmlx", TUPLE(OPEN), ERR_NOT_FOUND },
	{ PIDF_TYPE, "<presence/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<tuple xmlns='" NS_PIDF "'/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<presentity/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<pidf-full xmlns='urn:ietf:params:xml:ns:pidf-diff'/>", ERR_NOT_FOUND },
	{ "text/xml+msrtc.pidf", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "text/xml+msrtc.pidf", "<presentity xmlns='u'/>", ERR_NOT_FOUND },
	{ "application/msrtc-event-categories+xml", "<categories/>", ERR_NOT_FOUND },
	{ "application/pidf+xml;charset=iso-8859-1", TUPLE(OPEN "<note>\xFC</note>"), ERR_SYNTAX },
	{ PIDF_TYPE, "", ERR_SYNTAX },
	{ PIDF_TYPE, "open", ERR_SYNTAX },
	{ PIDF_TYPE, "<presence xmlns='" NS_PIDF "'><tuple id='t'>" OPEN, ERR_SYNTAX },
	{ PIDF_TYPE, TUPLE(OPEN) TUPLE(OPEN), ERR_SYNTAX },
	{ PIDF_TYPE, TUPLE(OPEN "<note>\xFF</note>"), ERR_SYNTAX },
	{ PIDF_TYPE, TUPLE(OPEN "<note>&nbsp;</note>"), ERR_SYNTAX },
	{ PIDF_TYPE, "<!DOCTYPE presence><presence xmlns='" NS_PIDF "'/>", ERR_SYNTAX },
	{ PIDF_TYPE,
	  "<!DOCTYPE p [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><presence xmlns='" NS_PIDF
	  "'><note>&b;</note></presence>",
	  ERR_SYNTAX },
	{ PIDF_TYPE, "<?xml version='1.0' encoding='UTF-16'?><presence xmlns='" NS_PIDF "'/>", ERR_SYNTAX },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct presence_list l = { NULL, 7 };
		enum err e = read_text(refused[i].type, refused[i].bytes, NULL, &l);

		if (e != refused[i].e)
			fail_msg("case %zu: %s", i, err_text(e));
		assert_true(l.items == NULL && l.count == 7);
	}
}

static void test_types(void **state)
{
	static const char *const types[] = {
		"application/pidf+xml",
		"Application/PIDF+XML",
		" application/pidf+xml ;charset=\"UTF-8\"",
		"application/pidf+xml; x=y; CHARSET=utf-8",
		"application/pidf+xml;charset=us-ascii",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		expect(i, types[i], TUPLE(OPEN), NULL, "t: open none 0");
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
	e = read_text(PIDF_TYPE, b.s, NULL, &l);
	if (e == OK)
		assert_int_equal(l.count, count);
	strbuf_free(&b);
	presence_list_clear(&l);
	return e;
}

static void test_limits(void **state)
{
	struct presence_list l = { NULL, 0 };
	struct strbuf b = { 0 };
	(void)state;

	assert_int_equal(read_tuples(PRESENCE_RESOURCES), OK);
	assert_int_equal(read_tuples(PRESENCE_RESOURCES + 1), ERR_LIMIT);
	for (size_t i = 0; i < XMLTREE_BYTES; i++)
		strbuf_putc(&b, ' ');
	strbuf_puts(&b, "<presence xmlns='" NS_PIDF "'/>");
	assert_int_equal(read_text(PIDF_TYPE, b.s, NULL, &l), ERR_LIMIT);
	strbuf_free(&b);
}

/* --- PIDF, written --- */

#define ENTITY "sip:juliet@partner.test"
#define HEAD                                                                                                 \
	"<?xml version='1.0' encoding='UTF-8'?>\n<presence xmlns='" NS_PIDF "' xmlns:dm='" NS_DATA_MODEL     \
	"' xmlns:rpid='" NS_RPID "' xmlns:ep='" NS_RPID_STATUS "' entity='" ENTITY "'>\n"
#define OLD(activity) "<ep:activities><ep:activity>" activity "</ep:activity></ep:activities>"
#define XMPP(show)    "<show xmlns='jabber:client'>" show "</show>"
#define CONTACT(p)    "<contact priority='" p "'>" ENTITY "</contact>"
#define NOW(activity)                                                                                        \
	"<dm:person id='person'><rpid:activities><rpid:" activity "/></rpid:activities></dm:person>\n"
#define S(text) (char *)text

static const struct {
	struct presence items[3];
	size_t count;
	const char *written; /* between the head and the end */
} write_cases[] = {
	{ { { 0 } }, 0, "<tuple id='ID-'><status><basic>closed</basic></status></tuple>\n" },
	{ { { .available = false, .resource = S("balcony") } },
	  1,
	  "<tuple id='ID-balcony'><status><basic>closed</basic></status></tuple>\n" },
	{ { { true, SHOW_NONE, 0, NULL, NULL, S("balcony") } },
	  1,
	  "<tuple id='ID-balcony'><status><basic>open</basic></status>" CONTACT("0") "</tuple>\n" },
	{ { { true, SHOW_AWAY, 5, S("on the balcony"), S("en"), S("balcony") } },
	  1,
	  "<tuple id='ID-balcony'><status><basic>open</basic>" OLD("away") XMPP("away") "</status>" CONTACT(
		  "0.039") "<note xml:lang='en'>on the balcony</note></tuple>\n" NOW("away") },
	{ { { true, SHOW_XA, 127, NULL, NULL, NULL } },
	  1,
	  "<tuple id='ID-'><status><basic>open</basic>" OLD("away")
		  XMPP("xa") "</status>" CONTACT("1") "</tuple>\n" NOW("away") },
	{ { { true, SHOW_DND, -1, NULL, NULL, S("a b/c_") } },
	  1,
	  "<tuple id='ID-a_20b_2fc_5f'><status><basic>open</basic>" OLD("busy")
		  XMPP("dnd") "</status></tuple>\n" NOW("busy") },
	{ { { true, SHOW_CHAT, 126, S("<&>"), NULL, S("r") } },
	  1,
	  "<tuple id='ID-r'><status><basic>open</basic>" XMPP("chat") "</status>" CONTACT(
		  "0.992") "<note>&lt;&amp;&gt;</note></tuple>\n" },
	/* The preferred one first, whatever the order in the list; the person does what it does. */
	{ { { false, SHOW_NONE, 0, S("bye"), NULL, S("a") },
	    { true, SHOW_DND, 1, NULL, NULL, S("b") },
	    { true, SHOW_AWAY, 0, NULL, NULL, S("c") } },
	  3,
	  "<tuple id='ID-c'><status><basic>open</basic>" OLD("away") XMPP("away") "</status>" CONTACT(
		  "0") "</tuple>\n"
		       "<tuple id='ID-b'><status><basic>open</basic>" OLD("busy")
			       XMPP("dnd") "</status>" CONTACT(
				       "0.007") "</tuple>\n"
						"<tuple "
						"id='ID-a'><status><basic>closed</basic></status><note>bye</"
						"note></tuple>\n" NOW("away") },
};

static void test_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(write_cases); i++) {
		struct presence items[3];
		struct presence_list l = { items, write_cases[i].count };
		struct strbuf expected = { 0 }, b = { 0 };

		memcpy(items, write_cases[i].items, sizeof(items));
		strbuf_printf(&expected, HEAD "%s</presence>\n", write_cases[i].written);
		assert_int_equal(pidf_write(&l, ENTITY, &b), OK);
		assert_string_equal(b.s, expected.s);
		strbuf_free(&expected);
		strbuf_free(&b);
	}
}

static void test_write_refused(void **state)
{
	struct presence p = { .available = true };
	struct presence_list l = { &p, 1 };
	struct strbuf b = { 0 };
	(void)state;

	assert_int_equal(pidf_write(&l, "sip:\x01", &b), ERR_SYNTAX);
	p.status = S("\xFF");
	assert_int_equal(pidf_write(&l, ENTITY, &b), ERR_SYNTAX);
	p.status = S("x");
	p.lang = S("\x02");
	assert_int_equal(pidf_write(&l, ENTITY, &b), ERR_SYNTAX);
	assert_int_equal(b.len, 0);
	strbuf_free(&b);
}

/* RFC 8048 section 6.2, note 6: 0 to 0, 127 to 1, between them all different, and back as they were. */
static void test_priorities(void **state)
{
	unsigned before = 0;
	(void)state;

	for (int priority = 0; priority <= PRIORITY_MAX; priority++) {
		struct presence p = { .available = true, .priority = priority };
		struct presence_list l = { &p, 1 }, again = { NULL, 0 };
		struct strbuf b = { 0 };
		const char *at;
		unsigned thousandths;

		assert_int_equal(pidf_write(&l, ENTITY, &b), OK);
		at = strstr(b.s, "priority='") + strlen("priority='");
		thousandths =
			at[1] == '.' ? (unsigned)strtoul(at + 2, NULL, 10) : (unsigned)(at[0] - '0') * 1000;
		assert_int_equal(thousandths, priority * 1000 / 127);
		assert_true(priority == 0 || thousandths > before);
		before = thousandths;
		assert_int_equal(read_text(PIDF_TYPE, b.s, NULL, &again), OK);
		assert_int_equal(again.items[0].priority, priority);
		presence_list_clear(&again);
		strbuf_free(&b);
	}
	assert_int_equal(before, 1000);
}

/* --- there and back --- */

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16 & 0x7FFF;
}

static const char *pick(unsigned *seed, const char *const *from, size_t count)
{
	return from[next(seed) % count];
}

/* A list as the readers make them. */
static void make_list(unsigned *seed, struct presence_list *l)
{
	static const char *const resources[] = { NULL,       "balcony", "a b",    "a_20b", "_",     "ID-x",
						 "\xC3\xBC", "1/2@3",   "<&'\">", "_5f",   "x.y-z", "x_y" };
	static const char *const notes[] = {
		NULL, "x", "a\nb", "a\r\nb", "<&>\"'", "]]>", "\xF0\x9F\x8D\xB7"
	};
	static const char *const langs[] = { NULL, "en", "de-CH-1996" };
	unsigned count = next(seed) % 6;

	for (unsigned i = 0; i < count; i++) {
		struct presence p = { .available = next(seed) % 4 != 0 };
		const char *resource = pick(seed, resources, ARRAY_SIZE(resources));
		const char *note = pick(seed, notes, ARRAY_SIZE(notes));

		if (p.available) {
			p.show = (enum presence_show)(next(seed) % 5);
			p.priority = (int)(next(seed) % 128);
		}
		if (resource != NULL)
			assert_true(presence_set_resource(&p, resource));
		if (note != NULL)
			presence_set_status(&p, note, pick(seed, langs, ARRAY_SIZE(langs)));
		assert_int_equal(presence_list_put(l, &p), OK);
		presence_clear(&p);
	}
}

static void test_there_and_back(void **state)
{
	unsigned seed = 1;
	(void)state;

	for (int i = 0; i < 5000; i++) {
		struct presence_list l = { NULL, 0 }, reversed = { NULL, 0 }, again = { NULL, 0 };
		struct strbuf b = { 0 }, other = { 0 };

		make_list(&seed, &l);
		assert_int_equal(pidf_write(&l, ENTITY, &b), OK);
		for (size_t j = l.count; j > 0; j--)
			assert_int_equal(presence_list_put(&reversed, &l.items[j - 1]), OK);
		assert_int_equal(pidf_write(&reversed, ENTITY, &other), OK);
		assert_string_equal(b.s, other.s);
		assert_int_equal(read_text(PIDF_TYPE, b.s, NULL, &again), OK);
		if (l.count > 0 && !presence_list_equal(&l, &again))
			fail_msg("%s", b.s);
		strbuf_free(&b);
		strbuf_free(&other);
		presence_list_clear(&l);
		presence_list_clear(&reversed);
		presence_list_clear(&again);
	}
}

/* A partner with many resources and much to say gets the preferred ones through. */
static void test_size(void **state)
{
	struct presence_list l = { NULL, 0 }, again = { NULL, 0 };
	char note[PRESENCE_STATUS_MAX + 1] = "", resource[8];
	struct strbuf b = { 0 };
	(void)state;

	memset(note, '"', PRESENCE_STATUS_MAX);
	for (int i = 0; i < PRESENCE_RESOURCES; i++) {
		struct presence p = { true, SHOW_NONE, i, note, NULL, resource };

		snprintf(resource, sizeof(resource), "r%d", i);
		assert_int_equal(presence_list_put(&l, &p), OK);
	}
	assert_int_equal(pidf_write(&l, ENTITY, &b), OK);
	assert_in_range(b.len, PIDF_BYTES - 6 * PRESENCE_STATUS_MAX, PIDF_BYTES + 100);
	assert_int_equal(read_text(PIDF_TYPE, b.s, NULL, &again), OK);
	assert_in_range(again.count, 2, PRESENCE_RESOURCES - 1);
	for (size_t i = 0; i < again.count; i++)
		assert_int_equal(again.items[i].priority, PRESENCE_RESOURCES - 1 - (int)i);
	presence_list_clear(&l);
	presence_list_clear(&again);
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pidf),
		cmocka_unit_test(test_activities),
		cmocka_unit_test(test_language_of_the_body),
		cmocka_unit_test(test_msrtc),
		cmocka_unit_test(test_availability_ranges),
		cmocka_unit_test(test_categories),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_refused),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
