/*
 * watchers.c - presence subscriptions by the hundred thousand: a pool, and the partner's server behind the same port.
 *
 * Pair N is the user uN@corp.test and the contact cN@partner.test. In some the contact watches the user: the pool
 * approves and tells. In the others an endpoint of the user watches the contact, who approves and tells. A
 * connection is of XMPP when its first byte is a "<". Rounds go in a closed loop: the next pair when one of those
 * under way has been told.
 *
 * It checks that what comes is what was said, and the order of NOTIFYs in a dialog; no more. A peer that it does not
 * understand is a failed run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"
#include "bench/end_xml.h"
#include "bench/sipwire.h"
#include "bench/watchers_options.h"

enum { WINDOW = 200, SECONDS_MAX = 600 };

enum round { NO_ROUND, WATCH, SUBSCRIBE, NOTIFY, PRESENT };

/* A SIP dialog of one pair: the pool's, or an endpoint's. */
struct dialog {
	bool is_endpoint;
	char *call_id, *remote, *target; /* remote: as From or To has it, with its tag */
	unsigned long cseq, remote_cseq;
	unsigned round; /* the last one in which it was told */
};

struct xmpp {
	struct connection *connection;
	XML_Parser parser;
	unsigned depth;
	uint32_t handled;
	struct end_xml_element element; /* that is being read */
};

static struct {
	struct dialog *dialogs;
	unsigned long pairs, endpoints; /* in all; of users who watch */
	struct xmpp *stream;            /* our own */
	struct connection *sip;         /* likewise */
	bool trusted;
	bool is_busy, is_gone; /* what contacts, and users, tell now */
	unsigned long grant, branches, problems;
	/* The round. */
	enum round kind;
	unsigned round;
	unsigned long next, end, begun, done, size;
	int64_t since;
	/* Refreshes. */
	int64_t counted_since, counted_until; /* 0: they are not counted */
	unsigned long counts[SECONDS_MAX];
} self = { .grant = 3600 };

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void problem(const char *what, const char *text, size_t size)
{
	if (self.problems++ < 10)
		fprintf(stderr, "watchers: %s: %.*s\n", what, (int)size, text);
}

/* "sip:u12@corp.test", "c12@partner.test/x": the number; false: it is none of ours. */
static bool number_in(const char *text, size_t size, char letter, unsigned long *out)
{
	const char *at = memchr(text, '@', size), *digits = at;

	while (digits && digits > text && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (!digits || digits == at || digits == text || digits[-1] != letter)
		return false;
	*out = strtoul(digits, NULL, 10);
	return *out < self.pairs;
}

static void keep(char **where, const char *value, size_t size)
{
	free(*where);
	*where = xstrndup(value, size);
}

/* --- rounds --- */

static void told(unsigned long n)
{
	struct dialog *d = &self.dialogs[n];

	if (self.kind == NO_ROUND || d->round == self.round || n >= self.next)
		return;
	d->round = self.round;
	self.done++;
}

static const char *show(void)
{
	return self.is_busy ? "dnd" : "away";
}

/* --- XMPP --- */

static struct strbuf *to_bridge(void)
{
	end_touch(self.stream->connection);
	return &self.stream->connection->out;
}

static void write_presence(unsigned long n, const char *type)
{
	if (type)
		strbuf_printf(to_bridge(),
			      "<presence type='%s' from='c%lu@partner.test' to='u%lu@corp.test'/>", type, n,
			      n);
	else
		strbuf_printf(
			to_bridge(),
			"<presence from='c%lu@partner.test/x' to='u%lu@corp.test'><show>%s</show></presence>",
			n, n, show());
}

static void take_presence(const struct xmpp *x)
{
	unsigned long n;

	if (!x->element.to || !number_in(x->element.to, strlen(x->element.to), 'c', &n)) {
		problem("a contact", x->element.to ? x->element.to : "",
			x->element.to ? strlen(x->element.to) : 0);
		return;
	}
	if (!x->element.type || strcmp(x->element.type, "unavailable") == 0) {
		if ((x->element.type != NULL) == self.is_gone && (self.kind == WATCH || self.kind == NOTIFY))
			told(n);
		return;
	}
	if (strcmp(x->element.type, "subscribe") == 0)
		write_presence(n, "subscribed");
	if (strcmp(x->element.type, "subscribe") == 0 || strcmp(x->element.type, "probe") == 0)
		write_presence(n, NULL);
	else if (strcmp(x->element.type, "subscribed") != 0)
		problem("presence", x->element.type, strlen(x->element.type));
}

static void take_inbound(struct xmpp *x)
{
	struct strbuf *out = &x->connection->out;

	if (strcmp(x->element.name, "presence") == 0) {
		x->handled++;
		take_presence(x);
	} else if (strcmp(x->element.name, "result") == 0 || strcmp(x->element.name, "verify") == 0) {
		end_xml_vouch(out, &x->element, "partner.test", "corp.test");
	} else if (strcmp(x->element.name, "enable") == 0) {
		strbuf_puts(out, "<enabled xmlns='urn:xmpp:sm:3'/>");
	} else if (strcmp(x->element.name, "r") == 0) {
		strbuf_printf(out, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", x->handled);
	} else {
		problem("a stream of the bridge's", x->element.name, strlen(x->element.name));
	}
}

static void take_outbound(struct xmpp *x)
{
	if (strcmp(x->element.name, "features") == 0 && !self.trusted)
		strbuf_puts(&x->connection->out,
			    "<db:result from='partner.test' to='corp.test'>0123456789abcdef</db:result>");
	else if (strcmp(x->element.name, "result") == 0 && x->element.type &&
		 strcmp(x->element.type, "valid") == 0)
		self.trusted = true;
	else
		problem("our stream", x->element.name, strlen(x->element.name));
}

static void write_header(struct xmpp *x)
{
	struct connection *c = x->connection;
	char id[24];

	snprintf(id, sizeof(id), "w%u", c->id);
	end_xml_header(&c->out, "partner.test", "corp.test", c->inbound ? id : NULL);
	if (c->inbound)
		end_xml_features(&c->out);
}

static void on_start(void *ctx, const char *name, const char **attributes)
{
	struct xmpp *x = ctx;

	x->depth++;
	if (x->depth == 1 && x->connection->inbound)
		write_header(x);
	if (x->depth == 2)
		end_xml_take(&x->element, name, attributes);
}

static void on_end(void *ctx, const char *name)
{
	struct xmpp *x = ctx;

	(void)name;
	x->depth--;
	if (x->depth == 0)
		end_close(x->connection);
	else if (x->depth == 1 && x->connection->inbound)
		take_inbound(x);
	else if (x->depth == 1)
		take_outbound(x);
}

static struct xmpp *new_xmpp(struct connection *c)
{
	struct xmpp *x = xcalloc(1, sizeof(*x));

	x->connection = c;
	x->parser = end_xml_new();
	end_xml_begin(x->parser, x, on_start, on_end);
	return x;
}

/* --- SIP --- */

static struct strbuf *request_line(struct dialog *d, const char *method, unsigned long n, const char *rest)
{
	struct strbuf *out = &self.sip->out;

	end_touch(self.sip);
	strbuf_printf(out,
		      "%s %s SIP/2.0\r\nVia: SIP/2.0/TCP %s:5060;branch=z9hG4bK%lu\r\nMax-Forwards: 70\r\n"
		      "From: <sip:u%lu@corp.test>;tag=%c%lu\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %lu %s\r\n"
		      "Contact: <sip:%s:5060;transport=tcp>\r\nEvent: presence\r\n%s",
		      method, d->target, watchers_options.address, self.branches++, n,
		      d->is_endpoint ? 'e' : 'w', n, d->remote, d->call_id, ++d->cseq, method,
		      watchers_options.address, rest);
	return out;
}

static void write_notify(unsigned long n)
{
	static const char document[] =
		"<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' "
		"entity='sip:u%lu@corp.test'><tuple "
		"id='desk'><status><basic>%s</basic></status></tuple></presence>";
	char body[400], state[100];
	int size = snprintf(body, sizeof(body), document, n, self.is_gone ? "closed" : "open");

	snprintf(state, sizeof(state), "Subscription-State: active;expires=%lu\r\n", self.grant);
	strbuf_printf(request_line(&self.dialogs[n], "NOTIFY", n, state),
		      "Content-Type: application/pidf+xml\r\nContent-Length: %d\r\n\r\n%s", size, body);
}

static void write_subscribe(unsigned long n)
{
	struct dialog *d = &self.dialogs[n];

	d->call_id = xasprintf("e%lu@%s", n, watchers_options.address);
	d->remote = xasprintf("<sip:c%lu@partner.test>", n);
	d->target = xasprintf("sip:c%lu@partner.test", n);
	strbuf_puts(request_line(d, "SUBSCRIBE", n, "Expires: 3600\r\n"), "Content-Length: 0\r\n\r\n");
}

static struct slice uri_in(struct slice value)
{
	const char *open = memchr(value.s, '<', value.n), *close = memchr(value.s, '>', value.n);

	return open && close > open ? (struct slice){ open + 1, (size_t)(close - open - 1) } : value;
}

static struct slice from_of(const struct sipwire *m)
{
	for (size_t i = 0; i < m->copies; i++) {
		const struct slice line = m->copied[i];
		const char *value = memchr(line.s, ':', line.n);

		if (line.s[0] != 'F' && line.s[0] != 'f')
			continue;
		value += 1 + strspn(value + 1, " ");
		return (struct slice){ value, (size_t)(line.s + line.n - value) };
	}
	return (struct slice){ NULL, 0 };
}

static void count_refresh(void)
{
	int64_t now = end_now();

	if (now < self.counted_until)
		self.counts[(now - self.counted_since) / 1000000]++;
}

/* A contact watches a user, anew or still. */
static void take_subscribe(struct connection *c, const struct sipwire *m)
{
	const struct slice uri = uri_in(m->contact), from = from_of(m);
	char tag[32], rest[200];
	struct dialog *d;
	unsigned long n;

	if (!number_in(m->to.s, m->to.n, 'u', &n) || self.dialogs[n].is_endpoint) {
		problem("SUBSCRIBE", m->first.s, m->first.n);
		return;
	}
	d = &self.dialogs[n];
	if (memmem(m->to.s, m->to.n, "tag=", 4) != NULL)
		count_refresh();
	keep(&d->call_id, m->call_id.s, m->call_id.n);
	keep(&d->remote, from.s, from.n);
	keep(&d->target, uri.s, uri.n);
	snprintf(tag, sizeof(tag), "w%lu", n);
	snprintf(rest, sizeof(rest),
		 "Expires: %lu\r\nContact: <sip:%s:5060;transport=tcp>\r\nContent-Length: 0\r\n\r\n",
		 self.grant, watchers_options.address);
	sipwire_answer(&c->out, m, "200 OK", tag, rest);
	write_notify(n);
}

/* What an endpoint is shown of a contact. */
static void take_notify(struct connection *c, const struct sipwire *m)
{
	unsigned long n, cseq = strtoul(m->cseq.s, NULL, 10);
	struct dialog *d;

	sipwire_answer(&c->out, m, "200 OK", "e", "Content-Length: 0\r\n\r\n");
	if (!number_in(m->call_id.s, m->call_id.n, 'e', &n) || !self.dialogs[n].is_endpoint) {
		problem("NOTIFY", m->call_id.s, m->call_id.n);
		return;
	}
	d = &self.dialogs[n];
	if (cseq <= d->remote_cseq)
		problem("NOTIFY out of order", m->call_id.s, m->call_id.n);
	d->remote_cseq = cseq;
	if ((self.kind == SUBSCRIBE || self.kind == PRESENT) && m->body.n > 0 &&
	    memmem(m->body.s, m->body.n, show(), strlen(show())) != NULL)
		told(n);
}

static void take_response(const struct sipwire *m)
{
	const struct slice uri = uri_in(m->contact);
	unsigned long n;

	if (sipwire_status(m) < 200)
		return;
	if (sipwire_status(m) >= 300) {
		problem("an answer", m->first.s, m->first.n);
	} else if (memmem(m->cseq.s, m->cseq.n, "SUBSCRIBE", 9) != NULL &&
		   number_in(m->call_id.s, m->call_id.n, 'e', &n)) {
		keep(&self.dialogs[n].remote, m->to.s, m->to.n);
		keep(&self.dialogs[n].target, uri.s, uri.n);
	}
}

static size_t take_sip(struct connection *c, const char *data, size_t size)
{
	struct sipwire m;
	size_t used = 0;

	while (sipwire_read(data + used, size - used, &m)) {
		used += m.size;
		if (sipwire_status(&m) > 0)
			take_response(&m);
		else if (sipwire_is(&m, "SUBSCRIBE "))
			take_subscribe(c, &m);
		else if (sipwire_is(&m, "NOTIFY "))
			take_notify(c, &m);
		else
			sipwire_answer(&c->out, &m, "200 OK", "o", "Content-Length: 0\r\n\r\n");
	}
	return used;
}

/* --- connections --- */

static size_t on_input(struct connection *c, const char *data, size_t size)
{
	struct xmpp *x;

	if (c->inbound && !c->owner && data[0] == '<')
		c->owner = new_xmpp(c);
	x = c->owner;
	if (!x)
		return take_sip(c, data, size);
	if (XML_Parse(x->parser, data, (int)size, 0) == XML_STATUS_ERROR && !c->dead) {
		problem("XML", data, size < 200 ? size : 200);
		end_close(c);
	}
	return size;
}

static void on_ready(struct connection *c)
{
	if (!c->inbound && c->owner)
		write_header(c->owner);
}

static void on_ended(struct connection *c)
{
	struct xmpp *x = c->owner;

	if (c == self.sip || (x && x == self.stream))
		problem("our connection", "has ended", 9);
	if (!x)
		return;
	XML_ParserFree(x->parser);
	end_xml_forget(&x->element);
	free(x);
}

static const struct connection_ops ops = { .ready = on_ready, .input = on_input, .ended = on_ended };

static void on_accepted(struct connection *c)
{
	c->ops = &ops;
}

static void connect_both(void)
{
	struct sockaddr_in from = watchers_options.listen;

	from.sin_port = 0;
	self.sip = end_connect(&watchers_options.sip, &from, &ops, NULL);
	self.stream = new_xmpp(NULL);
	self.stream->connection = end_connect(&watchers_options.xmpp, &from, &ops, self.stream);
}

/* --- the turn --- */

static void begin_one(unsigned long n)
{
	switch (self.kind) {
	case WATCH:
		write_presence(n, "subscribe");
		break;
	case SUBSCRIBE:
		write_subscribe(n);
		break;
	case NOTIFY:
		write_notify(n);
		break;
	case PRESENT:
		write_presence(n, NULL);
		break;
	case NO_ROUND:
		break;
	}
}

static void go_on(void)
{
	const bool of_endpoints = self.kind == SUBSCRIBE || self.kind == PRESENT;

	for (; self.next < self.end && self.begun - self.done < WINDOW; self.next++) {
		if (self.dialogs[self.next].is_endpoint != of_endpoints)
			continue;
		begin_one(self.next);
		self.begun++;
	}
	if (self.done < self.size)
		return;
	self.kind = NO_ROUND;
	printf("{\"told\": %lu, \"problems\": %lu, \"seconds\": %.6f}\n", self.done, self.problems,
	       (double)(end_now() - self.since) / 1e6);
	fflush(stdout);
}

static void say_refreshes(void)
{
	unsigned long sum = 0, most = 0;

	for (size_t i = 0; i < SECONDS_MAX; i++) {
		sum += self.counts[i];
		most = self.counts[i] > most ? self.counts[i] : most;
	}
	self.counted_until = 0;
	printf("{\"refreshes\": %lu, \"busiest\": %lu, \"problems\": %lu}\n", sum, most, self.problems);
	fflush(stdout);
}

static void on_turn(void)
{
	if (!self.sip)
		connect_both();
	if (self.trusted && self.kind != NO_ROUND)
		go_on();
	if (self.counted_until != 0 && end_now() >= self.counted_until)
		say_refreshes();
}

/* Of all pairs from first on that are concerned: so many. */
static void begin_round(enum round kind, unsigned long first, unsigned long size)
{
	self.kind = kind;
	self.round++;
	self.next = first;
	self.end = self.pairs;
	self.size = size;
	self.begun = self.done = 0;
	self.since = end_now();
}

static void begin_more(enum round kind, unsigned long count)
{
	const unsigned long first = self.pairs;

	if (first + count > watchers_options.pairs)
		end_usage("watchers: more than --pairs\n", 2);
	self.pairs += count;
	if (kind == SUBSCRIBE)
		self.endpoints += count;
	for (unsigned long i = first; i < self.pairs; i++)
		self.dialogs[i].is_endpoint = kind == SUBSCRIBE;
	begin_round(kind, first, count);
}

static bool on_command(const char *line)
{
	unsigned long n;

	if (sscanf(line, "watch %lu", &n) == 1) {
		begin_more(WATCH, n);
	} else if (sscanf(line, "subscribe %lu", &n) == 1) {
		begin_more(SUBSCRIBE, n);
	} else if (strcmp(line, "notify") == 0) {
		self.is_gone = !self.is_gone;
		begin_round(NOTIFY, 0, self.pairs - self.endpoints);
	} else if (strcmp(line, "present") == 0) {
		self.is_busy = !self.is_busy;
		begin_round(PRESENT, 0, self.endpoints);
	} else if (sscanf(line, "grant %lu", &self.grant) == 1) {
		say("{}");
	} else if (sscanf(line, "refreshes %lu", &n) == 1 && n < SECONDS_MAX) {
		memset(self.counts, 0, sizeof(self.counts));
		self.counted_since = end_now();
		self.counted_until = self.counted_since + (int64_t)n * 1000000;
	} else {
		return false;
	}
	return true;
}

static void on_status(struct strbuf *out)
{
	strbuf_printf(out, ", \"connected\": %s, \"problems\": %lu", self.trusted ? "true" : "false",
		      self.problems);
}

int main(int argc, char **argv)
{
	struct end_setup setup = {
		.turn = on_turn, .status = on_status, .command = on_command, .is_sparse = true
	};

	watchers_read_options(argc, argv);
	self.dialogs = xcalloc(watchers_options.pairs, sizeof(*self.dialogs));
	end_listen(&watchers_options.listen, on_accepted);
	end_run(&setup);
	for (unsigned long i = 0; i < watchers_options.pairs; i++) {
		free(self.dialogs[i].call_id);
		free(self.dialogs[i].remote);
		free(self.dialogs[i].target);
	}
	free(self.dialogs);
	return 0;
}
