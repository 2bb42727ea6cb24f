/*
 * dns.h - asynchronous look-ups by libunbound: SRV with address fallback
 * (RFC 6120 section 3.2), and plain host addresses.
 *
 * A query ends with exactly one callback, from the loop and never from inside
 * dns_srv() or dns_host(), unless it is cancelled before.
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

/* host may be an address literal. */
struct dns_query *dns_host(struct dns *dns, const char *host, uint16_t port, dns_done_fn *done, void *ctx);
void dns_cancel(struct dns_query *query); /* NULL is allowed */

#endif
