/*
 * dns_context.c - a libunbound context with our settings: whom it asks, for
 * how long it remembers that somebody did not answer, and which zones it must
 * not answer by itself, and where its trust in DNSSEC begins.
 *
 * Owns nothing; the context belongs to dns.c. A setting that is refused is
 * logged with its value. Fatal: libunbound has no memory.
 */
#include "bridge/xmpp/dns_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

static bool is_zone_name(const char *zone)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	return zone[0] != '\0' && strspn(zone, allowed) == strlen(zone);
}

/*
 * libunbound knows by itself that names below "test" and other special zones do not exist;
 * "transparent" makes it ask, "nodefault" does not.
 */
static enum err set_transparent(struct ub_ctx *ub, const char *zone)
{
	char *value;
	int error;

	if (!is_zone_name(zone))
		return ERR_SYNTAX;
	value = xasprintf("%s transparent", zone);
	error = ub_ctx_set_option(ub, "local-zone:", value);
	free(value);
	return error == 0 ? OK : ERR_SYNTAX;
}

static const char *const options[][2] = {
	{ "do-not-query-localhost:", "no" }, /* a resolver on this machine is the best kind */
	/* A resolver that was away is asked again as soon as it is back, not up to 15 minutes later. */
	{ "infra-host-ttl:", "5" },
	/* A record that was missing and has been added is a usual step of a migration. */
	{ "cache-max-negative-ttl:", "30" },
};

static enum err set_options(struct ub_ctx *ub)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const int error = ub_ctx_set_option(ub, options[i][0], options[i][1]);

		if (error != 0) {
			log_event(LOG_ERROR, "dns-setup", NULL, "option=%s why=%s", options[i][0],
				  log_value(ub_strerror(error)));
			return ERR_IO;
		}
	}
	return OK;
}

/* Whom to ask. Without a resolver the files of the system, which may be absent. */
static enum err set_resolver(struct ub_ctx *ub, const char *resolver)
{
	if (resolver != NULL && resolver[0] != '\0') {
		if (ub_ctx_set_fwd(ub, resolver) == 0)
			return OK;
		log_event(LOG_ERROR, "dns-setup", NULL, "resolver=%s why=%s", log_value(resolver),
			  log_value("not of the form ADDRESS or ADDRESS@PORT"));
		return ERR_SYNTAX;
	}
	if (ub_ctx_resolvconf(ub, NULL) != 0)
		log_event(LOG_WARNING, "dns-setup", NULL, "why=%s",
			  log_value("no /etc/resolv.conf; asking the root servers"));
	if (ub_ctx_hosts(ub, NULL) != 0)
		log_event(LOG_NOTICE, "dns-setup", NULL, "why=%s", log_value("no /etc/hosts"));
	return OK;
}

/* libunbound reads a folder for ever. */
static const char *why_unreadable(const char *file)
{
	FILE *f = fopen(file, "re");
	const char *why = f != NULL ? NULL : strerror(errno);

	errno = 0;
	if (f != NULL && fgetc(f) == EOF)
		why = errno != 0 ? strerror(errno) : "the file is empty";
	if (f != NULL)
		fclose(f);
	return why;
}

/*
 * DNSSEC. libunbound reads the file when it begins to work, and then fails every query without a word on
 * the reason; so it must begin here, for which any change of its own data is good.
 */
static enum err set_trust_anchor(struct ub_ctx *ub, const char *file)
{
	const char *why = why_unreadable(file);

	if (why == NULL && (ub_ctx_add_ta_file(ub, file) != 0 || ub_ctx_data_remove(ub, "invalid") != 0))
		why = "no DS or DNSKEY records in the form of a zone file";
	if (why == NULL)
		return OK;
	log_event(LOG_ERROR, "dns-setup", NULL, "trust_anchor=%s why=%s", log_value(file), log_value(why));
	return ERR_IO;
}

static enum err configure(struct ub_ctx *ub, const struct dns_config *config)
{
	enum err e = set_options(ub);

	if (e == OK)
		e = set_resolver(ub, config->resolver);
	for (size_t i = 0; e == OK && i < config->transparent_count; i++) {
		e = set_transparent(ub, config->transparent_zones[i]);
		if (e != OK)
			log_event(LOG_ERROR, "dns-setup", NULL, "zone=%s why=%s",
				  log_value(config->transparent_zones[i]), log_value("not a domain name"));
	}
	/* The last, because no other setting is accepted afterwards. */
	if (e == OK && config->trust_anchor != NULL && config->trust_anchor[0] != '\0')
		e = set_trust_anchor(ub, config->trust_anchor);
	return e;
}

enum err dns_context_create(const struct dns_config *config, struct ub_ctx **out)
{
	struct ub_ctx *ub = ub_ctx_create();
	enum err e;

	if (ub == NULL)
		abort();
	ub_ctx_debugout(ub, NULL); /* what matters comes with the answers, and is logged there */
	e = ub_ctx_async(ub, 1) == 0 ? configure(ub, config) : ERR_IO;
	if (e == OK)
		*out = ub;
	else
		ub_ctx_delete(ub);
	return e;
}
