/*
 * end.c - see end.h: the loop of the playing ends.
 *
 * epoll, non-blocking sockets, TLS by OpenSSL where it is asked for. A black hole is
 * deaf sockets (end_socket.c), and nothing is written meanwhile. Refused is: connections
 * are reset, and nobody listens.
 *
 * Owns connections; they are freed at the end of the turn in which they died. Any
 * failure that is not a peer's ends the program.
 */
#include "bench/end.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "bench/end_note.h"
#include "bench/end_socket.h"
#include "bench/meter.h"
#include "bench/pace.h"

enum { TURN_MS = 5, READ_SIZE = 65536, EVENTS = 64, CUT_READ = 137 };

enum away { HERE, REFUSING, BLACK_HOLE };

static struct {
	int epoll;
	bool is_sparse;
	struct connection *connections, *touched;
	unsigned ids;
	int listener; /* -1: none */
	struct sockaddr_in address;
	void (*accepted)(struct connection *c);
	enum away away;
	int64_t away_until;
	bool cutting, over;
	char command[256];
	size_t command_size;
} end = { .listener = -1 };

_Noreturn void end_usage(const char *text, int status)
{
	fputs(text, status == 0 ? stdout : stderr);
	exit(status);
}

_Noreturn void end_fail(const char *what)
{
	perror(what);
	exit(1);
}

int64_t end_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool end_is_away(void)
{
	return end.away != HERE;
}

/* --- connections --- */

static void watch(const struct connection *c, int operation)
{
	struct epoll_event e = { .events = EPOLLIN | (c->wants_write || c->connecting ? EPOLLOUT : 0U),
				 .data.ptr = (void *)(uintptr_t)c };

	if (epoll_ctl(end.epoll, operation, c->fd, &e) != 0)
		end_fail("epoll_ctl");
}

void end_touch(struct connection *c)
{
	if (c->touched)
		return;
	c->touched = true;
	c->next_touched = end.touched;
	end.touched = c;
}

static struct connection *add(int fd, bool inbound)
{
	struct connection *c = xcalloc(1, sizeof(*c));
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	c->inbound = inbound;
	c->connecting = !inbound;
	c->id = ++end.ids;
	DL_APPEND(end.connections, c);
	watch(c, EPOLL_CTL_ADD);
	end_touch(c);
	return c;
}

struct connection *end_connect(const struct sockaddr_in *to, const struct sockaddr_in *from,
			       const struct connection_ops *ops, void *owner)
{
	bool refused;
	struct connection *c = add(socket_connect(to, from, &refused), false);

	c->dead = refused;
	c->ops = ops;
	c->owner = owner;
	return c;
}

struct connection *end_datagrams(const struct sockaddr_in *at, const struct sockaddr_in *to,
				 const struct connection_ops *ops)
{
	struct connection *c = add(socket_datagrams(at, to), true);

	c->ops = ops;
	c->datagrams = true;
	return c;
}

static void start_listening(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	end.listener = socket_listen(&end.address);
	if (epoll_ctl(end.epoll, EPOLL_CTL_ADD, end.listener, &e) != 0)
		end_fail("epoll_ctl");
}

void end_listen(const struct sockaddr_in *address, void (*accepted)(struct connection *c))
{
	end.address = *address;
	end.accepted = accepted;
}

static void accept_all(void)
{
	int fd;

	while ((fd = accept4(end.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		end.accepted(add(fd, true));
}

void end_start_tls(struct connection *c, SSL_CTX *context)
{
	c->tls_next = context;
}

void end_close(struct connection *c)
{
	c->dead = true;
}

static void reset(struct connection *c)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	c->dead = true;
}

static void bury(struct connection *c)
{
	DL_DELETE(end.connections, c);
	if (c->ops && c->ops->ended)
		c->ops->ended(c);
	SSL_free(c->ssl);
	close(c->fd);
	strbuf_free(&c->in);
	strbuf_free(&c->out);
	free(c);
}

/* --- bytes --- */

static ssize_t tls_result(struct connection *c, int n)
{
	int why = SSL_get_error(c->ssl, n);

	if (n > 0)
		return n;
	c->wants_write = why == SSL_ERROR_WANT_WRITE;
	errno = EAGAIN;
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t get(struct connection *c, char *data, size_t size)
{
	return c->ssl ? tls_result(c, SSL_read(c->ssl, data, (int)size)) : recv(c->fd, data, size, 0);
}

static ssize_t put(struct connection *c, const char *data, size_t size)
{
	if (c->ssl)
		return tls_result(c, SSL_write(c->ssl, data, size > READ_SIZE ? READ_SIZE : (int)size));
	return send(c->fd, data, c->datagrams ? c->ops->next(data, size) : size, MSG_NOSIGNAL);
}

static void shake_hands(struct connection *c)
{
	ssize_t n = tls_result(c, SSL_do_handshake(c->ssl));

	if (n == 0)
		c->dead = true;
	if (n <= 0)
		return;
	c->handshaking = false;
	end_touch(c); /* this may be the end of the turn */
	c->ops->ready(c);
}

static void begin_tls(struct connection *c)
{
	c->ssl = SSL_new(c->tls_next);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		end_fail("TLS");
	if (c->inbound)
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	c->tls_next = NULL;
	c->handshaking = true;
	shake_hands(c);
}

static void take(struct connection *c)
{
	static char data[READ_SIZE];
	size_t used;
	ssize_t n;

	do {
		n = get(c, data, end.cutting ? CUT_READ : sizeof(data));
		if (n < 0 && (errno == EAGAIN || errno == EINTR || (c->datagrams && errno == ECONNREFUSED)))
			return;
		if (n <= 0) {
			c->dead = true;
			return;
		}
		strbuf_add(&c->in, data, (size_t)n);
		used = c->ops->input(c, c->in.s, c->in.len);
		strbuf_consume(&c->in, used);
		if (end.cutting)
			reset(c);
	} while (!c->dead && !c->handshaking && (c->ssl || c->datagrams));
}

static void on_event(struct connection *c, unsigned events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (c->connecting) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error != 0) {
			c->dead = true;
			return;
		}
		c->connecting = false;
		c->ops->ready(c);
		watch(c, EPOLL_CTL_MOD);
	}
	if (c->handshaking)
		shake_hands(c);
	if (!c->dead && !c->handshaking && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		take(c);
}

static void give(struct connection *c)
{
	bool wanted = c->wants_write;
	size_t size = end.cutting ? c->out.len / 2 : c->out.len, done = 0;
	ssize_t n = 0;

	while (done < size && !c->connecting && (n = put(c, c->out.s + done, size - done)) > 0)
		done += (size_t)n;
	strbuf_consume(&c->out, done);
	if (end.cutting) {
		reset(c);
		return;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR && !(c->datagrams && errno == ECONNREFUSED))
		c->dead = true;
	c->wants_write = c->out.len > 0;
	if (c->wants_write != wanted && !c->dead)
		watch(c, EPOLL_CTL_MOD);
}

/* --- away --- */

static void go_away(enum away how, double seconds)
{
	struct connection *c;

	end.away = how;
	end.away_until = end_now() + (int64_t)(seconds * 1e6);
	DL_FOREACH (end.connections, c) {
		if (how == REFUSING)
			reset(c);
		else
			socket_drop_all(c->fd, true);
	}
	if (end.listener < 0)
		return;
	if (how == BLACK_HOLE) {
		socket_drop_all(end.listener, true);
	} else {
		close(end.listener);
		end.listener = -1;
	}
}

static void come_back(void)
{
	struct connection *c;

	if (end.away == BLACK_HOLE) {
		DL_FOREACH (end.connections, c)
			socket_drop_all(c->fd, false);
		if (end.listener >= 0)
			socket_drop_all(end.listener, false);
	}
	end.away = HERE;
	if (end.listener < 0 && end.accepted)
		start_listening();
}

/* --- commands --- */

static void say_status(const struct end_setup *setup)
{
	struct strbuf line = { 0 };

	setup->status(&line);
	printf("{\"sent\": %llu, \"acknowledged\": %llu, \"errors\": %llu, \"unknown\": %llu, \"got\": "
	       "%llu%s}\n",
	       notes_count(NOTE_SENT), notes_count(NOTE_ACKED), notes_count(NOTE_ERROR),
	       notes_count(NOTE_UNKNOWN), notes_count(NOTE_GOT), line.s);
	fflush(stdout);
	strbuf_free(&line);
}

/* What events point to that are no connection's. */
static char commands, due, room;

static void watch_also(int fd, void *what)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = what };

	if (epoll_ctl(end.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		end_fail("standard input must be a pipe");
}

/* Only the end that sends is to be woken. */
static void start(uint64_t count)
{
	static bool is_watched;

	if (meter_is_open()) {
		if (!is_watched)
			watch_also(meter_descriptor(), &room);
		is_watched = true;
		meter_begin();
	}
	pace_start(count);
}

static void obey(const struct end_setup *setup, const char *line)
{
	unsigned long long count;
	double seconds, rate;

	if (strcmp(line, "start") == 0) {
		start(PACE_WITHOUT_END);
	} else if (sscanf(line, "start %llu", &count) == 1) {
		start(count);
	} else if (strcmp(line, "stop") == 0) {
		pace_stop();
	} else if (strcmp(line, "status") == 0) {
		say_status(setup);
	} else if (strcmp(line, "cut") == 0) {
		end.cutting = true;
	} else if (sscanf(line, "rate %lf", &rate) == 1) {
		pace_set_rate(rate);
	} else if (sscanf(line, "refuse %lf", &seconds) == 1) {
		go_away(REFUSING, seconds);
	} else if (sscanf(line, "blackhole %lf", &seconds) == 1) {
		go_away(BLACK_HOLE, seconds);
	} else if (!setup->command || !setup->command(line)) {
		end.over = true;
	}
}

static void read_commands(const struct end_setup *setup)
{
	ssize_t n = read(STDIN_FILENO, end.command + end.command_size,
			 sizeof(end.command) - end.command_size - 1);
	char *line = end.command, *eol;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end.over = true;
		return;
	}
	end.command_size += (size_t)n;
	end.command[end.command_size] = '\0';
	while ((eol = strchr(line, '\n')) != NULL) {
		*eol = '\0';
		obey(setup, line);
		line = eol + 1;
	}
	end.command_size -= (size_t)(line - end.command);
	memmove(end.command, line, end.command_size);
}

/* --- the loop --- */

/* So many were to be sent, and nothing of them is under way any more. */
static void say_result(void)
{
	if (meter_is_open() && pace_has_finished() && meter_is_done()) {
		pace_forget();
		meter_say();
	}
}

static void wait_events(const struct end_setup *setup)
{
	struct epoll_event events[EVENTS];
	int n;

	if (end.away == BLACK_HOLE) {
		poll(&(struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN }, 1, TURN_MS);
		read_commands(setup);
		return;
	}
	n = epoll_wait(end.epoll, events, EVENTS, TURN_MS);
	for (int i = 0; i < n; i++) {
		struct connection *c = events[i].data.ptr;

		if (events[i].data.ptr == &commands)
			read_commands(setup);
		else if (events[i].data.ptr == &room)
			meter_awake();
		else if (events[i].data.ptr == &due)
			continue; /* pace_make() looks by itself */
		else if (c == NULL)
			accept_all();
		else {
			end_touch(c);
			if (!c->dead)
				on_event(c, events[i].events);
		}
	}
}

static void finish(struct connection *c)
{
	if (!c->dead && end.away != BLACK_HOLE && (end.cutting || c->out.len > 0))
		give(c);
	if (c->tls_next && c->out.len == 0 && !c->dead)
		begin_tls(c);
	if (c->dead)
		bury(c);
}

static void finish_turn(void)
{
	struct connection *c, *next;

	notes_write();
	while ((c = end.touched) != NULL) {
		end.touched = c->next_touched;
		c->touched = false;
		if (end.is_sparse)
			finish(c);
	}
	if (!end.is_sparse)
		DL_FOREACH_SAFE (end.connections, c, next)
			finish(c);
	end.cutting = false;
	notes_write(); /* what the dead have left behind */
	if (meter_is_open())
		meter_turn();
}

void end_run(const struct end_setup *setup)
{
	signal(SIGPIPE, SIG_IGN);
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	end.is_sparse = setup->is_sparse;
	end.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (end.epoll < 0)
		end_fail("epoll");
	notes_open(setup->log);
	pace_set_rate(setup->rate);
	watch_also(STDIN_FILENO, &commands);
	watch_also(pace_open(), &due);
	if (end.accepted)
		start_listening();
	puts("ready");
	fflush(stdout);
	while (!end.over) {
		wait_events(setup);
		if (end.away != HERE && end_now() >= end.away_until)
			come_back();
		if (end.away == HERE)
			setup->turn();
		pace_make(setup->send);
		finish_turn();
		say_result();
	}
	while (end.connections)
		bury(end.connections);
	notes_close();
	pace_close();
	close(end.epoll);
}
