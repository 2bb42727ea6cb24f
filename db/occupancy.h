/*
 * occupancy.h - how many messages and bytes wait in the spool: of each user, for each hop, and of all. In memory.
 * Internal to db/.
 */
#ifndef POOLBRIDGE_DB_OCCUPANCY_H
#define POOLBRIDGE_DB_OCCUPANCY_H

#include "db/spool.h"

struct occupancy;

struct occupancy *occupancy_create(void);
void occupancy_destroy(struct occupancy *o); /* NULL is allowed */
void occupancy_clear(struct occupancy *o);

/* So many messages more, of so many bytes together; or less. */
void occupancy_add(struct occupancy *o, const char *user, enum spool_hop hop, int64_t messages,
		   int64_t bytes);

struct spool_occupancy occupancy_of_all(const struct occupancy *o);
struct spool_occupancy occupancy_of_hop(const struct occupancy *o, enum spool_hop hop);
struct spool_occupancy occupancy_of_user(const struct occupancy *o, const char *user);

#endif
