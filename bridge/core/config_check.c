/*
 * config_check.c - what the daemon needs of a configuration beyond types and
 * ranges: addresses that parse, files that open, options that go together.
 *
 * poolbridgectl does not ask for it: an administrator may prepare the registry
 * before the certificate is there.
 *
 * Each fault says which option in which line, what is wrong and how to mend it.
 */
#include "bridge/core/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "bridge/core/config_internal.h"
#include "bridge/core/hostport.h"
#include "bridge/core/nexthop.h"

enum { SECRET_MIN = 16, XMPP_PORT = 5269, COMPONENT_PORT = 5347 };

/* The value is shown, but never the secret. */
static enum err bad(const struct config_loaded *c, const char *option, const char *value, const char *mend,
		    const char **why)
{
	return config_fault(why, ERR_SYNTAX, "%s: \"%.*s\" %s", config_where(c, option), CONFIG_NAME_SHOWN,
			    value, mend);
}

static enum err fault(const struct config_loaded *c, const char *option, const char *what, const char **why)
{
	return config_fault(why, ERR_REFUSED, "%s: %s", config_where(c, option), what);
}

/* --- the forms of values --- */

static bool is_address(const char *text)
{
	struct in6_addr any;

	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static bool is_listener(const char *text)
{
	struct hostport hp;

	return hostport_parse(text, 0, &hp) == OK && is_address(hp.host);
}

static bool is_sip_listener(const char *text)
{
	return (strncmp(text, "udp:", 4) == 0 || strncmp(text, "tcp:", 4) == 0 ||
		strncmp(text, "tls:", 4) == 0) &&
	       is_listener(text + 4);
}

static bool is_gateway(const char *text)
{
	struct hostport hp;

	return hostport_parse(text, XMPP_PORT, &hp) == OK;
}

static bool is_component_server(const char *text)
{
	struct hostport hp;

	return hostport_parse(text, COMPONENT_PORT, &hp) == OK;
}

static bool is_next_hop(const char *text)
{
	struct next_hop hop;

	return next_hop_parse(text, &hop) == OK;
}

static bool is_resolver(const char *text)
{
	char address[INET6_ADDRSTRLEN], hostport[INET6_ADDRSTRLEN + 16];
	size_t n = strcspn(text, "@");
	struct hostport hp;

	if (n >= sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)n, text);
	if (!is_address(address))
		return false;
	if (text[n] == '\0')
		return true;
	snprintf(hostport, sizeof(hostport), "[::]:%.8s", text + n + 1);
	return strlen(text + n + 1) <= 5 && hostport_parse(hostport, 0, &hp) == OK;
}

/* A port would say that the administrator expects it to be compared. */
static bool is_certificate_name(const char *text)
{
	struct hostport hp;

	return is_address(text) ||
	       (strchr(text, ':') == NULL && text[0] != '[' && hostport_parse(text, 1, &hp) == OK);
}

static bool is_zone(const char *text)
{
	return text[0] != '.' && strlen(text) <= 253 &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.")] == '\0';
}

/* --- one table: which option has which form --- */

static const char listener_form[] =
	"is no ADDRESS:PORT; write for example \"192.0.2.1:5269\" or \"[2001:db8::1]:5269\"";
static const char address_form[] = "is no IP address; write for example \"192.0.2.1\" or \"2001:db8::1\"";
static const char next_hop_form[] =
	"is no next hop; write for example \"sip:pool.example.org:5060;transport=tcp\"";

static const struct form {
	const char *option;
	size_t offset; /* of a const char *, "" is fine, or of a struct config_list */
	bool is_list;
	bool (*fits)(const char *text);
	const char *mend;
} forms[] = {
	{ "external.listen", offsetof(struct config, external.listen), true, is_listener, listener_form },
	{ "external.listen_tls", offsetof(struct config, external.listen_tls), true, is_listener,
	  listener_form },
	{ "external.bind", offsetof(struct config, external.bind), false, is_address, address_form },
	{ "component.server", offsetof(struct config, component.server), false, is_component_server,
	  "is no HOST:PORT; write for example \"xmpp.example.org:5347\"" },
	{ "internal.listen", offsetof(struct config, internal.listen), true, is_listener, listener_form },
	{ "internal.allow", offsetof(struct config, internal.allow), true, is_address, address_form },
	{ "internal.gateway", offsetof(struct config, internal.gateway), false, is_gateway,
	  "is no HOST:PORT; write for example \"gateway.example.org:5269\"" },
	{ "internal.bind", offsetof(struct config, internal.bind), false, is_address, address_form },
	{ "dns.resolver", offsetof(struct config, dns.resolver), false, is_resolver,
	  "is no ADDRESS or ADDRESS@PORT; write for example \"192.0.2.53\" or \"127.0.0.1@5353\"" },
	{ "dns.transparent_zones", offsetof(struct config, dns.transparent_zones), true, is_zone,
	  "is no zone; write its name in small letters, for example \"home.arpa\"" },
	{ "sip.listen", offsetof(struct config, sip.listen), true, is_sip_listener,
	  "is no listener; write for example \"tcp:192.0.2.1:5060\" or \"udp:[2001:db8::1]:5060\"" },
	{ "sip.allow", offsetof(struct config, sip.allow), true, is_address, address_form },
	{ "sip.new_pool", offsetof(struct config, sip.new_pool), true, is_next_hop, next_hop_form },
	{ "sip.legacy_pool", offsetof(struct config, sip.legacy_pool), true, is_next_hop, next_hop_form },
	{ "sip.tls_names", offsetof(struct config, sip.tls_names), true, is_certificate_name,
	  "is no host name or IP address; write for example \"pool.example.org\"" },
};

static enum err check_list(const struct config_loaded *c, const struct form *form,
			   const struct config_list *list, const char **why)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!form->fits(list->item[i]))
			return bad(c, form->option, list->item[i], form->mend, why);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(list->item[i], list->item[j]) == 0)
				return bad(c, form->option, list->item[i], "stands there twice; remove one",
					   why);
		}
	}
	return OK;
}

static enum err check_forms(const struct config_loaded *c, const char **why)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const void *value = (const char *)&c->config + forms[i].offset;
		const char *text;
		enum err e;

		if (forms[i].is_list) {
			e = check_list(c, &forms[i], value, why);
			if (e != OK)
				return e;
			continue;
		}
		text = *(const char *const *)value;
		if (text[0] != '\0' && !forms[i].fits(text))
			return bad(c, forms[i].option, text, forms[i].mend, why);
	}
	return OK;
}

/* --- listeners of TCP --- */

struct listener {
	const char *option, *text;
	struct hostport at;
};

/* Two cannot share a port of an address, and 0.0.0.0 or [::] is all of them. */
static bool is_shared(const struct hostport *a, const struct hostport *b)
{
	static const unsigned char any[sizeof(struct in6_addr)];
	unsigned char x[sizeof(any)], y[sizeof(any)];
	const bool is_v6 = strchr(a->host, ':') != NULL;
	const int family = is_v6 ? AF_INET6 : AF_INET;
	const size_t size = is_v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);

	if (a->port != b->port || inet_pton(family, a->host, x) != 1 || inet_pton(family, b->host, y) != 1)
		return false;
	return memcmp(x, y, size) == 0 || memcmp(x, any, size) == 0 || memcmp(y, any, size) == 0;
}

/* all: those before it. */
static enum err take_listener(const struct config_loaded *c, struct listener *all, size_t *count,
			      const struct listener *l, const char **why)
{
	char words[200];

	for (size_t i = 0; i < *count; i++) {
		if (!is_shared(&all[i].at, &l->at))
			continue;
		snprintf(words, sizeof(words),
			 "meets \"%.80s\" of %s; give each an address of its own, or another port",
			 all[i].text, all[i].option);
		return bad(c, l->option, l->text, words, why);
	}
	all[(*count)++] = *l;
	return OK;
}

static enum err check_listeners(const struct config_loaded *c, const char **why)
{
	const struct config *config = &c->config;
	const struct {
		const char *option;
		const struct config_list *list;
		size_t scheme;
	} lists[] = { { "external.listen", &config->external.listen, 0 },
		      { "external.listen_tls", &config->external.listen_tls, 0 },
		      { "internal.listen", &config->internal.listen, 0 },
		      { "sip.listen", &config->sip.listen, strlen("tcp:") } };
	struct listener all[ARRAY_SIZE(lists) * CONFIG_LIST_MAX];
	size_t count = 0;
	enum err e = OK;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; e == OK && k < lists[i].list->count; k++) {
			struct listener l = { .option = lists[i].option, .text = lists[i].list->item[k] };

			if (strncmp(l.text, "udp:", 4) != 0 &&
			    hostport_parse(l.text + lists[i].scheme, 0, &l.at) == OK)
				e = take_listener(c, all, &count, &l, why);
		}
	return e;
}

/* --- files --- */

static enum err check_readable(const struct config_loaded *c, const char *option, const char *file,
			       const char **why)
{
	FILE *f = fopen(file, "r");

	if (f == NULL)
		return config_fault(why, ERR_IO, "%s: %s: %s; the daemon's user must be able to read it",
				    config_where(c, option), file, strerror(errno));
	fclose(f);
	return OK;
}

/* A certificate and its key: both or neither. */
static enum err check_pair(const struct config_loaded *c, const char *certificate_option,
			   const char *certificate, const char *key_option, const char *key, const char **why)
{
	const bool alone = (certificate[0] == '\0') != (key[0] == '\0');
	char what[100];
	enum err e;

	if (alone) {
		snprintf(what, sizeof(what), "needs %s too; give both or neither",
			 key[0] == '\0' ? key_option : certificate_option);
		return fault(c, key[0] == '\0' ? certificate_option : key_option, what, why);
	}
	if (key[0] == '\0')
		return OK;
	e = check_readable(c, certificate_option, certificate, why);
	return e == OK ? check_readable(c, key_option, key, why) : e;
}

static enum err check_files(const struct config_loaded *c, const char **why)
{
	const struct config *config = &c->config;
	enum err e;

	if (strcmp(config->state, config->registry) == 0)
		return fault(c, "state", "is the registry's file; name another", why);
	if (strlen(config->control_socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fault(c, "control_socket",
			     "the path is too long for a Unix socket; choose one of at most 107 bytes", why);
	e = check_pair(c, "external.certificate", config->external.certificate, "external.key",
		       config->external.key, why);
	return e == OK ? check_pair(c, "sip.certificate", config->sip.certificate, "sip.key", config->sip.key,
				    why)
		       : e;
}

/* --- options that go together --- */

/*
 * A gateway without a listener is allowed: one that goes to partners directly
 * is still asked about its dialback keys. The other way round nobody could
 * verify who connects.
 */
static enum err check_internal(const struct config_loaded *c, const char **why)
{
	const struct config *config = &c->config;

	if (config->internal.listen.count > 0 && config->internal.gateway[0] == '\0')
		return fault(c, "internal.listen",
			     "needs internal.gateway too: who connects there is verified with it", why);
	if (config->internal.tls == 2 && config->external.certificate[0] == '\0')
		return fault(c, "internal.tls", "\"required\" needs external.certificate and external.key",
			     why);
	return OK;
}

static enum err check_component(const struct config_loaded *c, const char **why)
{
	const bool has_server = c->config.component.server[0] != '\0';
	const bool has_domain = c->config.component.domain[0] != '\0';
	const bool has_secret = c->config.component.secret[0] != '\0';

	if (has_server && !has_domain)
		return fault(c, "component.server", "needs component.domain too: the name of the component",
			     why);
	if (has_server && !has_secret)
		return fault(c, "component.server", "needs component.secret too, as the server has it", why);
	if (!has_server && (has_domain || has_secret))
		return fault(c, has_domain ? "component.domain" : "component.secret",
			     "needs component.server too: where the component attaches", why);
	return OK;
}

static bool any_begins(const struct config_list *list, const char *start)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->item[i], start, strlen(start)) == 0)
			return true;
	}
	return false;
}

/* Requests leave from a listener's address, so each next hop's transport must have one. */
static enum err check_next_hops(const struct config_loaded *c, const char *option,
				const struct config_list *list, const char **why)
{
	struct next_hop hop;
	char listener[8], words[200];

	for (size_t i = 0; i < list->count; i++) {
		if (next_hop_parse(list->item[i], &hop) != OK)
			continue; /* check_forms() has refused it */
		snprintf(listener, sizeof(listener), "%s:", transport_name(hop.transport));
		if (any_begins(&c->config.sip.listen, listener))
			continue;
		snprintf(words, sizeof(words), "needs a %s listener in sip.listen, from which requests leave",
			 listener);
		return bad(c, option, list->item[i], words, why);
	}
	return OK;
}

static enum err check_sip(const struct config_loaded *c, const char **why)
{
	const struct config *config = &c->config;
	const bool has_new = config->sip.new_pool.count > 0, has_legacy = config->sip.legacy_pool.count > 0;
	enum err e;

	if (config->sip.listen.count == 0 && (has_new || has_legacy))
		return fault(c, has_new ? "sip.new_pool" : "sip.legacy_pool",
			     "needs sip.listen too: requests to the pool leave from there", why);
	if (config->sip.listen.count > 0 && !has_new && !has_legacy)
		return fault(c, "sip.listen", "needs sip.new_pool too: there is no pool to talk to", why);
	if (any_begins(&config->sip.listen, "tls:") && config->sip.certificate[0] == '\0' &&
	    config->external.certificate[0] == '\0')
		return fault(c, "sip.listen", "tls: needs sip.certificate and sip.key", why);
	if (config->sip.backoff_min_ms > config->sip.backoff_max_ms)
		return fault(c, "sip.backoff_min", "is greater than sip.backoff_max; lower it", why);
	e = check_next_hops(c, "sip.new_pool", &config->sip.new_pool, why);
	return e == OK ? check_next_hops(c, "sip.legacy_pool", &config->sip.legacy_pool, why) : e;
}

static enum err check_s2s(const struct config_loaded *c, const char **why)
{
	const struct config *config = &c->config;
	const size_t secret = strlen(config->dialback.secret);

	if (secret > 0 && secret < SECRET_MIN)
		return fault(c, "dialback.secret",
			     "is shorter than 16 characters; make one with: openssl rand -hex 16", why);
	if (config->s2s.queue_bytes < config->s2s.stanza_bytes)
		return fault(c, "s2s.queue_bytes", "is less than s2s.stanza_bytes; raise it", why);
	if (config->s2s.keepalive_ms >= config->s2s.inactivity_ms)
		return fault(c, "s2s.keepalive_time",
			     "is not less than s2s.inactivity_time: streams would be closed first; lower it",
			     why);
	if (config->s2s.backoff_min_ms > config->s2s.backoff_max_ms)
		return fault(c, "s2s.backoff_min", "is greater than s2s.backoff_max; lower it", why);
	return OK;
}

enum err config_check_daemon(const struct config *config, const char **why)
{
	static enum err (*const checks[])(const struct config_loaded *, const char **) = {
		check_forms,     check_listeners, check_files, check_internal,
		check_component, check_sip,       check_s2s,
	};
	enum err e = OK;

	for (size_t i = 0; e == OK && i < ARRAY_SIZE(checks); i++)
		e = checks[i]((const struct config_loaded *)config, why);
	return e;
}
