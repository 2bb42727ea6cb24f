/*
 * receipt.h - notes that a message has arrived (XEP-0184, RFC 5438).
 */
#ifndef POOLBRIDGE_GATEWAY_RECEIPT_H
#define POOLBRIDGE_GATEWAY_RECEIPT_H

#include "bridge/gateway/conversation.h"

/* The pool asked (text->cpim, which is taken): the XMPP user gets the message with this id. */
void receipt_expect(struct conversation *c, const char *id, struct map_content *text);
/* The XMPP client's receipt. */
void receipt_received(struct conversation *c, const char *id);
void receipt_forget_all(struct conversation *c);
/* The recipient's client has that XMPP message. */
void receipt_tell(struct gateway *g, const struct stanza *message);

#endif
