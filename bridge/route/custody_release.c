/*
 * custody_release.c - letting go and trying again.
 *
 * Of each lane one message at most is on its way, the oldest; the next follows
 * when that one's next hop has it. A lane that must wait is tried again after a
 * growing time, or when its user's mark changes. Lanes take turns, so many at a
 * time.
 *
 * A message goes behind the commit of the turn that says so: what is not on disk
 * may yet be refused, and one that the process does not survive is to be known
 * by that, and put aside after some restarts. It leaves the spool only behind its
 * outcome: a crash between the two sends it again (the window that
 * docs/reliability.md states), never loses it.
 */
#include "bridge/route/custody_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "bridge/core/log.h"

enum {
	RELEASING_MAX = 128,  /* on their way at the same time, for each next hop */
	RELEASED_A_TICK = 32, /* for each: what else is in the turn waits for them */
	RETRY_MAX_MS = 10000,
	RETRY_MOVE_MS = 600000, /* a change of the mark wakes it */
	BEGUN_MAX = 10          /* ends of the process while one was on its way, before it is put aside */
};

/* --- letting go --- */

/* From half of it to all of it. */
static void retry_in(struct lane *lane, int64_t wait)
{
	lane->retry_at = loop_now(lane->custody->setup.loop) + wait / 2 +
			 (int64_t)arc4random_uniform((uint32_t)(wait / 2));
}

void lane_await_move(struct lane *lane)
{
	retry_in(lane, RETRY_MOVE_MS);
}

static void back_off(struct lane *lane)
{
	int64_t wait = CUSTODY_RETRY_MS;

	for (unsigned i = 0; i < lane->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	if (wait > RETRY_MAX_MS)
		wait = RETRY_MAX_MS;
	lane->failures++;
	retry_in(lane, wait);
	lane_look(lane);
}

static void on_aside(void *ctx, enum err e)
{
	struct lane *lane = ctx;

	lane->busy = false;
	lane->retry_at = e == OK ? 0 : loop_now(lane->custody->setup.loop) + CUSTODY_RETRY_MS;
	if (e == OK)
		lane_lost(lane);
	lane_look(lane);
	custody_arm(lane->custody, e == OK ? 0 : CUSTODY_TICK_MS);
	lane_check(lane);
}

/* The ones behind it go on, when that is on disk. */
static void put_aside(struct lane *lane, const char *why)
{
	struct custody *c = lane->custody;

	log_event(LOG_WARNING, "spool-quarantine", NULL, "id=%lld pair=%s why=%s", (long long)lane->id,
		  log_value(lane->key), log_value(why));
	if (spool_quarantine(c->setup.spool, lane->id, why) != OK) {
		custody_trouble(c, lane->id);
		back_off(lane);
		return;
	}
	lane->busy = true;
	state_on_commit(c->setup.state, on_aside, lane);
}

/* Only now is it certain that a restart does not send it again; a commit that failed left it there. */
static void on_left(void *ctx, enum err e)
{
	struct lane *lane = ctx;

	if (e != OK) {
		lane->retry_at = loop_now(lane->custody->setup.loop) + CUSTODY_RETRY_MS;
		lane_look(lane);
		custody_arm(lane->custody, CUSTODY_TICK_MS);
		lane_check(lane);
		return;
	}
	lane->busy = false;
	lane->finished = false;
	if (!lane->erased)
		lane_lost(lane);
	lane_look(lane);
	if (lane->count > 0)
		custody_arm(lane->custody, 0);
	lane_check(lane);
}

static void leave_spool(struct lane *lane)
{
	struct custody *c = lane->custody;
	enum err e = spool_remove(c->setup.spool, lane->id);

	lane->erased = e == ERR_NOT_FOUND;
	if (e != OK && !lane->erased) {
		custody_trouble(c, lane->id);
		on_left(lane, e);
		return;
	}
	state_on_commit(c->setup.state, on_left, lane);
}

void lane_leave_again(struct lane *lane)
{
	lane->retry_at = 0;
	leave_spool(lane);
}

static void wake_if_of_hop(struct lane *lane, void *ctx)
{
	if (lane->finished || lane->hop != *(const enum spool_hop *)ctx)
		return;
	lane->retry_at = 0;
	lane_look(lane);
}

/* A next hop that was away takes messages again. */
static void wake_hop(struct custody *c, enum spool_hop hop)
{
	if (!c->away[hop])
		return;
	c->away[hop] = false;
	lanes_each(c, NULL, wake_if_of_hop, &hop);
}

static void wait_again(struct lane *lane, enum release release, enum spool_hop hop,
		       const struct outcome *outcome)
{
	struct custody *c = lane->custody;

	lane->busy = false;
	lane->hop = hop;
	if (release == RELEASE_WAIT)
		c->away[hop] = true;
	if (spool_defer(c->setup.spool, lane->id, hop, outcome->text != NULL ? outcome->text : "") != OK)
		custody_trouble(c, lane->id);
	if (release == RELEASE_WAIT && hop == SPOOL_MOVE)
		lane_await_move(lane);
	else
		back_off(lane);
	lane_look(lane);
	custody_arm(c, CUSTODY_TICK_MS);
	lane_check(lane);
}

/* Its lane goes on when the row says so. */
static void fail(struct lane *lane, struct stanza *stanza, enum spool_hop hop, const struct outcome *outcome)
{
	struct custody *c = lane->custody;
	const struct failure f = {
		.id = lane->id, .lane = lane, .stanza = stanza, .hop = hop, .origin = lane->origin
	};

	lane->busy = false;
	lane->failures = 0;
	lane->retry_at = 0;
	custody_tell(c, &f, outcome);
}

static void arrived(struct lane *lane, enum spool_hop hop)
{
	struct custody *c = lane->custody;

	c->released++;
	lane->failures = 0;
	lane->retry_at = 0;
	lane->finished = true;
	wake_hop(c, hop);
	leave_spool(lane);
}

static void on_release(void *ctx, enum release release, enum spool_hop hop, const struct outcome *outcome)
{
	struct lane *lane = ctx;
	struct custody *c = lane->custody;
	struct stanza *stanza = lane->stanza;

	lane->stanza = NULL;
	c->releasing[lane->hop]--;
	if (c->ready[lane->hop] != NULL)
		custody_arm(c, 0);
	if (release == RELEASE_FAILED && c->ended)
		lane->busy = false; /* no word reaches its sender any more: it stays, for the next start */
	else if (release == RELEASE_FAILED)
		fail(lane, stanza, hop, outcome);
	else if (release == RELEASE_WAIT || release == RELEASE_AGAIN)
		wait_again(lane, release, hop, outcome);
	else
		arrived(lane, hop);
	stanza_unref(stanza);
}

struct taking {
	struct lane *lane;
	struct stanza *stanza;
	enum spool_hop hop;
	enum spool_origin origin;
	int64_t received_at, begun;
	bool unreadable;
};

static bool take_row(void *ctx, const struct spool_message *m)
{
	struct taking *t = ctx;

	t->lane->id = m->id;
	t->hop = m->hop;
	t->origin = m->origin;
	t->received_at = m->received_at;
	t->begun = m->begun;
	t->unreadable = stanza_parse(m->stanza, m->size, &t->stanza) != OK;
	return false;
}

/* The stanza as it leaves: with the time that it waited. */
static void stamp(struct taking *t, const struct jid *to)
{
	struct stanza *delayed = stanza_delayed(t->stanza, to->domain, t->received_at);

	if (delayed == NULL)
		return;
	stanza_unref(t->stanza);
	t->stanza = delayed;
}

/* NULL: it can be tried. */
static const char *poison_of(const struct taking *t, struct jid *from, struct jid *to)
{
	if (t->unreadable || jid_parse(t->stanza->from, from) != OK || jid_parse(t->stanza->to, to) != OK)
		return "it cannot be read";
	if (t->begun >= BEGUN_MAX)
		return "poolbridge ended each time while it was on its way";
	return NULL;
}

/* Not now, and nothing was tried. */
static void stay(struct lane *lane)
{
	stanza_unref(lane->stanza);
	lane->stanza = NULL;
	lane->custody->releasing[lane->hop]--;
	lane->busy = false;
	lane->retry_at = loop_now(lane->custody->setup.loop) + CUSTODY_RETRY_MS;
	lane_look(lane);
	custody_arm(lane->custody, CUSTODY_TICK_MS);
	lane_check(lane);
}

static bool is_there(void *ctx, const struct spool_message *m)
{
	(void)ctx;
	(void)m;
	return false;
}

/* A disk that takes nothing now is no reason to keep back what is on it; what never came to be there is refused. */
static void on_begun(void *ctx, enum err e)
{
	struct lane *lane = ctx;
	struct custody *c = lane->custody;
	struct stanza *stanza = stanza_ref(lane->stanza); /* its outcome may come from inside */
	struct jid from, to;

	if (e != OK)
		e = spool_get(c->setup.spool, lane->id, is_there, NULL);
	if (e != OK || jid_parse(stanza->from, &from) != OK || jid_parse(stanza->to, &to) != OK)
		stay(lane);
	else
		c->setup.submit(c->setup.ctx,
				&(struct custody_item){ stanza, &from, &to, lane->hop, lane->origin },
				on_release, lane);
	stanza_unref(stanza);
}

static void submit(struct lane *lane, struct taking *t, const struct jid *to)
{
	struct custody *c = lane->custody;

	if (spool_begin(c->setup.spool, lane->id) != OK) {
		custody_trouble(c, lane->id);
		back_off(lane);
		return;
	}
	stamp(t, to);
	lane->busy = true;
	lane->hop = t->hop;
	lane->origin = t->origin;
	lane->stanza = stanza_ref(t->stanza);
	c->releasing[lane->hop]++;
	state_on_commit(c->setup.state, on_begun, lane);
}

static void let_go(struct lane *lane)
{
	struct custody *c = lane->custody;
	struct taking t = { .lane = lane };
	enum err e = spool_first(c->setup.spool, lane->key, take_row, &t);
	const char *poison;
	struct jid from, to;

	if (e == ERR_NOT_FOUND) { /* erased, or its commit failed */
		lane_count(lane);
		return;
	}
	if (e != OK) {
		custody_trouble(c, 0);
		back_off(lane);
		return;
	}
	poison = poison_of(&t, &from, &to);
	if (poison != NULL)
		put_aside(lane, poison);
	else
		submit(lane, &t, &to);
	stanza_unref(t.stanza);
}

/* --- time --- */

/* False: there may be more that can go. */
static bool let_go_ready(struct custody *c, enum spool_hop hop)
{
	struct lane *lane;

	for (unsigned left = RELEASED_A_TICK; left > 0; left--) {
		if (c->releasing[hop] >= RELEASING_MAX || (lane = lanes_take_ready(c, hop)) == NULL)
			return true;
		let_go(lane);
	}
	return false;
}

void custody_tick(void *ctx)
{
	struct custody *c = ctx;
	bool all = true;

	if (c->stopped)
		return;
	custody_expire(c);
	lanes_place(c, loop_now(c->setup.loop));
	for (enum spool_hop hop = 0; hop < SPOOL_HOPS; hop++)
		all = let_go_ready(c, hop) && all;
	custody_arm(c, all ? CUSTODY_TICK_MS : 0);
}

static void wake(struct lane *lane, void *ctx)
{
	(void)ctx;
	if (lane->finished)
		return;
	lane->retry_at = 0;
	lane->failures = 0;
	lane_look(lane);
}

void custody_wake(struct custody *c, const char *user)
{
	lanes_each(c, user, wake, NULL);
	custody_arm(c, 0);
}

/* --- administrators --- */

struct finding {
	bool quarantined, failed;
	enum spool_hop hop;
	char pair[JID_PAIR_SIZE];
};

static bool note_row(void *ctx, const struct spool_message *m)
{
	struct finding *f = ctx;

	f->quarantined = m->quarantined;
	f->failed = m->failed[0] != '\0';
	f->hop = m->hop;
	return !str_copy(f->pair, sizeof(f->pair), m->pair);
}

enum err custody_retry(struct custody *c, int64_t id)
{
	struct finding f = { .pair = "" };
	enum err e = spool_get(c->setup.spool, id, note_row, &f);
	struct lane *lane;

	if (e == OK && (f.failed || custody_is_told(c, id)))
		return ERR_NOT_FOUND;
	if (e == OK && f.quarantined)
		e = spool_revive(c->setup.spool, id,
				 (int64_t)time(NULL) + c->setup.config->spool.keep_ms / 1000);
	if (e != OK)
		return e;
	lane = custody_lane(c, f.pair);
	if (f.quarantined && lane->count == 0 && !lane->busy)
		lane->hop = f.hop;
	if (f.quarantined)
		lane_gained(lane, 1);
	wake(lane, NULL);
	custody_arm(c, 0);
	lane_check(lane);
	return OK;
}

static void count_if_of(struct lane *lane, void *ctx)
{
	const char *user = ctx;

	if (strcmp(lane->key + lane->from_length + 1, user) == 0 ||
	    (strlen(user) == lane->from_length && strncmp(lane->key, user, lane->from_length) == 0))
		lane_count(lane);
}

enum err custody_erase(struct custody *c, const char *user, int64_t *count)
{
	enum err e = spool_erase(c->setup.spool, user, count);

	if (e == OK)
		lanes_each(c, NULL, count_if_of, (void *)(uintptr_t)user);
	return e;
}

static void add_count(struct lane *lane, void *ctx)
{
	*(size_t *)ctx += lane->count;
}

size_t custody_count(const struct custody *c, const char *user)
{
	size_t count = 0;

	lanes_each(c, user, add_count, &count);
	return count;
}
