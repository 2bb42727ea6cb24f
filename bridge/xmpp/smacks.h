/*
 * smacks.h - the arithmetic of stream management (XEP-0198), pure: which of the
 * received stanzas are finished, and what an acknowledgement covers.
 *
 * Counters are modulo 2^32 on the wire and 64 bits wide here.
 */
#ifndef POOLBRIDGE_XMPP_SMACKS_H
#define POOLBRIDGE_XMPP_SMACKS_H

#include "bridge/core/base.h"

#define NS_SM     "urn:xmpp:sm:3"
#define SM_WINDOW 4096 /* stanzas received and not finished; then no more are read */
/* What was read with the last of these comes all the same: 64 KiB of the shortest stanzas there are. */
#define SM_ROOM (SM_WINDOW + 4096)

/* Stanzas received on a stream, numbered from 0, each finished once, in any order. */
struct sm_received {
	uint64_t received;
	uint64_t finished; /* all before this number are */
	uint64_t asked;    /* how many had been received when the peer last asked */
	uint64_t told;     /* how many it has been told of */
	uint64_t done[SM_ROOM / 64];
};

/* The number of the stanza that just came. After sm_is_full() only what is left of one read. */
uint64_t sm_receive(struct sm_received *r);
bool sm_is_full(const struct sm_received *r);
void sm_finish(struct sm_received *r, uint64_t number);
/* What <a h=''/> says now: the longest finished prefix. The peer is told of it. */
uint32_t sm_tell(struct sm_received *r);
/* The peer asks: what it has sent so far is owed an answer. */
void sm_ask(struct sm_received *r);
/* All that the peer asked about is finished, and it does not know yet. */
bool sm_is_owed(const struct sm_received *r);

/* A decimal number of 32 bits, nothing else. */
MUST_CHECK enum err sm_parse_h(const char *text, uint32_t *out);

/*
 * How many of `sent` stanzas an h acknowledges, `acked` of them being acknowledged
 * before. ERR_LIMIT: more than were sent, or fewer than before (XEP-0198 section 4).
 */
MUST_CHECK enum err sm_acknowledged(uint64_t sent, uint64_t acked, uint32_t h, uint64_t *out);

#endif
