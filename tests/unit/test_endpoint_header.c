/*
 * test_endpoint_header.c - requests whose header two parsers might read in two
 * ways: which are refused, and that nothing becomes a field or a request of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "endpointtest.h"
#include "sippeer.h"

#define OURS "127.32.3.1"
#define POOL "127.32.3.2"

struct fixture {
	struct nettest net;
	struct config config;
	struct sip_endpoint *endpoint;
	unsigned requests;
	char subject[64], body[64];
};

static void on_request(void *ctx, const struct sip_request *r)
{
	struct fixture *f = ctx;

	f->requests++;
	snprintf(f->subject, sizeof(f->subject), "%s", r->subject != NULL ? r->subject : "");
	snprintf(f->body, sizeof(f->body), "%.*s", (int)r->body_size, (const char *)r->body);
	sip_answer(r->transaction, 200, NULL, NULL);
}

static void begin(struct fixture *f)
{
	const struct sip_setup setup = { .on_request = on_request, .ctx = f };

	memset(f, 0, sizeof(*f));
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen = (struct config_list){ { "udp:" OURS ":5060", "tcp:" OURS ":5060" }, 2 };
	f->config.sip.allow = (struct config_list){ { POOL }, 1 };
	f->config.sip.new_pool = (struct config_list){ { "sip:" POOL ":5060;transport=tcp" }, 1 };
	f->config.sip.queue_total = 100;
	f->endpoint = endpointtest_open(&f->net, &f->config, setup);
}

static void end(struct fixture *f)
{
	sip_endpoint_destroy(f->endpoint);
	nettest_end(&f->net);
}

/* Of its own when it stands behind the end of a header: what the pool took for a part of a field. */
#define HIDDEN(nl)                                                                                           \
	"MESSAGE sip:nurse@partner.test SIP/2.0" nl "Via: SIP/2.0/TCP " POOL ";branch=z9hG4bKhidden" nl      \
	"From: <sip:prince@corp.test>;tag=2" nl "To: <sip:nurse@partner.test>" nl "Call-ID: hidden" nl       \
	"CSeq: 1 MESSAGE" nl "Max-Forwards: 70" nl "Subject: forged" nl "Content-Length: 0" nl nl

#define NUL "\x7f" /* becomes one on the wire */

/* What stands behind the fields that every request has; 200 where it is taken, with the subject "hi". */
static const struct {
	const char *what;
	unsigned status;
	const char *lines;
} rows[] = {
	{ "blank before the colon", 200, "Subject : hi\r\nContent-Length : 2\r\n\r\nHo" },
	{ "folded", 200, "Subject:\r\n hi\r\nContent-Length:\r\n\t2\r\n\r\nHo" },
	{ "blank in a name", 400, "X Evil: 1\r\nContent-Length: 2\r\n\r\nHo" },
	{ "control in a name", 400, "X\x01-Evil: 1\r\nContent-Length: 2\r\n\r\nHo" },
	{ "two lengths", 400, "Content-Length: 2\r\nContent-Length: 2\r\n\r\nHo" },
	{ "the second one larger", 400, "Content-Length: 0\r\nContent-Length: 2\r\n\r\nHo" },
	{ "one of them in short", 400, "l: 0\r\nContent-Length: 2\r\n\r\nHo" },
	{ "one of them with a blank", 400, "Content-Length: 2\r\nContent-Length : 0\r\n\r\nHo" },
	{ "a length with a sign", 400, "Content-Length: +2\r\n\r\nHo" },
	{ "lengths in a list", 400, "Content-Length: 2, 2\r\n\r\nHo" },
	{ "a length with more behind it", 400, "Content-Length: 2x\r\n\r\nHo" },
	{ "two From", 400, "From: <sip:prince@corp.test>;tag=2\r\nContent-Length: 2\r\n\r\nHo" },
	{ "one of them with a blank", 400,
	  "From : <sip:prince@corp.test>;tag=2\r\nContent-Length: 2\r\n\r\nHo" },
	{ "one of them in short", 400, "f: <sip:prince@corp.test>;tag=2\r\nContent-Length: 2\r\n\r\nHo" },
	{ "two To", 400, "To: <sip:nurse@partner.test>\r\nContent-Length: 2\r\n\r\nHo" },
	{ "two Call-ID", 400, "i: x\r\nContent-Length: 2\r\n\r\nHo" },
	{ "two types", 400, "Content-Type: text/html\r\nContent-Length: 2\r\n\r\nHo" },
	{ "CR in a field", 400, "X-A: a\rSubject: forged\r\nContent-Length: 2\r\n\r\nHo" },
	{ "LF in a field", 400, "X-A: a\nSubject: forged\r\nContent-Length: 2\r\n\r\nHo" },
	{ "CR behind CR", 400, "Subject: x\r\r\nContent-Length: 2\r\n\r\nHo" },
	{ "the header ends in CR", 400, "Content-Length: 2\r\rHo" },
	{ "in LF", 400, "Content-Length: 2\n\nHo" },
	{ "in LF behind CR LF", 400, "Content-Length: 2\r\n\nHo" },
	{ "in CR behind CR LF", 400, "Content-Length: 2\r\n\rHo" },
	{ "NUL in a field", 400, "X-A: a" NUL "b\r\nContent-Length: 2\r\n\r\nHo" },
	{ "in a name", 400, "X" NUL ": a\r\nContent-Length: 2\r\n\r\nHo" },
	{ "where a line begins", 400, NUL "X-A: a\r\nContent-Length: 2\r\n\r\nHo" },
	{ "where the empty line is", 400, "Content-Length: 2\r\n" NUL "\r\nHo" },
	{ "NUL in the body", 200, "Subject: hi\r\nContent-Length: 4\r\n\r\nHo" NUL "!" },
	{ "a request behind CR", 400, "Content-Length: 0\r\nX-A: a\r\r" HIDDEN("\r") "\r\n\r\n" },
	{ "a request behind LF", 400, "Content-Length: 0\r\nX-A: a\n\n" HIDDEN("\n") "\r\n\r\n" },
	{ "a whole request behind CR", 400, "Content-Length: 0\r\nX-A: a\r\r" HIDDEN("\r\n") },
};

static char *request(size_t row, const char *transport, size_t number, size_t *size)
{
	char *text =
		xasprintf("MESSAGE sip:juliet@partner.test SIP/2.0\r\n"
			  "Via: SIP/2.0/%s " POOL ";branch=z9hG4bK%zu-%s-%zu\r\nMax-Forwards: 70\r\n"
			  "From: <sip:tybalt@corp.test>;tag=1\r\nTo: <sip:juliet@partner.test>\r\n"
			  "Call-ID: call-%zu-%s-%zu\r\nCSeq: 7 MESSAGE\r\nContent-Type: text/plain\r\n%s",
			  transport, row, transport, number, row, transport, number, rows[row].lines);

	*size = strlen(text);
	for (char *nul = text; (nul = strchr(nul, NUL[0])) != NULL;)
		*nul++ = '\0';
	return text;
}

static void expect(struct fixture *f, struct sippeer *pool, size_t row)
{
	const unsigned status = (unsigned)strtoul(sippeer_receive(pool) + strlen("SIP/2.0 "), NULL, 10);

	if (status != rows[row].status)
		fail_msg("%s: %u", rows[row].what, status);
	assert_string_equal(sip_field(pool->message.s, "CSeq"), "7 MESSAGE");
	assert_int_equal(f->requests, status == 200);
	if (status == 200) {
		assert_string_equal(f->subject, "hi");
		assert_string_equal(f->body, "Ho");
	}
	f->requests = 0;
}

static void test_datagrams(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f);
	sippeer_udp(&pool, &f.net, POOL);
	sippeer_aim(&pool, OURS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size;
		char *text = request(i, "UDP", 0, &size);

		sippeer_send(&pool, text, size);
		expect(&f, &pool, i);
		free(text);
	}
	end(&f);
	sippeer_close(&pool);
}

/* When these are answered, what was sent elsewhere before has been read. */
static void settle(struct sippeer *udp)
{
	static unsigned number;

	for (int i = 0; i < 2; i++) {
		number++;
		sippeer_printf(udp,
			       "OPTIONS sip:" OURS " SIP/2.0\r\nVia: SIP/2.0/UDP " POOL
			       ";branch=z9hG4bKo%u\r\n"
			       "From: <sip:a@corp.test>;tag=1\r\nTo: <sip:" OURS ">\r\nCall-ID: o%u\r\n"
			       "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
			       number, number);
		sippeer_receive(udp);
	}
}

/* The rest may come to a connection that is closed already. */
static void send_in_two(struct sippeer *pool, struct sippeer *udp, const char *text, size_t size, size_t cut)
{
	sippeer_send(pool, text, cut);
	settle(udp);
	(void)send(pool->fd, text + cut, size - cut, MSG_NOSIGNAL);
}

/* However the bytes are cut; behind what is refused nothing is read on that connection. */
static void test_connections(void **state)
{
	struct sippeer udp, pool;
	struct fixture f;
	(void)state;

	begin(&f);
	sippeer_udp(&udp, &f.net, POOL);
	sippeer_aim(&udp, OURS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const size_t last = strlen(rows[i].lines);

		for (size_t cut = 0; cut < last; cut++) {
			size_t size;
			char *text = request(i, "TCP", cut, &size);

			sippeer_connect(&pool, &f.net, POOL, OURS);
			send_in_two(&pool, &udp, text, size, size - last + cut);
			expect(&f, &pool, i);
			settle(&udp);
			assert_int_equal(f.requests, 0);
			free(text);
			sippeer_close(&pool);
		}
	}
	end(&f);
	sippeer_close(&udp);
}

static void on_response(void *ctx, const struct sip_response *r)
{
	(void)r;
	(*(unsigned *)ctx)++;
}

static bool is_answered(void *ctx)
{
	return *(unsigned *)ctx > 0;
}

/* What the other user's client writes comes by the pool's answers, too. */
static void test_answers(void **state)
{
	static const char *const extra[] = { "X-A: a\r\r" HIDDEN("\r"), "X-A: a\n\n" HIDDEN("\n"),
					     "Content-Length: 0\r\nX-A: a\r\r" HIDDEN("\r") };
	const struct sip_send message = { .method = "MESSAGE",
					  .pool = POOL_NEW,
					  .to_uri = "sip:tybalt@corp.test",
					  .from_uri = "sip:juliet@partner.test",
					  .content_type = "text/plain",
					  .body = "Hi",
					  .body_size = 2 };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		struct sippeer udp, pool;
		struct fixture f;
		unsigned answers = 0;

		begin(&f);
		sippeer_listen(&pool, &f.net, POOL);
		sip_send(f.endpoint, &message, on_response, &answers);
		sippeer_receive(&pool);
		sippeer_answer(&pool, "200 OK", extra[i]);
		nettest_run(&f.net, is_answered, &answers);
		sippeer_udp(&udp, &f.net, POOL);
		sippeer_aim(&udp, OURS);
		settle(&udp);
		assert_int_equal(f.requests, 0);
		assert_int_equal(answers, 1);
		end(&f);
		sippeer_close(&udp);
		sippeer_close(&pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
