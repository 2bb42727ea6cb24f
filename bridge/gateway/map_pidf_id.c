/*
 * map_pidf_id.c - resources as identifiers of tuples, and back.
 *
 * RFC 8048 section 6.2 puts "ID-" before the resourcepart, as an xs:ID may not
 * begin with a digit. It may not hold a blank, a slash or an at sign either, as
 * resources do. So every byte but letters, digits, '.' and '-' is written as "_"
 * and two hexadecimal digits, the underscore too: no two resources meet in one
 * identifier. What others wrote, who do not know of this, is taken as it is.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <string.h>

#include "bridge/xmpp/jid.h"

#define PREFIX "ID-"

static const char digits[] = "0123456789abcdef";

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '-';
}

void pidf_id_write(struct strbuf *b, const char *resource)
{
	strbuf_puts(b, PREFIX);
	for (; resource != NULL && *resource != '\0'; resource++) {
		unsigned char c = (unsigned char)*resource;

		if (is_plain(*resource)) {
			strbuf_putc(b, *resource);
			continue;
		}
		strbuf_putc(b, '_');
		strbuf_putc(b, digits[c >> 4]);
		strbuf_putc(b, digits[c & 15]);
	}
}

/* The value of a digit, -1 for what is none; upper case is not ours. */
static int digit(char c)
{
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* false: pidf_id_write() writes nothing like this. */
static bool decode(const char *s, struct strbuf *out)
{
	for (; *s != '\0'; s++) {
		char c = *s;

		if (c == '_') {
			int high = digit(s[1]), low = high >= 0 ? digit(s[2]) : -1;

			if (low < 0)
				return false;
			c = (char)(high * 16 + low);
			s += 2;
			if (c == '\0' || is_plain(c))
				return false;
		} else if (!is_plain(c)) {
			return false;
		}
		strbuf_putc(out, c);
	}
	return utf8_is_xml(out->s != NULL ? out->s : "", out->len);
}

char *pidf_id_read(const char *id)
{
	struct strbuf decoded = { 0 };
	bool has_prefix = strncmp(id, PREFIX, sizeof(PREFIX) - 1) == 0;

	if (has_prefix)
		id += sizeof(PREFIX) - 1;
	if (has_prefix && decode(id, &decoded))
		return strbuf_take(&decoded);
	strbuf_free(&decoded);
	return xstrdup(id);
}
