/*
 * spool.c - the table message.
 *
 * The rows are there to outlive the process. What waits, in which order, and how
 * much it is, is also in memory (waiting.c), which costs a page less to write for
 * each message than an index would. It follows the turn's transaction, also where
 * that fails, and is read anew where somebody else has written (a shell).
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/row.h"
#include "db/waiting.h"

struct spool {
	struct state *state;
	struct db *db;
	struct spool_limits limits;
	struct waiting *waiting;
	bool loaded;     /* it is what the table holds, */
	int64_t version; /* as of this PRAGMA data_version */
	bool in_turn;    /* in this one it is written already, so nobody else can */
	int64_t last_id; /* the number that a row was given last; 0: none yet */
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

static void on_turn(void *ctx, enum err e)
{
	struct spool *s = ctx;

	if (!s->in_turn)
		return;
	s->in_turn = false;
	if (!waiting_settle(s->waiting, e == OK))
		s->loaded = false;
}

struct spool *spool_create(struct state *state, const struct spool_limits *limits)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->state = state;
	s->db = state_db(state);
	s->waiting = waiting_create();
	if (limits != NULL)
		s->limits = *limits;
	state_follow(state, on_turn, s);
	return s;
}

void spool_destroy(struct spool *s)
{
	if (s == NULL)
		return;
	state_forget(s->state, s);
	waiting_destroy(s->waiting);
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

/* A damaged row is left out: whoever reads it is told. */
static void load_row(struct spool *s, struct statement *st)
{
	const char *pair = statement_text(st, 1), *user = statement_text(st, 2);
	struct waiting_item item = { .id = statement_int(st, 0),
				     .position = statement_int(st, 4),
				     .size = (size_t)statement_int(st, 5),
				     .aside = statement_int(st, 6) != 0 };
	unsigned hop;

	if (pair == NULL || user == NULL || !find(hops, ARRAY_SIZE(hops), statement_text(st, 3), &hop))
		return;
	item.hop = (enum spool_hop)hop;
	waiting_put(s->waiting, pair, user, item);
}

static enum err load(struct spool *s)
{
	struct statement *st = statement_open(s->db, "SELECT id, pair, user, hop, position, length(stanza), "
						     "quarantined = 1 OR failed <> '' FROM message");

	waiting_load(s->waiting);
	while (statement_step(st))
		load_row(s, st);
	waiting_loaded(s->waiting, s->in_turn);
	return statement_close(st);
}

/* Before what waits is looked at, or changed. */
static enum err make_sure(struct spool *s)
{
	int64_t version;
	enum err e = OK;

	if (s->loaded && s->in_turn)
		return OK;
	e = db_data_version(s->db, &version);
	if (e == OK && (!s->loaded || version != s->version))
		e = load(s);
	s->loaded = e == OK;
	if (e == OK)
		s->version = version;
	return e;
}

/* A change of the table begins. */
static enum err begin(struct spool *s)
{
	enum err e = state_begin(s->state);

	if (e == OK)
		e = make_sure(s);
	s->in_turn = s->in_turn || e == OK;
	return e;
}

enum err spool_count(struct spool *s, const char *owner, struct spool_occupancy *out)
{
	enum err e = make_sure(s);

	if (e != OK)
		return e;
	if (owner[0] == '\0') {
		*out = waiting_of_all(s->waiting);
		return OK;
	}
	for (enum spool_hop hop = 0; hop < SPOOL_HOPS; hop++)
		if (strncmp(owner, "hop:", 4) == 0 && strcmp(owner + 4, hops[hop]) == 0) {
			*out = waiting_of_hop(s->waiting, hop);
			return OK;
		}
	*out = waiting_of_user(s->waiting, owner);
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

	return has_room(waiting_of_all(s->waiting), l->messages, l->bytes, m->size) &&
			       has_room(waiting_of_user(s->waiting, m->user), l->messages_per_user,
					l->bytes_per_user, m->size) &&
			       has_room(waiting_of_hop(s->waiting, m->hop), l->messages_per_hop,
					l->bytes_per_hop, m->size)
		       ? OK
		       : ERR_LIMIT;
}

/* --- changes --- */

/* What has been refused, but for another reason than the disk, is looked up in the table. */
static enum err wrote(struct spool *s, enum err e)
{
	if (e != OK && e != ERR_NOT_FOUND)
		s->loaded = false;
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
	st = statement_open(
		s->db,
		"INSERT INTO message (pair, user, hop, origin, stanza, received_at, expires_at, "
		"position, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, " ROW_NEW_ID("message", "?9") ")");
	statement_bind_text(st, 1, m->pair);
	statement_bind_text(st, 2, m->user);
	statement_bind_text(st, 3, hops[m->hop]);
	statement_bind_text(st, 4, origins[m->origin]);
	statement_bind_blob(st, 5, m->stanza, m->size);
	statement_bind_int(st, 6, m->received_at);
	statement_bind_int(st, 7, m->expires_at);
	statement_bind_int(st, 8, m->position);
	statement_bind_int(st, 9, s->last_id);
	e = wrote(s, statement_run(st, NULL));
	if (e != OK)
		return e;
	*id = s->last_id = db_last_id(s->db);
	waiting_put(
		s->waiting, m->pair, m->user,
		(struct waiting_item){ .position = m->position, .id = *id, .size = m->size, .hop = m->hop });
	return OK;
}

/* ERR_NOT_FOUND: there is no such row. fn changes what waits; NULL: it waits no more. */
static enum err rewait(struct spool *s, int64_t id, void (*fn)(struct waiting_item *item, enum spool_hop hop),
		       enum spool_hop hop)
{
	struct statement *st = statement_open(s->db, "SELECT pair, position FROM message WHERE id = ?1");
	struct waiting_item item;
	enum err e = ERR_NOT_FOUND;

	statement_bind_int(st, 1, id);
	if (statement_step(st)) {
		const char *pair = statement_text(st, 0);

		e = OK;
		if (pair != NULL && waiting_take(s->waiting, pair, statement_int(st, 1), id, &item) &&
		    fn != NULL) {
			fn(&item, hop);
			waiting_put_back(s->waiting, pair, item);
		}
	}
	return wrote(s, statement_close_with(st, e));
}

static void wait_for(struct waiting_item *item, enum spool_hop hop)
{
	item->hop = hop;
}

static void go_aside(struct waiting_item *item, enum spool_hop hop)
{
	(void)hop;
	item->aside = true;
}

static void come_back(struct waiting_item *item, enum spool_hop hop)
{
	(void)hop;
	item->aside = false;
}

enum err spool_remove(struct spool *s, int64_t id)
{
	struct statement *st;
	enum err e = begin(s);

	if (e == OK)
		e = rewait(s, id, NULL, SPOOL_MOVE);
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
		e = rewait(s, id, wait_for, hop);
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
	e = wrote(s, statement_run_on_row(st));
	return e == OK ? rewait(s, id, go_aside, SPOOL_MOVE) : e;
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
	e = wrote(s, statement_run_on_row(st));
	return e == OK ? rewait(s, id, go_aside, SPOOL_MOVE) : e;
}

enum err spool_revive(struct spool *s, int64_t id, int64_t expires_at)
{
	struct statement *st;
	enum err e = begin(s);

	if (e != OK)
		return e;
	st = statement_open(
		s->db, "UPDATE message SET quarantined = 0, trouble = '', attempts = 0, "
		       "expires_at = max(expires_at, ?2) WHERE id = ?1 AND quarantined = 1 AND failed = ''");
	statement_bind_int(st, 1, id);
	statement_bind_int(st, 2, expires_at);
	e = wrote(s, statement_run_on_row(st));
	return e == OK ? rewait(s, id, come_back, SPOOL_MOVE) : e;
}

/* Rows that are damaged are not in memory, and have his address and his text all the same. */
static enum err erase_unknown(struct spool *s, const char *user, int64_t *count)
{
	/* A pair is "FROM TO", and '!' comes next after the space. */
	struct statement *st = statement_open(s->db, "DELETE FROM message WHERE user = ?1 "
						     "OR (pair > ?1 || ' ' AND pair < ?1 || '!')");

	statement_bind_text(st, 1, user);
	return wrote(s, statement_run(st, count));
}

enum err spool_erase(struct spool *s, const char *user, int64_t *count)
{
	int64_t *ids, unknown = 0;
	size_t found;
	enum err e = begin(s);

	if (e != OK)
		return e;
	found = waiting_ids_of(s->waiting, user, &ids);
	for (size_t i = 0; e == OK && i < found; i++)
		e = spool_remove(s, ids[i]);
	free(ids);
	if (e == OK)
		e = erase_unknown(s, user, &unknown);
	if (e == OK)
		*count = (int64_t)found + unknown;
	return e;
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
	return statement_run_number(statement_open(s->db, "SELECT coalesce(max(position), 0) FROM message"),
				    out);
}

enum err spool_first(struct spool *s, const char *pair, spool_each_fn *fn, void *ctx)
{
	const struct waiting_item *item;
	enum err e = make_sure(s);

	if (e != OK)
		return e;
	item = waiting_first(s->waiting, pair);
	return item != NULL ? spool_get(s, item->id, fn, ctx) : ERR_NOT_FOUND;
}

enum err spool_count_pair(struct spool *s, const char *pair, int64_t *out)
{
	enum err e = make_sure(s);

	if (e == OK)
		*out = waiting_count(s->waiting, pair);
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

enum err spool_each_pair(struct spool *s, spool_pair_fn *fn, void *ctx)
{
	enum err e = make_sure(s);

	if (e == OK)
		waiting_each_pair(s->waiting, fn, ctx);
	return e;
}
