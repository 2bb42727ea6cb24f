/*
 * test_sock.c - sockets in a real loop on loopback: connecting, transfers,
 * acknowledgement, back-pressure, and every kind of end. What is true of plain
 * and TLS alike runs as both.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/xmpp/sock_fd.h"
#include "socktest.h"

static bool plain = false, tls = true;

static bool is_tls(void **state)
{
	return *(const bool *)*state;
}

/* --- connecting --- */

static void test_there_and_back(void **state)
{
	char expected[64];

	(void)state;
	socktest_listen(0);
	socktest_connect("127.31.1.7");
	socktest_say(&w.client, "before the connection is there");
	socktest_run(server_heard, "before the connection is there");
	socktest_say(&w.server, "hello");
	socktest_run(client_heard, "hello");
	snprintf(expected, sizeof(expected), "127.31.1.1:%d", ntohs(w.addr.sin_port));
	assert_string_equal(sock_peer(w.client.s), expected);
	assert_memory_equal(sock_peer(w.server.s), "127.31.1.7:", strlen("127.31.1.7:"));
	assert_false(sock_is_tls(w.client.s));
	sock_tls_describe(w.client.s, expected, sizeof(expected));
	assert_string_equal(expected, "");
}

static void test_refused(void **state)
{
	(void)state;
	socktest_listen(0);
	loop_fd_remove(w.watch);
	w.watch = NULL;
	close(w.listener);
	w.listener = -1;
	socktest_connect(NULL);
	socktest_say(&w.client, "to nobody");
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "Connection refused");
	assert_int_equal(w.client.connected, 0);
	assert_int_equal(sock_offset(w.client.s), strlen("to nobody"));
	assert_int_equal(sock_acked(w.client.s), 0);
}

/* An address that is not ours to bind fails inside the call, and is told from the loop. */
static void test_fails_at_once(void **state)
{
	(void)state;
	socktest_listen(0);
	socktest_connect("192.0.2.1");
	socktest_say(&w.client, "to nobody");
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "Cannot assign requested address");
}

static void test_destroyed_or_closed_while_connecting(void **state)
{
	(void)state;
	socktest_listen(0);
	socktest_connect(NULL);
	sock_destroy(w.client.s);
	socktest_connect(NULL);
	socktest_say(&w.client, "never said");
	sock_close(w.client.s, LINGER_MS);
	socktest_connect("192.0.2.1");
	sock_destroy(w.client.s);
	w.client.s = NULL;
	socktest_run(server_closed, NULL);
	assert_int_equal(w.client.connected + w.client.closed, 0);
}

/*
 * A connection that takes its time: the listener's queue is full, and the SYN is sent again when
 * there is room. What was written meanwhile leaves then.
 */
static void test_slow_connection(void **state)
{
	const int first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	socktest_listen(0);
	assert_int_equal(listen(w.listener, 0), 0); /* room for one */
	loop_fd_remove(w.watch);
	w.watch = NULL;
	assert_int_equal(connect(first, (struct sockaddr *)&w.addr, sizeof(w.addr)), 0);
	socktest_connect(NULL);
	socktest_say(&w.client, "hello at last");
	assert_true(nettest_is_quiet(&w.t));
	assert_int_equal(w.client.connected, 0);
	assert_int_equal(sock_acked(w.client.s), 0);
	close(accept(w.listener, NULL, NULL));
	close(first);
	socktest_accept_all();
	socktest_run(server_heard, "hello at last");
}

/* The peer has gone before its connection is accepted. */
static void test_accepted_too_late(void **state)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	socktest_listen(0);
	assert_int_equal(connect(fd, (struct sockaddr *)&w.addr, sizeof(w.addr)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
	socktest_run(server_closed, NULL);
	assert_true(w.server.reset);
	assert_string_equal(w.server.why, "Connection reset by peer");
	assert_string_equal(sock_peer(w.server.s), "unknown");
}

static void test_names(void **state)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(5269) };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	char name[SOCK_PEER_SIZE];

	(void)state;
	six.sin6_addr = in6addr_loopback;
	sock_fd_name((struct sockaddr *)&six, sizeof(six), name);
	assert_string_equal(name, "[::1]:5269");
	sock_fd_name(&none, sizeof(none), name);
	assert_string_equal(name, "unknown");
}

/* --- transfers --- */

enum { TOTAL = 6 * 1024 * 1024, CHUNK = 30000, PAUSE_EVERY = 300 * 1024 };

static struct flow {
	struct end *from, *to;
	uint64_t sent, received, paused_at;
	bool paused, limited;
} up, down;

static char byte_at(uint64_t at)
{
	return (char)(at * 31 + (at >> 9));
}

static size_t on_flow(struct end *e, const char *bytes, size_t n)
{
	struct flow *f = e == up.to ? &up : &down;

	assert_false(f->paused);
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != byte_at(f->received + i))
			fail_msg("byte %llu is wrong", (unsigned long long)f->received + i);
	}
	f->received += n;
	strbuf_reset(&e->got);
	if (f->received - f->paused_at >= PAUSE_EVERY) {
		f->paused = true;
		f->paused_at = f->received;
		sock_pause(e->s, true);
	}
	return n;
}

/* Send as long as there is room; let a reader that paused go on. */
static void go_on(struct flow *f)
{
	char chunk[CHUNK];

	while (f->sent < TOTAL) {
		const size_t n = TOTAL - f->sent < CHUNK ? TOTAL - f->sent : CHUNK;

		for (size_t i = 0; i < n; i++)
			chunk[i] = byte_at(f->sent + i);
		if (sock_write(f->from->s, chunk, n) == ERR_LIMIT) {
			f->limited = true;
			break;
		}
		f->sent += n;
	}
	assert_int_equal(sock_offset(f->from->s), f->sent);
	if (f->paused) {
		f->paused = false;
		sock_pause(f->to->s, false);
	}
}

static bool all_arrived_and_acknowledged(void *ctx)
{
	(void)ctx;
	go_on(&up);
	go_on(&down);
	assert_true(sock_acked(w.client.s) <= sock_offset(w.client.s));
	return up.received == TOTAL && down.received == TOTAL && sock_acked(w.client.s) == TOTAL &&
	       sock_acked(w.server.s) == TOTAL;
}

/* Both ways at once, with readers that pause and a buffer that is smaller than what there is to say. */
static void test_transfer(void **state)
{
	socktest_pair(is_tls(state), 0);
	up = (struct flow){ .from = &w.client, .to = &w.server };
	down = (struct flow){ .from = &w.server, .to = &w.client };
	w.client.on_input = w.server.on_input = on_flow;
	socktest_run(all_arrived_and_acknowledged, NULL);
	assert_true(up.limited && down.limited);
}

static void test_limit(void **state)
{
	static char block[LIMIT];

	socktest_pair(is_tls(state), 0);
	assert_int_equal(sock_write(w.client.s, block, LIMIT + 1), ERR_LIMIT);
	assert_int_equal(sock_offset(w.client.s), 0);
	assert_int_equal(sock_write(w.client.s, block, LIMIT - 1), OK);
	assert_int_equal(sock_write(w.client.s, block, 2), ERR_LIMIT);
	assert_int_equal(sock_write(w.client.s, block, 1), OK);
	assert_int_equal(sock_write(w.client.s, block, 1), ERR_LIMIT);
	assert_int_equal(sock_write(w.client.s, block, 0), OK);
	assert_int_equal(sock_offset(w.client.s), LIMIT);
}

/* Nothing leaves before the flush phase of a turn. */
static void test_written_in_the_flush_phase(void **state)
{
	(void)state;
	socktest_raw_server(0);
	socktest_say(&w.client, "one");
	socktest_raw_read();
	assert_int_equal(w.raw_got.len, 0);
	socktest_say(&w.client, ", two");
	socktest_run(raw_heard, "one, two");
}

static bool input_waits_for_five_turns(void *ctx)
{
	int waiting = 0;

	assert_int_equal(ioctl(w.server.fd, FIONREAD, &waiting), 0);
	return waiting > 0 && five_turns_later(ctx);
}

/* A paused socket hears nothing, not even the end, and hears all of it afterwards. */
static void test_pause(void **state)
{
	socktest_pair(is_tls(state), 0);
	sock_pause(w.server.s, true);
	socktest_say(&w.client, "are you there?");
	sock_close(w.client.s, LINGER_MS);
	w.client.s = NULL;
	socktest_run(input_waits_for_five_turns, NULL);
	assert_true(nettest_is_quiet(&w.t));
	assert_int_equal(w.server.got.len, 0);
	assert_int_equal(w.server.closed, 0);
	sock_pause(w.server.s, false);
	socktest_run(server_closed, NULL);
	assert_string_equal(w.server.got.s, "are you there?");
	assert_false(w.server.reset);
}

/* A paused socket whose peer has reset must not keep the loop busy, and tells when written to. */
static void test_pause_and_reset(void **state)
{
	(void)state;
	socktest_raw_server(0);
	sock_pause(w.client.s, true);
	socktest_raw_send("unheard", 7);
	socktest_raw_reset();
	assert_true(nettest_is_quiet(&w.t));
	assert_int_equal(w.client.closed, 0);
	socktest_say(&w.client, "are you there?");
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_int_equal(w.client.got.len, 0);
}

/* --- acknowledgement --- */

static bool raw_heard_and_acked_the_block(void *ctx)
{
	(void)ctx;
	socktest_raw_read();
	assert_true(sock_acked(w.client.s) >= w.raw_got.len);
	return w.raw_got.len == LIMIT && sock_acked(w.client.s) == LIMIT;
}

static bool acked_what_raw_has(void *ctx)
{
	(void)ctx;
	return sock_acked(w.client.s) == (uint64_t)socktest_waiting(w.raw) && sock_acked(w.client.s) > 0;
}

static void write_a_block(void)
{
	static char block[LIMIT];

	assert_int_equal(sock_write(w.client.s, block, sizeof(block)), OK);
}

static void write_a_block_if_there_is_room(void)
{
	static char block[LIMIT];

	if (sock_write(w.client.s, block, sizeof(block)) != OK)
		assert_true(sock_offset(w.client.s) >= LIMIT);
}

/* A peer whose process never reads, but whose TCP takes what its buffer holds; then it resets. */
static void test_acked_by_a_peer_that_never_reads(void **state)
{
	uint64_t acked;

	(void)state;
	socktest_raw_server(4096);
	write_a_block();
	socktest_run(acked_what_raw_has, NULL);
	acked = (uint64_t)socktest_waiting(w.raw);
	assert_int_equal(sock_acked(w.client.s), acked);
	assert_true(acked < sock_offset(w.client.s) / 2);
	socktest_raw_reset();
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_int_equal(sock_acked(w.client.s), acked);
	assert_int_equal(sock_offset(w.client.s), LIMIT);
}

enum { SOME = 3000 };

static bool acked_some_and_what_raw_has(void *ctx)
{
	(void)ctx;
	return sock_acked(w.client.s) == SOME + (uint64_t)socktest_waiting(w.raw);
}

static void test_acked_by_a_peer_that_reads_some_and_resets(void **state)
{
	char some[SOME];
	uint64_t acked;

	(void)state;
	socktest_raw_server(4096);
	write_a_block();
	socktest_run(acked_what_raw_has, NULL);
	assert_int_equal(recv(w.raw, some, sizeof(some), 0), SOME);
	socktest_run(acked_some_and_what_raw_has, NULL);
	acked = SOME + (uint64_t)socktest_waiting(w.raw);
	socktest_raw_reset();
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_int_equal(sock_acked(w.client.s), acked);
	assert_true(acked < sock_offset(w.client.s) / 2);
}

static void test_acked_by_a_peer_that_reads_all_and_closes(void **state)
{
	(void)state;
	socktest_raw_server(0);
	write_a_block();
	socktest_run(raw_heard_and_acked_the_block, NULL);
	close(w.raw);
	w.raw = -1;
	socktest_run(client_closed, NULL);
	assert_false(w.client.reset);
	assert_int_equal(sock_acked(w.client.s), LIMIT);
}

/* Asked for the first time when all is over. */
static void test_acked_is_known_after_the_end(void **state)
{
	socktest_pair(is_tls(state), 0);
	socktest_say(&w.client, "twelve bytes");
	socktest_run(server_heard, "twelve bytes");
	sock_destroy(w.server.s);
	w.server.s = NULL;
	socktest_run(client_closed, NULL);
	assert_int_equal(sock_acked(w.client.s), 12);
	assert_int_equal(sock_offset(w.client.s), 12);
}

/* A peer that does not read costs no time: nobody asks the kernel again and again. */
static void test_stuck_is_quiet(void **state)
{
	socktest_pair(is_tls(state), 4096);
	assert_true(nettest_is_quiet(&w.t));
	sock_pause(w.server.s, true);
	for (int i = 0; i < 20; i++) {
		write_a_block_if_there_is_room();
		socktest_run(five_turns_later, NULL);
	}
	assert_true(nettest_is_quiet(&w.t));
	assert_true(sock_acked(w.client.s) < sock_offset(w.client.s));
}

enum { RECORD = 16384, RECORD_ON_WIRE = 5 + RECORD + 1 + 16 };

static uint64_t whole_records_at_server(void)
{
	return (uint64_t)(socktest_waiting(w.server.fd) / RECORD_ON_WIRE * RECORD);
}

static bool acked_what_server_has(void *ctx)
{
	(void)ctx;
	return sock_acked(w.client.s) == whole_records_at_server() && sock_acked(w.client.s) > 0;
}

/* Under TLS the same, in whole records; and the count outlives the reset. */
static void test_acked_under_tls(void **state)
{
	uint64_t acked;

	(void)state;
	socktest_pair(true, 64 * 1024);
	sock_pause(w.server.s, true);
	write_a_block();
	socktest_run(acked_what_server_has, NULL);
	acked = whole_records_at_server();
	assert_int_equal(sock_acked(w.client.s), acked);
	assert_true(acked < LIMIT);
	sock_destroy(w.server.s); /* with unread input: a reset */
	w.server.s = NULL;
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_int_equal(sock_acked(w.client.s), acked);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, socktest_setup, socktest_teardown)
#define TEST_BOTH(f)                                                                                         \
	{ #f, f, socktest_setup, socktest_teardown, &plain },                                                \
	{                                                                                                    \
#f "_tls", f, socktest_setup, socktest_teardown, &tls                                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_refused),
		TEST(test_fails_at_once),
		TEST(test_destroyed_or_closed_while_connecting),
		TEST(test_slow_connection),
		TEST(test_accepted_too_late),
		TEST(test_names),
		TEST_BOTH(test_transfer),
		TEST_BOTH(test_limit),
		TEST(test_written_in_the_flush_phase),
		TEST_BOTH(test_pause),
		TEST(test_pause_and_reset),
		TEST(test_acked_by_a_peer_that_never_reads),
		TEST(test_acked_by_a_peer_that_reads_some_and_resets),
		TEST(test_acked_by_a_peer_that_reads_all_and_closes),
		TEST(test_acked_under_tls),
		TEST_BOTH(test_acked_is_known_after_the_end),
		TEST_BOTH(test_stuck_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
