/*
 * user_file.c - poolbridgectl user import|export: CSV with the columns address,
 * mark and xmpp_access.
 *
 * What export writes, import reads back to the same rows. An import is one
 * transaction: every bad row is reported, and then nothing is imported. Columns
 * may stand in any order; xmpp_access may be left out, and is then not touched.
 */
#include "bridge/ctl/user_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridge/ctl/commands.h"
#include "bridge/ctl/csv.h"

struct import {
	struct ctl *ctl;
	struct csv csv;
	char where[300];           /* "FILE:3: " */
	int address, mark, access; /* the columns; -1: not there */
	json_int_t added, changed, unchanged;
};

/* "on" or "off", and what SQL may hold; an empty field says nothing. */
static bool parse_access(const char *text, bool *says, bool *access)
{
	*says = text[0] != '\0';
	*access = strcmp(text, "on") == 0 || strcmp(text, "1") == 0 || strcmp(text, "yes") == 0;
	return *access || !*says || strcmp(text, "off") == 0 || strcmp(text, "0") == 0 ||
	       strcmp(text, "no") == 0;
}

static enum err apply_row(struct import *i, const char *address, enum mark mark, bool says, bool access)
{
	struct user before;
	bool marked = false, switched;
	enum err e = registry_find_user(i->ctl->db, address, &before);
	bool known = e == OK;

	if (e == OK || e == ERR_NOT_FOUND)
		e = registry_mark_user(i->ctl->db, address, mark, &marked);
	/* A new row has access. */
	switched = says && access != (known ? before.xmpp_access : true);
	if (e == OK && switched)
		e = registry_set_user_access(i->ctl->db, address, access);
	if (e != OK)
		return e;
	i->added += !known;
	i->changed += known && (marked || switched);
	i->unchanged += known && !marked && !switched;
	return OK;
}

/* False: the registry itself fails. */
static bool import_row(struct import *i)
{
	char address[JID_BARE_SIZE];
	const char *access_text = i->access < 0 ? "" : i->csv.field[i->access];
	bool says, access;
	enum mark mark;
	enum err e;

	if (!name_address(i->ctl, i->where, i->csv.field[i->address], address))
		return true;
	if (mark_parse(i->csv.field[i->mark], &mark) != OK) {
		ctl_fail(i->ctl, "%s'%s' is no mark: expected legacy, moving or migrated", i->where,
			 i->csv.field[i->mark]);
		return true;
	}
	if (!parse_access(access_text, &says, &access)) {
		ctl_fail(i->ctl, "%sxmpp_access '%s': expected on or off", i->where, access_text);
		return true;
	}
	e = apply_row(i, address, mark, says, access);
	if (e != OK)
		user_fail(i->ctl, i->where, address, e);
	return e == OK || e == ERR_NOT_FOUND || e == ERR_REFUSED;
}

static bool open_import(struct import *i, const char *path)
{
	struct strbuf text = { 0 };
	const char *why = NULL;

	if (text_read(path, &text, &why) != OK) {
		ctl_fail(i->ctl, "%s", why);
		return false;
	}
	if (csv_start(&i->csv, &text, &why) != OK) {
		ctl_fail(i->ctl, "%s:%u: %s", path, i->csv.line, why);
		return false;
	}
	i->address = csv_column(&i->csv, "address");
	i->mark = csv_column(&i->csv, "mark");
	i->access = csv_column(&i->csv, "xmpp_access");
	if (i->address >= 0 && i->mark >= 0)
		return true;
	ctl_fail(i->ctl, "%s:%u: no column '%s': expected the columns address,mark,xmpp_access", path,
		 i->csv.line, i->address < 0 ? "address" : "mark");
	return false;
}

static int import_rows(struct import *i, const char *path)
{
	const char *why = NULL;
	bool going = true;
	int status = ctl_begin(i->ctl);
	enum err e;

	if (status != 0)
		return status;
	while (going && (e = csv_next(&i->csv, &why)) != ERR_NOT_FOUND) {
		snprintf(i->where, sizeof(i->where), "%s:%u: ", path, i->csv.line);
		if (e == OK)
			going = import_row(i);
		else
			ctl_fail(i->ctl, "%s%s", i->where, why);
	}
	if (json_array_size(i->ctl->errors) > 0)
		status = ctl_fail(i->ctl, "nothing was imported");
	return ctl_end(i->ctl, status);
}

int cmd_user_import(struct ctl *ctl)
{
	struct import i = { .ctl = ctl };
	const char *path = ctl->inv->words[0];
	int status = open_import(&i, path) ? import_rows(&i, path) : 1;

	csv_free(&i.csv);
	if (status != 0)
		return status;
	ctl_say(ctl, "users: %lld added, %lld changed, %lld were so already\n", (long long)i.added,
		(long long)i.changed, (long long)i.unchanged);
	return ctl_document(ctl, json_pack("{s:I, s:I, s:I}", "added", i.added, "changed", i.changed,
					   "unchanged", i.unchanged));
}

struct export
{
	struct ctl *ctl;
	bool as_list; /* a JSON list on standard output */
	struct strbuf text;
	json_int_t count;
};

static bool export_user(void *ctx, const struct user *u)
{
	struct export *x = ctx;

	x->count++;
	if (x->as_list) {
		ctl_list_item(x->ctl, user_document(u));
	} else {
		csv_put(&x->text, u->address);
		strbuf_printf(&x->text, ",%s,%s\n", mark_name(u->mark), u->xmpp_access ? "on" : "off");
	}
	return true;
}

int cmd_user_export(struct ctl *ctl)
{
	const char *path = ctl->inv->word_count > 0 ? ctl->inv->words[0] : "-";
	struct export x = { .ctl = ctl, .as_list = ctl->inv->json && strcmp(path, "-") == 0 };
	struct user_filter filter;
	char domain[JID_DOMAIN_MAX + 1];
	int status = user_filter_options(ctl, &filter, domain);
	enum err e;

	if (status != 0)
		return status;
	if (x.as_list)
		ctl_list_begin(ctl);
	else
		strbuf_puts(&x.text, "address,mark,xmpp_access\n");
	e = registry_each_user(ctl->db, &filter, export_user, &x);
	if (e != OK)
		status = ctl_fail_db(ctl, e);
	else if (x.as_list)
		ctl_list_end(ctl);
	else if (!text_write(path, &x.text))
		status = ctl_fail(ctl, "%s: %s", path, strerror(errno));
	strbuf_free(&x.text);
	if (status != 0 || strcmp(path, "-") == 0)
		return status;
	ctl_say(ctl, "%lld users written to %s\n", (long long)x.count, path);
	return ctl_document(ctl, json_pack("{s:o, s:I}", "file", ctl_text(path), "exported", x.count));
}
