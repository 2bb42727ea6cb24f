/*
 * cmd_audit.c - poolbridgectl audit list|undo.
 *
 * The entries are the schema's; this shows them and asks db/audit.c to undo one.
 * A list may be long, so it is printed as it is read.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/output.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row of the audit; NULL when there was none. */
static json_t *row_of(const char *text)
{
	json_error_t error;
	json_t *row = text ? json_loads(text, 0, &error) : NULL;

	return row ? row : json_null();
}

static json_t *entry_document(const struct audit_entry *e)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)e->id, "at",
			 ctl_text(e->at), "actor", ctl_text(e->actor), "object", ctl_text(e->object), "key",
			 ctl_text(e->key), "before", row_of(e->before), "after", row_of(e->after));
}

static void say_entry(struct ctl *ctl, const struct audit_entry *e, const json_t *document)
{
	const json_t *before = json_object_get(document, "before"),
		     *after = json_object_get(document, "after");
	char *changes = output_difference(before, after);
	const char *verb = !e->before ? "added: " : !e->after ? "removed: " : "";

	ctl_say(ctl, "%lld  %s  %s  %s %s: %s%s\n", (long long)e->id, e->at, e->actor, e->object, e->key,
		verb, changes);
	free(changes);
}

static bool print_entry(void *ctx, const struct audit_entry *e)
{
	json_t *document = entry_document(e);

	if (!((struct ctl *)ctx)->inv->json)
		say_entry(ctx, e, document);
	ctl_list_item(ctx, document);
	return true;
}

/*
 * 2026, 2026-11, 2026-11-21, 2026-11-21T07, ... to 2026-11-21T07:40:12.345, with a
 * 'Z' where a time is given: any beginning of the audit's own form.
 */
static bool is_time(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddd";
	size_t n = strlen(text);

	if (n > 11 && text[n - 1] == 'Z')
		n--;
	if (n < 4 || n > sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return false;
	return n == sizeof(form) - 1 || form[n] != 'd' || n == 21 || n == 22;
}

/* Whether what is given of month, day, hour, minute and second can be. */
static bool is_on_the_calendar(const char *text)
{
	unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0;

	(void)sscanf(text, "%*4u-%2u-%2uT%2u:%2u:%2u", &month, &day, &hour, &minute, &second);
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second < 60;
}

int cmd_audit_list(struct ctl *ctl)
{
	struct audit_filter filter = { .since = command_value(ctl->inv, "since") };
	enum err e;

	if (filter.since && (!is_time(filter.since) || !is_on_the_calendar(filter.since)))
		return ctl_usage(ctl,
				 "'%s' is no time: expected UTC such as 2026-11-21, 2026-11-21T07:40 or "
				 "2026-11-21T07:40:12Z",
				 filter.since);
	ctl_list_begin(ctl);
	e = audit_each(ctl->db, &filter, print_entry, ctl);
	if (e != OK)
		return ctl_fail_db(ctl, e);
	if (ctl->listed == 0)
		ctl_say(ctl, filter.since ? "no changes since then\n" : "no changes yet\n");
	ctl_list_end(ctl);
	return 0;
}

static bool parse_id(const char *text, int64_t *out)
{
	char *end = NULL;

	errno = 0;
	if (isdigit((unsigned char)text[0]))
		*out = strtoll(text, &end, 10);
	return end && !*end && errno == 0;
}

struct undone {
	struct ctl *ctl;
	json_t *entries;
	int64_t last;
};

static bool keep_last(void *ctx, const struct audit_entry *e)
{
	((struct undone *)ctx)->last = e->id;
	return true;
}

static bool append_entry(void *ctx, const struct audit_entry *e)
{
	struct undone *u = ctx;
	json_t *document = entry_document(e);

	say_entry(u->ctl, e, document);
	json_array_append_new(u->entries, document);
	return true;
}

/* The undoing itself, and the entries that it left. */
static int undo(struct undone *u, int64_t id)
{
	struct ctl *ctl = u->ctl;
	const char *why = NULL;
	enum err e = audit_each(ctl->db, &(struct audit_filter){ .limit = 1 }, keep_last, u);

	if (e != OK)
		return ctl_fail_db(ctl, e);
	e = audit_undo(ctl->db, id, &why);
	if (e == ERR_NOT_FOUND)
		return ctl_fail(ctl, "%s: poolbridgectl audit list shows them", why);
	if (e == ERR_CONFLICT)
		return ctl_fail(ctl, "%s: undo the later changes first, or set what you want", why);
	if (e != OK)
		return ctl_fail(ctl, "entry %lld cannot be undone: %s", (long long)id, why);
	ctl_say(ctl, "entry %lld undone\n", (long long)id);
	e = audit_each(ctl->db, &(struct audit_filter){ .after_id = u->last }, append_entry, u);
	return e == OK ? 0 : ctl_fail_db(ctl, e);
}

int cmd_audit_undo(struct ctl *ctl)
{
	struct undone u = { .ctl = ctl };
	int64_t id = 0;
	int status;

	if (!parse_id(ctl->inv->words[0], &id))
		return ctl_usage(ctl,
				 "'%s' is no number of an audit entry: poolbridgectl audit list shows them",
				 ctl->inv->words[0]);
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	u.entries = json_array();
	status = ctl_end(ctl, undo(&u, id));
	if (status == 0)
		return ctl_document(ctl,
				    json_pack("{s:I, s:o}", "undone", (json_int_t)id, "entries", u.entries));
	json_decref(u.entries);
	return status;
}
