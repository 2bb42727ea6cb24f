/*
 * seen_ring.c - a ring of hashes with chained buckets over it.
 *
 * A place is its position modulo the bound. Until the bound is reached the ring
 * has not come round, so it can grow by copying. Buckets are chosen by the name:
 * one walk finds an equal hash, and all that is to be forgotten. A chain is
 * short, for equal names are limited and others fall anywhere.
 *
 * Owns its memory. Nothing fails.
 */
#include "bridge/route/seen_ring.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = 0, FIRST_CAPACITY = 64 };

struct place {
	struct seen_hash hash;
	int32_t at;
	uint32_t source;
	uint32_t next; /* the index of an older one in the same chain, + 1; NONE */
	bool chained;
};

struct seen_ring {
	struct place *places;
	uint32_t *buckets; /* the index of the newest of a chain, + 1; as many as a power of two */
	size_t bound, capacity, bucket_count;
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
	free(r->buckets);
	free(r);
}

/* --- chains --- */

static uint32_t *bucket_of(const struct seen_ring *r, uint64_t name)
{
	return &r->buckets[name & (r->bucket_count - 1)];
}

static void unchain(struct seen_ring *r, uint32_t *link)
{
	struct place *p = &r->places[*link - 1];

	*link = p->next;
	p->next = NONE;
	p->chained = false;
}

/* The link that leads to a place which is in its chain. */
static uint32_t *link_to(const struct seen_ring *r, size_t index)
{
	uint32_t *link = bucket_of(r, r->places[index].hash.name);

	while (*link != index + 1)
		link = &r->places[*link - 1].next;
	return link;
}

static void chain(struct seen_ring *r, size_t index)
{
	struct place *p = &r->places[index];
	uint32_t *bucket = bucket_of(r, p->hash.name);

	p->next = *bucket;
	p->chained = true;
	*bucket = (uint32_t)index + 1;
}

/* A chain has the newest first: the last ones with this name are the oldest. */
static void limit_name(struct seen_ring *r, uint64_t name)
{
	uint32_t *link = bucket_of(r, name);
	unsigned count = 0;

	while (*link != NONE) {
		struct place *p = &r->places[*link - 1];

		if (p->hash.name == name && ++count > SEEN_SAME_NAME_MAX)
			unchain(r, link);
		else
			link = &p->next;
	}
}

static void grow(struct seen_ring *r)
{
	size_t capacity = r->capacity > 0 ? 2 * r->capacity : FIRST_CAPACITY;

	r->places = xrealloc(r->places, (capacity < r->bound ? capacity : r->bound) * sizeof(*r->places));
	r->capacity = capacity < r->bound ? capacity : r->bound;
	free(r->buckets);
	r->bucket_count = capacity;
	r->buckets = xcalloc(capacity, sizeof(*r->buckets));
	for (size_t i = 0; i < r->end; i++)
		if (r->places[i].chained)
			chain(r, i);
}

/* --- what it is for --- */

void seen_ring_add(struct seen_ring *r, const struct seen_hash *hash, int32_t at, uint32_t source)
{
	size_t index = r->end % r->bound;
	struct place *p;

	if (r->end == r->capacity && r->capacity < r->bound)
		grow(r);
	p = &r->places[index];
	if (r->end >= r->bound && p->chained)
		unchain(r, link_to(r, index));
	*p = (struct place){ .hash = *hash, .at = at, .source = source };
	r->end++;
	if (hash->content == 0)
		return;
	chain(r, index);
	limit_name(r, hash->name);
}

bool seen_ring_find(const struct seen_ring *r, const struct seen_hash *hash, int32_t *at, uint32_t *source)
{
	const struct place *p;

	if (r->bucket_count == 0)
		return false;
	for (uint32_t i = *bucket_of(r, hash->name); i != NONE; i = p->next) {
		p = &r->places[i - 1];
		if (p->hash.name == hash->name && p->hash.content == hash->content) {
			*at = p->at;
			*source = p->source;
			return true;
		}
	}
	return false;
}

bool seen_ring_forget(struct seen_ring *r, uint64_t name)
{
	uint32_t *link = r->bucket_count > 0 ? bucket_of(r, name) : NULL;
	bool any = false;

	while (link != NULL && *link != NONE) {
		struct place *p = &r->places[*link - 1];

		if (p->hash.name == name) {
			unchain(r, link);
			any = true;
		} else {
			link = &p->next;
		}
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
	return r->capacity * sizeof(*r->places) + r->bucket_count * sizeof(*r->buckets);
}
