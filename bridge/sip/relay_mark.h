/*
 * relay_mark.h - what the relay writes into its own header fields so that it
 * knows them again: the mark of a dialog in Record-Route, and the loop hash in
 * the branch of Via. Pure, but for the key.
 */
#ifndef POOLBRIDGE_SIP_RELAY_MARK_H
#define POOLBRIDGE_SIP_RELAY_MARK_H

#include "bridge/core/config.h"

enum { RELAY_KEY_SIZE = 32, RELAY_MARK_SIZE = 2 + 32 + 1, RELAY_BRANCH_SIZE = 7 + 16 + 1 + 24 + 1 };

struct relay_key {
	unsigned char bytes[RELAY_KEY_SIZE];
};

/* secret NULL or "": random, so that marks end with the process. */
void relay_key_make(const char *secret, struct relay_key *out);

/*
 * The mark of a dialog that the caller with this tag began: it names the pools
 * of both sides, and is no other dialog's.
 */
void relay_mark_make(const struct relay_key *key, const char *call_id, const char *caller_tag,
		     enum pool caller, enum pool callee, char out[RELAY_MARK_SIZE]);
/* Is it the mark of this request's dialog? Then to is the side that the request goes to. */
bool relay_mark_read(const struct relay_key *key, const char *mark, const char *call_id, const char *from_tag,
		     const char *to_tag, enum pool *to);

/*
 * A branch (RFC 3261 section 16.6 step 8): the same route is the same for each
 * passage of a request that nobody has changed; salt tells the passages apart,
 * NULL is random.
 */
void relay_branch_make(const struct relay_key *key, const char *route, const char *salt,
		       char out[RELAY_BRANCH_SIZE]);
/* Was this branch made for the same route? */
bool relay_branch_matches(const char *branch, const char other[RELAY_BRANCH_SIZE]);

#endif
