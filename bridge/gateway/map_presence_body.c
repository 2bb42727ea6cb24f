/*
 * map_presence_body.c - the body of a SIP request to presence: which of the forms
 * it is, by its Content-Type, and where it is when it is wrapped.
 *
 * Wrapped bodies come from resource lists (RFC 4662), which we never ask for:
 * multipart/related with a list of resources (RLMI) first. A list of one resource
 * is as good as its document; of several, the first is taken.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map_mime.h"

/* How deep multiparts may be nested, and how many parts are looked at in each. */
enum { MULTIPART_DEPTH = 3, MULTIPART_PARTS = 16 };

enum form { FORM_PIDF, FORM_MSRTC, FORM_CATEGORIES, FORM_MULTIPART, FORMS };

static enum form form_of(const struct mime_type *type)
{
	static const char *const names[FORMS] = {
		[FORM_PIDF] = PIDF_TYPE,
		[FORM_MSRTC] = MSRTC_TYPE,
		[FORM_CATEGORIES] = CATEGORIES_TYPE,
		[FORM_MULTIPART] = "multipart/",
	};

	if (strncmp(type->name, names[FORM_MULTIPART], strlen(names[FORM_MULTIPART])) == 0)
		return FORM_MULTIPART;
	if (type->charset[0] != '\0' && strcmp(type->charset, "utf-8") != 0 &&
	    strcmp(type->charset, "us-ascii") != 0)
		return FORMS;
	for (size_t i = 0; i < FORM_MULTIPART; i++)
		if (strcmp(type->name, names[i]) == 0)
			return (enum form)i;
	return FORMS;
}

static enum err read_document(const struct presence_body *body, enum form form, struct presence_list *out)
{
	struct presence_list list = { NULL, 0 };
	struct xmltree *tree = NULL;
	enum err e = xmltree_parse(body->bytes, body->size, NULL, &tree);

	if (e == OK && form == FORM_PIDF)
		e = pidf_read(xmltree_root(tree), body->language, &list);
	else if (e == OK && form == FORM_MSRTC)
		e = msrtc_read(xmltree_root(tree), &list);
	else if (e == OK)
		e = categories_read(xmltree_root(tree), body->known, &list);
	if (e == OK)
		*out = list;
	else
		presence_list_clear(&list);
	xmltree_free(tree);
	return e;
}

static enum err read_body(const struct presence_body *body, unsigned depth, struct presence_list *out);

static enum err read_part(const struct presence_body *whole, struct mime_span part, unsigned depth,
			  struct presence_list *out)
{
	struct presence_body body = *whole;
	struct mime_entity entity = { .type = NULL };
	struct strbuf decoded = { 0 };
	enum err e = mime_entity_parse(part, &entity);

	if (e == OK)
		e = mime_decode(entity.encoding, entity.body, &decoded);
	if (e == OK) {
		body.type = entity.type;
		body.bytes = decoded.s != NULL ? decoded.s : "";
		body.size = decoded.len;
		e = read_body(&body, depth + 1, out);
	}
	strbuf_free(&decoded);
	mime_entity_free(&entity);
	return e;
}

/* The first part that can be read; else why the last one of ours could not. */
static enum err read_parts(const struct presence_body *body, const struct mime_type *type, unsigned depth,
			   struct presence_list *out)
{
	struct mime_parts parts;
	struct mime_span part;
	enum err result = ERR_NOT_FOUND;
	enum err e = ERR_SYNTAX;

	if (type->boundary[0] != '\0')
		e = mime_parts_start((struct mime_span){ body->bytes, body->size }, type->boundary, &parts);
	for (unsigned i = 0; e == OK && i < MULTIPART_PARTS; i++) {
		e = mime_part_next(&parts, &part);
		if (e != OK)
			break;
		e = read_part(body, part, depth, out);
		if (e == OK)
			return OK;
		if (e != ERR_NOT_FOUND)
			result = e;
		e = OK;
	}
	return e != OK && e != ERR_NOT_FOUND ? e : result;
}

static enum err read_body(const struct presence_body *body, unsigned depth, struct presence_list *out)
{
	struct mime_type type;
	enum form form;
	enum err e;

	if (body->type == NULL || depth > MULTIPART_DEPTH)
		return ERR_NOT_FOUND;
	e = mime_type_parse(body->type, &type);
	if (e != OK)
		return e;
	form = form_of(&type);
	if (form == FORMS)
		return ERR_NOT_FOUND;
	return form == FORM_MULTIPART ? read_parts(body, &type, depth, out) : read_document(body, form, out);
}

enum err presence_read(const struct presence_body *body, struct presence_list *out)
{
	return body->size <= XMLTREE_BYTES ? read_body(body, 0, out) : ERR_LIMIT;
}
