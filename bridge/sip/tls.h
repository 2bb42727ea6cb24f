/*
 * tls.h - TLS with mutual authentication for SIP: our certificate, whom to
 * believe, and which names a peer's certificate must have (RFC 5922).
 *
 * sofia-sip makes the connections and their OpenSSL contexts; this module sets
 * what they do. A connection whose peer is not proved ends in the handshake, and
 * the log says why in words.
 */
#ifndef POOLBRIDGE_SIP_TLS_H
#define POOLBRIDGE_SIP_TLS_H

#include <sys/socket.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"

struct sip_tls;

enum { SIP_TLS_NAMES_MAX = CONFIG_LIST_MAX };

struct sip_tls_setup {
	struct loop *loop;
	const struct config *config;
	/* Where we have connected: the hosts that this peer may be. Where a peer has: sip.tls_names or these. */
	size_t (*names_at)(void *ctx, const struct sockaddr *peer, const char **out, size_t max);
	size_t (*names)(void *ctx, const char **out, size_t max);
	/* A connection that we have made fails, and this is why. */
	void (*refused)(void *ctx, const struct sockaddr *peer, const char *why);
	void *ctx;
};

/* On failure *why (static buffer) says which file and what is wrong with it. */
MUST_CHECK enum err sip_tls_create(const struct sip_tls_setup *setup, struct sip_tls **out, const char **why);
/* After the agent, whose connections must be closed by then. NULL is allowed. */
void sip_tls_destroy(struct sip_tls *tls);
/* Read the files again, for connections from now on; on failure what was loaded before stays in use. */
MUST_CHECK enum err sip_tls_reload(struct sip_tls *tls, const char **why);
/* Could they be loaded? Nothing is kept. */
MUST_CHECK enum err sip_tls_check(const struct config *config, const char **why);

size_t sip_tls_connections(const struct sip_tls *tls); /* NULL: 0 */

/*
 * Around the call that makes sofia-sip open a TLS listener: its context becomes
 * ours. ERR_NOT_FOUND: it has made none.
 */
void sip_tls_begin_listener(struct sip_tls *tls);
MUST_CHECK enum err sip_tls_end_listener(struct sip_tls *tls);

#endif
