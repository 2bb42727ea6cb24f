/*
 * timerheap.c - the classic binary heap, slot[i]'s children at 2i and 2i + 1.
 *
 * Every entry knows its place, so moving and removing one costs O(log n) too:
 * a stream sets its inactivity timer again at every stanza.
 */
#include "bridge/core/timerheap.h"

#include <stdlib.h>

static bool is_before(const struct timer_entry *a, const struct timer_entry *b)
{
	return a->when < b->when || (a->when == b->when && a->order < b->order);
}

static void place(struct timerheap *h, size_t i, struct timer_entry *e)
{
	h->slot[i] = e;
	e->place = i;
}

/* Let e, at home in slot i or meant for it, rise or sink to where it belongs. */
static void settle(struct timerheap *h, size_t i, struct timer_entry *e)
{
	for (; i > 1 && is_before(e, h->slot[i / 2]); i /= 2)
		place(h, i, h->slot[i / 2]);
	for (size_t child = 2 * i; child <= h->count; child = 2 * i) {
		if (child < h->count && is_before(h->slot[child + 1], h->slot[child]))
			child++;
		if (!is_before(h->slot[child], e))
			break;
		place(h, i, h->slot[child]);
		i = child;
	}
	place(h, i, e);
}

void timerheap_put(struct timerheap *h, struct timer_entry *e, int64_t when)
{
	e->when = when;
	e->order = ++h->last_order;
	if (e->place == 0) {
		if (++h->count >= h->cap) {
			h->cap = 2 * h->cap + 16;
			h->slot = xrealloc(h->slot, h->cap * sizeof(struct timer_entry *));
		}
		e->place = h->count;
	}
	settle(h, e->place, e);
}

void timerheap_remove(struct timerheap *h, struct timer_entry *e)
{
	size_t hole = e->place;
	struct timer_entry *last;

	if (hole == 0)
		return;
	e->place = 0;
	last = h->slot[h->count--];
	if (last != e)
		settle(h, hole, last);
}

struct timer_entry *timerheap_first(const struct timerheap *h)
{
	return h->count > 0 ? h->slot[1] : NULL;
}

void timerheap_free(struct timerheap *h)
{
	free(h->slot);
	*h = (struct timerheap){ NULL, 0, 0, 0 };
}
