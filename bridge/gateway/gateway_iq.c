/*
 * gateway_iq.c - what XMPP clients ask about a user of a pool (service.h).
 *
 * The gateway answers in the user's place, whether the user is there or not: no
 * client of a pool could. The name is the one that the pool gave with the last
 * message to the asker (P-Asserted-Identity, else From): nobody learns it who was
 * not written to. Everything else is service-unavailable, which the caller says.
 * Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"
#include "bridge/route/service.h"
#include "bridge/xmpp/xml.h"

#include <string.h>

static void write_vcard(struct gateway *g, const struct jid *from, const struct jid *to, struct strbuf *out)
{
	const struct conversation *c = conversation_find(g, from, to);
	char bare[JID_BARE_SIZE];

	jid_bare(to, bare);
	if (c != NULL && c->name != NULL) {
		strbuf_puts(out, "<FN>");
		xml_text(out, c->name, strlen(c->name));
		strbuf_puts(out, "</FN>");
	}
	strbuf_puts(out, "<JABBERID>");
	xml_text(out, bare, strlen(bare));
	strbuf_puts(out, "</JABBERID>");
}

bool gateway_answer_iq(struct gateway *g, const struct stanza *iq)
{
	static const char *const features[] = { NS_VCARD, NS_CHAT_STATES, NS_RECEIPTS };
	struct service user = { .features = features, .feature_count = ARRAY_SIZE(features) };
	struct strbuf vcard = { .s = NULL };
	struct stanza *answer;
	struct jid from, to;

	if (jid_parse(iq->from, &from) != OK || jid_parse(iq->to, &to) != OK)
		return false;
	write_vcard(g, &from, &to, &vcard);
	user.vcard = vcard.s;
	user.identities = to.resource[0] != '\0' ? "<identity category='client' type='pc'/>"
						 : "<identity category='account' type='registered'/>";
	answer = service_answer(&user, iq);
	if (answer != NULL)
		gateway_submit(g, answer);
	stanza_unref(answer);
	strbuf_free(&vcard);
	return answer != NULL;
}
