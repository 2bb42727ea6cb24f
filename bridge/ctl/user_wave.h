/*
 * user_wave.h - many users who get the same mark: collected first, then marked.
 */
#ifndef POOLBRIDGE_CTL_USER_WAVE_H
#define POOLBRIDGE_CTL_USER_WAVE_H

#include "bridge/ctl/ctl.h"

struct wave_entry {
	char *address;
	unsigned line; /* 0: from the command line */
	bool unlisted;
};

/* All zero is an empty one. */
struct user_wave {
	struct wave_entry *entries; /* in the order of adding */
	size_t count, room;
};

void user_wave_add(struct user_wave *w, const char *address, unsigned line);
void user_wave_free(struct user_wave *w);

/*
 * Marks those that are listed, *changed of them, and notes of the others that they are not. ERR_IO, ERR_BUSY: some
 * may be marked, and the transaction is to be rolled back.
 */
MUST_CHECK enum err user_wave_mark(struct user_wave *w, struct db *db, enum mark mark, int64_t *changed);

#endif
