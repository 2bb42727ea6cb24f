/* test_map_pidf_write.c - PIDF, written (RFC 8048 section 6.2), and read again. */
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
	{ { { .available = false, .resource = S("09azAZ.-:@") } },
	  1,
	  "<tuple id='ID-09azAZ.-_3a_40'><status><basic>closed</basic></status></tuple>\n" },
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
		assert_int_equal(presence_read_text(PIDF_TYPE, b.s, NULL, &again), OK);
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
		assert_int_equal(presence_read_text(PIDF_TYPE, b.s, NULL, &again), OK);
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
	char note[PRESENCE_STATUS_MAX + 1] = "", resource[16];
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
	assert_int_equal(presence_read_text(PIDF_TYPE, b.s, NULL, &again), OK);
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
		cmocka_unit_test(test_write),      cmocka_unit_test(test_write_refused),
		cmocka_unit_test(test_priorities), cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
