/*
 * session.h - IM sessions that a pool begins, and what it sends in them.
 */
#ifndef POOLBRIDGE_GATEWAY_SESSION_H
#define POOLBRIDGE_GATEWAY_SESSION_H

#include "bridge/gateway/gateway_internal.h"

/* An INVITE outside a dialog, from a user of the pool to an XMPP user; answered. */
void session_take_invite(struct gateway *g, const struct sip_request *r, const struct jid *from,
			 const struct jid *to);
/* A request in a dialog. False: it is none of a session. */
bool session_take(struct gateway *g, const struct sip_request *r);
/* A BYE without a To tag. False: it belongs to no session. */
bool session_take_early_bye(struct gateway *g, const struct sip_request *r);
/* The pool has cancelled this INVITE. */
void session_cancelled(struct gateway *g, struct sip_transaction *transaction);

#endif
