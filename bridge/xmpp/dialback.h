/*
 * dialback.h - Server Dialback keys (XEP-0220, XEP-0185): pure.
 *
 * A key is an HMAC, so the authoritative server needs no memory of the keys
 * that it gave out.
 */
#ifndef POOLBRIDGE_XMPP_DIALBACK_H
#define POOLBRIDGE_XMPP_DIALBACK_H

#include "bridge/core/base.h"

#define DIALBACK_KEY_SIZE 65 /* 64 hexadecimal digits and a NUL */

/* key = hex(HMAC-SHA256(hex(SHA256(secret)), "receiving originating stream-id")) */
void dialback_key(const char *secret, const char *receiving, const char *originating, const char *stream_id,
		  char key[DIALBACK_KEY_SIZE]);

/* Compares in constant time. */
bool dialback_key_valid(const char *secret, const char *receiving, const char *originating,
			const char *stream_id, const char *key);

/* size-1 random hexadecimal digits from the system's CSPRNG; ERR_IO without entropy. */
MUST_CHECK enum err random_hex(char *out, size_t size);

#endif
