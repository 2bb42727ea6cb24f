/*
 * certificate.c - the identities of an X.509 certificate, and words for it and
 * for what is wrong with it.
 *
 * Identities (RFC 6120 section 13.7.1, RFC 9525): DNS-ID, SRV-ID and XmppAddr
 * of subjectAltName; the CN, IP addresses and e-mail addresses never count. A
 * wildcard is the whole left-most label of a DNS-ID or SRV-ID and stands for
 * exactly one label. Certificates come from anybody: a name that holds a NUL
 * or anything else no host name has matches nothing, and is escaped in words.
 *
 * Pure; owns nothing. Whether a chain holds is OpenSSL's business. Fatal:
 * OpenSSL has no memory.
 */
#include "bridge/xmpp/certificate_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "bridge/xmpp/jid.h"

/* --- text --- */

void certificate_put_text(char *out, size_t size, const struct strbuf *text)
{
	static const char cut[] = "...";
	size_t n = text->len;

	if (n < size) {
		(void)str_copy(out, size, n > 0 ? text->s : "");
		return;
	}
	n = size - sizeof(cut);
	while (n > 0 && ((unsigned char)text->s[n] & 0xc0) == 0x80)
		n--;
	memcpy(out, text->s, n);
	memcpy(out + n, cut, sizeof(cut));
}

/* Text from a certificate, which may hold anything. */
static void add_escaped(struct strbuf *out, const char *text, size_t n)
{
	const bool whole = utf8_is_xml(text, n) && memchr(text, '\n', n) == NULL &&
			   memchr(text, '\r', n) == NULL && memchr(text, '\t', n) == NULL;

	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (whole || (c >= ' ' && c < 0x7f))
			strbuf_putc(out, text[i]);
		else
			strbuf_printf(out, "\\x%02x", c);
	}
}

static bool print_name(const X509_NAME *name, unsigned long flags, struct strbuf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;
	bool done;

	if (bio == NULL)
		abort();
	done = X509_NAME_print_ex(bio, name, 0, flags) >= 0;
	n = BIO_get_mem_data(bio, &text);
	if (done && n > 0)
		add_escaped(out, text, (size_t)n);
	BIO_free(bio);
	ERR_clear_error();
	return done;
}

static void put_name(char *out, size_t size, const X509_NAME *name)
{
	struct strbuf text = { 0 };

	/* Without ESC_MSB for those who can read their own language; what is not text cannot be shown so. */
	if (!print_name(name, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB, &text)) {
		strbuf_reset(&text);
		if (!print_name(name, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_UTF8_CONVERT, &text))
			strbuf_puts(&text, "(unreadable)");
	}
	certificate_put_text(out, size, &text);
	strbuf_free(&text);
}

static void put_date(char *out, size_t size, const ASN1_TIME *date)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(date, &tm) != 1 || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(out, size, "%s", "(unreadable)");
}

/* --- identities --- */

enum identity_kind { IDENTITY_NONE, IDENTITY_DNS, IDENTITY_SRV, IDENTITY_XMPP };

struct identity {
	enum identity_kind kind;
	const char *text; /* not terminated; inside the certificate's names */
	size_t n;
};

static struct identity identity_of(const GENERAL_NAME *name)
{
	struct identity id = { IDENTITY_NONE, "", 0 };
	const ASN1_STRING *string = NULL;
	int nid;

	if (name->type == GEN_DNS) {
		id.kind = IDENTITY_DNS;
		string = name->d.dNSName;
	} else if (name->type == GEN_OTHERNAME) {
		const ASN1_TYPE *value = name->d.otherName->value;

		nid = OBJ_obj2nid(name->d.otherName->type_id);
		if (nid == NID_SRVName && value->type == V_ASN1_IA5STRING) {
			id.kind = IDENTITY_SRV;
			string = value->value.ia5string;
		} else if (nid == NID_XmppAddr && value->type == V_ASN1_UTF8STRING) {
			id.kind = IDENTITY_XMPP;
			string = value->value.utf8string;
		}
	}
	if (string != NULL && ASN1_STRING_length(string) > 0) {
		id.text = (const char *)ASN1_STRING_get0_data(string);
		id.n = (size_t)ASN1_STRING_length(string);
	}
	return id;
}

/*
 * text against a domain in lower case. Equal lengths and bytes leave no room for a NUL. "*.test" would
 * vouch for every organisation under a top-level domain; RFC 9525 section 7.1 leaves such names to us,
 * and no CA issues one in good faith.
 */
static bool is_domain(const char *text, size_t n, const char *domain)
{
	const char *dot;

	if (n > 2 && text[0] == '*' && text[1] == '.') {
		dot = strchr(domain, '.');
		if (dot == NULL || dot == domain || strchr(dot + 1, '.') == NULL)
			return false;
		text++;
		n--;
		domain = dot;
	}
	return n == strlen(domain) && strncasecmp(text, domain, n) == 0;
}

/* RFC 4985: "_SERVICE.NAME". */
static bool is_service(const char *text, size_t n, const char *service, const char *domain)
{
	const size_t length = strlen(service);

	return n > length && strncasecmp(text, service, length) == 0 && text[length] == '.' &&
	       is_domain(text + length + 1, n - length - 1, domain);
}

/* A JID, which may be written in many ways. */
static bool is_jid(const char *text, size_t n, const char *domain)
{
	char *copy, normal[JID_DOMAIN_MAX + 1];
	bool equal;

	if (n > JID_PART_MAX || memchr(text, '\0', n) != NULL)
		return false;
	copy = xstrndup(text, n);
	equal = jid_domain(copy, normal) == OK && strcmp(normal, domain) == 0;
	free(copy);
	return equal;
}

static bool names(const struct identity *id, const char *domain, bool direct)
{
	switch (id->kind) {
	case IDENTITY_DNS:
		return is_domain(id->text, id->n, domain);
	case IDENTITY_SRV:
		return is_service(id->text, id->n, "_xmpp-server", domain) ||
		       (direct && is_service(id->text, id->n, "_xmpps-server", domain));
	case IDENTITY_XMPP:
		return is_jid(id->text, id->n, domain);
	case IDENTITY_NONE:
		break;
	}
	return false;
}

static GENERAL_NAMES *names_of(const X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	ERR_clear_error(); /* malformed, or there twice: as if there were none */
	return all;
}

bool certificate_names_domain(const X509 *x, const char *domain, bool direct)
{
	GENERAL_NAMES *all = domain[0] != '\0' ? names_of(x) : NULL; /* an empty name is nobody's */
	bool found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && !found; i++) {
		const struct identity id = identity_of(sk_GENERAL_NAME_value(all, i));

		found = names(&id, domain, direct);
	}
	GENERAL_NAMES_free(all);
	return found;
}

/* The first few of them. */
static void add_names(const X509 *x, struct strbuf *out)
{
	enum { SHOWN = 4, SHOWN_BYTES = 100 };
	GENERAL_NAMES *all = names_of(x);
	int count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const struct identity id = identity_of(sk_GENERAL_NAME_value(all, i));

		if (id.kind == IDENTITY_NONE || ++count > SHOWN)
			continue;
		if (count > 1)
			strbuf_puts(out, ", ");
		if (id.kind == IDENTITY_XMPP)
			strbuf_puts(out, "xmpp:");
		if (id.n <= SHOWN_BYTES) {
			add_escaped(out, id.text, id.n);
		} else {
			add_escaped(out, id.text, SHOWN_BYTES);
			strbuf_puts(out, "...");
		}
	}
	if (count > SHOWN)
		strbuf_printf(out, " and %d more", count - SHOWN);
	GENERAL_NAMES_free(all);
}

/* --- what it is --- */

/* Without the extension everything is allowed. Malformed extensions allow nothing. */
static bool allows(X509 *x, uint32_t usage)
{
	const bool limited = (X509_get_extension_flags(x) & (EXFLAG_XKUSAGE | EXFLAG_INVALID)) != 0;
	const uint32_t allowed = X509_get_extended_key_usage(x);

	ERR_clear_error();
	return !limited || (allowed & usage) != 0;
}

static bool is_limited(X509 *x)
{
	return (X509_get_extension_flags(x) & EXFLAG_XKUSAGE) != 0;
}

void certificate_describe(X509 *x, struct certificate_report *out)
{
	struct strbuf text = { 0 };

	put_name(out->subject, sizeof(out->subject), X509_get_subject_name(x));
	put_name(out->issuer, sizeof(out->issuer), X509_get_issuer_name(x));
	put_date(out->not_before, sizeof(out->not_before), X509_get0_notBefore(x));
	put_date(out->not_after, sizeof(out->not_after), X509_get0_notAfter(x));
	add_names(x, &text);
	certificate_put_text(out->names, sizeof(out->names), &text);
	strbuf_free(&text);
	out->server_only = !allows(x, XKU_SSL_CLIENT | XKU_ANYEKU);
}

int certificate_purpose(X509 *x, bool peer_is_client, bool client_usage)
{
	bool serves;

	/* OpenSSL does not know that "any" is meant to be any. */
	if (is_limited(x) && allows(x, XKU_ANYEKU))
		return X509_PURPOSE_ANY;
	serves = X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0) == 1;
	ERR_clear_error();
	return peer_is_client && (client_usage || !serves) ? X509_PURPOSE_SSL_CLIENT
							   : X509_PURPOSE_SSL_SERVER;
}

/* --- what is wrong with it --- */

static void separate(struct strbuf *out)
{
	if (out->len > 0)
		strbuf_puts(out, "; ");
}

/* True when there is something wrong with them. */
static bool explain_dates(const X509 *x, time_t now, struct strbuf *out)
{
	char date[CERTIFICATE_DATE_SIZE];

	if (X509_cmp_time(X509_get0_notAfter(x), &now) < 0) {
		put_date(date, sizeof(date), X509_get0_notAfter(x));
		strbuf_printf(out, "expired on %s", date);
		return true;
	}
	if (X509_cmp_time(X509_get0_notBefore(x), &now) > 0) {
		put_date(date, sizeof(date), X509_get0_notBefore(x));
		strbuf_printf(out, "not valid before %s", date);
		return true;
	}
	return false;
}

/* The issuer of the last certificate that was found is not. */
static void explain_issuer(const struct certificate_verdict *v, struct strbuf *out)
{
	const int last = sk_X509_num(v->chain) - 1;
	char issuer[CERTIFICATE_NAME_SIZE] = "";

	if (last >= 0)
		put_name(issuer, sizeof(issuer), X509_get_issuer_name(sk_X509_value(v->chain, last)));
	if (last > 0)
		strbuf_printf(out, "unknown CA: the issuer '%s' is not trusted here", issuer);
	else
		strbuf_printf(
			out,
			"chain incomplete or unknown CA: nothing was sent beside the certificate itself, "
			"and its issuer '%s' is not trusted here",
			issuer);
}

static void explain_usage(const struct certificate_verdict *v, const char *culprit, struct strbuf *out)
{
	const char *role =
		v->purpose == X509_PURPOSE_SSL_CLIENT ? "TLS client (clientAuth)" : "TLS server (serverAuth)";

	if (v->depth == 0)
		strbuf_printf(out, "wrong usage: it is not for a %s", role);
	else
		strbuf_printf(out, "wrong usage: the issuer '%s' is not for a %s", culprit, role);
}

/* A fault of one certificate of the chain that needs no words but these. */
static const char *words_of(int error)
{
	switch (error) {
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return "wrong signature";
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_INVALID_NON_CA:
		return "it is no CA";
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		return "its key is too short";
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return "its signature algorithm is too weak";
	default:
		return X509_verify_cert_error_string(error);
	}
}

static void explain_chain(const struct certificate_verdict *v, struct strbuf *out)
{
	const X509 *culprit = v->depth < sk_X509_num(v->chain) ? sk_X509_value(v->chain, v->depth) : NULL;
	char name[CERTIFICATE_NAME_SIZE] = "";

	if (culprit != NULL)
		put_name(name, sizeof(name), X509_get_subject_name(culprit));
	switch (v->error) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		strbuf_puts(out, "self-signed");
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		strbuf_printf(out, "unknown CA: the issuer '%s' is not trusted here", name);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		explain_issuer(v, out);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		strbuf_printf(out, "the issuer '%s': ", name);
		if (culprit == NULL || !explain_dates(culprit, v->now, out))
			strbuf_puts(out, words_of(v->error));
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		explain_usage(v, name, out);
		break;
	case X509_V_ERR_DANE_NO_MATCH:
		strbuf_puts(out, "no TLSA record fits what was sent");
		break;
	default:
		if (v->depth > 0)
			strbuf_printf(out, "the issuer '%s': ", name);
		strbuf_puts(out, words_of(v->error));
	}
}

void certificate_explain(const struct certificate_verdict *v, struct strbuf *out)
{
	const X509 *leaf = sk_X509_num(v->chain) > 0 ? sk_X509_value(v->chain, 0) : NULL;
	const bool about_dates = v->depth == 0 && (v->error == X509_V_ERR_CERT_HAS_EXPIRED ||
						   v->error == X509_V_ERR_CERT_NOT_YET_VALID);
	struct strbuf dates = { 0 };

	if (leaf != NULL && explain_dates(leaf, v->now, &dates)) {
		separate(out);
		strbuf_add(out, dates.s, dates.len);
	}
	/* The clock may have passed the date since the verdict. */
	if (!about_dates || dates.len == 0) {
		separate(out);
		explain_chain(v, out);
	}
	strbuf_free(&dates);
}

void certificate_explain_names(const X509 *x, const char *domain, struct strbuf *out)
{
	struct strbuf others = { 0 };

	separate(out);
	add_names(x, &others);
	if (others.len > 0)
		strbuf_printf(out, "issued for other names (%s), not for %s", others.s, domain);
	else
		strbuf_printf(out, "it names no domain (the subject's CN does not count), so not %s either",
			      domain);
	strbuf_free(&others);
}
