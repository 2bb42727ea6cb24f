/*
 * tls_shared.h - what the TLS of SIP (bridge/sip/tls.c) shares with that of
 * XMPP: the policy of a context, whom to believe, and words for certificates.
 * For those two only: it shows OpenSSL's types.
 */
#ifndef POOLBRIDGE_XMPP_TLS_SHARED_H
#define POOLBRIDGE_XMPP_TLS_SHARED_H

#include <time.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bridge/xmpp/certificate.h"

/* Versions, cipher suites, no renegotiation, no resumption: a context that others have made gets ours. */
void tls_set_policy(SSL_CTX *ctx);
/* A context with that policy, without certificates. */
SSL_CTX *tls_new_context(void);

/* Whom to believe: ca as in struct tls_settings. */
MUST_CHECK enum err tls_trust_load(SSL_CTX *ctx, const char *ca, const char **why);

/* What is too long ends in "...", cut between characters. */
void certificate_put_text(char *out, size_t size, const struct strbuf *text);

/* All but trust and why. */
void certificate_describe(X509 *x, struct certificate_report *out);

/*
 * What OpenSSL shall ask of a peer's certificate: X509_PURPOSE_... An originating server's may be a
 * server's only, unless client_usage: public CAs have stopped issuing others.
 */
int certificate_purpose(X509 *x, bool peer_is_client, bool client_usage);

/* OpenSSL's verdict: error (not X509_V_OK) at depth of the chain that it could build, leaf first. */
struct certificate_verdict {
	const STACK_OF(X509) * chain;
	int error, depth;
	int purpose;
	time_t now;
};

/* The same in words, and whatever is wrong with the leaf's dates besides. */
void certificate_explain(const struct certificate_verdict *v, struct strbuf *out);

#endif
