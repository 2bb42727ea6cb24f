/*
 * map_html.c - the text of an HTML document, for the rare message that comes
 * with no plain text.
 *
 * A stripper, no parser: tags go, those that break lines leave a line break;
 * scripts, styles, titles and comments go with what is inside; character
 * references become characters; white space is drawn together as a browser
 * does. One pass without a stack, so that no nesting and no unclosed tag costs
 * more than its bytes: an HTML library would build a tree of it first. What is
 * no markup is text, so that nothing written is lost.
 *
 * Pure; nothing but memory is fatal.
 */
#include "bridge/gateway/map_content_internal.h"

#include <string.h>
#include <strings.h>

#define LETTER "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGIT  "0123456789"

enum { REPLACEMENT = 0xFFFD, NO_BREAK_SPACE = 0xA0, NAME_MAX_LENGTH = 10 };

struct html {
	const char *at, *end;
	struct strbuf *out;
	size_t breaks;     /* line breaks before the next character */
	bool blank;        /* a blank before it */
	unsigned preserve; /* open <pre> */
	bool broken;       /* something does not end: there is no markup from here on */
};

enum effect { EFFECT_BREAK, EFFECT_LINE, EFFECT_PARAGRAPH, EFFECT_BLANK, EFFECT_PRE, EFFECT_SKIP };

static const struct {
	const char *name;
	enum effect effect;
} tags[] = {
	{ "br", EFFECT_BREAK },     { "p", EFFECT_PARAGRAPH },  { "div", EFFECT_LINE },
	{ "li", EFFECT_LINE },      { "ul", EFFECT_LINE },      { "ol", EFFECT_LINE },
	{ "dl", EFFECT_LINE },      { "dt", EFFECT_LINE },      { "dd", EFFECT_LINE },
	{ "table", EFFECT_LINE },   { "tr", EFFECT_LINE },      { "td", EFFECT_BLANK },
	{ "th", EFFECT_BLANK },     { "h1", EFFECT_PARAGRAPH }, { "h2", EFFECT_PARAGRAPH },
	{ "h3", EFFECT_PARAGRAPH }, { "h4", EFFECT_PARAGRAPH }, { "h5", EFFECT_PARAGRAPH },
	{ "h6", EFFECT_PARAGRAPH }, { "hr", EFFECT_LINE },      { "blockquote", EFFECT_PARAGRAPH },
	{ "pre", EFFECT_PRE },      { "script", EFFECT_SKIP },  { "style", EFFECT_SKIP },
	{ "title", EFFECT_SKIP },
};

/* --- characters --- */

/* Of ISO 8859-1, from U+00A0 on. */
static const char *const latin1[] = {
	"nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",    "copy",
	"ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn", "sup2",   "sup3",
	"acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",   "raquo",  "frac14", "frac12",
	"frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde", "Auml",   "Aring",  "AElig",  "Ccedil",
	"Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave", "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde",
	"Ograve", "Oacute", "Ocirc",  "Otilde", "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",
	"Uuml",   "Yacute", "THORN",  "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",
	"aelig",  "ccedil", "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",
	"eth",    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
	"uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml",
};

static const struct {
	const char *name;
	uint32_t c;
} others[] = {
	{ "amp", '&' },       { "lt", '<' },        { "gt", '>' },       { "quot", '"' },
	{ "apos", '\'' },     { "euro", 0x20AC },   { "ndash", 0x2013 }, { "mdash", 0x2014 },
	{ "lsquo", 0x2018 },  { "rsquo", 0x2019 },  { "sbquo", 0x201A }, { "ldquo", 0x201C },
	{ "rdquo", 0x201D },  { "bdquo", 0x201E },  { "bull", 0x2022 },  { "hellip", 0x2026 },
	{ "lsaquo", 0x2039 }, { "rsaquo", 0x203A }, { "trade", 0x2122 }, { "larr", 0x2190 },
	{ "uarr", 0x2191 },   { "rarr", 0x2192 },   { "darr", 0x2193 },  { "minus", 0x2212 },
	{ "ne", 0x2260 },     { "le", 0x2264 },     { "ge", 0x2265 },    { "OElig", 0x152 },
	{ "oelig", 0x153 },   { "Scaron", 0x160 },  { "scaron", 0x161 }, { "Yuml", 0x178 },
};

/* What numbers 128 to 159 stand for: the characters of windows-1252 (HTML, "numeric character reference end state"). */
static const uint16_t windows1252[] = {
	0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
	0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
	0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
};

/* 0: no such name. */
static uint32_t named(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(latin1); i++)
		if (strlen(latin1[i]) == n && memcmp(latin1[i], name, n) == 0)
			return (uint32_t)(NO_BREAK_SPACE + i);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strlen(others[i].name) == n && memcmp(others[i].name, name, n) == 0)
			return others[i].c;
	return 0;
}

/* What XML cannot carry becomes the replacement character, as HTML has it for the worst of them. */
static uint32_t carried(uint32_t c)
{
	if (c >= 0x80 && c < 0xA0)
		return windows1252[c - 0x80];
	if (c == '\t' || c == '\n' || c == '\r')
		return ' ';
	if (c < ' ' || (c >= 0xD800 && c < 0xE000) || c == 0xFFFE || c == 0xFFFF || c > 0x10FFFF)
		return REPLACEMENT;
	return c;
}

/* --- output --- */

/* What was held back until something follows: none of it begins or ends the text. */
static void flush(struct html *h)
{
	if (h->out->len > 0) {
		for (size_t i = 0; i < h->breaks; i++)
			strbuf_putc(h->out, '\n');
		if (h->breaks == 0 && h->blank)
			strbuf_putc(h->out, ' ');
	}
	h->breaks = 0;
	h->blank = false;
}

static void put_byte(struct html *h, char c)
{
	bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';

	if (c == '\n' && h->preserve > 0) {
		h->breaks++;
		return;
	}
	if (is_blank && (h->preserve == 0 || c == '\r')) {
		h->blank = true;
		return;
	}
	flush(h);
	strbuf_putc(h->out, c);
}

static void put_character(struct html *h, uint32_t c)
{
	if (c == ' ') {
		put_byte(h, ' ');
		return;
	}
	flush(h);
	/* A reader of plain text wants a plain blank, as many as there are. */
	map_text_put(h->out, c == NO_BREAK_SPACE ? ' ' : c);
}

static void break_lines(struct html *h, size_t at_least)
{
	if (h->breaks < at_least)
		h->breaks = at_least;
	h->blank = false;
}

/* --- input --- */

static size_t span(const struct html *h, const char *from, const char *set)
{
	size_t n = 0;

	while (from + n < h->end && from[n] != '\0' && strchr(set, from[n]) != NULL)
		n++;
	return n;
}

/* "#1234;", "#x4D2;" or "name;" behind an ampersand; false: it is an ampersand. */
static bool take_reference(struct html *h)
{
	const char *at = h->at + 1;
	bool is_number = at < h->end && *at == '#', hex;
	uint32_t c = 0;
	size_t n;

	if (!is_number) {
		n = span(h, at, LETTER DIGIT);
		c = n > 0 && n <= NAME_MAX_LENGTH && at + n < h->end && at[n] == ';' ? named(at, n) : 0;
		if (c == 0)
			return false;
		h->at = at + n + 1;
		put_character(h, c);
		return true;
	}
	hex = at + 1 < h->end && (at[1] == 'x' || at[1] == 'X');
	at += hex ? 2 : 1;
	n = span(h, at, hex ? DIGIT "abcdefABCDEF" : DIGIT);
	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint32_t digit = (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);

		if (c <= 0x10FFFF)
			c = (hex ? 16 : 10) * c + digit;
	}
	h->at = at + n;
	h->at += h->at < h->end && *h->at == ';';
	put_character(h, carried(c));
	return true;
}

/* On behind the next occurrence. */
static void skip_behind(struct html *h, const char *from, const char *what)
{
	const char *found = memmem(from, (size_t)(h->end - from), what, strlen(what));

	if (found != NULL)
		h->at = found + strlen(what);
	else
		h->broken = true;
}

/* Behind the tag that begins here; NULL: it does not end. */
static const char *tag_end(const struct html *h)
{
	char quote = '\0', last = '\0'; /* last: but for blanks */

	for (const char *at = h->at; at < h->end; at++) {
		if (quote != '\0')
			quote = *at == quote ? '\0' : quote;
		else if (*at == '>')
			return at + 1;
		else if ((*at == '"' || *at == '\'') && last == '=')
			quote = *at;
		if (strchr(" \t\r\n", *at) == NULL)
			last = *at;
	}
	return NULL;
}

/* To the end tag of that name, or the end: nothing in between is text. */
static void skip_to_end_tag(struct html *h, const char *name, size_t n)
{
	for (; h->at < h->end; h->at++)
		if ((size_t)(h->end - h->at) >= n + 2 && h->at[0] == '<' && h->at[1] == '/' &&
		    strncasecmp(h->at + 2, name, n) == 0)
			return;
}

static void apply(struct html *h, enum effect effect, bool is_end)
{
	switch (effect) {
	case EFFECT_BREAK:
		h->breaks++;
		h->blank = false;
		break;
	case EFFECT_LINE:
		break_lines(h, 1);
		break;
	case EFFECT_PARAGRAPH:
		break_lines(h, 2);
		break;
	case EFFECT_BLANK:
		h->blank = true;
		break;
	case EFFECT_PRE:
		break_lines(h, 1);
		if (!is_end)
			h->preserve++;
		else if (h->preserve > 0)
			h->preserve--;
		break;
	case EFFECT_SKIP:
		break;
	}
}

/* At "<" and a letter, or "</" and a letter. */
static void take_tag(struct html *h)
{
	bool is_end = h->at[1] == '/';
	const char *name = h->at + 1 + is_end, *end = tag_end(h);
	size_t n = span(h, name, LETTER DIGIT);

	if (end == NULL) {
		h->broken = true;
		return;
	}
	h->at = end;
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		if (strlen(tags[i].name) != n || strncasecmp(tags[i].name, name, n) != 0)
			continue;
		apply(h, tags[i].effect, is_end);
		if (tags[i].effect == EFFECT_SKIP && !is_end)
			skip_to_end_tag(h, tags[i].name, n);
	}
}

/* At "<": false, and nothing taken, when it is a character of the text. */
static bool take_markup(struct html *h)
{
	const char *next = h->at + 1;

	if (h->broken || next == h->end)
		return false;
	if (*next == '!' && h->end - next > 2 && next[1] == '-' && next[2] == '-')
		skip_behind(h, next + 1, "-->");
	else if (*next == '!' || *next == '?')
		skip_behind(h, next, ">");
	else if (span(h, next + (*next == '/'), LETTER) > 0)
		take_tag(h);
	else
		return false;
	return !h->broken;
}

void map_html_strip(const char *html, size_t size, struct strbuf *out)
{
	struct html h = { .at = html, .end = html + size, .out = out };

	while (h.at < h.end) {
		if (*h.at == '<' && take_markup(&h))
			continue;
		if (*h.at == '&' && take_reference(&h))
			continue;
		put_byte(&h, *h.at++);
	}
}
