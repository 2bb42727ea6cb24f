/*
 * certtest.c - the certificates of certtest.h.
 */
#include "certtest.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "nettest.h"

/* Where a name may hold a NUL, which no C string and no openssl.cnf can say. */
static int decode(const char *text, char *out)
{
	int n = 0;

	while (*text != '\0') {
		if (strncmp(text, "\\0", 2) == 0) {
			out[n++] = '\0';
			text += 2;
		} else {
			out[n++] = *text++;
		}
	}
	return n;
}

static ASN1_STRING *string(int type, const char *text)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type);
	char bytes[512];

	assert_int_equal(ASN1_STRING_set(s, bytes, decode(text, bytes)), 1);
	return s;
}

static void set_other(GENERAL_NAME *name, int nid, int type, const char *text)
{
	ASN1_TYPE *value = ASN1_TYPE_new();

	ASN1_TYPE_set(value, type, string(type, text));
	assert_int_equal(GENERAL_NAME_set0_othername(name, OBJ_nid2obj(nid), value), 1);
}

static GENERAL_NAME *general_name(const char *text)
{
	static const struct {
		const char *prefix;
		int nid, type;
	} kinds[] = {
		{ "DNS:", 0, GEN_DNS },
		{ "EMAIL:", 0, GEN_EMAIL },
		{ "URI:", 0, GEN_URI },
		{ "SRV:", NID_SRVName, V_ASN1_IA5STRING },
		{ "SRV8:", NID_SRVName, V_ASN1_UTF8STRING },
		{ "XMPP:", NID_XmppAddr, V_ASN1_UTF8STRING },
	};
	GENERAL_NAME *name = GENERAL_NAME_new();

	if (strncmp(text, "IP:", 3) == 0) {
		GENERAL_NAME_set0_value(name, GEN_IPADD, string(V_ASN1_OCTET_STRING, text + 3));
		return name;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const size_t n = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, n) != 0)
			continue;
		if (kinds[i].nid != 0)
			set_other(name, kinds[i].nid, kinds[i].type, text + n);
		else
			GENERAL_NAME_set0_value(name, kinds[i].type, string(V_ASN1_IA5STRING, text + n));
		return name;
	}
	fail_msg("no kind of name: %s", text);
	return NULL;
}

static void add_names(X509 *x, const struct certtest_spec *spec)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();

	for (size_t i = 0; i < CERTTEST_NAMES && spec->names[i] != NULL; i++)
		sk_GENERAL_NAME_push(names, general_name(spec->names[i]));
	for (int i = 0; i < (spec->names_twice ? 2 : 1); i++)
		assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND), 1);
	GENERAL_NAMES_free(names);
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	if (value == NULL)
		return;
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void set_dates(X509 *x, const struct certtest_spec *spec)
{
	const bool now = spec->from == 0 && spec->until == 0;

	X509_gmtime_adj(X509_getm_notBefore(x), now ? -CERTTEST_HOUR : spec->from);
	X509_gmtime_adj(X509_getm_notAfter(x), now ? CERTTEST_HOUR : spec->until);
}

static void set_serial(X509 *x)
{
	int64_t serial;

	assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof(serial)), 1);
	ASN1_INTEGER_set_int64(X509_get_serialNumber(x), serial & INT64_MAX);
}

void certtest_make(const struct certtest_spec *spec, struct certtest *out)
{
	X509 *x = X509_new();
	EVP_PKEY *key = spec->rsa_bits > 0 ? EVP_RSA_gen((unsigned)spec->rsa_bits) : EVP_EC_gen("P-256");
	X509_NAME *subject = X509_NAME_new();

	if (spec->subject != NULL)
		assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
							    (const unsigned char *)spec->subject, -1, -1, 0),
				 1);
	X509_set_version(x, X509_VERSION_3);
	set_serial(x);
	set_dates(x, spec);
	X509_set_subject_name(x, subject);
	X509_set_issuer_name(x, spec->issuer != NULL ? X509_get_subject_name(spec->issuer->x) : subject);
	X509_set_pubkey(x, key);
	if (spec->names[0] != NULL)
		add_names(x, spec);
	add_extension(x, NID_basic_constraints, spec->constraints);
	add_extension(x, NID_ext_key_usage, spec->usage);
	add_extension(x, NID_key_usage, spec->key_usage);
	assert_true(X509_sign(x, spec->issuer != NULL ? spec->issuer->key : key,
			      spec->sha1 ? EVP_sha1() : EVP_sha256()) > 0);
	X509_NAME_free(subject);
	*out = (struct certtest){ x, key };
}

void certtest_free(struct certtest *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	*c = (struct certtest){ NULL, NULL };
}

static FILE *create(const char *folder, const char *file)
{
	char *path = nettest_path(folder, file);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	free(path);
	return f;
}

void certtest_write(const char *folder, const char *file, const struct certtest *const *list, size_t count)
{
	FILE *f = create(folder, file);

	for (size_t i = 0; i < count; i++)
		assert_int_equal(PEM_write_X509(f, list[i]->x), 1);
	fclose(f);
}

void certtest_write_key(const char *folder, const char *file, const struct certtest *c)
{
	FILE *f = create(folder, file);

	assert_int_equal(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

bool certtest_shake_hands(SSL *client, SSL *server)
{
	bool client_done = false, server_done = false;
	BIO *a, *b;

	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(client, a, a);
	SSL_set_bio(server, b, b);
	for (int i = 0; i < 20 && !(client_done && server_done); i++) {
		client_done = SSL_do_handshake(client) == 1;
		server_done = SSL_do_handshake(server) == 1;
	}
	ERR_clear_error();
	return client_done && server_done;
}
