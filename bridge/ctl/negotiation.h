/*
 * negotiation.h - what a partner's TLS, SASL and dialback settings amount to, in
 * words: which ways of authentication are left, and what to warn of. Pure.
 */
#ifndef POOLBRIDGE_CTL_NEGOTIATION_H
#define POOLBRIDGE_CTL_NEGOTIATION_H

#include <jansson.h>

#include "db/registry.h"

/* The ways in order of preference: "SASL over TLS", "TLS dialback", "TCP dialback"; a new array. */
json_t *negotiation_methods(const struct partner *p);

/* NULL when there is nothing to warn of. */
const char *negotiation_warning(const struct partner *p);

/* OK, or ERR_REFUSED: *why (static buffer) says which settings exclude each other and what to change. */
MUST_CHECK enum err negotiation_check(const struct partner *p, const char **why);

#endif
