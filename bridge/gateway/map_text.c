/*
 * map_text.c - the bytes of a text in some charset as text that XML can carry.
 *
 * iconv(3) decodes, but only charsets of the list below: by other names it
 * would load any of glibc's modules, stateful ones of which have had faults
 * that hostile input reaches, and obey suffixes like //IGNORE. A charset of the
 * list whose module is not installed is one that we do not read.
 *
 * Pure; nothing but memory is fatal.
 */
#include "bridge/gateway/map_content_internal.h"

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/jid.h"

#define BOM "\xEF\xBB\xBF"

/* No character of these takes more than three times its bytes in UTF-8. */
static const char *const charsets[] = {
	"utf8",         "us-ascii",     "iso-8859-1",   "iso-8859-2",   "iso-8859-3",   "iso-8859-4",
	"iso-8859-5",   "iso-8859-6",   "iso-8859-7",   "iso-8859-8",   "iso-8859-9",   "iso-8859-10",
	"iso-8859-13",  "iso-8859-14",  "iso-8859-15",  "iso-8859-16",  "windows-1250", "windows-1251",
	"windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257",
	"windows-1258", "koi8-r",       "koi8-u",       "utf-16",       "utf-16be",     "utf-16le",
	"shift_jis",    "euc-jp",       "euc-kr",       "gb2312",       "gbk",          "gb18030",
	"big5",
};
enum { GROWTH = 3 };

static bool is_listed(const char *charset)
{
	for (size_t i = 0; i < ARRAY_SIZE(charsets); i++)
		if (strcmp(charsets[i], charset) == 0)
			return true;
	return false;
}

static enum err convert(const char *charset, struct mime_span bytes, struct strbuf *out)
{
	size_t room = GROWTH * bytes.n, left = room;
	char *in = (char *)bytes.s, *start, *end;
	enum err e = OK;
	iconv_t cd;

	if (!is_listed(charset))
		return ERR_NOT_FOUND;
	cd = iconv_open("UTF-8", charset);
	if (cd == (iconv_t)-1)
		return ERR_NOT_FOUND;
	end = start = xmalloc(room + 1);
	if (iconv(cd, &in, &bytes.n, &end, &left) == (size_t)-1 ||
	    iconv(cd, NULL, NULL, &end, &left) == (size_t)-1)
		e = ERR_SYNTAX;
	else
		strbuf_add(out, start, room - left);
	free(start);
	iconv_close(cd);
	return e;
}

/*
 * Line breaks are CRLF on the one side (RFC 2046 section 4.1.1), LF on the other (XML 1.0 section 2.11).
 * More than one CR before an LF is what a second conversion makes of it: one line break, so that to
 * convert twice is to convert once.
 */
static void add_lines(struct mime_span text, struct strbuf *out)
{
	const char *end = text.s + text.n, *at;

	for (; (at = memchr(text.s, '\n', (size_t)(end - text.s))) != NULL; text.s = at + 1) {
		size_t n = (size_t)(at - text.s);

		while (n > 0 && text.s[n - 1] == '\r')
			n--;
		strbuf_add(out, text.s, n);
		strbuf_putc(out, '\n');
	}
	strbuf_add(out, text.s, (size_t)(end - text.s));
}

enum err map_text_decode(const char *charset, struct mime_span bytes, struct strbuf *out)
{
	struct strbuf converted = { .s = NULL };
	enum err e = OK;

	if (charset[0] != '\0' && strcmp(charset, "utf-8") != 0) {
		e = convert(charset, bytes, &converted);
		bytes = (struct mime_span){ converted.s, converted.len };
	}
	/* A byte order mark is no character of the text (RFC 3629 section 6). */
	while (e == OK && bytes.n >= strlen(BOM) && memcmp(bytes.s, BOM, strlen(BOM)) == 0)
		bytes = (struct mime_span){ bytes.s + strlen(BOM), bytes.n - strlen(BOM) };
	if (e == OK && !utf8_is_xml(bytes.s, bytes.n))
		e = ERR_SYNTAX;
	if (e == OK)
		add_lines(bytes, out);
	strbuf_free(&converted);
	return e;
}

void map_text_put(struct strbuf *out, uint32_t c)
{
	if (c < 0x80) {
		strbuf_putc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		strbuf_putc(out, (char)(0xC0 | c >> 6));
	} else {
		if (c < 0x10000) {
			strbuf_putc(out, (char)(0xE0 | c >> 12));
		} else {
			strbuf_putc(out, (char)(0xF0 | c >> 18));
			strbuf_putc(out, (char)(0x80 | (c >> 12 & 0x3F)));
		}
		strbuf_putc(out, (char)(0x80 | (c >> 6 & 0x3F)));
	}
	strbuf_putc(out, (char)(0x80 | (c & 0x3F)));
}
