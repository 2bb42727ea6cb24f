/*
 * decision.c - the table of routing decisions, first match wins.
 *
 * Pure: it reads the facts that it is given and nothing else, so that the
 * daemon, `poolbridgectl route explain` and the tests cannot disagree. The same
 * rows hold for both directions, which is why a cutover is one registry change
 * and never a change on the pools. Looking the facts up is lookup.c's part;
 * acting on a verdict is router.c's.
 */
#include "bridge/route/decision.h"

static const char *const route_names[] = {
	[ROUTE_LEGACY] = "legacy", [ROUTE_GATEWAY] = "gateway", [ROUTE_HOLD] = "hold",
	[ROUTE_REJECT] = "reject", [ROUTE_RELAY] = "relay",
};

const char *route_name(enum route r)
{
	return route_names[r];
}

const char *pool_name(enum pool p)
{
	return p == POOL_NEW ? "new" : "legacy";
}

static struct verdict verdict(unsigned row, enum route route, enum pool pool, const char *reason)
{
	return (struct verdict){ .route = route, .pool = pool, .row = row, .reason = reason };
}

/*
 * Where the user's SIP endpoint is. A listed user lives where the mark says (a
 * user being moved still answers on the old side); an unlisted one where the
 * domain's phase and policy say; 'reject' names no pool, and the new pool's own
 * 404 is then the truest answer.
 */
static enum pool home_pool(const struct domain *domain, const struct user *user)
{
	if (user)
		return user->mark == MARK_MIGRATED ? POOL_NEW : POOL_LEGACY;
	if (domain->phase == PHASE_MIGRATED)
		return POOL_NEW;
	return domain->unlisted == UNLISTED_LEGACY ? POOL_LEGACY : POOL_NEW;
}

static bool access_is_off(const struct domain *domain, const struct user *user)
{
	return user ? !user->xmpp_access : !domain->xmpp_access;
}

static struct verdict by_unlisted_policy(const struct domain *domain)
{
	switch (domain->unlisted) {
	case UNLISTED_LEGACY:
		return verdict(11, ROUTE_LEGACY, POOL_LEGACY, "by the domain's default");
	case UNLISTED_MIGRATED:
		return verdict(11, ROUTE_GATEWAY, POOL_NEW, "by the domain's default");
	case UNLISTED_REJECT:
		break;
	}
	return verdict(11, ROUTE_REJECT, POOL_LEGACY, "unlisted");
}

struct verdict route_decide(const struct route_facts *facts)
{
	const struct domain *domain = facts->domain;
	const struct partner *partner = facts->partner;
	const struct user *user = facts->user;

	if (!domain)
		return verdict(1, ROUTE_REJECT, POOL_LEGACY, "host-unknown");
	if (!partner || partner->gateway == GATEWAY_BLOCKED)
		return verdict(2, ROUTE_REJECT, POOL_LEGACY, "policy-violation");
	if (access_is_off(domain, user))
		return verdict(3, ROUTE_REJECT, POOL_LEGACY, "not-allowed");
	if (partner->gateway == GATEWAY_LEGACY)
		return verdict(4, ROUTE_LEGACY, POOL_LEGACY, "partner not cut over yet");
	if (domain->phase == PHASE_LEGACY)
		return verdict(5, ROUTE_LEGACY, POOL_LEGACY, "domain not cut over yet");
	if (user && user->mark == MARK_MOVING)
		return verdict(6, ROUTE_HOLD, POOL_LEGACY, "being moved");
	if (partner->gateway == GATEWAY_BRIDGE)
		return verdict(7, ROUTE_GATEWAY, home_pool(domain, user), "partner cut over");
	if (domain->phase == PHASE_MIGRATED)
		return verdict(8, ROUTE_GATEWAY, POOL_NEW, "domain cut over");
	if (user && user->mark == MARK_MIGRATED)
		return verdict(9, ROUTE_GATEWAY, POOL_NEW, "by mark");
	if (user)
		return verdict(10, ROUTE_LEGACY, POOL_LEGACY, "by mark");
	return by_unlisted_policy(domain);
}

struct verdict route_decide_local(const struct domain *domain, const struct user *callee)
{
	if (!domain)
		return verdict(0, ROUTE_REJECT, POOL_LEGACY, "host-unknown");
	if (callee && callee->mark == MARK_MOVING)
		return verdict(0, ROUTE_HOLD, POOL_LEGACY, "being moved");
	if (!callee && domain->phase != PHASE_MIGRATED && domain->unlisted == UNLISTED_REJECT)
		return verdict(0, ROUTE_REJECT, POOL_LEGACY, "unlisted");
	return verdict(0, ROUTE_RELAY, home_pool(domain, callee),
		       callee ? "by mark" : "by the domain's default");
}

enum condition route_rejection(const struct verdict *v, const char **text)
{
	static const struct {
		enum condition condition;
		const char *text;
	} rows[] = {
		[0] = { COND_ITEM_NOT_FOUND, "no such user" },
		[1] = { COND_ITEM_NOT_FOUND, "this domain is not served here" },
		[2] = { COND_NOT_ALLOWED, "federation between these domains is not allowed" },
		[3] = { COND_NOT_ALLOWED, "this user may not use XMPP federation" },
		[11] = { COND_ITEM_NOT_FOUND, "no such user" },
	};

	*text = rows[v->row].text;
	return rows[v->row].condition;
}
