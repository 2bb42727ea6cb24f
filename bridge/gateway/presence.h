/*
 * presence.h - presence between XMPP contacts and users of a pool (RFC 8048,
 * RFC 6665, RFC 6121), kept in the subscription ledger.
 */
#ifndef POOLBRIDGE_GATEWAY_PRESENCE_H
#define POOLBRIDGE_GATEWAY_PRESENCE_H

#include "bridge/gateway/gateway_internal.h"
#include "db/ledger.h"

struct presence_book;

/* Takes up what the ledger has. ledger NULL: presence is refused, both ways. */
MUST_CHECK enum err presence_create(struct gateway *g, struct ledger *ledger, struct presence_book **out);
/* Dialogs go on at the pools, and are taken up again by the next start. NULL is allowed. */
void presence_destroy(struct presence_book *b);

/* XMPP -> SIP: a presence stanza for a user of that pool. Calls done once. */
void presence_take_stanza(struct presence_book *b, struct stanza *stanza, const struct verdict *v,
			  delivery_fn *done, void *done_ctx);

/* SIP -> XMPP: a SUBSCRIBE outside a dialog; answered. */
void presence_take_subscribe(struct presence_book *b, const struct sip_request *r, const struct jid *user,
			     const struct jid *contact);
/* A request in a dialog. False: it is none of a subscription. */
bool presence_take(struct presence_book *b, const struct sip_request *r);

/* Whether the local user (to) has added the contact (from). */
bool presence_is_added(struct presence_book *b, const struct stanza *stanza);

/* Of this user, or of anybody (NULL), something has changed that decides who shows him. */
void presence_changed(struct presence_book *b, const char *user);

/*
 * All subscriptions of this address (bare), of a local user or a contact, end: the contacts are told so,
 * and so are the pools.
 */
void presence_erase(struct presence_book *b, const char *address);

json_t *presence_status(const struct presence_book *b); /* counters; the caller owns it */

#endif
