/*
 * tls_identity.c - loading a certificate of ours with its chain and key, with
 * words for everything that can be wrong with the two files.
 *
 * A pair is tried on a context of its own first, so that what OpenSSL would
 * refuse in a handshake (a weak key, a key of another certificate) is refused
 * here. Dates and names are warnings only: partners that verify will refuse
 * such a certificate, but those on dialback are served.
 *
 * An identity belongs to its creator; sessions hold references of their own.
 * Fatal: OpenSSL has no memory.
 */
#include "bridge/xmpp/tls_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/certificate_internal.h"
#include "bridge/xmpp/tls_internal.h"

static char why_text[512];

enum err tls_file_fault(const char **why, const char *what, const char *file, const char *problem)
{
	snprintf(why_text, sizeof(why_text), "%s '%s': %s", what, file, problem);
	*why = why_text;
	return ERR_IO;
}

const char *tls_openssl_words(void)
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

enum err tls_file_check(const char *what, const char *file, const char **why)
{
	FILE *f = fopen(file, "re");
	int c, error;

	if (f == NULL)
		return tls_file_fault(why, what, file, strerror(errno));
	errno = 0;
	c = fgetc(f); /* a folder opens, but does not read */
	error = errno;
	fclose(f);
	if (error != 0)
		return tls_file_fault(why, what, file, strerror(error));
	return c == EOF ? tls_file_fault(why, what, file, "the file is empty") : OK;
}

static enum err load_certificate(SSL_CTX *ctx, const char *file, const char **why)
{
	static const char what[] = "certificate";
	enum err e = tls_file_check(what, file, why);

	if (e != OK)
		return e;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, file) == 1)
		return OK;
	if (openssl_says(ERR_LIB_PEM, PEM_R_NO_START_LINE))
		return tls_file_fault(why, what, file, "no certificate in PEM form in this file");
	if (openssl_says(ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL))
		return tls_file_fault(why, what, file, "its key is too short (RSA: 2048 bits at least)");
	if (openssl_says(ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK))
		return tls_file_fault(why, what, file,
				      "its signature algorithm is too weak (SHA-256 at least)");
	return tls_file_fault(why, what, file, tls_openssl_words());
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
	enum err e = tls_file_check(what, file, why);
	int loaded;

	if (e != OK)
		return e;
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);
	loaded = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM);
	/* A key of another kind (RSA, EC) than the certificate's is taken as half of a second pair. */
	if (loaded == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return OK;
	if (loaded == 1)
		return tls_file_fault(why, what, file, "it does not fit the certificate");
	if (encrypted)
		return tls_file_fault(why, what, file, "it has a passphrase; a key without one is needed");
	if (openssl_says(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH))
		return tls_file_fault(why, what, file, "it does not fit the certificate");
	if (openssl_says(ERR_LIB_PEM, PEM_R_NO_START_LINE) ||
	    openssl_says(ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED))
		return tls_file_fault(why, what, file, "no private key in PEM form in this file");
	return tls_file_fault(why, what, file, tls_openssl_words());
}

static void warn(const char *file, const char *domain, X509 *leaf)
{
	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		log_event(LOG_WARNING, "certificate-expired", NULL, "file=%s", log_value(file));
	if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
		log_event(LOG_WARNING, "certificate-not-yet-valid", NULL, "file=%s", log_value(file));
	if (domain != NULL && !certificate_names_domain(leaf, domain, false))
		log_event(LOG_WARNING, "certificate-for-others", NULL, "file=%s domain=%s", log_value(file),
			  domain);
}

static void take(SSL_CTX *ctx, struct tls_identity *out)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	out->leaf = SSL_CTX_get0_certificate(ctx);
	out->key = SSL_CTX_get0_privatekey(ctx);
	out->chain = chain != NULL ? X509_chain_up_ref(chain) : NULL;
	if (X509_up_ref(out->leaf) != 1 || EVP_PKEY_up_ref(out->key) != 1 ||
	    (chain != NULL && out->chain == NULL))
		abort();
}

enum err tls_identity_load(const char *certificate_file, const char *key_file, const char *domain,
			   struct tls_identity *out, const char **why)
{
	SSL_CTX *ctx = tls_new_context();
	enum err e = load_certificate(ctx, certificate_file, why);

	if (e == OK)
		e = load_key(ctx, key_file, why);
	if (e == OK) {
		take(ctx, out);
		warn(certificate_file, domain, out->leaf);
	}
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return e;
}

void tls_identity_complete(struct tls_identity *identity, X509_STORE *trusted)
{
	STACK_OF(X509) * chain;

	if (identity->chain != NULL)
		return;
	chain = X509_build_chain(identity->leaf, NULL, trusted, 0, NULL, NULL);
	if (chain != NULL)
		X509_free(sk_X509_shift(chain)); /* the leaf */
	if (sk_X509_num(chain) > 0)
		identity->chain = chain;
	else
		sk_X509_free(chain);
	ERR_clear_error();
}

void tls_identity_free(struct tls_identity *identity)
{
	X509_free(identity->leaf);
	EVP_PKEY_free(identity->key);
	sk_X509_pop_free(identity->chain, X509_free);
	*identity = (struct tls_identity){ 0 };
}

void tls_identity_show(const struct tls_identity *identity, SSL *ssl)
{
	/* Accepted once for such a context, so only memory can be missing. */
	if (SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 1) != 1)
		abort();
}
