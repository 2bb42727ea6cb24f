/*
 * service.c - the few questions that a domain must be able to answer.
 *
 * Only what works is named: the features below are served by this file. Anything
 * else is left to the caller, who says service-unavailable.
 */
#include "bridge/route/service.h"

#define NS_PING       "urn:xmpp:ping"
#define NS_DISCO_INFO "http://jabber.org/protocol/disco#info"

static const char disco_info[] = "<query xmlns='" NS_DISCO_INFO "'>"
				 "<identity category='server' type='im' name='poolbridge'/>"
				 "<identity category='gateway' type='simple' name='poolbridge'/>"
				 "<feature var='" NS_DISCO_INFO "'/>"
				 "<feature var='" NS_PING "'/>"
				 "</query>";

static struct stanza *result(const struct stanza *iq, const char *content)
{
	struct strbuf inner = { 0 };
	struct stanza *s;

	strbuf_puts(&inner, content);
	s = stanza_make(STANZA_IQ, iq->to, iq->from, iq->id, "result", NULL, &inner);
	strbuf_free(&inner);
	return s;
}

struct stanza *service_answer(const struct stanza *iq)
{
	struct stanza *answer = NULL;
	struct stanza_tree *tree;

	if (iq->kind != STANZA_IQ || !stanza_has_type(iq, "get") || stanza_tree_build(iq, &tree) != OK)
		return NULL;
	if (stanza_tree_text(tree, "ping", NS_PING))
		answer = result(iq, "");
	else if (stanza_tree_text(tree, "query", NS_DISCO_INFO))
		answer = result(iq, disco_info);
	stanza_tree_free(tree);
	return answer;
}
