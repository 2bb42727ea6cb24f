/*
 * lookup.h - the facts for one decision, read from the registry now, so that a
 * change by any program is in force for the next stanza.
 */
#ifndef POOLBRIDGE_ROUTE_LOOKUP_H
#define POOLBRIDGE_ROUTE_LOOKUP_H

#include "bridge/route/decision.h"
#include "bridge/xmpp/jid.h"

/* The rows that route_facts point into; user_known is false for a bare domain too. */
struct route_rows {
	bool domain_known, partner_known, user_known;
	struct domain domain;
	struct partner partner;
	struct user user;
};

/*
 * local: an address in a local domain; partner: the other side's domain.
 * ERR_IO only when the registry cannot be read; rows that are not there are facts.
 */
MUST_CHECK enum err route_lookup_rows(struct db *db, const struct jid *local, const char *partner,
				      struct route_rows *out);

/* The facts as route_decide() takes them; they point into rows. */
struct route_facts route_facts_of(const struct route_rows *rows);

/* Both steps and the decision. */
MUST_CHECK enum err route_lookup(struct db *db, const struct jid *local, const char *partner,
				 struct verdict *out);

#endif
