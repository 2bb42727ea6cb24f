/*
 * relay_dialog.c - what the relay takes from the network by itself.
 *
 * A request is the relay's when it belongs to a dialog that the relay has
 * record-routed: our URI stands in its topmost Route (or, behind a strict
 * router, in its Request-URI), with a mark that fits its Call-ID and tags. The
 * mark also says which side it goes to. One whose mark does not fit gets 481: it
 * names a dialog that was never relayed, or was made up. Without a mark it is
 * not the relay's affair.
 *
 * Keeps nothing. Nothing is fatal.
 */
#include "bridge/sip/relay_internal.h"

#include <string.h>

enum mark { MARK_NONE, MARK_BAD, MARK_GOOD };

static enum mark find_mark(const struct sip_relay *r, const sip_t *sip, struct relay_way *way)
{
	const char *from = sip->sip_from->a_tag, *to = sip->sip_to->a_tag;

	/* A CANCEL that is left to us has no transaction to cancel. */
	if (to == NULL || sip->sip_request->rq_method == sip_method_cancel)
		return MARK_NONE;
	if (!(sip->sip_route != NULL && relay_uri_mark(r, sip->sip_route->r_url, way->mark)) &&
	    !relay_uri_mark(r, sip->sip_request->rq_url, way->mark))
		return MARK_NONE;
	way->in_dialog = true;
	return relay_mark_read(&r->key, way->mark, sip->sip_call_id->i_id, from != NULL ? from : "", to,
			       &way->to)
		       ? MARK_GOOD
		       : MARK_BAD;
}

bool relay_on_request(void *ctx, nta_incoming_t *irq, msg_t *msg, sip_t *sip)
{
	struct sip_relay *r = ctx;
	struct relay_way way = { .to = POOL_NEW };
	enum mark mark = find_mark(r, sip, &way);

	if (mark == MARK_NONE)
		return false;
	if (mark == MARK_BAD)
		r->refused++;
	if (irq == NULL && mark == MARK_BAD)
		nta_msg_discard(r->ep->agent, msg);
	else if (irq == NULL)
		relay_pass(r, msg, &way);
	else if (mark == MARK_BAD)
		endpoint_refuse(irq, SIP_481_NO_CALL, NULL);
	else
		relay_start(r, irq, &way);
	return true;
}

bool relay_on_response(void *ctx, msg_t *msg, sip_t *sip)
{
	return relay_take_response(ctx, msg, sip);
}
