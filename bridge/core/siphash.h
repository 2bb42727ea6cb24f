/*
 * siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012): a hash of 64 bits that nobody can steer who does not
 * know the key.
 */
#ifndef POOLBRIDGE_CORE_SIPHASH_H
#define POOLBRIDGE_CORE_SIPHASH_H

#include "bridge/core/base.h"

enum { SIPHASH_KEY_SIZE = 16 };

uint64_t siphash(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n);
/* With half the rounds: for tables in memory, of which nobody sees a hash. */
uint64_t siphash_1_3(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n);

#endif
