/*
 * gateway.c - the gateway as an object, and what becomes of each kind of stanza.
 *
 * A message belongs to a conversation (conversation.c), which has a queue and
 * perhaps SIP sessions; gateway_out.c and gateway_in.c are the two ways into it.
 * How values are written on the other side is map_*.c.
 *
 * Owns the endpoint, the queues and what waits. Everything given to it is
 * answered exactly once; gateway_stop() and gateway_abort() answer all that is
 * left. Nothing is fatal.
 */
#include "bridge/gateway/gateway_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/conversation.h"
#include "bridge/gateway/gateway_route.h"
#include "bridge/gateway/hold.h"
#include "bridge/gateway/presence.h"
#include "bridge/gateway/session.h"
#include "bridge/xmpp/dialback.h"

/* How long pools and partners may take to answer what they were sent before the stop: as long as a step of s2s_stop(). */
enum { STOP_MS = 2000 };

enum { T1_MS = 500 }; /* RFC 3261 section 17.1.1.1 */

static void refuse(struct stanza *stanza, enum condition condition, const char *text, delivery_fn *done,
		   void *done_ctx)
{
	struct outcome outcome = { .condition = condition, .text = text };

	done(done_ctx, stanza, &outcome);
}

/* Nothing is lost by not carrying it: it says no more than the next one will, or answers what we never asked. */
static void drop(struct gateway *g, struct stanza *stanza, delivery_fn *done, void *done_ctx)
{
	struct outcome outcome = { .confirmed = true };

	g->dropped++;
	done(done_ctx, stanza, &outcome);
}

/* Users whom nobody has verified may write only to those who have added them. */
static bool may_write(const struct gateway *g, const struct stanza *stanza, const struct verdict *v)
{
	return v->partner_type != PARTNER_PUBLIC_UNVERIFIED || presence_is_added(g->presence, stanza);
}

static void take_message(struct gateway *g, struct stanza *stanza, const struct verdict *v, delivery_fn *done,
			 void *done_ctx)
{
	if (stanza_has_type(stanza, "error")) {
		struct outcome outcome = { .confirmed = true };

		gateway_take_error(g, stanza);
		done(done_ctx, stanza, &outcome);
	} else if (stanza_has_type(stanza, "groupchat")) {
		refuse(stanza, COND_SERVICE_UNAVAILABLE, "group chat is not carried to this user's system",
		       done, done_ctx);
	} else if (!may_write(g, stanza, v)) {
		refuse(stanza, COND_SUBSCRIPTION_REQUIRED, "this user has not added you as a contact", done,
		       done_ctx);
	} else {
		gateway_send(g, stanza, v->pool, done, done_ctx);
	}
}

static void take_iq(struct gateway *g, struct stanza *stanza, delivery_fn *done, void *done_ctx)
{
	struct outcome answered = { .confirmed = true };

	if (gateway_answer_iq(g, stanza))
		done(done_ctx, stanza, &answered);
	else
		refuse(stanza, COND_SERVICE_UNAVAILABLE, NULL, done, done_ctx);
}

/* The client that a conversation was held with is gone: the next one is for the user (RFC 6121 section 5.1). */
static void unlock(struct gateway *g, const struct stanza *stanza)
{
	struct jid from, to;
	struct conversation *c = NULL;

	if (jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK)
		c = conversation_find(g, &from, &to);
	if (c == NULL || c->partner == NULL || strcmp(c->partner, stanza->from) != 0)
		return;
	conversation_lock(c, NULL);
	chat_state_stopped(c);
}

/* router_egress_fn */
static void take(void *ctx, struct stanza *stanza, const struct verdict *v, delivery_fn *done, void *done_ctx)
{
	struct gateway *g = ctx;

	if (stanza->kind == STANZA_MESSAGE) {
		take_message(g, stanza, v, done, done_ctx);
	} else if (stanza->kind == STANZA_PRESENCE && !stanza_has_type(stanza, "error")) {
		if (stanza_has_type(stanza, "unavailable"))
			unlock(g, stanza);
		presence_take_stanza(g->presence, stanza, v, done, done_ctx);
	} else if (stanza->kind == STANZA_IQ &&
		   (stanza_has_type(stanza, "get") || stanza_has_type(stanza, "set"))) {
		take_iq(g, stanza, done, done_ctx);
	} else {
		drop(g, stanza, done, done_ctx);
	}
}

static void on_cancel(void *ctx, struct sip_transaction *transaction)
{
	session_cancelled(ctx, transaction);
}

static void on_burst(void *ctx, bool begins)
{
	const struct gateway *g = ctx;

	router_view(g->router, begins);
}

static enum err open_endpoint(struct gateway *g, const struct gateway_setup *from, const char **why)
{
	struct sip_setup setup = { .loop = g->loop,
				   .dns = from->dns,
				   .config = g->config,
				   .on_route = gateway_route,
				   .on_request = gateway_receive,
				   .on_cancel = on_cancel,
				   .on_burst = on_burst,
				   .ctx = g,
				   .t1_ms = from->t1_ms };

	enum err e = OK;

	if (g->config->sip.listen.count > 0)
		e = sip_endpoint_create(&setup, &g->endpoint, why);
	if (g->endpoint != NULL)
		g->relay = sip_relay_create(g->endpoint);
	return e;
}

static enum err open_presence(struct gateway *g, struct ledger *ledger, const char **why)
{
	enum err e = presence_create(g, ledger, &g->presence);

	if (e != OK)
		*why = "the subscription ledger cannot be read; restore the state file from a copy";
	return e;
}

enum err gateway_create(const struct gateway_setup *setup, struct gateway **out, const char **why)
{
	struct gateway *g = xcalloc(1, sizeof(*g));
	enum err e;

	*g = (struct gateway){ .loop = setup->loop,
			       .config = setup->config,
			       .router = setup->router,
			       .t1_ms = setup->t1_ms > 0 ? setup->t1_ms : T1_MS };
	e = random_hex(g->id_prefix, sizeof(g->id_prefix));
	if (e != OK)
		*why = "the system gives no random numbers for message ids";
	else
		e = open_endpoint(g, setup, why);
	if (e == OK)
		e = open_presence(g, setup->ledger, why);
	if (e != OK) {
		sip_relay_destroy(g->relay);
		sip_endpoint_destroy(g->endpoint);
		free(g);
		return e;
	}
	router_set_gateway(g->router, take, g);
	router_set_passing(g->router, conversation_passing, g);
	hold_begin(g);
	*out = g;
	return OK;
}

enum pool_mode gateway_pool_mode(const struct gateway *g, enum pool pool)
{
	return (enum pool_mode)(pool == POOL_NEW ? g->config->sip.new_pool_mode
						 : g->config->sip.legacy_pool_mode);
}

/* Both ends of a session know that it is over; one with a message under way follows its response. */
static void close_sessions(struct gateway *g)
{
	struct conversation *c;

	for (c = g->by_use; c != NULL; c = c->newer)
		session_close_all(c);
}

/* Nothing more is taken, and what waits for its turn does not get it. late: nor are answers waited for. */
static void close_gateway(struct gateway *g, bool late)
{
	g->stopped = true;
	gateway_fail_queued(g);
	gateway_end_receiving(g, late);
	close_sessions(g);
	if (g->relay != NULL)
		sip_relay_stop(g->relay);
}

void gateway_check_stopped(struct gateway *g)
{
	if (g->stop_timer == NULL || gateway_under_way(g) > 0 || gateway_is_receiving(g))
		return;
	loop_timer_destroy(g->stop_timer);
	g->stop_timer = NULL;
	g->finished(g->finished_ctx);
}

static void on_stop_timer(void *ctx)
{
	struct gateway *g = ctx;

	gateway_fail_sent(g);
	gateway_end_receiving(g, true);
	hold_end(g);
	gateway_check_stopped(g);
}

void gateway_stop(struct gateway *g, void (*finished)(void *ctx), void *ctx)
{
	close_gateway(g, false);
	g->finished = finished;
	g->finished_ctx = ctx;
	g->stop_timer = loop_timer_create(g->loop, on_stop_timer, g);
	loop_timer_set(g->stop_timer, STOP_MS);
	gateway_check_stopped(g);
}

void gateway_abort(struct gateway *g)
{
	loop_timer_destroy(g->stop_timer);
	g->stop_timer = NULL;
	close_gateway(g, true);
	gateway_fail_sent(g);
	hold_end(g);
}

void gateway_destroy(struct gateway *g)
{
	if (g == NULL)
		return;
	gateway_abort(g);
	router_set_gateway(g->router, NULL, NULL);
	router_set_passing(g->router, NULL, NULL);
	colleagues_set_egress(router_colleagues(g->router), NULL);
	gateway_abandon_receiving(g);
	while (g->by_use != NULL)
		conversation_free(g->by_use);
	presence_destroy(g->presence);
	sip_relay_destroy(g->relay);
	sip_endpoint_destroy(g->endpoint);
	free(g);
}

enum err gateway_reload(struct gateway *g, const char **why)
{
	return g->endpoint != NULL ? sip_endpoint_reload(g->endpoint, why) : OK;
}

void gateway_erase(struct gateway *g, const char *address)
{
	presence_erase(g->presence, address);
}

json_t *gateway_status(const struct gateway *g)
{
	json_t *endpoint = g->endpoint != NULL ? sip_endpoint_status(g->endpoint) : json_null();
	json_t *relay = g->relay != NULL ? sip_relay_status(g->relay) : json_null();

	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sip", endpoint,
			 "relay", relay, "presence", presence_status(g->presence), "conversations",
			 (json_int_t)HASH_COUNT(g->conversations), "sessions",
			 (json_int_t)HASH_COUNT(g->sessions), "queued", (json_int_t)g->queued.total, "to_sip",
			 (json_int_t)g->to_sip, "to_sip_failed", (json_int_t)g->to_sip_failed, "to_xmpp",
			 (json_int_t)g->to_xmpp, "to_xmpp_failed", (json_int_t)g->to_xmpp_failed, "bodiless",
			 (json_int_t)g->bodiless, "dropped", (json_int_t)g->dropped);
}
