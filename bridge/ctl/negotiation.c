/*
 * negotiation.c - the negotiation matrix in words.
 *
 * Which ways are left is bridge/xmpp/policy.c's to say, for the streams as well
 * as here; the schema refuses the same combinations as negotiation_check().
 * The two warnings are those that administrators know from the Lync cmdlets.
 */
#include "bridge/ctl/negotiation.h"

#include <stdio.h>

#include "bridge/xmpp/policy.h"

static const struct {
	unsigned method;
	const char *words;
} methods[] = {
	{ METHOD_SASL_TLS, "SASL over TLS" },
	{ METHOD_DIALBACK_TLS, "TLS dialback" },
	{ METHOD_DIALBACK_TCP, "TCP dialback" },
};

json_t *negotiation_methods(const struct partner *p)
{
	unsigned left = policy_methods(p->tls, p->sasl, p->dialback);
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (left & methods[i].method)
			json_array_append_new(list, json_string(methods[i].words));
	return list;
}

const char *negotiation_warning(const struct partner *p)
{
	if (p->sasl != REQUIRE_NONE && p->tls != REQUIRE_REQUIRED)
		return "SASL requires TLS; making TLS optional can cause session negotiation failures";
	if (p->sasl == REQUIRE_REQUIRED && p->dialback)
		return "dialback will not be used, because TLS and SASL are required";
	return NULL;
}

enum err negotiation_check(const struct partner *p, const char **why)
{
	static char words[256];
	const char *without = p->tls == REQUIRE_NONE ? "TLS" : "SASL";

	if (policy_methods(p->tls, p->sasl, p->dialback) != 0)
		return OK;
	snprintf(words, sizeof(words),
		 "tls %s, sasl %s and dialback no leave no way to authenticate the partner, because there is "
		 "neither dialback nor %s: set --dialback yes, or set both --tls and --sasl to required or "
		 "optional",
		 requirement_name(p->tls), requirement_name(p->sasl), without);
	*why = words;
	return ERR_REFUSED;
}
