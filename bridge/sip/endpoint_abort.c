/*
 * endpoint_abort.c - the end of a TCP connection whose peer has fallen silent,
 * with all that the kernel still holds for it.
 *
 * When timer F ends a request, its sender is told that it failed. If the peer's
 * TCP does not acknowledge (no route, a firewall, a dead host), the request still
 * lies in the kernel, which goes on trying for a quarter of an hour and would
 * deliver it when the peer is back; closing the connection does not change that.
 * A connection whose peer has taken everything is left alone. One that has not come
 * up yet would bring what waits for it, too, and ends as well.
 *
 * COMPAT: sofia-sip 1.12.11 has no way to a connection's descriptor, nor to
 * TCP_USER_TIMEOUT. So it is found by the peer's address among our own, and
 * connect() to nothing (AF_UNSPEC) ends it as a reset does; sofia-sip then sees
 * a broken connection, and says so to every request on it.
 *
 * Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <sofia-sip/tport.h>

#include "bridge/core/log.h"

union any_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool is_same(const union any_address *a, const struct sockaddr *b)
{
	const struct sockaddr_in *v4 = (const void *)b;
	const struct sockaddr_in6 *v6 = (const void *)b;

	if (a->sa.sa_family != b->sa_family)
		return false;
	if (b->sa_family == AF_INET)
		return a->v4.sin_port == v4->sin_port && a->v4.sin_addr.s_addr == v4->sin_addr.s_addr;
	return b->sa_family == AF_INET6 && a->v6.sin6_port == v6->sin6_port &&
	       memcmp(&a->v6.sin6_addr, &v6->sin6_addr, sizeof(v6->sin6_addr)) == 0;
}

/* A TCP connection to that peer, with something that it has not acknowledged. */
static bool is_stuck(int fd, const struct sockaddr *peer)
{
	union any_address address = { .sa.sa_family = AF_UNSPEC };
	socklen_t size = sizeof(address), type_size = sizeof(int);
	int type, queued;

	return getpeername(fd, &address.sa, &size) == 0 && is_same(&address, peer) &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_STREAM &&
	       ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0;
}

static unsigned abort_all(DIR *descriptors, const struct sockaddr *peer)
{
	const struct sockaddr nothing = { .sa_family = AF_UNSPEC };
	const struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(descriptors)) != NULL) {
		int fd = atoi(entry->d_name);

		if (fd > 2 && is_stuck(fd, peer) && connect(fd, &nothing, sizeof(nothing)) == 0)
			count++;
	}
	return count;
}

void attempt_abort_connection(const struct endpoint_attempt *a)
{
	const su_addrinfo_t *peer = a->connection != NULL ? tport_get_address(a->connection) : NULL;
	DIR *descriptors;
	unsigned count;

	if (peer == NULL || peer->ai_addr == NULL)
		return;
	if (!tport_is_connected(a->connection)) {
		tport_shutdown(a->connection, 2);
		return;
	}
	/* Every request of a silent connection comes here: a look a second is enough, and cheap. */
	if (a->connection == a->ep->aborted && loop_now(a->ep->loop) < a->ep->abort_at)
		return;
	a->ep->aborted = a->connection;
	a->ep->abort_at = loop_now(a->ep->loop) + 1000;
	descriptors = opendir("/proc/self/fd");
	if (descriptors == NULL) {
		log_event(LOG_WARNING, "sip-not-aborted", NULL, "target=%s why=\"cannot read /proc/self/fd\"",
			  log_value(a->target.uri));
		return;
	}
	count = abort_all(descriptors, peer->ai_addr);
	closedir(descriptors);
	if (count > 0)
		log_event(LOG_NOTICE, "sip-aborted", NULL,
			  "target=%s why=\"silent, and it has not acknowledged what was sent\"",
			  log_value(a->target.uri));
}
