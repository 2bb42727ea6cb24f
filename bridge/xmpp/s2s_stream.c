/*
 * s2s_stream.c - one s2s stream, either direction: the socket's bytes go
 * through the XML front end and become events; a table of steps, one for each
 * direction, says what an event may do in the stream's state. A missing entry
 * closes the stream; it never permits.
 *
 * A stream is owned by the table s2s->streams and ends in release(), which
 * takes it out of every place that knows it and retires it to the loop. No
 * error here is fatal to the process.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/xml.h"

#define OUTPUT_SPARE (256 * 1024)

static const char *const state_names[] = {
	[S2S_CONNECTING] = "connecting",
	[S2S_OPENING] = "opening",
	[S2S_FEATURES] = "features",
	[S2S_STARTTLS] = "starttls",
	[S2S_SECURING] = "securing",
	[S2S_NEGOTIATING] = "negotiating",
	[S2S_SASL] = "sasl",
	[S2S_TRUSTED] = "trusted",
	[S2S_CLOSING] = "closing",
};

const char *stream_state_name(enum stream_state state)
{
	return state_names[state];
}

void stream_set_state(struct stream *st, enum stream_state state)
{
	if (st->state == state)
		return;
	log_event(LOG_DEBUG, "stream-state", st->name, "from=%s to=%s", state_names[st->state],
		  state_names[state]);
	st->state = state;
	if (state == S2S_TRUSTED)
		xmlstream_set_limits(st->xml, &st->s2s->limits);
}

/* Behind </stream:stream> nothing may follow: an answer that comes too late is not given. */
bool stream_write(struct stream *st, const struct strbuf *b)
{
	if (st->close_sent || sock_write(st->sock, b->s, b->len) == OK)
		return true;
	stream_close(st, "resource-constraint", "the output buffer is full");
	return false;
}

/* RFC 6120 section 4.7. No xml:lang: a stanza that passes through must not inherit ours. */
static void write_header(struct stream *st, bool is_v1, struct strbuf *b)
{
	strbuf_puts(b, "<?xml version='1.0'?><stream:stream xmlns='" NS_SERVER "' xmlns:stream='" NS_STREAMS
		       "' xmlns:db='" NS_DIALBACK "'");
	if (st->direction == DIRECTION_IN)
		xml_attr(b, "id", st->id);
	xml_attr(b, "from", st->local[0] ? st->local : NULL);
	xml_attr(b, "to", st->remote[0] ? st->remote : NULL);
	if (is_v1)
		xml_attr(b, "version", "1.0");
	strbuf_puts(b, ">");
	st->header_sent = true;
}

void stream_send_header(struct stream *st)
{
	struct strbuf b = { 0 };

	if (st->is_component) {
		component_send_header(st);
		return;
	}
	write_header(st, st->direction == DIRECTION_OUT || st->is_v1, &b);
	stream_write(st, &b);
	strbuf_free(&b);
}

/* RFC 6120 section 4.7.3: unique and unpredictable, anew for each XML stream on a connection. */
enum err stream_renew_id(struct stream *st)
{
	char id[33];
	enum err e = random_hex(id, sizeof(id));

	if (e != OK)
		return e;
	free(st->id);
	st->id = xstrdup(id);
	return OK;
}

static void stream_free(void *obj)
{
	struct stream *st = obj;
	struct pair *pair, *next;

	DL_FOREACH_SAFE (st->pairs, pair, next)
		free(pair);
	xmlstream_destroy(st->xml);
	free(st->id);
	free(st->certificate_why);
	free(st->tlsa_base);
	free(st->received);
	free(st);
}

/* Which step of a check it was that failed. */
static void note_end(struct stream *st, const char *why)
{
	static const char *const steps[S2S_STATES] = {
		[S2S_CONNECTING] = "tcp",      [S2S_OPENING] = "stream", [S2S_FEATURES] = "stream",
		[S2S_STARTTLS] = "tls",        [S2S_SECURING] = "tls",   [S2S_NEGOTIATING] = "authentication",
		[S2S_SASL] = "authentication",
	};

	if (steps[st->state])
		check_note(st->link, steps[st->state], false, "%s: %s", sock_peer(st->sock), why);
}

/* The one way out. The link is told first, while it can still ask what the peer's TCP has. */
static void release(struct stream *st, bool graceful, const char *why)
{
	struct s2s *s2s = st->s2s;
	struct link *link = st->link;
	bool taken_back = false;
	char words[WHY_SIZE];

	if (st->is_component) {
		taken_back = component_ended(st, why, words);
		why = words;
	}
	log_event(LOG_INFO, "stream-down", st->name, "edge=%s local=%s remote=%s state=%s why=%s",
		  edge_name(st->edge), log_value(st->local), log_value(st->remote), state_names[st->state],
		  log_value(why));
	note_end(st, why);
	HASH_DEL(s2s->streams, st);
	limits_release(st);
	st->link = NULL;
	if (link)
		taken_back = link_stream_ended(link, st->peer_closed, why) || taken_back;
	st->state = S2S_CLOSING;
	/* What goes out again on the next stream must not reach the peer by this one, too. */
	if (taken_back)
		sock_abort(st->sock);
	else if (graceful)
		sock_close(st->sock, LINGER_MS);
	else
		sock_destroy(st->sock);
	st->sock = NULL;
	loop_timer_destroy(st->timer);
	if (st->feeding)
		xmlstream_stop(st->xml);
	loop_retire(s2s->setup.loop, stream_free, st);
}

void stream_destroy_now(struct stream *st)
{
	/* The end of another stream may have closed it: a verdict for which its output had no room. */
	if (st->state == S2S_CLOSING)
		return;
	release(st, false, "stopped");
}

static bool can_speak(const struct stream *st)
{
	return st->state != S2S_CONNECTING && st->state != S2S_SECURING && !st->close_sent;
}

/* The last words: RFC 6120 section 4.9.1.2 wants a header before an error. */
static void write_closing(struct stream *st, const char *condition, const char *text, const char *specific)
{
	struct strbuf b = { 0 };

	if (condition && !st->header_sent && st->direction == DIRECTION_IN && stream_renew_id(st) == OK)
		write_header(st, true, &b);
	/* The last count, so that the peer does not take for lost what has arrived (XEP-0198 section 4). */
	sm_write_acknowledgement(st, &b);
	if (condition && st->header_sent) {
		strbuf_printf(&b, "<stream:error><%s xmlns='" NS_STREAM_ERRORS "'/>", condition);
		if (text) {
			strbuf_puts(&b, "<text xmlns='" NS_STREAM_ERRORS "' xml:lang='en'>");
			xml_text(&b, text, strlen(text));
			strbuf_puts(&b, "</text>");
		}
		if (specific)
			strbuf_puts(&b, specific);
		strbuf_puts(&b, "</stream:error>");
	}
	if (st->header_sent)
		strbuf_puts(&b, "</stream:stream>");
	/* A full buffer means that nobody listens; the close says the rest. */
	if (b.len > 0 && sock_write(st->sock, b.s, b.len) != OK)
		log_event(LOG_DEBUG, "stream-close-unsaid", st->name, NULL);
	strbuf_free(&b);
}

void stream_close(struct stream *st, const char *condition, const char *text)
{
	stream_close_with(st, condition, text, NULL);
}

void stream_close_with(struct stream *st, const char *condition, const char *text, const char *specific)
{
	char why[WHY_SIZE];

	if (st->state == S2S_CLOSING)
		return;
	if (can_speak(st))
		write_closing(st, condition, text, specific);
	if (st->peer_closed && !condition)
		snprintf(why, sizeof(why), "closed by the peer");
	else
		snprintf(why, sizeof(why), "%s%s%s", condition ? condition : "closed", text ? ": " : "",
			 text ? text : "");
	release(st, true, why);
}

void stream_finish(struct stream *st)
{
	if (st->state == S2S_CLOSING || st->close_sent)
		return;
	if (!can_speak(st) || !st->header_sent) {
		stream_close(st, NULL, NULL);
		return;
	}
	write_closing(st, NULL, NULL, NULL);
	st->close_sent = true;
	loop_timer_set(st->timer, LINGER_MS / 2);
}

static enum stream_event event_of(const struct xml_element *el)
{
	static const struct {
		const char *ns, *name;
		enum stream_event event;
	} events[] = {
		{ NS_SERVER, "message", EV_STANZA },     { NS_SERVER, "presence", EV_STANZA },
		{ NS_SERVER, "iq", EV_STANZA },          { NS_SERVER, "handshake", EV_HANDSHAKE },
		{ NS_STREAMS, "features", EV_FEATURES }, { NS_STREAMS, "error", EV_STREAM_ERROR },
		{ NS_TLS, "starttls", EV_STARTTLS },     { NS_TLS, "proceed", EV_PROCEED },
		{ NS_TLS, "failure", EV_TLS_FAILURE },   { NS_SASL, "auth", EV_SASL_AUTH },
		{ NS_SASL, "success", EV_SASL_SUCCESS }, { NS_SASL, "failure", EV_SASL_FAILURE },
		{ NS_SM, "enable", EV_SM_ENABLE },       { NS_BIDI, "bidi", EV_BIDI },
		{ NS_SM, "enabled", EV_SM_ENABLED },     { NS_SM, "failed", EV_SM_FAILED },
		{ NS_SM, "r", EV_SM_REQUEST },           { NS_SM, "a", EV_SM_ACKNOWLEDGEMENT },
		{ NS_DIALBACK, "result", EV_DB_RESULT }, { NS_DIALBACK, "verify", EV_DB_VERIFY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (strcmp(el->name, events[i].name) == 0 && strcmp(el->ns, events[i].ns) == 0)
			return events[i].event;
	return EV_OTHER;
}

/* An element that has no step in this state. */
static void refuse(struct stream *st, enum stream_event event, const struct xml_element *el)
{
	char text[WHY_SIZE];

	snprintf(text, sizeof(text), "<%.64s/> is not expected now", el->name);
	if (event == EV_STANZA)
		stream_close(st, "not-authorized", text);
	else if (event == EV_OTHER || event == EV_HANDSHAKE)
		stream_close(st, "unsupported-stanza-type", text);
	else
		stream_close(st, "policy-violation", text);
}

static void on_stream_error(struct stream *st, const struct xml_element *el)
{
	const char *condition = "undefined-condition", *text = "";
	char why[WHY_SIZE];

	for (size_t i = 0; i < el->child_count; i++) {
		const struct xml_child *child = &el->children[i];

		if (child->depth != 1 || strcmp(child->ns, NS_STREAM_ERRORS) != 0)
			continue;
		if (strcmp(child->name, "text") == 0)
			text = child->text;
		else
			condition = child->name;
	}
	str_copy(st->end, sizeof(st->end), condition);
	snprintf(why, sizeof(why), "the peer's stream error: %.60s%s%.100s", condition, text[0] ? ": " : "",
		 text);
	if (can_speak(st))
		write_closing(st, NULL, NULL, NULL);
	release(st, true, why);
}

/* After our </stream:stream>: stanzas and answers are still taken, but nothing is begun any more. */
static bool is_too_late(const struct stream *st, enum stream_event event)
{
	return st->close_sent && event != EV_STANZA && event != EV_DB_VERIFY && event != EV_SM_REQUEST &&
	       event != EV_SM_ACKNOWLEDGEMENT && event != EV_STREAM_ERROR;
}

static stream_steps *steps_of(const struct stream *st)
{
	if (st->is_component)
		return &component_steps;
	return st->direction == DIRECTION_IN ? &s2s_in_steps : &s2s_out_steps;
}

static void on_element(void *ctx, const struct xml_element *el)
{
	struct stream *st = ctx;
	enum stream_event event = event_of(el);
	stream_step *step = (*steps_of(st))[st->state][event];

	if (st->state == S2S_CLOSING || is_too_late(st, event))
		return;
	if (event == EV_STREAM_ERROR)
		on_stream_error(st, el);
	else if (step)
		step(st, el);
	else
		refuse(st, event, el);
}

static void on_open(void *ctx, const struct xml_header *header)
{
	struct stream *st = ctx;

	if (st->is_component)
		component_header(st, header);
	else if (st->direction == DIRECTION_IN)
		s2s_in_header(st, header);
	else
		s2s_out_header(st, header);
}

static void on_close(void *ctx)
{
	struct stream *st = ctx;

	st->peer_closed = true;
	str_copy(st->end, sizeof(st->end), "closed");
	stream_close(st, NULL, NULL);
}

static const struct xmlstream_ops xml_ops = { .open = on_open, .element = on_element, .close = on_close };

static struct xmlstream *create_xml(struct stream *st)
{
	return xmlstream_create(st->is_component ? NS_COMPONENT : NS_SERVER, NS_SERVER,
				&st->s2s->stranger_limits, &xml_ops, st);
}

/* The stream begins anew on this connection, after TLS or SASL (RFC 6120 section 4.3.3). */
static void begin_anew(struct stream *st)
{
	xmlstream_destroy(st->xml);
	st->xml = create_xml(st);
	st->header_sent = false;
	stream_set_state(st, S2S_OPENING);
	if (st->direction == DIRECTION_OUT)
		stream_send_header(st);
}

static void secure(struct stream *st)
{
	struct tls_peer peer = {
		.server = st->direction == DIRECTION_IN,
		.local = st->local[0] ? st->local : NULL,
		.remote = st->remote[0] ? st->remote : NULL,
		.direct = st->direct_tls,
		.tlsa = st->link ? st->link->tlsa : NULL,
		.tlsa_count = st->link ? st->link->tlsa_count : 0,
		.tlsa_base = st->tlsa_base,
	};

	/* Nothing agreed in clear text holds: anybody could have said it. */
	st->is_bidi = false;
	stream_set_state(st, S2S_SECURING);
	sock_start_tls(st->sock, st->s2s->setup.tls, &peer);
}

/* Feed until all is used, the stream is closed, or TLS begins. Returns how much was used. */
static size_t feed(struct stream *st, const char *bytes, size_t n)
{
	size_t used = 0, total = 0;

	do {
		enum err e;

		st->feeding = true;
		e = xmlstream_feed(st->xml, bytes + total, n - total, &used);
		st->feeding = false;
		if (st->state == S2S_CLOSING)
			return n;
		if (e != OK) {
			stream_close(st, xmlstream_condition(st->xml), NULL);
			return n;
		}
		total += used;
		if (st->restart) {
			st->restart = false;
			begin_anew(st);
		}
	} while (total < n && !st->start_tls && st->state != S2S_CLOSING);
	return total;
}

static size_t on_input(void *ctx, const char *bytes, size_t n)
{
	struct stream *st = ctx;
	size_t used;

	st->active_at = s2s_now(st->s2s);
	/* All of it was here before the registry is asked. */
	registry_view_begin(st->s2s->setup.db);
	used = feed(st, bytes, n);
	registry_view_end(st->s2s->setup.db);
	if (st->state != S2S_CLOSING && st->start_tls) {
		st->start_tls = false;
		secure(st);
	}
	return used;
}

static void on_connected(void *ctx)
{
	struct stream *st = ctx;

	loop_timer_set(st->timer, st->s2s->setup.config->s2s.establish_ms);
	check_note(st->link, "tcp", true, "connected to %s", sock_peer(st->sock));
	if (st->direct_tls)
		secure(st);
	else
		s2s_out_connected(st);
}

static void on_secured(void *ctx)
{
	struct stream *st = ctx;
	char tls[64];

	sock_tls_describe(st->sock, tls, sizeof(tls));
	log_event(LOG_DEBUG, "stream-secured", st->name, "tls=%s", log_value(tls));
	check_note(st->link, "tls", true, "%s", tls);
	if (st->direction == DIRECTION_OUT)
		sasl_peer_is_certified(st);
	begin_anew(st);
}

static void on_closed(void *ctx, bool reset, const char *why)
{
	struct stream *st = ctx;

	if (!reset)
		str_copy(st->end, sizeof(st->end), "closed");
	release(st, false, why);
}

static const struct sock_ops socket_ops = {
	.connected = on_connected, .secured = on_secured, .input = on_input, .closed = on_closed
};

void stream_set_established(struct stream *st, bool established)
{
	const struct config *config = st->s2s->setup.config;

	st->established = established;
	loop_timer_set(st->timer, established ? config->s2s.keepalive_ms : config->s2s.establish_ms);
}

/* An idle stream is kept alive by white space, and closed when it was idle for too long. */
static void on_idle(struct stream *st)
{
	const struct config *config = st->s2s->setup.config;
	int64_t left = st->active_at + config->s2s.inactivity_ms - s2s_now(st->s2s);

	if (st->is_component) {
		component_idle(st);
		return;
	}
	if (left <= 0 && (!st->link || link_is_empty(st->link))) {
		stream_finish(st);
		return;
	}
	if (st->direction == DIRECTION_OUT && st->policy.keepalive && sock_write(st->sock, " ", 1) != OK) {
		stream_close(st, "connection-timeout", "the peer reads nothing");
		return;
	}
	loop_timer_set(st->timer,
		       left > 0 && left < config->s2s.keepalive_ms ? left : config->s2s.keepalive_ms);
}

static void on_timer(void *ctx)
{
	struct stream *st = ctx;

	if (st->close_sent || st->state == S2S_CONNECTING)
		release(st, false, st->close_sent ? "closed" : "the connection timed out");
	else if (st->established)
		on_idle(st);
	else
		stream_close(st, "connection-timeout", "the stream was not established in time");
}

static struct stream *stream_create(struct s2s *s2s, enum edge edge, enum direction direction)
{
	struct stream *st = xcalloc(1, sizeof(*st));

	st->s2s = s2s;
	st->edge = edge;
	st->direction = direction;
	st->number = ++s2s->last_stream;
	snprintf(st->name, sizeof(st->name), "%c%llu", direction == DIRECTION_IN ? 'i' : 'o',
		 (unsigned long long)st->number);
	st->opened_at = st->active_at = s2s_now(s2s);
	st->timer = loop_timer_create(s2s->setup.loop, on_timer, st);
	HASH_ADD(hh, s2s->streams, number, sizeof(st->number), st);
	return st;
}

/* Room for the largest stanza, or it would hold up its link for good. */
static size_t output_limit(const struct s2s *s2s)
{
	return (size_t)s2s->setup.config->s2s.stanza_bytes + OUTPUT_SPARE;
}

void stream_accept(struct s2s *s2s, enum edge edge, bool direct_tls, int fd)
{
	struct stream *st = stream_create(s2s, edge, DIRECTION_IN);

	st->xml = create_xml(st);
	st->direct_tls = direct_tls;
	st->sock = sock_accept(s2s->setup.loop, fd, output_limit(s2s), &socket_ops, st);
	stream_set_state(st, S2S_OPENING);
	loop_timer_set(st->timer, s2s->setup.config->s2s.establish_ms);
	log_event(LOG_DEBUG, "stream-accepted", st->name, "edge=%s peer=%s", edge_name(edge),
		  sock_peer(st->sock));
	if (!limits_admit(st))
		release(st, false, "too many streams");
	else if (direct_tls)
		secure(st);
}

struct stream *stream_connect(struct link *link, const struct dns_target *target, const struct sockaddr *bind,
			      socklen_t bind_len)
{
	struct s2s *s2s = link->s2s;
	struct stream *st = stream_create(s2s, link->edge, DIRECTION_OUT);

	st->link = link;
	st->is_component = link == s2s->trunk;
	st->xml = create_xml(st);
	st->policy = link->policy;
	st->direct_tls = target->direct_tls;
	st->tlsa_base = link->tlsa ? xstrdup(target->host) : NULL;
	str_copy(st->local, sizeof(st->local), link->local);
	str_copy(st->remote, sizeof(st->remote), link->remote);
	st->sock = sock_connect(s2s->setup.loop, (const struct sockaddr *)&target->addr, target->addr_len,
				bind, bind_len, output_limit(s2s), &socket_ops, st);
	loop_timer_set(st->timer, s2s->setup.config->s2s.connect_ms);
	log_event(LOG_DEBUG, "stream-connecting", st->name, "edge=%s local=%s remote=%s host=%s port=%u",
		  edge_name(st->edge), st->local, st->remote, log_value(target->host), target->port);
	return st;
}
