/*
 * sock_io.h - private to sock.c: the transport under a socket, plain or TLS,
 * behind one table of operations.
 */
#ifndef POOLBRIDGE_XMPP_SOCK_IO_H
#define POOLBRIDGE_XMPP_SOCK_IO_H

#include <openssl/ssl.h>

#include "bridge/xmpp/ackmarks.h"

enum io_result {
	IO_OK,
	IO_AGAIN, /* wait for the events in want */
	IO_END,   /* the peer's orderly end */
	IO_FAILED /* why says how; only sock_io_close() may follow under TLS */
};

struct sock_io_ops;

struct sock_io {
	const struct sock_io_ops *ops;
	int fd;        /* -1: none, or closed */
	unsigned want; /* LOOP_READ, LOOP_WRITE: after IO_AGAIN */
	SSL *ssl;      /* NULL: plain */
	BIO *wire;     /* the socket under ssl, owned by it */
	uint64_t plain_written;
	uint64_t written; /* application bytes the kernel has taken */
	uint64_t acked;   /* as last seen; final once the descriptor is closed */
	struct ackmarks marks;
	char why[96];
};

void sock_io_init(struct sock_io *io, int fd);
enum io_result sock_io_read(struct sock_io *io, void *buf, size_t size, size_t *got);
enum io_result sock_io_write(struct sock_io *io, const void *bytes, size_t n, size_t *put);
/* Read the descriptor past TLS and drop what comes. */
enum io_result sock_io_discard(struct sock_io *io, void *buf, size_t size);

/* From here on the operations are those of TLS. Takes ssl. */
void sock_io_secure(struct sock_io *io, SSL *ssl);
enum io_result sock_io_handshake(struct sock_io *io);

enum io_result sock_io_notify(struct sock_io *io); /* close_notify (under TLS) */
/* The same, then FIN, which the kernel counts as a byte in its queue: no sock_io_acked() after it. */
enum io_result sock_io_finish(struct sock_io *io);
uint64_t sock_io_acked(struct sock_io *io);
void sock_io_close(struct sock_io *io);

#endif
