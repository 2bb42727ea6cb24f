/*
 * Tests of ledger.h: rows and what was told, dialogs, walks, limits, what the
 * schema refuses, and 10,000 subscriptions over a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "db/statement.h"
#include "tests/unit/statetest.h"

static const struct ledger_entry active = { LEDGER_ACTIVE, LEDGER_GATEWAY, LEDGER_HANDSHAKE, 1000, 2000 };
static const struct ledger_entry pending = { LEDGER_PENDING, LEDGER_LEGACY, LEDGER_HANDSHAKE, 1000, 1000 };

static struct ledger_key key_of(const char *local, const char *contact, enum ledger_direction direction)
{
	return (struct ledger_key){ local, contact, direction };
}

static void put(struct statetest *t, const char *local, const char *contact, enum ledger_direction direction,
		struct ledger_entry entry)
{
	const struct ledger_key key = key_of(local, contact, direction);

	assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
}

static int64_t count(struct statetest *t)
{
	struct ledger_counts counts = { -1, -1 };

	assert_int_equal(ledger_count(t->ledger, &counts), OK);
	return counts.subscriptions;
}

/* --- rows --- */

static void test_rows(void **state)
{
	struct statetest *t = *state;
	const struct ledger_key key = key_of("romeo@corp.test", "juliet@partner.test", LEDGER_TO_CONTACT);
	struct ledger_key other = key;
	struct ledger_entry found, before;

	memset(&found, 0x5a, sizeof(found));
	before = found;
	assert_int_equal(ledger_get(t->ledger, &key, &found), ERR_NOT_FOUND);
	assert_memory_equal(&found, &before, sizeof(found)); /* untouched */
	assert_int_equal(ledger_remove(t->ledger, &key), ERR_NOT_FOUND);
	assert_int_equal(ledger_tell(t->ledger, &key, "x"), ERR_NOT_FOUND);

	for (int s = LEDGER_PENDING; s <= LEDGER_ACTIVE; s++)
		for (int v = LEDGER_GATEWAY; v <= LEDGER_LEGACY; v++)
			for (int e = LEDGER_PROBE; e <= LEDGER_HANDSHAKE; e++) {
				const struct ledger_entry entry = { (enum ledger_state)s, (enum ledger_via)v,
								    (enum ledger_evidence)e, 1763712000 + s,
								    INT64_C(4102444800) };

				assert_int_equal(ledger_put(t->ledger, &key, &entry), OK);
				assert_int_equal(ledger_get(t->ledger, &key, &found), OK);
				assert_same_entry(&found, &entry);
				assert_int_equal(count(t), 1);
			}
	/* The other half is a row of its own. */
	other.direction = LEDGER_TO_LOCAL;
	assert_int_equal(ledger_get(t->ledger, &other, &found), ERR_NOT_FOUND);
	put(t, other.local, other.contact, other.direction, pending);
	assert_int_equal(count(t), 2);
	assert_int_equal(ledger_remove(t->ledger, &key), OK);
	assert_int_equal(ledger_get(t->ledger, &key, &found), ERR_NOT_FOUND);
	assert_int_equal(ledger_get(t->ledger, &other, &found), OK);
	assert_int_equal(count(t), 1);
}

struct walk {
	struct strbuf text;
	int stop_after; /* 0: never */
	int met;
};

static bool note_row(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		     const char *told)
{
	struct walk *w = ctx;

	strbuf_printf(&w->text, "%s %s %s %s %s %s %lld %lld [%s]\n", key->local, key->contact,
		      ledger_direction_name(key->direction), ledger_state_name(entry->state),
		      ledger_via_name(entry->via), ledger_evidence_name(entry->evidence),
		      (long long)entry->since, (long long)entry->seen, told);
	return ++w->met != w->stop_after;
}

static void assert_walk(struct statetest *t, const char *local, int stop_after, const char *expected)
{
	struct walk w = { .stop_after = stop_after };
	char *text;

	assert_int_equal(ledger_each(t->ledger, local, note_row, &w), OK);
	text = strbuf_take(&w.text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_walk(void **state)
{
	static const char romeo_rows[] =
		"romeo@corp.test juliet@partner.test to-contact active gateway handshake 1000 2000 []\n"
		"romeo@corp.test juliet@partner.test to-local pending legacy handshake 1000 1000 [away]\n";
	struct statetest *t = *state;
	const struct ledger_key key = key_of("romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL);
	char *all;

	put(t, "tybalt@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL, active);
	put(t, "romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL, active);
	put(t, "romeo@corp.test", "juliet@partner.test", LEDGER_TO_CONTACT, active);
	put(t, "romeo@corp.tes", "partner.test", LEDGER_TO_CONTACT, active);
	assert_int_equal(ledger_tell(t->ledger, &key, "online"), OK);
	assert_int_equal(ledger_tell(t->ledger, &key, "away"), OK);
	put(t, "romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL, pending); /* what was told stays */

	all = xasprintf(
		"romeo@corp.tes partner.test to-contact active gateway handshake 1000 2000 []\n%s"
		"tybalt@corp.test juliet@partner.test to-local active gateway handshake 1000 2000 []\n",
		romeo_rows);
	assert_walk(t, NULL, 0, all);
	assert_walk(t, "romeo@corp.test", 0, romeo_rows);
	assert_walk(t, "romeo@corp", 0, "");
	assert_walk(t, "", 0, "");
	assert_walk(t, "romeo@corp.test", 1,
		    "romeo@corp.test juliet@partner.test to-contact active gateway handshake 1000 2000 []\n");
	state_commit(t->state);
	statetest_close(t);
	statetest_open(t);
	assert_walk(t, NULL, 0, all);
	free(all);
}

struct slice {
	char last[256];
	size_t count;
};

static bool take_three(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		       const char *told)
{
	struct slice *s = ctx;
	(void)entry;
	(void)told;

	snprintf(s->last, sizeof(s->last), "%s %s %s", key->local, key->contact,
		 ledger_direction_name(key->direction));
	return ++s->count < 3;
}

/* From any place, there or not, in the same order. */
static void test_walk_in_slices(void **state)
{
	static const struct {
		const char *local, *contact;
		enum ledger_direction direction;
		size_t count;
		const char *last;
	} cases[] = {
		{ "", "", LEDGER_TO_CONTACT, 3, "b@corp.test x@p.test to-local" },
		{ "a@corp.test", "x@p.test", LEDGER_TO_LOCAL, 3, "c@corp.test x@p.test to-contact" },
		{ "b@corp.test", "", LEDGER_TO_CONTACT, 3, "c@corp.test x@p.test to-contact" },
		{ "b@corp.test", "x@p.test", LEDGER_TO_CONTACT, 2, "c@corp.test x@p.test to-contact" },
		{ "bb@corp.test", "", LEDGER_TO_LOCAL, 1, "c@corp.test x@p.test to-contact" },
		{ "c@corp.test", "x@p.test", LEDGER_TO_CONTACT, 0, "" },
	};
	struct statetest *t = *state;

	put(t, "a@corp.test", "x@p.test", LEDGER_TO_LOCAL, active);
	put(t, "b@corp.test", "x@p.test", LEDGER_TO_LOCAL, active);
	put(t, "b@corp.test", "x@p.test", LEDGER_TO_CONTACT, active);
	put(t, "c@corp.test", "x@p.test", LEDGER_TO_CONTACT, active);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ledger_key key = key_of(cases[i].local, cases[i].contact, cases[i].direction);
		struct slice s = { .count = 0 };

		assert_int_equal(ledger_each_after(t->ledger, &key, take_three, &s), OK);
		assert_int_equal(s.count, cases[i].count);
		assert_string_equal(s.last, cases[i].last);
	}
}

static void test_told_is_bounded(void **state)
{
	struct statetest *t = *state;
	const struct ledger_key key = key_of("romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL);
	char *text = xmalloc(LEDGER_TOLD_MAX + 2);
	struct strbuf told = { .s = NULL };

	assert_int_equal(ledger_told(t->ledger, &key, &told), ERR_NOT_FOUND);
	put(t, key.local, key.contact, key.direction, active);
	memset(text, 'x', LEDGER_TOLD_MAX + 1);
	text[LEDGER_TOLD_MAX + 1] = '\0';
	assert_int_equal(ledger_tell(t->ledger, &key, text), ERR_LIMIT);
	text[LEDGER_TOLD_MAX] = '\0';
	assert_int_equal(ledger_tell(t->ledger, &key, text), OK);
	assert_int_equal(ledger_told(t->ledger, &key, &told), OK);
	assert_string_equal(told.s, text);
	strbuf_free(&told);
	free(text);
}

/* A refused row takes nothing else of the turn with it. */
static void test_rules(void **state)
{
	struct statetest *t = *state;
	char long_local[1300], long_contact[1300];
	const struct {
		const char *local, *contact, *words;
	} wrong[] = {
		{ "", "juliet@partner.test", "subscription.local" },
		{ "corp.test", "juliet@partner.test", "subscription.local" },
		{ "@corp.test", "juliet@partner.test", "subscription.local" },
		{ "romeo@", "juliet@partner.test", "subscription.local" },
		{ long_local, "juliet@partner.test", "subscription.local" },
		{ "romeo@corp.test", "", "subscription.contact" },
		{ "romeo@corp.test", "juliet@partner.test/balcony", "subscription.contact" },
		{ "romeo@corp.test", long_contact, "subscription.contact" },
	};

	memset(long_local, 'x', sizeof(long_local));
	strcpy(long_local + sizeof(long_local) - sizeof("@corp.test"), "@corp.test");
	memset(long_contact, 'x', sizeof(long_contact) - 1);
	long_contact[sizeof(long_contact) - 1] = '\0';
	put(t, "romeo@corp.test", "juliet@partner.test", LEDGER_TO_LOCAL, active);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct ledger_key key = key_of(wrong[i].local, wrong[i].contact, LEDGER_TO_LOCAL);

		assert_int_equal(ledger_put(t->ledger, &key, &active), ERR_REFUSED);
		assert_non_null(strstr(db_error(state_db(t->state)), wrong[i].words));
	}
	state_commit(t->state);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM subscription"), "1");
	assert_int_equal(count(t), 1);
	assert_non_null(dbtest_sql(t->files, "UPDATE subscription SET state = 'none'"));
	assert_non_null(dbtest_sql(t->files, "UPDATE subscription SET via = 'x'"));
	assert_non_null(dbtest_sql(t->files, "UPDATE subscription SET evidence = ''"));
	assert_non_null(dbtest_sql(t->files, "UPDATE subscription SET direction = 'both'"));
	assert_non_null(dbtest_sql(t->files, "UPDATE subscription SET since = 'yesterday'"));
}

/* --- dialogs --- */

static bool note_dialog(void *ctx, const struct ledger_dialog *d)
{
	struct walk *w = ctx;

	strbuf_printf(&w->text, "%lld %s %s %s %s '%s' %lld\n", (long long)d->id, d->key.local,
		      d->key.contact, ledger_direction_name(d->key.direction), d->dialog, d->event_id,
		      (long long)d->expires_at);
	return ++w->met != w->stop_after;
}

static void assert_dialogs(struct statetest *t, const char *local, int stop_after, const char *expected)
{
	struct walk w = { .stop_after = stop_after };
	char *text;

	assert_int_equal(ledger_each_dialog(t->ledger, local, note_dialog, &w), OK);
	text = strbuf_take(&w.text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_dialogs(void **state)
{
	struct statetest *t = *state;
	struct ledger_dialog d = {
		.key = { "romeo@corp.test", "juliet@partner.test", LEDGER_TO_CONTACT },
		.dialog = "{\"call_id\":\"a\"}",
		.event_id = "",
		.expires_at = 5000,
	};
	int64_t first = 0, second = 0, third = 0;

	assert_int_equal(ledger_add_dialog(t->ledger, &d, &first), ERR_NOT_FOUND); /* no subscription */
	put(t, d.key.local, d.key.contact, d.key.direction, active);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &first), OK);
	d.dialog = "{\"call_id\":\"b\"}";
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &second), OK);
	assert_int_not_equal(first, second);
	d.dialog = "no JSON";
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &third), ERR_REFUSED);

	d.id = first;
	d.dialog = "{}";
	d.event_id = "7";
	d.expires_at = 6000;
	assert_int_equal(ledger_set_dialog(t->ledger, &d), OK);
	assert_dialogs(t, NULL, 0,
		       "1 romeo@corp.test juliet@partner.test to-contact {} '7' 6000\n"
		       "2 romeo@corp.test juliet@partner.test to-contact {\"call_id\":\"b\"} '' 5000\n");
	assert_dialogs(t, "romeo@corp.test", 1,
		       "1 romeo@corp.test juliet@partner.test to-contact {} '7' 6000\n");
	assert_dialogs(t, "tybalt@corp.test", 0, "");

	assert_int_equal(ledger_remove_dialog(t->ledger, second), OK);
	assert_int_equal(ledger_remove_dialog(t->ledger, second), ERR_NOT_FOUND);
	d.id = second;
	assert_int_equal(ledger_set_dialog(t->ledger, &d), ERR_NOT_FOUND);
	/* A number is never used twice, over a restart either. */
	state_commit(t->state);
	statetest_close(t);
	statetest_open(t);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &third), OK);
	assert_true(third > second);
	/* Changing the subscription keeps them; removing it removes them. */
	put(t, d.key.local, d.key.contact, d.key.direction, pending);
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM dialog"), "1");
	assert_int_equal(ledger_remove(t->ledger, &d.key), OK);
	assert_dialogs(t, NULL, 0, "");
}

/* Whoever was given a number in a turn that failed holds nobody's row. */
static void test_number_of_a_failed_turn(void **state)
{
	struct statetest *t = *state;
	struct ledger_dialog d = {
		.key = { "romeo@corp.test", "juliet@partner.test", LEDGER_TO_CONTACT },
		.dialog = "{}",
		.event_id = "",
	};
	int64_t lost = 0, kept = 0;

	put(t, d.key.local, d.key.contact, d.key.direction, active);
	state_commit(t->state);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &lost), OK);
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	state_commit(t->state);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &kept), OK);
	assert_true(kept > lost);
	d.id = lost;
	assert_int_equal(ledger_set_dialog(t->ledger, &d), ERR_NOT_FOUND);
}

static void test_dialogs_are_bounded(void **state)
{
	struct statetest *t = *state;
	struct ledger_dialog d = {
		.key = { "romeo@corp.test", "juliet@partner.test", LEDGER_TO_CONTACT },
		.dialog = "{}",
		.event_id = "",
	};
	struct ledger_counts counts;
	int64_t id;

	put(t, d.key.local, d.key.contact, d.key.direction, active);
	for (int i = 0; i < LEDGER_DIALOGS_MAX; i++)
		assert_int_equal(ledger_add_dialog(t->ledger, &d, &id), OK);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &id), ERR_LIMIT);
	assert_int_equal(ledger_count(t->ledger, &counts), OK);
	assert_int_equal(counts.dialogs, LEDGER_DIALOGS_MAX);
	assert_int_equal(ledger_remove_dialog(t->ledger, id), OK);
	assert_int_equal(ledger_add_dialog(t->ledger, &d, &id), OK);
}

/* --- limits --- */

static enum err put_number(struct statetest *t, const char *local, int number, struct ledger_entry entry)
{
	char *contact = xasprintf("c%d@partner.test", number);
	const struct ledger_key key = key_of(local, contact, LEDGER_TO_LOCAL);
	enum err e = ledger_put(t->ledger, &key, &entry);

	free(contact);
	return e;
}

/* Requests that nobody has answered fill half; real subscriptions find room beyond. */
static void test_limit_of_a_user(void **state)
{
	static const char romeo[] = "romeo@corp.test";
	struct statetest *t = *state;

	statetest_close(t);
	statetest_open_limited(t, 10, 1000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_number(t, romeo, i, pending), OK);
	assert_int_equal(put_number(t, romeo, 5, pending), ERR_LIMIT);
	for (int i = 5; i < 10; i++)
		assert_int_equal(put_number(t, romeo, i, active), OK);
	assert_int_equal(put_number(t, romeo, 10, active), ERR_LIMIT);
	/* Those that are there can change, and another user is not concerned. */
	assert_int_equal(put_number(t, romeo, 0, active), OK);
	assert_int_equal(put_number(t, romeo, 5, pending), OK);
	assert_int_equal(put_number(t, "tybalt@corp.test", 0, pending), OK);
	state_commit(t->state);
	assert_int_equal(count(t), 11);
}

static void test_limit_in_all(void **state)
{
	struct statetest *t = *state;
	const struct ledger_key first = key_of("u0@corp.test", "c0@partner.test", LEDGER_TO_LOCAL);
	char local[32];

	statetest_close(t);
	statetest_open_limited(t, 10, 20);
	for (int i = 0; i < 11; i++) {
		snprintf(local, sizeof(local), "u%d@corp.test", i);
		assert_int_equal(put_number(t, local, 0, pending), i < 10 ? OK : ERR_LIMIT);
	}
	for (int i = 0; i < 11; i++) {
		snprintf(local, sizeof(local), "v%d@corp.test", i);
		assert_int_equal(put_number(t, local, 0, active), i < 10 ? OK : ERR_LIMIT);
	}
	assert_int_equal(ledger_remove(t->ledger, &first), OK);
	state_commit(t->state);
	/* The numbers are the same after a restart. */
	statetest_close(t);
	statetest_open_limited(t, 10, 20);
	assert_int_equal(count(t), 19);
	assert_int_equal(put_number(t, "u0@corp.test", 0, pending), OK);
	assert_int_equal(put_number(t, "u0@corp.test", 1, pending), ERR_LIMIT);
	assert_int_equal(put_number(t, "u0@corp.test", 1, active), ERR_LIMIT);
}

/* What was lost with a turn is not counted. */
static void test_counts_after_a_loss(void **state)
{
	struct statetest *t = *state;

	statetest_close(t);
	statetest_open_limited(t, 10, 4);
	assert_int_equal(put_number(t, "u@corp.test", 0, active), OK);
	state_commit(t->state);
	for (int i = 1; i < 4; i++)
		assert_int_equal(put_number(t, "u@corp.test", i, active), OK);
	assert_int_equal(put_number(t, "u@corp.test", 4, active), ERR_LIMIT);
	assert_int_equal(state_wrote(t->state, ERR_IO), ERR_IO);
	state_commit(t->state);
	assert_int_equal(count(t), 1);
	for (int i = 1; i < 4; i++)
		assert_int_equal(put_number(t, "u@corp.test", i, active), OK);
	assert_int_equal(put_number(t, "u@corp.test", 4, active), ERR_LIMIT);
}

/* The numbers that the schema keeps are those of the rows, whatever was done. */
static void test_holdings(void **state)
{
	static const char differences[] =
		"WITH counted AS (SELECT local, count(*), sum(state <> 'active' OR evidence <> 'handshake') "
		"FROM subscription GROUP BY local UNION ALL SELECT '', count(*), "
		"sum(state <> 'active' OR evidence <> 'handshake') FROM subscription) "
		"SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM holding)) + "
		"(SELECT count(*) FROM (SELECT * FROM holding EXCEPT SELECT * FROM counted))";
	struct statetest *t = *state;
	unsigned seed = 4711;

	for (int i = 0; i < 3000; i++) {
		char local[32], contact[32];
		struct ledger_key key = { local, contact, (enum ledger_direction)(rand_r(&seed) % 2) };
		const struct ledger_entry entry = { (enum ledger_state)(rand_r(&seed) % 2), LEDGER_GATEWAY,
						    (enum ledger_evidence)(rand_r(&seed) % 3), i, i };
		enum err e;

		snprintf(local, sizeof(local), "u%d@corp.test", rand_r(&seed) % 5);
		snprintf(contact, sizeof(contact), "c%d@partner.test", rand_r(&seed) % 10);
		e = rand_r(&seed) % 3 ? ledger_put(t->ledger, &key, &entry) : ledger_remove(t->ledger, &key);
		assert_true(e == OK || e == ERR_NOT_FOUND);
		if (i % 500 == 499) {
			state_commit(t->state);
			assert_string_equal(dbtest_value(t->files, differences), "0");
			assert_true(count(t) > 20);
		}
	}
	assert_null(dbtest_sql(t->files, "DELETE FROM subscription"));
	assert_string_equal(dbtest_value(t->files, "SELECT count(*) FROM holding WHERE local <> ''"), "0");
	assert_int_equal(count(t), 0);
}

/* --- many --- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool count_row(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
		      const char *told)
{
	(void)key;
	(void)entry;
	assert_string_equal(told, "available");
	++*(int *)ctx;
	return true;
}

static bool count_dialog(void *ctx, const struct ledger_dialog *d)
{
	(void)d;
	++*(int *)ctx;
	return true;
}

/* The steps of SQLite's machine that a look-up takes. */
static int look_up_steps(struct statetest *t, const struct ledger_key *key)
{
	sqlite3 *handle = state_db(t->state)->handle;
	struct ledger_entry found;
	int steps = 0;

	assert_int_equal(ledger_get(t->ledger, key, &found), OK); /* prepared by now */
	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(handle, st));)
		sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 1);
	assert_int_equal(ledger_get(t->ledger, key, &found), OK);
	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(handle, st));)
		steps += sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0);
	return steps;
}

enum { MANY = 10000 };

/*
 * A restart with many subscriptions: all rows and dialogs are met, one at a time, and what SQLite
 * keeps of them is bounded by their size on disk. The times are printed, not judged.
 */
static void test_many(void **state)
{
	static const char dialog[] =
		"{\"pool\":\"new\",\"call_id\":\"0123456789abcdef0123456789abcdef\",\"local_uri\":"
		"\"sip:juliet@partner.test\",\"local_tag\":\"0123456789abcdef\",\"remote_uri\":"
		"\"sip:romeo@corp.test\",\"remote_tag\":\"fedcba9876543210\",\"target\":"
		"\"sip:pool.corp.test:5061;transport=tls;ms-fe=fe1.corp.test\",\"route\":[],\"local_cseq\":"
		"4711}";
	struct statetest *t = *state;
	struct ledger_key key = { .direction = LEDGER_TO_LOCAL };
	char local[64], contact[64];
	int few, met = 0, dialogs = 0;
	sqlite3_int64 used;
	double start = now();

	key.local = local;
	key.contact = contact;
	for (int i = 0; i < MANY; i++) {
		struct ledger_dialog d = { .dialog = dialog, .event_id = "", .expires_at = 1 };
		int64_t id;

		snprintf(local, sizeof(local), "user%05d@corp.test", i * 7919 % MANY / 20);
		snprintf(contact, sizeof(contact), "contact%05d@partner.test", i);
		d.key = key;
		assert_int_equal(ledger_put(t->ledger, &key, &active), OK);
		assert_int_equal(ledger_tell(t->ledger, &key, "available"), OK);
		assert_int_equal(ledger_add_dialog(t->ledger, &d, &id), OK);
		if (i == 20)
			few = look_up_steps(t, &key);
		if (i % 100 == 99)
			state_commit(t->state);
	}
	printf("# %d subscriptions with a dialog each stored in %.2f s, in turns of 100\n", MANY,
	       now() - start);
	assert_int_equal(look_up_steps(t, &key), few);

	statetest_close(t);
	used = sqlite3_memory_used();
	start = now();
	statetest_open(t);
	assert_int_equal(ledger_each(t->ledger, NULL, count_row, &met), OK);
	assert_int_equal(ledger_each_dialog(t->ledger, NULL, count_dialog, &dialogs), OK);
	used = sqlite3_memory_used() - used;
	printf("# read again in %.3f s; SQLite holds %lld bytes, %lld a subscription\n", now() - start,
	       (long long)used, (long long)used / MANY);
	printf("# %s bytes on disk\n",
	       dbtest_value(t->files,
			    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"));
	assert_int_equal(met, MANY);
	assert_int_equal(dialogs, MANY);
	assert_in_range(used / MANY, 0, 2048);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, statetest_setup, statetest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPENED(test_rows),
		OPENED(test_walk),
		OPENED(test_walk_in_slices),
		OPENED(test_told_is_bounded),
		OPENED(test_rules),
		OPENED(test_dialogs),
		OPENED(test_number_of_a_failed_turn),
		OPENED(test_dialogs_are_bounded),
		OPENED(test_limit_of_a_user),
		OPENED(test_limit_in_all),
		OPENED(test_counts_after_a_loss),
		OPENED(test_holdings),
		OPENED(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
