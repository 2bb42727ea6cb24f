/*
 * map_address.c - XMPP addresses to SIP addresses and back (RFC 7247 section 6),
 * with JID escaping in full (XEP-0106).
 *
 * RFC 7247 names three of the ten escapes only; the others would let a decoded
 * '@', ':' or '"' of a SIP user into a localpart, so all ten are made and read.
 *
 * Two addresses must never meet in one, or an answer goes to the wrong person.
 * Escaping alone does not give that: a localpart with an escape that no
 * escaping makes ("foo\5cbar"), or a user in which normalisation would make an
 * escape ("\3A", full-width digits), maps onto another's address. Such an
 * address is refused. Ports are dropped (the mapping of hosts is out of the
 * RFC's scope).
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map.h"

#include <stdio.h>
#include <string.h>

static const struct {
	char plain;
	char escape[3]; /* the two digits after the backslash */
} escapes[] = {
	{ ' ', "20" }, { '"', "22" }, { '&', "26" }, { '\'', "27" }, { '/', "2f" },
	{ ':', "3a" }, { '<', "3c" }, { '>', "3e" }, { '@', "40" },  { '\\', "5c" },
};

/* The two digits for a character that a localpart cannot hold; a backslash is the caller's business. */
static const char *escape_of(char c)
{
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		if (escapes[i].plain == c)
			return escapes[i].escape;
	return NULL;
}

/* The character that an escape at s stands for; NUL when there is none. Case is significant. */
static char unescaped_at(const char *s)
{
	if (s[0] != '\\')
		return '\0';
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		if (strncmp(s + 1, escapes[i].escape, 2) == 0)
			return escapes[i].plain;
	return '\0';
}

/* A localpart is folded to lower case afterwards: \3A would be an escape then, so it counts as one now. */
static bool is_escape_folded(const char *s)
{
	char folded[4] = { '\0' };

	for (size_t i = 0; i < 3 && s[i] != '\0'; i++)
		folded[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
	return unescaped_at(folded) != '\0';
}

/* XEP-0106 section 4.1: an escaped space is never first or last. */
static bool space_at_end(const char *local)
{
	size_t n = strlen(local);

	return strncmp(local, "\\20", 3) == 0 || (n >= 3 && strcmp(local + n - 3, "\\20") == 0);
}

static enum err hand_out(const char *s, size_t n, char *out, size_t size)
{
	if (n >= size)
		return ERR_LIMIT;
	memcpy(out, s, n + 1);
	return OK;
}

enum err map_escape_local(const char *text, char *out, size_t size)
{
	char local[JID_PART_MAX + 1];
	size_t used = 0;

	for (; *text != '\0'; text++) {
		const char *escape = *text != '\\' || is_escape_folded(text) ? escape_of(*text) : NULL;

		if (used + (escape != NULL ? 3 : 1) > JID_PART_MAX)
			return ERR_LIMIT;
		local[used++] = escape != NULL ? '\\' : *text;
		if (escape != NULL) {
			local[used++] = escape[0];
			local[used++] = escape[1];
		}
	}
	local[used] = '\0';
	if (space_at_end(local))
		return ERR_SYNTAX;
	return hand_out(local, used, out, size);
}

enum err map_unescape_local(const char *local, char *out, size_t size)
{
	char text[JID_PART_MAX + 1];
	size_t used = 0;

	if (space_at_end(local))
		return ERR_SYNTAX;
	while (*local != '\0') {
		char c = unescaped_at(local);

		if (used == JID_PART_MAX)
			return ERR_LIMIT;
		text[used++] = c != '\0' ? c : *local;
		local += c != '\0' ? 3 : 1;
	}
	text[used] = '\0';
	return hand_out(text, used, out, size);
}

static size_t count_escapes(const char *local)
{
	size_t n = 0;

	for (; *local != '\0'; local++)
		n += unescaped_at(local) != '\0';
	return n;
}

_Static_assert(SIP_PART_MAX == JID_PART_MAX && sizeof(((struct sip_address *)0)->host) == JID_DOMAIN_MAX + 1,
	       "the parts of the two kinds of address have the same room");

enum err map_jid_to_sip(const struct jid *jid, struct sip_address *out)
{
	struct sip_address a = { .secure = false };
	char again[JID_PART_MAX + 1];
	enum err e = map_unescape_local(jid->local, a.user, sizeof(a.user));

	if (e == OK)
		e = map_escape_local(a.user, again, sizeof(again));
	if (e != OK)
		return e;
	if (strcmp(again, jid->local) != 0)
		return ERR_SYNTAX;
	strcpy(a.host, jid->domain);
	strcpy(a.gr, jid->resource);
	*out = a;
	return OK;
}

enum err map_jid_to_sip_uri(const struct jid *jid, char uri[SIP_URI_SIZE])
{
	struct sip_address address;
	enum err e = map_jid_to_sip(jid, &address);

	return e == OK ? sip_address_format(&address, uri) : e;
}

enum err map_sip_to_jid(const struct sip_address *a, struct jid *out)
{
	char local[JID_PART_MAX + 1], text[JID_FULL_SIZE], *end = text;
	struct jid jid;
	enum err e;

	if (a->secure)
		return ERR_REFUSED;
	e = map_escape_local(a->user, local, sizeof(local));
	if (e != OK)
		return e;
	if (local[0] != '\0')
		end = stpcpy(stpcpy(end, local), "@");
	end = stpcpy(end, a->host);
	if (a->gr[0] != '\0')
		stpcpy(stpcpy(end, "/"), a->gr);
	e = jid_parse(text, &jid);
	if (e != OK)
		return e;
	if (count_escapes(jid.local) != count_escapes(local))
		return ERR_SYNTAX;
	*out = jid;
	return OK;
}

/* Every byte but RFC 3986's unreserved ones is escaped: right in any part of a URI. */
static char *put_escaped(char *to, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *s != '\0'; s++) {
		if (strchr(plain, *s) != NULL)
			*to++ = *s;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*s);
	}
	*to = '\0';
	return to;
}

void map_jid_to_uri(const struct jid *jid, char out[MAP_URI_SIZE])
{
	out = stpcpy(out, "xmpp:");
	if (jid->local[0] != '\0')
		out = stpcpy(put_escaped(out, jid->local), "@");
	strcpy(out, jid->domain);
}
