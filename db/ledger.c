/*
 * ledger.c - the table subscription: one row for each half of a subscription.
 *
 * A row is found by its primary key; walks follow it. Triggers of the schema keep
 * the numbers of rows. Half of each limit is for rows that are no active
 * handshake, so that requests which nobody has answered cannot keep real
 * subscriptions out.
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "db/ledger_internal.h"
#include "db/row.h"

#define ENTRY  "state, via, evidence, since, seen"
#define KEY_IS " WHERE local = ?1 AND contact = ?2 AND direction = ?3"
#define ALL    "" /* the table holding has it beside local users */

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

/* --- limits --- */

struct holding {
	int64_t subscriptions, unproved;
};

static enum err read_holding(struct ledger *l, const char *local, struct holding *out)
{
	struct statement *st =
		statement_open(l->db, "SELECT subscriptions, unproved FROM holding WHERE local = ?1");
	struct holding h = { 0, 0 };
	enum err e;

	statement_bind_text(st, 1, local);
	if (statement_step(st))
		h = (struct holding){ statement_int(st, 0), statement_int(st, 1) };
	e = statement_close(st);
	if (e == OK)
		*out = h;
	return e;
}

static enum err check_limit(struct ledger *l, const char *local, int64_t limit,
			    const struct ledger_entry *entry)
{
	bool is_unproved = entry->state != LEDGER_ACTIVE || entry->evidence != LEDGER_HANDSHAKE;
	struct holding h;
	enum err e = read_holding(l, local, &h);

	if (e != OK)
		return e;
	if (h.subscriptions >= limit || (is_unproved && h.unproved >= (limit + 1) / 2))
		return ERR_LIMIT;
	return OK;
}

/* --- the ledger --- */

struct ledger *ledger_create(struct state *state, const struct ledger_limits *limits)
{
	struct ledger *l = xcalloc(1, sizeof(*l));

	l->state = state;
	l->db = state_db(state);
	if (limits)
		l->limits = *limits;
	return l;
}

void ledger_destroy(struct ledger *l)
{
	free(l);
}

struct state *ledger_state(const struct ledger *l)
{
	return l->state;
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
	enum err e = state_begin(l->state);

	if (e != OK)
		return e;
	e = ledger_get(l, key, &old);
	if (e == ERR_NOT_FOUND) {
		e = check_limit(l, ALL, l->limits.total, entry);
		if (e == OK)
			e = check_limit(l, key->local, l->limits.per_user, entry);
	}
	return e == OK ? write_entry(l, key, entry) : e;
}

enum err ledger_remove(struct ledger *l, const struct ledger_key *key)
{
	struct statement *st;
	enum err e = state_begin(l->state);

	if (e != OK)
		return e;
	st = statement_open(l->db, "DELETE FROM subscription" KEY_IS);
	ledger_bind_key(st, key);
	return state_wrote(l->state, statement_run_on_row(st));
}

/* By a walk along all rows where it is a contact: that is asked once in a while. */
enum err ledger_erase(struct ledger *l, const char *address, int64_t *count)
{
	struct statement *st;
	enum err e = state_begin(l->state);

	if (e != OK)
		return e;
	st = statement_open(l->db, "DELETE FROM subscription WHERE local = ?1 OR contact = ?1");
	statement_bind_text(st, 1, address);
	return state_wrote(l->state, statement_run(st, count));
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

enum err ledger_told(struct ledger *l, const struct ledger_key *key, struct strbuf *out)
{
	struct statement *st = statement_open(l->db, "SELECT told FROM subscription" KEY_IS);
	enum err e = ERR_NOT_FOUND;

	ledger_bind_key(st, key);
	if (statement_step(st)) {
		strbuf_puts(out, statement_text(st, 0) ? statement_text(st, 0) : "");
		e = OK;
	}
	return statement_close_with(st, e);
}

#define WALK "SELECT local, contact, direction, " ENTRY ", told FROM subscription"
#define PATH " ORDER BY local, contact, direction"

/* Closes the statement. */
static enum err walk(struct ledger *l, struct statement *st, ledger_each_fn *fn, void *ctx)
{
	struct ledger_key key;
	struct ledger_entry entry;
	enum err e = OK;

	while (e == OK && statement_step(st)) {
		e = ledger_read_key(l, st, &key);
		if (e == OK)
			e = read_entry(l, st, 3, &entry);
		if (e == OK && !fn(ctx, &key, &entry, statement_text(st, 8)))
			break;
	}
	return statement_close_with(st, e);
}

enum err ledger_each(struct ledger *l, const char *local, ledger_each_fn *fn, void *ctx)
{
	struct statement *st = statement_open(l->db, local ? WALK " WHERE local = ?1" PATH : WALK PATH);

	if (local)
		statement_bind_text(st, 1, local);
	return walk(l, st, fn, ctx);
}

enum err ledger_each_after(struct ledger *l, const struct ledger_key *key, ledger_each_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(l->db, WALK " WHERE (local, contact, direction) > (?1, ?2, ?3)" PATH);

	ledger_bind_key(st, key);
	return walk(l, st, fn, ctx);
}

enum err ledger_count(struct ledger *l, struct ledger_counts *out)
{
	struct holding all;
	int64_t dialogs;
	enum err e = read_holding(l, ALL, &all);

	if (e == OK)
		e = statement_run_number(statement_open(l->db, "SELECT count(*) FROM dialog"), &dialogs);
	if (e == OK)
		*out = (struct ledger_counts){ .subscriptions = all.subscriptions, .dialogs = dialogs };
	return e;
}
