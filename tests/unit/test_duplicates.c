/*
 * Tests of duplicates.h: what is the same message, what is under way, what has
 * arrived or failed, what a restart and a crash leave, and a file that cannot
 * be written. The clock is the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/duplicates.h"
#include "tests/unit/statetest.h"

#define JULIET "juliet@partner.test/balcony"
#define ROMEO  "romeo@corp.test"

/* --- a loop that stands still --- */

struct loop_timer {
	bool set;
};

static int64_t now = 1000000;

int64_t loop_now(const struct loop *loop)
{
	(void)loop;
	return now;
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn *fn, void *ctx)
{
	(void)loop;
	(void)fn;
	(void)ctx;
	return xcalloc(1, sizeof(struct loop_timer));
}

void loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	assert_true(delay_ms >= 0);
	t->set = true;
}

bool loop_timer_pending(const struct loop_timer *t)
{
	return t->set;
}

void loop_timer_destroy(struct loop_timer *t)
{
	free(t);
}

/* --- */

struct stage {
	struct statetest *files;
	struct duplicates *d;
	int64_t count, time_ms;
};

static void open_window(struct stage *s)
{
	const struct duplicates_setup setup = { .state = s->files->state,
						.count = s->count,
						.time_ms = s->time_ms };

	assert_int_equal(duplicates_create(&setup, &s->d), OK);
}

static int setup(void **state)
{
	struct stage *s = xcalloc(1, sizeof(*s));
	void *files = NULL;

	statetest_setup(&files);
	s->files = files;
	s->count = 1000;
	s->time_ms = 1800000;
	open_window(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;
	void *files = s->files;

	duplicates_destroy(s->d);
	statetest_teardown(&files);
	free(s);
	return 0;
}

/* The end of a turn. */
static void turn(struct stage *s)
{
	duplicates_flush(s->d);
	state_commit(s->files->state);
}

static void restart(struct stage *s)
{
	duplicates_destroy(s->d);
	statetest_close(s->files);
	statetest_open(s->files);
	open_window(s);
}

/* What kill -9 leaves: nothing more is written. */
static void crash(struct stage *s)
{
	char *copy = xasprintf("%s/copy.db", s->files->files->folder);
	char *command =
		xasprintf("cp %s %s && if test -f %s-wal; then cp %s-wal %s-wal; fi", s->files->files->path,
			  copy, s->files->files->path, s->files->files->path, copy);
	char *back = xasprintf("mv %s %s && if test -f %s-wal; then mv %s-wal %s-wal; fi", copy,
			       s->files->files->path, copy, copy, s->files->files->path);

	assert_int_equal(system(command), 0);
	duplicates_destroy(s->d);
	statetest_close(s->files);
	assert_int_equal(system(back), 0);
	statetest_open(s->files);
	open_window(s);
	free(copy);
	free(command);
	free(back);
}

static struct stanza *message(const char *from, const char *to, const char *id, const char *inner)
{
	struct strbuf b = { .s = NULL };
	struct stanza *m;

	strbuf_puts(&b, inner);
	m = stanza_make(STANZA_MESSAGE, from, to, id, "chat", NULL, &b);
	strbuf_free(&b);
	return m;
}

static bool hash_of(struct stage *s, struct stanza *m, struct seen_hash *hash)
{
	struct jid from, to;
	bool looked_for;

	assert_int_equal(jid_parse(m->from, &from), OK);
	assert_int_equal(jid_parse(m->to, &to), OK);
	looked_for = duplicates_hash(s->d, m, &from, &to, hash);
	stanza_unref(m);
	return looked_for;
}

static struct seen_hash hash_id(struct stage *s, const char *id)
{
	struct seen_hash hash = { 0, 0 };

	assert_true(hash_of(s, message(JULIET, ROMEO, id, "<body>hello</body>"), &hash));
	return hash;
}

struct told {
	unsigned confirmed, failed;
};

static void on_told(void *ctx, bool confirmed)
{
	struct told *t = ctx;

	t->confirmed += confirmed;
	t->failed += !confirmed;
}

/* So many are under way at a time, at most. */
static struct arrival *next_arrival(void)
{
	static struct arrival places[8];
	static unsigned next;

	return &places[next++ % ARRAY_SIZE(places)];
}

static struct arrival *enter(struct stage *s, const char *id, enum arrival_kind expected)
{
	static struct told nobody;
	struct seen_hash hash = hash_id(s, id);
	struct arrival *a = next_arrival();
	enum arrival_kind kind = duplicates_enter(s->d, &hash, 0, on_told, &nobody, a);

	if (kind != expected)
		fail_msg("%s: %d, not %d", id, (int)kind, (int)expected);
	assert_int_equal(a->window != NULL, kind == ARRIVAL_NEW);
	return a;
}

static void arrive(struct stage *s, const char *id)
{
	duplicates_settle(enter(s, id, ARRIVAL_NEW), true);
}

static void assert_known(struct stage *s, const char *id, bool known)
{
	duplicates_settle(enter(s, id, known ? ARRIVAL_AGAIN : ARRIVAL_NEW), false);
}

static json_int_t status_of(struct stage *s, const char *key)
{
	json_t *status = duplicates_status(s->d);
	json_int_t value = json_integer_value(json_object_get(status, key));

	json_decref(status);
	return value;
}

/* --- what is the same --- */

static void test_same(void **state)
{
#define OLD "<body>hello</body>"
#define DELAY                                                                                                \
	"<delay xmlns='urn:xmpp:delay' from='partner.test' stamp='2026-11-21T12:00:00Z'>Offline &gt; "       \
	"storage</delay>"
	static const struct {
		const char *from, *to, *id, *inner;
		bool same;
	} rows[] = {
		{ JULIET, ROMEO, "1", OLD, true },
		{ "Juliet@PARTNER.test/balcony", "romeo@Corp.Test", "1", OLD, true },
		/* What a server adds when it sends again. */
		{ JULIET, ROMEO, "1", OLD DELAY, true },
		{ JULIET, ROMEO, "1", DELAY OLD, true },
		{ JULIET, ROMEO, "1", OLD "<x xmlns='jabber:x:delay' stamp='20261121T12:00:00'>later</x>",
		  true },
		/* An attribute's order may change, and nothing is said by it alone. */
		{ JULIET, ROMEO, "1", OLD "<active xmlns='http://jabber.org/protocol/chatstates'/>", true },
		{ JULIET, ROMEO, "1", "\n<body\txml:lang='en' >hello</body >\n", true },
		/* Another one. */
		{ "juliet@partner.test/orchard", ROMEO, "1", OLD, false },
		{ "juliet@partner.test", ROMEO, "1", OLD, false },
		{ JULIET, "romeo@corp.test/x", "1", OLD, false },
		{ JULIET, "tybalt@corp.test", "1", OLD, false },
		{ JULIET, ROMEO, "11", OLD, false },
		{ JULIET, ROMEO, "1", "<body>hello!</body>", false },
		{ JULIET, ROMEO, "1", "<body>hell</body>", false },
		{ JULIET, ROMEO, "1", "<body>hello</body><body xml:lang='cs'>ahoj</body>", false },
		{ JULIET, ROMEO, "1", "<subject>hello</subject><body>hello</body>", false },
		{ JULIET, ROMEO, "1", "<body>hello</body><thread>t</thread>", false },
		{ JULIET, ROMEO, "1",
		  "<body>hello</body><encrypted xmlns='e'><header><key>AA==</key></header></encrypted>",
		  false },
		{ JULIET, ROMEO, "1", "<body>hel</body><body>lo</body>", false },
		{ JULIET, ROMEO, "1", OLD "<x xmlns='jabber:x:other'>later</x>", false },
		{ JULIET, ROMEO, "1", OLD "<delayed>later</delayed>", false },
	};
	struct stage *s = *state;
	const struct seen_hash first = hash_id(s, "1");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen_hash hash = { 0, 0 };
		struct stanza *m = message(rows[i].from, rows[i].to, rows[i].id, rows[i].inner);

		if (!hash_of(s, m, &hash) || (memcmp(&hash, &first, sizeof(hash)) == 0) != rows[i].same)
			fail_msg("row %zu", i);
	}
}

static void test_not_looked_for(void **state)
{
	static const struct {
		enum stanza_kind kind;
		const char *id, *type, *inner;
		bool looked_for;
	} rows[] = {
		{ STANZA_MESSAGE, "1", "chat", "<body>hello</body>", true },
		{ STANZA_MESSAGE, "1", NULL, "<body>hello</body>", true },
		{ STANZA_MESSAGE, "1", "normal", "<body><![CDATA[a<b>]]></body>", true },
		{ STANZA_MESSAGE, NULL, "chat", "<body>hello</body>", false },
		{ STANZA_MESSAGE, "", "chat", "<body>hello</body>", false },
		{ STANZA_MESSAGE, "1", "error", "<body>hello</body>", false },
		{ STANZA_MESSAGE, "1", "headline", "<body>hello</body>", false },
		{ STANZA_MESSAGE, "1", "groupchat", "<body>hello</body>", false },
		{ STANZA_MESSAGE, "1", "chat", "", false },
		{ STANZA_MESSAGE, "1", "chat", "<body/>", false },
		{ STANZA_MESSAGE, "1", "chat", "<body></body>", false },
		{ STANZA_MESSAGE, "1", "chat", "<bodys>hello</bodys>", false },
		{ STANZA_MESSAGE, "1", "chat", "<x a='<body>no</body>' b=\"/>\"/>", false },
		{ STANZA_MESSAGE, "1", "chat", "<html><body>hello</body></html>", false },
		{ STANZA_MESSAGE, "1", "chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
		  false },
		{ STANZA_PRESENCE, "1", NULL, "<body>hello</body>", false },
		{ STANZA_IQ, "1", "get", "<body>hello</body>", false },
	};
	struct stage *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf b = { .s = NULL };
		struct seen_hash hash;

		strbuf_puts(&b, rows[i].inner);
		if (hash_of(s, stanza_make(rows[i].kind, JULIET, ROMEO, rows[i].id, rows[i].type, NULL, &b),
			    &hash) != rows[i].looked_for)
			fail_msg("row %zu", i);
		strbuf_free(&b);
	}
}

/* Bytes that are no stanza are read no further than they are understood, and never past their end. */
static void test_broken_bytes(void **state)
{
	static const char whole[] = "<message a='>\"'><body b=\"'>\">x<![CDATA[y]]></body><delay/></message>";
	(void)state;

	for (size_t n = 0; n < sizeof(whole); n++) {
		char *bytes = xmalloc(n + 1);
		struct strbuf out = { .s = NULL };
		struct stanza m = { .kind = STANZA_MESSAGE, .bytes = bytes, .size = n };

		memcpy(bytes, whole, n);
		bytes = xrealloc(bytes, n > 0 ? n : 1); /* exactly so many, for the sanitizer */
		m.bytes = bytes;
		if (stanza_texts(&m, &out))
			assert_memory_equal(out.s, "x<", 2);
		strbuf_free(&out);
		free(bytes);
	}
}

static void test_end_tags_alone(void **state)
{
	static const char bytes[] = "</message></message></message><message><body>x</body></message>";
	const struct stanza m = { .kind = STANZA_MESSAGE, .bytes = bytes, .size = sizeof(bytes) - 1 };
	struct strbuf out = { .s = NULL };
	(void)state;

	assert_false(stanza_texts(&m, &out));
	assert_int_equal(out.len, 0);
	strbuf_free(&out);
}

/* --- under way --- */

static void test_waits(void **state)
{
	struct stage *s = *state;
	struct arrival *a = enter(s, "1", ARRIVAL_NEW), *b = enter(s, "2", ARRIVAL_NEW), other;
	struct seen_hash one = hash_id(s, "1"), two = hash_id(s, "2");
	struct told first = { 0, 0 }, second = { 0, 0 };

	assert_int_equal(duplicates_enter(s->d, &one, 0, on_told, &first, &other), ARRIVAL_WAITS);
	assert_int_equal(duplicates_enter(s->d, &one, 7, on_told, &first, &other), ARRIVAL_WAITS);
	assert_int_equal(duplicates_enter(s->d, &two, 0, on_told, &second, &other), ARRIVAL_WAITS);
	assert_null(other.window);
	assert_int_equal(status_of(s, "under_way"), 2);
	assert_int_equal(status_of(s, "suppressed"), 3);
	duplicates_settle(a, true);
	assert_int_equal(first.confirmed, 2);
	assert_int_equal(second.confirmed + second.failed, 0);
	assert_known(s, "1", true);
	/* It failed: the second one is told, and the third is a new one. */
	duplicates_settle(b, false);
	assert_int_equal(second.failed, 1);
	assert_known(s, "2", false);
	assert_int_equal(status_of(s, "under_way"), 0);
	duplicates_settle(&other, true);
}

struct again {
	struct stage *stage;
	enum arrival_kind kind;
};

static void enter_again(void *ctx, bool confirmed)
{
	struct again *again = ctx;
	struct seen_hash hash = hash_id(again->stage, "2");
	struct arrival a;
	(void)confirmed;

	again->kind = duplicates_enter(again->stage->d, &hash, 0, on_told, NULL, &a);
	duplicates_settle(&a, true);
}

/* Who is told may bring something else along. */
static void test_entering_from_inside(void **state)
{
	struct stage *s = *state;
	struct arrival *a = enter(s, "1", ARRIVAL_NEW), other;
	struct seen_hash hash = hash_id(s, "1");
	struct again again = { s, ARRIVAL_AGAIN };

	assert_int_equal(duplicates_enter(s->d, &hash, 0, enter_again, &again, &other), ARRIVAL_WAITS);
	duplicates_settle(a, true);
	assert_int_equal(again.kind, ARRIVAL_NEW);
	assert_known(s, "2", true);
}

/* The same id with another text is another message, and neither hides the other. */
static void test_same_id_other_text(void **state)
{
	struct stage *s = *state;
	char text[64];

	for (int i = 0; i < 100; i++) {
		struct seen_hash hash = { 0, 0 };
		struct arrival a;

		snprintf(text, sizeof(text), "<body>text %d</body>", i);
		assert_true(hash_of(s, message(JULIET, ROMEO, "same", text), &hash));
		assert_int_equal(duplicates_enter(s->d, &hash, 0, on_told, NULL, &a), ARRIVAL_NEW);
		duplicates_settle(&a, true);
		assert_int_equal(duplicates_enter(s->d, &hash, 0, on_told, NULL, &a), ARRIVAL_AGAIN);
	}
}

/* --- forgetting --- */

static void test_forget(void **state)
{
	struct stage *s = *state;
	struct jid juliet, other;

	assert_int_equal(jid_parse(JULIET, &juliet), OK);
	assert_int_equal(jid_parse("juliet@partner.test/orchard", &other), OK);
	arrive(s, "1");
	arrive(s, "2");
	duplicates_forget(s->d, &other, "1");
	duplicates_forget(s->d, &juliet, "3");
	duplicates_forget(s->d, &juliet, NULL);
	assert_known(s, "1", true);
	duplicates_forget(s->d, &juliet, "1");
	assert_known(s, "1", false);
	assert_known(s, "2", true);
	turn(s);
	crash(s);
	assert_known(s, "1", false);
	assert_known(s, "2", true);
	/* And what was written is forgotten in the file, too. */
	duplicates_forget(s->d, &juliet, "2");
	now += 1000;
	turn(s);
	arrive(s, "1");
	now += 1000;
	turn(s);
	crash(s);
	assert_known(s, "1", true);
	assert_known(s, "2", false);
}

/* In one transaction with the message that is kept; one that fails takes both along. */
static void test_keep(void **state)
{
	struct stage *s = *state;
	struct arrival *a = enter(s, "1", ARRIVAL_NEW);

	duplicates_keep(a);
	duplicates_keep(a);
	assert_int_equal(state_begin(s->files->state), OK);
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 0);
	duplicates_settle(a, true);
	assert_int_equal(status_of(s, "unwritten"), 0); /* it is not written twice */
	assert_known(s, "1", true);
	a = enter(s, "2", ARRIVAL_NEW);
	duplicates_keep(a);
	assert_int_equal(state_begin(s->files->state), OK);
	assert_int_equal(state_wrote(s->files->state, ERR_IO), ERR_IO);
	turn(s);
	duplicates_settle(a, false);
	assert_known(s, "2", false);
	now += 5000;
	turn(s);
	crash(s);
	assert_known(s, "1", true);
	assert_known(s, "2", false);
}

/* --- time, bounds --- */

static enum arrival_kind enter_from(struct stage *s, const char *id, uint32_t source)
{
	struct seen_hash hash = hash_id(s, id);
	struct arrival a;
	enum arrival_kind kind = duplicates_enter(s->d, &hash, source, on_told, NULL, &a);

	duplicates_settle(&a, true);
	return kind;
}

/* Said twice, or sent twice: by the stream, and by the time between. */
static void test_time(void **state)
{
	static const struct {
		uint32_t first, second;
		int64_t after_ms;
		enum arrival_kind kind;
	} rows[] = {
		{ 0, 0, 0, ARRIVAL_AGAIN },       { 0, 0, 1800000, ARRIVAL_AGAIN },
		{ 0, 0, 1802000, ARRIVAL_NEW },   { 1, 2, 0, ARRIVAL_AGAIN },
		{ 1, 2, 1800000, ARRIVAL_AGAIN }, { 1, 2, 1802000, ARRIVAL_NEW },
		{ 1, 1, 0, ARRIVAL_AGAIN },       { 1, 1, 60000, ARRIVAL_AGAIN },
		{ 1, 1, 62000, ARRIVAL_NEW },     { 0, 1, 1800000, ARRIVAL_AGAIN },
	};
	struct stage *s = *state;
	char id[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(id, sizeof(id), "time %zu", i);
		assert_int_equal(enter_from(s, id, rows[i].first), ARRIVAL_NEW);
		now += rows[i].after_ms;
		if (enter_from(s, id, rows[i].second) != rows[i].kind)
			fail_msg("row %zu", i);
	}
}

static void test_bound(void **state)
{
	struct stage *s = *state;
	char id[32];

	for (int i = 0; i < 12000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		arrive(s, id);
		if (i % 7 == 0) {
			now += 20;
			turn(s);
		}
	}
	turn(s);
	assert_int_equal(status_of(s, "remembered"), 1000);
	for (int pass = 0; pass < 2; pass++) {
		/* The file has what the window has, and not much more. */
		assert_in_range(
			atoi(dbtest_value(s->files->files, "SELECT sum(length(hashes)) / 16 FROM seen")),
			1000, 1000 + 1024 + SEEN_ROW_MAX + 7);
		for (int i = 11990; i < 12000; i++) {
			snprintf(id, sizeof(id), "%d", i);
			assert_known(s, id, true);
		}
		assert_known(s, "11000", true);
		assert_known(s, "10999", false);
		restart(s);
	}
}

/* --- over a restart --- */

static void test_restart(void **state)
{
	struct stage *s = *state;

	restart(s);
	assert_known(s, "1", false);
	arrive(s, "1");
	restart(s); /* what no turn has written is written at the end */
	assert_known(s, "1", true);
	arrive(s, "2");
	turn(s);
	crash(s);
	assert_known(s, "1", true);
	assert_known(s, "2", true);
	/* Numbers go on where they were. */
	arrive(s, "3");
	turn(s);
	crash(s);
	assert_known(s, "1", true);
	assert_known(s, "3", true);
	assert_string_equal(dbtest_value(s->files->files, "SELECT group_concat(number) FROM seen"), "0,1,2");
}

/* Time without a daemon does not count, time with one does. */
static void test_age_over_restart(void **state)
{
	struct stage *s = *state;

	arrive(s, "old");
	turn(s);
	now += 1000;
	arrive(s, "new");
	turn(s);
	duplicates_destroy(s->d);
	s->d = NULL;
	statetest_close(s->files);
	/* As if it had run for 50 minutes between the two, and then had been away for two days. */
	assert_null(dbtest_sql(s->files->files, "UPDATE seen SET at = at - 172800 - (1 - number) * 3000"));
	statetest_open(s->files);
	open_window(s);
	assert_known(s, "old", false);
	assert_known(s, "new", true);
	now += 1802000;
	assert_known(s, "new", false);
	/* The clock was set back. */
	arrive(s, "later");
	turn(s);
	duplicates_destroy(s->d);
	s->d = NULL;
	statetest_close(s->files);
	assert_null(dbtest_sql(s->files->files, "UPDATE seen SET at = at - 500000 WHERE number = "
						"(SELECT max(number) FROM seen)"));
	statetest_open(s->files);
	open_window(s);
	assert_known(s, "later", true);
}

static void test_smaller_window(void **state)
{
	struct stage *s = *state;
	char id[32];

	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "%d", i);
		arrive(s, id);
	}
	s->count = 10;
	restart(s);
	assert_known(s, "89", false);
	assert_known(s, "90", true);
	assert_known(s, "99", true);
	s->count = 1;
	restart(s);
	assert_known(s, "98", false);
	assert_known(s, "99", true);
	s->count = 0;
	restart(s);
	assert_null(s->d);
	assert_null(duplicates_fingerprint(s->d));
	duplicates_flush(s->d);
	duplicates_forget(s->d, NULL, "1");
	json_decref(duplicates_status(s->d));
}

/* Without another reason no two writes follow each other at once. */
static void test_gathering(void **state)
{
	struct stage *s = *state;

	arrive(s, "1");
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 0);
	arrive(s, "2");
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 1);
	arrive(s, "3");
	now += 10;
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 0);
	/* A transaction that is open takes it along. */
	arrive(s, "4");
	assert_int_equal(state_begin(s->files->state), OK);
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 0);
	assert_string_equal(dbtest_value(s->files->files, "SELECT group_concat(length(hashes)) FROM seen"),
			    "16,32,16");
}

/* A file that is locked: the window works, and is written when that is over, as far as it still knows it. */
static void test_locked_file(void **state)
{
	struct stage *s = *state;
	sqlite3 *shell = NULL;
	char id[32];

	assert_int_equal(sqlite3_open(s->files->files->path, &shell), SQLITE_OK);
	assert_int_equal(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 1500; i++) {
		snprintf(id, sizeof(id), "%d", i);
		arrive(s, id);
		if (i % 100 == 0) {
			now += 2000;
			turn(s);
		}
	}
	assert_int_equal(status_of(s, "unwritten"), 1500);
	assert_known(s, "1499", true);
	sqlite3_close(shell);
	now += 2000;
	turn(s);
	assert_int_equal(status_of(s, "unwritten"), 0);
	assert_string_equal(dbtest_value(s->files->files, "SELECT sum(length(hashes)) / 16 FROM seen"),
			    "1000");
	crash(s);
	assert_known(s, "1499", true);
	assert_known(s, "500", true);
	assert_known(s, "499", false);
}

/* --- the file itself --- */

static void test_damaged_file(void **state)
{
	static const struct {
		const char *sql;
		enum err e;
	} rows[] = {
		{ "INSERT INTO seen VALUES (1, 1, zeroblob(16))", OK },
		{ "INSERT INTO seen VALUES (2, 1, zeroblob(15))", ERR_REFUSED },
		{ "INSERT INTO seen VALUES (3, 1, zeroblob(0))", ERR_REFUSED },
		{ "INSERT INTO seen VALUES (3, 1, '0123456789abcdef')", ERR_REFUSED },
		{ "INSERT INTO seen_key VALUES (2, zeroblob(16))", ERR_REFUSED },
		{ "INSERT INTO seen VALUES (4, 1, zeroblob(16 * 4097))", ERR_IO },
		{ "DELETE FROM seen_key", ERR_IO },
	};
	struct stage *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct duplicates_setup setup = { .state = s->files->state,
							.count = 10,
							.time_ms = 1000 };
		struct duplicates *d = NULL;
		bool refused = dbtest_sql(s->files->files, rows[i].sql) != NULL;
		enum err e;

		assert_int_equal(refused, rows[i].e == ERR_REFUSED);
		e = duplicates_create(&setup, &d);
		if (e != (refused ? OK : rows[i].e))
			fail_msg("row %zu: %s", i, err_text(e));
		if (e == OK)
			duplicates_destroy(d);
		else
			assert_null(d);
		if (e != OK)
			assert_null(dbtest_sql(s->files->files, "DELETE FROM seen"));
	}
}

/* Each file has a key of its own. */
static void test_key(void **state)
{
	struct stage *s = *state;
	struct seen_hash here = hash_id(s, "1"), there;
	void *other = NULL;
	struct stage t = { .count = 10, .time_ms = 1000 };

	statetest_setup(&other);
	t.files = other;
	open_window(&t);
	there = hash_id(&t, "1");
	assert_true(here.name != there.name && here.content != there.content);
	restart(s);
	there = hash_id(s, "1");
	assert_memory_equal(&here, &there, sizeof(here));
	duplicates_destroy(t.d);
	statetest_teardown(&other);
}

/* --- requests --- */

static void test_requests(void **state)
{
	static const struct {
		const char *call_id, *from_tag, *method, *from_uri, *to_uri, *body;
		unsigned cseq;
		bool same;
	} rows[] = {
		{ "c", "t", "MESSAGE", "sip:a@x", "sip:b@y", "hi", 1, true },
		{ "c", "t", "MESSAGE", "sip:a@x", "sip:b@y", "hi", 2, false },
		{ "c", "u", "MESSAGE", "sip:a@x", "sip:b@y", "hi", 1, false },
		{ "d", "t", "MESSAGE", "sip:a@x", "sip:b@y", "hi", 1, false },
		{ "c", "t", "INVITE", "sip:a@x", "sip:b@y", "hi", 1, false },
		{ "c", "t", "MESSAGE", "sip:a@x", "sip:b@y", "ho", 1, false },
		{ "c", "t", "MESSAGE", "sip:a@x", "sip:c@y", "hi", 1, false },
		{ "c", NULL, "MESSAGE", "sip:a@x", NULL, "", 1, false },
	};
	struct stage *s = *state;
	struct seen_hash first, hash;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sip_request request = { .call_id = rows[i].call_id,
					       .from_tag = rows[i].from_tag,
					       .cseq = rows[i].cseq,
					       .method = rows[i].method,
					       .from_uri = rows[i].from_uri,
					       .to_uri = rows[i].to_uri,
					       .body = rows[i].body,
					       .body_size = strlen(rows[i].body) };

		fingerprint_request(duplicates_fingerprint(s->d), &request, i == 0 ? &first : &hash);
		if (i > 0 && (memcmp(&hash, &first, sizeof(hash)) == 0) != rows[i].same)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_looked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_bytes, setup, teardown),
		cmocka_unit_test(test_end_tags_alone),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entering_from_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_id_other_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_age_over_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smaller_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gathering, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
