/*
 * presence_tell.c - what a contact is told of a local user, and whether it
 * arrived.
 *
 * What was told is kept, so that only changes are, and so that somebody who was
 * shown can be taken back. A stanza that could not be delivered counts as not
 * told, and all is told again with the next news from the pool; so it is after a
 * start, when nobody knows what of the last turns has arrived.
 *
 * Partners whose users are public never see what users say of their presence;
 * it is taken out here, before it is compared or kept. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- delivery --- */

static void resource_of(const struct stanza *stanza, struct presence *out)
{
	const char *slash = strchr(stanza->from, '/');

	*out = (struct presence){ .available = true, .resource = slash != NULL ? xstrdup(slash + 1) : NULL };
}

/* As if he were still shown what was to be taken back, or not yet what was to be shown. */
static void note_failure(struct watch *w, const struct stanza *stanza)
{
	struct presence shown;

	w->untold = true;
	if (!stanza_has_type(stanza, "unavailable"))
		return;
	resource_of(stanza, &shown);
	if (presence_list_put(&w->told, &shown) == OK)
		store_told(w);
	presence_clear(&shown);
}

static void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct delivery *d = ctx;
	struct jid local, contact;
	struct watch *w = NULL;

	d->under_way--;
	if (d->book == NULL) {
		if (d->under_way == 0)
			free(d);
		return;
	}
	if (!outcome->confirmed && jid_parse(stanza->from, &local) == OK &&
	    jid_parse(stanza->to, &contact) == OK)
		w = watch_find(d->book, &local, &contact);
	if (w != NULL)
		note_failure(w, stanza);
}

static void submit(struct watch *w, struct stanza *stanza)
{
	struct presence_book *b = w->book;
	struct jid from, to;
	struct submission submission = { .origin = ORIGIN_POOL,
					 .stanza = stanza,
					 .from = &from,
					 .to = &to,
					 .done = on_delivered,
					 .ctx = b->delivery };

	if (jid_parse(stanza->from, &from) != OK || jid_parse(stanza->to, &to) != OK)
		return;
	b->notices++;
	b->delivery->under_way++;
	if (b->gateway->stopped)
		on_delivered(b->delivery, stanza, &(struct outcome){ .confirmed = false });
	else
		router_submit(b->gateway->router, &submission);
}

/* --- stanzas --- */

static void tell_one(struct watch *w, const struct presence *p)
{
	char local[JID_BARE_SIZE], from[JID_BARE_SIZE + 1 + JID_PART_MAX];
	struct presence_stanza how = { .from = from, .to = watch_contact(w) };
	struct stanza *stanza;

	watch_local(w, local);
	snprintf(from, sizeof(from), "%s%s%s", local, p->resource != NULL ? "/" : "",
		 p->resource != NULL ? p->resource : "");
	if (presence_to_stanza(p, &how, &stanza) != OK)
		return;
	submit(w, stanza);
	stanza_unref(stanza);
}

static bool is_shown(const struct presence_list *l, const char *resource)
{
	const struct presence *p = presence_list_find(l, resource);

	return p != NULL && p->available;
}

/* First what is there, then what is no more: the contact sees no gap. */
static void send_changes(struct watch *w, const struct presence_list *old, const struct presence_list *now,
			 bool again)
{
	static const struct presence nobody = { .available = false };
	bool said = false;

	for (size_t i = 0; i < now->count; i++) {
		const struct presence *p = &now->items[i], *before = presence_list_find(old, p->resource);

		if (!p->available || (!again && before != NULL && presence_equal(before, p)))
			continue;
		tell_one(w, p);
		said = true;
	}
	for (size_t i = 0; i < old->count; i++) {
		struct presence gone = { .resource = old->items[i].resource };

		if (!old->items[i].available || is_shown(now, gone.resource))
			continue;
		tell_one(w, &gone);
		said = true;
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
