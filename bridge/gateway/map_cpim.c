/*
 * map_cpim.c - the header of message/cpim (RFC 3862), with the fields that ask
 * for disposition notifications (RFC 5438).
 *
 * Names of fields are compared without regard to case; a prefix counts only
 * where NS has bound it to urn:ietf:params:imdn. What Require names must be
 * known here, else the message is not ours to read (RFC 3862 section 3.5).
 * From and To are kept for the answering notification alone: nobody is
 * believed to be who he says here.
 *
 * The caller owns the header. Nothing but memory is fatal.
 */
#include "bridge/gateway/map_content_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridge/xmpp/jid.h"

#define NS_IMDN "urn:ietf:params:imdn"

/* Such a header has a dozen fields. */
enum { FIELDS_MAX = 64 };

struct reader {
	struct map_cpim *cpim;
	char *prefix; /* bound to NS_IMDN; NULL: none. Without a dot */
};

static bool is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7F)
			return false;
	return true;
}

/* A field that may be there once. */
static enum err set_once(char **field, const char *value, size_t n)
{
	if (*field != NULL || n == 0)
		return ERR_SYNTAX;
	*field = xstrndup(value, n);
	return OK;
}

/* [ display name ] "<" URI ">" */
static enum err set_address(char **field, const char *value)
{
	const char *start = strrchr(value, '<'), *end = start != NULL ? strchr(start, '>') : NULL;
	enum err e;

	if (end == NULL || end[1] != '\0')
		return ERR_SYNTAX;
	e = set_once(field, start + 1, (size_t)(end - start - 1));
	if (e == OK && !is_printable(*field))
		e = ERR_SYNTAX;
	return e;
}

/* --- the subject --- */

/* "\uXXXX", a character of the basic plane, as its number; 0: it is none. */
static uint32_t escaped(const char *s)
{
	char digits[5] = "";
	uint32_t c;

	for (size_t i = 0; i < 4; i++) {
		if (!isxdigit((unsigned char)s[2 + i]))
			return 0;
		digits[i] = s[2 + i];
	}
	c = (uint32_t)strtoul(digits, NULL, 16);
	return c < ' ' || (c >= 0x7F && c < 0xA0) || (c >= 0xD800 && c < 0xE000) || c > 0xFFFD ? 0 : c;
}

/* The escapes of RFC 3862 section 2.3; what breaks a line is a blank here, what is no escape stays. */
static char *unescape(const char *s)
{
	struct strbuf b = { .s = NULL };

	while (*s != '\0') {
		uint32_t c = s[0] == '\\' && s[1] == 'u' ? escaped(s) : 0;
		size_t n = 2;

		if (c != 0) {
			map_text_put(&b, c);
			n = 6;
		} else if (s[0] == '\\' && s[1] != '\0' && strchr("\\\"'", s[1]) != NULL) {
			strbuf_putc(&b, s[1]);
		} else if (s[0] == '\\' && s[1] != '\0' && strchr("btnr", s[1]) != NULL) {
			strbuf_putc(&b, ' ');
		} else {
			strbuf_putc(&b, *s);
			n = 1;
		}
		s += n;
	}
	return strbuf_take(&b);
}

/* The first; others are it in other languages. */
static enum err set_subject(struct map_cpim *c, const char *value)
{
	if (!utf8_is_xml(value, strlen(value)))
		return ERR_SYNTAX;
	if (c->subject == NULL && value[0] != '\0')
		c->subject = unescape(value);
	return OK;
}

/* --- extensions --- */

/* [ prefix ] "<" URI ">". The last word on a prefix counts; none means the names without one. */
static enum err bind_prefix(struct reader *r, const char *value)
{
	const char *start = strchr(value, '<'), *end = start != NULL ? strchr(start, '>') : NULL;
	size_t n = strcspn(value, " \t<");
	bool is_imdn, is_same;

	if (end == NULL || end[1] != '\0' || value + n + strspn(value + n, " \t") != start)
		return ERR_SYNTAX;
	is_imdn = (size_t)(end - start - 1) == strlen(NS_IMDN) &&
		  strncasecmp(start + 1, NS_IMDN, strlen(NS_IMDN)) == 0;
	is_same = r->prefix != NULL && strlen(r->prefix) == n && memcmp(r->prefix, value, n) == 0;
	if (!is_imdn && !is_same)
		return OK;
	free(r->prefix);
	r->prefix = is_imdn ? xstrndup(value, n) : NULL;
	return OK;
}

/* The name without the prefix of the notifications; NULL: it is another one's. */
static const char *imdn_name(const struct reader *r, const char *name)
{
	size_t n = r->prefix != NULL ? strlen(r->prefix) : 0;

	if (r->prefix == NULL || strncmp(name, r->prefix, n) != 0)
		return NULL;
	if (n == 0)
		return name;
	return name[n] == '.' ? name + n + 1 : NULL;
}

/* "positive-delivery, display": names with parameters behind them, or none. */
static unsigned wanted_of(const char *value)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {
		{ "positive-delivery", IMDN_WANT_DELIVERY },
		{ "negative-delivery", IMDN_WANT_FAILURE },
		{ "display", IMDN_WANT_DISPLAY },
	};
	unsigned wanted = 0;

	for (size_t n; *value != '\0'; value += strcspn(value + n, ",") + n) {
		value += strspn(value, " \t,");
		n = strcspn(value, " \t,;");
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (strlen(names[i].name) == n && strncasecmp(names[i].name, value, n) == 0)
				wanted |= names[i].bit;
	}
	return wanted;
}

static enum err take_imdn_field(struct map_cpim *c, const char *name, const char *value)
{
	if (strcasecmp(name, "Message-ID") == 0)
		return is_printable(value) ? set_once(&c->message_id, value, strlen(value)) : ERR_SYNTAX;
	if (strcasecmp(name, "Disposition-Notification") == 0)
		c->wanted |= wanted_of(value);
	return OK;
}

/* A list of names of fields. */
static enum err check_required(const struct reader *r, const char *value)
{
	static const char *const known[] = { "From", "To", "cc", "DateTime", "Subject", "NS", "Require" };

	for (size_t n; *value != '\0'; value += n) {
		char name[64];
		bool is_known = false;

		value += strspn(value, " \t,");
		n = strcspn(value, " \t,");
		if (n == 0)
			break;
		if (n >= sizeof(name))
			return ERR_REFUSED;
		memcpy(name, value, n);
		name[n] = '\0';
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			is_known = is_known || strcasecmp(known[i], name) == 0;
		if (!is_known && (imdn_name(r, name) == NULL ||
				  (strcasecmp(imdn_name(r, name), "Message-ID") != 0 &&
				   strcasecmp(imdn_name(r, name), "Disposition-Notification") != 0)))
			return ERR_REFUSED;
	}
	return OK;
}

/* --- the header --- */

/* Parameters stand between the colon and the value: "Subject:;lang=fr Objet". */
static const char *behind_parameters(const char *value)
{
	if (*value != ';')
		return value;
	value += strcspn(value, " \t");
	return value + strspn(value, " \t");
}

static enum err take_field(struct reader *r, const struct mime_field *f)
{
	struct map_cpim *c = r->cpim;
	const char *value = behind_parameters(f->value), *name;

	if (strcasecmp(f->name, "From") == 0)
		return set_address(&c->from_uri, value);
	/* Of several the first: it is written to one user here. */
	if (strcasecmp(f->name, "To") == 0)
		return c->to_uri == NULL ? set_address(&c->to_uri, value) : OK;
	if (strcasecmp(f->name, "DateTime") == 0)
		return is_printable(value) ? set_once(&c->date_time, value, strlen(value)) : ERR_SYNTAX;
	if (strcasecmp(f->name, "Subject") == 0)
		return set_subject(c, value);
	if (strcasecmp(f->name, "NS") == 0)
		return bind_prefix(r, value);
	if (strcasecmp(f->name, "Require") == 0)
		return check_required(r, value);
	name = imdn_name(r, f->name);
	return name != NULL ? take_imdn_field(c, name, value) : OK;
}

enum err map_cpim_read(struct mime_span body, struct map_cpim **out, struct mime_span *entity)
{
	struct reader r = { .cpim = xcalloc(1, sizeof(*r.cpim)) };
	struct mime_field f;
	size_t count = 0;
	enum err e;

	while ((e = mime_field_next(&body, &f)) == OK) {
		e = ++count <= FIELDS_MAX ? take_field(&r, &f) : ERR_LIMIT;
		mime_field_free(&f);
		if (e != OK)
			break;
	}
	free(r.prefix);
	/* Without a field there is no header. */
	if (e != ERR_NOT_FOUND || count == 0) {
		map_cpim_free(r.cpim);
		return e != ERR_NOT_FOUND ? e : ERR_SYNTAX;
	}
	if (r.cpim->message_id == NULL)
		r.cpim->wanted = 0;
	*out = r.cpim;
	*entity = body;
	return OK;
}

void map_cpim_free(struct map_cpim *c)
{
	if (c == NULL)
		return;
	free(c->from_uri);
	free(c->to_uri);
	free(c->date_time);
	free(c->subject);
	free(c->message_id);
	free(c);
}
