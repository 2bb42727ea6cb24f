/*
 * certificate.h - what is said about a peer's certificate: whether it is
 * trusted for a domain, and if not, what is wrong with it, in words that an
 * administrator can act upon.
 */
#ifndef POOLBRIDGE_XMPP_CERTIFICATE_H
#define POOLBRIDGE_XMPP_CERTIFICATE_H

#include "bridge/core/base.h"

enum certificate_trust {
	CERTIFICATE_NONE,      /* the peer has shown none, or there is no TLS */
	CERTIFICATE_UNTRUSTED, /* why says what is wrong */
	CERTIFICATE_TRUSTED,   /* by a CA, and it names the domain */
	CERTIFICATE_DANE       /* by a TLSA record that DNSSEC proves */
};

#define CERTIFICATE_NAME_SIZE 256
#define CERTIFICATE_DATE_SIZE 32
#define CERTIFICATE_WHY_SIZE  512

/* Text is UTF-8 without controls; what is too long ends in "...". "" where there is nothing to say. */
struct certificate_report {
	enum certificate_trust trust;
	char subject[CERTIFICATE_NAME_SIZE]; /* RFC 4514: "CN=partner.test,O=Partner" */
	char issuer[CERTIFICATE_NAME_SIZE];
	char names[CERTIFICATE_NAME_SIZE]; /* whom it is for: "partner.test, *.partner.test and 3 more" */
	char not_before[CERTIFICATE_DATE_SIZE]; /* "2026-01-31T12:00:00Z" */
	char not_after[CERTIFICATE_DATE_SIZE];
	bool server_only;               /* its extended key usage leaves out clientAuth */
	char why[CERTIFICATE_WHY_SIZE]; /* everything that is wrong, separated by "; "; "" when trusted */
};

#endif
