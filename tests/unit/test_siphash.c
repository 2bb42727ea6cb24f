/* test_siphash.c - the vectors of the paper, OpenSSL's opinion of every length, and what a table makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "bridge/core/hash.h"
#include "bridge/core/siphash.h"

static const unsigned char key[SIPHASH_KEY_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void test_vectors(void **state)
{
	/* Of the bytes 00 01 02 ..., as many as the index says. */
	static const uint64_t expected[] = { 0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
					     0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
					     0xcbc9466e58fee3ce, 0xab0200f58b01d137 };
	unsigned char bytes[16];

	(void)state;
	for (unsigned char i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(siphash(key, bytes, i), expected[i]);
	/* The paper's own example. */
	assert_int_equal(siphash(key, bytes, 15), 0xa129ca6149be45e5);
}

static uint64_t by_openssl(EVP_MAC_CTX *mac, const unsigned char *bytes, size_t n)
{
	unsigned char digest[8];
	uint64_t value = 0;
	size_t length = 0;

	assert_int_equal(EVP_MAC_init(mac, key, sizeof(key), NULL), 1);
	assert_int_equal(EVP_MAC_update(mac, bytes, n), 1);
	assert_int_equal(EVP_MAC_final(mac, digest, &length, sizeof(digest)), 1);
	assert_int_equal(length, sizeof(digest));
	for (size_t i = 0; i < sizeof(digest); i++)
		value |= (uint64_t)digest[i] << (8 * i);
	return value;
}

typedef uint64_t siphash_fn(const unsigned char key[SIPHASH_KEY_SIZE], const void *bytes, size_t n);

static void compare(siphash_fn *ours, unsigned rounds, unsigned last_rounds)
{
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &rounds),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &last_rounds),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
	unsigned char bytes[1000];

	assert_int_equal(EVP_MAC_CTX_set_params(mac, params), 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * i * 31 + 200);
	/* From an odd address, too. */
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(ours(key, bytes + n % 7, n - n % 7),
				 by_openssl(mac, bytes + n % 7, n - n % 7));
	EVP_MAC_CTX_free(mac);
	EVP_MAC_free(algorithm);
}

static void test_lengths(void **state)
{
	(void)state;
	compare(siphash, 2, 4);
	compare(siphash_1_3, 1, 3);
}

/* Names that uthash's own hash has in one bucket are no worse than others. */
static void test_chosen_names(void **state)
{
	enum { NAMES = 1000, BUCKETS = 1024, FEW = 40 };
	static struct entry {
		UT_hash_handle hh;
		char name[32];
	} entries[NAMES];
	struct entry *table = NULL;
	unsigned chosen = 0, longest = 0;

	(void)state;
	for (unsigned i = 0; chosen < NAMES; i++) {
		char *name = entries[chosen].name;
		unsigned n = (unsigned)snprintf(name, sizeof(entries[0].name), "u%u@partner.test", i), hash;

		HASH_JEN(name, n, hash);
		if (hash % BUCKETS == 0)
			chosen++;
	}
	for (size_t i = 0; i < NAMES; i++)
		HASH_ADD_STR(table, name, &entries[i]);
	for (unsigned i = 0; i < table->hh.tbl->num_buckets; i++)
		if (table->hh.tbl->buckets[i].count > longest)
			longest = table->hh.tbl->buckets[i].count;
	assert_true(longest < FEW);
	HASH_CLEAR(hh, table);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_lengths),
					    cmocka_unit_test(test_chosen_names) };

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
