/*
 * registry.c - the tables domain, partner and partner_alias.
 *
 * Reading and writing rows, nothing more: names come normalised, rules are the
 * schema's, and the triggers there write the audit. Users are in registry_user.c.
 * A row that the schema would not have allowed in is reported as damage (ERR_IO),
 * never read as some default.
 */
#include "db/registry.h"

#include <stdio.h>
#include <string.h>

#include "db/registry_view_internal.h"
#include "db/row.h"

#define DOMAIN_COLUMNS "name, phase, unlisted, " ROW_IS_TRUE("xmpp_access")
#define PARTNER_COLUMNS                                                                                      \
	"name, gateway, type, tls, sasl, " ROW_IS_TRUE("dialback") ", " ROW_IS_TRUE(                         \
		"keepalive") ", connections, proxy, description"

void domain_init(struct domain *d, const char *name)
{
	*d = (struct domain){ .phase = PHASE_COEXIST, .unlisted = UNLISTED_LEGACY, .xmpp_access = true };
	str_copy(d->name, sizeof(d->name), name);
}

void partner_init(struct partner *p, const char *name)
{
	*p = (struct partner){
		.gateway = GATEWAY_BY_USER,
		.type = PARTNER_FEDERATED,
		.tls = REQUIRE_REQUIRED,
		.sasl = REQUIRE_OPTIONAL,
		.dialback = true,
		.keepalive = true,
	};
	str_copy(p->name, sizeof(p->name), name);
}

enum err row_damaged(struct db *db, const char *table, const char *key)
{
	snprintf(db->error, sizeof(db->error),
		 "the row '%s' of table %s is damaged: restore the file from a copy", key, table);
	return ERR_IO;
}

static enum err read_domain(struct db *db, struct statement *st, struct domain *out)
{
	struct domain d = { 0 };

	if (!str_copy(d.name, sizeof(d.name), statement_text(st, 0)) ||
	    phase_parse(statement_text(st, 1), &d.phase) != OK ||
	    unlisted_parse(statement_text(st, 2), &d.unlisted) != OK)
		return row_damaged(db, "domain", statement_text(st, 0));
	d.xmpp_access = statement_int(st, 3) != 0;
	*out = d;
	return OK;
}

static enum err read_partner(struct db *db, struct statement *st, struct partner *out)
{
	struct partner p = { 0 };

	if (!str_copy(p.name, sizeof(p.name), statement_text(st, 0)) ||
	    partner_gateway_parse(statement_text(st, 1), &p.gateway) != OK ||
	    partner_type_parse(statement_text(st, 2), &p.type) != OK ||
	    requirement_parse(statement_text(st, 3), &p.tls) != OK ||
	    requirement_parse(statement_text(st, 4), &p.sasl) != OK ||
	    !str_copy(p.proxy, sizeof(p.proxy), statement_text(st, 8)) ||
	    !str_copy(p.description, sizeof(p.description), statement_text(st, 9)))
		return row_damaged(db, "partner", statement_text(st, 0));
	p.dialback = statement_int(st, 5) != 0;
	p.keepalive = statement_int(st, 6) != 0;
	p.connections = (unsigned)statement_int(st, 7);
	*out = p;
	return OK;
}

enum err registry_find_domain(struct db *db, const char *name, struct domain *out)
{
	struct statement *st;
	enum err e = ERR_NOT_FOUND;

	if (view_find(db, VIEW_DOMAINS, name, out, sizeof(*out), &e))
		return e;
	st = statement_open(db, "SELECT " DOMAIN_COLUMNS " FROM domain WHERE name = ?1");
	statement_bind_text(st, 1, name);
	if (statement_step(st))
		e = read_domain(db, st, out);
	return view_keep(db, VIEW_DOMAINS, name, out, sizeof(*out), statement_close_with(st, e));
}

static enum err find_partner(struct db *db, const char *sql, const char *key, struct partner *out)
{
	struct statement *st = statement_open(db, sql);
	enum err e = ERR_NOT_FOUND;

	statement_bind_text(st, 1, key);
	if (statement_step(st))
		e = read_partner(db, st, out);
	return statement_close_with(st, e);
}

enum err registry_find_partner(struct db *db, const char *domain, struct partner *out)
{
	enum err e = ERR_NOT_FOUND;

	if (view_find(db, VIEW_PARTNERS, domain, out, sizeof(*out), &e))
		return e;
	e = find_partner(db,
			 "SELECT " PARTNER_COLUMNS " FROM partner WHERE name = coalesce("
			 "(SELECT name FROM partner WHERE name = ?1),"
			 "(SELECT partner FROM partner_alias WHERE alias = ?1), '*')",
			 domain, out);
	return view_keep(db, VIEW_PARTNERS, domain, out, sizeof(*out), e);
}

enum err registry_get_partner(struct db *db, const char *name, struct partner *out)
{
	return find_partner(db, "SELECT " PARTNER_COLUMNS " FROM partner WHERE name = ?1", name, out);
}

static struct statement *open_domain(struct db *db, const char *sql, const struct domain *d)
{
	struct statement *st = statement_open(db, sql);

	statement_bind_text(st, 1, d->name);
	statement_bind_text(st, 2, phase_name(d->phase));
	statement_bind_text(st, 3, unlisted_name(d->unlisted));
	statement_bind_int(st, 4, d->xmpp_access);
	return st;
}

static struct statement *open_partner(struct db *db, const char *sql, const struct partner *p)
{
	struct statement *st = statement_open(db, sql);

	statement_bind_text(st, 1, p->name);
	statement_bind_text(st, 2, partner_gateway_name(p->gateway));
	statement_bind_text(st, 3, partner_type_name(p->type));
	statement_bind_text(st, 4, requirement_name(p->tls));
	statement_bind_text(st, 5, requirement_name(p->sasl));
	statement_bind_int(st, 6, p->dialback);
	statement_bind_int(st, 7, p->keepalive);
	statement_bind_int(st, 8, p->connections);
	statement_bind_text(st, 9, p->proxy);
	statement_bind_text(st, 10, p->description);
	return st;
}

/* A SELECT that is only asked whether it has a row. */
static enum err has_row(struct db *db, const char *sql, const char *key, bool *out)
{
	struct statement *st = statement_open(db, sql);
	bool found;
	enum err e;

	statement_bind_text(st, 1, key);
	found = statement_step(st);
	e = statement_close(st);
	if (e == OK)
		*out = found;
	return e;
}

enum err registry_add_domain(struct db *db, const struct domain *d)
{
	return statement_run(open_domain(db,
					 "INSERT INTO domain (name, phase, unlisted, xmpp_access) "
					 "VALUES (?1, ?2, ?3, ?4)",
					 d),
			     NULL);
}

enum err registry_set_domain(struct db *db, const struct domain *d)
{
	return statement_run_on_row(
		open_domain(db,
			    "UPDATE domain SET phase = ?2, unlisted = ?3, xmpp_access = ?4 "
			    "WHERE name = ?1",
			    d));
}

enum err registry_remove_domain(struct db *db, const char *name)
{
	struct statement *st;
	bool users = false;
	enum err e = has_row(db, "SELECT 1 FROM user WHERE domain = ?1 LIMIT 1", name, &users);

	if (e != OK)
		return e;
	if (users) {
		snprintf(db->error, sizeof(db->error), "users of the domain are in the registry");
		return ERR_CONFLICT;
	}
	st = statement_open(db, "DELETE FROM domain WHERE name = ?1");
	statement_bind_text(st, 1, name);
	return statement_run_on_row(st);
}

enum err registry_add_partner(struct db *db, const struct partner *p)
{
	return statement_run(open_partner(db,
					  "INSERT INTO partner (name, gateway, type, tls, sasl, dialback, "
					  "keepalive, connections, proxy, description) "
					  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
					  p),
			     NULL);
}

enum err registry_set_partner(struct db *db, const struct partner *p)
{
	return statement_run_on_row(
		open_partner(db,
			     "UPDATE partner SET gateway = ?2, type = ?3, tls = ?4, sasl = ?5, "
			     "dialback = ?6, keepalive = ?7, connections = ?8, proxy = ?9, "
			     "description = ?10 WHERE name = ?1",
			     p));
}

enum err registry_remove_partner(struct db *db, const char *name)
{
	struct statement *st = statement_open(db, "DELETE FROM partner WHERE name = ?1");

	statement_bind_text(st, 1, name);
	return statement_run_on_row(st);
}

enum err registry_add_alias(struct db *db, const char *partner, const char *alias)
{
	struct statement *st;
	bool known = false, taken = false;
	enum err e = has_row(db, "SELECT 1 FROM partner WHERE name = ?1", partner, &known);

	if (e == OK && !known)
		e = ERR_NOT_FOUND;
	if (e == OK)
		e = has_row(db, "SELECT 1 FROM partner WHERE name = ?1", alias, &taken);
	if (e == OK && taken)
		e = ERR_EXISTS;
	if (e != OK)
		return e;
	st = statement_open(db, "INSERT INTO partner_alias (alias, partner) VALUES (?1, ?2)");
	statement_bind_text(st, 1, alias);
	statement_bind_text(st, 2, partner);
	return statement_run(st, NULL);
}

enum err registry_remove_alias(struct db *db, const char *partner, const char *alias)
{
	struct statement *st =
		statement_open(db, "DELETE FROM partner_alias WHERE alias = ?1 AND partner = ?2");

	statement_bind_text(st, 1, alias);
	statement_bind_text(st, 2, partner);
	return statement_run_on_row(st);
}

enum err registry_each_domain(struct db *db, bool (*fn)(void *ctx, const struct domain *d), void *ctx)
{
	struct statement *st = statement_open(db, "SELECT " DOMAIN_COLUMNS " FROM domain ORDER BY name");
	struct domain d;
	enum err e = OK;

	while (e == OK && statement_step(st)) {
		e = read_domain(db, st, &d);
		if (e == OK && !fn(ctx, &d))
			break;
	}
	return statement_close_with(st, e);
}

enum err registry_each_partner(struct db *db, bool (*fn)(void *ctx, const struct partner *p), void *ctx)
{
	struct statement *st = statement_open(db, "SELECT " PARTNER_COLUMNS " FROM partner ORDER BY name");
	struct partner p;
	enum err e = OK;

	while (e == OK && statement_step(st)) {
		e = read_partner(db, st, &p);
		if (e == OK && !fn(ctx, &p))
			break;
	}
	return statement_close_with(st, e);
}

enum err registry_each_alias(struct db *db, const char *partner, bool (*fn)(void *ctx, const char *alias),
			     void *ctx)
{
	struct statement *st =
		statement_open(db, "SELECT alias FROM partner_alias WHERE partner = ?1 ORDER BY alias");

	statement_bind_text(st, 1, partner);
	while (statement_step(st))
		if (!fn(ctx, statement_text(st, 0)))
			break;
	return statement_close(st);
}
