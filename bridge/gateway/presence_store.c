/*
 * presence_store.c - what of presence is in the ledger.
 *
 * A half of a subscription is a row (presence.c), each SIP dialog of it another,
 * and what the contact was told last is a text in the half's row (map_told.h).
 * presence_start.c reads all of it back. A write that fails is in the log, and
 * costs at worst that something is asked, or told, once more after a restart.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge/gateway/map_told.h"

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
	enum err e = *row == 0 ? ERR_NOT_FOUND : ledger_set_dialog(w->book->ledger, &d);

	if (e == ERR_NOT_FOUND) /* or it went with a commit that failed */
		e = ledger_add_dialog(w->book->ledger, &d, row);
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

/* What is not available any more is no part of it; ends that have not arrived are. */
char *store_text(const struct watch *w)
{
	struct presence_list list;
	enum err e = OK;
	char *text;

	presence_list_copy(&w->told, &list);
	for (size_t i = list.count; i-- > 0;)
		if (!list.items[i].available)
			presence_list_remove(&list, list.items[i].resource);
	for (size_t i = 0; e == OK && i < w->ending.count; i++)
		if (presence_list_find(&list, w->ending.items[i].resource) == NULL)
			e = presence_list_put(&list, &w->ending.items[i]);
	text = told_write(&list);
	presence_list_clear(&list);
	return text;
}

void store_told(struct watch *w)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, LEDGER_TO_LOCAL, local);
	char *text = store_text(w);
	enum err e = ledger_tell(w->book->ledger, &key, text);

	if (e != OK && e != ERR_NOT_FOUND)
		log_failure(w, e);
	free(text);
}
