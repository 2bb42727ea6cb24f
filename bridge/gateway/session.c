/*
 * session.c - the sessions of a conversation: begun, found by their dialog,
 * ended.
 *
 * A conversation may have several: both sides may send INVITE at the same time,
 * and a user who changes the device begins anew. All of them are read; what is
 * written goes by the newest that is open. A bound for each conversation keeps a
 * client that never says BYE from growing them.
 *
 * A session is one dialog; it dies with the process, and the pool's next request
 * in it gets 481, upon which it begins anew (microsoft-style clients do so by
 * themselves). Nothing is fatal.
 */
#include "bridge/gateway/inbound.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { SESSIONS_MAX = 4 };

/* Known to in-dialog requests from now on. */
static void publish(struct session *s)
{
	struct gateway *g = s->conversation->gateway;

	if (s->hashed || !sip_dialog_key(s->dialog, s->key))
		return;
	HASH_ADD_STR(g->sessions, key, s);
	HASH_ADD_KEYPTR(hh_caller, g->callers, s->key, strlen(s->key) - strlen(s->dialog->local_tag), s);
	s->hashed = true;
}

struct session *session_open(const struct conversation *c)
{
	struct session *s;

	DL_FOREACH (c->sessions, s)
		if (s->state == SESSION_OPEN && !s->leaving)
			return s;
	return NULL;
}

bool session_is_coming(const struct conversation *c, enum pool pool)
{
	struct session *s;

	DL_FOREACH (c->sessions, s)
		if (s->state == SESSION_ANSWERING && !s->leaving && s->dialog->pool == pool)
			return session_open(c) == NULL;
	return false;
}

static void close_oldest(struct conversation *c)
{
	struct session *s, *last = NULL;
	size_t count = 0;

	DL_FOREACH (c->sessions, s) {
		count++;
		if (s->state == SESSION_OPEN)
			last = s;
	}
	if (count >= SESSIONS_MAX && last != NULL)
		session_close(last, true);
}

struct session *session_create(struct conversation *c, enum session_state state, struct sip_dialog *dialog)
{
	struct session *s = xcalloc(1, sizeof(*s));

	close_oldest(c);
	s->conversation = c;
	s->state = state;
	s->dialog = dialog;
	DL_PREPEND(c->sessions, s);
	if (state == SESSION_ANSWERING)
		publish(s);
	return s;
}

void session_opened(struct session *s)
{
	struct conversation *c = s->conversation;

	s->state = SESSION_OPEN;
	publish(s);
	DL_DELETE(c->sessions, s);
	DL_PREPEND(c->sessions, s);
	conversation_touch(c);
}

/* --- the pool's INVITE, until it is answered --- */

void session_give_transaction(struct session *s, struct sip_transaction *invite)
{
	s->invite = invite;
	HASH_ADD(hh_invite, s->conversation->gateway->answering, invite, sizeof(s->invite), s);
}

struct sip_transaction *session_take_transaction(struct session *s)
{
	struct sip_transaction *invite = s->invite;

	HASH_DELETE(hh_invite, s->conversation->gateway->answering, s);
	s->invite = NULL;
	return invite;
}

struct session *session_of_transaction(const struct gateway *g, const struct sip_transaction *invite)
{
	struct session *s;

	HASH_FIND(hh_invite, g->answering, &invite, sizeof(invite), s);
	return s;
}

/* --- the end --- */

/* The dialog lives until its last request has its answer. */
static void on_bye_answered(void *ctx, const struct sip_response *response)
{
	(void)response;
	sip_dialog_free(ctx);
}

static void send_bye(struct gateway *g, struct sip_dialog *dialog)
{
	struct sip_send send = { .method = "BYE", .pool = dialog->pool, .dialog = dialog };

	(void)sip_send(g->endpoint, &send, on_bye_answered, dialog);
}

void session_close(struct session *s, bool bye)
{
	struct conversation *c = s->conversation;
	struct gateway *g = c->gateway;

	if (s->hashed) {
		HASH_DEL(g->sessions, s);
		HASH_DELETE(hh_caller, g->callers, s);
	}
	s->hashed = false;
	if (s->state == SESSION_ENDED)
		bye = s->bye;
	if (c->carrier == s) { /* its request has the dialog: what is left follows the response */
		if (s->state == SESSION_OPEN)
			s->state = SESSION_ENDED;
		s->bye = bye;
		return;
	}
	DL_DELETE(c->sessions, s);
	if (s->inbound != NULL)
		inbound_forget_session(s->inbound);
	if (s->invite != NULL)
		sip_answer(session_take_transaction(s), 480, NULL, NULL);
	if (bye && s->state != SESSION_ANSWERING && s->dialog->remote_tag != NULL)
		send_bye(g, s->dialog);
	else
		sip_dialog_free(s->dialog);
	sip_forget_ack(g->endpoint, s);
	map_sdp_free(s->offer);
	free(s);
}

void session_check_leaving(struct session *s)
{
	if (s->leaving && s->state == SESSION_OPEN && s->receiving == 0 && !s->unacked)
		session_close(s, true);
}

void session_leave(struct session *s)
{
	s->leaving = true;
	session_check_leaving(s);
}

void session_leave_all(struct conversation *c, const enum pool *home)
{
	struct session *s, *next;

	DL_FOREACH_SAFE (c->sessions, s, next)
		if (home == NULL || s->dialog->pool != *home)
			session_leave(s);
}

void session_received(struct gateway *g, const char *key)
{
	struct session *s;

	HASH_FIND_STR(g->sessions, key, s);
	if (s == NULL)
		return;
	s->receiving -= s->receiving > 0;
	session_check_leaving(s);
}

/*
 * The request under way in one of them is for its first item's holder to cancel. One whose first
 * message is on its way to the XMPP user stays: what becomes of that is the answer to its INVITE.
 */
void session_close_all(struct conversation *c)
{
	struct session *s, *next;

	DL_FOREACH_SAFE (c->sessions, s, next)
		if (s->state != SESSION_ANSWERING)
			session_close(s, true);
}
