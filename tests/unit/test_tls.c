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

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bridge/xmpp/tls.h"
#include "bridge/xmpp/tls_internal.h"
#include "nettest.h"

enum { HOUR = 3600, NOBODY = 65534 };

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
	const enum err e = tls_create(c, k, out, why);

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
	const bool is_root = geteuid() == 0;
	enum err e;

	(void)state;
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(folder, 0711), 0);
	if (is_root)
		assert_int_equal(seteuid(NOBODY), 0); /* root may read everything */
	e = load("corp.pem", "corp.key", &tls, &why);
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	free(path);
	assert_int_equal(e, ERR_IO);
	assert_non_null(strstr(why, "corp.key': Permission denied"));
}

/* What is written to standard error while the certificate is loaded. */
static void load_and_read_log(const char *name, char *out, size_t size)
{
	char *path = nettest_path(folder, "log"), *certificate = xasprintf("%s.pem", name),
	     *key = xasprintf("%s.key", name);
	const int saved = dup(STDERR_FILENO), log = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct tls *tls;
	const char *why;
	ssize_t n;
	enum err e;

	assert_true(saved >= 0 && log >= 0);
	dup2(log, STDERR_FILENO);
	e = load(certificate, key, &tls, &why);
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

static void connect_pair(SSL *client, SSL *server)
{
	BIO *a, *b;

	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
}

/* True when both sides finish. */
static bool shake_hands(SSL *client, SSL *server)
{
	bool client_done = false, server_done = false;

	for (int i = 0; i < 20 && !(client_done && server_done); i++) {
		client_done = SSL_do_handshake(client) == 1;
		server_done = SSL_do_handshake(server) == 1;
	}
	ERR_clear_error();
	return client_done && server_done;
}

static void name_of(X509 *x, char *out, size_t size)
{
	assert_non_null(x);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, (int)size) > 0);
}

/* Whose certificate a new session of tls presents as a server. */
static void name_served(struct tls *tls, char *out, size_t size)
{
	SSL *client = tls_session(tls, "corp.test"), *server = tls_session(tls, NULL);

	connect_pair(client, server);
	assert_true(shake_hands(client, server));
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
	client = tls_session(tls, "corp.test");
	server = tls_session(tls, NULL);
	connect_pair(client, server);
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
	assert_true(shake_hands(client, server));
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
		SSL *client, *server = tls_session(tls, NULL);

		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(ctx, rows[i].max);
		SSL_CTX_set_cipher_list(ctx, "ALL@SECLEVEL=0");
		client = SSL_new(ctx);
		SSL_set_connect_state(client);
		connect_pair(client, server);
		assert_int_equal(shake_hands(client, server), rows[i].accepted);
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

/* What a completed handshake ended with. */
static size_t finished(const SSL *ssl, unsigned char out[64])
{
	return SSL_get_finished(ssl, out, 64);
}

/* TLS 1.2: neither side lets the other negotiate again. */
static void test_no_renegotiation(void **state)
{
	for (int by_client = 0; by_client < 2; by_client++) {
		SSL *client, *server, *asks, *other;
		unsigned char before[64], after[64];
		struct tls *tls;
		const char *why;
		size_t n;

		(void)state;
		assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
		client = tls_session(tls, "corp.test");
		server = tls_session(tls, NULL);
		asks = by_client ? client : server;
		other = by_client ? server : client;
		SSL_set_max_proto_version(client, TLS1_2_VERSION);
		SSL_clear_options(asks, SSL_OP_NO_RENEGOTIATION);
		connect_pair(client, server);
		assert_true(shake_hands(client, server));
		n = finished(other, before);
		assert_int_equal(SSL_renegotiate(asks), 1);
		for (int i = 0; i < 10; i++) {
			(void)SSL_do_handshake(asks);
			(void)pump(asks);
			(void)pump(other);
		}
		assert_int_equal(finished(other, after), n);
		assert_memory_equal(before, after, n);
		SSL_free(client);
		SSL_free(server);
		tls_destroy(tls);
	}
}

static void test_no_resumption_and_no_compression(void **state)
{
	SSL *client, *server;
	struct tls *tls;
	const char *why;

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		assert_int_equal(load("corp.pem", "corp.key", &tls, &why), OK);
		client = tls_session(tls, "corp.test");
		server = tls_session(tls, NULL);
		SSL_set_max_proto_version(client, version);
		connect_pair(client, server);
		assert_true(shake_hands(client, server));
		assert_true(pump(client));
		assert_int_equal(SSL_SESSION_has_ticket(SSL_get0_session(client)), 0);
		assert_null(SSL_get_current_compression(server));
		SSL_free(client);
		SSL_free(server);
		tls_destroy(tls);
	}
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
	client = tls_session(tls, "partner.test");
	connect_pair(client, server);
	assert_true(shake_hands(client, server));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dates_are_warnings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_renegotiation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_resumption_and_no_compression, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_presents_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
