/*
 * control.c - the daemon's side of the control socket.
 *
 * Each connection asks once and gets one document; a provider of the daemon
 * makes it, this file only carries it. Requests, clients and patience are
 * bounded (control.h).
 *
 * Who may connect, and so may have messages given back or somebody erased, is the
 * file system's matter: mode 0660 in a folder of the daemon's. No error after control_create() is fatal: a client that fails is dropped.
 */
#include "bridge/ctl/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#define CONTROL_RETRY_MS 1000

struct client {
	struct client *prev, *next;
	struct control *control;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *idle;
	struct strbuf in, out;
	struct control_reply *reply; /* asked and not yet answered */
	bool answered;               /* out holds the rest of the answer */
};

/* Outlives its client when that goes first. */
struct control_reply {
	struct client *client;
};

struct control {
	struct loop *loop;
	const struct control_provider *providers;
	size_t count;
	void *ctx;
	int fd;
	int spare; /* a descriptor for one client when there is no other left; -1: it is in use */
	struct loop_fd *watch;
	struct loop_timer *retry; /* after running out of descriptors */
	struct client *clients;
	unsigned client_count;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t device; /* the socket file that is ours to remove */
	ino_t inode;
};

/* --- one client --- */

static void client_destroy(void *obj)
{
	struct client *c = obj;

	strbuf_free(&c->in);
	strbuf_free(&c->out);
	free(c);
}

static void keep_spare(struct control *control)
{
	if (control->spare < 0)
		control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void client_drop(struct client *c)
{
	struct control *control = c->control;

	if (c->reply)
		c->reply->client = NULL;
	DL_DELETE(control->clients, c);
	control->client_count--;
	loop_fd_set(control->watch, LOOP_READ);
	loop_fd_remove(c->watch);
	loop_timer_destroy(c->idle);
	close(c->fd);
	keep_spare(control);
	loop_retire(control->loop, client_destroy, c);
}

static void client_answer(struct client *c, json_t *document)
{
	char *text = json_dumps(document, JSON_COMPACT);

	strbuf_puts(&c->out, text ? text : "{\"error\": \"the document cannot be written\"}");
	strbuf_putc(&c->out, '\n');
	free(text);
	json_decref(document);
	c->answered = true;
	loop_fd_set(c->watch, LOOP_WRITE);
	loop_timer_set(c->idle, CONTROL_IDLE_MS);
}

void control_reply(struct control_reply *reply, json_t *document)
{
	if (reply->client) {
		reply->client->reply = NULL;
		client_answer(reply->client, document);
	} else {
		json_decref(document);
	}
	free(reply);
}

static void client_refuse(struct client *c, const char *error)
{
	client_answer(c, json_pack("{s:s}", "error", error));
}

static const struct control_provider *find_provider(const struct control *control, const char *name)
{
	for (size_t i = 0; i < control->count; i++)
		if (strcmp(control->providers[i].name, name) == 0)
			return &control->providers[i];
	return NULL;
}

/* Nothing is read while the answer is made; it may be given before fn returns. */
static void client_ask(struct client *c, const char *line, size_t n)
{
	json_error_t error;
	json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
	const char *name = json_string_value(json_object_get(request, "command"));
	const struct control_provider *provider = name ? find_provider(c->control, name) : NULL;

	if (provider) {
		c->reply = xcalloc(1, sizeof(*c->reply));
		c->reply->client = c;
		loop_fd_set(c->watch, 0);
		loop_timer_set(c->idle, CONTROL_ANSWER_MS);
		provider->fn(c->control->ctx, request, c->reply);
	} else {
		client_refuse(c, name ? "no such command" : "expected {\"command\": \"NAME\"}");
	}
	json_decref(request);
}

static void client_read(struct client *c)
{
	char bytes[1024];
	const char *end;
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(c);
		return;
	}
	strbuf_add(&c->in, bytes, (size_t)n);
	end = memchr(c->in.s, '\n', c->in.len);
	if (end)
		client_ask(c, c->in.s, (size_t)(end - c->in.s));
	else if (c->in.len >= CONTROL_REQUEST_MAX)
		client_refuse(c, "the request is too long");
}

static void client_write(struct client *c)
{
	ssize_t n = send(c->fd, c->out.s, c->out.len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		strbuf_consume(&c->out, (size_t)n);
		loop_timer_set(c->idle, CONTROL_IDLE_MS);
	}
	if (n < 0 || c->out.len == 0)
		client_drop(c);
}

static void on_client(void *ctx, unsigned events)
{
	struct client *c = ctx;

	(void)events; /* one direction at a time is watched */
	if (c->answered)
		client_write(c);
	else
		client_read(c);
}

static void on_idle(void *ctx)
{
	client_drop(ctx);
}

static void client_create(struct control *control, int fd)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->control = control;
	c->fd = fd;
	c->watch = loop_fd_add(control->loop, fd, LOOP_READ, on_client, c);
	c->idle = loop_timer_create(control->loop, on_idle, c);
	loop_timer_set(c->idle, CONTROL_IDLE_MS);
	DL_APPEND(control->clients, c);
	if (++control->client_count == CONTROL_CLIENTS_MAX)
		loop_fd_set(control->watch, 0);
}

/* Who has no descriptors left is asked what is the matter: the spare one is for that question. */
static int accept_client(struct control *control)
{
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 || errno != EMFILE || control->spare < 0)
		return fd;
	close(control->spare);
	control->spare = -1;
	return accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void on_connection(void *ctx, unsigned events)
{
	struct control *control = ctx;
	int fd = accept_client(control);

	(void)events;
	if (fd >= 0) {
		client_create(control, fd);
	} else if (errno == EMFILE || errno == ENFILE) {
		/* It would be reported again at once, and keep the loop busy. */
		loop_fd_set(control->watch, 0);
		loop_timer_set(control->retry, CONTROL_RETRY_MS);
	}
}

static void on_retry(void *ctx)
{
	struct control *control = ctx;

	if (control->client_count < CONTROL_CLIENTS_MAX)
		loop_fd_set(control->watch, LOOP_READ);
}

/* --- the socket --- */

static enum err fail(enum err e, const char **why, const char *path, const char *what, const char *mend)
{
	static char words[512];

	snprintf(words, sizeof(words), "%s: %s: %s", path, what, mend);
	*why = words;
	return e;
}

/* Somebody's socket is there: whose? OK when it was nobody's and is gone now. */
static enum err clear_away(const struct sockaddr_un *address, const char **why)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, error;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? OK : fail(ERR_IO, why, path, strerror(errno), "see to its folder");
	if (!S_ISSOCK(st.st_mode))
		return fail(ERR_IO, why, path, "is in the way and no socket",
			    "remove it, or set another control_socket in the configuration");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(ERR_IO, why, path, strerror(errno), "free some descriptors");
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	close(fd);
	if (error == 0 || error == EAGAIN)
		return fail(ERR_EXISTS, why, path, "another poolbridge is running here",
			    "stop it, or set another control_socket in the configuration");
	if (error != ECONNREFUSED)
		return fail(ERR_IO, why, path, strerror(error), "run as the owner of the socket");
	if (unlink(path) < 0 && errno != ENOENT)
		return fail(ERR_IO, why, path, strerror(errno), "remove it");
	return OK;
}

/* Made with its mode, not made and then changed: nobody can connect in between. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0117);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;

	umask(mask);
	return error;
}

static enum err listen_at(struct control *control, const char **why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int error;
	enum err e;

	memcpy(address.sun_path, control->path, sizeof(address.sun_path));
	e = clear_away(&address, why);
	if (e != OK)
		return e;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	error = control->fd < 0 ? errno : bind_private(control->fd, &address);
	if (error == 0 && listen(control->fd, CONTROL_CLIENTS_MAX) < 0)
		error = errno;
	if (error != 0)
		return fail(ERR_IO, why, control->path, strerror(error),
			    "its folder must exist and the daemon's user must be able to write there");
	if (lstat(control->path, &st) == 0) {
		control->device = st.st_dev;
		control->inode = st.st_ino;
	}
	return OK;
}

enum err control_create(struct loop *loop, const char *path, const struct control_provider *providers,
			size_t count, void *ctx, struct control **out, const char **why)
{
	struct control *control = xcalloc(1, sizeof(*control));
	enum err e;

	*control = (struct control){
		.loop = loop, .providers = providers, .count = count, .ctx = ctx, .fd = -1, .spare = -1
	};
	if (str_copy(control->path, sizeof(control->path), path))
		e = listen_at(control, why);
	else
		e = fail(ERR_IO, why, path, "too long for a socket's path",
			 "set a shorter control_socket in the configuration (at most 107 bytes)");
	if (e != OK) {
		control_destroy(control);
		return e;
	}
	control->watch = loop_fd_add(loop, control->fd, LOOP_READ, on_connection, control);
	control->retry = loop_timer_create(loop, on_retry, control);
	keep_spare(control);
	*out = control;
	return OK;
}

void control_destroy(struct control *control)
{
	struct client *c, *next;
	struct stat st;

	if (!control)
		return;
	DL_FOREACH_SAFE (control->clients, c, next)
		client_drop(c);
	loop_fd_remove(control->watch);
	loop_timer_destroy(control->retry);
	if (control->fd >= 0)
		close(control->fd);
	if (control->spare >= 0)
		close(control->spare);
	/* Not one that another daemon has put there since. */
	if (control->inode != 0 && lstat(control->path, &st) == 0 && st.st_dev == control->device &&
	    st.st_ino == control->inode)
		unlink(control->path);
	free(control);
}
