/*
 * endpoint_remembered.c - how many requests are remembered behind their answers.
 *
 * sofia-sip keeps the answer to each that came by UDP for 64*T1, in case it comes
 * again (RFC 3261, timer J): ten kilobytes for 32 seconds, whatever the answer was,
 * so that a flood would take memory as fast as it comes. Counted by the second; what
 * is over sip.udp_remembered is answered 503 without a transaction, which needs no
 * memory and may be said again each time.
 *
 * By TCP and TLS it keeps INVITEs only, until their ACK, or as long when none comes
 * (timer H). It hides these ACKs, so it is asked how many requests it has: of these
 * as many as by UDP may be others.
 */
#include "bridge/sip/endpoint_internal.h"

static void go_on_to(struct endpoint_remembered *r, int64_t second)
{
	int64_t steps = second - r->second;

	for (int64_t i = 1; i <= steps && i <= REMEMBERED_SECONDS; i++) {
		unsigned *oldest = &r->count[(r->second + i) % REMEMBERED_SECONDS];

		r->total -= *oldest;
		*oldest = 0;
	}
	r->second = second;
}

static size_t kept_by_library(const struct sip_endpoint *ep)
{
	usize_t kept = 0;

	nta_agent_get_stats(ep->agent, NTATAG_S_IRQ_HASH_USED_REF(kept), TAG_END());
	return kept;
}

bool endpoint_may_remember(struct sip_endpoint *ep, enum transport transport, sip_method_t method)
{
	struct endpoint_remembered *r = &ep->remembered;
	const size_t limit = (size_t)ep->config->sip.udp_remembered;

	if (limit == 0 || (transport != TRANSPORT_UDP && method != sip_method_invite))
		return true;
	go_on_to(r, loop_now(ep->loop) / 1000);
	if (transport != TRANSPORT_UDP)
		return kept_by_library(ep) < limit + r->total;
	if (r->total >= limit)
		return false;
	r->count[r->second % REMEMBERED_SECONDS]++;
	r->total++;
	return true;
}
