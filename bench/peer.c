/*
 * peer.c - an XMPP server that plays: the partner or the legacy gateway of numbered messages.
 *
 * Sends messages at a rate over one stream of its own, as many users to as many,
 * and receives on the streams that it is opened. Both count by XEP-0198: what h does
 * not cover is sent again on the next stream, in order, and h goes out only behind
 * the log. It vouches for its own domain: every dialback key is valid.
 *
 * It is no server: one remote domain, no checking of anything, no stanza but these.
 * A peer that does not understand it is a failed run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"
#include "bench/end_xml.h"
#include "bench/hello.h"
#include "bench/meter.h"
#include "bench/peer_options.h"
#include "bench/quick.h"

enum {
	REQUEST_US = 50000,
	REQUEST_MESSAGES = 128,
	RETRY_US = 100000,
	OUTPUT_MAX = 1000000,
	RING_MAX = 1 << 16, /* with a meter: its window does not count what waits here */
	FILLING_MAX = 10001
};

enum stage { STAGE_OPENING, STAGE_NEGOTIATING, STAGE_TRUSTED };

struct stream {
	struct connection *connection;
	XML_Parser parser;
	enum stage stage;
	unsigned depth;
	bool restarting; /* the next bytes are a new stream's */
	bool sm;
	uint32_t handled;        /* of what came in */
	bool starttls, external; /* what the features offer */
	/* What is being read. */
	struct end_xml_element element;
	bool in_body;
	struct strbuf body;
};

/* A message that h does not cover yet. */
struct waiting {
	struct numbered message;
	bool answered; /* with an error: it is not sent again */
};

static struct {
	struct stream *out; /* our own; NULL: none */
	int64_t retry_at, request_at;
	unsigned long *numbers; /* the next of each pair */
	unsigned next_pair;
	struct waiting *ring;
	size_t head, count;
	uint32_t covered; /* by h, on this stream */
	uint32_t written; /* on this stream, of what waits */
	size_t ring_size;
	unsigned unrequested; /* written since the last <r/> */
	char *filling;
} self;

/* --- sending --- */

static struct waiting *waiting_at(size_t i)
{
	return &self.ring[(self.head + i) % self.ring_size];
}

static void write_address(struct strbuf *out, const char *user, unsigned pair, const char *domain)
{
	strbuf_puts(out, user);
	number_text(pair, out);
	strbuf_putc(out, '@');
	strbuf_puts(out, domain);
}

static void write_message(struct stream *s, const struct numbered *m)
{
	static const char end[] = "</body></message>";
	struct strbuf *out = &s->connection->out;
	size_t filling = peer_options.size + 1, begun = out->len, used;

	strbuf_puts(out, "<message from='");
	write_address(out, peer_options.from, m->pair, peer_options.domain);
	strbuf_puts(out, "' to='");
	write_address(out, peer_options.to, m->pair, peer_options.remote);
	strbuf_puts(out, "' type='chat' id='");
	numbered_text(m, out);
	strbuf_puts(out, "'><body>");
	numbered_text(m, out);
	used = out->len - begun + strlen(end);
	if (peer_options.length > 0)
		filling = peer_options.length > used ? peer_options.length - used : 0;
	strbuf_add(out, self.filling, filling);
	strbuf_puts(out, end);
}

static bool can_send(void)
{
	return self.out && self.out->stage == STAGE_TRUSTED && self.out->sm == peer_options.sm;
}

/* What waits for an acknowledgement is not what is under way, with a meter. */
static bool has_room(void)
{
	return self.count + 1 < self.ring_size && self.out->connection->out.len <= OUTPUT_MAX &&
	       (!meter_is_open() || meter_has_room(peer_options.window));
}

static void request(struct stream *s)
{
	strbuf_puts(&s->connection->out, "<r xmlns='urn:xmpp:sm:3'/>");
	self.request_at = end_now() + REQUEST_US;
	self.unrequested = 0;
}

static bool send_next(void)
{
	struct numbered m = { .flow = peer_options.flow, .pair = self.next_pair };

	if (!can_send() || !has_room())
		return false;
	m.number = self.numbers[m.pair]++;
	self.next_pair = (self.next_pair + 1) % peer_options.pairs;
	end_note(NOTE_SENT, &m, self.out->connection->id);
	write_message(self.out, &m);
	if (peer_options.sm) {
		*waiting_at(self.count++) = (struct waiting){ .message = m };
		self.written++;
		if (++self.unrequested >= REQUEST_MESSAGES)
			request(self.out);
	} else {
		end_note(NOTE_ACKED, &m, self.out->connection->id);
	}
	return true;
}

/* A new stream: what the last one left goes first. */
static void send_again(struct stream *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < self.count; i++)
		if (!waiting_at(i)->answered)
			*waiting_at(kept++) = *waiting_at(i);
	self.count = kept;
	self.covered = 0;
	self.written = (uint32_t)kept;
	for (size_t i = 0; i < kept; i++) {
		end_note(NOTE_AGAIN, &waiting_at(i)->message, s->connection->id);
		write_message(s, &waiting_at(i)->message);
	}
}

static void take_h(struct stream *s, uint32_t h)
{
	uint32_t count = h - self.covered;

	if (s != self.out || count > self.written) {
		fprintf(stderr, "peer: h='%u' with %u written and %u covered\n", h, self.written,
			self.covered);
		exit(1);
	}
	for (; count > 0; count--) {
		struct waiting *w = waiting_at(0);

		if (!w->answered)
			end_note(NOTE_ACKED, &w->message, s->connection->id);
		self.head = (self.head + 1) % self.ring_size;
		self.count--;
		self.covered++;
		self.written--;
	}
}

static void take_error(const struct numbered *m, unsigned id)
{
	end_note(NOTE_ERROR, m, id);
	for (size_t i = 0; i < self.count; i++)
		if (waiting_at(i)->message.pair == m->pair && waiting_at(i)->message.number == m->number)
			waiting_at(i)->answered = true;
}

/* --- streams --- */

static void trust(struct stream *s)
{
	s->stage = STAGE_TRUSTED;
	if (s->connection->inbound)
		return;
	if (peer_options.sm)
		strbuf_puts(&s->connection->out, "<enable xmlns='urn:xmpp:sm:3'/>");
}

static void take_features(struct stream *s)
{
	struct strbuf *out = &s->connection->out;

	if (s->stage == STAGE_TRUSTED)
		trust(s); /* again, after SASL */
	else if (peer_options.client_tls && !s->connection->ssl && s->starttls)
		strbuf_puts(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	else if (peer_options.external && s->external)
		hello_auth(s->connection);
	else
		strbuf_printf(out, "<db:result from='%s' to='%s'>0123456789abcdef</db:result>",
			      peer_options.domain, peer_options.remote);
	s->stage = s->stage == STAGE_TRUSTED ? STAGE_TRUSTED : STAGE_NEGOTIATING;
}

static void restart(struct stream *s, bool trusted)
{
	s->restarting = true;
	s->stage = trusted ? STAGE_TRUSTED : STAGE_OPENING;
}

/* --- what comes in --- */

static void answer_iq(struct stream *s)
{
	struct stream *way = s->connection->inbound ? self.out : s;

	if (!s->element.type ||
	    (strcmp(s->element.type, "get") != 0 && strcmp(s->element.type, "set") != 0) || !way ||
	    way->stage != STAGE_TRUSTED || peer_options.sm || !s->element.id || !s->element.from ||
	    !s->element.to)
		return; /* with XEP-0198 nobody needs pings, and answers would have to be counted */
	strbuf_printf(&way->connection->out, "<iq type='result' from='%s' to='%s' id='%s'/>", s->element.to,
		      s->element.from, s->element.id);
}

static void take_message(struct stream *s)
{
	struct numbered m;
	bool is_error = s->element.type && strcmp(s->element.type, "error") == 0;

	if (is_error && s->element.id && numbered_parse(s->element.id, &m))
		take_error(&m, s->connection->id);
	else if (!is_error && s->body.len > 0 && numbered_parse(s->body.s, &m))
		end_note(NOTE_GOT, &m, s->connection->id);
}

static void take_dialback(struct stream *s)
{
	if (s->connection->inbound) {
		end_xml_vouch(&s->connection->out, &s->element, peer_options.domain, peer_options.remote);
		if (strcmp(s->element.name, "result") == 0)
			trust(s);
	} else if (s->element.type && strcmp(s->element.type, "valid") == 0) {
		trust(s);
	}
}

static void take_control(struct stream *s)
{
	const char *h = s->element.h;
	struct strbuf *out = &s->connection->out;

	if (strcmp(s->element.name, "enable") == 0) {
		strbuf_puts(out, "<enabled xmlns='urn:xmpp:sm:3'/>");
		s->sm = true;
		s->handled = 0;
	} else if (strcmp(s->element.name, "enabled") == 0) {
		s->sm = true;
		send_again(s);
	} else if (strcmp(s->element.name, "r") == 0) {
		strbuf_printf(out, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", s->handled);
	} else if (strcmp(s->element.name, "a") == 0) {
		take_h(s, h ? (uint32_t)strtoul(h, NULL, 10) : 0);
	} else if (strcmp(s->element.name, "starttls") == 0) {
		strbuf_puts(out, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
		s->restarting = true;
	} else if (strcmp(s->element.name, "proceed") == 0) {
		s->restarting = true;
	} else if (strcmp(s->element.name, "handshake") == 0 && peer_options.host) {
		strbuf_puts(out, "<handshake/>");
		s->stage = STAGE_TRUSTED;
		self.out = s;
	} else if (strcmp(s->element.name, "handshake") == 0) {
		trust(s);
	} else if (strcmp(s->element.name, "auth") == 0) {
		strbuf_puts(out, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
		restart(s, true);
	} else if (strcmp(s->element.name, "success") == 0) {
		restart(s, true);
	} else {
		fprintf(stderr, "peer of %s: unexpected <%s>\n", peer_options.domain, s->element.name);
		end_close(s->connection);
	}
}

static bool is_stanza(const struct stream *s)
{
	return strcmp(s->element.name, "message") == 0 || strcmp(s->element.name, "iq") == 0 ||
	       strcmp(s->element.name, "presence") == 0;
}

static void on_start(void *ctx, const char *name, const char **attributes)
{
	struct stream *s = ctx;

	name = end_xml_local(name);
	s->depth++;
	if (s->depth == 1 && peer_options.host) {
		hello_host(s->connection);
	} else if (s->depth == 1 && s->connection->inbound) {
		hello_stream(s->connection);
		hello_features(s->connection, s->stage == STAGE_TRUSTED);
		s->stage = s->stage == STAGE_TRUSTED ? STAGE_TRUSTED : STAGE_NEGOTIATING;
	} else if (s->depth == 1 && peer_options.secret) {
		hello_handshake(s->connection, end_xml_attribute(attributes, "id"));
	} else if (s->depth == 2) {
		end_xml_take(&s->element, name, attributes);
		strbuf_reset(&s->body);
	} else if (s->depth == 3) {
		s->in_body = strcmp(name, "body") == 0;
		s->starttls |= strcmp(name, "starttls") == 0;
		s->external |= strcmp(name, "mechanisms") == 0;
	}
}

static void on_text(void *ctx, const char *text, int size)
{
	struct stream *s = ctx;

	if (s->in_body && s->body.len < 100)
		strbuf_add(&s->body, text, (size_t)size);
}

static void on_end(void *ctx, const char *name)
{
	struct stream *s = ctx;

	(void)name;
	s->depth--;
	s->in_body = false;
	if (s->depth == 0)
		end_close(s->connection);
	if (s->depth != 1)
		return;
	s->handled += is_stanza(s);
	if (strcmp(s->element.name, "message") == 0)
		take_message(s);
	else if (strcmp(s->element.name, "iq") == 0)
		answer_iq(s);
	else if (strcmp(s->element.name, "features") == 0)
		take_features(s);
	else if (strcmp(s->element.name, "result") == 0 || strcmp(s->element.name, "verify") == 0)
		take_dialback(s);
	else if (strcmp(s->element.name, "error") == 0)
		end_close(s->connection);
	else if (!is_stanza(s))
		take_control(s);
	if (s->restarting)
		XML_StopParser(s->parser, XML_FALSE);
}

/* --- connections --- */

static void begin(struct stream *s)
{
	end_xml_begin(s->parser, s, on_start, on_end);
	XML_SetCharacterDataHandler(s->parser, on_text);
	s->depth = 0;
	s->restarting = s->starttls = s->external = false;
	if (peer_options.secret)
		hello_component(s->connection);
	else if (!s->connection->inbound)
		hello_stream(s->connection);
}

static void on_ready(struct connection *c)
{
	begin(c->owner);
}

static void parse(struct connection *c, const char *data, size_t size)
{
	struct stream *s = c->owner;

	if (XML_Parse(s->parser, data, (int)size, 0) == XML_STATUS_ERROR && !s->restarting) {
		if (!c->dead)
			fprintf(stderr, "peer of %s: %s\n", peer_options.domain,
				XML_ErrorString(XML_GetErrorCode(s->parser)));
		end_close(c);
	}
	if (s->restarting && strcmp(s->element.name, "starttls") == 0)
		end_start_tls(c, peer_options.server_tls);
	else if (s->restarting && strcmp(s->element.name, "proceed") == 0)
		end_start_tls(c, peer_options.client_tls);
	else if (s->restarting)
		begin(s);
}

static void take_quick_message(struct stream *s, const struct quick_message *m)
{
	s->handled++;
	if (m->is_numbered && m->is_error)
		take_error(&m->number, s->connection->id);
	else if (m->is_numbered)
		end_note(NOTE_GOT, &m->number, s->connection->id);
}

static size_t on_input(struct connection *c, const char *data, size_t size)
{
	struct stream *s = c->owner;
	struct quick_message m;
	size_t done = 0, length;
	enum quick found;

	while (done < size && meter_is_open() && s->stage == STAGE_TRUSTED && s->depth == 1 &&
	       !s->restarting && !c->dead) {
		found = quick_next(data + done, size - done, &length, &m);
		if (found == QUICK_MORE)
			return done;
		if (found == QUICK_MESSAGE)
			take_quick_message(s, &m);
		else
			parse(c, data + done, length);
		done += length;
	}
	if (done < size)
		parse(c, data + done, size - done);
	return size;
}

static void on_ended(struct connection *c)
{
	struct stream *s = c->owner;

	if (self.out == s) {
		self.out = NULL;
		self.retry_at = end_now() + RETRY_US;
	}
	XML_ParserFree(s->parser);
	strbuf_free(&s->body);
	end_xml_forget(&s->element);
	free(s);
}

static const struct connection_ops ops = { .ready = on_ready, .input = on_input, .ended = on_ended };

static struct stream *new_stream(void)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->parser = end_xml_new();
	return s;
}

static void on_accepted(struct connection *c)
{
	struct stream *s = new_stream();

	c->ops = &ops;
	c->owner = s;
	s->connection = c;
	begin(s);
}

/* --- the turn --- */

static void on_turn(void)
{
	int64_t now = end_now();

	if (!self.out && peer_options.connect.sin_port && now >= self.retry_at) {
		struct sockaddr_in from = peer_options.listen;

		from.sin_port = 0;
		self.out = new_stream();
		self.out->connection = end_connect(&peer_options.connect, &from, &ops, self.out);
	} else if (can_send() && peer_options.sm && self.count > 0 && now >= self.request_at) {
		request(self.out);
	}
}

static void on_status(struct strbuf *out)
{
	strbuf_printf(out, ", \"waiting\": %zu, \"connected\": %s", self.count,
		      can_send() ? "true" : "false");
}

int main(int argc, char **argv)
{
	struct end_setup setup = { .send = send_next, .turn = on_turn, .status = on_status };

	peer_read_options(argc, argv);
	setup.log = peer_options.log;
	setup.rate = peer_options.rate;
	if (peer_options.tally)
		meter_open(peer_options.tally, peer_options.pairs);
	self.numbers = xcalloc(peer_options.pairs, sizeof(*self.numbers));
	for (unsigned i = 0; i < peer_options.pairs; i++)
		self.numbers[i] = peer_options.first;
	self.ring_size = meter_is_open() ? RING_MAX : peer_options.window + 1;
	self.ring = xcalloc(self.ring_size, sizeof(*self.ring));
	self.filling = xcalloc(1, FILLING_MAX + 1);
	memset(self.filling, '.', FILLING_MAX);
	self.filling[0] = ' ';
	if (!peer_options.secret)
		end_listen(&peer_options.listen, on_accepted);
	end_run(&setup);
	free(self.numbers);
	free(self.ring);
	free(self.filling);
	peer_free_options();
	return 0;
}
