/*
 * gateway_internal.h - what the two directions of the gateway share.
 */
#ifndef POOLBRIDGE_GATEWAY_GATEWAY_INTERNAL_H
#define POOLBRIDGE_GATEWAY_GATEWAY_INTERNAL_H

#include "bridge/core/log.h"
#include "bridge/gateway/gateway.h"
#include "bridge/gateway/map.h"

enum {
	TEXT_SIZE = 1024, /* a subject; a reason phrase */
	CALL_ID_SIZE = 256,
	ID_PREFIX_SIZE = 17 /* 64 random bits */
};

/* The pairs whose next message may go out as soon as there is room, and how many are out already. */
struct window {
	struct pair *ready;
	size_t under_way;
};

struct gateway {
	struct loop *loop;
	const struct config *config;
	struct router *router;
	struct sip_endpoint *endpoint; /* NULL: no SIP is configured */
	bool stopped;
	struct loop_timer *stop_timer; /* NULL: not stopping, or stopped */
	void (*finished)(void *ctx);
	void *finished_ctx;
	struct pair *pairs;      /* XMPP -> SIP: a queue for each (from, to) that has something in it */
	size_t queued;           /* in all of them, those under way too */
	struct window window[2]; /* by pool: a silent one must not hold up the other */
	struct inbound *inbound; /* SIP -> XMPP: what waits to be delivered, by stanza id */
	char id_prefix[ID_PREFIX_SIZE];
	uint64_t id_counter;
	/* Counters for status. */
	uint64_t to_sip, to_sip_failed, to_xmpp, to_xmpp_failed, bodiless, dropped;
};

/* XMPP -> SIP: a message that is no error. Calls done once. */
void gateway_send(struct gateway *g, struct stanza *stanza, enum pool pool, delivery_fn *done,
		  void *done_ctx);
/* What waits for its turn fails. */
void gateway_fail_queued(struct gateway *g);
/* What is under way fails too. */
void gateway_fail_sent(struct gateway *g);
size_t gateway_under_way(const struct gateway *g);
/* After each outcome: stopping may have waited for this one. */
void gateway_check_stopped(struct gateway *g);
size_t gateway_pair_count(const struct gateway *g);

/* SIP -> XMPP. */
sip_request_fn gateway_receive;
/* A message of type error: the answer to a request that still waits, or nothing's. */
void gateway_take_error(struct gateway *g, const struct stanza *stanza);
/* Waiting requests are answered 503. */
void gateway_end_receiving(struct gateway *g);
/* What is still on its way through the router must not come back here. */
void gateway_abandon_receiving(struct gateway *g);

#endif
