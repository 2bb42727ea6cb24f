/*
 * limit.c - the floor under every router of XML streams: bytes are read from one
 * socket, parsed by expat, and written to another socket.
 *
 * It stands between a server that opens a stream and the one that takes it, like a
 * wire: the two negotiate with each other. Where they begin TLS (STARTTLS), it does so with
 * both, with OpenSSL on both sides, because a router must read what it routes. It
 * checks nothing, chooses no way, keeps nothing, and what comes back is not parsed.
 * Sockets block; one stream at a time; any failure but the stream's end is fatal.
 */
#include "config.h"

#include <arpa/inet.h>
#include <expat.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 65536, XMPP_PORT = 5269 };

static const char usage[] =
	"Usage: limit --listen ADDRESS --connect ADDRESS [--tls CERT,KEY]\n"
	"\n"
	"Bytes are read, parsed by expat, and written to the other side; nothing else. Port 5269 "
	"on both sides.\n";

struct side {
	int fd;
	SSL *ssl; /* NULL: plain */
};

static SSL_CTX *server_tls, *client_tls;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* --- one side --- */

/* 0: it has ended; -1: nothing, since what came was TLS's own. */
static int get(struct side *s, char *data)
{
	int n = s->ssl ? SSL_read(s->ssl, data, READ_SIZE) : (int)recv(s->fd, data, READ_SIZE, 0);

	if (n > 0)
		return n;
	return s->ssl && SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static bool put(struct side *s, const char *data, int size)
{
	while (size > 0) {
		ssize_t n = s->ssl ? SSL_write(s->ssl, data, size)
				   : send(s->fd, data, (size_t)size, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		size -= (int)n;
	}
	return true;
}

static bool secure(struct side *s, SSL_CTX *context, int (*handshake)(SSL *ssl))
{
	s->ssl = SSL_new(context);
	return s->ssl && SSL_set_fd(s->ssl, s->fd) == 1 && handshake(s->ssl) == 1;
}

static void end_side(struct side *s)
{
	SSL_free(s->ssl);
	close(s->fd);
}

/* --- one stream --- */

static void on_start(void *ctx, const char *name, const char **attributes)
{
	(void)ctx;
	(void)name;
	(void)attributes;
}

static void on_end(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
}

static void begin(XML_Parser parser)
{
	XML_ParserReset(parser, NULL);
	XML_SetElementHandler(parser, on_start, on_end);
#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	XML_SetReparseDeferralEnabled(parser, XML_FALSE);
#endif
}

static bool forth(struct side *from, struct side *to, XML_Parser parser, char *data)
{
	int n = get(from, data);

	return n < 0 || (n > 0 && XML_Parse(parser, data, n, 0) == XML_STATUS_OK && put(to, data, n));
}

static bool back(struct side *from, struct side *to, XML_Parser parser, char *data)
{
	static const char proceed[] = "<proceed";
	int n = get(to, data);

	if (n <= 0 || !put(from, data, n))
		return n < 0;
	if (from->ssl || !server_tls || !memmem(data, (size_t)n, proceed, strlen(proceed)))
		return true;
	begin(parser);
	return secure(from, server_tls, SSL_accept) && secure(to, client_tls, SSL_connect);
}

static void carry(struct side *from, struct side *to)
{
	static char data[READ_SIZE];
	XML_Parser parser = XML_ParserCreateNS(NULL, '|');
	struct pollfd fds[] = { { .fd = from->fd, .events = POLLIN }, { .fd = to->fd, .events = POLLIN } };
	bool lives = parser != NULL;

	if (lives)
		begin(parser);
	while (lives && poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			lives = forth(from, to, parser, data);
		if (lives && fds[1].revents)
			lives = back(from, to, parser, data);
	}
	XML_ParserFree(parser);
}

/* --- the program --- */

static _Noreturn void show_usage(int status)
{
	fputs(usage, status == 0 ? stdout : stderr);
	exit(status);
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(XMPP_PORT) };

	if (!text)
		show_usage(2);
	if (inet_pton(AF_INET, text, &a.sin_addr) != 1) {
		fprintf(stderr, "limit: %s is not an IPv4 address\n", text);
		exit(2);
	}
	return a;
}

static int new_socket(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		die("socket");
	return fd;
}

static void make_tls(const char *files)
{
	const char *comma = strchr(files, ',');
	char certificate[4096];

	server_tls = SSL_CTX_new(TLS_server_method());
	client_tls = SSL_CTX_new(TLS_client_method());
	snprintf(certificate, sizeof(certificate), "%.*s", comma ? (int)(comma - files) : 0, files);
	if (!server_tls || !client_tls || !comma ||
	    SSL_CTX_use_certificate_chain_file(server_tls, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server_tls, comma + 1, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "limit: --tls %s: not CERT,KEY, two files in PEM that belong together\n",
			files);
		exit(2);
	}
	/* Reading returns after a session ticket, too, rather than to wait for what may not come before we write. */
	SSL_CTX_clear_mode(server_tls, SSL_MODE_AUTO_RETRY);
	SSL_CTX_clear_mode(client_tls, SSL_MODE_AUTO_RETRY);
}

static void serve(int listener, const struct sockaddr_in *to)
{
	int on = 1;

	for (;;) {
		struct side near = { .fd = accept(listener, NULL, NULL) }, far = { .fd = new_socket() };

		if (near.fd < 0)
			die("accept");
		setsockopt(near.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(far.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(far.fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
			carry(&near, &far);
		end_side(&near);
		end_side(&far);
	}
}

int main(int argc, char **argv)
{
	static const struct option known[] = { { "listen", 1, NULL, 'l' },
					       { "connect", 1, NULL, 'c' },
					       { "tls", 1, NULL, 't' },
					       { "help", 0, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	const char *listen_at = NULL, *connect_to = NULL;
	struct sockaddr_in at, to;
	int option, listener;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		if (option == 'l')
			listen_at = optarg;
		else if (option == 'c')
			connect_to = optarg;
		else if (option == 't')
			make_tls(optarg);
		else
			show_usage(option == 'h' ? 0 : 2);
	if (optind < argc)
		show_usage(2);
	at = address_of(listen_at);
	to = address_of(connect_to);
	signal(SIGPIPE, SIG_IGN);
	listener = new_socket();
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 16) != 0)
		die("listen");
	puts("ready");
	fflush(stdout);
	serve(listener, &to);
}
