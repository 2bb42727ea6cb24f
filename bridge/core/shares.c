/*
 * shares.c - how many of a limit each one has.
 *
 * Keeps nothing of a name that has none. A share that is given back without
 * having been taken is a mistake of the caller's.
 */
#include "bridge/core/shares.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/hash.h"

struct share {
	size_t count;
	UT_hash_handle hh;
	char name[];
};

static struct share *find(const struct shares *s, const char *name, size_t length)
{
	struct share *share;

	HASH_FIND(hh, s->by_name, name, length, share);
	return share;
}

bool shares_take(struct shares *s, const char *name, size_t length, size_t max)
{
	struct share *share = find(s, name, length);

	if (s->total + (share != NULL ? share->count : 0) >= max)
		return false;
	if (share == NULL) {
		share = xcalloc(1, sizeof(*share) + length);
		memcpy(share->name, name, length);
		HASH_ADD_KEYPTR(hh, s->by_name, share->name, length, share);
	}
	share->count++;
	s->total++;
	return true;
}

void shares_give(struct shares *s, const char *name, size_t length)
{
	struct share *share = find(s, name, length);

	assert(share != NULL);
	s->total--;
	if (--share->count > 0)
		return;
	HASH_DEL(s->by_name, share);
	free(share);
}

size_t shares_of(const struct shares *s, const char *name, size_t length)
{
	const struct share *share = find(s, name, length);

	return share != NULL ? share->count : 0;
}
