/*
 * daemon_client.c - one question to the daemon over its control socket, and the
 * one document that it answers.
 *
 * A daemon that is not running is an answer, not an error. One that is there but
 * does not answer in time, or that this user may not ask, is reported.
 */
#include "bridge/ctl/daemon_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 20) /* bytes */

/* A connection to the daemon; -1 with errno: ENOENT or ECONNREFUSED when none runs. */
static int dial(const char *path, int seconds)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = seconds };
	int fd, error;

	if (!str_copy(address.sun_path, sizeof(address.sun_path), path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno == EAGAIN ? ETIMEDOUT : errno; /* too many others are asking */
	close(fd);
	errno = error;
	return -1;
}

static const char *mend_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "run as the daemon's user or as root (sudo)";
	case ENAMETOOLONG:
		return "set a shorter control_socket in the configuration (at most 107 bytes)";
	default:
		return "see the daemon's log";
	}
}

/* The answer to the request line; NULL with errno. */
static json_t *converse(int fd, const char *line)
{
	struct strbuf answer = { 0 };
	json_error_t error;
	json_t *document = NULL;
	char bytes[16384];
	ssize_t n = send(fd, line, strlen(line), MSG_NOSIGNAL);

	while (n > 0 && answer.len <= ANSWER_MAX) {
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n > 0)
			strbuf_add(&answer, bytes, (size_t)n);
	}
	if (n == 0) {
		document = answer.len > 0 ? json_loadb(answer.s, answer.len, 0, &error) : NULL;
		errno = EPROTO;
	} else if (n > 0) {
		errno = EMSGSIZE;
	} else if (errno == EAGAIN) {
		errno = ETIMEDOUT;
	}
	strbuf_free(&answer);
	return document;
}

/* The request as its line; the caller frees it. */
static char *take_line(json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT), *line = xasprintf("%s\n", text ? text : "{}");

	free(text);
	json_decref(request);
	return line;
}

json_t *daemon_ask(struct ctl *ctl, json_t *request, int seconds)
{
	const char *path = ctl->config->control_socket, *error;
	char *line = take_line(request);
	json_t *document = NULL;
	int fd = dial(path, seconds);

	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
		document = json_pack("{s:b}", "running", 0);
		goto done;
	}
	if (fd < 0) {
		ctl_fail(ctl, "%s: %s: %s", path, strerror(errno), mend_of(errno));
		goto done;
	}
	document = converse(fd, line);
	close(fd);
	error = json_string_value(json_object_get(document, "error"));
	if (json_is_object(document) && !error) {
		json_object_set_new(document, "running", json_true());
		goto done;
	}
	ctl_fail(ctl, "%s: the daemon does not answer as it should: %s: see its log", path,
		 error ? error : strerror(errno));
	json_decref(document);
	document = NULL;
done:
	free(line);
	return document;
}
