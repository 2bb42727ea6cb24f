/*
 * Tests of spool.h: order within a pair, limits of each owner, deferring,
 * quarantine, erasing, and what a restart finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/spool.h"
#include "db/statement.h"
#include "tests/unit/statetest.h"

#define ROMEO  "romeo@corp.test"
#define TYBALT "tybalt@corp.test"
#define JULIET "juliet@partner.test"

static const struct spool_limits wide = { 100, 100000, 1000, 1000000, 10000, 10000000 };

static struct spool_message message(const char *from, const char *user, const char *stanza)
{
	static char pair[256];

	snprintf(pair, sizeof(pair), "%s %s", from, user);
	return (struct spool_message){ .pair = pair,
				       .user = user,
				       .hop = SPOOL_MOVE,
				       .origin = SPOOL_FROM_PARTNER,
				       .stanza = stanza,
				       .size = strlen(stanza),
				       .received_at = 1000,
				       .expires_at = 2000 };
}

static int64_t put(struct spool *s, struct spool_message m)
{
	int64_t id = -1;

	assert_int_equal(spool_put(s, &m, &id), OK);
	return id;
}

struct walk {
	char text[512];
	char bytes[64];            /* of the last one */
	struct spool_message last; /* its numbers: the strings are gone */
	size_t stop_after;
};

static bool note(void *ctx, const struct spool_message *m)
{
	struct walk *w = ctx;

	strncat(w->text, m->stanza, m->size);
	strcat(w->text, " ");
	w->last = *m;
	assert_true(m->size <= sizeof(w->bytes));
	memcpy(w->bytes, m->stanza, m->size);
	return w->stop_after == 0 || --w->stop_after > 0;
}

static void assert_occupancy(struct spool *s, const char *owner, int64_t messages, int64_t bytes)
{
	struct spool_occupancy o = { -1, -1 };

	assert_int_equal(spool_count(s, owner, &o), OK);
	assert_int_equal(o.messages, messages);
	assert_int_equal(o.bytes, bytes);
}

static void test_order(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	struct walk w = { .text = "" };
	int64_t first, id;

	first = put(s, message(JULIET, ROMEO, "a"));
	put(s, message(JULIET, TYBALT, "b"));
	put(s, message(JULIET, ROMEO, "c"));
	assert_int_equal(spool_each(s, NULL, note, &w), OK);
	assert_string_equal(w.text, "a b c ");
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each(s, ROMEO, note, &w), OK);
	assert_string_equal(w.text, "a c ");
	w = (struct walk){ .text = "", .stop_after = 1 };
	assert_int_equal(spool_each(s, NULL, note, &w), OK);
	assert_string_equal(w.text, "a ");

	w = (struct walk){ .text = "" };
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	assert_int_equal(w.last.id, first);
	assert_int_equal(spool_remove(s, first), OK);
	assert_int_equal(spool_remove(s, first), ERR_NOT_FOUND);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	assert_string_equal(w.text, "c ");
	assert_int_equal(spool_first(s, JULIET " nobody@corp.test", note, &w), ERR_NOT_FOUND);
	assert_int_equal(spool_each(s, "nobody@corp.test", note, &w), OK);
	/* A number is never used twice, so that a late word about it meets no other. */
	id = put(s, message(JULIET, ROMEO, "d"));
	assert_true(id > first + 2);
	spool_destroy(s);
}

static void test_bytes_survive(void **state)
{
	static const char stanza[] = "<message>\0\xC3\xBC'</message>";
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	struct spool_message m = message(JULIET, ROMEO, "");
	struct walk w = { .text = "" };
	int64_t id;

	m.stanza = stanza;
	m.size = sizeof(stanza) - 1;
	m.hop = SPOOL_NEW_POOL;
	m.origin = SPOOL_FROM_POOL;
	id = put(s, m);
	assert_int_equal(spool_get(s, id, note, &w), OK);
	assert_int_equal(w.last.size, sizeof(stanza) - 1);
	assert_memory_equal(w.bytes, stanza, sizeof(stanza) - 1);
	assert_int_equal(w.last.hop, SPOOL_NEW_POOL);
	assert_int_equal(w.last.origin, SPOOL_FROM_POOL);
	assert_int_equal(w.last.received_at, 1000);
	assert_int_equal(w.last.expires_at, 2000);
	assert_int_equal(w.last.attempts, 0);
	assert_false(w.last.quarantined);
	spool_destroy(s);
}

static void test_limits(void **state)
{
	static const struct {
		struct spool_limits limits;
		const char *user; /* of the second message */
		enum spool_hop hop;
		enum err e;
	} rows[] = {
		{ { 2, 100, 100, 1000, 100, 1000 }, ROMEO, SPOOL_MOVE, OK },
		{ { 1, 100, 100, 1000, 100, 1000 }, ROMEO, SPOOL_MOVE, ERR_LIMIT },
		{ { 1, 100, 100, 1000, 100, 1000 }, TYBALT, SPOOL_MOVE, OK },
		{ { 9, 7, 100, 1000, 100, 1000 }, ROMEO, SPOOL_MOVE, ERR_LIMIT },
		{ { 9, 8, 100, 1000, 100, 1000 }, ROMEO, SPOOL_MOVE, OK },
		{ { 9, 100, 1, 1000, 100, 1000 }, TYBALT, SPOOL_MOVE, ERR_LIMIT },
		{ { 9, 100, 1, 1000, 100, 1000 }, TYBALT, SPOOL_NEW_POOL, OK },
		{ { 9, 100, 9, 7, 100, 1000 }, TYBALT, SPOOL_MOVE, ERR_LIMIT },
		{ { 9, 100, 9, 1000, 1, 1000 }, TYBALT, SPOOL_NEW_POOL, ERR_LIMIT },
		{ { 9, 100, 9, 1000, 9, 7 }, TYBALT, SPOOL_NEW_POOL, ERR_LIMIT },
		{ { 9, 100, 9, 1000, 9, 8 }, TYBALT, SPOOL_NEW_POOL, OK },
	};
	struct statetest *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spool *s = spool_create(t->state, &rows[i].limits);
		struct spool_message second = message(JULIET, rows[i].user, "5678");
		int64_t first = put(s, message(JULIET, ROMEO, "1234")), id = -7;

		second.hop = rows[i].hop;
		if (spool_put(s, &second, &id) != rows[i].e)
			fail_msg("row %zu", i);
		if (rows[i].e == OK)
			assert_int_equal(spool_remove(s, id), OK);
		else
			assert_int_equal(id, -7);
		assert_int_equal(spool_remove(s, first), OK);
		spool_destroy(s);
	}
}

static void test_occupancy(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	int64_t first = put(s, message(JULIET, ROMEO, "1234")), count = 0;

	put(s, message(JULIET, TYBALT, "56"));
	assert_occupancy(s, "", 2, 6);
	assert_occupancy(s, ROMEO, 1, 4);
	assert_occupancy(s, "hop:move", 2, 6);
	assert_int_equal(spool_defer(s, first, SPOOL_LEGACY_GATEWAY, "refused"), OK);
	assert_occupancy(s, "hop:move", 1, 2);
	assert_occupancy(s, "hop:legacy-gateway", 1, 4);
	assert_int_equal(spool_defer(s, first, SPOOL_LEGACY_GATEWAY, "refused"), OK);
	assert_occupancy(s, "hop:legacy-gateway", 1, 4);
	assert_int_equal(spool_erase(s, ROMEO, &count), OK);
	assert_int_equal(count, 1);
	assert_occupancy(s, "", 1, 2);
	assert_occupancy(s, ROMEO, 0, 0);
	assert_occupancy(s, "hop:legacy-gateway", 0, 0);
	assert_int_equal(spool_erase(s, ROMEO, &count), OK);
	assert_int_equal(count, 0);
	/* What somebody has written goes, too, and nobody's whose name begins alike. */
	put(s, message(JULIET "x", ROMEO, "stays"));
	put(s, message(JULIET, ROMEO, "goes"));
	assert_occupancy(s, "", 3, 11);
	assert_int_equal(spool_erase(s, JULIET, &count), OK);
	assert_int_equal(count, 2);
	assert_occupancy(s, ROMEO, 1, 5);
	/* A damaged row counts nowhere, and goes. */
	state_commit(t->state);
	assert_null(
		dbtest_sql(t->files, "PRAGMA ignore_check_constraints = 1; UPDATE message SET hop = 'x'"));
	assert_occupancy(s, "", 0, 0);
	assert_int_equal(spool_erase(s, ROMEO, &count), OK);
	assert_int_equal(count, 1);
	state_commit(t->state);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM message"), "0");
	spool_destroy(s);
}

/* What is counted is what is on disk, whoever has written there. */
static void test_occupancy_follows(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide), *other;
	int64_t first = put(s, message(JULIET, ROMEO, "1234"));

	state_commit(t->state);
	put(s, message(JULIET, ROMEO, "lost"));
	assert_int_equal(spool_defer(s, first, SPOOL_NEW_POOL, "503"), OK);
	assert_occupancy(s, ROMEO, 2, 8);
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	state_commit(t->state);
	assert_occupancy(s, "", 1, 4);
	assert_occupancy(s, "hop:move", 1, 4);
	assert_occupancy(s, "hop:new-pool", 0, 0);

	assert_null(dbtest_sql(t->files, "UPDATE message SET user = '" TYBALT "', stanza = x'0102'"));
	assert_occupancy(s, TYBALT, 1, 2);
	assert_occupancy(s, ROMEO, 0, 0);
	put(s, message(JULIET, ROMEO, "567"));
	state_commit(t->state);
	assert_null(dbtest_sql(t->files, "DELETE FROM message WHERE user = '" TYBALT "'"));
	assert_int_equal(spool_remove(s, first), ERR_NOT_FOUND);
	assert_occupancy(s, "", 1, 3);
	other = spool_create(t->state, &wide);
	assert_occupancy(other, "", 1, 3);
	spool_destroy(other);
	/* A turn that is under way does not hold it. */
	put(s, message(JULIET, ROMEO, "8"));
	spool_destroy(s);
	state_commit(t->state);
}

struct look {
	struct spool *spool;
	struct spool_occupancy seen;
};

static void look(void *ctx, enum err e)
{
	struct look *l = ctx;

	assert_int_equal(e, ERR_IO);
	assert_int_equal(spool_count(l->spool, "", &l->seen), OK);
}

/* Who waits for the turn's end sees what is on disk, though he asked before anything was changed in the turn. */
static void test_seen_at_the_end_of_a_turn(void **state)
{
	struct statetest *t = *state;
	struct look l = { .spool = spool_create(t->state, &wide) };

	put(l.spool, message(JULIET, ROMEO, "kept"));
	state_commit(t->state);
	state_on_commit(t->state, look, &l);
	put(l.spool, message(JULIET, ROMEO, "lost"));
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	state_commit(t->state);
	assert_int_equal(l.seen.messages, 1);
	spool_destroy(l.spool);
}

/* Nor is one that was given in a turn that failed. */
static void test_numbers_of_a_failed_turn(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	int64_t first = put(s, message(JULIET, ROMEO, "lost"));

	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	state_commit(t->state);
	assert_true(put(s, message(JULIET, TYBALT, "kept")) > first);
	spool_destroy(s);
}

/* sqlite3_set_authorizer(): nobody reads where in its pair a message stands. */
static int refuse_position(void *ctx, int action, const char *table, const char *column, const char *database,
			   const char *trigger)
{
	(void)ctx;
	(void)table;
	(void)database;
	(void)trigger;
	return action == SQLITE_READ && strcmp(column, "position") == 0 ? SQLITE_DENY : SQLITE_OK;
}

/* A change of which memory does not know its part is not made on disk either. */
static void test_half_a_change(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	int64_t id = put(s, message(JULIET, ROMEO, "a"));
	sqlite3 *handle = state_db(t->state)->handle;
	struct walk w = { .text = "" };

	assert_int_equal(spool_quarantine(s, id, "poison"), OK);
	state_commit(t->state);
	sqlite3_set_authorizer(handle, refuse_position, NULL);
	assert_int_equal(spool_revive(s, id, 3000), ERR_IO);
	sqlite3_set_authorizer(handle, NULL, NULL);
	state_commit(t->state);
	assert_int_equal(spool_revive(s, id, 3000), OK);
	state_commit(t->state);
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	spool_destroy(s);
}

static uint64_t series;

static unsigned chance(unsigned among)
{
	series = series * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(series >> 33) % among;
}

static const char *const senders[] = { JULIET, "rosaline@partner.test", "hero@partner.test" };

/* One change of any kind of one of the messages so far, which may be gone. */
static void change_by_chance(struct spool *s, int64_t *ids, size_t *count)
{
	static const char *const users[] = { ROMEO, TYBALT };
	const unsigned kind = chance(12);
	const int64_t id = *count > 0 ? ids[chance((unsigned)*count)] : 0;
	struct spool_message m = message(senders[chance(3)], users[chance(2)], &"four"[chance(4)]);
	int64_t erased;
	enum err e = OK;

	m.position = chance(40);
	m.hop = (enum spool_hop)chance(SPOOL_HOPS);
	if (kind < 5)
		ids[(*count)++] = put(s, m);
	else if (kind < 7)
		e = spool_remove(s, id);
	else if (kind == 7)
		e = spool_defer(s, id, m.hop, "503");
	else if (kind == 8)
		e = spool_quarantine(s, id, "poison");
	else if (kind == 9)
		e = spool_revive(s, id, 3000);
	else if (kind == 10)
		e = spool_fail(s, id, "gone", "gone");
	else if (chance(20) == 0)
		e = spool_erase(s, m.user, &erased);
	assert_true(e == OK || e == ERR_NOT_FOUND);
}

static int64_t first_of(struct spool *s, const char *pair)
{
	struct walk w = { .text = "" };

	return spool_first(s, pair, note, &w) == OK ? w.last.id : -1;
}

static void assert_same_as_table(struct spool *s, struct state *state)
{
	static const char *const owners[] = {
		"", ROMEO, TYBALT, "hop:move", "hop:new-pool", "hop:legacy-gateway", "hop:legacy-pool"
	};
	struct spool *fresh = spool_create(state, &wide);
	struct spool_occupancy o;
	int64_t mine, its;
	char pair[256];

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		assert_int_equal(spool_count(fresh, owners[i], &o), OK);
		assert_occupancy(s, owners[i], o.messages, o.bytes);
	}
	for (size_t i = 0; i < 2 * ARRAY_SIZE(senders); i++) {
		snprintf(pair, sizeof(pair), "%s %s", senders[i / 2], i % 2 ? ROMEO : TYBALT);
		assert_int_equal(first_of(s, pair), first_of(fresh, pair));
		assert_int_equal(spool_count_pair(s, pair, &mine), OK);
		assert_int_equal(spool_count_pair(fresh, pair, &its), OK);
		assert_int_equal(mine, its);
	}
	spool_destroy(fresh);
}

/* A long game of chance, with turns that fail, and a shell that writes now and then. */
static void test_memory_follows_the_table(void **state)
{
	static const struct spool_limits none = { 10000, 1000000, 10000, 1000000, 10000, 1000000 };
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &none);
	int64_t ids[4000];
	size_t count = 0;

	series = 6;
	for (unsigned turn = 0; turn < 400; turn++) {
		for (unsigned changes = chance(9); changes > 0; changes--)
			change_by_chance(s, ids, &count);
		if (chance(5) == 0)
			assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
		state_commit(t->state);
		if (chance(30) == 0)
			assert_null(dbtest_sql(t->files, "DELETE FROM message WHERE id % 7 = 3"));
		assert_same_as_table(s, t->state);
	}
	spool_destroy(s);
}

static void test_defer_and_quarantine(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	int64_t first = put(s, message(JULIET, ROMEO, "a"));
	struct walk w = { .text = "" };
	struct spool_age age;

	put(s, message(JULIET, ROMEO, "b"));
	assert_int_equal(spool_defer(s, first, SPOOL_NEW_POOL, "503"), OK);
	assert_int_equal(spool_get(s, first, note, &w), OK);
	assert_int_equal(w.last.attempts, 1);
	assert_int_equal(w.last.hop, SPOOL_NEW_POOL);
	/* What poisons the pair goes out of its way, and comes back where it stood. */
	assert_int_equal(spool_quarantine(s, first, "it is never taken"), OK);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	assert_string_equal(w.text, "b ");
	assert_int_equal(spool_look(s, &age), OK);
	assert_int_equal(age.quarantined, 1);
	assert_int_equal(spool_revive(s, first, 9000), OK);
	assert_int_equal(spool_revive(s, first, 9000), ERR_NOT_FOUND);
	assert_int_equal(spool_get(s, first, note, &w), OK);
	assert_int_equal(w.last.attempts, 0);
	assert_int_equal(w.last.expires_at, 9000);
	assert_int_equal(spool_look(s, &age), OK);
	assert_int_equal(age.quarantined, 0);
	assert_int_equal(age.oldest, w.last.received_at);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	assert_string_equal(w.text, "a ");
	assert_int_equal(spool_defer(s, 4711, SPOOL_MOVE, ""), ERR_NOT_FOUND);
	assert_int_equal(spool_quarantine(s, 4711, ""), ERR_NOT_FOUND);
	spool_destroy(s);
}

static void test_expiry(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	struct spool_message m = message(JULIET, ROMEO, "late");
	struct walk w = { .text = "" };
	int64_t id;

	put(s, m);
	m.stanza = "later";
	m.size = 5;
	m.expires_at = 2001;
	id = put(s, m);
	assert_int_equal(spool_each_expired(s, 1999, 10, note, &w), OK);
	assert_string_equal(w.text, "");
	assert_int_equal(spool_each_expired(s, 2000, 10, note, &w), OK);
	assert_string_equal(w.text, "late ");
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_expired(s, 3000, 1, note, &w), OK);
	assert_string_equal(w.text, "late ");
	assert_int_equal(spool_quarantine(s, id, ""), OK);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_expired(s, 3000, 10, note, &w), OK);
	assert_string_equal(w.text, "late ");
	spool_destroy(s);
}

/* Nothing sends it, nothing expires it, nothing counts it in its pair; its place in the spool it keeps. */
static void test_failed(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	int64_t first = put(s, message(JULIET, ROMEO, "a")), second = put(s, message(JULIET, ROMEO, "b")),
		count;
	struct walk w = { .text = "" };
	struct spool_age age;

	assert_int_equal(spool_quarantine(s, first, "poison"), OK);
	assert_int_equal(spool_fail(s, first, "item-not-found", "404"), OK);
	assert_int_equal(spool_fail(s, 4711, "item-not-found", "404"), ERR_NOT_FOUND);
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), OK);
	assert_string_equal(w.text, "b ");
	assert_int_equal(spool_count_pair(s, JULIET " " ROMEO, &count), OK);
	assert_int_equal(count, 1);
	assert_int_equal(spool_look(s, &age), OK);
	assert_int_equal(age.quarantined, 0);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_expired(s, 3000, 10, note, &w), OK);
	assert_string_equal(w.text, "b ");
	assert_int_equal(spool_fail(s, second, "gone", ""), OK);
	assert_int_equal(spool_first(s, JULIET " " ROMEO, note, &w), ERR_NOT_FOUND);
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_failed(s, 0, 10, note, &w), OK);
	assert_string_equal(w.text, "a b ");
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_failed(s, first, 10, note, &w), OK);
	assert_string_equal(w.text, "b ");
	w = (struct walk){ .text = "" };
	assert_int_equal(spool_each_failed(s, 0, 1, note, &w), OK);
	assert_string_equal(w.text, "a ");
	assert_occupancy(s, ROMEO, 2, 2);
	spool_destroy(s);
}

static void test_restart(void **state)
{
	struct statetest *t = *state;
	struct spool *s = spool_create(t->state, &wide);
	struct walk w = { .text = "" };

	put(s, message(JULIET, ROMEO, "a"));
	put(s, message(JULIET, ROMEO, "b"));
	spool_destroy(s);
	statetest_close(t);
	statetest_open(t);
	s = spool_create(t->state, &wide);
	assert_int_equal(spool_each(s, NULL, note, &w), OK);
	assert_string_equal(w.text, "a b ");
	assert_occupancy(s, "", 2, 2);
	spool_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_bytes_survive, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_limits, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_occupancy, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_seen_at_the_end_of_a_turn, statetest_setup,
						statetest_teardown),
		cmocka_unit_test_setup_teardown(test_numbers_of_a_failed_turn, statetest_setup,
						statetest_teardown),
		cmocka_unit_test_setup_teardown(test_half_a_change, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_occupancy_follows, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_memory_follows_the_table, statetest_setup,
						statetest_teardown),
		cmocka_unit_test_setup_teardown(test_defer_and_quarantine, statetest_setup,
						statetest_teardown),
		cmocka_unit_test_setup_teardown(test_expiry, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_failed, statetest_setup, statetest_teardown),
		cmocka_unit_test_setup_teardown(test_restart, statetest_setup, statetest_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
