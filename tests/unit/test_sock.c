/*
 * test_sock.c - sockets in a real loop on loopback: two of ours against each
 * other, and ours against a plain descriptor that behaves badly.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/xmpp/sock.h"
#include "nettest.h"

enum { LIMIT = 256 * 1024, LINGER_MS = 30000 };

struct end {
	struct sock *s;
	struct strbuf got;
	int connected, secured, closed;
	bool reset;
	char why[128];
	/* What a test wants done in a callback; may be NULL. */
	void (*on_connected)(struct end *e);
	void (*on_secured)(struct end *e);
	size_t (*on_input)(struct end *e, const char *bytes, size_t n);
	void (*on_closed)(struct end *e);
};

static struct {
	struct nettest t;
	struct tls *tls;
	int listener;
	struct sockaddr_in addr;
	struct loop_fd *watch;
	struct end client, server;
	int raw; /* a peer without a sock, or -1 */
} w;

static void cb_connected(void *ctx)
{
	struct end *e = ctx;

	e->connected++;
	if (e->on_connected != NULL)
		e->on_connected(e);
}

static void cb_secured(void *ctx)
{
	struct end *e = ctx;

	e->secured++;
	if (e->on_secured != NULL)
		e->on_secured(e);
}

static size_t cb_input(void *ctx, const char *bytes, size_t n)
{
	struct end *e = ctx;

	strbuf_add(&e->got, bytes, n);
	return e->on_input != NULL ? e->on_input(e, bytes, n) : n;
}

static void cb_closed(void *ctx, bool reset, const char *why)
{
	struct end *e = ctx;

	e->closed++;
	e->reset = reset;
	snprintf(e->why, sizeof(e->why), "%s", why);
	if (e->on_closed != NULL)
		e->on_closed(e);
}

static const struct sock_ops ops = { cb_connected, cb_secured, cb_input, cb_closed };

static void on_accept(void *ctx, unsigned events)
{
	const int fd = accept(w.listener, NULL, NULL);

	(void)ctx;
	(void)events;
	assert_true(fd >= 0);
	w.server.s = sock_accept(w.t.loop, fd, LIMIT, &ops, &w.server);
}

/* rcvbuf: of what the listener accepts. */
static void listen_with(int rcvbuf)
{
	w.listener = nettest_listen("127.31.1.1", rcvbuf, &w.addr);
	w.watch = loop_fd_add(w.t.loop, w.listener, LOOP_READ, on_accept, NULL);
}

static void connect_to(const char *from)
{
	struct sockaddr_in bind_addr = { .sin_family = AF_INET };

	if (from != NULL)
		assert_int_equal(inet_pton(AF_INET, from, &bind_addr.sin_addr), 1);
	w.client.s = sock_connect(w.t.loop, (struct sockaddr *)&w.addr, sizeof(w.addr),
				  from != NULL ? (struct sockaddr *)&bind_addr : NULL, sizeof(bind_addr),
				  LIMIT, &ops, &w.client);
	assert_int_equal(w.client.connected + w.client.closed, 0);
}

static int setup(void **state)
{
	char *folder = nettest_folder(), *certificate, *key;
	const char *why;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.raw = w.listener = -1;
	nettest_begin(&w.t);
	sock_setup(w.t.loop);
	nettest_certificate(folder, "corp", KEY_EC, 0, 3600);
	certificate = nettest_path(folder, "corp.pem");
	key = nettest_path(folder, "corp.key");
	assert_int_equal(tls_create(certificate, key, &w.tls, &why), OK);
	free(certificate);
	free(key);
	nettest_remove(folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sock_destroy(w.client.s);
	sock_destroy(w.server.s);
	sock_cleanup(w.t.loop);
	loop_fd_remove(w.watch);
	if (w.listener >= 0)
		close(w.listener);
	if (w.raw >= 0)
		close(w.raw);
	tls_destroy(w.tls);
	nettest_end(&w.t);
	strbuf_free(&w.client.got);
	strbuf_free(&w.server.got);
	return 0;
}

static void say(struct end *e, const char *text)
{
	assert_int_equal(sock_write(e->s, text, strlen(text)), OK);
}

static bool is(const struct end *e, const char *text)
{
	return e->got.s != NULL && strcmp(e->got.s, text) == 0;
}

/* --- conditions --- */

static bool both_there(void *ctx)
{
	(void)ctx;
	return w.client.connected > 0 && w.server.s != NULL;
}

static bool both_secured(void *ctx)
{
	(void)ctx;
	return w.client.secured > 0 && w.server.secured > 0;
}

static bool client_closed(void *ctx)
{
	(void)ctx;
	return w.client.closed > 0;
}

static bool server_closed(void *ctx)
{
	(void)ctx;
	return w.server.closed > 0;
}

static bool server_heard(void *ctx)
{
	return is(&w.server, ctx);
}

static bool client_heard(void *ctx)
{
	return is(&w.client, ctx);
}

static void pair(void)
{
	listen_with(0);
	connect_to(NULL);
	nettest_run(&w.t, both_there, NULL);
}

static void secure_pair(void)
{
	pair();
	sock_start_tls(w.server.s, w.tls, NULL);
	sock_start_tls(w.client.s, w.tls, "corp.test");
	nettest_run(&w.t, both_secured, NULL);
}

/* --- connecting --- */

static void test_refused(void **state)
{
	(void)state;
	listen_with(0);
	loop_fd_remove(w.watch);
	w.watch = NULL;
	close(w.listener);
	w.listener = -1;
	connect_to(NULL);
	nettest_run(&w.t, client_closed, NULL);
	assert_true(w.client.reset);
	assert_string_equal(w.client.why, "Connection refused");
	assert_int_equal(w.client.connected, 0);
}

static void test_there_and_back(void **state)
{
	char expected[64];

	(void)state;
	listen_with(0);
	connect_to("127.31.1.7");
	say(&w.client, "before the connection is there");
	nettest_run(&w.t, server_heard, "before the connection is there");
	say(&w.server, "hello");
	nettest_run(&w.t, client_heard, "hello");
	snprintf(expected, sizeof(expected), "127.31.1.1:%d", ntohs(w.addr.sin_port));
	assert_string_equal(sock_peer(w.client.s), expected);
	assert_memory_equal(sock_peer(w.server.s), "127.31.1.7:", strlen("127.31.1.7:"));
	say(&w.client, ", bye");
	sock_close(w.client.s, LINGER_MS);
	w.client.s = NULL;
	nettest_run(&w.t, server_closed, NULL);
	assert_string_equal(w.server.got.s, "before the connection is there, bye");
	assert_false(w.server.reset);
	assert_int_equal(w.server.closed, 1);
	assert_int_equal(w.client.closed, 0);
}

static void test_tls_there_and_back(void **state)
{
	char words[128];

	(void)state;
	secure_pair();
	say(&w.client, "hello");
	nettest_run(&w.t, server_heard, "hello");
	sock_tls_describe(w.client.s, words, sizeof(words));
	assert_memory_equal(words, "TLSv1.3 ", strlen("TLSv1.3 "));
	sock_close(w.client.s, LINGER_MS);
	w.client.s = NULL;
	nettest_run(&w.t, server_closed, NULL);
	assert_false(w.server.reset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tls_there_and_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
