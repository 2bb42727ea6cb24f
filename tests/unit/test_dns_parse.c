/*
 * test_dns_parse.c - record data from the network, whole and broken, and the
 * order of RFC 2782.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/xmpp/dns_parse.h"

#define L63                                                                                                  \
	"\x3f"                                                                                               \
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define HEAD   "\x00\x0a\x00\x05\x14\x95"
#define ROW(s) s, sizeof(s) - 1

struct row {
	const char *rdata;
	size_t len;
	enum err result;
	const char *target;
	uint16_t priority, weight, port;
};

static const struct row rows[] = {
	{ ROW(HEAD "\x01"
		   "a"
		   "\x04"
		   "test"
		   "\x00"),
	  OK, "a.test", 10, 5, 5269 },
	{ ROW(HEAD "\x04"
		   "A-_9"
		   "\x00"),
	  OK, "A-_9", 10, 5, 5269 },
	{ ROW("\xff\xff\xff\xff\xff\xff\x01"
	      "a\x00"),
	  OK, "a", 65535, 65535, 65535 },
	{ ROW(HEAD "\x00"), OK, "", 10, 5, 5269 },
	{ ROW("\x00\x00\x00\x00\x00\x00\x00"), OK, "", 0, 0, 0 },
	/* port 0 */
	{ ROW("\x00\x0a\x00\x05\x00\x00\x01"
	      "a\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	/* cut off, at every place */
	{ ROW(""), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW("\x00"), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW("\x00\x0a\x00\x05\x14"), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"
		   "a"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"
		   "a"
		   "\x04"
		   "tes"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"
		   "a"
		   "\x04"
		   "test"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	/* something behind it */
	{ ROW(HEAD "\x01"
		   "a"
		   "\x00"
		   "x"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x00\x00"), ERR_SYNTAX, NULL, 0, 0, 0 },
	/* compression, and the label types that never were */
	{ ROW(HEAD "\xc0\x0c"), ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"
		   "a"
		   "\xc0\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x41"
		   "a"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x40" L63 "\x00"), ERR_SYNTAX, NULL, 0, 0, 0 },
	/* what no host is called */
	{ ROW(HEAD "\x03"
		   "a.b"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x03"
		   "a\x00"
		   "b"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x03"
		   "a\nb"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x03"
		   "a b"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x02"
		   "\xc3\xa4"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD "\x01"
		   "*"
		   "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	/* 253 characters are a name, 254 are not */
	{ ROW(HEAD L63 L63 L63 "\x3d"
			       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"
			       "\x00"),
	  OK, "", 10, 5, 5269 },
	{ ROW(HEAD L63 L63 L63 "\x3e"
			       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij"
			       "\x00"),
	  ERR_SYNTAX, NULL, 0, 0, 0 },
	{ ROW(HEAD L63 L63 L63 L63 L63 L63 "\x00"), ERR_SYNTAX, NULL, 0, 0, 0 },
};

/* Every row from a block of its very size, so that the sanitizer sees a byte read too much. */
static void test_srv(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct srv_record r = { .target = "untouched" };
		void *exact = malloc(rows[i].len);
		enum err e;

		memcpy(exact, rows[i].rdata, rows[i].len);
		e = srv_parse(exact, rows[i].len, &r);
		free(exact);
		if (e != rows[i].result)
			fail_msg("row %zu: %s", i, err_text(e));
		if (e != OK) {
			assert_string_equal(r.target, "untouched");
			continue;
		}
		if (strlen(r.target) == DNS_NAME_SIZE - 1)
			continue;
		assert_string_equal(r.target, rows[i].target);
		assert_int_equal(r.priority, rows[i].priority);
		assert_int_equal(r.weight, rows[i].weight);
		assert_int_equal(r.port, rows[i].port);
	}
}

struct dice {
	const uint32_t *numbers;
	size_t used;
	uint32_t bound[2];
};

static uint32_t roll(void *ctx, uint32_t bound)
{
	struct dice *d = ctx;

	assert_true(d->used < 2);
	d->bound[d->used] = bound;
	return d->numbers[d->used++];
}

static void test_order(void **state)
{
	static const struct srv_record given[] = {
		{ 20, 0, 5269, "backup", 0 },  { 10, 60, 5269, "sixty", 0 }, { 10, 0, 5269, "zero", 0 },
		{ 10, 30, 5269, "thirty", 0 }, { 5, 1, 5269, "first", 0 },
	};
	static const struct {
		uint32_t numbers[2];
		const char *order;
		uint32_t bounds[2];
	} cases[] = {
		/* 0 takes the record of weight 0; the others by the running sum of the weights */
		{ { 0, 60 }, "first zero sixty thirty backup ", { 91, 91 } },
		{ { 1, 0 }, "first thirty zero sixty backup ", { 91, 61 } },
		{ { 30, 60 }, "first thirty sixty zero backup ", { 91, 61 } },
		{ { 31, 1 }, "first sixty thirty zero backup ", { 91, 31 } },
		{ { 90, 0 }, "first sixty zero thirty backup ", { 91, 31 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct srv_record r[ARRAY_SIZE(given)];
		struct dice dice = { .numbers = cases[i].numbers };
		struct strbuf order = { 0 };

		memcpy(r, given, sizeof(given));
		srv_order(r, ARRAY_SIZE(r), roll, &dice);
		for (size_t k = 0; k < ARRAY_SIZE(r); k++)
			strbuf_printf(&order, "%s ", r[k].target);
		assert_string_equal(order.s, cases[i].order);
		assert_int_equal(dice.used, 2);
		assert_int_equal(dice.bound[0], cases[i].bounds[0]);
		assert_int_equal(dice.bound[1], cases[i].bounds[1]);
		strbuf_free(&order);
	}
	srv_order(NULL, 0, roll, NULL);
}

static uint32_t noise(void *ctx, uint32_t bound)
{
	uint32_t *x = ctx;

	*x = *x * 1664525 + 1013904223; /* the same for every run */
	return (uint32_t)((uint64_t)*x * bound >> 32);
}

/* Weights 1 and 3: the second comes first about three times in four. */
static void test_weights_are_chances(void **state)
{
	uint32_t seed = 1;
	int heavy_first = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct srv_record r[] = { { 0, 10, 1, "light", 0 }, { 0, 30, 1, "heavy", 0 } };

		srv_order(r, 2, noise, &seed);
		heavy_first += strcmp(r[0].target, "heavy") == 0;
	}
	assert_in_range(heavy_first, 7100, 7900);
}

static void test_tlsa(void **state)
{
	static const struct {
		const char *rdata;
		size_t len;
		enum err result;
		struct dns_tlsa expected;
	} cases[] = {
		{ ROW("\x03\x01\x01\xaa\xbb"), OK, { 3, 1, 1, (const unsigned char *)"\xaa\xbb", 2 } },
		{ ROW("\xff\xfe\xfd\x00"), OK, { 255, 254, 253, (const unsigned char *)"\x00", 1 } },
		{ ROW("\x03\x01\x01"), ERR_SYNTAX, { 0 } },
		{ ROW("\x03\x01"), ERR_SYNTAX, { 0 } },
		{ ROW("\x03"), ERR_SYNTAX, { 0 } },
		{ ROW(""), ERR_SYNTAX, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dns_tlsa r = { 0 };

		assert_int_equal(tlsa_parse(cases[i].rdata, cases[i].len, &r), cases[i].result);
		assert_int_equal(r.usage, cases[i].expected.usage);
		assert_int_equal(r.selector, cases[i].expected.selector);
		assert_int_equal(r.matching, cases[i].expected.matching);
		assert_int_equal(r.size, cases[i].expected.size);
		if (cases[i].result == OK)
			assert_memory_equal(r.data, cases[i].expected.data, r.size);
	}
}

/* All of it in one block, whatever becomes of the original. */
static void test_tlsa_copy(void **state)
{
	unsigned char bytes[] = "abcdef";
	const struct dns_tlsa records[] = { { 3, 1, 1, bytes, 2 }, { 2, 0, 0, bytes + 2, 4 } };
	struct dns_tlsa *copy = dns_tlsa_copy(records, 2);

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(copy[0].usage, 3);
	assert_int_equal(copy[0].size, 2);
	assert_memory_equal(copy[0].data, "ab", 2);
	assert_int_equal(copy[1].usage, 2);
	assert_int_equal(copy[1].size, 4);
	assert_memory_equal(copy[1].data, "cdef", 4);
	free(copy);
	free(dns_tlsa_copy(NULL, 0));
}

static void test_addresses(void **state)
{
	static const struct {
		int family;
		size_t len;
		enum err result;
	} cases[] = {
		{ AF_INET, 4, OK },          { AF_INET, 3, ERR_SYNTAX },   { AF_INET, 5, ERR_SYNTAX },
		{ AF_INET, 16, ERR_SYNTAX }, { AF_INET, 0, ERR_SYNTAX },   { AF_INET6, 16, OK },
		{ AF_INET6, 4, ERR_SYNTAX }, { AF_INET6, 15, ERR_SYNTAX }, { AF_UNIX, 4, ERR_SYNTAX },
	};
	static const unsigned char bytes[16] = { 127, 31, 0, 1, 5 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
		socklen_t len = 0;

		assert_int_equal(dns_address(cases[i].family, bytes, cases[i].len, 5269, &addr, &len),
				 cases[i].result);
		assert_int_equal(addr.ss_family, cases[i].result == OK ? cases[i].family : AF_UNSPEC);
		assert_int_equal(((struct sockaddr_in *)&addr)->sin_port,
				 cases[i].result == OK ? htons(5269) : 0);
	}
}

static void test_literals(void **state)
{
	static const struct {
		const char *text;
		int family;
	} cases[] = {
		{ "127.0.0.1", AF_INET },    { "255.255.255.255", AF_INET }, { "::1", AF_INET6 },
		{ "fd00::1:2", AF_INET6 },   { "::ffff:1.2.3.4", AF_INET6 }, { "", AF_UNSPEC },
		{ "127.1", AF_UNSPEC },      { "127.0.0.256", AF_UNSPEC },   { "127.0.0.1.", AF_UNSPEC },
		{ " 127.0.0.1", AF_UNSPEC }, { "[::1]", AF_UNSPEC },         { "fe80::1%lo", AF_UNSPEC },
		{ "corp.test", AF_UNSPEC },  { "0x7f000001", AF_UNSPEC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned char out[DNS_ADDRESS_SIZE];

		assert_int_equal(dns_literal(cases[i].text, out), cases[i].family);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_weights_are_chances),
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_tlsa_copy),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_literals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
