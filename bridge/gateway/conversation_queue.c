/*
 * conversation_queue.c - XMPP -> SIP: what one XMPP user has written to one user
 * of a pool, in order.
 *
 * Order: one request is under way for each conversation; the others wait behind
 * it, which is also what RFC 3428 section 8 asks for. The conversations of a pool
 * take turns, so that no more requests are under way to it than its connection
 * can hold; an INVITE, which may ring for a minute, is not counted there. Both
 * limits of the configuration count what is under way too, and one partner has
 * no more than he leaves for the others; s2s.queue_time is how long a message
 * may wait for its turn.
 *
 * Owns, through the conversations, every message until its outcome is told; how
 * one message is written is outbound.c, which request carries it session_out.c.
 * Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <string.h>
#include <utlist.h>

/* Requests under way to a pool: well below what sofia-sip queues for one connection (endpoint.c). */
enum { UNDER_WAY_MAX = 256 };

/* By whose users the queues are shared. */
static const char *partner_of(const struct conversation *c, size_t *length)
{
	const char *at = memchr(c->key, '@', c->partner_length);
	const char *domain = at != NULL ? at + 1 : c->key;

	*length = (size_t)(c->key + c->partner_length - domain);
	return domain;
}

static struct outbound *take(struct conversation *c, struct outbound *o)
{
	const char *partner;
	size_t length;

	DL_DELETE(c->first, o);
	c->count--;
	partner = partner_of(c, &length);
	shares_give(&c->gateway->queued, partner, length);
	return o;
}

/* Typing and the like, which nobody waits for. */
void queue_drop(struct conversation *c, struct outbound *o)
{
	outbound_free(take(c, o));
}

/* Its turn comes too late: what waits behind a silent pool would wait for timer F once for each before it. */
static bool is_late(const struct outbound *o, const struct gateway *g)
{
	return loop_now(g->loop) - o->since > g->config->s2s.queue_ms;
}

/* All, in order: what is behind one that is put back for another time is not to overtake it. */
static void put_back(struct conversation *c, const char *why)
{
	const struct objection objection = { COND_REMOTE_SERVER_TIMEOUT, why };

	while (c->first != NULL)
		outbound_put_back(c->gateway, take(c, c->first), objection);
}

static void put_back_late(struct conversation *c)
{
	c->telling = true;
	if (c->first != NULL && is_late(c->first, c->gateway))
		put_back(c, "this user's system does not answer");
	c->telling = false;
}

static void leave_window(struct conversation *c)
{
	if (c->window != NULL)
		c->window->under_way--;
	c->window = NULL;
}

/* Behind the others. */
static void make_ready(struct conversation *c)
{
	c->ready = true;
	DL_APPEND(c->gateway->window[c->first->pool].ready, c);
}

/* Two INVITEs at the same time make two sessions of one conversation: queue_wake() comes when theirs is answered. */
static bool has_to_wait(const struct conversation *c)
{
	return c->first->kind == OUTBOUND_TEXT && session_is_coming(c, c->first->pool);
}

static void send_ready(struct gateway *g)
{
	for (size_t i = 0; i < ARRAY_SIZE(g->window); i++) {
		struct window *w = &g->window[i];

		while (w->ready != NULL && w->under_way < UNDER_WAY_MAX) {
			struct conversation *c = w->ready;

			DL_DELETE(w->ready, c);
			c->ready = false;
			put_back_late(c);
			if (c->first == NULL || has_to_wait(c))
				continue;
			c->window = w;
			w->under_way++;
			if (!session_send_first(c)) {
				queue_drop(c, c->first);
				leave_window(c);
				if (c->first != NULL)
					make_ready(c);
			} else if (c->errand == ERRAND_INVITE) {
				leave_window(c);
			}
		}
	}
}

void queue_again(struct conversation *c)
{
	leave_window(c);
	if (c->first != NULL && !c->ready)
		make_ready(c);
	send_ready(c->gateway);
}

void queue_wake(struct conversation *c)
{
	if (c->first != NULL && c->request == NULL && !c->ready && !c->telling)
		queue_again(c);
}

/* The callback may bring the next message of this conversation: it finds it busy. */
static void tell(struct conversation *c, const struct sip_response *response, struct objection objection)
{
	struct gateway *g = c->gateway;
	struct outbound *o = take(c, c->first);

	c->telling = true;
	if (response == NULL)
		outbound_fail(g, o, objection);
	else if (outbound_respond(g, o, response))
		put_back(c, "this user's system cannot be reached");
	c->telling = false;
	if (g->stopped)
		session_close_all(c);
	queue_again(c);
	gateway_check_stopped(g);
}

void queue_finish(struct conversation *c, const struct sip_response *response)
{
	tell(c, response, (struct objection){ .text = NULL });
}

void queue_fail(struct conversation *c, struct objection objection)
{
	tell(c, NULL, objection);
}

void queue_put_back(struct conversation *c)
{
	c->telling = true;
	put_back(c, "this user has been moved");
	c->telling = false;
	if (c->gateway->stopped)
		session_close_all(c);
	queue_again(c);
	gateway_check_stopped(c->gateway);
}

/* Behind the one that is under way, whose end decides about it. */
static void put_back_unsent(struct conversation *c)
{
	const struct objection objection = { COND_REMOTE_SERVER_TIMEOUT, "this user has been moved" };
	struct outbound *o = c->request != NULL ? c->first->next : c->first, *next;

	c->telling = true;
	for (; o != NULL; o = next) {
		next = o->next;
		outbound_put_back(c->gateway, take(c, o), objection);
	}
	c->telling = false;
}

void queue_leave(struct conversation *c, const enum pool *pool)
{
	struct outbound *o;

	DL_FOREACH (c->first, o)
		if (pool == NULL || o->pool != *pool)
			break;
	if (o == NULL)
		return;
	if (c->ready)
		DL_DELETE(c->gateway->window[c->first->pool].ready, c);
	c->ready = false;
	put_back_unsent(c);
	if (c->request == NULL || c->first->stale || (pool != NULL && c->first->pool == *pool))
		return;
	c->first->stale = true;
	if (c->errand == ERRAND_INVITE)
		session_give_up_invite(c);
}

/* A partner who sends more than goes out fills what is his, and the others still have room. */
static bool has_room(const struct conversation *c)
{
	struct gateway *g = c->gateway;
	size_t length;
	const char *partner = partner_of(c, &length);

	return c->count < (size_t)g->config->sip.queue_messages &&
	       shares_take(&g->queued, partner, length, (size_t)g->config->sip.queue_total);
}

void queue_add(struct conversation *c, struct outbound *o)
{
	struct gateway *g = c->gateway;
	bool idle = c->first == NULL && !c->telling;

	if (!has_room(c)) {
		outbound_put_back(g, o,
				  (struct objection){ COND_RESOURCE_CONSTRAINT,
						      "too many messages wait for this system" });
		return;
	}
	o->since = loop_now(g->loop);
	DL_APPEND(c->first, o);
	c->count++;
	if (idle) {
		make_ready(c);
		send_ready(g);
	}
}

/* --- the end --- */

static const struct objection stopped = { COND_REMOTE_SERVER_TIMEOUT, "shutting down" };

/* A message that was sent stays: the pool usually delivers it, and an error would make its sender send it again. */
void gateway_fail_queued(struct gateway *g)
{
	struct conversation *c, *next;

	for (size_t i = 0; i < ARRAY_SIZE(g->window); i++)
		g->window[i].ready = NULL; /* all of these end now */
	HASH_ITER (hh, g->conversations, c, next) {
		struct outbound *o = c->request != NULL ? c->first->next : c->first, *after;

		c->ready = false;
		for (; o != NULL; o = after) {
			after = o->next;
			outbound_put_back(g, take(c, o), stopped);
		}
	}
}

void gateway_fail_sent(struct gateway *g)
{
	struct conversation *c, *next;

	HASH_ITER (hh, g->conversations, c, next) {
		if (c->request != NULL) {
			sip_outgoing_cancel(c->request);
			c->request = NULL;
			c->carrier = NULL;
			c->invite_until = 0;
			session_close_all(c);
			leave_window(c);
			outbound_fail(g, take(c, c->first), stopped);
		}
	}
}

size_t gateway_under_way(const struct gateway *g)
{
	struct conversation *c, *next;
	size_t count = g->letting_count;

	HASH_ITER (hh, g->conversations, c, next)
		count += c->request != NULL;
	return count;
}
