/*
 * loop.c - the event loop on sofia-sip's su_root (epoll).
 *
 * A turn: wait; let su_root dispatch what is ready, in several steps, since one
 * step of sofia-sip 1.12.11 handles at most four descriptors and one commit
 * should serve many; run the timers that are due; the phases; free the retired.
 * A descriptor has one call in a turn: epoll hands the ready ones round, so one
 * that comes again says that all have been served. A turn with much work ends
 * earlier: its commit, and what waits for that, must not wait for all others.
 *
 * Timers are not su_timer_t: those follow the wall clock, so that setting the
 * clock back an hour would stop every time-out for an hour, and su_root_step()
 * fires them before it waits, so that what they wrote would lie there until
 * the next event. sofia-sip's own timers are of that kind; since the wait never
 * is longer than the time to the next of them, one that falls due between two
 * turns delays the phases by no more than the time that lay between.
 *
 * The loop owns the root and its own objects, never a caller's descriptor.
 *
 * Fatal: the system refuses epoll, a signalfd or a registration.
 */
#include "bridge/core/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>
#include <utlist.h>

#include "bridge/core/log.h"
#include "bridge/core/timerheap.h"

enum {
	TURN_MS = 20,     /* then the phases come, and who was not served yet is first in the next turn */
	STEPS_MAX = 32,   /* of su_root in one turn: the phases must come round under load too */
	WAIT_MAX = 60000, /* ms */
	SIGNALS_MAX = 65, /* Linux counts signals from 1 to 64 */
	PHASE_HOOKS_MAX = 32
};

struct loop_fd {
	struct loop *loop;
	int fd;
	int index; /* su_root's; -1 after loop_fd_remove() */
	unsigned events;
	uint64_t turn; /* the last one that called fn */
	loop_fd_fn *fn;
	void *ctx;
};

struct loop_timer {
	struct timer_entry entry; /* first: the heap's pointers are the timers' */
	struct loop *loop;
	loop_timer_fn *fn;
	void *ctx;
};

struct retired {
	void (*destroy)(void *);
	void *obj;
	struct retired *prev, *next;
};

struct signal_hook {
	loop_signal_fn *fn;
	void *ctx;
};

struct phase_hook {
	loop_phase_fn *fn;
	void *ctx;
};

struct loop {
	su_root_t *root;
	int64_t now;
	uint64_t turn;
	bool all_served; /* a descriptor came for the second time in this turn */
	bool stopping;
	struct timerheap timers;
	struct retired *retired;
	int signal_fd; /* -1: no signal asked for yet */
	struct loop_fd *signal_watch;
	sigset_t signal_set;
	struct signal_hook signals[SIGNALS_MAX];
	struct phase_hook hooks[LOOP_PHASES][PHASE_HOOKS_MAX];
	size_t hook_count[LOOP_PHASES];
};

static _Noreturn void die(const char *what)
{
	log_event(LOG_ERROR, "loop-failed", NULL, "call=%s error=%s", what, log_value(strerror(errno)));
	abort();
}

static int64_t clock_ms(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		die("clock_gettime");
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * By these sofia-sip would be made to log, on its own, whole SIP messages with what users wrote
 * (TPORT_LOG, TPORT_DUMP, MSG_*), or a level that is not ours. It reads them when it first has
 * something to say, so they go before its first object, and while there is but one thread.
 */
static void forget_debugging(void)
{
	static const char *const names[] = {
		"TPORT_LOG", "TPORT_DUMP",  "TPORT_DEBUG",   "MSG_DUMP",   "MSG_STREAM_LOG",
		"NTA_DEBUG", "SOFIA_DEBUG", "SRESOLV_DEBUG", "STUN_DEBUG", "SU_DEBUG",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

struct loop *loop_create(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	forget_debugging();
	if (su_init() != 0)
		die("su_init");
	loop->root = su_root_create(NULL);
	if (loop->root == NULL)
		die("su_root_create");
	loop->now = clock_ms();
	loop->signal_fd = -1;
	sigemptyset(&loop->signal_set);
	return loop;
}

/* In the order of retiring; destroy() may retire more. */
static void free_retired(struct loop *loop)
{
	struct retired *r;

	while ((r = loop->retired) != NULL) {
		DL_DELETE(loop->retired, r);
		r->destroy(r->obj);
		free(r);
	}
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	loop_fd_remove(loop->signal_watch);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	free_retired(loop);
	su_root_destroy(loop->root);
	su_deinit();
	timerheap_free(&loop->timers);
	free(loop);
}

/* How long the next wait may be: root_wait is what su_root_step() last asked for, below 0 for nothing. */
static su_duration_t next_wait(const struct loop *loop, su_duration_t root_wait)
{
	const struct timer_entry *first = timerheap_first(&loop->timers);
	int64_t wait = root_wait >= 0 && root_wait < WAIT_MAX ? root_wait : WAIT_MAX;

	if (first != NULL && first->when - clock_ms() < wait)
		wait = first->when - clock_ms();
	return wait > 0 ? (su_duration_t)wait : 0;
}

/* Only those that were set before: a timer set again for at once must not keep the turn from ending. */
static void run_timers(struct loop *loop)
{
	const uint64_t newest = loop->timers.last_order;
	struct timer_entry *first;

	while ((first = timerheap_first(&loop->timers)) != NULL && first->when <= loop->now &&
	       first->order <= newest) {
		struct loop_timer *t = (struct loop_timer *)first;

		timerheap_remove(&loop->timers, first);
		t->fn(t->ctx); /* t may be gone now */
	}
}

static void run_phases(struct loop *loop)
{
	for (size_t phase = 0; phase < LOOP_PHASES; phase++) {
		for (size_t i = 0; i < loop->hook_count[phase]; i++)
			loop->hooks[phase][i].fn(loop->hooks[phase][i].ctx);
	}
}

void loop_run(struct loop *loop)
{
	su_duration_t root_wait = 0;
	int64_t end;

	loop->stopping = false;
	while (!loop->stopping) {
		loop->turn++;
		loop->all_served = false;
		/* su_root_step() answers 0 when it had events: there may be more. */
		root_wait = su_root_step(loop->root, next_wait(loop, root_wait));
		end = clock_ms() + TURN_MS;
		for (int i = 1; i < STEPS_MAX && root_wait == 0 && !loop->all_served && clock_ms() < end; i++)
			root_wait = su_root_step(loop->root, 0);
		loop->now = clock_ms();
		run_timers(loop);
		run_phases(loop);
		free_retired(loop);
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

void *loop_root(struct loop *loop)
{
	return loop->root;
}

int64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

/* --- descriptors --- */

/* Never 0, which su_wait_create() refuses; epoll reports errors in any case. */
static int su_events(unsigned events)
{
	return SU_WAIT_ERR | ((events & LOOP_READ) != 0 ? SU_WAIT_IN : 0) |
	       ((events & LOOP_WRITE) != 0 ? SU_WAIT_OUT : 0);
}

static int on_ready(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	struct loop_fd *w = arg;
	unsigned events = 0;

	(void)magic;
	if ((wait->revents & (SU_WAIT_IN | SU_WAIT_HUP | SU_WAIT_ERR)) != 0)
		events |= LOOP_READ;
	if ((wait->revents & SU_WAIT_OUT) != 0)
		events |= LOOP_WRITE;
	if (w->index < 0 || events == 0)
		return 0;
	if (w->turn == w->loop->turn) {
		w->loop->all_served = true;
		return 0;
	}
	w->turn = w->loop->turn;
	w->fn(w->ctx, events);
	return 0;
}

struct loop_fd *loop_fd_add(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *ctx)
{
	struct loop_fd *w = xcalloc(1, sizeof(*w));
	su_wait_t wait[1] = { SU_WAIT_INIT };

	*w = (struct loop_fd){ .loop = loop, .fd = fd, .events = events, .fn = fn, .ctx = ctx };
	if (su_wait_create(wait, fd, su_events(events)) != 0)
		die("su_wait_create");
	w->index = su_root_register(loop->root, wait, on_ready, w, su_pri_normal);
	if (w->index < 0)
		die("su_root_register");
	return w;
}

void loop_fd_set(struct loop_fd *w, unsigned events)
{
	if (w->events == events || w->index < 0)
		return;
	if (su_root_eventmask(w->loop->root, w->index, w->fd, su_events(events)) != 0)
		die("su_root_eventmask");
	w->events = events;
}

void loop_fd_remove(struct loop_fd *w)
{
	if (w == NULL || w->index < 0)
		return;
	su_root_deregister(w->loop->root, w->index);
	w->index = -1;
	/* Not freed at once: an event of this turn may be on its way to on_ready(). */
	loop_retire(w->loop, free, w);
}

/* --- timers --- */

struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn *fn, void *ctx)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	/* The clock, not loop_now(): a slow turn must not shorten the delay. */
	timerheap_put(&t->loop->timers, &t->entry, clock_ms() + (delay_ms > 0 ? delay_ms : 0));
}

void loop_timer_cancel(struct loop_timer *t)
{
	timerheap_remove(&t->loop->timers, &t->entry);
}

bool loop_timer_pending(const struct loop_timer *t)
{
	return t->entry.place != 0;
}

void loop_timer_destroy(struct loop_timer *t)
{
	if (t == NULL)
		return;
	loop_timer_cancel(t);
	free(t);
}

/* --- signals, phases, the retired --- */

static void on_signal(void *ctx, unsigned events)
{
	struct loop *loop = ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct signal_hook *hook = &loop->signals[info.ssi_signo];

		hook->fn(hook->ctx, (int)info.ssi_signo);
	}
}

/* The signal stays blocked after loop_destroy(): a late one must not kill a process that ends in order. */
void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *ctx)
{
	if (signo <= 0 || signo >= SIGNALS_MAX)
		abort();
	loop->signals[signo] = (struct signal_hook){ fn, ctx };
	sigaddset(&loop->signal_set, signo);
	if (sigprocmask(SIG_BLOCK, &loop->signal_set, NULL) != 0)
		die("sigprocmask");
	loop->signal_fd = signalfd(loop->signal_fd, &loop->signal_set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (loop->signal_fd < 0)
		die("signalfd");
	if (loop->signal_watch == NULL)
		loop->signal_watch = loop_fd_add(loop, loop->signal_fd, LOOP_READ, on_signal, loop);
}

void loop_phase_add(struct loop *loop, enum loop_phase phase, loop_phase_fn *fn, void *ctx)
{
	if (loop->hook_count[phase] == PHASE_HOOKS_MAX)
		abort();
	loop->hooks[phase][loop->hook_count[phase]++] = (struct phase_hook){ fn, ctx };
}

void loop_retire(struct loop *loop, void (*destroy)(void *), void *obj)
{
	struct retired *r = xmalloc(sizeof(*r));

	r->destroy = destroy;
	r->obj = obj;
	DL_APPEND(loop->retired, r);
}
