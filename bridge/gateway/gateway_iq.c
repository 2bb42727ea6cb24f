/*
 * gateway_iq.c - what XMPP clients ask about a user of a pool: ping (XEP-0199),
 * features (XEP-0030), software (XEP-0092) and name (XEP-0054).
 *
 * The gateway answers in the user's place, whether the user is there or not: no
 * client of a pool could. Only what works is named. The name is the one that the
 * pool gave with the last message to the asker (P-Asserted-Identity, else From):
 * nobody learns it who was not written to. Everything else is
 * service-unavailable, which the caller says. Nothing is fatal.
 */
#include "config.h"

#include "bridge/gateway/conversation.h"
#include "bridge/xmpp/xml.h"

#include <string.h>

#define NS_PING    "urn:xmpp:ping"
#define NS_DISCO   "http://jabber.org/protocol/disco#info"
#define NS_VERSION "jabber:iq:version"
#define NS_VCARD   "vcard-temp"

static void write_nothing(struct gateway *g, const struct jid *from, const struct jid *to, struct strbuf *out)
{
	(void)g;
	(void)from;
	(void)to;
	(void)out;
}

static void write_features(struct gateway *g, const struct jid *from, const struct jid *to,
			   struct strbuf *out)
{
	static const char *const features[] = { NS_DISCO, NS_PING,        NS_VERSION,
						NS_VCARD, NS_CHAT_STATES, NS_RECEIPTS };

	(void)g;
	(void)from;
	strbuf_printf(out, "<query xmlns='" NS_DISCO "'><identity category='%s' type='%s'/>",
		      to->resource[0] != '\0' ? "client" : "account",
		      to->resource[0] != '\0' ? "pc" : "registered");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		strbuf_printf(out, "<feature var='%s'/>", features[i]);
	strbuf_puts(out, "</query>");
}

static void write_version(struct gateway *g, const struct jid *from, const struct jid *to, struct strbuf *out)
{
	(void)g;
	(void)from;
	(void)to;
	strbuf_puts(out, "<query xmlns='" NS_VERSION "'><name>" PACKAGE_NAME
			 "</name><version>" PACKAGE_VERSION "</version></query>");
}

static void write_vcard(struct gateway *g, const struct jid *from, const struct jid *to, struct strbuf *out)
{
	const struct conversation *c = conversation_find(g, from, to);
	char bare[JID_BARE_SIZE];

	jid_bare(to, bare);
	strbuf_puts(out, "<vCard xmlns='" NS_VCARD "'>");
	if (c != NULL && c->name != NULL) {
		strbuf_puts(out, "<FN>");
		xml_text(out, c->name, strlen(c->name));
		strbuf_puts(out, "</FN>");
	}
	strbuf_puts(out, "<JABBERID>");
	xml_text(out, bare, strlen(bare));
	strbuf_puts(out, "</JABBERID></vCard>");
}

static const struct {
	const char *element, *ns;
	void (*write)(struct gateway *g, const struct jid *from, const struct jid *to, struct strbuf *out);
} questions[] = {
	{ "ping", NS_PING, write_nothing },
	{ "query", NS_DISCO, write_features },
	{ "query", NS_VERSION, write_version },
	{ "vCard", NS_VCARD, write_vcard },
};

static void answer(struct gateway *g, const struct stanza *iq, size_t question)
{
	struct strbuf inner = { .s = NULL };
	struct stanza *result;
	struct jid from, to;

	if (jid_parse(iq->from, &from) != OK || jid_parse(iq->to, &to) != OK)
		return;
	questions[question].write(g, &from, &to, &inner);
	result = stanza_make(STANZA_IQ, iq->to, iq->from, iq->id, "result", NULL, &inner);
	gateway_submit(g, result);
	stanza_unref(result);
	strbuf_free(&inner);
}

bool gateway_answer_iq(struct gateway *g, const struct stanza *iq)
{
	struct stanza_tree *tree;
	size_t i = 0;

	if (!stanza_has_type(iq, "get") || stanza_tree_build(iq, &tree) != OK)
		return false;
	while (i < ARRAY_SIZE(questions) &&
	       stanza_tree_text(tree, questions[i].element, questions[i].ns) == NULL)
		i++;
	if (i < ARRAY_SIZE(questions))
		answer(g, iq, i);
	stanza_tree_free(tree);
	return i < ARRAY_SIZE(questions);
}
