/*
 * endpoint_ping.c - OPTIONS as a sign of life: is a next hop there?
 *
 * Anything below 500 shows that it serves, whatever it thinks of OPTIONS, and
 * so does 501. Others say that it is there, but not at work. A ping has its own
 * patience, shorter than timer F: messages wait for what it finds.
 *
 * Owns the pings under way. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum { PATIENCE_MS = 5 * 1000 };

struct ping {
	struct sip_endpoint *ep;
	unsigned hop;
	nta_outgoing_t *orq;
	struct loop_timer *timer;
	enum sip_outcome outcome; /* when it could not even be sent */
	struct ping *prev, *next;
};

static void free_ping(struct ping *p)
{
	DL_DELETE(p->ep->pings, p);
	loop_timer_destroy(p->timer);
	if (p->orq != NULL)
		nta_outgoing_destroy(p->orq);
	free(p);
}

static void finish(struct ping *p, enum sip_outcome outcome, int64_t retry_after, const char *why)
{
	struct sip_endpoint *ep = p->ep;
	const unsigned hop = p->hop;

	free_ping(p);
	sip_hops_pinged(ep->hops, hop, outcome, retry_after, why);
}

static void on_timer(void *ctx)
{
	struct ping *p = ctx;

	finish(p, p->outcome, 0, p->outcome == SIP_HOP_SILENT ? "no answer to OPTIONS" : NULL);
}

static int on_response(void *magic, nta_outgoing_t *orq, sip_t const *sip)
{
	struct ping *p = magic;
	const int status = nta_outgoing_status(orq);
	char why[64];

	if (status < 200)
		return 0;
	if (sip == NULL || nta_sip_is_internal(sip)) {
		finish(p, status == 408 ? SIP_HOP_SILENT : SIP_HOP_REFUSED, 0, NULL);
	} else if (status < 500 || status == 501) {
		finish(p, SIP_HOP_ANSWERED, 0, NULL);
	} else if (status == 503 && sip->sip_retry_after != NULL) {
		finish(p, SIP_HOP_BUSY, (int64_t)sip->sip_retry_after->af_delta, NULL);
	} else {
		snprintf(why, sizeof(why), "OPTIONS was answered %d", status);
		finish(p, SIP_HOP_REFUSED, 0, why);
	}
	return 0;
}

static bool send_options(struct ping *p, const char *uri, enum transport transport)
{
	char own[SIP_URI_SIZE], branch[BRANCH_SIZE];
	const struct sip_send options = { .method = "OPTIONS", .pool = POOL_NEW };
	struct sip_dialog *once;
	msg_t *msg;

	if (!endpoint_contact(p->ep, transport, own))
		return false;
	once = sip_dialog_create(POOL_NEW, own, uri, NULL);
	p->ep->cseq = (p->ep->cseq + 1) & 0x7fffffff;
	msg = endpoint_build(p->ep, &options, once, p->ep->cseq);
	sip_dialog_free(once);
	if (msg == NULL)
		return false;
	endpoint_branch(branch);
	p->orq = nta_outgoing_mcreate(p->ep->agent, on_response, p, URL_STRING_MAKE(uri), msg,
				      NTATAG_BRANCH_KEY(branch), TAG_END());
	if (p->orq == NULL)
		msg_destroy(msg);
	return p->orq != NULL;
}

void endpoint_ping(void *ctx, const struct sip_hop *hop)
{
	struct sip_endpoint *ep = ctx;
	struct ping *p = xcalloc(1, sizeof(*p));

	p->ep = ep;
	p->hop = hop->id;
	p->timer = loop_timer_create(ep->loop, on_timer, p);
	DL_APPEND(ep->pings, p);
	if (send_options(p, hop->uri, hop->transport)) {
		p->outcome = SIP_HOP_SILENT;
		loop_timer_set(p->timer, PATIENCE_MS);
	} else {
		p->outcome = SIP_HOP_REFUSED;
		loop_timer_set(p->timer, 0);
	}
}

void endpoint_end_pings(struct sip_endpoint *ep)
{
	while (ep->pings != NULL)
		free_ping(ep->pings);
}
