/*
 * endpoint_burst.c - many messages on one connection: read in pieces, written
 * together.
 *
 * COMPAT: sofia-sip reads all that a connection has, and moves the rest of it
 * for each message that it takes out of it: a hundred responses of 400 bytes
 * cost a hundred times 20 KB. And it writes each message by itself, so that the
 * kernel makes a packet of it and wakes the peer up. Its su_getmsgsize() and
 * su_vsend() are replaced here, as msg_extract() is in endpoint_header.c: the
 * first never says more than READ_BYTES of a connection, the second lets the
 * kernel collect what a turn writes, until its end.
 * What was not written fails as it did before: the kernel has it either way.
 *
 * Who listens (sip_setup's on_burst) is told of each read, and when all that it brought has been
 * handed on: tport_recv_event() is replaced for that. It may read several times, which
 * su_getmsgsize() tells, except by TLS, of which nobody is told.
 *
 * All three do what the library's own do, so that nothing depends on their being
 * called: where a library binds them within itself, bytes come and go as it wants,
 * and on_burst is never told. Of what the kernel holds back nothing is lost when
 * the connection closes, and it holds nothing for longer than 0.2 s.
 *
 * Datagrams pass unchanged, and so does TLS, which writes by itself. Keeps the
 * descriptors that were written to in this turn. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <sofia-sip/su.h>
#include <sofia-sip/tport.h>

enum { READ_BYTES = 8192, SOCKETS_MAX = 64 };

/* Zero before there is a loop that flushes: then nothing is held back. */
static struct {
	bool flushes;
	int fd[SOCKETS_MAX];
	size_t count;
} held;

static bool is_stream(int fd)
{
	int type;
	socklen_t size = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* One call for each connection and turn, to ask what it is. */
static bool may_hold(int fd)
{
	for (size_t i = 0; i < held.count; i++)
		if (held.fd[i] == fd)
			return true;
	if (!held.flushes || held.count == SOCKETS_MAX || !is_stream(fd))
		return false;
	held.fd[held.count++] = fd;
	return true;
}

/* sofia-sip's, from a header that it keeps to itself. */
int tport_recv_event(tport_t *connection);
typedef int recv_event_fn(tport_t *connection);

static struct {
	const struct sip_setup *setup; /* NULL: nobody listens */
	recv_event_fn *recv_event;
	bool within; /* one of its calls */
	bool told;   /* that a burst has begun */
} reading;

static void tell(bool begins)
{
	if (reading.told == begins)
		return;
	reading.told = begins;
	reading.setup->on_burst(reading.setup->ctx, begins);
}

int tport_recv_event(tport_t *connection)
{
	int result;

	if (reading.recv_event == NULL)
		*(void **)&reading.recv_event = dlsym(RTLD_NEXT, "tport_recv_event");
	if (reading.setup == NULL || reading.within || tport_has_tls(connection))
		return reading.recv_event(connection);
	reading.within = true;
	result = reading.recv_event(connection);
	if (reading.setup != NULL)
		tell(false);
	reading.within = false;
	return result;
}

static void begin_read(void)
{
	if (!reading.within || reading.setup == NULL)
		return;
	tell(false);
	tell(true);
}

issize_t su_getmsgsize(su_socket_t s)
{
	int size = -1;

	begin_read();
	if (ioctl(s, FIONREAD, &size) == -1)
		return -1;
	return size > READ_BYTES && is_stream(s) ? READ_BYTES : size;
}

issize_t su_vsend(su_socket_t s, const su_iovec_t iov[], isize_t count, int flags, const su_sockaddr_t *to,
		  socklen_t to_size)
{
	const struct msghdr message = {
		.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = to != NULL ? to_size : 0,
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)count,
	};

	if (to == NULL && may_hold(s))
		flags |= MSG_MORE;
	return (issize_t)sendmsg(s, &message, flags);
}

/* With TCP_NODELAY set again the kernel sends what it holds. A descriptor that was closed meanwhile is none of ours. */
static void flush(void *ctx)
{
	const int on = 1;

	(void)ctx;
	for (size_t i = 0; i < held.count; i++)
		setsockopt(held.fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	held.count = 0;
}

void endpoint_begin_bursts(const struct sip_endpoint *ep)
{
	loop_phase_add(ep->loop, LOOP_FLUSH, flush, NULL);
	held.flushes = true;
	reading.setup = ep->setup.on_burst != NULL ? &ep->setup : NULL;
}

void endpoint_end_bursts(const struct sip_endpoint *ep)
{
	flush(NULL);
	held.flushes = false;
	if (reading.setup != &ep->setup)
		return;
	tell(false);
	reading.setup = NULL;
}
