/*
 * nexthop.h - a next hop of SIP as administrators write it,
 * "sip:HOST[:PORT][;transport=udp|tcp|tls]": pure.
 */
#ifndef POOLBRIDGE_CORE_NEXTHOP_H
#define POOLBRIDGE_CORE_NEXTHOP_H

#include "bridge/core/base.h"

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS };

struct next_hop {
	char host[254]; /* a name or an address, the latter without brackets */
	uint16_t port;  /* 0: none given, so that SRV records are asked first (RFC 3263 section 4.2) */
	enum transport transport; /* UDP where none is given */
};

/* A next hop has no user and no other parameters, and is never sips:, which would promise TLS on every hop. */
MUST_CHECK enum err next_hop_parse(const char *text, struct next_hop *out);

const char *transport_name(enum transport t); /* "tls" */

#endif
