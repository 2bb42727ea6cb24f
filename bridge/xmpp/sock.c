/*
 * sock.c - the life of a connection: connecting, reading, writing at the end
 * of the turn, the switch to TLS, closing with patience.
 *
 * Does no XMPP, keeps no time but that of lingering, and leaves bytes on the
 * wire and their acknowledgement to sock_io.c, buffers of output to sock_out.c.
 * An object belongs to its creator until sock_close() or sock_destroy(); a lingering one belongs to
 * this module. Memory goes through loop_retire(), descriptors at once.
 *
 * A failure that shows outside of an event (at creation, in the flush) is kept
 * and told from a timer, so that no callback comes from inside a call and none
 * in the flush phase. Fatal: a socket before sock_setup().
 */
#include "bridge/xmpp/sock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "bridge/xmpp/sock_fd.h"
#include "bridge/xmpp/sock_io.h"
#include "bridge/xmpp/sock_out.h"
#include "bridge/xmpp/tls_internal.h"

enum {
	INPUT_SIZE = 16 * 1024, /* a TLS record fits, so none is left inside OpenSSL after a read */
	READS_PER_EVENT = 4,    /* then the others have their turn */
	LINGERING_MAX = 256     /* no limit on streams counts these, so this one does */
};

enum sock_state {
	SOCK_CONNECTING,
	SOCK_OPEN,      /* plain or TLS */
	SOCK_SWITCHING, /* TLS was asked for, clear text is still leaving; nothing is read */
	SOCK_HANDSHAKE,
	SOCK_FAILED,   /* closed() is on its way */
	SOCK_CLOSING,  /* by us: output is still leaving; from here on no callbacks */
	SOCK_DRAINING, /* FIN is sent, the peer's is awaited */
	SOCK_CLOSED
};

struct sock {
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *timer; /* made when needed: to bound lingering, or to tell a failure */
	const struct sock_ops *ops;
	void *ctx;
	enum sock_state state;
	struct sock_io io;
	struct sock_out out;
	size_t out_limit;
	size_t clear_left; /* SOCK_SWITCHING: bytes of out that leave in clear text */
	SSL *next;         /* SOCK_SWITCHING: the session to come */
	uint64_t offset;
	int64_t linger_ms;
	bool paused;
	bool write_blocked; /* the kernel is full */
	bool read_blocked;  /* reading waits until TLS can write */
	bool readable;      /* the connection was there once */
	bool secured;       /* the handshake was finished once */
	bool peer_ended;    /* SOCK_CLOSING: nothing more to read */
	bool dirty;
	struct sock *prev_dirty, *next_dirty;
	struct sock *prev_lingering, *next_lingering;
	char peer[SOCK_PEER_SIZE];
};

/* One loop a process, so one list each. */
static struct {
	struct loop *loop;
	struct sock *dirty;     /* have something to do in the flush phase */
	struct sock *lingering; /* the oldest first */
	size_t lingering_count;
} hub;

/* For every read of every socket: what is read is used before the next read. */
static char input_buffer[INPUT_SIZE];

static void on_event(void *ctx, unsigned events);
static void on_timer(void *ctx);

static unsigned interest(const struct sock *s)
{
	const unsigned write = s->write_blocked ? LOOP_WRITE : 0;

	switch (s->state) {
	case SOCK_CONNECTING:
		return LOOP_WRITE;
	case SOCK_OPEN:
		if (s->paused)
			return write;
		return write | (s->read_blocked ? LOOP_WRITE : LOOP_READ);
	case SOCK_SWITCHING:
		return write;
	case SOCK_HANDSHAKE:
		return s->io.want;
	case SOCK_CLOSING:
		return write | (s->peer_ended ? 0 : LOOP_READ);
	case SOCK_DRAINING:
		return LOOP_READ;
	case SOCK_FAILED:
	case SOCK_CLOSED:
		break;
	}
	return 0;
}

/*
 * Nothing to wait for means no registration at all: the kernel reports a hang-up of a registered
 * descriptor for ever, asked for or not.
 */
static void update_watch(struct sock *s)
{
	const unsigned events = s->io.fd >= 0 ? interest(s) : 0;

	if (events == 0) {
		loop_fd_remove(s->watch);
		s->watch = NULL;
	} else if (s->watch == NULL) {
		s->watch = loop_fd_add(s->loop, s->io.fd, events, on_event, s);
	} else {
		loop_fd_set(s->watch, events);
	}
}

static void set_state(struct sock *s, enum sock_state state)
{
	s->state = state;
	update_watch(s);
}

static void mark_dirty(struct sock *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	DL_APPEND2(hub.dirty, s, prev_dirty, next_dirty);
}

static void set_timer(struct sock *s, int64_t delay_ms)
{
	if (s->timer == NULL)
		s->timer = loop_timer_create(s->loop, on_timer, s);
	loop_timer_set(s->timer, delay_ms);
}

/* Let go of all but the memory and the counts. */
static void release(struct sock *s)
{
	if (s->state == SOCK_CLOSING || s->state == SOCK_DRAINING) {
		DL_DELETE2(hub.lingering, s, prev_lingering, next_lingering);
		hub.lingering_count--;
	}
	if (s->dirty)
		DL_DELETE2(hub.dirty, s, prev_dirty, next_dirty);
	s->dirty = false;
	set_state(s, SOCK_CLOSED);
	loop_timer_destroy(s->timer);
	s->timer = NULL;
	SSL_free(s->next);
	s->next = NULL;
	sock_io_close(&s->io);
	sock_out_free(&s->out);
}

/* The end of the connection, told to the caller. Afterwards s is but memory. */
static void end(struct sock *s, bool reset, const char *why)
{
	if (!reset)
		(void)sock_io_notify(&s->io);
	release(s);
	s->ops->closed(s->ctx, reset, why);
}

/* The same from a place where no callback may come; the reason is in io.why. */
static void fail_later(struct sock *s)
{
	if (s->state >= SOCK_CLOSING) {
		sock_destroy(s);
		return;
	}
	set_state(s, SOCK_FAILED);
	set_timer(s, 0);
}

static void fail_later_because(struct sock *s, const char *why)
{
	snprintf(s->io.why, sizeof(s->io.why), "%s", why);
	fail_later(s);
}

/* --- reading --- */

/* Hand over what was read. False: the socket has ended, one way or another. */
static bool feed(struct sock *s, size_t got)
{
	const size_t used = s->ops->input(s->ctx, input_buffer, got);

	if (s->state >= SOCK_CLOSING)
		return false;
	if (used < got) {
		end(s, true, "clear text behind the element that starts TLS");
		return false;
	}
	return true;
}

static void read_input(struct sock *s)
{
	s->read_blocked = false;
	for (int i = 0; i < READS_PER_EVENT && s->state == SOCK_OPEN && !s->paused; i++) {
		size_t got;
		const enum io_result r = sock_io_read(&s->io, input_buffer, sizeof(input_buffer), &got);

		if (r == IO_END) {
			end(s, false, "closed by the peer");
			return;
		}
		if (r == IO_FAILED) {
			end(s, true, s->io.why);
			return;
		}
		if (r == IO_AGAIN) {
			s->read_blocked = (s->io.want & LOOP_WRITE) != 0;
			break;
		}
		if (!feed(s, got))
			return;
		/* That was all there is; should more have come meanwhile, epoll says so. */
		if (s->io.ssl == NULL && got < sizeof(input_buffer))
			break;
	}
	update_watch(s);
}

/* After sock_close(): what still comes is of no use to anybody. */
static void read_rest(struct sock *s)
{
	enum io_result r = IO_OK;

	for (int i = 0; i < READS_PER_EVENT && r == IO_OK; i++)
		r = sock_io_discard(&s->io, input_buffer, sizeof(input_buffer));
	if (r == IO_FAILED || (r == IO_END && s->state == SOCK_DRAINING)) {
		sock_destroy(s);
	} else if (r == IO_END) {
		s->peer_ended = true;
		update_watch(s);
	}
}

/*
 * A write has failed. What the peer said before it went away is still in the kernel, and may be
 * stanzas that it believes delivered; OpenSSL allows no reading after a failure.
 */
static void tell_failure(struct sock *s)
{
	char why[sizeof(s->io.why)];
	size_t got;

	memcpy(why, s->io.why, sizeof(why));
	while (s->readable && s->io.ssl == NULL && !s->paused &&
	       sock_io_read(&s->io, input_buffer, sizeof(input_buffer), &got) == IO_OK) {
		if (!feed(s, got))
			return;
	}
	end(s, true, why);
}

/* --- writing, in the flush phase --- */

/* False: not all could be written. */
static bool write_output(struct sock *s)
{
	size_t n, put;

	while ((n = s->state == SOCK_SWITCHING ? s->clear_left : sock_out_left(&s->out)) > 0) {
		const enum io_result r = sock_io_write(&s->io, sock_out_next(&s->out), n, &put);

		if (r == IO_AGAIN) {
			s->write_blocked = (s->io.want & LOOP_WRITE) != 0;
			sock_out_settle(&s->out);
			update_watch(s);
			return false;
		}
		if (r != IO_OK) {
			fail_later(s);
			return false;
		}
		sock_out_written(&s->out, put);
		if (s->state == SOCK_SWITCHING)
			s->clear_left -= put;
	}
	sock_out_settle(&s->out);
	return true;
}

static void begin_handshake(struct sock *s)
{
	sock_io_secure(&s->io, s->next);
	s->next = NULL;
	s->io.want = LOOP_READ | LOOP_WRITE; /* an event at once: callbacks come from there only */
	set_state(s, SOCK_HANDSHAKE);
}

static void say_goodbye(struct sock *s)
{
	const enum io_result r = sock_io_finish(&s->io);

	if (r == IO_AGAIN) {
		s->write_blocked = true;
		update_watch(s);
	} else if (r != IO_OK || s->peer_ended) {
		sock_destroy(s);
	} else {
		set_state(s, SOCK_DRAINING);
	}
}

static void flush(struct sock *s)
{
	if (s->state != SOCK_OPEN && s->state != SOCK_SWITCHING && s->state != SOCK_CLOSING)
		return;
	if (s->state == SOCK_CLOSING && s->timer == NULL)
		set_timer(s, s->linger_ms);
	if (!write_output(s))
		return;
	if (s->state == SOCK_SWITCHING)
		begin_handshake(s);
	else if (s->state == SOCK_CLOSING)
		say_goodbye(s);
}

static void on_flush(void *ctx)
{
	(void)ctx;
	while (hub.dirty != NULL) {
		struct sock *s = hub.dirty;

		DL_DELETE2(hub.dirty, s, prev_dirty, next_dirty);
		s->dirty = false;
		flush(s);
	}
}

/* --- events --- */

static void finish_connect(struct sock *s, unsigned events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		end(s, true, strerror(error));
	} else if ((events & LOOP_WRITE) != 0) {
		s->readable = true;
		set_state(s, SOCK_OPEN);
		if (sock_out_left(&s->out) > 0)
			mark_dirty(s);
		s->ops->connected(s->ctx);
	}
}

static void go_on_with_handshake(struct sock *s)
{
	const enum io_result r = sock_io_handshake(&s->io);

	if (r == IO_AGAIN) {
		update_watch(s);
	} else if (r != IO_OK) {
		end(s, true, r == IO_END ? "TLS: closed during the handshake" : s->io.why);
	} else {
		s->secured = true;
		set_state(s, SOCK_OPEN);
		if (sock_out_left(&s->out) > 0)
			mark_dirty(s);
		s->ops->secured(s->ctx);
	}
}

/* SOCK_OPEN, SOCK_SWITCHING, SOCK_CLOSING */
static void transfer(struct sock *s, unsigned events)
{
	if ((events & LOOP_WRITE) != 0)
		s->write_blocked = false; /* the flush phase tries again; no more events until then */
	if (!s->write_blocked && (sock_out_left(&s->out) > 0 || s->state == SOCK_CLOSING))
		mark_dirty(s);
	if (s->state == SOCK_OPEN && ((events & LOOP_READ) != 0 || s->read_blocked))
		read_input(s);
	else if (s->state == SOCK_CLOSING && (events & LOOP_READ) != 0 && !s->peer_ended)
		read_rest(s);
	else
		update_watch(s);
}

static void on_event(void *ctx, unsigned events)
{
	struct sock *s = ctx;

	switch (s->state) {
	case SOCK_CONNECTING:
		finish_connect(s, events);
		break;
	case SOCK_HANDSHAKE:
		go_on_with_handshake(s);
		break;
	case SOCK_OPEN:
	case SOCK_SWITCHING:
	case SOCK_CLOSING:
		transfer(s, events);
		break;
	case SOCK_DRAINING:
		read_rest(s);
		break;
	case SOCK_FAILED:
	case SOCK_CLOSED:
		break;
	}
}

static void on_timer(void *ctx)
{
	struct sock *s = ctx;

	if (s->state == SOCK_FAILED)
		tell_failure(s);
	else
		sock_destroy(s); /* lingered long enough */
}

/* --- the interface --- */

void sock_setup(struct loop *loop)
{
	/* MSG_NOSIGNAL serves plain connections; OpenSSL writes with write(2). */
	signal(SIGPIPE, SIG_IGN);
	hub.loop = loop;
	loop_phase_add(loop, LOOP_FLUSH, on_flush, NULL);
}

void sock_cleanup(struct loop *loop)
{
	if (hub.loop != loop)
		return;
	while (hub.lingering != NULL)
		sock_destroy(hub.lingering);
	sock_out_cleanup();
	hub.loop = NULL;
}

static struct sock *new_sock(struct loop *loop, int fd, size_t output_limit, const struct sock_ops *ops,
			     void *ctx)
{
	struct sock *s = xcalloc(1, sizeof(*s));

	if (loop != hub.loop)
		abort();
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->out_limit = output_limit;
	sock_io_init(&s->io, fd);
	return s;
}

struct sock *sock_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
			  const struct sockaddr *bind_addr, socklen_t bind_len, size_t output_limit,
			  const struct sock_ops *ops, void *ctx)
{
	const int fd = sock_fd_connect(addr, len, bind_addr, bind_len);
	const int error = fd < 0 ? errno : 0;
	struct sock *s = new_sock(loop, fd, output_limit, ops, ctx);

	sock_fd_name(addr, len, s->peer);
	if (error != 0)
		fail_later_because(s, strerror(error));
	else
		set_state(s, SOCK_CONNECTING);
	return s;
}

struct sock *sock_accept(struct loop *loop, int fd, size_t output_limit, const struct sock_ops *ops,
			 void *ctx)
{
	struct sock *s = new_sock(loop, fd, output_limit, ops, ctx);

	sock_fd_name_peer(fd, s->peer);
	s->readable = true;
	if (sock_fd_adopt(fd) < 0)
		fail_later_because(s, strerror(errno));
	else
		set_state(s, SOCK_OPEN);
	return s;
}

enum err sock_write(struct sock *s, const void *bytes, size_t n)
{
	if (n > s->out_limit - sock_out_left(&s->out))
		return ERR_LIMIT;
	sock_out_add(&s->out, bytes, n);
	s->offset += n;
	if (!s->write_blocked)
		mark_dirty(s);
	return OK;
}

void sock_start_tls(struct sock *s, const struct tls *tls, const struct tls_peer *peer)
{
	if (s->state >= SOCK_FAILED)
		return;
	if (s->state != SOCK_OPEN || s->io.ssl != NULL) {
		fail_later_because(s, "TLS was to begin twice, or before the connection was there");
		return;
	}
	s->next = tls_session(tls, peer);
	s->clear_left = sock_out_left(&s->out);
	set_state(s, SOCK_SWITCHING);
	if (!s->write_blocked)
		mark_dirty(s);
}

bool sock_is_tls(const struct sock *s)
{
	return s->secured;
}

const char *sock_tls_sni(const struct sock *s)
{
	return s->secured && s->io.ssl != NULL && SSL_is_server(s->io.ssl)
		       ? SSL_get_servername(s->io.ssl, TLSEXT_NAMETYPE_host_name)
		       : NULL;
}

void sock_certificate(const struct sock *s, const char *domain, struct certificate_report *out)
{
	if (s->secured && s->io.ssl != NULL)
		tls_report(s->io.ssl, domain, out);
	else
		*out = (struct certificate_report){ .trust = CERTIFICATE_NONE, .why = "there is no TLS" };
}

void sock_tls_describe(const struct sock *s, char *out, size_t size)
{
	if (s->secured && s->io.ssl != NULL)
		snprintf(out, size, "%s %s", SSL_get_version(s->io.ssl), SSL_get_cipher_name(s->io.ssl));
	else
		snprintf(out, size, "%s", "");
}

uint64_t sock_offset(const struct sock *s)
{
	return s->offset;
}

uint64_t sock_sent(const struct sock *s)
{
	return s->io.written;
}

uint64_t sock_acked(struct sock *s)
{
	return sock_io_acked(&s->io);
}

void sock_pause(struct sock *s, bool paused)
{
	s->paused = paused;
	if (s->state == SOCK_OPEN)
		update_watch(s);
}

const char *sock_peer(const struct sock *s)
{
	return s->peer;
}

void sock_close(struct sock *s, int64_t linger_ms)
{
	if (s->state != SOCK_OPEN) {
		sock_destroy(s); /* nothing was said yet, or nothing can be said any more */
		return;
	}
	/* One who opens streams and breaks them fast must not hold a descriptor for each. */
	if (hub.lingering_count == LINGERING_MAX)
		sock_destroy(hub.lingering);
	DL_APPEND2(hub.lingering, s, prev_lingering, next_lingering);
	hub.lingering_count++;
	set_state(s, SOCK_CLOSING);
	/* Set when the first attempt to write is made: no time at all must still be time for that one. */
	s->linger_ms = linger_ms;
	mark_dirty(s);
}

void sock_abort(struct sock *s)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (s->state != SOCK_CLOSED)
		(void)setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	sock_destroy(s);
}

void sock_destroy(struct sock *s)
{
	if (s == NULL)
		return;
	if (s->state != SOCK_CLOSED)
		release(s);
	loop_retire(s->loop, free, s);
}
