/* test_map_presence_body.c - bodies of SIP requests: Microsoft's forms of presence, what is wrapped, and what is no presence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_presence_internal.h"
#include "tests/unit/presencetest.h"

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
		presence_expect(i, "text/xml+msrtc.pidf", msrtc_cases[i].bytes, NULL, msrtc_cases[i].drawn);
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

		presence_expect(i, "application/msrtc-event-categories+xml", bytes, NULL,
				range_cases[i].drawn);
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
	{ false,
	  CATEGORIES(STATE_CATEGORY(
		  "<state xmlns='" NS_STATE "'><availability>15500</availability></state>" STATE_OF(
			  "aggregateState", "6500") "<state xmlns='" NS_STATE
						    "'><availability>15500</availability></state>")),
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
		presence_expect(i, "application/msrtc-event-categories+xml", category_cases[i].bytes,
				category_cases[i].known ? &known : NULL, category_cases[i].drawn);
	presence_clear(&before);
}

/* --- what cannot be read --- */

static const struct {
	const char *type, *bytes;
	enum err e;
} refused[] = {
	{ NULL, TUPLE(OPEN), ERR_NOT_FOUND },
	{ "", TUPLE(OPEN), ERR_SYNTAX },
	{ "application/xpidf+xml", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "pidf", TUPLE(OPEN), ERR_SYNTAX },
	{ "application/pidf", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/pidf+xmlx", TUPLE(OPEN), ERR_NOT_FOUND },
	{ PIDF_TYPE, "<presence/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<tuple xmlns='" NS_PIDF "'/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<presentity/>", ERR_NOT_FOUND },
	{ PIDF_TYPE, "<pidf-full xmlns='urn:ietf:params:xml:ns:pidf-diff'/>", ERR_NOT_FOUND },
	{ "text/xml+msrtc.pidf", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "text/xml+msrtc.pidf", "<presentity xmlns='u'/>", ERR_NOT_FOUND },
	{ "application/msrtc-event-categories+xml", "<categories/>", ERR_NOT_FOUND },
	{ "application/pidf+xml;charset=iso-8859-1", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/pidf+xml;charset=utf-16", TUPLE(OPEN), ERR_NOT_FOUND },
	{ "application/pidf+xml;charset=utf-8;charset=utf-8", TUPLE(OPEN), ERR_SYNTAX },
	{ "application/pidf+xml x", TUPLE(OPEN), ERR_SYNTAX },
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
		enum err e = presence_read_text(refused[i].type, refused[i].bytes, NULL, &l);

		if (e != refused[i].e)
			fail_msg("case %zu: %s", i, err_text(e));
		assert_true(l.items == NULL && l.count == 7);
	}
}

/* --- wrapped --- */

#define PART(type, bytes) "--b\r\nContent-Type: " type "\r\nContent-ID: <1@corp.test>\r\n\r\n" bytes "\r\n"
#define RLMI              PART("application/rlmi+xml", "<list xmlns='urn:ietf:params:xml:ns:rlmi' uri='sip:l@corp.test'/>")
#define MULTIPART         "multipart/related;type=\"application/rlmi+xml\";boundary=b"

static const struct {
	const char *type, *bytes;
	enum err e;
	const char *drawn;
} wrapped[] = {
	{ MULTIPART, RLMI PART(PIDF_TYPE, TUPLE(OPEN)) "--b--\r\n", OK, "t: open none 0" },
	{ MULTIPART, RLMI PART("text/xml+msrtc.pidf", MSRTC("300", "600")) "--b--\r\n", OK, "-: open dnd 0" },
	{ "multipart/mixed; boundary=\"b\"", PART("text/plain", "hello") PART(PIDF_TYPE, TUPLE(OPEN)) "--b--",
	  OK, "t: open none 0" },
	{ MULTIPART, PART(PIDF_TYPE, "<presence>") PART(PIDF_TYPE, TUPLE(OPEN)) "--b--", OK,
	  "t: open none 0" },
	{ MULTIPART,
	  PART("multipart/related;boundary=c",
	       "--c\r\nContent-Type: " PIDF_TYPE "\r\n\r\n" TUPLE(OPEN) "\r\n--c--") "--b--",
	  OK, "t: open none 0" },
	{ MULTIPART,
	  "--b\r\nContent-Type: " PIDF_TYPE "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	  "<presence xmlns=3D'" NS_PIDF "'/>\r\n--b--",
	  OK, "" },
	{ MULTIPART, RLMI "--b--\r\n", ERR_NOT_FOUND, NULL },
	{ MULTIPART, "--b\r\n\r\nhello\r\n--b--", ERR_NOT_FOUND, NULL },
	{ MULTIPART, RLMI PART(PIDF_TYPE, "<presence>") "--b--", ERR_SYNTAX, NULL },
	{ MULTIPART, RLMI, ERR_SYNTAX, NULL },
	{ MULTIPART, "", ERR_SYNTAX, NULL },
	{ MULTIPART, TUPLE(OPEN), ERR_SYNTAX, NULL },
	{ "multipart/related", RLMI "--b--", ERR_SYNTAX, NULL },
	{ "multipart/related;boundary=''", RLMI "--b--", ERR_SYNTAX, NULL },
	{ MULTIPART ";boundary=c", RLMI "--b--", ERR_SYNTAX, NULL },
};

static void test_wrapped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrapped); i++) {
		struct presence_list l = { NULL, 7 };

		if (wrapped[i].e == OK) {
			presence_expect(i, wrapped[i].type, wrapped[i].bytes, NULL, wrapped[i].drawn);
			continue;
		}
		if (presence_read_text(wrapped[i].type, wrapped[i].bytes, NULL, &l) != wrapped[i].e)
			fail_msg("case %zu", i);
		assert_true(l.items == NULL && l.count == 7);
	}
}

/* Multiparts within multiparts, a PIDF document in the innermost. */
static enum err read_nested(unsigned depth)
{
	char *type = xstrdup(PIDF_TYPE), *bytes = xstrdup(TUPLE(OPEN)), *outer;
	struct presence_list l = { NULL, 0 };
	enum err e;

	for (unsigned i = 0; i < depth; i++) {
		outer = xasprintf("--n%u\r\nContent-Type: %s\r\n\r\n%s\r\n--n%u--\r\n", i, type, bytes, i);
		free(bytes);
		free(type);
		bytes = outer;
		type = xasprintf("multipart/mixed;boundary=n%u", i);
	}
	e = presence_read_text(type, bytes, NULL, &l);
	presence_list_clear(&l);
	free(bytes);
	free(type);
	return e;
}

static void test_wrapped_limits(void **state)
{
	struct strbuf b = { 0 };
	struct presence_list l = { NULL, 0 };
	(void)state;

	assert_int_equal(read_nested(3), OK);
	assert_int_equal(read_nested(4), ERR_NOT_FOUND);
	for (int i = 0; i < 16; i++)
		strbuf_puts(&b, PART("text/plain", "x"));
	strbuf_puts(&b, PART(PIDF_TYPE, TUPLE(OPEN)) "--b--");
	assert_int_equal(presence_read_text(MULTIPART, b.s, NULL, &l), ERR_NOT_FOUND);
	strbuf_reset(&b);
	for (int i = 0; i < XMLTREE_BYTES; i++)
		strbuf_putc(&b, '\n');
	strbuf_puts(&b, PART(PIDF_TYPE, TUPLE(OPEN)) "--b--");
	assert_int_equal(presence_read_text(MULTIPART, b.s, NULL, &l), ERR_LIMIT);
	strbuf_free(&b);
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
		presence_expect(i, types[i], TUPLE(OPEN), NULL, "t: open none 0");
}

static void test_size(void **state)
{
	struct presence_list l = { NULL, 0 };
	struct strbuf b = { 0 };
	(void)state;

	for (size_t i = 0; i < XMLTREE_BYTES; i++)
		strbuf_putc(&b, ' ');
	strbuf_puts(&b, "<presence xmlns='" NS_PIDF "'/>");
	assert_int_equal(presence_read_text(PIDF_TYPE, b.s, NULL, &l), ERR_LIMIT);
	strbuf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msrtc),      cmocka_unit_test(test_availability_ranges),
		cmocka_unit_test(test_categories), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wrapped),    cmocka_unit_test(test_wrapped_limits),
		cmocka_unit_test(test_types),      cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
