/*
 * ledger_tap.h - reads the presence that passes between partners and the legacy
 * gateway, so that the ledger knows the legacy users' subscriptions before they
 * are moved. It changes and delays nothing.
 */
#ifndef POOLBRIDGE_ROUTE_LEDGER_TAP_H
#define POOLBRIDGE_ROUTE_LEDGER_TAP_H

#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"
#include "db/ledger.h"

struct ledger_tap;

/* Borrows the ledger. */
struct ledger_tap *ledger_tap_create(struct ledger *ledger);
void ledger_tap_destroy(struct ledger_tap *t); /* NULL is allowed */

/* A stanza of the legacy gateway to a partner, and one of a partner to the legacy gateway. */
void ledger_tap_outbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			 const struct jid *to);
void ledger_tap_inbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			const struct jid *to);

#endif
