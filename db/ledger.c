/*
 * ledger.c - the table subscription: one row for each half of a subscription.
 *
 * A row is found by its primary key; walks follow it. The numbers of rows are
 * kept in memory, because a limit that has to count first would be a way to keep
 * the loop busy; only a new row of a user counts that user's. Half of each limit
 * is for rows that are no active handshake, so that requests which nobody has
 * answered cannot keep real subscriptions out.
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "db/ledger_internal.h"
#include "db/row.h"

#define ENTRY   "state, via, evidence, since, seen"
#define KEY_IS  " WHERE local = ?1 AND contact = ?2 AND direction = ?3"
#define COUNTED "count(*), count(CASE WHEN state = 'active' AND evidence = 'handshake' THEN NULL ELSE 1 END)"

static const char *const directions[] = {
	[LEDGER_TO_CONTACT] = "to-contact",
	[LEDGER_TO_LOCAL] = "to-local",
};
static const char *const states[] = {
	[LEDGER_PENDING] = "pending",
	[LEDGER_ACTIVE] = "active",
};
static const char *const vias[] = {
	[LEDGER_GATEWAY] = "gateway",
	[LEDGER_LEGACY] = "legacy",
};
static const char *const evidences[] = {
	[LEDGER_PROBE] = "probe",
	[LEDGER_PRESENCE] = "presence",
	[LEDGER_HANDSHAKE] = "handshake",
};

const char *ledger_direction_name(enum ledger_direction v)
{
	return directions[v];
}

const char *ledger_state_name(enum ledger_state v)
{
	return states[v];
}

const char *ledger_via_name(enum ledger_via v)
{
	return vias[v];
}

const char *ledger_evidence_name(enum ledger_evidence v)
{
	return evidences[v];
}

static bool find(const char *const *table, size_t count, const char *word, unsigned *out)
{
	for (unsigned i = 0; word && i < count; i++)
		if (strcmp(table[i], word) == 0) {
			*out = i;
			return true;
		}
	return false;
}

/* --- rows --- */

void ledger_bind_key(struct statement *st, const struct ledger_key *key)
{
	statement_bind_text(st, 1, key->local);
	statement_bind_text(st, 2, key->contact);
	statement_bind_text(st, 3, ledger_direction_name(key->direction));
}

enum err ledger_read_key(struct ledger *l, struct statement *st, struct ledger_key *out)
{
	const char *local = statement_text(st, 0), *contact = statement_text(st, 1);
	unsigned direction;

	if (!local || !contact ||
	    !find(directions, ARRAY_SIZE(directions), statement_text(st, 2), &direction))
		return row_damaged(l->db, "subscription", local ? local : "NULL");
	*out = (struct ledger_key){ local, contact, (enum ledger_direction)direction };
	return OK;
}

/* The columns of ENTRY, from this one on. */
static enum err read_entry(struct ledger *l, struct statement *st, int column, struct ledger_entry *out)
{
	unsigned state, via, evidence;

	if (!find(states, ARRAY_SIZE(states), statement_text(st, column), &state) ||
	    !find(vias, ARRAY_SIZE(vias), statement_text(st, column + 1), &via) ||
	    !find(evidences, ARRAY_SIZE(evidences), statement_text(st, column + 2), &evidence))
		return row_damaged(l->db, "subscription", "state, via or evidence");
	*out = (struct ledger_entry){
		.state = (enum ledger_state)state,
		.via = (enum ledger_via)via,
		.evidence = (enum ledger_evidence)evidence,
		.since = statement_int(st, column + 3),
		.seen = statement_int(st, column + 4),
	};
	return OK;
}

static bool is_unproved(const struct ledger_entry *e)
{
	return e->state != LEDGER_ACTIVE || e->evidence != LEDGER_HANDSHAKE;
}

/* --- limits --- */

static enum err read_counts(struct statement *st, int64_t *rows, int64_t *unproved)
{
	int64_t all = 0, weak = 0;
	enum err e;

	if (statement_step(st)) {
		all = statement_int(st, 0);
		weak = statement_int(st, 1);
	}
	e = statement_close(st);
	if (e == OK) {
		*rows = all;
		*unproved = weak;
	}
	return e;
}

static enum err count_all(struct ledger *l)
{
	l->losses = state_losses(l->state);
	return read_counts(statement_open(l->db, "SELECT " COUNTED " FROM subscription"), &l->rows,
			   &l->unproved);
}

/* Only where a turn's writes were lost since. */
static enum err count_again(struct ledger *l)
{
	return l->losses == state_losses(l->state) ? OK : count_all(l);
}

static enum err count_user(struct ledger *l, const char *local, int64_t *rows, int64_t *unproved)
{
	struct statement *st = statement_open(l->db, "SELECT " COUNTED " FROM subscription WHERE local = ?1");

	statement_bind_text(st, 1, local);
	return read_counts(st, rows, unproved);
}

static bool has_room(int64_t limit, int64_t rows, int64_t unproved, bool is_weak)
{
	return rows < limit && (!is_weak || unproved < (limit + 1) / 2);
}

static enum err check_limits(struct ledger *l, const char *local, bool is_weak)
{
	int64_t rows = 0, unproved = 0;
	enum err e = count_again(l);

	if (e == OK && !has_room(l->limits.total, l->rows, l->unproved, is_weak))
		e = ERR_LIMIT;
	if (e == OK)
		e = count_user(l, local, &rows, &unproved);
	if (e == OK && !has_room(l->limits.per_user, rows, unproved, is_weak))
		e = ERR_LIMIT;
	return e;
}

/* --- the ledger --- */

enum err ledger_create(struct state *state, const struct ledger_limits *limits, struct ledger **out)
{
	struct ledger *l = xcalloc(1, sizeof(*l));
	enum err e;

	l->state = state;
	l->db = state_db(state);
	if (limits)
		l->limits = *limits;
	e = count_all(l);
	if (e == OK)
		*out = l;
	else
		free(l);
	return e;
}

void ledger_destroy(struct ledger *l)
{
	free(l);
}

const char *ledger_error(const struct ledger *l)
{
	return db_error(l->db);
}

enum err ledger_get(struct ledger *l, const struct ledger_key *key, struct ledger_entry *out)
{
	struct statement *st = statement_open(l->db, "SELECT " ENTRY " FROM subscription" KEY_IS);
	enum err e = ERR_NOT_FOUND;

	ledger_bind_key(st, key);
	if (statement_step(st))
		e = read_entry(l, st, 0, out);
	return statement_close_with(st, e);
}

static enum err write_entry(struct ledger *l, const struct ledger_key *key, const struct ledger_entry *entry)
{
	struct statement *st = statement_open(
		l->db, "INSERT INTO subscription (local, contact, direction, " ENTRY ") "
		       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
		       "ON CONFLICT (local, contact, direction) DO UPDATE SET state = excluded.state, "
		       "via = excluded.via, evidence = excluded.evidence, since = excluded.since, "
		       "seen = excluded.seen");

	ledger_bind_key(st, key);
	statement_bind_text(st, 4, ledger_state_name(entry->state));
	statement_bind_text(st, 5, ledger_via_name(entry->via));
	statement_bind_text(st, 6, ledger_evidence_name(entry->evidence));
	statement_bind_int(st, 7, entry->since);
	statement_bind_int(st, 8, entry->seen);
	return state_wrote(l->state, statement_run(st, NULL));
}

/* A change of a row that is there is never refused for a limit: it may be an approval, or a cancellation. */
enum err ledger_put(struct ledger *l, const struct ledger_key *key, const struct ledger_entry *entry)
{
	struct ledger_entry old;
	enum err e = state_begin(l->state), found;

	if (e != OK)
		return e;
	found = ledger_get(l, key, &old);
	if (found == ERR_NOT_FOUND)
		e = check_limits(l, key->local, is_unproved(entry));
	else
		e = found;
	if (e == OK)
		e = write_entry(l, key, entry);
	if (e == OK) {
		l->rows += found == ERR_NOT_FOUND;
		l->unproved += is_unproved(entry) - (found == OK && is_unproved(&old));
	}
	return e;
}

enum err ledger_remove(struct ledger *l, const struct ledger_key *key)
{
	struct statement *st;
	struct ledger_entry old;
	enum err e = state_begin(l->state);

	if (e == OK)
		e = ledger_get(l, key, &old);
	if (e != OK)
		return e;
	st = statement_open(l->db, "DELETE FROM subscription" KEY_IS);
	ledger_bind_key(st, key);
	e = state_wrote(l->state, statement_run(st, NULL));
	if (e == OK) {
		l->rows--;
		l->unproved -= is_unproved(&old);
	}
	return e;
}

enum err ledger_tell(struct ledger *l, const struct ledger_key *key, const char *told)
{
	struct statement *st;
	enum err e = strlen(told) <= LEDGER_TOLD_MAX ? state_begin(l->state) : ERR_LIMIT;

	if (e != OK)
		return e;
	st = statement_open(l->db, "UPDATE subscription SET told = ?4" KEY_IS);
	ledger_bind_key(st, key);
	statement_bind_text(st, 4, told);
	return state_wrote(l->state, statement_run_on_row(st));
}

#define WALK "SELECT local, contact, direction, " ENTRY ", told FROM subscription"
#define PATH " ORDER BY local, contact, direction"

enum err ledger_each(struct ledger *l, const char *local, ledger_each_fn *fn, void *ctx)
{
	struct statement *st = statement_open(l->db, local ? WALK " WHERE local = ?1" PATH : WALK PATH);
	struct ledger_key key;
	struct ledger_entry entry;
	enum err e = OK;

	if (local)
		statement_bind_text(st, 1, local);
	while (e == OK && statement_step(st)) {
		e = ledger_read_key(l, st, &key);
		if (e == OK)
			e = read_entry(l, st, 3, &entry);
		if (e == OK && !fn(ctx, &key, &entry, statement_text(st, 8)))
			break;
	}
	return statement_close_with(st, e);
}

enum err ledger_count(struct ledger *l, struct ledger_counts *out)
{
	struct statement *st;
	int64_t dialogs = 0;
	enum err e = count_again(l);

	if (e != OK)
		return e;
	st = statement_open(l->db, "SELECT count(*) FROM dialog");
	if (statement_step(st))
		dialogs = statement_int(st, 0);
	e = statement_close(st);
	if (e == OK)
		*out = (struct ledger_counts){ .subscriptions = l->rows, .dialogs = dialogs };
	return e;
}
