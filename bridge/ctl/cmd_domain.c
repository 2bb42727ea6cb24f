/*
 * cmd_domain.c - poolbridgectl domain add|set|list|show|remove.
 *
 * The command line has been checked against the table, so the values of options
 * are known words. Changes are one transaction each.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/output.h"

#include <stdlib.h>
#include <string.h>

static json_t *domain_document(const struct domain *d)
{
	return json_pack("{s:s, s:s, s:s, s:b}", "name", d->name, "phase", phase_name(d->phase), "unlisted",
			 unlisted_name(d->unlisted), "xmpp_access", d->xmpp_access);
}

/* The options over what is there. The parser has let known words through only. */
static void apply_options(const struct invocation *inv, struct domain *d)
{
	const char *phase = command_value(inv, "phase"), *unlisted = command_value(inv, "unlisted"),
		   *access = command_value(inv, "xmpp-access");

	if (phase && phase_parse(phase, &d->phase) != OK)
		abort();
	if (unlisted && unlisted_parse(unlisted, &d->unlisted) != OK)
		abort();
	if (access)
		d->xmpp_access = strcmp(access, "on") == 0;
}

int cmd_domain_add(struct ctl *ctl)
{
	struct domain d;
	struct partner p;
	char name[JID_DOMAIN_MAX + 1];
	enum err e;
	int status;

	if (!name_domain(ctl, "", ctl->inv->words[0], name))
		return 1;
	domain_init(&d, name);
	apply_options(ctl->inv, &d);
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	if (registry_get_partner(ctl->db, name, &p) == OK)
		ctl_warn(ctl, "'%s' is a partner as well: as a local domain it will not be treated as one",
			 name);
	e = registry_add_domain(ctl->db, &d);
	if (e == ERR_EXISTS)
		status = ctl_fail(
			ctl,
			"the domain '%s' is in the registry already: poolbridgectl domain set changes it",
			name);
	else if (e != OK)
		status = ctl_fail_db(ctl, e);
	status = ctl_end(ctl, status);
	if (status != 0)
		return status;
	ctl_say(ctl, "domain %s added: phase %s, unlisted users %s, XMPP access %s\n", name,
		phase_name(d.phase), unlisted_name(d.unlisted), d.xmpp_access ? "on" : "off");
	return ctl_document(ctl, domain_document(&d));
}

int cmd_domain_set(struct ctl *ctl)
{
	struct domain d;
	char name[JID_DOMAIN_MAX + 1];
	json_t *before = NULL, *after = NULL;
	enum err e;
	int status;

	if (!name_domain(ctl, "", ctl->inv->words[0], name))
		return 1;
	if (ctl->inv->option_count == 0)
		return ctl_usage(ctl, "nothing to set: give --phase, --unlisted or --xmpp-access");
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	e = registry_find_domain(ctl->db, name, &d);
	if (e == OK) {
		before = domain_document(&d);
		apply_options(ctl->inv, &d);
		after = domain_document(&d);
		e = registry_set_domain(ctl->db, &d);
	}
	if (e == ERR_NOT_FOUND)
		status = name_no_domain(ctl, "", name);
	else if (e != OK)
		status = ctl_fail_db(ctl, e);
	status = ctl_end(ctl, status);
	if (status == 0)
		status = output_change(ctl, "domain", name, before, after);
	json_decref(before);
	json_decref(after);
	return status;
}

static bool append_domain(void *ctx, const struct domain *d)
{
	json_array_append_new(ctx, domain_document(d));
	return true;
}

int cmd_domain_list(struct ctl *ctl)
{
	static const struct output_column columns[] = {
		{ "name", "DOMAIN" },
		{ "phase", "PHASE" },
		{ "unlisted", "UNLISTED" },
		{ "xmpp_access", "XMPP-ACCESS" },
	};
	json_t *list = json_array();
	enum err e = registry_each_domain(ctl->db, append_domain, list);

	if (e != OK) {
		json_decref(list);
		return ctl_fail_db(ctl, e);
	}
	if (json_array_size(list) > 0)
		output_table(ctl, list, columns, ARRAY_SIZE(columns));
	else
		ctl_say(ctl, "no domains yet: poolbridgectl domain add DOMAIN\n");
	return ctl_document(ctl, list);
}

int cmd_domain_show(struct ctl *ctl)
{
	struct domain d;
	char name[JID_DOMAIN_MAX + 1];
	json_t *document;
	enum err e;

	if (!name_domain(ctl, "", ctl->inv->words[0], name))
		return 1;
	e = registry_find_domain(ctl->db, name, &d);
	if (e != OK)
		return e == ERR_NOT_FOUND ? name_no_domain(ctl, "", name) : ctl_fail_db(ctl, e);
	document = domain_document(&d);
	output_fields(ctl, document);
	return ctl_document(ctl, document);
}

static int refuse_with_users(struct ctl *ctl, const char *name)
{
	int64_t count = 0;
	enum err e = registry_count_users(ctl->db, &(struct user_filter){ .domain = name }, &count);

	if (e != OK)
		return ctl_fail_db(ctl, e);
	return ctl_fail(
		ctl,
		"%lld user%s of the domain '%s' %s listed: poolbridgectl user list --domain %s shows them, "
		"poolbridgectl user remove removes them",
		(long long)count, count == 1 ? "" : "s", name, count == 1 ? "is" : "are", name);
}

int cmd_domain_remove(struct ctl *ctl)
{
	char name[JID_DOMAIN_MAX + 1];
	enum err e;
	int status;

	if (!name_domain(ctl, "", ctl->inv->words[0], name))
		return 1;
	status = ctl_begin(ctl);
	if (status != 0)
		return status;
	e = registry_remove_domain(ctl->db, name);
	if (e == ERR_NOT_FOUND)
		status = name_no_domain(ctl, "", name);
	else if (e == ERR_CONFLICT)
		status = refuse_with_users(ctl, name);
	else if (e != OK)
		status = ctl_fail_db(ctl, e);
	status = ctl_end(ctl, status);
	if (status != 0)
		return status;
	ctl_say(ctl, "domain %s removed\n", name);
	return ctl_document(ctl, json_pack("{s:s}", "removed", name));
}
