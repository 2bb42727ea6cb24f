/*
 * policy.h - which ways of authentication a partner's settings leave open: the
 * negotiation matrix of TLS, SASL and dialback, pure.
 */
#ifndef POOLBRIDGE_XMPP_POLICY_H
#define POOLBRIDGE_XMPP_POLICY_H

#include "db/registry.h"

enum {
	METHOD_SASL_TLS = 1,     /* SASL EXTERNAL over TLS */
	METHOD_DIALBACK_TLS = 2, /* dialback over TLS */
	METHOD_DIALBACK_TCP = 4  /* dialback in clear text */
};

/* The METHOD_ bits; 0: the settings contradict each other and no stream could come up. */
unsigned policy_methods(enum requirement tls, enum requirement sasl, bool dialback);

#endif
