/*
 * Tests of custody.h: what is kept, let go, given back, put aside; and a long
 * game of chance in which users are moved, next hops come and go, refuse, and
 * the process is killed: each message arrives once, those of two users in order,
 * or its sender hears that it did not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utlist.h>

#include "bridge/route/custody_internal.h"
#include "tests/unit/statetest.h"

enum { USERS = 3, CONTACTS = 3, FLIGHTS = 512, NUMBERS = 4096 };

/* A message with a next hop. */
struct flight {
	struct game *game;
	struct stanza *stanza;
	struct custody_pass pass; /* a new one */
	release_fn *done;         /* or one out of custody */
	void *ctx;
	enum spool_hop hop;
	struct flight *prev, *next;
};

/* An error on its way to a sender. */
struct sent_error {
	int contact, user, number;
	bool left; /* behind the commit of its turn */
	enum condition condition;
	char text[64];
	told_fn *done;
	void *ctx;
	struct sent_error *prev, *next;
};

struct game {
	struct statetest *files;
	struct loop *loop;
	struct spool *spool;
	struct spool *reader; /* what is on disk; NULL: nobody looks */
	struct custody *custody;
	struct config config;
	enum spool_origin origin;   /* of what is kept */
	enum spool_hop side[USERS]; /* where each user is now; SPOOL_MOVE: he is being moved */
	struct flight *flights[SPOOL_HOPS];
	int sent[CONTACTS][USERS], last[CONTACTS][USERS];
	bool blind; /* where the users are cannot be read */
	bool far;   /* senders: an error takes its time, until hear() */
	struct sent_error *errors;
	int deliveries[CONTACTS][USERS][NUMBERS], failures[CONTACTS][USERS][NUMBERS],
		heard[CONTACTS][USERS][NUMBERS];
	int arrived, bounced, keeps, kept, refused, kills; /* keeps: kept and refused are its outcomes */
};

static const struct spool_limits limits = { 100000, 100000000, 100000, 100000000, 100000, 100000000 };

static void get_jids(const struct stanza *s, struct jid *from, struct jid *to)
{
	assert_int_equal(jid_parse(s->from, from), OK);
	assert_int_equal(jid_parse(s->to, to), OK);
}

static struct stanza *message(int contact, int user, int number)
{
	struct strbuf inner = { 0 };
	char from[64], to[64];
	struct stanza *s;

	snprintf(from, sizeof(from), "c%d@partner.test/r", contact);
	snprintf(to, sizeof(to), "u%d@corp.test", user);
	strbuf_printf(&inner, "<body>%d %d %d</body>", contact, user, number);
	s = stanza_make(STANZA_MESSAGE, from, to, NULL, "chat", NULL, &inner);
	strbuf_free(&inner);
	return s;
}

static void read_numbers(const struct stanza *s, int *contact, int *user, int *number)
{
	struct stanza_tree *tree;

	assert_int_equal(stanza_tree_build(s, &tree), OK);
	assert_int_equal(sscanf(stanza_tree_text(tree, "body", NULL), "%d %d %d", contact, user, number), 3);
	stanza_tree_free(tree);
}

/* At its end: it must be the next one of its pair that was not refused; or, behind a kill, the last one again. */
static void arrive(struct game *g, const struct stanza *s)
{
	int contact, user, number, next;

	read_numbers(s, &contact, &user, &number);
	next = g->last[contact][user] + 1;
	while (next < number && g->failures[contact][user][next] > 0)
		next++;
	if (next != number && !(g->kills > 0 && number == g->last[contact][user]))
		fail_msg("from c%d to u%d: %d after %d", contact, user, number, g->last[contact][user]);
	if (g->heard[contact][user][number] > 0)
		fail_msg("from c%d to u%d: %d, of which its sender has heard that it failed", contact, user,
			 number);
	g->last[contact][user] = number;
	g->deliveries[contact][user][number]++;
	g->arrived++;
}

static void fly(struct game *g, struct flight *f, enum spool_hop hop)
{
	f->game = g;
	f->hop = hop;
	DL_APPEND(g->flights[hop], f);
}

static void on_kept(void *ctx, struct stanza *s, const struct outcome *outcome)
{
	struct flight *f = ctx;
	int contact, user, number;

	*(outcome->confirmed ? &f->game->kept : &f->game->refused) += 1;
	if (!outcome->confirmed) {
		read_numbers(s, &contact, &user, &number);
		f->game->failures[contact][user][number]++;
		f->game->heard[contact][user][number]++;
	}
	custody_leave(&f->pass);
	free(f);
}

static void keep(struct game *g, struct flight *f, enum spool_hop hop)
{
	struct stanza *s = f->stanza;
	struct jid from, to;

	get_jids(s, &from, &to);
	f->game = g;
	g->keeps++;
	custody_keep(&f->pass, &(struct custody_item){ s, &from, &to, hop, g->origin }, on_kept, f);
	stanza_unref(s);
}

static void write_to(struct game *g, int contact, int user)
{
	struct flight *f = xcalloc(1, sizeof(*f));
	struct jid from, to;

	f->stanza = message(contact, user, ++g->sent[contact][user]);
	get_jids(f->stanza, &from, &to);
	custody_enter(g->custody, &from, &to, &f->pass);
	if (g->side[user] == SPOOL_MOVE || custody_waits(&f->pass, g->side[user])) {
		keep(g, f, g->side[user]);
	} else {
		custody_go(&f->pass, g->side[user]);
		fly(g, f, g->side[user]);
	}
}

static bool has_begun(void *ctx, const struct spool_message *m)
{
	(void)ctx;
	assert_int_equal(m->begun, 1);
	return false;
}

static void on_submit(void *ctx, const struct custody_item *item, release_fn *done, void *done_ctx)
{
	struct game *g = ctx;
	struct flight *f;
	int user = item->to->local[1] - '0';

	if (g->reader != NULL)
		assert_int_equal(spool_get(g->reader, 1, has_begun, NULL), OK);
	if (g->blind) {
		done(done_ctx, RELEASE_AGAIN, item->hop, &(struct outcome){ .unsent = true });
		return;
	}
	if (g->side[user] == SPOOL_MOVE) {
		done(done_ctx, RELEASE_WAIT, SPOOL_MOVE,
		     &(struct outcome){ .unsent = true, .text = "being moved" });
		return;
	}
	f = xcalloc(1, sizeof(*f));
	f->stanza = stanza_ref(item->stanza);
	f->done = done;
	f->ctx = done_ctx;
	fly(g, f, g->side[user]);
}

static void on_bounce(void *ctx, const struct custody_item *item, const struct outcome *outcome,
		      told_fn *done, void *done_ctx)
{
	struct game *g = ctx;
	struct sent_error *e = xcalloc(1, sizeof(*e));

	assert_false(outcome->confirmed);
	g->bounced++;
	e->done = done;
	e->ctx = done_ctx;
	e->condition = outcome->condition;
	snprintf(e->text, sizeof(e->text), "%s", outcome->text);
	read_numbers(item->stanza, &e->contact, &e->user, &e->number);
	g->failures[e->contact][e->user][e->number]++;
	if (g->far) {
		DL_APPEND(g->errors, e);
		return;
	}
	free(e);
	done(done_ctx, true);
}

static void commit(struct game *g)
{
	struct sent_error *e;

	DL_FOREACH (g->errors, e)
		e->left = true;
	state_commit(g->files->state);
}

/* The first error reaches its sender, or, over false, is to be tried again. */
static void hear(struct game *g, bool over)
{
	struct sent_error *e = g->errors;

	assert_true(e->left);
	DL_DELETE(g->errors, e);
	g->heard[e->contact][e->user][e->number] += over;
	e->done(e->ctx, over);
	free(e);
}

/* The next hop has the first that was given to it, or gives it back. */
static void end_flight(struct game *g, enum spool_hop hop, bool taken)
{
	struct flight *f = g->flights[hop];

	DL_DELETE(g->flights[hop], f);
	if (taken)
		arrive(g, f->stanza);
	if (f->done != NULL) {
		f->done(f->ctx, taken ? RELEASE_DONE : RELEASE_WAIT, hop,
			&(struct outcome){ .confirmed = taken, .unsent = !taken, .text = "away" });
	} else if (!taken) {
		custody_return(&f->pass);
		keep(g, f, hop);
		return;
	} else {
		custody_leave(&f->pass);
	}
	stanza_unref(f->stanza);
	free(f);
}

static void give_back_all(struct game *g, enum spool_hop hop)
{
	while (g->flights[hop] != NULL)
		end_flight(g, hop, false);
}

/* It is kept, wherever its user is. */
static void keep_next(struct game *g, int contact, int user, enum spool_hop hop)
{
	struct flight *f = xcalloc(1, sizeof(*f));
	struct jid from, to;

	f->stanza = message(contact, user, ++g->sent[contact][user]);
	get_jids(f->stanza, &from, &to);
	custody_enter(g->custody, &from, &to, &f->pass);
	keep(g, f, hop);
}

/* The turn's transaction fails. */
static void fail_commit(struct game *g)
{
	assert_int_equal(state_wrote(g->files->state, ERR_IO), ERR_IO);
	state_commit(g->files->state);
}

/* One turn, in which every wait is over. */
static void turn(struct game *g)
{
	custody_wake(g->custody, NULL);
	g->custody->expire_at = 0;
	custody_tick(g->custody);
	commit(g);
}

static void open_custody(struct game *g)
{
	const struct custody_setup setup = { .loop = g->loop,
					     .state = g->files->state,
					     .spool = g->spool,
					     .config = &g->config,
					     .submit = on_submit,
					     .bounce = on_bounce,
					     .ctx = g };

	assert_int_equal(custody_create(&setup, &g->custody), OK);
}

/* kill -9: what was not committed is gone, and so is all that was on its way out of custody. */
static void kill_process(struct game *g)
{
	struct sent_error *e, *next_error;
	struct flight *f, *next;

	DL_FOREACH_SAFE (g->errors, e, next_error) {
		DL_DELETE(g->errors, e);
		free(e);
	}
	for (int hop = 0; hop < SPOOL_HOPS; hop++)
		DL_FOREACH_SAFE (g->flights[hop], f, next) {
			assert_non_null(f->done);
			DL_DELETE(g->flights[hop], f);
			stanza_unref(f->stanza);
			free(f);
		}
	db_rollback(state_db(g->files->state));
	custody_destroy(g->custody);
	spool_destroy(g->spool);
	statetest_close(g->files);
	statetest_open(g->files);
	g->spool = spool_create(g->files->state, &limits);
	open_custody(g);
	g->kills++;
}

static int game_setup(void **state)
{
	struct game *g = xcalloc(1, sizeof(*g));
	void *files;

	statetest_setup(&files);
	g->files = files;
	g->loop = loop_create();
	g->spool = spool_create(g->files->state, &limits);
	g->config.spool.keep_ms = 3600000;
	for (int i = 0; i < USERS; i++)
		g->side[i] = SPOOL_LEGACY_GATEWAY;
	open_custody(g);
	*state = g;
	return 0;
}

static int game_teardown(void **state)
{
	struct game *g = *state;
	void *files = g->files;

	custody_destroy(g->custody);
	spool_destroy(g->spool);
	loop_destroy(g->loop);
	statetest_teardown(&files);
	free(g);
	return 0;
}

static int waiting(struct game *g)
{
	struct spool_occupancy o;

	assert_int_equal(spool_count(g->spool, "", &o), OK);
	return (int)o.messages;
}

/* All that is on its way arrives, until nothing is left anywhere. */
static void finish(struct game *g)
{
	for (int i = 0; i < USERS; i++)
		if (g->side[i] == SPOOL_MOVE)
			g->side[i] = SPOOL_NEW_POOL;
	for (bool busy = true; busy;) {
		busy = false;
		turn(g);
		for (int hop = 0; hop < SPOOL_HOPS; hop++)
			while (g->flights[hop] != NULL) {
				end_flight(g, (enum spool_hop)hop, true);
				busy = true;
			}
		while (g->errors != NULL)
			hear(g, true);
		commit(g);
		busy = busy || waiting(g) > 0;
	}
	assert_null(g->custody->lanes);
	assert_null(g->custody->users);
	assert_null(g->custody->to_look_at);
	assert_null(timerheap_first(&g->custody->waiting));
	assert_null(g->custody->told);
	for (int hop = 0; hop < SPOOL_HOPS; hop++) {
		assert_int_equal(g->custody->releasing[hop], 0);
		assert_null(g->custody->ready[hop]);
	}
}

/* The time of the only lane. */
static void comes_due(const struct game *g, int64_t at)
{
	g->custody->lanes->retry_at = at;
	timerheap_remove(&g->custody->waiting, &g->custody->lanes->wait);
	if (g->custody->lanes->place == LANE_WAITING)
		g->custody->lanes->place = LANE_NOWHERE;
	lane_look(g->custody->lanes);
}

static void expect_all(const struct game *g)
{
	for (int c = 0; c < CONTACTS; c++)
		for (int u = 0; u < USERS; u++)
			assert_int_equal(g->last[c][u], g->sent[c][u]);
	assert_int_equal(g->refused, 0);
}

/* --- tests --- */

static void test_held_while_moving(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	for (int i = 0; i < 5; i++)
		write_to(g, 0, 0);
	assert_int_equal(g->kept, 0);
	state_commit(g->files->state);
	assert_int_equal(g->kept, 5);
	turn(g);
	assert_int_equal(waiting(g), 5);
	g->side[0] = SPOOL_NEW_POOL;
	turn(g);
	write_to(g, 0, 0); /* behind the others */
	assert_int_equal(waiting(g), 6);
	finish(g);
	expect_all(g);
}

/* What waited for the end of a move is gone before its time: what comes then does not inherit that. */
static void test_after_one_held(void **state)
{
	struct game *g = *state;

	write_to(g, 0, 0);
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	commit(g);
	assert_int_equal(custody_bounce(g->custody, 1), OK);
	commit(g);
	commit(g);
	assert_int_equal(waiting(g), 0);
	g->side[0] = SPOOL_NEW_POOL;
	write_to(g, 0, 0); /* behind the first, which is under way still */
	commit(g);
	end_flight(g, SPOOL_LEGACY_GATEWAY, true);
	custody_tick(g->custody);
	commit(g);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	finish(g);
	expect_all(g);
}

static int64_t time_of(const struct game *g, const char *pair)
{
	return custody_find(g->custody, pair)->retry_at;
}

/* Its user's move is over, and where he is now cannot be read: nothing wakes it once more, so it does not wait for that. */
static void test_unreadable_behind_a_wake(void **state)
{
	struct game *g = *state;

	g->side[0] = g->side[1] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 1);
	commit(g);
	g->blind = true;
	custody_wake(g->custody, "u0@corp.test");
	custody_tick(g->custody);
	commit(g);
	assert_in_range(time_of(g, "c0@partner.test u0@corp.test"), 1,
			time_of(g, "c0@partner.test u1@corp.test") - 1);
	g->blind = false;
	finish(g);
	expect_all(g);
}

/* The first is with the legacy gateway when its user is moved; the second waits for its end. */
static void test_nothing_overtakes_what_is_under_way(void **state)
{
	struct game *g = *state;

	write_to(g, 0, 0);
	g->side[0] = SPOOL_NEW_POOL;
	write_to(g, 0, 0);
	turn(g);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	end_flight(g, SPOOL_LEGACY_GATEWAY, true);
	turn(g);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	finish(g);
	expect_all(g);
}

/* What comes back goes before what was kept meanwhile. */
static void test_returned_keeps_its_place(void **state)
{
	struct game *g = *state;

	write_to(g, 0, 0);
	write_to(g, 0, 0);
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	give_back_all(g, SPOOL_LEGACY_GATEWAY);
	state_commit(g->files->state);
	assert_int_equal(waiting(g), 3);
	finish(g);
	expect_all(g);
	assert_int_equal(g->arrived, 3);
}

/* Typing goes past those that wait, and nothing takes its next hop for theirs. */
static void test_what_goes_past(void **state)
{
	struct game *g = *state;
	struct stanza *s = message(0, 0, 0);
	struct custody_pass typing;
	struct jid from, to;

	get_jids(s, &from, &to);
	write_to(g, 0, 0);
	g->side[0] = SPOOL_NEW_POOL;
	custody_enter(g->custody, &from, &to, &typing);
	assert_true(custody_waits(&typing, SPOOL_NEW_POOL));
	custody_go(&typing, SPOOL_NEW_POOL);
	write_to(g, 0, 0);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	commit(g);
	end_flight(g, SPOOL_LEGACY_GATEWAY, false);
	custody_leave(&typing);
	commit(g);
	assert_int_equal(waiting(g), 2);
	finish(g);
	expect_all(g);
	stanza_unref(s);
}

static void test_pairs_do_not_wait_for_each_other(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 1, 1);
	assert_non_null(g->flights[SPOOL_LEGACY_GATEWAY]);
	finish(g);
	expect_all(g);
}

static void test_restart(void **state)
{
	struct game *g = *state;

	g->side[0] = g->side[1] = SPOOL_MOVE;
	for (int i = 0; i < 4; i++) {
		write_to(g, 0, 0);
		write_to(g, 1, 1);
	}
	state_commit(g->files->state);
	custody_destroy(g->custody);
	open_custody(g);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	assert_int_equal(custody_count(g->custody, NULL), 9);
	assert_int_equal(custody_count(g->custody, "u0@corp.test"), 5);
	finish(g);
	expect_all(g);
}

/* The process ends each time while it is on its way: it goes aside, and the one behind it goes on. */
static void test_poison(void **state)
{
	struct game *g = *state;
	struct flight *f;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	for (int i = 0; i < 10; i++) {
		turn(g);
		f = g->flights[SPOOL_NEW_POOL];
		assert_non_null(f);
		DL_DELETE(g->flights[SPOOL_NEW_POOL], f);
		stanza_unref(f->stanza);
		free(f);
		custody_destroy(g->custody);
		open_custody(g);
	}
	turn(g);
	g->last[0][0] = 1;
	turn(g);
	end_flight(g, SPOOL_NEW_POOL, true);
	state_commit(g->files->state);
	assert_int_equal(waiting(g), 1);
	assert_int_equal(g->last[0][0], 2);
	assert_int_equal(custody_bounce(g->custody, 1), OK);
	assert_int_equal(g->bounced, 1);
	finish(g);
}

/* An administrator lets one go that was put aside: before what came later, and with its time anew. */
static void test_retry_of_poison(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	assert_int_equal(spool_quarantine(g->spool, 1, "poison"), OK);
	state_commit(g->files->state);
	custody_destroy(g->custody);
	open_custody(g);
	assert_int_equal(custody_count(g->custody, NULL), 1);
	assert_int_equal(custody_retry(g->custody, 1), OK);
	assert_int_equal(custody_retry(g->custody, 2), OK);
	assert_int_equal(custody_retry(g->custody, 3), ERR_NOT_FOUND);
	assert_int_equal(custody_count(g->custody, NULL), 2);
	g->side[0] = SPOOL_NEW_POOL;
	finish(g);
	expect_all(g);
	assert_int_equal(g->arrived, 2);
}

/* What was delivered but could not leave the spool is not delivered again. */
static void test_failed_commit_of_a_removal(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	turn(g);
	end_flight(g, SPOOL_NEW_POOL, true);
	assert_int_equal(state_wrote(g->files->state, ERR_IO), ERR_IO);
	state_commit(g->files->state);
	assert_int_equal(waiting(g), 2);
	turn(g);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	comes_due(g, 1);
	finish(g);
	expect_all(g);
	assert_int_equal(g->arrived, 2);
}

/* What could not leave the spool waits for its time, not for the next hop, which may come back meanwhile. */
static void test_removal_again_behind_a_wake(void **state)
{
	struct game *g = *state;

	for (int user = 0; user < 2; user++) {
		g->side[user] = SPOOL_NEW_POOL;
		keep_next(g, 0, user, SPOOL_NEW_POOL);
	}
	state_commit(g->files->state);
	turn(g);
	end_flight(g, SPOOL_NEW_POOL, true);
	fail_commit(g);
	end_flight(g, SPOOL_NEW_POOL, false);
	commit(g);
	turn(g);
	end_flight(g, SPOOL_NEW_POOL, true);
	commit(g);
	assert_int_equal(waiting(g), 1);
	assert_true(g->custody->lanes->retry_at > 0);
	comes_due(g, 1);
	finish(g);
	expect_all(g);
	assert_int_equal(g->arrived, 2);
}

static void test_expiry(void **state)
{
	struct game *g = *state;

	g->config.spool.keep_ms = 0;
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	turn(g);
	assert_int_equal(g->bounced, 2);
	assert_null(g->custody->lanes);
	turn(g);
	assert_int_equal(waiting(g), 0);
	assert_null(g->custody->told);
}

/* The disk does not take it that they leave: their sender is told once, and they do not go on. */
static void test_failed_commit_of_a_bounce(void **state)
{
	struct game *g = *state;

	g->config.spool.keep_ms = 0;
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	for (int i = 0; i < 3; i++) {
		custody_wake(g->custody, NULL);
		custody_tick(g->custody);
		g->side[0] = SPOOL_NEW_POOL;
		assert_int_equal(state_wrote(g->files->state, ERR_IO), ERR_IO);
		state_commit(g->files->state);
		assert_int_equal(waiting(g), 1);
		g->custody->expire_at = 0;
	}
	turn(g);
	turn(g);
	assert_int_equal(waiting(g), 0);
	assert_int_equal(g->bounced, 1);
	assert_null(g->custody->lanes);
	assert_null(g->custody->told);
}

/* How a next hop's no comes to one that was let go. */
static void refuse_flight(struct game *g, enum spool_hop hop)
{
	struct flight *f = g->flights[hop];

	assert_non_null(f);
	DL_DELETE(g->flights[hop], f);
	f->done(f->ctx, RELEASE_FAILED, hop,
		&(struct outcome){ .condition = COND_ITEM_NOT_FOUND, .text = "404" });
	stanza_unref(f->stanza);
	free(f);
}

/* Nobody can be told when everything ends: it is there at the next start. */
static void test_failure_at_the_end(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	turn(g);
	custody_end(g->custody);
	refuse_flight(g, SPOOL_NEW_POOL);
	state_commit(g->files->state);
	assert_int_equal(waiting(g), 1);
	custody_destroy(g->custody);
	open_custody(g);
	finish(g);
	expect_all(g);
}

/* A notice between the pools is kept with what it is about: both are lost with the commit, and told again. */
static void test_failed_commit_of_a_notice(void **state)
{
	struct game *g = *state;

	g->origin = SPOOL_FROM_POOL;
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	for (int i = 0; i < 2; i++) {
		comes_due(g, 0);
		custody_tick(g->custody);
		state_commit(g->files->state);
		refuse_flight(g, SPOOL_NEW_POOL);
		if (i == 0)
			fail_commit(g);
		else
			state_commit(g->files->state);
		assert_int_equal(waiting(g), 2 - i);
	}
	g->last[0][0] = 1;
	finish(g);
	expect_all(g);
}

static void test_failed_commit_of_a_notice_of_time(void **state)
{
	struct game *g = *state;

	g->origin = SPOOL_FROM_POOL;
	g->config.spool.keep_ms = 0;
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	custody_tick(g->custody);
	fail_commit(g);
	assert_int_equal(g->bounced, 1);
	assert_null(g->custody->told);
	g->custody->expire_at = 0;
	turn(g);
	assert_int_equal(g->bounced, 2);
	assert_int_equal(waiting(g), 0);
	assert_null(g->custody->lanes);
}

/* One is kept and let go; its next hop says no. */
static void refuse_one(struct game *g, int more)
{
	g->far = true;
	g->side[0] = SPOOL_MOVE;
	for (int i = 0; i <= more; i++)
		write_to(g, 0, 0);
	commit(g);
	g->side[0] = SPOOL_NEW_POOL;
	turn(g);
	refuse_flight(g, SPOOL_NEW_POOL);
}

/* It stays until its sender has the error, and holds up nobody meanwhile. */
static void test_error_on_its_way(void **state)
{
	struct game *g = *state;

	refuse_one(g, 1);
	turn(g);
	assert_null(g->flights[SPOOL_NEW_POOL]); /* its row says first that it has failed */
	turn(g);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	end_flight(g, SPOOL_NEW_POOL, true);
	commit(g);
	assert_int_equal(waiting(g), 1);
	assert_int_equal(custody_count(g->custody, NULL), 0);
	assert_int_equal(custody_retry(g->custody, 1), ERR_NOT_FOUND);
	assert_int_equal(custody_bounce(g->custody, 1), ERR_NOT_FOUND);
	write_to(g, 0, 0);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	hear(g, true);
	commit(g);
	assert_int_equal(waiting(g), 0);
	finish(g);
	assert_int_equal(g->bounced, 1);
	assert_int_equal(g->arrived, 2);
}

/* The next process tells the sender the same, and does not send the message. */
static void test_killed_before_the_error_arrived(void **state)
{
	struct game *g = *state;

	refuse_one(g, 0);
	commit(g);
	kill_process(g);
	assert_int_equal(custody_count(g->custody, NULL), 0);
	turn(g);
	turn(g);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	assert_int_equal(g->bounced, 2);
	assert_int_equal(g->errors->condition, COND_ITEM_NOT_FOUND);
	assert_string_equal(g->errors->text, "404");
	hear(g, true);
	commit(g);
	assert_int_equal(waiting(g), 0);
	finish(g);
}

/* Nobody knows that it was refused: it is sent again. */
static void test_killed_before_the_failure_was_noted(void **state)
{
	struct game *g = *state;

	refuse_one(g, 0);
	kill_process(g);
	turn(g);
	assert_null(g->errors);
	refuse_flight(g, SPOOL_NEW_POOL);
	finish(g);
	assert_int_equal(g->heard[0][0][1], 1);
}

/* He is told twice, rather than never. */
static void test_killed_behind_the_error(void **state)
{
	struct game *g = *state;

	refuse_one(g, 0);
	commit(g);
	hear(g, true);
	kill_process(g);
	finish(g);
	assert_int_equal(g->heard[0][0][1], 2);
	assert_int_equal(g->arrived, 0);
}

/* So it is with what waited too long, and what an administrator gave back. */
static void test_killed_behind_an_expiry(void **state)
{
	struct game *g = *state;

	g->far = true;
	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 1, 0);
	commit(g);
	assert_int_equal(custody_bounce(g->custody, 2), OK);
	commit(g);
	kill_process(g);
	g->config.spool.keep_ms = 0;
	write_to(g, 2, 0);
	commit(g);
	turn(g);
	turn(g);
	assert_int_equal(g->bounced, 3);
	kill_process(g);
	turn(g);
	turn(g);
	assert_int_equal(g->bounced, 5);
	hear(g, true);
	hear(g, true);
	commit(g);
	assert_int_equal(g->heard[1][0][1], 1);
	assert_int_equal(g->heard[2][0][1], 1);
	assert_int_equal(waiting(g), 1);
	finish(g);
}

/* No room on the way to him now: it is tried again, until it is over. */
static void test_error_that_cannot_go(void **state)
{
	struct game *g = *state;

	refuse_one(g, 0);
	for (int i = 1; i <= 3; i++) {
		commit(g);
		assert_int_equal(g->bounced, i);
		hear(g, false);
		assert_null(g->errors);
		assert_int_equal(waiting(g), 1);
		turn(g);
	}
	finish(g);
	assert_int_equal(g->bounced, 4);
	assert_int_equal(g->heard[0][0][1], 1);
}

/* The disk does not take it that it has failed: the error goes once, and nothing is sent to the next hop. */
static void test_failed_commit_of_a_failure(void **state)
{
	struct game *g = *state;

	refuse_one(g, 1);
	for (int i = 0; i < 3; i++) {
		fail_commit(g);
		g->custody->expire_at = 0;
		custody_wake(g->custody, NULL);
		custody_tick(g->custody);
		assert_null(g->flights[SPOOL_NEW_POOL]);
	}
	assert_int_equal(g->bounced, 1);
	turn(g);
	turn(g);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	kill_process(g);
	finish(g);
	assert_int_equal(g->bounced, 2);
	assert_int_equal(g->arrived, 1);
}

/* Its removal is not taken either: it is tried again, and its sender is not told again. */
static void test_failed_commit_behind_the_error(void **state)
{
	struct game *g = *state;

	refuse_one(g, 0);
	commit(g);
	hear(g, true);
	fail_commit(g);
	assert_int_equal(waiting(g), 1);
	turn(g);
	assert_int_equal(waiting(g), 0);
	assert_int_equal(g->bounced, 1);
	finish(g);
}

/* Erased while the error is on its way: that arrives, and nothing is left. */
static void test_erased_before_the_error_arrived(void **state)
{
	struct game *g = *state;
	int64_t count;

	refuse_one(g, 1);
	assert_int_equal(custody_erase(g->custody, "u0@corp.test", &count), OK);
	commit(g);
	assert_int_equal(waiting(g), 0);
	hear(g, true);
	finish(g);
	assert_int_equal(g->bounced, 1);

	g->last[0][0] = 2;
	refuse_one(g, 0);
	commit(g);
	assert_int_equal(custody_erase(g->custody, "u0@corp.test", &count), OK);
	hear(g, false);
	commit(g);
	turn(g);
	finish(g);
}

/* More than are begun at once: each of their senders hears, over a kill, too. */
static void test_many_errors(void **state)
{
	struct game *g = *state;
	int heard = 0;

	g->far = true;
	g->side[0] = SPOOL_MOVE;
	g->config.spool.keep_ms = 0;
	for (int i = 0; i < 350; i++)
		keep_next(g, i % 3, 0, SPOOL_MOVE);
	commit(g);
	turn(g);
	turn(g);
	assert_true(g->bounced < 350);
	kill_process(g);
	while (waiting(g) > 0) {
		turn(g);
		while (g->errors != NULL)
			hear(g, true);
	}
	for (int c = 0; c < 3; c++)
		for (int n = 1; n <= 117; n++)
			heard += g->heard[c][0][n];
	assert_int_equal(heard, 350);
}

/* However long its next hop is away: it is no poison, and when its time is up its sender is told. */
static void test_away_for_long(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	state_commit(g->files->state);
	for (int i = 0; i < 1100; i++) {
		if (i % 2 == 0)
			g->side[0] = SPOOL_NEW_POOL;
		turn(g);
		give_back_all(g, SPOOL_NEW_POOL);
		state_commit(g->files->state);
		g->side[0] = SPOOL_MOVE;
	}
	assert_int_equal(custody_count(g->custody, NULL), 2);
	finish(g);
	expect_all(g);
}

/* What could not be written down was not kept. */
static void test_failed_commit_of_a_message(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	assert_int_equal(state_wrote(g->files->state, ERR_IO), ERR_IO);
	state_commit(g->files->state);
	assert_int_equal(g->refused, 1);
	assert_null(g->custody->lanes);
}

static void test_erase(void **state)
{
	struct game *g = *state;
	int64_t count;

	g->side[0] = g->side[1] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 1, 0);
	write_to(g, 0, 1);
	state_commit(g->files->state);
	assert_int_equal(custody_erase(g->custody, "u0@corp.test", &count), OK);
	assert_int_equal(count, 2);
	state_commit(g->files->state);
	assert_int_equal(custody_count(g->custody, NULL), 1);
	finish(g);
}

/* An erasure while the first is on its way: what comes then is kept, and goes on. */
static void test_erase_while_on_its_way(void **state)
{
	struct game *g = *state;
	int64_t count;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	turn(g);
	assert_int_equal(custody_erase(g->custody, "u0@corp.test", &count), OK);
	state_commit(g->files->state);
	assert_int_equal(custody_count(g->custody, NULL), 0);
	/* The next one is behind it all the same. */
	g->side[0] = SPOOL_LEGACY_GATEWAY;
	write_to(g, 0, 0);
	assert_null(g->flights[SPOOL_LEGACY_GATEWAY]);
	state_commit(g->files->state);
	end_flight(g, SPOOL_NEW_POOL, true);
	state_commit(g->files->state);
	assert_int_equal(custody_count(g->custody, NULL), 1);
	finish(g);
	expect_all(g);
}

/* Nothing was erased: it is there still, and goes on. */
static void test_failed_commit_of_an_erasure(void **state)
{
	struct game *g = *state;
	int64_t count;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	assert_int_equal(custody_erase(g->custody, "u0@corp.test", &count), OK);
	custody_wake(g->custody, NULL);
	custody_tick(g->custody);
	fail_commit(g);
	assert_int_equal(custody_count(g->custody, NULL), 1);
	finish(g);
	expect_all(g);
}

/* It could not be put aside: that is tried again, and the one behind it is not forgotten. */
static void test_failed_commit_of_a_quarantine(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	write_to(g, 0, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(spool_begin(g->spool, 1), OK);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	custody_wake(g->custody, NULL);
	custody_tick(g->custody);
	fail_commit(g);
	assert_int_equal(custody_count(g->custody, NULL), 2);
	turn(g);
	assert_int_equal(custody_count(g->custody, NULL), 1);
	turn(g);
	g->last[0][0] = 1;
	end_flight(g, SPOOL_NEW_POOL, true);
	state_commit(g->files->state);
	assert_int_equal(g->last[0][0], 2);
	assert_int_equal(waiting(g), 1);
}

/* Kept behind an older one, and let go in the same turn, whose commit fails: its sender is told, so it stays here. */
static void test_failed_commit_of_one_let_go(void **state)
{
	struct game *g = *state;

	write_to(g, 0, 0);
	g->side[0] = SPOOL_NEW_POOL;
	write_to(g, 0, 0);
	end_flight(g, SPOOL_LEGACY_GATEWAY, true);
	custody_tick(g->custody);
	fail_commit(g);
	assert_int_equal(g->refused, 1);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	turn(g);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	turn(g);
	assert_null(g->custody->lanes);
}

/* What is on disk goes on, though nothing can be written there now. */
static void test_failed_commit_of_a_beginning(void **state)
{
	struct game *g = *state;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	custody_wake(g->custody, NULL);
	custody_tick(g->custody);
	assert_null(g->flights[SPOOL_NEW_POOL]);
	fail_commit(g);
	finish(g);
	expect_all(g);
}

/* A process that ends over it, however soon, leaves word that it had begun. */
static void test_begun_is_on_disk_first(void **state)
{
	struct game *g = *state;
	struct state *reader;
	const char *why;

	g->side[0] = SPOOL_MOVE;
	write_to(g, 0, 0);
	state_commit(g->files->state);
	g->side[0] = SPOOL_NEW_POOL;
	assert_int_equal(state_open_reader(g->files->files->path, &reader, &why), OK);
	g->reader = spool_create(reader, NULL);
	turn(g);
	assert_non_null(g->flights[SPOOL_NEW_POOL]);
	spool_destroy(g->reader);
	g->reader = NULL;
	state_close(reader);
	finish(g);
}

/* Who asks or answers does so once; a state is followed by the next one. */
static void test_handshakes_are_kept(void **state)
{
	static const char *const kept[] = { "subscribe", "subscribed", "unsubscribe", "unsubscribed" };
	static const char *const others[] = { NULL, "unavailable", "probe", "error" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		struct stanza *s =
			stanza_make(STANZA_PRESENCE, "a@b.test", "c@d.test", NULL, kept[i], NULL, NULL);
		struct stanza *other =
			stanza_make(STANZA_PRESENCE, "a@b.test", "c@d.test", NULL, others[i], NULL, NULL);

		assert_int_equal(custody_kind_of(s), CUSTODY_KEEP);
		assert_int_equal(custody_kind_of(other), CUSTODY_NONE);
		stanza_unref(s);
		stanza_unref(other);
	}
}

struct kind_row {
	const char *type, *inner;
	enum custody_kind kind;
};

static void test_kinds(void **state)
{
	static const struct kind_row rows[] = {
		{ "chat", "<body>x</body>", CUSTODY_KEEP },
		{ NULL, "<body>x</body>", CUSTODY_KEEP },
		{ "normal", "<subject>x</subject>", CUSTODY_KEEP },
		{ "chat", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", CUSTODY_DROP },
		{ "chat",
		  "<thread>t</thread><paused xmlns='http://jabber.org/protocol/chatstates'/>"
		  "<no-store xmlns='urn:xmpp:hints'/>",
		  CUSTODY_DROP },
		{ "chat", "<received xmlns='urn:xmpp:receipts' id='1'/>", CUSTODY_KEEP },
		{ "headline", "<body>x</body>", CUSTODY_NONE },
		{ "groupchat", "<body>x</body>", CUSTODY_NONE },
		{ "error", "<body>x</body>", CUSTODY_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf inner = { 0 };
		struct stanza *s;

		strbuf_puts(&inner, rows[i].inner);
		s = stanza_make(STANZA_MESSAGE, "a@b.test", "c@d.test", NULL, rows[i].type, NULL, &inner);
		if (custody_kind_of(s) != rows[i].kind)
			fail_msg("row %zu", i);
		stanza_unref(s);
		strbuf_free(&inner);
	}
}

/* Each message has arrived, or its sender has heard; both never, and nothing twice but for a kill. */
static void expect_each(const struct game *g)
{
	for (int c = 0; c < CONTACTS; c++)
		for (int u = 0; u < USERS; u++)
			for (int n = 1; n <= g->sent[c][u]; n++) {
				int arrived = g->deliveries[c][u][n], heard = g->heard[c][u][n];

				if ((arrived > 0) == (heard > 0) || (g->kills == 0 && arrived + heard != 1))
					fail_msg("from c%d to u%d, %d: %d times there, %d times told", c, u,
						 n, arrived, heard);
			}
}

static bool has_flight_of_its_own(const struct game *g)
{
	const struct flight *f;

	for (int hop = 0; hop < SPOOL_HOPS; hop++)
		DL_FOREACH (g->flights[hop], f)
			if (f->done == NULL)
				return true;
	return false;
}

/* A next hop that has had it before a kill does not refuse it then. */
static bool has_arrived(const struct game *g, const struct stanza *s)
{
	int contact, user, number;

	read_numbers(s, &contact, &user, &number);
	return g->deliveries[contact][user][number] > 0;
}

/* What comes out of custody ends in any way, errors come to their senders, and the process is killed. */
static void play_errors(struct game *g, enum spool_hop hop)
{
	struct flight *f = g->flights[hop];

	switch (rand() % 5) {
	case 0:
		turn(g);
		break;
	case 1:
		commit(g);
		break;
	case 2:
		if (f != NULL && f->done != NULL && !has_arrived(g, f->stanza))
			refuse_flight(g, hop);
		break;
	case 3:
		if (g->errors != NULL && g->errors->left)
			hear(g, rand() % 4 != 0);
		break;
	default:
		if (rand() % 20 == 0 && !has_flight_of_its_own(g) && g->kept + g->refused == g->keeps)
			kill_process(g);
	}
}

/* What may happen next. */
enum play { MOVE, AWAY, ARRIVE, WRITE, TURN, COMMIT, TROUBLE };

static void play(struct game *g, enum play what)
{
	enum spool_hop hop = (enum spool_hop)(1 + rand() % (SPOOL_HOPS - 1));

	switch (what) {
	case MOVE:
		g->side[rand() % USERS] = (enum spool_hop)(rand() % SPOOL_HOPS);
		break;
	case AWAY:
		if (rand() % 4 == 0)
			give_back_all(g, hop);
		break;
	case ARRIVE:
		if (g->flights[hop] != NULL)
			end_flight(g, hop, true);
		break;
	case WRITE:
		if (waiting(g) < FLIGHTS)
			write_to(g, rand() % CONTACTS, rand() % USERS);
		break;
	case TURN:
		turn(g);
		break;
	case COMMIT:
		commit(g);
		break;
	case TROUBLE:
		play_errors(g, hop);
	}
}

static void test_chance_of_errors(void **state)
{
	static const enum play plays[] = { MOVE,    AWAY,    ARRIVE,  ARRIVE,  WRITE,   WRITE,
					   TROUBLE, TROUBLE, TROUBLE, TROUBLE, TROUBLE, TROUBLE };
	struct game *g = *state;

	srand(20071129);
	g->far = true;
	for (int step = 0; step < 12000; step++)
		play(g, plays[(size_t)rand() % ARRAY_SIZE(plays)]);
	finish(g);
	expect_each(g);
	assert_int_equal(g->refused, 0);
	assert_true(g->arrived > 500 && g->bounced > 200 && g->kills > 10);
}

static void test_chance(void **state)
{
	static const enum play plays[] = { MOVE,   AWAY,   TURN,  TURN,  COMMIT, ARRIVE,
					   ARRIVE, ARRIVE, WRITE, WRITE, WRITE,  WRITE };
	struct game *g = *state;

	srand(20071128);
	for (int step = 0; step < 6000; step++)
		play(g, plays[(size_t)rand() % ARRAY_SIZE(plays)]);
	finish(g);
	expect_all(g);
	assert_true(g->arrived > 1000);
}

/* What waits for seconds has waited long enough; what waits for a mark has not. */
static void let_time_pass(struct game *g)
{
	const int64_t now = loop_now(g->loop);
	struct lane *lane, *next;

	HASH_ITER (hh, g->custody->lanes, lane, next) {
		if (lane->retry_at == 0 || lane->retry_at > now + 60000)
			continue;
		lane->retry_at = 1;
		if (lane->place == LANE_WAITING)
			timerheap_put(&g->custody->waiting, &lane->wait, 1);
	}
	g->custody->expire_at = 0;
	if (!loop_timer_pending(g->custody->tick))
		return;
	loop_timer_cancel(g->custody->tick);
	custody_tick(g->custody);
}

/* Nobody is waked: whatever is not for somebody who is being moved comes to its end by itself. */
static void come_to_rest(struct game *g)
{
	struct lane *lane, *next;

	g->blind = false;
	for (int round = 0; round < 2 * FLIGHTS; round++) {
		let_time_pass(g);
		commit(g);
		for (int hop = 0; hop < SPOOL_HOPS; hop++)
			while (g->flights[hop] != NULL)
				end_flight(g, (enum spool_hop)hop, true);
		while (g->errors != NULL && g->errors->left)
			hear(g, true);
	}
	HASH_ITER (hh, g->custody->lanes, lane, next)
		if (g->side[lane->key[lane->from_length + 2] - '0'] != SPOOL_MOVE)
			fail_msg("%s: %zu are stuck", lane->key, lane->count);
}

/* Typing, on its way beside the others. */
static void play_typing(struct game *g, struct custody_pass *typing)
{
	const int contact = rand() % CONTACTS, user = rand() % USERS;
	struct stanza *s = message(contact, user, 0);
	struct jid from, to;

	custody_leave(typing);
	get_jids(s, &from, &to);
	if (g->side[user] != SPOOL_MOVE && rand() % 2 == 0) {
		custody_enter(g->custody, &from, &to, typing);
		custody_go(typing, g->side[user]);
	}
	stanza_unref(s);
}

static void move(struct game *g, int user)
{
	char name[32];

	g->side[user] = (enum spool_hop)(rand() % SPOOL_HOPS);
	snprintf(name, sizeof(name), "u%d@corp.test", user);
	custody_wake(g->custody, name);
}

static bool take_id(void *ctx, const struct spool_message *m)
{
	*(int64_t *)ctx = m->id;
	return rand() % 4 > 0;
}

/* One that an administrator can see, since it is on disk. */
static void bounce_one(struct game *g)
{
	int64_t id = 0;
	enum err e;

	commit(g);
	assert_int_equal(spool_each(g->spool, NULL, take_id, &id), OK);
	e = custody_bounce(g->custody, id);
	assert_true(e == OK || e == ERR_NOT_FOUND || e == ERR_BUSY);
}

static void play_moves(struct game *g, struct custody_pass *typing)
{
	const enum spool_hop hop = (enum spool_hop)(1 + rand() % (SPOOL_HOPS - 1));
	struct flight *f = g->flights[hop];

	switch (rand() % 16) {
	case 0:
		move(g, rand() % USERS);
		break;
	case 1:
		give_back_all(g, hop);
		break;
	case 2:
		g->blind = rand() % 2 == 0;
		break;
	case 3:
		play_typing(g, typing);
		break;
	case 4:
		if (rand() % 4 == 0)
			bounce_one(g);
		break;
	case 5:
		if (f != NULL && f->done != NULL)
			refuse_flight(g, hop);
		break;
	case 6:
		if (g->errors != NULL && g->errors->left)
			hear(g, rand() % 4 != 0);
		break;
	case 7:
		fail_commit(g);
		break;
	case 8:
	case 9:
		if (f != NULL)
			end_flight(g, hop, true);
		break;
	case 10:
	case 11:
		commit(g);
		break;
	case 12:
	case 13:
		let_time_pass(g);
		break;
	default:
		if (waiting(g) < FLIGHTS)
			write_to(g, rand() % CONTACTS, rand() % USERS);
	}
}

static void test_chance_of_wakes(void **state)
{
	struct game *g = *state;
	struct custody_pass typing = { .lane = NULL };

	srand(20071130);
	g->far = true;
	for (int round = 0; round < 40; round++) {
		for (int step = 0; step < 300; step++)
			play_moves(g, &typing);
		custody_leave(&typing);
		come_to_rest(g);
	}
	for (int user = 0; user < USERS; user++)
		while (g->side[user] == SPOOL_MOVE)
			move(g, user);
	come_to_rest(g);
	assert_null(g->custody->lanes);
	assert_int_equal(waiting(g), 0);
	expect_each(g);
	assert_true(g->arrived > 500 && g->bounced > 50 && g->refused > 50);
}

#define GAME_TEST(f) cmocka_unit_test_setup_teardown(f, game_setup, game_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GAME_TEST(test_held_while_moving),
		GAME_TEST(test_after_one_held),
		GAME_TEST(test_unreadable_behind_a_wake),
		GAME_TEST(test_nothing_overtakes_what_is_under_way),
		GAME_TEST(test_returned_keeps_its_place),
		GAME_TEST(test_what_goes_past),
		GAME_TEST(test_pairs_do_not_wait_for_each_other),
		GAME_TEST(test_restart),
		GAME_TEST(test_poison),
		GAME_TEST(test_retry_of_poison),
		GAME_TEST(test_failed_commit_of_a_removal),
		GAME_TEST(test_removal_again_behind_a_wake),
		GAME_TEST(test_expiry),
		GAME_TEST(test_failed_commit_of_a_bounce),
		GAME_TEST(test_failure_at_the_end),
		GAME_TEST(test_failed_commit_of_a_notice),
		GAME_TEST(test_failed_commit_of_a_notice_of_time),
		GAME_TEST(test_error_on_its_way),
		GAME_TEST(test_killed_before_the_error_arrived),
		GAME_TEST(test_killed_before_the_failure_was_noted),
		GAME_TEST(test_killed_behind_the_error),
		GAME_TEST(test_killed_behind_an_expiry),
		GAME_TEST(test_error_that_cannot_go),
		GAME_TEST(test_failed_commit_of_a_failure),
		GAME_TEST(test_failed_commit_behind_the_error),
		GAME_TEST(test_erased_before_the_error_arrived),
		GAME_TEST(test_many_errors),
		GAME_TEST(test_away_for_long),
		GAME_TEST(test_failed_commit_of_a_message),
		GAME_TEST(test_erase),
		GAME_TEST(test_erase_while_on_its_way),
		GAME_TEST(test_failed_commit_of_an_erasure),
		GAME_TEST(test_failed_commit_of_a_quarantine),
		GAME_TEST(test_failed_commit_of_one_let_go),
		GAME_TEST(test_failed_commit_of_a_beginning),
		GAME_TEST(test_begun_is_on_disk_first),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_handshakes_are_kept),
		GAME_TEST(test_chance),
		GAME_TEST(test_chance_of_wakes),
		GAME_TEST(test_chance_of_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
