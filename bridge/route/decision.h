/*
 * decision.h - which way a message takes: one pure function, the same in both
 * directions. The table of rows is in docs/architecture.md and, as cases, in
 * tests/unit/decision.table.
 */
#ifndef POOLBRIDGE_ROUTE_DECISION_H
#define POOLBRIDGE_ROUTE_DECISION_H

#include "bridge/core/base.h"
#include "bridge/core/config.h"
#include "bridge/xmpp/stanza.h"
#include "db/registry.h"

enum route { ROUTE_LEGACY, ROUTE_GATEWAY, ROUTE_HOLD, ROUTE_REJECT, ROUTE_RELAY };
const char *route_name(enum route r);
const char *pool_name(enum pool p);

/* What the registry knows. NULL: no such row. user NULL: unlisted, or the address is a bare domain. */
struct route_facts {
	const struct domain *domain;
	const struct partner *partner;
	const struct user *user;
};

struct verdict {
	enum route route;
	enum pool pool;                 /* for ROUTE_GATEWAY and ROUTE_RELAY */
	unsigned row;                   /* of the table, 1 to 11; 0 for local to local */
	const char *reason;             /* static: "host-unknown", "by mark", ... */
	enum partner_type partner_type; /* filled in by route_lookup(), where the partner is known */
};

struct verdict route_decide(const struct route_facts *facts);

/*
 * Both addresses are in local domains: by the callee's mark (the domain's
 * unlisted policy when it has none).
 */
struct verdict route_decide_local(const struct domain *domain, const struct user *callee);

/* What the sender of something rejected is told; the text is static. */
enum condition route_rejection(const struct verdict *v, const char **text);

#endif
