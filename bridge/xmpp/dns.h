/*
 * dns.h - asynchronous look-ups by libunbound: SRV with address fallback
 * (RFC 6120 section 3.2), plain host addresses, and TLSA.
 *
 * A query ends with exactly one callback, from the loop and never from inside
 * the call that began it, unless it is cancelled before.
 */
#ifndef POOLBRIDGE_XMPP_DNS_H
#define POOLBRIDGE_XMPP_DNS_H

#include <sys/socket.h>

#include "bridge/core/base.h"
#include "bridge/core/loop.h"

#define DNS_TARGETS_MAX 32

struct dns;
struct dns_query;

struct dns_target {
	char host[254];
	uint16_t port;
	bool direct_tls;              /* from _xmpps-server: TLS begins at once (XEP-0368) */
	bool secure;                  /* DNSSEC proves the whole way from the domain to this address */
	struct sockaddr_storage addr; /* with the port set */
	socklen_t addr_len;
};

enum dns_status {
	DNS_OK,     /* at least one target */
	DNS_NONE,   /* the name, or the service (target "."), does not exist: permanent */
	DNS_FAILURE /* no answer or a server failure: temporary */
};

typedef void dns_done_fn(void *ctx, enum dns_status status, const struct dns_target *targets, size_t count);

struct dns_config {
	const char *resolver; /* "ADDRESS" or "ADDRESS@PORT"; NULL or "": /etc/resolv.conf */
	const char *const *
		transparent_zones; /* built-in empty zones to ask for all the same ("test", "home.arpa"); may be NULL */
	size_t transparent_count;
	/*
	 * File of DS or DNSKEY records where DNSSEC begins; NULL or "": nothing is validated. The resolver
	 * must pass signatures on: otherwise all that lies below the anchor is DNS_FAILURE.
	 */
	const char *trust_anchor;
	int64_t timeout_ms; /* a query without answer after this is DNS_FAILURE */
};

/* What is wrong with the configuration is logged. */
MUST_CHECK enum err dns_create(struct loop *loop, const struct dns_config *config, struct dns **out);
void dns_destroy(struct dns *dns); /* pending queries end without a callback; NULL is allowed */

/*
 * SRV of "SERVICE.DOMAIN" (service: "_xmpp-server._tcp"), then A and AAAA of every target, ordered
 * by priority and weight (RFC 2782), of one target the IPv4 addresses first. Without an SRV record:
 * the domain itself at fallback_port. With SRV answers there is no address fallback. What has been
 * found when the time is up is an answer. domain may be an address literal.
 */
struct dns_query *dns_srv(struct dns *dns, const char *service, const char *domain, uint16_t fallback_port,
			  dns_done_fn *done, void *ctx);

/*
 * The next hops for server-to-server XMPP: _xmpp-server._tcp and _xmpps-server._tcp of the domain as
 * if they were one record set (XEP-0368), ordered as above, at fallback_port where neither exists.
 * Target "." of one says that this service is not available; the other may be.
 */
struct dns_query *dns_s2s(struct dns *dns, const char *domain, uint16_t fallback_port, dns_done_fn *done,
			  void *ctx);

/* host may be an address literal. */
struct dns_query *dns_host(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx);

/* A TLSA record (RFC 6698); what its numbers mean is OpenSSL's business. */
struct dns_tlsa {
	uint8_t usage, selector, matching;
	const unsigned char *data;
	size_t size;
};

/*
 * DNS_OK: at least one record, proved by DNSSEC. DNS_NONE: there is none, or none that is proved.
 * DNS_FAILURE includes an answer that DNSSEC proves wrong (bogus). The callback borrows the records.
 */
typedef void dns_tlsa_fn(void *ctx, enum dns_status status, const struct dns_tlsa *records, size_t count);

/* TLSA of _PORT._tcp.HOST; ask only for a target that is secure. */
struct dns_query *dns_tlsa(struct dns *dns, const char *host, uint16_t port, dns_tlsa_fn *done, void *ctx);

/* One block with the records and their data, for free(). */
struct dns_tlsa *dns_tlsa_copy(const struct dns_tlsa *records, size_t count);

void dns_cancel(struct dns_query *query); /* NULL is allowed */

#endif
