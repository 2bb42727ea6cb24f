/*
 * conversation_passing.c - chats that pass between partners and the legacy
 * gateway: heard of, so that they go on when their user is moved here.
 *
 * What is kept of one is what any conversation remembers: its thread, the
 * client of the XMPP user's, whether that one knows chat states, and whether it
 * was shown that somebody types. The stanza itself passes unchanged, and a walk over
 * its bytes tells most of it, without a tree; remembered conversations give
 * way to those that the gateway holds itself: they take half of the room at most.
 * Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <stdlib.h>

/* What one message says. */
struct said {
	enum chat_state state; /* CHAT_STATE_NONE: nothing */
	bool content;          /* text */
	bool has_thread;
	char *thread; /* its name; NULL: none, or "" */
};

static enum chat_state state_of(const struct stanza_child *child)
{
	if (child->ns == NULL)
		return CHAT_STATE_NONE;
	for (enum chat_state state = CHAT_STATE_ACTIVE; state <= CHAT_STATE_GONE; state++)
		if (stanza_child_is(child, chat_state_name(state), NS_CHAT_STATES))
			return state;
	return CHAT_STATE_NONE;
}

/* False: only a tree knows. The first body and the first thread count, and of chat states the first in their order. */
static bool walk(const struct stanza *stanza, struct said *out)
{
	struct stanza_walk w = stanza_walk_begin(stanza);
	bool has_body = false, is_plain = true;
	struct stanza_child child;

	while (is_plain && stanza_walk_next(&w, &child)) {
		const enum chat_state state = state_of(&child);

		if (state != CHAT_STATE_NONE && (out->state == CHAT_STATE_NONE || state < out->state))
			out->state = state;
		if (!has_body && stanza_child_is(&child, "body", NS_SERVER)) {
			has_body = true;
			is_plain = child.text != NULL;
			out->content = child.text_size > 0;
		} else if (!out->has_thread && stanza_child_is(&child, "thread", NS_SERVER)) {
			out->has_thread = true;
			is_plain = child.text != NULL && child.is_literal;
			if (child.text_size > 0)
				out->thread = xstrndup(child.text, child.text_size);
		}
	}
	return is_plain && !w.is_complex;
}

static bool read_tree(const struct stanza *stanza, struct said *out)
{
	struct map_signals signals;
	struct stanza_tree *tree;
	const char *body, *thread;

	if (stanza_tree_build(stanza, &tree) != OK)
		return false;
	map_signals_read(tree, &signals);
	body = stanza_tree_text(tree, "body", NULL);
	thread = stanza_tree_text(tree, "thread", NULL);
	*out = (struct said){ .state = signals.chat_state,
			      .content = body != NULL && body[0] != '\0',
			      .has_thread = thread != NULL,
			      .thread = thread != NULL && thread[0] != '\0' ? xstrdup(thread) : NULL };
	stanza_tree_free(tree);
	return true;
}

/* The thread is the caller's. */
static bool read_said(const struct stanza *stanza, struct said *out)
{
	*out = (struct said){ .state = CHAT_STATE_NONE };
	if (walk(stanza, out))
		return true;
	free(out->thread);
	return read_tree(stanza, out);
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
static void hear_partner(struct conversation *c, const struct submission *s, const struct said *said)
{
	if (said->content)
		conversation_note_sender(c, s->stanza, s->from, said->thread);
	if (said->state != CHAT_STATE_NONE)
		c->chat_states = SUPPORT_YES;
	else if (said->content)
		c->chat_states = SUPPORT_NO;
	if (said->state == CHAT_STATE_GONE && !said->content)
		conversation_set(&c->thread, NULL);
}

/* The legacy user's client, to the XMPP user. */
static void hear_user(struct conversation *c, const struct submission *s, const struct said *said)
{
	c->chat = stanza_has_type(s->stanza, "chat");
	if (said->thread != NULL)
		conversation_set(&c->thread, said->thread);
	if (said->state == CHAT_STATE_GONE && !said->content)
		conversation_set(&c->thread, NULL);
	if (said->state != CHAT_STATE_NONE || said->content)
		c->told = said->state;
	conversation_set(&c->typist, said->state == CHAT_STATE_COMPOSING ? s->stanza->from : NULL);
	conversation_touch(c);
}

void conversation_passing(void *ctx, const struct submission *s)
{
	struct gateway *g = ctx;
	bool from_user = s->origin == ORIGIN_LEGACY, speaks;
	const struct jid *user = from_user ? s->from : s->to, *partner = from_user ? s->to : s->from;
	struct conversation *c;
	struct said said;

	if (g->endpoint == NULL || g->stopped || user->local[0] == '\0' || partner->local[0] == '\0' ||
	    !read_said(s->stanza, &said))
		return;
	speaks = said.state != CHAT_STATE_NONE || said.has_thread;
	c = speaks ? find(g, s->stanza, partner, user) : conversation_find(g, partner, user);
	if (c != NULL && (speaks || (c->passing && c->told == CHAT_STATE_COMPOSING))) {
		c->passing = true;
		(from_user ? hear_user : hear_partner)(c, s, &said);
	}
	free(said.thread);
}
