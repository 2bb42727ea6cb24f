/*
 * gateway.h - our own XMPP gateway: XMPP messages become SIP MESSAGE requests
 * to a pool, and back (RFC 7572, pager mode).
 *
 * Order per (from, to) is kept by having one request under way for each pair.
 */
#ifndef POOLBRIDGE_GATEWAY_GATEWAY_H
#define POOLBRIDGE_GATEWAY_GATEWAY_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/route/router.h"
#include "bridge/sip/endpoint.h"

struct gateway;

/* Opens the SIP endpoint, where SIP is configured, and registers with the router. */
struct gateway_setup {
	struct loop *loop;
	const struct config *config;
	struct router *router;
	struct dns *dns;       /* NULL: next hops' names are looked up at the start only */
	struct ledger *ledger; /* NULL: no presence */
	unsigned t1_ms;        /* SIP's timer T1; 0: 500 ms */
};
MUST_CHECK enum err gateway_create(const struct gateway_setup *setup, struct gateway **out, const char **why);
/*
 * Stop: nothing more is taken, queued messages fail, waiting SIP requests are answered 503. Messages
 * already sent to a pool have up to two seconds for its answer, then they fail too. finished is
 * called once, from inside this call where none is under way, unless gateway_abort() comes first.
 */
void gateway_stop(struct gateway *g, void (*finished)(void *ctx), void *ctx);
void gateway_abort(struct gateway *g);   /* the same at once: what is under way fails; again is allowed */
void gateway_destroy(struct gateway *g); /* before the router; NULL is allowed */
/*
 * The decisions about this user (bare JID) may be others now, or those about anybody (NULL): his
 * conversations end with the side that he has left, and go on with the other.
 */
void gateway_registry_changed(struct gateway *g, const char *user);
/* Presence subscriptions of this address (bare), on either side, end. */
void gateway_erase(struct gateway *g, const char *address);
/* Read SIP's certificates again; on failure what was loaded before stays in use. */
MUST_CHECK enum err gateway_reload(struct gateway *g, const char **why);
json_t *gateway_status(const struct gateway *g);

#endif
