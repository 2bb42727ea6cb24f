/*
 * cmd_user.c - poolbridgectl user mark|access|remove|list|show.
 *
 * mark, access and remove take many addresses, from the command line or from a
 * file, and do all of them in one transaction or none: every address that is wrong
 * is reported with its line before the command gives up. The file is read to its
 * end first, so that a slow pipe does not keep the registry locked. CSV is
 * user_file.c's, and marking many at once user_wave.c's.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/csv.h"
#include "bridge/ctl/output.h"
#include "bridge/ctl/user_file.h"
#include "bridge/ctl/user_wave.h"
#include "db/move.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *user_document(const struct user *u)
{
	return json_pack("{s:o, s:s, s:s, s:b}", "address", ctl_text(u->address), "mark", mark_name(u->mark),
			 "domain", u->domain, "xmpp_access", u->xmpp_access);
}

int user_fail(struct ctl *ctl, const char *where, const char *address, enum err e)
{
	struct domain d;
	const char *domain = strchr(address, '@') + 1;

	if (e == ERR_NOT_FOUND && registry_find_domain(ctl->db, domain, &d) == ERR_NOT_FOUND)
		return name_no_domain(ctl, where, domain);
	if (e == ERR_NOT_FOUND)
		return ctl_fail(ctl,
				"%s'%s' is not listed: it follows its domain's policy for unlisted users "
				"(poolbridgectl user mark lists it)",
				where, address);
	if (e == ERR_REFUSED)
		return ctl_fail(ctl, "%s'%s': %s", where, address, db_error(ctl->db));
	return ctl_fail_db(ctl, e);
}

/* --- many addresses --- */

struct work {
	struct ctl *ctl;
	/* What is done with each address; *changed is false when it was so already. */
	enum err (*change)(struct work *w, const char *address, bool *changed);
	const char *path;      /* of --from, as errors name it */
	struct user_wave wave; /* without change: they are collected here */
	enum mark mark;
	bool access;
	json_int_t changed, unchanged;
};

enum { WHERE_SIZE = 300 };

/* "FILE:3: ", or "" for the command line. */
static const char *where_is(const struct work *w, unsigned line, char out[WHERE_SIZE])
{
	if (line == 0)
		return "";
	snprintf(out, WHERE_SIZE, "%s:%u: ", w->path, line);
	return out;
}

/* False: the registry itself fails, so the rest is not worth trying. */
static bool note_result(struct work *w, unsigned line, const char *address, enum err e, bool changed)
{
	char where[WHERE_SIZE];

	if (e != OK) {
		user_fail(w->ctl, where_is(w, line, where), address, e);
		return e == ERR_NOT_FOUND || e == ERR_REFUSED;
	}
	w->changed += changed;
	w->unchanged += !changed;
	return true;
}

/* False as well. */
static bool do_address(struct work *w, unsigned line, const char *text)
{
	char address[JID_BARE_SIZE], where[WHERE_SIZE];
	bool changed = false;
	enum err e;

	if (!name_address(w->ctl, where_is(w, line, where), text, address))
		return true;
	if (!w->change) {
		user_wave_add(&w->wave, address, line);
		return true;
	}
	e = w->change(w, address, &changed);
	return note_result(w, line, address, e, changed);
}

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	n = strlen(text);
	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
		text[--n] = '\0';
	return text;
}

static void do_lines(struct work *w, char *text)
{
	char *line, *at = text;
	unsigned number = 0, addresses = 0;
	bool going = true;

	while (going && (line = text_next_line(&at)) != NULL) {
		number++;
		line = trim(line);
		if (!line[0] || line[0] == '#')
			continue;
		addresses++;
		going = do_address(w, number, line);
	}
	if (addresses == 0)
		ctl_warn(w->ctl, "%s: there is no address in it", w->path);
}

/* Those that were collected; who is not listed yet, one by one. */
static void mark_wave(struct work *w)
{
	int64_t changed;
	enum err e = user_wave_mark(&w->wave, w->ctl->db, w->mark, &changed);
	bool listed_now, going = true;

	if (e != OK) {
		ctl_fail_db(w->ctl, e);
		return;
	}
	w->changed = changed;
	w->unchanged = (json_int_t)w->wave.count - changed;
	for (size_t i = 0; going && i < w->wave.count; i++) {
		const struct wave_entry *entry = &w->wave.entries[i];

		if (!entry->unlisted)
			continue;
		w->unchanged--;
		e = registry_mark_user(w->ctl->db, entry->address, w->mark, &listed_now);
		going = note_result(w, entry->line, entry->address, e, e == OK && listed_now);
	}
}

/* The words from this one on, or the lines of --from; returns the exit status. */
static int do_all(struct work *w, size_t first_word)
{
	struct ctl *ctl = w->ctl;
	const struct invocation *inv = ctl->inv;
	const char *from = command_value(inv, "from"), *why = NULL;
	struct strbuf text = { 0 };
	int status;

	if (!from && inv->word_count == first_word)
		return ctl_usage(ctl, "no address: give one or more, or --from FILE");
	if (from && inv->word_count > first_word)
		return ctl_usage(ctl, "addresses and --from exclude each other");
	if (from && text_read(from, &text, &why) != OK)
		return ctl_fail(ctl, "%s", why);
	w->path = from && strcmp(from, "-") == 0 ? "standard input" : from;
	status = ctl_begin(ctl);
	if (status == 0) {
		if (from)
			do_lines(w, text.s);
		for (size_t i = first_word; i < inv->word_count; i++)
			if (!do_address(w, 0, inv->words[i]))
				break;
		if (!w->change)
			mark_wave(w);
		status = json_array_size(ctl->errors) > 0 ? 1 : 0;
		if (status != 0 && (from || inv->word_count > first_word + 1))
			ctl_fail(ctl, "nothing was changed");
		status = ctl_end(ctl, status);
	}
	strbuf_free(&text);
	return status;
}

int cmd_user_mark(struct ctl *ctl)
{
	struct work w = { .ctl = ctl };
	int status;

	if (mark_parse(ctl->inv->words[0], &w.mark) != OK)
		abort(); /* the parser knows the words */
	status = do_all(&w, 1);
	user_wave_free(&w.wave);
	if (status != 0)
		return status;
	ctl_say(ctl, "%lld marked %s, %lld were so already\n", (long long)w.changed, mark_name(w.mark),
		(long long)w.unchanged);
	return ctl_document(ctl, json_pack("{s:s, s:I, s:I}", "mark", mark_name(w.mark), "changed", w.changed,
					   "unchanged", w.unchanged));
}

static enum err switch_one(struct work *w, const char *address, bool *changed)
{
	struct user u;
	enum err e = registry_find_user(w->ctl->db, address, &u);

	*changed = e == OK && u.xmpp_access != w->access;
	return *changed ? registry_set_user_access(w->ctl->db, address, w->access) : e;
}

int cmd_user_access(struct ctl *ctl)
{
	struct work w = { .ctl = ctl, .change = switch_one };
	int status;

	w.access = strcmp(ctl->inv->words[0], "on") == 0;
	status = do_all(&w, 1);
	if (status != 0)
		return status;
	ctl_say(ctl, "XMPP access %s for %lld, %lld were so already\n", ctl->inv->words[0],
		(long long)w.changed, (long long)w.unchanged);
	return ctl_document(ctl, json_pack("{s:b, s:I, s:I}", "xmpp_access", w.access, "changed", w.changed,
					   "unchanged", w.unchanged));
}

static enum err remove_one(struct work *w, const char *address, bool *changed)
{
	*changed = true;
	return registry_remove_user(w->ctl->db, address);
}

int cmd_user_remove(struct ctl *ctl)
{
	struct work w = { .ctl = ctl, .change = remove_one };
	int status = do_all(&w, 0);

	if (status != 0)
		return status;
	ctl_say(ctl, "%lld removed\n", (long long)w.changed);
	return ctl_document(ctl, json_pack("{s:I}", "removed", w.changed));
}

/* --- looking --- */

int user_filter_options(struct ctl *ctl, struct user_filter *filter, char domain[JID_DOMAIN_MAX + 1])
{
	const char *name = command_value(ctl->inv, "domain"), *mark = command_value(ctl->inv, "mark");
	struct domain d;
	enum err e = OK;

	*filter = (struct user_filter){ .has_mark = mark != NULL };
	if (mark && mark_parse(mark, &filter->mark) != OK)
		abort();
	if (name) {
		if (!name_domain(ctl, "", name, domain))
			return 1;
		filter->domain = domain;
		e = registry_find_domain(ctl->db, domain, &d);
	}
	if (e != OK)
		return e == ERR_NOT_FOUND ? name_no_domain(ctl, "", domain) : ctl_fail_db(ctl, e);
	return 0;
}

static void add_move(void *ctx, const struct move *m)
{
	json_object_set_new(ctx, "moving_since", json_string(m->since));
	json_object_set_new(ctx, "moving_until", json_string(m->until));
	json_object_set_new(ctx, "moving_from", json_string(m->listed ? mark_name(m->mark) : "unlisted"));
}

/* With the move that he is in; one that has just ended is left out. */
static json_t *full_document(struct ctl *ctl, const struct user *u)
{
	json_t *document = user_document(u);
	enum err e = u->mark == MARK_MOVING
			     ? move_find(ctl->db, u->address, ctl->config->spool.move_ms, add_move, document)
			     : OK;

	if (e != OK && e != ERR_NOT_FOUND)
		ctl_warn(ctl, "%s: since when is not known: %s", u->address, db_error(ctl->db));
	return document;
}

static bool print_user(void *ctx, const struct user *u)
{
	struct ctl *ctl = ctx;
	json_t *document = full_document(ctl, u);
	const char *until = json_string_value(json_object_get(document, "moving_until"));

	if (ctl->listed == 0)
		ctl_say(ctl, "%-8s  %-11s  %s\n", "MARK", "XMPP-ACCESS", "ADDRESS");
	/* The address stands last, so that columns of a list without end still align. */
	ctl_say(ctl, "%-8s  %-11s  %s%s%s%s\n", mark_name(u->mark), u->xmpp_access ? "on" : "off", u->address,
		until ? " (until " : "", until ? until : "", until ? ")" : "");
	ctl_list_item(ctl, document);
	return true;
}

int cmd_user_list(struct ctl *ctl)
{
	struct user_filter filter;
	char domain[JID_DOMAIN_MAX + 1];
	enum err e;
	int status = user_filter_options(ctl, &filter, domain);

	if (status != 0)
		return status;
	ctl_list_begin(ctl);
	e = registry_each_user(ctl->db, &filter, print_user, ctl);
	if (e != OK)
		return ctl_fail_db(ctl, e);
	if (ctl->listed == 0)
		ctl_say(ctl,
			filter.domain || filter.has_mark
				? "no such users\n"
				: "no users yet: poolbridgectl user mark legacy|moving|migrated ADDRESS\n");
	ctl_list_end(ctl);
	return 0;
}

int cmd_user_show(struct ctl *ctl)
{
	struct user u;
	char address[JID_BARE_SIZE];
	json_t *document;
	enum err e;

	if (!name_address(ctl, "", ctl->inv->words[0], address))
		return 1;
	e = registry_find_user(ctl->db, address, &u);
	if (e != OK)
		return user_fail(ctl, "", address, e);
	document = full_document(ctl, &u);
	output_fields(ctl, document);
	return ctl_document(ctl, document);
}
