/*
 * turns.h - how many requests are under way to a pool, and in which order the
 * next ones go: in turns by recipient, so that one who never answers holds up
 * nobody but himself.
 *
 * A recipient has as many as he leaves for the others: half of all when he is
 * alone, and whoever comes new has one as long as there is any left. That is the
 * rule of shares.h, which knows nobody who waits.
 */
#ifndef POOLBRIDGE_SIP_TURNS_H
#define POOLBRIDGE_SIP_TURNS_H

#include "bridge/core/base.h"

struct turns_lane;

/* A request's; zero-initialise it, and set the owner. */
struct turns_seat {
	void *owner;
	struct turns_lane *lane; /* NULL: it is not in the window */
	bool waits;
	struct turns_seat *prev, *next;
};

/* Zero-initialise it, and set max; it owns nothing when every seat has left. */
struct turns {
	size_t max; /* under way at a time */
	size_t under_way, waiting;
	struct turns_lane *by_name, *ring;
};

enum turns_place { TURNS_GOES, TURNS_WAITS, TURNS_FULL };

/* waiting_max: of those that wait; FULL: it has not entered. */
enum turns_place turns_enter(struct turns *w, struct turns_seat *seat, const char *recipient,
			     size_t waiting_max);
/* Wherever it is, if anywhere; afterwards others may have their turn. */
void turns_leave(struct turns *w, struct turns_seat *seat);
/* One that waited, and is under way now; NULL: nobody may go. */
struct turns_seat *turns_next(struct turns *w);

#endif
