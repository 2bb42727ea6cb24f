/*
 * sock_fd.h - private to sock.c: making TCP descriptors ready, and naming the
 * peer.
 */
#ifndef POOLBRIDGE_XMPP_SOCK_FD_H
#define POOLBRIDGE_XMPP_SOCK_FD_H

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "bridge/core/base.h"

/* "[address%interface]:port" */
#define SOCK_PEER_SIZE (sizeof("[%]:65535") + INET6_ADDRSTRLEN + IF_NAMESIZE)

/* Begin to connect; bind_addr may be NULL. -1: errno says why. */
int sock_fd_connect(const struct sockaddr *addr, socklen_t len, const struct sockaddr *bind_addr,
		    socklen_t bind_len);

/* Make an accepted descriptor like one of ours. -1: errno says why. */
int sock_fd_adopt(int fd);

void sock_fd_name(const struct sockaddr *addr, socklen_t len, char out[SOCK_PEER_SIZE]);
/* Of a connected descriptor; "unknown" when the peer has gone already. */
void sock_fd_name_peer(int fd, char out[SOCK_PEER_SIZE]);

#endif
