/*
 * nearest.c - the known word nearest to an unknown one. Pure.
 *
 * It proposes, it never decides: the caller reports the unknown word as an
 * error and only mentions what is near.
 */
#include "bridge/core/nearest.h"

#include <string.h>

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

size_t nearest_distance(const char *a, const char *b)
{
	size_t row[NEAREST_WORD_MAX + 1], n = strlen(b);

	if (n > NEAREST_WORD_MAX || strlen(a) > NEAREST_WORD_MAX)
		return SIZE_MAX / 2;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];

			row[j] = smallest(above + 1, row[j - 1] + 1,
					  diagonal + (a[i - 1] != b[j - 1] ? 1 : 0));
			diagonal = above;
		}
	}
	return row[n];
}

void nearest_start(struct nearest *n, const char *word)
{
	*n = (struct nearest){ .word = word, .distance = strlen(word) / 3 + 2 };
}

void nearest_offer(struct nearest *n, const char *known)
{
	size_t distance = nearest_distance(n->word, known);

	if (distance < n->distance && str_copy(n->found, sizeof(n->found), known))
		n->distance = distance;
}
