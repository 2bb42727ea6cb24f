/*
 * presence_store.c - what of presence is in the ledger.
 *
 * A half of a subscription is a row (presence.c), each SIP dialog of it another,
 * and what the contact was told last is a small JSON text in the half's row.
 * presence_start.c reads all of it back. A write that fails is in the log, and
 * costs at worst that something is asked, or told, once more after a restart.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static char *write_list(const struct presence_list *list, bool with_status)
{
	json_t *array = json_array();
	char *text;

	for (size_t i = 0; i < list->count; i++) {
		struct presence p = list->items[i];

		if (!with_status)
			p.status = p.lang = NULL;
		if (p.available)
			json_array_append_new(array, write_presence(&p));
	}
	text = json_array_size(array) > 0 ? json_dumps(array, JSON_COMPACT) : xstrdup("");
	json_decref(array);
	return text;
}

void store_told(struct watch *w)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, LEDGER_TO_LOCAL, local);
	char *text = write_list(&w->told, true);
	enum err e;

	if (strlen(text) > LEDGER_TOLD_MAX) { /* who is there matters more than what he says */
		free(text);
		text = write_list(&w->told, false);
	}
	e = ledger_tell(w->book->ledger, &key, text);
	if (e != OK && e != ERR_NOT_FOUND)
		log_failure(w, e);
	free(text);
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

void store_read_told(struct watch *w, const char *text)
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
