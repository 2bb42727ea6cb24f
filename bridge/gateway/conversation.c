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

void conversation_lock(struct conversation *c, const char *full)
{
	if (full == NULL ? c->partner == NULL : c->partner != NULL && strcmp(c->partner, full) == 0)
		return;
	conversation_set(&c->partner, full);
	c->chat_states = SUPPORT_UNKNOWN;
	c->told = CHAT_STATE_NONE;
}

void conversation_note_sender(struct conversation *c, const struct stanza *stanza, const struct jid *from,
			      const char *thread)
{
	char full[JID_FULL_SIZE];

	jid_full(from, full);
	c->chat = stanza_has_type(stanza, "chat");
	/* RFC 6121 section 5.1: answers go to that resource. */
	conversation_lock(c, c->chat && from->resource[0] != '\0' ? full : NULL);
	if (thread != NULL && thread[0] != '\0')
		conversation_set(&c->thread, thread);
	conversation_touch(c);
}

/* FNV-1a. Two that have the same hash cost a dialog the name of its thread, no more. */
static uint64_t hash_of(enum pool pool, const char *call_id)
{
	uint64_t hash = 14695981039346656037u ^ (uint64_t)pool;

	for (; *call_id != '\0'; call_id++)
		hash = (hash ^ (unsigned char)*call_id) * 1099511628211u;
	return hash;
}

bool conversation_use_call_id(struct conversation *c, enum pool pool, const char *call_id)
{
	const uint64_t hash = hash_of(pool, call_id);

	for (size_t i = 0; i < CALL_IDS; i++)
		if (c->call_ids[i] == hash)
			return false;
	c->call_ids[c->call_id_next++ % CALL_IDS] = hash;
	return true;
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

/* --- by the pool's user --- */

/* One user of a pool, with whom somebody speaks. */
struct correspondent {
	struct conversation *conversations;
	UT_hash_handle hh;
	char user[];
};

struct correspondent *correspondent_find(struct gateway *g, const char *user)
{
	struct correspondent *one;

	HASH_FIND_STR(g->correspondents, user, one);
	return one;
}

struct conversation *correspondent_first(struct correspondent *one)
{
	return one->conversations;
}

static void correspondent_add(struct conversation *c)
{
	struct gateway *g = c->gateway;
	const char *user = conversation_user(c);

	c->correspondent = correspondent_find(g, user);
	if (c->correspondent == NULL) {
		c->correspondent = xcalloc(1, sizeof(*c->correspondent) + strlen(user) + 1);
		strcpy(c->correspondent->user, user);
		HASH_ADD_STR(g->correspondents, user, c->correspondent);
	}
	DL_APPEND2(c->correspondent->conversations, c, before, behind);
}

static void correspondent_remove(struct conversation *c)
{
	DL_DELETE2(c->correspondent->conversations, c, before, behind);
	if (c->correspondent->conversations != NULL)
		return;
	HASH_DEL(c->gateway->correspondents, c->correspondent);
	free(c->correspondent);
}

/* --- its end --- */

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
	correspondent_remove(c);
	loop_timer_destroy(c->timer);
	receipt_forget_all(c);
	free(c->partner);
	free(c->name);
	free(c->thread);
	free(c->typist);
	free(c->conversation_id);
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

/* One who opens more sessions than there may be ends older ones, rather than keeping others out until his time is over. */
bool conversation_end_oldest(struct gateway *g)
{
	struct conversation *c;

	for (c = g->by_use; c != NULL; c = c->newer)
		if (c->sessions != NULL && is_resting(c)) {
			session_close_all(c);
			return true;
		}
	return false;
}

/* --- time --- */

static int64_t idle_end(const struct conversation *c)
{
	const int64_t session = c->gateway->config->sip.session_ms;

	return c->used + session + (c->sessions == NULL ? MEMORY_MS : 0);
}

void conversation_schedule(struct conversation *c)
{
	int64_t at = idle_end(c);

	if (c->typing_until != 0 && c->typing_until < at)
		at = c->typing_until;
	if (c->invite_until != 0 && c->invite_until < at)
		at = c->invite_until;
	if (c->refresh_at != 0 && c->refresh_at < at)
		at = c->refresh_at;
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
	if (c->refresh_at != 0 && c->refresh_at <= now)
		chat_state_refresh(c);
	if (c->invite_until != 0 && c->invite_until <= now) {
		c->invite_until = 0;
		conversation_schedule(c);
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
	conversation_schedule(c);
}

void conversation_touch(struct conversation *c)
{
	c->used = loop_now(c->gateway->loop);
	list_delete(c->gateway, c);
	list_append(c->gateway, c);
	conversation_schedule(c);
}

/* --- finding --- */

struct conversation *conversation_find(struct gateway *g, const struct jid *partner, const struct jid *user)
{
	char key[JID_PAIR_SIZE];
	struct conversation *c;

	jid_pair(partner, user, key);
	HASH_FIND_STR(g->conversations, key, c);
	return c;
}

struct conversation *conversation_get(struct gateway *g, const struct jid *partner, const struct jid *user)
{
	struct conversation *c = conversation_find(g, partner, user);
	char key[JID_PAIR_SIZE];
	size_t n;

	if (c != NULL)
		return c;
	make_room(g);
	n = jid_pair(partner, user, key);
	c = xcalloc(1, sizeof(*c) + strlen(key) + 1);
	c->gateway = g;
	c->partner_length = n;
	strcpy(c->key, key);
	c->timer = loop_timer_create(g->loop, on_timer, c);
	c->used = loop_now(g->loop);
	HASH_ADD_KEYPTR(hh, g->conversations, c->key, strlen(c->key), c);
	list_append(g, c);
	correspondent_add(c);
	conversation_schedule(c);
	return c;
}
