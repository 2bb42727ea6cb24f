/*
 * map_typing.c - who is typing, in the three forms that it has: isComposing
 * (RFC 3994), Microsoft's KeyboardActivity, and chat states (XEP-0085); and
 * what else an XMPP message says beside its text.
 *
 * When and to whom anything of this is told is not known here. Pure: the
 * caller frees the bodies that are written; what is read from a stanza belongs
 * to its tree. Nothing but memory is fatal.
 */
#include "bridge/gateway/map_typing.h"

#include <string.h>

#include "bridge/xmpp/xmltree.h"

#define NS_ISCOMPOSING "urn:ietf:params:xml:ns:im-iscomposing"

#define BLANK " \t\r\n"

static const char *const names[] = {
	[CHAT_STATE_NONE] = NULL,
	[CHAT_STATE_ACTIVE] = "active",
	[CHAT_STATE_COMPOSING] = "composing",
	[CHAT_STATE_PAUSED] = "paused",
	[CHAT_STATE_INACTIVE] = "inactive",
	[CHAT_STATE_GONE] = "gone",
};

const char *chat_state_name(enum chat_state state)
{
	return names[state];
}

bool map_chatstate_to_typing(enum chat_state state, enum typing *out)
{
	if (state == CHAT_STATE_NONE || state == CHAT_STATE_GONE)
		return false;
	*out = state == CHAT_STATE_COMPOSING ? TYPING_ACTIVE : TYPING_IDLE;
	return true;
}

enum chat_state map_typing_to_chatstate(enum typing typing)
{
	return typing == TYPING_ACTIVE ? CHAT_STATE_COMPOSING : CHAT_STATE_ACTIVE;
}

char *map_iscomposing_write(enum typing typing, unsigned refresh)
{
	struct strbuf b = { .s = NULL };

	strbuf_printf(&b,
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing xmlns=\"" NS_ISCOMPOSING
		      "\"><state>%s</state><contenttype>text/plain</contenttype>",
		      typing == TYPING_ACTIVE ? "active" : "idle");
	if (typing == TYPING_ACTIVE && refresh > 0)
		strbuf_printf(&b, "<refresh>%u</refresh>", refresh);
	strbuf_puts(&b, "</isComposing>");
	return strbuf_take(&b);
}

char *map_keyboard_write(enum typing typing)
{
	return xasprintf(
		"<?xml version=\"1.0\"?><KeyboardActivity><status status=\"%s\" /></KeyboardActivity>",
		typing == TYPING_ACTIVE ? "type" : "idle");
}

/* Whether it is that word, with white space around it or not. */
static bool is_word(const char *text, const char *word)
{
	text += strspn(text, BLANK);
	return strncmp(text, word, strlen(word)) == 0 &&
	       text[strlen(word) + strspn(text + strlen(word), BLANK)] == '\0';
}

/* An xs:positiveInteger, of any length; what is none says nothing. */
static unsigned read_refresh(const struct xmlnode *node)
{
	const char *text = node != NULL ? node->text : "";
	unsigned n = 0;

	text += strspn(text, BLANK);
	text += *text == '+';
	for (; *text >= '0' && *text <= '9'; text++)
		if (n <= MAP_REFRESH_MAX)
			n = 10 * n + (unsigned)(*text - '0');
	if (text[strspn(text, BLANK)] != '\0' || n == 0)
		return MAP_REFRESH_DEFAULT;
	return n < MAP_REFRESH_MAX ? n : MAP_REFRESH_MAX;
}

enum err map_iscomposing_read(const char *body, size_t size, struct map_typing *out)
{
	const struct xmlnode *root, *state;
	struct xmltree *tree;
	enum err e = xmltree_parse(body, size, NULL, &tree);

	if (e != OK)
		return e;
	root = xmltree_root(tree);
	if (!xmlnode_is(root, NS_ISCOMPOSING, "isComposing")) {
		e = ERR_NOT_FOUND;
		goto done;
	}
	state = xmlnode_child(root, NS_ISCOMPOSING, "state");
	if (state == NULL) {
		e = ERR_SYNTAX;
		goto done;
	}
	/* RFC 3994 section 3.5: states other than these two are idle. */
	out->state = is_word(state->text, "active") ? TYPING_ACTIVE : TYPING_IDLE;
	out->refresh = read_refresh(xmlnode_child(root, NS_ISCOMPOSING, "refresh"));
done:
	xmltree_free(tree);
	return e;
}

/* COMPAT: it has no namespace and no schema; what is not "type" ends it. */
enum err map_keyboard_read(const char *body, size_t size, struct map_typing *out)
{
	const struct xmlnode *root, *status;
	const char *value;
	struct xmltree *tree;
	enum err e = xmltree_parse(body, size, NULL, &tree);

	if (e != OK)
		return e;
	root = xmltree_root(tree);
	status = xmlnode_child(root, root->ns, "status");
	value = status != NULL ? xmlnode_attribute(status, "", "status") : NULL;
	if (strcmp(root->name, "KeyboardActivity") != 0 || value == NULL) {
		e = ERR_NOT_FOUND;
		goto done;
	}
	*out = (struct map_typing){ .state = strcmp(value, "type") == 0 ? TYPING_ACTIVE : TYPING_IDLE,
				    .refresh = MAP_REFRESH_DEFAULT };
done:
	xmltree_free(tree);
	return e;
}

/* An element is there, whether it has text or not. */
static bool has(struct stanza_tree *tree, const char *name, const char *ns)
{
	return stanza_tree_text(tree, name, ns) != NULL;
}

void map_signals_read(struct stanza_tree *tree, struct map_signals *out)
{
	const char *nick = stanza_tree_text(tree, "nick", NS_NICK);

	*out = (struct map_signals){
		.receipt_request = has(tree, "request", NS_RECEIPTS),
		.received_id = stanza_tree_attribute(tree, "received", NS_RECEIPTS, "id"),
		.nick = nick != NULL && nick[0] != '\0' ? nick : NULL,
	};
	/* One message has one (XEP-0085 section 5.5); of several the first of these counts. */
	for (size_t i = CHAT_STATE_ACTIVE; i < ARRAY_SIZE(names) && out->chat_state == CHAT_STATE_NONE; i++)
		if (has(tree, names[i], NS_CHAT_STATES))
			out->chat_state = (enum chat_state)i;
}
