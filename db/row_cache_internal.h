/*
 * row_cache_internal.h - rows of one table of the registry that were read before, by
 * the key that they were asked for. Internal to db/.
 *
 * Each is good for one stamp, that of the registry as it was read
 * (registry_view.c): what was kept under another one is not found. A cache has a
 * fixed number of places, one for each hash; who comes later takes the place. So it
 * never holds more than its places, and nothing has to be cleared. What has a key of
 * more than 255 bytes is not kept.
 */
#ifndef POOLBRIDGE_DB_ROW_CACHE_INTERNAL_H
#define POOLBRIDGE_DB_ROW_CACHE_INTERNAL_H

#include "bridge/core/base.h"

struct row_cache;

/* places: a power of two. */
struct row_cache *row_cache_create(size_t places);
void row_cache_destroy(struct row_cache *c); /* NULL is allowed */

/* What was kept for the key, valid until the next row_cache_put(); *size may be 0. NULL: nothing. */
const void *row_cache_find(const struct row_cache *c, uint64_t stamp, const char *key, size_t *size);
/* Keeps a copy of size bytes. */
void row_cache_put(struct row_cache *c, uint64_t stamp, const char *key, const void *row, size_t size);

#endif
