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

static bool raw_heard(void *text)
{
	socktest_raw_read();
	return w.raw_got.s != NULL && strcmp(w.raw_got.s, text) == 0;
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

static int turns;

static bool five_turns_later(void *ctx)
{
	(void)ctx;
	return ++turns == 5;
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
	turns = 0;
	socktest_run(input_waits_for_five_turns, NULL);
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
	socktest_say(&w.client, "are you there?");
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_int_equal(w.client.got.len, 0);
}

/* --- acknowledgement --- */

static int waiting_at(int fd)
{
	int n;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

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
	return sock_acked(w.client.s) == (uint64_t)waiting_at(w.raw) && sock_acked(w.client.s) > 0;
}

static void write_a_block(void)
{
	static char block[LIMIT];

	assert_int_equal(sock_write(w.client.s, block, sizeof(block)), OK);
}

/* A peer whose process never reads, but whose TCP takes what its buffer holds; then it resets. */
static void test_acked_by_a_peer_that_never_reads(void **state)
{
	uint64_t acked;

	(void)state;
	socktest_raw_server(4096);
	write_a_block();
	socktest_run(acked_what_raw_has, NULL);
	acked = (uint64_t)waiting_at(w.raw);
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
	return sock_acked(w.client.s) == SOME + (uint64_t)waiting_at(w.raw);
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
	acked = SOME + (uint64_t)waiting_at(w.raw);
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

enum { RECORD = 16384, RECORD_ON_WIRE = 5 + RECORD + 1 + 16 };

static uint64_t whole_records_at_server(void)
{
	return (uint64_t)(waiting_at(w.server.fd) / RECORD_ON_WIRE * RECORD);
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

/* --- ends --- */

static void test_reset(void **state)
{
	(void)state;
	socktest_raw_server(0);
	socktest_raw_reset();
	socktest_run(client_closed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "Connection reset by peer");
	assert_int_equal(w.client.closed, 1);
}

static void reset_and_write(void *ctx)
{
	(void)ctx;
	socktest_raw_send("last words", 10);
	socktest_raw_reset();
	socktest_say(&w.client, "too late");
}

/*
 * The write fails before the reading side has had its event (a timer runs between events and
 * flush): what the peer has said is heard all the same.
 */
static void test_last_words_before_a_reset(void **state)
{
	struct loop_timer *timer;

	(void)state;
	socktest_raw_server(0);
	timer = loop_timer_create(w.t.loop, reset_and_write, NULL);
	loop_timer_set(timer, 0);
	socktest_run(client_closed, NULL);
	loop_timer_destroy(timer);
	assert_true(w.client.reset);
	assert_string_equal(w.client.got.s, "last words");
	assert_int_equal(sock_acked(w.client.s), 0);
}

static void test_half_close(void **state)
{
	(void)state;
	socktest_raw_client();
	socktest_raw_send("that is all", 11);
	assert_int_equal(shutdown(w.raw, SHUT_WR), 0);
	socktest_run(server_closed, NULL);
	assert_false(w.server.reset);
	assert_string_equal(w.server.got.s, "that is all");
}

static size_t answer_and_close(struct end *e, const char *bytes, size_t n)
{
	static char block[LIMIT];

	(void)bytes;
	assert_int_equal(sock_write(e->s, block, sizeof(block)), OK);
	sock_close(e->s, LINGER_MS);
	e->s = NULL;
	return n;
}

/* A peer that is done speaking still hears all of the answer. */
static void test_half_close_and_answer(void **state)
{
	(void)state;
	socktest_raw_client();
	w.server.on_input = answer_and_close;
	socktest_raw_send("that is all", 11);
	assert_int_equal(shutdown(w.raw, SHUT_WR), 0);
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_end, 1);
	assert_int_equal(w.raw_got.len, LIMIT);
	assert_int_equal(w.server.closed, 0);
}

/* With input unread, close() alone would reset the connection, and with it our last words. */
static void test_last_words_to_one_who_talks(void **state)
{
	static char noise[100000];

	(void)state;
	socktest_raw_client();
	sock_pause(w.server.s, true);
	socktest_raw_send(noise, sizeof(noise));
	socktest_say(&w.server, "</stream:stream>");
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
	socktest_run(raw_heard, "</stream:stream>");
	socktest_raw_send(noise, sizeof(noise)); /* and goes on talking */
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_end, 1);
	assert_string_equal(w.raw_got.s, "</stream:stream>");
}

static bool server_fd_is_closed(void *ctx)
{
	(void)ctx;
	return fcntl(w.server.fd, F_GETFD) < 0;
}

static bool server_is_stuck(void *ctx)
{
	static char block[LIMIT];
	const uint64_t before = sock_offset(w.server.s);

	(void)ctx;
	if (sock_write(w.server.s, block, sizeof(block)) == ERR_LIMIT &&
	    sock_write(w.server.s, block, 1000) == ERR_LIMIT)
		turns++;
	else
		turns = 0;
	assert_true(sock_offset(w.server.s) >= before);
	return turns == 5;
}

/* One who neither reads nor closes keeps a closing socket no longer than asked. */
static void test_linger_is_bounded(void **state)
{
	(void)state;
	socktest_raw_client();
	turns = 0;
	socktest_run(server_is_stuck, NULL);
	sock_close(w.server.s, 20);
	w.server.s = NULL;
	socktest_run(server_fd_is_closed, NULL);
}

static void test_linger_without_time(void **state)
{
	(void)state;
	socktest_raw_client();
	socktest_say(&w.server, "bye");
	sock_close(w.server.s, 0);
	w.server.s = NULL;
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_end, 1);
	assert_string_equal(w.raw_got.s, "bye");
}

/* What lingers when the loop ends is freed by sock_cleanup() in the teardown: with all said, */
static void test_cleanup_while_draining(void **state)
{
	(void)state;
	socktest_raw_client();
	socktest_say(&w.server, "bye");
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
	socktest_run(raw_heard, "bye");
	assert_true(fcntl(w.server.fd, F_GETFD) >= 0);
}

/* and with much still to say. */
static void test_cleanup_while_closing(void **state)
{
	(void)state;
	socktest_raw_client();
	turns = 0;
	socktest_run(server_is_stuck, NULL);
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
	socktest_raw_send("x", 1);
	turns = 0;
	socktest_run(five_turns_later, NULL);
	assert_true(fcntl(w.server.fd, F_GETFD) >= 0);
}

/* --- destroying from callbacks --- */

enum moment { AT_CONNECTED, AT_SECURED, AT_INPUT, AT_CLOSED, MOMENTS };

/* One life: connect, switch to TLS or not, "hi", "ho", close; somebody dies at the client's moment. */
static struct life {
	enum moment moment;
	bool tls, politely, both;
} life;

static void kill_end(struct end *e)
{
	struct sock *s = e->s;

	e->s = NULL;
	if (s != NULL && life.politely && e->closed == 0)
		sock_close(s, LINGER_MS);
	else
		sock_destroy(s);
}

static bool dies_at(enum moment moment)
{
	if (life.moment != moment)
		return false;
	kill_end(&w.client);
	if (life.both)
		kill_end(&w.server);
	return true;
}

static void life_connected(struct end *e)
{
	if (dies_at(AT_CONNECTED))
		return;
	if (life.tls)
		sock_start_tls(e->s, w.tls, &as_client);
	else
		socktest_say(e, "hi");
}

static void life_accepted(struct end *e)
{
	if (life.tls)
		sock_start_tls(e->s, w.tls, &as_server);
}

static void life_secured(struct end *e)
{
	if (!dies_at(AT_SECURED))
		socktest_say(e, "hi");
}

static size_t life_answer(struct end *e, const char *bytes, size_t n)
{
	(void)bytes;
	socktest_say(e, "ho");
	sock_close(e->s, LINGER_MS);
	e->s = NULL;
	return n;
}

static size_t life_heard(struct end *e, const char *bytes, size_t n)
{
	(void)e;
	(void)bytes;
	(void)dies_at(AT_INPUT);
	return n;
}

static void life_closed(struct end *e)
{
	(void)e;
	(void)dies_at(AT_CLOSED);
}

static bool all_is_quiet(void *ctx)
{
	(void)ctx;
	return (w.client.s == NULL || w.client.closed > 0) && (w.server.s == NULL || w.server.closed > 0);
}

static void live(void)
{
	socktest_listen(0);
	socktest_connect(NULL);
	w.server.on_accepted = life_accepted;
	w.server.on_input = life_answer;
	w.client.on_connected = life_connected;
	w.client.on_secured = life_secured;
	w.client.on_input = life_heard;
	w.client.on_closed = life_closed;
	socktest_run(all_is_quiet, NULL);
	if (life.moment != AT_CLOSED)
		assert_int_equal(w.client.closed, 0);
}

static void test_dying_in_every_callback(void **state)
{
	for (int i = 0; i < MOMENTS * 8; i++) {
		life = (struct life){
			.moment = (enum moment)(i / 8), .tls = i & 1, .politely = i & 2, .both = i & 4
		};
		if (life.moment == AT_SECURED && !life.tls)
			continue;
		live();
		socktest_teardown(state);
		socktest_setup(state);
	}
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
		TEST(test_reset),
		TEST(test_last_words_before_a_reset),
		TEST(test_half_close),
		TEST(test_half_close_and_answer),
		TEST(test_last_words_to_one_who_talks),
		TEST(test_linger_is_bounded),
		TEST(test_linger_without_time),
		TEST(test_cleanup_while_draining),
		TEST(test_cleanup_while_closing),
		TEST(test_dying_in_every_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
