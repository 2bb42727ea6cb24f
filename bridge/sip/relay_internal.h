/*
 * relay_internal.h - what the files of the SIP relay share.
 *
 *	relay.c          transactions: forwarding, responses, CANCEL, time-outs
 *	relay_dialog.c   what is taken from the network: requests of relayed dialogs
 *	relay_request.c  a received request as it goes on
 *	relay_mark.c     marks of dialogs, loop hashes
 */
#ifndef POOLBRIDGE_SIP_RELAY_INTERNAL_H
#define POOLBRIDGE_SIP_RELAY_INTERNAL_H

#include <sofia-sip/tport.h>

#include "bridge/core/hash.h"
#include "bridge/sip/endpoint_internal.h"
#include "bridge/sip/relay.h"
#include "bridge/sip/relay_mark.h"

struct relayed;

struct sip_relay {
	struct sip_endpoint *ep;
	struct relay_key key;
	struct relayed *under_way; /* all of them */
	struct relayed *accepted;  /* by branch: INVITEs with a 2xx, which may be repeated */
	size_t count;
	size_t to[POOLS]; /* of these */
	bool stopped;
	/* Counters for status. */
	uint64_t requests, acks, refused, loops, silent, unreachable, elsewhere;
};

/* Where a request goes, and which dialog it belongs to or may begin. */
struct relay_way {
	enum pool to;
	bool in_dialog;
	char mark[RELAY_MARK_SIZE];
	const tp_name_t *near; /* the listener that it came to; NULL: not known (ACK) */
};

/* Why a request is not forwarded; status 0: it is. */
struct relay_refusal {
	unsigned status;
	const char *phrase;
	char header[300]; /* a whole line, or "" */
};

/* A request as it leaves, but for our Via. */
struct relay_onward {
	msg_t *msg;
	char branch[RELAY_BRANCH_SIZE];
	struct endpoint_target target;
};

/* --- relay_request.c --- */

/* The mark in a URI of ours. False: it is not ours, or has none. */
bool relay_uri_mark(const struct sip_relay *r, const url_t *uri, char out[RELAY_MARK_SIZE]);
/* The listener that a request came to. */
const tp_name_t *relay_listener_of(const struct sip_relay *r, nta_incoming_t *irq);
/*
 * received stays as it is. failed: the target that was tried last, for the next
 * one; NULL: none yet. On success out->msg is the caller's.
 */
struct relay_refusal relay_make_onward(struct sip_relay *r, msg_t *received, const struct relay_way *way,
				       const struct endpoint_target *failed, struct relay_onward *out);
/* Whether a message's header, as it would be written, is lines without controls. */
bool relay_is_clean(msg_t *msg);
/* The CANCEL for a sent INVITE (RFC 3261 section 9.1), without Via. NULL: it cannot be made. */
msg_t *relay_make_cancel(struct sip_relay *r, nta_outgoing_t *invite);

/* --- relay.c --- */

/* Takes irq, whose request goes on, or is refused. way->near is filled in. */
void relay_start(struct sip_relay *r, nta_incoming_t *irq, struct relay_way *way);
/* ACK and BENOTIFY, which nobody answers (section 16.11). Takes msg. */
void relay_pass(struct sip_relay *r, msg_t *msg, const struct relay_way *way);
/* A repeated 2xx to an INVITE. False: it is none of ours, and msg is the caller's. */
bool relay_take_response(struct sip_relay *r, msg_t *msg, sip_t *sip);

/* --- relay_dialog.c --- */

/* endpoint_relay's callbacks; ctx is the relay. */
bool relay_on_request(void *ctx, nta_incoming_t *irq, msg_t *msg, sip_t *sip);
bool relay_on_response(void *ctx, msg_t *msg, sip_t *sip);

#endif
