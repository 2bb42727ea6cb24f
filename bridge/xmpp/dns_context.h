/*
 * dns_context.h - private to dns.c: libunbound as configured.
 */
#ifndef POOLBRIDGE_XMPP_DNS_CONTEXT_H
#define POOLBRIDGE_XMPP_DNS_CONTEXT_H

#include <unbound.h>

#include "bridge/xmpp/dns.h"

/* Ready for ub_resolve_async() with a thread. The caller owns it. What is wrong is logged. */
MUST_CHECK enum err dns_context_create(const struct dns_config *config, struct ub_ctx **out);

#endif
