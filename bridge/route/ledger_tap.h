/*
 * ledger_tap.h - reads the presence that passes between partners and the legacy
 * gateway, so that the ledger knows the legacy users' subscriptions, and what
 * their contacts were told, before they are moved.
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

/*
 * A stanza of the legacy gateway to a partner. moved: its user is being moved, or has been. True: it is the end of
 * something that the contact was shown, which the ledger keeps until he has been shown what follows; it does not go on.
 */
bool ledger_tap_outbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			 const struct jid *to, bool moved);
/* One of a partner to the legacy gateway. */
void ledger_tap_inbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			const struct jid *to);

#endif
