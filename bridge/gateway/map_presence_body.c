/*
 * map_presence_body.c - the body of a SIP request to presence: which of the forms
 * it is, by its Content-Type.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <string.h>
#include <strings.h>

/* Whether the media type is this one, whatever its parameters (RFC 2045 section 5.1). */
static bool type_is(const char *type, const char *name)
{
	size_t n;

	type += strspn(type, " \t");
	n = strcspn(type, "; \t");
	return n == strlen(name) && strncasecmp(type, name, n) == 0;
}

static enum err read_tree(const struct presence_body *body, const struct xmltree *tree,
			  struct presence_list *out)
{
	const struct xmlnode *root = xmltree_root(tree);

	if (type_is(body->type, PIDF_TYPE))
		return pidf_read(root, body->language, out);
	if (type_is(body->type, MSRTC_TYPE))
		return msrtc_read(root, out);
	return categories_read(root, body->known, out);
}

enum err presence_read(const struct presence_body *body, struct presence_list *out)
{
	struct presence_list list = { NULL, 0 };
	struct xmltree *tree = NULL;
	enum err e;

	if (body->type == NULL || (!type_is(body->type, PIDF_TYPE) && !type_is(body->type, MSRTC_TYPE) &&
				   !type_is(body->type, CATEGORIES_TYPE)))
		return ERR_NOT_FOUND;
	e = xmltree_parse(body->bytes, body->size, NULL, &tree);
	if (e == OK)
		e = read_tree(body, tree, &list);
	if (e == OK)
		*out = list;
	else
		presence_list_clear(&list);
	xmltree_free(tree);
	return e;
}
