/*
 * service.h - what the bridge itself answers in the name of a local domain: ping
 * (XEP-0199) and disco#info (XEP-0030). Pure.
 */
#ifndef POOLBRIDGE_ROUTE_SERVICE_H
#define POOLBRIDGE_ROUTE_SERVICE_H

#include "bridge/xmpp/stanza.h"

/* The answer to an iq that is addressed to the domain; NULL: it asks for something that is not served. */
struct stanza *service_answer(const struct stanza *iq);

#endif
