/*
 * certificate_internal.h - private to the TLS files: reading X.509
 * certificates. Pure.
 */
#ifndef POOLBRIDGE_XMPP_CERTIFICATE_INTERNAL_H
#define POOLBRIDGE_XMPP_CERTIFICATE_INTERNAL_H

#include <openssl/x509.h>

#include "bridge/xmpp/tls_shared.h"

/*
 * Does an identity of the certificate name this domain (normalised as in a JID)? DNS-ID, SRV-ID of
 * _xmpp-server (direct: or _xmpps-server), XmppAddr: RFC 6120 section 13.7.1, RFC 9525. Never the CN.
 */
bool certificate_names_domain(const X509 *x, const char *domain, bool direct);

/* Words for a certificate that does not name domain. */
void certificate_explain_names(const X509 *x, const char *domain, struct strbuf *out);

#endif
