/*
 * request.h - what becomes of a SIP request that a pool has sent us outside a
 * dialog: the gateway's, the other pool's, or nobody's.
 */
#ifndef POOLBRIDGE_ROUTE_REQUEST_H
#define POOLBRIDGE_ROUTE_REQUEST_H

#include "bridge/route/lookup.h"

enum request_route {
	REQUEST_GATEWAY, /* our own gateway's */
	REQUEST_RELAY,   /* on to a pool */
	REQUEST_HOLD,    /* the callee is being moved */
	REQUEST_REJECT,
	REQUEST_LOOP /* it would go back to where it came from */
};

struct request_facts {
	struct route_facts
		facts; /* of the caller and the callee's domain; of the callee when both are local */
	bool from_local, to_local;
	int source; /* the pool that it came from; -1: not known */
};

struct request_verdict {
	enum request_route route;
	enum pool pool;         /* for REQUEST_RELAY; for REQUEST_LOOP the one that it would have gone to */
	struct verdict verdict; /* of the rows; for a loop that needs none, a reject of row 0 */
};

/*
 * Pure. Between two local addresses the callee's mark decides (design: the
 * pools cannot find each other's users); to a partner the rows do, and
 * ROUTE_LEGACY is the legacy pool's side of the legacy gateway. What comes from
 * outside by way of a pool to a local address has been delivered to that pool
 * by us or by the legacy gateway: it is never taken back.
 */
struct request_verdict request_decide(const struct request_facts *f);

/* The facts are read now. ERR_IO: the registry cannot be read. */
MUST_CHECK enum err request_lookup(struct db *db, const struct jid *from, const struct jid *to, int source,
				   struct request_verdict *out);

#endif
