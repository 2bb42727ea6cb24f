/*
 * hash.h - uthash's tables, with a hash that nobody can steer from outside.
 *
 * Addresses, Call-IDs and tags are the choice of those who send them. With
 * uthash's own hash they could be chosen so that they meet in one bucket, and each
 * look-up would go through all of them; ours has a key that each process makes anew.
 */
#ifndef POOLBRIDGE_CORE_HASH_H
#define POOLBRIDGE_CORE_HASH_H

#include <stddef.h>

unsigned hash_bytes(const void *bytes, size_t n);

#define HASH_FUNCTION(bytes, n, hash) ((hash) = hash_bytes(bytes, n))

#include <uthash.h>

#endif
