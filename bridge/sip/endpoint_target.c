/*
 * endpoint_target.c - where a request goes, and from which pool one came.
 *
 * A request goes to its topmost Route when that is the address of a peer at a
 * port where one is known to serve, else to the pool's next hop, which knows the
 * rest of the way: RFC 3261 section 8.1.2 leaves the choice to local policy, and
 * ours is that a Record-Route or Contact that somebody behind the pool has
 * written never makes us connect to a stranger, or look up his name.
 *
 * Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/tport.h>

#include "bridge/core/nexthop.h"

enum { SIP_PORT = 5060, SIPS_PORT = 5061 };

/* --- the pools' addresses --- */

static void on_moved(void *ctx)
{
	struct sip_endpoint *ep = ctx;
	const struct sockaddr_storage *list;
	const size_t count = sip_hops_addresses(ep->hops, &list);

	sip_peers_follow(ep->peers, list, count);
}

enum err endpoint_open_hops(struct sip_endpoint *ep, const char **why)
{
	const struct sip_hops_setup setup = {
		.loop = ep->loop,
		.dns = ep->setup.dns,
		.config = ep->config,
		.resolve_ms = ep->setup.resolve_ms,
		.ping = endpoint_ping,
		.moved = on_moved,
		.ctx = ep,
	};
	enum err e = sip_hops_create(&setup, &ep->hops, why);

	if (e == OK)
		on_moved(ep);
	return e;
}

/* Two pools on one machine can be told by their ports, when they send from them. */
int endpoint_pool_of(const struct sip_endpoint *ep, const su_sockaddr_t *source)
{
	return sip_hops_pool_of(ep->hops, &source->su_sa);
}

/* --- the target of a request --- */

/* A server listens there, as far as is known: another port of a peer's machine is none of our business. */
static bool is_place(const struct sip_endpoint *ep, const char *uri, const struct sockaddr *address,
		     enum transport transport, bool usual_port)
{
	const enum sip_place place = sip_hops_place(ep->hops, address);
	tport_t *connection;

	if (place == SIP_PLACE_TARGET || (place == SIP_PLACE_UNKNOWN && usual_port))
		return true;
	if (transport == TRANSPORT_UDP)
		return false;
	connection = endpoint_connection(ep, uri);
	tport_unref(connection);
	return connection != NULL;
}

static uint16_t default_port(enum transport t)
{
	return t == TRANSPORT_TLS ? SIPS_PORT : SIP_PORT;
}

/* False: not a literal address. */
static bool to_sockaddr(const char *host, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	char bare[INET6_ADDRSTRLEN];

	*out = (struct sockaddr_storage){ .ss_family = AF_INET };
	v4->sin_port = htons(port);
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
		return true;
	if (host[0] != '[' || strlen(host) >= sizeof(bare) + 2)
		return false;
	snprintf(bare, sizeof(bare), "%.*s", (int)strlen(host) - 2, host + 1);
	*out = (struct sockaddr_storage){ .ss_family = AF_INET6 };
	v6->sin6_port = htons(port);
	return inet_pton(AF_INET6, bare, &v6->sin6_addr) == 1;
}

/* One that may be talked to there, by this transport. */
static bool is_peer(const struct sip_endpoint *ep, const struct sip_address *where, enum transport transport,
		    const char *uri)
{
	const uint16_t usual = default_port(transport);
	const uint16_t port = where->port != 0 ? where->port : usual;
	struct sockaddr_storage storage;
	const struct sockaddr *address = (const struct sockaddr *)&storage;

	return to_sockaddr(where->host, port, &storage) && sip_peers_allow(ep->peers, address) &&
	       (transport == TRANSPORT_TLS || !sip_hops_need_tls(ep->hops, address)) &&
	       is_place(ep, uri, address, transport, port == usual);
}

static bool has_listener(const struct sip_endpoint *ep, enum transport t)
{
	return t == TRANSPORT_UDP ? ep->has_udp : t == TRANSPORT_TCP ? ep->has_tcp : ep->has_tls;
}

static bool transport_of(const url_t *url, enum transport *out)
{
	static const enum transport all[] = { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };
	char name[8] = "udp";

	if (sip_uri_param(url->url_params, "transport", name, sizeof(name)) == ERR_LIMIT)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcasecmp(name, transport_name(all[i])) != 0)
			continue;
		*out = all[i];
		return true;
	}
	return false;
}

static void set_target(struct endpoint_target *out, enum transport transport)
{
	out->transport = transport;
	out->tcp = transport != TRANSPORT_UDP;
}

/* The address in a Route, when it is a peer's and there is a listener for its transport. */
static bool follow_route(const struct sip_endpoint *ep, const char *route, struct endpoint_target *out)
{
	struct sip_address address;
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const url_t *url = url_hdup(home, URL_STRING_MAKE(route)->us_url);
	enum transport transport;
	char uri[sizeof(out->uri)];
	bool ok = url != NULL && sip_address_parse(route, &address) == OK && !address.secure &&
		  transport_of(url, &transport) && has_listener(ep, transport);

	if (ok) {
		snprintf(uri, sizeof(uri), "sip:%s:%u;transport=%s", address.host,
			 address.port != 0 ? address.port : default_port(transport),
			 transport_name(transport));
		ok = is_peer(ep, &address, transport, uri);
	}
	if (ok) {
		set_target(out, transport);
		memcpy(out->uri, uri, sizeof(uri));
	}
	su_home_deinit(home);
	return ok;
}

bool endpoint_next_target(struct sip_endpoint *ep, enum pool pool, struct endpoint_target *target)
{
	struct sip_hop hop;

	if (target->fixed || sip_hops_pick(ep->hops, pool, &target->tried, &hop, &target->wait_ms) != OK)
		return false;
	target->hop = hop.id;
	set_target(target, hop.transport);
	snprintf(target->uri, sizeof(target->uri), "%s", hop.uri);
	return true;
}

bool endpoint_choose_target(struct sip_endpoint *ep, enum pool pool, const char *route,
			    struct endpoint_target *out)
{
	*out = (struct endpoint_target){ .wait_ms = -1 };
	if (route != NULL && follow_route(ep, route, out)) {
		out->fixed = true;
		return true;
	}
	return endpoint_next_target(ep, pool, out);
}

/* RFC 3261 section 21.5.4: a 503 without Retry-After says no more than any 500. */
void endpoint_report(struct sip_endpoint *ep, const struct endpoint_target *target, int status,
		     const sip_t *sip)
{
	const sip_retry_after_t *after = sip != NULL ? sip->sip_retry_after : NULL;

	if (sip == NULL)
		sip_hops_report(ep->hops, target->hop, status == 503 ? SIP_HOP_REFUSED : SIP_HOP_SILENT, 0);
	else if (status == 503 && after != NULL)
		sip_hops_report(ep->hops, target->hop, SIP_HOP_BUSY, (int64_t)after->af_delta);
	else
		sip_hops_report(ep->hops, target->hop, SIP_HOP_ANSWERED, 0);
}

enum transport endpoint_pool_transport(const struct sip_endpoint *ep, enum pool pool)
{
	const struct config_list *list = config_next_hops(ep->config, pool);
	struct next_hop hop;

	return list->count > 0 && next_hop_parse(list->item[0], &hop) == OK ? hop.transport : TRANSPORT_TCP;
}

/* --- our own addresses --- */

enum transport endpoint_transport_of(nta_agent_t *agent, const msg_t *msg)
{
	const tport_t *tport = tport_delivered_by(nta_agent_tports(agent), msg);

	if (tport_has_tls(tport))
		return TRANSPORT_TLS;
	return tport_is_tcp(tport) ? TRANSPORT_TCP : TRANSPORT_UDP;
}

static enum transport via_transport(const sip_via_t *via)
{
	if (strcasecmp(via->v_protocol, sip_transport_tls) == 0)
		return TRANSPORT_TLS;
	return strcasecmp(via->v_protocol, sip_transport_tcp) == 0 ? TRANSPORT_TCP : TRANSPORT_UDP;
}

bool endpoint_contact(const struct sip_endpoint *ep, enum transport transport, char out[SIP_URI_SIZE])
{
	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		if (via_transport(v) != transport)
			continue;
		snprintf(out, SIP_URI_SIZE, "sip:%s%s%s;transport=%s", v->v_host,
			 v->v_port != NULL ? ":" : "", v->v_port != NULL ? v->v_port : "",
			 transport_name(transport));
		return true;
	}
	return false;
}

const char *sip_endpoint_host(const struct sip_endpoint *ep, enum pool pool)
{
	const enum transport transport = endpoint_pool_transport(ep, pool);
	const sip_via_t *via = nta_agent_via(ep->agent), *v;

	for (v = via; v != NULL; v = v->v_next)
		if (via_transport(v) == transport)
			return v->v_host;
	return via != NULL ? via->v_host : "0.0.0.0";
}

/* A port that is not given is the transport's own, which the URI may not say. */
static bool is_our_address(const struct sip_endpoint *ep, const char *host, const char *port)
{
	const unsigned long wanted = port != NULL ? strtoul(port, NULL, 10) : 0;

	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		const unsigned long usual = default_port(via_transport(v));
		const unsigned long ours = v->v_port != NULL ? strtoul(v->v_port, NULL, 10) : usual;

		if (host != NULL && strcasecmp(v->v_host, host) == 0 &&
		    ours == (wanted != 0 ? wanted : usual))
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
