/*
 * tls_internal.h - what tls.c (whom to believe) and tls_sofia.c (sofia-sip's
 * OpenSSL objects) share.
 */
#ifndef POOLBRIDGE_SIP_TLS_INTERNAL_H
#define POOLBRIDGE_SIP_TLS_INTERNAL_H

#include <netinet/in.h>

#include <openssl/ssl.h>

#include "bridge/sip/tls.h"
#include "bridge/xmpp/tls_identity.h"

struct sip_tls {
	struct sip_tls_setup setup;
	struct tls_identity identity;
	X509_STORE *trusted;
	struct tls_context *contexts; /* sofia-sip's, one an address that it listens on */
	struct tls_connection *connections;
	struct loop_timer *sweep;
};

struct tls_context {
	struct sip_tls *tls;
	SSL_CTX *ctx; /* sofia-sip's; it goes when that is freed */
	bool taken;
	struct tls_context *prev, *next;
};

/* One of sofia-sip's connections. */
struct tls_connection {
	struct sip_tls *tls;
	SSL *ssl;
	int fd;
	uint64_t socket; /* tells a closed fd from another that has its number */
	int64_t began;
	bool explained; /* the log has said why it fails */
	struct sockaddr_storage peer;
	struct tls_connection *prev, *next;
};

/* tls_sofia.c */
void tls_sofia_begin(struct sip_tls *tls);
/* All that is left, when nobody uses it any more. */
void tls_sofia_end(struct sip_tls *tls);
/* The contexts made from now on until tls_sofia_take() are of this module's listeners. */
void tls_sofia_watch(struct sip_tls *tls);
bool tls_sofia_take(struct sip_tls *tls); /* false: there is none */
/* After our own look at the peer's certificate, and before sofia-sip's. */
void tls_sofia_hide_names(const SSL *ssl);
/* NULL: none of sofia-sip's. peer is filled in when it can be. */
struct tls_connection *tls_connection_of(const SSL *ssl);

/* tls.c: sets up a context that sofia-sip has just made. */
void tls_take_context(struct sip_tls *tls, SSL_CTX *ctx);

#endif
