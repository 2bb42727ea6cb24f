/*
 * jid.c - XMPP addresses: split, normalise, compare as bytes afterwards.
 *
 * The localpart is prepared with nodeprep and the resourcepart with
 * resourceprep (RFC 6122 appendices A and B), the domainpart with ToASCII of
 * IDNA2003: what the deployed servers do, so that two spellings are one user
 * here exactly when they are one there. RFC 7622 is stricter in places (it
 * keeps a sharp s and refuses symbols in a localpart); where both can be held,
 * its rules hold too.
 *
 * Parse, never repair: what is not an address is ERR_SYNTAX. Plain ASCII, which
 * is nearly all there is, never reaches libidn. Nothing is fatal.
 */
#include "bridge/xmpp/jid.h"

#include <idna.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

/* Normalising may shorten a part; one longer than this is refused unread: it takes libidn milliseconds. */
enum { WORK_SIZE = 2 * (JID_PART_MAX + 1) };

/* Whether a localpart may not have this byte: RFC 7622 section 3.3.1, and the space. */
static const bool local_forbidden[256] = {
	['"'] = true, ['&'] = true, ['\''] = true, ['/'] = true, [':'] = true,
	['<'] = true, ['>'] = true, ['@'] = true,  [' '] = true
};

/* Bytes of the UTF-8 sequence at s that encodes an XML 1.0 Char; 0 when it is none. */
static size_t xml_char_length(const unsigned char *s, size_t n)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned c = s[0];
	size_t length;

	if (c < 0x80)
		return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
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
	if (c < least[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) || c == 0xFFFE || c == 0xFFFF)
		return 0;
	return length;
}

bool utf8_is_xml(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		const bool plain = s[i] >= 0x20 && s[i] <= 0x7E; /* most are */
		size_t length = plain ? 1 : xml_char_length((const unsigned char *)s + i, n - i);

		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

static bool is_printable_ascii(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7E)
			return false;
	return true;
}

/*
 * One pass of a profile is not always enough: libidn normalises some sequences
 * so that a second pass changes the result (Unicode's Public Review Issue 29).
 * An address that is not stable would be one user today and another when it is
 * read back from the registry: refused.
 */
static enum err prepare(const char *s, size_t n, const Stringprep_profile *profile,
			char out[JID_PART_MAX + 1])
{
	char once[WORK_SIZE], twice[WORK_SIZE];

	if (n >= sizeof(once) || !utf8_is_xml(s, n))
		return ERR_SYNTAX;
	memcpy(once, s, n);
	once[n] = '\0';
	if (stringprep(once, sizeof(once), 0, profile) != STRINGPREP_OK)
		return ERR_SYNTAX;
	if (once[0] == '\0' || strlen(once) > JID_PART_MAX)
		return ERR_SYNTAX;
	strcpy(twice, once);
	if (stringprep(twice, sizeof(twice), 0, profile) != STRINGPREP_OK || strcmp(once, twice) != 0)
		return ERR_SYNTAX;
	strcpy(out, once);
	return OK;
}

static enum err parse_local(const char *s, size_t n, char out[JID_PART_MAX + 1])
{
	if (!is_printable_ascii(s, n))
		return prepare(s, n, stringprep_xmpp_nodeprep, out);
	if (n == 0 || n > JID_PART_MAX)
		return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++) {
		if (local_forbidden[(unsigned char)s[i]])
			return ERR_SYNTAX;
		out[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
	}
	out[n] = '\0';
	return OK;
}

static enum err parse_resource(const char *s, size_t n, char out[JID_PART_MAX + 1])
{
	char part[JID_PART_MAX + 1];

	if (!is_printable_ascii(s, n)) {
		enum err e = prepare(s, n, stringprep_xmpp_resourceprep, part);

		if (e != OK)
			return e;
		n = strlen(part);
		s = part;
	}
	/* A leading space: RFC 7622 section 3.5, example 18. */
	if (n == 0 || n > JID_PART_MAX || s[0] == ' ')
		return ERR_SYNTAX;
	memcpy(out, s, n);
	out[n] = '\0';
	return OK;
}

/*
 * A last label that is a number makes an IPv4 address, in one of the forms that
 * resolvers accept ("192.0.2.1", "127.1", "0x7f000001"); no top-level domain is one.
 */
static bool label_is_number(const char *s, size_t n)
{
	if (s[0] < '0' || s[0] > '9')
		return false;
	if (n >= 2 && s[0] == '0' && s[1] == 'x')
		return strspn(s + 2, "0123456789abcdef") == n - 2;
	return strspn(s, "0123456789") == n;
}

static bool is_in_label(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Letters, digits and inner hyphens, labels of 1 to 63 bytes, no IP address; lower case. */
static bool domain_is_valid(const char *s)
{
	if (strlen(s) > JID_DOMAIN_MAX)
		return false;
	for (;;) {
		size_t n = 0;

		while (is_in_label(s[n]))
			n++;
		if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
			return false;
		if (s[n] == '\0')
			return !label_is_number(s, n);
		if (s[n] != '.')
			return false;
		s += n + 1;
	}
}

/* Lower case, without one trailing dot; false when it does not fit. */
static bool fold_domain(const char *s, size_t n, char out[JID_DOMAIN_MAX + 1])
{
	if (n > 0 && s[n - 1] == '.')
		n--;
	if (n == 0 || n > JID_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		out[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
	out[n] = '\0';
	return true;
}

/*
 * ToASCII (RFC 3490) of each label. Code points that Unicode 3.2 did not have
 * are allowed, as in a query: they are compared as they are.
 */
static bool domain_to_ascii(const char *s, size_t n, char out[JID_DOMAIN_MAX + 1])
{
	const int flags = IDNA_ALLOW_UNASSIGNED | IDNA_USE_STD3_ASCII_RULES;
	char in[JID_PART_MAX + 1];
	char *ascii = NULL;
	bool ok;

	if (n > JID_PART_MAX || !utf8_is_xml(s, n))
		return false;
	memcpy(in, s, n);
	in[n] = '\0';
	ok = idna_to_ascii_8z(in, &ascii, flags) == IDNA_SUCCESS && fold_domain(ascii, strlen(ascii), out);
	free(ascii);
	return ok;
}

static enum err parse_domain(const char *s, size_t n, char out[JID_DOMAIN_MAX + 1])
{
	char domain[JID_DOMAIN_MAX + 1];

	if (!(is_printable_ascii(s, n) ? fold_domain(s, n, domain) : domain_to_ascii(s, n, domain)))
		return ERR_SYNTAX;
	if (!domain_is_valid(domain))
		return ERR_SYNTAX;
	strcpy(out, domain);
	return OK;
}

enum err jid_domain(const char *text, char out[JID_DOMAIN_MAX + 1])
{
	return parse_domain(text, strlen(text), out);
}

/*
 * The separators are found before anything is normalised, for that could make
 * new ones (RFC 7622 section 3.1): first the slash, then the at sign before it.
 */
enum err jid_parse(const char *text, struct jid *out)
{
	const char *end = text + strcspn(text, "/");
	const char *at = memchr(text, '@', (size_t)(end - text));
	const char *domain = at != NULL ? at + 1 : text;
	struct jid jid;
	enum err e;

	jid.local[0] = '\0';
	jid.resource[0] = '\0';
	e = parse_domain(domain, (size_t)(end - domain), jid.domain);
	if (e == OK && at != NULL)
		e = parse_local(text, (size_t)(at - text), jid.local);
	if (e == OK && *end == '/')
		e = parse_resource(end + 1, strlen(end + 1), jid.resource);
	if (e != OK)
		return e;
	strcpy(out->local, jid.local);
	strcpy(out->domain, jid.domain);
	strcpy(out->resource, jid.resource);
	return OK;
}

size_t jid_bare(const struct jid *jid, char out[JID_BARE_SIZE])
{
	char *at = out;

	if (jid->local[0] != '\0') {
		at = stpcpy(at, jid->local);
		*at++ = '@';
	}
	return (size_t)(stpcpy(at, jid->domain) - out);
}

size_t jid_pair(const struct jid *first, const struct jid *second, char out[JID_PAIR_SIZE])
{
	const size_t n = jid_bare(first, out);

	out[n] = ' ';
	jid_bare(second, out + n + 1);
	return n;
}

void jid_full(const struct jid *jid, char out[JID_FULL_SIZE])
{
	const size_t n = jid_bare(jid, out);

	if (jid->resource[0] != '\0') {
		out[n] = '/';
		strcpy(out + n + 1, jid->resource);
	}
}
