/*
 * siphash.c - SipHash-2-4 and SipHash-1-3, by words of 8 bytes.
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

static inline void take(struct sip *s, uint64_t word, int rounds)
{
	s->v3 ^= word;
	for (int i = 0; i < rounds; i++)
		mix(s);
	s->v0 ^= word;
}

static inline uint64_t word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return le64toh(word);
}

/* The numbers of rounds are known where it is inlined. */
static inline uint64_t hash(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n,
			    int rounds, int last_rounds)
{
	const uint64_t k0 = word_at(key), k1 = word_at(key + 8);
	struct sip s = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			 k1 ^ 0x7465646279746573 };
	const unsigned char *at = bytes;
	uint64_t last = (uint64_t)n << 56;

	for (size_t words = n / 8; words > 0; words--, at += 8)
		take(&s, word_at(at), rounds);
	for (size_t i = 0; i < n % 8; i++)
		last |= (uint64_t)at[i] << (8 * i);
	take(&s, last, rounds);
	s.v2 ^= 0xff;
	for (int i = 0; i < last_rounds; i++)
		mix(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n)
{
	return hash(key, bytes, n, 2, 4);
}

uint64_t siphash_1_3(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n)
{
	return hash(key, bytes, n, 1, 3);
}
