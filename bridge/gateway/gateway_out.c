/*
 * gateway_out.c - XMPP -> SIP: what an XMPP message means for the conversation
 * that it belongs to.
 *
 * Text goes into the queue (conversation_queue.c); chat states and receipts are
 * read on the way. A message is mapped when it comes: one that SIP cannot carry
 * is refused at once, never changed. Wrappers (carbons, forwarded messages) are
 * not opened: only what stands in the message itself counts. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"
#include "bridge/gateway/receipt.h"

#include <string.h>

/*
 * A message without a body that nobody will miss: chat states, receipts and
 * markers, and headlines (RFC 6121 section 5.2.2). Any other, encrypted ones for
 * instance, has content.
 */
static bool is_note(const struct stanza *stanza, struct stanza_tree *tree)
{
	static const char *const notes[] = {
		NS_SERVER,        NS_CHAT_STATES,   NS_RECEIPTS,      "urn:xmpp:chat-markers:0",
		"urn:xmpp:hints", "urn:xmpp:sid:0", "urn:xmpp:delay", "jabber:x:event",
		"jabber:x:delay", NS_NICK,
	};
	const char *subject = stanza_tree_text(tree, "subject", NULL);

	return stanza_has_type(stanza, "headline") || ((subject == NULL || subject[0] == '\0') &&
						       stanza_tree_is_within(tree, notes, ARRAY_SIZE(notes)));
}

/* The name for From, as a quoted-string; what cannot be one is left out. */
static void set_display(struct outbound *o, const char *nick)
{
	char text[TEXT_SIZE];

	if (nick != NULL && sip_quoted_text(nick, text, sizeof(text)) == OK)
		o->display = xstrdup(text);
}

static bool is_of_partner(const struct conversation *c, const struct jid *from)
{
	char full[JID_FULL_SIZE];

	jid_full(from, full);
	return c->partner == NULL || strcmp(c->partner, full) == 0;
}

/* Without text: what it says is told, as far as the pool can be told, and it is done. */
static void take_note(struct gateway *g, enum pool pool, const struct map_signals *signals,
		      const struct jid *from, const struct jid *to)
{
	struct conversation *c = conversation_find(g, from, to);

	g->bodiless++;
	if (c == NULL)
		return;
	c->pool = pool; /* the user may have been moved since the last text */
	if (signals->received_id != NULL)
		receipt_received(c, signals->received_id);
	if (is_of_partner(c, from))
		chat_state_heard(c, signals->chat_state, false);
	else
		chat_state_heard_elsewhere(c, signals->chat_state);
}

static struct objection take_text(struct gateway *g, struct outbound *o, enum pool pool,
				  const struct jid *from, const struct jid *to, struct stanza_tree *tree,
				  const struct map_signals *signals)
{
	struct objection objection = outbound_map(g, o, pool, from, to, tree);
	struct conversation *c;

	if (objection.text != NULL)
		return objection;
	c = conversation_get(g, from, to);
	set_display(o, signals->nick);
	o->receipt_wanted = signals->receipt_request;
	c->pool = pool;
	c->passing = false;
	conversation_note_sender(c, o->stanza, from, stanza_tree_text(tree, "thread", NULL));
	chat_state_heard(c, signals->chat_state, true);
	queue_add(c, o);
	return objection;
}

void gateway_send(struct gateway *g, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx)
{
	struct outbound *o = outbound_create(stanza, done, done_ctx);
	struct objection objection = { COND_BAD_REQUEST, "this is no message" };
	struct stanza_tree *tree = NULL;
	struct map_signals signals;
	struct jid from, to;

	if (g->stopped) {
		outbound_put_back(g, o, (struct objection){ COND_REMOTE_SERVER_TIMEOUT, "shutting down" });
		return;
	}
	if (jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK &&
	    stanza_tree_build(stanza, &tree) == OK) {
		const char *body = stanza_tree_text(tree, "body", NULL);
		bool empty = body == NULL || body[0] == '\0';

		map_signals_read(tree, &signals);
		if (empty && is_note(stanza, tree)) {
			take_note(g, pool, &signals, &from, &to);
			stanza_tree_free(tree);
			outbound_free(o);
			done(done_ctx, stanza, &(struct outcome){ .confirmed = true });
			return;
		}
		if (empty)
			objection = (struct objection){ COND_NOT_ACCEPTABLE,
							"only text is carried to this user's system" };
		else
			objection = take_text(g, o, pool, &from, &to, tree, &signals);
	}
	stanza_tree_free(tree);
	if (objection.text != NULL)
		outbound_fail(g, o, objection);
}
