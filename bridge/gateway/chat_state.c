/*
 * chat_state.c - who is typing: XEP-0085 on the XMPP side, INFO or isComposing
 * (RFC 3994) on the pool's.
 *
 * Towards XMPP: nothing alone before the client has shown that it knows chat
 * states, nothing after it has answered without one, never the same twice
 * (XEP-0085 section 5). Towards the pool: only a change, and nothing to a
 * client that has refused it once; isComposing is repeated while it lasts (RFC
 * 3994 section 3.2), since XMPP clients say it once. Typing is nobody's to keep:
 * what cannot go now is forgotten. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <stdlib.h>
#include <string.h>

/* In T1: a refresh comes well before MAP_REFRESH_DEFAULT is over, and nobody writes one message for longer than that. */
enum { REFRESH_T1 = 180, COMPOSING_T1 = 1800 };

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

static void set_composing(struct conversation *c, bool composing)
{
	int64_t now = loop_now(c->gateway->loop);

	if (!c->composing && !composing)
		return;
	c->composing = composing;
	c->composing_since = now;
	c->refresh_at = composing ? now + REFRESH_T1 * c->gateway->t1_ms : 0;
	conversation_schedule(c);
}

static void tell_pool(struct conversation *c, bool composing)
{
	struct outbound *o = conversation_signal(c, OUTBOUND_TYPING);

	if (o == NULL)
		return;
	drop_waiting(c);
	o->composing = composing;
	queue_add(c, o);
}

static void type_to_pool(struct conversation *c, bool composing)
{
	if (c->composing == composing || c->no_typing)
		return;
	set_composing(c, composing);
	/* No session, none begins, no single messages: a client that types has written nothing yet. */
	if (session_open(c) != NULL || c->works == POOL_PAGER || c->first != NULL)
		tell_pool(c, composing);
}

/* Only where isComposing is what the client was told: keyboard activity has no refresh. */
static bool is_refreshed(const struct conversation *c)
{
	const struct session *s = session_open(c);

	return s != NULL ? s->is_composing : c->works == POOL_PAGER;
}

void chat_state_refresh(struct conversation *c)
{
	int64_t now = loop_now(c->gateway->loop);

	c->refresh_at = 0;
	if (!c->composing || c->no_typing || !is_refreshed(c))
		return;
	if (now - c->composing_since >= COMPOSING_T1 * c->gateway->t1_ms) {
		c->composing = false; /* the client has lost sight of it, and the indicator goes by itself */
		return;
	}
	c->refresh_at = now + REFRESH_T1 * c->gateway->t1_ms;
	if (c->first == NULL)
		tell_pool(c, true);
}

void chat_state_stopped(struct conversation *c)
{
	type_to_pool(c, false);
}

static void end_sessions(struct conversation *c)
{
	struct outbound *o;

	conversation_set(&c->thread, NULL);
	conversation_set(&c->conversation_id, NULL);
	set_composing(c, false);
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
		set_composing(c, false); /* a message ends it for the reader too */
		return;
	}
	if (state == CHAT_STATE_GONE)
		end_sessions(c);
	else if (map_chatstate_to_typing(state, &typing))
		type_to_pool(c, typing == TYPING_ACTIVE);
}

/* It may type there; whether it knows chat states says nothing of the other, and a window closed there ends nothing. */
void chat_state_heard_elsewhere(struct conversation *c, enum chat_state state)
{
	enum typing typing;

	if (map_chatstate_to_typing(state, &typing))
		type_to_pool(c, typing == TYPING_ACTIVE);
}

/* taking_back: the end of what the user was shown, wherever the pool's user lives now. */
static void tell(struct conversation *c, enum chat_state state, bool taking_back)
{
	struct map_message m = { .type = "chat", .chat_state = state, .thread = c->thread };
	char partner[JID_BARE_SIZE];
	struct stanza *stanza;

	if (state != CHAT_STATE_COMPOSING)
		c->typing_until = 0;
	/* What is taken back was shown, whether or not the client had said that it may be. */
	if ((c->chat_states != SUPPORT_YES && !taking_back) || c->told == state || c->gateway->stopped)
		return;
	m.from = taking_back && c->typist != NULL ? c->typist : conversation_user(c);
	m.to = conversation_partner(c, partner);
	if (map_message_to_stanza(&m, &stanza) != OK)
		return;
	c->told = state;
	taking_back ? gateway_take_back(c->gateway, stanza) : gateway_submit(c->gateway, stanza);
	stanza_unref(stanza);
}

void chat_state_tell(struct conversation *c, enum chat_state state)
{
	tell(c, state, false);
}

void chat_state_typed(struct conversation *c, const struct map_content *typing)
{
	if (typing->composing)
		c->typing_until = loop_now(c->gateway->loop) + 1000 * (int64_t)typing->refresh;
	chat_state_tell(c, map_typing_to_chatstate(typing->composing ? TYPING_ACTIVE : TYPING_IDLE));
	conversation_touch(c);
}

/* --- the user leaves the pool --- */

static void on_ignored(void *ctx, const struct sip_response *response)
{
	(void)ctx;
	(void)response;
}

/*
 * A client of single messages would show it until its own time is over. Not by the queue: it must not
 * be what the next message, for the other side, waits for. In a session BYE says it.
 */
static void end_pager_typing(struct conversation *c)
{
	struct outbound *o = conversation_signal(c, OUTBOUND_TYPING);
	struct sip_send request = { .method = "MESSAGE", .pool = c->pool };

	if (o == NULL)
		return;
	outbound_write_typing(o, true);
	request.to_uri = o->to_uri;
	request.from_uri = o->from_uri;
	request.content_type = o->content_type;
	request.body = o->body;
	request.body_size = strlen(o->body);
	(void)sip_send(c->gateway->endpoint, &request, on_ignored, NULL);
	outbound_free(o);
}

void chat_state_leave(struct conversation *c)
{
	if (c->told == CHAT_STATE_COMPOSING)
		tell(c, CHAT_STATE_ACTIVE, true);
	conversation_set(&c->typist, NULL);
	if (c->composing && c->works == POOL_PAGER && !c->no_typing && session_open(c) == NULL)
		end_pager_typing(c);
	set_composing(c, false);
}
