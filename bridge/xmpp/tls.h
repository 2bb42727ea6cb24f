/*
 * tls.h - TLS for the s2s edge: 1.2 and 1.3, no compression, no renegotiation,
 * no resumption; certificates of our own for each local domain, and by whose
 * authority those of peers are believed.
 *
 * A handshake never fails for lack of trust: what the peer's certificate is
 * worth is asked for afterwards (sock_certificate()), and policy decides.
 */
#ifndef POOLBRIDGE_XMPP_TLS_H
#define POOLBRIDGE_XMPP_TLS_H

#include "bridge/core/base.h"

struct dns_tlsa;
struct tls; /* settings as loaded; connections keep what they began with */

struct tls_settings {
	const char *certificate, *key; /* PEM, for local domains without a pair of their own; "" for none */
	const char
		*certificates; /* a folder with DOMAIN.crt (chain, leaf first) and DOMAIN.key; "" for none */
	const char *ca; /* PEM bundle, or a folder with hashed names (openssl rehash); "" for the system's */
	bool client_usage; /* refuse an originating server's certificate that is not for clientAuth */
};

/*
 * A pair of files as text, or without any: a client needs no certificate. On failure *why (static
 * buffer) says which file and what is wrong with it, in words.
 */
MUST_CHECK enum err tls_create(const struct tls_settings *settings, struct tls **out, const char **why);
/* Read all files again; on failure what was loaded before stays in use. */
MUST_CHECK enum err tls_reload(struct tls *tls, const char **why);
void tls_destroy(struct tls *tls); /* NULL is allowed */

/* Is there a certificate to show for this domain: its own, or the one for all? */
bool tls_has_certificate(const struct tls *tls, const char *local_domain);

/* What is to be said to the peer. Borrowed until sock_start_tls() returns. */
struct tls_peer {
	bool server; /* we accepted the connection */
	/*
	 * Our domain, whose certificate is shown; NULL: the one for all. As server the client's SNI goes
	 * before it where there is a certificate of that name.
	 */
	const char *local;
	const char *remote; /* as client: the peer's domain, sent as SNI; NULL for none */
	/*
	 * XEP-0368. As client ALPN "xmpp-server" is offered; as server it is chosen when offered, and a client
	 * that offers other protocols only is refused (no_application_protocol).
	 */
	bool direct;
	/*
	 * As client: DANE (RFC 7671, 7673). Records that OpenSSL cannot use are passed over. Where one is
	 * usable they decide alone: a certificate that none of them fits is not trusted, whatever a CA says.
	 */
	const struct dns_tlsa *tlsa;
	size_t tlsa_count;
	const char
		*tlsa_base; /* the SRV record's target host that they belong to; a certificate may name it */
};

#endif
