/*
 * shares.h - a limit that many share: each may have as many as it leaves for the
 * others, so that one alone gets half of it, and none shuts the others out. With
 * SIZE_MAX for the limit it only counts.
 */
#ifndef POOLBRIDGE_CORE_SHARES_H
#define POOLBRIDGE_CORE_SHARES_H

#include "bridge/core/base.h"

struct share;

/* Zero-initialise it; it is empty again when all is given back. */
struct shares {
	struct share *by_name;
	size_t total;
};

/* name: of so many bytes. False, and nothing taken: it has enough. */
bool shares_take(struct shares *s, const char *name, size_t length, size_t max);
/* One that was taken. */
void shares_give(struct shares *s, const char *name, size_t length);
/* How much it has. */
size_t shares_of(const struct shares *s, const char *name, size_t length);

#endif
