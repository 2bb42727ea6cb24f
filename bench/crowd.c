/*
 * crowd.c - thousands of streams that play: partners' servers, and the legacy gateway behind the same address.
 *
 * Streams stay idle where they are told to stop: connected, with a header, secured, trusted. Over trusted ones
 * messages go in a closed loop: so many under way, the next one when one has come out again at a stream that
 * the bridge has opened here. Whoever opens one is taken at his word, is offered XEP-0198, and hears that
 * every dialback key is valid.
 *
 * It is no server: no checking of anything but the order of its own messages. A peer that it does not understand
 * is a failed run.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bench/crowd_options.h"
#include "bench/end.h"
#include "bench/end_xml.h"

enum { NAME_SIZE = 64, OPENING_MAX = 64, TEXT_SIZE = 200, OUT_MAX = 1000000, PROVED_AT_ONCE = 256 };

struct stream {
	struct connection *connection;
	XML_Parser parser;
	char domain[NAME_SIZE], remote[NAME_SIZE];
	unsigned depth;
	bool rests, restarting;
	uint32_t handled, proved;       /* of what came in */
	bool asked;                     /* for h, and not answered yet */
	struct end_xml_element element; /* that is being read */
	size_t index;                   /* of our own, in streams */
	struct stream *prev, *next;     /* of those that were opened to us */
};

static struct {
	SSL_CTX *tls;
	char *filling;           /* an element that never ends */
	struct stream **streams; /* our own; NULL: it has ended */
	struct stream *accepted;
	size_t count, wanted, resting, ended;
	int64_t since;
	bool opening;
	uint32_t unproved;
} self;

/* Numbers of messages, of each carrier or user: the next one to be sent, and the one that is to come. */
struct series {
	unsigned long *next, *expected, count;
};

/* One round of messages. */
static struct {
	bool on;
	unsigned long count, window, users, carriers;
	unsigned long sent, got, errors, doubled, disorder;
	struct series series; /* of carriers; they go on, so no message comes twice */
	unsigned long user;
	int64_t since;
} sending;

/* What is thrown. */
static struct {
	unsigned long left, among, user;
	struct series series; /* of users */
	unsigned long got, errors, doubled, disorder, awaited;
} thrown;

/* --- writing --- */

static void write_header(struct stream *s)
{
	char id[48];

	snprintf(id, sizeof(id), "c%u-%lld", s->connection->id, (long long)end_now());
	end_xml_header(&s->connection->out, s->domain, s->remote, s->connection->inbound ? id : NULL);
}

static void write_message(struct stream *s, char kind, unsigned long user, unsigned long series,
			  unsigned long number)
{
	static const char text[] = "so may the outward shows be least themselves ";

	strbuf_printf(&s->connection->out,
		      "<message from='juliet@%s' to='%c%lu@%s' type='chat' "
		      "id='%c%lu-%lu'><body>%s%s%s</body></message>",
		      s->domain, kind, user, s->remote, kind, series, number, text, text, text);
	end_touch(s->connection);
}

static void prove(struct stream *s, uint32_t h)
{
	s->proved = h;
	s->asked = false;
	strbuf_printf(&s->connection->out, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", h);
}

static void prove_if_asked(struct stream *s)
{
	if (!s->asked)
		return;
	if (self.unproved == 0)
		prove(s, s->handled);
	else if (s->handled - s->proved >= self.unproved + PROVED_AT_ONCE)
		prove(s, s->handled - self.unproved);
}

/* --- opening --- */

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void say_opened(void)
{
	printf("{\"streams\": %zu, \"ended\": %zu, \"seconds\": %.3f}\n", self.resting, self.ended,
	       (double)(end_now() - self.since) / 1e6);
	fflush(stdout);
	self.opening = false;
}

static void rest(struct stream *s)
{
	s->rests = true;
	self.resting++;
}

static void take_features(struct stream *s)
{
	struct strbuf *out = &s->connection->out;

	if (crowd_options.said == SAID_HEADER) {
		rest(s);
	} else if (crowd_options.said == SAID_ELEMENT) {
		strbuf_puts(out, self.filling);
		rest(s);
	} else if (crowd_options.said == SAID_SECURE && s->connection->ssl) {
		rest(s);
	} else if (crowd_options.said == SAID_SECURE) {
		strbuf_puts(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	} else {
		strbuf_printf(out, "<db:result from='%s' to='%s'>0123456789abcdef</db:result>", s->domain,
			      s->remote);
	}
}

/* --- what comes in --- */

/* In its series: the one that is expected, one that was there, or one before which another is missing. */
static void check_order(unsigned long *expected, unsigned long number, unsigned long *doubled,
			unsigned long *disorder)
{
	*doubled += number < *expected;
	*disorder += number > *expected;
	if (number >= *expected)
		*expected = number + 1;
}

static void take_message(const struct stream *s)
{
	bool is_error = s->element.type && strcmp(s->element.type, "error") == 0;
	unsigned long series, number;
	char kind;

	if (!s->element.id || sscanf(s->element.id, "%c%lu-%lu", &kind, &series, &number) != 3 ||
	    series >= (kind == 'u' ? sending.carriers : thrown.series.count))
		end_usage("crowd: a message of somebody else\n", 1);
	if (is_error) {
		(*(kind == 'u' ? &sending.errors : &thrown.errors))++;
	} else if (kind == 'u') {
		sending.got++;
		check_order(&sending.series.expected[series], number, &sending.doubled, &sending.disorder);
	} else {
		thrown.got++;
		check_order(&thrown.series.expected[series], number, &thrown.doubled, &thrown.disorder);
	}
}

static void take_dialback(struct stream *s)
{
	if (!s->connection->inbound) {
		if (s->element.type && strcmp(s->element.type, "valid") == 0 && !s->rests)
			rest(s);
		return;
	}
	end_xml_vouch(&s->connection->out, &s->element, s->domain, s->remote);
}

static void take_element(struct stream *s)
{
	if (strcmp(s->element.name, "message") == 0) {
		s->handled++;
		take_message(s);
		prove_if_asked(s);
	} else if (strcmp(s->element.name, "r") == 0) {
		s->asked = true;
		prove_if_asked(s);
	} else if (strcmp(s->element.name, "enable") == 0) {
		strbuf_puts(&s->connection->out, "<enabled xmlns='urn:xmpp:sm:3'/>");
	} else if (strcmp(s->element.name, "result") == 0 || strcmp(s->element.name, "verify") == 0) {
		take_dialback(s);
	} else if (strcmp(s->element.name, "features") == 0) {
		take_features(s);
	} else if (strcmp(s->element.name, "proceed") == 0) {
		s->restarting = true;
		XML_StopParser(s->parser, XML_FALSE);
	} else {
		fprintf(stderr, "crowd: <%s> on a stream with %s\n", s->element.name, s->remote);
		end_close(s->connection);
	}
}

/* Whoever he is, and whomever of us he wants. */
static void take_header(struct stream *s, const char **attributes)
{
	const char *from = end_xml_attribute(attributes, "from"), *to = end_xml_attribute(attributes, "to");

	if (!str_copy(s->remote, sizeof(s->remote), from ? from : crowd_options.to) ||
	    !str_copy(s->domain, sizeof(s->domain), to ? to : ""))
		end_usage("crowd: such a long domain\n", 1);
	write_header(s);
	end_xml_features(&s->connection->out);
}

static void on_start(void *ctx, const char *name, const char **attributes)
{
	struct stream *s = ctx;

	s->depth++;
	if (s->depth == 1 && s->connection->inbound)
		take_header(s, attributes);
	if (s->depth == 2)
		end_xml_take(&s->element, name, attributes);
}

static void on_end(void *ctx, const char *name)
{
	struct stream *s = ctx;

	(void)name;
	s->depth--;
	if (s->depth == 0)
		end_close(s->connection);
	else if (s->depth == 1)
		take_element(s);
}

/* --- connections --- */

static void begin(struct stream *s)
{
	end_xml_begin(s->parser, s, on_start, on_end);
	s->depth = 0;
	s->restarting = false;
	if (!s->connection->inbound)
		write_header(s);
}

static void on_ready(struct connection *c)
{
	if (crowd_options.said == SAID_NOTHING)
		rest(c->owner);
	else
		begin(c->owner);
}

static size_t on_input(struct connection *c, const char *data, size_t size)
{
	struct stream *s = c->owner;

	if (XML_Parse(s->parser, data, (int)size, 0) == XML_STATUS_ERROR && !s->restarting && !c->dead) {
		fprintf(stderr, "crowd: %s\n", XML_ErrorString(XML_GetErrorCode(s->parser)));
		end_close(c);
	}
	if (s->restarting)
		end_start_tls(c, self.tls);
	return size;
}

static void on_ended(struct connection *c)
{
	struct stream *s = c->owner;

	if (c->inbound) {
		DL_DELETE(self.accepted, s);
	} else {
		self.streams[s->index] = NULL;
		self.ended++;
		self.resting -= s->rests;
	}
	XML_ParserFree(s->parser);
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
	DL_APPEND(self.accepted, s);
	begin(s);
}

/* "p#.test": the number takes the place of the #. */
static void name_domain(struct stream *s, size_t number)
{
	const char *mark = strchr(crowd_options.from, '#');
	int before = (int)strcspn(crowd_options.from, "#");

	if (mark)
		snprintf(s->domain, sizeof(s->domain), "%.*s%zu%s", before, crowd_options.from,
			 number % crowd_options.domains, mark + 1);
	else
		str_copy(s->domain, sizeof(s->domain), crowd_options.from);
	str_copy(s->remote, sizeof(s->remote), crowd_options.to);
}

static void open_one(void)
{
	struct sockaddr_in from = crowd_options.listen;
	struct stream *s = new_stream();

	from.sin_port = 0;
	name_domain(s, self.count);
	s->index = self.count++;
	self.streams[s->index] = s;
	s->connection = end_connect(&crowd_options.connect, &from, &ops, s);
}

/* --- the turn --- */

static void say_sent(void)
{
	printf("{\"sent\": %lu, \"got\": %lu, \"errors\": %lu, \"doubled\": %lu, \"disorder\": %lu, "
	       "\"seconds\": %.6f}\n",
	       sending.sent, sending.got, sending.errors, sending.doubled, sending.disorder,
	       (double)(end_now() - sending.since) / 1e6);
	fflush(stdout);
}

static void send_more(void)
{
	while (sending.sent < sending.count && sending.sent - sending.got - sending.errors < sending.window) {
		unsigned long carrier = sending.sent % sending.carriers;
		struct stream *s = self.streams[carrier];

		if (!s || !s->rests)
			end_usage("crowd: a stream that was to carry messages is not there\n", 1);
		if (s->connection->out.len > OUT_MAX)
			return;
		/* The one after is not the next one on a page; even numbers, see bench/registries.py. */
		sending.user = (sending.user + 7919) % sending.users;
		write_message(s, 'u', 2 * sending.user, carrier, sending.series.next[carrier]++);
		sending.sent++;
	}
}

static void throw_more(void)
{
	struct stream *s = self.count > 0 ? self.streams[0] : NULL;

	if (!s || !s->rests)
		end_usage("crowd: the stream that messages were to be thrown over is not there\n", 1);
	while (thrown.left > 0 && s->connection->out.len <= OUT_MAX) {
		write_message(s, 'h', thrown.user, thrown.user, thrown.series.next[thrown.user]++);
		thrown.user = (thrown.user + 1) % thrown.among;
		if (--thrown.left == 0)
			say("{}");
	}
}

static void check_awaited(void)
{
	if (thrown.awaited == 0 || thrown.got + thrown.errors < thrown.awaited)
		return;
	printf("{\"got\": %lu, \"errors\": %lu, \"doubled\": %lu, \"disorder\": %lu}\n", thrown.got,
	       thrown.errors, thrown.doubled, thrown.disorder);
	fflush(stdout);
	thrown.awaited = thrown.got = thrown.errors = thrown.doubled = thrown.disorder = 0;
}

static void on_turn(void)
{
	while (self.opening && self.count < self.wanted &&
	       self.count - self.resting - self.ended < OPENING_MAX)
		open_one();
	if (self.opening && self.resting + self.ended == self.wanted)
		say_opened();
	if (sending.on)
		send_more();
	if (sending.on && sending.got + sending.errors >= sending.count) {
		sending.on = false;
		say_sent();
	}
	if (thrown.left > 0)
		throw_more();
	check_awaited();
}

static void grow(struct series *s, unsigned long count)
{
	if (count <= s->count)
		return;
	s->next = xrealloc(s->next, count * sizeof(*s->next));
	s->expected = xrealloc(s->expected, count * sizeof(*s->expected));
	for (unsigned long i = s->count; i < count; i++)
		s->next[i] = s->expected[i] = 0;
	s->count = count;
}

static void free_series(struct series *s)
{
	free(s->next);
	free(s->expected);
}

static void begin_sending(unsigned long carriers)
{
	if (carriers > self.count)
		end_usage("crowd: more streams are to carry messages than are there\n", 1);
	grow(&sending.series, carriers);
	sending.carriers = carriers;
	sending.sent = sending.got = sending.errors = sending.doubled = sending.disorder = 0;
	sending.since = end_now();
	sending.on = true;
}

static void begin_throwing(unsigned long count, unsigned long users)
{
	grow(&thrown.series, users);
	thrown.left = count;
	thrown.among = users;
	thrown.user = count < users ? users - count : 0;
}

static void prove_some(uint32_t unproved)
{
	struct stream *s;

	self.unproved = unproved;
	DL_FOREACH (self.accepted, s) {
		prove_if_asked(s);
		end_touch(s->connection);
	}
	say("{}");
}

static bool on_command(const char *line)
{
	unsigned long carriers, count, users;
	unsigned unproved;
	size_t more;

	if (sscanf(line, "open %zu", &more) == 1) {
		self.wanted += more;
		self.streams = xrealloc(self.streams, self.wanted * sizeof(struct stream *));
		self.since = end_now();
		self.opening = true;
		return true;
	}
	if (sscanf(line, "throw %lu %lu", &count, &users) == 2 && count > 0 && users > 0) {
		begin_throwing(count, users);
		return true;
	}
	if (sscanf(line, "await %lu", &thrown.awaited) == 1)
		return true;
	if (sscanf(line, "unproved %u", &unproved) == 1) {
		prove_some(unproved);
		return true;
	}
	if (sscanf(line, "send %lu %lu %lu %lu", &sending.count, &sending.window, &sending.users,
		   &carriers) != 4 ||
	    sending.users == 0 || carriers == 0)
		return false;
	begin_sending(carriers);
	return true;
}

static void on_status(struct strbuf *out)
{
	strbuf_printf(out, ", \"streams\": %zu, \"ended\": %zu", self.resting, self.ended);
}

/* Just below what is allowed before authentication. */
static char *endless_element(void)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, "<x>");
	for (int i = 0; i < 90; i++)
		strbuf_puts(&b, "<y a='1'/>");
	for (int i = 0; i < 8000; i++)
		strbuf_puts(&b, "t");
	return b.s;
}

int main(int argc, char **argv)
{
	struct end_setup setup = {
		.turn = on_turn, .status = on_status, .command = on_command, .is_sparse = true
	};

	crowd_read_options(argc, argv);
	self.tls = SSL_CTX_new(TLS_client_method());
	if (!self.tls)
		end_fail("TLS");
	SSL_CTX_set_mode(self.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS);
	self.filling = endless_element();
	end_listen(&crowd_options.listen, on_accepted);
	end_run(&setup);
	SSL_CTX_free(self.tls);
	free(self.filling);
	free(self.streams);
	free_series(&sending.series);
	free_series(&thrown.series);
	return 0;
}
