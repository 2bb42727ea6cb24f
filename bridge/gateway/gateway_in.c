/*
 * gateway_in.c - SIP -> XMPP: what a pool asks of the gateway, by dialog and
 * method.
 *
 * A MESSAGE outside a dialog is a message by itself (RFC 7572): text goes to the
 * XMPP user (inbound.c), typing and notifications to the conversation, other
 * types get 415. Nothing is fatal.
 */
#include "bridge/gateway/gateway_route.h"
#include "bridge/gateway/hold.h"
#include "bridge/gateway/inbound.h"
#include "bridge/gateway/presence.h"
#include "bridge/gateway/session.h"

#include <string.h>

void gateway_refuse(struct gateway *g, const struct sip_request *r, unsigned status, const char *phrase,
		    const char *header)
{
	*(status == 200 ? &g->bodiless : &g->to_xmpp_failed) += 1;
	log_event(LOG_INFO, "sip-refused", NULL, "method=%s from=%s type=%s status=%u", log_value(r->method),
		  r->source, log_value(r->content_type), status);
	sip_answer(r->transaction, status, phrase, header);
}

/* An answer that nobody waits for, and that gets no error. */
static void on_submitted(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)ctx;
	(void)stanza;
	(void)outcome;
}

static void submit(struct gateway *g, struct stanza *stanza, bool takes_back)
{
	struct jid from, to;
	struct submission submission = { .origin = ORIGIN_POOL,
					 .stanza = stanza,
					 .from = &from,
					 .to = &to,
					 .done = on_submitted,
					 .takes_back = takes_back };

	if (!g->stopped && jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK)
		router_submit(g->router, &submission);
}

void gateway_submit(struct gateway *g, struct stanza *stanza)
{
	submit(g, stanza, false);
}

void gateway_take_back(struct gateway *g, struct stanza *stanza)
{
	submit(g, stanza, true);
}

/* Typing: shown. A notification: nobody has asked for it. */
void gateway_take_notice(struct conversation *c, const struct map_content *content)
{
	if (c != NULL && content->kind == MAP_CONTENT_TYPING)
		chat_state_typed(c, content);
}

static void take_message(struct gateway *g, const struct sip_request *r, const struct jid *from,
			 const struct jid *to)
{
	struct map_content content;
	struct conversation *c;
	struct inbound_source source = { .from = from, .to = to };
	struct jid partner, user;

	if (map_content_read(sip_header(r->view, "Content-Type", 0), r->body, r->body_size, &content) != OK) {
		gateway_refuse(g, r, 400, "Body Cannot Be Read", NULL);
		return;
	}
	switch (content.kind) {
	case MAP_CONTENT_TEXT:
		c = conversation_get(g, to, from);
		if (r->pool >= 0)
			c->pool = (enum pool)r->pool;
		c->passing = false;
		source.conversation = c;
		/* To the client that wrote last, unless the pool names one. */
		if (c->chat && to->resource[0] == '\0' && conversation_jids(c, &partner, &user))
			source.to = &partner;
		inbound_submit(g, r, &source, &content);
		break;
	case MAP_CONTENT_UNSUPPORTED:
		gateway_refuse(g, r, 415, NULL, "Accept: " MAP_CONTENT_ACCEPT);
		break;
	case MAP_CONTENT_EMPTY:
		/* RFC 3428 section 9 allows a MESSAGE without a body: there is nothing to deliver, or to lose. */
		gateway_refuse(g, r, 200, NULL, NULL);
		break;
	default:
		gateway_take_notice(conversation_find(g, to, from), &content);
		sip_answer(r->transaction, 200, NULL, NULL);
	}
	map_content_free(&content);
}

static bool needs_dialog(const char *method)
{
	static const char *const methods[] = { "NOTIFY", "BYE", "INFO" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

/* A request that the router has given to the gateway, outside a dialog. */
static void take_request(struct gateway *g, const struct sip_request *r)
{
	struct jid from, to;

	if (g->stopped)
		gateway_refuse(g, r, 503, NULL, NULL);
	else if (map_sip_to_jid(&r->from, &from) != OK)
		gateway_refuse(g, r, 403, "From Has No XMPP Address", NULL);
	else if (map_sip_to_jid(&r->to, &to) != OK)
		gateway_refuse(g, r, 404, "No Such XMPP Address", NULL);
	else if (strcmp(r->method, "MESSAGE") == 0)
		take_message(g, r, &from, &to);
	else if (strcmp(r->method, "INVITE") == 0)
		session_take_invite(g, r, &from, &to);
	else if (strcmp(r->method, "SUBSCRIBE") == 0)
		presence_take_subscribe(g->presence, r, &from, &to);
	else if (strcmp(r->method, "BYE") != 0 || !session_take_early_bye(g, r))
		gateway_refuse(g, r, needs_dialog(r->method) ? 481 : 405, NULL, SIP_ALLOW);
}

void gateway_receive(void *ctx, const struct sip_request *r)
{
	struct gateway *g = ctx;

	if (r->way != WAY_GATEWAY)
		hold_take(g, r);
	else if (r->to_tag == NULL)
		take_request(g, r);
	else if (!session_take(g, r) && !presence_take(g->presence, r))
		sip_answer(r->transaction, 481, NULL, NULL);
}
