/*
 * handover.c - finds the pairs whose user's presence is carried by another side
 * than it should be, and hands them over.
 *
 * A row of the ledger says who carries it (via), the router says who should. The
 * difference is all the state that there is: a walk over a user's rows, or over
 * all of them, finds what is to be done, in whatever order registry, ledger and
 * restarts came. A pair that is needed earlier is taken up where it is touched
 * (presence.c).
 *
 * A walk goes in small slices, 500 hand-overs a second at most, 200 under way,
 * and waits for a partner's server that does not keep up.
 * Users who were named come before the walk over everybody. What the registry
 * rejects is not handed over: it is shown nowhere.
 *
 * An unreadable registry or ledger is tried again in a second, and so is a commit
 * that has failed. A row that the ledger refuses to change keeps nobody behind it
 * waiting: it is in the log, and tried again in a minute. Nothing is fatal.
 */
#include "bridge/gateway/handover.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/gateway/presence_internal.h"

enum {
	TICK_MS = 50,
	BEGIN_A_TICK = 25,
	LOOK_A_TICK = 250, /* rows */
	SLICE = 25,
	UNDER_WAY_MAX = 200,
	/* Stanzas that have not arrived: a partner's server that is slower than we are sets the pace. */
	DELIVERIES_MAX = 1000,
	USERS_MAX = 10000, /* more than these: everybody */
	RETRY_MS = 1000,
	REFUSED_MS = 60000
};

struct name {
	struct name *prev, *next;
	UT_hash_handle hh;
	char user[];
};

/* How far a walk has come: the last row that it has looked at. */
struct cursor {
	bool walking, one;
	char local[JID_BARE_SIZE], contact[JID_BARE_SIZE];
	enum ledger_direction direction;
};

struct row {
	char local[JID_BARE_SIZE], contact[JID_BARE_SIZE];
	enum ledger_direction direction;
	enum ledger_via via;
	bool ends; /* an end is noted that the contact has not been told of */
};

struct handover {
	struct presence_book *book;
	struct loop_timer *timer;
	struct name *queue, *by_name;
	bool again; /* everybody is to be looked at */
	struct cursor user, everybody;
	struct row rows[SLICE];
	size_t row_count;
	struct loop_timer *refused; /* when those that were refused are tried again */
	bool wrote;                 /* in this turn: the commit is waited for */
};

/* --- one pair --- */

enum step { STEP_NOTHING, STEP_BEGUN, STEP_RETRY };

/* What one row is refused says nothing of the others. */
static enum step note_failure(struct handover *h, const struct row *row, enum err e)
{
	if (e == ERR_NOT_FOUND)
		return STEP_NOTHING;
	if (e == ERR_IO || e == ERR_BUSY)
		return STEP_RETRY;
	log_event(LOG_WARNING, "handover-refused", NULL, "local=%s contact=%s why=%s", log_value(row->local),
		  log_value(row->contact), log_value(ledger_error(h->book->ledger)));
	if (!loop_timer_pending(h->refused))
		loop_timer_set(h->refused, REFUSED_MS);
	return STEP_BEGUN;
}

static enum step take_over(struct handover *h, const struct row *row, const struct jid *local,
			   const struct jid *contact)
{
	bool taken = false;
	enum err e = watch_take_over(h->book, local, contact, &taken);

	if (e != OK)
		return note_failure(h, row, e);
	return taken ? STEP_BEGUN : STEP_NOTHING;
}

static bool has_half(const struct watch *w, enum ledger_direction direction)
{
	return w != NULL && (direction == LEDGER_TO_LOCAL ? w->state.in : w->state.out) != SUBSCRIPTION_NONE;
}

static enum step step_legacy(struct handover *h, const struct row *row, const struct jid *local,
			     const struct jid *contact, const struct verdict *v)
{
	struct watch *w = watch_find(h->book, local, contact);

	if (has_half(w, row->direction)) { /* taken over already, perhaps not on disk */
		enum err e = watch_claim(w, row->direction);

		return e == OK ? STEP_NOTHING : note_failure(h, row, e);
	}
	if (v->route == ROUTE_GATEWAY)
		return take_over(h, row, local, contact);
	if (v->route != ROUTE_LEGACY || !row->ends)
		return STEP_NOTHING;
	/* Moved back before he was handed over: what has ended meanwhile has ended. */
	tell_legacy_ends(h->book, row->local, row->contact);
	return STEP_BEGUN;
}

/* Ours, and to stay so: his pool may be another one, news were not told, or nobody asked while he was not. */
static enum step step_stay(struct watch *w, const struct verdict *v)
{
	struct subscriber *s = w->subscriber;

	if (crossing_is_back(w)) {
		crossing_cancel(w);
		return STEP_BEGUN;
	}
	if (s == NULL || s->ending)
		return STEP_NOTHING;
	/* What is awaited from there will be told. */
	if (s->dialog != NULL && s->dialog->pool == v->pool && (!w->withheld || s->awaited))
		return STEP_NOTHING;
	subscriber_refresh(s);
	return STEP_BEGUN;
}

/*
 * The contact, as the user sees him. Without access he hears nothing more of him, so nobody is shown; with it,
 * what is so by then is asked for.
 */
static enum step step_sight(struct watch *w, const struct verdict *v)
{
	if (w->state.out != SUBSCRIPTION_ACTIVE || w->blind == (v->route == ROUTE_REJECT) ||
	    (v->route != ROUTE_REJECT && v->route != ROUTE_GATEWAY))
		return STEP_NOTHING;
	w->blind = v->route == ROUTE_REJECT;
	w->heard = w->blind;
	presence_list_clear(&w->known);
	if (w->notifiers == NULL)
		return STEP_NOTHING;
	if (w->blind)
		notifier_notify_all(w);
	else
		watch_send(w, "probe");
	return STEP_BEGUN;
}

static enum step step_ours(struct watch *w, const struct verdict *v)
{
	switch (v->route) {
	case ROUTE_GATEWAY:
		return step_stay(w, v);
	case ROUTE_LEGACY:
		if (crossing_is_back(w))
			return STEP_NOTHING;
		crossing_begin_back(w);
		return STEP_BEGUN;
	case ROUTE_REJECT:
		if (w->told.count == 0 || w->subscriber == NULL)
			return STEP_NOTHING;
		subscriber_refresh(w->subscriber); /* takes back what was shown */
		return STEP_BEGUN;
	default:
		return STEP_NOTHING;
	}
}

/* Given back already, but not on disk. */
static enum step step_orphan(struct handover *h, const struct row *row, const struct jid *local,
			     const struct jid *contact, const struct verdict *v)
{
	const struct ledger_key key = { row->local, row->contact, row->direction };
	enum err e;

	if (v->route == ROUTE_GATEWAY)
		return take_over(h, row, local, contact);
	if (v->route != ROUTE_LEGACY)
		return STEP_NOTHING;
	e = row_give_back(h->book, &key);
	return e == OK ? STEP_BEGUN : note_failure(h, row, e);
}

static enum step step(struct handover *h, const struct row *row)
{
	enum step seen, done;
	struct jid local, contact;
	struct verdict v;
	struct watch *w;

	if (jid_parse(row->local, &local) != OK || jid_parse(row->contact, &contact) != OK)
		return STEP_NOTHING;
	if (router_decide(h->book->gateway->router, &local, contact.domain, &v) != OK)
		return STEP_RETRY;
	if (row->via == LEDGER_LEGACY)
		return step_legacy(h, row, &local, &contact, &v);
	w = watch_find(h->book, &local, &contact);
	if (!has_half(w, row->direction))
		return step_orphan(h, row, &local, &contact, &v);
	seen = row->direction == LEDGER_TO_CONTACT ? step_sight(w, &v) : STEP_NOTHING;
	done = step_ours(w, &v);
	return done == STEP_NOTHING ? seen : done;
}

/* --- a walk --- */

static bool copy_row(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		     const char *told)
{
	struct handover *h = ctx;
	struct row *row = &h->rows[h->row_count];

	if (!str_copy(row->local, sizeof(row->local), key->local) ||
	    !str_copy(row->contact, sizeof(row->contact), key->contact))
		return true;
	row->direction = key->direction;
	row->via = entry->via;
	row->ends = strstr(told, "\"gone\"") != NULL;
	return ++h->row_count < SLICE;
}

static enum err read_slice(struct handover *h, const struct cursor *c)
{
	const struct ledger_key key = { c->local, c->contact, c->direction };

	h->row_count = 0;
	return ledger_each_after(h->book->ledger, &key, copy_row, h);
}

static void cursor_set(struct cursor *c, const struct row *row)
{
	(void)str_copy(c->local, sizeof(c->local), row->local);
	(void)str_copy(c->contact, sizeof(c->contact), row->contact);
	c->direction = row->direction;
}

static void cursor_begin(struct cursor *c, const char *user)
{
	c->walking = str_copy(c->local, sizeof(c->local), user);
	c->one = user[0] != '\0';
	c->contact[0] = '\0';
	c->direction = LEDGER_TO_CONTACT;
}

static void drop_name(struct handover *h, struct name *n)
{
	HASH_DEL(h->by_name, n);
	DL_DELETE(h->queue, n);
	free(n);
}

/* The walk that is to go on; NULL: there is none. */
static struct cursor *next_walk(struct handover *h)
{
	if (!h->user.walking && h->queue != NULL) {
		cursor_begin(&h->user, h->queue->user);
		drop_name(h, h->queue);
	}
	if (h->user.walking)
		return &h->user;
	if (!h->everybody.walking && h->again) {
		h->again = false;
		cursor_begin(&h->everybody, "");
	}
	return h->everybody.walking ? &h->everybody : NULL;
}

/* Work that a tick may still do. */
struct budget {
	int begin, look;
	bool failed;
};

static bool has_room(const struct handover *h, const struct budget *budget)
{
	return budget->begin > 0 && budget->look > 0 && !budget->failed &&
	       h->book->crossings < UNDER_WAY_MAX && h->book->delivery->under_way < DELIVERIES_MAX;
}

static void walk_slice(struct handover *h, struct cursor *c, struct budget *budget)
{
	if (read_slice(h, c) != OK) {
		budget->failed = true;
		return;
	}
	budget->look -= (int)h->row_count;
	if (h->row_count == 0 || (c->one && strcmp(h->rows[0].local, c->local) != 0)) {
		c->walking = false;
		return;
	}
	for (size_t i = 0; i < h->row_count && has_room(h, budget); i++) {
		const struct row *row = &h->rows[i];
		enum step done = STEP_NOTHING;

		if (c->one && strcmp(row->local, c->local) != 0)
			break;
		done = step(h, row);
		if (done == STEP_RETRY) {
			budget->failed = true;
			return;
		}
		budget->begin -= done == STEP_BEGUN;
		cursor_set(c, row);
	}
}

static void on_timer(void *ctx)
{
	struct handover *h = ctx;
	struct budget budget = { BEGIN_A_TICK, LOOK_A_TICK, false };
	struct cursor *c = NULL;

	if (h->book->gateway->stopped)
		return;
	do {
		c = next_walk(h);
		if (c != NULL)
			walk_slice(h, c, &budget);
	} while (c != NULL && has_room(h, &budget));
	if (c != NULL)
		loop_timer_set(h->timer, budget.failed ? RETRY_MS : TICK_MS);
}

static void look_at_all(struct handover *h, int64_t after_ms)
{
	h->again = true;
	if (!loop_timer_pending(h->timer))
		loop_timer_set(h->timer, after_ms);
}

static void on_refused(void *ctx)
{
	look_at_all(ctx, 0);
}

static void on_commit(void *ctx, enum err e)
{
	struct handover *h = ctx;

	h->wrote = false;
	if (e != OK)
		look_at_all(h, RETRY_MS);
}

void handover_wrote(struct handover *h)
{
	if (h == NULL || h->wrote)
		return;
	h->wrote = true;
	state_on_commit(ledger_state(h->book->ledger), on_commit, h);
}

/* --- the object --- */

struct handover *handover_create(struct presence_book *b)
{
	struct handover *h = xcalloc(1, sizeof(*h));

	h->book = b;
	h->timer = loop_timer_create(b->gateway->loop, on_timer, h);
	h->refused = loop_timer_create(b->gateway->loop, on_refused, h);
	handover_look(h, NULL);
	return h;
}

void handover_destroy(struct handover *h)
{
	if (h == NULL)
		return;
	while (h->queue != NULL)
		drop_name(h, h->queue);
	if (h->wrote)
		state_forget(ledger_state(h->book->ledger), h);
	loop_timer_destroy(h->refused);
	loop_timer_destroy(h->timer);
	free(h);
}

static void add_name(struct handover *h, const char *user)
{
	struct name *n;

	HASH_FIND_STR(h->by_name, user, n);
	if (n != NULL)
		return;
	n = xcalloc(1, sizeof(*n) + strlen(user) + 1);
	strcpy(n->user, user);
	HASH_ADD_STR(h->by_name, user, n);
	DL_APPEND(h->queue, n);
}

void handover_look(struct handover *h, const char *user)
{
	if (h == NULL)
		return;
	if (user == NULL || HASH_COUNT(h->by_name) >= USERS_MAX)
		h->again = true;
	else
		add_name(h, user);
	if (!loop_timer_pending(h->timer))
		loop_timer_set(h->timer, 0);
}

json_t *handover_status(const struct handover *h)
{
	if (h == NULL)
		return json_null();
	return json_pack("{s:I, s:b, s:I}", "waiting", (json_int_t)HASH_COUNT(h->by_name) + h->user.walking,
			 "walking", h->again || h->everybody.walking, "under_way",
			 (json_int_t)h->book->crossings);
}
