/* test_sip_address.c - SIP URIs and header text: good, ugly and hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/sip/address.h"

static const struct {
	const char *uri;
	enum err expected;
	const char *user, *host;
	unsigned port;
	const char *gr;
	const char *formatted; /* NULL: the same as uri */
} parse_cases[] = {
	{ "sip:romeo@corp.test", OK, "romeo", "corp.test", 0, "", NULL },
	{ "SIP:Romeo@CORP.Test", OK, "Romeo", "corp.test", 0, "", "sip:Romeo@corp.test" },
	{ "sip:corp.test", OK, "", "corp.test", 0, "", NULL },
	{ "sip:romeo@corp.test:5061", OK, "romeo", "corp.test", 5061, "", NULL },
	{ "sip:romeo@127.0.0.1:65535", OK, "romeo", "127.0.0.1", 65535, "", NULL },
	{ "sip:romeo@[2001:DB8::1]:5060", OK, "romeo", "[2001:db8::1]", 5060, "",
	  "sip:romeo@[2001:db8::1]:5060" },
	{ "sip:romeo@[::ffff:192.0.2.1]", OK, "romeo", "[::ffff:192.0.2.1]", 0, "", NULL },
	{ "sip:romeo@corp.test.", OK, "romeo", "corp.test.", 0, "", NULL },
	{ "sip:a-_.!~*'()&=+$,;?/b@h.test", OK, "a-_.!~*'()&=+$,;?/b", "h.test", 0, "", NULL },
	{ "sip:f%C3%BC@h.test", OK, "f\xC3\xBC", "h.test", 0, "", NULL },
	{ "sip:f%c3%bc@h.test", OK, "f\xC3\xBC", "h.test", 0, "", "sip:f%C3%BC@h.test" },
	{ "sip:%F0%9F%92%8C@h.test", OK, "\xF0\x9F\x92\x8C", "h.test", 0, "", NULL },
	{ "sip:%72omeo@h.test", OK, "romeo", "h.test", 0, "", "sip:romeo@h.test" },
	{ "sip:a%40b%3Ac%23%25%5B%5C%5D%5E%60%7B%7C%7D%20%22%3C%3E@h.test", OK, "a@b:c#%[\\]^`{|} \"<>",
	  "h.test", 0, "", NULL },
	{ "sip:romeo@h.test;gr=orchard", OK, "romeo", "h.test", 0, "orchard", NULL },
	{ "sip:romeo@h.test;GR=Orchard", OK, "romeo", "h.test", 0, "Orchard", "sip:romeo@h.test;gr=Orchard" },
	{ "sip:romeo@h.test;gr=a/b[c]:&+$", OK, "romeo", "h.test", 0, "a/b[c]:&+$", NULL },
	{ "sip:romeo@h.test;gr=a%40b%3D%3B%3F%2C%20c", OK, "romeo", "h.test", 0, "a@b=;?, c", NULL },
	{ "sip:romeo@h.test;transport=tcp;gr=x;lr;ob", OK, "romeo", "h.test", 0, "x",
	  "sip:romeo@h.test;gr=x" },
	{ "sip:romeo@h.test;opaque=user:epid:aXvd;gruu", OK, "romeo", "h.test", 0, "", "sip:romeo@h.test" },
	{ "sip:tgruu.7hs@h.test;gr", OK, "tgruu.7hs", "h.test", 0, "", "sip:tgruu.7hs@h.test" },
	{ "sips:romeo@h.test;gr=x", OK, "romeo", "h.test", 0, "x", NULL },

	{ "", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "romeo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "im:romeo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "tel:+15551234567", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ " sip:romeo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo:secret@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:ro meo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:ro\"meo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:ro<meo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:ro>meo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:ro\\meo@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:f\xC3\xBC@h.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo\r\nX: 1@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%00@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%0d%0aX@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%0A@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%09@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%7F@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%C2%85@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%FF@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%C3@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%C0%AF@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%ED%A0%80@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%F4%90%80%80@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%4@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo%4g@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@juliet@corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp..test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@.corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@-corp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp_x.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@c%6Frp.test", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@256.0.0.1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@127.1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@[::1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@[]", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@[::1]x", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@[fe80::1%25lo]", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@::1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test:", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test:0", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test:65536", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test:50 60", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test:+5", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test?Subject=x", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;lr?Subject=x", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;;lr", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;=x", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;gr=", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;gr=a;gr=b", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;gr=a=b", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;gr=%0d%0aX", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test;gr=%00", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test>;tag=1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
	{ "sip:romeo@corp.test\r\nX: 1", ERR_SYNTAX, NULL, NULL, 0, NULL, NULL },
};

static void test_parse_and_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++) {
		const char *uri = parse_cases[i].uri;
		struct sip_address a = { .user = "untouched" };
		char again[SIP_URI_SIZE];
		enum err e = sip_address_parse(uri, &a);

		if (e != parse_cases[i].expected)
			fail_msg("'%s': %s", uri, err_text(e));
		if (e != OK) {
			assert_string_equal(a.user, "untouched");
			continue;
		}
		assert_string_equal(a.user, parse_cases[i].user);
		assert_string_equal(a.host, parse_cases[i].host);
		assert_string_equal(a.gr, parse_cases[i].gr);
		assert_int_equal(a.port, parse_cases[i].port);
		assert_int_equal(a.secure, strncmp(uri, "sips:", 5) == 0);
		assert_int_equal(sip_address_format(&a, again), OK);
		assert_string_equal(again, parse_cases[i].formatted ? parse_cases[i].formatted : uri);
	}
}

/* A user and a gr of n bytes each, every byte written as an escape. */
static enum err parse_long(size_t n, struct sip_address *out)
{
	char uri[SIP_URI_SIZE + 100] = "sip:";
	size_t used = 4;

	for (size_t i = 0; i < n; i++, used += 3)
		memcpy(uri + used, "%23", 4);
	used += (size_t)sprintf(uri + used, "@corp.test:65535;gr=");
	for (size_t i = 0; i < n; i++, used += 3)
		memcpy(uri + used, "%23", 4);
	return sip_address_parse(uri, out);
}

static void test_longest(void **state)
{
	struct sip_address a;
	char out[SIP_URI_SIZE], label[64], *end;
	(void)state;

	assert_int_equal(parse_long(SIP_PART_MAX, &a), OK);
	/* The host too at its longest: 253 bytes. */
	memset(label, 'a', 62);
	strcpy(label + 62, ".");
	end = a.host;
	for (int i = 0; i < 4; i++)
		end = stpcpy(end, label);
	strcpy(end, "b");
	assert_int_equal(strlen(a.host), 253);
	assert_int_equal(sip_address_format(&a, out), OK);
	assert_int_equal(strlen(out), strlen("sip:@:65535;gr=") + 253 + 2 * 3 * SIP_PART_MAX);
	assert_int_equal(parse_long(SIP_PART_MAX + 1, &a), ERR_SYNTAX);
}

/* What did not come through the parser is checked all the same. */
static void test_format_refuses(void **state)
{
	static const struct sip_address cases[] = {
		{ .user = "ro\r\nmeo", .host = "corp.test" },
		{ .user = "ro\x7Fmeo", .host = "corp.test" },
		{ .user = "ro\xFFmeo", .host = "corp.test" },
		{ .user = "romeo", .host = "" },
		{ .user = "romeo", .host = "corp test" },
		{ .user = "romeo", .host = "corp.test>;tag=1" },
		{ .user = "romeo", .host = "corp.test\r\nX: 1" },
		{ .user = "romeo", .host = "corp.test", .gr = "a\nb" },
	};
	char out[SIP_URI_SIZE] = "untouched";
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(sip_address_format(&cases[i], out), ERR_SYNTAX);
		assert_string_equal(out, "untouched");
	}
}

static const struct {
	const char *text;
	enum err expected;
	const char *quoted;
} text_cases[] = {
	{ "", OK, "\"\"" },
	{ "plain", OK, "\"plain\"" },
	{ "say \"hi\" \\ bye", OK, "\"say \\\"hi\\\" \\\\ bye\"" },
	{ "<sip:a@b>;tag=1, x", OK, "\"<sip:a@b>;tag=1, x\"" },
	{ "gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x92\x8C", OK, "\"gr\xC3\xBC\xC3\x9F dich \xF0\x9F\x92\x8C\"" },
	{ "\xC2\xA0", OK, "\"\xC2\xA0\"" },
	{ "a\rb", ERR_SYNTAX, NULL },
	{ "a\nb", ERR_SYNTAX, NULL },
	{ "a\r\nX-Evil: 1", ERR_SYNTAX, NULL },
	{ "a\r\n folded", ERR_SYNTAX, NULL },
	{ "a\tb", ERR_SYNTAX, NULL },
	{ "a\x01", ERR_SYNTAX, NULL },
	{ "a\x7F", ERR_SYNTAX, NULL },
	{ "a\xC2\x80", ERR_SYNTAX, NULL },
	{ "a\xC2\x9F", ERR_SYNTAX, NULL },
	{ "a\x80", ERR_SYNTAX, NULL },
	{ "a\xC3", ERR_SYNTAX, NULL },
	{ "a\xE2\x82", ERR_SYNTAX, NULL },
	{ "a\xC0\x8A", ERR_SYNTAX, NULL },
	{ "a\xE0\x80\x8A", ERR_SYNTAX, NULL },
	{ "a\xF8\x88\x80\x80\x80", ERR_SYNTAX, NULL },
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(text_cases); i++) {
		const char *text = text_cases[i].text;
		char out[64] = "untouched";

		assert_int_equal(sip_header_text(text, out, sizeof(out)), text_cases[i].expected);
		assert_string_equal(out, text_cases[i].expected == OK ? text : "untouched");
		strcpy(out, "untouched");
		assert_int_equal(sip_quoted_text(text, out, sizeof(out)), text_cases[i].expected);
		assert_string_equal(out, text_cases[i].expected == OK ? text_cases[i].quoted : "untouched");
	}
}

static void test_text_limits(void **state)
{
	char out[8] = "x";
	(void)state;

	assert_int_equal(sip_header_text("1234567", out, sizeof(out)), OK);
	assert_int_equal(sip_header_text("12345678", out, sizeof(out)), ERR_LIMIT);
	assert_string_equal(out, "1234567");
	assert_int_equal(sip_quoted_text("12345", out, sizeof(out)), OK);
	assert_string_equal(out, "\"12345\"");
	assert_int_equal(sip_quoted_text("1234\"", out, sizeof(out)), ERR_LIMIT);
	assert_int_equal(sip_quoted_text("123456", out, sizeof(out)), ERR_LIMIT);
	assert_string_equal(out, "\"12345\"");
}

static const struct {
	const char *params, *name;
	enum err expected;
	const char *value;
} params[] = {
	{ "lr;transport=tcp", "lr", OK, "" },
	{ "lr;transport=tcp", "transport", OK, "tcp" },
	{ "LR;Transport=TCP;x", "transport", OK, "TCP" },
	{ "transport=", "transport", OK, "" },
	{ "transport=a=b;lr", "transport", OK, "a=b" },
	{ "transport=sevenup", "transport", OK, "sevenup" },
	{ "transport=eightups", "transport", ERR_LIMIT, "untouched" },
	{ "transports=tcp", "transport", ERR_NOT_FOUND, "untouched" },
	/* The last one begins like the one asked for. */
	{ "lr;transportx", "transport", ERR_NOT_FOUND, "untouched" },
	{ "lrx", "lr", ERR_NOT_FOUND, "untouched" },
	{ "l", "lr", ERR_NOT_FOUND, "untouched" },
	{ "", "lr", ERR_NOT_FOUND, "untouched" },
	{ ";;lr;", "lr", OK, "" },
	{ NULL, "lr", ERR_NOT_FOUND, "untouched" },
};

static void test_params(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		/* On the heap, where a byte too far shows. */
		char *copy = params[i].params != NULL ? xstrdup(params[i].params) : NULL;
		char out[16] = "untouched";

		assert_int_equal(sip_uri_param(copy, params[i].name, out, 8), params[i].expected);
		assert_string_equal(out, params[i].value);
		assert_int_equal(sip_uri_has_param(copy, params[i].name),
				 params[i].expected != ERR_NOT_FOUND);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format), cmocka_unit_test(test_longest),
		cmocka_unit_test(test_format_refuses),   cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_limits),      cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
