/*
 * tls.c - one certificate with its key as an OpenSSL context, used for both
 * directions of s2s.
 *
 * Policy of the edge: TLS 1.2 and 1.3, security level 2 with the system's
 * ciphers, no compression, no renegotiation, no session resumption (a stream
 * lives for hours; a ticket would only be one more secret). Certificates of
 * peers are asked for by nobody yet: SSL_VERIFY_NONE, dialback proves the peer.
 *
 * A struct tls belongs to its creator. Sessions hold OpenSSL's own reference to
 * the context they began with, so a reload or destroy does not touch them.
 * Fatal: OpenSSL has no memory.
 */
#include "bridge/xmpp/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/tls_internal.h"

struct tls {
	char *certificate_file, *key_file;
	SSL_CTX *ctx;
};

static char why_text[512];

static enum err fail(const char **why, const char *what, const char *file, const char *problem)
{
	snprintf(why_text, sizeof(why_text), "%s '%s': %s", what, file, problem);
	*why = why_text;
	return ERR_IO;
}

/* The first error OpenSSL noted, for what has no words of our own. */
static const char *openssl_words(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_error());

	return words != NULL ? words : "OpenSSL refuses it";
}

/* Where it happened is noted first, what came of it last. */
static bool openssl_says(int library, int reason)
{
	const unsigned long first = ERR_peek_error(), last = ERR_peek_last_error();

	return (ERR_GET_LIB(first) == library && ERR_GET_REASON(first) == reason) ||
	       (ERR_GET_LIB(last) == library && ERR_GET_REASON(last) == reason);
}

static enum err check_readable(const char *what, const char *file, const char **why)
{
	FILE *f = fopen(file, "re");
	int c, error;

	if (f == NULL)
		return fail(why, what, file, strerror(errno));
	errno = 0;
	c = fgetc(f); /* a folder opens, but does not read */
	error = errno;
	fclose(f);
	if (error != 0)
		return fail(why, what, file, strerror(error));
	return c == EOF ? fail(why, what, file, "the file is empty") : OK;
}

static enum err load_certificate(SSL_CTX *ctx, const char *file, const char **why)
{
	static const char what[] = "certificate";
	enum err e = check_readable(what, file, why);

	if (e != OK)
		return e;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, file) == 1)
		return OK;
	if (openssl_says(ERR_LIB_PEM, PEM_R_NO_START_LINE))
		return fail(why, what, file, "no certificate in PEM form in this file");
	if (openssl_says(ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL))
		return fail(why, what, file, "its key is too short (RSA: 2048 bits at least)");
	if (openssl_says(ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK))
		return fail(why, what, file, "its signature algorithm is too weak (SHA-256 at least)");
	return fail(why, what, file, openssl_words());
}

/* A daemon has nobody to ask; OpenSSL would ask the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)ctx = true;
	return -1;
}

static enum err load_key(SSL_CTX *ctx, const char *file, const char **why)
{
	static const char what[] = "key";
	bool encrypted = false;
	enum err e = check_readable(what, file, why);
	int loaded;

	if (e != OK)
		return e;
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);
	loaded = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, NULL);
	/* A key of another kind (RSA, EC) than the certificate's is taken as half of a second pair. */
	if (loaded == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return OK;
	if (loaded == 1)
		return fail(why, what, file, "it does not fit the certificate");
	if (encrypted)
		return fail(why, what, file, "it has a passphrase; a key without one is needed");
	if (openssl_says(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH))
		return fail(why, what, file, "it does not fit the certificate");
	if (openssl_says(ERR_LIB_PEM, PEM_R_NO_START_LINE) ||
	    openssl_says(ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED))
		return fail(why, what, file, "no private key in PEM form in this file");
	return fail(why, what, file, openssl_words());
}

/* Partners that verify will refuse it, but those on dialback are served: say so, and go on. */
static void warn_about_dates(SSL_CTX *ctx, const char *file)
{
	const X509 *leaf = SSL_CTX_get0_certificate(ctx);

	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		log_event(LOG_WARNING, "certificate-expired", NULL, "file=%s", log_value(file));
	if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
		log_event(LOG_WARNING, "certificate-not-yet-valid", NULL, "file=%s", log_value(file));
}

static SSL_CTX *new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		abort();
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A peer that sends nothing but key updates would otherwise keep us inside one SSL_read(). */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	/* The place of certificate policy: what to ask of a peer's certificate, and by whose authority. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	return ctx;
}

static enum err load(const char *certificate_file, const char *key_file, SSL_CTX **out, const char **why)
{
	SSL_CTX *ctx = new_context();
	enum err e = load_certificate(ctx, certificate_file, why);

	if (e == OK)
		e = load_key(ctx, key_file, why);
	if (e == OK) {
		warn_about_dates(ctx, certificate_file);
		*out = ctx;
	} else {
		SSL_CTX_free(ctx);
	}
	ERR_clear_error();
	return e;
}

enum err tls_create(const char *certificate_file, const char *key_file, struct tls **out, const char **why)
{
	SSL_CTX *ctx;
	enum err e = load(certificate_file, key_file, &ctx, why);
	struct tls *tls;

	if (e != OK)
		return e;
	tls = xcalloc(1, sizeof(*tls));
	tls->certificate_file = xstrdup(certificate_file);
	tls->key_file = xstrdup(key_file);
	tls->ctx = ctx;
	*out = tls;
	return OK;
}

enum err tls_reload(struct tls *tls, const char **why)
{
	SSL_CTX *ctx;
	enum err e = load(tls->certificate_file, tls->key_file, &ctx, why);

	if (e != OK)
		return e;
	SSL_CTX_free(tls->ctx);
	tls->ctx = ctx;
	return OK;
}

void tls_destroy(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls->certificate_file);
	free(tls->key_file);
	free(tls);
}

SSL *tls_session(const struct tls *tls, const char *peer_name)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl == NULL)
		abort();
	if (peer_name == NULL) {
		SSL_set_accept_state(ssl);
	} else {
		SSL_set_connect_state(ssl);
		/* Fails on a name too long for the extension only: then without it. */
		(void)SSL_set_tlsext_host_name(ssl, peer_name);
	}
	return ssl;
}
