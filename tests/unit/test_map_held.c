/* test_map_held.c - a MESSAGE between colleagues, as it is kept and as it leaves again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_held.h"

#define HTML "<html><body><b>where</b> are you</body></html>"
#define CPIM                                                                                                 \
	"From: <sip:tybalt@corp.test>\r\nTo: <sip:romeo@corp.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"   \
	"imdn.Message-ID: m1\r\nimdn.Disposition-Notification: negative-delivery\r\n\r\n"                    \
	"Content-Type: text/plain;charset=UTF-8\r\n\r\nwhere are you"
#define ALTERNATIVE                                                                                          \
	"--x\r\nContent-Type: text/plain\r\n\r\nwhere are you\r\n--x\r\nContent-Type: "                      \
	"text/html\r\n\r\n" HTML "\r\n--x--\r\n"
#define TYPING                                                                                               \
	"<isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>"
#define IMDN                                                                                                 \
	"<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>m1</message-id><delivery-notification>"       \
	"<status><delivered/></status></delivery-notification></imdn>"

static const struct map_held plain = {
	.call_id = "c1@192.0.2.1",
	.cseq = 7,
	.date = "Sat, 21 Nov 2026 13:53:51 GMT",
	.expires = -1,
	.content_type = "text/plain",
	.body = "where are you",
	.size = 13,
};

static void addresses(struct jid *from, struct jid *to)
{
	assert_int_equal(jid_parse("tybalt@corp.test/phone", from), OK);
	assert_int_equal(jid_parse("romeo@corp.test", to), OK);
}

static struct stanza *write(const struct map_held *m)
{
	struct stanza *stanza = NULL;
	struct jid from, to;

	addresses(&from, &to);
	assert_int_equal(map_held_write(&from, &to, m, &stanza), OK);
	return stanza;
}

/* What the spool gives back. */
static struct stanza *again(struct stanza *stanza)
{
	struct stanza *copy;

	assert_int_equal(stanza_parse(stanza->bytes, stanza->size, &copy), OK);
	stanza_unref(stanza);
	return copy;
}

static void assert_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static const struct {
	const char *type, *body, *sent_type, *sent; /* sent NULL: as it came */
	const char *shown;
} kept[] = {
	{ "text/plain", "where are you", "text/plain;charset=UTF-8", NULL, "where are you" },
	{ "Text/Plain; charset=iso-8859-1", "f\xFC\r\nr", "text/plain;charset=UTF-8", "f\xC3\xBC\nr",
	  "f\xC3\xBC\nr" },
	{ "text/html;charset=utf-8", HTML, "text/html;charset=utf-8", NULL, "where are you" },
	{ "message/cpim", CPIM, "message/cpim", NULL, "where are you" },
	{ "multipart/alternative;boundary=\"x\"", ALTERNATIVE, "multipart/alternative;boundary=\"x\"", NULL,
	  "where are you" },
};

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		struct map_held m = plain, out;
		const char *sent = kept[i].sent != NULL ? kept[i].sent : kept[i].body;
		struct stanza_tree *tree;
		struct stanza *stanza;

		m.content_type = kept[i].type;
		m.body = kept[i].body;
		m.size = strlen(m.body);
		m.subject = "a <subject>";
		m.name = "Tybalt & Co";
		m.language = "de";
		m.expires = 3600;
		stanza = again(write(&m));
		assert_string_equal(stanza->from, "tybalt@corp.test");
		assert_string_equal(stanza->to, "romeo@corp.test");
		assert_string_equal(stanza->id, "c1@192.0.2.1 7");
		assert_null(stanza->type);
		assert_int_equal(stanza_tree_build(stanza, &tree), OK);
		assert_string_equal(stanza_tree_text(tree, "body", NULL), kept[i].shown);
		stanza_tree_free(tree);

		assert_int_equal(map_held_read(stanza, &out), OK);
		assert_text(out.call_id, m.call_id);
		assert_text(out.name, m.name);
		assert_text(out.subject, m.subject);
		assert_text(out.language, m.language);
		assert_text(out.date, m.date);
		assert_int_equal(out.expires, 3600);
		assert_text(out.content_type, kept[i].sent_type);
		assert_int_equal(out.size, strlen(sent));
		assert_memory_equal(out.body, sent, out.size);
		map_held_free(&out);
		stanza_unref(stanza);
	}
}

static void test_absent(void **state)
{
	struct stanza *stanza = write(&plain);
	struct map_held out;

	(void)state;
	assert_int_equal(map_held_read(stanza, &out), OK);
	assert_null(out.name);
	assert_null(out.subject);
	assert_null(out.language);
	assert_int_equal(out.expires, -1);
	map_held_free(&out);
	stanza_unref(stanza);
}

static const struct {
	const char *type, *body;
	enum err e;
} refused[] = {
	{ "text/plain", "", ERR_REFUSED },
	{ "application/im-iscomposing+xml", TYPING, ERR_REFUSED },
	{ "message/imdn+xml", IMDN, ERR_REFUSED },
	{ "image/png", "\x89PNG", ERR_REFUSED },
	{ "", "where", ERR_REFUSED },
	{ "text/plain;charset=utf-8", "\xFF", ERR_SYNTAX },
	{ "text/plain", "bell \a", ERR_SYNTAX },
	{ "text/", "where", ERR_SYNTAX },
	{ "multipart/alternative;boundary=y", ALTERNATIVE, ERR_SYNTAX },
};

static void test_refused(void **state)
{
	struct jid from, to;

	(void)state;
	addresses(&from, &to);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct stanza *stanza = NULL;
		struct map_held m = plain;

		m.content_type = refused[i].type;
		m.body = refused[i].body;
		m.size = strlen(m.body);
		if (map_held_write(&from, &to, &m, &stanza) != refused[i].e)
			fail_msg("%s", refused[i].type);
		assert_null(stanza);
	}
}

static void test_unclean_fields(void **state)
{
	struct stanza *stanza = NULL;
	struct map_held m;
	struct jid from, to;

	(void)state;
	addresses(&from, &to);
	m = plain;
	m.call_id = "c\x01";
	assert_int_equal(map_held_write(&from, &to, &m, &stanza), ERR_SYNTAX);
	m = plain;
	m.subject = "\xEF\xBF\xBF";
	assert_int_equal(map_held_write(&from, &to, &m, &stanza), ERR_SYNTAX);
	m = plain;
	m.date = "\xC0\x80";
	assert_int_equal(map_held_write(&from, &to, &m, &stanza), ERR_SYNTAX);
	assert_null(stanza);
}

static const char *const damaged[] = {
	"<message from='a@b.test' to='c@b.test'/>",
	"<message from='a@b.test' to='c@b.test'><request xmlns='urn:poolbridge:sip'/></message>",
	"<message from='a@b.test' to='c@b.test'><body>x</body>"
	"<request xmlns='urn:poolbridge:sip' type='text/html'>###</request></message>",
	"<message from='a@b.test' to='c@b.test'><body>x</body>"
	"<request xmlns='urn:poolbridge:sip' expires='-1'/></message>",
	"<message from='a@b.test' to='c@b.test'><body>x</body>"
	"<request xmlns='urn:poolbridge:sip' expires='5x'/></message>",
	"<message from='a@b.test' to='c@b.test'><body>x</body>"
	"<request xmlns='urn:poolbridge:sip' expires=''/></message>",
};

static void test_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct map_held out;
		struct stanza *stanza;

		assert_int_equal(stanza_parse(damaged[i], strlen(damaged[i]), &stanza), OK);
		if (map_held_read(stanza, &out) != ERR_SYNTAX)
			fail_msg("%s", damaged[i]);
		stanza_unref(stanza);
	}
}

/* Its sender is told with his own words; a notice is not answered by another. */
static void test_notice(void **state)
{
	struct stanza *stanza = write(&plain), *notice = map_held_notice(stanza, "404 Not Found");
	struct map_held out;

	(void)state;
	assert_non_null(notice);
	notice = again(notice);
	assert_string_equal(notice->from, "romeo@corp.test");
	assert_string_equal(notice->to, "tybalt@corp.test");
	assert_true(stanza_has_type(notice, "error"));
	assert_int_equal(map_held_read(notice, &out), OK);
	assert_string_equal(out.call_id, plain.call_id);
	assert_string_equal(out.content_type, "text/plain;charset=UTF-8");
	assert_string_equal(out.body,
			    "This message could not be delivered (404 Not Found):\n\nwhere are you");
	map_held_free(&out);
	assert_null(map_held_notice(notice, "no way"));
	stanza_unref(notice);

	notice = map_held_notice(stanza, "\xFF");
	assert_int_equal(map_held_read(notice, &out), OK);
	assert_string_equal(out.body, "This message could not be delivered:\n\nwhere are you");
	map_held_free(&out);
	stanza_unref(notice);
	stanza_unref(stanza);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_absent),
		cmocka_unit_test(test_refused),    cmocka_unit_test(test_unclean_fields),
		cmocka_unit_test(test_damaged),    cmocka_unit_test(test_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
