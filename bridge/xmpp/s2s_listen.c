/*
 * s2s_listen.c - the listening sockets of both edges, and who may come in.
 *
 * A connection beyond the limits (s2s_limits.c), or from an address that the
 * internal edge does not allow, is closed without a word: nothing is known of the
 * peer yet, and nothing is spent on it.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/core/hostport.h"
#include "bridge/core/log.h"

#define BACKLOG          512
#define ACCEPTS_PER_TURN 32
#define PAUSE_MS         1000

struct listener {
	struct s2s *s2s;
	enum edge edge;
	bool direct_tls;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *pause; /* while the process is out of descriptors */
	char name[80];
	struct listener *next;
};

enum err numeric_address(const char *host, uint16_t port, struct sockaddr_storage *out, socklen_t *len)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[6];

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found) != 0)
		return ERR_SYNTAX;
	memcpy(out, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return OK;
}

static bool is_allowed(const struct listener *l, const struct sockaddr_storage *peer, socklen_t len)
{
	const struct config_list *allow = &l->s2s->setup.config->internal.allow;
	char host[NI_MAXHOST];

	if (l->edge != EDGE_INTERNAL || allow->count == 0)
		return true;
	if (getnameinfo((const struct sockaddr *)peer, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
		return false;
	for (size_t i = 0; i < allow->count; i++)
		if (strcmp(allow->item[i], host) == 0)
			return true;
	log_event(LOG_WARNING, "connection-refused", NULL,
		  "edge=internal peer=%s why=\"not in internal.allow\"", host);
	return false;
}

/* Out of descriptors: the pending connection would wake us again and again. */
static void pause_listening(struct listener *l)
{
	log_event(LOG_ERROR, "accept-failed", NULL, "listener=%s why=%s", l->name,
		  log_value(strerror(errno)));
	loop_fd_set(l->watch, 0);
	loop_timer_set(l->pause, PAUSE_MS);
}

static void on_pause_over(void *ctx)
{
	struct listener *l = ctx;

	loop_fd_set(l->watch, LOOP_READ);
}

static void on_connection(void *ctx, unsigned events)
{
	struct listener *l = ctx;
	(void)events;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				pause_listening(l);
			return;
		}
		if (is_allowed(l, &peer, len))
			stream_accept(l->s2s, l->edge, l->direct_tls, fd);
		else
			close(fd);
	}
}

static int open_socket(const struct sockaddr_storage *addr, socklen_t len)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (addr->ss_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)addr, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

static enum err open_listener(struct s2s *s2s, enum edge edge, bool direct_tls, const char *text,
			      const char **why)
{
	const char *option = direct_tls ? "listen_tls" : "listen";
	static char message[400];
	struct sockaddr_storage addr;
	struct hostport at;
	struct listener *l;
	socklen_t len;
	int fd;

	if (hostport_parse(text, 0, &at) != OK || numeric_address(at.host, at.port, &addr, &len) != OK) {
		snprintf(message, sizeof(message), "%s.%s: '%.80s' is not ADDRESS:PORT", edge_name(edge),
			 option, text);
		*why = message;
		return ERR_SYNTAX;
	}
	fd = open_socket(&addr, len);
	if (fd < 0) {
		snprintf(message, sizeof(message), "%s.%s: cannot listen on %.80s: %s: %s", edge_name(edge),
			 option, text, strerror(errno), hostport_mend(errno));
		*why = message;
		return ERR_IO;
	}
	l = xcalloc(1, sizeof(*l));
	l->s2s = s2s;
	l->edge = edge;
	l->direct_tls = direct_tls;
	l->fd = fd;
	str_copy(l->name, sizeof(l->name), text);
	l->watch = loop_fd_add(s2s->setup.loop, fd, LOOP_READ, on_connection, l);
	l->pause = loop_timer_create(s2s->setup.loop, on_pause_over, l);
	LL_APPEND(s2s->listeners, l);
	return OK;
}

enum err listeners_open(struct s2s *s2s, const char **why)
{
	const struct config *config = s2s->setup.config;
	enum err e = OK;

	for (size_t i = 0; e == OK && i < config->external.listen.count; i++)
		e = open_listener(s2s, EDGE_EXTERNAL, false, config->external.listen.item[i], why);
	for (size_t i = 0; e == OK && i < config->external.listen_tls.count; i++)
		e = open_listener(s2s, EDGE_EXTERNAL, true, config->external.listen_tls.item[i], why);
	for (size_t i = 0; e == OK && i < config->internal.listen.count; i++)
		e = open_listener(s2s, EDGE_INTERNAL, false, config->internal.listen.item[i], why);
	if (e != OK)
		listeners_close(s2s);
	return e;
}

void listeners_close(struct s2s *s2s)
{
	struct listener *l, *next;

	LL_FOREACH_SAFE (s2s->listeners, l, next) {
		loop_fd_remove(l->watch);
		loop_timer_destroy(l->pause);
		close(l->fd);
		free(l);
	}
	s2s->listeners = NULL;
}

json_t *s2s_listeners(const struct s2s *s2s)
{
	json_t *list = json_array();
	const struct listener *l;

	LL_FOREACH (s2s->listeners, l)
		json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "edge", edge_name(l->edge),
						      "address", l->name, "direct_tls", l->direct_tls));
	return list;
}
