/*
 * certtest.h - certificates for tests: every good and bad kind, made on the
 * spot, with keys that live as long as the test.
 */
#ifndef POOLBRIDGE_TESTS_CERTTEST_H
#define POOLBRIDGE_TESTS_CERTTEST_H

#include <openssl/ssl.h>

#include "bridge/core/base.h"

enum { CERTTEST_NAMES = 8, CERTTEST_HOUR = 3600 };

struct certtest {
	X509 *x;
	EVP_PKEY *key;
};

struct certtest_spec {
	const char *subject; /* its CN; NULL: an empty subject */
	/*
	 * "DNS:", "SRV:", "XMPP:", "IP:" (four bytes), "EMAIL:", "URI:", and "SRV8:" for an SRV-ID in the wrong
	 * ASN.1 type; "\\0" in it is a NUL byte.
	 */
	const char *names[CERTTEST_NAMES];
	bool names_twice;              /* the extension is there twice, which X.509 forbids */
	const char *constraints;       /* basicConstraints, as in openssl's configuration; NULL: none */
	const char *usage;             /* extendedKeyUsage likewise */
	const char *key_usage;         /* keyUsage likewise */
	long from, until;              /* seconds from now; both 0: an hour around now */
	const struct certtest *issuer; /* NULL: self-signed */
	int rsa_bits;                  /* 0: an EC key */
	bool sha1;
};

void certtest_make(const struct certtest_spec *spec, struct certtest *out);
void certtest_free(struct certtest *c);

/* PEM files in folder: the certificates in their order, and a key. */
void certtest_write(const char *folder, const char *file, const struct certtest *const *list, size_t count);
void certtest_write_key(const char *folder, const char *file, const struct certtest *c);

/* Through memory; true when both sides finish. */
bool certtest_shake_hands(SSL *client, SSL *server);

#endif
