/*
 * address.h - SIP addresses as plain values (RFC 3261 section 19.1): pure.
 *
 * The user part here is decoded: percent-escapes resolved, UTF-8. Only
 * sip_address_format() puts escapes back, and it lets no byte through that
 * could end the URI or the header field.
 */
#ifndef POOLBRIDGE_SIP_ADDRESS_H
#define POOLBRIDGE_SIP_ADDRESS_H

#include "bridge/core/base.h"

#define SIP_PART_MAX 1023
#define SIP_URI_SIZE (3 * 2 * SIP_PART_MAX + 300)

struct sip_address {
	bool secure; /* sips: */
	char user[SIP_PART_MAX + 1];
	char host[254];            /* lower case; an IPv6 address with its brackets */
	uint16_t port;             /* 0: none given */
	char gr[SIP_PART_MAX + 1]; /* the gr parameter, decoded; "" when absent */
};

/*
 * "sip:user@host[:port][;params]"; other parameters are read over, headers (?)
 * and passwords are ERR_SYNTAX, and so is a part that does not decode to UTF-8
 * without controls.
 */
MUST_CHECK enum err sip_address_parse(const char *uri, struct sip_address *out);
/* ERR_SYNTAX: a part holds controls or is not UTF-8, or the host is none. Every other address fits. */
MUST_CHECK enum err sip_address_format(const struct sip_address *a, char out[SIP_URI_SIZE]);

/*
 * A parameter of a URI, of any case, among those behind its host ("lr;transport=tcp", NULL for
 * none); "" when it has no value. ERR_NOT_FOUND; ERR_LIMIT: the value does not fit.
 * COMPAT: sofia-sip's url_param() and url_has_param() read past the end of a last parameter that
 * begins like the one asked for.
 */
MUST_CHECK enum err sip_uri_param(const char *params, const char *name, char *out, size_t size);
bool sip_uri_has_param(const char *params, const char *name);

/*
 * A text as a header field's value: UTF-8, no controls (ERR_SYNTAX), at most
 * size-1 bytes (ERR_LIMIT). The one encoder between XMPP text and SIP headers.
 */
MUST_CHECK enum err sip_header_text(const char *text, char *out, size_t size);
/* The same as a quoted-string with its quotes, for display names. */
MUST_CHECK enum err sip_quoted_text(const char *text, char *out, size_t size);

#endif
