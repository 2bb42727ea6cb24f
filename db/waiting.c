/*
 * waiting.c - a line for each pair, in order of position; a sum for each user and
 * hop; and a log of the turn's changes.
 *
 * Lines and users that have become empty stay until the turn is settled, since the
 * log points to them.
 *
 * Owns all of it. Nothing fails.
 */
#include "db/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/hash.h"

struct waiting_user {
	UT_hash_handle hh;
	struct spool_occupancy sum;
	bool met; /* see forget_repeated() */
	char name[];
};

/* items[head] to items[end - 1], by position and then by id. */
struct line {
	UT_hash_handle hh;
	struct waiting_item *items;
	size_t head, end, room;
	int64_t ready; /* those that are not aside */
	bool met;
	char pair[];
};

struct change {
	struct line *line;
	struct waiting_item item;
	bool added;
};

struct waiting {
	struct spool_occupancy all, hops[SPOOL_HOPS];
	struct waiting_user *users;
	struct line *lines;
	struct change *log;
	size_t logged, log_room;
	bool loading; /* what is put is no change */
	bool broken;  /* the log is not the whole turn's */
};

/* --- users and sums --- */

static void add(struct spool_occupancy *sum, int64_t messages, int64_t bytes)
{
	sum->messages += messages;
	sum->bytes += bytes;
}

static void account(struct waiting *w, const struct waiting_item *item, int64_t messages)
{
	const int64_t bytes = messages * (int64_t)item->size;

	add(&w->all, messages, bytes);
	add(&w->hops[item->hop], messages, bytes);
	add(&item->user->sum, messages, bytes);
}

static struct waiting_user *find_user(const struct waiting *w, const char *name)
{
	struct waiting_user *u;

	HASH_FIND_STR(w->users, name, u);
	return u;
}

static struct waiting_user *user_of(struct waiting *w, const char *name)
{
	struct waiting_user *u = find_user(w, name);

	if (u != NULL)
		return u;
	u = xcalloc(1, sizeof(*u) + strlen(name) + 1);
	strcpy(u->name, name);
	HASH_ADD_STR(w->users, name, u);
	return u;
}

static void drop_user(struct waiting *w, struct waiting_user *u)
{
	HASH_DEL(w->users, u);
	free(u);
}

/* --- lines --- */

static struct line *find_line(const struct waiting *w, const char *pair)
{
	struct line *l;

	HASH_FIND_STR(w->lines, pair, l);
	return l;
}

static struct line *line_of(struct waiting *w, const char *pair)
{
	struct line *l = find_line(w, pair);

	if (l != NULL)
		return l;
	l = xcalloc(1, sizeof(*l) + strlen(pair) + 1);
	strcpy(l->pair, pair);
	HASH_ADD_STR(w->lines, pair, l);
	return l;
}

static void drop_line(struct waiting *w, struct line *l)
{
	HASH_DEL(w->lines, l);
	free(l->items);
	free(l);
}

static bool is_before(const struct waiting_item *item, int64_t position, int64_t id)
{
	return item->position != position ? item->position < position : item->id < id;
}

/* Where it is, or would be. */
static size_t place_of(const struct line *l, int64_t position, int64_t id)
{
	size_t low = l->head, high = l->end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (is_before(&l->items[middle], position, id))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void make_room(struct line *l)
{
	if (l->end < l->room)
		return;
	if (l->head > l->room / 2) {
		memmove(l->items, l->items + l->head, (l->end - l->head) * sizeof(*l->items));
		l->end -= l->head;
		l->head = 0;
		return;
	}
	l->room = l->room > 0 ? l->room * 2 : 4;
	l->items = xrealloc(l->items, l->room * sizeof(*l->items));
}

static void line_add(struct waiting *w, struct line *l, const struct waiting_item *item)
{
	size_t place;

	make_room(l);
	place = place_of(l, item->position, item->id);
	memmove(l->items + place + 1, l->items + place, (l->end - place) * sizeof(*l->items));
	l->items[place] = *item;
	l->end++;
	l->ready += !item->aside;
	account(w, item, 1);
}

static bool line_take(struct waiting *w, struct line *l, int64_t position, int64_t id,
		      struct waiting_item *out)
{
	size_t place = place_of(l, position, id);

	if (place == l->end || l->items[place].position != position || l->items[place].id != id)
		return false;
	*out = l->items[place];
	if (place == l->head) {
		l->head++;
	} else {
		memmove(l->items + place, l->items + place + 1, (l->end - place - 1) * sizeof(*l->items));
		l->end--;
	}
	l->ready -= !out->aside;
	account(w, out, -1);
	return true;
}

/* --- changes --- */

static void log_change(struct waiting *w, struct line *l, const struct waiting_item *item, bool added)
{
	if (w->loading)
		return;
	if (w->logged == w->log_room) {
		w->log_room = w->log_room > 0 ? w->log_room * 2 : 64;
		w->log = xrealloc(w->log, w->log_room * sizeof(*w->log));
	}
	w->log[w->logged++] = (struct change){ l, *item, added };
}

void waiting_put_back(struct waiting *w, const char *pair, struct waiting_item item)
{
	struct line *l = line_of(w, pair);

	line_add(w, l, &item);
	log_change(w, l, &item, true);
}

void waiting_put(struct waiting *w, const char *pair, const char *user, struct waiting_item item)
{
	item.user = user_of(w, user);
	waiting_put_back(w, pair, item);
}

bool waiting_take(struct waiting *w, const char *pair, int64_t position, int64_t id, struct waiting_item *out)
{
	struct line *l = find_line(w, pair);

	if (l == NULL || !line_take(w, l, position, id, out))
		return false;
	log_change(w, l, out, false);
	return true;
}

static void undo(struct waiting *w)
{
	struct waiting_item item;

	for (size_t i = w->logged; i-- > 0;) {
		const struct change *c = &w->log[i];

		if (!c->added)
			line_add(w, c->line, &c->item);
		else if (!line_take(w, c->line, c->item.position, c->item.id, &item))
			abort(); /* it was added there */
	}
}

/* Each line and user of the log once: the same again is forgotten. */
static void forget_repeated(struct waiting *w)
{
	for (size_t i = 0; i < w->logged; i++)
		w->log[i].line->met = w->log[i].item.user->met = false;
	for (size_t i = 0; i < w->logged; i++) {
		struct change *c = &w->log[i];
		bool line_met = c->line->met, user_met = c->item.user->met;

		c->line->met = c->item.user->met = true;
		c->line = line_met ? NULL : c->line;
		c->item.user = user_met ? NULL : c->item.user;
	}
}

static void drop_empty(struct waiting *w)
{
	forget_repeated(w);
	for (size_t i = 0; i < w->logged; i++) {
		struct line *l = w->log[i].line;
		struct waiting_user *u = w->log[i].item.user;

		if (l != NULL && l->head == l->end)
			drop_line(w, l);
		if (u != NULL && u->sum.messages == 0)
			drop_user(w, u);
	}
}

bool waiting_settle(struct waiting *w, bool done)
{
	bool settled = done || !w->broken;

	if (!done && settled)
		undo(w);
	drop_empty(w);
	w->logged = 0;
	w->broken = false;
	return settled;
}

/* --- looking --- */

const struct waiting_item *waiting_first(const struct waiting *w, const char *pair)
{
	const struct line *l = find_line(w, pair);

	for (size_t i = l != NULL ? l->head : 0; l != NULL && i < l->end; i++)
		if (!l->items[i].aside)
			return &l->items[i];
	return NULL;
}

int64_t waiting_count(const struct waiting *w, const char *pair)
{
	const struct line *l = find_line(w, pair);

	return l != NULL ? l->ready : 0;
}

void waiting_each_pair(const struct waiting *w, spool_pair_fn *fn, void *ctx)
{
	struct line *l, *next;

	HASH_ITER (hh, w->lines, l, next)
		if (l->ready > 0)
			fn(ctx, l->pair, waiting_first(w, l->pair)->hop, l->ready);
}

static bool is_from(const struct line *l, const char *address, size_t size)
{
	return strncmp(l->pair, address, size) == 0 && l->pair[size] == ' ';
}

size_t waiting_ids_of(const struct waiting *w, const char *address, int64_t **ids)
{
	const size_t size = strlen(address);
	size_t count = 0;
	struct line *l, *next;

	*ids = xmalloc(sizeof(**ids) * (size_t)(w->all.messages + 1));
	HASH_ITER (hh, w->lines, l, next)
		for (size_t i = l->head; i < l->end; i++)
			if (is_from(l, address, size) || strcmp(l->items[i].user->name, address) == 0)
				(*ids)[count++] = l->items[i].id;
	return count;
}

struct spool_occupancy waiting_of_all(const struct waiting *w)
{
	return w->all;
}

struct spool_occupancy waiting_of_hop(const struct waiting *w, enum spool_hop hop)
{
	return w->hops[hop];
}

struct spool_occupancy waiting_of_user(const struct waiting *w, const char *user)
{
	const struct waiting_user *u = find_user(w, user);

	return u != NULL ? u->sum : (struct spool_occupancy){ 0, 0 };
}

/* --- the object --- */

struct waiting *waiting_create(void)
{
	return xcalloc(1, sizeof(struct waiting));
}

static void clear(struct waiting *w)
{
	struct waiting_user *u, *next_user;
	struct line *l, *next_line;

	HASH_ITER (hh, w->lines, l, next_line)
		drop_line(w, l);
	HASH_ITER (hh, w->users, u, next_user)
		drop_user(w, u);
	w->all = (struct spool_occupancy){ 0, 0 };
	memset(w->hops, 0, sizeof(w->hops));
	w->logged = 0;
}

void waiting_load(struct waiting *w)
{
	clear(w);
	w->loading = true;
}

void waiting_loaded(struct waiting *w, bool in_turn)
{
	w->loading = false;
	w->broken = in_turn;
}

void waiting_destroy(struct waiting *w)
{
	if (w == NULL)
		return;
	clear(w);
	free(w->log);
	free(w);
}
