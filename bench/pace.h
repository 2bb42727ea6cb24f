/*
 * pace.h - when a playing end makes its messages: at a rate, a timer's tick for each, or as many
 * as its window allows; without end, or so many.
 *
 * Any failure ends the program.
 */
#ifndef POOLBRIDGE_BENCH_PACE_H
#define POOLBRIDGE_BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_WITHOUT_END UINT64_MAX

/* Readable when messages are due. */
int pace_open(void);
/* Messages a second; infinite: no rate but the window; 0: none. In force with the next pace_start(). */
void pace_set_rate(double rate);
void pace_start(uint64_t count);
void pace_stop(void);
/* Each turn: make what is due. send: false when it cannot, now. */
void pace_make(bool (*send)(void));
/* All of a count have been made, and pace_forget() was not called since. */
bool pace_has_finished(void);
void pace_forget(void);
void pace_close(void);

#endif
