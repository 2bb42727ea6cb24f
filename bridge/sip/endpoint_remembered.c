/*
 * endpoint_remembered.c - how many requests that came by UDP are remembered.
 *
 * sofia-sip keeps the answer to each for 64*T1, in case it comes again (RFC 3261,
 * timer J): ten kilobytes for 32 seconds, whatever the answer was, so that a
 * flood would take memory as fast as it comes. Counted by the second; what is
 * over sip.udp_remembered is answered 503 without a transaction, which needs no
 * memory and may be said again each time. On TCP and TLS nothing is remembered.
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

bool endpoint_may_remember(struct sip_endpoint *ep)
{
	struct endpoint_remembered *r = &ep->remembered;
	int64_t limit = ep->config->sip.udp_remembered;

	go_on_to(r, loop_now(ep->loop) / 1000);
	if (limit != 0 && (int64_t)r->total >= limit)
		return false;
	r->count[r->second % REMEMBERED_SECONDS]++;
	r->total++;
	return true;
}
