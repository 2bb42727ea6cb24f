/*
 * socktest.c - the scene of socktest.h.
 */
#include "socktest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

struct socktest w;
const struct tls_peer as_server = { .server = true };
const struct tls_peer as_client = { .remote = "corp.test" };

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

	assert_int_equal(e->closed, 0);
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
	w.server.fd = fd;
	w.server.s = sock_accept(w.t.loop, fd, LIMIT, &ops, &w.server);
	if (w.server.on_accepted != NULL)
		w.server.on_accepted(&w.server);
}

void socktest_accept_all(void)
{
	w.watch = loop_fd_add(w.t.loop, w.listener, LOOP_READ, on_accept, NULL);
}

void socktest_listen(int rcvbuf)
{
	w.listener = nettest_listen("127.31.1.1", rcvbuf, &w.addr);
	socktest_accept_all();
}

void socktest_connect(const char *from)
{
	struct sockaddr_in bind_addr = { .sin_family = AF_INET };

	if (from != NULL)
		assert_int_equal(inet_pton(AF_INET, from, &bind_addr.sin_addr), 1);
	w.client.s = sock_connect(w.t.loop, (struct sockaddr *)&w.addr, sizeof(w.addr),
				  from != NULL ? (struct sockaddr *)&bind_addr : NULL, sizeof(bind_addr),
				  LIMIT, &ops, &w.client);
	assert_int_equal(w.client.connected + w.client.closed, 0);
}

int socktest_setup(void **state)
{
	char *folder = nettest_folder(), *certificate, *key;
	struct tls_settings settings = { .certificates = "", .ca = "" };
	const char *why;

	(void)state;
	memset(&w, 0, sizeof(w));
	w.raw = w.listener = -1;
	nettest_begin(&w.t);
	signal(SIGPIPE, SIG_DFL); /* whatever the loop's library made of it */
	sock_setup(w.t.loop);
	nettest_certificate(folder, "corp", KEY_EC, 0, 3600);
	certificate = nettest_path(folder, "corp.pem");
	key = nettest_path(folder, "corp.key");
	settings.certificate = certificate;
	settings.key = key;
	assert_int_equal(tls_create(&settings, &w.tls, &why), OK);
	free(certificate);
	free(key);
	nettest_remove(folder);
	return 0;
}

int socktest_teardown(void **state)
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
	strbuf_free(&w.raw_got);
	return 0;
}

void socktest_run(bool (*until)(void *ctx), void *ctx)
{
	nettest_run(&w.t, until, ctx);
}

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

static bool server_there(void *ctx)
{
	(void)ctx;
	return w.server.s != NULL;
}

static bool client_there(void *ctx)
{
	(void)ctx;
	return w.client.connected > 0;
}

void socktest_pair(bool tls, int rcvbuf)
{
	socktest_listen(rcvbuf);
	socktest_connect(NULL);
	socktest_run(both_there, NULL);
	if (!tls)
		return;
	sock_start_tls(w.server.s, w.tls, &as_server);
	sock_start_tls(w.client.s, w.tls, &as_client);
	socktest_run(both_secured, NULL);
}

void socktest_raw_client(void)
{
	socktest_listen(0);
	w.raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(w.raw, (struct sockaddr *)&w.addr, sizeof(w.addr)), 0);
	assert_int_equal(fcntl(w.raw, F_SETFL, O_NONBLOCK), 0);
	socktest_run(server_there, NULL);
}

void socktest_raw_server(int rcvbuf)
{
	socktest_listen(rcvbuf);
	loop_fd_remove(w.watch);
	w.watch = NULL;
	socktest_connect(NULL);
	socktest_run(client_there, NULL);
	w.raw = accept(w.listener, NULL, NULL);
	assert_true(w.raw >= 0);
	assert_int_equal(fcntl(w.raw, F_SETFL, O_NONBLOCK), 0);
}

void socktest_say(struct end *e, const char *text)
{
	assert_int_equal(sock_write(e->s, text, strlen(text)), OK);
}

void socktest_raw_read(void)
{
	char buf[65536];
	ssize_t n;

	while (w.raw_end == 0 && (n = recv(w.raw, buf, sizeof(buf), 0)) != -1) {
		strbuf_add(&w.raw_got, buf, (size_t)n);
		if (n == 0)
			w.raw_end = 1;
	}
	if (w.raw_end == 0 && errno != EAGAIN)
		w.raw_end = -errno;
}

void socktest_raw_send(const char *bytes, size_t n)
{
	assert_int_equal(send(w.raw, bytes, n, MSG_NOSIGNAL), n);
}

void socktest_raw_reset(void)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	assert_int_equal(setsockopt(w.raw, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(w.raw);
	w.raw = -1;
}

bool client_closed(void *ctx)
{
	(void)ctx;
	return w.client.closed > 0;
}

bool server_closed(void *ctx)
{
	(void)ctx;
	return w.server.closed > 0;
}

static bool is(const struct end *e, const char *text)
{
	return e->got.s != NULL && strcmp(e->got.s, text) == 0;
}

bool server_heard(void *text)
{
	return is(&w.server, text);
}

bool client_heard(void *text)
{
	return is(&w.client, text);
}

bool raw_ended(void *ctx)
{
	(void)ctx;
	socktest_raw_read();
	return w.raw_end != 0;
}

bool raw_heard(void *text)
{
	socktest_raw_read();
	return w.raw_got.s != NULL && strcmp(w.raw_got.s, text) == 0;
}

bool five_turns_later(void *ctx)
{
	(void)ctx;
	return ++w.turns % 5 == 0;
}

int socktest_waiting(int fd)
{
	int n;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}
