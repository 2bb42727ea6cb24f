/*
 * sock.h - one non-blocking TCP connection, plain or TLS, with a bounded output
 * buffer and the count of what the peer's TCP has acknowledged.
 *
 * Output is written in the loop's LOOP_FLUSH phase, so a turn's writes to one
 * peer leave in one system call. All callbacks come from the loop. After
 * closed() the object takes no more calls but sock_destroy().
 */
#ifndef POOLBRIDGE_XMPP_SOCK_H
#define POOLBRIDGE_XMPP_SOCK_H

#include <sys/socket.h>

#include "bridge/core/base.h"
#include "bridge/core/loop.h"
#include "bridge/xmpp/tls.h"

struct sock;

struct sock_ops {
	void (*connected)(void *ctx); /* outgoing TCP connection is there */
	void (*secured)(void *ctx);   /* TLS handshake is finished */
	void (*input)(void *ctx, const char *bytes, size_t n);
	void (*closed)(void *ctx, bool reset, const char *why); /* once; why: words for the log */
};

/* ops are borrowed. bind_addr may be NULL. Failure to even begin comes as closed(). */
struct sock *sock_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
			  const struct sockaddr *bind_addr, socklen_t bind_len, size_t output_limit,
			  const struct sock_ops *ops, void *ctx);
/* Takes the accepted descriptor. */
struct sock *sock_accept(struct loop *loop, int fd, size_t output_limit, const struct sock_ops *ops,
			 void *ctx);

/* ERR_LIMIT when the output buffer would grow beyond its limit (nothing is added then). */
MUST_CHECK enum err sock_write(struct sock *s, const void *bytes, size_t n);

/*
 * Begin TLS, as server (peer_name NULL) or client (peer_name: SNI). What was
 * written before leaves in clear text first.
 */
void sock_start_tls(struct sock *s, struct tls *tls, const char *peer_name);
bool sock_is_tls(const struct sock *s);
void sock_tls_describe(const struct sock *s, char *out,
		       size_t size); /* "TLSv1.3 TLS_AES_256_GCM_SHA384" or "" */

/* Application bytes: accepted by sock_write() so far, and of these what the peer's TCP has acknowledged. */
uint64_t sock_offset(const struct sock *s);
uint64_t sock_acked(const struct sock *s);

void sock_pause(struct sock *s, bool paused); /* stop reading: back-pressure */
const char *sock_peer(const struct sock *s);  /* "127.0.0.1:5269" */

/* Write what is buffered, then close; closed() is not called any more. Bounded by linger_ms. */
void sock_close(struct sock *s, int64_t linger_ms);
/* Close at once and free (deferred by the loop); closed() is not called any more. NULL is allowed. */
void sock_destroy(struct sock *s);

#endif
