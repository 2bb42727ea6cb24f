/*
 * dialback.c - Server Dialback keys (XEP-0220), made as XEP-0185 says.
 *
 * The names are hashed as given: the caller has normalised them. The parts are
 * joined by a space; no domain name holds one, and as the stream id comes last
 * it may hold what it likes. Names with a space would let two triples collide
 * (CVE-2016-0756), so no key is valid for them. Keeps no state, owns nothing.
 *
 * Fatal: an OpenSSL without SHA-256.
 */
#include "bridge/xmpp/dialback.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_SIZE = 32, DIGEST_HEX_SIZE = 2 * DIGEST_SIZE };

static void write_hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

void dialback_key(const char *secret, const char *receiving, const char *originating, const char *stream_id,
		  char key[DIALBACK_KEY_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char secret_hex[DIGEST_HEX_SIZE + 1];
	struct strbuf text = { 0 };

	if (EVP_Digest(secret, strlen(secret), digest, NULL, EVP_sha256(), NULL) != 1)
		abort();
	write_hex(digest, DIGEST_SIZE, secret_hex);
	strbuf_puts(&text, receiving);
	strbuf_putc(&text, ' ');
	strbuf_puts(&text, originating);
	strbuf_putc(&text, ' ');
	strbuf_puts(&text, stream_id);
	if (HMAC(EVP_sha256(), secret_hex, DIGEST_HEX_SIZE, (const unsigned char *)text.s, text.len, digest,
		 NULL) == NULL)
		abort();
	write_hex(digest, DIGEST_SIZE, key);
	strbuf_free(&text);
	OPENSSL_cleanse(secret_hex, sizeof(secret_hex));
}

bool dialback_key_valid(const char *secret, const char *receiving, const char *originating,
			const char *stream_id, const char *key)
{
	char expected[DIALBACK_KEY_SIZE];

	if (strchr(receiving, ' ') != NULL || strchr(originating, ' ') != NULL)
		return false;
	dialback_key(secret, receiving, originating, stream_id, expected);
	/* The length of a key is no secret. */
	return strlen(key) == DIGEST_HEX_SIZE && CRYPTO_memcmp(key, expected, DIGEST_HEX_SIZE) == 0;
}

enum err random_hex(char *out, size_t size)
{
	size_t digits = size > 0 ? size - 1 : 0;
	char *hex = xmalloc(digits + 2);
	unsigned char *bytes = xmalloc(digits / 2 + 1);
	enum err e = ERR_IO;

	if (size == 0 || digits > INT_MAX || RAND_bytes(bytes, (int)(digits / 2 + 1)) != 1)
		goto done;
	write_hex(bytes, (digits + 1) / 2, hex);
	memcpy(out, hex, digits);
	out[digits] = '\0';
	e = OK;
done:
	free(bytes);
	free(hex);
	return e;
}
