/*
 * spool.c - the tables message and occupancy.
 *
 * Limits are looked up in occupancy, which the schema's triggers keep: a full
 * spool refuses as fast as an empty one takes. A walk follows an index and holds
 * one row at a time.
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/row.h"

struct spool {
	struct state *state;
	struct db *db;
	struct spool_limits limits;
};

static const char *const hops[SPOOL_HOPS] = {
	[SPOOL_MOVE] = "move",
	[SPOOL_LEGACY_GATEWAY] = "legacy-gateway",
	[SPOOL_LEGACY_POOL] = "legacy-pool",
	[SPOOL_NEW_POOL] = "new-pool",
};
static const char *const origins[] = {
	[SPOOL_FROM_PARTNER] = "partner",
	[SPOOL_FROM_POOL] = "pool",
};

const char *spool_hop_name(enum spool_hop hop)
{
	return hops[hop];
}

const char *spool_origin_name(enum spool_origin origin)
{
	return origins[origin];
}

struct spool *spool_create(struct state *state, const struct spool_limits *limits)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->state = state;
	s->db = state_db(state);
	if (limits != NULL)
		s->limits = *limits;
	return s;
}

void spool_destroy(struct spool *s)
{
	free(s);
}

const char *spool_error(const struct spool *s)
{
	return db_error(s->db);
}

/* --- limits --- */

enum err spool_count(struct spool *s, const char *owner, struct spool_occupancy *out)
{
	struct statement *st =
		statement_open(s->db, "SELECT messages, bytes FROM occupancy WHERE owner = ?1");
	struct spool_occupancy o = { 0, 0 };
	enum err e;

	statement_bind_text(st, 1, owner);
	if (statement_step(st))
		o = (struct spool_occupancy){ statement_int(st, 0), statement_int(st, 1) };
	e = statement_close(st);
	if (e == OK)
		*out = o;
	return e;
}

/* By indexes of their own: a full spool answers as fast. */
enum err spool_look(struct spool *s, struct spool_age *out)
{
	struct statement *st = statement_open(
		s->db, "SELECT (SELECT received_at FROM message WHERE quarantined = 0 ORDER BY id LIMIT 1), "
		       "(SELECT count(*) FROM message WHERE quarantined = 1)");
	struct spool_age age = { 0, 0 };
	enum err e;

	if (statement_step(st))
		age = (struct spool_age){ statement_int(st, 0), statement_int(st, 1) };
	e = statement_close(st);
	if (e == OK)
		*out = age;
	return e;
}

static enum err check_limit(struct spool *s, const char *owner, int64_t messages, int64_t bytes, size_t size)
{
	struct spool_occupancy o;
	enum err e = spool_count(s, owner, &o);

	if (e != OK)
		return e;
	return o.messages >= messages || o.bytes + (int64_t)size > bytes ? ERR_LIMIT : OK;
}

static enum err check_hop(struct spool *s, enum spool_hop hop, size_t size)
{
	char owner[32];

	snprintf(owner, sizeof(owner), "hop:%s", hops[hop]);
	return check_limit(s, owner, s->limits.messages_per_hop, s->limits.bytes_per_hop, size);
}

static enum err check_limits(struct spool *s, const struct spool_message *m)
{
	enum err e = check_limit(s, "", s->limits.messages, s->limits.bytes, m->size);

	if (e == OK)
		e = check_limit(s, m->user, s->limits.messages_per_user, s->limits.bytes_per_user, m->size);
	return e == OK ? check_hop(s, m->hop, m->size) : e;
}

/* --- changes --- */

enum err spool_put(struct spool *s, const struct spool_message *m, int64_t *id)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e == OK)
		e = check_limits(s, m);
	if (e != OK)
		return e;
	st = statement_open(s->db,
			    "INSERT INTO message (pair, user, hop, origin, stanza, received_at, expires_at, "
			    "position) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
	statement_bind_text(st, 1, m->pair);
	statement_bind_text(st, 2, m->user);
	statement_bind_text(st, 3, hops[m->hop]);
	statement_bind_text(st, 4, origins[m->origin]);
	statement_bind_blob(st, 5, m->stanza, m->size);
	statement_bind_int(st, 6, m->received_at);
	statement_bind_int(st, 7, m->expires_at);
	statement_bind_int(st, 8, m->position);
	e = state_wrote(s->state, statement_run(st, NULL));
	if (e == OK)
		*id = db_last_id(s->db);
	return e;
}

enum err spool_remove(struct spool *s, int64_t id)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db, "DELETE FROM message WHERE id = ?1");
	statement_bind_int(st, 1, id);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_begin(struct spool *s, int64_t id)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET begun = begun + 1 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_defer(struct spool *s, int64_t id, enum spool_hop hop, const char *trouble)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET hop = ?2, trouble = ?3, attempts = attempts + 1, "
				   "begun = 0 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, hops[hop]);
	statement_bind_text(st, 3, trouble);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_quarantine(struct spool *s, int64_t id, const char *trouble)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db,
			    "UPDATE message SET quarantined = 1, trouble = ?2, begun = 0 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, trouble);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_fail(struct spool *s, int64_t id, const char *condition, const char *trouble)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET failed = ?2, trouble = ?3, quarantined = 0, begun = 0 "
				   "WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, condition);
	statement_bind_text(st, 3, trouble);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_revive(struct spool *s, int64_t id, int64_t expires_at)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET quarantined = 0, trouble = '', attempts = 0, "
				   "expires_at = max(expires_at, ?2) WHERE id = ?1 AND quarantined = 1");
	statement_bind_int(st, 1, id);
	statement_bind_int(st, 2, expires_at);
	return state_wrote(s->state, statement_run_on_row(st));
}

enum err spool_erase(struct spool *s, const char *user, int64_t *count)
{
	struct statement *st;
	enum err e = state_begin(s->state);

	if (e != OK)
		return e;
	/* A pair is "FROM TO", and '!' comes next after the space. */
	st = statement_open(s->db, "DELETE FROM message WHERE user = ?1 "
				   "OR (pair > ?1 || ' ' AND pair < ?1 || '!')");
	statement_bind_text(st, 1, user);
	return state_wrote(s->state, statement_run(st, count));
}

/* --- walks --- */

#define COLUMNS                                                                                              \
	"SELECT id, pair, user, hop, origin, stanza, received_at, expires_at, attempts, trouble, "           \
	"quarantined, position, begun, failed "                                                              \
	"FROM message "

static bool find(const char *const *table, size_t count, const char *word, unsigned *out)
{
	for (unsigned i = 0; word != NULL && i < count; i++)
		if (strcmp(table[i], word) == 0) {
			*out = i;
			return true;
		}
	return false;
}

static enum err read_row(struct spool *s, struct statement *st, struct spool_message *out)
{
	unsigned hop, origin;

	*out = (struct spool_message){
		.id = statement_int(st, 0),
		.pair = statement_text(st, 1),
		.user = statement_text(st, 2),
		.received_at = statement_int(st, 6),
		.expires_at = statement_int(st, 7),
		.attempts = statement_int(st, 8),
		.trouble = statement_text(st, 9),
		.quarantined = statement_int(st, 10) != 0,
		.position = statement_int(st, 11),
		.begun = statement_int(st, 12),
		.failed = statement_text(st, 13),
	};
	out->stanza = statement_blob(st, 5, &out->size);
	if (out->pair == NULL || out->user == NULL || out->trouble == NULL || out->failed == NULL ||
	    out->stanza == NULL || !find(hops, ARRAY_SIZE(hops), statement_text(st, 3), &hop) ||
	    !find(origins, ARRAY_SIZE(origins), statement_text(st, 4), &origin))
		return row_damaged(s->db, "message", out->pair != NULL ? out->pair : "NULL");
	out->hop = (enum spool_hop)hop;
	out->origin = (enum spool_origin)origin;
	return OK;
}

/* ERR_NOT_FOUND: no row at all. */
static enum err walk(struct spool *s, struct statement *st, spool_each_fn *fn, void *ctx)
{
	struct spool_message m;
	enum err e = ERR_NOT_FOUND;
	bool more = true;

	while (more && statement_step(st)) {
		e = read_row(s, st, &m);
		more = e == OK && fn(ctx, &m);
	}
	return statement_close_with(st, e);
}

static enum err none_is_fine(enum err e)
{
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err spool_each(struct spool *s, const char *user, spool_each_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(s->db, user != NULL ? COLUMNS "WHERE user = ?1 ORDER BY position, id"
						   : COLUMNS "ORDER BY position, id");

	if (user != NULL)
		statement_bind_text(st, 1, user);
	return none_is_fine(walk(s, st, fn, ctx));
}

enum err spool_last_position(struct spool *s, int64_t *out)
{
	struct statement *st = statement_open(s->db, "SELECT coalesce(max(position), 0) FROM message");
	int64_t last = 0;
	enum err e;

	if (statement_step(st))
		last = statement_int(st, 0);
	e = statement_close(st);
	if (e == OK)
		*out = last;
	return e;
}

enum err spool_first(struct spool *s, const char *pair, spool_each_fn *fn, void *ctx)
{
	struct statement *st = statement_open(
		s->db,
		COLUMNS "WHERE pair = ?1 AND quarantined = 0 AND failed = '' ORDER BY position, id LIMIT 1");

	statement_bind_text(st, 1, pair);
	return walk(s, st, fn, ctx);
}

enum err spool_count_pair(struct spool *s, const char *pair, int64_t *out)
{
	struct statement *st = statement_open(
		s->db, "SELECT count(*) FROM message WHERE pair = ?1 AND quarantined = 0 AND failed = ''");
	int64_t count = 0;
	enum err e;

	statement_bind_text(st, 1, pair);
	if (statement_step(st))
		count = statement_int(st, 0);
	e = statement_close(st);
	if (e == OK)
		*out = count;
	return e;
}

enum err spool_get(struct spool *s, int64_t id, spool_each_fn *fn, void *ctx)
{
	struct statement *st = statement_open(s->db, COLUMNS "WHERE id = ?1");

	statement_bind_int(st, 1, id);
	return walk(s, st, fn, ctx);
}

enum err spool_each_expired(struct spool *s, int64_t now, int64_t max, spool_each_fn *fn, void *ctx)
{
	struct statement *st = statement_open(
		s->db, COLUMNS
		"WHERE quarantined = 0 AND failed = '' AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2");

	statement_bind_int(st, 1, now);
	statement_bind_int(st, 2, max);
	return none_is_fine(walk(s, st, fn, ctx));
}

enum err spool_each_failed(struct spool *s, int64_t after, int64_t max, spool_each_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(s->db, COLUMNS "WHERE failed <> '' AND id > ?1 ORDER BY id LIMIT ?2");

	statement_bind_int(st, 1, after);
	statement_bind_int(st, 2, max);
	return none_is_fine(walk(s, st, fn, ctx));
}

/* SQLite takes the hop from the row with the least position. */
enum err spool_each_pair(struct spool *s, spool_pair_fn *fn, void *ctx)
{
	struct statement *st = statement_open(s->db, "SELECT pair, hop, count(*), min(position) FROM message "
						     "WHERE quarantined = 0 AND failed = '' GROUP BY pair");
	enum err e = OK;
	unsigned hop;

	while (e == OK && statement_step(st)) {
		const char *pair = statement_text(st, 0);

		if (pair == NULL || !find(hops, ARRAY_SIZE(hops), statement_text(st, 1), &hop))
			e = row_damaged(s->db, "message", pair != NULL ? pair : "NULL");
		else
			fn(ctx, pair, (enum spool_hop)hop, statement_int(st, 2));
	}
	return statement_close_with(st, e);
}
