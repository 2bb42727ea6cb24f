/*
 * gateway_route.h - the one door for SIP requests from pools that are outside a
 * dialog: the gateway's, another pool's, or nobody's.
 */
#ifndef POOLBRIDGE_GATEWAY_GATEWAY_ROUTE_H
#define POOLBRIDGE_GATEWAY_GATEWAY_ROUTE_H

#include "bridge/gateway/gateway_internal.h"

/*
 * sip_setup's on_route; ctx is the gateway. True: the request has been relayed
 * or answered. False: it is for the endpoint and the gateway, which may refuse
 * what they do not understand.
 */
bool gateway_route(void *ctx, const struct sip_request *r);

#endif
