/*
 * nearest.h - "did you mean ...?": the known word nearest to an unknown one.
 */
#ifndef POOLBRIDGE_CORE_NEAREST_H
#define POOLBRIDGE_CORE_NEAREST_H

#include "bridge/core/base.h"

#define NEAREST_WORD_MAX 253 /* bytes, a domain name; longer words are near nothing */

/* Levenshtein's distance in bytes, SIZE_MAX / 2 when a word is too long. */
size_t nearest_distance(const char *a, const char *b);

struct nearest {
	const char *word; /* borrowed */
	size_t distance;
	char found[NEAREST_WORD_MAX + 1]; /* "" while nothing is near */
};

/* A word is near when about one letter in three has to change. */
void nearest_start(struct nearest *n, const char *word);
void nearest_offer(struct nearest *n, const char *known);

#endif
