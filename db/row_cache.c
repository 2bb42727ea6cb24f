/*
 * row_cache.c - places by hash, one row in each.
 *
 * Of names that somebody makes up, the long ones are not kept: a place never gives back what it has taken.
 *
 * Owns the rows. Nothing fails.
 */
#include "db/row_cache_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/hash.h"

enum { KEY_SIZE = 256 };

struct place {
	uint64_t stamp, hash;
	size_t size, capacity;
	size_t key_size; /* with its NUL */
	char bytes[];    /* the row, then the key */
};

struct row_cache {
	struct place **places;
	size_t count;
};

struct row_cache *row_cache_create(size_t places)
{
	struct row_cache *c = xcalloc(1, sizeof(*c));

	c->count = places;
	c->places = xcalloc(places, sizeof(struct place *));
	return c;
}

void row_cache_destroy(struct row_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->count; i++)
		free(c->places[i]);
	free(c->places);
	free(c);
}

static uint64_t hash_of(const char *key, size_t *size)
{
	*size = strlen(key) + 1;
	return hash_bytes(key, *size - 1);
}

const void *row_cache_find(const struct row_cache *c, uint64_t stamp, const char *key, size_t *size)
{
	size_t key_size;
	const uint64_t hash = hash_of(key, &key_size);
	const struct place *p = c->places[hash & (c->count - 1)];

	if (p == NULL || p->stamp != stamp || p->hash != hash || p->key_size != key_size ||
	    memcmp(p->bytes + p->size, key, key_size) != 0)
		return NULL;
	*size = p->size;
	return p->bytes;
}

void row_cache_put(struct row_cache *c, uint64_t stamp, const char *key, const void *row, size_t size)
{
	size_t key_size;
	const uint64_t hash = hash_of(key, &key_size);
	struct place **place = &c->places[hash & (c->count - 1)], *p = *place;

	if (key_size > KEY_SIZE)
		return;
	if (p == NULL || p->capacity < size + key_size) {
		p = *place = xrealloc(p, sizeof(*p) + size + key_size);
		p->capacity = size + key_size;
	}
	p->stamp = stamp;
	p->hash = hash;
	p->size = size;
	p->key_size = key_size;
	memcpy(p->bytes, row, size);
	memcpy(p->bytes + size, key, key_size);
}
