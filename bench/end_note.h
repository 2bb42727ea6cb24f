/* end_note.h - between end.c and end_note.c: the log of a playing end. */
#ifndef POOLBRIDGE_BENCH_END_NOTE_H
#define POOLBRIDGE_BENCH_END_NOTE_H

#include "bench/end.h"

/* NULL: nothing is noted. */
void notes_open(const char *path);
/* What was noted since the last time. */
void notes_write(void);
void notes_close(void);
unsigned long long notes_count(enum note note);

#endif
