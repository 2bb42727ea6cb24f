/*
 * sasl.h - SASL EXTERNAL's authorisation identity (RFC 6120 section 6.3.8,
 * XEP-0178): pure.
 */
#ifndef POOLBRIDGE_XMPP_SASL_H
#define POOLBRIDGE_XMPP_SASL_H

#include "bridge/xmpp/jid.h"

#define SASL_AUTHZID_SIZE 345 /* base64 of a domain, and a NUL */

/* The content of <auth/> for a domain. */
void sasl_encode_authzid(const char *domain, char out[SASL_AUTHZID_SIZE]);

/*
 * The domain that <auth/> names. Content "=" or none: `fallback`, the stream's
 * 'from'. ERR_SYNTAX: not base64. ERR_REFUSED: no domain, or not `fallback`.
 */
MUST_CHECK enum err sasl_check_authzid(const char *text, const char *fallback);

#endif
