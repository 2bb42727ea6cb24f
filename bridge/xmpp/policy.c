/*
 * policy.c - the 18 combinations of a partner's TLS, SASL and dialback settings.
 *
 * SASL EXTERNAL lives inside TLS only. Where both TLS and SASL are required,
 * dialback is not used although it may be switched on: the partner must prove
 * itself by certificate.
 */
#include "bridge/xmpp/policy.h"

unsigned policy_methods(enum requirement tls, enum requirement sasl, bool dialback)
{
	bool certificate_only = tls == REQUIRE_REQUIRED && sasl == REQUIRE_REQUIRED;
	unsigned methods = 0;

	if (tls != REQUIRE_NONE && sasl != REQUIRE_NONE)
		methods |= METHOD_SASL_TLS;
	if (dialback && tls != REQUIRE_NONE && !certificate_only)
		methods |= METHOD_DIALBACK_TLS;
	if (dialback && tls != REQUIRE_REQUIRED)
		methods |= METHOD_DIALBACK_TCP;
	return methods;
}
