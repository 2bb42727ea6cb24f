/*
 * relay.h - the SIP relay: a transaction-stateful proxy (RFC 3261 section 16)
 * between the pools, on the endpoint's listeners.
 *
 * What it takes from the network by itself: requests of dialogs that it has
 * record-routed, their ACKs, and repeated 2xx to INVITE. Which pool a request
 * outside a dialog goes to is its caller's decision. It sends to nobody but the
 * pools' next hops and the endpoint's peers.
 */
#ifndef POOLBRIDGE_SIP_RELAY_H
#define POOLBRIDGE_SIP_RELAY_H

#include "bridge/sip/endpoint.h"

struct sip_relay;

/* Destroyed before its endpoint: what is under way is answered 503. */
struct sip_relay *sip_relay_create(struct sip_endpoint *ep);
void sip_relay_destroy(struct sip_relay *r); /* NULL is allowed */
/* Nothing more is taken (503); what is under way goes on. */
void sip_relay_stop(struct sip_relay *r);

/*
 * Take the request's transaction over and forward it to the pool's next hop,
 * during its callback only. Refused here: 483, 482, 420, 413, 503.
 */
void sip_relay_forward(struct sip_relay *r, const struct sip_request *request, enum pool to);

json_t *sip_relay_status(const struct sip_relay *r); /* counters; the caller owns it */

#endif
