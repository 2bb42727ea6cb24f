/*
 * ackmarks.h - which application bytes are acknowledged when the kernel counts
 * TLS records: a queue of (application offset, wire offset) marks.
 *
 * Pure: no descriptors, no TLS. Zero-initialise the struct, set acked to the
 * application bytes that came before the first mark.
 */
#ifndef POOLBRIDGE_XMPP_ACKMARKS_H
#define POOLBRIDGE_XMPP_ACKMARKS_H

#include "bridge/core/base.h"

struct ackmark {
	uint64_t app, wire;
};

struct ackmarks {
	uint64_t acked; /* application bytes known to be acknowledged; never falls */
	struct ackmark *mark;
	size_t first, count, cap;
};

/* The application bytes up to app end at wire offset wire. Both never fall from call to call. */
void ackmarks_add(struct ackmarks *m, uint64_t app, uint64_t wire);

/* The next add would need more memory: the time to settle what is acknowledged. */
bool ackmarks_full(const struct ackmarks *m);

/* The peer has the wire bytes up to wire. Returns the application bytes it therefore has. */
uint64_t ackmarks_settle(struct ackmarks *m, uint64_t wire);
void ackmarks_free(struct ackmarks *m);

#endif
