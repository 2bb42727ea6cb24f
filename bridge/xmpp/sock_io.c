/*
 * sock_io.c - reading and writing a non-blocking descriptor, plain or through
 * OpenSSL, and counting what the peer's TCP has acknowledged.
 *
 * The count: bytes given to the kernel less those in its send queue (SIOCOUTQ,
 * which keeps its meaning after a reset until the descriptor is closed). Under
 * TLS the kernel counts records, and ackmarks.c translates.
 *
 * Knows nothing of loops, buffers or callbacks. Nothing here is fatal.
 */
#include "bridge/xmpp/sock_io.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "bridge/core/loop.h"

struct sock_io_ops {
	enum io_result (*read)(struct sock_io *io, void *buf, size_t size, size_t *got);
	enum io_result (*write)(struct sock_io *io, const void *bytes, size_t n, size_t *put);
	enum io_result (*notify)(struct sock_io *io); /* say that no more will come, before FIN */
};

/* What errno means after a call that failed and would wait for event. */
static enum io_result plain_failure(struct sock_io *io, unsigned event)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		io->want = event;
		return IO_AGAIN;
	}
	snprintf(io->why, sizeof(io->why), "%s", strerror(errno));
	return IO_FAILED;
}

static enum io_result plain_read(struct sock_io *io, void *buf, size_t size, size_t *got)
{
	ssize_t n;

	do
		n = recv(io->fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return plain_failure(io, LOOP_READ);
	*got = (size_t)n;
	return n > 0 ? IO_OK : IO_END;
}

static enum io_result plain_write(struct sock_io *io, const void *bytes, size_t n, size_t *put)
{
	ssize_t done;

	do
		done = send(io->fd, bytes, n, MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return plain_failure(io, LOOP_WRITE);
	io->plain_written += (uint64_t)done;
	*put = (size_t)done;
	return IO_OK;
}

static enum io_result plain_notify(struct sock_io *io)
{
	(void)io;
	return IO_OK;
}

static const struct sock_io_ops plain_ops = { plain_read, plain_write, plain_notify };

/* Words for OpenSSL's first complaint. */
static void explain(struct sock_io *io, unsigned long code)
{
	const int reason = ERR_GET_REASON(code);
	const char *words = ERR_reason_error_string(code);

	if (code == 0 || words == NULL)
		snprintf(io->why, sizeof(io->why), "TLS: failed");
	else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		snprintf(io->why, sizeof(io->why), "TLS: closed without close_notify");
	else if (reason == SSL_R_CALLBACK_FAILED) /* the only one that fails, in tls.c */
		snprintf(io->why, sizeof(io->why), "TLS: there is no certificate for the name asked for");
	else if (reason == SSL_R_WRONG_VERSION_NUMBER)
		snprintf(io->why, sizeof(io->why), "TLS: what the peer sent is not TLS");
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
		snprintf(io->why, sizeof(io->why), "TLS: the peer says: %s",
			 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
	else
		snprintf(io->why, sizeof(io->why), "TLS: %s", words);
}

/* What OpenSSL means by a result that is not success; errno is still that of the call. */
static enum io_result tls_failure(struct sock_io *io, int result)
{
	int saved = errno;

	switch (SSL_get_error(io->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		io->want = LOOP_READ;
		return IO_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		io->want = LOOP_WRITE;
		return IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return IO_END;
	case SSL_ERROR_SYSCALL:
		snprintf(io->why, sizeof(io->why), "%s", saved != 0 ? strerror(saved) : "TLS: cut off");
		return IO_FAILED;
	default:
		break;
	}
	explain(io, ERR_peek_error());
	return IO_FAILED;
}

/* OpenSSL judges a result by what is in its error queue and in errno. */
static void forget_errors(void)
{
	ERR_clear_error();
	errno = 0;
}

static enum io_result tls_read(struct sock_io *io, void *buf, size_t size, size_t *got)
{
	int ok;

	forget_errors();
	ok = SSL_read_ex(io->ssl, buf, size, got);
	return ok ? IO_OK : tls_failure(io, ok);
}

static enum io_result tls_write(struct sock_io *io, const void *bytes, size_t n, size_t *put)
{
	int ok;

	forget_errors();
	ok = SSL_write_ex(io->ssl, bytes, n, put);
	if (!ok)
		return tls_failure(io, ok);
	if (ackmarks_full(&io->marks))
		sock_io_acked(io);
	ackmarks_add(&io->marks, io->written + *put, io->plain_written + BIO_number_written(io->wire));
	return IO_OK;
}

static enum io_result tls_notify(struct sock_io *io)
{
	int done;

	if (!SSL_is_init_finished(io->ssl))
		return IO_OK;
	forget_errors();
	done = SSL_shutdown(io->ssl); /* 0: sent, theirs has not come yet; FIN tells us enough */
	return done >= 0 ? IO_OK : tls_failure(io, done);
}

static const struct sock_io_ops tls_ops = { tls_read, tls_write, tls_notify };

void sock_io_init(struct sock_io *io, int fd)
{
	*io = (struct sock_io){ .ops = &plain_ops, .fd = fd };
}

enum io_result sock_io_read(struct sock_io *io, void *buf, size_t size, size_t *got)
{
	return io->ops->read(io, buf, size, got);
}

enum io_result sock_io_write(struct sock_io *io, const void *bytes, size_t n, size_t *put)
{
	enum io_result r = io->ops->write(io, bytes, n, put);

	if (r == IO_OK)
		io->written += *put;
	return r;
}

enum io_result sock_io_discard(struct sock_io *io, void *buf, size_t size)
{
	size_t got;

	return plain_read(io, buf, size, &got);
}

void sock_io_secure(struct sock_io *io, SSL *ssl)
{
	io->wire = BIO_new_socket(io->fd, BIO_NOCLOSE);
	if (io->wire == NULL)
		abort();
	SSL_set_bio(ssl, io->wire, io->wire);
	io->ssl = ssl;
	io->ops = &tls_ops;
	io->marks.acked = io->plain_written;
}

enum io_result sock_io_handshake(struct sock_io *io)
{
	int done;

	forget_errors();
	done = SSL_do_handshake(io->ssl);
	return done == 1 ? IO_OK : tls_failure(io, done);
}

enum io_result sock_io_notify(struct sock_io *io)
{
	return io->ops->notify(io);
}

enum io_result sock_io_finish(struct sock_io *io)
{
	enum io_result r = io->ops->notify(io);

	if (r == IO_OK && shutdown(io->fd, SHUT_WR) < 0)
		return plain_failure(io, LOOP_WRITE);
	return r;
}

uint64_t sock_io_acked(struct sock_io *io)
{
	uint64_t wire, queued;
	int queue;

	if (io->fd < 0 || ioctl(io->fd, SIOCOUTQ, &queue) < 0)
		return io->acked;
	wire = io->plain_written + (io->wire != NULL ? BIO_number_written(io->wire) : 0);
	queued = (uint64_t)queue;
	wire = wire > queued ? wire - queued : 0;
	if (io->ssl != NULL && wire >= io->plain_written)
		io->acked = ackmarks_settle(&io->marks, wire);
	else
		io->acked = wire;
	return io->acked;
}

void sock_io_close(struct sock_io *io)
{
	if (io->fd < 0)
		return;
	sock_io_acked(io);
	SSL_free(io->ssl);
	io->ssl = NULL;
	io->wire = NULL;
	ackmarks_free(&io->marks);
	close(io->fd);
	io->fd = -1;
}
