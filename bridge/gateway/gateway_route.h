/*
 * gateway_route.h - the one door for SIP requests from pools that are outside a
 * dialog: the gateway's, another pool's, or nobody's.
 */
#ifndef POOLBRIDGE_GATEWAY_GATEWAY_ROUTE_H
#define POOLBRIDGE_GATEWAY_GATEWAY_ROUTE_H

#include "bridge/gateway/gateway_internal.h"

/* Seconds: moving a user takes minutes. */
#define RETRY_MOVED "Retry-After: 60"

/*
 * What becomes of a request that was neither relayed nor answered: it is for the
 * endpoint and the gateway, which may refuse what they do not understand.
 */
enum {
	WAY_GATEWAY, /* to XMPP, or nowhere */
	WAY_MOVING,  /* a MESSAGE to be kept: the recipient is being moved */
	WAY_BEHIND   /* likewise, behind older ones; plus the enum pool of the recipient */
};

/* sip_setup's on_route; ctx is the gateway. */
int gateway_route(void *ctx, const struct sip_request *r);

#endif
