/*
 * test_tls_trust.c - what the peer's certificate is worth after a handshake:
 * good and bad chains, from servers and from clients; whom the configuration
 * believes; TLSA records.
 *
 * Each certificate is made for the test, under a CA of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/tls_internal.h"
#include "certtest.h"
#include "nettest.h"

#define PARTNER "partner.test"
#define HOST    "xmpp.hoster.test"

enum ca { NOBODY, ROOT, INTERMEDIATE, OLD, ROGUE, IMPOSTOR, NO_CA, SIGNERS, WEBSITES, CAS };

static const struct {
	const char *subject, *constraints, *usage;
	enum ca issuer;
	long from, until;
} authorities[CAS] = {
	[ROOT] = { "Root", "critical,CA:TRUE", NULL, NOBODY, 0, 0 },
	[INTERMEDIATE] = { "Intermediate", "critical,CA:TRUE", NULL, ROOT, 0, 0 },
	[OLD] = { "Old", "critical,CA:TRUE", NULL, ROOT, -2 * CERTTEST_HOUR, -CERTTEST_HOUR },
	[ROGUE] = { "Rogue", "critical,CA:TRUE", NULL, NOBODY, 0, 0 },
	[IMPOSTOR] = { "Root", "critical,CA:TRUE", NULL, NOBODY, 0, 0 },
	[NO_CA] = { "Somebody", "critical,CA:FALSE", NULL, ROOT, 0, 0 },
	[SIGNERS] = { "Signers", "critical,CA:TRUE", "codeSigning", ROOT, 0, 0 },
	[WEBSITES] = { "Websites", "critical,CA:TRUE", "serverAuth", ROOT, 0, 0 },
};

static struct {
	char *folder, *ca;
	struct certtest cas[CAS];
	struct tls *tls;
} w;

/* --- the scene --- */

static struct tls *create_tls(const char *ca, bool client_usage)
{
	const struct tls_settings settings = {
		.certificate = "", .key = "", .certificates = "", .ca = ca, .client_usage = client_usage
	};
	const char *why = "";
	struct tls *tls;

	if (tls_create(&settings, &tls, &why) != OK)
		fail_msg("%s", why);
	return tls;
}

static int setup(void **state)
{
	const struct certtest *root = &w.cas[ROOT];

	(void)state;
	w.folder = nettest_folder();
	for (size_t i = NOBODY + 1; i < CAS; i++) {
		const struct certtest_spec spec = {
			.subject = authorities[i].subject,
			.constraints = authorities[i].constraints,
			.usage = authorities[i].usage,
			.from = authorities[i].from,
			.until = authorities[i].until,
			.issuer = authorities[i].issuer != NOBODY ? &w.cas[authorities[i].issuer] : NULL,
		};

		certtest_make(&spec, &w.cas[i]);
	}
	certtest_write(w.folder, "ca.pem", &root, 1);
	w.ca = nettest_path(w.folder, "ca.pem");
	w.tls = create_tls(w.ca, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_destroy(w.tls);
	for (size_t i = 0; i < CAS; i++)
		certtest_free(&w.cas[i]);
	free(w.ca);
	nettest_remove(w.folder);
	return 0;
}

/* The other side, with an OpenSSL of its own that insists on nothing. c may be NULL. */
static SSL *peer_session(bool server, const struct certtest *c, const enum ca *chain)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *ssl;

	SSL_CTX_set_security_level(ctx, 0);
	if (c != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, c->x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, c->key), 1);
		for (; *chain != NOBODY; chain++)
			assert_int_equal(SSL_CTX_add1_chain_cert(ctx, w.cas[*chain].x), 1);
	}
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* A handshake with ssl, which it frees, and our judgement. */
static void judge(const struct tls *tls, const struct tls_peer *how, SSL *peer, const char *domain,
		  struct certificate_report *out)
{
	SSL *ours = tls_session(tls, how);

	if (!certtest_shake_hands(how->server ? peer : ours, how->server ? ours : peer))
		fail_msg("the handshake failed");
	tls_report(ours, domain, out);
	assert_int_equal(ERR_peek_error(), 0);
	SSL_free(ours);
	SSL_free(peer);
}

/* As server we need a certificate; what it is does not matter. */
static struct tls *create_server(const char *ca, bool client_usage)
{
	const struct certtest *c = &w.cas[ROOT];
	char *certificate = nettest_path(w.folder, "ca.pem"), *key = nettest_path(w.folder, "ca.key");
	const struct tls_settings settings = { .certificate = certificate,
					       .key = key,
					       .certificates = "",
					       .ca = ca,
					       .client_usage = client_usage };
	const char *why = "";
	struct tls *tls;

	certtest_write_key(w.folder, "ca.key", c);
	if (tls_create(&settings, &tls, &why) != OK)
		fail_msg("%s", why);
	free(certificate);
	free(key);
	return tls;
}

/* --- chains and names --- */

enum { TRUSTED = CERTIFICATE_TRUSTED, UNTRUSTED = CERTIFICATE_UNTRUSTED };

struct row {
	const char *what;
	struct certtest_spec spec; /* without issuer */
	enum ca issuer, chain[3];
	int of_server, of_client;
	const char *words[2]; /* where untrusted; the second may be NULL */
};

static const struct row rows[] = {
	{ "good", { .names = { "DNS:" PARTNER } }, ROOT, { 0 }, TRUSTED, TRUSTED, { NULL } },
	{ "intermediate",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { INTERMEDIATE },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "intermediate and root",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { INTERMEDIATE, ROOT },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "others among the chain",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { ROGUE, INTERMEDIATE },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "intermediate missing",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "chain incomplete or unknown CA: nothing was sent beside the certificate itself",
	    "its issuer 'CN=Intermediate' is not trusted here" } },
	{ "wrong intermediate",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { OLD },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "'CN=Intermediate' is not trusted here", NULL } },
	{ "expired",
	  { .names = { "DNS:" PARTNER }, .from = -2 * CERTTEST_HOUR, .until = -CERTTEST_HOUR },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "expired on 20", NULL } },
	{ "early",
	  { .names = { "DNS:" PARTNER }, .from = CERTTEST_HOUR, .until = 2 * CERTTEST_HOUR },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "not valid before 20", NULL } },
	{ "expired intermediate",
	  { .names = { "DNS:" PARTNER } },
	  OLD,
	  { OLD },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "the issuer 'CN=Old': expired on 20", NULL } },
	{ "rogue",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { ROGUE },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "unknown CA: the issuer 'CN=Rogue' is not trusted here", NULL } },
	{ "rogue, alone",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "unknown CA", "'CN=Rogue' is not trusted here" } },
	{ "a rogue with our CA's name",
	  { .names = { "DNS:" PARTNER } },
	  IMPOSTOR,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "wrong signature", NULL } },
	{ "the same, sent",
	  { .names = { "DNS:" PARTNER } },
	  IMPOSTOR,
	  { IMPOSTOR },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "wrong signature", NULL } },
	{ "self-signed",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "self-signed", NULL } },
	{ "issued by no CA",
	  { .names = { "DNS:" PARTNER } },
	  NO_CA,
	  { NO_CA },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "the issuer 'CN=Somebody': it is no CA", NULL } },
	{ "short key",
	  { .names = { "DNS:" PARTNER }, .rsa_bits = 1024 },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "its key is too short", NULL } },
	{ "SHA-1",
	  { .names = { "DNS:" PARTNER }, .sha1 = true },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "its signature algorithm is too weak", NULL } },
	/* names */
	{ "wrong name",
	  { .subject = PARTNER, .names = { "DNS:other.test", "DNS:third.test" } },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "issued for other names (other.test, third.test), not for " PARTNER, NULL } },
	{ "everything wrong",
	  { .names = { "DNS:other.test" }, .from = -2 * CERTTEST_HOUR, .until = -CERTTEST_HOUR },
	  ROGUE,
	  { ROGUE },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "Z; unknown CA: the issuer 'CN=Rogue' is not trusted here; issued for other names (other.test)",
	    "expired on 20" } },
	{ "CN only",
	  { .subject = PARTNER },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "it names no domain", NULL } },
	{ "SRV-ID only",
	  { .names = { "SRV:_xmpp-server." PARTNER } },
	  ROOT,
	  { 0 },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "SRV-ID of direct TLS",
	  { .names = { "SRV:_xmpps-server." PARTNER } },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "issued for other names (_xmpps-server." PARTNER ")", NULL } },
	{ "XmppAddr only", { .names = { "XMPP:" PARTNER } }, ROOT, { 0 }, TRUSTED, TRUSTED, { NULL } },
	{ "NUL",
	  { .names = { "DNS:" PARTNER "\\0.evil.test" } },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "issued for other names (" PARTNER "\\x00.evil.test)", NULL } },
	{ "wildcard above",
	  { .names = { "DNS:*." PARTNER } },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "issued for other names (*." PARTNER ")", NULL } },
	/* usage */
	{ "for servers",
	  { .names = { "DNS:" PARTNER }, .usage = "serverAuth" },
	  ROOT,
	  { 0 },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "for both",
	  { .names = { "DNS:" PARTNER }, .usage = "serverAuth,clientAuth" },
	  ROOT,
	  { 0 },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "for any",
	  { .names = { "DNS:" PARTNER }, .usage = "anyExtendedKeyUsage" },
	  ROOT,
	  { 0 },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
	{ "for clients",
	  { .names = { "DNS:" PARTNER }, .usage = "clientAuth" },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  TRUSTED,
	  { "wrong usage: it is not for a TLS server (serverAuth)", NULL } },
	{ "for neither",
	  { .names = { "DNS:" PARTNER }, .usage = "codeSigning" },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "wrong usage: it is not for a TLS ", NULL } },
	{ "for no signature",
	  { .names = { "DNS:" PARTNER }, .key_usage = "critical,cRLSign" },
	  ROOT,
	  { 0 },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "wrong usage: it is not for a TLS ", NULL } },
	{ "under a CA for signers",
	  { .names = { "DNS:" PARTNER } },
	  SIGNERS,
	  { SIGNERS },
	  UNTRUSTED,
	  UNTRUSTED,
	  { "wrong usage: the issuer 'CN=Signers' is not for a TLS ", NULL } },
	{ "under a CA for websites",
	  { .names = { "DNS:" PARTNER } },
	  WEBSITES,
	  { WEBSITES },
	  TRUSTED,
	  TRUSTED,
	  { NULL } },
};

static void make(const struct row *row, struct certtest *out)
{
	struct certtest_spec spec = row->spec;

	spec.issuer = row->issuer != NOBODY ? &w.cas[row->issuer] : NULL;
	certtest_make(&spec, out);
}

static void compare(const struct row *row, const char *side, int expected,
		    const struct certificate_report *report)
{
	bool found = (int)report->trust == expected;

	for (size_t i = 0; expected == UNTRUSTED && i < 2 && row->words[i] != NULL; i++)
		found = found && strstr(report->why, row->words[i]) != NULL;
	if (!found || (expected == TRUSTED && report->why[0] != '\0'))
		fail_msg("%s, %s: trust %d, %s", row->what, side, (int)report->trust, report->why);
}

static void test_chains(void **state)
{
	static const struct tls_peer client = { .remote = PARTNER }, server = { .server = true };
	struct tls *tls = create_server(w.ca, false);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct certificate_report report;
		struct certtest c;

		make(&rows[i], &c);
		judge(w.tls, &client, peer_session(true, &c, rows[i].chain), PARTNER, &report);
		compare(&rows[i], "a server's", rows[i].of_server, &report);
		judge(tls, &server, peer_session(false, &c, rows[i].chain), PARTNER, &report);
		compare(&rows[i], "a client's", rows[i].of_client, &report);
		certtest_free(&c);
	}
	tls_destroy(tls);
}

/* One certificate, several domains, direct TLS or not. */
static void test_domains(void **state)
{
	static const struct {
		const char *domain;
		bool direct, trusted;
	} cases[] = {
		{ "partner.test", false, true },         { "chat.partner.test", false, true },
		{ "a.chat.partner.test", false, false }, { "direct.test", false, false },
		{ "direct.test", true, true },           { "corp.test", true, false },
	};
	static const enum ca chain[] = { NOBODY };
	const struct certtest_spec spec = { .names = { "DNS:partner.test", "DNS:*.partner.test",
						       "SRV:_xmpps-server.direct.test" },
					    .issuer = &w.cas[ROOT] };
	struct certificate_report report;
	struct certtest c;

	(void)state;
	certtest_make(&spec, &c);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct tls_peer client = { .remote = PARTNER, .direct = cases[i].direct };

		judge(w.tls, &client, peer_session(true, &c, chain), cases[i].domain, &report);
		assert_int_equal(report.trust,
				 cases[i].trusted ? CERTIFICATE_TRUSTED : CERTIFICATE_UNTRUSTED);
	}
	assert_string_equal(report.subject, "");
	assert_string_equal(report.issuer, "CN=Root");
	assert_string_equal(report.names, "partner.test, *.partner.test, _xmpps-server.direct.test");
	assert_false(report.server_only);
	certtest_free(&c);
}

static void test_client_without_certificate(void **state)
{
	static const struct tls_peer server = { .server = true };
	struct tls *tls = create_server(w.ca, false);
	struct certificate_report report;

	(void)state;
	judge(tls, &server, peer_session(false, NULL, NULL), PARTNER, &report);
	assert_int_equal(report.trust, CERTIFICATE_NONE);
	assert_string_equal(report.why, "no certificate was shown");
	assert_string_equal(report.subject, "");
	tls_destroy(tls);
}

static void test_client_usage(void **state)
{
	static const struct {
		const char *usage;
		int of_client;
	} cases[] = { { NULL, TRUSTED },
		      { "clientAuth", TRUSTED },
		      { "serverAuth,clientAuth", TRUSTED },
		      { "anyExtendedKeyUsage", TRUSTED },
		      { "serverAuth", UNTRUSTED } };
	static const enum ca chain[] = { NOBODY };
	static const struct tls_peer client = { .remote = PARTNER }, server = { .server = true };
	struct tls *tls = create_server(w.ca, true);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct certtest_spec spec = { .names = { "DNS:" PARTNER },
						    .usage = cases[i].usage,
						    .issuer = &w.cas[ROOT] };
		struct certificate_report report;
		struct certtest c;

		certtest_make(&spec, &c);
		judge(tls, &server, peer_session(false, &c, chain), PARTNER, &report);
		assert_int_equal(report.trust, cases[i].of_client);
		if (cases[i].of_client == UNTRUSTED) {
			assert_string_equal(report.why,
					    "wrong usage: it is not for a TLS client (clientAuth)");
			assert_true(report.server_only);
			/* as a server's it is as good as ever */
			judge(tls, &client, peer_session(true, &c, chain), PARTNER, &report);
			assert_int_equal(report.trust, CERTIFICATE_TRUSTED);
		}
		certtest_free(&c);
	}
	tls_destroy(tls);
}

/* --- whom to believe --- */

static enum certificate_trust trust_by(const struct tls *tls)
{
	static const enum ca chain[] = { NOBODY };
	static const struct tls_peer client = { .remote = PARTNER };
	const struct certtest_spec spec = { .names = { "DNS:" PARTNER }, .issuer = &w.cas[ROOT] };
	struct certificate_report report;
	struct certtest c;

	certtest_make(&spec, &c);
	judge(tls, &client, peer_session(true, &c, chain), PARTNER, &report);
	certtest_free(&c);
	return report.trust;
}

static void test_authorities(void **state)
{
	char *folder = nettest_folder(), *bundle = nettest_path(w.folder, "bundle.pem"),
	     *hashed = xasprintf("%08lx.0", X509_subject_name_hash(w.cas[ROOT].x));
	const struct certtest *both[] = { &w.cas[ROGUE], &w.cas[ROOT] }, *root = &w.cas[ROOT];
	struct tls *tls;

	(void)state;
	certtest_write(w.folder, "bundle.pem", both, 2);
	tls = create_tls(bundle, false);
	assert_int_equal(trust_by(tls), CERTIFICATE_TRUSTED);
	tls_destroy(tls);
	certtest_write(folder, hashed, &root, 1);
	tls = create_tls(folder, false);
	assert_int_equal(trust_by(tls), CERTIFICATE_TRUSTED);
	tls_destroy(tls);
	tls = create_tls("", false); /* the system does not know our CA */
	assert_int_equal(trust_by(tls), CERTIFICATE_UNTRUSTED);
	tls_destroy(tls);
	free(hashed);
	free(bundle);
	nettest_remove(folder);
}

/* A partner's own certificate among the CAs is believed as itself. */
static void test_pinned(void **state)
{
	static const enum ca chain[] = { NOBODY };
	static const struct tls_peer client = { .remote = PARTNER };
	const struct certtest_spec spec = { .names = { "DNS:" PARTNER } };
	char *path = nettest_path(w.folder, "pin.pem");
	struct certificate_report report;
	struct certtest c, other;
	const struct certtest *list = &c;
	struct tls *tls;

	(void)state;
	certtest_make(&spec, &c);
	certtest_make(&spec, &other);
	certtest_write(w.folder, "pin.pem", &list, 1);
	tls = create_tls(path, false);
	judge(tls, &client, peer_session(true, &c, chain), PARTNER, &report);
	assert_int_equal(report.trust, CERTIFICATE_TRUSTED);
	judge(tls, &client, peer_session(true, &other, chain), PARTNER, &report);
	assert_int_equal(report.trust, CERTIFICATE_UNTRUSTED);
	tls_destroy(tls);
	certtest_free(&c);
	certtest_free(&other);
	free(path);
}

static void put(const char *name, const char *text)
{
	char *path = nettest_path(w.folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static void test_bad_authorities(void **state)
{
	static const struct {
		const char *name, *words;
	} cases[] = {
		{ "absent.pem", "absent.pem': No such file or directory" },
		{ "empty.pem", "empty.pem': the file is empty" },
		{ "words.pem", "no certificate in PEM form in this file, or a broken one" },
		{ "broken.pem", "no certificate in PEM form in this file, or a broken one" },
		{ ".", "no certificate under a hashed name in this folder (openssl rehash)" },
	};

	(void)state;
	put("empty.pem", "");
	put("words.pem", "trust me\n");
	put("broken.pem",
	    "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *path = nettest_path(w.folder, cases[i].name);
		const struct tls_settings settings = {
			.certificate = "", .key = "", .certificates = "", .ca = path
		};
		struct tls *tls;
		const char *why = "";

		assert_int_equal(tls_create(&settings, &tls, &why), ERR_IO);
		if (strncmp(why, "CA '", 4) != 0 || strstr(why, cases[i].words) == NULL)
			fail_msg("case %zu: %s", i, why);
		assert_int_equal(ERR_peek_error(), 0);
		free(path);
	}
}

/* --- DANE --- */

struct dane_record {
	uint8_t usage, selector, matching;
	enum { OF_LEAF = -1, OF_NOTHING = -2, CUT = -3 } of; /* or a CA */
};

struct dane_row {
	const char *what;
	struct certtest_spec spec;
	enum ca issuer, chain[3];
	struct dane_record records[3];
	size_t count;
	enum certificate_trust trust;
	const char *words;
};

#define EXPIRED .from = -2 * CERTTEST_HOUR, .until = -CERTTEST_HOUR

static const struct dane_row dane_rows[] = {
	/* DANE-EE: neither names, nor dates, nor CAs, nor usage */
	{ "key by SHA-256",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 1, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "key by SHA-512",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 2, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "whole certificate",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { 0 },
	  { { 3, 0, 0, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "certificate by SHA-256, everything else wrong",
	  { .subject = "x", .usage = "codeSigning", EXPIRED },
	  ROGUE,
	  { 0 },
	  { { 3, 0, 1, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "the second of two",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 1, OF_NOTHING }, { 3, 1, 1, OF_LEAF } },
	  2,
	  CERTIFICATE_DANE,
	  "" },
	/* of two digests of the same the stronger one counts: RFC 7671 section 9 */
	{ "key by SHA-256, though not by SHA-512",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 1, OF_LEAF }, { 3, 1, 2, OF_NOTHING } },
	  2,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	{ "also by a CA",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 3, 1, 1, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	/* what is published decides, whatever a CA says */
	{ "no match, no CA",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 1, OF_NOTHING } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	{ "no match, though by a CA",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 3, 1, 1, OF_NOTHING } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	{ "another CA's key, though by a CA",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 2, 1, 1, ROGUE } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	/* DANE-TA: a CA of its own, and all the rest as usual */
	{ "own CA",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { ROGUE },
	  { { 2, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "own CA, which is not sent",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { 0 },
	  { { 2, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	{ "own CA, not sent, but whole in the record",
	  { .names = { "DNS:" PARTNER } },
	  ROGUE,
	  { 0 },
	  { { 2, 0, 0, ROGUE } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "own CA, in the host's name",
	  { .names = { "DNS:" HOST } },
	  ROGUE,
	  { ROGUE },
	  { { 2, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "own CA, in another name",
	  { .names = { "DNS:other.test" } },
	  ROGUE,
	  { ROGUE },
	  { { 2, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "issued for other names (other.test), not for " PARTNER },
	{ "own CA, expired",
	  { .names = { "DNS:" PARTNER }, EXPIRED },
	  ROGUE,
	  { ROGUE },
	  { { 2, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "expired on 20" },
	/* PKIX-EE and PKIX-TA: this one, and by a CA that we know */
	{ "PKIX-EE",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 1, 1, 1, OF_LEAF } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "PKIX-EE without a CA",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 1, 1, 1, OF_LEAF } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "self-signed" },
	{ "PKIX-TA",
	  { .names = { "DNS:" PARTNER } },
	  INTERMEDIATE,
	  { INTERMEDIATE },
	  { { 0, 0, 1, ROOT } },
	  1,
	  CERTIFICATE_DANE,
	  "" },
	{ "PKIX-TA, another",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 0, 0, 1, ROGUE } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
	/* the host's name is for DANE only */
	{ "the host's name, by a CA",
	  { .names = { "DNS:" HOST } },
	  ROOT,
	  { 0 },
	  { { 3, 1, 9, OF_LEAF } },
	  1,
	  CERTIFICATE_UNTRUSTED,
	  "issued for other names (" HOST "), not for " PARTNER },
	/* what OpenSSL cannot use is as if it were not there */
	{ "unusable only",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 4, 1, 1, OF_NOTHING }, { 3, 2, 1, OF_NOTHING }, { 3, 1, 1, CUT } },
	  3,
	  CERTIFICATE_TRUSTED,
	  "" },
	{ "unusable, and one that fits",
	  { .names = { "DNS:" PARTNER } },
	  NOBODY,
	  { 0 },
	  { { 3, 1, 1, CUT }, { 3, 1, 1, OF_LEAF } },
	  2,
	  CERTIFICATE_DANE,
	  "" },
	{ "unusable, and one that does not",
	  { .names = { "DNS:" PARTNER } },
	  ROOT,
	  { 0 },
	  { { 3, 1, 1, CUT }, { 3, 1, 1, OF_NOTHING } },
	  2,
	  CERTIFICATE_UNTRUSTED,
	  "no TLSA record fits" },
};

enum { TLSA_DATA = 2048 };

/* The association data: the certificate or its key, as it is or its digest. */
static size_t associate(const struct dane_record *r, const struct certtest *leaf, unsigned char *out)
{
	const X509 *x = r->of == OF_LEAF ? leaf->x : w.cas[(size_t)r->of].x;
	unsigned char der[TLSA_DATA], *p = der;
	const EVP_MD *md = r->matching == 2 ? EVP_sha512() : EVP_sha256();
	unsigned digest_size;
	int n;

	n = r->selector == 0 ? i2d_X509(x, &p) : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p);
	assert_true(n > 0 && n < TLSA_DATA);
	if (r->matching == 0) {
		memcpy(out, der, (size_t)n);
		return (size_t)n;
	}
	assert_int_equal(EVP_Digest(der, (size_t)n, out, &digest_size, md, NULL), 1);
	return digest_size;
}

static void make_records(const struct dane_row *row, const struct certtest *leaf, struct dns_tlsa *out,
			 unsigned char (*data)[TLSA_DATA])
{
	for (size_t i = 0; i < row->count; i++) {
		const struct dane_record *r = &row->records[i];

		out[i] = (struct dns_tlsa){ r->usage, r->selector, r->matching, data[i], 32 };
		memset(data[i], 0x5a, TLSA_DATA);
		if (r->of == CUT)
			out[i].size = 31;
		else if (r->of == OF_NOTHING)
			out[i].size = r->matching == 2 ? 64 : 32;
		else
			out[i].size = associate(r, leaf, data[i]);
	}
}

static void test_dane(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dane_rows); i++) {
		const struct dane_row *row = &dane_rows[i];
		struct certtest_spec spec = row->spec;
		static unsigned char data[3][TLSA_DATA];
		struct dns_tlsa records[3];
		const struct tls_peer client = {
			.remote = PARTNER, .tlsa = records, .tlsa_count = row->count, .tlsa_base = HOST
		};
		struct certificate_report report;
		struct certtest c;

		spec.issuer = row->issuer != NOBODY ? &w.cas[row->issuer] : NULL;
		certtest_make(&spec, &c);
		make_records(row, &c, records, data);
		judge(w.tls, &client, peer_session(true, &c, row->chain), PARTNER, &report);
		if (report.trust != row->trust || strstr(report.why, row->words) == NULL ||
		    (row->words[0] == '\0' && report.why[0] != '\0'))
			fail_msg("%s: trust %d, %s", row->what, (int)report.trust, report.why);
		certtest_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),          cmocka_unit_test(test_domains),
		cmocka_unit_test(test_client_usage),    cmocka_unit_test(test_client_without_certificate),
		cmocka_unit_test(test_authorities),     cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_bad_authorities), cmocka_unit_test(test_dane),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
