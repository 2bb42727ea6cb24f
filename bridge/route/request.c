/*
 * request.c - SIP requests from pools: the table of decision.c, and the four
 * cases of who is local.
 *
 *	caller   callee
 *	local    local     by the callee's mark, to his pool
 *	local    outside   by the rows; legacy: to the legacy pool
 *	outside  local     a loop
 *	outside  outside   row 1: the caller's domain is not ours
 *
 * Never back to the pool that it came from. It keeps nothing between calls.
 */
#include "bridge/route/request.h"

static struct request_verdict relay(const struct request_facts *f, enum pool to, struct verdict v)
{
	return (struct request_verdict){
		.route = f->source == (int)to ? REQUEST_LOOP : REQUEST_RELAY,
		.pool = to,
		.verdict = v,
	};
}

static struct request_verdict between_local(const struct request_facts *f)
{
	struct verdict v = route_decide_local(f->facts.domain, f->facts.user);

	if (v.route == ROUTE_RELAY)
		return relay(f, v.pool, v);
	return (struct request_verdict){
		.route = v.route == ROUTE_HOLD ? REQUEST_HOLD : REQUEST_REJECT,
		.verdict = v,
	};
}

static struct request_verdict to_partner(const struct request_facts *f)
{
	struct verdict v = route_decide(&f->facts);

	if (v.route == ROUTE_LEGACY)
		return relay(f, POOL_LEGACY, v);
	return (struct request_verdict){
		.route = v.route == ROUTE_REJECT ? REQUEST_REJECT : REQUEST_GATEWAY,
		.verdict = v,
	};
}

struct request_verdict request_decide(const struct request_facts *f)
{
	if (f->from_local && f->to_local)
		return between_local(f);
	if (f->to_local)
		return (struct request_verdict){
			.route = REQUEST_LOOP,
			.pool = f->source == POOL_LEGACY ? POOL_NEW : POOL_LEGACY,
			.verdict = { .route = ROUTE_REJECT, .reason = "not for us to bring back" },
		};
	return to_partner(f);
}

static enum err look_up(struct db *db, const struct jid *from, const struct jid *to, int source,
			struct request_verdict *out)
{
	struct request_facts f = { .source = source };
	struct route_rows rows;
	enum err e = route_lookup_rows(db, to, from->domain, &rows);

	if (e != OK)
		return e;
	f.to_local = rows.domain_known;
	if (f.to_local) {
		struct domain callers;

		e = registry_find_domain(db, from->domain, &callers);
		f.from_local = e == OK;
		if (e != OK && e != ERR_NOT_FOUND)
			return e;
	} else {
		e = route_lookup_rows(db, from, to->domain, &rows);
		if (e != OK)
			return e;
		f.from_local = rows.domain_known;
	}
	f.facts = route_facts_of(&rows);
	*out = request_decide(&f);
	return OK;
}

enum err request_lookup(struct db *db, const struct jid *from, const struct jid *to, int source,
			struct request_verdict *out)
{
	enum err e;

	registry_view_begin(db); /* all of it from one state of the registry */
	e = look_up(db, from, to, source, out);
	registry_view_end(db);
	return e;
}
