/*
 * sock.h - one non-blocking TCP connection, plain or TLS, with a bounded output
 * buffer and the count of what the peer's TCP has acknowledged.
 *
 * Output is written in the loop's LOOP_FLUSH phase, so a turn's writes to one
 * peer leave in one system call. All callbacks come from the loop, none from
 * inside a call to this module. Any callback may close or destroy its socket.
 * After closed() the object takes no more calls but sock_offset(),
 * sock_acked(), sock_peer() and sock_destroy().
 */
#ifndef POOLBRIDGE_XMPP_SOCK_H
#define POOLBRIDGE_XMPP_SOCK_H

#include <sys/socket.h>

#include "bridge/core/base.h"
#include "bridge/core/loop.h"
#include "bridge/xmpp/certificate.h"
#include "bridge/xmpp/tls.h"

struct sock;

struct sock_ops {
	void (*connected)(void *ctx); /* outgoing TCP connection is there; may be NULL for accepted ones */
	void (*secured)(void *ctx);   /* TLS handshake is finished */
	/*
	 * Returns how many of the n bytes it used: n, but for the input that made it call
	 * sock_start_tls(): there, the count up to the end of the element that switches. Clear-text
	 * bytes behind that element were sent by who knows whom (STARTTLS injection, CVE-2011-0411),
	 * and RFC 6120 section 5.3.3 forbids them: the connection is closed for any byte left unused.
	 */
	size_t (*input)(void *ctx, const char *bytes, size_t n);
	/*
	 * Once. why: words for the log. reset is false for an orderly end only: FIN, under TLS after
	 * close_notify. It is true for all else: reset, time-out, failed connect or handshake, and a
	 * TLS stream cut by FIN without close_notify. Unwritten output is dropped.
	 */
	void (*closed)(void *ctx, bool reset, const char *why);
};

/*
 * Before the first socket of the loop, and after loop_run() has returned: what still lingers then
 * is closed at once. One loop at a time. SIGPIPE is ignored from the first call on.
 */
void sock_setup(struct loop *loop);
void sock_cleanup(struct loop *loop);

/*
 * ops are borrowed. bind_addr may be NULL. Failure to even begin comes as closed().
 * How long to wait for connected() is the caller's to decide.
 */
struct sock *sock_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
			  const struct sockaddr *bind_addr, socklen_t bind_len, size_t output_limit,
			  const struct sock_ops *ops, void *ctx);
/* Takes the accepted descriptor. */
struct sock *sock_accept(struct loop *loop, int fd, size_t output_limit, const struct sock_ops *ops,
			 void *ctx);

/* ERR_LIMIT when the output buffer would grow beyond its limit (nothing is added then). */
MUST_CHECK enum err sock_write(struct sock *s, const void *bytes, size_t n);

/*
 * Begin TLS on a connection that is there. What was written before leaves in clear text first, what
 * is written after leaves under TLS.
 */
void sock_start_tls(struct sock *s, const struct tls *tls, const struct tls_peer *peer);
bool sock_is_tls(const struct sock *s); /* the handshake is finished */
/* As server: the name that the client asked for, as it wrote it, or NULL. Valid until closed(). */
const char *sock_tls_sni(const struct sock *s);
/*
 * What the peer's certificate is worth as that of domain (normalised as in a JID). Needs the handshake
 * finished and closed() not called: else CERTIFICATE_NONE.
 */
void sock_certificate(const struct sock *s, const char *domain, struct certificate_report *out);
void sock_tls_describe(const struct sock *s, char *out,
		       size_t size); /* "TLSv1.3 TLS_AES_256_GCM_SHA384" or "" */

/*
 * Application bytes: accepted by sock_write() so far, of these what was given to the kernel, and of those
 * what the peer's TCP has acknowledged. All hold after closed() too, a reset included; under TLS acked
 * counts whole records.
 */
uint64_t sock_offset(const struct sock *s);
uint64_t sock_sent(const struct sock *s);
uint64_t sock_acked(struct sock *s); /* a system call */

/* Stop reading: back-pressure. While paused, the end of the connection shows only when a write fails. */
void sock_pause(struct sock *s, bool paused);
const char *sock_peer(const struct sock *s); /* "127.0.0.1:5269", "[::1]:5269" */

/*
 * Takes the socket: no call on it is allowed any more, no callback comes. What is buffered is
 * written, then close_notify (TLS) and FIN, then the peer's FIN is awaited (a close() with unread
 * input would reset the connection and with it our last words); all within linger_ms, and sooner
 * where too many linger: the oldest then makes room.
 */
void sock_close(struct sock *s, int64_t linger_ms);
/*
 * The same with a reset: what the kernel has not sent is dropped, so that output which will be written
 * again elsewhere does not reach the peer twice.
 */
void sock_abort(struct sock *s);
/* Close at once and free (deferred by the loop); closed() is not called any more. NULL is allowed. */
void sock_destroy(struct sock *s);

#endif
