/*
 * endpoint_target.c - where a request goes, and from which pool one came.
 *
 * A request goes to its topmost Route when that is the address of a peer, else
 * to the pool's next hop, which knows the rest of the way: RFC 3261 section
 * 8.1.2 leaves the choice to local policy, and ours is that a Record-Route or
 * Contact that somebody behind the pool has written never makes us connect to
 * a stranger, or look up his name.
 *
 * The pools' addresses are looked up once, at the start; a pool whose name is
 * not known then is no request's pool. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/nexthop.h"

enum { ADDRESSES_MAX = 32, SIP_PORT = 5060 };

struct endpoint_targets {
	struct {
		struct sockaddr_storage address;
		enum pool pool;
	} known[ADDRESSES_MAX];
	size_t count;
};

/* --- the pools' addresses --- */

static void add_next_hop(struct endpoint_targets *t, enum pool pool, const char *text)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	struct next_hop hop;
	char port[8];

	if (next_hop_parse(text, &hop) != OK)
		return;
	snprintf(port, sizeof(port), "%u", (unsigned)(hop.port != 0 ? hop.port : SIP_PORT));
	if (getaddrinfo(hop.host, port, &hints, &list) != 0)
		return;
	for (const struct addrinfo *a = list; a != NULL && t->count < ADDRESSES_MAX; a = a->ai_next) {
		memcpy(&t->known[t->count].address, a->ai_addr, a->ai_addrlen);
		t->known[t->count++].pool = pool;
	}
	freeaddrinfo(list);
}

struct endpoint_targets *endpoint_targets_create(const struct config *config)
{
	struct endpoint_targets *t = xcalloc(1, sizeof(*t));

	for (int pool = 0; pool < POOLS; pool++) {
		const struct config_list *hops = config_next_hops(config, (enum pool)pool);

		for (size_t i = 0; i < hops->count; i++)
			add_next_hop(t, (enum pool)pool, hops->item[i]);
	}
	return t;
}

void endpoint_targets_destroy(struct endpoint_targets *t)
{
	free(t);
}

static bool is_same_host(const su_sockaddr_t *a, const su_sockaddr_t *b)
{
	return a->su_family == b->su_family &&
	       memcmp(SU_ADDR(a), SU_ADDR(b),
		      a->su_family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr)) == 0;
}

/* Two pools on one machine can be told by their ports, when they send from them. */
int endpoint_pool_of(const struct sip_endpoint *ep, const su_sockaddr_t *source)
{
	const struct endpoint_targets *t = ep->targets;
	int found = -1;

	for (size_t i = 0; i < t->count; i++) {
		const su_sockaddr_t *known = (const su_sockaddr_t *)&t->known[i].address;

		if (!is_same_host(known, source))
			continue;
		if (known->su_port == source->su_port)
			return (int)t->known[i].pool;
		if (found < 0)
			found = (int)t->known[i].pool;
	}
	return found;
}

/* --- the target of a request --- */

static bool is_peer(const struct sip_endpoint *ep, const char *host)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	char bare[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
		return sip_peers_allow(ep->peers, (const struct sockaddr *)&v4);
	if (host[0] != '[' || strlen(host) >= sizeof(bare) + 2)
		return false;
	snprintf(bare, sizeof(bare), "%.*s", (int)strlen(host) - 2, host + 1);
	return inet_pton(AF_INET6, bare, &v6.sin6_addr) == 1 &&
	       sip_peers_allow(ep->peers, (const struct sockaddr *)&v6);
}

/* The address in a Route, when it is a peer's and there is a listener for its transport. */
static bool follow_route(const struct sip_endpoint *ep, const char *route, struct endpoint_target *out)
{
	struct sip_address address;
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const url_t *url = url_hdup(home, URL_STRING_MAKE(route)->us_url);
	char transport[8] = "udp";
	bool ok = false;

	if (url != NULL && sip_address_parse(route, &address) == OK && !address.secure &&
	    is_peer(ep, address.host)) {
		if (url->url_params != NULL)
			url_param(url->url_params, "transport", transport, sizeof(transport));
		out->tcp = strcasecmp(transport, "tcp") == 0;
		ok = out->tcp ? ep->has_tcp : ep->has_udp && strcasecmp(transport, "udp") == 0;
		snprintf(out->uri, sizeof(out->uri), "sip:%s:%u;transport=%s", address.host,
			 address.port != 0 ? address.port : SIP_PORT, out->tcp ? "tcp" : "udp");
	}
	su_home_deinit(home);
	return ok;
}

bool endpoint_choose_target(struct sip_endpoint *ep, enum pool pool, const char *route,
			    struct endpoint_target *out)
{
	const struct config_list *hops = config_next_hops(ep->config, pool);
	struct next_hop hop;
	bool v6;

	if (route != NULL && follow_route(ep, route, out))
		return true;
	if (hops->count == 0 || next_hop_parse(hops->item[0], &hop) != OK)
		return false;
	v6 = strchr(hop.host, ':') != NULL;
	out->tcp = hop.transport == TRANSPORT_TCP;
	snprintf(out->uri, sizeof(out->uri), "sip:%s%s%s:%u;transport=%s", v6 ? "[" : "", hop.host,
		 v6 ? "]" : "", hop.port != 0 ? hop.port : SIP_PORT, transport_name(hop.transport));
	return true;
}

/* --- our own addresses --- */

static bool has_transport(const sip_via_t *via, bool tcp)
{
	return strcasecmp(via->v_protocol, tcp ? sip_transport_tcp : sip_transport_udp) == 0;
}

bool endpoint_contact(const struct sip_endpoint *ep, bool tcp, char out[SIP_URI_SIZE])
{
	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		if (!has_transport(v, tcp))
			continue;
		snprintf(out, SIP_URI_SIZE, "sip:%s%s%s;transport=%s", v->v_host,
			 v->v_port != NULL ? ":" : "", v->v_port != NULL ? v->v_port : "",
			 tcp ? "tcp" : "udp");
		return true;
	}
	return false;
}

static bool is_our_address(const struct sip_endpoint *ep, const char *host, const char *port)
{
	unsigned long wanted = port != NULL && port[0] != '\0' ? strtoul(port, NULL, 10) : SIP_PORT;

	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		unsigned long ours = v->v_port != NULL ? strtoul(v->v_port, NULL, 10) : SIP_PORT;

		if (host != NULL && strcasecmp(v->v_host, host) == 0 && ours == wanted)
			return true;
	}
	return false;
}

bool endpoint_is_our_via(const struct sip_endpoint *ep, const sip_via_t *via)
{
	return is_our_address(ep, via->v_host, via->v_port);
}

bool endpoint_is_our_uri(const struct sip_endpoint *ep, const url_t *url)
{
	return is_our_address(ep, url->url_host, url->url_port);
}
