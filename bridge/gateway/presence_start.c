/*
 * presence_start.c - presence after a start: what the ledger has is taken up, and
 * what nobody can know any more is asked for.
 *
 * Dialogs go on where they were: our own CSeq with a gap, for what was sent since
 * it was last written down, and written down again at once, or a second start
 * would use the same numbers. Subscriptions at pools are refreshed soon, spread
 * over some time, and the contacts are told again what comes of it. Of contacts
 * whom users of pools watch nothing is known: their servers are asked, and who
 * does not answer is not there.
 *
 * A dialog that cannot be read is removed, and the log says so: the subscription
 * itself is asked for anew. A half whose addresses are none is left alone, and the
 * log says so, too. Nothing is fatal, but a ledger that cannot be read.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/gateway/map_told.h"

enum {
	CSEQ_GAP = 65536, /* more NOTIFYs than one dialog sees between two refreshes */
	CSEQ_MAX = 0x7fffffff - 2 * CSEQ_GAP,
	RESUME_RATE = 500,   /* requests a second, if all are to be refreshed in time */
	RESUME_MIN_MS = 200, /* after that, what is left of the start's own work is done */
	ASK_MS = 50,
	ASK_AT_ONCE = 10,
	ANSWER_T1 = 60 /* as long a contact's server may take to answer */
};

/* What is read is changed only after the walk. */
struct loading {
	struct presence_book *book;
	int64_t *unreadable; /* rows of dialogs */
	size_t count;
};

/* --- the ledger --- */

static bool load_half(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		      const char *told)
{
	struct loading *loading = ctx;
	struct jid local, contact;
	enum subscription_half half =
		entry->state == LEDGER_ACTIVE ? SUBSCRIPTION_ACTIVE : SUBSCRIPTION_PENDING;
	struct watch *w;

	if (entry->via != LEDGER_GATEWAY)
		return true;
	if (jid_parse(key->local, &local) != OK || jid_parse(key->contact, &contact) != OK) {
		log_event(LOG_WARNING, "ledger-row-unreadable", NULL, "local=%s contact=%s direction=%s",
			  log_value(key->local), log_value(key->contact),
			  ledger_direction_name(key->direction));
		return true;
	}
	w = watch_get(loading->book, &local, &contact);
	if (key->direction == LEDGER_TO_CONTACT) {
		w->state.out = half;
		return true;
	}
	w->state.in = half;
	w->untold = half == SUBSCRIPTION_ACTIVE;
	told_read(told, &w->told);
	for (size_t i = 0; i < w->told.count; i++)
		w->told.items[i].available = true; /* an end that may not have arrived is none */
	return true;
}

static struct sip_dialog *read_dialog(const struct ledger_dialog *d)
{
	json_t *json = json_loads(d->dialog, 0, NULL);
	struct sip_dialog *dialog = NULL;

	if (json != NULL && sip_dialog_read(json, &dialog) == OK && dialog->local_cseq > CSEQ_MAX) {
		sip_dialog_free(dialog);
		dialog = NULL;
	}
	if (dialog != NULL)
		dialog->local_cseq += CSEQ_GAP;
	json_decref(json);
	return dialog;
}

/* Spread, so that a pool is not asked for all of them at once: but before they end, however many. */
static int64_t resume_delay(const struct presence_book *b)
{
	int64_t span = 1000 * (int64_t)HASH_COUNT(b->watches) / RESUME_RATE;
	int64_t most = b->gateway->config->presence.expires_ms / 4;

	return RESUME_MIN_MS + (int64_t)arc4random_uniform((uint32_t)(span < most ? span : most) + 1);
}

static void note_unreadable(struct loading *loading, const struct ledger_dialog *d)
{
	log_event(LOG_WARNING, "ledger-dialog-unreadable", NULL, "local=%s contact=%s",
		  log_value(d->key.local), log_value(d->key.contact));
	loading->unreadable =
		xrealloc(loading->unreadable, (loading->count + 1) * sizeof(*loading->unreadable));
	loading->unreadable[loading->count++] = d->id;
}

static bool load_dialog(void *ctx, const struct ledger_dialog *d)
{
	struct loading *loading = ctx;
	struct presence_book *b = loading->book;
	struct jid local, contact;
	struct sip_dialog *dialog = NULL;
	struct watch *w = NULL;
	bool in = d->key.direction == LEDGER_TO_LOCAL;

	if (jid_parse(d->key.local, &local) == OK && jid_parse(d->key.contact, &contact) == OK)
		w = watch_find(b, &local, &contact);
	if (w != NULL && !(in && w->subscriber != NULL))
		dialog = read_dialog(d);
	if (dialog == NULL)
		note_unreadable(loading, d);
	else if (in)
		subscriber_resume(w, dialog, d->id, d->expires_at, resume_delay(b));
	else
		notifier_resume(w, dialog, d->event_id, d->id, d->expires_at, resume_delay(b));
	return true;
}

/* With their new numbers. */
static void store_dialogs(struct watch *w)
{
	struct subscriber *s = w->subscriber;
	struct notifier *n;

	if (s != NULL && s->dialog != NULL)
		store_dialog(w, LEDGER_TO_LOCAL, s->dialog, NULL, s->expires_at, &s->row);
	DL_FOREACH (w->notifiers, n)
		store_dialog(w, LEDGER_TO_CONTACT, n->dialog, n->event_id, n->expires_at, &n->row);
}

enum err start_load(struct presence_book *b)
{
	struct loading loading = { .book = b };
	struct watch *w, *next;
	enum err e = ledger_each(b->ledger, NULL, load_half, &loading);

	if (e == OK)
		e = ledger_each_dialog(b->ledger, NULL, load_dialog, &loading);
	for (size_t i = 0; e == OK && i < loading.count; i++)
		store_remove_dialog(b, &loading.unreadable[i]);
	free(loading.unreadable);
	if (e != OK)
		return e;
	HASH_ITER (hh, b->watches, w, next) {
		store_dialogs(w);
		/* A half whose dialog was lost, or had not begun. */
		if (w->state.in != SUBSCRIPTION_NONE && w->subscriber == NULL)
			subscriber_resume(w, NULL, 0, 0, resume_delay(b));
	}
	return OK;
}

/* --- contacts --- */

/* One that is watched; true: something was sent for it. */
static bool ask(struct watch *w)
{
	if (w->notifiers == NULL || w->heard)
		return false;
	if (w->state.out == SUBSCRIPTION_ACTIVE)
		watch_send(w, "probe");
	else
		watch_ask(w, "");
	return true;
}

/* His server says nothing, or cannot be reached: he is shown no longer. */
static bool give_up(struct watch *w)
{
	if (w->notifiers == NULL || w->heard || w->state.out != SUBSCRIPTION_ACTIVE)
		return false;
	w->heard = true;
	notifier_notify_all(w);
	return true;
}

static void on_start_timer(void *ctx)
{
	struct presence_book *b = ctx;
	int done = 0;

	while (b->next_watch != NULL && done < ASK_AT_ONCE) {
		struct watch *w = b->next_watch;

		b->next_watch = w->hh.next;
		done += b->asked ? give_up(w) : ask(w);
	}
	if (b->next_watch != NULL) {
		loop_timer_set(b->start_timer, ASK_MS);
	} else if (!b->asked) {
		b->asked = true;
		b->next_watch = b->watches;
		loop_timer_set(b->start_timer, ANSWER_T1 * b->gateway->t1_ms);
	}
}

void start_asking(struct presence_book *b)
{
	b->start_timer = loop_timer_create(b->gateway->loop, on_start_timer, b);
	b->next_watch = b->watches;
	if (b->next_watch != NULL)
		loop_timer_set(b->start_timer, ASK_MS);
}
