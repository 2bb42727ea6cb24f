/*
 * tls_internal.h - private to tls.c and the socket files: the OpenSSL side of
 * a struct tls.
 */
#ifndef POOLBRIDGE_XMPP_TLS_INTERNAL_H
#define POOLBRIDGE_XMPP_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "bridge/xmpp/tls.h"

/*
 * A session with the certificate of now: as server (peer_name NULL) or client (peer_name: SNI).
 * The caller owns it; it holds what it needs of tls, which may be reloaded or destroyed meanwhile.
 */
SSL *tls_session(const struct tls *tls, const char *peer_name);

#endif
