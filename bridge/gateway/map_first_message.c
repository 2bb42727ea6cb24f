/*
 * map_first_message.c - the first message of a session, in a header field of
 * the INVITE: ms-text-format, with the text in base64 (Microsoft).
 *
 * A value that is not exactly what it should be is refused: the same text comes
 * again as a MESSAGE when our answer does not say that we have read it. Pure;
 * the caller owns what is made. Nothing but memory is fatal.
 */
#include "bridge/gateway/map_content.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map_mime.h"

#define MS_BODY "ms-body"

/* The first text/plain, else the first of all. */
static const char *choose(const char *const *values, size_t count)
{
	char name[MIME_NAME_SIZE];
	const char *parameters;

	for (size_t i = 0; i < count; i++)
		if (mime_name_parse(values[i], name, &parameters) == OK && strcmp(name, "text/plain") == 0)
			return values[i];
	return values[0];
}

/* The one ms-body; the others are left to who reads the type. */
static enum err find_body(const char *parameters, struct mime_parameter *out)
{
	struct mime_parameter p;
	bool found = false;
	enum err e;

	while ((e = mime_parameter_next(&parameters, &p)) == OK) {
		if (!mime_parameter_is(&p, MS_BODY))
			continue;
		if (found)
			return ERR_SYNTAX;
		*out = p;
		found = true;
	}
	return e == ERR_NOT_FOUND && found ? OK : ERR_SYNTAX;
}

enum err map_first_message_read(const char *const *values, size_t count, struct map_first_message *out)
{
	struct strbuf body = { .s = NULL };
	const char *value, *parameters;
	char name[MIME_NAME_SIZE];
	struct mime_parameter p = { .whole = { NULL, 0 } };

	if (count == 0)
		return ERR_NOT_FOUND;
	value = choose(values, count);
	if (mime_name_parse(value, name, &parameters) != OK || find_body(parameters, &p) != OK ||
	    mime_base64_decode(p.value, &body) != OK)
		return ERR_SYNTAX;
	out->type = xasprintf("%.*s%s", (int)(p.whole.s - value), value, p.whole.s + p.whole.n);
	out->size = body.len;
	out->body = strbuf_take(&body);
	return OK;
}

void map_first_message_free(struct map_first_message *m)
{
	free(m->type);
	free(m->body);
	*m = (struct map_first_message){ .type = NULL };
}

bool map_first_message_write(const char *text, struct strbuf *out)
{
	size_t n = strlen(text);

	if (n == 0 || n > MAP_FIRST_MESSAGE_MAX)
		return false;
	strbuf_puts(out, "text/plain; charset=UTF-8; " MS_BODY "=");
	mime_base64_encode((struct mime_span){ text, n }, out);
	return true;
}
