/*
 * sippeer.c - a SIP pool that plays: numbered MESSAGEs, both ways.
 *
 * Its users write at a rate over one connection of its own, each pair one message at a time
 * (RFC 3428 section 8): the next one when the last has its final response. It takes
 * requests on connections that it is opened, and sessions too; 200 goes out only behind the log.
 *
 * A message whose connection broke, or that nobody answered for half a minute, is unknown and never
 * sent again, but by UDP: so SIP has it. No registrations of others, no BYE of its own, no sessions by UDP.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"
#include "bench/meter.h"
#include "bench/sippeer_options.h"
#include "bench/sipwire.h"

enum { RETRY_US = 100000, AGAIN_US = 500000, PATIENCE_US = 32000000, BACKLOG = 1000000, LETTER = 's' };

struct pair {
	unsigned long number; /* of the last one */
	bool waiting;
	int64_t since, sent; /* sent: the last time, by UDP */
	/* Of the session in which its messages go; target NULL: none yet. */
	char *target, *tag;
	unsigned cseq;
	/* What was got for this pair last, as it came by UDP. */
	unsigned long got;
	uint64_t got_branch;
};

static struct {
	struct connection *out;
	bool connected;
	int64_t retry_at;
	struct pair *pairs;
	unsigned *idle, idle_first, idle_count; /* pairs that wait for nothing: a ring */
	unsigned registering;                   /* so many answers are to come */
	unsigned refused;                       /* sessions */
	char *filling;
} self;

static const struct sippeer_options *const options = &sippeer_options;

static unsigned waiting(void)
{
	return options->pairs - self.idle_count;
}

/* --- what was asked of it --- */

static const char sdp[] = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
			  "m=message 5060 sip null\r\na=accept-types:text/plain\r\n";

static void write_contact(struct strbuf *out)
{
	strbuf_printf(out, "Contact: <sip:pool@%s:%u;transport=%s>\r\n", options->address,
		      ntohs(options->listen.sin_port), options->transport);
}

static void write_sdp(struct strbuf *out)
{
	write_contact(out);
	strbuf_printf(out, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s", strlen(sdp),
		      sdp);
}

static void answer(struct connection *c, const struct sipwire *m)
{
	struct strbuf rest = { 0 };

	if (sipwire_is(m, "INVITE ")) {
		write_sdp(&rest);
		sipwire_answer(&c->out, m, "200 OK", "p", rest.s);
		strbuf_free(&rest);
	} else if (sipwire_is(m, "MESSAGE ") || sipwire_is(m, "OPTIONS ") || sipwire_is(m, "BYE ")) {
		sipwire_answer(&c->out, m, "200 OK", "p", "Content-Length: 0\r\n\r\n");
	} else {
		sipwire_answer(&c->out, m, "405 Method Not Allowed", "p", "Content-Length: 0\r\n\r\n");
	}
}

/* FNV-1a of the topmost Via: by UDP the same request comes again when our answer is late. */
static bool is_repeated(const struct connection *c, const struct sipwire *m, const struct numbered *n)
{
	uint64_t hash = 14695981039346656037u;
	struct pair *p = n->pair < options->pairs ? &self.pairs[n->pair] : NULL;
	bool repeated;

	if (!c->datagrams || !p || m->copies == 0)
		return false;
	for (size_t i = 0; i < m->copied[0].n; i++)
		hash = (hash ^ (unsigned char)m->copied[0].s[i]) * 1099511628211u;
	repeated = p->got == n->number && p->got_branch == hash;
	p->got = n->number;
	p->got_branch = hash;
	return repeated;
}

static void take_request(struct connection *c, const struct sipwire *m)
{
	struct numbered n;

	if (sipwire_is(m, "ACK "))
		return;
	if (sipwire_is(m, "MESSAGE ") && numbered_parse(m->body.s, &n) && !is_repeated(c, m, &n))
		end_note(NOTE_GOT, &n, c->id);
	answer(c, m);
}

/* --- what it asks --- */

static void begin_request(struct strbuf *out, const struct pair *p, const char *method, const char *branch)
{
	const unsigned i = (unsigned)(p - self.pairs);

	if (p->target)
		strbuf_printf(out, "%s %s SIP/2.0\r\n", method, p->target);
	else
		strbuf_printf(out, "%s sip:%s%u@%s SIP/2.0\r\n", method, options->to, i, options->to_domain);
	strbuf_printf(out, "Via: SIP/2.0/%s %s:%u;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n",
		      options->transport, options->address, ntohs(options->listen.sin_port), branch);
	strbuf_printf(out, "To: <sip:%s%u@%s>%s%s\r\n", options->to, i, options->to_domain,
		      p->tag ? ";tag=" : "", p->tag ? p->tag : "");
}

/* id: of the message, or of the session. */
static void name_request(struct strbuf *out, const struct pair *p, const char *method, const char *id,
			 unsigned cseq)
{
	strbuf_printf(out, "From: <sip:%s%u@%s>;tag=%s\r\nCall-ID: %s@%s\r\nCSeq: %u %s\r\n", options->from,
		      (unsigned)(p - self.pairs), options->from_domain, id, id, options->address, cseq,
		      method);
}

static char *session_id(const struct pair *p)
{
	return xasprintf("%c-%u-%lu", LETTER, (unsigned)(p - self.pairs), options->first);
}

static void write_invite(struct pair *p)
{
	struct strbuf *out = &self.out->out;
	char *id = session_id(p);

	begin_request(out, p, "INVITE", id);
	name_request(out, p, "INVITE", id, p->cseq = 1);
	write_sdp(out);
	free(id);
}

static void write_ack(struct pair *p)
{
	char *id = session_id(p), *branch = xasprintf("ack-%s", id);

	begin_request(&self.out->out, p, "ACK", branch);
	name_request(&self.out->out, p, "ACK", id, 1);
	strbuf_puts(&self.out->out, "Content-Length: 0\r\n\r\n");
	free(branch);
	free(id);
}

static void write_message(struct pair *p, const struct numbered *m)
{
	struct strbuf *out = &self.out->out, id = { 0 };
	char *session = options->sessions ? session_id(p) : NULL;

	numbered_text(m, &id);
	begin_request(out, p, "MESSAGE", id.s);
	name_request(out, p, "MESSAGE", session ? session : id.s, session ? ++p->cseq : 1);
	strbuf_printf(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s%s",
		      id.len + strlen(self.filling), id.s, self.filling);
	free(session);
	strbuf_free(&id);
}

/* --- answers --- */

static void make_idle(unsigned pair)
{
	self.pairs[pair].waiting = false;
	self.idle[(self.idle_first + self.idle_count++) % options->pairs] = pair;
}

static void settle(unsigned pair, unsigned long number, enum note note, unsigned id)
{
	struct pair *p = pair < options->pairs ? &self.pairs[pair] : NULL;

	if (!p || !p->waiting || p->number != number)
		return;
	make_idle(pair);
	end_note(note, &(struct numbered){ options->flow, pair, number }, id);
}

/* From "<sip:bridge@ADDRESS>;..." and "<sip:...>;tag=TAG". */
static void open_session(struct pair *p, const struct sipwire *m)
{
	const char *open = memchr(m->contact.s, '<', m->contact.n), *close;
	const char *tag = memmem(m->to.s, m->to.n, "tag=", 4);

	close = open ? memchr(open, '>', m->contact.n - (size_t)(open - m->contact.s)) : NULL;
	if (!close || !tag)
		return;
	tag += 4;
	p->target = xstrndup(open + 1, (size_t)(close - open - 1));
	p->tag = xstrndup(tag, (size_t)(m->to.s + m->to.n - tag));
}

static void take_invited(unsigned pair, const struct sipwire *m, unsigned status)
{
	struct pair *p = pair < options->pairs ? &self.pairs[pair] : NULL;

	if (!p || p->target)
		return;
	if (status < 300)
		open_session(p, m);
	if (p->target)
		write_ack(p);
	else
		self.refused++;
	make_idle(pair);
}

static bool is_to(const struct sipwire *m, const char *method)
{
	return memmem(m->cseq.s, m->cseq.n, method, strlen(method)) != NULL;
}

static void take_registered(unsigned status)
{
	if (status >= 300)
		end_usage("sippeer: the pool refuses to register\n", 1);
	self.registering--;
}

static void take_response(struct connection *c, const struct sipwire *m, unsigned status)
{
	struct numbered n;

	if (status < 200)
		return;
	if (self.registering > 0 && is_to(m, "REGISTER"))
		take_registered(status);
	else if (m->call_id.n == 0 || !numbered_parse(m->call_id.s, &n))
		return;
	else if (n.flow == LETTER && options->sessions && is_to(m, "INVITE"))
		take_invited(n.pair, m, status);
	else if (n.flow == (options->sessions ? LETTER : options->flow) && n.pair < options->pairs)
		settle(n.pair, options->sessions ? self.pairs[n.pair].number : n.number,
		       status < 300 ? NOTE_ACKED : NOTE_ERROR, c->id);
}

/* --- connections --- */

static size_t on_input(struct connection *c, const char *data, size_t size)
{
	size_t used = 0;
	struct sipwire m;

	while (used < size && sipwire_read(data + used, size - used, &m)) {
		unsigned status = sipwire_status(&m);

		if (status > 0)
			take_response(c, &m, status);
		else
			take_request(c, &m);
		used += m.size;
	}
	return used;
}

static size_t on_next(const char *data, size_t size)
{
	struct sipwire m;

	return sipwire_read(data, size, &m) ? m.size : size;
}

static void forget_waiting(unsigned id, int64_t before)
{
	for (unsigned i = 0; i < options->pairs; i++)
		if (self.pairs[i].waiting && self.pairs[i].since < before)
			settle(i, self.pairs[i].number, NOTE_UNKNOWN, id);
}

/* Timer E, without its doubling: what a full buffer has dropped must not end the run. */
static void send_again(int64_t now)
{
	for (unsigned i = 0; i < options->pairs; i++) {
		struct pair *p = &self.pairs[i];
		struct numbered m = { options->flow, i, p->number };

		if (!p->waiting || now - p->sent < AGAIN_US)
			continue;
		p->sent = now;
		end_note(NOTE_AGAIN, &m, self.out->id);
		write_message(p, &m);
	}
}

static void register_users(struct connection *c)
{
	for (unsigned i = 0; i < options->pairs; i++) {
		strbuf_printf(&c->out,
			      "REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/TCP %s:5060;branch=z9hG4bKr%u-%u\r\n"
			      "Max-Forwards: 70\r\nFrom: <sip:%s%u@%s>;tag=r%u\r\nTo: <sip:%s%u@%s>\r\n",
			      options->from_domain, options->address, c->id, i, options->from, i,
			      options->from_domain, i, options->from, i, options->from_domain);
		strbuf_printf(&c->out,
			      "Call-ID: register-%u@%s\r\nCSeq: %u REGISTER\r\nExpires: 7200\r\n"
			      "Contact: <sip:%s%u@%s:5060;transport=tcp>\r\nContent-Length: 0\r\n\r\n",
			      i, options->address, c->id, options->from, i, options->address);
	}
	self.registering = options->pairs;
}

static void on_ready(struct connection *c)
{
	if (options->client_tls && !c->ssl) {
		end_start_tls(c, options->client_tls);
		return;
	}
	if (c != self.out)
		return;
	self.connected = true;
	if (options->registers)
		register_users(c);
}

static void on_ended(struct connection *c)
{
	if (c != self.out)
		return;
	self.out = NULL;
	self.connected = false;
	self.retry_at = end_now() + RETRY_US;
	forget_waiting(c->id, INT64_MAX);
}

static const struct connection_ops ops = {
	.ready = on_ready, .input = on_input, .ended = on_ended, .next = on_next
};

static void on_accepted(struct connection *c)
{
	c->ops = &ops;
	if (options->server_tls)
		end_start_tls(c, options->server_tls);
}

/* --- the turn --- */

static bool send_next(void)
{
	const unsigned pair = self.idle[self.idle_first];
	struct pair *p = &self.pairs[pair];
	struct numbered m;

	if (!self.connected || self.registering > 0 || self.idle_count == 0 || self.refused > 0 ||
	    self.out->out.len > BACKLOG)
		return false;
	self.idle_first = (self.idle_first + 1) % options->pairs;
	self.idle_count--;
	p->waiting = true;
	p->since = p->sent = end_now();
	if (options->sessions && !p->target) {
		write_invite(p);
		return true;
	}
	m = (struct numbered){ options->flow, pair, ++p->number };
	end_note(NOTE_SENT, &m, self.out->id);
	write_message(p, &m);
	return true;
}

static void open_out(void)
{
	struct sockaddr_in from = options->listen;

	if (options->udp) {
		self.out = end_datagrams(&options->listen, &options->connect, &ops);
		self.connected = true;
		return;
	}
	from.sin_port = 0;
	self.out = end_connect(&options->connect, &from, &ops, NULL);
}

static void on_turn(void)
{
	int64_t now = end_now();

	if (!self.out && options->connect.sin_port && now >= self.retry_at)
		open_out();
	if (waiting() > 0)
		forget_waiting(0, now - PATIENCE_US);
	if (waiting() > 0 && options->udp && !options->sessions)
		send_again(now);
}

static void on_status(struct strbuf *out)
{
	strbuf_printf(out, ", \"waiting\": %u, \"connected\": %s, \"refused\": %u", waiting(),
		      self.connected && self.registering == 0 ? "true" : "false", self.refused);
}

static void begin(void)
{
	self.pairs = xcalloc(options->pairs, sizeof(*self.pairs));
	self.idle = xcalloc(options->pairs, sizeof(*self.idle));
	for (unsigned i = 0; i < options->pairs; i++) {
		self.pairs[i].number = options->first - 1;
		make_idle(i);
	}
	self.filling = xcalloc(1, options->size + 2);
	memset(self.filling, '.', options->size);
	self.filling[0] = ' ';
}

static void end(void)
{
	for (unsigned i = 0; i < options->pairs; i++) {
		free(self.pairs[i].target);
		free(self.pairs[i].tag);
	}
	free(self.pairs);
	free(self.idle);
	free(self.filling);
	sippeer_free_options();
}

int main(int argc, char **argv)
{
	struct end_setup setup = { .send = send_next, .turn = on_turn, .status = on_status };

	sippeer_read_options(argc, argv);
	setup.log = options->log;
	setup.rate = options->rate;
	begin();
	if (options->tally)
		meter_open(options->tally, options->pairs);
	if (!options->deaf && !options->udp)
		end_listen(&options->listen, on_accepted);
	end_run(&setup);
	end();
	return 0;
}
