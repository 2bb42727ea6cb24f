/*
 * custody.c - hold, retry, release, bounce.
 *
 * For each pair of users with something in the spool there is a lane: at most one
 * of its messages is on its way, the oldest; the next follows when that one's
 * next hop has it. A lane that must wait is tried again after a growing time, or
 * when its user's mark changes. Lanes take turns, so many at a time.
 *
 * A message leaves the spool only behind its outcome: a crash between the two
 * sends it again (the window that docs/reliability.md states), never loses it.
 * What is kept is acknowledged by the commit of the turn (state_on_commit).
 *
 * Owns the lanes. Errors of the spool go to the message's sender when it comes,
 * and to the log when it is to be let go; then it is tried again. Nothing is
 * fatal.
 */
#include "bridge/route/custody.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>
#include <utlist.h>

#include "bridge/core/log.h"

enum {
	TICK_MS = 250,
	UNDER_WAY_MAX = 128,
	RETRY_MIN_MS = 1000,
	RETRY_MAX_MS = 60000,
	EXPIRED_A_TICK = 100,
	ATTEMPTS_MAX = 1000 /* of one message, before it is put aside */
};

struct lane {
	struct custody *custody;
	size_t count;       /* in the spool, but for quarantine */
	enum spool_hop hop; /* what its first message waits for */
	bool busy;          /* its first message is on its way */
	int64_t id;         /* of that one */
	int64_t attempts;
	unsigned failures; /* in a row */
	int64_t retry_at;
	UT_hash_handle hh;
	size_t from_length;
	char key[]; /* "FROM TO", bare */
};

struct custody {
	struct custody_setup setup;
	struct lane *lanes;
	struct loop_timer *tick;
	size_t under_way;
	int64_t registry_version;
	bool stopped;
	uint64_t kept, released, bounced, refused;
};

/* A message that waits for the commit. */
struct keeping {
	struct custody *custody;
	struct stanza *stanza;
	delivery_fn *done;
	void *ctx;
};

static int64_t unix_now(void)
{
	return (int64_t)time(NULL);
}

static void key_of(const struct jid *from, const struct jid *to, char key[2 * JID_BARE_SIZE])
{
	size_t n;

	jid_bare(from, key);
	n = strlen(key);
	key[n] = ' ';
	jid_bare(to, key + n + 1);
}

static struct lane *find_lane(const struct custody *c, const char *key)
{
	struct lane *lane;

	HASH_FIND_STR(c->lanes, key, lane);
	return lane;
}

static struct lane *get_lane(struct custody *c, const char *key)
{
	struct lane *lane = find_lane(c, key);

	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane) + strlen(key) + 1);
	lane->custody = c;
	lane->from_length = strcspn(key, " ");
	strcpy(lane->key, key);
	HASH_ADD_KEYPTR(hh, c->lanes, lane->key, strlen(lane->key), lane);
	return lane;
}

static const char *user_of(const struct lane *lane)
{
	return lane->key + lane->from_length + 1;
}

static void arm(struct custody *c, int64_t ms)
{
	if (!c->stopped && c->lanes != NULL && (ms == 0 || !loop_timer_pending(c->tick)))
		loop_timer_set(c->tick, ms);
}

bool custody_has(const struct custody *c, const struct jid *from, const struct jid *to, enum spool_hop *hop)
{
	char key[2 * JID_BARE_SIZE];
	const struct lane *lane;

	key_of(from, to, key);
	lane = find_lane(c, key);
	if (lane == NULL)
		return false;
	*hop = lane->hop;
	return true;
}

bool custody_takes(const struct stanza *stanza)
{
	struct stanza_tree *tree;
	const char *body;
	bool takes;

	if (stanza->kind != STANZA_MESSAGE || stanza_has_type(stanza, "error") ||
	    stanza_has_type(stanza, "headline") || stanza_has_type(stanza, "groupchat") ||
	    stanza_tree_build(stanza, &tree) != OK)
		return false;
	body = stanza_tree_text(tree, "body", NULL);
	takes = body != NULL && body[0] != '\0';
	stanza_tree_free(tree);
	return takes;
}

/* --- keeping --- */

static void on_commit(void *ctx, enum err e)
{
	struct keeping *k = ctx;
	struct outcome outcome = { .confirmed = e == OK,
				   .condition = COND_INTERNAL_SERVER_ERROR,
				   .text = "the message cannot be kept now" };

	k->done(k->ctx, k->stanza, &outcome);
	stanza_unref(k->stanza);
	free(k);
}

static void refuse(struct custody *c, const struct custody_item *item, enum err e, delivery_fn *done,
		   void *ctx)
{
	struct outcome outcome = { .condition = COND_INTERNAL_SERVER_ERROR,
				   .text = "the message cannot be kept now" };

	if (e == ERR_LIMIT)
		outcome = (struct outcome){ .condition = COND_RESOURCE_CONSTRAINT,
					    .text = "too many messages wait for this user" };
	else if (c->stopped)
		outcome =
			(struct outcome){ .condition = COND_REMOTE_SERVER_TIMEOUT, .text = "shutting down" };
	else
		log_event(LOG_ERROR, "spool", NULL, "why=%s", log_value(spool_error(c->setup.spool)));
	c->refused++;
	done(ctx, item->stanza, &outcome);
}

static enum err put(struct custody *c, const struct custody_item *item, const char *key)
{
	const int64_t now = unix_now();
	struct spool_message m = { .pair = key,
				   .user = key + strcspn(key, " ") + 1,
				   .hop = item->hop,
				   .origin = item->origin,
				   .stanza = item->stanza->bytes,
				   .size = item->stanza->size,
				   .received_at = now,
				   .expires_at = now + c->setup.config->spool.keep_ms / 1000 };
	int64_t id;

	return spool_put(c->setup.spool, &m, &id);
}

void custody_keep(struct custody *c, const struct custody_item *item, delivery_fn *done, void *done_ctx)
{
	char key[2 * JID_BARE_SIZE];
	struct keeping *k;
	struct lane *lane;
	enum err e;

	key_of(item->from, item->to, key);
	e = c->stopped ? ERR_BUSY : put(c, item, key);
	if (e != OK) {
		refuse(c, item, e, done, done_ctx);
		return;
	}
	lane = get_lane(c, key);
	if (lane->count++ == 0) {
		lane->hop = item->hop;
		lane->retry_at = loop_now(c->setup.loop) + RETRY_MIN_MS;
	}
	c->kept++;
	k = xcalloc(1, sizeof(*k));
	*k = (struct keeping){ c, stanza_ref(item->stanza), done, done_ctx };
	state_on_commit(c->setup.state, on_commit, k);
	arm(c, TICK_MS);
}

/* --- letting go --- */

static void leave_spool(struct lane *lane, int64_t id)
{
	struct custody *c = lane->custody;

	if (spool_remove(c->setup.spool, id) != OK)
		log_event(LOG_ERROR, "spool", NULL, "id=%lld why=%s", (long long)id,
			  log_value(spool_error(c->setup.spool)));
	lane->count -= lane->count > 0;
}

static void close_if_empty(struct lane *lane)
{
	if (lane->count > 0 || lane->busy)
		return;
	HASH_DEL(lane->custody->lanes, lane);
	free(lane);
}

static void back_off(struct lane *lane)
{
	int64_t wait = lane->hop == SPOOL_MOVE ? RETRY_MAX_MS : RETRY_MIN_MS;

	for (unsigned i = 0; i < lane->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	if (wait > RETRY_MAX_MS)
		wait = RETRY_MAX_MS;
	lane->failures++;
	lane->retry_at = loop_now(lane->custody->setup.loop) + wait / 2 +
			 (int64_t)arc4random_uniform((uint32_t)(wait / 2));
}

/* It failed too often to be anything but poison; the ones behind it go on. */
static void put_aside(struct lane *lane, const char *why)
{
	log_event(LOG_WARNING, "spool-quarantine", NULL, "id=%lld pair=%s why=%s", (long long)lane->id,
		  log_value(lane->key), log_value(why));
	if (spool_quarantine(lane->custody->setup.spool, lane->id, true, why) == OK)
		lane->count--;
}

static void on_release(void *ctx, enum release release, enum spool_hop hop, const char *why)
{
	struct lane *lane = ctx;
	struct custody *c = lane->custody;

	lane->busy = false;
	c->under_way--;
	if (release == RELEASE_WAIT) {
		lane->hop = hop;
		if (spool_defer(c->setup.spool, lane->id, hop, why) != OK)
			log_event(LOG_ERROR, "spool", NULL, "why=%s", log_value(spool_error(c->setup.spool)));
		if (lane->attempts + 1 >= ATTEMPTS_MAX)
			put_aside(lane, why);
		back_off(lane);
	} else {
		c->released += release == RELEASE_DONE;
		c->bounced += release == RELEASE_FAILED;
		leave_spool(lane, lane->id);
		lane->failures = 0;
		lane->retry_at = 0;
	}
	close_if_empty(lane);
	arm(c, release == RELEASE_WAIT ? TICK_MS : 0);
}

struct taking {
	struct lane *lane;
	struct stanza *stanza;
	enum spool_hop hop;
	enum spool_origin origin;
	int64_t received_at;
	bool unreadable;
};

static bool take_row(void *ctx, const struct spool_message *m)
{
	struct taking *t = ctx;

	t->lane->id = m->id;
	t->lane->attempts = m->attempts;
	t->hop = m->hop;
	t->origin = m->origin;
	t->received_at = m->received_at;
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

static void let_go(struct lane *lane)
{
	struct custody *c = lane->custody;
	struct taking t = { .lane = lane };
	enum err e = spool_first(c->setup.spool, lane->key, take_row, &t);
	struct jid from, to;

	if (e == ERR_NOT_FOUND) { /* erased, or bounced by an administrator */
		lane->count = 0;
		close_if_empty(lane);
		return;
	}
	if (e != OK) {
		back_off(lane);
		return;
	}
	if (t.unreadable || jid_parse(t.stanza->from, &from) != OK || jid_parse(t.stanza->to, &to) != OK) {
		put_aside(lane, "it cannot be read");
		stanza_unref(t.stanza);
		close_if_empty(lane);
		return;
	}
	stamp(&t, &to);
	lane->busy = true;
	c->under_way++;
	c->setup.submit(c->setup.ctx, &(struct custody_item){ t.stanza, &from, &to, t.hop, t.origin },
			on_release, lane);
	stanza_unref(t.stanza);
}

/* --- time --- */

struct expiring {
	struct custody *custody;
	int64_t ids[EXPIRED_A_TICK];
	size_t count;
};

static bool bounce_row(void *ctx, const struct spool_message *m)
{
	struct expiring *x = ctx;
	struct custody *c = x->custody;
	struct outcome outcome = { .condition = COND_REMOTE_SERVER_TIMEOUT,
				   .text = m->trouble[0] != '\0' ? m->trouble
								 : "the message waited too long" };
	struct lane *lane = find_lane(c, m->pair);
	struct stanza *stanza;
	struct jid from, to;

	if (lane != NULL && lane->busy && lane->id == m->id)
		return true; /* its outcome comes */
	x->ids[x->count++] = m->id;
	if (stanza_parse(m->stanza, m->size, &stanza) != OK)
		return true;
	if (jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK)
		c->setup.bounce(c->setup.ctx, &(struct custody_item){ stanza, &from, &to, m->hop, m->origin },
				&outcome);
	stanza_unref(stanza);
	if (lane != NULL && lane->count > 0)
		lane->count--;
	return true;
}

static void expire(struct custody *c)
{
	struct expiring x = { .custody = c };
	struct lane *lane, *next;

	if (spool_each_expired(c->setup.spool, unix_now(), EXPIRED_A_TICK, bounce_row, &x) != OK)
		log_event(LOG_ERROR, "spool", NULL, "why=%s", log_value(spool_error(c->setup.spool)));
	for (size_t i = 0; i < x.count; i++) {
		c->bounced++;
		if (spool_remove(c->setup.spool, x.ids[i]) != OK)
			log_event(LOG_ERROR, "spool", NULL, "why=%s", log_value(spool_error(c->setup.spool)));
	}
	if (x.count > 0)
		HASH_ITER (hh, c->lanes, lane, next)
			close_if_empty(lane);
}

/* A mark may have changed, by whatever program. */
static void look_at_registry(struct custody *c)
{
	int64_t version = c->registry_version;
	struct lane *lane, *next;

	if (db_data_version(c->setup.registry, &version) != OK || version == c->registry_version)
		return;
	c->registry_version = version;
	HASH_ITER (hh, c->lanes, lane, next)
		if (lane->hop == SPOOL_MOVE)
			lane->retry_at = 0;
}

static void on_tick(void *ctx)
{
	struct custody *c = ctx;
	int64_t now = loop_now(c->setup.loop);
	struct lane *lane, *next;

	if (c->stopped)
		return;
	expire(c);
	look_at_registry(c);
	HASH_ITER (hh, c->lanes, lane, next) {
		if (c->under_way >= UNDER_WAY_MAX)
			break;
		if (!lane->busy && lane->retry_at <= now)
			let_go(lane);
	}
	arm(c, TICK_MS);
}

void custody_wake(struct custody *c, const char *user)
{
	struct lane *lane, *next;

	HASH_ITER (hh, c->lanes, lane, next) {
		if (user != NULL && strcmp(user_of(lane), user) != 0)
			continue;
		lane->retry_at = 0;
		lane->failures = 0;
	}
	arm(c, 0);
}

/* --- administrators --- */

enum err custody_bounce(struct custody *c, int64_t id)
{
	struct expiring x = { .custody = c };
	enum err e = spool_get(c->setup.spool, id, bounce_row, &x);

	if (e != OK)
		return e;
	if (x.count == 0)
		return ERR_BUSY;
	c->bounced++;
	return spool_remove(c->setup.spool, id);
}

enum err custody_erase(struct custody *c, const char *user, int64_t *count)
{
	struct lane *lane, *next;
	enum err e = spool_erase(c->setup.spool, user, count);

	if (e != OK)
		return e;
	HASH_ITER (hh, c->lanes, lane, next) {
		if (strcmp(user_of(lane), user) != 0)
			continue;
		lane->count = 0;
		close_if_empty(lane);
	}
	return OK;
}

size_t custody_count(const struct custody *c, const char *user)
{
	const struct lane *lane;
	size_t count = 0;

	for (lane = c->lanes; lane != NULL; lane = lane->hh.next)
		if (user == NULL || strcmp(user_of(lane), user) == 0)
			count += lane->count;
	return count;
}

/* --- the object --- */

static bool load_row(void *ctx, const struct spool_message *m)
{
	struct custody *c = ctx;
	struct lane *lane;

	if (m->quarantined)
		return true;
	lane = get_lane(c, m->pair);
	if (lane->count++ == 0)
		lane->hop = m->hop;
	return true;
}

enum err custody_create(const struct custody_setup *setup, struct custody **out)
{
	struct custody *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->setup = *setup;
	c->tick = loop_timer_create(setup->loop, on_tick, c);
	e = spool_each(setup->spool, NULL, load_row, c);
	if (e != OK) {
		custody_destroy(c);
		return e;
	}
	arm(c, TICK_MS);
	*out = c;
	return OK;
}

void custody_stop(struct custody *c)
{
	c->stopped = true;
	loop_timer_cancel(c->tick);
}

void custody_destroy(struct custody *c)
{
	struct lane *lane, *next;

	if (c == NULL)
		return;
	loop_timer_destroy(c->tick);
	HASH_ITER (hh, c->lanes, lane, next) {
		HASH_DEL(c->lanes, lane);
		free(lane);
	}
	free(c);
}

json_t *custody_status(const struct custody *c)
{
	struct spool_occupancy o = { 0, 0 };

	if (spool_count(c->setup.spool, "", &o) != OK)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages", (json_int_t)o.messages, "bytes",
			 (json_int_t)o.bytes, "pairs", (json_int_t)HASH_COUNT(c->lanes), "kept",
			 (json_int_t)c->kept, "released", (json_int_t)c->released, "bounced",
			 (json_int_t)c->bounced, "refused", (json_int_t)c->refused);
}
