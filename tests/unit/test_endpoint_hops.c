/*
 * test_endpoint_hops.c - the SIP endpoint and its next hops, against bare
 * sockets: requests that go elsewhere, pauses, OPTIONS, and peers that follow DNS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/sip/dialog.h"
#include "bridge/sip/endpoint.h"
#include "bridge/xmpp/dns.h"
#include "dnstest.h"
#include "nettest.h"
#include "sippeer.h"

#define OURS   "127.34.1.1"
#define FIRST  "127.34.1.2"
#define SECOND "127.34.1.3"

#define HOP(address, transport) "sip:" address ":5060;transport=" transport

static struct dnstest w;

struct fixture {
	struct nettest net;
	struct config config;
	struct dns *dns;
	struct sip_endpoint *endpoint;
	unsigned requests, responses, status;
	int64_t retry_after;
	bool own_word;
};

static void on_request(void *ctx, const struct sip_request *r)
{
	((struct fixture *)ctx)->requests++;
	sip_answer(r->transaction, 200, NULL, NULL);
}

static void on_response(void *ctx, const struct sip_response *response)
{
	struct fixture *f = ctx;

	f->responses++;
	f->status = response->status;
	f->retry_after = response->retry_after;
	f->own_word = response->view == NULL;
}

static void begin(struct fixture *f, const char *first, const char *second)
{
	memset(f, 0, sizeof(*f));
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen = (struct config_list){ { "udp:" OURS ":5060", "tcp:" OURS ":5060" }, 2 };
	f->config.sip.new_pool = (struct config_list){ { first, second }, second != NULL ? 2 : 1 };
	f->config.sip.message_bytes = 8000;
	f->config.sip.answer_ms = 30000;
	f->config.sip.queue_total = 4;
	f->config.sip.backoff_min_ms = f->config.sip.backoff_max_ms = 60000;
	f->config.dns.resolver = w.resolver;
	f->config.dns.trust_anchor = "";
	f->config.dns.timeout_ms = 20000;
	f->config.dns.transparent_zones = (struct config_list){ { "test" }, 1 };
}

static enum err try_start(struct fixture *f, int64_t resolve_ms, const char **why)
{
	const struct sip_setup setup = { .loop = f->net.loop,
					 .dns = f->dns,
					 .config = &f->config,
					 .on_request = on_request,
					 .ctx = f,
					 .t1_ms = 2,
					 .resolve_ms = resolve_ms };

	return sip_endpoint_create(&setup, &f->endpoint, why);
}

static void start(struct fixture *f)
{
	const char *why = "";

	if (try_start(f, 0, &why) != OK)
		fail_msg("%s", why);
}

static void end(struct fixture *f)
{
	sip_endpoint_destroy(f->endpoint);
	dns_destroy(f->dns);
	nettest_end(&f->net);
}

static const struct sip_send plain = {
	.method = "MESSAGE",
	.pool = POOL_NEW,
	.to_uri = "sip:tybalt@corp.test",
	.from_uri = "sip:juliet@partner.test",
	.content_type = "text/plain;charset=UTF-8",
	.body = "Good pilgrim",
	.body_size = 12,
};

static void send_plain(struct fixture *f)
{
	f->responses = 0;
	sip_send(f->endpoint, &plain, on_response, f);
}

static bool has_response(void *ctx)
{
	return ((struct fixture *)ctx)->responses > 0;
}

static void expect_response(struct fixture *f, unsigned status)
{
	nettest_run(&f->net, has_response, f);
	assert_int_equal(f->responses, 1);
	assert_int_equal(f->status, status);
}

static const char *state_of(const struct fixture *f, size_t index)
{
	static char state[16];
	json_t *status = sip_endpoint_status(f->endpoint);
	const json_t *hop = json_array_get(json_object_get(status, "hops"), index);

	snprintf(state, sizeof(state), "%s", json_string_value(json_object_get(hop, "state")));
	json_decref(status);
	return state;
}

/* A peer that does not listen, and one that does: the same request but for its branch. */
static void test_refused_goes_elsewhere(void **state)
{
	struct sippeer second;
	struct fixture f;
	char call_id[64];
	(void)state;

	begin(&f, HOP(FIRST, "tcp"), HOP(SECOND, "tcp"));
	start(&f);
	sippeer_listen(&second, &f.net, SECOND);
	send_plain(&f);
	snprintf(call_id, sizeof(call_id), "%s", sip_field(sippeer_receive(&second), "Call-ID"));
	assert_int_equal(sip_count_lines(second.message.s, "Via:"), 1);
	assert_string_equal(sip_body(second.message.s), "Good pilgrim");
	sippeer_answer(&second, "200 OK", "");
	expect_response(&f, 200);
	assert_string_equal(state_of(&f, 0), "down");
	/* The next one does not even try. */
	send_plain(&f);
	assert_string_not_equal(sip_field(sippeer_receive(&second), "Call-ID"), call_id);
	sippeer_answer(&second, "200 OK", "");
	expect_response(&f, 200);
	end(&f);
	sippeer_close(&second);
}

/*
 * The connection breaks behind the request, and there is no other one: the next hop may have it, so that
 * only what may safely come twice goes elsewhere.
 */
static void test_broken_is_not_sent_elsewhere(void **state)
{
	static const char *const methods[] = { "SUBSCRIBE", "MESSAGE" };
	(void)state;

	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		struct sip_send request = plain;
		struct sippeer first, second;
		struct fixture f;

		begin(&f, HOP(FIRST, "tcp"), HOP(SECOND, "tcp"));
		start(&f);
		sippeer_listen(&first, &f.net, FIRST);
		sippeer_listen(&second, &f.net, SECOND);
		request.method = methods[m];
		f.responses = 0;
		sip_send(f.endpoint, &request, on_response, &f);
		sippeer_receive(&first);
		sippeer_close(&first);
		if (m == 0) {
			sippeer_receive(&second);
			sippeer_answer(&second, "200 OK", "");
		}
		expect_response(&f, m == 0 ? 200 : 408);
		assert_false(sippeer_poll(&second));
		assert_string_equal(state_of(&f, 0), "down");
		end(&f);
		sippeer_close(&second);
	}
}

/*
 * Silence until timer F. What may safely come twice goes elsewhere, as a transaction of its own with the same
 * Call-ID, CSeq and From; a message may have arrived, so its sender is told instead.
 */
static void test_silence(void **state)
{
	static const char *const same[] = { "Call-ID", "CSeq", "From", "To" };
	static const char *const methods[] = { "OPTIONS", "MESSAGE" };
	(void)state;

	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		struct sip_send request = plain;
		struct sippeer first, second;
		struct fixture f;

		begin(&f, HOP(FIRST, "udp"), HOP(SECOND, "tcp"));
		start(&f);
		sippeer_udp(&first, &f.net, FIRST);
		sippeer_listen(&second, &f.net, SECOND);
		request.method = methods[m];
		sip_send(f.endpoint, &request, on_response, &f);
		sippeer_receive(&first);
		if (m == 0) {
			sippeer_receive(&second);
			for (size_t i = 0; i < ARRAY_SIZE(same); i++)
				assert_string_equal(sip_field(first.message.s, same[i]),
						    sip_field(second.message.s, same[i]));
			assert_string_not_equal(strstr(sip_field(first.message.s, "Via"), "branch="),
						strstr(sip_field(second.message.s, "Via"), "branch="));
			assert_memory_equal(sip_field(second.message.s, "Via"), "SIP/2.0/TCP", 11);
			sippeer_answer(&second, "200 OK", "");
		}
		expect_response(&f, m == 0 ? 200 : 408);
		assert_false(sippeer_poll(&second));
		end(&f);
		sippeer_close(&first);
		sippeer_close(&second);
	}
}

/* 503: the request goes elsewhere. With Retry-After the next ones do, too; without, it was no more than a 500. */
static void test_congestion(void **state)
{
	(void)state;
	for (int with_time = 0; with_time < 2; with_time++) {
		struct sippeer first, second;
		struct fixture f;

		begin(&f, HOP(FIRST, "udp"), HOP(SECOND, "udp"));
		start(&f);
		sippeer_udp(&first, &f.net, FIRST);
		sippeer_udp(&second, &f.net, SECOND);
		send_plain(&f);
		sippeer_receive(&first);
		sippeer_answer(&first, "503 Service Unavailable", with_time ? "Retry-After: 20\r\n" : "");
		sippeer_receive(&second);
		sippeer_answer(&second, "200 OK", "");
		expect_response(&f, 200);
		assert_string_equal(state_of(&f, 0), with_time ? "paused" : "up");
		send_plain(&f);
		sippeer_receive(with_time ? &second : &first);
		sippeer_answer(with_time ? &second : &first, "200 OK", "");
		expect_response(&f, 200);
		end(&f);
		sippeer_close(&first);
		sippeer_close(&second);
	}
}

/* All say 503, or are away: the sender is told, and told at once from then on. */
static void test_nobody_is_left(void **state)
{
	struct sippeer first;
	struct fixture f;
	(void)state;

	begin(&f, HOP(FIRST, "udp"), HOP(SECOND, "tcp"));
	start(&f);
	sippeer_udp(&first, &f.net, FIRST);
	send_plain(&f);
	sippeer_receive(&first);
	sippeer_answer(&first, "503 Service Unavailable", "Retry-After: 20\r\n");
	expect_response(&f, 503);
	assert_true(f.own_word); /* of the second */
	send_plain(&f);
	assert_int_equal(f.responses, 0);
	expect_response(&f, 503);
	assert_true(f.own_word);
	assert_true(f.retry_after > 0 && f.retry_after <= 20);
	assert_false(sippeer_poll(&first));
	end(&f);
	sippeer_close(&first);
}

/* The only one: its 503 is the answer. */
static void test_the_only_one(void **state)
{
	struct sippeer first;
	struct fixture f;
	(void)state;

	begin(&f, HOP(FIRST, "udp"), NULL);
	start(&f);
	sippeer_udp(&first, &f.net, FIRST);
	send_plain(&f);
	sippeer_receive(&first);
	sippeer_answer(&first, "503 Busy Day", "Retry-After: 7\r\n");
	expect_response(&f, 503);
	assert_false(f.own_word);
	assert_int_equal(f.retry_after, 7);
	end(&f);
	sippeer_close(&first);
}

/* Other failures are about the request, not the next hop. */
static void test_other_answers_stay(void **state)
{
	static const char *const answers[] = { "404 Not Found", "480 Away", "500 Server Error",
					       "504 Time-out", "603 Decline" };
	struct sippeer first, second;
	struct fixture f;
	(void)state;

	begin(&f, HOP(FIRST, "udp"), HOP(SECOND, "udp"));
	start(&f);
	sippeer_udp(&first, &f.net, FIRST);
	sippeer_udp(&second, &f.net, SECOND);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		send_plain(&f);
		sippeer_receive(&first);
		sippeer_answer(&first, answers[i], "");
		expect_response(&f, (unsigned)strtoul(answers[i], NULL, 10));
		assert_string_equal(state_of(&f, 0), "up");
	}
	assert_false(sippeer_poll(&second));
	end(&f);
	sippeer_close(&first);
	sippeer_close(&second);
}

/* Who has said 100 has the INVITE; it is not offered to another when his connection breaks. */
static void test_heard_is_not_sent_elsewhere(void **state)
{
	struct sip_dialog *d =
		sip_dialog_create(POOL_NEW, "sip:juliet@partner.test", "sip:tybalt@corp.test", NULL);
	const struct sip_send invite = { .method = "INVITE", .pool = POOL_NEW, .dialog = d };
	struct sippeer first, second;
	struct fixture f;
	(void)state;

	begin(&f, HOP(FIRST, "udp"), HOP(SECOND, "udp"));
	start(&f);
	sippeer_udp(&first, &f.net, FIRST);
	sippeer_udp(&second, &f.net, SECOND);
	sip_send(f.endpoint, &invite, on_response, &f);
	sippeer_receive(&first);
	sippeer_answer(&first, "180 Ringing", "");
	sippeer_answer(&first, "503 Service Unavailable", "");
	expect_response(&f, 503);
	assert_false(sippeer_poll(&second));
	end(&f);
	sip_dialog_free(d);
	sippeer_close(&first);
	sippeer_close(&second);
}

static bool is_down(void *ctx)
{
	return strcmp(state_of(ctx, 0), "down") == 0;
}

static bool is_up(void *ctx)
{
	return strcmp(state_of(ctx, 0), "up") == 0;
}

/* The OPTIONS that asks whether somebody is there, and which answers say so. */
static void test_options(void **state)
{
	static const struct {
		const char *answer;
		bool alive;
	} rows[] = {
		{ "200 OK", true },
		{ "404 Not Found", true },
		{ "405 Method Not Allowed", true },
		{ "501 Not Implemented", true },
		{ "500 Server Error", false },
		{ "503 Service Unavailable", false },
		{ "603 Decline", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sippeer first;
		struct fixture f;

		begin(&f, HOP(FIRST, "udp"), NULL);
		f.config.sip.ping_ms = 1;
		f.config.sip.backoff_min_ms = f.config.sip.backoff_max_ms = 1;
		sippeer_udp(&first, &f.net, FIRST);
		start(&f);
		sippeer_receive(&first);
		assert_memory_equal(first.message.s, "OPTIONS sip:" FIRST ":5060;transport=udp SIP/2.0\r\n",
				    strlen("OPTIONS sip:" FIRST ":5060;transport=udp SIP/2.0\r\n"));
		assert_memory_equal(sip_field(first.message.s, "From"), "<sip:" OURS, strlen("<sip:" OURS));
		assert_string_equal(sip_field(first.message.s, "Max-Forwards"), "70");
		assert_string_equal(sip_field(first.message.s, "Content-Length"), "0");
		sippeer_answer(&first, rows[i].answer, "");
		if (!rows[i].alive)
			nettest_run(&f.net, is_down, &f);
		/* The next one tells that this one has ended. */
		sippeer_receive(&first);
		assert_string_equal(state_of(&f, 0), rows[i].alive ? "up" : "down");
		sippeer_answer(&first, "200 OK", "");
		nettest_run(&f.net, is_up, &f);
		end(&f);
		sippeer_close(&first);
	}
}

/* Ended with a ping under way. */
static void test_end_with_a_ping(void **state)
{
	struct sippeer first;
	struct fixture f;
	(void)state;

	begin(&f, HOP(FIRST, "tcp"), NULL);
	f.config.sip.ping_ms = 1;
	sippeer_listen(&first, &f.net, FIRST);
	start(&f);
	sippeer_receive(&first);
	end(&f);
	sippeer_close(&first);
}

/* The state of a connection from this address, in tcp_info's numbers, when the kernel has decided. */
static bool can_connect(struct fixture *f, const char *from)
{
	struct sockaddr_in local = { .sin_family = AF_INET },
			   ours = { .sin_family = AF_INET, .sin_port = htons(5060) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct tcp_info info;
	socklen_t size = sizeof(info);
	(void)f;

	assert_int_equal(inet_pton(AF_INET, from, &local.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, OURS, &ours.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	connect(fd, (struct sockaddr *)&ours, sizeof(ours));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	close(fd);
	return info.tcpi_state == TCP_ESTABLISHED;
}

static bool has_moved(void *ctx)
{
	struct fixture *f = ctx;
	json_t *status = sip_endpoint_status(f->endpoint);
	const char *peer = json_string_value(json_array_get(json_object_get(status, "peers"), 0));
	const bool moved = peer != NULL && strcmp(peer, SECOND) == 0;

	json_decref(status);
	return moved;
}

/* The pool's name gets another address: who was nobody is a peer now, and the other way round. */
static void test_peers_follow_dns(void **state)
{
	struct dns_config settings;
	const char *why = "";
	struct fixture f;
	(void)state;

	begin(&f, "sip:pool.test:5060;transport=tcp", NULL);
	settings = (struct dns_config){ .resolver = w.resolver,
					.transparent_zones = f.config.dns.transparent_zones.item,
					.transparent_count = 1,
					.timeout_ms = 20000 };
	assert_int_equal(dns_create(f.net.loop, &settings, &f.dns), OK);
	dnstest_hosts(&w, FIRST " pool.test\n");
	for (int i = 0; i < 1000 && try_start(&f, 1, &why) != OK; i++)
		;
	assert_non_null(f.endpoint);
	assert_true(can_connect(&f, FIRST));
	assert_false(can_connect(&f, SECOND));
	dnstest_hosts(&w, SECOND " pool.test\n");
	nettest_run(&f.net, has_moved, &f);
	assert_true(can_connect(&f, SECOND));
	assert_false(can_connect(&f, FIRST));
	end(&f);
}

static int group_setup(void **state)
{
	(void)state;
	dnstest_begin(&w, 34, "");
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	dnstest_end(&w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_goes_elsewhere),
		cmocka_unit_test(test_broken_is_not_sent_elsewhere),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_congestion),
		cmocka_unit_test(test_nobody_is_left),
		cmocka_unit_test(test_the_only_one),
		cmocka_unit_test(test_other_answers_stay),
		cmocka_unit_test(test_heard_is_not_sent_elsewhere),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_end_with_a_ping),
		cmocka_unit_test(test_peers_follow_dns),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
