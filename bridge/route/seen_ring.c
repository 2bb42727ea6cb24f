/*
 * seen_ring.c - a ring of hashes, and an index over it.
 *
 * A place is its position modulo the bound. Until the bound is reached the ring
 * has not come round, so it can grow by copying. The index is a table with linear
 * probing, at most half full, by the low bits of the name, of which each slot has 32: who looks for a name
 * that is not there reads one line of memory, and none of the ring. That is most
 * of the cost, since nothing of either is in a cache when the next message comes.
 *
 * Owns its memory. Nothing fails.
 */
#include "bridge/route/seen_ring.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = 0, FIRST_CAPACITY = 64, AHEAD = 4 };

struct place {
	struct seen_hash hash;
	int32_t at;
	uint32_t source;
};

struct slot {
	uint32_t tag;   /* of the name */
	uint32_t index; /* of the place, + 1; NONE */
};

struct seen_ring {
	struct place *places;
	struct slot *slots;
	size_t bound, capacity;
	size_t mask; /* slots are one more */
	uint64_t end;
};

struct seen_ring *seen_ring_create(size_t bound)
{
	struct seen_ring *r = xcalloc(1, sizeof(*r));

	r->bound = bound;
	return r;
}

void seen_ring_destroy(struct seen_ring *r)
{
	if (r == NULL)
		return;
	free(r->places);
	free(r->slots);
	free(r);
}

/* --- the index --- */

static void put(struct seen_ring *r, size_t index)
{
	const uint32_t tag = (uint32_t)r->places[index].hash.name;
	size_t i = tag & r->mask;

	while (r->slots[i].index != NONE)
		i = (i + 1) & r->mask;
	r->slots[i] = (struct slot){ tag, (uint32_t)index + 1 };
}

/* What stands behind it moves up, but for what would then be before its home. */
static void take(struct seen_ring *r, size_t i)
{
	for (size_t j = (i + 1) & r->mask; r->slots[j].index != NONE; j = (j + 1) & r->mask) {
		const size_t home = r->slots[j].tag & r->mask;

		if (((j - home) & r->mask) < ((j - i) & r->mask))
			continue;
		r->slots[i] = r->slots[j];
		i = j;
	}
	r->slots[i].index = NONE;
}

/* From slot i on, the next place with this name; NULL: there is none. */
static const struct place *next_of(const struct seen_ring *r, uint64_t name, size_t *i)
{
	for (; r->slots[*i].index != NONE; *i = (*i + 1) & r->mask) {
		const struct place *p = &r->places[r->slots[*i].index - 1];

		if (r->slots[*i].tag == (uint32_t)name && p->hash.name == name)
			return p;
	}
	return NULL;
}

/* How many places ago it came. */
static size_t age_of(const struct seen_ring *r, const struct place *p)
{
	const size_t index = (size_t)(p - r->places), next = r->end % r->bound;

	return index < next ? next - index : next + r->bound - index;
}

/* The place is about to be used again: it may be in the index still. */
static void let_go(struct seen_ring *r, size_t index)
{
	const struct place *p = &r->places[index], *found;
	size_t i = p->hash.name & r->mask;

	if (p->hash.content == 0)
		return;
	while ((found = next_of(r, p->hash.name, &i)) != NULL && found != p)
		i = (i + 1) & r->mask;
	if (found != NULL)
		take(r, i);
}

/* The oldest of too many. One more came, so it is one at most. */
static void limit_name(struct seen_ring *r, uint64_t name)
{
	size_t count = 0, oldest = 0, most = 0;
	const struct place *p;

	for (size_t i = name & r->mask; (p = next_of(r, name, &i)) != NULL; i = (i + 1) & r->mask, count++) {
		if (age_of(r, p) < most)
			continue;
		most = age_of(r, p);
		oldest = i;
	}
	if (count > SEEN_SAME_NAME_MAX)
		take(r, oldest);
}

static void grow(struct seen_ring *r)
{
	const size_t capacity = r->capacity > 0 ? 2 * r->capacity : FIRST_CAPACITY;
	struct slot *old = r->slots;
	const size_t old_mask = r->mask;

	r->places = xrealloc(r->places, (capacity < r->bound ? capacity : r->bound) * sizeof(*r->places));
	r->capacity = capacity < r->bound ? capacity : r->bound;
	r->mask = 2 * capacity - 1;
	r->slots = xcalloc(2 * capacity, sizeof(*r->slots));
	for (size_t i = 0; old != NULL && i <= old_mask; i++)
		if (old[i].index != NONE)
			put(r, old[i].index - 1);
	free(old);
}

/* --- what it is for --- */

void seen_ring_add(struct seen_ring *r, const struct seen_hash *hash, int32_t at, uint32_t source)
{
	const size_t index = r->end % r->bound;

	if (r->end == r->capacity && r->capacity < r->bound)
		grow(r);
	if (r->end >= r->bound) {
		let_go(r, index);
		/* Many come in a row: what the next ones have to read may be on its way meanwhile. */
		__builtin_prefetch(&r->slots[r->places[(index + AHEAD) % r->bound].hash.name & r->mask]);
	}
	r->places[index] = (struct place){ .hash = *hash, .at = at, .source = source };
	r->end++;
	if (hash->content == 0)
		return;
	put(r, index);
	limit_name(r, hash->name);
}

void seen_ring_expect(const struct seen_ring *r, uint64_t name)
{
	if (r->slots != NULL)
		__builtin_prefetch(&r->slots[name & r->mask]);
}

bool seen_ring_find(const struct seen_ring *r, const struct seen_hash *hash, int32_t *at, uint32_t *source)
{
	const struct place *p, *newest = NULL;

	if (r->slots == NULL)
		return false;
	for (size_t i = hash->name & r->mask; (p = next_of(r, hash->name, &i)) != NULL; i = (i + 1) & r->mask)
		if (p->hash.content == hash->content && (newest == NULL || age_of(r, p) < age_of(r, newest)))
			newest = p;
	if (newest == NULL)
		return false;
	*at = newest->at;
	*source = newest->source;
	return true;
}

bool seen_ring_forget(struct seen_ring *r, uint64_t name)
{
	size_t i = name & r->mask;
	bool any = false;

	while (r->slots != NULL && next_of(r, name, &i) != NULL) {
		take(r, i); /* another one may stand there now */
		any = true;
	}
	return any;
}

uint64_t seen_ring_end(const struct seen_ring *r)
{
	return r->end;
}

uint64_t seen_ring_begin(const struct seen_ring *r)
{
	return r->end > r->bound ? r->end - r->bound : 0;
}

struct seen_hash seen_ring_at(const struct seen_ring *r, uint64_t position)
{
	return r->places[position % r->bound].hash;
}

size_t seen_ring_memory(const struct seen_ring *r)
{
	return r->capacity * sizeof(*r->places) + (r->slots != NULL ? r->mask + 1 : 0) * sizeof(*r->slots);
}
