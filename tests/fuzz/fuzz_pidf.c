/*
 * Presence documents and stanzas: what is read keeps the promises of its header,
 * and is the same after it was written as PIDF, or as a stanza, and read again.
 * The first byte chooses the form.
 */
#include "bridge/gateway/map_presence.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map.h"
#include "bridge/xmpp/jid.h"
#include "tests/fuzz/fuzz.h"

#define ENTITY "sip:juliet@partner.test"

static void check_text(const char *text)
{
	static const char blanks[] = " \t\r\n";

	if (text == NULL)
		return;
	CHECK(utf8_is_xml(text, strlen(text)));
	CHECK(text[0] != '\0' && strlen(text) <= PRESENCE_STATUS_MAX);
	CHECK(strchr(blanks, text[0]) == NULL && strchr(blanks, text[strlen(text) - 1]) == NULL);
}

static void check_resource(const char *resource)
{
	char *address;
	struct jid jid;

	if (resource == NULL)
		return;
	address = xasprintf("juliet@partner.test/%s", resource);
	CHECK(jid_parse(address, &jid) == OK);
	CHECK(strcmp(jid.resource, resource) == 0);
	free(address);
}

static void check_value(const struct presence *p)
{
	CHECK(p->available || (p->show == SHOW_NONE && p->priority == 0));
	CHECK(p->priority >= PRIORITY_MIN && p->priority <= PRIORITY_MAX);
	CHECK(p->lang == NULL || (p->status != NULL && map_lang_valid(p->lang)));
	check_text(p->status);
	check_resource(p->resource);
}

/* By a stanza and back. */
static void check_stanza(const struct presence *p)
{
	char *from = p->resource != NULL ? xasprintf("juliet@partner.test/%s", p->resource)
					 : xstrdup("juliet@partner.test");
	const struct presence_stanza how = { from, "romeo@corp.test", p->status, false };
	struct presence again = { .available = false };
	struct stanza *s = NULL;

	CHECK(presence_to_stanza(p, &how, &s) == OK);
	CHECK(presence_from_stanza(s, &again) == OK);
	CHECK(presence_equal(p, &again));
	presence_clear(&again);
	stanza_unref(s);
	free(from);
}

/* Each of the one is in the other, but for a priority that PIDF cannot say. */
static void check_within(const struct presence_list *some, const struct presence_list *all)
{
	for (size_t i = 0; i < some->count; i++) {
		const struct presence *there = presence_list_find(all, some->items[i].resource);
		struct presence expected;

		CHECK(there != NULL);
		expected = *there;
		if (expected.priority < 0)
			expected.priority = 0;
		CHECK(presence_equal(&some->items[i], &expected));
	}
}

/* By a document and back; what is too much for one is left out at its end. */
static void check_document(const struct presence_list *l)
{
	struct presence_list again = { NULL, 0 };
	struct strbuf b = { 0 };
	struct presence_body body;

	CHECK(pidf_write(l, ENTITY, &b) == OK);
	body = (struct presence_body){ .type = PIDF_TYPE, .bytes = b.s, .size = b.len };
	CHECK(presence_read(&body, &again) == OK);
	if (l->count == 0) {
		CHECK(again.count == 1 && !again.items[0].available);
	} else {
		CHECK(again.count > 0 && again.count <= l->count);
		CHECK(again.count == l->count || b.len > PIDF_BYTES / 2);
		check_within(&again, l);
	}
	presence_list_clear(&again);
	strbuf_free(&b);
}

static void check_list(const struct presence_list *l)
{
	CHECK(l->count <= PRESENCE_RESOURCES);
	CHECK(presence_list_equal(l, l));
	for (size_t i = 0; i < l->count; i++) {
		CHECK(presence_list_find(l, l->items[i].resource) == &l->items[i]);
		check_value(&l->items[i]);
		check_stanza(&l->items[i]);
	}
	check_document(l);
}

static void read_body(const char *type, const char *bytes, size_t size)
{
	struct presence before = { .available = true, .show = SHOW_DND, .status = (char *)"In Verona" };
	const struct presence_list known = { &before, 1 };
	const struct presence_body body = { type, "en", bytes, size, &known };
	struct presence_list l = { NULL, 0 };

	if (presence_read(&body, &l) == OK)
		check_list(&l);
	presence_list_clear(&l);
}

static void read_stanza(const char *bytes, size_t size)
{
	struct strbuf inner = { 0 };
	struct presence p;
	struct stanza *s;

	strbuf_add(&inner, bytes, size);
	s = stanza_make(STANZA_PRESENCE, "juliet@partner.test/balcony", "romeo@corp.test", NULL, NULL, "en",
			&inner);
	if (presence_from_stanza(s, &p) == OK) {
		struct presence_list l = { &p, 1 };

		check_list(&l);
		presence_clear(&p);
	}
	stanza_unref(s);
	strbuf_free(&inner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { PIDF_TYPE, "text/xml+msrtc.pidf",
					     "application/msrtc-event-categories+xml",
					     "multipart/related;boundary=b" };
	const char *bytes = (const char *)data + 1;

	if (size == 0)
		return 0;
	if (data[0] >= '0' && data[0] < '0' + ARRAY_SIZE(types))
		read_body(types[data[0] - '0'], bytes, size - 1);
	else
		read_stanza(bytes, size - 1);
	return 0;
}
