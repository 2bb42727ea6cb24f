/*
 * address.c - SIP URIs to plain values and back, and the one encoder between
 * XMPP text and SIP header fields.
 *
 * Own parser and not sofia-sip's: url_d() cuts a string up without asking what
 * the parts hold, and this is the place where a value from one network becomes
 * a name in the other. RFC 3261 section 25.1 is followed to the letter; what it
 * does not allow is ERR_SYNTAX, never mended. Percent-escapes must decode to
 * UTF-8 without controls, so no decoded part can hold CR, LF or NUL.
 *
 * Pure: no state, no allocation. Nothing is fatal.
 */
#include "bridge/sip/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"
#define MARK  "-_.!~*'()"

static const char user_plain[] = ALPHA DIGIT MARK "&=+$,;?/";
static const char param_plain[] = ALPHA DIGIT MARK "[]/:&+$";

/* --- text --- */

/* Bytes of the UTF-8 sequence at s, 0 when it is none or encodes a control (C0, DEL, C1). */
static size_t text_char_length(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0xA0, 0x800, 0x10000 };
	uint32_t c = s[0];
	size_t length;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7F;
	if (c >= 0xC2 && c <= 0xDF)
		length = 2, c &= 0x1F;
	else if (c >= 0xE0 && c <= 0xEF)
		length = 3, c &= 0x0F;
	else if (c >= 0xF0 && c <= 0xF4)
		length = 4, c &= 0x07;
	else
		return 0;
	if (length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	return length;
}

static bool is_text(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t length = text_char_length((const unsigned char *)s + i, n - i);

		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

enum err sip_header_text(const char *text, char *out, size_t size)
{
	size_t n = strlen(text);

	if (!is_text(text, n))
		return ERR_SYNTAX;
	if (n >= size)
		return ERR_LIMIT;
	memcpy(out, text, n + 1);
	return OK;
}

enum err sip_quoted_text(const char *text, char *out, size_t size)
{
	size_t need = strlen(text) + 3;

	if (!is_text(text, strlen(text)))
		return ERR_SYNTAX;
	for (const char *s = text; *s != '\0'; s++)
		need += *s == '"' || *s == '\\';
	if (need > size)
		return ERR_LIMIT;
	*out++ = '"';
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	strcpy(out, "\"");
	return OK;
}

/* --- percent-escapes --- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Characters of plain and escapes only; the result is text of 1 to SIP_PART_MAX bytes. */
static enum err decode(const char *s, size_t n, const char *plain, char out[SIP_PART_MAX + 1])
{
	char part[SIP_PART_MAX + 1];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%') {
			int high = i + 2 < n ? hex_value(s[i + 1]) : -1;
			int low = i + 2 < n ? hex_value(s[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ERR_SYNTAX;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '\0' || strchr(plain, c) == NULL) {
			return ERR_SYNTAX;
		}
		if (used == SIP_PART_MAX)
			return ERR_SYNTAX;
		part[used++] = c;
	}
	if (used == 0 || !is_text(part, used))
		return ERR_SYNTAX;
	memcpy(out, part, used);
	out[used] = '\0';
	return OK;
}

/* --- hosts --- */

static bool label_is_valid(const char *s, size_t n)
{
	return n > 0 && n <= 63 && s[0] != '-' && s[n - 1] != '-' && strspn(s, ALPHA DIGIT "-") >= n;
}

/* hostname of RFC 3261: its last label begins with a letter, so that no broken IPv4 address is one. */
static bool is_hostname(const char *host)
{
	const char *label = host;

	for (;;) {
		size_t n = strcspn(label, ".");

		if (!label_is_valid(label, n))
			return false;
		if (label[n] == '\0' || label[n + 1] == '\0')
			return strchr(ALPHA, label[0]) != NULL;
		label += n + 1;
	}
}

static bool is_ip_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	char inner[INET6_ADDRSTRLEN];
	size_t n = strlen(host);

	if (host[0] != '[')
		return inet_pton(AF_INET, host, address) == 1;
	if (n < 3 || host[n - 1] != ']' || n - 2 >= sizeof(inner))
		return false;
	memcpy(inner, host + 1, n - 2);
	inner[n - 2] = '\0';
	return inet_pton(AF_INET6, inner, address) == 1;
}

static bool is_host(const char *host)
{
	return is_ip_address(host) || is_hostname(host);
}

static enum err parse_host(const char *s, size_t n, char out[sizeof(((struct sip_address *)0)->host)])
{
	char host[sizeof(((struct sip_address *)0)->host)];

	if (n == 0 || n >= sizeof(host))
		return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++)
		host[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
	host[n] = '\0';
	if (strlen(host) != n || !is_host(host))
		return ERR_SYNTAX;
	memcpy(out, host, n + 1);
	return OK;
}

static enum err parse_port(const char *s, size_t n, uint16_t *out)
{
	unsigned port = 0;

	if (n == 0 || n > 5)
		return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return ERR_SYNTAX;
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return ERR_SYNTAX;
	*out = (uint16_t)port;
	return OK;
}

/* host[:port], the colons of an IPv6 reference apart. */
static enum err parse_hostport(const char *s, size_t n, struct sip_address *a)
{
	const char *bracket = memchr(s, ']', n);
	const char *from = bracket != NULL ? bracket : s;
	const char *colon = memchr(from, ':', n - (size_t)(from - s));
	size_t host_size = colon != NULL ? (size_t)(colon - s) : n;
	enum err e = parse_host(s, host_size, a->host);

	if (e == OK && colon != NULL)
		e = parse_port(colon + 1, n - host_size - 1, &a->port);
	return e;
}

/* --- parameters --- */

/*
 * name[=value]. A gr without a value marks a temporary GRUU (RFC 5627 section
 * 3.1.2), which names no resource (RFC 7247 section 6.3). Twice is an error
 * (RFC 3261 section 19.1.1).
 */
static enum err parse_param(const char *s, size_t n, struct sip_address *a)
{
	const char *equals = memchr(s, '=', n);
	size_t name_size = equals != NULL ? (size_t)(equals - s) : n;
	char name[SIP_PART_MAX + 1], value[SIP_PART_MAX + 1];
	enum err e = decode(s, name_size, param_plain, name);

	if (e == OK && equals != NULL)
		e = decode(equals + 1, n - name_size - 1, param_plain, value);
	if (e != OK || equals == NULL || strcasecmp(name, "gr") != 0)
		return e;
	if (a->gr[0] != '\0')
		return ERR_SYNTAX;
	strcpy(a->gr, value);
	return OK;
}

/* s is at the first semicolon, or at the end. */
static enum err parse_params(const char *s, struct sip_address *a)
{
	enum err e = OK;

	while (e == OK && *s == ';') {
		size_t n = strcspn(s + 1, ";");

		e = parse_param(s + 1, n, a);
		s += 1 + n;
	}
	return e;
}

/* --- URIs --- */

enum err sip_address_parse(const char *uri, struct sip_address *out)
{
	struct sip_address a = { .secure = strncasecmp(uri, "sips:", 5) == 0 };
	const char *rest, *at;
	size_t host_size;
	enum err e = OK;

	if (!a.secure && strncasecmp(uri, "sip:", 4) != 0)
		return ERR_SYNTAX;
	rest = uri + (a.secure ? 5 : 4);
	/* No other part may hold an at sign: the first one ends the user (RFC 7247 section 6.4). */
	at = strchr(rest, '@');
	if (at != NULL) {
		e = decode(rest, (size_t)(at - rest), user_plain, a.user);
		rest = at + 1;
	}
	host_size = strcspn(rest, ";");
	if (e == OK)
		e = parse_hostport(rest, host_size, &a);
	if (e == OK)
		e = parse_params(rest + host_size, &a);
	if (e == OK)
		*out = a;
	return e;
}

/* The longest URI: both parts of the greatest length with every byte escaped. */
_Static_assert(SIP_URI_SIZE > sizeof("sips:@:65535;gr=") + 253 + 2 * 3 * SIP_PART_MAX, "a URI must fit");

/* Returns the new end. */
static char *put_escaped(char *to, const char *s, const char *plain)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (strchr(plain, *s) != NULL) {
			*to++ = *s;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	*to = '\0';
	return to;
}

enum err sip_address_format(const struct sip_address *a, char out[SIP_URI_SIZE])
{
	if (!is_text(a->user, strlen(a->user)) || !is_text(a->gr, strlen(a->gr)) || !is_host(a->host))
		return ERR_SYNTAX;
	out = stpcpy(out, a->secure ? "sips:" : "sip:");
	if (a->user[0] != '\0')
		out = stpcpy(put_escaped(out, a->user, user_plain), "@");
	out = stpcpy(out, a->host);
	if (a->port != 0)
		out += sprintf(out, ":%u", (unsigned)a->port);
	if (a->gr[0] != '\0')
		put_escaped(stpcpy(out, ";gr="), a->gr, param_plain);
	return OK;
}

/* Its value, up to the next parameter; NULL: there is none of that name. */
static const char *find_param(const char *params, const char *name, size_t *length)
{
	const size_t name_length = strlen(name);

	while (params != NULL) {
		const size_t n = strcspn(params, ";");

		if (n >= name_length && strncasecmp(params, name, name_length) == 0 &&
		    (n == name_length || params[name_length] == '=')) {
			*length = n == name_length ? 0 : n - name_length - 1;
			return params + n - *length;
		}
		params = params[n] == ';' ? params + n + 1 : NULL;
	}
	return NULL;
}

enum err sip_uri_param(const char *params, const char *name, char *out, size_t size)
{
	size_t length = 0;
	const char *value = find_param(params, name, &length);

	if (value == NULL)
		return ERR_NOT_FOUND;
	if (length >= size)
		return ERR_LIMIT;
	memcpy(out, value, length);
	out[length] = '\0';
	return OK;
}

bool sip_uri_has_param(const char *params, const char *name)
{
	size_t length;

	return find_param(params, name, &length) != NULL;
}
