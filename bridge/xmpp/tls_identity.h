/*
 * tls_identity.h - private to tls.c: a certificate of ours with its chain and
 * key, from PEM files.
 */
#ifndef POOLBRIDGE_XMPP_TLS_IDENTITY_H
#define POOLBRIDGE_XMPP_TLS_IDENTITY_H

#include <openssl/ssl.h>

#include "bridge/core/base.h"

struct tls_identity {
	X509 *leaf; /* NULL: none */
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without the leaf; NULL when there is nothing else */
};

/*
 * domain: whom it is to serve, or NULL for anybody; it not naming him, or its dates, are warnings in the
 * log. On failure *why (static buffer) says which file and what is wrong with it.
 */
MUST_CHECK enum err tls_identity_load(const char *certificate_file, const char *key_file, const char *domain,
				      struct tls_identity *out, const char **why);
/* A file with a leaf alone: intermediates that are in trusted follow it, once and not in each handshake. */
void tls_identity_complete(struct tls_identity *identity, X509_STORE *trusted);
void tls_identity_free(struct tls_identity *identity); /* leaves it empty */

/* From now on ssl shows it. */
void tls_identity_show(const struct tls_identity *identity, SSL *ssl);

/* "WHAT 'FILE': PROBLEM" in the static buffer that *why points at; ERR_IO. */
enum err tls_file_fault(const char **why, const char *what, const char *file, const char *problem);
/* Can file be opened and read, and is something in it? */
MUST_CHECK enum err tls_file_check(const char *what, const char *file, const char **why);
/* OpenSSL's newest complaint: the first error it noted, in its words. */
const char *tls_openssl_words(void);

#endif
