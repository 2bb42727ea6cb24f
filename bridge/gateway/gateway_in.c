/*
 * gateway_in.c - SIP -> XMPP: a MESSAGE from a pool becomes a message stanza
 * (RFC 7572 section 5), and what becomes of it the SIP answer.
 *
 * The router decides whether and where it goes. The SIP request waits for the
 * delivery: confirmed is 200, a failure the mapped status. An XMPP error that
 * comes while it waits answers it too; one that comes later finds nobody to
 * tell. An inbound lives until the router has answered, whoever answered the
 * SIP request before.
 *
 * text/plain only: the other types that a pool offers (typing, rich text) are
 * refused with 415, after which it sends none of them. Nothing is fatal.
 */
#include "bridge/gateway/gateway_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct inbound {
	struct gateway *gateway;             /* NULL: it is gone */
	struct sip_transaction *transaction; /* NULL: answered */
	struct jid from, to;
	UT_hash_handle hh;
	char id[ID_PREFIX_SIZE + 24];
};

/* --- answers --- */

static void answer(struct inbound *in, unsigned status, const char *phrase)
{
	if (in->transaction == NULL)
		return;
	log_event(LOG_DEBUG, "sip-answered", in->id, "status=%u", status);
	sip_answer(in->transaction, status, phrase, NULL);
	in->transaction = NULL;
}

static void answer_condition(struct inbound *in, enum condition condition, const char *text)
{
	answer(in, map_condition_to_status(condition, in->to.resource[0] != '\0', false), text);
}

/* The router's word, and the end of the inbound. */
static void on_delivery(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct inbound *in = ctx;
	struct gateway *g = in->gateway;

	(void)stanza;
	if (outcome->confirmed)
		answer(in, 200, NULL);
	else
		answer_condition(in, outcome->condition, outcome->text);
	if (g != NULL) {
		*(outcome->confirmed ? &g->to_xmpp : &g->to_xmpp_failed) += 1;
		HASH_DEL(g->inbound, in);
	}
	free(in);
}

/* --- requests --- */

struct objection {
	unsigned status; /* 0: none */
	const char *phrase, *header;
};

static bool is_plain_text(const struct sip_request *r)
{
	return strcmp(r->content_type, "text/plain") == 0 &&
	       (r->charset[0] == '\0' || strcmp(r->charset, "utf-8") == 0 ||
		strcmp(r->charset, "us-ascii") == 0);
}

static struct objection check(const struct gateway *g, const struct sip_request *r, struct inbound *in)
{
	if (g->stopped)
		return (struct objection){ 503, NULL, NULL };
	if (r->to_tag != NULL)
		return (struct objection){ 481, NULL, NULL };
	if (strcmp(r->method, "MESSAGE") != 0)
		return (struct objection){ 405, NULL, "Allow: MESSAGE, OPTIONS" };
	if (map_sip_to_jid(&r->from, &in->from) != OK)
		return (struct objection){ 403, "From Has No XMPP Address", NULL };
	if (map_sip_to_jid(&r->to, &in->to) != OK)
		return (struct objection){ 404, "No Such XMPP Address", NULL };
	/* RFC 3428 section 9 allows a MESSAGE without a body: there is nothing to deliver, or to lose. */
	if (r->body_size == 0)
		return (struct objection){ 200, NULL, NULL };
	if (!is_plain_text(r))
		return (struct objection){ 415, NULL, "Accept: text/plain" };
	return (struct objection){ 0, NULL, NULL };
}

static enum err make_stanza(const struct inbound *in, const struct sip_request *r, struct stanza **out)
{
	char from[JID_FULL_SIZE], to[JID_FULL_SIZE];
	struct map_message m = {
		.from = from,
		.to = to,
		.id = in->id,
		.subject = r->subject != NULL && r->subject[0] != '\0' ? r->subject : NULL,
		.thread = r->call_id,
		.lang = r->content_language,
		.body = r->body,
		.body_size = r->body_size,
	};

	jid_full(&in->from, from);
	jid_full(&in->to, to);
	return map_message_to_stanza(&m, out);
}

static void submit(struct gateway *g, struct inbound *in, struct stanza *stanza)
{
	struct submission submission = {
		.origin = ORIGIN_POOL,
		.stanza = stanza,
		.from = &in->from,
		.to = &in->to,
		.done = on_delivery,
		.ctx = in,
		.deadline_ms = g->config->sip.answer_ms,
	};

	router_submit(g->router, &submission);
}

void gateway_receive(void *ctx, const struct sip_request *request)
{
	struct gateway *g = ctx;
	struct inbound *in = xcalloc(1, sizeof(*in));
	struct objection objection = check(g, request, in);
	struct stanza *stanza = NULL;

	in->gateway = g;
	in->transaction = request->transaction;
	snprintf(in->id, sizeof(in->id), "%s-%llx", g->id_prefix, (unsigned long long)++g->id_counter);
	if (objection.status == 0 && make_stanza(in, request, &stanza) != OK)
		objection = (struct objection){ 400, "Body Is Not UTF-8 Text", NULL };
	if (objection.status != 0) {
		*(objection.status == 200 ? &g->bodiless : &g->to_xmpp_failed) += 1;
		log_event(LOG_INFO, "sip-refused", NULL, "from=%s type=%s status=%u", request->source,
			  log_value(request->content_type), objection.status);
		sip_answer(request->transaction, objection.status, objection.phrase, objection.header);
		free(in);
		return;
	}
	HASH_ADD_STR(g->inbound, id, in);
	submit(g, in, stanza);
	stanza_unref(stanza);
}

/* --- errors from the partner --- */

/*
 * By id and by both addresses: an id alone would let anyone who guesses it
 * answer. A server may answer for its user.
 */
static bool concerns(const struct inbound *in, const struct stanza *stanza)
{
	struct jid from, to;

	if (jid_parse(stanza->from, &from) != OK || jid_parse(stanza->to, &to) != OK)
		return false;
	return strcmp(from.domain, in->to.domain) == 0 &&
	       (from.local[0] == '\0' || strcmp(from.local, in->to.local) == 0) &&
	       strcmp(to.domain, in->from.domain) == 0 && strcmp(to.local, in->from.local) == 0;
}

void gateway_take_error(struct gateway *g, const struct stanza *stanza)
{
	struct inbound *in = NULL;
	struct stanza_tree *tree = NULL;
	enum condition condition = COND_UNDEFINED_CONDITION;
	const char *text = NULL;

	if (stanza->id != NULL)
		HASH_FIND_STR(g->inbound, stanza->id, in);
	if (in == NULL || in->transaction == NULL || !concerns(in, stanza)) {
		g->dropped++;
		log_event(LOG_INFO, "error-dropped", NULL, "from=%s to=%s", log_value(stanza->from),
			  log_value(stanza->to));
		return;
	}
	if (stanza_tree_build(stanza, &tree) == OK)
		condition = stanza_tree_error(tree, &text);
	answer_condition(in, condition, text);
	stanza_tree_free(tree);
}

void gateway_end_receiving(struct gateway *g)
{
	struct inbound *in, *next;

	HASH_ITER (hh, g->inbound, in, next)
		answer(in, 503, "Shutting Down");
}

void gateway_abandon_receiving(struct gateway *g)
{
	struct inbound *in, *next;

	HASH_ITER (hh, g->inbound, in, next) {
		HASH_DEL(g->inbound, in);
		in->gateway = NULL;
	}
}
