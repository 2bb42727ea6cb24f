/*
 * s2s_connect.c - a link's way to its next hop: what must be done now, finding
 * the addresses, trying one after the other, and waiting after failure.
 *
 * The next hop is the configured legacy gateway on the internal edge; on the
 * external edge the partner's proxy, else its SRV records. Waiting doubles from
 * backoff_min to backoff_max, with jitter, but never so long that a stanza's
 * time runs out without another try. A domain that does not exist fails its
 * stanzas at once; anything temporary lets them wait for their time.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/hostport.h"
#include "bridge/core/log.h"

#define S2S_PORT       5269
#define COMPONENT_PORT 5347

/* Between half of ms and the whole: many links do not come back in step. */
static int64_t jitter(int64_t ms)
{
	return ms / 2 + (int64_t)arc4random_uniform((uint32_t)(ms - ms / 2) + 1);
}

void link_back_off(struct link *link, enum condition failure, const char *why)
{
	const struct config *config = link->s2s->setup.config;
	int64_t delay = config->s2s.backoff_min_ms, most = config->s2s.backoff_max_ms;

	if (most > config->s2s.queue_ms / 3)
		most = config->s2s.queue_ms / 3;
	for (unsigned i = 0; i < link->failures && delay < most; i++)
		delay *= 2;
	delay = jitter(delay < most ? delay : most);
	link->failures++;
	link->failure = failure;
	str_copy(link->why, sizeof(link->why), why);
	link->state = LINK_BACKOFF;
	link->retry_at = s2s_now(link->s2s) + delay;
	/* A check does not wait for better times. */
	if (link->check)
		link_fail(link, failure, why);
	log_event(LOG_NOTICE, "link-down", NULL,
		  "edge=%s local=%s remote=%s waiting=%zu retry_ms=%lld why=%s", edge_name(link->edge),
		  link->local, link->remote, link->count, (long long)delay, log_value(why));
	verify_fail_all(link);
	link_arm(link);
}

/* The configured source address; false: any. */
static bool bind_address(const struct link *link, struct sockaddr_storage *out, socklen_t *len)
{
	const struct config *config = link->s2s->setup.config;
	const char *host = link->edge == EDGE_INTERNAL ? config->internal.bind : config->external.bind;

	return host[0] && numeric_address(host, 0, out, len) == OK;
}

/* Nothing new is begun while the bridge stops. */
static void fail_for_stop(struct link *link)
{
	link->state = LINK_IDLE;
	link_fail(link, COND_REMOTE_SERVER_TIMEOUT, "this server is shutting down");
	verify_fail_all(link);
}

/* The target that is tried now; the ones behind it are for when it fails. */
static const struct dns_target *present_target(const struct link *link)
{
	return &link->targets[link->target_next - 1];
}

static void connect_target(struct link *link)
{
	struct sockaddr_storage bind;
	socklen_t bind_len = 0;
	bool bound = bind_address(link, &bind, &bind_len);

	link->state = LINK_STREAM;
	link->stream =
		stream_connect(link, present_target(link), bound ? (struct sockaddr *)&bind : NULL, bind_len);
}

static void forget_tlsa(struct link *link)
{
	free(link->tlsa);
	link->tlsa = NULL;
	link->tlsa_count = 0;
}

/* Records that cannot be had although they should be provable: a forger's work for all we know. */
static void on_tlsa(void *ctx, enum dns_status status, const struct dns_tlsa *records, size_t count)
{
	struct link *link = ctx;

	link->query = NULL;
	if (status == DNS_FAILURE) {
		link_next_target(link, "the TLSA records (DANE) could not be looked up");
		return;
	}
	if (status == DNS_OK) {
		link->tlsa = dns_tlsa_copy(records, count);
		link->tlsa_count = count;
	}
	connect_target(link);
}

static bool is_permitted(const struct link *link, const struct dns_target *target)
{
	return !target->direct_tls || link->policy.tls != REQUIRE_NONE;
}

static bool wants_stream(const struct link *link)
{
	return link == link->s2s->trunk ? component_is_wanted(link->s2s) : !link_is_empty(link);
}

void link_next_target(struct link *link, const char *why)
{
	const struct dns_target *target;

	forget_tlsa(link);
	if (s2s_gives_up(link->s2s)) {
		fail_for_stop(link);
		return;
	}
	/* Everything that wanted the stream may have run out of time meanwhile. */
	if (!wants_stream(link)) {
		link->state = LINK_IDLE;
		link_arm(link);
		return;
	}
	while (link->target_next < link->target_count &&
	       !is_permitted(link, &link->targets[link->target_next]))
		link->target_next++;
	if (link->target_next >= link->target_count) {
		link_back_off(link, COND_REMOTE_SERVER_TIMEOUT, why);
		return;
	}
	target = &link->targets[link->target_next++];
	if (target->secure && link->policy.tls != REQUIRE_NONE) {
		link->state = LINK_RESOLVING;
		link->query = dns_tlsa(link->s2s->setup.dns, target->host, target->port, on_tlsa, link);
	} else {
		connect_target(link);
	}
}

static void note_targets(struct link *link)
{
	for (size_t i = 0; i < link->target_count; i++) {
		const struct dns_target *t = &link->targets[i];

		check_note(link, "dns", true, "%s: %s port %u%s%s", link->remote, t->host, t->port,
			   t->direct_tls ? ", TLS from the start" : "",
			   t->secure ? ", proved by DNSSEC" : "");
	}
}

static void on_resolved(void *ctx, enum dns_status status, const struct dns_target *targets, size_t count)
{
	struct link *link = ctx;
	char why[WHY_SIZE];

	link->query = NULL;
	if (status == DNS_OK) {
		link->target_count = count < ARRAY_SIZE(link->targets) ? count : ARRAY_SIZE(link->targets);
		memcpy(link->targets, targets, link->target_count * sizeof(*targets));
		link->target_next = 0;
		note_targets(link);
		link_next_target(link, "no address");
		return;
	}
	snprintf(why, sizeof(why), "%s: %s", link->remote,
		 status == DNS_NONE ? "no such domain, or it has no XMPP service" : "the DNS did not answer");
	check_note(link, "dns", false, "%s", why);
	if (status == DNS_NONE)
		link_fail(link, COND_REMOTE_SERVER_NOT_FOUND, why);
	link_back_off(link, COND_REMOTE_SERVER_NOT_FOUND, why);
}

/* The configured next hop; "": the DNS tells. */
static const char *fixed_hop(const struct link *link)
{
	const struct config *config = link->s2s->setup.config;

	if (link == link->s2s->trunk)
		return config->component.server;
	return link->edge == EDGE_INTERNAL ? config->internal.gateway : link->policy.proxy;
}

static void resolve(struct link *link)
{
	struct s2s *s2s = link->s2s;
	const char *fixed = fixed_hop(link);
	uint16_t port = link == s2s->trunk ? COMPONENT_PORT : S2S_PORT;
	struct hostport hop;

	link->without_tls = link->without_sasl = false;
	link->state = LINK_RESOLVING;
	if (!fixed[0] && link->edge == EDGE_INTERNAL) {
		link_fail(link, COND_SERVICE_UNAVAILABLE, "no legacy gateway is configured");
		link_back_off(link, COND_SERVICE_UNAVAILABLE, "no legacy gateway is configured");
	} else if (!fixed[0]) {
		link->query = dns_s2s(s2s->setup.dns, link->remote, S2S_PORT, on_resolved, link);
	} else if (hostport_parse(fixed, port, &hop) == OK) {
		link->query = dns_host(s2s->setup.dns, hop.host, hop.port, on_resolved, link);
	} else {
		link_fail(link, COND_REMOTE_SERVER_NOT_FOUND, "the partner's proxy is not HOST[:PORT]");
		link_back_off(link, COND_REMOTE_SERVER_NOT_FOUND, "the partner's proxy is not HOST[:PORT]");
	}
}

/*
 * Under open federation anybody can make us open streams, so the domains that are
 * listed nowhere have half of the streams at most. The legacy gateway is never refused.
 */
static bool has_room(const struct link *link)
{
	unsigned most = (unsigned)link->s2s->setup.config->s2s.streams;

	if (link->edge == EDGE_INTERNAL)
		return true;
	return HASH_COUNT(link->s2s->streams) < (link->policy.listed ? most : most / 2);
}

/* The policy of now counts for the streams opened now. */
static void begin(struct link *link)
{
	struct s2s *s2s = link->s2s;

	if (link == s2s->trunk) {
		component_policy(&link->policy);
		resolve(link);
	} else if (component_carries(link)) {
		component_board(link);
	} else if (s2s_policy_for(s2s, link->edge, link->remote, &link->policy) != OK) {
		link_fail(link, COND_INTERNAL_SERVER_ERROR, "the registry cannot be read");
		link_back_off(link, COND_INTERNAL_SERVER_ERROR, "the registry cannot be read");
	} else if (!has_room(link)) {
		link_back_off(link, COND_RESOURCE_CONSTRAINT, "too many streams");
	} else {
		resolve(link);
	}
}

void link_work(struct link *link)
{
	link_arm(link);
	if (s2s_gives_up(link->s2s) && link->state != LINK_STREAM) {
		fail_for_stop(link);
	} else if (link->state == LINK_IDLE && wants_stream(link)) {
		begin(link);
	} else if (link->state == LINK_STREAM && link->stream->state >= S2S_NEGOTIATING &&
		   !link->stream->is_component) {
		s2s_out_negotiate(link->stream);
	}
}
