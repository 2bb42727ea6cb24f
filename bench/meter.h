/*
 * meter.h - what two playing ends know of the messages between them: how many are under way,
 * how long each took, and what went wrong.
 *
 * They share a file. One end sends, the other one receives; the one that sends learns of room
 * in its window from there, since no protocol would tell it what the other one has read. Messages
 * are those of one flow (struct numbered); errors come back to the end that sent them.
 *
 * Owned by the process; nothing is freed. A file that cannot be had ends the program.
 */
#ifndef POOLBRIDGE_BENCH_METER_H
#define POOLBRIDGE_BENCH_METER_H

#include "bench/end.h"

/* Both ends, before end_run(). Numbers are spread over so many pairs, the same for both. */
void meter_open(const char *path, unsigned pairs);
bool meter_is_open(void);
/* Readable when the end that sends has been woken; it is to call meter_awake() then. */
int meter_descriptor(void);
void meter_awake(void);

/* --- the end that sends --- */

/* What meter_say() tells is counted from here. */
void meter_begin(void);
void meter_sent(const struct numbered *m);
void meter_error(const struct numbered *m);
/* Fewer than window are under way; else the end is woken when an eighth of the window is free. */
bool meter_has_room(uint64_t window);
/* Nothing is under way; else the end is woken then. */
bool meter_is_done(void);
/* A line of JSON on standard output: what became of the messages since meter_begin(). */
void meter_say(void);

/* --- the end that receives --- */

void meter_got(const struct numbered *m);
/* At the end of a turn: wake who waits for what came. */
void meter_turn(void);

#endif
