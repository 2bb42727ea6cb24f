/*
 * gateway_internal.h - what the two directions of the gateway share.
 */
#ifndef POOLBRIDGE_GATEWAY_GATEWAY_INTERNAL_H
#define POOLBRIDGE_GATEWAY_GATEWAY_INTERNAL_H

#include "bridge/core/log.h"
#include "bridge/core/shares.h"
#include "bridge/gateway/gateway.h"
#include "bridge/gateway/map.h"
#include "bridge/sip/relay.h"

struct conversation;
struct correspondent;
struct ledger;
struct presence_book;
struct map_content;
struct session;

enum {
	TEXT_SIZE = 1024, /* a subject; a reason phrase */
	CALL_ID_SIZE = 256,
	ID_PREFIX_SIZE = 17 /* 64 random bits */
};

/* The conversations whose next message may go out as soon as there is room, and how many are out already. */
struct window {
	struct conversation *ready;
	size_t under_way;
};

struct gateway {
	struct loop *loop;
	const struct config *config;
	struct router *router;
	struct sip_endpoint *endpoint; /* NULL: no SIP is configured */
	struct sip_relay *relay;       /* likewise */
	bool stopped;
	int64_t t1_ms;                 /* SIP's timer T1, from which other times follow */
	struct loop_timer *stop_timer; /* NULL: not stopping, or stopped */
	void (*finished)(void *ctx);
	void *finished_ctx;
	struct conversation *conversations;   /* by both addresses */
	struct conversation *by_use;          /* the same, the one used last at the end */
	struct correspondent *correspondents; /* by the pool's user */
	struct session *sessions;             /* by dialog */
	struct session *callers;              /* the same, by what their callers know of it */
	struct session *answering;            /* by the INVITE that waits for its answer */
	struct presence_book *presence;
	struct shares queued;        /* XMPP -> SIP, those under way too; by partner */
	struct window window[POOLS]; /* a silent pool must not hold up the other */
	enum pool_mode works[POOLS]; /* what its users took last; POOL_AUTO: not known */
	struct letting *letting;     /* SIP -> SIP: what has been let go, until its response */
	size_t letting_count;
	struct inbound *inbound; /* SIP -> XMPP: what waits to be delivered, by stanza id */
	char id_prefix[ID_PREFIX_SIZE];
	uint64_t id_counter;
	/* Counters for status. */
	uint64_t to_sip, to_sip_failed, to_xmpp, to_xmpp_failed, bodiless, dropped, unacked;
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
enum pool_mode gateway_pool_mode(const struct gateway *g, enum pool pool);

/* The answer to what is asked about a user of a pool; false: it is none that is answered. */
bool gateway_answer_iq(struct gateway *g, const struct stanza *iq);

/* SIP -> XMPP. */
sip_request_fn gateway_receive;
/* The answer to a request that ends here, and its line in the log. */
void gateway_refuse(struct gateway *g, const struct sip_request *r, unsigned status, const char *phrase,
		    const char *header);
/* What nobody waits for: typing, receipts. */
void gateway_submit(struct gateway *g, struct stanza *stanza);
/* The same for what ends something that the gateway has shown: it goes wherever the user lives now. */
void gateway_take_back(struct gateway *g, struct stanza *stanza);
void gateway_take_notice(struct conversation *c, const struct map_content *content); /* c may be NULL */
/* A message of type error: the answer to a request that still waits, or nothing's. */
void gateway_take_error(struct gateway *g, const struct stanza *stanza);
/* Waiting requests are answered 503; unless it is late, only those whose session closes. */
void gateway_end_receiving(struct gateway *g, bool late);
bool gateway_is_receiving(const struct gateway *g);
/* What is still on its way through the router must not come back here. */
void gateway_abandon_receiving(struct gateway *g);

#endif
