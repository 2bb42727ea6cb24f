/*
 * cmd_streams.c - poolbridgectl streams and check partner: what the edges of the
 * running daemon do, and what is wrong with a partner.
 *
 * Both need the daemon: only it has the streams, the certificate and the dialback
 * secret. A check makes one more stream beside those that carry messages.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/daemon_client.h"
#include "bridge/ctl/output.h"

#include <string.h>

#define ASK_SECONDS   5
#define CHECK_SECONDS 60

/* NULL: reported. */
static json_t *ask_running(struct ctl *ctl, json_t *request, int seconds)
{
	json_t *document = daemon_ask(ctl, request, seconds);

	if (document && !json_is_true(json_object_get(document, "running"))) {
		ctl_fail(ctl, "poolbridge is not running (no daemon at %s): start it and ask again",
			 ctl->config->control_socket);
		json_decref(document);
		return NULL;
	}
	return document;
}

int cmd_streams(struct ctl *ctl)
{
	static const struct output_column columns[] = {
		{ "direction", "" },
		{ "local", "LOCAL" },
		{ "remote", "REMOTE" },
		{ "edge", "EDGE" },
		{ "state", "STATE" },
		{ "address", "ADDRESS" },
		{ "tls", "TLS" },
		{ "auth", "AUTH" },
		{ "sm", "SM" },
		{ "queued", "QUEUED" },
		{ "unconfirmed", "UNCONFIRMED" },
		{ "unacknowledged", "UNACKNOWLEDGED" },
		{ "age_seconds", "AGE" },
		{ "last_error", "LAST ERROR" },
	};
	json_t *document = ask_running(ctl, json_pack("{s:s}", "command", "streams"), ASK_SECONDS);
	json_t *links = json_incref(json_object_get(document, "links"));

	json_decref(document);
	if (!links)
		return 1;
	if (json_array_size(links) == 0)
		ctl_say(ctl, "no streams\n");
	else
		output_table(ctl, links, columns, ARRAY_SIZE(columns));
	return ctl_document(ctl, links);
}

/* In whose name the partner is tried: the domain given, or the only one there is. */
static bool first_domain(void *ctx, const struct domain *d)
{
	str_copy(ctx, JID_DOMAIN_MAX + 1, d->name);
	return false;
}

static bool local_domain(struct ctl *ctl, char out[JID_DOMAIN_MAX + 1])
{
	const char *given = command_value(ctl->inv, "as");
	struct domain domain;
	enum err e;

	if (given && !name_domain(ctl, "", given, out))
		return false;
	out[0] = given ? out[0] : '\0';
	e = given ? registry_find_domain(ctl->db, out, &domain)
		  : registry_each_domain(ctl->db, first_domain, out);
	if (e == ERR_NOT_FOUND)
		name_no_domain(ctl, "", out);
	else if (e != OK)
		ctl_fail_db(ctl, e);
	else if (!out[0])
		ctl_fail(ctl, "no local domain is in the registry: poolbridgectl domain add DOMAIN");
	return e == OK && out[0];
}

/* Whose it is to mend, in a sentence. */
static const char *words_of_side(const char *side)
{
	return strcmp(side, "theirs") == 0 ? "their" : strcmp(side, "ours") == 0 ? "our" : side;
}

static void say_step(struct ctl *ctl, const json_t *row)
{
	bool ok = json_is_true(json_object_get(row, "ok"));

	ctl_say(ctl, "  %-6s %-15s %s\n", ok ? "ok" : "WRONG",
		json_string_value(json_object_get(row, "step")),
		json_string_value(json_object_get(row, "text")));
	if (!ok && json_object_get(row, "mend"))
		ctl_say(ctl, "         to mend (%s side): %s\n",
			words_of_side(json_string_value(json_object_get(row, "side"))),
			json_string_value(json_object_get(row, "mend")));
}

static void say_report(struct ctl *ctl, const json_t *report)
{
	const json_t *row;
	size_t i;

	ctl_say(ctl, "%s in the name of %s:\n", json_string_value(json_object_get(report, "partner")),
		json_string_value(json_object_get(report, "local")));
	json_array_foreach (json_object_get(report, "steps"), i, row)
		say_step(ctl, row);
}

int cmd_check_partner(struct ctl *ctl)
{
	char local[JID_DOMAIN_MAX + 1], domain[JID_DOMAIN_MAX + 1];
	struct partner partner;
	json_t *report;
	enum err e;
	int status;

	if (!name_domain(ctl, "", ctl->inv->words[0], domain) || !local_domain(ctl, local))
		return 1;
	e = registry_find_partner(ctl->db, domain, &partner);
	if (e == ERR_NOT_FOUND)
		return name_no_partner(ctl, "", domain);
	if (e != OK)
		return ctl_fail_db(ctl, e);
	if (partner.gateway == GATEWAY_BLOCKED && strcmp(partner.name, "*") == 0)
		return ctl_fail(
			ctl,
			"all who are not listed are blocked here, and so is %s: poolbridgectl partner add %s",
			domain, domain);
	if (partner.gateway == GATEWAY_BLOCKED)
		return ctl_fail(ctl,
				"%s is blocked here, so no stream can come up: poolbridgectl partner set %s "
				"--gateway by-user",
				domain, partner.name);
	report = ask_running(
		ctl,
		json_pack("{s:s, s:s, s:s}", "command", "check-partner", "local", local, "partner", domain),
		CHECK_SECONDS);
	if (!report)
		return 1;
	say_report(ctl, report);
	status = json_is_true(json_object_get(report, "ok")) ? 0 : 1;
	ctl_document(ctl, report);
	return status;
}
