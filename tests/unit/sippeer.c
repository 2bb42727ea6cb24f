/*
 * sippeer.c - the helpers of sippeer.h.
 */
#include "sippeer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIP_PORT = 5060 };

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &sa.sin_addr), 1);
	return sa;
}

static int bound_socket(int type, const char *address, uint16_t port)
{
	struct sockaddr_in sa = address_of(address, port);
	const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

void sippeer_udp(struct sippeer *p, struct nettest *net, const char *address)
{
	*p = (struct sippeer){ .net = net, .listener = -1 };
	p->fd = bound_socket(SOCK_DGRAM, address, SIP_PORT);
}

void sippeer_listen(struct sippeer *p, struct nettest *net, const char *address)
{
	*p = (struct sippeer){ .net = net, .tcp = true, .fd = -1 };
	p->listener = bound_socket(SOCK_STREAM, address, SIP_PORT);
	assert_int_equal(listen(p->listener, 4), 0);
}

void sippeer_connect(struct sippeer *p, struct nettest *net, const char *from, const char *to)
{
	struct sockaddr_in sa = address_of(to, SIP_PORT);

	*p = (struct sippeer){ .net = net, .tcp = true, .listener = -1 };
	p->fd = bound_socket(SOCK_STREAM, from, 0);
	if (connect(p->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		assert_int_equal(errno, EINPROGRESS);
}

void sippeer_close(struct sippeer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->listener >= 0)
		close(p->listener);
	strbuf_free(&p->in);
	strbuf_free(&p->message);
	for (size_t i = 0; i < ARRAY_SIZE(p->recent); i++)
		free(p->recent[i]);
	memset(p->recent, 0, sizeof(p->recent));
	p->fd = p->listener = -1;
}

void sippeer_aim(struct sippeer *p, const char *address)
{
	p->to = address_of(address, SIP_PORT);
}

static bool can_send(void *ctx)
{
	struct sippeer *p = ctx;
	struct sockaddr_in sa;
	socklen_t size = sizeof(sa);

	return getpeername(p->fd, (struct sockaddr *)&sa, &size) == 0;
}

void sippeer_send(struct sippeer *p, const char *bytes, size_t size)
{
	if (p->tcp) {
		nettest_run(p->net, can_send, p);
		assert_int_equal(send(p->fd, bytes, size, MSG_NOSIGNAL), size);
	} else {
		assert_int_equal(sendto(p->fd, bytes, size, 0, (struct sockaddr *)&p->to, sizeof(p->to)),
				 size);
	}
}

void sippeer_printf(struct sippeer *p, const char *fmt, ...)
{
	char text[8192];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(text));
	sippeer_send(p, text, (size_t)n);
}

static bool is_repeat(struct sippeer *p)
{
	char **slot = &p->recent[p->recent_next];

	if (strncmp(p->message.s, "SIP/2.0 ", 8) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(p->recent); i++)
		if (p->recent[i] != NULL && strcmp(p->recent[i], p->message.s) == 0)
			return true;
	free(*slot);
	*slot = xstrdup(p->message.s);
	p->recent_next = (p->recent_next + 1) % ARRAY_SIZE(p->recent);
	return false;
}

static bool poll_udp(struct sippeer *p)
{
	char bytes[65536];
	socklen_t size = sizeof(p->to);
	ssize_t n;

	while ((n = recvfrom(p->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&p->to, &size)) > 0) {
		struct strbuf last = p->message;

		p->message = (struct strbuf){ .s = NULL };
		strbuf_add(&p->message, bytes, (size_t)n);
		if (p->hear_repeats || !is_repeat(p)) {
			strbuf_free(&last);
			return true;
		}
		strbuf_free(&p->message);
		p->message = last;
	}
	return false;
}

/* Cut one message from the stream: its header and Content-Length bytes. */
static bool cut(struct sippeer *p)
{
	const char *end = p->in.len > 0 ? strstr(p->in.s, "\r\n\r\n") : NULL;
	const char *length;
	size_t size;

	if (end == NULL)
		return false;
	length = sip_field(p->in.s, "Content-Length");
	size = (size_t)(end + 4 - p->in.s) + (length != NULL ? strtoul(length, NULL, 10) : 0);
	if (p->in.len < size)
		return false;
	strbuf_reset(&p->message);
	strbuf_add(&p->message, p->in.s, size);
	strbuf_consume(&p->in, size);
	return true;
}

static bool poll_tcp(struct sippeer *p)
{
	char bytes[65536];
	ssize_t n;

	if (p->fd < 0 && p->listener >= 0)
		p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->fd < 0)
		return false;
	while ((n = recv(p->fd, bytes, sizeof(bytes), 0)) > 0)
		strbuf_add(&p->in, bytes, (size_t)n);
	return cut(p);
}

bool sippeer_poll(struct sippeer *p)
{
	return p->tcp ? poll_tcp(p) : poll_udp(p);
}

static bool has_message(void *ctx)
{
	return sippeer_poll(ctx);
}

const char *sippeer_receive(struct sippeer *p)
{
	nettest_run(p->net, has_message, p);
	return p->message.s;
}

void sippeer_answer(struct sippeer *p, const char *status, const char *extra)
{
	static const char *const copied[] = { "Via", "From", "Call-ID", "CSeq" };
	struct strbuf out = { .s = NULL };

	strbuf_printf(&out, "SIP/2.0 %s\r\n", status);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		strbuf_printf(&out, "%s: %s\r\n", copied[i], sip_field(p->message.s, copied[i]));
	strbuf_printf(&out, "To: %s;tag=peer\r\n%sContent-Length: 0\r\n\r\n", sip_field(p->message.s, "To"),
		      extra);
	sippeer_send(p, out.s, out.len);
	strbuf_free(&out);
}

/* The header field at the start of a line of the header, or NULL. */
static const char *find_line(const char *message, const char *start)
{
	const char *end = strstr(message, "\r\n\r\n");

	for (const char *line = message; line != NULL && line < end; line = strstr(line, "\r\n")) {
		line += line != message ? 2 : 0;
		if (strncmp(line, start, strlen(start)) == 0)
			return line;
	}
	return NULL;
}

const char *sip_field(const char *message, const char *name)
{
	static char values[8][4096];
	static size_t turn;
	char *value = values[turn++ % ARRAY_SIZE(values)];
	char start[64];
	const char *line;

	snprintf(start, sizeof(start), "%s: ", name);
	line = find_line(message, start);
	if (line == NULL)
		return NULL;
	line += strlen(start);
	snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(line, "\r"), line);
	return value;
}

unsigned sip_count_lines(const char *message, const char *start)
{
	unsigned n = 0;

	for (const char *line; (line = find_line(message, start)) != NULL; n++)
		message = line + 1;
	return n;
}

const char *sip_body(const char *message)
{
	const char *end = strstr(message, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}
