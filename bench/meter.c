/*
 * meter.c - see meter.h: the shared file of two playing ends.
 *
 * The time at which each message left stands in a ring, until the other end has taken it out;
 * latencies go into a histogram of 32 steps for each power of two (3 %). The end that sends waits for a
 * count, and the other one writes a byte into a FIFO beside the file when it is reached.
 *
 * Both processes write; a field belongs to one of them, or is changed by atomic operations.
 */
#include "bench/meter.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING = 1 << 16, PAIRS = 1 << 14, STEPS = 32, BUCKETS = STEPS * 40 };

struct shared {
	_Atomic uint64_t sent, got, errors; /* of all times */
	_Atomic uint64_t awaited;           /* got and errors together; 0: nobody waits */
	_Atomic uint64_t doubled, disorder; /* since meter_begin(), like what follows */
	uint64_t began_sent, began_got, began_errors;
	int64_t began;
	_Atomic int64_t ended; /* when the last one came */
	_Atomic uint32_t latencies[BUCKETS];
	unsigned long last[PAIRS]; /* the highest number that came */
	_Atomic int64_t left[RING];
};

static struct shared *meter;
static int fifo = -1;
static unsigned pairs;

void meter_open(const char *path, unsigned count)
{
	char *wake = xasprintf("%s.wake", path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, sizeof(*meter)) != 0)
		end_fail(path);
	meter = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (meter == MAP_FAILED)
		end_fail(path);
	close(fd);
	mkfifo(wake, 0644);
	fifo = open(wake, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fifo < 0)
		end_fail(wake);
	free(wake);
	pairs = count;
}

bool meter_is_open(void)
{
	return meter != NULL;
}

int meter_descriptor(void)
{
	return fifo;
}

void meter_awake(void)
{
	char bytes[64];

	while (read(fifo, bytes, sizeof(bytes)) > 0)
		;
}

static _Atomic int64_t *place_of(const struct numbered *m)
{
	return &meter->left[(m->number * pairs + m->pair) % RING];
}

static uint64_t arrived(void)
{
	return meter->got + meter->errors;
}

/* --- the end that sends --- */

void meter_begin(void)
{
	meter->began_sent = meter->sent;
	meter->began_got = meter->got;
	meter->began_errors = meter->errors;
	meter->doubled = meter->disorder = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		meter->latencies[i] = 0;
	meter->began = end_now();
	meter->ended = meter->began;
}

void meter_sent(const struct numbered *m)
{
	*place_of(m) = end_now();
	meter->sent++;
}

void meter_error(const struct numbered *m)
{
	*place_of(m) = 0;
	meter->errors++;
}

/* At most so many are under way; else wait for that. The count is looked at once more, as the other end may not have seen us wait. */
static bool wait_for(uint64_t under_way)
{
	uint64_t awaited = meter->sent - under_way;

	if (meter->sent <= under_way || arrived() >= awaited)
		return true;
	meter->awaited = awaited;
	return arrived() >= awaited;
}

bool meter_has_room(uint64_t window)
{
	return meter->sent - arrived() < window || wait_for(window - window / 8);
}

bool meter_is_done(void)
{
	return wait_for(0);
}

/* --- the end that receives --- */

static size_t bucket_of(uint64_t us)
{
	unsigned shift = us < 2 * STEPS ? 0 : 58 - (unsigned)__builtin_clzll(us);
	size_t bucket = (size_t)shift * STEPS + (us >> shift);

	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* Its middle. */
static double us_of(size_t bucket)
{
	unsigned shift = bucket < 2 * STEPS ? 0 : (unsigned)(bucket / STEPS) - 1;

	return ((double)(bucket - (size_t)shift * STEPS) + 0.5) * (double)(1ULL << shift);
}

void meter_got(const struct numbered *m)
{
	int64_t now = end_now(), left = atomic_exchange(place_of(m), 0);

	if (left == 0) {
		meter->doubled++;
		return;
	}
	meter->latencies[bucket_of(now > left ? (uint64_t)(now - left) : 0)]++;
	if (m->number < meter->last[m->pair % PAIRS])
		meter->disorder++;
	else
		meter->last[m->pair % PAIRS] = m->number;
	meter->ended = now;
	meter->got++;
}

void meter_turn(void)
{
	uint64_t awaited = meter->awaited;

	if (awaited == 0 || arrived() < awaited)
		return;
	meter->awaited = 0;
	if (write(fifo, "", 1) != 1)
		return; /* full: it has been woken often enough */
}

/* --- the report --- */

static double percentile(double part)
{
	uint64_t all = 0, below = 0;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		all += meter->latencies[i];
	for (i = 0; i < BUCKETS - 1; i++) {
		below += meter->latencies[i];
		if ((double)below >= part * (double)all)
			break;
	}
	return us_of(i);
}

void meter_say(void)
{
	uint64_t sent = meter->sent - meter->began_sent, got = meter->got - meter->began_got;
	uint64_t errors = meter->errors - meter->began_errors;

	printf("{\"sent\": %llu, \"got\": %llu, \"errors\": %llu, \"lost\": %llu, \"doubled\": %llu, "
	       "\"disorder\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
	       (unsigned long long)sent, (unsigned long long)got, (unsigned long long)errors,
	       (unsigned long long)(sent - got - errors), (unsigned long long)meter->doubled,
	       (unsigned long long)meter->disorder, (double)(meter->ended - meter->began) / 1e6,
	       percentile(0.5), percentile(0.99));
	fflush(stdout);
}
