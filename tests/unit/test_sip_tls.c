/*
 * test_sip_tls.c - TLS between the SIP endpoint and OpenSSL as the pool: which
 * certificates are believed in either direction, what is said of the others, and
 * what is left of a connection when it is over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bridge/sip/endpoint.h"
#include "bridge/xmpp/dns.h"
#include "certtest.h"
#include "dnstest.h"
#include "nettest.h"
#include "sippeer.h"

#define OURS "127.33.1.1"
#define POOL "127.33.1.2"
#define NAME "pool.corp.test"

enum { SIPS_PORT = 5061 };

static struct {
	struct dnstest dns;
	char *folder, *ca, *certificate, *key;
	struct certtest root, intermediate, rogue, old, ours;
} w;

struct tlspeer {
	struct nettest *net;
	int listener, fd;
	SSL_CTX *ctx;
	SSL *ssl;
	bool ready, ended;
	bool deaf; /* does not read */
	struct strbuf in;
};

struct fixture {
	struct nettest net;
	struct config config;
	struct dns *dns;
	struct sip_endpoint *endpoint;
	unsigned requests, responses, status;
	char source[64];
	struct tlspeer peer;
};

/* --- the endpoint --- */

static void on_request(void *ctx, const struct sip_request *r)
{
	struct fixture *f = ctx;

	f->requests++;
	snprintf(f->source, sizeof(f->source), "%s", r->source);
	sip_answer(r->transaction, 200, NULL, NULL);
}

static void on_response(void *ctx, const struct sip_response *response)
{
	struct fixture *f = ctx;

	f->responses++;
	f->status = response->status;
}

static void begin(struct fixture *f, const char *hop)
{
	struct dns_config settings;

	memset(f, 0, sizeof(*f));
	f->peer.fd = f->peer.listener = -1;
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen = (struct config_list){ { "tls:" OURS ":5061" }, 1 };
	f->config.sip.new_pool = (struct config_list){ { hop }, 1 };
	f->config.sip.certificate = w.certificate;
	f->config.sip.key = w.key;
	f->config.sip.ca = w.ca;
	f->config.external.certificate = f->config.external.key = f->config.external.ca = "";
	f->config.sip.message_bytes = 65536;
	f->config.sip.answer_ms = 30000;
	f->config.sip.queue_total = 1000;
	f->config.sip.backoff_min_ms = f->config.sip.backoff_max_ms = 1;
	f->config.dns.resolver = w.dns.resolver;
	f->config.dns.trust_anchor = "";
	f->config.dns.timeout_ms = 20000;
	f->config.dns.transparent_zones = (struct config_list){ { "test" }, 1 };
	settings = (struct dns_config){ .resolver = w.dns.resolver,
					.transparent_zones = f->config.dns.transparent_zones.item,
					.transparent_count = 1,
					.timeout_ms = 20000 };
	assert_int_equal(dns_create(f->net.loop, &settings, &f->dns), OK);
}

static void start(struct fixture *f)
{
	const struct sip_setup setup = {
		.loop = f->net.loop, .dns = f->dns, .config = &f->config, .on_request = on_request, .ctx = f
	};
	const char *why = "";

	if (sip_endpoint_create(&setup, &f->endpoint, &why) != OK)
		fail_msg("%s", why);
}

static void close_peer(struct tlspeer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	if (p->fd >= 0)
		close(p->fd);
	if (p->listener >= 0)
		close(p->listener);
	strbuf_free(&p->in);
	*p = (struct tlspeer){ .fd = -1, .listener = -1 };
}

static void end(struct fixture *f)
{
	sip_endpoint_destroy(f->endpoint);
	close_peer(&f->peer);
	dns_destroy(f->dns);
	nettest_end(&f->net);
}

static int64_t open_connections(const struct fixture *f)
{
	json_t *status = sip_endpoint_status(f->endpoint);
	const int64_t n = json_integer_value(json_object_get(status, "tls_connections"));

	json_decref(status);
	return n;
}

static void last_error(const struct fixture *f, char out[256])
{
	json_t *status = sip_endpoint_status(f->endpoint);
	const json_t *hop = json_array_get(json_object_get(status, "hops"), 0);
	const char *error = json_string_value(json_object_get(hop, "error"));

	snprintf(out, 256, "%s", error != NULL ? error : "");
	json_decref(status);
}

/* --- the pool --- */

static SSL_CTX *pool_context(const struct certtest *leaf, const struct certtest *chain)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	assert_non_null(ctx);
	if (leaf != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, leaf->x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, leaf->key), 1);
	}
	if (chain != NULL)
		assert_int_equal(SSL_CTX_add1_chain_cert(ctx, chain->x), 1);
	/* It asks for our certificate, and believes the same CA: its word is that our chain was sent whole. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	assert_int_equal(SSL_CTX_load_verify_file(ctx, w.ca), 1);
	return ctx;
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &sa.sin_addr), 1);
	return sa;
}

static int bound_socket(uint16_t port)
{
	const struct sockaddr_in sa = address(POOL, port);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void listen_as(struct fixture *f, const struct certtest *leaf, const struct certtest *chain)
{
	f->peer.net = &f->net;
	f->peer.ctx = pool_context(leaf, chain);
	f->peer.listener = bound_socket(SIPS_PORT);
	assert_int_equal(listen(f->peer.listener, 4), 0);
}

static void connect_as(struct fixture *f, const struct certtest *leaf, const struct certtest *chain)
{
	const struct sockaddr_in sa = address(OURS, SIPS_PORT);

	f->peer.net = &f->net;
	f->peer.ctx = pool_context(leaf, chain);
	f->peer.fd = bound_socket(0);
	if (connect(f->peer.fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		assert_int_equal(errno, EINPROGRESS);
	f->peer.ssl = SSL_new(f->peer.ctx);
	SSL_set_fd(f->peer.ssl, f->peer.fd);
	SSL_set_connect_state(f->peer.ssl);
}

static bool is_waiting(const struct tlspeer *p, int result)
{
	const int error = SSL_get_error(p->ssl, result);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ||
	       (error == SSL_ERROR_SYSCALL && (errno == ENOTCONN || errno == EINPROGRESS));
}

/* As far as it goes without waiting. */
static void poll_peer(struct tlspeer *p)
{
	char bytes[16384];
	int n;

	if (p->fd < 0 && p->listener >= 0) {
		p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (p->fd < 0)
			return;
		p->ssl = SSL_new(p->ctx);
		SSL_set_fd(p->ssl, p->fd);
		SSL_set_accept_state(p->ssl);
	}
	if (p->fd < 0 || p->ended || (p->deaf && p->ready))
		return;
	ERR_clear_error();
	errno = 0;
	if (!p->ready) {
		n = SSL_do_handshake(p->ssl);
		p->ready = n == 1;
		p->ended = n != 1 && !is_waiting(p, n);
	}
	while (p->ready && !p->ended) {
		ERR_clear_error();
		n = SSL_read(p->ssl, bytes, sizeof(bytes));
		if (n > 0) {
			strbuf_add(&p->in, bytes, (size_t)n);
			continue;
		}
		p->ended = !is_waiting(p, n);
		break;
	}
}

static bool has_message(void *ctx)
{
	struct fixture *f = ctx;

	poll_peer(&f->peer);
	return f->peer.in.len > 0 && strstr(f->peer.in.s, "\r\n\r\n") != NULL;
}

static bool has_ended(void *ctx)
{
	struct fixture *f = ctx;

	poll_peer(&f->peer);
	return f->peer.ended;
}

static bool is_ready(void *ctx)
{
	struct fixture *f = ctx;

	poll_peer(&f->peer);
	return f->peer.ready;
}

static bool has_response(void *ctx)
{
	struct fixture *f = ctx;

	poll_peer(&f->peer);
	return f->responses > 0;
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(SSL_write(f->peer.ssl, text, (int)strlen(text)), strlen(text));
}

static const char message[] = "MESSAGE sip:juliet@partner.test SIP/2.0\r\n"
			      "Via: SIP/2.0/TLS " POOL ":5061;branch=z9hG4bK1\r\n"
			      "Max-Forwards: 70\r\n"
			      "From: <sip:tybalt@corp.test>;tag=a\r\n"
			      "To: <sip:juliet@partner.test>\r\n"
			      "Call-ID: c1\r\n"
			      "CSeq: 1 MESSAGE\r\n"
			      "Content-Type: text/plain\r\n"
			      "Content-Length: 2\r\n\r\nhi";

static const struct sip_send plain = {
	.method = "MESSAGE",
	.pool = POOL_NEW,
	.to_uri = "sip:tybalt@corp.test",
	.from_uri = "sip:juliet@partner.test",
	.content_type = "text/plain;charset=UTF-8",
	.body = "Good pilgrim",
	.body_size = 12,
};

static void answer(struct fixture *f)
{
	static const char *const copied[] = { "Via", "From", "Call-ID", "CSeq" };
	struct strbuf out = { .s = NULL };

	strbuf_puts(&out, "SIP/2.0 200 OK\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		strbuf_printf(&out, "%s: %s\r\n", copied[i], sip_field(f->peer.in.s, copied[i]));
	strbuf_printf(&out, "To: %s;tag=peer\r\nContent-Length: 0\r\n\r\n", sip_field(f->peer.in.s, "To"));
	strbuf_reset(&f->peer.in);
	say(f, out.s);
	strbuf_free(&out);
}

/* --- certificates --- */

static const struct {
	const char *label;
	const char *subject, *names[3];
	int issuer; /* 0 the intermediate, 1 the root, 2 a rogue one, 3 an expired one, 4 itself */
	bool no_chain;
	long from, until;
	const char *usage;
	const char *why; /* NULL: believed; else a part of the words */
} certificates[] = {
	{ "good", "x", { "DNS:other.test", "DNS:" NAME }, 0, false, 0, 0, NULL, NULL },
	{ "for servers only, as Microsoft's are", "x", { "DNS:" NAME }, 1, false, 0, 0, "serverAuth", NULL },
	{ "upper case", "x", { "DNS:POOL.corp.TEST" }, 1, false, 0, 0, NULL, NULL },
	{ "a SIP URI", "x", { "URI:sip:" NAME }, 1, false, 0, 0, NULL, NULL },
	{ "a CN and nothing else", NAME, { NULL }, 1, false, 0, 0, NULL, NULL },
	{ "wrong name",
	  "x",
	  { "DNS:other.test" },
	  0,
	  false,
	  0,
	  0,
	  NULL,
	  "issued for other.test, not for " NAME },
	{ "a CN beside other names", NAME, { "DNS:other.test" }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "a CN beside an address", NAME, { "EMAIL:a@b.test" }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "wildcard", "x", { "DNS:*.corp.test" }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "part of the name", "x", { "DNS:corp.test" }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "more than the name", "x", { "DNS:a." NAME }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "NUL in the name", "x", { "DNS:" NAME "\\0.evil.test" }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "a person at the pool", "x", { "URI:sip:a@" NAME }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "an XMPP address", "x", { "XMPP:" NAME }, 1, false, 0, 0, NULL, "not for " NAME },
	{ "rogue CA", "x", { "DNS:" NAME }, 2, false, 0, 0, NULL, "unknown CA" },
	{ "expired", "x", { "DNS:" NAME }, 1, false, -7200, -3600, NULL, "expired on " },
	{ "not yet valid", "x", { "DNS:" NAME }, 1, false, 3600, 7200, NULL, "not valid before " },
	{ "issuer expired", "x", { "DNS:" NAME }, 3, false, 0, 0, NULL, "the issuer 'CN=Old': expired on " },
	{ "self-signed", "x", { "DNS:" NAME }, 4, false, 0, 0, NULL, "self-signed" },
	{ "chain incomplete", "x", { "DNS:" NAME }, 0, true, 0, 0, NULL, "chain incomplete" },
	{ "for signing code", "x", { "DNS:" NAME }, 1, false, 0, 0, "codeSigning", "wrong usage" },
};

static void make(size_t row, struct certtest *out, const struct certtest **chain)
{
	const struct certtest *const issuers[] = { &w.intermediate, &w.root, &w.rogue, &w.old, NULL };
	struct certtest_spec spec = {
		.subject = certificates[row].subject,
		.usage = certificates[row].usage,
		.from = certificates[row].from,
		.until = certificates[row].until,
		.issuer = issuers[certificates[row].issuer],
	};

	memcpy(spec.names, certificates[row].names, sizeof(certificates[row].names));
	certtest_make(&spec, out);
	*chain = certificates[row].no_chain || spec.issuer == &w.root ? NULL : spec.issuer;
}

/* What the log says goes to a file meanwhile. */
static int catch_log(char **path)
{
	const int saved = dup(STDERR_FILENO);
	int fd;

	*path = nettest_path(w.folder, "log");
	fd = open(*path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(saved >= 0 && fd >= 0);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	close(fd);
	return saved;
}

static void release_log(int saved, char *path, char *text, size_t size)
{
	FILE *file;

	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
	free(path);
}

/* --- the tests --- */

/* A peer that connects. */
static void test_incoming(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(certificates); i++) {
		const struct certtest *chain;
		struct certtest leaf;
		struct fixture f;
		char log[4096], *path;
		int saved;

		make(i, &leaf, &chain);
		begin(&f, "sip:" NAME ":5061;transport=tls");
		start(&f);
		saved = catch_log(&path);
		connect_as(&f, &leaf, chain);
		if (certificates[i].why == NULL) {
			nettest_run(&f.net, is_ready, &f);
			say(&f, message);
			nettest_run(&f.net, has_message, &f);
		} else {
			nettest_run(&f.net, has_ended, &f);
		}
		release_log(saved, path, log, sizeof(log));
		if (certificates[i].why == NULL) {
			assert_memory_equal(f.peer.in.s, "SIP/2.0 200 ", 12);
			assert_int_equal(f.requests, 1);
			assert_memory_equal(f.source, POOL ":", strlen(POOL ":"));
			assert_non_null(strstr(f.source, "/tls"));
		} else {
			assert_int_equal(f.requests, 0);
			if (strstr(log, certificates[i].why) == NULL)
				fail_msg("%s: '%s' does not say '%s'", certificates[i].label, log,
					 certificates[i].why);
			assert_non_null(strstr(log, "sip-tls-refused"));
			assert_non_null(strstr(log, "direction=in"));
			assert_non_null(strstr(log, "subject=\"CN="));
			assert_non_null(strstr(log, "issuer=\"CN="));
		}
		end(&f);
		certtest_free(&leaf);
	}
}

/* A peer that we connect to. The name is the configured one; DNS made an address of it. */
static void test_outgoing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(certificates); i++) {
		const struct certtest *chain;
		struct certtest leaf;
		struct fixture f;
		char error[256];

		make(i, &leaf, &chain);
		begin(&f, "sip:" NAME ":5061;transport=tls");
		listen_as(&f, &leaf, chain);
		start(&f);
		sip_send(f.endpoint, &plain, on_response, &f);
		if (certificates[i].why == NULL) {
			nettest_run(&f.net, has_message, &f);
			assert_memory_equal(sip_field(f.peer.in.s, "Via"), "SIP/2.0/TLS " OURS,
					    strlen("SIP/2.0/TLS " OURS));
			assert_string_equal(SSL_get_servername(f.peer.ssl, TLSEXT_NAMETYPE_host_name), NAME);
			answer(&f);
		}
		nettest_run(&f.net, has_response, &f);
		assert_int_equal(f.status, certificates[i].why == NULL ? 200 : 503);
		if (certificates[i].why != NULL) {
			assert_int_equal(f.peer.in.len, 0); /* nothing was said to it */
			last_error(&f, error);
			if (strstr(error, certificates[i].why) == NULL)
				fail_msg("%s: '%s' does not say '%s'", certificates[i].label, error,
					 certificates[i].why);
		}
		end(&f);
		certtest_free(&leaf);
	}
}

/* Who shows no certificate, and who speaks TLS of another age. */
static void test_refused_clients(void **state)
{
	static const char *const words[] = { "peer did not return a certificate", "unsupported protocol" };
	(void)state;
	for (int old = 0; old < 2; old++) {
		const struct certtest *chain;
		struct certtest leaf;
		struct fixture f;
		char log[4096], *path;
		int saved;

		make(0, &leaf, &chain);
		begin(&f, "sip:" NAME ":5061;transport=tls");
		start(&f);
		saved = catch_log(&path);
		connect_as(&f, old ? &leaf : NULL, old ? chain : NULL);
		if (old) {
			SSL_set_max_proto_version(f.peer.ssl, TLS1_1_VERSION);
			SSL_set_security_level(f.peer.ssl, 0);
			SSL_set_cipher_list(f.peer.ssl, "ALL:@SECLEVEL=0");
		}
		nettest_run(&f.net, has_ended, &f);
		release_log(saved, path, log, sizeof(log));
		assert_int_equal(f.requests, 0);
		if (strstr(log, words[old]) == NULL)
			fail_msg("'%s' does not say '%s'", log, words[old]);
		end(&f);
		certtest_free(&leaf);
	}
}

/* sip.tls_names take the place of the hosts, for those who connect. */
static void test_tls_names(void **state)
{
	static const char *const lists[] = { "other.test", NAME };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct certtest *chain;
		struct certtest leaf;
		struct fixture f;

		make(5, &leaf, &chain); /* other.test */
		begin(&f, "sip:" NAME ":5061;transport=tls");
		f.config.sip.tls_names = (struct config_list){ { lists[i] }, 1 };
		start(&f);
		connect_as(&f, &leaf, chain);
		if (i == 0) {
			nettest_run(&f.net, is_ready, &f);
			say(&f, message);
			nettest_run(&f.net, has_message, &f);
		} else {
			nettest_run(&f.net, has_ended, &f);
		}
		assert_int_equal(f.requests, i == 0 ? 1 : 0);
		end(&f);
		certtest_free(&leaf);
	}
}

/* Where the host is an address, the certificate must name that. */
static void test_address(void **state)
{
	static const char *const names[] = { "IP:\x7f\x21\x01\x02", "IP:\x7f\x21\x01\x03", ("DNS:" POOL) };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct certtest_spec spec = { .subject = "x",
						    .names = { names[i] },
						    .issuer = &w.root };
		struct certtest leaf;
		struct fixture f;

		certtest_make(&spec, &leaf);
		begin(&f, "sip:" POOL ":5061;transport=tls");
		listen_as(&f, &leaf, NULL);
		start(&f);
		sip_send(f.endpoint, &plain, on_response, &f);
		if (i == 0) {
			nettest_run(&f.net, has_message, &f);
			assert_null(SSL_get_servername(f.peer.ssl, TLSEXT_NAMETYPE_host_name));
			answer(&f);
		}
		nettest_run(&f.net, has_response, &f);
		assert_int_equal(f.status, i == 0 ? 200 : 503);
		end(&f);
		certtest_free(&leaf);
	}
}

/* Our own certificate, when the pool does not believe it: it says so, in TLS 1.3 after the handshake. */
static void test_our_certificate_refused(void **state)
{
	const struct certtest *chain;
	struct certtest leaf;
	struct fixture f;
	char error[256];
	(void)state;

	make(0, &leaf, &chain);
	begin(&f, "sip:" NAME ":5061;transport=tls");
	listen_as(&f, &leaf, chain);
	SSL_CTX_set_cert_store(f.peer.ctx, X509_STORE_new());
	start(&f);
	sip_send(f.endpoint, &plain, on_response, &f);
	nettest_run(&f.net, has_response, &f);
	assert_int_equal(f.status, 503);
	last_error(&f, error);
	if (strstr(error, "unknown CA") == NULL)
		fail_msg("'%s' does not say 'unknown CA'", error);
	end(&f);
	certtest_free(&leaf);
}

static bool is_forgotten(void *ctx)
{
	struct fixture *f = ctx;

	return open_connections(f) == 0;
}

/* Connections of every fate leave nothing behind: refused, cut before a byte, cut in the handshake, ended well. */
static void test_nothing_is_left(void **state)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	const struct certtest *chain;
	struct certtest leaf;
	struct fixture f;
	(void)state;

	make(0, &leaf, &chain);
	begin(&f, "sip:" NAME ":5061;transport=tls");
	start(&f);
	for (int i = 0; i < 12; i++) {
		connect_as(&f, i % 4 == 3 ? NULL : &leaf, chain);
		switch (i % 4) {
		case 0:
			nettest_run(&f.net, is_ready, &f);
			break;
		case 1: /* a load balancer that looks whether somebody is there */
			while (send(f.peer.fd, "", 0, MSG_NOSIGNAL) != 0)
				nettest_is_quiet(&f.net);
			setsockopt(f.peer.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
			break;
		case 2:
			poll_peer(&f.peer);
			break;
		default:
			nettest_run(&f.net, has_ended, &f);
		}
		close_peer(&f.peer);
	}
	nettest_run(&f.net, is_forgotten, &f);
	end(&f);
	certtest_free(&leaf);
}

/* What the peer does not read waits, and then comes whole and in order. */
static void test_back_pressure(void **state)
{
	enum { MESSAGES = 60, BODY = 60000 };
	const struct certtest *chain;
	struct certtest leaf;
	struct fixture f;
	char *body = xmalloc(BODY);
	struct sip_send m = plain;
	(void)state;

	make(0, &leaf, &chain);
	begin(&f, "sip:" NAME ":5061;transport=tls");
	listen_as(&f, &leaf, chain);
	start(&f);
	f.peer.deaf = true;
	m.body = body;
	m.body_size = BODY;
	for (int i = 0; i < MESSAGES; i++) {
		memset(body, 'a' + i % 26, BODY);
		sip_send(f.endpoint, &m, on_response, &f);
		if (i == 0)
			nettest_run(&f.net, is_ready, &f);
	}
	assert_true(nettest_is_quiet(&f.net));
	f.peer.deaf = false;
	for (int i = 0; i < MESSAGES; i++) {
		const char *start_of_body;
		size_t size;

		do {
			nettest_run(&f.net, has_message, &f);
			start_of_body = sip_body(f.peer.in.s);
			size = (size_t)(start_of_body - f.peer.in.s) + BODY;
			if (f.peer.in.len < size)
				nettest_is_quiet(&f.net);
		} while (f.peer.in.len < size);
		for (size_t b = 0; b < BODY; b++)
			if (start_of_body[b] != 'a' + i % 26)
				fail_msg("message %d, byte %zu: '%c'", i, b, start_of_body[b]);
		strbuf_consume(&f.peer.in, size);
	}
	free(body);
	end(&f);
	certtest_free(&leaf);
}

/* New files are used from the next connection on; bad ones are not. */
static void test_reload(void **state)
{
	const struct certtest_spec spec = { .subject = "renewed",
					    .names = { "DNS:us.test" },
					    .issuer = &w.root };
	const struct certtest *chain, *renewed_list[1];
	struct certtest leaf, renewed;
	struct fixture f;
	const char *why = "";
	char name[64];
	(void)state;

	make(0, &leaf, &chain);
	certtest_make(&spec, &renewed);
	renewed_list[0] = &renewed;
	begin(&f, "sip:" NAME ":5061;transport=tls");
	start(&f);
	f.config.sip.certificate = "/nonexistent";
	assert_int_equal(sip_endpoint_reload(f.endpoint, &why), ERR_IO);
	assert_non_null(strstr(why, "/nonexistent"));
	for (int i = 0; i < 2; i++) {
		if (i == 1) {
			certtest_write(w.folder, "new.pem", renewed_list, 1);
			certtest_write_key(w.folder, "new.key", &renewed);
			f.config.sip.certificate = nettest_path(w.folder, "new.pem");
			f.config.sip.key = nettest_path(w.folder, "new.key");
			assert_int_equal(sip_endpoint_reload(f.endpoint, &why), OK);
		}
		connect_as(&f, &leaf, chain);
		nettest_run(&f.net, is_ready, &f);
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(f.peer.ssl)),
					  NID_commonName, name, sizeof(name));
		assert_string_equal(name, i == 0 ? "us" : "renewed");
		close_peer(&f.peer);
	}
	free((char *)f.config.sip.certificate);
	free((char *)f.config.sip.key);
	end(&f);
	certtest_free(&leaf);
	certtest_free(&renewed);
}

/* --- the scene --- */

static void make_ca(const char *subject, const struct certtest *issuer, long from, long until,
		    struct certtest *out)
{
	const struct certtest_spec spec = { .subject = subject,
					    .constraints = "critical,CA:TRUE",
					    .issuer = issuer,
					    .from = from,
					    .until = until };

	certtest_make(&spec, out);
}

static bool knows_pool(void)
{
	struct fixture f;
	struct sip_endpoint *endpoint = NULL;
	const char *why = "";
	bool known;

	begin(&f, "sip:" NAME ":5061;transport=tls");
	known = sip_endpoint_create(&(struct sip_setup){ .loop = f.net.loop,
							 .dns = f.dns,
							 .config = &f.config,
							 .on_request = on_request },
				    &endpoint, &why) == OK;
	f.endpoint = endpoint;
	end(&f);
	return known;
}

static int group_setup(void **state)
{
	const struct certtest_spec ours = { .subject = "us",
					    .names = { "DNS:us.test" },
					    .issuer = &w.intermediate };
	const struct certtest *root[1] = { &w.root }, *chain[2] = { &w.ours, &w.intermediate };
	bool known = false;
	(void)state;

	make_ca("Root", NULL, 0, 0, &w.root);
	make_ca("Intermediate", &w.root, 0, 0, &w.intermediate);
	make_ca("Rogue", NULL, 0, 0, &w.rogue);
	make_ca("Old", &w.root, -7200, -3600, &w.old);
	certtest_make(&ours, &w.ours);
	w.folder = nettest_folder();
	certtest_write(w.folder, "ca.pem", root, 1);
	certtest_write(w.folder, "us.pem", chain, 2);
	certtest_write_key(w.folder, "us.key", &w.ours);
	w.ca = nettest_path(w.folder, "ca.pem");
	w.certificate = nettest_path(w.folder, "us.pem");
	w.key = nettest_path(w.folder, "us.key");
	dnstest_begin(&w.dns, 33, "host-record=" NAME "," POOL "\n");
	for (int i = 0; i < 100 && !known; i++)
		known = knows_pool();
	assert_true(known);
	return 0;
}

/* The address of a pool that is reached by TLS proves nothing without it, where another listener is open. */
static void test_clear_text_is_not_believed(void **state)
{
	struct sippeer peer;
	struct fixture f;
	(void)state;

	begin(&f, "sip:" POOL ":5061;transport=tls");
	f.config.sip.listen.item[f.config.sip.listen.count++] = "tcp:" OURS ":5060";
	start(&f);
	sippeer_connect(&peer, &f.net, POOL, OURS);
	sippeer_printf(&peer, "MESSAGE sip:juliet@partner.test SIP/2.0\r\n"
			      "Via: SIP/2.0/TCP " POOL ";branch=z9hG4bKclear\r\nMax-Forwards: 70\r\n"
			      "From: <sip:tybalt@corp.test>;tag=1\r\nTo: <sip:juliet@partner.test>\r\n"
			      "Call-ID: clear@x\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n");
	if (strncmp(sippeer_receive(&peer), "SIP/2.0 403 ", 12) != 0)
		fail_msg("not 403 but %s", peer.message.s);
	assert_int_equal(f.requests, 0);
	sippeer_close(&peer);
	end(&f);
}

static int group_teardown(void **state)
{
	(void)state;
	dnstest_end(&w.dns);
	certtest_free(&w.root);
	certtest_free(&w.intermediate);
	certtest_free(&w.rogue);
	certtest_free(&w.old);
	certtest_free(&w.ours);
	free(w.ca);
	free(w.certificate);
	free(w.key);
	nettest_remove(w.folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_incoming),        cmocka_unit_test(test_outgoing),
		cmocka_unit_test(test_refused_clients), cmocka_unit_test(test_tls_names),
		cmocka_unit_test(test_address),         cmocka_unit_test(test_our_certificate_refused),
		cmocka_unit_test(test_nothing_is_left), cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_reload),          cmocka_unit_test(test_clear_text_is_not_believed),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
