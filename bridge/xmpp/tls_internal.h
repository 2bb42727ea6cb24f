/*
 * tls_internal.h - private to the TLS and socket files: the OpenSSL side of a
 * struct tls.
 */
#ifndef POOLBRIDGE_XMPP_TLS_INTERNAL_H
#define POOLBRIDGE_XMPP_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "bridge/xmpp/certificate.h"
#include "bridge/xmpp/tls.h"
#include "bridge/xmpp/tls_shared.h"

/*
 * A session with what is loaded now. The caller owns it; it holds what it needs of tls, which may be
 * reloaded or destroyed meanwhile.
 */
SSL *tls_session(const struct tls *tls, const struct tls_peer *peer);

/* After the handshake: what the peer's certificate is worth as that of domain. */
void tls_report(const SSL *ssl, const char *domain, struct certificate_report *out);

/* What is remembered of a session, as long as it lives. */
struct tls_session {
	struct tls_state *state; /* a reference */
	bool server, direct, client_usage;
	char *local;     /* NULL: any */
	char *tlsa_base; /* NULL: no usable TLSA record */
	/* OpenSSL's verdict on the peer's certificate, once it has shown one */
	bool verified;
	int error, depth, purpose;
};

struct tls_session *tls_session_of(const SSL *ssl);

/* Verify every peer's certificate, remember the verdict, and go on. */
void tls_trust_setup(SSL_CTX *ctx);
/* As client: the records by which this one session's certificate is judged. */
void tls_trust_dane(SSL *ssl, const struct tls_peer *peer);

#endif
