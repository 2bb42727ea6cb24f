/*
 * test_certificate.c - whom a certificate names, whom it does not, and what is
 * said about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "bridge/xmpp/certificate_internal.h"
#include "bridge/xmpp/jid.h"
#include "certtest.h"

#define MUNICH "xn--mnchen-3ya.test"
#define L63    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

struct row {
	const char *names[CERTTEST_NAMES];
	const char *domain;
	bool direct, expected;
};

static const struct row rows[] = {
	/* DNS-ID: equal but for case */
	{ { "DNS:corp.test" }, "corp.test", false, true },
	{ { "DNS:CORP.Test" }, "corp.test", false, true },
	{ { "DNS:other.test", "DNS:corp.test" }, "corp.test", false, true },
	{ { "DNS:other.test" }, "corp.test", false, false },
	{ { "DNS:xcorp.test" }, "corp.test", false, false },
	{ { "DNS:orp.test" }, "corp.test", false, false },
	{ { "DNS:corp.tes" }, "corp.test", false, false },
	{ { "DNS:corp.test." }, "corp.test", false, false },
	{ { "DNS: corp.test" }, "corp.test", false, false },
	{ { "DNS:" }, "corp.test", false, false },
	{ { "DNS:", "SRV:_xmpp-server.", "XMPP:" }, "", true, false },
	/* a NUL is a character like others, not an end (CVE-2009-2408) */
	{ { "DNS:corp.test\\0" }, "corp.test", false, false },
	{ { "DNS:corp.test\\0.evil.test" }, "corp.test", false, false },
	{ { "DNS:\\0corp.test" }, "corp.test", false, false },
	/* a wildcard is the whole left-most label, and one label */
	{ { "DNS:*.corp.test" }, "chat.corp.test", false, true },
	{ { "DNS:*.Corp.TEST" }, "chat.corp.test", false, true },
	{ { "DNS:*.corp.test" }, MUNICH, false, false },
	{ { "DNS:*.corp.test" }, "xn--mnchen-3ya.corp.test", false, true },
	{ { "DNS:*.corp.test" }, "corp.test", false, false },
	{ { "DNS:*.corp.test" }, "a.chat.corp.test", false, false },
	{ { "DNS:*.corp.test\\0.evil.test" }, "chat.corp.test", false, false },
	{ { "DNS:*.*.corp.test" }, "a.chat.corp.test", false, false },
	{ { "DNS:chat.*.test" }, "chat.corp.test", false, false },
	{ { "DNS:chat.corp.*" }, "chat.corp.test", false, false },
	{ { "DNS:c*.corp.test" }, "chat.corp.test", false, false },
	{ { "DNS:*t.corp.test" }, "chat.corp.test", false, false },
	{ { "DNS:c*t.corp.test" }, "chat.corp.test", false, false },
	{ { "DNS:**.corp.test" }, "chat.corp.test", false, false },
	{ { "DNS:xn--*.corp.test" }, "xn--mnchen-3ya.corp.test", false, false },
	{ { "DNS:*" }, "corp.test", false, false },
	{ { "DNS:*." }, "corp.test", false, false },
	{ { "DNS:*corp.test" }, "corp.test", false, false },
	/* nobody owns a top-level domain */
	{ { "DNS:*.test" }, "corp.test", false, false },
	{ { "DNS:test" }, "test", false, true },
	/* internationalised names are A-labels */
	{ { "DNS:" MUNICH }, MUNICH, false, true },
	{ { "DNS:XN--MNCHEN-3YA.test" }, MUNICH, false, true },
	{ { "DNS:m\xc3\xbcnchen.test" }, MUNICH, false, false },
	/* SRV-ID: the service too */
	{ { "SRV:_xmpp-server.corp.test" }, "corp.test", false, true },
	{ { "SRV:_XMPP-Server.CORP.test" }, "corp.test", true, true },
	{ { "SRV:_xmpp-client.corp.test" }, "corp.test", true, false },
	{ { "SRV:_xmpps-server.corp.test" }, "corp.test", true, true },
	{ { "SRV:_xmpps-server.corp.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server.other.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server._tcp.corp.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-servercorp.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server." }, "corp.test", false, false },
	{ { "SRV:_xmpp-server" }, "corp.test", false, false },
	{ { "SRV:corp.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server.corp.test\\0.evil.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server.*.corp.test" }, "chat.corp.test", false, true },
	{ { "SRV:_xmpp-server.*.corp.test" }, "corp.test", false, false },
	{ { "SRV:_xmpp-server.*.test" }, "corp.test", false, false },
	{ { "SRV:*.corp.test" }, "chat.corp.test", false, false },
	{ { "SRV:*.corp.test" }, "_xmpp-server.corp.test", false, false },
	{ { "SRV8:_xmpp-server.corp.test" }, "corp.test", false, false },
	/* XmppAddr: a JID that is a domain */
	{ { "XMPP:corp.test" }, "corp.test", false, true },
	{ { "XMPP:Corp.Test" }, "corp.test", false, true },
	{ { "XMPP:m\xc3\xbcnchen.test" }, MUNICH, false, true },
	{ { "XMPP:" MUNICH }, MUNICH, false, true },
	{ { "XMPP:user@corp.test" }, "corp.test", false, false },
	{ { "XMPP:corp.test/resource" }, "corp.test", false, false },
	{ { "XMPP:*.corp.test" }, "chat.corp.test", false, false },
	{ { "XMPP:corp.test\\0.evil.test" }, "corp.test", false, false },
	{ { "XMPP:corp.test\\0" }, "corp.test", false, false },
	{ { "XMPP:\xff\xfe" }, "corp.test", false, false },
	{ { "XMPP:" L63 L63 L63 L63 ".test" }, "corp.test", false, false },
	{ { "XMPP:" }, "corp.test", false, false },
	/* of no use, here */
	{ { NULL }, "corp.test", false, false },
	{ { "EMAIL:corp.test", "EMAIL:user@corp.test" }, "corp.test", false, false },
	{ { "URI:xmpp:corp.test", "URI:corp.test" }, "corp.test", false, false },
	{ { "IP:corp" }, "99.111.114.112", false, false },
	/* and none of it in the way of what counts */
	{ { "IP:corp", "EMAIL:a@b.test", "SRV8:x", "XMPP:\xff", "DNS:\\0", "DNS:*", "DNS:corp.test" },
	  "corp.test",
	  false,
	  true },
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* The CN never counts: it is right everywhere. */
		struct certtest_spec spec = { .subject = rows[i].domain[0] != '\0' ? rows[i].domain : NULL };
		struct certtest c;

		memcpy(spec.names, rows[i].names, sizeof(spec.names));
		certtest_make(&spec, &c);
		if (certificate_names_domain(c.x, rows[i].domain, rows[i].direct) != rows[i].expected)
			fail_msg("row %zu: %s for %s", i, rows[i].names[0], rows[i].domain);
		assert_int_equal(ERR_peek_error(), 0);
		certtest_free(&c);
	}
}

static void test_unreadable_names(void **state)
{
	static const unsigned char junk[] = "\x30\x05\x82\x7f";
	struct certtest_spec spec = { .names = { "DNS:corp.test" }, .names_twice = true };
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;
	struct certificate_report report = { 0 };
	struct certtest c;

	(void)state;
	certtest_make(&spec, &c);
	assert_false(certificate_names_domain(c.x, "corp.test", false));
	certtest_free(&c);
	spec = (struct certtest_spec){ .subject = "corp.test" };
	certtest_make(&spec, &c);
	ASN1_OCTET_STRING_set(value, junk, sizeof(junk) - 1);
	ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
	assert_int_equal(X509_add_ext(c.x, ext, -1), 1);
	assert_false(certificate_names_domain(c.x, "corp.test", false));
	certificate_describe(c.x, &report);
	assert_string_equal(report.names, "");
	assert_int_equal(ERR_peek_error(), 0);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
	certtest_free(&c);
}

static void test_description(void **state)
{
	const struct certtest_spec spec = {
		.subject = "M\xc3\xbcnchen, \"+\\ \x01",
		.names = { "DNS:corp.test", "SRV:_xmpp-server.corp.test", "IP:corp",
			   "XMPP:m\xc3\xbcnchen.test", "DNS:a\\0\n\xff.test", "DNS:five.test",
			   "DNS:six.test" },
		.usage = "serverAuth",
	};
	struct certificate_report report = { 0 };
	struct certtest c;

	(void)state;
	certtest_make(&spec, &c);
	ASN1_TIME_set_string_X509(X509_getm_notBefore(c.x), "260131120000Z");
	ASN1_TIME_set_string_X509(X509_getm_notAfter(c.x), "20510228235959Z");
	certificate_describe(c.x, &report);
	assert_string_equal(report.subject, "CN=M\xc3\xbcnchen\\, \\\"\\+\\\\ \\01");
	assert_string_equal(report.issuer, report.subject);
	assert_string_equal(report.names, "corp.test, _xmpp-server.corp.test, xmpp:m\xc3\xbcnchen.test, "
					  "a\\x00\\x0a\\xff.test and 2 more");
	assert_string_equal(report.not_before, "2026-01-31T12:00:00Z");
	assert_string_equal(report.not_after, "2051-02-28T23:59:59Z");
	assert_true(report.server_only);
	certtest_free(&c);
}

/* What is too long is cut between characters. */
static void test_long_text(void **state)
{
	struct certtest_spec spec = { .names = { "DNS:" L63 L63 L63 L63 } };
	struct certificate_report report = { 0 };
	X509_NAME *name = X509_NAME_new();
	struct certtest c;

	(void)state;
	certtest_make(&spec, &c);
	for (int i = 0; i < 10; i++)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
							    (const unsigned char *)"\xc3\xbc\xc3\xbc\xc3\xbc"
										   "\xc3\xbc\xc3\xbc\xc3\xbc"
										   "\xc3\xbc\xc3\xbc\xc3\xbc"
										   "\xc3\xbc\xc3\xbc\xc3\xbc",
							    -1, -1, 0),
				 1);
	X509_set_subject_name(c.x, name);
	certificate_describe(c.x, &report);
	assert_true(strlen(report.subject) < sizeof(report.subject));
	assert_true(strlen(report.subject) >= sizeof(report.subject) - 3);
	assert_string_equal(report.subject + strlen(report.subject) - 3, "...");
	assert_true(utf8_is_xml(report.subject, strlen(report.subject)));
	assert_int_equal(strlen(report.names), 103);
	assert_string_equal(report.names + 100, "...");
	X509_NAME_free(name);
	certtest_free(&c);
}

static void test_purpose(void **state)
{
	static const struct {
		const char *usage;
		bool server_only;
		int of_server, of_client, of_client_strictly;
	} cases[] = {
		{ NULL, false, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT },
		{ "serverAuth", true, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_SERVER,
		  X509_PURPOSE_SSL_CLIENT },
		{ "serverAuth,clientAuth", false, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_SERVER,
		  X509_PURPOSE_SSL_CLIENT },
		{ "clientAuth", false, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT,
		  X509_PURPOSE_SSL_CLIENT },
		{ "codeSigning", true, X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT,
		  X509_PURPOSE_SSL_CLIENT },
		{ "anyExtendedKeyUsage", false, X509_PURPOSE_ANY, X509_PURPOSE_ANY, X509_PURPOSE_ANY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct certtest_spec spec = { .subject = "corp.test", .usage = cases[i].usage };
		struct certificate_report report = { 0 };
		struct certtest c;

		certtest_make(&spec, &c);
		certificate_describe(c.x, &report);
		assert_int_equal(report.server_only, cases[i].server_only);
		assert_int_equal(certificate_purpose(c.x, false, false), cases[i].of_server);
		assert_int_equal(certificate_purpose(c.x, false, true), cases[i].of_server);
		assert_int_equal(certificate_purpose(c.x, true, false), cases[i].of_client);
		assert_int_equal(certificate_purpose(c.x, true, true), cases[i].of_client_strictly);
		certtest_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),       cmocka_unit_test(test_unreadable_names),
		cmocka_unit_test(test_description), cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_purpose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
