/*
 * tls.h - OpenSSL contexts for the s2s edge: TLS 1.2 and 1.3, no compression,
 * no renegotiation. Certificates are not verified here yet: dialback proves the
 * peer. The file that will hold certificate policy.
 */
#ifndef POOLBRIDGE_XMPP_TLS_H
#define POOLBRIDGE_XMPP_TLS_H

#include "bridge/core/base.h"

struct tls; /* a certificate with its key, for both directions; reference-counted by its connections */

/*
 * PEM files: the chain, leaf first, and the key. On failure *why (static
 * buffer) says which file and what is wrong with it, in words.
 */
MUST_CHECK enum err tls_create(const char *certificate_file, const char *key_file, struct tls **out,
			       const char **why);
/* Read the files again; on failure the old certificate stays in use. */
MUST_CHECK enum err tls_reload(struct tls *tls, const char **why);
void tls_destroy(struct tls *tls);

#endif
