/*
 * map_sdp.c - the session descriptions of IM sessions (RFC 4566, RFC 3264), as
 * the clients of the pools write them.
 *
 * Only the lines that concern an IM session are looked into; the other media
 * are kept as they were written, since an answer names them again, refused.
 * sofia-sip's parser is not used: it cuts the "sip:user@host" behind an
 * x-ms-message line in pieces, and does not give back what it was given.
 *
 * The caller owns what is made here. Nothing but memory is fatal.
 */
#include "bridge/gateway/map_sdp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ACCEPT_TYPES "accept-types:"

/* Every client writes this port; text takes the way of the dialog. */
enum { PORT = 5060 };

static const struct {
	const char *name;
	unsigned bits;
} types[] = {
	{ "text/plain", MAP_SDP_PLAIN },
	{ "text/html", MAP_SDP_HTML },
	{ "text/*", MAP_SDP_PLAIN | MAP_SDP_HTML },
	{ "multipart/alternative", MAP_SDP_ALTERNATIVE },
	{ "multipart/*", MAP_SDP_ALTERNATIVE },
	{ "application/im-iscomposing+xml", MAP_SDP_ISCOMPOSING },
	{ "application/*", MAP_SDP_ISCOMPOSING },
	{ "*", MAP_SDP_PLAIN | MAP_SDP_HTML | MAP_SDP_ALTERNATIVE | MAP_SDP_ISCOMPOSING },
};

struct span {
	const char *s;
	size_t n;
};

/* What the lines have said so far. */
struct reader {
	struct map_sdp *sdp;
	/* Of the session (0) and of each media: what it accepts, and whether it says so at all. */
	unsigned accepts[1 + MAP_SDP_MEDIA];
	bool says[1 + MAP_SDP_MEDIA];
};

/* --- reading --- */

/* The next line, without its end; false at the end of the text. */
static bool next_line(struct span *rest, struct span *line)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->s, '\n', rest->n);
	*line = (struct span){ rest->s, end != NULL ? (size_t)(end - rest->s) : rest->n };
	rest->s += line->n;
	rest->n -= line->n;
	if (end != NULL) {
		rest->s++;
		rest->n--;
	}
	if (line->n > 0 && line->s[line->n - 1] == '\r')
		line->n--;
	return true;
}

/* No control but the tab: what is echoed must not begin a line. */
static bool is_clean(const struct span *line)
{
	for (size_t i = 0; i < line->n; i++)
		if ((unsigned char)line->s[i] < ' ' && line->s[i] != '\t')
			return false;
	return true;
}

static bool is_ascii(const struct span *line)
{
	for (size_t i = 0; i < line->n; i++)
		if ((unsigned char)line->s[i] >= 0x7F)
			return false;
	return true;
}

/* PORT or PORT/COUNT. */
static bool read_port(const char *text, uint16_t *out)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port;

	if (digits == 0 || digits > 5)
		return false;
	port = strtoul(text, NULL, 10);
	text += digits;
	if (*text == '/') {
		digits = strspn(++text, "0123456789");
		text += digits;
	}
	if (digits == 0 || *text != '\0' || port > UINT16_MAX)
		return false;
	*out = (uint16_t)port;
	return true;
}

/* The next word of a text, ended by a NUL; NULL when there is none. */
static char *take_word(char **text)
{
	char *word = *text + strspn(*text, " \t");

	*text = word + strcspn(word, " \t");
	if (**text != '\0')
		*(*text)++ = '\0';
	return word[0] != '\0' ? word : NULL;
}

/* Behind "m=": media port transport formats. */
static enum err read_media(struct reader *r, struct span value)
{
	struct map_sdp_media m = { .media = NULL };
	const char *port;
	char *text, *media;

	if (r->sdp->count == MAP_SDP_MEDIA)
		return ERR_LIMIT;
	if (!is_ascii(&value))
		return ERR_SYNTAX;
	text = media = xstrndup(value.s, value.n);
	m.media = take_word(&text);
	port = take_word(&text);
	m.transport = take_word(&text);
	m.formats = text + strspn(text, " \t");
	/* The line begins with its first word, so that it is freed by that. */
	if (m.media != media || port == NULL || m.transport == NULL || m.formats[0] == '\0' ||
	    !read_port(port, &m.port)) {
		free(media);
		return ERR_SYNTAX;
	}
	r->sdp->media[r->sdp->count++] = m;
	return OK;
}

static unsigned bits_of(const struct span *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i].name) == type->n && strncasecmp(types[i].name, type->s, type->n) == 0)
			return types[i].bits;
	return 0;
}

/* Behind "a=". Before the first media it is said of all of them. */
static void read_attribute(struct reader *r, struct span value)
{
	size_t of = r->sdp->count;

	if (value.n < strlen(ACCEPT_TYPES) || strncasecmp(value.s, ACCEPT_TYPES, strlen(ACCEPT_TYPES)) != 0)
		return;
	r->says[of] = true;
	for (size_t i = strlen(ACCEPT_TYPES), end; i < value.n; i = end + 1) {
		for (end = i; end < value.n && value.s[end] != ' ' && value.s[end] != '\t'; end++)
			;
		r->accepts[of] |= bits_of(&(struct span){ value.s + i, end - i });
	}
}

static enum err read_lines(struct reader *r, struct span rest)
{
	static const char version[] = "v=0";
	struct span line;
	enum err e = OK;

	if (!next_line(&rest, &line) || line.n != strlen(version) || memcmp(line.s, version, line.n) != 0)
		return ERR_SYNTAX;
	while (e == OK && next_line(&rest, &line)) {
		if (line.n == 0)
			continue;
		if (line.n < 2 || line.s[0] < 'a' || line.s[0] > 'z' || line.s[1] != '=' || !is_clean(&line))
			return ERR_SYNTAX;
		if (line.s[0] == 'm')
			e = read_media(r, (struct span){ line.s + 2, line.n - 2 });
		else if (line.s[0] == 'a')
			read_attribute(r, (struct span){ line.s + 2, line.n - 2 });
	}
	return e;
}

/* The first IM session that we can hold: an MSRP session has the same media's name. */
static enum err choose(struct reader *r)
{
	struct map_sdp *s = r->sdp;

	for (size_t i = 0; i < s->count; i++) {
		const struct map_sdp_media *m = &s->media[i];
		size_t from = r->says[i + 1] ? i + 1 : 0;
		unsigned accepts = r->says[from] ? r->accepts[from] : MAP_SDP_PLAIN;

		if ((strcasecmp(m->media, "message") == 0 || strcasecmp(m->media, "x-ms-message") == 0) &&
		    strcasecmp(m->transport, "sip") == 0 && m->port != 0 && (accepts & MAP_SDP_PLAIN)) {
			s->chosen = i;
			s->accepts = accepts;
			return OK;
		}
	}
	return ERR_REFUSED;
}

enum err map_sdp_read(const char *body, size_t size, struct map_sdp **out)
{
	struct reader r = { .sdp = xcalloc(1, sizeof(*r.sdp) + MAP_SDP_MEDIA * sizeof(r.sdp->media[0])) };
	enum err e = read_lines(&r, (struct span){ body, size });

	if (e == OK)
		e = choose(&r);
	if (e != OK) {
		map_sdp_free(r.sdp);
		return e;
	}
	*out = xrealloc(r.sdp, sizeof(*r.sdp) + r.sdp->count * sizeof(r.sdp->media[0]));
	return OK;
}

void map_sdp_free(struct map_sdp *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->media[i].media);
	free(s);
}

/* --- writing --- */

static void write_session(struct strbuf *out, const char *host)
{
	const char *family = strchr(host, ':') != NULL ? "IP6" : "IP4";
	int n = (int)strcspn(host, "]");

	if (host[0] == '[') {
		host++;
		n--;
	}
	strbuf_printf(out,
		      "v=0\r\no=- 0 0 IN %s %.*s\r\ns=session\r\nc=IN %s %.*s\r\n"
		      "t=0 0\r\n",
		      family, n, host, family, n, host);
}

static void write_chosen(struct strbuf *out, const char *media, const char *format)
{
	strbuf_printf(out, "m=%s %d sip %s\r\na=" ACCEPT_TYPES MAP_SDP_ACCEPT_TYPES "\r\n", media, PORT,
		      format);
}

void map_sdp_write_offer(struct strbuf *out, const char *host)
{
	write_session(out, host);
	write_chosen(out, "message", "null");
}

void map_sdp_write_answer(struct strbuf *out, const struct map_sdp *offer, const char *host, const char *uri)
{
	write_session(out, host);
	for (size_t i = 0; i < offer->count; i++) {
		const struct map_sdp_media *m = &offer->media[i];

		if (i == offer->chosen)
			write_chosen(out, m->media, uri);
		else
			strbuf_printf(out, "m=%s 0 %s %s\r\n", m->media, m->transport, m->formats);
	}
}
