/*
 * test_sock_end.c - how connections end: reset, half-closed, lingering, and
 * destroyed in every callback.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "socktest.h"

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

static int stuck_turns;

/* The kernel and our buffer are full, and stay so. */
static bool server_is_stuck(void *ctx)
{
	static char block[LIMIT];

	(void)ctx;
	if (sock_write(w.server.s, block, sizeof(block)) == ERR_LIMIT &&
	    sock_write(w.server.s, block, 1000) == ERR_LIMIT)
		stuck_turns++;
	else
		stuck_turns = 0;
	return stuck_turns == 5;
}

/* A server that has much to say to a peer that does not listen, and closes. How much in all. */
static uint64_t stuck_and_closing(int64_t linger_ms)
{
	const int small = 32768; /* the kernel says "full" when a third is free: that third must be small */
	uint64_t offset;

	socktest_raw_client();
	assert_int_equal(setsockopt(w.server.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	stuck_turns = 0;
	socktest_run(server_is_stuck, NULL);
	offset = sock_offset(w.server.s);
	sock_close(w.server.s, linger_ms);
	w.server.s = NULL;
	return offset;
}

/* One who neither reads nor closes keeps a closing socket no longer than asked. */
static void test_linger_is_bounded(void **state)
{
	(void)state;
	stuck_and_closing(20);
	socktest_run(server_fd_is_closed, NULL);
}

static size_t noise_sent;

static bool made_much_noise(void *ctx)
{
	static char noise[65536];
	const ssize_t n = send(w.raw, noise, sizeof(noise), MSG_NOSIGNAL);

	(void)ctx;
	if (n > 0)
		noise_sent += (size_t)n;
	return noise_sent > 16 * 1024 * 1024;
}

/* A peer that must have said all before it listens to us hears all of it. */
static void test_peer_speaks_before_it_listens(void **state)
{
	const uint64_t all = stuck_and_closing(LINGER_MS);

	(void)state;
	noise_sent = 0;
	socktest_run(made_much_noise, NULL);
	assert_true(nettest_is_quiet(&w.t)); /* all of it was read away */
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_end, 1);
	assert_int_equal(w.raw_got.len, all);
}

/* So does one whose FIN comes while we are still talking. */
static void test_half_close_while_we_talk(void **state)
{
	const uint64_t all = stuck_and_closing(LINGER_MS);

	(void)state;
	assert_int_equal(shutdown(w.raw, SHUT_WR), 0);
	assert_true(nettest_is_quiet(&w.t));
	socktest_run(raw_ended, NULL);
	assert_int_equal(w.raw_end, 1);
	assert_int_equal(w.raw_got.len, all);
	assert_false(fcntl(w.server.fd, F_GETFD) >= 0);
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

/* What lingers when the loop has ended is closed then: with all said, */
static void test_cleanup_while_draining(void **state)
{
	(void)state;
	socktest_raw_client();
	socktest_say(&w.server, "bye");
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
	socktest_run(raw_heard, "bye");
	assert_true(nettest_is_quiet(&w.t));
	assert_true(fcntl(w.server.fd, F_GETFD) >= 0);
	sock_cleanup(w.t.loop);
	assert_true(fcntl(w.server.fd, F_GETFD) < 0);
}

/* and with much still to say. */
static void test_cleanup_while_closing(void **state)
{
	(void)state;
	stuck_and_closing(LINGER_MS);
	assert_true(nettest_is_quiet(&w.t));
	assert_true(fcntl(w.server.fd, F_GETFD) >= 0);
	sock_cleanup(w.t.loop);
	assert_true(fcntl(w.server.fd, F_GETFD) < 0);
}

enum { LINGERING_MAX = 256, TOO_MANY = 3, CROWD = LINGERING_MAX + TOO_MANY };

static bool server_there(void *ctx)
{
	(void)ctx;
	return w.server.s != NULL;
}

/* One that connects, is told to go, and stays. */
static int one_of_a_crowd(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&w.addr, sizeof(w.addr)), 0);
	socktest_run(server_there, NULL);
	sock_close(w.server.s, LINGER_MS);
	w.server.s = NULL;
	return fd;
}

/* The first bytes to a descriptor that was closed bring a reset, of which the next ones learn. */
static bool is_listened_to(int fd)
{
	assert_int_equal(send(fd, "a", 1, MSG_NOSIGNAL), 1);
	return send(fd, "b", 1, MSG_NOSIGNAL) == 1;
}

/* Who breaks streams faster than these have lingered holds so many descriptors and no more: the newest. */
static void test_lingering_is_counted(void **state)
{
	int crowd[CROWD];

	(void)state;
	socktest_listen(0);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = one_of_a_crowd();
	assert_true(nettest_is_quiet(&w.t));
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(is_listened_to(crowd[i]), i >= TOO_MANY);
		close(crowd[i]);
	}
	/* The places of those that have gone are free. */
	assert_true(nettest_is_quiet(&w.t));
	crowd[0] = one_of_a_crowd();
	crowd[1] = one_of_a_crowd();
	assert_true(is_listened_to(crowd[0]));
	close(crowd[0]);
	close(crowd[1]);
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
		sock_start_tls(e->s, w.tls, &(struct tls_peer){ .remote = "corp.test" });
	else
		socktest_say(e, "hi");
}

static void life_accepted(struct end *e)
{
	if (life.tls)
		sock_start_tls(e->s, w.tls, &(struct tls_peer){ .server = true });
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reset),
		TEST(test_last_words_before_a_reset),
		TEST(test_half_close),
		TEST(test_half_close_and_answer),
		TEST(test_last_words_to_one_who_talks),
		TEST(test_linger_is_bounded),
		TEST(test_peer_speaks_before_it_listens),
		TEST(test_half_close_while_we_talk),
		TEST(test_linger_without_time),
		TEST(test_cleanup_while_draining),
		TEST(test_cleanup_while_closing),
		TEST(test_lingering_is_counted),
		TEST(test_dying_in_every_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
