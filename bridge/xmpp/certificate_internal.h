/*
 * certificate_internal.h - private to the TLS files: reading X.509
 * certificates. Pure.
 */
#ifndef POOLBRIDGE_XMPP_CERTIFICATE_INTERNAL_H
#define POOLBRIDGE_XMPP_CERTIFICATE_INTERNAL_H

#include <time.h>

#include <openssl/x509.h>

#include "bridge/xmpp/certificate.h"

/*
 * Does an identity of the certificate name this domain (normalised as in a JID)? DNS-ID, SRV-ID of
 * _xmpp-server (direct: or _xmpps-server), XmppAddr: RFC 6120 section 13.7.1, RFC 9525. Never the CN.
 */
bool certificate_names_domain(const X509 *x, const char *domain, bool direct);

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
/* Words for a certificate that does not name domain. */
void certificate_explain_names(const X509 *x, const char *domain, struct strbuf *out);

#endif
