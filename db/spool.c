/*
 * spool.c - the table message.
 *
 * What limits are checked against is counted in memory, so that a full spool
 * refuses as fast as an empty one takes. It is counted anew behind a turn that
 * failed, and where somebody else has written (a shell). A walk holds one row
 * at a time, and follows an index, but for spool_each(), which people wait for.
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/occupancy.h"
#include "db/row.h"

struct spool {
	struct state *state;
	struct db *db;
	struct spool_limits limits;
	struct occupancy *occupancy;
	bool counted;    /* it is what the table holds, */
	int64_t version; /* as of this PRAGMA data_version */
	bool in_turn;    /* in this one it is written already, so nobody else can */
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
	s->occupancy = occupancy_create();
	if (limits != NULL)
		s->limits = *limits;
	return s;
}

void spool_destroy(struct spool *s)
{
	if (s == NULL)
		return;
	state_forget(s->state, s);
	occupancy_destroy(s->occupancy);
	free(s);
}

const char *spool_error(const struct spool *s)
{
	return db_error(s->db);
}

static bool find(const char *const *table, size_t count, const char *word, unsigned *out)
{
	for (unsigned i = 0; word != NULL && i < count; i++)
		if (strcmp(table[i], word) == 0) {
			*out = i;
			return true;
		}
	return false;
}

/* --- limits --- */

/* A damaged row is not counted: whoever reads it is told. */
static void add_row(struct spool *s, struct statement *st, int64_t messages, int64_t bytes)
{
	const char *user = statement_text(st, 0);
	unsigned hop;

	if (user != NULL && find(hops, ARRAY_SIZE(hops), statement_text(st, 1), &hop))
		occupancy_add(s->occupancy, user, (enum spool_hop)hop, messages, bytes);
}

static enum err count_all(struct spool *s)
{
	struct statement *st = statement_open(
		s->db, "SELECT user, hop, count(*), sum(length(stanza)) FROM message GROUP BY user, hop");

	occupancy_clear(s->occupancy);
	while (statement_step(st))
		add_row(s, st, statement_int(st, 2), statement_int(st, 3));
	return statement_close(st);
}

/* Before anything is counted, or changed. */
static enum err make_sure(struct spool *s)
{
	int64_t version;
	enum err e = OK;

	if (s->counted && s->in_turn)
		return OK;
	e = db_data_version(s->db, &version);
	if (e == OK && (!s->counted || version != s->version))
		e = count_all(s);
	s->counted = e == OK;
	if (e == OK)
		s->version = version;
	return e;
}

static void on_turn(void *ctx, enum err e)
{
	struct spool *s = ctx;

	s->in_turn = false;
	if (e != OK)
		s->counted = false;
}

/* A change of the table begins. */
static enum err begin(struct spool *s)
{
	enum err e = state_begin(s->state);

	if (e == OK)
		e = make_sure(s);
	if (e == OK && !s->in_turn) {
		s->in_turn = true;
		state_on_commit(s->state, on_turn, s);
	}
	return e;
}

enum err spool_count(struct spool *s, const char *owner, struct spool_occupancy *out)
{
	enum err e = make_sure(s);

	if (e != OK)
		return e;
	if (owner[0] == '\0') {
		*out = occupancy_of_all(s->occupancy);
		return OK;
	}
	for (enum spool_hop hop = 0; hop < SPOOL_HOPS; hop++)
		if (strncmp(owner, "hop:", 4) == 0 && strcmp(owner + 4, hops[hop]) == 0) {
			*out = occupancy_of_hop(s->occupancy, hop);
			return OK;
		}
	*out = occupancy_of_user(s->occupancy, owner);
	return OK;
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

static bool has_room(struct spool_occupancy o, int64_t messages, int64_t bytes, size_t size)
{
	return o.messages < messages && o.bytes + (int64_t)size <= bytes;
}

static enum err check_limits(const struct spool *s, const struct spool_message *m)
{
	const struct spool_limits *l = &s->limits;

	return has_room(occupancy_of_all(s->occupancy), l->messages, l->bytes, m->size) &&
			       has_room(occupancy_of_user(s->occupancy, m->user), l->messages_per_user,
					l->bytes_per_user, m->size) &&
			       has_room(occupancy_of_hop(s->occupancy, m->hop), l->messages_per_hop,
					l->bytes_per_hop, m->size)
		       ? OK
		       : ERR_LIMIT;
}

/* --- changes --- */

/* What was counted for a change that did not come to be is counted anew. */
static enum err wrote(struct spool *s, enum err e)
{
	if (e != OK && e != ERR_NOT_FOUND)
		s->counted = false;
	return state_wrote(s->state, e);
}

enum err spool_put(struct spool *s, const struct spool_message *m, int64_t *id)
{
	struct statement *st;
	enum err e = begin(s);

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
	e = wrote(s, statement_run(st, NULL));
	if (e != OK)
		return e;
	occupancy_add(s->occupancy, m->user, m->hop, 1, (int64_t)m->size);
	*id = db_last_id(s->db);
	return OK;
}

/* It leaves, or waits for another hop from now on. ERR_NOT_FOUND. */
static enum err count_out(struct spool *s, int64_t id, const enum spool_hop *now)
{
	struct statement *st =
		statement_open(s->db, "SELECT user, hop, length(stanza) FROM message WHERE id = ?1");
	enum err e = ERR_NOT_FOUND;

	statement_bind_int(st, 1, id);
	if (statement_step(st)) {
		if (now != NULL)
			occupancy_add(s->occupancy, statement_text(st, 0), *now, 1, statement_int(st, 2));
		add_row(s, st, -1, -statement_int(st, 2));
		e = OK;
	}
	return statement_close_with(st, e);
}

enum err spool_remove(struct spool *s, int64_t id)
{
	struct statement *st;
	enum err e = begin(s);

	if (e == OK)
		e = count_out(s, id, NULL);
	if (e != OK)
		return e;
	st = statement_open(s->db, "DELETE FROM message WHERE id = ?1");
	statement_bind_int(st, 1, id);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_begin(struct spool *s, int64_t id)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET begun = begun + 1 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_defer(struct spool *s, int64_t id, enum spool_hop hop, const char *trouble)
{
	struct statement *st;
	enum err e = begin(s);

	if (e == OK)
		e = count_out(s, id, &hop);
	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET hop = ?2, trouble = ?3, attempts = attempts + 1, "
				   "begun = 0 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, hops[hop]);
	statement_bind_text(st, 3, trouble);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_quarantine(struct spool *s, int64_t id, const char *trouble)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	st = statement_open(s->db,
			    "UPDATE message SET quarantined = 1, trouble = ?2, begun = 0 WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, trouble);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_fail(struct spool *s, int64_t id, const char *condition, const char *trouble)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET failed = ?2, trouble = ?3, quarantined = 0, begun = 0 "
				   "WHERE id = ?1");
	statement_bind_int(st, 1, id);
	statement_bind_text(st, 2, condition);
	statement_bind_text(st, 3, trouble);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_revive(struct spool *s, int64_t id, int64_t expires_at)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	st = statement_open(s->db, "UPDATE message SET quarantined = 0, trouble = '', attempts = 0, "
				   "expires_at = max(expires_at, ?2) WHERE id = ?1 AND quarantined = 1");
	statement_bind_int(st, 1, id);
	statement_bind_int(st, 2, expires_at);
	return wrote(s, statement_run_on_row(st));
}

enum err spool_erase(struct spool *s, const char *user, int64_t *count)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	/* A pair is "FROM TO", and '!' comes next after the space. */
	st = statement_open(s->db, "DELETE FROM message WHERE user = ?1 "
				   "OR (pair > ?1 || ' ' AND pair < ?1 || '!')");
	statement_bind_text(st, 1, user);
	s->counted = false; /* anew, when it is asked */
	return wrote(s, statement_run(st, count));
}

/* --- walks --- */

#define COLUMNS                                                                                              \
	"SELECT id, pair, user, hop, origin, stanza, received_at, expires_at, attempts, trouble, "           \
	"quarantined, position, begun, failed "                                                              \
	"FROM message "

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
