/*
 * map_told.c - a list of presence as the ledger's text, and back.
 *
 * The text comes from a file that an administrator may have changed, so reading
 * takes nothing for granted: what cannot be a resource, or is one too many, is
 * not there. Keeps nothing. Nothing is fatal.
 */
#include "bridge/gateway/map_told.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bridge/gateway/map_presence_internal.h"
#include "db/ledger.h"

static json_t *write_presence(const struct presence *p)
{
	const char *show = presence_show_name(p->show);
	json_t *j = json_pack("{s:s*, s:s*, s:s*, s:s*}", "resource", p->resource, "show", show, "status",
			      p->status, "lang", p->lang);

	if (p->priority != 0)
		json_object_set_new(j, "priority", json_integer(p->priority));
	if (!p->available)
		json_object_set_new(j, "gone", json_true());
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
		json_array_append_new(array, write_presence(&p));
	}
	text = json_array_size(array) > 0 ? json_dumps(array, JSON_COMPACT) : xstrdup("");
	json_decref(array);
	return text;
}

char *told_write(const struct presence_list *list)
{
	char *text = write_list(list, true);

	if (strlen(text) <= LEDGER_TOLD_MAX)
		return text;
	free(text); /* who is there matters more than what he says */
	return write_list(list, false);
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

static int priority_of(const json_t *j)
{
	json_int_t n = json_integer_value(json_object_get(j, "priority"));

	return n >= PRIORITY_MIN && n <= PRIORITY_MAX ? (int)n : 0;
}

static bool read_presence(const json_t *j, struct presence *p)
{
	const json_t *resource = json_object_get(j, "resource");

	*p = (struct presence){ .available = !json_is_true(json_object_get(j, "gone")) };
	if (!json_is_object(j) ||
	    (resource != NULL &&
	     (!json_is_string(resource) || !presence_set_resource(p, json_string_value(resource)))))
		return false;
	p->show = show_of(json_string_value(json_object_get(j, "show")));
	p->priority = priority_of(j);
	p->status = copy_of(j, "status");
	p->lang = copy_of(j, "lang");
	return true;
}

void told_read(const char *text, struct presence_list *out)
{
	json_t *list = json_loads(text, 0, NULL), *j;
	enum err e = OK;
	size_t i;

	json_array_foreach (list, i, j) {
		struct presence p;

		if (!read_presence(j, &p))
			continue;
		e = presence_list_put(out, &p);
		presence_clear(&p);
		if (e != OK)
			break;
	}
	json_decref(list);
}
