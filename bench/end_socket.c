/*
 * end_socket.c - see end_socket.h: how the sockets of the playing ends are made, and made deaf.
 *
 * A black hole is a socket filter that drops everything, which needs no privilege.
 */
#include "bench/end_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DATAGRAMS_SIZE = 8 << 20 };

struct sockaddr_in end_address(const char *text, unsigned short port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char *host = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
	int number = colon ? atoi(colon + 1) : port;

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || number < 0 || number > 65535 ||
	    (colon && number == 0)) {
		fprintf(stderr, "%s is not ADDRESS or ADDRESS:PORT, in numbers\n", text);
		exit(2);
	}
	a.sin_port = htons((uint16_t)number);
	free(host);
	return a;
}

static int new_socket(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		end_fail("socket");
	return fd;
}

int socket_connect(const struct sockaddr_in *to, const struct sockaddr_in *from, bool *refused)
{
	int on = 1, fd = new_socket();

	/* Else the kernel looks for a port that nobody has at all, and that takes ever longer. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
	    bind(fd, (const struct sockaddr *)from, sizeof(*from)) != 0)
		end_fail("bind");
	*refused = connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS;
	return fd;
}

int socket_datagrams(const struct sockaddr_in *at, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = DATAGRAMS_SIZE;

	if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		end_fail("datagrams");
	/* More than the system's limit where that is allowed: what is dropped here is not the peer's loss. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

/* Who had the address before may still be ending, with all its children: half a minute for that. */
static bool bind_and_listen(int fd, const struct sockaddr_in *at)
{
	const struct timespec pause = { .tv_nsec = 100000000 };

	for (int tries = 0; tries < 300; tries++) {
		if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
			return listen(fd, SOMAXCONN) == 0;
		if (errno != EADDRINUSE)
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

int socket_listen(const struct sockaddr_in *at)
{
	int fd = new_socket();

	if (!bind_and_listen(fd, at))
		end_fail("listen");
	return fd;
}

void socket_drop_all(int fd, bool on)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &none };
	int unused = 0;

	if (on)
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	else
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
}
