/*
 * cmd_route.c - poolbridgectl route explain: the verdict for one message, the
 * row that gave it, and what would change it.
 *
 * The facts and the verdict are those of the daemon (route/lookup.c,
 * route/decision.c). What would change the verdict is not written down anywhere:
 * each single change that an administrator could make is tried on a copy of the
 * facts, and those that lead elsewhere are shown as the command that makes them.
 * Nothing is written.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/route/lookup.h"

/* One message, seen from its local user. */
struct question {
	struct ctl *ctl;
	struct jid local;
	const char *partner; /* NULL: local to local */
	char address[JID_BARE_SIZE];
	struct route_rows rows;
	struct verdict verdict;
	json_t *changes;
	bool rows_too; /* also what changes only the row, because nothing single changes the route */
};

static struct verdict decide(const struct question *q, const struct route_rows *rows)
{
	struct route_facts facts = route_facts_of(rows);

	return q->partner ? route_decide(&facts) : route_decide_local(facts.domain, facts.user);
}

static bool has_pool(const struct verdict *v)
{
	return v->route == ROUTE_GATEWAY || v->route == ROUTE_RELAY;
}

/* --- what would change it --- */

static bool is_elsewhere(const struct question *q, const struct verdict *v)
{
	if (v->route != q->verdict.route || (has_pool(v) && v->pool != q->verdict.pool))
		return true;
	return q->rows_too && v->row != q->verdict.row;
}

static void try_rows(struct question *q, const struct route_rows *rows, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

static void try_rows(struct question *q, const struct route_rows *rows, const char *fmt, ...)
{
	struct verdict v = decide(q, rows);
	struct strbuf command = { 0 };
	va_list args;
	char *text = NULL;
	json_t *change;

	if (!is_elsewhere(q, &v))
		return;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		abort();
	va_end(args);
	strbuf_printf(&command, "poolbridgectl %s", text);
	change = json_pack("{s:o, s:s, s:i, s:s}", "command", ctl_text(command.s), "route",
			   route_name(v.route), "row", (int)v.row, "reason", v.reason);
	if (has_pool(&v))
		json_object_set_new(change, "pool", json_string(pool_name(v.pool)));
	json_array_append_new(q->changes, change);
	strbuf_free(&command);
	free(text);
}

static void try_user(struct question *q)
{
	struct route_rows rows = q->rows;

	if (!q->local.local[0] || !rows.domain_known)
		return;
	if (!rows.user_known) {
		rows.user = (struct user){ .xmpp_access = true };
		rows.user_known = true;
	}
	for (enum mark m = MARK_LEGACY; m <= MARK_MIGRATED; m++) {
		rows.user.mark = m;
		try_rows(q, &rows, "user mark %s %s", mark_name(m), q->address);
	}
	if (!q->rows.user_known)
		return;
	rows = q->rows;
	rows.user_known = false;
	try_rows(q, &rows, "user remove %s", q->address);
	if (q->partner) {
		rows = q->rows;
		rows.user.xmpp_access = !rows.user.xmpp_access;
		try_rows(q, &rows, "user access %s %s", rows.user.xmpp_access ? "on" : "off", q->address);
	}
}

static void try_domain(struct question *q)
{
	struct route_rows rows = q->rows;
	const char *name = q->local.domain;

	if (!rows.domain_known) {
		domain_init(&rows.domain, name);
		rows.domain_known = true;
		try_rows(q, &rows, "domain add %s", name);
		return;
	}
	for (enum phase p = PHASE_LEGACY; p <= PHASE_MIGRATED; p++) {
		rows.domain.phase = p;
		try_rows(q, &rows, "domain set %s --phase %s", name, phase_name(p));
	}
	rows = q->rows;
	for (enum unlisted u = UNLISTED_LEGACY; u <= UNLISTED_REJECT; u++) {
		rows.domain.unlisted = u;
		try_rows(q, &rows, "domain set %s --unlisted %s", name, unlisted_name(u));
	}
	rows = q->rows;
	rows.domain.xmpp_access = !rows.domain.xmpp_access;
	try_rows(q, &rows, "domain set %s --xmpp-access %s", name, rows.domain.xmpp_access ? "on" : "off");
}

/* The row that speaks for the partner is what a command must name: its own, or "*". */
static void try_partner(struct question *q)
{
	struct route_rows rows = q->rows;

	if (!q->partner)
		return;
	if (!rows.partner_known || strcmp(rows.partner.name, "*") == 0) {
		partner_init(&rows.partner, q->partner);
		rows.partner_known = true;
		for (enum partner_gateway g = GATEWAY_LEGACY; g <= GATEWAY_BLOCKED; g++) {
			rows.partner.gateway = g;
			try_rows(q, &rows, "partner add %s --gateway %s", q->partner,
				 partner_gateway_name(g));
		}
		return;
	}
	for (enum partner_gateway g = GATEWAY_LEGACY; g <= GATEWAY_BLOCKED; g++) {
		rows.partner.gateway = g;
		try_rows(q, &rows, "partner set %s --gateway %s", rows.partner.name, partner_gateway_name(g));
	}
}

static void find_changes(struct question *q)
{
	q->changes = json_array();
	for (int pass = 0; pass < 2 && json_array_size(q->changes) == 0; pass++) {
		q->rows_too = pass > 0;
		try_user(q);
		try_domain(q);
		try_partner(q);
	}
}

/* --- the answer --- */

static json_t *answer_document(const struct question *q, const char *direction)
{
	json_t *document = json_pack("{s:s, s:i, s:s, s:o, s:s}", "route", route_name(q->verdict.route),
				     "row", (int)q->verdict.row, "reason", q->verdict.reason, "local",
				     ctl_text(q->address), "direction", direction);

	if (has_pool(&q->verdict))
		json_object_set_new(document, "pool", json_string(pool_name(q->verdict.pool)));
	if (q->partner)
		json_object_set_new(document, "partner", json_string(q->partner));
	json_object_set(document, "changes", q->changes);
	return document;
}

/* What the route means for a message that comes in, goes out, or stays between local users. */
static const char *words_of(const struct question *q, const char *direction)
{
	const bool inbound = strcmp(direction, "outbound") != 0, new_pool = q->verdict.pool == POOL_NEW;

	switch (q->verdict.route) {
	case ROUTE_LEGACY:
		return inbound ? "legacy: to the legacy gateway, unchanged"
			       : "legacy: by the legacy gateway; the new pool's SIP goes to the legacy pool";
	case ROUTE_GATEWAY:
		if (!inbound)
			return "gateway: through poolbridge's gateway, to the partner";
		return new_pool ? "gateway: through poolbridge's gateway, to the new pool"
				: "gateway: through poolbridge's gateway, to the legacy pool";
	case ROUTE_HOLD:
		return inbound ? "hold: the user is being moved; kept on disk until the move ends"
			       : "hold: the user is being moved; what they send goes to the partner";
	case ROUTE_REJECT:
		return "reject: answered with an error";
	case ROUTE_RELAY:
		return new_pool ? "relay: to the new pool; refused (482) when it comes from there"
				: "relay: to the legacy pool; refused (482) when it comes from there";
	}
	return "";
}

/* "gateway, new pool"; with its row where the route alone would look as if nothing changed. */
static char *where_to(const struct question *q, const json_t *change)
{
	const char *route = json_string_value(json_object_get(change, "route"));
	const char *pool = json_string_value(json_object_get(change, "pool"));

	if (q->rows_too)
		return xasprintf("%s, by row %lld", route,
				 (long long)json_integer_value(json_object_get(change, "row")));
	return pool ? xasprintf("%s, %s pool", route, pool) : xstrdup(route);
}

static void say_answer(const struct question *q, const char *direction, const char *from, const char *to)
{
	struct ctl *ctl = q->ctl;
	size_t i;
	json_t *change;

	ctl_say(ctl, "%s -> %s\n", from, to);
	ctl_say(ctl, "  %s\n", words_of(q, direction));
	if (q->verdict.row > 0)
		ctl_say(ctl, "  because of row %u: %s\n", q->verdict.row, q->verdict.reason);
	else
		ctl_say(ctl, "  both addresses are local: %s\n", q->verdict.reason);
	if (q->rows.user_known)
		ctl_say(ctl, "  user %s: marked %s, XMPP access %s\n", q->address,
			mark_name(q->rows.user.mark), q->rows.user.xmpp_access ? "on" : "off");
	else if (q->rows.domain_known)
		ctl_say(ctl, "  user %s: not listed\n", q->address);
	if (q->rows.domain_known)
		ctl_say(ctl, "  domain %s: phase %s, unlisted users %s, XMPP access %s\n",
			q->rows.domain.name, phase_name(q->rows.domain.phase),
			unlisted_name(q->rows.domain.unlisted), q->rows.domain.xmpp_access ? "on" : "off");
	else
		ctl_say(ctl, "  domain %s: not in the registry\n", q->local.domain);
	if (q->partner && q->rows.partner_known)
		ctl_say(ctl, "  partner %s: gateway %s\n", q->rows.partner.name,
			partner_gateway_name(q->rows.partner.gateway));
	else if (q->partner)
		ctl_say(ctl, "  partner %s: not in the registry\n", q->partner);
	if (json_array_size(q->changes) > 0)
		ctl_say(ctl, "what would change it:\n");
	json_array_foreach (q->changes, i, change) {
		char *where = where_to(q, change);

		ctl_say(ctl, "  %-21s %s\n", where, json_string_value(json_object_get(change, "command")));
		free(where);
	}
}

/* Which side is local; the callee's when both are. Neither: the callee's, and the verdict says so. */
static int ask(struct question *q, const struct jid *from, const struct jid *to, const char **direction)
{
	struct domain d;
	enum err from_local = registry_find_domain(q->ctl->db, from->domain, &d);
	enum err to_local = registry_find_domain(q->ctl->db, to->domain, &d);
	enum err e = OK;

	if (from_local != OK && from_local != ERR_NOT_FOUND)
		return ctl_fail_db(q->ctl, from_local);
	if (to_local != OK && to_local != ERR_NOT_FOUND)
		return ctl_fail_db(q->ctl, to_local);
	if (from_local == OK && to_local != OK) {
		*direction = "outbound";
		q->local = *from;
		q->partner = to->domain;
	} else {
		*direction = to_local != OK ? "none" : from_local == OK ? "local" : "inbound";
		q->local = *to;
		q->partner = from_local == OK ? NULL : from->domain;
	}
	jid_bare(&q->local, q->address);
	e = route_lookup_rows(q->ctl->db, &q->local, q->partner ? q->partner : "", &q->rows);
	if (e != OK)
		return ctl_fail_db(q->ctl, e);
	q->verdict = decide(q, &q->rows);
	find_changes(q);
	return 0;
}

int cmd_route_explain(struct ctl *ctl)
{
	struct question q = { .ctl = ctl };
	struct jid from, to;
	char from_bare[JID_BARE_SIZE], to_bare[JID_BARE_SIZE];
	const char *direction = NULL;
	json_t *document;
	int status;

	if (!name_jid(ctl, ctl->inv->words[0], &from) || !name_jid(ctl, ctl->inv->words[1], &to))
		return 1;
	status = ask(&q, &from, &to, &direction);
	if (status != 0)
		return status;
	jid_bare(&from, from_bare);
	jid_bare(&to, to_bare);
	say_answer(&q, direction, from_bare, to_bare);
	document = answer_document(&q, direction);
	json_decref(q.changes);
	return ctl_document(ctl, document);
}
