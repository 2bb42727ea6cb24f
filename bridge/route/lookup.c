/*
 * lookup.c - three look-ups that turn (local user, partner domain) into the
 * facts of a decision.
 *
 * It keeps nothing between calls: what the registry says now is what counts, and
 * whether rows that were read before, and the verdict that came of them, still say it is the registry's business. A
 * registry that cannot be read is an error to the caller, never a default.
 */
#include "bridge/route/lookup.h"

#include <string.h>

/* "Not there" is a fact; only a failing registry is an error. */
static enum err as_fact(enum err e, bool *known)
{
	*known = e == OK;
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_rows(struct db *db, const struct jid *local, const char *partner, struct route_rows *out)
{
	char address[JID_BARE_SIZE];
	enum err e = as_fact(registry_find_domain(db, local->domain, &out->domain), &out->domain_known);

	out->user_known = false;
	if (e == OK)
		e = as_fact(registry_find_partner(db, partner, &out->partner), &out->partner_known);
	if (e == OK && local->local[0]) {
		jid_bare(local, address);
		e = as_fact(registry_find_user(db, address, &out->user), &out->user_known);
	}
	return e;
}

/* All three of one state of the registry: a cutover may change several of them in one transaction. */
enum err route_lookup_rows(struct db *db, const struct jid *local, const char *partner,
			   struct route_rows *out)
{
	enum err e;

	registry_view_begin(db);
	e = find_rows(db, local, partner, out);
	registry_view_end(db);
	return e;
}

struct route_facts route_facts_of(const struct route_rows *rows)
{
	return (struct route_facts){
		.domain = rows->domain_known ? &rows->domain : NULL,
		.partner = rows->partner_known ? &rows->partner : NULL,
		.user = rows->user_known ? &rows->user : NULL,
	};
}

/* Of users who are listed alone: addresses that somebody makes up take no place from theirs. */
static enum err decide(struct db *db, const struct jid *local, const char *partner, const char *key,
		       struct verdict *out)
{
	struct route_rows rows;
	struct route_facts facts;
	enum err e = find_rows(db, local, partner, &rows);

	if (e != OK)
		return e;
	facts = route_facts_of(&rows);
	*out = route_decide(&facts);
	out->partner_type = rows.partner_known ? rows.partner.type : PARTNER_FEDERATED;
	if (rows.user_known)
		registry_remember(db, key, out, sizeof(*out));
	return OK;
}

enum err route_lookup(struct db *db, const struct jid *local, const char *partner, struct verdict *out)
{
	char key[JID_BARE_SIZE + 1 + JID_DOMAIN_MAX];
	const size_t n = jid_bare(local, key);
	enum err e = OK;

	key[n] = ' ';
	strcpy(key + n + 1, partner);
	registry_view_begin(db);
	if (!registry_recall(db, key, out, sizeof(*out)))
		e = decide(db, local, partner, key, out);
	registry_view_end(db);
	return e;
}
