/*
 * test_endpoint.c - the SIP endpoint against bare sockets: what it sends, to
 * the byte, what it takes, and whom it refuses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/sip/dialog.h"
#include "endpointtest.h"
#include "sippeer.h"

#define OURS     "127.32.1.1"
#define POOL     "127.32.1.2"
#define STRANGER "127.32.1.3"
#define EDGE     "127.32.1.4" /* a peer that is no pool */

#define UDP_HOP "sip:" POOL ":5060;transport=udp"
#define TCP_HOP "sip:" POOL ":5060;transport=tcp"

/* What the callbacks saw. */
struct seen {
	unsigned requests, responses;
	struct sip_transaction *transaction; /* the newest that is not answered */
	bool answer_at_once;
	char method[32], source[64], from[SIP_URI_SIZE], to[SIP_URI_SIZE], display[256], call_id[256];
	char subject[256], language[64], type[128], charset[64], body[4096];
	size_t body_size;
	unsigned status;
	char phrase[256], contact[256];
};

/* What on_burst has said, and whether any request came outside of it. */
static struct {
	unsigned begun, outside;
	bool within;
} bursts;

static void on_burst(void *ctx, bool begins)
{
	(void)ctx;
	assert_int_not_equal(bursts.within, begins);
	bursts.within = begins;
	bursts.begun += begins;
}

struct fixture {
	struct nettest net;
	struct config config;
	struct sip_endpoint *endpoint;
	struct seen seen;
};

static void on_request(void *ctx, const struct sip_request *r)
{
	struct seen *s = ctx;

	s->requests++;
	bursts.outside += !bursts.within;
	snprintf(s->method, sizeof(s->method), "%s", r->method);
	snprintf(s->source, sizeof(s->source), "%s", r->source);
	assert_int_equal(sip_address_format(&r->from, s->from), OK);
	assert_int_equal(sip_address_format(&r->to, s->to), OK);
	snprintf(s->display, sizeof(s->display), "%s", r->from_display);
	snprintf(s->call_id, sizeof(s->call_id), "%s", r->call_id);
	snprintf(s->subject, sizeof(s->subject), "%s", r->subject != NULL ? r->subject : "(none)");
	snprintf(s->language, sizeof(s->language), "%s",
		 r->content_language != NULL ? r->content_language : "(none)");
	snprintf(s->type, sizeof(s->type), "%s", r->content_type);
	snprintf(s->charset, sizeof(s->charset), "%s", r->charset);
	assert_true(r->body_size < sizeof(s->body));
	memcpy(s->body, r->body, r->body_size);
	s->body[r->body_size] = '\0';
	s->body_size = r->body_size;
	if (s->answer_at_once)
		sip_answer(r->transaction, 200, NULL, NULL);
	else
		s->transaction = r->transaction;
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct seen *s = ctx;

	s->responses++;
	s->status = r->status;
	snprintf(s->phrase, sizeof(s->phrase), "%s", r->phrase);
	snprintf(s->contact, sizeof(s->contact), "%s", r->contact_uri != NULL ? r->contact_uri : "(none)");
}

static void begin_to(struct fixture *f, const char *new_pool, unsigned t1_ms, bool with_tcp)
{
	const struct sip_setup setup = {
		.on_request = on_request, .on_burst = on_burst, .ctx = &f->seen, .t1_ms = t1_ms
	};

	memset(f, 0, sizeof(*f));
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen.item[f->config.sip.listen.count++] = "udp:" OURS ":5060";
	if (with_tcp)
		f->config.sip.listen.item[f->config.sip.listen.count++] = "tcp:" OURS ":5060";
	f->config.sip.allow.item[f->config.sip.allow.count++] = POOL;
	f->config.sip.allow.item[f->config.sip.allow.count++] = EDGE;
	f->config.sip.new_pool = (struct config_list){ { new_pool }, 1 };
	f->config.sip.legacy_pool = (struct config_list){ { TCP_HOP }, 1 };
	f->config.sip.queue_total = 4;
	f->endpoint = endpointtest_open(&f->net, &f->config, setup);
}

static void begin(struct fixture *f, unsigned t1_ms, bool with_tcp)
{
	begin_to(f, UDP_HOP, t1_ms, with_tcp);
}

static void end(struct fixture *f)
{
	sip_endpoint_destroy(f->endpoint);
	nettest_end(&f->net);
}

static bool has_request(void *ctx)
{
	return ((struct fixture *)ctx)->seen.requests > 0;
}

static bool has_response(void *ctx)
{
	return ((struct fixture *)ctx)->seen.responses > 0;
}

static void wait_response(struct fixture *f)
{
	f->seen.responses = 0;
	nettest_run(&f->net, has_response, f);
}

static int64_t counter(const struct fixture *f, const char *name)
{
	json_t *status = sip_endpoint_status(f->endpoint);
	const json_t *value = json_object_get(status, name);
	int64_t n = json_integer_value(value);

	assert_true(json_is_integer(value));
	json_decref(status);
	return n;
}

/* Over UDP to the new pool, over TCP to the legacy one. */
static const struct sip_send plain = {
	.method = "MESSAGE",
	.pool = POOL_NEW,
	.to_uri = "sip:tybalt@corp.test",
	.from_uri = "sip:juliet@partner.test;gr=balcony",
	.content_type = "text/plain;charset=UTF-8",
	.body = "Good pilgrim",
	.body_size = 12,
};

/* --- sending --- */

/* Every byte of the request, but for what is random. */
static void expect_whole_message(const char *message, const char *transport)
{
	char expected[2048];
	const char *via = sip_field(message, "Via"), *branch = strstr(via, "branch=");
	const char *from = sip_field(message, "From"), *tag = strstr(from, "tag=");
	const char *call_id = sip_field(message, "Call-ID"), *cseq = sip_field(message, "CSeq");

	assert_non_null(branch);
	assert_int_equal(strlen(branch), strlen("branch=z9hG4bK") + 32);
	assert_int_equal(strlen(tag), strlen("tag=") + 32);
	snprintf(expected, sizeof(expected),
		 "MESSAGE sip:tybalt@corp.test SIP/2.0\r\n"
		 "Via: SIP/2.0/%s " OURS "%s;%s\r\n"
		 "Max-Forwards: 70\r\n"
		 "From: \"Juliet \\\"J.\\\" Capulet, \xC3\xA9\" <sip:juliet@partner.test;gr=balcony>;%s\r\n"
		 "To: <sip:tybalt@corp.test>\r\n"
		 "Call-ID: %s\r\n"
		 "CSeq: %s\r\n"
		 "Subject: Gr\xC3\xBC\xC3\x9F dich; <x>, \"y\"\r\n"
		 "Content-Type: text/plain;charset=UTF-8\r\n"
		 "Content-Language: en-GB\r\n"
		 "Content-Length: 18\r\n"
		 "\r\n"
		 "Gr\xC3\xBC\xC3\x9F dich\nTschau",
		 transport, strcmp(transport, "UDP") == 0 ? ";rport" : "", branch, tag, call_id, cseq);
	assert_string_equal(message, expected);
}

static struct sip_send full_message(enum pool pool)
{
	static const char *const headers[] = { "Subject: Gr\xC3\xBC\xC3\x9F dich; <x>, \"y\"",
					       "Content-Language: en-GB" };
	struct sip_send m = plain;

	m.pool = pool;
	m.from_display = "\"Juliet \\\"J.\\\" Capulet, \xC3\xA9\"";
	m.headers = headers;
	m.header_count = ARRAY_SIZE(headers);
	m.body = "Gr\xC3\xBC\xC3\x9F dich\nTschau";
	m.body_size = strlen(m.body);
	return m;
}

static void test_send(void **state)
{
	static const char *const hops[] = { UDP_HOP, "sip:" POOL ":5060", TCP_HOP };
	struct fixture f;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(hops); i++) {
		struct sip_send m = full_message(POOL_NEW);
		bool tcp = i == 2;
		struct sippeer pool;

		begin_to(&f, hops[i], 0, true);
		if (tcp)
			sippeer_listen(&pool, &f.net, POOL);
		else
			sippeer_udp(&pool, &f.net, POOL);
		sip_send(f.endpoint, &m, on_response, &f.seen);
		assert_int_equal(f.seen.responses, 0);
		expect_whole_message(sippeer_receive(&pool), tcp ? "TCP" : "UDP");
		sippeer_answer(&pool, "200 OK", "");
		wait_response(&f);
		assert_int_equal(f.seen.status, 200);
		assert_string_equal(f.seen.phrase, "OK");
		end(&f);
		sippeer_close(&pool);
	}
}

static void test_call_id_and_cseq(void **state)
{
	struct sip_send m = plain;
	struct sippeer pool;
	struct fixture f;
	char first[64];
	unsigned long cseq = 0;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	m.call_id = "thread-1@x";
	for (int i = 0; i < 3; i++) {
		const char *message;

		sip_send(f.endpoint, &m, on_response, &f.seen);
		message = sippeer_receive(&pool);
		assert_string_equal(sip_field(message, "Call-ID"), "thread-1@x");
		assert_true(strtoul(sip_field(message, "CSeq"), NULL, 10) > cseq);
		cseq = strtoul(sip_field(message, "CSeq"), NULL, 10);
		assert_non_null(strstr(sip_field(message, "CSeq"), " MESSAGE"));
		sippeer_answer(&pool, "202 Accepted", "");
		wait_response(&f);
		assert_int_equal(f.seen.status, 202);
	}
	/* Made here, they differ. */
	m.call_id = NULL;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	snprintf(first, sizeof(first), "%s", sip_field(sippeer_receive(&pool), "Call-ID"));
	sippeer_answer(&pool, "200 OK", "");
	wait_response(&f);
	sip_send(f.endpoint, &m, on_response, &f.seen);
	assert_string_not_equal(sip_field(sippeer_receive(&pool), "Call-ID"), first);
	assert_int_equal(strlen(first), 32);
	sip_endpoint_destroy(f.endpoint);
	assert_int_equal(f.seen.status, 503);
	nettest_end(&f.net);
	sippeer_close(&pool);
}

/* URIs at the edge of the grammar arrive as they were written. */
static void test_uris(void **state)
{
	static const char *const uris[] = {
		"sip:m&m@corp.test",
		"sip:a;b=c?d/e,f+g$h@corp.test",
		"sip:tsch%C3%BCss@corp.test",
		"sip:a%40b%3A%22%3C%3E%20%5C@corp.test",
		"sip:tybalt@corp.test;gr=a/b%40c%3Bd%3De%2C%20%22",
		"sip:corp.test",
		"sip:x@[2001:db8::1]:5061",
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
		struct sip_send m = plain;
		char line[256];
		const char *message;

		m.to_uri = m.from_uri = uris[i];
		sip_send(f.endpoint, &m, on_response, &f.seen);
		message = sippeer_receive(&pool);
		snprintf(line, sizeof(line), "MESSAGE %s SIP/2.0\r\n", uris[i]);
		assert_memory_equal(message, line, strlen(line));
		snprintf(line, sizeof(line), "<%s>", uris[i]);
		assert_string_equal(sip_field(message, "To"), line);
		assert_memory_equal(sip_field(message, "From"), line, strlen(line));
		sippeer_answer(&pool, "200 OK", "");
		wait_response(&f);
	}
	end(&f);
	sippeer_close(&pool);
}

/* 1300 bytes by UDP; one more, and it is TCP. The sizes are those on the wire. */
static void test_size_rule(void **state)
{
	struct sip_send m = plain;
	struct sippeer udp, tcp;
	struct fixture f;
	char body[2000];
	size_t overhead;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&udp, &f.net, POOL);
	sippeer_listen(&tcp, &f.net, POOL);
	memset(body, 'x', sizeof(body));
	m.body = body;
	m.body_size = 500; /* three digits, as below */
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&udp);
	overhead = udp.message.len - 500;
	sippeer_answer(&udp, "200 OK", "");
	wait_response(&f);

	m.body_size = 1300 - overhead;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&udp);
	assert_int_equal(udp.message.len, 1300);
	sippeer_answer(&udp, "200 OK", "");
	wait_response(&f);
	assert_int_equal(counter(&f, "upgraded"), 0);

	m.body_size++;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&tcp);
	assert_memory_equal(sip_field(tcp.message.s, "Via"), "SIP/2.0/TCP", 11);
	assert_int_equal(strlen(sip_body(tcp.message.s)), m.body_size);
	sippeer_answer(&tcp, "200 OK", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 200);
	assert_int_equal(counter(&f, "upgraded"), 1);
	assert_false(sippeer_poll(&udp));
	end(&f);
	sippeer_close(&udp);
	sippeer_close(&tcp);
}

/* Too large for UDP, and nobody takes TCP: never UDP all the same. */
static void test_too_large_for_udp(void **state)
{
	struct sip_send m = plain;
	char body[2000];
	(void)state;

	memset(body, 'x', sizeof(body));
	m.body = body;
	m.body_size = sizeof(body);
	for (int with_tcp = 0; with_tcp < 2; with_tcp++) {
		struct sippeer udp;
		struct fixture f;

		begin(&f, 0, with_tcp);
		sippeer_udp(&udp, &f.net, POOL);
		sip_send(f.endpoint, &m, on_response, &f.seen);
		assert_int_equal(f.seen.responses, 0);
		wait_response(&f);
		assert_int_equal(f.seen.status, 513);
		assert_false(sippeer_poll(&udp));
		end(&f);
		sippeer_close(&udp);
	}
}

/* No line of a header can come from a value, whatever is in it. */
static void test_injection(void **state)
{
	static const char *const evil[] = { "x\r\nX-Evil: 1", "x\nX-Evil: 1", "x\rX-Evil: 1", "x\r\n\r\nbody",
					    "x\r\n folded",   "x\x01",        "x\x7F",        "x\t",
					    "x\xFF",          "x\xC2\x85",    "\r\n",         "\n" };
	const size_t fields[] = {
		offsetof(struct sip_send, to_uri),       offsetof(struct sip_send, from_uri),
		offsetof(struct sip_send, from_display), offsetof(struct sip_send, call_id),
		offsetof(struct sip_send, method),       offsetof(struct sip_send, content_type),
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(evil); j++) {
			struct sip_send m = full_message(POOL_NEW);

			memcpy((char *)&m + fields[i], &evil[j], sizeof(evil[j]));
			sip_send(f.endpoint, &m, on_response, &f.seen);
			wait_response(&f);
			assert_int_equal(f.seen.status, 400);
		}
	}
	for (size_t j = 0; j < ARRAY_SIZE(evil); j++) {
		struct sip_send m = full_message(POOL_NEW);
		char line[64];
		const char *headers[] = { "Content-Language: en", line };

		snprintf(line, sizeof(line), "Subject: %s", evil[j]);
		m.headers = headers;
		sip_send(f.endpoint, &m, on_response, &f.seen);
		wait_response(&f);
		assert_int_equal(f.seen.status, 400);
	}
	/* The first thing that the pool hears of is an honest message. */
	sip_send(f.endpoint, &plain, on_response, &f.seen);
	assert_string_equal(sip_body(sippeer_receive(&pool)), "Good pilgrim");
	assert_int_equal(sip_count_lines(pool.message.s, "X-Evil"), 0);
	end(&f);
	sippeer_close(&pool);
}

/* Header text that is allowed, quotes and markup, stays in its field. */
static void test_quotes_stay_inside(void **state)
{
	static const char *const texts[] = {
		"say \"hi\", <sip:x@y>;tag=1",
		"\\",
		"\\\"",
		"a\\r\\nX-Evil: 1",
		", Subject: x",
		"%0d%0aX-Evil: 1",
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct sip_send m = plain;
		char quoted[256], subject[256], line[300], from[512];
		const char *message, *headers[] = { line };

		assert_int_equal(sip_quoted_text(texts[i], quoted, sizeof(quoted)), OK);
		assert_int_equal(sip_header_text(texts[i], subject, sizeof(subject)), OK);
		snprintf(line, sizeof(line), "Subject: %s", subject);
		m.from_display = quoted;
		m.headers = headers;
		m.header_count = 1;
		sip_send(f.endpoint, &m, on_response, &f.seen);
		message = sippeer_receive(&pool);
		snprintf(from, sizeof(from), "%s <sip:juliet@partner.test;gr=balcony>;tag=", quoted);
		assert_memory_equal(sip_field(message, "From"), from, strlen(from));
		assert_string_equal(sip_field(message, "Subject"), subject);
		assert_int_equal(sip_count_lines(message, "X-Evil"), 0);
		assert_int_equal(sip_count_lines(message, "Subject"), 1);
		sippeer_answer(&pool, "200 OK", "");
		wait_response(&f);
		assert_int_equal(f.seen.status, 200);
	}
	end(&f);
	sippeer_close(&pool);
}

static void test_responses(void **state)
{
	static const struct {
		const char *status, *extra;
		unsigned expected;
		const char *phrase, *contact;
	} cases[] = {
		{ "404 Not Found", "", 404, "Not Found", "(none)" },
		{ "480 Temporarily not \xC3\xBC"
		  "ber",
		  "", 480,
		  "Temporarily not \xC3\xBC"
		  "ber",
		  "(none)" },
		{ "302 Moved Temporarily", "Contact: <sip:tyb@corp.test;gr=x>;q=0.5\r\n", 302,
		  "Moved Temporarily", "sip:tyb@corp.test;gr=x" },
		{ "603 Decline", "ms-diagnostics: 1003;reason=\"x\"\r\n", 603, "Decline", "(none)" },
		{ "699 ", "", 699, "", "(none)" },
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sip_send(f.endpoint, &plain, on_response, &f.seen);
		sippeer_receive(&pool);
		sippeer_answer(&pool, "100 Trying", "");
		sippeer_answer(&pool, "183 Wait", "");
		sippeer_answer(&pool, cases[i].status, cases[i].extra);
		sippeer_answer(&pool, "200 OK", ""); /* a second final answer is not heard */
		wait_response(&f);
		assert_int_equal(f.seen.status, cases[i].expected);
		assert_string_equal(f.seen.phrase, cases[i].phrase);
		assert_string_equal(f.seen.contact, cases[i].contact);
	}
	assert_int_equal(f.seen.responses, 1);
	end(&f);
	sippeer_close(&pool);
}

/* Nobody there: refused at once on both transports, or silent until timer F. */
static void test_no_answer(void **state)
{
	struct sip_send m = plain;
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 10, true);
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	assert_int_equal(f.seen.responses, 0);
	wait_response(&f);
	assert_int_equal(f.seen.status, 503);
	m.pool = POOL_NEW;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	wait_response(&f);
	assert_int_equal(f.seen.status, 503);

	sippeer_udp(&pool, &f.net, POOL);
	sip_send(f.endpoint, &m, on_response, &f.seen);
	wait_response(&f);
	assert_int_equal(f.seen.status, 408);
	end(&f);
	sippeer_close(&pool);
}

/* A listener whose kernel takes in next to nothing, and no more than backlog + 1 connections. */
static int listen_narrow(int backlog)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(5060) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 1, on = 1;

	assert_int_equal(inet_pton(AF_INET, POOL, &address.sin_addr), 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* What is behind timer F never comes, however late the peer begins to read: its sender has been told. */
static void test_silent_connection_is_aborted(void **state)
{
	char body[60000], taken[sizeof(body)];
	struct sip_send m = plain;
	struct fixture f;
	int listener, connection;
	size_t got = 0;
	ssize_t n;
	(void)state;

	begin(&f, 10, true);
	listener = listen_narrow(4);
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	m.pool = POOL_LEGACY;
	m.body = body;
	m.body_size = sizeof(body) - 1;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	wait_response(&f);
	assert_int_equal(f.seen.status, 408);
	connection = accept(listener, NULL, NULL);
	assert_true(connection >= 0);
	while ((n = read(connection, taken, sizeof(taken))) > 0)
		got += (size_t)n;
	assert_true(n < 0 && errno == ECONNRESET);
	assert_true(got < sizeof(body) - 1);
	close(connection);
	close(listener);
	end(&f);
}

static int connect_to_pool(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(5060) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, POOL, &address.sin_addr), 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Nor what waits for a connection that comes up after its time. */
static void test_connection_that_is_late(void **state)
{
	struct pollfd more = { .events = POLLIN };
	struct sip_send m = plain;
	struct fixture f;
	int first, taken;
	(void)state;

	begin(&f, 10, true);
	more.fd = listen_narrow(0);
	first = connect_to_pool(); /* from now on the kernel drops what knocks */
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	wait_response(&f);
	assert_int_equal(f.seen.status, 408);
	taken = accept(more.fd, NULL, NULL);
	close(taken);
	close(first);
	assert_int_equal(poll(&more, 1, 1500), 0); /* TCP would have knocked again after a second */
	close(more.fd);
	end(&f);
}

static void test_retransmission(void **state)
{
	struct sippeer pool;
	struct fixture f;
	char *first;
	(void)state;

	begin(&f, 20, true);
	sippeer_udp(&pool, &f.net, POOL);
	pool.hear_repeats = true;
	sip_send(f.endpoint, &plain, on_response, &f.seen);
	first = xstrdup(sippeer_receive(&pool));
	assert_string_equal(sippeer_receive(&pool), first);
	sippeer_answer(&pool, "200 OK", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 200);
	assert_int_equal(f.seen.responses, 1);
	free(first);
	end(&f);
	sippeer_close(&pool);
}

/* The pool has closed the connection, and we have not heard of it yet. */
static void test_stale_connection(void **state)
{
	struct sip_send m = plain;
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_listen(&pool, &f.net, POOL);
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&pool);
	sippeer_answer(&pool, "200 OK", "");
	wait_response(&f);
	close(pool.fd);
	pool.fd = -1;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&pool);
	sippeer_answer(&pool, "200 OK", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 200);
	end(&f);
	sippeer_close(&pool);
}

/* The connection breaks under the request: once more, the same; then it is an error, and soon. */
static void test_broken_connection(void **state)
{
	struct sip_send m = plain;
	struct sippeer pool;
	struct fixture f;
	char *first;
	(void)state;

	begin(&f, 0, true);
	sippeer_listen(&pool, &f.net, POOL);
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	first = xstrdup(sippeer_receive(&pool));
	close(pool.fd);
	pool.fd = -1;
	assert_string_equal(sippeer_receive(&pool), first);
	assert_int_equal(f.seen.responses, 0);
	close(pool.fd);
	close(pool.listener);
	pool.fd = pool.listener = -1;
	wait_response(&f);
	assert_int_equal(f.seen.status, 408); /* it may have it */
	free(first);
	end(&f);
	sippeer_close(&pool);
}

/*
 * A pool that takes and does not answer: what is under way to it is limited, whatever it is, and what
 * follows waits for its turn, in order. One that rings does not count.
 */
static void test_window(void **state)
{
	enum { WINDOW = 512, MORE = 3 };
	char to[WINDOW][32];
	struct sip_dialog *d = sip_dialog_create(POOL_LEGACY, plain.from_uri, plain.to_uri, NULL);
	struct sip_send m = plain;
	struct sip_outgoing *last;
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 10000, true);
	f.config.sip.queue_total = MORE;
	sippeer_listen(&pool, &f.net, POOL);
	sip_send(f.endpoint, &(struct sip_send){ .method = "INVITE", .dialog = d }, on_response, &f.seen);
	m.pool = POOL_LEGACY;
	m.method = "NOTIFY";
	for (int i = 1; i < WINDOW; i++) {
		snprintf(to[i], sizeof(to[i]), "sip:u%d@corp.test", i);
		m.to_uri = to[i];
		sip_send(f.endpoint, &m, on_response, &f.seen);
	}
	m.to_uri = plain.to_uri;
	m.body = "one";
	m.body_size = 3;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	last = sip_send(f.endpoint, &m, on_response, &f.seen);
	m.body = "two";
	sip_send(f.endpoint, &m, on_response, &f.seen);
	assert_int_equal(counter(&f, "parked"), MORE);
	sip_outgoing_cancel(last);
	assert_int_equal(counter(&f, "parked"), MORE - 1);
	/* Another pool has a window of its own; and beyond sip.queue_total there is an answer. */
	m.pool = POOL_NEW;
	sip_outgoing_cancel(sip_send(f.endpoint, &m, on_response, &f.seen));
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sip_send(f.endpoint, &m, on_response, &f.seen);
	wait_response(&f);
	assert_int_equal(f.seen.status, 503);

	assert_memory_equal(sippeer_receive(&pool), "INVITE", 6);
	sippeer_answer(&pool, "180 Ringing", "");
	for (int i = 1; i < WINDOW; i++)
		assert_memory_equal(sippeer_receive(&pool), "NOTIFY", 6);
	assert_string_equal(sip_body(sippeer_receive(&pool)), "one");
	assert_false(sippeer_poll(&pool));
	sippeer_answer(&pool, "200 OK", "");
	assert_string_equal(sip_body(sippeer_receive(&pool)), "two");
	assert_int_equal(counter(&f, "parked"), 1);
	end(&f);
	sip_dialog_free(d);
	sippeer_close(&pool);
}

/* A user whose program never answers holds up nobody but himself. */
static void test_silent_recipient(void **state)
{
	enum { HALF = 256, MORE = 3 };
	struct sip_send m = plain;
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 10000, true);
	sippeer_listen(&pool, &f.net, POOL);
	m.pool = POOL_LEGACY;
	m.method = "NOTIFY";
	for (int i = 0; i < HALF + MORE; i++)
		sip_send(f.endpoint, &m, on_response, &f.seen);
	assert_int_equal(counter(&f, "parked"), MORE);
	m.to_uri = "sip:somebody.else@corp.test";
	m.method = "MESSAGE";
	sip_send(f.endpoint, &m, on_response, &f.seen);
	for (int i = 0; i < HALF; i++)
		assert_memory_equal(sippeer_receive(&pool), "NOTIFY", 6);
	assert_memory_equal(sippeer_receive(&pool), "MESSAGE", 7);
	assert_false(sippeer_poll(&pool));
	end(&f);
	sippeer_close(&pool);
}

static void test_cancel(void **state)
{
	struct sip_outgoing *o;
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	o = sip_send(f.endpoint, &plain, on_response, &f.seen);
	sippeer_receive(&pool);
	sip_outgoing_cancel(o);
	sippeer_answer(&pool, "200 OK", "");
	/* One that has failed already, and waits to say so. */
	o = sip_send(f.endpoint,
		     &(struct sip_send){ .method = "MESSAGE",
					 .to_uri = "sip:a@b.test",
					 .from_uri = "\n",
					 .content_type = "text/plain",
					 .body = "" },
		     on_response, &f.seen);
	sip_outgoing_cancel(o);
	/* A later exchange has its answer, the cancelled ones have none. */
	sip_send(f.endpoint, &plain, on_response, &f.seen);
	sippeer_receive(&pool);
	sippeer_answer(&pool, "486 Busy Here", "");
	wait_response(&f);
	assert_int_equal(f.seen.responses, 1);
	assert_int_equal(f.seen.status, 486);
	end(&f);
	sippeer_close(&pool);
}

/* --- receiving --- */

struct parts {
	const char *method, *uri, *version, *max_forwards, *from, *to, *call_id, *cseq, *extra, *body;
};

/* A request with these parts, NULL for the usual ones; the branch is its own each time. */
static void send_request(struct sippeer *p, const struct parts *parts)
{
	static unsigned number = 1000;
	const char *method = parts->method != NULL ? parts->method : "MESSAGE";
	const char *body = parts->body != NULL ? parts->body : "Hi";
	char cseq[64], call_id[64];

	number++;
	snprintf(cseq, sizeof(cseq), "CSeq: %u %s\r\n", number, method);
	snprintf(call_id, sizeof(call_id), "Call-ID: call-%u\r\n", number);
	sippeer_printf(
		p,
		"%s %s %s\r\nVia: SIP/2.0/%s " POOL ";branch=z9hG4bK%u\r\nMax-Forwards: %s\r\n"
		"From: %s\r\nTo: %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
		method, parts->uri != NULL ? parts->uri : "sip:juliet@partner.test",
		parts->version != NULL ? parts->version : "SIP/2.0", p->tcp ? "TCP" : "UDP", number,
		parts->max_forwards != NULL ? parts->max_forwards : "70",
		parts->from != NULL ? parts->from : "<sip:tybalt@corp.test>;tag=1",
		parts->to != NULL ? parts->to : "<sip:juliet@partner.test>",
		parts->call_id != NULL ? parts->call_id : call_id, parts->cseq != NULL ? parts->cseq : cseq,
		parts->extra != NULL ? parts->extra : "Content-Type: text/plain\r\n", strlen(body), body);
}

static void expect_status(struct sippeer *p, const char *status)
{
	const char *message = sippeer_receive(p);
	char line[256];

	snprintf(line, sizeof(line), "SIP/2.0 %s\r\n", status);
	if (strncmp(message, line, strlen(line)) != 0)
		fail_msg("not '%s' but %s", status, message);
}

static void test_receive(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	sippeer_aim(&pool, OURS);
	send_request(
		&pool,
		&(struct parts){
			.uri = "sip:juliet@partner.test;gr=balcony",
			.from = "\"Tybalt \\\"the cat\\\" \xC3\xA9\" <sip:tybalt@CORP.test;gr=x%20y>;tag=1",
			.call_id = "Call-ID: 8a7f-@x\r\n",
			.extra = "Subject: Gr\xC3\xBC\xC3\x9F\r\n  dich\r\nContent-Language: de-CH\r\n"
				 "Content-Type: Text/Plain ; charset=\"UTF-8\";msgr=x\r\n",
			.body = "Gr\xC3\xBC\xC3\x9F\r\ndich" });
	nettest_run(&f.net, has_request, &f);
	assert_string_equal(f.seen.method, "MESSAGE");
	assert_string_equal(f.seen.source, POOL ":5060/udp");
	assert_string_equal(f.seen.from, "sip:tybalt@corp.test;gr=x%20y");
	assert_string_equal(f.seen.to, "sip:juliet@partner.test;gr=balcony");
	assert_string_equal(f.seen.display, "Tybalt \"the cat\" \xC3\xA9");
	assert_string_equal(f.seen.call_id, "8a7f-@x");
	assert_string_equal(f.seen.subject, "Gr\xC3\xBC\xC3\x9F dich");
	assert_string_equal(f.seen.language, "de-CH");
	assert_string_equal(f.seen.type, "text/plain");
	assert_string_equal(f.seen.charset, "utf-8");
	assert_string_equal(f.seen.body, "Gr\xC3\xBC\xC3\x9F\r\ndich");
	assert_int_equal(counter(&f, "waiting"), 1);

	sip_answer(f.seen.transaction, 480, "Nicht da \xC3\xA4", "Retry-After: 17");
	expect_status(&pool, "480 Nicht da \xC3\xA4");
	assert_string_equal(sip_field(pool.message.s, "Retry-After"), "17");
	assert_string_equal(sip_field(pool.message.s, "Call-ID"), "8a7f-@x");
	assert_int_equal(counter(&f, "waiting"), 0);
	end(&f);
	sippeer_close(&pool);
}

static bool has_all(void *ctx)
{
	return ((struct fixture *)ctx)->seen.requests == 12;
}

/* 12 KB on a connection are read in two pieces at least, and each is told; nothing is read unsaid. */
static void test_bursts(void **state)
{
	char body[1000];
	struct sippeer pool;
	struct fixture f;
	(void)state;

	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	for (int tcp = 0; tcp < 2; tcp++) {
		begin(&f, 0, true);
		bursts.begun = bursts.outside = 0;
		f.seen.answer_at_once = true;
		if (tcp)
			sippeer_connect(&pool, &f.net, POOL, OURS);
		else
			sippeer_udp(&pool, &f.net, POOL);
		if (!tcp)
			sippeer_aim(&pool, OURS);
		for (int i = 0; i < 12; i++)
			send_request(&pool, &(struct parts){ .body = body });
		nettest_run(&f.net, has_all, &f);
		for (int i = 0; i < 12; i++)
			expect_status(&pool, "200 OK");
		assert_int_equal(bursts.outside, 0);
		assert_false(bursts.within);
		assert_in_range(bursts.begun, tcp ? 2 : 12, 1000);
		end(&f);
		sippeer_close(&pool);
	}
}

/* Absent parts are told from empty ones. */
static void test_receive_little(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	f.seen.answer_at_once = true;
	sippeer_connect(&pool, &f.net, POOL, OURS);
	send_request(&pool, &(struct parts){ .from = "sip:tybalt@corp.test", .extra = "", .body = "" });
	expect_status(&pool, "200 OK");
	assert_string_equal(f.seen.display, "");
	assert_string_equal(f.seen.subject, "(none)");
	assert_string_equal(f.seen.language, "(none)");
	assert_string_equal(f.seen.type, "");
	assert_string_equal(f.seen.charset, "");
	assert_int_equal(f.seen.body_size, 0);
	assert_non_null(strstr(f.seen.source, "/tcp"));
	send_request(&pool, &(struct parts){ .extra = "Content-Language: en, de\r\nSubject:\r\n" });
	expect_status(&pool, "200 OK");
	assert_string_equal(f.seen.language, "(none)");
	assert_string_equal(f.seen.subject, "");
	end(&f);
	sippeer_close(&pool);
}

/* A repeated request is one request, before its answer and after. */
static void test_absorbed(void **state)
{
	const struct parts repeated = { .call_id = "Call-ID: again\r\n", .cseq = "CSeq: 7 MESSAGE\r\n" };
	static const char request[] =
		"MESSAGE sip:juliet@partner.test SIP/2.0\r\n"
		"Via: SIP/2.0/UDP " POOL ";branch=z9hG4bKsame\r\n"
		"From: <sip:tybalt@corp.test>;tag=1\r\nTo: <sip:juliet@partner.test>\r\n"
		"Call-ID: same\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
	struct sippeer pool;
	struct fixture f;
	char *first;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&pool, &f.net, POOL);
	sippeer_aim(&pool, OURS);
	sippeer_send(&pool, request, strlen(request));
	sippeer_send(&pool, request, strlen(request));
	send_request(&pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(&pool, "200 OK"); /* to OPTIONS: by now both have been seen */
	assert_int_equal(f.seen.requests, 1);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	first = xstrdup(sippeer_receive(&pool));
	sippeer_send(&pool, request, strlen(request));
	assert_string_equal(sippeer_receive(&pool), first);
	assert_int_equal(f.seen.requests, 1);
	/* By another way, with another branch: RFC 3261 section 8.2.2.2. */
	send_request(&pool, &repeated);
	nettest_run(&f.net, has_request, &f);
	send_request(&pool, &repeated);
	expect_status(&pool, "482 Request merged");
	free(first);
	end(&f);
	sip_answer(f.seen.transaction, 200, NULL, NULL); /* answered by the endpoint's end: frees only */
	sippeer_close(&pool);
}

static const struct {
	const char *what, *status, *header; /* header: "Name: value" that the answer must have */
	struct parts parts;
} refusals[] = {
	{ "OPTIONS", "200 OK", SIP_ALLOW, { .method = "OPTIONS" } },
	{ "OPTIONS to no user",
	  "200 OK",
	  "Accept: text/plain",
	  { .method = "OPTIONS", .uri = "sip:partner.test" } },
	{ "UPDATE", "405 Method Not Allowed", SIP_ALLOW, { .method = "UPDATE" } },
	{ "REGISTER", "405 Method Not Allowed", SIP_ALLOW, { .method = "REGISTER" } },
	{ "PRACK", "405 Method Not Allowed", SIP_ALLOW, { .method = "PRACK" } },
	{ "an unknown method", "501 Not Implemented", SIP_ALLOW, { .method = "FOO" } },
	{ "SERVICE of Microsoft's clients", "501 Not Implemented", SIP_ALLOW, { .method = "SERVICE" } },
	{ "SERVICE with a body",
	  "501 Not Implemented",
	  SIP_ALLOW,
	  { .method = "SERVICE", .extra = "Content-Type: application/SOAP+xml\r\n" } },
	{ "SERVICE to oneself",
	  "501 Not Implemented",
	  SIP_ALLOW,
	  { .method = "SERVICE", .uri = "sip:tybalt@corp.test", .to = "<sip:tybalt@corp.test>" } },
	{ "PUBLISH", "405 Method Not Allowed", SIP_ALLOW, { .method = "PUBLISH" } },
	{ "NEGOTIATE", "501 Not Implemented", SIP_ALLOW, { .method = "NEGOTIATE" } },
	{ "methods have case", "501 Not Implemented", NULL, { .method = "message" } },
	{ "CANCEL of nothing", "481 Call/Transaction Does Not Exist", NULL, { .method = "CANCEL" } },
	{ "no hops left", "483 Too Many Hops", NULL, { .max_forwards = "0" } },
	{ "SIPS", "416 SIPS Cannot Be Promised Here", NULL, { .uri = "sips:juliet@partner.test" } },
	{ "SIPS in To", "416 SIPS Cannot Be Promised Here", NULL, { .to = "<sips:juliet@partner.test>" } },
	{ "tel", "416 Unsupported URI Scheme", NULL, { .uri = "tel:+15551234567" } },
	{ "im", "416 Unsupported URI Scheme", NULL, { .uri = "im:juliet@partner.test" } },
	{ "http", "416 Unsupported URI Scheme", NULL, { .uri = "http://partner.test/" } },
	{ "Require", "420 Bad Extension", "Unsupported: 100rel, x", { .extra = "Require: 100rel, x\r\n" } },
	{ "packed",
	  "415 Unsupported Content Encoding",
	  "Accept-Encoding: identity",
	  { .extra = "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n" } },
	{ "NUL", "400 Bad Request-URI", NULL, { .uri = "sip:jul%00iet@partner.test" } },
	{ "a line in the user", "400 Bad Request-URI", NULL, { .uri = "sip:jul%0d%0aX:%201@partner.test" } },
	{ "half a character", "400 Bad Request-URI", NULL, { .uri = "sip:jul%C3@partner.test" } },
	{ "password", "400 Bad Request-URI", NULL, { .uri = "sip:juliet:secret@partner.test" } },
	{ "headers", "400 Bad Request-URI", NULL, { .uri = "sip:juliet@partner.test?Subject=x" } },
	{ "no port", "400 Bad Request-URI", NULL, { .uri = "sip:juliet@partner.test:99999" } },
	{ "a line in From", "400 Bad From", NULL, { .from = "<sip:tyb%0Aalt@corp.test>;tag=1" } },
	{ "tel in From", "400 Bad From", NULL, { .from = "<tel:+15551234567>;tag=1" } },
	{ "Latin-1 in From", "400 Bad From", NULL, { .from = "\"Tyb\xE4lt\" <sip:tybalt@corp.test>;tag=1" } },
	{ "Latin-1 subject", "400 Bad Subject", NULL, { .extra = "Subject: gr\xFC\xDF\r\n" } },
	{ "control in a subject", "400 Bad Subject", NULL, { .extra = "Subject: a\x1B[2Jb\r\n" } },
	{ "Latin-1 charset",
	  "400 Bad Content-Type",
	  NULL,
	  { .extra = "Content-Type: text/plain;charset=\"\xFC\"\r\n" } },
	{ "CSeq of another method", "400 Bad Request", NULL, { .cseq = "CSeq: 1 INVITE\r\n" } },
	{ "CSeq too large", "400 Bad CSeq Header", NULL, { .cseq = "CSeq: 4294967296 MESSAGE\r\n" } },
	{ "no CSeq", "400 Bad Request", NULL, { .cseq = "" } },
	{ "no Call-ID", "400 Bad Request", NULL, { .call_id = "" } },
	{ "From is garbage", "400 Bad From Header", NULL, { .from = "<<>>" } },
	{ "version 3", "505 Version Not Supported", NULL, { .version = "SIP/3.0" } },
};

static void test_refusals(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const char *message,
			*colon = refusals[i].header != NULL ? strchr(refusals[i].header, ':') : NULL;
		char line[256], name[64];

		sippeer_connect(&pool, &f.net, POOL, OURS);
		send_request(&pool, &refusals[i].parts);
		message = sippeer_receive(&pool);
		snprintf(line, sizeof(line), "SIP/2.0 %s\r\n", refusals[i].status);
		if (strncmp(message, line, strlen(line)) != 0)
			fail_msg("%s: not '%s' but %s", refusals[i].what, refusals[i].status, message);
		if (colon != NULL) {
			snprintf(name, sizeof(name), "%.*s", (int)(colon - refusals[i].header),
				 refusals[i].header);
			assert_non_null(sip_field(message, name));
			assert_string_equal(sip_field(message, name), colon + 2);
		}
		sippeer_close(&pool);
	}
	assert_int_equal(f.seen.requests, 0);
	end(&f);
}

/* What is no request at all does not end the endpoint. */
static void test_garbage(void **state)
{
	static const char *const garbage[] = {
		"\r\n\r\n",
		"x",
		"GET / HTTP/1.1\r\n\r\n",
		"MESSAGE\r\n\r\n",
		"SIP/2.0 200 OK\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " OURS
		";branch=z9hG4bKx\r\nFrom: <sip:a@b.test>;tag=1\r\n"
		"To: <sip:c@d.test>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
		"MESSAGE sip:a@b.test SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"MESSAGE sip:a@b.test SIP/2.0\r\nContent-Length: -1\r\n\r\n",
		"ACK sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/UDP " POOL ";branch=z9hG4bKa\r\n"
		"From: <sip:a@b.test>;tag=1\r\nTo: <sip:c@d.test>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\n\r\n",
	};
	struct sippeer udp, tcp;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_udp(&udp, &f.net, POOL);
	sippeer_aim(&udp, OURS);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		sippeer_send(&udp, garbage[i], strlen(garbage[i]));
		sippeer_connect(&tcp, &f.net, POOL, OURS);
		sippeer_send(&tcp, garbage[i], strlen(garbage[i]));
		do { /* garbage with a Via has its own answer */
			send_request(&udp, &(struct parts){ .method = "OPTIONS" });
		} while (strncmp(sippeer_receive(&udp), "SIP/2.0 200", 11) != 0);
		sippeer_close(&tcp);
	}
	assert_int_equal(f.seen.requests, 0);
	end(&f);
	sippeer_close(&udp);
}

static void test_too_large(void **state)
{
	struct strbuf request = { .s = NULL };
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	strbuf_puts(&request, "MESSAGE sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/TCP " POOL
			      ";branch=z9hG4bKbig\r\nFrom: <sip:tybalt@corp.test>;tag=1\r\n"
			      "To: <sip:juliet@partner.test>\r\nCall-ID: big\r\nCSeq: 1 MESSAGE\r\n"
			      "Content-Type: text/plain\r\nContent-Length: 9000\r\n\r\n");
	for (int i = 0; i < 900; i++)
		strbuf_puts(&request, "0123456789");
	sippeer_send(&pool, request.s, request.len);
	expect_status(&pool, "413 Request Entity Too Large");
	assert_int_equal(f.seen.requests, 0);
	strbuf_free(&request);
	end(&f);
	sippeer_close(&pool);
}

/* A request with so many lines in its header, all of them short. */
static void put_lines(struct strbuf *request, const char *transport, int count)
{
	strbuf_printf(request,
		      "MESSAGE sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/%s " POOL
		      ";branch=z9hG4bKlines%d%s\r\nMax-Forwards: 70\r\nFrom: <sip:tybalt@corp.test>;tag=1\r\n"
		      "To: <sip:juliet@partner.test>\r\nCall-ID: lines%d%s\r\nCSeq: 1 MESSAGE\r\n",
		      transport, count, transport, count, transport);
	for (int i = 0; i < count; i++)
		strbuf_puts(request, i % 2 == 0 ? "a:b\r\n" : "m:<\r\n");
	strbuf_puts(request, "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi");
}

/* A header costs as much as its lines squared, so it is bounded, however it comes. */
static void test_long_header(void **state)
{
	struct strbuf request = { .s = NULL };
	struct sippeer udp, tcp;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	f.seen.answer_at_once = true;
	sippeer_udp(&udp, &f.net, POOL);
	sippeer_aim(&udp, OURS);
	put_lines(&request, "UDP", 5000);
	sippeer_send(&udp, request.s, request.len);
	expect_status(&udp, "413 Request Entity Too Large");
	strbuf_reset(&request);
	put_lines(&request, "TCP", 20000);
	sippeer_connect(&tcp, &f.net, POOL, OURS);
	sippeer_send(&tcp, request.s, request.len);
	expect_status(&tcp, "413 Request Entity Too Large");
	sippeer_close(&tcp);
	/* In pieces: each is read before the next one comes. */
	sippeer_connect(&tcp, &f.net, POOL, OURS);
	for (size_t at = 0; at < 4000; at += 400) {
		sippeer_send(&tcp, request.s + at, 400);
		send_request(&udp, &(struct parts){ .method = "OPTIONS" });
		expect_status(&udp, "200 OK");
	}
	expect_status(&tcp, "413 Request Entity Too Large");
	assert_int_equal(f.seen.requests, 0);
	sippeer_close(&tcp);
	strbuf_free(&request);
	end(&f);
	sippeer_close(&udp);
}

/* One long line, and blanks before a request, which are no part of it. */
static void test_long_line(void **state)
{
	struct strbuf request = { .s = NULL };
	struct sippeer tcp;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	f.seen.answer_at_once = true;
	sippeer_connect(&tcp, &f.net, POOL, OURS);
	strbuf_printf(&request, "%*s", 40000, "\r\n");
	for (int size = 30000; size <= 34000; size += 4000) {
		strbuf_printf(&request,
			      "MESSAGE sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/TCP " POOL
			      ";branch=z9hG4bK%d\r\nFrom: <sip:tybalt@corp.test>;tag=1\r\n"
			      "To: <sip:juliet@partner.test>\r\nCall-ID: line%d\r\nCSeq: 1 MESSAGE\r\n"
			      "X-Long: %0*d\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
			      size, size, size, 0);
		sippeer_send(&tcp, request.s, request.len);
		expect_status(&tcp, size < 32768 ? "200 OK" : "413 Request Entity Too Large");
		strbuf_reset(&request);
	}
	assert_int_equal(f.seen.requests, 1);
	strbuf_free(&request);
	end(&f);
	sippeer_close(&tcp);
}

/* Many small messages at once are no large one: a pool under load sends them so. */
static void test_burst(void **state)
{
	struct strbuf burst = { .s = NULL };
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	for (int i = 0; i < 100; i++)
		strbuf_printf(&burst,
			      "MESSAGE sip:juliet@partner.test SIP/2.0\r\nVia: SIP/2.0/TCP " POOL
			      ";branch=z9hG4bKburst%d\r\nMax-Forwards: 70\r\n"
			      "From: <sip:tybalt@corp.test>;tag=1\r\n"
			      "To: <sip:juliet@partner.test>\r\nCall-ID: burst%d\r\nCSeq: 1 MESSAGE\r\n"
			      "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
			      i, i);
	assert_true(burst.len > 2 * (size_t)f.config.sip.message_bytes);
	f.seen.answer_at_once = true;
	sippeer_send(&pool, burst.s, burst.len);
	for (int i = 0; i < 100; i++)
		expect_status(&pool, "200 OK");
	assert_int_equal(f.seen.requests, 100);
	strbuf_free(&burst);
	end(&f);
	sippeer_close(&pool);
}

/* What waits for its answer is limited: a pool has as much of sip.queue_total as it leaves. */
static void test_waiting_limit(void **state)
{
	struct sip_transaction *waiting[4];
	struct sippeer pool, edge;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	f.config.sip.queue_total = 2 * ARRAY_SIZE(waiting);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	sippeer_connect(&edge, &f.net, EDGE, OURS);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		f.seen.requests = 0;
		send_request(&pool, &(struct parts){ 0 });
		nettest_run(&f.net, has_request, &f);
		waiting[i] = f.seen.transaction;
	}
	send_request(&pool, &(struct parts){ 0 });
	expect_status(&pool, "503 Service Unavailable");
	assert_string_equal(sip_field(pool.message.s, "Retry-After"), "5");
	/* For others there is room. */
	f.seen.requests = 0;
	send_request(&edge, &(struct parts){ 0 });
	nettest_run(&f.net, has_request, &f);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	expect_status(&edge, "200 OK");
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		sip_answer(waiting[i], 200, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		expect_status(&pool, "200 OK");
	end(&f);
	sippeer_close(&edge);
	sippeer_close(&pool);
}

static void test_answers(void **state)
{
	static const struct {
		unsigned status;
		const char *phrase, *header, *expected;
	} cases[] = {
		{ 202, NULL, NULL, "202 Accepted" },
		{ 404, "Not \"here\" <x>", NULL, "404 Not \"here\" <x>" },
		/* RFC 4320 section 4.2 */
		{ 408, NULL, NULL, "504 Gateway Time-out" },
		{ 100, NULL, NULL, "500 Internal Server Error" },
		{ 0, NULL, NULL, "500 Internal Server Error" },
		{ 700, NULL, NULL, "500 Internal Server Error" },
		{ 403, "No\r\nX-Evil: 1", NULL, "403 Forbidden" },
		{ 403, "No\nX-Evil: 1", NULL, "403 Forbidden" },
		{ 403, "No\xFF", NULL, "403 Forbidden" },
		{ 403, NULL, "X-Evil: 1\r\nX-Evil: 2", "403 Forbidden" },
		{ 403, NULL, "X: 1\r\n\r\nbody", "403 Forbidden" },
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.seen.requests = 0;
		send_request(&pool, &(struct parts){ 0 });
		nettest_run(&f.net, has_request, &f);
		sip_answer(f.seen.transaction, cases[i].status, cases[i].phrase, cases[i].header);
		expect_status(&pool, cases[i].expected);
		assert_int_equal(sip_count_lines(pool.message.s, "X"), 0);
		assert_string_equal(sip_field(pool.message.s, "Content-Length"), "0");
	}
	end(&f);
	sippeer_close(&pool);
}

/* An answer that does not come is the endpoint's to give; the holder's pointer stays good. */
static void test_expired(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	f.config.sip.answer_ms = 1;
	sippeer_connect(&pool, &f.net, POOL, OURS);
	send_request(&pool, &(struct parts){ 0 });
	expect_status(&pool, "504 Gateway Time-out");
	assert_int_equal(counter(&f, "expired"), 1);
	assert_int_equal(counter(&f, "waiting"), 0);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	send_request(&pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(&pool, "200 OK");
	assert_non_null(strstr(sip_field(pool.message.s, "CSeq"), "OPTIONS"));
	end(&f);
	sippeer_close(&pool);
}

/* The sender has closed its connection before the answer; nobody listens where its Via says. */
static void test_answer_to_the_gone(void **state)
{
	struct sippeer gone, pool;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&gone, &f.net, POOL, OURS);
	send_request(&gone, &(struct parts){ 0 });
	nettest_run(&f.net, has_request, &f);
	sippeer_close(&gone);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	send_request(&pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(&pool, "200 OK");
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	send_request(&pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(&pool, "200 OK");
	assert_int_equal(counter(&f, "waiting"), 0);
	end(&f);
	sippeer_close(&pool);
}

static void test_destroy_answers(void **state)
{
	struct sippeer from_pool, to_pool;
	struct fixture f;
	struct sip_send m = plain;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&from_pool, &f.net, POOL, OURS);
	sippeer_listen(&to_pool, &f.net, POOL);
	m.pool = POOL_LEGACY;
	sip_send(f.endpoint, &m, on_response, &f.seen);
	sippeer_receive(&to_pool);
	send_request(&from_pool, &(struct parts){ 0 });
	nettest_run(&f.net, has_request, &f);
	sip_endpoint_destroy(f.endpoint);
	assert_int_equal(f.seen.responses, 1);
	assert_int_equal(f.seen.status, 503);
	expect_status(&from_pool, "503 Service Unavailable");
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	nettest_end(&f.net);
	sippeer_close(&from_pool);
	sippeer_close(&to_pool);
}

/* --- strangers --- */

/* The listeners of this process lose their filters. */
static void remove_guards(void)
{
	int none = 0;

	for (int fd = 0; fd < 1024; fd++)
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

static void begin_stranger_udp(struct fixture *f, struct sippeer *stranger, struct sippeer *pool)
{
	begin(f, 0, true);
	sippeer_udp(stranger, &f->net, STRANGER);
	sippeer_aim(stranger, OURS);
	sippeer_udp(pool, &f->net, POOL);
	sippeer_aim(pool, OURS);
}

/* The pool is answered, so what the stranger sent before was dealt with. */
static void end_stranger_udp(struct fixture *f, struct sippeer *stranger, struct sippeer *pool,
			     unsigned strangers)
{
	send_request(pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(pool, "200 OK");
	assert_int_equal(counter(f, "strangers"), strangers);
	assert_int_equal(f->seen.requests, 0);
	assert_false(sippeer_poll(stranger));
	end(f);
	sippeer_close(stranger);
	sippeer_close(pool);
}

/* What sofia-sip would answer by itself, larger than it was and to wherever the sender says: nothing of it. */
static void test_stranger_udp(void **state)
{
	static const char stun[20] = "\0\1\0\0\x21\x12\xa4\x42"
				     "abcdefghijkl";
	struct sippeer stranger, pool;
	struct fixture f;
	(void)state;

	begin_stranger_udp(&f, &stranger, &pool);
	send_request(&stranger, &(struct parts){ 0 });
	send_request(&stranger, &(struct parts){ .method = "OPTIONS" });
	sippeer_send(&stranger, stun, sizeof(stun));
	sippeer_printf(&stranger, "A sip:a@b SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK1\r\nl:x\r\n\r\n");
	sippeer_printf(&stranger, "\r\n");
	end_stranger_udp(&f, &stranger, &pool, 0);
}

/* Where the kernel takes no filter, requests still get no answer. */
static void test_stranger_udp_unguarded(void **state)
{
	struct sippeer stranger, pool;
	struct fixture f;
	(void)state;

	begin_stranger_udp(&f, &stranger, &pool);
	remove_guards();
	send_request(&stranger, &(struct parts){ 0 });
	send_request(&stranger, &(struct parts){ .method = "OPTIONS" });
	end_stranger_udp(&f, &stranger, &pool, 2);
}

/* The kernel drops a stranger's SYN: there is no connection, and no answer either. */
static void test_stranger_tcp(void **state)
{
	struct sippeer stranger, pool;
	struct tcp_info info;
	socklen_t size = sizeof(info);
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	sippeer_connect(&stranger, &f.net, STRANGER, OURS);
	sippeer_connect(&pool, &f.net, POOL, OURS);
	send_request(&pool, &(struct parts){ .method = "OPTIONS" });
	expect_status(&pool, "200 OK");
	assert_int_equal(getsockopt(stranger.fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_int_equal(info.tcpi_state, 2 /* TCP_SYN_SENT */);
	end(&f);
	sippeer_close(&stranger);
	sippeer_close(&pool);
}

static bool is_closed(void *ctx)
{
	struct sippeer *p = ctx;
	char byte;

	return recv(p->fd, &byte, 1, 0) == 0;
}

/* Where the kernel takes no filter, the request is refused and the connection ends. */
static void test_stranger_tcp_unguarded(void **state)
{
	struct sippeer stranger;
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	remove_guards();
	sippeer_connect(&stranger, &f.net, STRANGER, OURS);
	send_request(&stranger, &(struct parts){ 0 });
	expect_status(&stranger, "403 Source Not Allowed");
	nettest_run(&f.net, is_closed, &stranger);
	assert_int_equal(f.seen.requests, 0);
	assert_int_equal(counter(&f, "strangers"), 1);
	end(&f);
	sippeer_close(&stranger);
}

/* --- starting --- */

static void test_start_fails(void **state)
{
	static const struct {
		const char *listen, *allow, *word;
	} cases[] = {
		{ "tcp:" OURS ":5060", POOL, "Address already in use" },
		{ "tcp:" OURS ":5061", "no.such.host", "sip.allow" },
		{ "tcp:192.0.2.77:5061", POOL, "192.0.2.77" },
	};
	struct fixture f;
	(void)state;

	begin(&f, 0, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config = { .sip = { .listen = { { cases[i].listen }, 1 },
						  .allow = { { cases[i].allow }, 1 },
						  .message_bytes = 8000 } };
		struct sip_setup setup = { .loop = f.net.loop, .config = &config, .on_request = on_request };
		struct sip_endpoint *endpoint = NULL;
		const char *why = "";

		assert_int_not_equal(sip_endpoint_create(&setup, &endpoint, &why), OK);
		assert_null(endpoint);
		if (strstr(why, cases[i].word) == NULL)
			fail_msg("'%s' does not say '%s'", why, cases[i].word);
	}
	end(&f);
}

/* The state of a connection to [::1]:port, in tcp_info's numbers. */
static int connect_v6(uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_true(fd >= 0);
	connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	close(fd);
	return info.tcpi_state;
}

/* Without sip.allow, the pools' own addresses are the peers. */
static void test_default_peers(void **state)
{
	struct config config = { .sip = { .listen = { { "tcp:" OURS ":5060" }, 1 },
					  .new_pool = { { "sip:" POOL ";transport=tcp" }, 1 },
					  .legacy_pool = { { "sip:" STRANGER ":5062;transport=tcp" }, 1 } } };
	struct nettest net;
	struct sip_endpoint *endpoint;
	char *text;
	json_t *status;
	(void)state;

	nettest_begin(&net);
	endpoint = endpointtest_open(&net, &config, (struct sip_setup){ .on_request = on_request });
	status = sip_endpoint_status(endpoint);
	text = json_dumps(status, JSON_COMPACT);
	assert_non_null(strstr(text, "\"listeners\":[\"tcp:" OURS ":5060\"]"));
	assert_non_null(strstr(text, "\"peers\":[\"" POOL "\",\"" STRANGER "\"]"));
	free(text);
	json_decref(status);
	sip_endpoint_destroy(endpoint);
	nettest_end(&net);
}

static void test_v6(void **state)
{
	struct config config = { .sip = { .listen = { { "tcp:[::1]:15060" }, 1 },
					  .allow = { { POOL, "2001:db8::1", "::1" }, 3 } } };
	const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct nettest net;
	struct sip_endpoint *endpoint;
	(void)state;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) != 0) {
		if (fd >= 0)
			close(fd);
		skip(); /* a machine without IPv6 */
	}
	close(fd);
	nettest_begin(&net);
	endpoint = endpointtest_open(&net, &config, (struct sip_setup){ .on_request = on_request });
	assert_int_equal(connect_v6(15060), 1 /* TCP_ESTABLISHED */);
	sip_endpoint_destroy(endpoint);
	config.sip.allow.count = 2;
	endpoint = endpointtest_open(&net, &config, (struct sip_setup){ .on_request = on_request });
	assert_int_equal(connect_v6(15060), 2 /* TCP_SYN_SENT */);
	sip_endpoint_destroy(endpoint);
	nettest_end(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_call_id_and_cseq),
		cmocka_unit_test(test_uris),
		cmocka_unit_test(test_size_rule),
		cmocka_unit_test(test_too_large_for_udp),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_quotes_stay_inside),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_silent_connection_is_aborted),
		cmocka_unit_test(test_connection_that_is_late),
		cmocka_unit_test(test_retransmission),
		cmocka_unit_test(test_stale_connection),
		cmocka_unit_test(test_broken_connection),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_silent_recipient),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_receive_little),
		cmocka_unit_test(test_absorbed),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_long_header),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_waiting_limit),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_answer_to_the_gone),
		cmocka_unit_test(test_destroy_answers),
		cmocka_unit_test(test_stranger_udp),
		cmocka_unit_test(test_stranger_udp_unguarded),
		cmocka_unit_test(test_stranger_tcp),
		cmocka_unit_test(test_stranger_tcp_unguarded),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_default_peers),
		cmocka_unit_test(test_v6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
