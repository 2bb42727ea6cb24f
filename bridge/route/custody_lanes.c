/*
 * custody_lanes.c - which lanes may go, which wait, and whose they are.
 *
 * A lane that keeps something is in one place at most: to be looked at, because
 * something about it has changed; ready, for its next hop; or waiting for its
 * time. One whose first message is on its way, or that waits for a commit, is
 * in none: whatever ends that has it looked at (lane_look). So a tick costs as
 * much as there is to be done, however many lanes wait.
 *
 * Lanes are also found by the user whom their messages are for.
 *
 * Owns the lanes. Nothing is fatal.
 */
#include "bridge/route/custody_internal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* --- places --- */

static struct lane **list_of(const struct lane *lane)
{
	struct custody *c = lane->custody;

	return lane->place == LANE_TO_LOOK_AT ? &c->to_look_at : &c->ready[lane->ready_hop];
}

static void leave_place(struct lane *lane)
{
	if (lane->place == LANE_WAITING)
		timerheap_remove(&lane->custody->waiting, &lane->wait);
	else if (lane->place != LANE_NOWHERE)
		DL_DELETE2(*list_of(lane), lane, place_prev, place_next);
	lane->place = LANE_NOWHERE;
}

static void enter_list(struct lane *lane, enum lane_place place)
{
	leave_place(lane);
	lane->place = place;
	lane->ready_hop = lane->hop;
	DL_APPEND2(*list_of(lane), lane, place_prev, place_next);
}

void lane_look(struct lane *lane)
{
	/* One that is ready is looked at when it is taken. */
	if (lane->place != LANE_TO_LOOK_AT && lane->place != LANE_READY)
		enter_list(lane, LANE_TO_LOOK_AT);
}

static bool is_blocked(const struct lane *lane)
{
	return lane->count == 0 || lane->busy || lane->under_way > 0 || lane->counting > 0 ||
	       lane->failing > 0;
}

/* Its time has come, or it waits for that. */
static bool is_due(struct lane *lane, int64_t now)
{
	if (lane->retry_at <= now)
		return true;
	lane->place = LANE_WAITING;
	timerheap_put(&lane->custody->waiting, &lane->wait, lane->retry_at);
	return false;
}

static void place(struct lane *lane, int64_t now)
{
	leave_place(lane);
	if (lane->finished && lane->retry_at > 0) {
		if (is_due(lane, now))
			lane_leave_again(lane);
	} else if (!is_blocked(lane) && is_due(lane, now)) {
		enter_list(lane, LANE_READY);
	}
}

void lanes_place(struct custody *c, int64_t now)
{
	struct timer_entry *first;

	while ((first = timerheap_first(&c->waiting)) != NULL && first->when <= now)
		lane_look((struct lane *)((char *)first - offsetof(struct lane, wait)));
	while (c->to_look_at != NULL)
		place(c->to_look_at, now);
}

struct lane *lanes_take_ready(struct custody *c, enum spool_hop hop)
{
	const int64_t now = loop_now(c->setup.loop);
	struct lane *lane;

	while ((lane = c->ready[hop]) != NULL) {
		leave_place(lane);
		if (!is_blocked(lane) && is_due(lane, now))
			return lane;
	}
	return NULL;
}

/* --- whose they are --- */

struct lane_user {
	struct lane *lanes;
	UT_hash_handle hh;
	char name[];
};

static const char *name_of_user(const struct lane *lane)
{
	return lane->key + lane->from_length + 1;
}

static void enter_user(struct lane *lane)
{
	struct custody *c = lane->custody;
	const char *name = name_of_user(lane);
	struct lane_user *user;

	HASH_FIND_STR(c->users, name, user);
	if (user == NULL) {
		user = xcalloc(1, sizeof(*user) + strlen(name) + 1);
		strcpy(user->name, name);
		HASH_ADD_STR(c->users, name, user);
	}
	DL_APPEND2(user->lanes, lane, user_prev, user_next);
	lane->user = user;
	c->pairs++;
}

static void leave_user(struct lane *lane)
{
	struct lane_user *user = lane->user;

	DL_DELETE2(user->lanes, lane, user_prev, user_next);
	lane->user = NULL;
	lane->custody->pairs--;
	if (user->lanes != NULL)
		return;
	HASH_DEL(lane->custody->users, user);
	free(user);
}

void lanes_each(const struct custody *c, const char *name, void (*fn)(struct lane *lane, void *ctx),
		void *ctx)
{
	struct lane_user *user, *next;
	struct lane *lane;

	if (name != NULL) {
		HASH_FIND_STR(c->users, name, user);
		if (user != NULL)
			DL_FOREACH2 (user->lanes, lane, user_next)
				fn(lane, ctx);
		return;
	}
	HASH_ITER (hh, c->users, user, next)
		DL_FOREACH2 (user->lanes, lane, user_next)
			fn(lane, ctx);
}

/* --- lanes --- */

struct lane *custody_find(const struct custody *c, const char *key)
{
	struct lane *lane;

	HASH_FIND_STR(c->lanes, key, lane);
	return lane;
}

struct lane *custody_lane(struct custody *c, const char *key)
{
	struct lane *lane = custody_find(c, key);

	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane) + strlen(key) + 1);
	lane->custody = c;
	lane->from_length = strcspn(key, " ");
	strcpy(lane->key, key);
	HASH_ADD_KEYPTR(hh, c->lanes, lane->key, strlen(lane->key), lane);
	return lane;
}

static void free_lane(struct lane *lane)
{
	leave_place(lane);
	if (lane->user != NULL)
		leave_user(lane);
	HASH_DEL(lane->custody->lanes, lane);
	stanza_unref(lane->stanza);
	free(lane);
}

void lanes_free(struct custody *c)
{
	struct lane *lane, *next;

	HASH_ITER (hh, c->lanes, lane, next)
		free_lane(lane);
	timerheap_free(&c->waiting);
}

void lane_gained(struct lane *lane, size_t count)
{
	if (lane->count == 0)
		enter_user(lane);
	lane->count += count;
	lane_look(lane);
}

void lane_lost(struct lane *lane)
{
	if (lane->count > 0 && --lane->count == 0)
		leave_user(lane);
}

void lane_check(struct lane *lane)
{
	if (lane->count == 0 && lane->passes == 0 && !lane->busy && lane->counting == 0 && lane->failing == 0)
		free_lane(lane);
}

/* Where the spool cannot be read: too many is found out when the next one is to be let go. */
void lane_count_anew(struct lane *lane)
{
	int64_t count;

	if (spool_count_pair(lane->custody->setup.spool, lane->key, &count) != OK) {
		custody_trouble(lane->custody, 0);
		return;
	}
	while (lane->count > 0)
		lane_lost(lane);
	if (count > 0)
		lane_gained(lane, (size_t)count);
}

static void on_count(void *ctx, enum err e)
{
	struct lane *lane = ctx;

	(void)e; /* what was changed in vain is there still */
	lane_count_anew(lane);
	lane->counting--;
	lane_look(lane);
	custody_arm(lane->custody, CUSTODY_TICK_MS);
	lane_check(lane);
}

void lane_count(struct lane *lane)
{
	lane->counting++;
	state_on_commit(lane->custody->setup.state, on_count, lane);
}
