/*
 * sippeer.c - a SIP pool that plays: numbered MESSAGEs over TCP, both ways.
 *
 * Its users write at a rate over one connection of its own, each pair one message at a time
 * (RFC 3428 section 8): the next one when the last has its final response. It takes
 * requests on connections that it is opened; 200 goes out only behind the log.
 *
 * A message whose connection broke, or that nobody answered for half a minute, is unknown and never
 * sent again: so SIP has it. No registrations, no dialogs, no UDP.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/end.h"

static const char usage[] =
	"Usage: sippeer --listen ADDRESS --connect ADDRESS[:PORT] --log FILE [options]\n"
	"\n"
	"A SIP pool over TCP whose users send numbered MESSAGEs at a rate, and receive such. Commands on\n"
	"standard input: start, stop, status, cut, refuse SECONDS, blackhole SECONDS, quit.\n"
	"\n"
	"  --listen ADDRESS     for connections to it, port 5060\n"
	"  --connect ADDRESS    where its own go, from the address that it listens on\n"
	"  --register           its users register there, by the address that it listens on\n"
	"  --deaf               it does not listen there: another process does\n"
	"  --log FILE           what was sent, acknowledged, answered and received\n"
	"  --flow LETTER        of the messages that it sends (default c)\n"
	"  --from U@D, --to U@D users: the pair's number is put before the @ (default u@corp.test, "
	"p@partner.test)\n"
	"  --pairs N            how many (default 100)\n"
	"  --rate N             messages a second (default 0: it only receives)\n"
	"  --first N            number of each pair's first message (default 1)\n"
	"  --size N             bytes of text in each (default 100)\n";

enum { RETRY_US = 100000, PATIENCE_US = 32000000 };

struct pair {
	unsigned long number; /* of the last one */
	bool waiting;
	int64_t since;
};

static struct {
	struct sockaddr_in listen, connect;
	const char *log;
	char flow;
	char *from, *to;
	const char *from_domain, *to_domain;
	unsigned pairs, size;
	unsigned long first;
	double rate;
	bool deaf, registers;
} options = { .flow = 'c', .pairs = 100, .size = 100, .first = 1 };

static struct {
	struct connection *out;
	bool connected;
	int64_t retry_at;
	struct pair *pairs;
	unsigned next_pair, waiting;
	unsigned registering; /* so many answers are to come */
	const char *address;
	char *filling;
} self;

/* --- one request or response --- */

/* The value of a header by its long or its compact name; false: none. */
static bool header(const char *head, const char *name, const char *compact, const char **value, int *size)
{
	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line, "\r\n")) {
		const char *colon, *eol;
		size_t n;

		line += 2;
		colon = strchr(line, ':');
		eol = strstr(line, "\r\n");
		if (!colon || !eol || colon > eol)
			continue;
		for (n = (size_t)(colon - line); n > 0 && line[n - 1] == ' '; n--)
			;
		if ((n != strlen(name) || strncasecmp(line, name, n) != 0) &&
		    (n != strlen(compact) || strncasecmp(line, compact, n) != 0))
			continue;
		for (colon++; *colon == ' '; colon++)
			;
		*value = colon;
		*size = (int)(eol - colon);
		return true;
	}
	return false;
}

static void copy_headers(struct strbuf *out, const char *head)
{
	static const char *const copied[][2] = { { "From", "f" }, { "Call-ID", "i" }, { "CSeq", "CSeq" } };
	const char *value, *line = head;
	int size;

	/* Every Via, in order. */
	while ((line = strstr(line, "\r\n")) != NULL && line[2] != '\r') {
		line += 2;
		if (strncasecmp(line, "Via:", 4) == 0 || strncasecmp(line, "v:", 2) == 0)
			strbuf_printf(out, "%.*s\r\n", (int)strcspn(line, "\r"), line);
	}
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		if (header(head, copied[i][0], copied[i][1], &value, &size))
			strbuf_printf(out, "%s: %.*s\r\n", copied[i][0], size, value);
	if (header(head, "To", "t", &value, &size))
		strbuf_printf(out, "To: %.*s%s\r\n", size, value,
			      memmem(value, (size_t)size, "tag=", 4) ? "" : ";tag=p");
}

static void take_request(struct connection *c, const char *head, const char *body)
{
	bool wanted = strncmp(head, "MESSAGE ", 8) == 0 || strncmp(head, "OPTIONS ", 8) == 0;
	struct numbered m;

	if (strncmp(head, "ACK ", 4) == 0)
		return;
	if (head[0] == 'M' && numbered_parse(body, &m))
		end_note(NOTE_GOT, &m, c->id);
	strbuf_puts(&c->out, wanted ? "SIP/2.0 200 OK\r\n" : "SIP/2.0 405 Method Not Allowed\r\n");
	copy_headers(&c->out, head);
	strbuf_puts(&c->out, "Content-Length: 0\r\n\r\n");
}

static void settle(const struct numbered *m, enum note note, unsigned id)
{
	struct pair *p = m->pair < options.pairs ? &self.pairs[m->pair] : NULL;

	if (m->flow != options.flow || !p || !p->waiting || p->number != m->number)
		return;
	p->waiting = false;
	self.waiting--;
	end_note(note, m, id);
}

static void take_response(struct connection *c, const char *head)
{
	unsigned status = (unsigned)strtoul(head + 8, NULL, 10);
	const char *value;
	struct numbered m;
	int size;

	if (status >= 200 && self.registering > 0 && header(head, "CSeq", "CSeq", &value, &size) &&
	    memmem(value, (size_t)size, "REGISTER", 8)) {
		if (status >= 300)
			end_usage("sippeer: the pool refuses to register\n", 1);
		self.registering--;
	} else if (status >= 200 && header(head, "Call-ID", "i", &value, &size) &&
		   numbered_parse(value, &m)) {
		settle(&m, status < 300 ? NOTE_ACKED : NOTE_ERROR, c->id);
	}
}

/* --- connections --- */

static size_t on_input(struct connection *c, const char *data, size_t size)
{
	size_t used = 0;

	(void)size;
	for (;;) {
		const char *start = data + used + strspn(data + used, "\r\n"),
			   *end = strstr(start, "\r\n\r\n"), *value;
		unsigned long length = 0;
		int value_size;
		char *message;

		if (!end)
			return used;
		if (header(start, "Content-Length", "l", &value, &value_size))
			length = strtoul(value, NULL, 10);
		if ((size_t)(end + 4 - data) + length > size)
			return used;
		message = xstrndup(start, (size_t)(end + 4 - start) + length);
		if (strncmp(message, "SIP/2.0 ", 8) == 0)
			take_response(c, message);
		else
			take_request(c, message, message + (end + 4 - start));
		free(message);
		used = (size_t)(end + 4 - data) + length;
	}
}

static void forget_waiting(unsigned id, int64_t before)
{
	for (unsigned i = 0; i < options.pairs; i++)
		if (self.pairs[i].waiting && self.pairs[i].since < before)
			settle(&(struct numbered){ options.flow, i, self.pairs[i].number }, NOTE_UNKNOWN, id);
}

static void register_users(struct connection *c)
{
	for (unsigned i = 0; i < options.pairs; i++) {
		strbuf_printf(&c->out,
			      "REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/TCP %s:5060;branch=z9hG4bKr%u-%u\r\n"
			      "Max-Forwards: 70\r\nFrom: <sip:%s%u@%s>;tag=r%u\r\nTo: <sip:%s%u@%s>\r\n",
			      options.from_domain, self.address, c->id, i, options.from, i,
			      options.from_domain, i, options.from, i, options.from_domain);
		strbuf_printf(&c->out,
			      "Call-ID: register-%u@%s\r\nCSeq: %u REGISTER\r\nExpires: 7200\r\n"
			      "Contact: <sip:%s%u@%s:5060;transport=tcp>\r\nContent-Length: 0\r\n\r\n",
			      i, self.address, c->id, options.from, i, self.address);
	}
	self.registering = options.pairs;
}

static void on_ready(struct connection *c)
{
	if (c != self.out)
		return;
	self.connected = true;
	if (options.registers)
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

static const struct connection_ops ops = { on_ready, on_input, on_ended };

static void on_accepted(struct connection *c)
{
	c->ops = &ops;
}

/* --- sending --- */

static void write_request(const struct numbered *m)
{
	struct strbuf *out = &self.out->out, id = { 0 };

	numbered_text(m, &id);
	strbuf_printf(out, "MESSAGE sip:%s%u@%s SIP/2.0\r\nVia: SIP/2.0/TCP %s:5060;branch=z9hG4bK%s\r\n",
		      options.to, m->pair, options.to_domain, self.address, id.s);
	strbuf_printf(out, "Max-Forwards: 70\r\nFrom: <sip:%s%u@%s>;tag=%s\r\nTo: <sip:%s%u@%s>\r\n",
		      options.from, m->pair, options.from_domain, id.s, options.to, m->pair,
		      options.to_domain);
	strbuf_printf(out, "Call-ID: %s@%s\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n", id.s,
		      self.address);
	strbuf_printf(out, "Content-Length: %zu\r\n\r\n%s%s", id.len + strlen(self.filling), id.s,
		      self.filling);
	strbuf_free(&id);
}

static bool send_next(void)
{
	struct pair *p;
	struct numbered m;

	if (!self.connected || self.registering > 0 || self.waiting == options.pairs ||
	    self.out->out.len > 1000000)
		return false;
	while (self.pairs[self.next_pair].waiting)
		self.next_pair = (self.next_pair + 1) % options.pairs;
	p = &self.pairs[self.next_pair];
	p->waiting = true;
	p->since = end_now();
	p->number++;
	self.waiting++;
	m = (struct numbered){ options.flow, self.next_pair, p->number };
	end_note(NOTE_SENT, &m, self.out->id);
	write_request(&m);
	self.next_pair = (self.next_pair + 1) % options.pairs;
	return true;
}

static void on_turn(void)
{
	int64_t now = end_now();

	if (!self.out && options.connect.sin_port && now >= self.retry_at) {
		struct sockaddr_in from = options.listen;

		from.sin_port = 0;
		self.out = end_connect(&options.connect, &from, &ops, NULL);
	}
	if (self.waiting > 0)
		forget_waiting(0, now - PATIENCE_US);
}

static void on_status(struct strbuf *out)
{
	strbuf_printf(out, ", \"waiting\": %u, \"connected\": %s", self.waiting,
		      self.connected && self.registering == 0 ? "true" : "false");
}

/* --- the command line --- */

/* "u@corp.test": u goes before the pair's number. */
static void take_users(const char *value, char **name, const char **domain)
{
	const char *at = strchr(value, '@');

	if (!at)
		end_usage(usage, 2);
	free(*name);
	*name = xstrndup(value, (size_t)(at - value));
	*domain = at + 1;
}

static void take_option(int option, const char *value)
{
	switch (option) {
	case 'l':
		options.listen = end_address(value, 5060);
		self.address = value;
		break;
	case 'c':
		options.connect = end_address(value, 5060);
		break;
	case 'o':
		options.log = value;
		break;
	case 'f':
		options.flow = value[0];
		break;
	case 'u':
		take_users(value, &options.from, &options.from_domain);
		break;
	case 't':
		take_users(value, &options.to, &options.to_domain);
		break;
	case 'p':
		options.pairs = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'r':
		options.rate = strtod(value, NULL);
		break;
	case 'n':
		options.first = strtoul(value, NULL, 10);
		break;
	case 's':
		options.size = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'R':
		options.registers = true;
		break;
	case 'D':
		options.deaf = true;
		break;
	default:
		end_usage(usage, option == 'h' ? 0 : 2);
	}
}

static void read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "listen", 1, NULL, 'l' }, { "connect", 1, NULL, 'c' }, { "log", 1, NULL, 'o' },
		{ "flow", 1, NULL, 'f' },   { "from", 1, NULL, 'u' },    { "to", 1, NULL, 't' },
		{ "pairs", 1, NULL, 'p' },  { "rate", 1, NULL, 'r' },    { "first", 1, NULL, 'n' },
		{ "size", 1, NULL, 's' },   { "deaf", 0, NULL, 'D' },    { "register", 0, NULL, 'R' },
		{ "help", 0, NULL, 'h' },   { NULL, 0, NULL, 0 },
	};
	int option;

	take_users("u@corp.test", &options.from, &options.from_domain);
	take_users("p@partner.test", &options.to, &options.to_domain);
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option, optarg);
	if (!options.log || !options.listen.sin_port || optind < argc || options.pairs == 0 ||
	    options.size > 10000)
		end_usage(usage, 2);
}

int main(int argc, char **argv)
{
	struct end_setup setup = { .send = send_next, .turn = on_turn, .status = on_status };

	read_options(argc, argv);
	setup.log = options.log;
	setup.rate = options.rate;
	self.pairs = xcalloc(options.pairs, sizeof(*self.pairs));
	for (unsigned i = 0; i < options.pairs; i++)
		self.pairs[i].number = options.first - 1;
	self.filling = xcalloc(1, options.size + 2);
	memset(self.filling, '.', options.size);
	self.filling[0] = ' ';
	if (!options.deaf)
		end_listen(&options.listen, on_accepted);
	end_run(&setup);
	free(self.pairs);
	free(self.filling);
	free(options.from);
	free(options.to);
	return 0;
}
