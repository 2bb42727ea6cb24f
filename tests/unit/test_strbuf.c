/* Tests of base.h: the string buffer, bounded copies, checked allocation, phrases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/base.h"

static void test_add(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	assert_null(b.s);
	strbuf_puts(&b, "ab");
	strbuf_putc(&b, 'c');
	strbuf_add(&b, "d\0e", 3);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.s, "abcd\0e", 7); /* the closing NUL too */
	strbuf_printf(&b, "%s-%d", "x", -7);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.s + 6, "x--7", 5);
	strbuf_free(&b);
	assert_null(b.s);
	assert_int_equal(b.len + b.cap, 0);
}

static void test_add_nothing_makes_a_string(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_add(&b, NULL, 0);
	assert_string_equal(b.s, "");
	strbuf_free(&b);
	strbuf_printf(&b, "%s", "");
	assert_string_equal(b.s, "");
	strbuf_free(&b);
}

/* Every size across several growths, each byte looked at. */
static void test_growth(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		strbuf_putc(&b, (char)('a' + i % 26));
		assert_true(b.len < b.cap);
		assert_int_equal(b.s[b.len], '\0');
	}
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(b.s[i], 'a' + i % 26);
	strbuf_free(&b);
}

/* printf whose text just fits, just does not, and is far beyond what is there. */
static void test_printf_sizes(void **state)
{
	(void)state;
	for (int width = 1; width < 600; width++) {
		struct strbuf b = { 0 };

		strbuf_puts(&b, "head");
		strbuf_printf(&b, "%*d", width, 7);
		assert_int_equal(b.len, 4 + width);
		assert_int_equal(b.s[b.len - 1], '7');
		strbuf_free(&b);
	}
}

/* A buffer's own bytes given to itself, while it must grow. */
static void test_own_bytes(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_puts(&b, "0123456789");
	for (int i = 0; i < 8; i++)
		strbuf_add(&b, b.s, b.len);
	assert_int_equal(b.len, 2560);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.s[i], '0' + i % 10);
	strbuf_free(&b);
}

static void test_consume(void **state)
{
	struct strbuf b = { 0 };

	(void)state;
	strbuf_consume(&b, 0); /* an empty buffer has no memory yet */
	strbuf_puts(&b, "abcdef");
	strbuf_consume(&b, 2);
	assert_string_equal(b.s, "cdef");
	strbuf_consume(&b, 4);
	assert_string_equal(b.s, "");
	assert_int_equal(b.len, 0);
	strbuf_free(&b);
}

static void test_reset_and_take(void **state)
{
	struct strbuf b = { 0 };
	char *s;

	(void)state;
	strbuf_reset(&b);
	s = strbuf_take(&b);
	assert_string_equal(s, "");
	free(s);
	assert_null(b.s);

	strbuf_puts(&b, "abc");
	strbuf_reset(&b);
	assert_string_equal(b.s, "");
	strbuf_puts(&b, "d");
	s = strbuf_take(&b);
	assert_string_equal(s, "d");
	free(s);
	assert_int_equal(b.len + b.cap, 0);
}

static void test_str_copy(void **state)
{
	char to[4] = "zzz";

	(void)state;
	assert_true(str_copy(to, sizeof(to), "abc"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, sizeof(to), "abcd"));
	assert_string_equal(to, "");
	assert_true(str_copy(to, sizeof(to), ""));
	assert_true(str_copy(to, 1, ""));
	assert_false(str_copy(to, 1, "a"));
	to[0] = 'k';
	assert_false(str_copy(to, 0, ""));
	assert_int_equal(to[0], 'k');
}

static void test_strings(void **state)
{
	char *s = xstrndup("abcdef", 3), *t = xstrndup("ab", 9), *u = xasprintf("%s/%d", "a", 5),
	     *v = xstrdup("");

	(void)state;
	assert_string_equal(s, "abc");
	assert_string_equal(t, "ab");
	assert_string_equal(u, "a/5");
	assert_string_equal(v, "");
	free(s);
	free(t);
	free(u);
	free(v);
}

static void test_no_bytes_is_no_failure(void **state)
{
	void *p = xmalloc(0), *q = xcalloc(0, 8);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	p = xrealloc(p, 0);
	assert_non_null(p);
	free(p);
	free(q);
}

static void test_err_text(void **state)
{
	(void)state;
	for (int e = OK; e <= ERR_VERSION; e++) {
		assert_string_not_equal(err_text((enum err)e), "unknown result");
		for (int other = OK; other < e; other++)
			assert_string_not_equal(err_text((enum err)e), err_text((enum err)other));
	}
	assert_non_null(err_text((enum err)99));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_nothing_makes_a_string),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_printf_sizes),
		cmocka_unit_test(test_own_bytes),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_reset_and_take),
		cmocka_unit_test(test_str_copy),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_no_bytes_is_no_failure),
		cmocka_unit_test(test_err_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
