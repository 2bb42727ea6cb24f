/*
 * seen_ring.h - the newest so many hashes, found by value, in memory that grows
 * as they come. The oldest gives way; a pure data structure.
 *
 * Hashes are keyed (fingerprint.h), so nobody outside chooses where they fall.
 */
#ifndef POOLBRIDGE_ROUTE_SEEN_RING_H
#define POOLBRIDGE_ROUTE_SEEN_RING_H

#include "db/seen.h"

/* More with the same name, but other contents, push each other out: he who uses an id again and again. */
enum { SEEN_SAME_NAME_MAX = 8 };

struct seen_ring;

struct seen_ring *seen_ring_create(size_t bound); /* 1 to 2^31 */
void seen_ring_destroy(struct seen_ring *r);      /* NULL is allowed */

/* at and source come back from seen_ring_find(); content 0 is only a place in the order. */
void seen_ring_add(struct seen_ring *r, const struct seen_hash *hash, int32_t at, uint32_t source);
/* This name will be looked for soon: what that reads may be on its way from memory meanwhile. */
void seen_ring_expect(const struct seen_ring *r, uint64_t name);
/* The newest that is equal. */
bool seen_ring_find(const struct seen_ring *r, const struct seen_hash *hash, int32_t *at, uint32_t *source);
/* No hash with this name is found any more; their places remain. Whether there was one. */
bool seen_ring_forget(struct seen_ring *r, uint64_t name);

/* The order of coming, from 0: how many have come, and the oldest that is still there. */
uint64_t seen_ring_end(const struct seen_ring *r);
uint64_t seen_ring_begin(const struct seen_ring *r);
struct seen_hash seen_ring_at(const struct seen_ring *r, uint64_t position);
size_t seen_ring_memory(const struct seen_ring *r); /* bytes */

#endif
