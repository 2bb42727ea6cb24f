/*
 * fuzz.h - what every fuzz target shares.
 *
 * A target is one file with LLVMFuzzerTestOneInput(): under libFuzzer it is
 * given inputs without end ('make fuzz'), under replay.c those of its corpus
 * ('make check').
 */
#ifndef POOLBRIDGE_TESTS_FUZZ_H
#define POOLBRIDGE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold in every build. */
#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#endif
