/* test_map_mime.c - types, header blocks, multiparts and transfer encodings, the ugly ones above all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/gateway/map_mime.h"

/* Exactly so many bytes: the sanitizer sees a read beyond. */
static struct mime_span copy_of(const char *text)
{
	size_t n = strlen(text);
	char *bytes = malloc(n > 0 ? n : 1);

	assert_non_null(bytes);
	memcpy(bytes, text, n);
	return (struct mime_span){ bytes, n };
}

static void free_copy(struct mime_span s)
{
	free((char *)s.s);
}

static bool is(struct mime_span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

static const struct {
	const char *value;
	enum err expected;
	const char *name, *charset, *boundary;
} types[] = {
	{ "text/plain", OK, "text/plain", "", "" },
	{ "text/plain; charset=UTF-8", OK, "text/plain", "utf-8", "" },
	{ "Text/Plain ;\tCHARSET = \"Utf-8\" ", OK, "text/plain", "utf-8", "" },
	{ "text/plain;charset=\"a\\\"b\"", OK, "text/plain", "a\"b", "" },
	/* as the pools' clients write it: no token, no quotes */
	{ "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0/AE0+AC0ARgA=", OK, "text/plain", "utf-8", "" },
	{ "multipart/alternative; boundary=\"b1_e89b12d3\"", OK, "multipart/alternative", "", "b1_e89b12d3" },
	{ "multipart/alternative;boundary=A'()+_,-./:=?Z", OK, "multipart/alternative", "",
	  "A'()+_,-./:=?Z" },
	{ "multipart/mixed; boundary=\"a b\"", OK, "multipart/mixed", "", "a b" },
	{ "application/im-iscomposing+xml", OK, "application/im-iscomposing+xml", "", "" },
	{ "a/b; name=\"f\xC3\xBC.txt\"", OK, "a/b", "", "" },
	/* 70 and 71 */
	{ "m/x;boundary=0123456789012345678901234567890123456789012345678901234567890123456789", OK, "m/x",
	  "", "0123456789012345678901234567890123456789012345678901234567890123456789" },
	{ "m/x;boundary=01234567890123456789012345678901234567890123456789012345678901234567890", ERR_SYNTAX,
	  NULL, NULL, NULL },
	{ "multipart/mixed; boundary=\"a \"", ERR_SYNTAX, NULL, NULL, NULL },
	{ "multipart/mixed; boundary=\"a\\\"b\"", ERR_SYNTAX, NULL, NULL, NULL },
	{ "multipart/mixed; boundary=\"\"", ERR_SYNTAX, NULL, NULL, NULL },
	{ "multipart/mixed; boundary=a; boundary=b", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain; charset=utf-8; Charset=utf-16", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain; charset=0123456789012345678901234567890123456789012345678901234567890123", ERR_SYNTAX,
	  NULL, NULL, NULL },
	{ "", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/", ERR_SYNTAX, NULL, NULL, NULL },
	{ "/plain", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text /plain", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain, text/html", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain charset=utf-8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain; charset=utf-8; ", OK, "text/plain", "utf-8", "" },
	{ "text/plain;;", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;;charset=utf-8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset= ;x=y", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;=utf-8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=utf-8 x", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=\"utf-8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=\"utf-8\\", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=\"utf-8\\\"", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=\"utf\"8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain;charset=\"utf\r\n8\"", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/plain\r\n;charset=utf-8", ERR_SYNTAX, NULL, NULL, NULL },
	{ "text/pl\xC3\xA4in", ERR_SYNTAX, NULL, NULL, NULL },
};

static void test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct mime_type type = { .name = "old" };
		enum err e = mime_type_parse(types[i].value, &type);

		if (e != types[i].expected)
			fail_msg("%s: %s", types[i].value, err_text(e));
		assert_string_equal(type.name, e == OK ? types[i].name : "old");
		if (e == OK) {
			assert_string_equal(type.charset, types[i].charset);
			assert_string_equal(type.boundary, types[i].boundary);
		}
	}
}

static void test_long_names(void **state)
{
	char value[MIME_NAME_SIZE + 1], name[MIME_NAME_SIZE];
	const char *parameters;
	(void)state;

	memset(value, 'x', sizeof(value));
	value[4] = '/';
	value[MIME_NAME_SIZE] = '\0';
	assert_int_equal(mime_name_parse(value, name, &parameters), ERR_SYNTAX);
	value[MIME_NAME_SIZE - 1] = '\0';
	assert_int_equal(mime_name_parse(value, name, &parameters), OK);
	assert_string_equal(name, value);
	assert_string_equal(parameters, "");
}

static const struct {
	const char *bytes;
	enum err expected;
	const char *type; /* NULL: none */
	enum mime_encoding encoding;
	const char *body;
} entities[] = {
	{ "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhi\r\n", OK,
	  "text/plain; charset=UTF-8", MIME_IDENTITY, "hi\r\n" },
	{ "content-type:text/html\nContent-transfer-encoding:\tBASE64\n\naGk=", OK, "text/html", MIME_BASE64,
	  "aGk=" },
	{ "Content-Transfer-Encoding: Quoted-Printable\r\n\r\n\r\nx", OK, NULL, MIME_QUOTED_PRINTABLE,
	  "\r\nx" },
	{ "Content-Transfer-Encoding: x-uuencode\r\n\r\nx", OK, NULL, MIME_UNKNOWN, "x" },
	{ "\r\nno header", OK, NULL, MIME_IDENTITY, "no header" },
	{ "\r\n", OK, NULL, MIME_IDENTITY, "" },
	{ "", OK, NULL, MIME_IDENTITY, "" },
	/* a part of a header alone (RFC 2046 section 5.1) */
	{ "Content-Type: text/plain\r\n", OK, "text/plain", MIME_IDENTITY, "" },
	{ "Content-Type: text/plain", OK, "text/plain", MIME_IDENTITY, "" },
	/* folded */
	{ "Content-Type: text/plain;\r\n\tcharset=UTF-8;\r\n   x=y  \r\n\r\nhi", OK,
	  "text/plain; charset=UTF-8; x=y", MIME_IDENTITY, "hi" },
	{ "X: y\r\nContent-Type:\r\n text/plain\r\n\r\nhi", OK, " text/plain", MIME_IDENTITY, "hi" },
	/* none */
	{ "text without a header", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ ": x\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ "Content-Type : text/plain\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ " Content-Type: text/plain\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY,
	  NULL },
	{ "Content-Type: text\x01/plain\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ "Content-Type: text/plain\rX: y\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
	{ "Content-Type: text/plain;\r\n x=\x7F\r\n\r\nhi", ERR_SYNTAX, NULL, MIME_IDENTITY, NULL },
};

static void test_entities(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(entities); i++) {
		struct mime_span bytes = copy_of(entities[i].bytes);
		struct mime_entity entity;
		enum err e = mime_entity_parse(bytes, &entity);

		if (e != entities[i].expected)
			fail_msg("%s: %s", entities[i].bytes, err_text(e));
		if (e == OK) {
			if (entities[i].type == NULL)
				assert_null(entity.type);
			else
				assert_string_equal(entity.type, entities[i].type);
			assert_int_equal(entity.encoding, entities[i].encoding);
			if (!is(entity.body, entities[i].body))
				fail_msg("%s: '%.*s'", entities[i].bytes, (int)entity.body.n, entity.body.s);
			mime_entity_free(&entity);
		}
		free_copy(bytes);
	}
}

static const struct {
	const char *body;
	enum err start, end;
	const char *parts; /* each with a bar behind it */
} multiparts[] = {
	{ "--b\r\none\r\n--b\r\ntwo\r\n--b--\r\n", OK, ERR_NOT_FOUND, "one|two|" },
	{ "--b\none\n--b\ntwo\n--b--", OK, ERR_NOT_FOUND, "one|two|" },
	{ "preamble\r\n--b\r\none\r\n--b-- \t\r\nepilogue\r\n--b\r\nnot this\r\n--b--", OK, ERR_NOT_FOUND,
	  "one|" },
	{ "--b  \r\none\r\n\r\n--b--", OK, ERR_NOT_FOUND, "one\r\n|" },
	{ "--b\r\n--b\r\n\r\n--b--", OK, ERR_NOT_FOUND, "||" },
	{ "--b\r\n\r\nx--b\r\n--bb\r\n--b-\r\n --b\r\n--b--x\r\n--b--", OK, ERR_NOT_FOUND,
	  "\r\nx--b\r\n--bb\r\n--b-\r\n --b\r\n--b--x|" },
	{ "--b--", OK, ERR_NOT_FOUND, "" },
	/* cut off */
	{ "--b\r\none\r\n--b\r\ntwo", OK, ERR_SYNTAX, "one|" },
	{ "--b", OK, ERR_SYNTAX, "" },
	{ "--b\r\n", OK, ERR_SYNTAX, "" },
	{ "", ERR_SYNTAX, OK, "" },
	{ "text", ERR_SYNTAX, OK, "" },
	{ "--c\r\none\r\n--c--", ERR_SYNTAX, OK, "" },
	{ "x--b\r\none\r\nx--b--", ERR_SYNTAX, OK, "" },
	{ "-", ERR_SYNTAX, OK, "" },
};

static void test_multiparts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(multiparts); i++) {
		struct mime_span body = copy_of(multiparts[i].body), part;
		struct strbuf seen = { .s = NULL };
		struct mime_parts parts;
		enum err e = mime_parts_start(body, "b", &parts);

		if (e != multiparts[i].start)
			fail_msg("%s: %s", multiparts[i].body, err_text(e));
		strbuf_puts(&seen, "");
		while (e == OK && (e = mime_part_next(&parts, &part)) == OK) {
			strbuf_add(&seen, part.s, part.n);
			strbuf_putc(&seen, '|');
		}
		if (multiparts[i].start == OK && e != multiparts[i].end)
			fail_msg("%s: ends with %s", multiparts[i].body, err_text(e));
		assert_string_equal(seen.s, multiparts[i].parts);
		strbuf_free(&seen);
		free_copy(body);
	}
}

static const struct {
	enum mime_encoding encoding;
	const char *text;
	enum err expected;
	const char *bytes;
} encodings[] = {
	{ MIME_IDENTITY, "a=3D\r\n", OK, "a=3D\r\n" },
	{ MIME_UNKNOWN, "x", ERR_NOT_FOUND, "" },
	/* RFC 4648 section 10 */
	{ MIME_BASE64, "", OK, "" },
	{ MIME_BASE64, "Zg==", OK, "f" },
	{ MIME_BASE64, "Zm8=", OK, "fo" },
	{ MIME_BASE64, "Zm9v", OK, "foo" },
	{ MIME_BASE64, "Zm9vYg==", OK, "foob" },
	{ MIME_BASE64, "Zm9vYmE=", OK, "fooba" },
	{ MIME_BASE64, "Zm9vYmFy", OK, "foobar" },
	{ MIME_BASE64, "++//", OK, "\xFB\xEF\xFF" },
	{ MIME_BASE64, "Zm9v\r\n  YmFy\r\n", OK, "foobar" },
	{ MIME_BASE64, "Zm9", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zg=", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zg", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zh==", ERR_SYNTAX, "" }, /* bits left over */
	{ MIME_BASE64, "Zm9=", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Z===", ERR_SYNTAX, "" },
	{ MIME_BASE64, "====", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zg==Zg==", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zg==\r\nZm9v", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Z=9v", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zm-_", ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zm 9v", ERR_SYNTAX, "" },
	{ MIME_BASE64,
	  "Zm\x01"
	  "v",
	  ERR_SYNTAX, "" },
	{ MIME_BASE64, "Zm\xC3\xBC", ERR_SYNTAX, "" },
	{ MIME_QUOTED_PRINTABLE, "gr=C3=BC=c3=9f=3D", OK, "gr\xC3\xBC\xC3\x9F=" },
	{ MIME_QUOTED_PRINTABLE, "one=\r\n two= \nthree \t\r\n\r\nend", OK, "one twothree\r\n\r\nend" },
	{ MIME_QUOTED_PRINTABLE, "line\n", OK, "line\r\n" },
	{ MIME_QUOTED_PRINTABLE, "end=", OK, "end" },
	{ MIME_QUOTED_PRINTABLE, "=4", ERR_SYNTAX, "" },
	{ MIME_QUOTED_PRINTABLE,
	  "=\xC3"
	  "A",
	  ERR_SYNTAX, "" },
	{ MIME_QUOTED_PRINTABLE, "=4G", ERR_SYNTAX, "" },
	{ MIME_QUOTED_PRINTABLE, "==", ERR_SYNTAX, "" },
};

static void test_encodings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		struct mime_span text = copy_of(encodings[i].text);
		struct strbuf out = { .s = NULL };
		enum err e;

		strbuf_puts(&out, "old");
		e = mime_decode(encodings[i].encoding, text, &out);
		if (e != encodings[i].expected || strncmp(out.s, "old", 3) != 0 ||
		    strcmp(out.s + 3, encodings[i].bytes) != 0)
			fail_msg("%s: %s, '%s'", encodings[i].text, err_text(e), out.s);
		strbuf_free(&out);
		free_copy(text);
	}
}

static void test_base64_returns(void **state)
{
	char bytes[256 + 8];
	(void)state;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct strbuf text = { .s = NULL }, again = { .s = NULL };

		strbuf_puts(&text, "");
		strbuf_puts(&again, "");
		mime_base64_encode((struct mime_span){ bytes, n }, &text);
		assert_int_equal(text.len, (n + 2) / 3 * 4);
		assert_int_equal(mime_base64_decode((struct mime_span){ text.s, text.len }, &again), OK);
		assert_int_equal(again.len, n);
		assert_memory_equal(again.s, bytes, n);
		strbuf_free(&text);
		strbuf_free(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),     cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_entities),  cmocka_unit_test(test_multiparts),
		cmocka_unit_test(test_encodings), cmocka_unit_test(test_base64_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
