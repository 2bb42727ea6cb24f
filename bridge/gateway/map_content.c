/*
 * map_content.c - what the body of a SIP request says, by its type.
 *
 * multipart/alternative says what its plain text says, else what is left of its
 * HTML, else what the multipart in it says. message/cpim says what is inside.
 * Other multiparts are refused: their parts belong together, and to show one of
 * them would be to lose the others.
 *
 * The result is made in full or not at all; the caller owns its strings.
 * Nothing but memory is fatal.
 */
#include "bridge/gateway/map_content.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map_content_internal.h"

/* depth: how many bodies this one is inside of. out begins empty. */
typedef enum err reader(const struct mime_type *type, struct mime_span body, unsigned depth,
			struct map_content *out);

static reader read_plain, read_html, read_alternative, read_cpim, read_iscomposing, read_keyboard, read_imdn,
	read_ms_imdn;

static const struct {
	const char *name;
	reader *read;
} kinds[] = {
	{ "text/plain", read_plain },
	{ "text/html", read_html },
	{ "multipart/alternative", read_alternative },
	{ "message/cpim", read_cpim },
	{ MAP_ISCOMPOSING_TYPE, read_iscomposing },
	{ MAP_KEYBOARD_TYPE, read_keyboard },
	{ "message/imdn+xml", read_imdn },
	{ "application/ms-imdn+xml", read_ms_imdn },
};

/* What is well-formed but not for us to read is UNSUPPORTED, which is no error. */
static enum err unsupported(struct map_content *out)
{
	out->kind = MAP_CONTENT_UNSUPPORTED;
	return OK;
}

static enum err read_typed(const char *value, struct mime_span body, unsigned depth, struct map_content *out)
{
	struct mime_type type;
	enum err e;

	if (body.n == 0) {
		out->kind = MAP_CONTENT_EMPTY;
		return OK;
	}
	if (value == NULL || value[0] == '\0' || depth > MAP_CONTENT_DEPTH)
		return unsupported(out);
	e = mime_type_parse(value, &type);
	if (e != OK)
		return e;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, type.name) == 0) {
			e = kinds[i].read(&type, body, depth, out);
			return e == ERR_NOT_FOUND || e == ERR_REFUSED ? unsupported(out) : e;
		}
	return unsupported(out);
}

/* A part, or what is inside message/cpim. Without a type it is plain text (RFC 2045 section 5.2). */
static enum err read_entity(const struct mime_entity *entity, unsigned depth, struct map_content *out)
{
	struct strbuf decoded = { .s = NULL };
	struct mime_span body = entity->body;
	enum err e = OK;

	if (entity->encoding != MIME_IDENTITY) {
		e = mime_decode(entity->encoding, body, &decoded);
		body = (struct mime_span){ decoded.s, decoded.len };
	}
	if (e == OK)
		e = read_typed(entity->type != NULL ? entity->type : "text/plain", body, depth, out);
	else if (e == ERR_NOT_FOUND)
		e = unsupported(out);
	strbuf_free(&decoded);
	return e;
}

/* --- text --- */

static enum err read_plain(const struct mime_type *type, struct mime_span body, unsigned depth,
			   struct map_content *out)
{
	struct strbuf text = { .s = NULL };
	enum err e = map_text_decode(type->charset, body, &text);

	(void)depth;
	if (e != OK)
		return e;
	out->kind = text.len > 0 ? MAP_CONTENT_TEXT : MAP_CONTENT_EMPTY;
	if (text.len > 0)
		out->text = strbuf_take(&text);
	strbuf_free(&text);
	return OK;
}

/* What only shows pictures cannot be told. */
static enum err read_html(const struct mime_type *type, struct mime_span body, unsigned depth,
			  struct map_content *out)
{
	struct strbuf html = { .s = NULL }, text = { .s = NULL };
	enum err e = map_text_decode(type->charset, body, &html);

	(void)depth;
	if (e == OK)
		map_html_strip(html.s, html.len, &text);
	if (e == OK && text.len == 0) {
		e = ERR_REFUSED;
	} else if (e == OK) {
		out->kind = MAP_CONTENT_TEXT;
		out->text = strbuf_take(&text);
	}
	strbuf_free(&html);
	strbuf_free(&text);
	return e;
}

/* --- multiparts --- */

/* The name of an entity's type; false: it has none that we could read. */
static bool is_of_type(const struct mime_entity *entity, const char *wanted)
{
	char name[MIME_NAME_SIZE];
	const char *parameters;

	if (entity->type == NULL)
		return strcmp(wanted, "text/plain") == 0;
	return mime_name_parse(entity->type, name, &parameters) == OK && strcmp(name, wanted) == 0;
}

/* The first of the parts of that type that is text; ERR_REFUSED: none is. */
static enum err read_part(struct mime_parts parts, const char *wanted, unsigned depth,
			  struct map_content *out)
{
	struct mime_span bytes;
	unsigned count = 0;
	enum err e;

	while ((e = mime_part_next(&parts, &bytes)) == OK) {
		struct mime_entity entity;

		if (++count > MAP_CONTENT_PARTS)
			return ERR_LIMIT;
		e = mime_entity_parse(bytes, &entity);
		if (e != OK)
			return e;
		if (is_of_type(&entity, wanted))
			e = read_entity(&entity, depth + 1, out);
		mime_entity_free(&entity);
		if (e != OK || out->kind == MAP_CONTENT_TEXT)
			return e;
	}
	return e == ERR_NOT_FOUND ? ERR_REFUSED : e;
}

static enum err read_alternative(const struct mime_type *type, struct mime_span body, unsigned depth,
				 struct map_content *out)
{
	static const char *const ranks[] = { "text/plain", "text/html", "multipart/alternative" };
	struct mime_parts parts;
	enum err e = type->boundary[0] != '\0' ? mime_parts_start(body, type->boundary, &parts) : ERR_SYNTAX;

	if (e != OK)
		return e;
	e = ERR_REFUSED;
	for (size_t i = 0; i < ARRAY_SIZE(ranks) && e == ERR_REFUSED; i++)
		e = read_part(parts, ranks[i], depth, out);
	return e;
}

/* --- message/cpim --- */

/* Not in one another: a second header would speak for the first. */
static enum err read_cpim(const struct mime_type *type, struct mime_span body, unsigned depth,
			  struct map_content *out)
{
	struct mime_entity entity;
	struct map_cpim *cpim;
	enum err e;

	(void)type;
	if (depth > 0)
		return ERR_REFUSED;
	e = map_cpim_read(body, &cpim, &body);
	if (e != OK)
		return e;
	e = mime_entity_parse(body, &entity);
	if (e == OK) {
		e = read_entity(&entity, depth + 1, out);
		mime_entity_free(&entity);
	}
	/* A notification is not answered by another (RFC 5438). */
	if (out->kind == MAP_CONTENT_IMDN)
		cpim->wanted = 0;
	out->cpim = cpim;
	return e;
}

/* --- typing and notifications --- */

static enum err take_typing(enum err e, const struct map_typing *typing, struct map_content *out)
{
	if (e != OK)
		return e;
	out->kind = MAP_CONTENT_TYPING;
	out->composing = typing->state == TYPING_ACTIVE;
	out->refresh = typing->refresh;
	return OK;
}

static enum err read_iscomposing(const struct mime_type *type, struct mime_span body, unsigned depth,
				 struct map_content *out)
{
	struct map_typing typing;

	(void)type;
	(void)depth;
	return take_typing(map_iscomposing_read(body.s, body.n, &typing), &typing, out);
}

static enum err read_keyboard(const struct mime_type *type, struct mime_span body, unsigned depth,
			      struct map_content *out)
{
	struct map_typing typing;

	(void)type;
	(void)depth;
	return take_typing(map_keyboard_read(body.s, body.n, &typing), &typing, out);
}

static enum err read_imdn(const struct mime_type *type, struct mime_span body, unsigned depth,
			  struct map_content *out)
{
	enum err e = map_imdn_read(body, &out->status, &out->message_id);

	(void)type;
	(void)depth;
	if (e == OK)
		out->kind = MAP_CONTENT_IMDN;
	return e;
}

static enum err read_ms_imdn(const struct mime_type *type, struct mime_span body, unsigned depth,
			     struct map_content *out)
{
	enum err e = map_ms_imdn_read(body, &out->status, &out->message_id);

	(void)type;
	(void)depth;
	if (e == OK)
		out->kind = MAP_CONTENT_IMDN;
	return e;
}

/* --- the whole --- */

enum err map_content_read(const char *type, const char *body, size_t size, struct map_content *out)
{
	struct map_content content = { .kind = MAP_CONTENT_UNSUPPORTED };
	enum err e = read_typed(type, (struct mime_span){ body, size }, 0, &content);

	if (e == OK)
		*out = content;
	else
		map_content_free(&content);
	return e;
}

void map_content_free(struct map_content *c)
{
	free(c->text);
	free(c->message_id);
	map_cpim_free(c->cpim);
	*c = (struct map_content){ .text = NULL };
}
