/*
 * inbound.c - SIP -> XMPP: the text of a request becomes a message stanza (RFC
 * 7572 section 5, RFC 7573 section 4), and what becomes of it the SIP answer.
 *
 * The router decides whether and where it goes. The SIP request waits for the
 * delivery: confirmed is 200, a failure the mapped status. An XMPP error that
 * comes while it waits answers it too; one that comes later finds nobody to
 * tell. An inbound lives until the router has answered, whoever answered the
 * SIP request before.
 *
 * A user who chats is written to where he wrote last (RFC 6121 section 5.1), in
 * the thread that he uses. Nothing is fatal.
 */
#include "bridge/gateway/inbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/receipt.h"

struct inbound {
	struct gateway *gateway;             /* NULL: it is gone */
	struct sip_transaction *transaction; /* NULL: answered, or the session's */
	struct session *session;             /* whose INVITE waits for this; NULL: none, or it has ended */
	struct jid from, to;
	bool in_dialog;
	char *dialog;           /* the key of the session within which it came; NULL: none */
	struct arrival arrival; /* none: nobody looks for a second one */
	bool to_device;         /* the pool wrote to one device, rather than to the user */
	UT_hash_handle hh;
	char id[ID_PREFIX_SIZE + 24];
};

/* --- answers --- */

static bool is_waiting(const struct inbound *in)
{
	return in->transaction != NULL || in->session != NULL;
}

static void answer_session(struct inbound *in, unsigned status, const char *phrase)
{
	struct session *s = in->session;

	in->session = NULL;
	s->inbound = NULL;
	if (status == 200)
		session_accept(s, true);
	else
		session_refuse(s, status, phrase);
}

static void answer_with(struct inbound *in, unsigned status, const char *phrase, const char *header)
{
	if (is_waiting(in))
		log_event(LOG_DEBUG, "sip-answered", in->id, "status=%u", status);
	if (in->session != NULL)
		answer_session(in, status, phrase);
	if (in->transaction != NULL)
		sip_answer(in->transaction, status, phrase, header);
	in->transaction = NULL;
}

static void answer(struct inbound *in, unsigned status, const char *phrase)
{
	answer_with(in, status, phrase, NULL);
}

/*
 * Too much waits for this partner: later it may be taken. Not by 503, upon which a pool would send nothing for
 * anybody (RFC 3261 section 21.5.4).
 */
static void answer_condition(struct inbound *in, enum condition condition, const char *text)
{
	answer_with(in, map_condition_to_status(condition, in->to_device, false), text,
		    condition == COND_RESOURCE_CONSTRAINT ? "Retry-After: 5" : NULL);
}

void inbound_forget_session(struct inbound *in)
{
	in->session = NULL;
}

/*
 * The sender's messages go through the legacy pool by now: the session with us is over, and the next
 * INVITE finds the way.
 */
static bool has_moved_back(struct inbound *in)
{
	struct conversation *c = conversation_find(in->gateway, &in->to, &in->from);
	struct verdict v;

	if (router_decide(in->gateway->router, &in->from, in->to.domain, &v) != OK || v.route != ROUTE_LEGACY)
		return false;
	if (c != NULL)
		session_leave_all(c, NULL);
	return true;
}

/* Not before its request is answered: the session may end then. */
static void release(struct inbound *in)
{
	if (in->dialog != NULL && in->gateway != NULL)
		session_received(in->gateway, in->dialog);
	free(in->dialog);
	free(in);
}

/* The router's word, and the end of the inbound. */
static void on_delivery(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct inbound *in = ctx;
	struct gateway *g = in->gateway;

	(void)stanza;
	duplicates_settle(&in->arrival, outcome->confirmed);
	if (outcome->confirmed)
		answer(in, 200, NULL);
	else if (g != NULL && in->in_dialog && has_moved_back(in))
		answer(in, 481, NULL);
	else
		answer_condition(in, outcome->condition, outcome->text);
	if (g != NULL) {
		*(outcome->confirmed ? &g->to_xmpp : &g->to_xmpp_failed) += 1;
		HASH_DEL(g->inbound, in);
	}
	release(in);
	if (g != NULL)
		gateway_check_stopped(g);
}

/* --- what comes a second time --- */

/* The first one's end is this one's. */
static void on_first(void *ctx, bool confirmed)
{
	on_delivery(ctx, NULL,
		    &(struct outcome){ .confirmed = confirmed, .condition = COND_RECIPIENT_UNAVAILABLE });
}

/*
 * While we live, sofia-sip answers a request that is sent again. One that comes by another way, or to another
 * process than the first, is the same by Call-ID, tag and CSeq. True: it is answered, or waits for the first.
 */
static bool is_repeated(struct inbound *in, const struct sip_request *r)
{
	struct duplicates *duplicates = router_duplicates(in->gateway->router);
	enum arrival_kind kind;
	struct seen_hash hash;

	if (duplicates == NULL)
		return false;
	fingerprint_request(duplicates_fingerprint(duplicates), r, &hash);
	kind = duplicates_enter(duplicates, &hash, 0, on_first, in, &in->arrival);
	if (kind == ARRIVAL_NEW)
		return false;
	log_event(LOG_DEBUG, "duplicate", in->id, "method=%s from=%s call_id=%s", log_value(r->method),
		  r->source, log_value(r->call_id));
	if (kind == ARRIVAL_AGAIN)
		on_first(in, true);
	return true;
}

/* --- the stanza --- */

/* A name, and not the address again; one that XML cannot carry is none. */
static bool is_name(const char *text)
{
	return text[0] != '\0' && strchr(text, '@') == NULL && utf8_is_xml(text, strlen(text));
}

static const char *nick_of(const struct sip_request *r)
{
	return is_name(r->from_display) ? r->from_display : NULL;
}

/* What the pool vouches for (RFC 3325): "Name" <uri>; else the sender's own word; else what is known. */
static void note_name(struct conversation *c, const struct sip_request *r)
{
	const char *asserted = sip_header(r->view, "P-Asserted-Identity", 0);
	const char *end = asserted != NULL && asserted[0] == '"' ? strchr(asserted + 1, '"') : NULL;
	char *name = end != NULL && memchr(asserted, '\\', (size_t)(end - asserted)) == NULL
			     ? xstrndup(asserted + 1, (size_t)(end - asserted - 1))
			     : NULL;

	if (name != NULL && is_name(name))
		conversation_set(&c->name, name);
	else if (nick_of(r) != NULL)
		conversation_set(&c->name, nick_of(r));
	free(name);
}

static enum err make_stanza(const struct inbound *in, const struct sip_request *r,
			    const struct inbound_source *source, const struct map_content *text,
			    struct stanza **out)
{
	const struct conversation *c = source->conversation;
	char from[JID_FULL_SIZE], to[JID_FULL_SIZE];
	struct map_message m = {
		.from = from,
		.to = to,
		.id = in->id,
		.subject = r->subject != NULL && r->subject[0] != '\0' ? r->subject : NULL,
		.thread = c->thread != NULL ? c->thread : r->call_id,
		.lang = r->content_language,
		.body = text->text,
		.body_size = strlen(text->text),
		.type = c->chat ? "chat" : NULL,
		.chat_state = c->chat && c->chat_states != SUPPORT_NO ? CHAT_STATE_ACTIVE : CHAT_STATE_NONE,
		.nick = nick_of(r),
		.receipt_request = text->cpim != NULL && (text->cpim->wanted & IMDN_WANT_DELIVERY) != 0,
	};

	if (text->cpim != NULL && text->cpim->subject != NULL)
		m.subject = text->cpim->subject;
	jid_full(source->from, from);
	jid_full(source->to, to);
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

/* What the conversation learns from a message to the XMPP user. */
static void note_message(struct conversation *c, const struct inbound *in, const struct sip_request *r,
			 struct map_content *text)
{
	c->told = CHAT_STATE_ACTIVE;
	note_name(c, r);
	c->typing_until = 0;
	/* A dialog is one thread; single messages have each their own (RFC 7572 section 5). */
	if (c->thread == NULL && (r->to_tag != NULL || in->session != NULL))
		conversation_set(&c->thread, r->call_id);
	if (text->cpim != NULL && (text->cpim->wanted & IMDN_WANT_DELIVERY) != 0)
		receipt_expect(c, in->id, text);
	conversation_touch(c);
}

void inbound_submit(struct gateway *g, const struct sip_request *r, const struct inbound_source *source,
		    struct map_content *text)
{
	struct inbound *in = xcalloc(1, sizeof(*in));
	struct stanza *stanza;

	in->gateway = g;
	in->from = *source->from;
	in->to = *source->to;
	in->session = source->session;
	in->in_dialog = r->to_tag != NULL;
	in->to_device = r->to.gr[0] != '\0';
	if (source->within != NULL) {
		in->dialog = xstrdup(source->within->key);
		source->within->receiving++;
	}
	if (in->session != NULL)
		in->session->inbound = in;
	else
		in->transaction = r->transaction;
	snprintf(in->id, sizeof(in->id), "%s-%llx", g->id_prefix, (unsigned long long)++g->id_counter);
	if (make_stanza(in, r, source, text, &stanza) != OK) {
		g->to_xmpp_failed++;
		answer(in, 400, "Text Cannot Be Carried by XMPP");
		release(in);
		return;
	}
	HASH_ADD_STR(g->inbound, id, in);
	if (!is_repeated(in, r)) {
		note_message(source->conversation, in, r, text);
		submit(g, in, stanza);
	}
	stanza_unref(stanza);
}

/* --- errors from the partner --- */

/*
 * By id and by both addresses: an id alone would let anyone who guesses it
 * answer. A server may answer for its user.
 */
static bool concerns(const struct inbound *in, const struct jid *from, const struct jid *to)
{
	return strcmp(from->domain, in->to.domain) == 0 &&
	       (from->local[0] == '\0' || strcmp(from->local, in->to.local) == 0) &&
	       strcmp(to->domain, in->from.domain) == 0 && strcmp(to->local, in->from.local) == 0;
}

/* The resource may be gone: the next message is for the user (RFC 6121 section 5.1). */
static void unlock(struct gateway *g, const struct jid *from, const struct jid *to)
{
	struct conversation *c = conversation_find(g, from, to);

	if (c != NULL)
		conversation_lock(c, NULL);
}

void gateway_take_error(struct gateway *g, const struct stanza *stanza)
{
	struct inbound *in = NULL;
	struct stanza_tree *tree = NULL;
	enum condition condition = COND_UNDEFINED_CONDITION;
	const char *text = NULL;
	struct jid from, to;
	bool known = jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK;

	if (known)
		unlock(g, &from, &to);
	if (stanza->id != NULL)
		HASH_FIND_STR(g->inbound, stanza->id, in);
	if (in == NULL || !is_waiting(in) || !known || !concerns(in, &from, &to)) {
		g->dropped++;
		log_event(LOG_INFO, "error-dropped", NULL, "from=%s to=%s", log_value(stanza->from),
			  log_value(stanza->to));
		return;
	}
	if (stanza_tree_build(stanza, &tree) == OK)
		condition = stanza_tree_error(tree, &text);
	duplicates_settle(&in->arrival, false);
	answer_condition(in, condition, text);
	stanza_tree_free(tree);
}

void gateway_end_receiving(struct gateway *g, bool late)
{
	struct inbound *in, *next;

	HASH_ITER (hh, g->inbound, in, next)
		if (late || in->session != NULL)
			answer(in, 503, "Shutting Down");
}

bool gateway_is_receiving(const struct gateway *g)
{
	const struct inbound *in;

	for (in = g->inbound; in != NULL; in = in->hh.next)
		if (is_waiting(in))
			return true;
	return false;
}

void gateway_abandon_receiving(struct gateway *g)
{
	struct inbound *in, *next;

	HASH_ITER (hh, g->inbound, in, next) {
		HASH_DEL(g->inbound, in);
		in->gateway = NULL;
	}
}
