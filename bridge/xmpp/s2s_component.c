/*
 * s2s_component.c - a local domain that another XMPP server serves, to which we
 * attach as its component (XEP-0114): the steps of that stream, and how the
 * links of the domain share it.
 *
 * The trunk is the link from the domain to itself. It makes the connection, for
 * as long as the daemon runs, and waits after failures like any other link. A
 * stanza for a partner is in the custody of that partner's own link, as without a
 * component, which is carried by the trunk's stream instead of having one. So its
 * ping goes to the partner, and the answer proves that the stanza passed both
 * servers: each either went on with it or has sent its error before.
 *
 * Whether the component's server itself still lives, the trunk asks with a ping
 * to its own address, which comes back. Nothing is fatal.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/component.h"
#include "bridge/xmpp/xml.h"

bool component_serves(const struct s2s *s2s, enum edge edge, const char *local)
{
	return edge == EDGE_EXTERNAL && s2s->trunk && strcmp(s2s->trunk->local, local) == 0;
}

bool component_carries(const struct link *link)
{
	return link != link->s2s->trunk && component_serves(link->s2s, link->edge, link->local);
}

enum err component_open(struct s2s *s2s, const char **why)
{
	const struct config *config = s2s->setup.config;
	char domain[DOMAIN_SIZE];

	if (!config->component.server[0])
		return OK;
	if (jid_domain(config->component.domain, domain) != OK) {
		*why = "component.domain is not a domain name";
		return ERR_SYNTAX;
	}
	s2s->trunk = link_get(s2s, EDGE_EXTERNAL, domain, domain);
	link_work(s2s->trunk);
	return OK;
}

void component_policy(struct stream_policy *out)
{
	*out = (struct stream_policy){ .tls = REQUIRE_NONE, .allowed = true, .listed = true };
}

bool component_is_wanted(const struct s2s *s2s)
{
	const struct link *link, *next;

	if (!s2s->stopping)
		return true;
	HASH_ITER (hh, s2s->links, link, next)
		if (component_carries(link) && !link_is_empty(link))
			return true;
	return false;
}

/* --- what is sent --- */

/* Answered without having been in a link's custody. */
static void refuse(struct s2s *s2s, struct stanza *stanza, const char *text, delivery_fn *done, void *ctx)
{
	struct outgoing *o = xcalloc(1, sizeof(*o));

	o->stanza = stanza_ref(stanza);
	o->done = done;
	o->ctx = ctx;
	o->condition = COND_NOT_ALLOWED;
	o->text = xstrdup(text);
	s2s_finish(s2s, o);
}

/* XEP-0114 section 3: both addresses, and the component's domain in 'from'. */
static bool is_addressed(const struct s2s *s2s, const struct stanza *stanza)
{
	struct jid from;

	return stanza->to && stanza->from && jid_parse(stanza->from, &from) == OK &&
	       strcmp(from.domain, s2s->trunk->local) == 0;
}

void component_send(struct s2s *s2s, const char *remote, struct stanza *stanza, int64_t deadline_ms,
		    delivery_fn *done, void *ctx)
{
	const char *local = s2s->trunk->local;
	struct stanza *renamed;

	if (strcmp(remote, local) == 0) {
		refuse(s2s, stanza, "a user of this domain is not reached as a partner", done, ctx);
	} else if (!is_addressed(s2s, stanza) || component_stanza(stanza, &renamed) != OK) {
		refuse(s2s, stanza, "this stanza cannot be sent by a component", done, ctx);
	} else {
		link_send(link_get(s2s, EDGE_EXTERNAL, local, remote), renamed, deadline_ms, done, ctx);
		stanza_unref(renamed);
	}
}

static bool is_attached(const struct s2s *s2s)
{
	const struct link *trunk = s2s->trunk;

	return trunk->state == LINK_STREAM && trunk->stream->state == S2S_TRUSTED &&
	       !trunk->stream->close_sent;
}

void component_board(struct link *link)
{
	struct link *trunk = link->s2s->trunk;
	const char *server = link->s2s->setup.config->component.server;

	if (is_attached(link->s2s)) {
		check_note(link, "component", true,
			   "%s is a component of %s, whose business the way to %s is", link->local, server,
			   link->remote);
		link_board(link, trunk->stream);
		return;
	}
	str_copy(link->why, sizeof(link->why), trunk->why);
	if (link->check) {
		check_note(link, "component", false, "%s is not attached to %s: %s", link->local, server,
			   trunk->why[0] ? trunk->why : "the connection is being made");
		link_fail(link, COND_REMOTE_SERVER_TIMEOUT, "the component is not attached to its server");
	}
	if (trunk->state == LINK_IDLE)
		link_work(trunk);
}

/* --- the stream --- */

void component_send_header(struct stream *st)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, "<?xml version='1.0'?><stream:stream xmlns='" NS_COMPONENT
			"' xmlns:stream='" NS_STREAMS "'");
	xml_attr(&b, "to", st->local);
	strbuf_putc(&b, '>');
	st->header_sent = true;
	stream_write(st, &b);
	strbuf_free(&b);
}

void component_header(struct stream *st, const struct xml_header *header)
{
	char proof[COMPONENT_HANDSHAKE_SIZE];
	struct strbuf b = { 0 };

	/* A header with nothing but a stream error behind it: the error says more than we could. */
	if (!header->id || !header->id[0])
		return;
	st->id = xstrdup(header->id);
	component_handshake(st->id, st->s2s->setup.config->component.secret, proof);
	strbuf_printf(&b, "<handshake>%s</handshake>", proof);
	stream_set_state(st, S2S_NEGOTIATING);
	stream_write(st, &b);
	strbuf_free(&b);
}

static void on_handshake(struct stream *st, const struct xml_element *el)
{
	struct s2s *s2s = st->s2s;
	struct link *link, *next;
	struct domain domain;

	(void)el;
	stream_set_state(st, S2S_TRUSTED);
	stream_set_established(st, true);
	log_event(LOG_NOTICE, "component-attached", st->name, "domain=%s server=%s", st->local,
		  log_value(s2s->setup.config->component.server));
	if (registry_find_domain(s2s->setup.db, st->local, &domain) == ERR_NOT_FOUND)
		log_event(LOG_WARNING, "component-domain-unknown", st->name,
			  "domain=%s hint=\"poolbridgectl domain add %s\"", st->local, st->local);
	link_trusted(st->link);
	link_ask_for_proof(st->link);
	HASH_ITER (hh, s2s->links, link, next)
		if (component_carries(link) && link->state == LINK_IDLE)
			link_work(link);
}

/* The trunk's ping, back from the server as it was sent. */
static bool is_echo(const struct stream *st, const struct xml_element *el)
{
	const struct link *trunk = st->link;

	return trunk->ping_out && el->id && strcmp(el->id, trunk->ping_id) == 0 && el->from && el->to &&
	       strcmp(el->from, st->local) == 0 && strcmp(el->to, st->local) == 0;
}

/* A server speaks for partners here, not for those whom we know to be ours. */
static bool is_from_us(const struct stream *st, const struct xml_element *el)
{
	struct jid from;
	bool ours;

	if (!el->from || jid_parse(el->from, &from) != OK)
		return false;
	return strcmp(from.domain, st->local) == 0 ||
	       (s2s_is_ours(st->s2s, EDGE_EXTERNAL, from.domain, &ours) == OK && ours);
}

static void on_stanza(struct stream *st, const struct xml_element *el)
{
	if (is_echo(st, el))
		link_proved(st->link, st->link->ping_number);
	else if (is_from_us(st, el))
		log_event(LOG_WARNING, "component-stanza-dropped", st->name, "from=%s to=%s why=\"%s\"",
			  log_value(el->from), log_value(el->to),
			  "a local domain does not write by way of its own component");
	else
		s2s_in_stanza(st, el);
}

stream_steps component_steps = {
	[S2S_NEGOTIATING] = { [EV_HANDSHAKE] = on_handshake },
	[S2S_TRUSTED] = { [EV_STANZA] = on_stanza },
};

/* Nothing else would tell that a server is gone which had only to send to us. */
void component_idle(struct stream *st)
{
	struct link *trunk = st->link;
	bool is_awaited = trunk->ping_out && trunk->answers_pings;
	int64_t period = is_awaited ? link_patience(trunk) : st->s2s->setup.config->s2s.keepalive_ms;
	int64_t left = trunk->ping_at + period - s2s_now(st->s2s);

	if (left <= 0 && is_awaited) {
		stream_close(st, "connection-timeout", "it has stopped answering");
		return;
	}
	if (left <= 0) {
		link_ask_for_proof(trunk);
		left = link_patience(trunk);
	}
	loop_timer_set(st->timer, left);
}

/* --- its end --- */

/* What the server meant: the first row that fits. */
static const struct {
	const char *end;
	enum stream_state state; /* S2S_STATES: any */
	const char *words;       /* %s: the server */
} refusals[] = {
	/* ejabberd says so of a name that it does not know, too. */
	{ "not-authorized", S2S_STATES,
	  "the component secret was refused by %s, or there is no component of that name" },
	{ "closed", S2S_NEGOTIATING, "the component secret was refused by %s, which closed the connection" },
	{ "host-unknown", S2S_STATES, "component.domain is no component of %s" },
	{ "conflict", S2S_STATES, "another component is attached to %s in this one's place" },
	{ "invalid-namespace", S2S_STATES, "component.server is not where %s takes components" },
};

static bool is_refusal(const struct stream *st, const char **words)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (strcmp(refusals[i].end, st->end) == 0 &&
		    (refusals[i].state == S2S_STATES || refusals[i].state == st->state)) {
			*words = refusals[i].words;
			return true;
		}
	}
	return false;
}

static void put_words(const struct stream *st, const char *why, char out[WHY_SIZE])
{
	const char *server = st->s2s->setup.config->component.server, *words, *at;

	if (!is_refusal(st, &words)) {
		snprintf(out, WHY_SIZE, "the component's server %.280s: %.300s", server, why);
		return;
	}
	at = strstr(words, "%s");
	snprintf(out, WHY_SIZE, "%.*s%.280s%s (%.200s)", (int)(at - words), words, server, at + 2, why);
	log_event(LOG_ERROR, "component-refused", st->name, "domain=%s why=%s", st->local, log_value(out));
}

bool component_ended(struct stream *st, const char *why, char words[WHY_SIZE])
{
	bool taken_back = false;
	struct link *link, *next;

	put_words(st, why, words);
	HASH_ITER (hh, st->s2s->links, link, next)
		if (component_carries(link) && link->stream == st)
			taken_back = link_unboard(link, st->peer_closed, words) || taken_back;
	return taken_back;
}
