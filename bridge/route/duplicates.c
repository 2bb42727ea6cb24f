/*
 * duplicates.c - the window: arrivals under way by hash, those that arrived in a
 * ring, and the ring's news on their way to the state file.
 *
 * The ring is also the queue to the disk: what lies between `written` and its end
 * is to be written. A write that fails is tried again later, with whatever the
 * ring still has. That somebody is to be forgotten is an entry, too.
 *
 * Time in which the daemon did not run does not count: a peer that waits for us
 * sends again when we are back. So what is read at the start is as old as it was
 * when the last entry was written.
 *
 * Owns all of it; the state is borrowed. Nothing is fatal: a window that cannot
 * be written still works, until the process ends.
 */
#include "bridge/route/duplicates.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "bridge/core/hash.h"
#include "bridge/core/log.h"
#include "bridge/route/seen_ring.h"

enum {
	SAME_SOURCE_SECONDS = 60,
	GATHER_MS = 10, /* no two writes without another reason within this time */
	RETRY_MS = 1000,
	PRUNE_EACH = 1024
};

struct waiting {
	struct waiting *prev, *next;
	arrival_fn *done;
	void *ctx;
};

struct duplicates {
	struct duplicates_setup setup;
	struct fingerprint *fingerprint;
	struct seen_ring *ring;
	struct arrival *arrivals; /* under way */
	int64_t first_number; /* in the file, of the ring's position 0; while it is read, behind the last */
	uint64_t written;     /* the position before which all is on disk */
	uint64_t pruned;      /* the position at which old rows were deleted last */
	uint64_t writing;     /* the position to which this turn's transaction goes */
	int64_t write_at;     /* not before */
	struct loop_timer *timer;
	int64_t last_at; /* of what was read at the start */
	uint64_t suppressed;
};

static int32_t now_seconds(const struct duplicates *d)
{
	return (int32_t)(loop_now(d->setup.loop) / 1000);
}

/* --- the file --- */

static void on_timer(void *ctx)
{
	(void)ctx; /* the turn has a commit phase */
}

static void note_last(void *ctx, int64_t number, int64_t at, const struct seen_hash *hashes, size_t count)
{
	struct duplicates *d = ctx;

	(void)hashes;
	d->last_at = at;
	d->first_number = number + (int64_t)count;
}

static void take_row(void *ctx, int64_t number, int64_t at, const struct seen_hash *hashes, size_t count)
{
	struct duplicates *d = ctx;
	const int64_t age = d->last_at > at ? d->last_at - at : 0;

	(void)number;
	for (size_t i = 0; i < count; i++) {
		if (hashes[i].content == 0)
			seen_ring_forget(d->ring, hashes[i].name);
		if (age <= d->setup.time_ms / 1000)
			seen_ring_add(d->ring, &hashes[i], now_seconds(d) - (int32_t)age, 0);
	}
}

static enum err read_all(struct duplicates *d)
{
	unsigned char key[SEEN_KEY_SIZE];
	enum err e = seen_get_key(d->setup.state, key);

	if (e != OK)
		return e;
	d->fingerprint = fingerprint_create(key);
	e = seen_each(d->setup.state, note_last, d);
	if (e == OK)
		e = seen_each(d->setup.state, take_row, d);
	d->written = seen_ring_end(d->ring);
	d->first_number -= (int64_t)d->written;
	return e;
}

enum err duplicates_create(const struct duplicates_setup *setup, struct duplicates **out)
{
	struct duplicates *d;
	enum err e;

	if (setup->count == 0) {
		*out = NULL;
		return OK;
	}
	d = xcalloc(1, sizeof(*d));
	d->setup = *setup;
	d->ring = seen_ring_create((size_t)setup->count);
	d->timer = loop_timer_create(setup->loop, on_timer, NULL);
	e = read_all(d);
	if (e != OK)
		duplicates_destroy(d);
	else
		*out = d;
	return e;
}

/* What comes until then arms the timer. */
static void write_later(struct duplicates *d, int64_t ms)
{
	d->write_at = loop_now(d->setup.loop) + ms;
	if (d->written != seen_ring_end(d->ring))
		loop_timer_set(d->timer, ms);
}

/* Of the turn's transaction. */
static void on_commit(void *ctx, enum err e)
{
	struct duplicates *d = ctx;

	if (e == OK)
		d->written = d->writing;
	write_later(d, e == OK ? GATHER_MS : RETRY_MS);
}

static enum err write_row(struct duplicates *d, uint64_t position, size_t count)
{
	struct seen_hash hashes[SEEN_ROW_MAX];

	for (size_t i = 0; i < count; i++)
		hashes[i] = seen_ring_at(d->ring, position + i);
	return seen_add(d->setup.state, d->first_number + (int64_t)position, (int64_t)time(NULL), hashes,
			count);
}

static enum err prune(struct duplicates *d)
{
	if (seen_ring_end(d->ring) - d->pruned < PRUNE_EACH)
		return OK;
	d->pruned = seen_ring_end(d->ring);
	return seen_prune(d->setup.state, d->first_number + (int64_t)d->pruned - d->setup.count);
}

/* What a failing disk has kept back for so long that the ring has let go of it is not written. */
static enum err write_news(struct duplicates *d)
{
	const uint64_t begin = seen_ring_begin(d->ring), end = seen_ring_end(d->ring);
	enum err e = state_begin_unsynced(d->setup.state);

	for (uint64_t at = d->written > begin ? d->written : begin; e == OK && at < end; at += SEEN_ROW_MAX)
		e = write_row(d, at, end - at < SEEN_ROW_MAX ? (size_t)(end - at) : SEEN_ROW_MAX);
	if (e == OK)
		e = prune(d);
	d->writing = end;
	return e;
}

/* With whatever the turn writes anyway; else as soon as the last write is some time ago. */
void duplicates_flush(struct duplicates *d)
{
	if (d == NULL || d->written == seen_ring_end(d->ring))
		return;
	if (!state_has_begun(d->setup.state) && loop_now(d->setup.loop) < d->write_at) {
		if (!loop_timer_pending(d->timer))
			loop_timer_set(d->timer, d->write_at - loop_now(d->setup.loop));
		return;
	}
	/* The result comes with the commit; the state file says in the log what was wrong. */
	if (write_news(d) != OK)
		write_later(d, RETRY_MS);
	else
		state_on_commit(d->setup.state, on_commit, d);
}

static void end(struct arrival *a)
{
	struct waiting *w, *next;

	DL_FOREACH_SAFE (a->waiting, w, next)
		free(w);
	HASH_DEL(a->window->arrivals, a);
	a->window = NULL;
}

void duplicates_destroy(struct duplicates *d)
{
	struct arrival *a, *next;

	if (d == NULL)
		return;
	HASH_ITER (hh, d->arrivals, a, next)
		end(a);
	if (d->fingerprint != NULL && d->written < seen_ring_end(d->ring) && write_news(d) != OK)
		log_event(LOG_WARNING, "duplicates-not-written", NULL, NULL);
	state_forget(d->setup.state, d);
	fingerprint_destroy(d->fingerprint);
	seen_ring_destroy(d->ring);
	loop_timer_destroy(d->timer);
	free(d);
}

/* --- arrivals --- */

struct fingerprint *duplicates_fingerprint(const struct duplicates *d)
{
	return d != NULL ? d->fingerprint : NULL;
}

/* What the ring has to look at comes from memory while the text is hashed. */
bool duplicates_hash(struct duplicates *d, const struct stanza *stanza, const struct jid *from,
		     const struct jid *to, struct seen_hash *out)
{
	if (d == NULL || !fingerprint_stanza(d->fingerprint, stanza, from, &out->name))
		return false;
	seen_ring_expect(d->ring, out->name);
	return fingerprint_content(d->fingerprint, stanza, to, &out->content);
}

static bool has_arrived(const struct duplicates *d, const struct seen_hash *hash, uint32_t source)
{
	int64_t limit = d->setup.time_ms / 1000;
	uint32_t first_source;
	int32_t at;

	if (!seen_ring_find(d->ring, hash, &at, &first_source))
		return false;
	if (source != 0 && source == first_source && limit > SAME_SOURCE_SECONDS)
		limit = SAME_SOURCE_SECONDS;
	return now_seconds(d) - at <= limit;
}

static void wait_for(struct arrival *a, arrival_fn *done, void *ctx)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->done = done;
	w->ctx = ctx;
	DL_APPEND(a->waiting, w);
}

static void begin(struct arrival *a, struct duplicates *d, const struct seen_hash *hash, uint32_t source)
{
	*a = (struct arrival){ .window = d, .hash = *hash, .source = source };
	HASH_ADD(hh, d->arrivals, hash, sizeof(a->hash), a);
}

enum arrival_kind duplicates_enter(struct duplicates *d, const struct seen_hash *hash, uint32_t source,
				   arrival_fn *done, void *ctx, struct arrival *out)
{
	struct arrival *a = NULL;

	out->window = NULL;
	if (d == NULL)
		return ARRIVAL_NEW;
	HASH_FIND(hh, d->arrivals, hash, sizeof(*hash), a);
	if (a != NULL) {
		wait_for(a, done, ctx);
	} else if (!has_arrived(d, hash, source)) {
		begin(out, d, hash, source);
		return ARRIVAL_NEW;
	}
	d->suppressed++;
	return a != NULL ? ARRIVAL_WAITS : ARRIVAL_AGAIN;
}

void duplicates_keep(struct arrival *a)
{
	if (a->window == NULL || a->kept)
		return;
	a->kept = true;
	seen_ring_add(a->window->ring, &a->hash, now_seconds(a->window), a->source);
}

static void forget_name(struct duplicates *d, uint64_t name)
{
	const struct seen_hash forgotten = { .name = name, .content = 0 };

	if (seen_ring_forget(d->ring, name))
		seen_ring_add(d->ring, &forgotten, now_seconds(d), 0);
}

void duplicates_settle(struct arrival *a, bool confirmed)
{
	struct waiting *w;

	if (a->window == NULL)
		return;
	if (confirmed)
		duplicates_keep(a);
	else if (a->kept)
		forget_name(a->window, a->hash.name);
	/* Nothing of theirs comes back here. */
	DL_FOREACH (a->waiting, w)
		w->done(w->ctx, confirmed);
	end(a);
}

void duplicates_forget(struct duplicates *d, const struct jid *from, const char *id)
{
	if (d != NULL && id != NULL)
		forget_name(d, fingerprint_name(d->fingerprint, from, id));
}

json_t *duplicates_status(const struct duplicates *d)
{
	if (d == NULL)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "suppressed", (json_int_t)d->suppressed, "under_way",
			 (json_int_t)HASH_COUNT(d->arrivals), "remembered",
			 (json_int_t)(seen_ring_end(d->ring) - seen_ring_begin(d->ring)), "unwritten",
			 (json_int_t)(seen_ring_end(d->ring) - d->written), "bytes",
			 (json_int_t)seen_ring_memory(d->ring));
}
