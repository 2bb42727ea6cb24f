/*
 * presence_takeover.c - rows of the ledger that change sides with their user:
 * from the legacy gateway's to ours, and back.
 *
 * What was approved stays approved: a pair is taken up as it stands, and nobody is
 * asked. What the contact was told by the other side becomes what he was told by
 * us, so that the first news replace it: first what is there, then the end of what
 * is no more. Where all that is known is that the contact's server has asked (a
 * probe), the pool's word decides, as for a probe that comes now.
 *
 * A row says whose it is, so an interrupted hand-over is found again by whoever
 * looks at the ledger. That is what follows a commit that has failed, too: memory
 * goes on with what it has, and the rows are brought to it. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <utlist.h>

#include "bridge/gateway/handover.h"
#include "bridge/gateway/map_told.h"

/* What the ledger has of a pair, as far as nobody carries it here. */
struct finding {
	struct ledger_entry in, out;
	bool has_in, has_out;
};

static bool is_mere_probe(const struct finding *f)
{
	return f->has_in && f->in.state == LEDGER_ACTIVE && f->in.evidence == LEDGER_PROBE;
}

static enum err find_half(struct presence_book *b, const struct ledger_key *key, struct ledger_entry *entry,
			  bool *has)
{
	enum err e = ledger_get(b->ledger, key, entry);

	*has = e == OK;
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_pair(struct presence_book *b, const char *local, const char *contact,
			  const struct watch *w, struct finding *out)
{
	struct ledger_key key = { local, contact, LEDGER_TO_CONTACT };
	enum err e = OK;

	if (w == NULL || w->state.out == SUBSCRIPTION_NONE)
		e = find_half(b, &key, &out->out, &out->has_out);
	key.direction = LEDGER_TO_LOCAL;
	if (e == OK && (w == NULL || w->state.in == SUBSCRIPTION_NONE))
		e = find_half(b, &key, &out->in, &out->has_in);
	return e;
}

static enum err put_via(struct presence_book *b, const struct ledger_key *key, struct ledger_entry entry,
			enum ledger_via via)
{
	entry.via = via;
	entry.seen = unix_now();
	return ledger_put(b->ledger, key, &entry);
}

static enum err claim_rows(struct presence_book *b, const char *local, const char *contact,
			   const struct finding *f)
{
	struct ledger_key key = { local, contact, LEDGER_TO_CONTACT };
	enum err e = OK;

	if (f->has_out)
		e = put_via(b, &key, f->out, LEDGER_GATEWAY);
	key.direction = LEDGER_TO_LOCAL;
	if (e == OK && is_mere_probe(f))
		e = ledger_remove(b->ledger, &key);
	else if (e == OK && f->has_in)
		e = put_via(b, &key, f->in, LEDGER_GATEWAY);
	return e;
}

/* Ended on the other side or not: he has not heard of an end. */
static enum err read_told(struct presence_book *b, const char *local, const char *contact,
			  struct presence_list *out)
{
	const struct ledger_key key = { local, contact, LEDGER_TO_LOCAL };
	struct strbuf text = { .s = NULL };
	enum err e = ledger_told(b->ledger, &key, &text);

	if (e == OK)
		told_read(text.s, out);
	for (size_t i = 0; i < out->count; i++)
		out->items[i].available = true;
	strbuf_free(&text);
	return e;
}

static enum subscription_half half_of(const struct ledger_entry *entry)
{
	return entry->state == LEDGER_ACTIVE ? SUBSCRIPTION_ACTIVE : SUBSCRIPTION_PENDING;
}

static void take_up(struct watch *w, const struct finding *f, struct presence_list *told)
{
	if (f->has_out)
		w->state.out = half_of(&f->out);
	if (is_mere_probe(f)) {
		if (w->subscriber == NULL)
			subscriber_start(w, true);
	} else if (f->has_in) {
		w->state.in = half_of(&f->in);
		presence_list_clear(&w->told);
		w->told = *told;
		*told = (struct presence_list){ .count = 0 };
		if (w->subscriber == NULL)
			subscriber_resume(w, NULL, 0, 0, 0);
		if (w->state.in == SUBSCRIPTION_ACTIVE)
			crossing_begin(w);
	}
}

enum err watch_take_over(struct presence_book *b, const struct jid *local, const struct jid *contact,
			 bool *taken)
{
	char local_text[JID_BARE_SIZE], contact_text[JID_BARE_SIZE];
	struct presence_list told = { .count = 0 };
	struct finding f = { .has_in = false };
	enum err e;

	jid_bare(local, local_text);
	jid_bare(contact, contact_text);
	e = find_pair(b, local_text, contact_text, watch_find(b, local, contact), &f);
	if (e == OK && f.has_in)
		e = read_told(b, local_text, contact_text, &told);
	if (e == OK)
		e = claim_rows(b, local_text, contact_text, &f);
	if (e == OK && (f.has_in || f.has_out)) {
		log_event(LOG_INFO, "presence-taken-over", NULL, "local=%s contact=%s told=%zu",
			  log_value(local_text), log_value(contact_text), told.count);
		take_up(watch_get(b, local, contact), &f, &told);
		handover_wrote(b->handover);
	}
	if (e == OK && taken != NULL)
		*taken = f.has_in || f.has_out;
	presence_list_clear(&told);
	return e;
}

enum err watch_claim(struct watch *w, enum ledger_direction direction)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, direction, local);
	struct ledger_entry entry;
	enum err e = ledger_get(w->book->ledger, &key, &entry);

	if (e == OK && entry.via == LEDGER_GATEWAY)
		return OK;
	if (e == OK)
		e = put_via(w->book, &key, entry, LEDGER_GATEWAY);
	if (e != OK)
		return e;
	if (direction == LEDGER_TO_LOCAL)
		store_told(w);
	handover_wrote(w->book->handover);
	return OK;
}

/* --- back --- */

enum err row_give_back(struct presence_book *b, const struct ledger_key *key)
{
	struct ledger_entry entry;
	enum err e = ledger_get(b->ledger, key, &entry);

	if (e == OK)
		e = put_via(b, key, entry, LEDGER_LEGACY);
	if (e == OK)
		handover_wrote(b->handover);
	return e;
}

static enum err give_row(struct watch *w, enum ledger_direction direction, const char *told)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, direction, local);
	struct ledger_entry entry;
	enum err e = ledger_get(w->book->ledger, &key, &entry);

	if (e == OK)
		e = put_via(w->book, &key, entry, LEDGER_LEGACY);
	if (e == OK && direction == LEDGER_TO_LOCAL)
		e = ledger_tell(w->book->ledger, &key, told);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err watch_give_back(struct watch *w)
{
	char *told = store_text(w);
	struct notifier *n;
	enum err e = give_row(w, LEDGER_TO_CONTACT, told);

	if (e == OK)
		e = give_row(w, LEDGER_TO_LOCAL, told);
	free(told);
	if (e == OK)
		DL_FOREACH (w->notifiers, n)
			store_remove_dialog(w->book, &n->row);
	if (e == OK)
		handover_wrote(w->book->handover);
	return e;
}
