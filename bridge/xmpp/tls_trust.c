/*
 * tls_trust.c - by whose authority a peer's certificate is believed, and the
 * verdict on it.
 *
 * OpenSSL verifies the chain inside the handshake as it always does, with TLSA
 * records where there are any; the verdict is remembered and the handshake
 * goes on. Names are not OpenSSL's business here: it knows no SRV-ID and no
 * XmppAddr, and for one certificate several domains may be asked about.
 *
 * Owns nothing but what hangs on a session. Fatal: OpenSSL has no memory.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/certificate_internal.h"
#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/tls_identity.h"
#include "bridge/xmpp/tls_internal.h"

enum {
	DEPTH_MAX = 8, /* CAs in a chain */
	DANE_EE = 3    /* TLSA usage: exactly this certificate or key */
};

/* --- whom to believe --- */

/* OpenSSL finds a CA in a folder by the hash of its name: "9d66eef0.0". */
static bool is_hashed(const char *name)
{
	return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] >= '0' && name[9] <= '9';
}

static enum err check_folder(const char *what, const char *folder, const char **why)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	bool found = false;

	if (dir == NULL)
		return tls_file_fault(why, what, folder, strerror(errno));
	while (!found && (entry = readdir(dir)) != NULL)
		found = is_hashed(entry->d_name);
	closedir(dir);
	return found ? OK
		     : tls_file_fault(why, what, folder,
				      "no certificate under a hashed name in this folder (openssl rehash)");
}

enum err tls_trust_load(SSL_CTX *ctx, const char *ca, const char **why)
{
	static const char what[] = "CA";
	struct stat st;
	enum err e;

	ERR_clear_error();
	if (ca[0] == '\0') {
		/* Not all default paths at once: that would also read through the folder for each unknown issuer. */
		if (SSL_CTX_set_default_verify_file(ctx) != 1 || SSL_CTX_set_default_verify_dir(ctx) != 1)
			abort();
		return OK;
	}
	if (stat(ca, &st) == 0 && S_ISDIR(st.st_mode)) {
		e = check_folder(what, ca, why);
		if (e == OK && SSL_CTX_load_verify_dir(ctx, ca) != 1)
			abort();
		return e;
	}
	e = tls_file_check(what, ca, why);
	if (e == OK && SSL_CTX_load_verify_file(ctx, ca) != 1)
		e = tls_file_fault(why, what, ca, "no certificate in PEM form in this file, or a broken one");
	ERR_clear_error();
	return e;
}

/* --- the verdict --- */

static int verify(X509_STORE_CTX *store, void *ctx)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *session = tls_session_of(ssl);

	(void)ctx;
	session->purpose =
		certificate_purpose(X509_STORE_CTX_get0_cert(store), session->server, session->client_usage);
	X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), session->purpose);
	session->verified = X509_verify_cert(store) == 1;
	session->error = X509_STORE_CTX_get_error(store);
	session->depth = X509_STORE_CTX_get_error_depth(store);
	if (!session->verified && session->error == X509_V_OK)
		session->error = X509_V_ERR_UNSPECIFIED;
	ERR_clear_error();
	return 1;
}

void tls_trust_setup(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
	SSL_CTX_set_verify_depth(ctx, DEPTH_MAX);
	if (SSL_CTX_dane_enable(ctx) != 1)
		abort();
}

void tls_trust_dane(SSL *ssl, const struct tls_peer *peer)
{
	size_t usable = 0;

	ERR_clear_error();
	if (peer->tlsa_count == 0 || peer->tlsa_base == NULL || SSL_dane_enable(ssl, peer->tlsa_base) != 1) {
		ERR_clear_error();
		return;
	}
	/* Names are looked at afterwards, by our own rules. */
	if (SSL_set1_host(ssl, NULL) != 1)
		abort();
	for (size_t i = 0; i < peer->tlsa_count; i++) {
		const struct dns_tlsa *r = &peer->tlsa[i];

		if (SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, r->data, r->size) == 1)
			usable++;
		else
			log_event(LOG_INFO, "tlsa-unusable", NULL, "host=%s usage=%u selector=%u matching=%u",
				  log_value(peer->tlsa_base), r->usage, r->selector, r->matching);
	}
	ERR_clear_error();
	if (usable > 0)
		tls_session_of(ssl)->tlsa_base = xstrdup(peer->tlsa_base);
}

/* --- the report --- */

/* The usage of the TLSA record that fits, or -1. */
static int tlsa_usage(const SSL *ssl)
{
	uint8_t usage;

	if (SSL_get0_dane_tlsa((SSL *)ssl, &usage, NULL, NULL, NULL, NULL) < 0)
		return -1;
	return usage;
}

/*
 * A certificate that a DANE-EE record gives byte for byte needs no name (RFC 7671 section 5.1); with
 * the other usages it may be in the name of the host that DNSSEC proves to serve the domain (RFC 7673).
 */
static bool is_for(const struct tls_session *session, X509 *leaf, int usage, const char *domain)
{
	if (usage == DANE_EE || certificate_names_domain(leaf, domain, session->direct))
		return true;
	return usage >= 0 && certificate_names_domain(leaf, session->tlsa_base, session->direct);
}

void tls_report(const SSL *ssl, const char *domain, struct certificate_report *out)
{
	const struct tls_session *session = tls_session_of(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	const int usage = tlsa_usage(ssl);
	struct strbuf why = { 0 };

	*out = (struct certificate_report){ .trust = CERTIFICATE_NONE };
	if (leaf == NULL) {
		(void)str_copy(out->why, sizeof(out->why), "no certificate was shown");
		return;
	}
	certificate_describe(leaf, out);
	if (!session->verified) {
		const struct certificate_verdict verdict = {
			.chain = SSL_get0_verified_chain(ssl),
			.error = session->error,
			.depth = session->depth,
			.purpose = session->purpose,
			.now = time(NULL),
		};

		certificate_explain(&verdict, &why);
	}
	if (!is_for(session, leaf, usage, domain))
		certificate_explain_names(leaf, domain, &why);
	if (why.len > 0)
		certificate_put_text(out->why, sizeof(out->why), &why);
	out->trust = why.len > 0  ? CERTIFICATE_UNTRUSTED
		     : usage >= 0 ? CERTIFICATE_DANE
				  : CERTIFICATE_TRUSTED;
	strbuf_free(&why);
}
