/*
 * cmd_partner.c - poolbridgectl partner add|set|list|show|remove|import|export.
 *
 * Before anything is written, the negotiation matrix is asked: what could never
 * bring up a stream is refused with what to change, and what can fail in practice
 * is warned of. Each command, an import too, is one transaction: all or nothing.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/output.h"
#include "bridge/ctl/partner_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A word that the parser has let through is a known one. */
#define TAKE_WORD(inv, name, parse, field)                                                                   \
	do {                                                                                                 \
		const char *value_ = command_value(inv, name);                                               \
		if (value_ && parse(value_, field) != OK)                                                    \
			abort();                                                                             \
	} while (0)

static bool apply_options(struct ctl *ctl, struct partner *p)
{
	const struct invocation *inv = ctl->inv;
	const char *dialback = command_value(inv, "dialback"), *keepalive = command_value(inv, "keepalive"),
		   *connections = command_value(inv, "connections"), *proxy = command_value(inv, "proxy"),
		   *description = command_value(inv, "description");

	TAKE_WORD(inv, "gateway", partner_gateway_parse, &p->gateway);
	TAKE_WORD(inv, "type", partner_type_parse, &p->type);
	TAKE_WORD(inv, "tls", requirement_parse, &p->tls);
	TAKE_WORD(inv, "sasl", requirement_parse, &p->sasl);
	if (dialback)
		p->dialback = strcmp(dialback, "yes") == 0;
	if (keepalive)
		p->keepalive = strcmp(keepalive, "yes") == 0;
	return (!connections || partner_set_connections(ctl, "", connections, p)) &&
	       (!proxy || partner_set_proxy(ctl, "", proxy, p)) &&
	       (!description || partner_set_description(ctl, "", description, p)) &&
	       partner_check(ctl, "", p);
}

static bool remove_alias(struct ctl *ctl, const char *partner, const char *text)
{
	char alias[JID_DOMAIN_MAX + 1];
	enum err e;

	if (!name_domain(ctl, "", text, alias))
		return false;
	e = registry_remove_alias(ctl->db, partner, alias);
	/* Gone already is as good as gone: set may be repeated. */
	if (e != OK && e != ERR_NOT_FOUND)
		ctl_fail_db(ctl, e);
	return e == OK || e == ERR_NOT_FOUND;
}

static bool apply_aliases(struct ctl *ctl, const char *partner)
{
	const struct invocation *inv = ctl->inv;
	bool good = true, added;

	for (size_t i = 0; good && i < inv->option_count; i++) {
		const struct option_value *o = &inv->options[i];

		if (strcmp(o->option->name, "alias") == 0)
			good = partner_add_alias(ctl, "", partner, o->value, &added);
		else if (strcmp(o->option->name, "no-alias") == 0)
			good = remove_alias(ctl, partner, o->value);
	}
	return good;
}

static int add(struct ctl *ctl, const struct partner *p)
{
	struct partner owner;
	struct domain d;
	enum err e = registry_find_partner(ctl->db, p->name, &owner);

	if (e == OK && strcmp(owner.name, p->name) == 0)
		return ctl_fail(
			ctl,
			"the partner '%s' is in the registry already: poolbridgectl partner set changes it",
			p->name);
	if (e == OK && strcmp(owner.name, "*") != 0)
		return ctl_fail(
			ctl,
			"'%s' is an alias of the partner '%s': poolbridgectl partner set %s --no-alias %s "
			"makes it free",
			p->name, owner.name, owner.name, p->name);
	if (registry_find_domain(ctl->db, p->name, &d) == OK)
		ctl_warn(ctl, "'%s' is a local domain: it will not be treated as a partner", p->name);
	if (e == OK || e == ERR_NOT_FOUND)
		e = registry_add_partner(ctl->db, p);
	if (e != OK)
		return ctl_fail_db(ctl, e);
	return apply_aliases(ctl, p->name) ? 0 : 1;
}

static char *methods_of(const json_t *document)
{
	return output_value(json_object_get(document, "authentication"));
}

int cmd_partner_add(struct ctl *ctl)
{
	struct partner p;
	char name[JID_DOMAIN_MAX + 1], *methods;
	json_t *document = NULL;
	int status;

	if (!name_partner(ctl, "", ctl->inv->words[0], name))
		return 1;
	partner_init(&p, name);
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	status = apply_options(ctl, &p) ? add(ctl, &p) : 1;
	if (status == 0)
		document = partner_details(ctl->db, &p);
	status = ctl_end(ctl, status);
	if (status == 0) {
		methods = methods_of(document);
		ctl_say(ctl, "partner %s added: gateway %s, authentication by %s\n", name,
			partner_gateway_name(p.gateway), methods);
		free(methods);
		return ctl_document(ctl, document);
	}
	json_decref(document);
	return status;
}

static int set(struct ctl *ctl, const char *name, json_t **before, json_t **after)
{
	struct partner p;
	enum err e = registry_get_partner(ctl->db, name, &p);

	if (e == ERR_NOT_FOUND)
		return name_no_partner(ctl, "", name);
	if (e == OK) {
		*before = partner_details(ctl->db, &p);
		if (!apply_options(ctl, &p))
			return 1;
		e = registry_set_partner(ctl->db, &p);
	}
	if (e != OK)
		return ctl_fail_db(ctl, e);
	if (!apply_aliases(ctl, name))
		return 1;
	*after = partner_details(ctl->db, &p);
	return 0;
}

int cmd_partner_set(struct ctl *ctl)
{
	char name[JID_DOMAIN_MAX + 1];
	json_t *before = NULL, *after = NULL;
	int status;

	if (!name_partner(ctl, "", ctl->inv->words[0], name))
		return 1;
	if (ctl->inv->option_count == 0)
		return ctl_usage(ctl, "nothing to set: poolbridgectl partner set --help lists the options");
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	status = ctl_end(ctl, set(ctl, name, &before, &after));
	if (status == 0)
		status = output_change(ctl, "partner", name, before, after);
	json_decref(before);
	json_decref(after);
	return status;
}

struct collector {
	struct db *db;
	json_t *list;
};

static bool append_partner(void *ctx, const struct partner *p)
{
	struct collector *c = ctx;
	json_t *document = partner_document(c->db, p);

	return document && json_array_append_new(c->list, document) == 0;
}

/* All partners as documents; NULL: reported. */
static json_t *collect(struct ctl *ctl)
{
	struct collector c = { ctl->db, json_array() };
	enum err e = registry_each_partner(ctl->db, append_partner, &c);

	if (e == OK)
		return c.list;
	json_decref(c.list);
	ctl_fail_db(ctl, e);
	return NULL;
}

int cmd_partner_list(struct ctl *ctl)
{
	static const struct output_column columns[] = {
		{ "name", "PARTNER" }, { "gateway", "GATEWAY" }, { "type", "TYPE" },
		{ "tls", "TLS" },      { "sasl", "SASL" },       { "dialback", "DIALBACK" },
		{ "proxy", "PROXY" },  { "aliases", "ALIASES" }, { "description", "DESCRIPTION" },
	};
	json_t *list = collect(ctl);

	if (!list)
		return 1;
	if (json_array_size(list) > 0)
		output_table(ctl, list, columns, ARRAY_SIZE(columns));
	else
		ctl_say(ctl, "no partners yet: poolbridgectl partner add DOMAIN\n");
	return ctl_document(ctl, list);
}

int cmd_partner_show(struct ctl *ctl)
{
	struct partner p;
	char name[JID_DOMAIN_MAX + 1];
	json_t *document;
	enum err e;

	if (!name_partner(ctl, "", ctl->inv->words[0], name))
		return 1;
	e = registry_find_partner(ctl->db, name, &p);
	/* "*" would answer for a domain that nobody has listed: that is route explain's to say. */
	if (e == OK && strcmp(p.name, "*") == 0 && strcmp(name, "*") != 0)
		e = ERR_NOT_FOUND;
	if (e != OK)
		return e == ERR_NOT_FOUND ? name_no_partner(ctl, "", name) : ctl_fail_db(ctl, e);
	document = partner_details(ctl->db, &p);
	if (!document)
		return ctl_fail_db(ctl, ERR_IO);
	output_fields(ctl, document);
	return ctl_document(ctl, document);
}

int cmd_partner_remove(struct ctl *ctl)
{
	char name[JID_DOMAIN_MAX + 1];
	enum err e;
	int status;

	if (!name_partner(ctl, "", ctl->inv->words[0], name))
		return 1;
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	e = registry_remove_partner(ctl->db, name);
	if (e == ERR_NOT_FOUND)
		status = name_no_partner(ctl, "", name);
	else if (e != OK)
		status = ctl_fail_db(ctl, e);
	status = ctl_end(ctl, status);
	if (status != 0)
		return status;
	ctl_say(ctl, "partner %s removed\n", name);
	return ctl_document(ctl, json_pack("{s:s}", "removed", name));
}

/* --- import and export --- */

static bool is_in(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			return true;
	return false;
}

/* The aliases are to be exactly those of the row. */
static bool set_aliases(struct ctl *ctl, const struct partner_row *row, const json_t *present)
{
	char *list = xstrdup(row->aliases), *rest = list, *word;
	struct strbuf wanted = { 0 };
	bool good = true, added;
	size_t i;
	json_t *alias;

	strbuf_puts(&wanted, "");
	while (good && (word = strsep(&rest, " ,;")) != NULL) {
		char name[JID_DOMAIN_MAX + 1];

		if (!word[0])
			continue;
		good = partner_add_alias(ctl, row->where, row->partner.name, word, &added);
		if (good && jid_domain(word, name) == OK)
			strbuf_printf(&wanted, "%s ", name);
	}
	json_array_foreach (present, i, alias)
		if (good && !is_in(wanted.s, json_string_value(alias)))
			good = remove_alias(ctl, row->partner.name, json_string_value(alias));
	strbuf_free(&wanted);
	free(list);
	return good;
}

struct import_counts {
	json_int_t added, changed, unchanged;
};

/* What is wrong with the row is reported; the rows after it are looked at all the same. */
static void import_row(struct ctl *ctl, const struct partner_row *row, struct import_counts *counts)
{
	struct partner present;
	json_t *before = NULL, *after = NULL;
	enum err e;

	if (row->known) {
		e = registry_get_partner(ctl->db, row->partner.name, &present);
		if (e == OK)
			before = partner_document(ctl->db, &present);
		if (e == OK)
			e = registry_set_partner(ctl->db, &row->partner);
	} else {
		e = registry_add_partner(ctl->db, &row->partner);
	}
	if (e != OK)
		ctl_fail(ctl, "%spartner '%s': %s", row->where, row->partner.name, db_error(ctl->db));
	else if (!row->aliases || set_aliases(ctl, row, json_object_get(before, "aliases")))
		after = partner_document(ctl->db, &row->partner);
	if (after) {
		counts->added += !row->known;
		counts->changed += row->known && !json_equal(before, after);
		counts->unchanged += row->known && json_equal(before, after);
	}
	json_decref(before);
	json_decref(after);
}

int cmd_partner_import(struct ctl *ctl)
{
	struct import_counts counts = { 0 };
	struct partner_file file;
	struct partner_row row;
	int status = 1;

	if (partner_file_open(ctl, ctl->inv->words[0], &file) && ctl_begin(ctl) == 0) {
		while (partner_file_next(ctl, &file, &row))
			import_row(ctl, &row, &counts);
		status = json_array_size(ctl->errors) > 0 ? ctl_fail(ctl, "nothing was imported") : 0;
		status = ctl_end(ctl, status);
	}
	partner_file_close(&file);
	if (status != 0)
		return status;
	ctl_say(ctl, "partners: %lld added, %lld changed, %lld were so already\n", (long long)counts.added,
		(long long)counts.changed, (long long)counts.unchanged);
	return ctl_document(ctl, json_pack("{s:I, s:I, s:I}", "added", counts.added, "changed",
					   counts.changed, "unchanged", counts.unchanged));
}

int cmd_partner_export(struct ctl *ctl)
{
	const char *path = ctl->inv->word_count > 0 ? ctl->inv->words[0] : "-";
	struct strbuf text = { 0 };
	json_t *list = collect(ctl), *document;
	json_int_t count = (json_int_t)json_array_size(list);
	size_t i;
	int status;

	if (!list)
		return 1;
	if (strcmp(path, "-") == 0 && ctl->inv->json)
		return ctl_document(ctl, list);
	partner_file_header(&text);
	json_array_foreach (list, i, document)
		partner_file_row(&text, document);
	json_decref(list);
	status = text_write(path, &text) ? 0 : ctl_fail(ctl, "%s: %s", path, strerror(errno));
	strbuf_free(&text);
	if (status != 0 || strcmp(path, "-") == 0)
		return status;
	ctl_say(ctl, "%lld partners written to %s\n", (long long)count, path);
	return ctl_document(ctl, json_pack("{s:o, s:I}", "file", ctl_text(path), "exported", count));
}
