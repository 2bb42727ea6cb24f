/*
 * test_tls.c - certificate files with everything that can be wrong with them,
 * and what a session accepts and offers.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bridge/xmpp/tls.h"
#include "bridge/xmpp/tls_internal.h"
#include "certtest.h"
#include "nettest.h"

enum { HOUR = 3600, NOBODY = 65534 };

static const struct tls_peer as_server = { .server = true }, as_client = { .remote = "corp.test" };

static char *folder;

static void put(const char *name, const char *text)
{
	char *path = nettest_path(folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

/* Renaming is how certificates are replaced. */
static void move(const char *from, const char *to)
{
	char *a = nettest_path(folder, from), *b = nettest_path(folder, to);

	assert_int_equal(rename(a, b), 0);
	free(a);
	free(b);
}

static void put_encrypted_key(const char *name)
{
	char *path = nettest_path(folder, name);
	FILE *f = fopen(path, "w");
	EVP_PKEY *key = EVP_EC_gen("P-256");

	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_256_cbc(), NULL, 0, NULL, "secret"), 1);
	fclose(f);
	EVP_PKEY_free(key);
	free(path);
}

static int setup(void **state)
{
	(void)state;
	folder = nettest_folder();
	nettest_certificate(folder, "corp", KEY_EC, 0, HOUR);
	nettest_certificate(folder, "other", KEY_EC, 0, HOUR);
	nettest_certificate(folder, "weak", KEY_RSA_1024, 0, HOUR);
	nettest_certificate(folder, "expired", KEY_EC, -2 * HOUR, -HOUR);
	nettest_certificate(folder, "early", KEY_EC, HOUR, 2 * HOUR);
	put_encrypted_key("encrypted.key");
	put("empty.pem", "");
	put("words.pem", "this is no certificate\n");
	put("broken.pem",
	    "-----BEGIN CERTIFICATE-----\nTm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n");
	put("broken.key", "-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5\n-----END PRIVATE KEY-----\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nettest_remove(folder);
	return 0;
}

static enum err load(const char *certificate, const char *key, struct tls **out, const char **why)
{
	char *c = nettest_path(folder, certificate), *k = nettest_path(folder, key);
	const struct tls_settings settings = { .certificate = c, .key = k, .certificates = "", .ca = "" };
	const enum err e = tls_create(&settings, out, why);

	free(c);
	free(k);
	return e;
}

/* --- files --- */

static void test_bad_files(void **state)
{
	static const struct {
		const char *certificate, *key, *what, *words;
	} rows[] = {
		{ "absent.pem", "corp.key", "certificate '", "absent.pem': No such file or directory" },
		{ "", "corp.key", "certificate '", "/': Is a directory" },
		{ "empty.pem", "corp.key", "certificate '", "empty.pem': the file is empty" },
		{ "words.pem", "corp.key", "certificate '", "no certificate in PEM form in this file" },
		{ "corp.key", "corp.key", "certificate '", "no certificate in PEM form in this file" },
		{ "broken.pem", "corp.key", "certificate '", "broken.pem': " },
		{ "weak.pem", "weak.key", "certificate '", "its key is too short (RSA: 2048 bits at least)" },
		{ "corp.pem", "absent.key", "key '", "absent.key': No such file or directory" },
		{ "corp.pem", "empty.pem", "key '", "the file is empty" },
		{ "corp.pem", "words.pem", "key '", "no private key in PEM form in this file" },
		{ "corp.pem", "corp.pem", "key '", "no private key in PEM form in this file" },
		{ "corp.pem", "broken.key", "key '", "broken.key': " },
		{ "corp.pem", "other.key", "key '", "it does not fit the certificate" },
		{ "corp.pem", "weak.key", "key '", "it does not fit the certificate" },
		{ "corp.pem", "encrypted.key", "key '", "it has a passphrase; a key without one is needed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tls *tls = (struct tls *)folder;
		const char *why = "";

		assert_int_equal(load(rows[i].certificate, rows[i].key, &tls, &why), ERR_IO);
		assert_ptr_equal(tls, folder);
		if (strncmp(why, rows[i].what, strlen(rows[i].what)) != 0 ||
		    strstr(why, rows[i].words) == NULL)
			fail_msg("row %zu: %s", i, why);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void test_no_permission(void **state)
{
	struct tls *tls;
	const char *why = "";
	char *path = nettest_path(folder, "corp.key");
	enum err e;

	(void)state;
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(folder, 0711), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(NOBODY), 0); /* root may read everything */
	e = load("corp.pem", "corp.key", &tls, &why);
	if (geteuid() == NOBODY)
		assert_int_equal(seteuid(0), 0);
	free(path);
	assert_int_equal(e, ERR_IO);
	assert_non_null(strstr(why, "corp.key': Permission denied"));
}

static enum err load_folder(bool common, struct tls **out, const char **why);

/* What is written to standard error while the certificate is loaded; name NULL: the folder's. */
static void load_and_read_log(const char *name, char *out, size_t size)
{
	char *path = nettest_path(folder, "log"),
	     *certificate = xasprintf("%s.pem", name != NULL ? name : ""),
	     *key = xasprintf("%s.key", name != NULL ? name : "");
	const int saved = dup(STDERR_FILENO), log = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct tls *tls;
	const char *why;
	ssize_t n;
	enum err e;

	assert_true(saved >= 0 && log >= 0);
	dup2(log, STDERR_FILENO);
	e = name != NULL ? load(certificate, key, &tls, &why) : load_folder(false, &tls, &why);
	dup2(saved, STDERR_FILENO);
	assert_int_equal(e, OK);
	tls_destroy(tls);
	n = pread(log, out, size - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	close(saved);
	close(log);
	free(path);
	free(certificate);
	free(key);
}

static void test_dates_are_warnings(void **state)
{
	char log[1024];

	(void)state;
	load_and_read_log("expired", log, sizeof(log));
	assert_non_null(strstr(log, "warning certificate-expired file="));
	assert_non_null(strstr(log, "expired.pem"));
	load_and_read_log("early", log, sizeof(log));
	assert_non_null(strstr(log, "warning certificate-not-yet-valid file="));
	load_and_read_log("corp", log, sizeof(log));
	assert_string_equal(log, "");
}

/* --- sessions --- */

static void name_of(X509 *x, char *out, size_t size)
{
	assert_non_null(x);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, (int)size) > 0);
}

/* Whose certificate a new session of tls presents as a server. */
static void name_served(struct tls *tls, char *out, size_t size)
{
	SSL *client = tls_session(tls, &as_client), *server = tls_session(tls, &as_server);

	assert_true(certtest_shake_hands(client, server));
	name_of(SSL_get0_peer_certificate(client), out, size);
	SSL_free(client);
	SSL_free(server);
}

static void test_reload(void **state)
{
	SSL *client, *server;
	struct tls *tls;
	const char *why = "";
	char name[64];

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	client = tls_session(tls, &as_client);
	server = tls_session(tls, &as_server);
	/* a key that does not fit: the old pair goes on */
	move("other.key", "corp.key");
	assert_int_equal(tls_reload(tls, &why), ERR_IO);
	assert_non_null(strstr(why, "it does not fit the certificate"));
	name_served(tls, name, sizeof(name));
	assert_string_equal(name, "corp");
	move("other.pem", "corp.pem");
	assert_int_equal(tls_reload(tls, &why), OK);
	name_served(tls, name, sizeof(name));
	assert_string_equal(name, "other");
	/* a session from before keeps what it began with, even when all else is gone */
	tls_destroy(tls);
	assert_true(certtest_shake_hands(client, server));
	name_of(SSL_get0_peer_certificate(client), name, sizeof(name));
	assert_string_equal(name, "corp");
	SSL_free(client);
	SSL_free(server);
}

static void test_versions(void **state)
{
	static const struct {
		int max;
		bool accepted;
	} rows[] = { { TLS1_VERSION, false },
		     { TLS1_1_VERSION, false },
		     { TLS1_2_VERSION, true },
		     { TLS1_3_VERSION, true } };
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		SSL *client, *server = tls_session(tls, &as_server);

		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(ctx, rows[i].max);
		SSL_CTX_set_cipher_list(ctx, "ALL@SECLEVEL=0");
		client = SSL_new(ctx);
		SSL_set_connect_state(client);
		assert_int_equal(certtest_shake_hands(client, server), rows[i].accepted);
		SSL_free(client);
		SSL_free(server);
		SSL_CTX_free(ctx);
	}
	tls_destroy(tls);
}

/* Reading drives what the other side asked for. True while the session is sound. */
static bool pump(SSL *ssl)
{
	char c;
	const int n = SSL_read(ssl, &c, 1), error = SSL_get_error(ssl, n);

	ERR_clear_error();
	return n > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* One side asks for another handshake; there must be no other. */
static void renegotiate(SSL *asking, SSL *asked)
{
	unsigned char before[64], after[64];
	const size_t n = SSL_get_finished(asked, before, sizeof(before));

	assert_true(n > 0);
	assert_int_equal(SSL_renegotiate(asking), 1);
	(void)SSL_do_handshake(asking);
	for (int i = 0; i < 10; i++) {
		if (!pump(asked) || !pump(asking))
			break;
	}
	assert_int_equal(SSL_get_finished(asked, after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
}

static void test_no_renegotiation_and_no_resumption(void **state)
{
	char *certificate = nettest_path(folder, "corp.pem"), *key = nettest_path(folder, "corp.key");
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	assert_int_equal(SSL_CTX_use_certificate_file(ctx, certificate, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	for (int client = 0; client < 2; client++) {
		SSL *ours = tls_session(tls, client ? &as_client : &as_server), *peer = SSL_new(ctx);

		assert_int_equal(SSL_get_min_proto_version(ours), TLS1_2_VERSION);
		if (client)
			SSL_set_accept_state(peer);
		else
			SSL_set_connect_state(peer);
		assert_true(certtest_shake_hands(client ? ours : peer, client ? peer : ours));
		assert_null(SSL_get_current_compression(ours));
		if (!client)
			assert_int_equal(SSL_SESSION_has_ticket(SSL_get0_session(peer)), 0);
		renegotiate(peer, ours);
		SSL_free(ours);
		SSL_free(peer);
	}
	SSL_CTX_free(ctx);
	tls_destroy(tls);
	free(certificate);
	free(key);
}

/* Forward secrecy in any case; CBC for those who have nothing better; of TLS 1.3 everything. */
static void test_ciphers(void **state)
{
	static const struct {
		const char *list;
		bool accepted;
	} rows[] = {
		{ "ECDHE-ECDSA-AES256-GCM-SHA384", true },
		{ "ECDHE-ECDSA-CHACHA20-POLY1305", true },
		{ "ECDHE-ECDSA-AES128-SHA256", true },
		{ "ECDHE-ECDSA-AES128-SHA", true },
		{ "kRSA", false },
		{ "DHE", false },
		{ "ECDHE-ECDSA-AES128-CCM8", false },
		{ "ECDHE-ECDSA-CAMELLIA128-SHA256", false },
		{ "ECDHE-ECDSA-NULL-SHA", false },
		{ "AECDH", false },
		{ "ADH", false },
		{ "PSK", false },
	};
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		SSL *client, *server = tls_session(tls, &as_server);
		char *list = xasprintf("%s:@SECLEVEL=0", rows[i].list);

		SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, list), 1);
		client = SSL_new(ctx);
		SSL_set_connect_state(client);
		if (certtest_shake_hands(client, server) != rows[i].accepted)
			fail_msg("%s", rows[i].list);
		SSL_free(client);
		SSL_free(server);
		SSL_CTX_free(ctx);
		free(list);
	}
	tls_destroy(tls);
}

static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* A partner's server that asks for a certificate gets ours, and is told whom we want. */
static void test_client_presents_itself(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char *certificate = nettest_path(folder, "other.pem"), *key = nettest_path(folder, "other.key"),
	     name[64];
	SSL *client, *server;
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(SSL_CTX_use_certificate_file(ctx, certificate, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	server = SSL_new(ctx);
	SSL_set_accept_state(server);
	client = tls_session(tls, &(struct tls_peer){ .remote = "partner.test" });
	assert_true(certtest_shake_hands(client, server));
	name_of(SSL_get0_peer_certificate(server), name, sizeof(name));
	assert_string_equal(name, "corp");
	assert_string_equal(SSL_get_servername(server, TLSEXT_NAMETYPE_host_name), "partner.test");
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	tls_destroy(tls);
	free(certificate);
	free(key);
}

static int shown(const char *certificate, const char *ca)
{
	const struct tls_settings settings = { .certificate = certificate,
					       .key = nettest_path(folder, "leaf.key"),
					       .certificates = "",
					       .ca = ca };
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *client = SSL_new(ctx), *server;
	struct tls *tls;
	const char *why;
	int count;

	assert_int_equal(tls_create(&settings, &tls, &why), OK);
	server = tls_session(tls, &as_server);
	SSL_set_connect_state(client);
	assert_true(certtest_shake_hands(client, server));
	count = sk_X509_num(SSL_get_peer_cert_chain(client));
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(ctx);
	tls_destroy(tls);
	free((void *)(uintptr_t)settings.key);
	return count;
}

/* What the file lacks comes from the authorities that we trust, but not their root, which is of no use to a peer. */
static void test_chain_is_completed(void **state)
{
	static const char ca[] = "critical,CA:TRUE";
	struct certtest root, middle, leaf;
	char *alone = nettest_path(folder, "leaf.pem"), *whole = nettest_path(folder, "whole.pem"),
	     *trusted = nettest_path(folder, "trusted.pem"), *other = nettest_path(folder, "other.pem");

	(void)state;
	certtest_make(&(struct certtest_spec){ .subject = "Root", .constraints = ca }, &root);
	certtest_make(&(struct certtest_spec){ .subject = "Middle", .constraints = ca, .issuer = &root },
		      &middle);
	certtest_make(&(struct certtest_spec){ .subject = "leaf", .issuer = &middle }, &leaf);
	certtest_write(folder, "leaf.pem", (const struct certtest *const[]){ &leaf }, 1);
	certtest_write(folder, "whole.pem", (const struct certtest *const[]){ &leaf, &middle }, 2);
	certtest_write(folder, "trusted.pem", (const struct certtest *const[]){ &middle, &root }, 2);
	certtest_write_key(folder, "leaf.key", &leaf);
	assert_int_equal(shown(alone, trusted), 2);
	assert_int_equal(shown(alone, other), 1);
	assert_int_equal(shown(whole, trusted), 2);
	assert_int_equal(shown(whole, other), 2);
	certtest_free(&root);
	certtest_free(&middle);
	certtest_free(&leaf);
	free(alone);
	free(whole);
	free(trusted);
	free(other);
}

/* A peer that nobody knows yet must not make us keep what it likes. */
static void test_chain_too_large(void **state)
{
	static const struct tls_peer peer = { .remote = "corp.test" };
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char *certificate = nettest_path(folder, "corp.pem"), *key = nettest_path(folder, "corp.key");
	struct tls *tls;
	const char *why;
	X509 *x;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	assert_int_equal(SSL_CTX_use_certificate_file(ctx, certificate, SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM), 1);
	x = SSL_CTX_get0_certificate(ctx);
	for (int enough = 0; enough < 2; enough++) {
		SSL *client = tls_session(tls, &peer), *server;

		for (int i = 0; i < 60; i++)
			assert_int_equal(SSL_CTX_add1_chain_cert(ctx, x), 1);
		server = SSL_new(ctx);
		SSL_set_accept_state(server);
		assert_int_equal(certtest_shake_hands(client, server), enough == 0);
		SSL_free(client);
		SSL_free(server);
	}
	SSL_CTX_free(ctx);
	tls_destroy(tls);
	free(certificate);
	free(key);
}

/* --- certificates by domain --- */

static char *certs; /* a folder */

static void put_pair(const char *file, const char *subject)
{
	struct certtest_spec spec = { .subject = subject };
	struct certtest c;
	const struct certtest *list = &c;
	char *name = xasprintf("DNS:%s", subject), *crt = xasprintf("%s.crt", file),
	     *key = xasprintf("%s.key", file);

	spec.names[0] = name;
	certtest_make(&spec, &c);
	certtest_write(certs, crt, &list, 1);
	certtest_write_key(certs, key, &c);
	certtest_free(&c);
	free(name);
	free(crt);
	free(key);
}

static int setup_folder(void **state)
{
	(void)setup(state);
	certs = nettest_folder();
	put_pair("corp.test", "corp.test");
	put_pair("sub.corp.test", "sub.corp.test");
	put_pair("m\xc3\xbcnchen.test", "xn--mnchen-3ya.test");
	return 0;
}

static int teardown_folder(void **state)
{
	nettest_remove(certs);
	return teardown(state);
}

static enum err load_folder(bool common, struct tls **out, const char **why)
{
	char *c = nettest_path(folder, "other.pem"), *k = nettest_path(folder, "other.key");
	const struct tls_settings settings = {
		.certificate = common ? c : "", .key = common ? k : "", .certificates = certs, .ca = ""
	};
	const enum err e = tls_create(&settings, out, why);

	free(c);
	free(k);
	return e;
}

/* The CN of what a server shows; "" when the handshake fails. */
static void served(struct tls *tls, const char *sni, const char *local, char *out, size_t size)
{
	const struct tls_peer from = { .remote = sni }, to = { .server = true, .local = local };
	SSL *client = tls_session(tls, &from), *server = tls_session(tls, &to);

	out[0] = '\0';
	if (certtest_shake_hands(client, server))
		name_of(SSL_get0_peer_certificate(client), out, size);
	SSL_free(client);
	SSL_free(server);
}

static void test_choice_by_name(void **state)
{
	static const struct {
		const char *sni, *local, *with_common, *without;
	} rows[] = {
		{ "corp.test", NULL, "corp.test", "corp.test" },
		{ "Corp.TEST", NULL, "corp.test", "corp.test" },
		{ "corp.test.", NULL, "corp.test", "corp.test" },
		{ "xn--mnchen-3ya.test", NULL, "xn--mnchen-3ya.test", "xn--mnchen-3ya.test" },
		{ NULL, "corp.test", "corp.test", "corp.test" },
		/* both: the more specific wish, unless it is for a name that is none of ours */
		{ "sub.corp.test", "corp.test", "sub.corp.test", "sub.corp.test" },
		{ "xmpp.hoster.test", "corp.test", "corp.test", "corp.test" },
		{ "x y", "corp.test", "corp.test", "corp.test" },
		{ "xmpp.hoster.test", "third.test", "other", "" },
		{ "third.test", NULL, "other", "" },
		{ "corp", NULL, "other", "" },
		{ "a.corp.test", NULL, "other", "" },
		{ NULL, "third.test", "other", "" },
		{ NULL, NULL, "other", "" },
	};
	struct tls *common, *without;
	const char *why;
	char name[64];

	(void)state;
	assert_int_equal(load_folder(true, &common, &why), OK);
	assert_int_equal(load_folder(false, &without, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		served(common, rows[i].sni, rows[i].local, name, sizeof(name));
		if (strcmp(name, rows[i].with_common) != 0)
			fail_msg("row %zu: %s", i, name);
		served(without, rows[i].sni, rows[i].local, name, sizeof(name));
		if (strcmp(name, rows[i].without) != 0)
			fail_msg("row %zu: %s", i, name);
	}
	assert_true(tls_has_certificate(common, "corp.test"));
	assert_true(tls_has_certificate(common, "third.test"));
	assert_true(tls_has_certificate(without, "corp.test"));
	assert_true(tls_has_certificate(without, "xn--mnchen-3ya.test"));
	assert_false(tls_has_certificate(without, "third.test"));
	tls_destroy(common);
	tls_destroy(without);
}

/* What is refused for the lack of a certificate says so to the client. */
static void test_unrecognized_name(void **state)
{
	const struct tls_peer from = { .remote = "third.test" };
	SSL *client, *server;
	struct tls *tls;
	const char *why;
	BIO *a, *b;

	(void)state;
	assert_int_equal(load_folder(false, &tls, &why), OK);
	client = tls_session(tls, &from);
	server = tls_session(tls, &as_server);
	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
	(void)SSL_do_handshake(client);
	(void)SSL_do_handshake(server);
	ERR_clear_error();
	(void)SSL_do_handshake(client);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	ERR_clear_error();
	SSL_free(client);
	SSL_free(server);
	tls_destroy(tls);
}

/* As client: the certificate of the domain in whose name we speak, or none. */
static void test_client_by_domain(void **state)
{
	static const struct {
		const char *local, *shown;
	} rows[] = { { "corp.test", "corp.test" },
		     { "sub.corp.test", "sub.corp.test" },
		     { "third.test", "" },
		     { NULL, "" } };
	const struct tls_peer to = { .server = true, .local = "corp.test" };
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load_folder(false, &tls, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tls_peer from = { .local = rows[i].local, .remote = "partner.test" };
		SSL *client = tls_session(tls, &from), *server = tls_session(tls, &to);
		char name[64] = "";

		assert_true(certtest_shake_hands(client, server));
		if (SSL_get0_peer_certificate(server) != NULL)
			name_of(SSL_get0_peer_certificate(server), name, sizeof(name));
		assert_string_equal(name, rows[i].shown);
		SSL_free(client);
		SSL_free(server);
	}
	tls_destroy(tls);
}

static void copy(const char *from, const char *to)
{
	char *a = nettest_path(certs, from), *b = nettest_path(certs, to);

	assert_int_equal(link(a, b), 0);
	free(a);
	free(b);
}

static void remove_file(const char *name)
{
	char *path = nettest_path(certs, name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

static void test_folder_faults(void **state)
{
	static const struct {
		const char *from, *to, *words;
	} rows[] = {
		{ "corp.test.crt", "keyless.test.crt", "keyless.test.key': No such file or directory" },
		{ "corp.test.crt", "a b.crt", "a b.crt': its name is not DOMAIN.crt" },
		{ "corp.test.crt", "CORP.test.crt", "another file is for the same domain" },
		{ "corp.test.key", "key.test.crt", "no certificate in PEM form in this file" },
	};
	struct tls *tls = NULL, *before;
	const char *why = "";
	char name[64], *path;

	(void)state;
	/* what is no business of ours */
	copy("corp.test.crt", ".hidden.crt");
	copy("corp.test.crt", "README");
	copy("corp.test.crt", "corp.test.crt.old");
	copy("corp.test.key", "alone.key");
	assert_int_equal(load_folder(false, &before, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		copy(rows[i].from, rows[i].to);
		assert_int_equal(load_folder(false, &tls, &why), ERR_IO);
		assert_null(tls);
		if (strstr(why, rows[i].words) == NULL)
			fail_msg("row %zu: %s", i, why);
		assert_int_equal(tls_reload(before, &why), ERR_IO);
		served(before, "sub.corp.test", NULL, name, sizeof(name));
		assert_string_equal(name, "sub.corp.test");
		remove_file(rows[i].to);
	}
	path = certs;
	certs = "/nonexistent/folder";
	assert_int_equal(load_folder(false, &tls, &why), ERR_IO);
	assert_string_equal(why, "folder of certificates '/nonexistent/folder': No such file or directory");
	certs = path;
	tls_destroy(before);
}

/* A file under another name is a mistake, but may be one that only some partners mind. */
static void test_wrong_name_is_a_warning(void **state)
{
	char log[1024];

	(void)state;
	load_and_read_log(NULL, log, sizeof(log));
	assert_string_equal(log, "");
	put_pair("third.test", "fourth.test");
	load_and_read_log(NULL, log, sizeof(log));
	assert_non_null(strstr(log, "warning certificate-for-others file="));
	assert_non_null(strstr(log, "third.test.crt domain=third.test\n"));
}

static void test_reload_of_a_folder(void **state)
{
	const struct tls_peer from = { .remote = "sub.corp.test" };
	SSL *client, *server;
	struct tls *tls;
	const char *why;
	char name[64];

	(void)state;
	assert_int_equal(load_folder(false, &tls, &why), OK);
	client = tls_session(tls, &from);
	server = tls_session(tls, &as_server);
	remove_file("sub.corp.test.crt");
	put_pair("new.test", "new.test");
	assert_int_equal(tls_reload(tls, &why), OK);
	assert_false(tls_has_certificate(tls, "sub.corp.test"));
	served(tls, "new.test", NULL, name, sizeof(name));
	assert_string_equal(name, "new.test");
	tls_destroy(tls);
	/* the choice, too, is among what was there when the session began */
	assert_true(certtest_shake_hands(client, server));
	name_of(SSL_get0_peer_certificate(client), name, sizeof(name));
	assert_string_equal(name, "sub.corp.test");
	SSL_free(client);
	SSL_free(server);
}

/* --- direct TLS --- */

static void test_alpn(void **state)
{
	static const struct {
		const char *offer; /* as on the wire; NULL: none */
		bool direct;
		const char *chosen; /* NULL: refused */
	} rows[] = {
		{ NULL, true, "" },
		{ "\x0bxmpp-server", true, "xmpp-server" },
		{ "\x02h2\x0bxmpp-server", true, "xmpp-server" },
		{ "\x0bxmpp-server\x0bxmpp-client", true, "xmpp-server" },
		{ "\x0bxmpp-client", true, NULL },
		{ "\x02h2\x08http/1.1", true, NULL },
		{ "\x0bXMPP-SERVER", true, NULL },
		{ "\x0axmpp-serve", true, NULL },
		{ "\x0cxmpp-server2", true, NULL },
		/* in STARTTLS it means nothing */
		{ "\x0bxmpp-server", false, "" },
		{ "\x0bxmpp-client", false, "" },
	};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tls_peer how = { .server = true, .direct = rows[i].direct };
		SSL *client = SSL_new(ctx), *server = tls_session(tls, &how);
		const unsigned char *chosen;
		unsigned n;

		SSL_set_connect_state(client);
		if (rows[i].offer != NULL)
			assert_int_equal(SSL_set_alpn_protos(client, (const unsigned char *)rows[i].offer,
							     (unsigned)strlen(rows[i].offer)),
					 0);
		assert_int_equal(certtest_shake_hands(client, server), rows[i].chosen != NULL);
		SSL_get0_alpn_selected(client, &chosen, &n);
		if (rows[i].chosen != NULL &&
		    (n != strlen(rows[i].chosen) || (n > 0 && memcmp(chosen, rows[i].chosen, n) != 0)))
			fail_msg("row %zu: '%.*s'", i, (int)n, (const char *)chosen);
		SSL_free(client);
		SSL_free(server);
	}
	SSL_CTX_free(ctx);
	tls_destroy(tls);
}

/* Our own two ends agree; a client by STARTTLS offers nothing. */
static void test_alpn_as_client(void **state)
{
	struct tls *tls;
	const char *why;

	(void)state;
	assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
	for (int direct = 0; direct < 2; direct++) {
		const struct tls_peer from = { .remote = "corp.test", .direct = direct },
				      to = { .server = true, .direct = true };
		SSL *client = tls_session(tls, &from), *server = tls_session(tls, &to);
		const unsigned char *chosen;
		unsigned n;

		assert_true(certtest_shake_hands(client, server));
		SSL_get0_alpn_selected(server, &chosen, &n);
		assert_int_equal(n, direct ? strlen("xmpp-server") : 0);
		SSL_free(client);
		SSL_free(server);
	}
	tls_destroy(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dates_are_warnings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_renegotiation_and_no_resumption, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ciphers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_presents_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_choice_by_name, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_unrecognized_name, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_client_by_domain, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_folder_faults, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_wrong_name_is_a_warning, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_reload_of_a_folder, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_alpn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alpn_as_client, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
