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

/* Those of sip.allow; where it is empty, nobody until sip_peers_follow(). *why (static buffer) names a bad address. */
MUST_CHECK enum err sip_peers_create(const struct config *config, struct sip_peers **out, const char **why);
void sip_peers_destroy(struct sip_peers *p); /* NULL is allowed */

/* Where sip.allow is empty: exactly these from now on. The guarded listeners learn of it. */
void sip_peers_follow(struct sip_peers *p, const struct sockaddr_storage *list, size_t count);

bool sip_peers_allow(const struct sip_peers *p, const struct sockaddr *source);

/*
 * Let the kernel drop what comes to this listening socket of ours from anyone
 * else: on TCP before there is a connection, on UDP all but responses, before
 * sofia-sip answers what it cannot read. ERR_NOT_FOUND: no socket listens
 * there; ERR_IO: the kernel will not.
 */
MUST_CHECK enum err sip_peers_guard(struct sip_peers *p, const struct hostport *listener, bool udp);

/* The socket of ours that takes connections there; -1: none. */
int sip_listening_socket(const struct hostport *listener);

json_t *sip_peers_status(const struct sip_peers *p); /* an array of addresses; the caller owns it */

#endif
