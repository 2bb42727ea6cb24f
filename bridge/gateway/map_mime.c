/*
 * map_mime.c - types, header blocks and multiparts (RFC 2045, RFC 2046).
 *
 * Everything is cut out of the body in place, so that nesting costs no memory.
 * Not sofia-sip's multipart parser: it reads beyond its input. A delimiter is a
 * whole line; text that only begins like one is text.
 *
 * The caller owns fields and entities. Nothing but memory is fatal.
 */
#include "bridge/gateway/map_mime.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- types --- */

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* RFC 2045 section 5.1. */
static size_t token_length(const char *s)
{
	size_t n = 0;

	while (s[n] > ' ' && s[n] < 0x7F && strchr("()<>@,;:\\\"/[]?=", s[n]) == NULL)
		n++;
	return n;
}

static void copy_lower(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[n] = '\0';
}

enum err mime_name_parse(const char *value, char name[MIME_NAME_SIZE], const char **parameters)
{
	const char *start = skip_blanks(value), *end;
	size_t type = token_length(start), subtype;

	if (type == 0 || start[type] != '/')
		return ERR_SYNTAX;
	subtype = token_length(start + type + 1);
	end = skip_blanks(start + type + 1 + subtype);
	if (subtype == 0 || type + 1 + subtype >= MIME_NAME_SIZE || (*end != ';' && *end != '\0'))
		return ERR_SYNTAX;
	copy_lower(name, start, type + 1 + subtype);
	*parameters = end;
	return OK;
}

/* At its first quote; NULL when it does not end, or holds a control. */
static const char *quoted_end(const char *s)
{
	for (s++; *s != '"'; s++) {
		if (*s == '\\')
			s++;
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7F)
			return NULL;
	}
	return s;
}

/*
 * COMPAT: values that are no tokens stand there without quotes: "ms-body=" is
 * followed by base64 with its slashes and equals signs.
 */
static size_t bare_length(const char *s)
{
	size_t n = 0;

	while (s[n] > ' ' && s[n] < 0x7F && s[n] != ';' && s[n] != '"')
		n++;
	return n;
}

enum err mime_parameter_next(const char **parameters, struct mime_parameter *out)
{
	const char *at = skip_blanks(*parameters), *start = at, *name, *value, *end;
	size_t length;

	if (*at == '\0')
		return ERR_NOT_FOUND;
	name = skip_blanks(at + 1);
	/* COMPAT: a semicolon that separates nothing, at the end. */
	if (*start == ';' && *name == '\0')
		return ERR_NOT_FOUND;
	length = token_length(name);
	at = skip_blanks(name + length);
	if (*start != ';' || length == 0 || *at != '=')
		return ERR_SYNTAX;
	value = skip_blanks(at + 1);
	if (*value == '"') {
		end = quoted_end(value++);
		at = end != NULL ? end + 1 : NULL;
	} else {
		end = at = value + bare_length(value);
		if (end == value)
			return ERR_SYNTAX;
	}
	if (at == NULL || (*skip_blanks(at) != ';' && *skip_blanks(at) != '\0'))
		return ERR_SYNTAX;
	*out = (struct mime_parameter){ .whole = { start, (size_t)(at - start) },
					.name = { name, length },
					.value = { value, (size_t)(end - value) },
					.quoted = value[-1] == '"' };
	*parameters = at;
	return OK;
}

bool mime_parameter_is(const struct mime_parameter *p, const char *name)
{
	return strlen(name) == p->name.n && strncasecmp(name, p->name.s, p->name.n) == 0;
}

/* False: it does not fit, or was there already. */
static bool take_value(const struct mime_parameter *p, char *to, size_t size)
{
	size_t n = 0;

	if (to[0] != '\0')
		return false;
	for (size_t i = 0; i < p->value.n; i++) {
		i += p->quoted && p->value.s[i] == '\\';
		if (n + 1 >= size)
			return false;
		to[n++] = p->value.s[i];
	}
	to[n] = '\0';
	return n > 0;
}

/* bchars of RFC 2046 section 5.1.1, which ends with none of its blanks. */
static bool is_boundary(const char *s)
{
	static const char bchars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				     "'()+_,-./:=? ";
	size_t n = strspn(s, bchars);

	return n > 0 && s[n] == '\0' && s[n - 1] != ' ';
}

enum err mime_type_parse(const char *value, struct mime_type *out)
{
	struct mime_type type = { .charset = "" };
	struct mime_parameter p;
	enum err e = mime_name_parse(value, type.name, &value);

	while (e == OK && (e = mime_parameter_next(&value, &p)) == OK) {
		if (mime_parameter_is(&p, "charset") && !take_value(&p, type.charset, sizeof(type.charset)))
			return ERR_SYNTAX;
		if (mime_parameter_is(&p, "boundary") &&
		    (!take_value(&p, type.boundary, sizeof(type.boundary)) || !is_boundary(type.boundary)))
			return ERR_SYNTAX;
	}
	if (e != ERR_NOT_FOUND)
		return e;
	copy_lower(type.charset, type.charset, strlen(type.charset));
	*out = type;
	return OK;
}

/* --- header blocks --- */

bool mime_line_next(struct mime_span *rest, struct mime_span *line)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->s, '\n', rest->n);
	*line = (struct mime_span){ rest->s, end != NULL ? (size_t)(end - rest->s) : rest->n };
	rest->s += line->n + (end != NULL);
	rest->n -= line->n + (end != NULL);
	if (line->n > 0 && line->s[line->n - 1] == '\r')
		line->n--;
	return true;
}

struct mime_span mime_trim(struct mime_span s)
{
	for (; s.n > 0 && (s.s[0] == ' ' || s.s[0] == '\t'); s.n--)
		s.s++;
	while (s.n > 0 && (s.s[s.n - 1] == ' ' || s.s[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool has_controls(struct mime_span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.s[i] < ' ' && s.s[i] != '\t') || s.s[i] == 0x7F)
			return true;
	return false;
}

/* Up to the colon; 0: this is no field. */
static size_t name_length(struct mime_span line)
{
	size_t n = 0;

	while (n < line.n && line.s[n] > ' ' && line.s[n] < 0x7F && line.s[n] != ':')
		n++;
	return n < line.n && line.s[n] == ':' ? n : 0;
}

enum err mime_field_next(struct mime_span *rest, struct mime_field *out)
{
	struct strbuf value = { .s = NULL };
	struct mime_span line, part;
	size_t name;

	if (!mime_line_next(rest, &line) || line.n == 0)
		return ERR_NOT_FOUND;
	name = name_length(line);
	if (name == 0 || has_controls(line))
		return ERR_SYNTAX;
	part = mime_trim((struct mime_span){ line.s + name + 1, line.n - name - 1 });
	strbuf_add(&value, part.s, part.n);
	while (rest->n > 0 && (rest->s[0] == ' ' || rest->s[0] == '\t') && mime_line_next(rest, &part)) {
		if (has_controls(part)) {
			strbuf_free(&value);
			return ERR_SYNTAX;
		}
		part = mime_trim(part);
		strbuf_putc(&value, ' ');
		strbuf_add(&value, part.s, part.n);
	}
	out->name = xstrndup(line.s, name);
	out->value = strbuf_take(&value);
	return OK;
}

void mime_field_free(struct mime_field *f)
{
	free(f->name);
	free(f->value);
}

static enum mime_encoding encoding_of(const char *name)
{
	if (strcasecmp(name, "7bit") == 0 || strcasecmp(name, "8bit") == 0 || strcasecmp(name, "binary") == 0)
		return MIME_IDENTITY;
	if (strcasecmp(name, "base64") == 0)
		return MIME_BASE64;
	return strcasecmp(name, "quoted-printable") == 0 ? MIME_QUOTED_PRINTABLE : MIME_UNKNOWN;
}

enum err mime_entity_parse(struct mime_span bytes, struct mime_entity *out)
{
	struct mime_entity entity = { .type = NULL };
	struct mime_field f;
	enum err e;

	while ((e = mime_field_next(&bytes, &f)) == OK) {
		if (strcasecmp(f.name, "Content-Transfer-Encoding") == 0)
			entity.encoding = encoding_of(f.value);
		if (strcasecmp(f.name, "Content-Type") == 0 && entity.type == NULL) {
			entity.type = f.value;
			f.value = NULL;
		} else if (strcasecmp(f.name, "Content-Type") == 0) {
			e = ERR_SYNTAX;
		}
		mime_field_free(&f);
		if (e != OK)
			break;
	}
	if (e != ERR_NOT_FOUND) {
		mime_entity_free(&entity);
		return e;
	}
	entity.body = bytes;
	*out = entity;
	return OK;
}

void mime_entity_free(struct mime_entity *e)
{
	free(e->type);
	e->type = NULL;
}

/* --- multiparts --- */

/* "--" boundary, and "--" again for the last one; blanks may follow (RFC 2046 section 5.1.1). */
static bool is_delimiter(struct mime_span line, const char *boundary, bool *last)
{
	size_t n = strlen(boundary);

	if (line.n < n + 2 || memcmp(line.s, "--", 2) != 0 || memcmp(line.s + 2, boundary, n) != 0)
		return false;
	line = (struct mime_span){ line.s + 2 + n, line.n - 2 - n };
	*last = line.n >= 2 && memcmp(line.s, "--", 2) == 0;
	if (*last)
		line = (struct mime_span){ line.s + 2, line.n - 2 };
	return mime_trim(line).n == 0;
}

/* Everything before the next delimiter; rest begins with its line then. False: there is none. */
static bool find_delimiter(struct mime_span *rest, const char *boundary, struct mime_span *before)
{
	struct mime_span at = *rest, next = *rest, line;
	bool last;

	for (; mime_line_next(&next, &line); at = next)
		if (is_delimiter(line, boundary, &last)) {
			*before = (struct mime_span){ rest->s, (size_t)(at.s - rest->s) };
			*rest = at;
			return true;
		}
	return false;
}

enum err mime_parts_start(struct mime_span body, const char *boundary, struct mime_parts *out)
{
	struct mime_span preamble;

	if (!find_delimiter(&body, boundary, &preamble))
		return ERR_SYNTAX;
	*out = (struct mime_parts){ .rest = body, .boundary = boundary };
	return OK;
}

enum err mime_part_next(struct mime_parts *p, struct mime_span *out)
{
	struct mime_span rest = p->rest, line, part;
	bool last = true;

	if (!mime_line_next(&rest, &line) || !is_delimiter(line, p->boundary, &last) || last)
		return ERR_NOT_FOUND;
	if (!find_delimiter(&rest, p->boundary, &part))
		return ERR_SYNTAX;
	/* The line end before a delimiter is the delimiter's. */
	if (part.n > 0)
		part.n--;
	if (part.n > 0 && part.s[part.n - 1] == '\r')
		part.n--;
	p->rest = rest;
	*out = part;
	return OK;
}
