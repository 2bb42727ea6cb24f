/*
 * sock.c - the life of a connection: connecting, the switch to TLS, closing with
 * patience, and what is known of it meanwhile.
 *
 * Does no XMPP, keeps no time but that of lingering, and leaves what the loop
 * tells to sock_event.c, bytes on the wire and their acknowledgement to sock_io.c,
 * buffers of output to sock_out.c. An object belongs to its creator until
 * sock_close() or sock_destroy(); a lingering one belongs to this module. Memory
 * goes through loop_retire(), descriptors at once.
 *
 * A failure that shows outside of an event (at creation, in the flush) is kept
 * and told from a timer, so that no callback comes from inside a call and none
 * in the flush phase. Fatal: a socket before sock_setup().
 */
#include "bridge/xmpp/sock_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "bridge/xmpp/tls_internal.h"

enum { LINGERING_MAX = 256 /* no limit on streams counts these, so this one does */ };

/* One loop a process, so one list each. */
static struct {
	struct loop *loop;
	struct sock *dirty;     /* have something to do in the flush phase */
	struct sock *lingering; /* the oldest first */
	size_t lingering_count;
} hub;

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
void sock_update_watch(struct sock *s)
{
	const unsigned events = s->io.fd >= 0 ? interest(s) : 0;

	if (events == 0) {
		loop_fd_remove(s->watch);
		s->watch = NULL;
	} else if (s->watch == NULL) {
		s->watch = loop_fd_add(s->loop, s->io.fd, events, sock_on_event, s);
	} else {
		loop_fd_set(s->watch, events);
	}
}

void sock_set_state(struct sock *s, enum sock_state state)
{
	s->state = state;
	sock_update_watch(s);
}

void sock_mark_dirty(struct sock *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	DL_APPEND2(hub.dirty, s, prev_dirty, next_dirty);
}

void sock_set_timer(struct sock *s, int64_t delay_ms)
{
	if (s->timer == NULL)
		s->timer = loop_timer_create(s->loop, sock_on_timer, s);
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
	sock_set_state(s, SOCK_CLOSED);
	loop_timer_destroy(s->timer);
	s->timer = NULL;
	SSL_free(s->next);
	s->next = NULL;
	sock_io_close(&s->io);
	sock_out_free(&s->out);
}

void sock_end(struct sock *s, bool reset, const char *why)
{
	if (!reset)
		(void)sock_io_notify(&s->io);
	release(s);
	s->ops->closed(s->ctx, reset, why);
}

void sock_fail_later(struct sock *s)
{
	if (s->state >= SOCK_CLOSING) {
		sock_destroy(s);
		return;
	}
	sock_set_state(s, SOCK_FAILED);
	sock_set_timer(s, 0);
}

static void fail_later_because(struct sock *s, const char *why)
{
	snprintf(s->io.why, sizeof(s->io.why), "%s", why);
	sock_fail_later(s);
}

/* --- the interface --- */

static void on_flush(void *ctx)
{
	(void)ctx;
	while (hub.dirty != NULL) {
		struct sock *s = hub.dirty;

		DL_DELETE2(hub.dirty, s, prev_dirty, next_dirty);
		s->dirty = false;
		sock_flush(s);
	}
}

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
		sock_set_state(s, SOCK_CONNECTING);
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
		sock_set_state(s, SOCK_OPEN);
	return s;
}

enum err sock_write(struct sock *s, const void *bytes, size_t n)
{
	if (n > s->out_limit - sock_out_left(&s->out))
		return ERR_LIMIT;
	sock_out_add(&s->out, bytes, n);
	s->offset += n;
	if (!s->write_blocked)
		sock_mark_dirty(s);
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
	sock_set_state(s, SOCK_SWITCHING);
	if (!s->write_blocked)
		sock_mark_dirty(s);
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
		sock_update_watch(s);
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
	sock_set_state(s, SOCK_CLOSING);
	/* Set when the first attempt to write is made: no time at all must still be time for that one. */
	s->linger_ms = linger_ms;
	sock_mark_dirty(s);
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
