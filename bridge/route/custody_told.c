/*
 * custody_told.c - the end of a message that will not be delivered: its sender
 * is told, and only then does it leave the spool.
 *
 * First its row says that it has failed, and why. From the commit of that on it
 * is in no lane: nothing sends it, and what came behind it goes on. The error goes
 * out behind the same commit. The row leaves when the error has been delivered, or
 * never will be; where the process ends before that, the next one tells the sender
 * (again).
 *
 * Of a message between the pools the sender is told by a message that is kept in
 * the very transaction in which the failed one leaves, so its row says nothing.
 *
 * A disk that takes no note now keeps no error back; who has heard is not told
 * again by this process. Nothing is fatal.
 */
#include "bridge/route/custody_internal.h"

#include <stdlib.h>
#include <time.h>

#include "bridge/core/log.h"

enum {
	TAKEN_A_TICK = 100,
	TOLD_MAX = 4096 /* then no more are begun because their time is over */
};

enum step {
	STEP_TELLING, /* the error is on its way */
	STEP_LATER,   /* it could not go now */
	STEP_HEARD    /* its sender has it, or never will */
};

struct told {
	struct custody *custody;
	int64_t id;
	struct lane *lane; /* in which it still counts, and holds up the others; NULL: none */
	enum step step;
	enum condition condition;
	char *text;   /* "": none */
	bool noted;   /* its row says so, on disk */
	bool noticed; /* its sender is told by a message that is kept with its removal */
	bool writing; /* one of the next two, or the note, is in this turn's transaction */
	bool leaving, erased;
	UT_hash_handle hh;
};

static struct told *find(const struct custody *c, int64_t id)
{
	struct told *t;

	HASH_FIND(hh, c->told, &id, sizeof(id), t);
	return t;
}

bool custody_is_told(const struct custody *c, int64_t id)
{
	return find(c, id) != NULL;
}

size_t custody_told_count(const struct custody *c)
{
	return HASH_COUNT(c->told);
}

static void free_told(struct told *t)
{
	HASH_DEL(t->custody->told, t);
	free(t->text);
	free(t);
}

void custody_free_told(struct custody *c)
{
	struct told *t, *next;

	HASH_ITER (hh, c->told, t, next)
		free_told(t);
}

/* Those behind it go on. */
static void leave_lane(struct told *t, bool counted)
{
	struct lane *lane = t->lane;

	if (lane == NULL)
		return;
	t->lane = NULL;
	lane->failing--;
	if (counted)
		lane_lost(lane);
	lane_look(lane);
	custody_arm(lane->custody, 0);
	lane_check(lane);
}

static void try_later(struct custody *c)
{
	c->expire_at = loop_now(c->setup.loop) + CUSTODY_RETRY_MS;
	custody_arm(c, CUSTODY_TICK_MS);
}

/* The word to its sender was lost with the commit: it is let go once more, or its time is over once more. */
static void forget(struct told *t)
{
	if (t->lane != NULL)
		t->lane->retry_at = loop_now(t->custody->setup.loop) + CUSTODY_RETRY_MS;
	leave_lane(t, false);
	free_told(t);
}

static void leave_spool(struct told *t);

static void on_written(void *ctx, enum err e)
{
	struct told *t = ctx;
	struct custody *c = t->custody;

	t->writing = false;
	if (e != OK) {
		t->leaving = t->erased = false;
		try_later(c);
		if (t->noticed)
			forget(t);
		return;
	}
	leave_lane(t, !t->erased);
	t->noted = true;
	if (t->leaving || (t->erased && t->step == STEP_HEARD))
		free_told(t);
	else if (t->step == STEP_HEARD)
		leave_spool(t);
}

/* e: of the change in its row. An erased one is gone when that is committed. */
static void wrote(struct told *t, enum err e)
{
	t->erased = e == ERR_NOT_FOUND;
	if (e == OK || t->erased) {
		t->writing = true;
		state_on_commit(t->custody->setup.state, on_written, t);
		return;
	}
	t->leaving = false;
	custody_trouble(t->custody, t->id);
	try_later(t->custody);
	if (t->noticed)
		forget(t);
}

static void note(struct told *t)
{
	wrote(t, spool_fail(t->custody->setup.spool, t->id, condition_name(t->condition), t->text));
}

static void leave_spool(struct told *t)
{
	if (t->writing)
		return; /* it leaves behind that */
	if (t->erased) {
		free_told(t);
		return;
	}
	t->leaving = true;
	wrote(t, spool_remove(t->custody->setup.spool, t->id));
}

static void on_told(void *ctx, bool over)
{
	struct told *t = ctx;

	t->step = over ? STEP_HEARD : STEP_LATER;
	if (over)
		leave_spool(t);
	else
		try_later(t->custody);
}

static void tell(struct told *t, struct stanza *stanza, enum spool_hop hop, enum spool_origin origin,
		 const char *uri)
{
	struct custody *c = t->custody;
	const struct outcome outcome = { .condition = t->condition,
					 .text = t->text[0] != '\0' ? t->text : NULL,
					 .uri = uri };
	struct jid from, to;

	t->step = STEP_TELLING;
	if (stanza != NULL && jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK) {
		c->setup.bounce(c->setup.ctx, &(struct custody_item){ stanza, &from, &to, hop, origin },
				&outcome, on_told, t);
		return;
	}
	log_event(LOG_WARNING, "error-undeliverable", NULL, "id=%lld why=\"the message cannot be read\"",
		  (long long)t->id);
	on_told(t, true);
}

void custody_tell(struct custody *c, const struct failure *f, const struct outcome *outcome)
{
	struct told *t = xcalloc(1, sizeof(*t));

	*t = (struct told){ .custody = c,
			    .id = f->id,
			    .lane = f->lane,
			    .condition = outcome->condition,
			    .text = xstrdup(outcome->text != NULL ? outcome->text : ""),
			    .noted = f->noted,
			    .noticed = f->origin == SPOOL_FROM_POOL };
	HASH_ADD(hh, c->told, id, sizeof(t->id), t);
	if (t->lane != NULL)
		t->lane->failing++;
	c->bounced++;
	if (!t->noted && !t->noticed)
		note(t);
	tell(t, f->stanza, f->hop, f->origin, outcome->uri);
	custody_arm(c, CUSTODY_TICK_MS);
}

/* --- time --- */

/* Rows whose senders are to be told; after the walk, for that changes the spool. */
struct taking {
	struct custody *custody;
	struct taken {
		struct failure failure;
		char *pair, *text; /* pair NULL: it is in no lane */
		enum condition condition;
	} rows[TAKEN_A_TICK];
	size_t count;
	int64_t last; /* id */
};

static struct stanza *stanza_of(const struct spool_message *m)
{
	struct stanza *stanza;

	return stanza_parse(m->stanza, m->size, &stanza) == OK ? stanza : NULL;
}

static bool take(void *ctx, const struct spool_message *m)
{
	struct taking *x = ctx;
	struct lane *lane = custody_find(x->custody, m->pair);
	struct taken *row;

	x->last = m->id;
	if ((lane != NULL && lane->busy && lane->id == m->id) || find(x->custody, m->id) != NULL)
		return true; /* its outcome comes, or came */
	row = &x->rows[x->count++];
	*row = (struct taken){
		.failure = { .id = m->id,
			     .stanza = stanza_of(m),
			     .hop = m->hop,
			     .origin = m->origin,
			     .noted = m->failed[0] != '\0' },
		.text = xstrdup(m->trouble[0] != '\0' ? m->trouble : "the message waited too long"),
		.condition = COND_REMOTE_SERVER_TIMEOUT,
	};
	if (row->failure.noted && condition_parse(m->failed, &row->condition) != OK)
		row->condition = COND_UNDEFINED_CONDITION;
	if (!row->failure.noted && !m->quarantined)
		row->pair = xstrdup(m->pair);
	return true;
}

/* What its next hop refuses has its line in the router. */
static void log_taken(const struct taken *row)
{
	const struct stanza *stanza = row->failure.stanza;

	if (row->failure.noted)
		return; /* the last process has said it */
	log_event(LOG_NOTICE, "spool-bounced", NULL, "id=%lld from=%s to=%s condition=%s why=%s",
		  (long long)row->failure.id, log_value(stanza != NULL ? stanza->from : ""),
		  log_value(stanza != NULL ? stanza->to : ""), condition_name(row->condition),
		  log_value(row->text));
}

static void tell_taken(struct taking *x)
{
	for (size_t i = 0; i < x->count; i++) {
		struct taken *row = &x->rows[i];

		log_taken(row);
		if (row->pair != NULL)
			row->failure.lane = custody_lane(x->custody, row->pair);
		custody_tell(x->custody, &row->failure,
			     &(struct outcome){ .condition = row->condition, .text = row->text });
		stanza_unref(row->failure.stanza);
		free(row->pair);
		free(row->text);
	}
}

/* For one that could not be told: what its row has. */
static bool copy_row(void *ctx, const struct spool_message *m)
{
	struct failure *f = ctx;

	f->stanza = stanza_of(m);
	f->hop = m->hop;
	f->origin = m->origin;
	return false;
}

static void go_on(struct told *t)
{
	struct custody *c = t->custody;
	struct failure f = { .id = t->id };

	if (t->writing)
		return;
	if (t->step == STEP_HEARD) {
		leave_spool(t);
		return;
	}
	if (!t->noted && !t->noticed)
		note(t);
	if (t->step != STEP_LATER)
		return;
	if (spool_get(c->setup.spool, t->id, copy_row, &f) == OK)
		tell(t, f.stanza, f.hop, f.origin, NULL);
	else
		on_told(t, true); /* erased, and nobody is told of that */
	stanza_unref(f.stanza);
}

/* What the last process has left. */
static void take_failed(struct custody *c, struct taking *x)
{
	x->last = 0;
	if (spool_each_failed(c->setup.spool, c->failed_id, TAKEN_A_TICK, take, x) != OK)
		custody_trouble(c, 0);
	else if (x->last == 0)
		c->failed_read = true;
	else
		c->failed_id = x->last;
}

void custody_expire(struct custody *c)
{
	struct taking x = { .custody = c };
	struct told *t, *next;

	if (c->expire_at > loop_now(c->setup.loop))
		return;
	HASH_ITER (hh, c->told, t, next)
		go_on(t);
	if (HASH_COUNT(c->told) >= TOLD_MAX)
		return;
	if (!c->failed_read)
		take_failed(c, &x);
	if (c->failed_read &&
	    spool_each_expired(c->setup.spool, (int64_t)time(NULL), TAKEN_A_TICK, take, &x) != OK)
		custody_trouble(c, 0);
	tell_taken(&x);
}

enum err custody_bounce(struct custody *c, int64_t id)
{
	struct taking x = { .custody = c };
	enum err e;

	if (find(c, id) != NULL)
		return ERR_NOT_FOUND;
	e = spool_get(c->setup.spool, id, take, &x);
	if (e != OK)
		return e;
	if (x.count == 0)
		return ERR_BUSY;
	tell_taken(&x);
	return OK;
}
