/*
 * presence_deliver.c - presence on its way to a contact, and whether it arrived.
 *
 * A stanza that could not be delivered counts as not told, and all is told again
 * with the next news from the pool; so it is after a start, when nobody knows what
 * of the last turns has arrived. The end of what was shown is kept in the ledger
 * until the partner's server has it: nothing that comes later would say it again.
 *
 * An end goes to the contact wherever its user lives now. What is under way outlives
 * the book. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map_told.h"

static const char *resource_of(const struct stanza *stanza)
{
	const char *slash = strchr(stanza->from, '/');

	return slash != NULL ? slash + 1 : NULL;
}

/* As if he were still shown what was to be taken back, or not yet what was to be shown. */
static void note_failure(struct watch *w, const struct stanza *stanza)
{
	const char *resource = resource_of(stanza);
	struct presence shown = { .available = true };

	w->untold = true;
	if (!stanza_has_type(stanza, "unavailable") || crossing_end_failed(w))
		return;
	presence_list_remove(&w->ending, resource);
	shown.resource = resource != NULL ? xstrdup(resource) : NULL;
	if (presence_list_put(&w->told, &shown) == OK)
		store_told(w);
	presence_clear(&shown);
}

static void note_arrival(struct watch *w, const struct stanza *stanza)
{
	const char *resource = resource_of(stanza);

	if (presence_list_find(&w->ending, resource) == NULL)
		return;
	presence_list_remove(&w->ending, resource);
	store_told(w);
	if (w->ending.count == 0)
		crossing_ended(w);
}

/* Of a user who is not ours any more. */
static void forget_end(struct presence_book *b, const struct jid *local, const struct jid *contact)
{
	char local_text[JID_BARE_SIZE], contact_text[JID_BARE_SIZE];
	const char *resource = local->resource[0] != '\0' ? local->resource : NULL;
	const struct ledger_key key = { local_text, contact_text, LEDGER_TO_LOCAL };
	struct presence_list told = { .count = 0 };
	const struct presence *p;
	struct strbuf text = { .s = NULL };
	enum err e;

	jid_bare(local, local_text);
	jid_bare(contact, contact_text);
	e = b->ledger != NULL ? ledger_told(b->ledger, &key, &text) : ERR_NOT_FOUND;
	if (e == OK)
		told_read(text.s, &told);
	p = presence_list_find(&told, resource);
	if (p != NULL && !p->available) {
		char *left;

		presence_list_remove(&told, resource);
		left = told_write(&told);
		e = ledger_tell(b->ledger, &key, left);
		free(left);
	}
	if (e != OK && e != ERR_NOT_FOUND)
		log_event(LOG_ERROR, "ledger", NULL, "local=%s contact=%s why=%s", log_value(local_text),
			  log_value(contact_text), log_value(err_text(e)));
	presence_list_clear(&told);
	strbuf_free(&text);
}

static void note(struct presence_book *b, const struct stanza *stanza, bool arrived)
{
	bool is_end = stanza_has_type(stanza, "unavailable");
	struct jid local, contact;
	struct watch *w;

	if ((arrived && !is_end) || jid_parse(stanza->from, &local) != OK ||
	    jid_parse(stanza->to, &contact) != OK)
		return;
	w = watch_find(b, &local, &contact);
	if (w != NULL && w->state.in != SUBSCRIPTION_NONE) {
		if (arrived)
			note_arrival(w, stanza);
		else
			note_failure(w, stanza);
	} else if (arrived) {
		forget_end(b, &local, &contact);
	}
}

static void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct delivery *d = ctx;

	d->under_way--;
	if (d->book != NULL)
		note(d->book, stanza, outcome->confirmed);
	else if (d->under_way == 0)
		free(d);
}

static void submit(struct presence_book *b, struct stanza *stanza)
{
	struct jid from, to;
	struct submission submission = { .origin = ORIGIN_POOL,
					 .stanza = stanza,
					 .from = &from,
					 .to = &to,
					 .done = on_delivered,
					 .ctx = b->delivery,
					 .takes_back = stanza_has_type(stanza, "unavailable") };

	if (jid_parse(stanza->from, &from) != OK || jid_parse(stanza->to, &to) != OK)
		return;
	b->notices++;
	b->delivery->under_way++;
	if (b->gateway->stopped)
		on_delivered(b->delivery, stanza, &(struct outcome){ .confirmed = false });
	else
		router_submit(b->gateway->router, &submission);
}

void deliver(struct presence_book *b, const char *local, const char *contact, const struct presence *p)
{
	char from[JID_BARE_SIZE + 1 + JID_PART_MAX];
	struct presence_stanza how = { .from = from, .to = contact };
	struct stanza *stanza;

	snprintf(from, sizeof(from), "%s%s%s", local, p->resource != NULL ? "/" : "",
		 p->resource != NULL ? p->resource : "");
	if (presence_to_stanza(p, &how, &stanza) != OK)
		return;
	submit(b, stanza);
	stanza_unref(stanza);
}
