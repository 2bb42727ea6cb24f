/*
 * cmd_status.c - poolbridgectl status: what the daemon says of itself over its
 * control socket, and what the registry holds.
 *
 * A daemon that is not running is an answer, not an error: the registry is read
 * all the same. One that is there but does not answer in time, or that this user
 * may not ask, is an error.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX     (64u << 20) /* bytes */
#define ANSWER_SECONDS 5           /* without a byte from the daemon */

/* A connection to the daemon; -1 with errno: ENOENT or ECONNREFUSED when none runs. */
static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
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
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The answer to the request; NULL with errno. */
static json_t *converse(int fd)
{
	static const char request[] = "{\"command\": \"status\"}\n";
	struct strbuf answer = { 0 };
	json_error_t error;
	json_t *document = NULL;
	char bytes[16384];
	ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);

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

/* The daemon's document, or {"running": false}; NULL: reported. */
static json_t *ask_daemon(struct ctl *ctl)
{
	const char *path = ctl->config->control_socket, *error;
	json_t *document;
	int fd = dial(path);

	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return json_pack("{s:b}", "running", 0);
	if (fd < 0) {
		ctl_fail(ctl, "%s: %s: run as the daemon's user or as root (sudo)", path, strerror(errno));
		return NULL;
	}
	document = converse(fd);
	close(fd);
	error = json_string_value(json_object_get(document, "error"));
	if (json_is_object(document) && !error) {
		json_object_set_new(document, "running", json_true());
		return document;
	}
	ctl_fail(ctl, "%s: the daemon does not answer as it should: %s: see its log", path,
		 error ? error : strerror(errno));
	json_decref(document);
	return NULL;
}

static bool count_domain(void *ctx, const struct domain *d)
{
	(void)d;
	++*(json_int_t *)ctx;
	return true;
}

static bool count_partner(void *ctx, const struct partner *p)
{
	(void)p;
	++*(json_int_t *)ctx;
	return true;
}

/* What the registry holds; NULL: reported. */
static json_t *count_registry(struct ctl *ctl)
{
	json_int_t domains = 0, partners = 0;
	json_t *users = json_object();
	enum err e = registry_each_domain(ctl->db, count_domain, &domains);

	if (e == OK)
		e = registry_each_partner(ctl->db, count_partner, &partners);
	for (enum mark m = MARK_LEGACY; e == OK && m <= MARK_MIGRATED; m++) {
		int64_t count = 0;

		e = registry_count_users(ctl->db, &(struct user_filter){ .has_mark = true, .mark = m },
					 &count);
		json_object_set_new(users, mark_name(m), json_integer(count));
	}
	if (e != OK) {
		json_decref(users);
		ctl_fail_db(ctl, e);
		return NULL;
	}
	return json_pack("{s:o, s:i, s:I, s:I, s:o}", "path", ctl_text(ctl->config->registry), "schema",
			 db_schema_version(ctl->db), "domains", domains, "partners", partners, "users",
			 users);
}

int cmd_status(struct ctl *ctl)
{
	json_t *registry = count_registry(ctl), *document = registry ? ask_daemon(ctl) : NULL;

	if (!document) {
		json_decref(registry);
		return 1;
	}
	json_object_set_new(document, "registry", registry);
	if (!json_is_true(json_object_get(document, "running")))
		ctl_say(ctl, "the daemon is not running\n");
	output_fields(ctl, document);
	return ctl_document(ctl, document);
}
