/*
 * jid.h - XMPP addresses, parsed and normalised once, then compared as bytes
 * (RFC 7622 with the RFC 6122 profiles: nodeprep, nameprep, resourceprep; the
 * domainpart as A-labels in lower case, one trailing dot removed).
 *
 * Pure: no state, no allocation. Parts are limited to 1023 bytes, the domain
 * to 253.
 */
#ifndef POOLBRIDGE_XMPP_JID_H
#define POOLBRIDGE_XMPP_JID_H

#include "bridge/core/base.h"

#define JID_PART_MAX   1023
#define JID_DOMAIN_MAX 253
#define JID_BARE_SIZE  (JID_PART_MAX + 1 + JID_DOMAIN_MAX + 1)
#define JID_FULL_SIZE  (JID_BARE_SIZE + 1 + JID_PART_MAX)
#define JID_PAIR_SIZE  (2 * JID_BARE_SIZE)

struct jid {
	char local[JID_PART_MAX + 1]; /* "" when absent */
	char domain[JID_DOMAIN_MAX + 1];
	char resource[JID_PART_MAX + 1]; /* "" when absent */
};

/* localpart@domainpart/resourcepart; an empty part with its separator present is ERR_SYNTAX. */
MUST_CHECK enum err jid_parse(const char *text, struct jid *out);

/* One domain name, normalised as in a JID. IP literals ([::1], 192.0.2.1) are ERR_SYNTAX. */
MUST_CHECK enum err jid_domain(const char *text, char out[JID_DOMAIN_MAX + 1]);

/* local@domain, or the domain alone. Returns its length. */
size_t jid_bare(const struct jid *jid, char out[JID_BARE_SIZE]);
void jid_full(const struct jid *jid, char out[JID_FULL_SIZE]);
/* "FIRST SECOND", both bare: a key of what is between two. Returns the length of the first. */
size_t jid_pair(const struct jid *first, const struct jid *second, char out[JID_PAIR_SIZE]);

/* UTF-8 that is well formed and holds only characters that XML 1.0 allows. */
bool utf8_is_xml(const char *s, size_t n);

#endif
