/*
 * user_wave.c - marks many users at once, in order of address and a batch with
 * each statement: neighbours share the pages of the file, so that most of the
 * work for each of them falls away. Who is not listed is only found out here; to
 * list him is the caller's.
 *
 * Owns the addresses. Errors of the registry go to the caller.
 */
#include "bridge/ctl/user_wave.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000 };

void user_wave_add(struct user_wave *w, const char *address, unsigned line)
{
	if (w->count == w->room) {
		w->room = w->room > 0 ? w->room * 2 : 16;
		w->entries = xrealloc(w->entries, w->room * sizeof(*w->entries));
	}
	w->entries[w->count++] = (struct wave_entry){ .address = xstrdup(address), .line = line };
}

void user_wave_free(struct user_wave *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->entries[i].address);
	free(w->entries);
}

static int by_address(const void *a, const void *b)
{
	const struct wave_entry *const *x = a, *const *y = b;

	return strcmp((*x)->address, (*y)->address);
}

static struct wave_entry **sorted(struct user_wave *w)
{
	struct wave_entry **all = xcalloc(w->count + 1, sizeof(*all));

	for (size_t i = 0; i < w->count; i++)
		all[i] = &w->entries[i];
	qsort(all, w->count, sizeof(*all), by_address);
	return all;
}

/* Entries in order of address, of which the first ones have been told of. */
struct batch {
	struct wave_entry **at, **end;
};

/* Told of in order of address; one that was given twice is unlisted twice. */
static void note_unlisted(void *ctx, const char *address)
{
	struct batch *b = ctx;
	int order;

	for (; b->at < b->end && (order = strcmp((*b->at)->address, address)) <= 0; b->at++)
		(*b->at)->unlisted = order == 0;
}

static char *list_of(const struct batch *b)
{
	json_t *list = json_array();
	char *text;

	for (struct wave_entry **at = b->at; at < b->end; at++)
		if (json_array_append_new(list, json_string((*at)->address)) != 0)
			abort(); /* addresses are UTF-8: name_address() has seen to it */
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

static enum err mark_batch(struct db *db, struct batch b, enum mark mark, int64_t *changed)
{
	char *list = list_of(&b);
	int64_t count = 0;
	enum err e = registry_mark_listed(db, list, mark, &count);

	if (e == OK && count < b.end - b.at)
		e = registry_each_unlisted(db, list, note_unlisted, &b);
	*changed += count;
	free(list);
	return e;
}

enum err user_wave_mark(struct user_wave *w, struct db *db, enum mark mark, int64_t *changed)
{
	struct wave_entry **all = sorted(w);
	enum err e = OK;

	*changed = 0;
	for (size_t done = 0; e == OK && done < w->count; done += BATCH) {
		struct wave_entry **at = all + done;

		e = mark_batch(db,
			       (struct batch){ at, w->count - done > BATCH ? at + BATCH : all + w->count },
			       mark, changed);
	}
	free(all);
	return e;
}
