/* XEP-0114: the handshake's hash, and stanzas as they stand on a component's stream. */
#include "bridge/xmpp/component.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *id, *secret, *proof;
} vectors[] = {
	/* XEP-0114 section 3, whose secret is "test". */
	{ "3BF96D32", "test", "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e" },
	{ "3BF96D32", "secret", "b09ea9b3b7f586be8a08d0a3dd7466f110aeb136" },
	/* Bytes, not characters: the secret is UTF-8. */
	{ "id",
	  "s\xC3\xA9"
	  "cret",
	  "1ec1572bb01454c71a2613a8d5fee9138d6a78fb" },
	{ "", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
};

static void test_handshake(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char proof[COMPONENT_HANDSHAKE_SIZE];

		component_handshake(vectors[i].id, vectors[i].secret, proof);
		assert_string_equal(proof, vectors[i].proof);
	}
}

static struct stanza *make(const char *bytes)
{
	const struct xml_element e = { .ns = NS_SERVER,
				       .name = "message",
				       .from = "a@b.test",
				       .to = "c@d.test",
				       .bytes = bytes,
				       .size = strlen(bytes) };
	struct stanza *s = NULL;

	assert_int_equal(stanza_from_element(&e, &s), OK);
	return s;
}

#define TO " from='a@b.test' to='c@d.test'"

static const struct {
	const char *what, *bytes, *sent; /* NULL: refused */
} rows[] = {
	{ "nothing declared", "<message" TO "><body>xml</body></message>",
	  "<message" TO "><body>xml</body></message>" },
	{ "another namespace", "<message" TO "><x xmlns='urn:x'/></message>",
	  "<message" TO "><x xmlns='urn:x'/></message>" },
	{ "as Prosody writes it", "<message xmlns='jabber:server'" TO "><body>1</body></message>",
	  "<message xmlns='jabber:component:accept'" TO "><body>1</body></message>" },
	{ "in the text it is text", "<message" TO "><body>xmlns='jabber:server'</body></message>",
	  "<message" TO "><body>xmlns='jabber:server'</body></message>" },
	{ "a forwarded one stays",
	  "<message" TO "><f xmlns='urn:f'><message xmlns='jabber:server'/></f></message>",
	  "<message" TO "><f xmlns='urn:f'><message xmlns='jabber:server'/></f></message>" },
	{ "a prefix could smuggle", "<message" TO "><c:body xmlns:c='jabber:component:accept'/></message>",
	  NULL },
};

static void test_stanza(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stanza *s = make(rows[i].bytes), *sent = NULL;
		enum err e = component_stanza(s, &sent);

		if ((e == OK) != (rows[i].sent != NULL) || (e != OK && sent != NULL))
			fail_msg("%s: %s", rows[i].what, err_text(e));
		if (e == OK) {
			if (sent->size != strlen(rows[i].sent) ||
			    memcmp(sent->bytes, rows[i].sent, sent->size) != 0)
				fail_msg("%s: %.*s", rows[i].what, (int)sent->size, sent->bytes);
			assert_int_equal(sent->kind, STANZA_MESSAGE);
		}
		stanza_unref(sent);
		stanza_unref(s);
	}
}

/* What routing needs is carried over. */
static void test_fields(void **state)
{
	struct stanza *
		s = make("<message xmlns='jabber:server' from='a@b.test' to='c@d.test' id='1' type='chat'/>"),
	       *sent = NULL;

	(void)state;
	assert_int_equal(component_stanza(s, &sent), OK);
	assert_string_equal(sent->from, "a@b.test");
	assert_string_equal(sent->to, "c@d.test");
	assert_string_equal(sent->id, "1");
	assert_string_equal(sent->type, "chat");
	stanza_unref(sent);
	stanza_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_stanza),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
