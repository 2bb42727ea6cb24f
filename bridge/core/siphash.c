/*
 * siphash.c - SipHash-2-4, by words of 8 bytes.
 *
 * OpenSSL has it, too, but behind contexts and parameters that cost ten times what
 * the hash of an address does. Pure; nothing fails.
 */
#include "bridge/core/siphash.h"

#include <endian.h>
#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void mix(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = turn(s->v1, 13) ^ s->v0;
	s->v3 = turn(s->v3, 16) ^ s->v2;
	s->v0 = turn(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = turn(s->v1, 17) ^ s->v2;
	s->v3 = turn(s->v3, 21) ^ s->v0;
	s->v2 = turn(s->v2, 32);
}

static inline void take(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	mix(s);
	mix(s);
	s->v0 ^= word;
}

static inline uint64_t word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return le64toh(word);
}

uint64_t siphash(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n)
{
	const uint64_t k0 = word_at(key), k1 = word_at(key + 8);
	struct sip s = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			 k1 ^ 0x7465646279746573 };
	const unsigned char *at = bytes;
	uint64_t last = (uint64_t)n << 56;

	for (size_t words = n / 8; words > 0; words--, at += 8)
		take(&s, word_at(at));
	for (size_t i = 0; i < n % 8; i++)
		last |= (uint64_t)at[i] << (8 * i);
	take(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		mix(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
