/*
 * farewell: part of sipe_user, and preloaded into linphonec: a connection is closed only when the other side has read all.
 */
#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FAREWELL_MS = 5000 /* at most, between two pieces of what still comes */ };

/* Reads away what still comes, until the other side has closed, too. */
static void drain(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char buffer[4096];

	while (poll(&wait, 1, FAREWELL_MS) == 1 && read(fd, buffer, sizeof(buffer)) > 0)
		;
}

/*
 * COMPAT: the clients close their connections behind their last request. A Kamailio that cannot answer an earlier one any
 * more then drops the connection with all that it has not read, the last request included, and the user stays
 * logged in. So the way back is left open until all is read. This function is found before the library's.
 */
int close(int fd)
{
	int (*close_now)(int);
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);

	*(void **)&close_now = dlsym(RTLD_NEXT, "close");
	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.ss_family == AF_INET &&
	    shutdown(fd, SHUT_WR) == 0)
		drain(fd);
	return close_now(fd);
}
