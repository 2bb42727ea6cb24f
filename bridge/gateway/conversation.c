/*
 * conversation.c - a conversation as an object: found by its two addresses, kept
 * while it is used, forgotten when its time is over or there are too many.
 *
 * What is forgotten is only what was learned (thread, mode, resource): a
 * conversation with something under way is never the one that gives way; a
 * session that it has ends by BYE. So it does after sip.session_time without a
 * message (RFC 7573 section 4); what is known lasts an hour longer.
 *
 * The gateway owns all conversations. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/gateway/receipt.h"

enum { MEMORY_MS = 3600 * 1000 };

void conversation_set(char **field, const char *value)
{
	char *copy = value != NULL && value[0] != '\0' ? xstrdup(value) : NULL;

	free(*field);
	*field = copy;
}

const char *conversation_user(const struct conversation *c)
{
	return c->key + c->partner_length + 1;
}

const char *conversation_partner(const struct conversation *c, char bare[JID_BARE_SIZE])
{
	if (c->partner != NULL)
		return c->partner;
	memcpy(bare, c->key, c->partner_length);
	bare[c->partner_length] = '\0';
	return bare;
}

bool conversation_jids(const struct conversation *c, struct jid *partner, struct jid *user)
{
	char bare[JID_BARE_SIZE];

	return jid_parse(conversation_user(c), user) == OK &&
	       jid_parse(conversation_partner(c, bare), partner) == OK;
}

struct outbound *conversation_signal(const struct conversation *c, enum outbound_kind kind)
{
	struct jid partner, user;

	return conversation_jids(c, &partner, &user) ? outbound_signal(kind, c->pool, &partner, &user) : NULL;
}

/* --- the list of all, the one used last at its end --- */

static void list_append(struct gateway *g, struct conversation *c)
{
	DL_APPEND2(g->by_use, c, older, newer);
}

static void list_delete(struct gateway *g, struct conversation *c)
{
	DL_DELETE2(g->by_use, c, older, newer);
}

/* Nothing would be missed but what was learned. */
static bool is_idle(const struct conversation *c)
{
	return c->first == NULL && c->sessions == NULL && !c->telling && c->request == NULL;
}

void conversation_free(struct conversation *c)
{
	struct gateway *g = c->gateway;

	HASH_DEL(g->conversations, c);
	list_delete(g, c);
	loop_timer_destroy(c->timer);
	receipt_forget_all(c);
	free(c->partner);
	free(c->name);
	free(c->thread);
	free(c->conversation_id);
	free(c->used_call_id);
	free(c);
}

/* Only sessions that can be begun again; neither side waits for anything. */
static bool is_resting(const struct conversation *c)
{
	struct session *s;

	DL_FOREACH (c->sessions, s)
		if (s->state != SESSION_OPEN)
			return false;
	return c->first == NULL && !c->telling && c->request == NULL;
}

/*
 * The oldest with nothing under way; a session that it has ends. Busy ones before it go to the end
 * of the list, so that no search meets them again soon; how many can be busy is bounded by the
 * queues and the sessions.
 */
static void make_room(struct gateway *g)
{
	size_t count = HASH_COUNT(g->conversations);

	if (count < (size_t)g->config->sip.conversations)
		return;
	for (; count > 0; count--) {
		struct conversation *c = g->by_use;

		if (is_idle(c) || is_resting(c)) {
			session_close_all(c);
			conversation_free(c);
			return;
		}
		list_delete(g, c);
		list_append(g, c);
	}
}

/* --- time --- */

static int64_t idle_end(const struct conversation *c)
{
	const int64_t session = c->gateway->config->sip.session_ms;

	return c->used + session + (c->sessions == NULL ? MEMORY_MS : 0);
}

static void schedule(struct conversation *c)
{
	int64_t at = idle_end(c);

	if (c->typing_until != 0 && c->typing_until < at)
		at = c->typing_until;
	if (c->invite_until != 0 && c->invite_until < at)
		at = c->invite_until;
	at -= loop_now(c->gateway->loop);
	loop_timer_set(c->timer, at > 0 ? at : 0);
}

static void on_timer(void *ctx)
{
	struct conversation *c = ctx;
	int64_t now = loop_now(c->gateway->loop);

	/* RFC 3994 section 3.2: composing ends by itself. */
	if (c->typing_until != 0 && c->typing_until <= now) {
		c->typing_until = 0;
		chat_state_tell(c, CHAT_STATE_ACTIVE);
	}
	if (c->invite_until != 0 && c->invite_until <= now) {
		c->invite_until = 0;
		schedule(c);
		session_give_up_invite(c); /* c may be forgotten then */
		return;
	}
	if (idle_end(c) <= now && c->first == NULL) {
		if (c->sessions == NULL && is_idle(c)) {
			conversation_free(c);
			return;
		}
		session_close_all(c);
	}
	if (idle_end(c) <= now)
		c->used = now; /* something is under way: look again */
	schedule(c);
}

void conversation_touch(struct conversation *c)
{
	c->used = loop_now(c->gateway->loop);
	list_delete(c->gateway, c);
	list_append(c->gateway, c);
	schedule(c);
}

/* --- finding --- */

static size_t key_of(const struct jid *partner, const struct jid *user, char key[2 * JID_BARE_SIZE])
{
	size_t n;

	jid_bare(partner, key);
	n = strlen(key);
	key[n] = ' ';
	jid_bare(user, key + n + 1);
	return n;
}

struct conversation *conversation_find(struct gateway *g, const struct jid *partner, const struct jid *user)
{
	char key[2 * JID_BARE_SIZE];
	struct conversation *c;

	key_of(partner, user, key);
	HASH_FIND_STR(g->conversations, key, c);
	return c;
}

struct conversation *conversation_get(struct gateway *g, const struct jid *partner, const struct jid *user)
{
	struct conversation *c = conversation_find(g, partner, user);
	char key[2 * JID_BARE_SIZE];
	size_t n;

	if (c != NULL)
		return c;
	make_room(g);
	n = key_of(partner, user, key);
	c = xcalloc(1, sizeof(*c) + strlen(key) + 1);
	c->gateway = g;
	c->partner_length = n;
	strcpy(c->key, key);
	c->timer = loop_timer_create(g->loop, on_timer, c);
	c->used = loop_now(g->loop);
	HASH_ADD_KEYPTR(hh, g->conversations, c->key, strlen(c->key), c);
	list_append(g, c);
	schedule(c);
	return c;
}
