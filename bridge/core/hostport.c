/*
 * hostport.c - parsing of host and port as administrators write them, and the
 * words for one that cannot be listened on.
 *
 * It looks at the form only: whether the host is a name or an address, and
 * whether it exists, is the resolver's business.
 */
#include "bridge/core/hostport.h"

#include <errno.h>
#include <string.h>

static enum err parse_port(const char *text, uint16_t *out)
{
	unsigned long port = 0;

	if (!*text || strlen(text) > 5)
		return ERR_SYNTAX;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return ERR_SYNTAX;
		port = port * 10 + (unsigned long)(*text - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return ERR_SYNTAX;
	*out = (uint16_t)port;
	return OK;
}

static bool is_host(const char *s, size_t n, bool bracketed)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	static const char v6[] = "abcdefABCDEF0123456789:.";

	return n > 0 && strspn(s, bracketed ? v6 : name) >= n;
}

enum err hostport_parse(const char *text, uint16_t fallback, struct hostport *out)
{
	bool bracketed = text[0] == '[';
	const char *host = bracketed ? text + 1 : text;
	size_t n = strcspn(host, bracketed ? "]" : ":");
	const char *rest = host + n;
	uint16_t port = fallback;

	if (!is_host(host, n, bracketed) || n >= sizeof(out->host) || (bracketed && *rest++ != ']'))
		return ERR_SYNTAX;
	if (*rest == ':') {
		if (parse_port(rest + 1, &port) != OK)
			return ERR_SYNTAX;
	} else if (*rest || port == 0) {
		return ERR_SYNTAX;
	}
	memcpy(out->host, host, n);
	out->host[n] = '\0';
	out->port = port;
	return OK;
}

const char *hostport_mend(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there (ss -lntup names it): stop that one, or choose another "
		       "address or port";
	case EADDRNOTAVAIL:
		return "this machine has no such address: choose one of those that it has (ip addr)";
	case EACCES:
		return "the daemon's user may not use a port below 1024: choose another one";
	default:
		return "choose another address or port";
	}
}
