/*
 * sock_fd.c - the socket system calls that come before the first byte.
 *
 * Every descriptor is non-blocking, closed on exec, sends small writes at once
 * (a turn's output leaves in one write as it is) and finds a dead peer by
 * keep-alives in the end; XMPP's own time-outs are shorter. Owns nothing:
 * descriptors belong to the caller. Nothing here is fatal.
 */
#include "bridge/xmpp/sock_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KEEPALIVE_IDLE_S = 300, KEEPALIVE_INTERVAL_S = 30, KEEPALIVE_PROBES = 5 };

/* Comfort, not correctness: a kernel that refuses one serves as well. */
static void set_option(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

int sock_fd_connect(const struct sockaddr *addr, socklen_t len, const struct sockaddr *bind_addr,
		    socklen_t bind_len)
{
	const int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	set_options(fd);
	if (bind_addr != NULL) {
		/* The port is chosen by connect(), so one source address serves many peers. */
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, bind_addr, bind_len) < 0)
			goto failed;
	}
	if (connect(fd, addr, len) < 0 && errno != EINPROGRESS)
		goto failed;
	return fd;
failed:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int sock_fd_adopt(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	set_options(fd);
	return 0;
}

void sock_fd_name(const struct sockaddr *addr, socklen_t len, char out[SOCK_PEER_SIZE])
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1], port[sizeof("65535")];

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) !=
	    0)
		snprintf(out, SOCK_PEER_SIZE, "unknown");
	else if (addr->sa_family == AF_INET6)
		snprintf(out, SOCK_PEER_SIZE, "[%s]:%s", host, port);
	else
		snprintf(out, SOCK_PEER_SIZE, "%s:%s", host, port);
}

void sock_fd_name_peer(int fd, char out[SOCK_PEER_SIZE])
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);

	if (getpeername(fd, (struct sockaddr *)&addr, &len) < 0)
		addr.ss_family = AF_UNSPEC;
	sock_fd_name((const struct sockaddr *)&addr, len, out);
}
