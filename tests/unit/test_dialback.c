/* Dialback keys: the vectors of XEP-0185 and XEP-0220, and keys that must not be valid. */
#include "bridge/xmpp/dialback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *secret, *receiving, *originating, *id, *key;
} vectors[] = {
	{ "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
	  "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643" },
	{ "s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F",
	  "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3" },
	{ "d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25",
	  "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d" },
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		char key[DIALBACK_KEY_SIZE];

		dialback_key(vectors[i].secret, vectors[i].receiving, vectors[i].originating, vectors[i].id,
			     key);
		assert_string_equal(key, vectors[i].key);
		assert_true(dialback_key_valid(vectors[i].secret, vectors[i].receiving,
					       vectors[i].originating, vectors[i].id, vectors[i].key));
	}
}

#define KEY "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"

/* Each row changes one thing of the first vector. */
static const struct {
	const char *what, *secret, *receiving, *originating, *id, *key;
} wrong[] = {
	{ "secret", "s3cr3tf0rd14lb4cl", "xmpp.example.com", "example.org", "D60000229F", KEY },
	{ "no secret", "", "xmpp.example.com", "example.org", "D60000229F", KEY },
	{ "receiving", "s3cr3tf0rd14lb4ck", "xmpp.example.net", "example.org", "D60000229F", KEY },
	{ "originating", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.net", "D60000229F", KEY },
	{ "exchanged", "s3cr3tf0rd14lb4ck", "example.org", "xmpp.example.com", "D60000229F", KEY },
	{ "id", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229E", KEY },
	{ "no id", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "", KEY },
	{ "empty key", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", "" },
	{ "cut", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
	  "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b8932307564" },
	{ "longer", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", KEY "0" },
	{ "white space", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", KEY "\n" },
	{ "upper case", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
	  "37C69B1CF07A3F67C04A5EF5902FA5114F2C76FE4A2686482BA5B89323075643" },
	{ "last digit", "s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
	  "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075642" },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (dialback_key_valid(wrong[i].secret, wrong[i].receiving, wrong[i].originating, wrong[i].id,
				       wrong[i].key))
			fail_msg("%s: valid", wrong[i].what);
}

/* CVE-2016-0756: the same text, divided in another way, must not have the same key. */
static const struct {
	const char *receiving, *originating, *id;
} colliding[][2] = {
	{ { "a.test", "b.test", "c.test d" }, { "a.test b.test", "c.test", "d" } },
	{ { "a.test", "b.test", "c.test d" }, { "a.test", "b.test c.test", "d" } },
	{ { "a.testb", ".test", "1" }, { "a.test", "b.test", "1" } },
	{ { "a.test", "b.test1", "2" }, { "a.test", "b.test", "12" } },
	{ { "a.test", "b.test", " 1" }, { "a.test", "b.test ", "1" } },
	{ { "a.test", "", "b.test 1" }, { "a.test ", "b.test", "1" } },
};

static void test_colliding(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(colliding); i++) {
		char key[DIALBACK_KEY_SIZE];

		dialback_key("secret", colliding[i][0].receiving, colliding[i][0].originating,
			     colliding[i][0].id, key);
		if (dialback_key_valid("secret", colliding[i][1].receiving, colliding[i][1].originating,
				       colliding[i][1].id, key))
			fail_msg("row %zu: the key is good for both", i);
	}
}

static void test_random_hex(void **state)
{
	char first[33], second[33], even[4] = "xyz", one[1] = "x";

	(void)state;
	assert_int_equal(random_hex(first, sizeof(first)), OK);
	assert_int_equal(random_hex(second, sizeof(second)), OK);
	assert_int_equal(strlen(first), 32);
	assert_int_equal(strspn(first, "0123456789abcdef"), 32);
	assert_string_not_equal(first, second);
	assert_int_equal(random_hex(even, sizeof(even)), OK);
	assert_int_equal(strspn(even, "0123456789abcdef"), 3);
	assert_int_equal(even[3], '\0');
	assert_int_equal(random_hex(one, sizeof(one)), OK);
	assert_int_equal(one[0], '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_colliding),
		cmocka_unit_test(test_random_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
