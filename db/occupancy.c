/*
 * occupancy.c - sums by user and by hop; who has nothing takes no memory.
 *
 * Owns what it counts by. Nothing fails.
 */
#include "db/occupancy.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct by_user {
	UT_hash_handle hh;
	struct spool_occupancy sum;
	char user[];
};

struct occupancy {
	struct spool_occupancy all, hops[SPOOL_HOPS];
	struct by_user *users;
};

struct occupancy *occupancy_create(void)
{
	return xcalloc(1, sizeof(struct occupancy));
}

void occupancy_clear(struct occupancy *o)
{
	struct by_user *u, *next;

	HASH_ITER (hh, o->users, u, next) {
		HASH_DEL(o->users, u);
		free(u);
	}
	*o = (struct occupancy){ .users = NULL };
}

void occupancy_destroy(struct occupancy *o)
{
	if (o == NULL)
		return;
	occupancy_clear(o);
	free(o);
}

static void add(struct spool_occupancy *sum, int64_t messages, int64_t bytes)
{
	sum->messages += messages;
	sum->bytes += bytes;
}

static struct by_user *find(const struct occupancy *o, const char *user)
{
	struct by_user *u;

	HASH_FIND_STR(o->users, user, u);
	return u;
}

void occupancy_add(struct occupancy *o, const char *user, enum spool_hop hop, int64_t messages, int64_t bytes)
{
	struct by_user *u = find(o, user);

	add(&o->all, messages, bytes);
	add(&o->hops[hop], messages, bytes);
	if (u == NULL) {
		u = xcalloc(1, sizeof(*u) + strlen(user) + 1);
		strcpy(u->user, user);
		HASH_ADD_STR(o->users, user, u);
	}
	add(&u->sum, messages, bytes);
	if (u->sum.messages == 0) {
		HASH_DEL(o->users, u);
		free(u);
	}
}

struct spool_occupancy occupancy_of_all(const struct occupancy *o)
{
	return o->all;
}

struct spool_occupancy occupancy_of_hop(const struct occupancy *o, enum spool_hop hop)
{
	return o->hops[hop];
}

struct spool_occupancy occupancy_of_user(const struct occupancy *o, const char *user)
{
	const struct by_user *u = find(o, user);

	return u != NULL ? u->sum : (struct spool_occupancy){ 0, 0 };
}
