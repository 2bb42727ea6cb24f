/*
 * seen.c - the tables seen and seen_key.
 *
 * A row holds many hashes, as the bytes of the structs: the file stays with the
 * machine that wrote it, and a hash that does not fit any more only fits nothing.
 *
 * Errors go to the caller; a row that cannot be read is ERR_IO.
 */
#include "db/seen.h"

#include <stdlib.h>
#include <string.h>

#include "db/row.h"

enum err seen_get_key(struct state *s, unsigned char key[SEEN_KEY_SIZE])
{
	struct statement *st = statement_open(state_db(s), "SELECT bytes FROM seen_key WHERE id = 1");
	enum err e = ERR_NOT_FOUND;
	size_t size = 0;

	if (statement_step(st)) {
		const void *bytes = statement_blob(st, 0, &size);

		if (bytes != NULL && size == SEEN_KEY_SIZE) {
			memcpy(key, bytes, SEEN_KEY_SIZE);
			e = OK;
		}
	}
	e = statement_close_with(st, e);
	return e == ERR_NOT_FOUND ? row_damaged(state_db(s), "seen_key", "1") : e;
}

enum err seen_add(struct state *s, int64_t number, int64_t at, const struct seen_hash *hashes, size_t count)
{
	struct statement *st = statement_open(
		state_db(s), "INSERT OR REPLACE INTO seen (number, at, hashes) VALUES (?1, ?2, ?3)");

	statement_bind_int(st, 1, number);
	statement_bind_int(st, 2, at);
	statement_bind_blob(st, 3, hashes, count * sizeof(*hashes));
	return state_wrote(s, statement_run(st, NULL));
}

enum err seen_prune(struct state *s, int64_t number)
{
	struct statement *st = statement_open(state_db(s), "DELETE FROM seen WHERE number <= ?1");

	/* A row's last hash is less than a row's length behind its first. */
	statement_bind_int(st, 1, number - SEEN_ROW_MAX);
	return state_wrote(s, statement_run(st, NULL));
}

enum err seen_each(struct state *s, seen_each_fn *fn, void *ctx)
{
	struct statement *st =
		statement_open(state_db(s), "SELECT number, at, hashes FROM seen ORDER BY number");
	struct seen_hash *row = xmalloc(SEEN_ROW_MAX * sizeof(*row));
	enum err e = OK;

	while (e == OK && statement_step(st)) {
		size_t size = 0;
		const void *bytes = statement_blob(st, 2, &size);

		if (bytes == NULL || size > SEEN_ROW_MAX * sizeof(*row) || size % sizeof(*row) != 0) {
			e = row_damaged(state_db(s), "seen", "hashes");
			break;
		}
		memcpy(row, bytes, size); /* SQLite's bytes need not be aligned */
		fn(ctx, statement_int(st, 0), statement_int(st, 1), row, size / sizeof(*row));
	}
	free(row);
	return statement_close_with(st, e);
}
