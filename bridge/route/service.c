/*
 * service.c - the few questions that are answered here.
 *
 * Only what works is named: the features below are served by this file, those
 * that the caller adds by him. Anything else is left to the caller, who says
 * service-unavailable.
 */
#include "config.h"
#include "bridge/route/service.h"

#define NS_PING    "urn:xmpp:ping"
#define NS_DISCO   "http://jabber.org/protocol/disco#info"
#define NS_VERSION "jabber:iq:version"

const struct service service_of_domain = {
	.identities = "<identity category='server' type='im' name='" PACKAGE_NAME "'/>"
		      "<identity category='gateway' type='simple' name='" PACKAGE_NAME "'/>",
};

static void write_features(struct strbuf *out, const struct service *service)
{
	strbuf_printf(out,
		      "<query xmlns='" NS_DISCO "'>%s<feature var='" NS_DISCO "'/><feature var='" NS_PING
		      "'/><feature var='" NS_VERSION "'/>",
		      service->identities);
	for (size_t i = 0; i < service->feature_count; i++)
		strbuf_printf(out, "<feature var='%s'/>", service->features[i]);
	strbuf_puts(out, "</query>");
}

/* Nobody here has nodes (XEP-0030, section 3.2). */
static bool names_node(const struct stanza_tree *tree)
{
	const char *node = stanza_tree_attribute(tree, "query", NS_DISCO, "node");

	return node != NULL && node[0] != '\0';
}

/* False: it is not served. */
static bool write_answer(struct strbuf *out, const struct service *service, struct stanza_tree *tree)
{
	if (stanza_tree_text(tree, "ping", NS_PING))
		return true;
	if (stanza_tree_text(tree, "query", NS_DISCO))
		write_features(out, service);
	else if (stanza_tree_text(tree, "query", NS_VERSION))
		strbuf_puts(out, "<query xmlns='" NS_VERSION "'><name>" PACKAGE_NAME
				 "</name><version>" PACKAGE_VERSION "</version></query>");
	else if (service->vcard != NULL && stanza_tree_text(tree, "vCard", NS_VCARD))
		strbuf_printf(out, "<vCard xmlns='" NS_VCARD "'>%s</vCard>", service->vcard);
	return out->len > 0;
}

struct stanza *service_answer(const struct service *service, const struct stanza *iq)
{
	struct strbuf inner = { 0 };
	struct stanza *answer = NULL;
	struct stanza_tree *tree;

	if (iq->kind != STANZA_IQ || !stanza_has_type(iq, "get") || stanza_tree_build(iq, &tree) != OK)
		return NULL;
	if (names_node(tree))
		answer = stanza_error(iq, COND_ITEM_NOT_FOUND, NULL, NULL);
	else if (write_answer(&inner, service, tree))
		answer = stanza_make(STANZA_IQ, iq->to, iq->from, iq->id, "result", NULL, &inner);
	strbuf_free(&inner);
	stanza_tree_free(tree);
	return answer;
}
