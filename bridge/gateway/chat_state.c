/*
 * chat_state.c - who is typing: XEP-0085 on the XMPP side, INFO or isComposing
 * (RFC 3994) on the pool's.
 *
 * Towards XMPP: nothing alone before the client has shown that it knows chat
 * states, nothing after it has answered without one, never the same twice
 * (XEP-0085 section 5). Towards the pool: only a change, and nothing to a
 * client that has refused it once. Typing is nobody's to keep: what cannot go
 * now is forgotten. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <stdlib.h>

/* Only the last of those that wait counts. */
static void drop_waiting(struct conversation *c)
{
	struct outbound *o = c->first, *next;

	for (o = o != NULL ? o->next : NULL; o != NULL; o = next) {
		next = o->next;
		if (o->kind == OUTBOUND_TYPING)
			queue_drop(c, o);
	}
}

static void type_to_pool(struct conversation *c, bool composing)
{
	struct outbound *o;

	if (c->composing == composing || c->no_typing)
		return;
	c->composing = composing;
	/* No session, none begins, no single messages: a client that types has written nothing yet. */
	if (session_open(c) == NULL && c->works != POOL_PAGER && c->first == NULL)
		return;
	drop_waiting(c);
	o = conversation_signal(c, OUTBOUND_TYPING);
	if (o == NULL)
		return;
	o->composing = composing;
	queue_add(c, o);
}

static void end_sessions(struct conversation *c)
{
	struct outbound *o;

	conversation_set(&c->thread, NULL);
	conversation_set(&c->conversation_id, NULL);
	c->composing = false;
	if (c->sessions == NULL)
		return;
	o = conversation_signal(c, OUTBOUND_GONE);
	if (o != NULL)
		queue_add(c, o);
}

void chat_state_heard(struct conversation *c, enum chat_state state, bool content)
{
	enum typing typing;

	if (state != CHAT_STATE_NONE)
		c->chat_states = SUPPORT_YES;
	else if (content)
		c->chat_states = SUPPORT_NO;
	if (content) {
		c->composing = false; /* a message ends it for the reader too */
		return;
	}
	if (state == CHAT_STATE_GONE)
		end_sessions(c);
	else if (map_chatstate_to_typing(state, &typing))
		type_to_pool(c, typing == TYPING_ACTIVE);
}

void chat_state_tell(struct conversation *c, enum chat_state state)
{
	struct map_message m = { .type = "chat", .chat_state = state, .thread = c->thread };
	char partner[JID_BARE_SIZE];
	struct stanza *stanza;

	if (state != CHAT_STATE_COMPOSING)
		c->typing_until = 0;
	if (c->chat_states != SUPPORT_YES || c->told == state || c->gateway->stopped)
		return;
	m.from = conversation_user(c);
	m.to = conversation_partner(c, partner);
	if (map_message_to_stanza(&m, &stanza) != OK)
		return;
	c->told = state;
	gateway_submit(c->gateway, stanza);
	stanza_unref(stanza);
}

void chat_state_typed(struct conversation *c, const struct map_content *typing)
{
	if (typing->composing)
		c->typing_until = loop_now(c->gateway->loop) + 1000 * (int64_t)typing->refresh;
	chat_state_tell(c, map_typing_to_chatstate(typing->composing ? TYPING_ACTIVE : TYPING_IDLE));
	conversation_touch(c);
}
