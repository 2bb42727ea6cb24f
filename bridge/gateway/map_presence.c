/*
 * map_presence.c - presence as a value: one resource's, and the list of a
 * user's resources.
 *
 * What another's text may be in such a value is decided here, for all forms: a
 * status is bounded, since a list is kept for every subscription, and a resource
 * is one that jid_parse() takes, so that an address can always be made of it.
 *
 * Values own their strings. Pure; nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map.h"
#include "bridge/xmpp/jid.h"

#define BLANKS " \t\r\n"

static const char *const show_names[] = {
	[SHOW_NONE] = NULL, [SHOW_CHAT] = "chat", [SHOW_AWAY] = "away", [SHOW_XA] = "xa", [SHOW_DND] = "dnd",
};

const char *presence_show_name(enum presence_show show)
{
	return show_names[show];
}

/* --- words --- */

/* Where the text begins, and its length, without the white space at its ends. */
static size_t trim(const char **text)
{
	size_t n;

	*text += strspn(*text, BLANKS);
	n = strlen(*text);
	while (n > 0 && strchr(BLANKS, (*text)[n - 1]) != NULL)
		n--;
	return n;
}

bool word_is(const char *text, const char *word)
{
	size_t n = trim(&text);

	return n == strlen(word) && memcmp(text, word, n) == 0;
}

bool word_number(const char *text, unsigned max, unsigned *out)
{
	unsigned value = 0;
	size_t n = text != NULL ? trim(&text) : 0;

	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)(text[i] - '0');

		if (text[i] < '0' || text[i] > '9' || digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (n > 0)
		*out = value;
	return n > 0;
}

void word_show(const char *text, enum presence_show *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(show_names); i++)
		if (show_names[i] != NULL && word_is(text, show_names[i]))
			*out = (enum presence_show)i;
}

/* --- one resource's --- */

/* A copy of n bytes; of more than there is room for, as many whole characters as fit, and an ellipsis. */
static char *cut(const char *text, size_t n)
{
	static const char ellipsis[] = "\xE2\x80\xA6";
	struct strbuf b = { 0 };
	size_t room = PRESENCE_STATUS_MAX - (sizeof(ellipsis) - 1);

	if (n <= PRESENCE_STATUS_MAX)
		return xstrndup(text, n);
	while (((unsigned char)text[room] & 0xC0) == 0x80)
		room--;
	strbuf_add(&b, text, room);
	strbuf_puts(&b, ellipsis);
	return strbuf_take(&b);
}

void presence_set_status(struct presence *p, const char *text, const char *lang)
{
	size_t n = trim(&text);

	free(p->status);
	free(p->lang);
	p->status = n > 0 ? cut(text, n) : NULL;
	p->lang = n > 0 && lang != NULL && map_lang_valid(lang) ? xstrdup(lang) : NULL;
}

bool presence_set_resource(struct presence *p, const char *text)
{
	char *address = xasprintf("a.invalid/%s", text);
	struct jid jid;
	bool ok = jid_parse(address, &jid) == OK;

	free(address);
	if (!ok)
		return false;
	free(p->resource);
	p->resource = xstrdup(jid.resource);
	return true;
}

void presence_clear(struct presence *p)
{
	free(p->status);
	free(p->lang);
	free(p->resource);
	*p = (struct presence){ .available = false };
}

static char *copy(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

void presence_copy(const struct presence *p, struct presence *out)
{
	*out = *p;
	out->status = copy(p->status);
	out->lang = copy(p->lang);
	out->resource = copy(p->resource);
}

/* As strcmp(), NULL before all strings. */
static int compare(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

bool presence_equal(const struct presence *a, const struct presence *b)
{
	return a->available == b->available && a->show == b->show && a->priority == b->priority &&
	       compare(a->status, b->status) == 0 && compare(a->lang, b->lang) == 0 &&
	       compare(a->resource, b->resource) == 0;
}

/* How far from available. */
static int distance(const struct presence *p)
{
	static const int distances[] = {
		[SHOW_CHAT] = 0, [SHOW_NONE] = 1, [SHOW_AWAY] = 2, [SHOW_XA] = 3, [SHOW_DND] = 4,
	};

	return p->available ? distances[p->show] : 5;
}

int presence_compare(const struct presence *a, const struct presence *b)
{
	if (distance(a) != distance(b))
		return distance(a) - distance(b);
	if (a->priority != b->priority)
		return b->priority - a->priority;
	return compare(a->resource, b->resource);
}

/* --- lists --- */

void presence_list_clear(struct presence_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		presence_clear(&l->items[i]);
	free(l->items);
	*l = (struct presence_list){ NULL, 0 };
}

void presence_list_copy(const struct presence_list *l, struct presence_list *out)
{
	struct presence *items = l->count > 0 ? xcalloc(l->count, sizeof(*items)) : NULL;

	for (size_t i = 0; i < l->count; i++)
		presence_copy(&l->items[i], &items[i]);
	*out = (struct presence_list){ items, l->count };
}

const struct presence *presence_list_find(const struct presence_list *l, const char *resource)
{
	for (size_t i = 0; i < l->count; i++)
		if (compare(l->items[i].resource, resource) == 0)
			return &l->items[i];
	return NULL;
}

bool presence_list_equal(const struct presence_list *a, const struct presence_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct presence *other = presence_list_find(b, a->items[i].resource);

		if (other == NULL || !presence_equal(&a->items[i], other))
			return false;
	}
	return true;
}

enum err presence_list_put(struct presence_list *l, const struct presence *p)
{
	const struct presence *there = presence_list_find(l, p->resource);
	struct presence made;

	if (there == NULL && l->count == PRESENCE_RESOURCES)
		return ERR_LIMIT;
	/* A copy first: p may be in the list. */
	presence_copy(p, &made);
	if (there != NULL) {
		presence_clear(&l->items[there - l->items]);
		l->items[there - l->items] = made;
		return OK;
	}
	l->items = xrealloc(l->items, (l->count + 1) * sizeof(*l->items));
	l->items[l->count++] = made;
	return OK;
}

void presence_list_remove(struct presence_list *l, const char *resource)
{
	const struct presence *there = presence_list_find(l, resource);
	size_t at = there != NULL ? (size_t)(there - l->items) : l->count;

	if (there == NULL)
		return;
	presence_clear(&l->items[at]);
	l->count--;
	memmove(&l->items[at], &l->items[at + 1], (l->count - at) * sizeof(*l->items));
}
