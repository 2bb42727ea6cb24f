/*
 * custody.c - messages on their way, and those that are kept.
 *
 * For each pair of users with a message here there is a lane. What arrives enters
 * it; it goes on at once unless something older of the two is kept, or is with
 * another next hop: then it is kept, too. What a next hop gives back is kept in
 * its old place. So the order holds over retries and over a user's move.
 *
 * What is kept is acknowledged by the commit of the turn (state_on_commit), and
 * not before.
 *
 * The lanes are custody_lanes.c's. Errors of the spool go to the message's sender
 * when it comes, and to the log when it is to be let go; then it is tried again.
 * Nothing is fatal.
 */
#include "bridge/route/custody_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "bridge/core/log.h"

/* A message that waits for the commit. */
struct keeping {
	struct lane *lane; /* there as long as the pass is */
	struct stanza *stanza;
	delivery_fn *done;
	void *ctx;
};

void custody_arm(struct custody *c, int64_t ms)
{
	bool idle = c->pairs == 0 && c->told == NULL && c->failed_read;

	if (!c->stopped && !idle && (ms == 0 || !loop_timer_pending(c->tick)))
		loop_timer_set(c->tick, ms);
}

void custody_trouble(const struct custody *c, int64_t id)
{
	log_event(LOG_ERROR, "spool", NULL, "id=%lld why=%s", (long long)id,
		  log_value(spool_error(c->setup.spool)));
}

/* --- arriving --- */

bool custody_is_handshake(const struct stanza *stanza)
{
	return stanza->kind == STANZA_PRESENCE &&
	       (stanza_has_type(stanza, "subscribe") || stanza_has_type(stanza, "subscribed") ||
		stanza_has_type(stanza, "unsubscribe") || stanza_has_type(stanza, "unsubscribed"));
}

/* Most are: a walk over the bytes says so in a fraction of what the tree costs. */
static bool has_body(const struct stanza *stanza)
{
	struct strbuf texts = { 0 };
	bool has = stanza_texts(stanza, &texts);

	strbuf_free(&texts);
	return has;
}

static bool is_typing(struct stanza_tree *tree)
{
	static const char *const fleeting[] = { "jabber:server", "http://jabber.org/protocol/chatstates",
						"urn:xmpp:hints" };

	return stanza_tree_text(tree, "body", NULL) == NULL &&
	       stanza_tree_text(tree, "subject", NULL) == NULL &&
	       stanza_tree_is_within(tree, fleeting, ARRAY_SIZE(fleeting));
}

enum custody_kind custody_kind_of(const struct stanza *stanza)
{
	enum custody_kind kind = CUSTODY_KEEP;
	struct stanza_tree *tree;

	if (custody_is_handshake(stanza))
		return CUSTODY_KEEP;
	if (stanza->kind != STANZA_MESSAGE || stanza_has_type(stanza, "error") ||
	    stanza_has_type(stanza, "headline") || stanza_has_type(stanza, "groupchat"))
		return CUSTODY_NONE;
	if (has_body(stanza))
		return CUSTODY_KEEP;
	if (stanza_tree_build(stanza, &tree) != OK)
		return CUSTODY_NONE;
	if (is_typing(tree))
		kind = CUSTODY_DROP;
	stanza_tree_free(tree);
	return kind;
}

void custody_enter(struct custody *c, const struct jid *from, const struct jid *to, struct custody_pass *pass)
{
	char key[JID_PAIR_SIZE];

	jid_pair(from, to, key);
	*pass = (struct custody_pass){ .lane = custody_lane(c, key), .position = ++c->position };
	pass->lane->passes++;
}

bool custody_waits(const struct custody_pass *pass, enum spool_hop hop)
{
	const struct lane *lane = pass->lane;

	/* One that was erased while it was on its way counts no more, and is there still. */
	return lane->count > 0 || lane->busy || (lane->under_way > 0 && lane->under_hop != hop);
}

void custody_go(struct custody_pass *pass, enum spool_hop hop)
{
	if (custody_waits(pass, hop))
		return;
	pass->lane->under_way++;
	pass->lane->under_hop = hop;
	pass->under_way = true;
}

void custody_return(struct custody_pass *pass)
{
	if (!pass->under_way)
		return;
	pass->under_way = false;
	pass->returned = true;
	if (--pass->lane->under_way > 0 || pass->lane->count == 0)
		return;
	lane_look(pass->lane);
	custody_arm(pass->lane->custody, 0);
}

void custody_leave(struct custody_pass *pass)
{
	if (pass->lane == NULL)
		return;
	custody_return(pass);
	pass->lane->passes--;
	lane_check(pass->lane);
	pass->lane = NULL;
}

/* --- keeping --- */

static void on_commit(void *ctx, enum err e)
{
	struct keeping *k = ctx;
	struct outcome outcome = { .confirmed = e == OK,
				   .condition = COND_INTERNAL_SERVER_ERROR,
				   .text = "the message cannot be kept now" };

	if (e != OK)
		lane_count_anew(k->lane);
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
	else if (c->ended)
		outcome =
			(struct outcome){ .condition = COND_REMOTE_SERVER_TIMEOUT, .text = "shutting down" };
	else
		custody_trouble(c, 0);
	c->refused++;
	done(ctx, item->stanza, &outcome);
}

static enum err put(const struct custody_pass *pass, const struct custody_item *item)
{
	const struct custody_setup *setup = &pass->lane->custody->setup;
	const int64_t now = (int64_t)time(NULL);
	struct spool_message m = { .position = pass->position,
				   .pair = pass->lane->key,
				   .user = pass->lane->key + pass->lane->from_length + 1,
				   .hop = item->hop,
				   .origin = item->origin,
				   .stanza = item->stanza->bytes,
				   .size = item->stanza->size,
				   .received_at = now,
				   .expires_at = now + setup->config->spool.keep_ms / 1000 };
	int64_t id;

	return spool_put(setup->spool, &m, &id);
}

void custody_keep(const struct custody_pass *pass, const struct custody_item *item, delivery_fn *done,
		  void *done_ctx)
{
	struct lane *lane = pass->lane;
	struct custody *c = lane->custody;
	enum err e = c->ended ? ERR_BUSY : put(pass, item);
	struct keeping *k;

	if (e != OK) {
		refuse(c, item, e, done, done_ctx);
		return;
	}
	/* What waits only for an older one goes when that one is done. The time is that of what was kept here before. */
	if (lane->count == 0 && !lane->busy) {
		lane->hop = item->hop;
		lane->retry_at = 0;
		if (item->hop == SPOOL_MOVE)
			lane_await_move(lane);
	}
	if (pass->returned)
		lane->retry_at = loop_now(c->setup.loop) + CUSTODY_RETRY_MS;
	lane_gained(lane, 1);
	c->kept++;
	k = xcalloc(1, sizeof(*k));
	*k = (struct keeping){ lane, stanza_ref(item->stanza), done, done_ctx };
	state_on_commit(c->setup.state, on_commit, k);
	custody_arm(c, CUSTODY_TICK_MS);
}

/* --- the object --- */

static void load_pair(void *ctx, const char *pair, enum spool_hop hop, int64_t count)
{
	struct lane *lane = custody_lane(ctx, pair);

	lane->hop = hop;
	lane_gained(lane, (size_t)count);
}

enum err custody_create(const struct custody_setup *setup, struct custody **out)
{
	struct custody *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->setup = *setup;
	c->tick = loop_timer_create(setup->loop, custody_tick, c);
	e = spool_last_position(setup->spool, &c->position);
	if (e == OK)
		e = spool_each_pair(setup->spool, load_pair, c);
	if (e != OK) {
		custody_destroy(c);
		return e;
	}
	custody_arm(c, CUSTODY_TICK_MS);
	*out = c;
	return OK;
}

void custody_stop(struct custody *c)
{
	c->stopped = true;
	loop_timer_cancel(c->tick);
}

void custody_end(struct custody *c)
{
	custody_stop(c);
	c->ended = true;
}

void custody_destroy(struct custody *c)
{
	if (c == NULL)
		return;
	loop_timer_destroy(c->tick);
	custody_free_told(c);
	lanes_free(c);
	free(c);
}

/* Messages by what they wait for; {} where the spool cannot be read, which the log says. */
static json_t *by_hop(const struct custody *c)
{
	json_t *o = json_object();
	char owner[32];
	struct spool_occupancy occupancy;

	for (enum spool_hop hop = 0; hop < SPOOL_HOPS; hop++) {
		snprintf(owner, sizeof(owner), "hop:%s", spool_hop_name(hop));
		if (spool_count(c->setup.spool, owner, &occupancy) == OK)
			json_object_set_new(o, spool_hop_name(hop), json_integer(occupancy.messages));
	}
	return o;
}

static int64_t waited(const struct spool_age *age)
{
	int64_t now = (int64_t)time(NULL);

	return age->oldest > 0 && age->oldest < now ? now - age->oldest : 0;
}

json_t *custody_status(const struct custody *c)
{
	struct spool_occupancy o = { 0, 0 };
	struct spool_age age = { 0, 0 };

	if (spool_count(c->setup.spool, "", &o) != OK || spool_look(c->setup.spool, &age) != OK)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
			 (json_int_t)o.messages, "bytes", (json_int_t)o.bytes, "quarantined",
			 (json_int_t)age.quarantined, "oldest_seconds", (json_int_t)waited(&age), "pairs",
			 (json_int_t)c->pairs, "waits_for", by_hop(c), "kept", (json_int_t)c->kept,
			 "released", (json_int_t)c->released, "bounced", (json_int_t)c->bounced, "telling",
			 (json_int_t)custody_told_count(c), "refused", (json_int_t)c->refused, "dropped",
			 (json_int_t)c->dropped);
}
