/*
 * hold.h - a MESSAGE for a colleague who is being moved: taken into custody, and
 * sent when it is let go.
 */
#ifndef POOLBRIDGE_GATEWAY_HOLD_H
#define POOLBRIDGE_GATEWAY_HOLD_H

#include "bridge/gateway/gateway_internal.h"

/* From now on what is let go leaves here. */
void hold_begin(struct gateway *g);
/* Those that were sent and not answered are given back: they are sent again. */
void hold_end(struct gateway *g);

/* Takes a request that gateway_route() has marked: 202 when it is kept, else 480. */
void hold_take(struct gateway *g, const struct sip_request *r);

#endif
