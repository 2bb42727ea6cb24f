/*
 * quick.h - numbered messages found in the bytes of a stream without parsing it: what receives is
 * not to be slower than what is measured.
 *
 * Only for streams of which it is known that elements named message hold no such element, and
 * that nothing else has "<message" in it. Pure.
 */
#ifndef POOLBRIDGE_BENCH_QUICK_H
#define POOLBRIDGE_BENCH_QUICK_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/end.h"

enum quick {
	QUICK_MESSAGE, /* one is there */
	QUICK_OTHER,   /* something else is: for the parser */
	QUICK_MORE     /* what is there is not whole */
};

struct quick_message {
	bool is_error, is_numbered; /* an error by its id, else by its body */
	struct numbered number;
};

/* What is at the beginning of the bytes, between first-level elements, and how long it is. data[size] is '\0'. */
enum quick quick_next(const char *data, size_t size, size_t *length, struct quick_message *out);

#endif
