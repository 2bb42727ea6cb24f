/*
 * hold.c - SIP's part of custody: a MESSAGE between colleagues becomes a stanza
 * that is kept (RFC 3428 section 7: a relay that stores it answers 202), and a
 * fresh MESSAGE to the pool on which the recipient then lives.
 *
 * What is kept is what somebody wrote and the gateway can read. Typing and
 * notifications are nothing later, other bodies are not ours to store: 480, as
 * for an INVITE. It is for the user, not for one of his devices, which a move
 * makes others of. Fresh are Via, Max-Forwards, CSeq and tags; From, Call-ID,
 * Subject, language, date and body are the sender's.
 *
 * Owns a struct letting from sip_send() to its response, a struct taking until
 * the commit. Nothing is fatal.
 */
#include "bridge/gateway/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "bridge/gateway/gateway_route.h"
#include "bridge/gateway/map_held.h"
#include "bridge/route/colleagues.h"

/* One that is kept, until the commit. */
struct taking {
	struct sip_transaction *transaction;
	struct arrival arrival;
	char source[64];
	char to[JID_BARE_SIZE];
};

/* One that is let go, until its response. */
struct letting {
	struct gateway *gateway;
	struct stanza *stanza;
	struct sip_outgoing *request;
	delivery_fn *done;
	void *ctx;
	struct letting *prev, *next;
};

/* --- taking --- */

static void answer(struct taking *t, bool kept, const char *why)
{
	if (kept) {
		sip_answer(t->transaction, 202, NULL, NULL);
	} else {
		log_event(LOG_NOTICE, "sip-refused", NULL, "method=MESSAGE from=%s to=%s status=480 why=%s",
			  t->source, log_value(t->to), log_value(why));
		sip_answer(t->transaction, 480, "Being Moved", RETRY_MOVED);
	}
	free(t);
}

static void on_kept(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct taking *t = ctx;

	(void)stanza;
	duplicates_settle(&t->arrival, outcome->confirmed);
	answer(t, outcome->confirmed, outcome->text);
}

static void on_first(void *ctx, bool kept)
{
	answer(ctx, kept, "the first one cannot be kept");
}

/* True: it is kept already, and has its answer, or gets the first one's. */
static bool is_repeated(struct gateway *g, struct taking *t, const struct sip_request *r)
{
	struct duplicates *duplicates = router_duplicates(g->router);
	enum arrival_kind kind;
	struct seen_hash hash;

	if (duplicates == NULL)
		return false;
	fingerprint_request(duplicates_fingerprint(duplicates), r, &hash);
	kind = duplicates_enter(duplicates, &hash, 0, on_first, t, &t->arrival);
	if (kind == ARRIVAL_AGAIN)
		answer(t, true, NULL);
	return kind != ARRIVAL_NEW;
}

/* When it was sent, if it says so (RFC 3428 section 7), else when it came (RFC 3261 section 20.17). */
static const char *date_of(const struct sip_request *r, char text[40])
{
	const char *said = sip_header(r->view, "Date", 0);
	const time_t now = time(NULL);
	struct tm utc;

	if (said != NULL)
		return said;
	if (gmtime_r(&now, &utc) == NULL)
		return NULL;
	strftime(text, 40, "%a, %d %b %Y %H:%M:%S GMT", &utc);
	return text;
}

static enum err make_stanza(const struct sip_request *r, const struct jid *from, const struct jid *to,
			    struct stanza **out)
{
	const char *type = sip_header(r->view, "Content-Type", 0);
	char date[40];
	const struct map_held m = {
		.call_id = r->call_id,
		.cseq = r->cseq,
		.name = r->from_display[0] != '\0' ? r->from_display : NULL,
		.subject = r->subject,
		.language = r->content_language,
		.date = date_of(r, date),
		.expires = r->expires,
		.content_type = type != NULL ? type : "",
		.body = r->body,
		.size = r->body_size,
	};

	return map_held_write(from, to, &m, out);
}

void hold_take(struct gateway *g, const struct sip_request *r)
{
	struct stanza *stanza;
	struct taking *t;
	struct jid from, to;

	if (map_sip_to_jid(&r->from, &from) != OK || map_sip_to_jid(&r->to, &to) != OK ||
	    make_stanza(r, &from, &to, &stanza) != OK) {
		gateway_refuse(g, r, 480, "Being Moved", RETRY_MOVED);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->transaction = r->transaction;
	snprintf(t->source, sizeof(t->source), "%s", r->source);
	jid_bare(&to, t->to);
	if (!is_repeated(g, t, r)) {
		duplicates_keep(&t->arrival);
		colleagues_keep(router_colleagues(g->router), stanza, &from, &to, r->way - WAY_BEHIND,
				on_kept, t);
	}
	stanza_unref(stanza);
}

/* --- letting go --- */

enum { HEADERS_MAX = 4 };

struct header_lines {
	char *line[HEADERS_MAX];
	size_t count;
};

/* A text that no header field can hold is left out; what was said is in the body. */
static void add_line(struct header_lines *h, const char *name, const char *value)
{
	char text[TEXT_SIZE];

	if (value != NULL && sip_header_text(value, text, sizeof(text)) == OK)
		h->line[h->count++] = xasprintf("%s: %s", name, text);
}

static void make_lines(const struct map_held *m, struct header_lines *h)
{
	char expires[24];

	snprintf(expires, sizeof(expires), "%lld", (long long)m->expires);
	add_line(h, "Date", m->date);
	add_line(h, "Expires", m->expires >= 0 ? expires : NULL);
	add_line(h, "Subject", m->subject);
	add_line(h, "Content-Language", m->language);
}

/* Its pool has it; or is away, and it is let go again; or will not have it. */
static void finish(struct letting *l, const struct outcome *outcome)
{
	struct gateway *g = l->gateway;

	DL_DELETE(g->letting, l);
	g->letting_count--;
	l->done(l->ctx, l->stanza, outcome);
	stanza_unref(l->stanza);
	free(l);
	gateway_check_stopped(g);
}

static void on_response(void *ctx, const struct sip_response *r)
{
	char *why = xasprintf("%u %s", r->status, r->phrase);
	const struct outcome outcome = {
		.confirmed = r->status / 100 == 2,
		.unsent = r->status == 503 || r->status == 408,
		.condition = map_status_to_condition(r->status, false),
		.text = why,
	};

	finish(ctx, &outcome);
	free(why);
}

static enum err uri_of(const char *text, char uri[SIP_URI_SIZE])
{
	struct jid jid;
	enum err e = jid_parse(text, &jid);

	return e == OK ? map_jid_to_sip_uri(&jid, uri) : e;
}

static enum err let_go(struct letting *l, const struct map_held *m, enum pool pool)
{
	char from[SIP_URI_SIZE], to[SIP_URI_SIZE], name[TEXT_SIZE], call_id[CALL_ID_SIZE];
	struct header_lines lines = { .count = 0 };
	struct sip_send send = {
		.method = "MESSAGE",
		.pool = pool,
		.to_uri = to,
		.from_uri = from,
		.headers = (const char *const *)lines.line,
		.content_type = m->content_type,
		.body = m->body,
		.body_size = m->size,
	};

	if (uri_of(l->stanza->from, from) != OK || uri_of(l->stanza->to, to) != OK)
		return ERR_SYNTAX;
	make_lines(m, &lines);
	send.header_count = lines.count;
	if (m->name != NULL && sip_quoted_text(m->name, name, sizeof(name)) == OK)
		send.from_display = name;
	if (m->call_id != NULL && map_thread_to_call_id(m->call_id, call_id, sizeof(call_id)))
		send.call_id = call_id;
	DL_APPEND(l->gateway->letting, l);
	l->gateway->letting_count++;
	l->request = sip_send(l->gateway->endpoint, &send, on_response, l);
	for (size_t i = 0; i < lines.count; i++)
		free(lines.line[i]);
	return OK;
}

/* colleagues_egress */
static void carry(void *ctx, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx)
{
	struct gateway *g = ctx;
	struct map_held m = { .tree = NULL };
	struct letting *l;

	if (g->stopped || config_next_hops(g->config, pool)->count == 0) {
		done(done_ctx, stanza, &(struct outcome){ .unsent = true, .text = "no way to that pool" });
		return;
	}
	l = xcalloc(1, sizeof(*l));
	*l = (struct letting){ .gateway = g, .stanza = stanza_ref(stanza), .done = done, .ctx = done_ctx };
	if (map_held_read(stanza, &m) != OK || let_go(l, &m, pool) != OK) {
		done(done_ctx, stanza,
		     &(struct outcome){ .condition = COND_BAD_REQUEST, .text = "it cannot be read" });
		stanza_unref(l->stanza);
		free(l);
	}
	map_held_free(&m);
}

void hold_begin(struct gateway *g)
{
	const struct colleagues_egress egress = { carry, map_held_notice, g };

	if (g->endpoint != NULL)
		colleagues_set_egress(router_colleagues(g->router), &egress);
}

void hold_end(struct gateway *g)
{
	const struct outcome outcome = { .unsent = true, .text = "shutting down" };

	while (g->letting != NULL) {
		sip_outgoing_cancel(g->letting->request);
		finish(g->letting, &outcome);
	}
}
