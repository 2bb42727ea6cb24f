/*
 * pace.c - see pace.h.
 *
 * Ticks of the timer are counted, not its time: so messages are made one by one, and not in the
 * bursts of a loop's turns. What could not be made when it was due is not made up for in one burst.
 */
#include "bench/pace.h"

#include <math.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench/end.h"

enum { CREDIT_MAX = 200, TICK_MIN_NS = 50000 /* faster rates make several at a tick */ };

static struct {
	int timer;
	double rate;
	int64_t tick; /* ns */
	double credit;
	uint64_t left;
	bool making, finished;
} pace = { .timer = -1 };

int pace_open(void)
{
	pace.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (pace.timer < 0)
		end_fail("timerfd");
	return pace.timer;
}

void pace_set_rate(double rate)
{
	pace.rate = rate;
}

static bool has_rate(void)
{
	return pace.rate > 0 && isfinite(pace.rate);
}

/* 0: none. */
static void set_timer(int64_t ns)
{
	struct timespec each = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	struct itimerspec ticks = { .it_interval = each, .it_value = each };

	if (timerfd_settime(pace.timer, 0, &ticks, NULL) != 0)
		end_fail("timerfd");
}

static int64_t tick_of(double rate)
{
	const int64_t ns = (int64_t)(1e9 / rate);

	return ns < TICK_MIN_NS ? TICK_MIN_NS : ns;
}

void pace_start(uint64_t count)
{
	pace.tick = has_rate() ? tick_of(pace.rate) : 0;
	pace.credit = 0;
	pace.left = count;
	pace.making = true;
	pace.finished = false;
	set_timer(pace.tick);
}

void pace_stop(void)
{
	pace.making = false;
	set_timer(0);
}

static void count_ticks(void)
{
	uint64_t ticks;

	if (read(pace.timer, &ticks, sizeof(ticks)) == sizeof(ticks))
		pace.credit += (double)ticks * (double)pace.tick / 1e9 * pace.rate;
}

/* Of a message each, less what rounding has taken. */
static bool is_due(void)
{
	return pace.left > 0 && (isinf(pace.rate) || pace.credit > 0.999);
}

void pace_make(bool (*send)(void))
{
	count_ticks();
	if (!pace.making)
		return;
	while (is_due() && send()) {
		pace.credit -= 1;
		if (pace.left != PACE_WITHOUT_END)
			pace.left--;
	}
	if (pace.credit > CREDIT_MAX)
		pace.credit = CREDIT_MAX;
	if (pace.left > 0)
		return;
	pace_stop();
	pace.finished = true;
}

bool pace_has_finished(void)
{
	return pace.finished;
}

void pace_forget(void)
{
	pace.finished = false;
}

void pace_close(void)
{
	close(pace.timer);
}
