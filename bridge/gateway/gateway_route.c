/*
 * gateway_route.c - where a SIP request from a pool goes.
 *
 * Every request outside a dialog is decided here, before anything is asked of
 * it that only its receiver may ask, so that the relay passes methods and
 * extensions which the gateway does not know. The decision is request.c's; here
 * it is carried out.
 *
 * A request without a user, as an OPTIONS that asks whether we are alive, is for
 * us. A user who is being moved has no certain place: a MESSAGE is kept
 * (hold.c), everything else gets 480 with Retry-After. While older messages of
 * the same two users wait, a newer one is not relayed past them.
 *
 * Keeps nothing. Nothing is fatal.
 */
#include "bridge/gateway/gateway_route.h"

#include <string.h>

#include "bridge/route/colleagues.h"

static void refuse(const struct sip_request *r, unsigned status, const char *phrase, const char *header)
{
	log_event(LOG_INFO, "sip-refused", NULL, "method=%s from=%s status=%u phrase=%s",
		  log_value(r->method), r->source, status, log_value(phrase));
	sip_answer(r->transaction, status, phrase, header);
}

static void reject(const struct sip_request *r, const struct jid *to, const struct verdict *v)
{
	const char *text;
	enum condition condition = route_rejection(v, &text);

	refuse(r, map_condition_to_status(condition, to->resource[0] != '\0', false), text, NULL);
}

/* Never back to its source; the log says whose marks or routes are out of step. */
static void refuse_loop(const struct sip_request *r, const struct request_verdict *v)
{
	log_event(LOG_NOTICE, "drift", NULL, "method=%s from=%s pool=%s reason=%s", log_value(r->method),
		  r->source, pool_name(v->pool), log_value(v->verdict.reason));
	refuse(r, 482, "It Would Go Back Where It Came From", NULL);
}

static void log_relay(const struct sip_request *r, const struct jid *from, const struct jid *to,
		      const struct request_verdict *v)
{
	char from_text[JID_BARE_SIZE], to_text[JID_BARE_SIZE];

	jid_bare(from, from_text);
	jid_bare(to, to_text);
	log_event(LOG_DEBUG, "relay", NULL, "method=%s source=%s from=%s to=%s pool=%s reason=%s",
		  log_value(r->method), r->source, log_value(from_text), log_value(to_text),
		  pool_name(v->pool), log_value(v->verdict.reason));
}

static bool is_message(const struct sip_request *r)
{
	return strcmp(r->method, "MESSAGE") == 0;
}

/* Without a next hop to the legacy gateway's side, the router's refusal says so. */
static int relay(struct gateway *g, const struct sip_request *r, const struct jid *from, const struct jid *to,
		 const struct request_verdict *v)
{
	if (is_message(r) && colleagues_wait(router_colleagues(g->router), from, to, v->pool))
		return WAY_BEHIND + (int)v->pool;
	if (g->relay != NULL && config_next_hops(g->config, v->pool)->count > 0) {
		log_relay(r, from, to, v);
		sip_relay_forward(g->relay, r, v->pool);
		return SIP_TAKEN;
	}
	if (v->verdict.route == ROUTE_LEGACY)
		return WAY_GATEWAY;
	refuse(r, 480, "No Way To That Pool", NULL);
	return SIP_TAKEN;
}

static int carry_out(struct gateway *g, const struct sip_request *r, const struct jid *from,
		     const struct jid *to, const struct request_verdict *v)
{
	switch (v->route) {
	case REQUEST_GATEWAY:
		return WAY_GATEWAY;
	case REQUEST_RELAY:
		return relay(g, r, from, to, v);
	case REQUEST_HOLD:
		if (is_message(r))
			return WAY_MOVING;
		refuse(r, 480, "Being Moved", RETRY_MOVED);
		break;
	case REQUEST_REJECT:
		reject(r, to, &v->verdict);
		break;
	case REQUEST_LOOP:
		refuse_loop(r, v);
		break;
	}
	return SIP_TAKEN;
}

int gateway_route(void *ctx, const struct sip_request *r)
{
	struct gateway *g = ctx;
	struct request_verdict v;
	struct jid from, to;

	if (r->to.user[0] == '\0')
		return WAY_GATEWAY;
	if (g->stopped)
		refuse(r, 503, NULL, NULL);
	else if (map_sip_to_jid(&r->from, &from) != OK)
		refuse(r, 403, "From Has No XMPP Address", NULL);
	else if (map_sip_to_jid(&r->to, &to) != OK)
		refuse(r, 404, "No Such XMPP Address", NULL);
	else if (router_decide_request(g->router, &from, &to, r->pool, &v) != OK)
		refuse(r, 500, "The Registry Cannot Be Read", NULL);
	else
		return carry_out(g, r, &from, &to, &v);
	return SIP_TAKEN;
}
