/*
 * test_dnssec.c - look-ups that DNSSEC proves, does not prove, or proves
 * wrong, and a TLS handshake by what they say.
 *
 * An nsd on a loopback address of its own serves zones that ldns-signzone has
 * signed for this run; some are spoilt afterwards.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/tls_internal.h"
#include "certtest.h"
#include "nettest.h"

enum { DNS_PORT = 5300, TIMEOUT_MS = 20000, DIGEST_HEX = 65 };

/* What every zone holds; the last %s is the digest of a key. */
#define ZONE                                                                                                 \
	"$ORIGIN %s.\n"                                                                                      \
	"$TTL 60\n"                                                                                          \
	"@ IN SOA ns hostmaster 1 3600 900 86400 60\n"                                                       \
	"@ IN NS ns\n"                                                                                       \
	"ns IN A 127.33.3.1\n"                                                                               \
	"@ IN A 127.33.3.2\n"                                                                                \
	"xmpp IN A 127.33.3.3\n"                                                                             \
	"_xmpp-server._tcp IN SRV 10 0 5269 xmpp\n"                                                          \
	"_5269._tcp.xmpp IN TLSA 3 0 2 (11223344556677889900aabbccddeeff\n"                                  \
	"	11223344556677889900aabbccddeeff11223344556677889900aabbccddeeff\n"                                \
	"	11223344556677889900aabbccddeeff)\n"                                                               \
	"_5269._tcp.xmpp IN TLSA 3 1 1 %s\n"

/* The good one has more. */
static const char more[] = "_xmpp-server._tcp.half IN SRV 10 0 5269 xmpp.plain.test.\n"
			   "_xmpps-server._tcp.two IN SRV 5 0 5270 xmpp\n"
			   "_xmpp-server._tcp.two IN SRV 10 0 5269 xmpp.plain.test.\n"
			   "nosrv IN A 127.33.3.4\n"
			   "_1._tcp.xmpp IN TLSA 9 8 7 ff\n";

struct zone {
	const char *name;
	enum { UNSIGNED, SIGNED, EXPIRED, BY_ANOTHER_KEY, STRIPPED } how;
	const char *spoil[2]; /* text in the signed zone, and what becomes of it */
};

static const struct zone zones[] = {
	{ "signed.test", SIGNED, { NULL } },
	{ "plain.test", UNSIGNED, { NULL } },
	/* a record changed on the way: each on its own, then all */
	{ "tlsa.test", SIGNED, { "TLSA\t3 0 2 1122", "TLSA\t3 0 2 ffff" } },
	{ "address.test", SIGNED, { "127.33.3.3", "127.33.3.9" } },
	{ "srv.test", SIGNED, { "SRV\t10 0 5269 xmpp", "SRV\t10 0 5269 ns" } },
	{ "expired.test", EXPIRED, { NULL } },
	{ "stranger.test", BY_ANOTHER_KEY, { NULL } },
	/* the anchor says that there are signatures */
	{ "stripped.test", STRIPPED, { NULL } },
};

static struct {
	struct nettest t;
	struct dns *dns;
	char address[16], resolver[32], digest[DIGEST_HEX];
	struct certtest certificate; /* whose key the zones give */
	pid_t server;
	char *folder, *anchors;
} w;

/* --- zones --- */

/* The standard output in out, without the line's end; out may be NULL. */
static void run(char *out, size_t size, char *const *argv)
{
	int fds[2], status;
	pid_t pid;
	size_t n = 0;
	ssize_t got;
	char c;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (chdir(w.folder) != 0)
			_exit(126);
		execvp(argv[0], argv);
		dprintf(STDERR_FILENO, "%s was not found: apt-get install ldnsutils\n", argv[0]);
		_exit(127);
	}
	close(fds[1]);
	while ((got = read(fds[0], &c, 1)) == 1) {
		if (n + 1 < size && c != '\n')
			out[n++] = c;
	}
	if (size > 0)
		out[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s failed", argv[0]);
}

static FILE *open_file(const char *name, const char *mode)
{
	char *path = nettest_path(w.folder, name);
	FILE *f = fopen(path, mode);

	assert_non_null(f);
	free(path);
	return f;
}

static void read_file(const char *name, struct strbuf *out)
{
	FILE *f = open_file(name, "r");
	char block[4096];
	size_t n;

	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		strbuf_add(out, block, n);
	fclose(f);
}

static void write_zone(const struct zone *zone, const char *file)
{
	FILE *f = open_file(file, "w");

	fprintf(f, ZONE, zone->name, w.digest);
	if (strcmp(zone->name, "signed.test") == 0)
		fputs(more, f);
	if (zone->how == UNSIGNED)
		fputs("_xmpp-server._tcp.borrowed IN SRV 10 0 5269 xmpp.signed.test.\n", f);
	fclose(f);
}

static void make_key(const char *zone, char *name, size_t size)
{
	char *argv[] = { "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", (char *)zone, NULL };

	run(name, size, argv);
}

static void add_anchor(const char *key)
{
	char *name = xasprintf("%s.ds", key);
	struct strbuf text = { 0 };
	FILE *f = open_file("anchors", "a");

	read_file(name, &text);
	assert_int_equal(fwrite(text.s, 1, text.len, f), text.len);
	fputc('\n', f);
	fclose(f);
	strbuf_free(&text);
	free(name);
}

/* Every place where it says so. */
static void spoil(const char *file, const char *from, const char *to)
{
	struct strbuf text = { 0 };
	FILE *f;
	const char *at, *next;

	read_file(file, &text);
	assert_non_null(strstr(text.s, from));
	f = open_file(file, "w");
	for (at = text.s; (next = strstr(at, from)) != NULL; at = next + strlen(from))
		fprintf(f, "%.*s%s", (int)(next - at), at, to);
	fputs(at, f);
	fclose(f);
	strbuf_free(&text);
}

static void make_zone(const struct zone *zone)
{
	char *file = xasprintf("%s.zone", zone->name), *out = xasprintf("%s.signed", zone->name), key[128];
	char *now[] = { "ldns-signzone", "-f", out, "-o", (char *)zone->name, file, key, NULL };
	char *long_ago[] = { "ldns-signzone",    "-i", "20200101", "-e", "20200201", "-f", out, "-o",
			     (char *)zone->name, file, key,        NULL };

	write_zone(zone, file);
	if (zone->how != UNSIGNED) {
		make_key(zone->name, key, sizeof(key));
		run(NULL, 0, zone->how == EXPIRED ? long_ago : now);
		if (zone->how == BY_ANOTHER_KEY)
			make_key(zone->name, key, sizeof(key));
		add_anchor(key);
	}
	if (zone->how == UNSIGNED || zone->how == STRIPPED)
		write_zone(zone, out);
	if (zone->spoil[0] != NULL)
		spoil(out, zone->spoil[0], zone->spoil[1]);
	free(file);
	free(out);
}

/* --- the server --- */

static void write_configuration(void)
{
	FILE *f = open_file("nsd.conf", "w");

	fprintf(f, "server:\n\tip-address: %s@%d\n\tserver-count: 1\n\tusername: \"\"\n\tdatabase: \"\"\n",
		w.address, DNS_PORT);
	fprintf(f, "\tzonesdir: \"%s\"\n\tpidfile: \"\"\n\txfrdfile: \"\"\n\tzonelistfile: \"\"\n", w.folder);
	fprintf(f, "remote-control:\n\tcontrol-enable: no\n");
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		fprintf(f, "zone:\n\tname: %s\n\tzonefile: %s.signed\n", zones[i].name, zones[i].name);
	fclose(f);
}

/* Returns when nsd says that it has started. */
static void start_server(void)
{
	char line[512] = "", *file = nettest_path(w.folder, "nsd.conf");
	int out[2];
	FILE *log;

	assert_int_equal(pipe(out), 0);
	w.server = fork();
	assert_true(w.server >= 0);
	if (w.server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		execlp("nsd", "nsd", "-d", "-c", file, (char *)NULL);
		execl("/usr/sbin/nsd", "nsd", "-d", "-c", file, (char *)NULL);
		dprintf(STDERR_FILENO, "nsd was not found: apt-get install nsd\n");
		_exit(127);
	}
	close(out[1]);
	log = fdopen(out[0], "r");
	do {
		if (fgets(line, sizeof(line), log) == NULL)
			fail_msg("nsd has not started: %s", line);
	} while (strstr(line, "nsd started") == NULL);
	fclose(log);
	free(file);
}

static void hex_digest(const X509 *x, char out[DIGEST_HEX])
{
	unsigned char *der = NULL, digest[32];
	const int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	assert_true(n > 0);
	assert_int_equal(EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	OPENSSL_free(der);
}

static int group_setup(void **state)
{
	const struct certtest_spec spec = { .subject = "whoever" };
	const int pid = getpid();

	(void)state;
	/* An address of this process alone, so that tests may run side by side. */
	snprintf(w.address, sizeof(w.address), "127.33.%d.%d", 64 + pid % 128, 1 + pid / 128 % 254);
	snprintf(w.resolver, sizeof(w.resolver), "%s@%d", w.address, DNS_PORT);
	w.folder = nettest_folder();
	w.anchors = nettest_path(w.folder, "anchors");
	certtest_make(&spec, &w.certificate);
	hex_digest(w.certificate.x, w.digest);
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		make_zone(&zones[i]);
	write_configuration();
	start_server();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	if (w.server > 0) {
		kill(w.server, SIGTERM);
		waitpid(w.server, NULL, 0);
	}
	certtest_free(&w.certificate);
	free(w.anchors);
	nettest_remove(w.folder);
	return 0;
}

/* --- look-ups --- */

static int setup_with(const char *anchor)
{
	static const char *const transparent[] = { "test" };
	const struct dns_config config = {
		.resolver = w.resolver,
		.transparent_zones = transparent,
		.transparent_count = 1,
		.trust_anchor = anchor,
		.timeout_ms = TIMEOUT_MS,
	};

	log_set_level(LOG_ERROR);
	nettest_begin(&w.t);
	assert_int_equal(dns_create(w.t.loop, &config, &w.dns), OK);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(w.anchors);
}

static int setup_without_anchor(void **state)
{
	(void)state;
	return setup_with("");
}

static int teardown(void **state)
{
	(void)state;
	dns_destroy(w.dns);
	nettest_end(&w.t);
	return 0;
}

struct answer {
	int calls;
	enum dns_status status;
	size_t count;
	char text[1024]; /* "host:port" with "direct:" before and "+" behind it where it is secure */
	struct dns_tlsa *tlsa;
};

static bool is_done(void *ctx)
{
	return ((const struct answer *)ctx)->calls > 0;
}

static void on_targets(void *ctx, enum dns_status status, const struct dns_target *targets, size_t count)
{
	struct answer *a = ctx;
	size_t used = 0;

	a->calls++;
	a->status = status;
	a->count = count;
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(a->text + used, sizeof(a->text) - used, "%s%s%s:%d%s",
					 i > 0 ? " " : "", targets[i].direct_tls ? "direct:" : "",
					 targets[i].host, targets[i].port, targets[i].secure ? "+" : "");
}

static void on_tlsa(void *ctx, enum dns_status status, const struct dns_tlsa *records, size_t count)
{
	struct answer *a = ctx;

	a->calls++;
	a->status = status;
	a->count = count;
	a->tlsa = dns_tlsa_copy(records, count);
}

struct row {
	const char *domain;
	enum dns_status status;
	const char *targets;
};

static void ask_all(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct answer a = { 0 };

		dns_s2s(w.dns, rows[i].domain, 5269, on_targets, &a);
		nettest_run(&w.t, is_done, &a);
		if (a.status != rows[i].status || strcmp(a.text, rows[i].targets) != 0)
			fail_msg("%s: status %d, '%s'", rows[i].domain, (int)a.status, a.text);
	}
}

static void test_targets(void **state)
{
	static const struct row rows[] = {
		{ "signed.test", DNS_OK, "xmpp.signed.test:5269+" },
		{ "nosrv.signed.test", DNS_OK,
		  "nosrv.signed.test:5269+" }, /* that there is no SRV is proved */
		{ "nothing.signed.test", DNS_NONE, "" },
		{ "plain.test", DNS_OK, "xmpp.plain.test:5269" },
		{ "half.signed.test", DNS_OK, "xmpp.plain.test:5269" },
		/* nobody has proved that this is the way to go */
		{ "borrowed.plain.test", DNS_OK, "xmpp.signed.test:5269" },
		{ "two.signed.test", DNS_OK, "direct:xmpp.signed.test:5270+ xmpp.plain.test:5269" },
		{ "tlsa.test", DNS_OK, "xmpp.tlsa.test:5269+" },
		{ "address.test", DNS_FAILURE, "" },
		{ "srv.test", DNS_FAILURE, "" },
		{ "expired.test", DNS_FAILURE, "" },
		{ "stranger.test", DNS_FAILURE, "" },
		{ "stripped.test", DNS_FAILURE, "" },
	};

	(void)state;
	ask_all(rows, ARRAY_SIZE(rows));
}

/* Nothing is proved, so nothing is wrong either. */
static void test_targets_without_anchor(void **state)
{
	static const struct row rows[] = {
		{ "signed.test", DNS_OK, "xmpp.signed.test:5269" },
		{ "expired.test", DNS_OK, "xmpp.expired.test:5269" },
	};

	(void)state;
	ask_all(rows, ARRAY_SIZE(rows));
}

static void ask_tlsa(const char *host, uint16_t port, struct answer *a)
{
	*a = (struct answer){ 0 };
	dns_tlsa(w.dns, host, port, on_tlsa, a);
	nettest_run(&w.t, is_done, a);
	assert_int_equal(a->calls, 1);
}

static void test_tlsa(void **state)
{
	static const struct {
		const char *host;
		uint16_t port;
		enum dns_status status;
		size_t count;
	} rows[] = {
		{ "xmpp.signed.test", 5269, DNS_OK, 2 },
		{ "xmpp.signed.test", 5270, DNS_NONE, 0 },
		{ "nosrv.signed.test", 5269, DNS_NONE, 0 },
		{ "xmpp.signed.test", 1, DNS_OK, 1 },
		{ "xmpp.plain.test", 5269, DNS_NONE, 0 },
		{ "xmpp.address.test", 5269, DNS_OK, 2 },
		{ "xmpp.tlsa.test", 5269, DNS_FAILURE, 0 },
		{ "xmpp.expired.test", 5269, DNS_FAILURE, 0 },
		{ "xmpp.stranger.test", 5269, DNS_FAILURE, 0 },
		{ "xmpp.stripped.test", 5269, DNS_FAILURE, 0 },
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ask_tlsa(rows[i].host, rows[i].port, &a);
		if (a.status != rows[i].status || a.count != rows[i].count)
			fail_msg("%s: status %d, %zu records", rows[i].host, (int)a.status, a.count);
		free(a.tlsa);
	}
}

static void test_tlsa_without_anchor(void **state)
{
	struct answer a;

	(void)state;
	ask_tlsa("xmpp.signed.test", 5269, &a);
	assert_int_equal(a.status, DNS_NONE);
	free(a.tlsa);
}

static void test_tlsa_data(void **state)
{
	static const unsigned char unknown[] = { 0xff };
	struct answer a;
	size_t i;

	(void)state;
	ask_tlsa("xmpp.signed.test", 1, &a);
	assert_int_equal(a.tlsa[0].usage, 9);
	assert_int_equal(a.tlsa[0].selector, 8);
	assert_int_equal(a.tlsa[0].matching, 7);
	assert_int_equal(a.tlsa[0].size, 1);
	assert_memory_equal(a.tlsa[0].data, unknown, 1);
	free(a.tlsa);
	ask_tlsa("xmpp.signed.test", 5269, &a);
	i = a.tlsa[0].matching == 1 ? 0 : 1; /* in any order */
	assert_int_equal(a.tlsa[i].size, 32);
	assert_int_equal(a.tlsa[1 - i].size, 64);
	assert_int_equal(a.tlsa[1 - i].data[0], 0x11);
	assert_int_equal(a.tlsa[1 - i].data[63], 0xff);
	free(a.tlsa);
}

/* --- and TLS --- */

/* A handshake with the owner of c, by the records of host. */
static void shake_hands(const struct certtest *c, const char *host, struct certificate_report *out)
{
	static const struct tls_settings settings = {
		.certificate = "", .key = "", .certificates = "", .ca = ""
	};
	struct answer a;
	struct tls_peer how = { .remote = "partner.test", .tlsa_base = host };
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *client, *server;
	struct tls *tls;
	const char *why;

	ask_tlsa(host, 5269, &a);
	how.tlsa = a.tlsa;
	how.tlsa_count = a.count;
	assert_int_equal(tls_create(&settings, &tls, &why), OK);
	assert_int_equal(SSL_CTX_use_certificate(ctx, c->x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, c->key), 1);
	server = SSL_new(ctx);
	SSL_set_accept_state(server);
	client = tls_session(tls, &how);
	free(a.tlsa); /* borrowed, not kept */
	assert_true(certtest_shake_hands(client, server));
	tls_report(client, "partner.test", out);
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	tls_destroy(tls);
}

static void test_trust(void **state)
{
	const struct certtest_spec spec = { .names = { "DNS:partner.test" } };
	struct certificate_report report;
	struct certtest other;

	(void)state;
	shake_hands(&w.certificate, "xmpp.signed.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_DANE);
	shake_hands(&w.certificate, "xmpp.plain.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_UNTRUSTED);
	shake_hands(&w.certificate, "xmpp.tlsa.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_UNTRUSTED);
	certtest_make(&spec, &other);
	shake_hands(&other, "xmpp.signed.test", &report);
	assert_int_equal(report.trust, CERTIFICATE_UNTRUSTED);
	assert_non_null(strstr(report.why, "no TLSA record fits"));
	certtest_free(&other);
}

#define TEST(f)          cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_UNPROVED(f) cmocka_unit_test_setup_teardown(f, setup_without_anchor, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_targets),   TEST_UNPROVED(test_targets_without_anchor),
		TEST(test_tlsa),      TEST_UNPROVED(test_tlsa_without_anchor),
		TEST(test_tlsa_data), TEST(test_trust),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
