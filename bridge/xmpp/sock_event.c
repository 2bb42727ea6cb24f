/*
 * sock_event.c - what the loop makes of a connection: its events, its timer, and
 * the writing at the end of the turn.
 *
 * All callbacks of a socket come from here. Nothing here is fatal.
 */
#include "bridge/xmpp/sock_internal.h"

#include <errno.h>
#include <string.h>

enum {
	INPUT_SIZE = 16 * 1024, /* a TLS record fits, so none is left inside OpenSSL after a read */
	READS_PER_EVENT = 4     /* then the others have their turn */
};

/* For every read of every socket: what is read is used before the next read. */
static char input_buffer[INPUT_SIZE];

/* --- reading --- */

/* Hand over what was read. False: the socket has ended, one way or another. */
static bool feed(struct sock *s, size_t got)
{
	const size_t used = s->ops->input(s->ctx, input_buffer, got);

	if (s->state >= SOCK_CLOSING)
		return false;
	if (used < got) {
		sock_end(s, true, "clear text behind the element that starts TLS");
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
			sock_end(s, false, "closed by the peer");
			return;
		}
		if (r == IO_FAILED) {
			sock_end(s, true, s->io.why);
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
	sock_update_watch(s);
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
		sock_update_watch(s);
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
	sock_end(s, true, why);
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
			sock_update_watch(s);
			return false;
		}
		if (r != IO_OK) {
			sock_fail_later(s);
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
	sock_set_state(s, SOCK_HANDSHAKE);
}

static void say_goodbye(struct sock *s)
{
	const enum io_result r = sock_io_finish(&s->io);

	if (r == IO_AGAIN) {
		s->write_blocked = true;
		sock_update_watch(s);
	} else if (r != IO_OK || s->peer_ended) {
		sock_destroy(s);
	} else {
		sock_set_state(s, SOCK_DRAINING);
	}
}

void sock_flush(struct sock *s)
{
	if (s->state != SOCK_OPEN && s->state != SOCK_SWITCHING && s->state != SOCK_CLOSING)
		return;
	if (s->state == SOCK_CLOSING && s->timer == NULL)
		sock_set_timer(s, s->linger_ms);
	if (!write_output(s))
		return;
	if (s->state == SOCK_SWITCHING)
		begin_handshake(s);
	else if (s->state == SOCK_CLOSING)
		say_goodbye(s);
}

/* --- events --- */

static void finish_connect(struct sock *s, unsigned events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		sock_end(s, true, strerror(error));
	} else if ((events & LOOP_WRITE) != 0) {
		s->readable = true;
		sock_set_state(s, SOCK_OPEN);
		if (sock_out_left(&s->out) > 0)
			sock_mark_dirty(s);
		s->ops->connected(s->ctx);
	}
}

static void go_on_with_handshake(struct sock *s)
{
	const enum io_result r = sock_io_handshake(&s->io);

	if (r == IO_AGAIN) {
		sock_update_watch(s);
	} else if (r != IO_OK) {
		sock_end(s, true, r == IO_END ? "TLS: closed during the handshake" : s->io.why);
	} else {
		s->secured = true;
		sock_set_state(s, SOCK_OPEN);
		if (sock_out_left(&s->out) > 0)
			sock_mark_dirty(s);
		s->ops->secured(s->ctx);
	}
}

/* SOCK_OPEN, SOCK_SWITCHING, SOCK_CLOSING */
static void transfer(struct sock *s, unsigned events)
{
	if ((events & LOOP_WRITE) != 0)
		s->write_blocked = false; /* the flush phase tries again; no more events until then */
	if (!s->write_blocked && (sock_out_left(&s->out) > 0 || s->state == SOCK_CLOSING))
		sock_mark_dirty(s);
	if (s->state == SOCK_OPEN && ((events & LOOP_READ) != 0 || s->read_blocked))
		read_input(s);
	else if (s->state == SOCK_CLOSING && (events & LOOP_READ) != 0 && !s->peer_ended)
		read_rest(s);
	else
		sock_update_watch(s);
}

void sock_on_event(void *ctx, unsigned events)
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

void sock_on_timer(void *ctx)
{
	struct sock *s = ctx;

	if (s->state == SOCK_FAILED)
		tell_failure(s);
	else
		sock_destroy(s); /* lingered long enough */
}
