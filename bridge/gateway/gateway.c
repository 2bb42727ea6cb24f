/*
 * gateway.c - the gateway as an object, and what becomes of each kind of stanza.
 *
 * Pager mode only: a message with a body is carried; a presence subscription
 * and every iq is refused with the reason, so that the sender knows. The two
 * directions are gateway_out.c and gateway_in.c; how values are written on the
 * other side is map_*.c.
 *
 * Owns the endpoint, the queues and what waits. Everything given to it is
 * answered exactly once; gateway_stop() and gateway_abort() answer all that is
 * left. Nothing is fatal.
 */
#include "bridge/gateway/gateway_internal.h"

#include <stdlib.h>

#include "bridge/xmpp/dialback.h"

/* How long a pool may take to answer what it was sent before the stop: as long as a step of s2s_stop(). */
enum { STOP_MS = 2000 };

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

static void take_message(struct gateway *g, struct stanza *stanza, enum pool pool, delivery_fn *done,
			 void *done_ctx)
{
	if (stanza_has_type(stanza, "error")) {
		struct outcome outcome = { .confirmed = true };

		gateway_take_error(g, stanza);
		done(done_ctx, stanza, &outcome);
	} else if (stanza_has_type(stanza, "groupchat")) {
		refuse(stanza, COND_SERVICE_UNAVAILABLE, "group chat is not carried to this user's system",
		       done, done_ctx);
	} else {
		gateway_send(g, stanza, pool, done, done_ctx);
	}
}

/* router_egress_fn */
static void take(void *ctx, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx)
{
	struct gateway *g = ctx;

	if (stanza->kind == STANZA_MESSAGE)
		take_message(g, stanza, pool, done, done_ctx);
	else if (stanza->kind == STANZA_IQ &&
		 (stanza_has_type(stanza, "get") || stanza_has_type(stanza, "set")))
		refuse(stanza, COND_SERVICE_UNAVAILABLE, NULL, done, done_ctx);
	else if (stanza->kind == STANZA_PRESENCE && stanza_has_type(stanza, "subscribe"))
		refuse(stanza, COND_FEATURE_NOT_IMPLEMENTED, "presence is not mapped yet", done, done_ctx);
	else
		drop(g, stanza, done, done_ctx);
}

static enum err open_endpoint(struct gateway *g, const char **why)
{
	struct sip_setup setup = {
		.loop = g->loop, .config = g->config, .on_request = gateway_receive, .ctx = g
	};

	return g->config->sip.listen.count > 0 ? sip_endpoint_create(&setup, &g->endpoint, why) : OK;
}

enum err gateway_create(struct loop *loop, const struct config *config, struct router *router,
			struct gateway **out, const char **why)
{
	struct gateway *g = xcalloc(1, sizeof(*g));
	enum err e;

	*g = (struct gateway){ .loop = loop, .config = config, .router = router };
	e = random_hex(g->id_prefix, sizeof(g->id_prefix));
	if (e != OK)
		*why = "the system gives no random numbers for message ids";
	else
		e = open_endpoint(g, why);
	if (e != OK) {
		free(g);
		return e;
	}
	router_set_gateway(router, take, g);
	*out = g;
	return OK;
}

/* Nothing more is taken, and what waits for its turn does not get it. */
static void close_gateway(struct gateway *g)
{
	g->stopped = true;
	gateway_fail_queued(g);
	gateway_end_receiving(g);
}

void gateway_check_stopped(struct gateway *g)
{
	if (g->stop_timer == NULL || gateway_under_way(g) > 0)
		return;
	loop_timer_destroy(g->stop_timer);
	g->stop_timer = NULL;
	g->finished(g->finished_ctx);
}

static void on_stop_timer(void *ctx)
{
	struct gateway *g = ctx;

	gateway_fail_sent(g);
	gateway_check_stopped(g);
}

void gateway_stop(struct gateway *g, void (*finished)(void *ctx), void *ctx)
{
	close_gateway(g);
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
	close_gateway(g);
	gateway_fail_sent(g);
}

void gateway_destroy(struct gateway *g)
{
	if (g == NULL)
		return;
	gateway_abort(g);
	router_set_gateway(g->router, NULL, NULL);
	gateway_abandon_receiving(g);
	sip_endpoint_destroy(g->endpoint);
	free(g);
}

json_t *gateway_status(const struct gateway *g)
{
	json_t *endpoint = g->endpoint != NULL ? sip_endpoint_status(g->endpoint) : json_null();

	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sip", endpoint, "pairs",
			 (json_int_t)gateway_pair_count(g), "queued", (json_int_t)g->queued, "to_sip",
			 (json_int_t)g->to_sip, "to_sip_failed", (json_int_t)g->to_sip_failed, "to_xmpp",
			 (json_int_t)g->to_xmpp, "to_xmpp_failed", (json_int_t)g->to_xmpp_failed, "bodiless",
			 (json_int_t)g->bodiless, "dropped", (json_int_t)g->dropped);
}
