/*
 * peers.h - the source addresses from which SIP is taken.
 */
#ifndef POOLBRIDGE_SIP_PEERS_H
#define POOLBRIDGE_SIP_PEERS_H

#include <jansson.h>
#include <sys/socket.h>

#include "bridge/core/config.h"
#include "bridge/core/hostport.h"

struct sip_peers;

/*
 * sip.allow, or the addresses of the hosts of sip.new_pool and sip.legacy_pool,
 * looked up now, once: a blocking call, for the start only. On failure *why
 * (static buffer) names the host and how to mend it.
 */
MUST_CHECK enum err sip_peers_create(const struct config *config, struct sip_peers **out, const char **why);
void sip_peers_destroy(struct sip_peers *p); /* NULL is allowed */

bool sip_peers_allow(const struct sip_peers *p, const struct sockaddr *source);

/*
 * Let the kernel drop what comes to this listening socket of ours from anyone
 * else: on TCP before there is a connection, on UDP all but responses, before
 * sofia-sip answers what it cannot read. ERR_NOT_FOUND: no socket listens
 * there; ERR_IO: the kernel will not.
 */
MUST_CHECK enum err sip_peers_guard(const struct sip_peers *p, const struct hostport *listener, bool udp);

json_t *sip_peers_status(const struct sip_peers *p); /* an array of addresses; the caller owns it */

#endif
