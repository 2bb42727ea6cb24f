/*
 * conversation_move.c - conversations in progress when the registry changes.
 *
 * A user who has left a pool has no client there any more: the sessions with it
 * end, when what is in flight in them has arrived; what waits to be sent is put
 * back, for the side that has the user now; who types, on either side, is not
 * shown any more. The conversation goes on: its thread is kept, and the next
 * message opens a session where the user is.
 *
 * While he is being moved nothing changes yet. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include "bridge/gateway/presence.h"

static bool has_left(const struct conversation *c, const enum pool *home)
{
	return c->passing ? home != NULL : home == NULL || c->pool != *home;
}

/* home: the pool where the user is; NULL: none of ours. */
static void follow(struct conversation *c, const enum pool *home)
{
	if (has_left(c, home)) {
		chat_state_leave(c);
		/* Another client, of which nothing is known. */
		c->works = POOL_AUTO;
		c->no_typing = false;
	}
	queue_leave(c, home);
	session_leave_all(c, home);
	if (home != NULL) {
		c->pool = *home;
		c->passing = false;
	}
	queue_wake(c);
}

/* A registry that cannot be read: the sessions end when they are used next. */
static void look(struct conversation *c)
{
	struct jid partner, user;
	struct verdict v;

	if (!conversation_jids(c, &partner, &user) ||
	    router_decide(c->gateway->router, &user, partner.domain, &v) != OK || v.route == ROUTE_HOLD)
		return;
	follow(c, v.route == ROUTE_GATEWAY ? &v.pool : NULL);
}

/* What only remembers something has nothing to end. */
static void look_at_all(struct gateway *g)
{
	struct conversation *c, *next;

	HASH_ITER (hh, g->conversations, c, next)
		if (c->sessions != NULL || c->first != NULL || c->composing ||
		    c->told == CHAT_STATE_COMPOSING)
			look(c);
}

void gateway_registry_changed(struct gateway *g, const char *user)
{
	struct correspondent *one = user != NULL ? correspondent_find(g, user) : NULL;
	struct conversation *c = one != NULL ? correspondent_first(one) : NULL, *next;

	if (g->stopped)
		return;
	if (user == NULL)
		look_at_all(g);
	for (; c != NULL; c = next) {
		next = c->behind;
		look(c);
	}
	presence_changed(g->presence, user);
}
