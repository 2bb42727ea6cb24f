/*
 * session_out.c - which request carries the first item of a conversation's queue
 * to the pool, and what its response means.
 *
 * Pager mode is a MESSAGE of its own (RFC 7572). In session mode the first
 * message opens a dialog (INVITE; the text rides in it, and counts as delivered
 * when the 200 says that it was read), the others are MESSAGEs in it, typing is
 * INFO or isComposing. Which of the two: the pool's setting; with "auto" what
 * this user's client took last, else what the pool took last, else a session.
 * A client that cannot have one (405, 415, 488, 501) gets the same message the
 * other way: it has refused it, so nothing is doubled.
 *
 * 408, 480, 481 and the like in a dialog say that the dialog is dead: the
 * message goes out in a new one, once. Nothing is fatal.
 */
#include "bridge/gateway/conversation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EMBEDDED_MAX = 600 }; /* a request of two thousand bytes still passes everywhere */

/* The client understands this way of sending not at all. */
static bool says_other_mode(unsigned status)
{
	static const unsigned list[] = { 405, 415, 488, 501 };

	return map_status_is(status, list, ARRAY_SIZE(list));
}

/* RFC 5057 section 5.1; none of them says that the message has arrived. */
static bool says_dead_dialog(unsigned status)
{
	static const unsigned list[] = { 404, 408, 410, 480, 481, 484, 485, 502, 604 };

	return map_status_is(status, list, ARRAY_SIZE(list));
}

/* --- mode --- */

static enum pool_mode mode_of(const struct conversation *c, const struct outbound *o)
{
	const struct gateway *g = c->gateway;
	enum pool_mode mode = gateway_pool_mode(g, o->pool);

	if (mode != POOL_AUTO)
		return mode;
	if (o->refused != POOL_AUTO)
		return o->refused == POOL_SESSION ? POOL_PAGER : POOL_SESSION;
	if (c->works != POOL_AUTO)
		return c->works;
	return g->works[o->pool] != POOL_AUTO ? g->works[o->pool] : POOL_SESSION;
}

static void learn(struct conversation *c, enum pool pool, enum pool_mode works)
{
	c->works = works;
	c->gateway->works[pool] = works;
}

/* The same message the other way; false: there is none, or it was tried. */
static bool try_other_mode(struct conversation *c, unsigned status, enum pool_mode refused)
{
	struct outbound *o = c->first;

	if (gateway_pool_mode(c->gateway, o->pool) != POOL_AUTO || !says_other_mode(status) ||
	    o->refused != POOL_AUTO)
		return false;
	o->refused = refused;
	c->works = POOL_AUTO;
	queue_again(c);
	return true;
}

/* --- responses --- */

/* What the request was sent in; it may have ended meanwhile. */
static void release_carrier(struct conversation *c)
{
	struct session *s = c->carrier;

	c->carrier = NULL;
	if (s != NULL && s->state == SESSION_ENDED)
		session_close(s, s->bye);
}

static void on_pager_response(struct conversation *c, const struct sip_response *r)
{
	if (r->status / 100 == 2)
		learn(c, c->first->pool, POOL_PAGER);
	if (outbound_retarget(c->first, r->status))
		queue_again(c);
	else if (!try_other_mode(c, r->status, POOL_PAGER))
		queue_finish(c, r);
}

static void on_dialog_response(struct conversation *c, const struct sip_response *r)
{
	struct outbound *o = c->first;
	struct session *s = c->carrier;
	/* 487: a BYE has passed the message (RFC 3261 section 15.1.2). */
	bool dead = says_dead_dialog(r->status) || (r->status == 487 && s->state == SESSION_ENDED);

	if (dead && s->state == SESSION_OPEN)
		session_close(s, r->status != 481);
	if (dead && !o->revived) {
		o->revived = true;
		release_carrier(c);
		queue_again(c);
		return;
	}
	release_carrier(c);
	queue_finish(c, r);
}

static bool has_token(const struct sip_response *r, const char *name, const char *token)
{
	const char *value;

	for (unsigned i = 0; r->view != NULL && (value = sip_header(r->view, name, i)) != NULL; i++)
		for (size_t n; *value != '\0'; value += n) {
			value += strspn(value, " \t,");
			n = strcspn(value, " \t,");
			if (n == strlen(token) && strncasecmp(value, token, n) == 0)
				return true;
		}
	return false;
}

static bool takes_composing(const struct sip_response *r)
{
	struct map_sdp *sdp;
	bool takes;

	if (r->body_size == 0 || map_sdp_read(r->body, r->body_size, &sdp) != OK)
		return false;
	takes = (sdp->accepts & MAP_SDP_ISCOMPOSING) != 0;
	map_sdp_free(sdp);
	return takes;
}

static void on_invite_response(struct conversation *c, const struct sip_response *r)
{
	struct outbound *o = c->first;
	struct session *s = c->carrier;
	bool gave_up = c->gave_up;

	c->invite_until = 0;
	c->gave_up = false;
	c->carrier = NULL;
	if (r->status / 100 != 2 && gave_up) {
		session_close(s, false);
		queue_fail(c, (struct objection){ COND_REMOTE_SERVER_TIMEOUT, "the user did not answer" });
		return;
	}
	if (r->status / 100 != 2) {
		session_close(s, false);
		/* Both began at the same time: theirs is open, or will be, ours was refused. */
		if ((session_open(c) != NULL || session_is_coming(c, o->pool)) && !o->revived) {
			o->revived = true;
			queue_again(c);
		} else if (outbound_retarget(o, r->status))
			queue_again(c);
		else if (!try_other_mode(c, r->status, POOL_SESSION))
			queue_finish(c, r);
		return;
	}
	learn(c, o->pool, POOL_SESSION);
	s->is_composing = takes_composing(r);
	session_opened(s);
	if (o->embedded && has_token(r, "Supported", "ms-text-format"))
		queue_finish(c, r);
	else
		queue_again(c);
}

static void on_typing_response(struct conversation *c, const struct sip_response *r)
{
	struct session *s = c->carrier;

	/* RFC 3994 section 3.3, and clients that have no INFO. */
	if (c->first->kind == OUTBOUND_TYPING && says_other_mode(r->status))
		c->no_typing = true;
	if (s != NULL && s->state == SESSION_OPEN && says_dead_dialog(r->status))
		session_close(s, r->status != 481);
	release_carrier(c);
	queue_finish(c, r);
}

/* What the request was sent in ends with it; an INVITE's session that opens all the same, too. */
static void end_carrier(struct conversation *c, const struct sip_response *r)
{
	struct session *s = c->carrier;

	c->invite_until = 0;
	c->gave_up = false;
	c->carrier = NULL;
	if (s == NULL)
		return;
	if (s->state == SESSION_INVITING && r->status / 100 == 2)
		session_opened(s);
	if (r->status == 481)
		s->bye = false;
	if (s->state == SESSION_ENDED)
		session_close(s, s->bye);
	else if (s->state == SESSION_INVITING)
		session_close(s, false);
	else
		session_leave(s);
}

/*
 * The user has left that pool meanwhile. What it has not taken is tried again, wherever he is now;
 * silence may mean that it has.
 */
static void on_stale_response(struct conversation *c, const struct sip_response *r)
{
	struct outbound *o = c->first;
	bool invite = c->errand == ERRAND_INVITE;
	bool taken = r->status / 100 == 2 &&
		     (!invite || (o->embedded && has_token(r, "Supported", "ms-text-format")));

	end_carrier(c, r);
	if (taken || o->kind != OUTBOUND_TEXT || (!invite && r->view == NULL && r->status != 503))
		queue_finish(c, r);
	else
		queue_put_back(c);
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct conversation *c = ctx;
	enum errand errand = c->errand;

	c->request = NULL;
	if (c->first->stale)
		on_stale_response(c, r);
	else if (c->first->kind != OUTBOUND_TEXT)
		on_typing_response(c, r);
	else if (errand == ERRAND_INVITE)
		on_invite_response(c, r);
	else if (errand == ERRAND_DIALOG)
		on_dialog_response(c, r);
	else
		on_pager_response(c, r);
}

/* The user has not taken the conversation in time; a 200 that crosses the CANCEL still counts. */
void session_give_up_invite(struct conversation *c)
{
	c->invite_until = 0;
	c->gave_up = true;
	sip_outgoing_give_up(c->request);
}

/* --- requests --- */

static bool start(struct conversation *c, enum errand errand, struct session *carrier,
		  struct sip_send *request)
{
	c->errand = errand;
	c->carrier = carrier;
	c->request = sip_send(c->gateway->endpoint, request, on_response, c);
	return true;
}

/* Subject, Date, Content-Language, and what every request of ours says. */
struct lines {
	const char *line[12];
	size_t count;
	struct strbuf text[8];
	size_t texts;
};

static void add_line(struct lines *l, const char *name, const char *value)
{
	if (value == NULL)
		return;
	strbuf_printf(&l->text[l->texts], "%s: %s", name, value);
	l->line[l->count++] = l->text[l->texts++].s;
}

static void free_lines(struct lines *l)
{
	for (size_t i = 0; i < l->texts; i++)
		strbuf_free(&l->text[i]);
}

static void add_content_lines(struct lines *l, const struct outbound *o)
{
	const char *lang = o->stanza != NULL ? o->stanza->lang : NULL;

	add_line(l, "Subject", o->subject);
	add_line(l, "Date", o->date);
	add_line(l, "Content-Language", lang != NULL && map_lang_valid(lang) ? lang : NULL);
}

static void set_content(struct sip_send *request, const struct outbound *o)
{
	request->content_type = o->content_type;
	request->body = o->body;
	request->body_size = strlen(o->body);
}

static bool send_pager(struct conversation *c, struct outbound *o)
{
	struct lines lines = { .count = 0 };
	struct sip_send request = { .method = "MESSAGE",
				    .pool = o->pool,
				    .to_uri = o->to_uri,
				    .from_uri = o->from_uri,
				    .from_display = o->display,
				    .call_id = o->call_id,
				    .headers = lines.line };

	add_content_lines(&lines, o);
	request.header_count = lines.count;
	set_content(&request, o);
	start(c, ERRAND_PAGER, NULL, &request);
	free_lines(&lines);
	return true;
}

static bool send_in_dialog(struct conversation *c, struct session *s, struct outbound *o)
{
	struct lines lines = { .count = 0 };
	struct sip_send request = {
		.method = o->kind == OUTBOUND_TYPING && !s->is_composing ? "INFO" : "MESSAGE",
		.pool = o->pool,
		.dialog = s->dialog,
		.headers = lines.line,
	};

	add_content_lines(&lines, o);
	request.header_count = lines.count;
	set_content(&request, o);
	start(c, ERRAND_DIALOG, s, &request);
	free_lines(&lines);
	if (o->kind == OUTBOUND_TEXT)
		conversation_touch(c);
	return true;
}

/* The text itself, where it is short; a client that does not read it gets it as a MESSAGE. */
static void add_first_message(struct lines *l, struct outbound *o)
{
	struct strbuf value = { .s = NULL };

	o->embedded = strlen(o->body) <= EMBEDDED_MAX && map_first_message_write(o->body, &value);
	if (o->embedded) {
		l->line[l->count++] = "Supported: ms-embedded-first-message";
		add_line(l, "ms-text-format", value.s);
	}
	strbuf_free(&value);
}

/* Both parties, and no more: a third would make it a conference. */
static void add_invite_lines(struct lines *l, struct conversation *c, struct outbound *o)
{
	char token[SIP_TOKEN_SIZE];

	l->line[l->count++] = SIP_ALLOW;
	l->line[l->count++] = "Supported: ms-sender";
	strbuf_printf(&l->text[l->texts], "EndPoints: <%s>, <%s>", o->from_uri, o->to_uri);
	l->line[l->count++] = l->text[l->texts++].s;
	if (c->conversation_id == NULL) {
		sip_token(token);
		conversation_set(&c->conversation_id, token);
	}
	add_line(l, "Ms-Conversation-ID", c->conversation_id);
	add_line(l, "Subject", o->subject);
	add_line(l, "Date", o->date);
	add_first_message(l, o);
}

/* The thread is the dialog's Call-ID, once: a second dialog of that Call-ID would be taken for the first. */
static const char *dialog_call_id(struct conversation *c, const struct outbound *o)
{
	return o->call_id != NULL && conversation_use_call_id(c, o->pool, o->call_id) ? o->call_id : NULL;
}

static bool send_invite(struct conversation *c, struct outbound *o)
{
	struct gateway *g = c->gateway;
	struct lines lines = { .count = 0 };
	struct strbuf offer = { .s = NULL };
	struct sip_dialog *dialog = sip_dialog_create(o->pool, o->from_uri, o->to_uri, dialog_call_id(c, o));
	struct sip_send request = { .method = "INVITE",
				    .pool = o->pool,
				    .dialog = dialog,
				    .from_display = o->display,
				    .headers = lines.line,
				    .content_type = MAP_SDP_TYPE };

	add_invite_lines(&lines, c, o);
	request.header_count = lines.count;
	map_sdp_write_offer(&offer, sip_endpoint_host(g->endpoint, o->pool));
	request.body = offer.s;
	request.body_size = offer.len;
	start(c, ERRAND_INVITE, session_create(c, SESSION_INVITING, dialog), &request);
	c->invite_until = loop_now(g->loop) + g->config->sip.invite_ms;
	conversation_touch(c);
	free_lines(&lines);
	strbuf_free(&offer);
	return true;
}

static bool send_typing(struct conversation *c, struct session *s, struct outbound *o)
{
	if (s == NULL && c->works != POOL_PAGER)
		return false;
	outbound_write_typing(o, s == NULL || s->is_composing);
	return s != NULL ? send_in_dialog(c, s, o) : send_pager(c, o);
}

bool session_send_first(struct conversation *c)
{
	struct outbound *o = c->first;
	struct session *s;

	if (o->kind == OUTBOUND_GONE) {
		session_close_all(c);
		return false;
	}
	session_leave_all(c, &o->pool); /* the user has moved, and nobody has said so yet */
	s = session_open(c);
	if (o->kind == OUTBOUND_TYPING)
		return send_typing(c, s, o);
	if (o->kind == OUTBOUND_NOTICE)
		return s != NULL ? send_in_dialog(c, s, o) : send_pager(c, o);
	if (s != NULL)
		return send_in_dialog(c, s, o);
	return mode_of(c, o) == POOL_SESSION ? send_invite(c, o) : send_pager(c, o);
}
