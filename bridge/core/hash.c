/* hash.c - see hash.h. Nothing fails: glibc's arc4random_buf() does not. */
#include "bridge/core/hash.h"

#include <stdlib.h>

#include "bridge/core/siphash.h"

unsigned hash_bytes(const void *bytes, size_t n)
{
	static unsigned char key[SIPHASH_KEY_SIZE];
	static bool has_key;

	if (!has_key)
		arc4random_buf(key, sizeof(key));
	has_key = true;
	return (unsigned)siphash_1_3(key, bytes, n);
}
