/*
 * conversation_passing.c - chats that pass between partners and the legacy
 * gateway: heard of, so that they go on when their user is moved here.
 *
 * What is kept of one is what any conversation remembers: its thread, the
 * client of the XMPP user's, whether that one knows chat states, and whether it
 * was shown that somebody types. The stanza itself passes unchanged. Most say
 * nothing of this kind, and are not even parsed; remembered conversations give
 * way to those that the gateway holds itself: they take half of the room at most.
 * Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <string.h>

static bool holds(const struct stanza *stanza, const char *text)
{
	return memmem(stanza->bytes, stanza->size, text, strlen(text)) != NULL;
}

static struct conversation *find(struct gateway *g, const struct stanza *stanza, const struct jid *partner,
				 const struct jid *user)
{
	struct conversation *c = conversation_find(g, partner, user);

	if (c != NULL)
		return c->sessions == NULL && c->first == NULL ? c : NULL; /* else he is still a pool's */
	if (!stanza_has_type(stanza, "chat") ||
	    HASH_COUNT(g->conversations) >= (size_t)g->config->sip.conversations / 2)
		return NULL;
	return conversation_get(g, partner, user);
}

/* The XMPP user's client, to the legacy user. */
static void hear_partner(struct conversation *c, const struct submission *s, struct stanza_tree *tree,
			 enum chat_state state, bool content)
{
	if (content)
		conversation_note_sender(c, s->stanza, s->from, tree);
	if (state != CHAT_STATE_NONE)
		c->chat_states = SUPPORT_YES;
	else if (content)
		c->chat_states = SUPPORT_NO;
	if (state == CHAT_STATE_GONE && !content)
		conversation_set(&c->thread, NULL);
}

/* The legacy user's client, to the XMPP user. */
static void hear_user(struct conversation *c, const struct submission *s, struct stanza_tree *tree,
		      enum chat_state state, bool content)
{
	const char *thread = stanza_tree_text(tree, "thread", NULL);

	c->chat = stanza_has_type(s->stanza, "chat");
	if (thread != NULL && thread[0] != '\0')
		conversation_set(&c->thread, thread);
	if (state == CHAT_STATE_GONE && !content)
		conversation_set(&c->thread, NULL);
	if (state != CHAT_STATE_NONE || content)
		c->told = state;
	conversation_set(&c->typist, state == CHAT_STATE_COMPOSING ? s->stanza->from : NULL);
	conversation_touch(c);
}

void conversation_passing(void *ctx, const struct submission *s)
{
	struct gateway *g = ctx;
	bool from_user = s->origin == ORIGIN_LEGACY;
	const struct jid *user = from_user ? s->from : s->to, *partner = from_user ? s->to : s->from;
	bool speaks = holds(s->stanza, "<thread") || holds(s->stanza, NS_CHAT_STATES);
	struct conversation *c;
	struct stanza_tree *tree;
	struct map_signals signals;
	const char *body;

	if (g->endpoint == NULL || g->stopped || user->local[0] == '\0' || partner->local[0] == '\0')
		return;
	c = speaks ? find(g, s->stanza, partner, user) : conversation_find(g, partner, user);
	if (c == NULL || (!speaks && (!c->passing || c->told != CHAT_STATE_COMPOSING)) ||
	    stanza_tree_build(s->stanza, &tree) != OK)
		return;
	map_signals_read(tree, &signals);
	body = stanza_tree_text(tree, "body", NULL);
	c->passing = true;
	(from_user ? hear_user : hear_partner)(c, s, tree, signals.chat_state,
					       body != NULL && body[0] != '\0');
	stanza_tree_free(tree);
}
