/*
 * tls.c - TLS as both directions of s2s use it: the policy of a context, our
 * certificates by domain, and which of them a session shows.
 *
 * Policy of the edge: TLS 1.2 and 1.3, forward secrecy always (authenticated
 * encryption first; CBC is for the Windows Server 2012 R2 of old gateways),
 * security level 2, no compression, no renegotiation, no session resumption (a
 * stream lives for hours; a ticket would only be one more secret).
 *
 * What is loaded is one reference-counted state: a reload makes a new one, and
 * sessions keep the one they began with. Whom to believe is tls_trust.c's
 * business, files are tls_identity.c's. Fatal: OpenSSL has no memory.
 */
#include "bridge/xmpp/tls.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "bridge/core/hash.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/tls_identity.h"
#include "bridge/xmpp/tls_internal.h"

/* Of a peer that nobody knows yet; a chain with RSA 4096 throughout needs less than 10 KiB. */
enum { PEER_CERTIFICATES_MAX = 32 * 1024 };

struct own_identity {
	UT_hash_handle hh; /* by domain */
	char domain[JID_DOMAIN_MAX + 1];
	struct tls_identity identity;
};

struct tls_state {
	unsigned references;
	SSL_CTX *ctx;
	struct tls_identity common; /* for domains without their own; may be empty */
	struct own_identity *own;
};

struct tls {
	char *certificate, *key, *certificates, *ca;
	bool client_usage;
	struct tls_state *state;
};

/* --- the state --- */

static void release(struct tls_state *state)
{
	struct own_identity *own, *next;

	if (--state->references > 0)
		return;
	HASH_ITER (hh, state->own, own, next) {
		HASH_DEL(state->own, own);
		tls_identity_free(&own->identity);
		free(own);
	}
	tls_identity_free(&state->common);
	SSL_CTX_free(state->ctx);
	free(state);
}

/* NULL: none, and none for all. domain may be NULL. */
static const struct tls_identity *find_identity(const struct tls_state *state, const char *domain)
{
	const struct own_identity *own = NULL;

	if (domain != NULL)
		HASH_FIND_STR(state->own, domain, own);
	if (own != NULL)
		return &own->identity;
	return state->common.leaf != NULL ? &state->common : NULL;
}

static enum err load_own(struct tls_state *state, const char *folder, const char *file, const char **why)
{
	static const char what[] = "certificate";
	char *certificate = xasprintf("%s/%s", folder, file), *key = NULL,
	     *name = xstrndup(file, strlen(file) - strlen(".crt")); /* "." would be a name of its own */
	struct own_identity *own = xcalloc(1, sizeof(*own));
	const struct own_identity *twin;
	enum err e;

	if (jid_domain(name, own->domain) != OK) {
		e = tls_file_fault(why, what, certificate, "its name is not DOMAIN.crt");
		goto done;
	}
	HASH_FIND_STR(state->own, own->domain, twin);
	if (twin != NULL) {
		e = tls_file_fault(why, what, certificate, "another file is for the same domain");
		goto done;
	}
	key = xasprintf("%s/%s.key", folder, name);
	e = tls_identity_load(certificate, key, own->domain, &own->identity, why);
	if (e == OK) {
		tls_identity_complete(&own->identity, SSL_CTX_get_cert_store(state->ctx));
		HASH_ADD_STR(state->own, domain, own);
		own = NULL;
	}
done:
	free(own);
	free(certificate);
	free(key);
	free(name);
	return e;
}

static bool is_certificate(const char *file)
{
	const size_t n = strlen(file);

	return file[0] != '.' && n > 4 && strcmp(file + n - 4, ".crt") == 0;
}

static enum err load_folder(struct tls_state *state, const char *folder, const char **why)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	enum err e = OK;

	if (dir == NULL)
		return tls_file_fault(why, "folder of certificates", folder, strerror(errno));
	while (e == OK && (entry = readdir(dir)) != NULL) {
		if (is_certificate(entry->d_name))
			e = load_own(state, folder, entry->d_name, why);
	}
	closedir(dir);
	return e;
}

static int on_server_name(SSL *ssl, int *alert, void *ctx);
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		   unsigned in_len, void *ctx);

void tls_set_policy(SSL_CTX *ctx)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM:!aNULL") != 1)
		abort();
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* What is shown is complete: else OpenSSL would look for a chain, through all CAs, in each handshake. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	/* A peer that sends nothing but key updates would otherwise keep us inside one SSL_read(). */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_max_cert_list(ctx, PEER_CERTIFICATES_MAX);
}

SSL_CTX *tls_new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx == NULL)
		abort();
	tls_set_policy(ctx);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

static enum err load(const struct tls *tls, struct tls_state **out, const char **why)
{
	struct tls_state *state = xcalloc(1, sizeof(*state));
	enum err e;

	state->references = 1;
	state->ctx = tls_new_context();
	tls_trust_setup(state->ctx);
	SSL_CTX_set_tlsext_servername_callback(state->ctx, on_server_name);
	SSL_CTX_set_alpn_select_cb(state->ctx, on_alpn, NULL);
	e = tls_trust_load(state->ctx, tls->ca, why);
	if (e == OK && tls->certificate[0] != '\0')
		e = tls_identity_load(tls->certificate, tls->key, NULL, &state->common, why);
	if (e == OK && state->common.leaf != NULL)
		tls_identity_complete(&state->common, SSL_CTX_get_cert_store(state->ctx));
	if (e == OK && tls->certificates[0] != '\0')
		e = load_folder(state, tls->certificates, why);
	if (e == OK)
		*out = state;
	else
		release(state);
	return e;
}

/* --- the interface --- */

enum err tls_create(const struct tls_settings *settings, struct tls **out, const char **why)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	enum err e;

	tls->certificate = xstrdup(settings->certificate);
	tls->key = xstrdup(settings->key);
	tls->certificates = xstrdup(settings->certificates);
	tls->ca = xstrdup(settings->ca);
	tls->client_usage = settings->client_usage;
	e = load(tls, &tls->state, why);
	if (e == OK)
		*out = tls;
	else
		tls_destroy(tls);
	return e;
}

enum err tls_reload(struct tls *tls, const char **why)
{
	struct tls_state *state;
	const enum err e = load(tls, &state, why);

	if (e != OK)
		return e;
	release(tls->state);
	tls->state = state;
	return OK;
}

void tls_destroy(struct tls *tls)
{
	if (tls == NULL)
		return;
	if (tls->state != NULL)
		release(tls->state);
	free(tls->certificate);
	free(tls->key);
	free(tls->certificates);
	free(tls->ca);
	free(tls);
}

bool tls_has_certificate(const struct tls *tls, const char *local_domain)
{
	return find_identity(tls->state, local_domain) != NULL;
}

/* --- sessions --- */

static void free_session(void *parent, void *data, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	struct tls_session *session = data;

	(void)parent;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (session == NULL)
		return;
	release(session->state);
	free(session->local);
	free(session->tlsa_base);
	free(session);
}

static int session_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_session);
	return index;
}

struct tls_session *tls_session_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, session_index());
}

/*
 * As server, in every handshake: the certificate by SNI where there is one of exactly this name, else
 * that of our domain in the stream's header. What a client without SNI, or with a host's name, wants is
 * known from there.
 */
static int on_server_name(SSL *ssl, int *alert, void *ctx)
{
	const struct tls_session *session = tls_session_of(ssl);
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char domain[JID_DOMAIN_MAX + 1];
	const struct own_identity *own = NULL;
	const struct tls_identity *identity;

	(void)ctx;
	if (!session->server) /* OpenSSL calls a client's too */
		return SSL_TLSEXT_ERR_OK;
	if (asked != NULL && jid_domain(asked, domain) == OK)
		HASH_FIND_STR(session->state->own, domain, own);
	identity = own != NULL ? &own->identity : find_identity(session->state, session->local);
	if (identity == NULL) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	tls_identity_show(identity, ssl);
	return SSL_TLSEXT_ERR_OK;
}

static const unsigned char alpn[] = "\x0bxmpp-server";

/* As server, when the client offers protocols. A STARTTLS stream is what it is without. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		   unsigned in_len, void *ctx)
{
	unsigned char *chosen;

	(void)ctx;
	if (!tls_session_of(ssl)->direct)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, out_len, alpn, sizeof(alpn) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void begin_as_client(SSL *ssl, const struct tls_state *state, const struct tls_peer *peer)
{
	const struct tls_identity *identity = find_identity(state, peer->local);

	SSL_set_connect_state(ssl);
	if (identity != NULL)
		tls_identity_show(identity, ssl);
	/* Fails on a name too long for the extension only: then without it. */
	if (peer->remote != NULL)
		(void)SSL_set_tlsext_host_name(ssl, peer->remote);
	if (peer->direct && SSL_set_alpn_protos(ssl, alpn, sizeof(alpn) - 1) != 0)
		abort();
	tls_trust_dane(ssl, peer);
}

SSL *tls_session(const struct tls *tls, const struct tls_peer *peer)
{
	struct tls_session *session = xcalloc(1, sizeof(*session));
	SSL *ssl = SSL_new(tls->state->ctx);

	if (ssl == NULL || SSL_set_ex_data(ssl, session_index(), session) != 1)
		abort();
	session->state = tls->state;
	session->state->references++;
	session->client_usage = tls->client_usage;
	session->server = peer->server;
	session->direct = peer->direct;
	session->local = peer->local != NULL ? xstrdup(peer->local) : NULL;
	if (peer->server)
		SSL_set_accept_state(ssl);
	else
		begin_as_client(ssl, tls->state, peer);
	ERR_clear_error();
	return ssl;
}
