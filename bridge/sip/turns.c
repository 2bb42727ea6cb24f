/*
 * turns.c - the recipients of requests, each with what is under way to him and
 * what waits, in order. Those of whom something waits take turns.
 *
 * A recipient of whom there is nothing is forgotten. Does not know what a seat
 * stands for; the seats belong to the requests.
 */
#include "bridge/sip/turns.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/core/hash.h"

struct turns_lane {
	size_t under_way;
	struct turns_seat *waiting;
	struct turns_lane *prev, *next; /* of those that wait */
	UT_hash_handle hh;
	char name[];
};

static bool may_go(const struct turns *w, const struct turns_lane *lane)
{
	return w->under_way + lane->under_way < w->max;
}

static struct turns_lane *find(struct turns *w, const char *name)
{
	size_t length = strlen(name);
	struct turns_lane *lane;

	HASH_FIND(hh, w->by_name, name, length, lane);
	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane) + length + 1);
	memcpy(lane->name, name, length + 1);
	HASH_ADD_KEYPTR(hh, w->by_name, lane->name, length, lane);
	return lane;
}

static void forget(struct turns *w, struct turns_lane *lane)
{
	if (lane->under_way > 0 || lane->waiting != NULL)
		return;
	HASH_DEL(w->by_name, lane);
	free(lane);
}

static void go(struct turns *w, struct turns_lane *lane)
{
	lane->under_way++;
	w->under_way++;
}

static void stop_waiting(struct turns *w, struct turns_seat *seat)
{
	struct turns_lane *lane = seat->lane;

	seat->waits = false;
	DL_DELETE(lane->waiting, seat);
	w->waiting--;
	if (lane->waiting == NULL)
		DL_DELETE(w->ring, lane);
}

enum turns_place turns_enter(struct turns *w, struct turns_seat *seat, const char *recipient,
			     size_t waiting_max)
{
	struct turns_lane *lane = find(w, recipient);

	if (lane->waiting == NULL && may_go(w, lane)) {
		seat->lane = lane;
		go(w, lane);
		return TURNS_GOES;
	}
	if (w->waiting >= waiting_max) {
		forget(w, lane);
		return TURNS_FULL;
	}
	if (lane->waiting == NULL)
		DL_APPEND(w->ring, lane);
	seat->lane = lane;
	seat->waits = true;
	DL_APPEND(lane->waiting, seat);
	w->waiting++;
	return TURNS_WAITS;
}

void turns_leave(struct turns *w, struct turns_seat *seat)
{
	struct turns_lane *lane = seat->lane;

	if (lane == NULL)
		return;
	if (seat->waits) {
		stop_waiting(w, seat);
	} else {
		lane->under_way--;
		w->under_way--;
	}
	seat->lane = NULL;
	forget(w, lane);
}

/* Who may not go has something under way: there are no more of them than that. */
struct turns_seat *turns_next(struct turns *w)
{
	struct turns_lane *lane;

	if (w->under_way >= w->max)
		return NULL;
	DL_FOREACH (w->ring, lane) {
		struct turns_seat *seat = lane->waiting;

		if (!may_go(w, lane))
			continue;
		stop_waiting(w, seat);
		go(w, lane);
		if (lane->waiting != NULL) {
			DL_DELETE(w->ring, lane);
			DL_APPEND(w->ring, lane);
		}
		return seat;
	}
	return NULL;
}
