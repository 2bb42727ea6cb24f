/* test_siphash.c - the vectors of the paper, and OpenSSL's opinion of every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

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

static void test_lengths(void **state)
{
	size_t size = sizeof(uint64_t);
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
				      OSSL_PARAM_construct_end() };
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
	unsigned char bytes[1000];

	(void)state;
	assert_int_equal(EVP_MAC_CTX_set_params(mac, params), 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * i * 31 + 200);
	/* From an odd address, too. */
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(siphash(key, bytes + n % 7, n - n % 7),
				 by_openssl(mac, bytes + n % 7, n - n % 7));
	EVP_MAC_CTX_free(mac);
	EVP_MAC_free(algorithm);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_lengths) };

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
