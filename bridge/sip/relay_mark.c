/*
 * relay_mark.c - marks of dialogs and loop hashes: HMACs, so that no peer can
 * make one.
 *
 * A mark binds Call-ID, the caller's tag and the pools of both sides. Whoever
 * takes part in the dialog knows it, and can use it for nothing but requests of
 * that dialog, to those pools. It needs no state: with a configured secret a
 * dialog outlives a restart.
 *
 * Fatal: an OpenSSL without SHA-256, a system without random numbers.
 */
#include "bridge/sip/relay_mark.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COOKIE "z9hG4bK"

enum { DIGEST_SIZE = 32, HASH_DIGITS = 16, SALT_DIGITS = 24, MARK_DIGITS = 32 };

static const char letters[POOLS] = { [POOL_LEGACY] = 'l', [POOL_NEW] = 'n' };

void relay_key_make(const char *secret, struct relay_key *out)
{
	static const char purpose[] = "poolbridge SIP relay";

	_Static_assert((int)RELAY_KEY_SIZE == (int)DIGEST_SIZE, "a key is a digest");
	if (secret == NULL || secret[0] == '\0')
		arc4random_buf(out->bytes, sizeof(out->bytes));
	else if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)purpose,
		      sizeof(purpose), out->bytes, NULL) == NULL)
		abort();
}

/* The first digits of the HMAC of all parts; their ends count, so that no two lists are alike. */
static void hash(const struct relay_key *key, const char *const *parts, size_t count, char *out,
		 size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct strbuf text = { 0 };

	for (size_t i = 0; i < count; i++)
		strbuf_add(&text, parts[i], strlen(parts[i]) + 1);
	if (HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), (const unsigned char *)text.s, text.len,
		 digest, NULL) == NULL)
		abort();
	strbuf_free(&text);
	for (size_t i = 0; i < digits; i++)
		out[i] = hex[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 15];
	out[digits] = '\0';
}

void relay_mark_make(const struct relay_key *key, const char *call_id, const char *caller_tag,
		     enum pool caller, enum pool callee, char out[RELAY_MARK_SIZE])
{
	const char sides[] = { letters[caller], letters[callee], '\0' };
	const char *const parts[] = { "dialog", call_id, caller_tag, sides };

	memcpy(out, sides, 2);
	hash(key, parts, ARRAY_SIZE(parts), out + 2, MARK_DIGITS);
}

static bool read_side(char letter, enum pool *out)
{
	for (int p = 0; p < POOLS; p++) {
		if (letters[p] != letter)
			continue;
		*out = (enum pool)p;
		return true;
	}
	return false;
}

bool relay_mark_read(const struct relay_key *key, const char *mark, const char *call_id, const char *from_tag,
		     const char *to_tag, enum pool *to)
{
	char expected[RELAY_MARK_SIZE];
	enum pool caller, callee;

	if (strlen(mark) != RELAY_MARK_SIZE - 1 || !read_side(mark[0], &caller) ||
	    !read_side(mark[1], &callee))
		return false;
	relay_mark_make(key, call_id, from_tag, caller, callee, expected);
	if (CRYPTO_memcmp(mark, expected, RELAY_MARK_SIZE - 1) == 0) {
		*to = callee;
		return true;
	}
	relay_mark_make(key, call_id, to_tag, caller, callee, expected);
	if (CRYPTO_memcmp(mark, expected, RELAY_MARK_SIZE - 1) == 0) {
		*to = caller;
		return true;
	}
	return false;
}

void relay_branch_make(const struct relay_key *key, const char *route, const char *salt,
		       char out[RELAY_BRANCH_SIZE])
{
	const char *const route_parts[] = { "loop", route }, *const salt_parts[] = { "salt", salt };
	char *end = out + strlen(COOKIE);
	struct relay_key random;

	memcpy(out, COOKIE, strlen(COOKIE));
	hash(key, route_parts, ARRAY_SIZE(route_parts), end, HASH_DIGITS);
	end += HASH_DIGITS;
	*end++ = '.';
	if (salt != NULL) {
		hash(key, salt_parts, ARRAY_SIZE(salt_parts), end, SALT_DIGITS);
	} else {
		relay_key_make("", &random);
		hash(&random, route_parts, ARRAY_SIZE(route_parts), end, SALT_DIGITS);
	}
}

bool relay_branch_matches(const char *branch, const char other[RELAY_BRANCH_SIZE])
{
	return strlen(branch) == RELAY_BRANCH_SIZE - 1 &&
	       strncasecmp(branch, other, strlen(COOKIE) + HASH_DIGITS + 1) == 0;
}
