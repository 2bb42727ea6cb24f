/*
 * shed.c - connections of peers that cannot be taken, because the process is out
 * of descriptors, are closed.
 *
 * sofia-sip leaves them where they are, so that epoll would report them again at
 * once, for as long as that lasts, and the loop would do nothing else. Here a
 * second descriptor of each listening socket is watched: when there is something
 * to accept and no descriptor to be had, one that is kept in reserve takes the
 * connections, and they are closed. The peer comes again later, as after any
 * broken connection.
 *
 * The endpoint owns the list. Nothing is fatal: without a reserve it is as before.
 */
#include "bridge/sip/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge/core/log.h"

enum { AT_ONCE = 64, LOG_MS = 1000 };

struct sip_shed {
	struct sip_shed *next;
	struct loop *loop;
	int fd, spare;
	struct loop_fd *watch;
	int64_t logged_at;
};

static int reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool is_out_of_descriptors(const struct sip_shed *s)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return errno == EMFILE;
	close(fd);
	return false;
}

static void note(struct sip_shed *s, int count)
{
	int64_t now = loop_now(s->loop);

	if (count == 0 || (s->logged_at != 0 && now - s->logged_at < LOG_MS))
		return;
	s->logged_at = now;
	log_event(LOG_ERROR, "accept-failed", NULL, "listener=sip closed=%d why=\"Too many open files\"",
		  count);
}

/* At most one of several at the same time is served by sofia-sip; then there is a descriptor again. */
static void on_pending(void *ctx, unsigned events)
{
	struct sip_shed *s = ctx;
	int count = 0, fd;

	(void)events;
	if (!is_out_of_descriptors(s))
		return;
	if (s->spare >= 0)
		close(s->spare);
	while (count < AT_ONCE && (fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		close(fd);
		count++;
	}
	s->spare = reserve();
	note(s, count);
}

void sip_shed_add(struct sip_shed **list, struct loop *loop, int listener)
{
	struct sip_shed *s;
	int fd = listener >= 0 ? fcntl(listener, F_DUPFD_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	s = xcalloc(1, sizeof(*s));
	*s = (struct sip_shed){ .next = *list, .loop = loop, .fd = fd, .spare = reserve() };
	s->watch = loop_fd_add(loop, fd, LOOP_READ, on_pending, s);
	*list = s;
}

void sip_shed_free(struct sip_shed **list)
{
	struct sip_shed *s;

	while ((s = *list) != NULL) {
		*list = s->next;
		loop_fd_remove(s->watch);
		close(s->fd);
		if (s->spare >= 0)
			close(s->spare);
		free(s);
	}
}
