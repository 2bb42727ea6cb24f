/* Tests of log.h: the form of a line, levels, and values that try to forge one. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/core/log.h"

/* Standard error becomes a datagram socket: one datagram is one write(2). */
static int saved, reader;

/* The next line written, "" for none. */
static const char *next_line(void)
{
	static char buf[65536];
	ssize_t n = recv(reader, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static int catch_output(void **state)
{
	int pair[2];

	(void)state;
	saved = dup(STDERR_FILENO);
	if (saved < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	dup2(pair[1], STDERR_FILENO);
	close(pair[1]);
	reader = pair[0];
	log_set_level(LOG_INFO);
	log_set_journal(false);
	/* What the test before has lost is told now. */
	log_event(LOG_ERROR, "begin", NULL, NULL);
	while (*next_line() != '\0')
		;
	return 0;
}

static int release_output(void **state)
{
	(void)state;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(reader);
	return 0;
}

static void test_form(void **state)
{
	(void)state;
	log_event(LOG_INFO, "stream-up", "o17", "local=%s remote=%s", "corp.test", "partner.test");
	assert_string_equal(next_line(), "info stream-up id=o17 local=corp.test remote=partner.test\n");
	log_event(LOG_ERROR, "stopping", NULL, NULL);
	assert_string_equal(next_line(), "error stopping\n");
	log_event(LOG_NOTICE, "ready", NULL, "streams=%d", 3);
	assert_string_equal(next_line(), "notice ready streams=3\n");
	assert_string_equal(next_line(), "");
}

static void test_levels(void **state)
{
	(void)state;
	log_event(LOG_DEBUG, "x", NULL, NULL);
	assert_string_equal(next_line(), "");
	log_set_level(LOG_WARNING);
	assert_int_equal(log_get_level(), LOG_WARNING);
	log_event(LOG_NOTICE, "x", NULL, NULL);
	log_event(LOG_WARNING, "y", NULL, NULL);
	assert_string_equal(next_line(), "warning y\n");
	assert_string_equal(next_line(), "");
}

static void test_journal(void **state)
{
	(void)state;
	log_set_journal(true);
	log_event(LOG_ERROR, "x", NULL, NULL);
	assert_string_equal(next_line(), "<3>error x\n");
	log_set_level(LOG_DEBUG);
	log_event(LOG_DEBUG, "x", "i1", NULL);
	assert_string_equal(next_line(), "<7>debug x id=i1\n");
}

/* Values as peers would send them: none may look like another field or another line. */
static const struct {
	const char *value, *shown;
} values[] = {
	{ "corp.test", "corp.test" },
	{ "romeo@corp.test/a:b;c+d-e_f", "romeo@corp.test/a:b;c+d-e_f" },
	{ "", "\"\"" },
	{ NULL, "\"\"" },
	{ "two words", "\"two words\"" },
	{ "a=b", "\"a=b\"" },
	{ "x\ninfo stream-up id=o1", "\"x\\x0ainfo stream-up id=o1\"" },
	{ "x\r\n<3>error y", "\"x\\x0d\\x0a<3>error y\"" },
	{ "quote\" local=evil", "\"quote\\\" local=evil\"" },
	{ "back\\slash", "\"back\\\\slash\"" },
	{ "trailing\\", "\"trailing\\\\\"" },
	{ "\x1b[2Jcleared", "\"\\x1b[2Jcleared\"" },
	{ "tab\tdel\x7f", "\"tab\\x09del\\x7f\"" },
	{ "J\xc3\xbcrgen", "\"J\xc3\xbcrgen\"" },
	{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
	{ "\xff\xfe", "\"\\xff\\xfe\"" },
	{ "cut\xe2\x82", "\"cut\\xe2\\x82\"" },
	{ "overlong \xc0\xaf \xe0\x80\xaf", "\"overlong \\xc0\\xaf \\xe0\\x80\\xaf\"" },
	{ "surrogate \xed\xa0\x80", "\"surrogate \\xed\\xa0\\x80\"" },
	{ "beyond \xf4\x90\x80\x80", "\"beyond \\xf4\\x90\\x80\\x80\"" },
	{ "lone \x80", "\"lone \\x80\"" },
	{ "c1 \xc2\x9b"
	  "2J",
	  "\"c1 \\xc2\\x9b2J\"" },
	{ "line\xe2\x80\xa8sep", "\"line\\xe2\\x80\\xa8sep\"" },
	{ "bidi\xe2\x80\xae"
	  "txt",
	  "\"bidi\\xe2\\x80\\xaetxt\"" },
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		assert_string_equal(log_value(values[i].value), values[i].shown);
}

static void test_long_values_are_cut(void **state)
{
	char value[1000];

	(void)state;
	memset(value, 'a', sizeof(value));
	value[256] = '\0';
	assert_string_equal(log_value(value), value);
	value[256] = 'a';
	value[257] = '\0';
	assert_int_equal(strlen(log_value(value)), 253 + 2 + 3);
	assert_string_equal(log_value(value) + 253, "a\"...");
	memset(value, '\x01', 999);
	value[999] = '\0';
	assert_int_equal(strlen(log_value(value)), 4 * 253 + 2 + 3);
	/* A character across the cut is left out as a whole. */
	memset(value, 'a', 252);
	strcpy(value + 252, "\xc3\xbc\xc3\xbc\xc3\xbc");
	assert_string_equal(log_value(value) + 253, "\xc3\xbc\"...");
}

/* Eight values in one line do not overwrite each other, at their full size, and the line is one write. */
static void test_eight_values(void **state)
{
	char v[8][300], expected[8 * 1040];
	size_t n;

	(void)state;
	for (int i = 0; i < 8; i++) {
		memset(v[i], i + 1, 299);
		v[i][299] = '\0';
	}
	log_event(LOG_INFO, "x", NULL, "%s %s %s %s %s %s %s %s", log_value(v[0]), log_value(v[1]),
		  log_value(v[2]), log_value(v[3]), log_value(v[4]), log_value(v[5]), log_value(v[6]),
		  log_value(v[7]));
	n = strlen(strcpy(expected, next_line()));
	assert_int_equal(expected[n - 1], '\n');
	for (int i = 0; i < 8; i++) {
		char piece[16];

		snprintf(piece, sizeof(piece), "\"\\x%02x\\x", i + 1);
		assert_non_null(strstr(expected, piece));
	}
	assert_string_equal(next_line(), "");
}

/* A caller that forgot log_value() still cannot write two lines, and an endless one is cut. */
static void test_line_is_swept(void **state)
{
	static char big[40000];
	const char *line;

	(void)state;
	log_event(LOG_INFO, "x", "id\nerror forged", "k=%s", "a\nerror forged\x1b");
	assert_string_equal(next_line(), "info x id=id?error forged k=a?error forged?\n");
	memset(big, 'a', sizeof(big) - 1);
	log_event(LOG_INFO, "x", NULL, "k=%s", big);
	line = next_line();
	assert_true(strlen(line) < 20000);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_closed_output_is_survived(void **state)
{
	(void)state;
	close(STDERR_FILENO);
	log_event(LOG_ERROR, "x", NULL, NULL);
}

#define WITH_OUTPUT(test) cmocka_unit_test_setup_teardown(test, catch_output, release_output)

/* --- a reader that does not read --- */

/* Standard error is a pipe that has no room left. Returns its other end. */
static int fill_a_pipe(void)
{
	int ends[2];
	char page[4096];

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	memset(page, 'x', sizeof(page));
	page[sizeof(page) - 1] = '\n';
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	/* Blocking again, as a daemon's standard error is: whoever writes now waits for ever. */
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	return ends[0];
}

static void drain(int fd, char *last, size_t size)
{
	char page[4096];
	ssize_t n;

	last[0] = '\0';
	while ((n = read(fd, page, sizeof(page))) > 0) {
		page[n - (n == sizeof(page))] = '\0';
		snprintf(last, size, "%s", page);
	}
}

static void test_full_pipe(void **state)
{
	char last[4096];
	int fd = fill_a_pipe();

	(void)state;
	for (int i = 0; i < 3; i++)
		log_event(LOG_ERROR, "lost", NULL, "number=%d", i);
	drain(fd, last, sizeof(last));
	assert_null(strstr(last, "lost"));
	log_event(LOG_ERROR, "found", NULL, NULL);
	drain(fd, last, sizeof(last));
	assert_string_equal(last, "warning log-lost lines=3\nerror found\n");
	log_event(LOG_ERROR, "found", NULL, NULL);
	drain(fd, last, sizeof(last));
	assert_string_equal(last, "error found\n");
	close(fd);
}

/* Room for a part of a long line only: what follows begins on a line of its own. */
static void test_cut_line(void **state)
{
	char last[16384], page[4096], *part = xmalloc(9000);
	int fd = fill_a_pipe();

	(void)state;
	memset(part, 'y', 8999);
	part[8999] = '\0';
	assert_int_equal(read(fd, page, sizeof(page)), sizeof(page));
	log_event(LOG_ERROR, "long", NULL, "%s", part);
	drain(fd, last, sizeof(last));
	assert_non_null(strstr(last, "yyy"));
	log_event(LOG_ERROR, "found", NULL, NULL);
	drain(fd, last, sizeof(last));
	assert_string_equal(last, "\nwarning log-lost lines=1\nerror found\n");
	free(part);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OUTPUT(test_form),         WITH_OUTPUT(test_levels),
		WITH_OUTPUT(test_journal),      WITH_OUTPUT(test_line_is_swept),
		WITH_OUTPUT(test_eight_values), WITH_OUTPUT(test_closed_output_is_survived),
		WITH_OUTPUT(test_full_pipe),    WITH_OUTPUT(test_cut_line),
		cmocka_unit_test(test_values),  cmocka_unit_test(test_long_values_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
