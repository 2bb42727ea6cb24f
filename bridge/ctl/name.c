/*
 * name.c - names and addresses as people type them, normalised before the
 * registry sees them, and what is near one that it does not know.
 *
 * One concession is made: SIP people write "sip:" before an address.
 */
#include "bridge/ctl/ctl.h"

#include <string.h>
#include <strings.h>

#include "bridge/core/nearest.h"

bool name_domain(struct ctl *ctl, const char *where, const char *text, char out[JID_DOMAIN_MAX + 1])
{
	if (jid_domain(text, out) == OK)
		return true;
	if (strchr(text, '@'))
		ctl_fail(ctl, "%s'%s' is an address: only the domain, the part after the '@', is wanted here",
			 where, text);
	else
		ctl_fail(ctl, "%s'%s' is not a domain name: expected one such as corp.example", where, text);
	return false;
}

bool name_partner(struct ctl *ctl, const char *where, const char *text, char out[JID_DOMAIN_MAX + 1])
{
	if (strcmp(text, "*") != 0)
		return name_domain(ctl, where, text, out);
	strcpy(out, "*");
	return true;
}

static const char *without_scheme(const char *text)
{
	return strncasecmp(text, "sip:", 4) == 0 ? text + 4 : text;
}

/* The apostrophe of O'Neil, which SIP allows and XMPP does not, is shown as XEP-0106 writes it. */
static void fail_address(struct ctl *ctl, const char *where, const char *text)
{
	const char *apostrophe = strchr(text, '\''), *at = strchr(text, '@');
	struct strbuf escaped = { 0 };

	if (!apostrophe || !at || apostrophe > at) {
		ctl_fail(ctl, "%s'%s' is not an address: expected local@domain, such as bob@corp.example",
			 where, text);
		return;
	}
	for (const char *s = without_scheme(text); *s; s++)
		if (*s == '\'')
			strbuf_puts(&escaped, "\\27");
		else
			strbuf_putc(&escaped, *s);
	ctl_fail(ctl, "%s'%s' is not an address: in XMPP the apostrophe is written \\27, as in '%s'", where,
		 text, escaped.s);
	strbuf_free(&escaped);
}

bool name_address(struct ctl *ctl, const char *where, const char *text, char out[JID_BARE_SIZE])
{
	struct jid jid;

	if (jid_parse(without_scheme(text), &jid) != OK)
		fail_address(ctl, where, text);
	else if (!jid.local[0])
		ctl_fail(ctl, "%s'%s' is a domain: expected an address, local@domain", where, text);
	else if (jid.resource[0])
		ctl_fail(ctl, "%s'%s' names a device: leave out the '/' and what follows it", where, text);
	else {
		jid_bare(&jid, out);
		return true;
	}
	return false;
}

bool name_jid(struct ctl *ctl, const char *text, struct jid *out)
{
	if (jid_parse(without_scheme(text), out) == OK)
		return true;
	fail_address(ctl, "", text);
	return false;
}

/* What is before the last dot counts: "other.test" is not near "partner.test" for its ending's sake. */
static void start_near(struct nearest *n, const char *name)
{
	const char *dot = strrchr(name, '.');

	nearest_start(n, name);
	if (dot)
		n->distance = (size_t)(dot - name) / 3 + 2;
}

static bool offer_domain(void *ctx, const struct domain *d)
{
	nearest_offer(ctx, d->name);
	return true;
}

int name_no_domain(struct ctl *ctl, const char *where, const char *name)
{
	struct nearest n;

	start_near(&n, name);
	if (registry_each_domain(ctl->db, offer_domain, &n) == OK && n.found[0])
		return ctl_fail(ctl, "%sthere is no local domain '%s' in the registry: did you mean '%s'?",
				where, name, n.found);
	return ctl_fail(
		ctl,
		"%sthere is no local domain '%s' in the registry: poolbridgectl domain list shows them, "
		"poolbridgectl domain add adds one",
		where, name);
}

bool name_local_user(struct ctl *ctl, const char *text, char out[JID_BARE_SIZE])
{
	struct domain domain;
	const char *name;
	enum err e;

	if (!name_address(ctl, "", text, out))
		return false;
	name = strchr(out, '@') + 1;
	e = registry_find_domain(ctl->db, name, &domain);
	if (e == ERR_NOT_FOUND)
		name_no_domain(ctl, "", name);
	else if (e != OK)
		ctl_fail_db(ctl, e);
	return e == OK;
}

struct offer {
	struct db *db;
	struct nearest n;
};

static bool offer_alias(void *ctx, const char *alias)
{
	nearest_offer(ctx, alias);
	return true;
}

static bool offer_partner(void *ctx, const struct partner *p)
{
	struct offer *o = ctx;

	nearest_offer(&o->n, p->name);
	return registry_each_alias(o->db, p->name, offer_alias, &o->n) == OK;
}

int name_no_partner(struct ctl *ctl, const char *where, const char *name)
{
	struct offer o = { .db = ctl->db };
	struct partner owner;

	if (registry_find_partner(ctl->db, name, &owner) == OK && strcmp(owner.name, "*") != 0)
		return ctl_fail(ctl, "%s'%s' is an alias of the partner '%s': name that one", where, name,
				owner.name);
	start_near(&o.n, name);
	if (registry_each_partner(ctl->db, offer_partner, &o) == OK && o.n.found[0])
		return ctl_fail(ctl, "%sthere is no partner '%s' in the registry: did you mean '%s'?", where,
				name, o.n.found);
	return ctl_fail(ctl,
			"%sthere is no partner '%s' in the registry: poolbridgectl partner list shows them, "
			"poolbridgectl partner add adds one",
			where, name);
}
