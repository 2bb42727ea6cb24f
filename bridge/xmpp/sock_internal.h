/*
 * sock_internal.h - what the two files of a connection share: sock.c, its life,
 * and sock_event.c, what the loop makes of it.
 */
#ifndef POOLBRIDGE_XMPP_SOCK_INTERNAL_H
#define POOLBRIDGE_XMPP_SOCK_INTERNAL_H

#include "bridge/xmpp/sock.h"
#include "bridge/xmpp/sock_fd.h"
#include "bridge/xmpp/sock_io.h"
#include "bridge/xmpp/sock_out.h"

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

/* sock.c */
void sock_update_watch(struct sock *s); /* state, paused or a blocked direction has changed */
void sock_set_state(struct sock *s, enum sock_state state);
void sock_mark_dirty(struct sock *s); /* it has something to do in the flush phase */
void sock_set_timer(struct sock *s, int64_t delay_ms);
/* The end of the connection, told to the caller. Afterwards s is but memory. */
void sock_end(struct sock *s, bool reset, const char *why);
/* The same from a place where no callback may come; the reason is in io.why. */
void sock_fail_later(struct sock *s);

/* sock_event.c */
void sock_on_event(void *ctx, unsigned events);
void sock_on_timer(void *ctx);
void sock_flush(struct sock *s); /* in the flush phase */

#endif
