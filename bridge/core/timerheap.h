/*
 * timerheap.h - a binary heap of deadlines, for the loop's timers: pure, knows
 * no clock. Entries are embedded in the caller's objects.
 */
#ifndef POOLBRIDGE_CORE_TIMERHEAP_H
#define POOLBRIDGE_CORE_TIMERHEAP_H

#include "bridge/core/base.h"

struct timer_entry {
	int64_t when;
	uint64_t order; /* among equal deadlines: first set, first out */
	size_t place;   /* in the heap, from 1; 0: not in it */
};

struct timerheap { /* zero-initialise it */
	struct timer_entry **slot;
	size_t count, cap;
	uint64_t last_order;
};

void timerheap_put(struct timerheap *h, struct timer_entry *e, int64_t when); /* moves one that is there */
void timerheap_remove(struct timerheap *h, struct timer_entry *e);            /* also when it is not there */
struct timer_entry *timerheap_first(const struct timerheap *h);               /* NULL when empty */
void timerheap_free(struct timerheap *h); /* the entries are the caller's */

#endif
