/*
 * tls.c - whom SIP believes over TLS, and what is said of those it does not.
 *
 * Both sides show a certificate. Its chain must lead to a CA of ours, and it must
 * name a next hop: where we have connected, the host that was configured (not
 * what DNS made of it); where a peer has, one of sip.tls_names, or of the
 * configured hosts. Identities are those of RFC 5922 section 7: sip: URIs and
 * host names of subjectAltName, without wildcards; the CN where there is no
 * subjectAltName at all; and, where the configured host is an address, that.
 *
 * sofia-sip's own checks are on, too, but are not relied upon: they know no
 * certificate but the first of a file, no name of their own for a connection, and
 * say nothing in words. OpenSSL asks verify() instead, inside the handshake.
 *
 * Owns what was loaded. Fatal: OpenSSL has no memory.
 */
#include "bridge/sip/tls_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <utlist.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/tls_shared.h"

enum { DEPTH_MAX = 8 /* CAs in a chain */ };

/* --- identities --- */

static bool is_address(const char *name)
{
	unsigned char any[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, any) == 1 || inet_pton(AF_INET6, name, any) == 1;
}

/* "sip:HOST", with or without parameters; a URI with a user names a person. */
static bool is_sip_uri(const ASN1_STRING *uri, const char *host)
{
	const char *text = (const char *)ASN1_STRING_get0_data(uri);
	size_t size = (size_t)ASN1_STRING_length(uri), length = strlen(host);

	if (size < 4 || strncasecmp(text, "sip:", 4) != 0)
		return false;
	text += 4;
	size -= 4;
	return size >= length && strncasecmp(text, host, length) == 0 &&
	       (size == length || text[length] == ';') && memchr(text, '@', size) == NULL &&
	       memchr(text, '\0', size) == NULL;
}

static bool has_uri(const GENERAL_NAMES *all, const char *host)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_URI && is_sip_uri(name->d.uniformResourceIdentifier, host))
			return true;
	}
	return false;
}

static bool names(X509 *x, const char *host)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const bool none = X509_get_ext_by_NID(x, NID_subject_alt_name, -1) < 0;
	const unsigned flags =
		X509_CHECK_FLAG_NO_WILDCARDS | (none ? 0 : X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	bool found;

	if (is_address(host))
		found = X509_check_ip_asc(x, host, 0) == 1;
	else
		found = X509_check_host(x, host, 0, flags, NULL) == 1 || has_uri(all, host);
	GENERAL_NAMES_free(all);
	ERR_clear_error();
	return found;
}

/* --- the verdict --- */

struct wanted {
	const char *name[SIP_TLS_NAMES_MAX];
	size_t count;
};

static void find_wanted(const struct tls_connection *c, struct wanted *out)
{
	const struct sip_tls_setup *setup = &c->tls->setup;
	const struct config_list *list = &setup->config->sip.tls_names;

	if (!SSL_is_server(c->ssl)) {
		out->count = setup->names_at(setup->ctx, (const struct sockaddr *)&c->peer, out->name,
					     SIP_TLS_NAMES_MAX);
	} else if (list->count > 0) {
		memcpy(out->name, list->item, sizeof(out->name));
		out->count = list->count;
	} else {
		out->count = setup->names(setup->ctx, out->name, SIP_TLS_NAMES_MAX);
	}
}

static bool has_name(X509 *leaf, const struct wanted *wanted)
{
	for (size_t i = 0; i < wanted->count; i++)
		if (names(leaf, wanted->name[i]))
			return true;
	return false;
}

static void explain_names(const struct certificate_report *report, const struct wanted *wanted,
			  struct strbuf *out)
{
	strbuf_printf(out, "%sissued for %s, not for ", out->len > 0 ? "; " : "",
		      report->names[0] != '\0' ? report->names : report->subject);
	for (size_t i = 0; i < wanted->count; i++)
		strbuf_printf(out, "%s%s", i > 0 ? " or " : "", wanted->name[i]);
	if (wanted->count == 0)
		strbuf_puts(out, "any next hop at this address");
}

static const char *peer_text(const struct tls_connection *c, char out[64])
{
	const bool v6 = c->peer.ss_family == AF_INET6;
	char host[48], port[8];

	if (getnameinfo((const struct sockaddr *)&c->peer, sizeof(c->peer), host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return "?";
	snprintf(out, 64, v6 ? "[%s]:%s" : "%s:%s", host, port);
	return out;
}

static void tell(struct tls_connection *c, const char *why)
{
	const struct sip_tls_setup *setup = &c->tls->setup;

	c->explained = true;
	if (!SSL_is_server(c->ssl))
		setup->refused(setup->ctx, (const struct sockaddr *)&c->peer, why);
}

static void refuse(struct tls_connection *c, const struct certificate_report *report, const char *why)
{
	struct strbuf words = { .s = NULL };
	char peer[64];

	log_event(LOG_WARNING, "sip-tls-refused", NULL,
		  "peer=%s direction=%s subject=%s issuer=%s valid=%s/%s why=%s", peer_text(c, peer),
		  SSL_is_server(c->ssl) ? "in" : "out", log_value(report->subject), log_value(report->issuer),
		  report->not_before, report->not_after, log_value(why));
	strbuf_printf(&words, "its certificate: %s", why);
	tell(c, words.s);
	strbuf_free(&words);
}

static int verify(X509_STORE_CTX *store, void *ctx)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_connection *c = tls_connection_of(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	struct certificate_verdict verdict = { .now = time(NULL) };
	struct certificate_report report = { .trust = CERTIFICATE_NONE };
	struct wanted wanted = { .count = 0 };
	struct strbuf why = { .s = NULL };
	bool trusted, named;

	(void)ctx;
	if (c == NULL) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	verdict.purpose = certificate_purpose(leaf, SSL_is_server(ssl), false);
	X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), verdict.purpose);
	trusted = X509_verify_cert(store) == 1;
	verdict.error = X509_STORE_CTX_get_error(store);
	verdict.depth = X509_STORE_CTX_get_error_depth(store);
	verdict.chain = X509_STORE_CTX_get0_chain(store);
	find_wanted(c, &wanted);
	named = has_name(leaf, &wanted);
	ERR_clear_error();
	if (trusted && named)
		return 1;

	certificate_describe(leaf, &report);
	if (!trusted)
		certificate_explain(&verdict, &why);
	if (!named)
		explain_names(&report, &wanted, &why);
	refuse(c, &report, why.s);
	strbuf_free(&why);
	if (trusted || verdict.error == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	return 0;
}

/* --- the course of a connection --- */

/* RFC 6066 section 3: the host that is meant, when it is a name. */
static void send_name(SSL *ssl, const struct tls_connection *c)
{
	struct wanted wanted = { .count = 0 };

	find_wanted(c, &wanted);
	if (wanted.count > 0 && !is_address(wanted.name[0]))
		(void)SSL_set_tlsext_host_name(ssl, wanted.name[0]);
}

/* What the peer thinks of our certificate comes as an alert, in TLS 1.3 after the handshake. */
static void note_alert(struct tls_connection *c, int alert)
{
	char peer[64], why[128];

	if (alert >> 8 != SSL3_AL_FATAL || c->explained)
		return;
	snprintf(why, sizeof(why), "the peer ends TLS: %s", SSL_alert_desc_string_long(alert));
	log_event(LOG_WARNING, "sip-tls-failed", NULL, "peer=%s direction=%s why=%s", peer_text(c, peer),
		  SSL_is_server(c->ssl) ? "in" : "out", log_value(why));
	tell(c, why);
}

static void note_failure(struct tls_connection *c)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	char peer[64];

	if (reason == NULL || c->explained)
		return;
	log_event(LOG_WARNING, "sip-tls-failed", NULL, "peer=%s direction=%s why=%s", peer_text(c, peer),
		  SSL_is_server(c->ssl) ? "in" : "out", log_value(reason));
	tell(c, reason);
	ERR_clear_error();
}

static void on_info(const SSL *ssl, int where, int ret)
{
	struct tls_connection *c = tls_connection_of(ssl);

	if (c == NULL)
		return;
	if (where == SSL_CB_HANDSHAKE_START && !SSL_is_server(ssl))
		send_name(c->ssl, c);
	else if (where == SSL_CB_HANDSHAKE_DONE)
		tls_sofia_hide_names(ssl);
	else if (where == SSL_CB_READ_ALERT)
		note_alert(c, ret);
	else if ((where & SSL_CB_EXIT) != 0 && ret < 0)
		note_failure(c);
}

/* --- loading --- */

static const char *first_of(const char *own, const char *others)
{
	return own[0] != '\0' ? own : others;
}

static enum err load(const struct config *c, struct tls_identity *identity, X509_STORE **trusted,
		     const char **why)
{
	const bool own = c->sip.certificate[0] != '\0';
	SSL_CTX *ctx = tls_new_context();
	enum err e = tls_trust_load(ctx, first_of(c->sip.ca, c->external.ca), why);

	if (e == OK)
		e = tls_identity_load(own ? c->sip.certificate : c->external.certificate,
				      own ? c->sip.key : c->external.key, NULL, identity, why);
	if (e == OK) {
		*trusted = SSL_CTX_get_cert_store(ctx);
		tls_identity_complete(identity, *trusted);
		if (X509_STORE_up_ref(*trusted) != 1)
			abort();
	}
	SSL_CTX_free(ctx);
	return e;
}

static void apply(const struct sip_tls *tls, SSL_CTX *ctx)
{
	const struct tls_identity *identity = &tls->identity;

	if (SSL_CTX_use_cert_and_key(ctx, identity->leaf, identity->key, identity->chain, 1) != 1)
		abort();
	SSL_CTX_set1_cert_store(ctx, tls->trusted);
}

void tls_take_context(struct sip_tls *tls, SSL_CTX *ctx)
{
	tls_set_policy(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
	SSL_CTX_set_verify_depth(ctx, DEPTH_MAX);
	SSL_CTX_set_info_callback(ctx, on_info);
	apply(tls, ctx);
	ERR_clear_error();
}

enum err sip_tls_create(const struct sip_tls_setup *setup, struct sip_tls **out, const char **why)
{
	struct sip_tls *tls = xcalloc(1, sizeof(*tls));
	enum err e = load(setup->config, &tls->identity, &tls->trusted, why);

	if (e != OK) {
		free(tls);
		return e;
	}
	tls->setup = *setup;
	tls_sofia_begin(tls);
	*out = tls;
	return OK;
}

enum err sip_tls_reload(struct sip_tls *tls, const char **why)
{
	struct tls_identity identity = { .leaf = NULL };
	X509_STORE *trusted = NULL;
	struct tls_context *context;
	const enum err e = load(tls->setup.config, &identity, &trusted, why);

	if (e != OK)
		return e;
	tls_identity_free(&tls->identity);
	X509_STORE_free(tls->trusted);
	tls->identity = identity;
	tls->trusted = trusted;
	DL_FOREACH (tls->contexts, context)
		apply(tls, context->ctx);
	ERR_clear_error();
	return OK;
}

enum err sip_tls_check(const struct config *config, const char **why)
{
	struct tls_identity identity = { .leaf = NULL };
	X509_STORE *trusted = NULL;
	const enum err e = load(config, &identity, &trusted, why);

	tls_identity_free(&identity);
	X509_STORE_free(trusted);
	return e;
}

void sip_tls_destroy(struct sip_tls *tls)
{
	if (tls == NULL)
		return;
	tls_sofia_end(tls);
	tls_identity_free(&tls->identity);
	X509_STORE_free(tls->trusted);
	free(tls);
}

size_t sip_tls_connections(const struct sip_tls *tls)
{
	const struct tls_connection *c;
	size_t count = 0;

	if (tls != NULL)
		DL_COUNT(tls->connections, c, count);
	return count;
}

void sip_tls_begin_listener(struct sip_tls *tls)
{
	tls_sofia_watch(tls);
}

enum err sip_tls_end_listener(struct sip_tls *tls)
{
	return tls_sofia_take(tls) ? OK : ERR_NOT_FOUND;
}
