/*
 * partner_file.c - partners as JSON and CSV; the values of a partner from text.
 *
 * Two kinds of CSV are read: our own, with every column, and what
 * Get-CsXmppAllowedPartner exports, whose words are translated and whose
 * defaults (public-unverified, SASL required) stand for columns that it leaves
 * out. A column that is not in the file leaves a partner that is in the registry
 * as it is. Writing rows to the registry is cmd_partner.c's.
 */
#include "bridge/ctl/partner_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "bridge/core/hostport.h"
#include "bridge/ctl/negotiation.h"

/* --- JSON --- */

static bool append_alias(void *ctx, const char *alias)
{
	json_array_append_new(ctx, ctl_text(alias));
	return true;
}

json_t *partner_document(struct db *db, const struct partner *p)
{
	json_t *aliases = json_array();

	if (registry_each_alias(db, p->name, append_alias, aliases) != OK) {
		json_decref(aliases);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:o, s:o, s:o}", "name", p->name,
			 "gateway", partner_gateway_name(p->gateway), "type", partner_type_name(p->type),
			 "tls", requirement_name(p->tls), "sasl", requirement_name(p->sasl), "dialback",
			 p->dialback, "keepalive", p->keepalive, "connections", (json_int_t)p->connections,
			 "proxy", ctl_text(p->proxy), "description", ctl_text(p->description), "aliases",
			 aliases);
}

json_t *partner_details(struct db *db, const struct partner *p)
{
	json_t *document = partner_document(db, p);

	if (document)
		json_object_set_new(document, "authentication", negotiation_methods(p));
	return document;
}

/* --- values --- */

bool partner_check(struct ctl *ctl, const char *where, const struct partner *p)
{
	const char *why, *warning = negotiation_warning(p);

	if (negotiation_check(p, &why) != OK) {
		ctl_fail(ctl, "%spartner '%s': %s", where, p->name, why);
		return false;
	}
	if (warning)
		ctl_warn(ctl, "%spartner '%s': %s", where, p->name, warning);
	return true;
}

static bool is_literal(const char *host)
{
	unsigned char address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool partner_set_proxy(struct ctl *ctl, const char *where, const char *text, struct partner *p)
{
	char name[JID_DOMAIN_MAX + 1];
	struct hostport at;
	bool v6, has_port;

	if (!text[0]) {
		p->proxy[0] = '\0';
		return true;
	}
	has_port = hostport_parse(text, 0, &at) == OK;
	if ((!has_port && hostport_parse(text, 5269, &at) != OK) ||
	    (!is_literal(at.host) && jid_domain(at.host, name) != OK)) {
		ctl_fail(ctl,
			 "%s'%s' is no proxy: expected HOST or HOST:PORT, such as xmpp.partner.example:5269",
			 where, text);
		return false;
	}
	v6 = strchr(at.host, ':') != NULL;
	if (!is_literal(at.host))
		str_copy(at.host, sizeof(at.host), name);
	for (char *s = at.host; *s; s++)
		*s = (char)tolower((unsigned char)*s);
	if (has_port)
		snprintf(p->proxy, sizeof(p->proxy), v6 ? "[%s]:%u" : "%s:%u", at.host, at.port);
	else
		snprintf(p->proxy, sizeof(p->proxy), v6 ? "[%s]" : "%s", at.host);
	return true;
}

bool partner_set_connections(struct ctl *ctl, const char *where, const char *text, struct partner *p)
{
	char *end = NULL;
	unsigned long long n = 0;

	errno = 0;
	if (isdigit((unsigned char)text[0]))
		n = strtoull(text, &end, 10);
	if (!end || *end || errno != 0 || n > UINT32_MAX) {
		ctl_fail(
			ctl,
			"%s'%s' is no number of connections: expected 0 (the configured limit) to 4294967295",
			where, text);
		return false;
	}
	p->connections = (unsigned)n;
	return true;
}

bool partner_set_description(struct ctl *ctl, const char *where, const char *text, struct partner *p)
{
	if (utf8_is_xml(text, strlen(text)) && str_copy(p->description, sizeof(p->description), text))
		return true;
	ctl_fail(ctl, "%sthe description of '%s' is longer than %d bytes, or not UTF-8 text", where, p->name,
		 REGISTRY_TEXT_SIZE - 1);
	return false;
}

bool partner_add_alias(struct ctl *ctl, const char *where, const char *partner, const char *text, bool *added)
{
	char alias[JID_DOMAIN_MAX + 1];
	struct partner owner;
	enum err e;

	if (!name_domain(ctl, where, text, alias))
		return false;
	if (strcmp(partner, "*") == 0) {
		ctl_fail(ctl, "%sthe partner '*' stands for every domain: it cannot have the alias '%s'",
			 where, alias);
		return false;
	}
	e = registry_find_partner(ctl->db, alias, &owner);
	*added = e == ERR_NOT_FOUND || (e == OK && strcmp(owner.name, "*") == 0);
	if (*added)
		e = registry_add_alias(ctl->db, partner, alias);
	if (e == OK && !*added && (strcmp(owner.name, partner) != 0 || strcmp(alias, partner) == 0)) {
		ctl_fail(ctl, "%s'%s' is %s '%s' already: one domain belongs to one partner", where, alias,
			 strcmp(alias, owner.name) == 0 ? "the partner" : "an alias of the partner",
			 owner.name);
		return false;
	}
	if (e != OK)
		ctl_fail_db(ctl, e);
	return e == OK;
}

/* --- CSV --- */

/* The words of the Lync cmdlets; case does not matter to them. */
static const struct {
	const char *theirs, *ours;
} synonyms[] = {
	{ "notsupported", "none" },
	{ "publicverified", "public-verified" },
	{ "publicunverified", "public-unverified" },
	{ "true", "yes" },
	{ "false", "no" },
};

static bool parse_boolean(const char *word, bool *out)
{
	*out = strcmp(word, "yes") == 0;
	return *out || strcmp(word, "no") == 0;
}

static bool set_gateway(struct partner *p, const char *word)
{
	return partner_gateway_parse(word, &p->gateway) == OK;
}

static bool set_type(struct partner *p, const char *word)
{
	return partner_type_parse(word, &p->type) == OK;
}

static bool set_tls(struct partner *p, const char *word)
{
	return requirement_parse(word, &p->tls) == OK;
}

static bool set_sasl(struct partner *p, const char *word)
{
	return requirement_parse(word, &p->sasl) == OK;
}

static bool set_dialback(struct partner *p, const char *word)
{
	return parse_boolean(word, &p->dialback);
}

static bool set_keepalive(struct partner *p, const char *word)
{
	return parse_boolean(word, &p->keepalive);
}

typedef bool set_text_fn(struct ctl *ctl, const char *where, const char *text, struct partner *p);

enum { FIELD_NAME, FIELD_ALIASES, FIELD_FIRST_VALUE };

/* The columns in the order in which they are written. */
static const struct field {
	const char *ours, *theirs;
	bool (*set_word)(struct partner *p, const char *word);
	set_text_fn *set_text;
} fields[] = {
	[FIELD_NAME] = { "name", "Domain", NULL, NULL },
	[FIELD_ALIASES] = { "aliases", "AdditionalDomains", NULL, NULL },
	{ "gateway", NULL, set_gateway, NULL },
	{ "type", "PartnerType", set_type, NULL },
	{ "tls", "TlsNegotiation", set_tls, NULL },
	{ "sasl", "SaslNegotiation", set_sasl, NULL },
	{ "dialback", "SupportDialbackNegotiation", set_dialback, NULL },
	{ "keepalive", "EnableKeepAlive", set_keepalive, NULL },
	{ "connections", "ConnectionLimit", NULL, partner_set_connections },
	{ "proxy", "ProxyFqdn", NULL, partner_set_proxy },
	{ "description", "Description", NULL, partner_set_description },
};
_Static_assert(ARRAY_SIZE(fields) == PARTNER_FIELDS, "partner_file.h holds a column for each field");

/* A word in small letters, and ours for theirs. */
static void translate(const char *text, char *out, size_t size)
{
	snprintf(out, size, "%s", text);
	for (char *s = out; *s; s++)
		*s = (char)tolower((unsigned char)*s);
	for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++)
		if (strcmp(out, synonyms[i].theirs) == 0)
			str_copy(out, size, synonyms[i].ours);
}

bool partner_file_open(struct ctl *ctl, const char *path, struct partner_file *f)
{
	struct strbuf text = { 0 };
	const char *why = NULL;
	enum err e = text_read(path, &text, &why);

	*f = (struct partner_file){ .path = path };
	if (e != OK) {
		ctl_fail(ctl, "%s", why);
		return false;
	}
	if (csv_start(&f->csv, &text, &why) != OK) {
		ctl_fail(ctl, "%s:%u: %s", path, f->csv.line, why);
		return false;
	}
	f->microsoft = csv_column(&f->csv, "name") < 0;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *name = f->microsoft ? fields[i].theirs : fields[i].ours;

		f->column[i] = name ? csv_column(&f->csv, name) : -1;
	}
	if (f->column[FIELD_NAME] < 0 && f->microsoft)
		f->column[FIELD_NAME] = csv_column(&f->csv, "Identity");
	if (f->column[FIELD_NAME] < 0) {
		ctl_fail(ctl,
			 "%s:%u: no column 'name', 'Domain' or 'Identity': expected a file of poolbridgectl "
			 "partner "
			 "export, or of Get-CsXmppAllowedPartner | Export-Csv",
			 path, f->csv.line);
		return false;
	}
	return true;
}

void partner_file_close(struct partner_file *f)
{
	csv_free(&f->csv);
}

static const char *field_of(const struct partner_file *f, size_t field)
{
	return f->column[field] < 0 ? NULL : f->csv.field[f->column[field]];
}

static bool apply_field(struct ctl *ctl, struct partner_file *f, size_t i, struct partner_row *row)
{
	const char *text = field_of(f, i);
	char word[32];

	/* Theirs writes nothing for what is not set; ours writes everything, so nothing means nothing. */
	if (!text || (!text[0] && (f->microsoft || fields[i].set_word)))
		return true;
	if (fields[i].set_text)
		return fields[i].set_text(ctl, row->where, text, &row->partner);
	translate(text, word, sizeof(word));
	if (fields[i].set_word(&row->partner, word))
		return true;
	ctl_fail(ctl, "%sunknown word '%s' in column '%s'", row->where, text, f->csv.name[f->column[i]]);
	return false;
}

/* The partner of the row as the registry has it, else the defaults of the kind of file. */
static bool start_row(struct ctl *ctl, struct partner_file *f, struct partner_row *row)
{
	char name[JID_DOMAIN_MAX + 1];
	enum err e;

	if (!name_partner(ctl, row->where, field_of(f, FIELD_NAME), name))
		return false;
	e = registry_get_partner(ctl->db, name, &row->partner);
	row->known = e == OK;
	if (e == ERR_NOT_FOUND) {
		partner_init(&row->partner, name);
		if (f->microsoft) {
			row->partner.type = PARTNER_PUBLIC_UNVERIFIED;
			row->partner.sasl = REQUIRE_REQUIRED;
		}
		return true;
	}
	if (e != OK)
		ctl_fail_db(ctl, e);
	return e == OK;
}

static bool read_row(struct ctl *ctl, struct partner_file *f, struct partner_row *row)
{
	bool good = start_row(ctl, f, row);

	for (size_t i = FIELD_FIRST_VALUE; good && i < ARRAY_SIZE(fields); i++)
		good = apply_field(ctl, f, i, row);
	row->aliases = field_of(f, FIELD_ALIASES);
	if (good && row->aliases && strpbrk(row->aliases, "`[")) {
		ctl_fail(ctl,
			 "%s'%s' is the name of a type, not the additional domains: export them with "
			 "Select-Object *,@{n='AdditionalDomains';e={$_.AdditionalDomains -join ' '}} "
			 "-ExcludeProperty AdditionalDomains",
			 row->where, row->aliases);
		good = false;
	}
	return good && partner_check(ctl, row->where, &row->partner);
}

bool partner_file_next(struct ctl *ctl, struct partner_file *f, struct partner_row *row)
{
	for (;;) {
		const char *why = NULL;
		enum err e = csv_next(&f->csv, &why);

		if (e == ERR_NOT_FOUND)
			return false;
		snprintf(row->where, sizeof(row->where), "%s:%u: ", f->path, f->csv.line);
		if (e != OK)
			ctl_fail(ctl, "%s%s", row->where, why);
		else if (read_row(ctl, f, row))
			return true;
	}
}

static void put_aliases(struct strbuf *out, const json_t *aliases)
{
	struct strbuf list = { 0 };
	size_t i;
	json_t *alias;

	json_array_foreach (aliases, i, alias)
		strbuf_printf(&list, "%s%s", i > 0 ? " " : "", json_string_value(alias));
	csv_put(out, list.len > 0 ? list.s : "");
	strbuf_free(&list);
}

void partner_file_header(struct strbuf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		strbuf_printf(out, "%s%s", i > 0 ? "," : "", fields[i].ours);
	strbuf_putc(out, '\n');
}

void partner_file_row(struct strbuf *out, const json_t *document)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *value = json_object_get(document, fields[i].ours);

		strbuf_puts(out, i > 0 ? "," : "");
		if (json_is_array(value))
			put_aliases(out, value);
		else if (json_is_integer(value))
			strbuf_printf(out, "%lld", (long long)json_integer_value(value));
		else if (json_is_boolean(value))
			strbuf_puts(out, json_is_true(value) ? "yes" : "no");
		else
			csv_put(out, json_string_value(value));
	}
	strbuf_putc(out, '\n');
}
