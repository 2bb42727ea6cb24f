/*
 * Certificates: whatever is in one, what is said about it is text that is safe
 * to log and to put into XML, it names nobody by accident, and OpenSSL's error
 * queue stays empty. The input is taken as a certificate, and as the
 * subjectAltName of one.
 */
#include "bridge/xmpp/certificate_internal.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "bridge/xmpp/jid.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const char *text, size_t size)
{
	const size_t n = strnlen(text, size);

	CHECK(n < size);
	CHECK(utf8_is_xml(text, n));
	CHECK(strpbrk(text, "\t\r\n") == NULL);
}

static void check_names(const X509 *x)
{
	static const char *const domains[] = { "corp.test", "chat.corp.test", "xn--mnchen-3ya.test" };

	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		if (certificate_names_domain(x, domains[i], false))
			CHECK(certificate_names_domain(x, domains[i], true));
	}
	CHECK(!certificate_names_domain(x, "", true));
}

static void explain(X509 *x, int error)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct certificate_verdict verdict = { .chain = chain, .error = error, .now = 1800000000 };
	struct strbuf why = { 0 };

	CHECK(chain != NULL && sk_X509_push(chain, x) == 1);
	for (verdict.depth = 0; verdict.depth < 2; verdict.depth++) {
		verdict.purpose = certificate_purpose(x, verdict.depth == 0, false);
		certificate_explain(&verdict, &why);
		certificate_explain_names(x, "corp.test", &why);
		CHECK(why.len > 0 && strlen(why.s) == why.len);
		check_text(why.s, why.len + 1);
		strbuf_reset(&why);
	}
	strbuf_free(&why);
	sk_X509_free(chain);
}

static void check(X509 *x)
{
	struct certificate_report report = { .trust = CERTIFICATE_NONE };

	ERR_clear_error();
	check_names(x);
	certificate_describe(x, &report);
	check_text(report.subject, sizeof(report.subject));
	check_text(report.issuer, sizeof(report.issuer));
	check_text(report.names, sizeof(report.names));
	check_text(report.not_before, sizeof(report.not_before));
	check_text(report.not_after, sizeof(report.not_after));
	explain(x, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	explain(x, X509_V_ERR_CERT_HAS_EXPIRED);
	explain(x, X509_V_ERR_INVALID_PURPOSE);
	CHECK(ERR_peek_error() == 0);
}

static X509 *with_names(const uint8_t *data, size_t size)
{
	X509 *x = X509_new();
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;

	CHECK(x != NULL && ASN1_OCTET_STRING_set(value, data, (int)size) == 1);
	ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
	CHECK(ext != NULL && X509_add_ext(x, ext, -1) == 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 0);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
	return x;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *p = data;
	X509 *x;

	if (size > 32 * 1024) /* more is refused in the handshake */
		return 0;
	x = d2i_X509(NULL, &p, (long)size);
	if (x != NULL)
		check(x);
	X509_free(x);
	x = with_names(data, size);
	check(x);
	X509_free(x);
	return 0;
}
