/*
 * Mapping: an address that has a form on the other side comes back as itself,
 * so no two meet in one; a body that becomes a stanza is in it, whole, and so
 * is what is said beside it.
 * The first byte chooses what the rest is taken for.
 */
#include "bridge/gateway/map.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static bool same(const struct jid *a, const struct jid *b)
{
	return strcmp(a->local, b->local) == 0 && strcmp(a->domain, b->domain) == 0 &&
	       strcmp(a->resource, b->resource) == 0;
}

/* By the wire and back. */
static void check_return(const struct jid *jid)
{
	struct sip_address a, read;
	char uri[SIP_URI_SIZE];
	struct jid again;

	if (map_jid_to_sip(jid, &a) != OK || sip_address_format(&a, uri) != OK)
		return;
	CHECK(sip_address_parse(uri, &read) == OK);
	CHECK(map_sip_to_jid(&read, &again) == OK);
	CHECK(same(jid, &again));
}

static void check_jid(const char *text)
{
	char uri[MAP_URI_SIZE];
	struct jid jid;

	if (jid_parse(text, &jid) != OK)
		return;
	check_return(&jid);
	map_jid_to_uri(&jid, uri);
	CHECK(strlen(uri) < sizeof(uri));
}

/* Whoever has an address here can be answered. */
static void check_sip(const char *text)
{
	struct sip_address a;
	struct jid jid;

	if (sip_address_parse(text, &a) != OK || map_sip_to_jid(&a, &jid) != OK)
		return;
	CHECK(!a.secure);
	CHECK(map_jid_to_sip(&jid, &a) == OK);
	check_return(&jid);
}

static void check_escapes(const char *text)
{
	char local[JID_PART_MAX + 1], again[JID_PART_MAX + 1];

	if (map_escape_local(text, local, sizeof(local)) != OK)
		return;
	CHECK(strpbrk(local, "\"&'/:<>@ ") == NULL);
	CHECK(map_unescape_local(local, again, sizeof(again)) == OK);
	CHECK(strcmp(text, again) == 0);
}

/* Beside the text: what was put in is read out. */
static void check_signals(const struct map_message *m, struct stanza_tree *tree)
{
	struct map_signals signals;

	map_signals_read(tree, &signals);
	CHECK(signals.chat_state == m->chat_state && signals.receipt_request == m->receipt_request);
	CHECK(strcmp(signals.received_id, m->received_id) == 0);
	CHECK(m->nick[0] == '\0' ? signals.nick == NULL : strcmp(signals.nick, m->nick) == 0);
}

static void check_message(const char *text, size_t size)
{
	const struct map_message m = { .from = "a@b.test",
				       .to = "c@d.test",
				       .id = "1",
				       .thread = "t",
				       .lang = text,
				       .body = text,
				       .body_size = size,
				       .chat_state = (enum chat_state)(size % (CHAT_STATE_GONE + 1)),
				       .receipt_request = size % 2 == 0,
				       .received_id = text,
				       .nick = text };
	struct stanza_tree *tree;
	struct stanza *stanza;
	const char *body;

	if (map_message_to_stanza(&m, &stanza) != OK)
		return;
	CHECK(stanza_tree_build(stanza, &tree) == OK);
	body = stanza_tree_text(tree, "body", NULL);
	CHECK(body != NULL || size == 0);
	for (size_t i = 0; i < size; i++) {
		i += text[i] == '\r' && text[i + 1] == '\n';
		CHECK(*body++ == text[i]);
	}
	CHECK(size == 0 || *body == '\0');
	check_signals(&m, tree);
	stanza_tree_free(tree);
	stanza_unref(stanza);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, call_id[64];

	if (size == 0)
		return 0;
	text = malloc(size);
	CHECK(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 4) {
	case 0:
		check_jid(text);
		break;
	case 1:
		check_sip(text);
		break;
	case 2:
		check_escapes(text);
		break;
	default:
		check_message(text, size - 1);
		break;
	}
	if (map_thread_to_call_id(text, call_id, sizeof(call_id)))
		CHECK(strpbrk(call_id, " \r\n\t;,") == NULL && call_id[0] != '\0');
	free(text);
	return 0;
}
