/*
 * presence_tell.c - what a contact is told of a local user.
 *
 * What was told is kept, so that only changes are, and so that somebody who was
 * shown can be taken back. Whether it arrives is presence_deliver.c's.
 *
 * Partners whose users are public never see what users say of their presence;
 * it is taken out here, before it is compared or kept. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map_told.h"

/* --- stanzas --- */

static void tell_one(struct watch *w, const struct presence *p)
{
	char local[JID_BARE_SIZE];

	watch_local(w, local);
	deliver(w->book, local, watch_contact(w), p);
}

static bool is_shown(const struct presence_list *l, const char *resource)
{
	const struct presence *p = presence_list_find(l, resource);

	return p != NULL && p->available;
}

/* What is there now; again: also what he has been told already. True: something was. */
static bool send_shown(struct watch *w, const struct presence_list *old, const struct presence_list *now,
		       bool again)
{
	bool said = false;

	for (size_t i = 0; i < now->count; i++) {
		const struct presence *p = &now->items[i], *before = presence_list_find(old, p->resource);

		if (!p->available || (!again && before != NULL && presence_equal(before, p)))
			continue;
		tell_one(w, p);
		said = true;
	}
	return said;
}

/*
 * First what is there, then what is no more: the contact sees no gap. The end of the bare address may be taken for
 * the end of all resources, so they are shown again.
 */
static void send_changes(struct watch *w, const struct presence_list *old, const struct presence_list *now,
			 bool again)
{
	static const struct presence nobody = { .available = false };
	bool said = send_shown(w, old, now, again);

	for (size_t i = 0; i < old->count; i++) {
		struct presence gone = { .resource = old->items[i].resource };

		if (!old->items[i].available || is_shown(now, gone.resource))
			continue;
		tell_one(w, &gone);
		said = true;
		if (gone.resource == NULL)
			(void)send_shown(w, old, now, true);
	}
	if (again && !said)
		tell_one(w, &nobody);
}

/* --- what is to be told --- */

static bool shows_status(const struct watch *w)
{
	struct verdict v;

	return watch_decide(w, &v) == OK && v.partner_type == PARTNER_FEDERATED;
}

static void copy_for(const struct watch *w, const struct presence_list *list, struct presence_list *out)
{
	presence_list_copy(list, out);
	if (shows_status(w))
		return;
	for (size_t i = 0; i < out->count; i++) {
		free(out->items[i].status);
		free(out->items[i].lang);
		out->items[i].status = out->items[i].lang = NULL;
	}
}

/* Until they have arrived, they are kept beside what he was told: a crash in between must not leave him with them. */
static void keep_ends(struct watch *w, const struct presence_list *old, const struct presence_list *now)
{
	for (size_t i = 0; i < now->count; i++)
		if (now->items[i].available)
			presence_list_remove(&w->ending, now->items[i].resource);
	for (size_t i = 0; i < old->count; i++) {
		struct presence gone = { .resource = old->items[i].resource };

		if (old->items[i].available && !is_shown(now, gone.resource) &&
		    presence_list_put(&w->ending, &gone) != OK)
			return;
	}
}

/* What is kept is changed before anything is sent: a failure may be told of while it is. */
void tell(struct watch *w, const struct presence_list *list)
{
	struct presence_list old = w->told, now;
	bool again = w->untold;

	copy_for(w, list, &now);
	if (!again && presence_list_equal(&old, &now)) {
		presence_list_clear(&now);
		return;
	}
	presence_list_copy(&now, &w->told);
	w->untold = false;
	keep_ends(w, &old, &now);
	store_told(w);
	send_changes(w, &old, &now, again);
	presence_list_clear(&old);
	presence_list_clear(&now);
}

void tell_again(struct watch *w)
{
	struct presence_list now;

	presence_list_copy(&w->told, &now);
	w->untold = true;
	tell(w, &now);
	presence_list_clear(&now);
}

void tell_gone(struct watch *w)
{
	const struct presence_list nobody = { .count = 0 };

	tell(w, &nobody);
}

/* --- of a user who is being moved, or was --- */

static enum route route_of(const struct watch *w)
{
	struct verdict v;

	return watch_decide(w, &v) == OK ? v.route : ROUTE_GATEWAY;
}

/*
 * Where he lives now is not the place that this is heard from, or nobody knows: the contact keeps what he has.
 * Of one who may not be seen now no more than an end could be delivered.
 */
static bool withhold(struct watch *w, bool is_news)
{
	enum route route = route_of(w);

	w->withheld = route == ROUTE_HOLD || route == ROUTE_LEGACY || (is_news && route == ROUTE_REJECT);
	return w->withheld;
}

void tell_heard(struct watch *w, const struct presence_list *now)
{
	if (withhold(w, true))
		return;
	tell(w, now);
	crossing_heard(w);
}

void tell_lost(struct watch *w)
{
	if (!crossing_is_on(w) && !withhold(w, false))
		tell_gone(w);
}

void tell_for(struct presence_book *b, const char *local, const char *contact,
	      const struct presence_list *told)
{
	static const struct presence nobody = { .available = false };

	for (size_t i = 0; i < told->count; i++) {
		struct presence p = told->items[i];

		p.available = true;
		deliver(b, local, contact, &p);
	}
	if (told->count == 0)
		deliver(b, local, contact, &nobody);
}

void tell_ends(struct watch *w, const struct presence_list *shown)
{
	struct presence_list old = w->told;

	presence_list_copy(shown, &w->told);
	keep_ends(w, &old, &w->told);
	store_told(w);
	for (size_t i = 0; i < old.count; i++) {
		struct presence gone = { .resource = old.items[i].resource };

		if (old.items[i].available && !is_shown(&w->told, gone.resource))
			tell_one(w, &gone);
	}
	presence_list_clear(&old);
}

void tell_legacy_ends(struct presence_book *b, const char *local, const char *contact)
{
	const struct ledger_key key = { local, contact, LEDGER_TO_LOCAL };
	struct presence_list told = { .count = 0 };
	struct strbuf text = { .s = NULL };

	if (ledger_told(b->ledger, &key, &text) == OK)
		told_read(text.s, &told);
	for (size_t i = 0; i < told.count; i++)
		if (!told.items[i].available)
			deliver(b, local, contact, &told.items[i]);
	presence_list_clear(&told);
	strbuf_free(&text);
}
