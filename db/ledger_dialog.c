/*
 * ledger_dialog.c - the table dialog: the SIP dialogs by which subscriptions are
 * carried, as JSON text that only their owner reads.
 *
 * A dialog hangs on the row of its subscription and goes with it, so that none
 * is left over by a crash between the two.
 */
#include "db/ledger.h"

#include "db/ledger_internal.h"
#include "db/row.h"

#define WALK "SELECT local, contact, direction, id, dialog, event_id, expires_at FROM dialog"

static enum err check_room(struct ledger *l, const struct ledger_key *key)
{
	struct statement *st = statement_open(
		l->db, "SELECT count(*) FROM dialog WHERE local = ?1 AND contact = ?2 AND direction = ?3");
	int64_t count = 0;
	enum err e;

	ledger_bind_key(st, key);
	e = statement_run_number(st, &count);
	return e == OK && count >= LEDGER_DIALOGS_MAX ? ERR_LIMIT : e;
}

enum err ledger_add_dialog(struct ledger *l, const struct ledger_dialog *d, int64_t *id)
{
	struct ledger_entry subscription;
	struct statement *st;
	enum err e = state_begin(l->state);

	if (e == OK)
		e = ledger_get(l, &d->key, &subscription);
	if (e == OK)
		e = check_room(l, &d->key);
	if (e != OK)
		return e;
	st = statement_open(
		l->db, "INSERT INTO dialog (local, contact, direction, dialog, event_id, "
		       "expires_at, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, " ROW_NEW_ID("dialog", "?7") ")");
	ledger_bind_key(st, &d->key);
	statement_bind_text(st, 4, d->dialog);
	statement_bind_text(st, 5, d->event_id);
	statement_bind_int(st, 6, d->expires_at);
	statement_bind_int(st, 7, l->last_dialog);
	e = state_wrote(l->state, statement_run(st, NULL));
	if (e == OK)
		*id = l->last_dialog = db_last_id(l->db);
	return e;
}

enum err ledger_set_dialog(struct ledger *l, const struct ledger_dialog *d)
{
	struct statement *st;
	enum err e = state_begin(l->state);

	if (e != OK)
		return e;
	st = statement_open(l->db,
			    "UPDATE dialog SET dialog = ?2, event_id = ?3, expires_at = ?4 WHERE id = ?1");
	statement_bind_int(st, 1, d->id);
	statement_bind_text(st, 2, d->dialog);
	statement_bind_text(st, 3, d->event_id);
	statement_bind_int(st, 4, d->expires_at);
	return state_wrote(l->state, statement_run_on_row(st));
}

enum err ledger_remove_dialog(struct ledger *l, int64_t id)
{
	struct statement *st;
	enum err e = state_begin(l->state);

	if (e != OK)
		return e;
	st = statement_open(l->db, "DELETE FROM dialog WHERE id = ?1");
	statement_bind_int(st, 1, id);
	return state_wrote(l->state, statement_run_on_row(st));
}

static enum err read_dialog(struct ledger *l, struct statement *st, struct ledger_dialog *out)
{
	struct ledger_dialog d = {
		.id = statement_int(st, 3),
		.dialog = statement_text(st, 4),
		.event_id = statement_text(st, 5),
		.expires_at = statement_int(st, 6),
	};
	enum err e = ledger_read_key(l, st, &d.key);

	if (e == OK && (!d.dialog || !d.event_id))
		e = row_damaged(l->db, "dialog", d.key.local);
	if (e == OK)
		*out = d;
	return e;
}

enum err ledger_each_dialog(struct ledger *l, const char *local, ledger_dialog_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(l->db, local ? WALK " WHERE local = ?1 ORDER BY local, contact, direction, id"
					    : WALK " ORDER BY local, contact, direction, id");
	struct ledger_dialog d;
	enum err e = OK;

	if (local)
		statement_bind_text(st, 1, local);
	while (e == OK && statement_step(st)) {
		e = read_dialog(l, st, &d);
		if (e == OK && !fn(ctx, &d))
			break;
	}
	return statement_close_with(st, e);
}
