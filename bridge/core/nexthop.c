/*
 * nexthop.c - parsing of next hops.
 *
 * Form only, as hostport.c: whether the host exists is the resolver's business.
 */
#include "bridge/core/nexthop.h"

#include <stdio.h>
#include <string.h>

#include "bridge/core/hostport.h"

static const char *const names[] = {
	[TRANSPORT_UDP] = "udp",
	[TRANSPORT_TCP] = "tcp",
	[TRANSPORT_TLS] = "tls",
};

const char *transport_name(enum transport t)
{
	return names[t];
}

static enum err parse_transport(const char *text, enum transport *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*out = (enum transport)i;
		return OK;
	}
	return ERR_SYNTAX;
}

/* A port has a colon after the host; those of an address stand in brackets. */
static bool has_port(const char *host)
{
	const char *bracket = strchr(host, ']');

	return strchr(bracket != NULL ? bracket : host, ':') != NULL;
}

enum err next_hop_parse(const char *text, struct next_hop *out)
{
	static const char scheme[] = "sip:", parameter[] = ";transport=";
	struct next_hop hop = { .transport = TRANSPORT_UDP };
	struct hostport hp;
	char host[300];
	size_t n;

	if (strncmp(text, scheme, strlen(scheme)) != 0)
		return ERR_SYNTAX;
	text += strlen(scheme);
	n = strcspn(text, ";");
	if (n >= sizeof(host))
		return ERR_SYNTAX;
	snprintf(host, sizeof(host), "%.*s", (int)n, text);
	if (text[n] != '\0' && (strncmp(text + n, parameter, strlen(parameter)) != 0 ||
				parse_transport(text + n + strlen(parameter), &hop.transport) != OK))
		return ERR_SYNTAX;
	if (hostport_parse(host, 1, &hp) != OK) /* 1: a port that is none is 0 below */
		return ERR_SYNTAX;
	(void)str_copy(hop.host, sizeof(hop.host), hp.host);
	hop.port = has_port(host) ? hp.port : 0;
	*out = hop;
	return OK;
}
