/*
 * Tests of loop.h: descriptors, timers, signals, phases, the retired. Callbacks
 * write letters into a trace, and the traces are compared: order is the contract.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/core/loop.h"

/* A watchdog: a loop that hangs fails by SIGALRM instead of hanging the run. */
enum { PATIENCE = 60 };

static struct loop *loop;
static struct strbuf trace;

static int setup(void **state)
{
	(void)state;
	alarm(PATIENCE);
	loop = loop_create();
	strbuf_puts(&trace, "");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	strbuf_free(&trace);
	alarm(0);
	return 0;
}

/* One end of a socket pair under the loop's eye, the other for the test. */
struct end {
	char letter;
	int fd, far;
	struct loop_fd *w;
	struct end *victim; /* removed by this one's callback */
	bool stops;
	unsigned seen, served;
};

static void end_open(struct end *e, char letter, unsigned events, loop_fd_fn *fn)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*e = (struct end){ .letter = letter, .fd = pair[0], .far = pair[1] };
	e->w = loop_fd_add(loop, e->fd, events, fn, e);
}

static void end_close(struct end *e)
{
	loop_fd_remove(e->w);
	e->w = NULL;
	if (e->fd >= 0)
		close(e->fd);
	if (e->far >= 0)
		close(e->far);
	e->fd = e->far = -1;
}

static void on_end(void *ctx, unsigned events)
{
	struct end *e = ctx;
	char byte;

	strbuf_putc(&trace, e->letter);
	e->seen = events;
	if ((events & LOOP_READ) != 0)
		(void)!read(e->fd, &byte, 1);
	if (e->victim != NULL)
		end_close(e->victim);
	if (e->stops)
		loop_stop(loop);
}

static void test_read(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, 'a', LOOP_READ, on_end);
	e.stops = true;
	assert_int_equal(write(e.far, "x", 1), 1);
	loop_run(loop);
	assert_string_equal(trace.s, "a");
	assert_int_equal(e.seen, LOOP_READ);
	end_close(&e);
}

static void test_interest_changes(void **state)
{
	struct end a, b;

	(void)state;
	end_open(&a, 'a', LOOP_READ, on_end);
	end_open(&b, 'b', LOOP_READ, on_end);
	b.stops = true;
	/* Asked for nothing: silent although there is something to read. */
	loop_fd_set(a.w, 0);
	assert_int_equal(write(a.far, "x", 1), 1);
	assert_int_equal(write(b.far, "x", 1), 1);
	loop_run(loop);
	assert_string_equal(trace.s, "b");
	/* Asked again, and for writing too. */
	loop_fd_set(a.w, LOOP_READ | LOOP_WRITE);
	a.stops = true;
	loop_run(loop);
	assert_string_equal(trace.s, "ba");
	assert_int_equal(a.seen, LOOP_READ | LOOP_WRITE);
	loop_fd_set(a.w, LOOP_WRITE);
	loop_run(loop);
	assert_int_equal(a.seen, LOOP_WRITE);
	end_close(&a);
	end_close(&b);
}

/* The far side is gone: told as LOOP_READ even to who asked for nothing. */
static void test_hang_up(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, 'a', 0, on_end);
	e.stops = true;
	close(e.far);
	e.far = -1;
	loop_run(loop);
	assert_int_equal(e.seen, LOOP_READ);
	end_close(&e);
}

/* Removed and closed in its own callback; the descriptor's number is used again at once. */
static void on_suicide(void *ctx, unsigned events)
{
	struct end *e = ctx;
	struct end *next = e->victim;

	(void)events;
	strbuf_putc(&trace, e->letter);
	end_close(e);
	end_open(next, 'n', LOOP_READ, on_end);
	next->stops = true;
	assert_int_equal(write(next->far, "x", 1), 1);
}

static void test_remove_in_own_callback(void **state)
{
	struct end e, next;

	(void)state;
	end_open(&e, 'a', LOOP_READ, on_suicide);
	e.victim = &next;
	assert_int_equal(write(e.far, "x", 1), 1);
	loop_run(loop);
	assert_string_equal(trace.s, "an");
	end_close(&next);
}

/* Two are ready in one turn, the first to be called removes the other: the other is never called. */
static void test_remove_in_anothers_callback(void **state)
{
	struct end a, b;

	(void)state;
	end_open(&a, 'a', LOOP_READ, on_end);
	end_open(&b, 'b', LOOP_READ, on_end);
	a.victim = &b;
	b.victim = &a;
	a.stops = b.stops = true;
	assert_int_equal(write(a.far, "x", 1), 1);
	assert_int_equal(write(b.far, "x", 1), 1);
	loop_run(loop);
	assert_int_equal(trace.len, 1);
	end_close(&a);
	end_close(&b);
	loop_fd_remove(NULL);
}

/* --- phases --- */

static void phase_commit(void *ctx)
{
	(void)ctx;
	strbuf_putc(&trace, 'C');
}

static void phase_flush(void *ctx)
{
	(void)ctx;
	strbuf_putc(&trace, 'F');
}

static void phase_second_commit(void *ctx)
{
	(void)ctx;
	strbuf_putc(&trace, 'c');
}

/* More descriptors than one step of sofia-sip handles still make one turn: one commit for all of them. */
static void test_one_turn_for_many(void **state)
{
	enum { MANY = 20 };
	struct end e[MANY];

	(void)state;
	loop_phase_add(loop, LOOP_FLUSH, phase_flush, NULL);
	loop_phase_add(loop, LOOP_COMMIT, phase_commit, NULL);
	loop_phase_add(loop, LOOP_COMMIT, phase_second_commit, NULL);
	for (int i = 0; i < MANY; i++) {
		end_open(&e[i], 'a', LOOP_READ, on_end);
		e[i].stops = true;
		assert_int_equal(write(e[i].far, "x", 1), 1);
	}
	loop_run(loop);
	assert_string_equal(trace.s, "aaaaaaaaaaaaaaaaaaaaCcF");
	for (int i = 0; i < MANY; i++)
		end_close(&e[i]);
}

/* A descriptor that is always ready does not keep the phases from coming round. */
static void stop_flush(void *ctx)
{
	(void)ctx;
	loop_stop(loop);
}

static void test_phases_under_load(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, 'w', LOOP_WRITE, on_end);
	loop_phase_add(loop, LOOP_FLUSH, stop_flush, NULL);
	loop_run(loop);
	loop_run(loop);
	assert_string_equal(trace.s, "ww"); /* one call a turn */
	end_close(&e);
}

/* --- timers --- */

struct tick {
	char letter;
	struct loop_timer *t;
	int again;          /* times it sets itself again */
	struct tick *other; /* destroyed by this one's callback */
	bool ends;          /* destroys itself */
	bool stops;
};

static void on_tick(void *ctx)
{
	struct tick *k = ctx;

	strbuf_putc(&trace, k->letter);
	assert_false(loop_timer_pending(k->t));
	if (k->again-- > 0)
		loop_timer_set(k->t, 0);
	if (k->other != NULL) {
		loop_timer_destroy(k->other->t);
		k->other->t = NULL;
	}
	if (k->ends) {
		loop_timer_destroy(k->t);
		k->t = NULL;
	}
	if (k->stops)
		loop_stop(loop);
}

static void tick_set(struct tick *k, char letter, int64_t delay)
{
	*k = (struct tick){ .letter = letter };
	k->t = loop_timer_create(loop, on_tick, k);
	loop_timer_set(k->t, delay);
	assert_true(loop_timer_pending(k->t));
}

static void test_timer_order(void **state)
{
	struct tick a, b, c, d;

	(void)state;
	tick_set(&d, 'd', 12);
	tick_set(&b, 'b', 6);
	tick_set(&c, 'c', 6);
	tick_set(&a, 'a', 1);
	d.stops = true;
	loop_run(loop);
	assert_string_equal(trace.s, "abcd");
	loop_timer_destroy(a.t);
	loop_timer_destroy(b.t);
	loop_timer_destroy(c.t);
	loop_timer_destroy(d.t);
	loop_timer_destroy(NULL);
}

static void test_timer_is_not_early(void **state)
{
	struct tick a;
	int64_t begin = loop_now(loop);

	(void)state;
	tick_set(&a, 'a', 25);
	a.stops = true;
	loop_run(loop);
	assert_true(loop_now(loop) - begin >= 25);
	loop_timer_destroy(a.t);
}

/* A timer without delay fires in the next turn, after the phases of this one. */
static void test_timers_and_phases(void **state)
{
	struct tick a, end;

	(void)state;
	loop_phase_add(loop, LOOP_COMMIT, phase_commit, NULL);
	tick_set(&a, 'a', 0);
	a.again = 2;
	tick_set(&end, 'e', 10);
	end.stops = true;
	loop_run(loop);
	assert_non_null(strstr(trace.s, "aCaCaC"));
	assert_string_equal(trace.s + trace.len - 2, "eC");
	loop_timer_destroy(a.t);
	loop_timer_destroy(end.t);
}

static void test_timer_destroys(void **state)
{
	struct tick a, b, c, d;

	(void)state;
	tick_set(&a, 'a', 0);
	tick_set(&b, 'b', 0);
	tick_set(&c, 'c', 0);
	tick_set(&d, 'd', 0);
	a.other = &b; /* due in the same turn */
	c.ends = true;
	d.stops = true;
	loop_run(loop);
	assert_string_equal(trace.s, "acd");
	assert_null(b.t);
	assert_null(c.t);
	loop_timer_destroy(a.t);
	loop_timer_destroy(d.t);
}

static void test_timer_cancel_and_replace(void **state)
{
	struct tick a, b;

	(void)state;
	tick_set(&a, 'a', 1);
	tick_set(&b, 'b', 3600000);
	loop_timer_cancel(a.t);
	loop_timer_cancel(a.t);
	assert_false(loop_timer_pending(a.t));
	loop_timer_set(b.t, -5); /* sooner, and a negative delay is none */
	b.stops = true;
	loop_run(loop);
	assert_string_equal(trace.s, "b");
	loop_timer_destroy(a.t);
	loop_timer_destroy(b.t);
}

/* --- the retired --- */

static void destroy_letter(void *obj)
{
	strbuf_putc(&trace, *(char *)obj);
}

static void destroy_and_retire(void *obj)
{
	strbuf_putc(&trace, 'r');
	loop_retire(loop, destroy_letter, obj);
}

static char letters[] = "xyz";

static void on_retire(void *ctx)
{
	(void)ctx;
	loop_retire(loop, destroy_letter, &letters[0]);
	loop_retire(loop, destroy_and_retire, &letters[2]);
	loop_retire(loop, destroy_letter, &letters[1]);
	strbuf_putc(&trace, 't');
	loop_stop(loop);
}

static void test_retire_order(void **state)
{
	struct loop_timer *t = loop_timer_create(loop, on_retire, NULL);

	(void)state;
	loop_phase_add(loop, LOOP_FLUSH, phase_flush, NULL);
	loop_timer_set(t, 0);
	loop_run(loop);
	assert_string_equal(trace.s, "tFxryz");
	loop_timer_destroy(t);
}

/* What is retired outside a turn is freed with the loop. */
static void test_retire_at_the_end(void **state)
{
	(void)state;
	loop_retire(loop, free, xmalloc(1));
}

/* --- signals --- */

static void on_signal(void *ctx, int signo)
{
	int *expected = ctx;

	assert_int_equal(signo, *expected);
	strbuf_putc(&trace, signo == SIGUSR1 ? '1' : '2');
	if (signo == SIGUSR2)
		loop_stop(loop);
}

static void test_signals(void **state)
{
	int one = SIGUSR1, two = SIGUSR2;

	(void)state;
	loop_signal(loop, SIGUSR1, on_signal, &one);
	loop_signal(loop, SIGUSR2, on_signal, &two);
	raise(SIGUSR1);
	loop_phase_add(loop, LOOP_COMMIT, phase_commit, NULL);
	raise(SIGUSR2);
	loop_run(loop);
	assert_string_equal(trace.s, "12C");
}

/* Two loops, one after the other, as tests make them. */
static void test_loop_again(void **state)
{
	struct loop *second = loop_create();

	(void)state;
	assert_non_null(loop_root(second));
	assert_true(loop_now(second) > 0);
	loop_destroy(second);
	loop_destroy(NULL);
}

/* What would make sofia-sip log whole messages is gone before it can look. */
static void test_no_debugging_by_environment(void **state)
{
	static const char *const names[] = { "TPORT_LOG", "TPORT_DUMP", "TPORT_DEBUG", "MSG_DUMP",
					     "NTA_DEBUG", "SU_DEBUG",   "SOFIA_DEBUG" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(setenv(names[i], "9", 1), 0);
	loop_destroy(loop_create());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(getenv(names[i]));
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* --- a turn with much work --- */

enum { BUSY = 24 };

static void on_busy_end(void *ctx, unsigned events)
{
	struct end *e = ctx;
	struct timespec begun, now;
	char byte;

	(void)events;
	(void)!read(e->fd, &byte, 1);
	strbuf_putc(&trace, e->letter);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < 10);
	if (++e->served == 2)
		loop_stop(loop); /* the first to be served again */
}

static void on_busy_phase(void *ctx)
{
	(void)ctx;
	strbuf_putc(&trace, '|');
}

/* Phases come in between, and nobody is served twice before all are served. */
static void test_much_work_is_several_turns(void **state)
{
	struct end ends[BUSY];
	size_t served = 0;

	(void)state;
	loop_phase_add(loop, LOOP_COMMIT, on_busy_phase, NULL);
	for (int i = 0; i < BUSY; i++) {
		end_open(&ends[i], (char)('a' + i), LOOP_READ, on_busy_end);
		assert_int_equal(write(ends[i].far, "xx", 2), 2);
	}
	loop_run(loop);
	assert_true(strcspn(trace.s, "|") < BUSY);
	for (const char *t = trace.s; served < BUSY; t++) {
		assert_int_not_equal(*t, '\0');
		if (*t == '|')
			continue;
		assert_null(memchr(trace.s, *t, (size_t)(t - trace.s)));
		served++;
	}
	for (int i = 0; i < BUSY; i++)
		end_close(&ends[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOP(test_read),
		WITH_LOOP(test_interest_changes),
		WITH_LOOP(test_hang_up),
		WITH_LOOP(test_remove_in_own_callback),
		WITH_LOOP(test_remove_in_anothers_callback),
		WITH_LOOP(test_one_turn_for_many),
		WITH_LOOP(test_much_work_is_several_turns),
		WITH_LOOP(test_phases_under_load),
		WITH_LOOP(test_timer_order),
		WITH_LOOP(test_timer_is_not_early),
		WITH_LOOP(test_timers_and_phases),
		WITH_LOOP(test_timer_destroys),
		WITH_LOOP(test_timer_cancel_and_replace),
		WITH_LOOP(test_retire_order),
		WITH_LOOP(test_retire_at_the_end),
		WITH_LOOP(test_signals),
		WITH_LOOP(test_loop_again),
		cmocka_unit_test(test_no_debugging_by_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
