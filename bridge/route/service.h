/*
 * service.h - the few questions that a domain, and a user whose client speaks no
 * XMPP, must have an answer to: ping (XEP-0199), features (XEP-0030), software
 * (XEP-0092), and for users a vCard (XEP-0054). Pure.
 */
#ifndef POOLBRIDGE_ROUTE_SERVICE_H
#define POOLBRIDGE_ROUTE_SERVICE_H

#include "bridge/xmpp/stanza.h"

#define NS_VCARD "vcard-temp"

/* Who is asked. */
struct service {
	const char *identities;      /* of XEP-0030: elements */
	const char *const *features; /* besides those that are always there */
	size_t feature_count;
	const char *vcard; /* what is in it: elements; NULL: there is none */
};

extern const struct service service_of_domain;

/* The answer to an iq; NULL: it asks for something that is not served. */
struct stanza *service_answer(const struct service *service, const struct stanza *iq);

#endif
