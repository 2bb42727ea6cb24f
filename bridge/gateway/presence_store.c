/*
 * presence_store.c - what of presence is in the ledger, and how it comes back.
 *
 * A half of a subscription is a row, each SIP dialog of it another, and what the
 * contact was told last is kept as a small JSON text. After a restart dialogs go
 * on where they were: our own CSeq with a gap, for what was sent since the last
 * commit. A row that cannot be read is left out, and the log says so.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	CSEQ_GAP = 65536,   /* more NOTIFYs than one dialog sees between two refreshes */
	RESUME_RATE = 200,  /* SUBSCRIBEs a second after the start */
	RESUME_MIN_MS = 200 /* after that, what is left of the start's own work is done */
};

int64_t unix_now(void)
{
	return (int64_t)time(NULL);
}

struct ledger_key watch_key(const struct watch *w, enum ledger_direction direction, char local[JID_BARE_SIZE])
{
	watch_local(w, local);
	return (struct ledger_key){ .local = local, .contact = watch_contact(w), .direction = direction };
}

static void log_failure(const struct watch *w, enum err e)
{
	log_event(LOG_ERROR, "ledger", NULL, "pair=%s why=%s", log_value(w->key), log_value(err_text(e)));
}

/* --- dialogs --- */

void store_dialog(struct watch *w, enum ledger_direction direction, const struct sip_dialog *dialog,
		  const char *event_id, int64_t expires_at, int64_t *row)
{
	char local[JID_BARE_SIZE];
	json_t *json = sip_dialog_write(dialog);
	char *text = json_dumps(json, JSON_COMPACT);
	struct ledger_dialog d = { .id = *row,
				   .key = watch_key(w, direction, local),
				   .dialog = text,
				   .event_id = event_id != NULL ? event_id : "",
				   .expires_at = expires_at };
	enum err e = *row == 0 ? ledger_add_dialog(w->book->ledger, &d, row)
			       : ledger_set_dialog(w->book->ledger, &d);

	if (e != OK)
		log_failure(w, e);
	free(text);
	json_decref(json);
}

void store_remove_dialog(struct presence_book *b, int64_t *row)
{
	if (*row != 0 && ledger_remove_dialog(b->ledger, *row) != OK)
		log_event(LOG_ERROR, "ledger", NULL, "dialog=%lld why=\"not removed\"", (long long)*row);
	*row = 0;
}

/* --- what was told --- */

static json_t *write_presence(const struct presence *p)
{
	const char *show = presence_show_name(p->show);
	json_t *j = json_pack("{s:s*, s:s*, s:s*, s:s*}", "resource", p->resource, "show", show, "status",
			      p->status, "lang", p->lang);

	if (p->priority != 0)
		json_object_set_new(j, "priority", json_integer(p->priority));
	return j;
}

void store_told(struct watch *w)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, LEDGER_TO_LOCAL, local);
	json_t *list = json_array();
	char *text;
	enum err e;

	for (size_t i = 0; i < w->told.count; i++)
		if (w->told.items[i].available)
			json_array_append_new(list, write_presence(&w->told.items[i]));
	text = json_dumps(list, JSON_COMPACT);
	e = ledger_tell(w->book->ledger, &key, json_array_size(list) > 0 ? text : "");
	if (e != OK && e != ERR_NOT_FOUND)
		log_failure(w, e);
	free(text);
	json_decref(list);
}

static enum presence_show show_of(const char *name)
{
	for (int show = SHOW_CHAT; name != NULL && show <= SHOW_DND; show++)
		if (strcmp(name, presence_show_name((enum presence_show)show)) == 0)
			return (enum presence_show)show;
	return SHOW_NONE;
}

static char *copy_of(const json_t *j, const char *name)
{
	const char *value = json_string_value(json_object_get(j, name));

	return value != NULL ? xstrdup(value) : NULL;
}

static void read_told(struct watch *w, const char *text)
{
	json_t *list = json_loads(text, 0, NULL), *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		struct presence p = {
			.available = true,
			.show = show_of(json_string_value(json_object_get(j, "show"))),
			.priority = (int)json_integer_value(json_object_get(j, "priority")),
			.status = copy_of(j, "status"),
			.lang = copy_of(j, "lang"),
			.resource = copy_of(j, "resource"),
		};

		if (presence_list_put(&w->told, &p) != OK)
			i = json_array_size(list);
		presence_clear(&p);
	}
	json_decref(list);
}

/* --- the start --- */

static bool load_half(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		      const char *told)
{
	struct presence_book *b = ctx;
	struct jid local, contact;
	enum subscription_half half =
		entry->state == LEDGER_ACTIVE ? SUBSCRIPTION_ACTIVE : SUBSCRIPTION_PENDING;
	struct watch *w;

	if (entry->via != LEDGER_GATEWAY || jid_parse(key->local, &local) != OK ||
	    jid_parse(key->contact, &contact) != OK)
		return true;
	w = watch_get(b, &local, &contact);
	*(key->direction == LEDGER_TO_LOCAL ? &w->state.in : &w->state.out) = half;
	if (key->direction == LEDGER_TO_LOCAL)
		read_told(w, told);
	return true;
}

static struct sip_dialog *read_dialog(const struct ledger_dialog *d)
{
	json_t *json = json_loads(d->dialog, 0, NULL);
	struct sip_dialog *dialog = NULL;

	if (json == NULL || sip_dialog_read(json, &dialog) != OK)
		log_event(LOG_WARNING, "ledger-dialog-unreadable", NULL, "local=%s contact=%s",
			  log_value(d->key.local), log_value(d->key.contact));
	else
		dialog->local_cseq += CSEQ_GAP;
	json_decref(json);
	return dialog;
}

/* Spread, so that a pool is not asked for all of them at once. */
static int64_t resume_delay(const struct presence_book *b)
{
	int64_t span = 1000 * (int64_t)HASH_COUNT(b->watches) / RESUME_RATE + 1;

	return RESUME_MIN_MS + (int64_t)arc4random_uniform((uint32_t)span);
}

static bool load_dialog(void *ctx, const struct ledger_dialog *d)
{
	struct presence_book *b = ctx;
	struct jid local, contact;
	struct sip_dialog *dialog;
	struct watch *w;

	if (jid_parse(d->key.local, &local) != OK || jid_parse(d->key.contact, &contact) != OK)
		return true;
	w = watch_find(b, &local, &contact);
	dialog = w != NULL ? read_dialog(d) : NULL;
	if (dialog == NULL)
		return true;
	if (d->key.direction == LEDGER_TO_LOCAL)
		subscriber_resume(w, dialog, d->id, d->expires_at, resume_delay(b));
	else
		notifier_resume(w, dialog, d->event_id, d->id, d->expires_at);
	return true;
}

enum err store_load(struct presence_book *b)
{
	struct watch *w, *next;
	enum err e = ledger_each(b->ledger, NULL, load_half, b);

	if (e == OK)
		e = ledger_each_dialog(b->ledger, NULL, load_dialog, b);
	/* A half whose dialog was lost, or had not begun. */
	HASH_ITER (hh, b->watches, w, next)
		if (e == OK && w->state.in != SUBSCRIPTION_NONE && w->subscriber == NULL)
			subscriber_resume(w, NULL, 0, 0, resume_delay(b));
	return e;
}
