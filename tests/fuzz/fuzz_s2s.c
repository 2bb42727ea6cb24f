/*
 * The negotiation of streams as a whole: what peers say, when connections come
 * and go, what the DNS and the registry answer and how time passes is the
 * input's; the rest of the world is s2s_world.c.
 *
 * It must hold that no stanza is handed on unless its pair was proved on its
 * stream (s2s_oracle.c); that what we say is XML to another parser; that every
 * stanza and every check given to the edge is answered exactly once; that
 * nothing is left behind.
 *
 * The input is lines, so that a corpus can be read: an operation, its operand,
 * and for some more text. A line that begins with '+' shares its turn with the
 * next one.
 *
 *     aX      accept a connection; bit 0: internal edge, bit 1: direct TLS
 *     <N...   connection N says this, %N... says it byte by byte
 *     kN      connection N, ours, is connected
 *     tN+ tN- the TLS handshake of N ends well, or badly
 *     xN xNr  the peer closes N, or resets it
 *     bN      N reads nothing for now, or reads again; oN: it acknowledges all that it has
 *     dX...   the oldest DNS question: 0 to 3 addresses, or !; t: direct TLS; s: secure
 *     wX      time passes
 *     sXY     send a stanza on link X, of kind Y; rX: it is finished with one that came
 *     cX      certificates are - bad, + good, d good by DANE, or 0 none is ours
 *     pXYZ    partner.test: TLS, SASL, dialback; p! the registry fails
 *     ?X      check partner X; ! stop
 *
 * When the first line is C, branch.test is a component of another server.
 *
 * In what is said, $V is the id of the last question that we asked on that
 * connection, $K the last key that we showed, $P our last ping's id.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <string.h>

#include "bridge/core/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/s2s_world.h"
#include "tests/unit/xml_canon.h"

enum { SENT_MAX = 64, RECEIPTS_MAX = 64, SAID_MAX = 4096, OPERATIONS_MAX = 200 };

static struct {
	struct s2s *s2s;
	struct sock *speaking; /* whose input is being read */
	struct receipt receipts[RECEIPTS_MAX];
	size_t receipt_count;
	unsigned answers[SENT_MAX]; /* for each stanza and check */
	size_t sent_count;
	bool sending, stopping;
	unsigned stopped;
} run;

static const struct {
	enum edge edge;
	const char *local, *remote;
} links[] = {
	{ EDGE_EXTERNAL, "corp.test", "partner.test" },   { EDGE_INTERNAL, "partner.test", "corp.test" },
	{ EDGE_EXTERNAL, "corp.test", "tls.test" },       { EDGE_EXTERNAL, "branch.test", "strict.test" },
	{ EDGE_EXTERNAL, "corp.test", "blocked.test" },   { EDGE_EXTERNAL, "corp.test", "nowhere.test" },
	{ EDGE_EXTERNAL, "branch.test", "partner.test" },
};

static unsigned number(const char *text, unsigned count)
{
	return (unsigned)(unsigned char)(text[0] - '0') % count;
}

static void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	unsigned *answers = ctx;

	CHECK(!run.sending);
	CHECK(stanza->refs > 0);
	CHECK(outcome->confirmed || (outcome->condition < CONDITIONS && outcome->text != NULL));
	CHECK(++*answers == 1);
}

static void send_stanza(enum edge edge, const char *local, const char *remote, struct stanza *stanza)
{
	if (run.sent_count == SENT_MAX)
		return;
	run.sending = true;
	s2s_send(run.s2s, edge, local, remote, stanza, 0, on_delivered, &run.answers[run.sent_count++]);
	run.sending = false;
}

static void check_stanza(const struct stanza *stanza)
{
	char *exact = xmalloc(stanza->size), *alone;

	memcpy(exact, stanza->bytes, stanza->size);
	alone = xml_canon_alone(exact, stanza->size);
	CHECK(alone != NULL);
	free(alone);
	free(exact);
}

/* One that wants an answer gets it at once; the receipts of others wait for the input. */
static void on_stanza(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
		      const struct jid *to, struct receipt receipt)
{
	struct stanza *error;

	(void)ctx;
	CHECK(run.speaking != NULL && !run.speaking->gone);
	CHECK(oracle_has_proved(run.speaking, to->domain, from->domain));
	check_stanza(stanza);
	if (stanza->id != NULL && strcmp(stanza->id, "e") == 0) {
		error = stanza_error(stanza, COND_ITEM_NOT_FOUND, "<'\"&>", NULL);
		if (error != NULL)
			send_stanza(edge, to->domain, from->domain, error);
		stanza_unref(error);
		s2s_receipt_done(run.s2s, receipt);
	} else if (run.receipt_count < RECEIPTS_MAX) {
		run.receipts[run.receipt_count++] = receipt;
	}
}

/* --- operations --- */

static void do_accept(const char *text)
{
	unsigned x = number(text, 4);

	stream_accept(run.s2s, x & 1 ? EDGE_INTERNAL : EDGE_EXTERNAL, (x & 2) != 0, -1);
}

/* What stands in the output behind the last `before`, up to one of `ends`. */
static bool find_last(const struct sock *s, const char *before, const char *ends, struct strbuf *out)
{
	const char *found = NULL, *p = s->out.s, *end = p != NULL ? p + s->out.len : NULL;

	while (p != NULL && p < end && (p = memmem(p, (size_t)(end - p), before, strlen(before))) != NULL)
		found = p += strlen(before);
	if (found != NULL)
		strbuf_add(out, found, strcspn(found, ends));
	return found != NULL;
}

static void substitute(const struct sock *s, char what, struct strbuf *out)
{
	const struct sock *any;

	if (what == 'V') {
		find_last(s, " id='", "'", out);
		return;
	}
	for (any = world.socks; any != NULL; any = any->next)
		if (what == 'P' ? find_last(any, "id='poolbridge-ping-", "'", out)
				: find_last(any, "<db:result from='corp.test' to='partner.test'>", "<", out))
			return;
}

static void say(struct sock *s, const char *text, size_t n, bool bytewise)
{
	struct strbuf b = { 0 };

	for (size_t i = 0; i < n && b.len < SAID_MAX; i++) {
		if (text[i] == '$' && i + 1 < n && strchr("VKP", text[i + 1]) != NULL &&
		    text[i + 1] != '\0') {
			if (text[++i] == 'P')
				strbuf_puts(&b, "poolbridge-ping-");
			substitute(s, text[i], &b);
		} else {
			strbuf_putc(&b, text[i]);
		}
	}
	run.speaking = s;
	for (size_t i = 0; bytewise && i < b.len && !s->gone; i++)
		world_input(s, b.s + i, 1);
	if (!bytewise)
		world_input(s, b.s, b.len);
	run.speaking = NULL;
	strbuf_free(&b);
}

static void do_dns(const char *text, size_t n)
{
	const char *rest = text + 1;

	world_answer_dns(text[0] == '!' ? SIZE_MAX : number(text, 4), memchr(rest, 't', n - 1) != NULL,
			 memchr(rest, 's', n - 1) != NULL);
}

static void do_wait(const char *text)
{
	static const int64_t times[] = { 1, 20, 250, 1000, 10000, 60000, 300000, 600000 };

	world.now += times[number(text, ARRAY_SIZE(times))];
}

static void do_send(const char *text, size_t n)
{
	const unsigned at = number(text, ARRAY_SIZE(links));
	static const char *const types[] = { NULL, "error", "get", "result" };
	const unsigned kind = n > 1 ? number(text + 1, 8) : 0;
	struct strbuf inner = { 0 };
	struct stanza *stanza;

	strbuf_puts(&inner, "<body>");
	for (unsigned i = 0; kind >= 4 && i < 100; i++)
		strbuf_puts(&inner, "0123456789");
	strbuf_puts(&inner, "</body>");
	stanza = stanza_make(kind % 4 > 1 ? STANZA_IQ : STANZA_MESSAGE, links[at].local, links[at].remote,
			     "i", types[kind % 4], NULL, &inner);
	strbuf_free(&inner);
	send_stanza(links[at].edge, links[at].local, links[at].remote, stanza);
	stanza_unref(stanza);
}

static void do_receipt(const char *text)
{
	size_t at;

	if (run.receipt_count == 0)
		return;
	at = number(text, (unsigned)run.receipt_count);
	s2s_receipt_done(run.s2s, run.receipts[at]);
	run.receipts[at] = run.receipts[--run.receipt_count];
}

static void do_certificate(const char *text)
{
	world.no_certificate = text[0] == '0';
	world.trust = text[0] == '+' ? CERTIFICATE_TRUSTED
				     : (text[0] == 'd' ? CERTIFICATE_DANE : CERTIFICATE_UNTRUSTED);
}

static void do_partner(const char *text, size_t n)
{
	world.registry_fails = text[0] == '!';
	if (world.registry_fails || n < 3)
		return;
	world.partner.tls = (enum requirement)number(text, 3);
	world.partner.sasl = (enum requirement)number(text + 1, 3);
	world.partner.dialback = number(text + 2, 2);
	world.partner.gateway = n > 3 && text[3] == 'b' ? GATEWAY_BLOCKED : GATEWAY_BY_USER;
}

static void on_checked(void *ctx, json_t *report)
{
	unsigned *answers = ctx;

	CHECK(!run.sending);
	CHECK(json_is_array(json_object_get(report, "steps")));
	json_decref(report);
	CHECK(++*answers == 1);
}

static void do_check(const char *text)
{
	const unsigned at = number(text, ARRAY_SIZE(links));

	if (run.sent_count == SENT_MAX || links[at].edge != EDGE_EXTERNAL)
		return;
	run.sending = true;
	s2s_check(run.s2s, links[at].local, links[at].remote, on_checked, &run.answers[run.sent_count++]);
	run.sending = false;
}

static void on_stopped(void *ctx)
{
	(void)ctx;
	CHECK(++run.stopped == 1);
}

static void do_stop(void)
{
	if (!run.stopping)
		s2s_stop(run.s2s, on_stopped, NULL);
	run.stopping = true;
}

static void do_connection(char operation, struct sock *s, const char *text, size_t n)
{
	if (operation == '<' || operation == '%')
		say(s, text, n, operation == '%');
	else if (operation == 'k')
		world_connected(s);
	else if (operation == 't')
		world_handshake(s, n == 0 || text[0] != '-');
	else if (operation == 'x')
		world_close(s, n > 0 && text[0] == 'r');
	else if (operation == 'b' && !(s->stalled = !s->stalled))
		s->taken = s->out.len;
	else if (operation == 'o')
		s->acked = s->taken;
}

static void do_line(const char *line, size_t n)
{
	const char operation = line[0], *operand = line + 1;
	struct sock *s;

	if (strchr("<%ktxbo", operation) != NULL) {
		s = world_sock(number(operand, 64));
		if (s != NULL)
			do_connection(operation, s, operand + 1, n - 2);
	} else if (operation == 'a') {
		do_accept(operand);
	} else if (operation == 'd') {
		do_dns(operand, n - 1);
	} else if (operation == 'w') {
		do_wait(operand);
	} else if (operation == 's') {
		do_send(operand, n - 1);
	} else if (operation == 'r') {
		do_receipt(operand);
	} else if (operation == 'c') {
		do_certificate(operand);
	} else if (operation == 'p') {
		do_partner(operand, n - 1);
	} else if (operation == '?') {
		do_check(operand);
	}
}

static void look(void)
{
	json_t *shown = s2s_links(run.s2s);

	CHECK(shown != NULL);
	json_decref(shown);
}

static void run_lines(const char *text, size_t n)
{
	const char *end = text + n;

	for (int i = 0; i < OPERATIONS_MAX && text < end; i++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line = text, *stop = newline != NULL ? newline : end;
		const bool more = line < stop && *line == '+';

		line += more;
		if (stop - line == 1 && *line == '!')
			do_stop();
		else if (stop - line >= 2 && line[0] != '\0')
			do_line(line, (size_t)(stop - line));
		if (!more)
			world_turn();
		text = stop + 1;
	}
	look();
}

static const struct config without_component = {
	.component = { .server = "", .domain = "", .secret = "" },
	.external = { .bind = "" },
	.internal = { .gateway = "gateway.corp.test:5269", .bind = "", .tls = REQUIRE_OPTIONAL },
	.dialback = { .secret = "secret" },
	.s2s = { .stanza_bytes = 2000,
		 .depth = 20,
		 .elements = 50,
		 .attributes = 10,
		 .streams = 8,
		 .streams_per_partner = 2,
		 .streams_per_address = 4,
		 .streams_unauthenticated = 3,
		 .stanza_rate = 10,
		 .stanza_burst = 5,
		 .pairs_per_stream = 3,
		 .window_bytes = 8000,
		 .window_total = 64000,
		 .connect_ms = 5000,
		 .establish_ms = 60000,
		 .inactivity_ms = 600000,
		 .keepalive_ms = 300000,
		 .queue_stanzas = 8,
		 .queue_bytes = 4000,
		 .queue_ms = 30000,
		 .confirm_ms = 10000,
		 .backoff_min_ms = 1000,
		 .backoff_max_ms = 60000 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = without_component;
	const struct s2s_setup setup = { .config = &config, .on_stanza = on_stanza };
	char *text;
	const char *why;

	if (size == 0)
		return 0;
	text = xmalloc(size + 1); /* number() may look at the byte behind a line */
	memcpy(text, data, size);
	text[size] = '\n';
	log_set_level(LOG_ERROR);
	memset(&run, 0, sizeof(run));
	world_begin();
	if (text[0] == 'C' && text[1] == '\n') {
		config.component.server = "xmpp.branch.test:5347";
		config.component.domain = "branch.test";
		config.component.secret = "secret";
	}
	CHECK(s2s_create(&setup, &run.s2s, &why) == OK);
	run_lines(text, size);
	s2s_destroy(run.s2s);
	for (size_t i = 0; i < run.sent_count; i++)
		CHECK(run.answers[i] == 1);
	world_retire();
	world_end();
	free(text);
	return 0;
}
