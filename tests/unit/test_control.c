/*
 * Tests of control.h: a daemon's loop with a control socket, and clients in a
 * child process that ask well, badly, too much, or not at all. The parent runs
 * the loop until the child is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/ctl/control.h"

static char folder[64], path[96];
static struct loop *loop;

static void answer_status(void *ctx, const json_t *request, struct control_reply *reply)
{
	(void)request;
	control_reply(reply, json_pack("{s:s}", "state", (const char *)ctx));
}

/* Answers when the loop comes round again, with what was asked; the client may be gone by then. */
static struct control_reply *owed;
static json_t *owed_document;
static struct loop_timer *owed_timer;

static void answer_owed(void *ctx)
{
	(void)ctx;
	control_reply(owed, owed_document);
	owed = NULL;
}

static void answer_later(void *ctx, const json_t *request, struct control_reply *reply)
{
	(void)ctx;
	owed = reply;
	owed_document = json_pack("{s:O}", "asked", json_object_get(request, "word"));
	loop_timer_set(owed_timer, 0);
}

/* More than a socket's buffer holds. */
static void answer_big(void *ctx, const json_t *request, struct control_reply *reply)
{
	json_t *list = json_array();

	for (int i = 0; i < 200000; i++)
		json_array_append_new(list, json_string(ctx));
	(void)request;
	control_reply(reply, json_pack("{s:o}", "list", list));
}

static const struct control_provider providers[] = { { "status", answer_status },
						     { "big", answer_big },
						     { "later", answer_later } };
static char state_word[] = "good";

static enum err create(struct control **out, const char **why)
{
	return control_create(loop, path, providers, ARRAY_SIZE(providers), state_word, out, why);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/poolbridge-ctl-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", folder);
	loop = loop_create();
	owed_timer = loop_timer_create(loop, answer_owed, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop_timer_destroy(owed_timer);
	loop_destroy(loop);
	unlink(path);
	return rmdir(folder);
}

/* --- the child's side: plain blocking calls; a failed check ends the child --- */

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)

static int dial(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
	CHECK(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

/* The document and then the end of the stream; NULL for an end without one. */
static json_t *hear(int fd)
{
	struct strbuf b = { 0 };
	json_error_t error;
	json_t *document = NULL;
	char bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		strbuf_add(&b, bytes, (size_t)n);
	CHECK(n == 0 || errno == ECONNRESET);
	if (b.len > 0) {
		CHECK(b.s[b.len - 1] == '\n');
		document = json_loadb(b.s, b.len, 0, &error);
		CHECK(document != NULL);
	}
	strbuf_free(&b);
	close(fd);
	return document;
}

static void expect(int fd, const char *key, const char *value)
{
	json_t *document = hear(fd);
	const char *found = json_string_value(json_object_get(document, key));

	CHECK(found && strstr(found, value));
	json_decref(document);
}

static void ask(const char *request, size_t n, const char *key, const char *value)
{
	int fd = dial();

	say(fd, request, n);
	expect(fd, key, value);
}

static void on_child(void *ctx, int signo)
{
	(void)ctx;
	(void)signo;
	loop_stop(loop);
}

static void serve(void (*client)(void))
{
	struct control *control = NULL;
	const char *why = NULL;
	int status = -1;
	pid_t child;

	if (create(&control, &why) != OK)
		fail_msg("%s", why);
	loop_signal(loop, SIGCHLD, on_child, NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		client();
		_exit(0);
	}
	loop_run(loop);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	control_destroy(control);
	assert_int_equal(access(path, F_OK), -1);
}

#define ASK(request, key, value) ask(request, sizeof(request) - 1, key, value)

static void ask_all(void)
{
	ASK("{\"command\":\"status\"}\n", "state", "good");
	ASK("  {\"command\": \"status\", \"more\": [1]}\r\n", "state", "good");
	ASK("{\"command\":\"status\"}\n{\"command\":\"big\"}\n", "state", "good");
	ASK("{\"command\":\"later\",\"word\":\"patience\"}\n", "asked", "patience");
	ASK("{\"command\":\"stop\"}\n", "error", "no such command");
	ASK("{\"command\":\"\"}\n", "error", "no such command");
	ASK("{\"command\":7}\n", "error", "expected");
	ASK("[\"command\"]\n", "error", "expected");
	ASK("\n", "error", "expected");
	ASK("status\n", "error", "expected");
	ASK("{\"command\":\"sta\0tus\"}\n", "error", "expected");
	ASK("\xff\xfe\n", "error", "expected");
}

static void test_requests(void **state)
{
	(void)state;
	serve(ask_all);
}

static void ask_in_pieces(void)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	int fd = dial(), other;

	/* The other client's answer proves that each piece was read on its own. */
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		say(fd, request + i, 1);
		other = dial();
		say(other, request, sizeof(request) - 1);
		expect(other, "state", "good");
	}
	expect(fd, "state", "good");
}

static void test_pieces(void **state)
{
	(void)state;
	serve(ask_in_pieces);
}

static void ask_too_much(void)
{
	char *flood = xmalloc(CONTROL_REQUEST_MAX + 1);
	int fd = dial();
	json_t *document;

	memset(flood, ' ', CONTROL_REQUEST_MAX + 1);
	say(fd, flood, CONTROL_REQUEST_MAX);
	expect(fd, "error", "too long");

	fd = dial();
	shutdown(fd, SHUT_WR);
	CHECK(hear(fd) == NULL);
	close(dial());

	fd = dial();
	say(fd, "{\"command\":\"big\"}\n", 18);
	document = hear(fd);
	CHECK(json_array_size(json_object_get(document, "list")) == 200000);
	json_decref(document);

	fd = dial(); /* asks, and leaves before it is answered */
	say(fd, "{\"command\":\"later\",\"word\":\"gone\"}\n", 34);
	close(fd);

	fd = dial(); /* asks for much and leaves */
	say(fd, "{\"command\":\"big\"}\n", 18);
	CHECK(recv(fd, flood, 16, MSG_WAITALL) == 16);
	close(fd);
	ASK("{\"command\":\"status\"}\n", "state", "good");
	free(flood);
}

static void test_limits(void **state)
{
	(void)state;
	serve(ask_too_much);
}

/* As many as are allowed keep silent; the next one waits until one of them leaves. */
static void ask_when_full(void)
{
	int silent[CONTROL_CLIENTS_MAX], fd;
	char byte;

	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = dial();
	fd = dial();
	say(fd, "{\"command\":\"status\"}\n", 21);
	/* A silent one speaks and is answered: the waiting one, who asked before, is not. */
	say(silent[0], "{\"command\":\"stat", 16);
	say(silent[1], "x\n", 2);
	expect(silent[1], "error", "expected");
	expect(fd, "state", "good");
	CHECK(recv(silent[0], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		if (i != 1)
			close(silent[i]);
}

static void test_full(void **state)
{
	(void)state;
	serve(ask_when_full);
}

static void test_socket_file(void **state)
{
	struct control *first = NULL, *second = NULL;
	const char *why = NULL;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(create(&first, &why), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	/* A living one is not taken away from its owner. */
	assert_int_equal(create(&second, &why), ERR_EXISTS);
	assert_non_null(strstr(why, "another poolbridge is running"));
	assert_non_null(strstr(why, path));
	assert_null(second);
	control_destroy(first);
	assert_int_equal(stat(path, &st), -1);

	/* What a crash left behind is replaced. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		memcpy(address.sun_path, path, strlen(path) + 1);
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	close(fd);
	assert_int_equal(create(&first, &why), OK);

	/* A file that has taken its place meanwhile is left alone. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	control_destroy(first);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(create(&first, &why), ERR_IO);
	assert_non_null(strstr(why, "no socket"));
}

static void test_bad_paths(void **state)
{
	struct control *control = NULL;
	const char *why = NULL;
	char deep[256];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/none/control.sock", folder);
	assert_int_equal(control_create(loop, deep, providers, 1, NULL, &control, &why), ERR_IO);
	assert_non_null(strstr(why, "folder"));
	memset(deep, 'x', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(control_create(loop, deep, providers, 1, NULL, &control, &why), ERR_IO);
	assert_non_null(strstr(why, "too long"));
	assert_null(control);
	control_destroy(NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_requests), CASE(test_pieces),      CASE(test_limits),
		CASE(test_full),     CASE(test_socket_file), CASE(test_bad_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
