/*
 * session_in.c - sessions that a pool begins, and what it sends in a dialog.
 *
 * An INVITE is taken when it offers a message session for two. The text that
 * rides in it (ms-text-format) goes to the XMPP user before the 200, which then
 * says that it was read: the user sees it once, and an INVITE to somebody who
 * cannot be reached fails as a message would. Without such text the 200 comes at
 * once.
 *
 * In the dialog: MESSAGE is text or typing, INFO typing, INVITE a refresh, BYE
 * the end, which the XMPP user sees as <gone/> (RFC 7573 section 5). A request
 * for a dialog that is not there gets 481, upon which the pool begins anew.
 * Nothing is fatal.
 */
#include "bridge/gateway/session.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/gateway/inbound.h"

enum { CONVERSATION_ID_MAX = 128 };

/* --- answering an INVITE --- */

/* RFC 3261 section 13.3.1.4: without an ACK there is no session. */
static void on_ack(void *ctx, bool acked)
{
	struct session *s = ctx;

	s->unacked = false;
	if (acked) {
		session_check_leaving(s);
		return;
	}
	s->conversation->gateway->unacked++;
	session_close(s, true);
}

/* Ours, or an answer to what was offered. */
static void write_sdp(const struct session *s, struct strbuf *out)
{
	const char *host = sip_endpoint_host(s->conversation->gateway->endpoint, s->dialog->pool);

	if (s->offer != NULL)
		map_sdp_write_answer(out, s->offer, host, s->dialog->local_uri);
	else
		map_sdp_write_offer(out, host);
}

static void answer(struct session *s, struct sip_transaction *transaction, bool was_read)
{
	const char *headers[] = { SIP_ALLOW, "Supported: ms-text-format" };
	struct strbuf sdp = { .s = NULL };
	struct sip_reply reply = {
		.status = 200,
		.headers = headers,
		.header_count = was_read ? 2 : 1,
		.content_type = MAP_SDP_TYPE,
		.on_ack = on_ack,
		.ack_ctx = s,
	};

	s->unacked = true;
	write_sdp(s, &sdp);
	reply.body = sdp.s;
	reply.body_size = sdp.len;
	sip_reply(transaction, &reply);
	strbuf_free(&sdp);
}

void session_accept(struct session *s, bool was_read)
{
	struct sip_transaction *invite = session_take_transaction(s);

	session_opened(s);
	answer(s, invite, was_read);
	queue_wake(s->conversation);
}

void session_refuse(struct session *s, unsigned status, const char *phrase)
{
	struct conversation *c = s->conversation;

	sip_answer(session_take_transaction(s), status, phrase, NULL);
	session_close(s, false);
	queue_wake(c);
}

/* --- INVITE --- */

/* Addresses in the list, one comma fewer than there are; those in quotes and brackets are not counted. */
static size_t count_endpoints(const struct sip_request *r)
{
	const char *value;
	size_t count = 0;

	for (unsigned i = 0; (value = sip_header(r->view, "EndPoints", i)) != NULL; i++) {
		bool quoted = false, bracket = false;

		count++;
		for (; *value != '\0'; value++) {
			quoted = *value == '"' ? !quoted : quoted;
			bracket = *value == '<' || (bracket && *value != '>');
			count += *value == ',' && !quoted && !bracket;
		}
	}
	return count;
}

/* 488 says: not a conversation of two in text. NULL offer: none was made, and ours goes into the 200. */
static unsigned check_invite(const struct sip_request *r, struct map_sdp **offer)
{
	if (count_endpoints(r) > 2)
		return 488;
	if (r->body_size == 0)
		return 0;
	if (strcmp(r->content_type, MAP_SDP_TYPE) != 0)
		return 415;
	switch (map_sdp_read(r->body, r->body_size, offer)) {
	case OK:
		return 0;
	case ERR_REFUSED:
		return 488;
	default:
		return 400;
	}
}

/* The session is with that client of the XMPP user's. */
static void lock(struct conversation *c, const struct jid *to)
{
	char full[JID_FULL_SIZE];

	jid_full(to, full);
	conversation_lock(c, full);
}

/* Of the pool's conversation history: our own INVITEs in this conversation have the same. */
static void note_conversation_id(struct conversation *c, const struct sip_request *r)
{
	const char *id = sip_header(r->view, "Ms-Conversation-ID", 0);

	if (id != NULL && strlen(id) <= CONVERSATION_ID_MAX)
		conversation_set(&c->conversation_id, id);
}

static struct session *begin(struct conversation *c, const struct sip_request *r, struct map_sdp *offer)
{
	struct sip_dialog *dialog;
	struct session *s;

	if (sip_dialog_accept(r, &dialog) != OK)
		return NULL;
	s = session_create(c, SESSION_ANSWERING, dialog);
	session_give_transaction(s, r->transaction);
	s->offer = offer;
	s->is_composing = offer != NULL && (offer->accepts & MAP_SDP_ISCOMPOSING) != 0;
	/* A Call-ID of theirs, which is the thread now, is never one of ours. */
	(void)conversation_use_call_id(c, dialog->pool, r->call_id);
	note_conversation_id(c, r);
	return s;
}

/* What rides in the INVITE; anything but text that can be read is left to the MESSAGE that follows. */
static bool first_text(const struct sip_request *r, struct map_content *text)
{
	const char *values[8];
	struct map_first_message first;
	size_t count = 0;
	bool found;

	while (count < ARRAY_SIZE(values) &&
	       (values[count] = sip_header(r->view, "ms-text-format", (unsigned)count)) != NULL)
		count++;
	if (map_first_message_read(values, count, &first) != OK)
		return false;
	found = map_content_read(first.type, first.body, first.size, text) == OK &&
		text->kind == MAP_CONTENT_TEXT;
	map_first_message_free(&first);
	return found;
}

void session_take_invite(struct gateway *g, const struct sip_request *r, const struct jid *from,
			 const struct jid *to)
{
	struct map_content text = { .kind = MAP_CONTENT_EMPTY };
	struct jid partner, user;
	struct map_sdp *offer = NULL;
	unsigned status = check_invite(r, &offer);
	struct conversation *c = NULL;
	struct session *s = NULL;

	if (status == 0 && HASH_COUNT(g->sessions) >= (unsigned)g->config->sip.conversations &&
	    !conversation_end_oldest(g))
		status = 503;
	if (status == 0) {
		c = conversation_get(g, to, from);
		s = begin(c, r, offer);
	}
	if (s == NULL) {
		map_sdp_free(offer);
		gateway_refuse(g, r, status != 0 ? status : 400, NULL,
			       status == 415 ? "Accept: " MAP_SDP_TYPE : NULL);
		return;
	}
	c->pool = r->pool >= 0 ? (enum pool)r->pool : POOL_NEW;
	c->passing = false;
	c->chat = true;
	conversation_touch(c);
	if (first_text(r, &text)) {
		/* To the client that wrote last, unless the pool names one. */
		if (to->resource[0] == '\0' && conversation_jids(c, &partner, &user))
			to = &partner;
		else
			lock(c, to);
		inbound_submit(g, r, &(struct inbound_source){ from, to, c, .session = s }, &text);
	} else {
		session_accept(s, false);
	}
	map_content_free(&text);
}

void session_cancelled(struct gateway *g, struct sip_transaction *transaction)
{
	struct session *s = session_of_transaction(g, transaction);
	struct conversation *c;

	if (s == NULL)
		return;
	c = s->conversation;
	session_close(s, false);
	queue_wake(c);
}

/* --- in the dialog --- */

static void refresh(struct session *s, const struct sip_request *r)
{
	struct map_sdp *offer = NULL;
	unsigned status = check_invite(r, &offer);

	if (status != 0) {
		map_sdp_free(offer);
		sip_answer(r->transaction, status, NULL, NULL);
		return;
	}
	map_sdp_free(s->offer);
	s->offer = offer;
	conversation_touch(s->conversation);
	answer(s, r->transaction, false);
}

/* In another session: both sides began one, and this was the one too many. */
static bool goes_on(const struct conversation *c)
{
	const struct session *s;

	DL_FOREACH (c->sessions, s)
		if (s->state == SESSION_OPEN || s->state == SESSION_INVITING)
			return true;
	return false;
}

/* Signing out there, to sign in elsewhere, is not the end of a conversation. */
static bool is_being_moved(const struct conversation *c)
{
	struct jid partner, user;
	struct verdict v;

	return conversation_jids(c, &partner, &user) &&
	       router_decide(c->gateway->router, &user, partner.domain, &v) == OK && v.route == ROUTE_HOLD;
}

static void end(struct session *s, const struct sip_request *r)
{
	struct conversation *c = s->conversation;

	sip_answer(r->transaction, 200, NULL, NULL);
	if (s->invite != NULL)
		session_refuse(s, 487, NULL);
	else
		session_close(s, false);
	if (!goes_on(c) && is_being_moved(c)) {
		chat_state_leave(c);
	} else if (!goes_on(c)) {
		chat_state_tell(c, CHAT_STATE_GONE);
		conversation_set(&c->thread, NULL);
		conversation_set(&c->conversation_id, NULL);
	}
	queue_wake(c);
}

/*
 * COMPAT: a client whose INVITE is met by ours gives its own up by BYE without a To tag, which it
 * does not know yet (pidgin-sipe), where CANCEL is meant.
 */
bool session_take_early_bye(struct gateway *g, const struct sip_request *r)
{
	char key[SIP_DIALOG_KEY_SIZE];
	struct session *s = NULL;

	if (sip_request_caller_key(r, key))
		HASH_FIND(hh_caller, g->callers, key, strlen(key), s);
	if (s != NULL)
		end(s, r);
	return s != NULL;
}

/* The pool's user with the device that he speaks from, as the dialog began. */
static bool speaker(const struct session *s, struct jid *user)
{
	struct sip_address address;

	return sip_address_parse(s->dialog->remote_uri, &address) == OK &&
	       map_sip_to_jid(&address, user) == OK;
}

static void take_content(struct session *s, const struct sip_request *r)
{
	struct conversation *c = s->conversation;
	struct map_content content;
	struct jid user, partner;

	if (!conversation_jids(c, &partner, &user) || !speaker(s, &user) ||
	    map_content_read(sip_header(r->view, "Content-Type", 0), r->body, r->body_size, &content) != OK) {
		gateway_refuse(c->gateway, r, 400, "Body Cannot Be Read", NULL);
		return;
	}
	if (content.kind == MAP_CONTENT_TEXT && strcmp(r->method, "INFO") == 0) {
		map_content_free(&content);
		content.kind = MAP_CONTENT_UNSUPPORTED; /* text is MESSAGE's */
	}
	switch (content.kind) {
	case MAP_CONTENT_TEXT:
		conversation_touch(c);
		inbound_submit(c->gateway, r, &(struct inbound_source){ &user, &partner, c, .within = s },
			       &content);
		break;
	case MAP_CONTENT_UNSUPPORTED:
		gateway_refuse(c->gateway, r, 415, NULL, "Accept: " MAP_CONTENT_ACCEPT);
		break;
	default:
		gateway_take_notice(c, &content);
		sip_answer(r->transaction, 200, NULL, NULL);
	}
	map_content_free(&content);
}

bool session_take(struct gateway *g, const struct sip_request *r)
{
	char key[SIP_DIALOG_KEY_SIZE];
	struct session *s = NULL;

	if (sip_request_dialog_key(r, key))
		HASH_FIND_STR(g->sessions, key, s);
	if (s == NULL)
		return false;
	if (r->transaction == NULL)
		return true; /* ACK */
	if (!sip_dialog_take(s->dialog, r))
		sip_answer(r->transaction, 500, "CSeq Out of Order", "Retry-After: 1");
	else if (strcmp(r->method, "BYE") == 0)
		end(s, r);
	else if (strcmp(r->method, "INVITE") == 0)
		s->invite == NULL ? refresh(s, r) : sip_answer(r->transaction, 491, NULL, NULL);
	else if (strcmp(r->method, "MESSAGE") == 0 || strcmp(r->method, "INFO") == 0)
		take_content(s, r);
	else
		sip_answer(r->transaction, 405, NULL, SIP_ALLOW);
	return true;
}
