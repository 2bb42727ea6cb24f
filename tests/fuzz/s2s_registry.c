/* The registry of s2s_world.h: a few names, and the settings of partner.test from the input. */
#include "tests/fuzz/s2s_world.h"

#include <string.h>

void domain_init(struct domain *d, const char *name)
{
	memset(d, 0, sizeof(*d));
	str_copy(d->name, sizeof(d->name), name);
}

void partner_init(struct partner *p, const char *name)
{
	memset(p, 0, sizeof(*p));
	str_copy(p->name, sizeof(p->name), name);
	p->gateway = GATEWAY_BY_USER;
	p->tls = REQUIRE_REQUIRED;
	p->sasl = REQUIRE_OPTIONAL;
	p->dialback = p->keepalive = true;
}

void registry_view_begin(struct db *db)
{
	(void)db;
}

void registry_view_end(struct db *db)
{
	(void)db;
}

enum err registry_find_domain(struct db *db, const char *name, struct domain *out)
{
	(void)db;
	if (world.registry_fails)
		return ERR_IO;
	if (strcmp(name, "corp.test") != 0 && strcmp(name, "branch.test") != 0)
		return ERR_NOT_FOUND;
	domain_init(out, name);
	return OK;
}

/* partner.test is as the input wants it; tls.test needs TLS, strict.test a certificate. */
enum err registry_find_partner(struct db *db, const char *domain, struct partner *out)
{
	(void)db;
	if (world.registry_fails)
		return ERR_IO;
	partner_init(out, domain);
	if (strcmp(domain, "partner.test") == 0)
		*out = world.partner;
	else if (strcmp(domain, "strict.test") == 0)
		out->sasl = REQUIRE_REQUIRED, out->dialback = false;
	else if (strcmp(domain, "blocked.test") == 0)
		out->gateway = GATEWAY_BLOCKED, out->tls = REQUIRE_OPTIONAL;
	else if (strcmp(domain, "tls.test") != 0)
		return ERR_NOT_FOUND;
	return OK;
}
