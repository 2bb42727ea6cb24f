/*
 * s2s_limits.c - how much one stranger, one address and one partner may take.
 *
 * Streams are counted where they come in and given back where they end: in all,
 * per source address, those that have proved nothing yet, and those that have
 * proved a partner's domain. Stanzas are paid for from a token bucket per remote
 * domain: when it is empty, the stream is not read until there is a token again,
 * so the partner's own queue grows and not ours. What one read had brought by then
 * is still taken, and is paid for by the length of the pause. The internal edge
 * has one known peer and is exempt.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

struct source {
	UT_hash_handle hh; /* s2s->sources */
	char address[64];
	unsigned streams;
};

struct bucket {
	UT_hash_handle hh; /* s2s->buckets */
	char remote[DOMAIN_SIZE];
	double tokens;
	int64_t filled_at;
};

/* "127.0.0.1:5269" without its port. */
static void source_address(const struct stream *st, char out[64])
{
	const char *peer = sock_peer(st->sock), *port = strrchr(peer, ':');

	snprintf(out, 64, "%.*s", port ? (int)(port - peer) : 63, peer);
}

static struct source *find_source(struct s2s *s2s, const char *address)
{
	struct source *source;

	HASH_FIND_STR(s2s->sources, address, source);
	return source;
}

static void count_source(struct stream *st, int step)
{
	char address[64];
	struct source *source;

	source_address(st, address);
	source = find_source(st->s2s, address);
	if (!source) {
		source = xcalloc(1, sizeof(*source));
		str_copy(source->address, sizeof(source->address), address);
		HASH_ADD_STR(st->s2s->sources, address, source);
	}
	source->streams = (unsigned)((int)source->streams + step);
	if (source->streams == 0) {
		HASH_DEL(st->s2s->sources, source);
		free(source);
	}
}

/* Why a new inbound stream has no place, or NULL. */
static const char *why_full(struct stream *st)
{
	const struct config *config = st->s2s->setup.config;
	char address[64];
	const struct source *source;

	if (HASH_COUNT(st->s2s->streams) > (unsigned)config->s2s.streams)
		return "s2s.streams is reached";
	source_address(st, address);
	source = find_source(st->s2s, address);
	if (source && source->streams >= (unsigned)config->s2s.streams_per_address)
		return "s2s.streams_per_address is reached";
	return NULL;
}

/*
 * Streams from outside that have proved nothing have a limit of their own, at most
 * half of all, and the oldest of them gives way to the newest: a crowd that says
 * nothing keeps neither partners nor our own links out.
 */
static void make_room(struct s2s *s2s)
{
	const struct config *config = s2s->setup.config;
	unsigned most = (unsigned)config->s2s.streams_unauthenticated;

	if (most > ((unsigned)config->s2s.streams + 1) / 2)
		most = ((unsigned)config->s2s.streams + 1) / 2;
	if (s2s->unproved_count < most)
		return;
	log_event(LOG_NOTICE, "stream-displaced", s2s->unproved->name,
		  "why=\"too many have proved nothing\"");
	stream_destroy_now(s2s->unproved);
}

bool limits_admit(struct stream *st)
{
	const char *why;

	if (st->edge == EDGE_INTERNAL)
		return true;
	make_room(st->s2s);
	why = why_full(st);
	if (why) {
		log_event(LOG_WARNING, "connection-refused", st->name, "edge=%s peer=%s why=\"%s\"",
			  edge_name(st->edge), sock_peer(st->sock), why);
		return false;
	}
	st->is_counted = true;
	st->is_unproved = true;
	DL_APPEND2(st->s2s->unproved, st, older, newer);
	st->s2s->unproved_count++;
	count_source(st, 1);
	return true;
}

void limits_authenticated(struct stream *st)
{
	if (!st->is_unproved)
		return;
	st->is_unproved = false;
	DL_DELETE2(st->s2s->unproved, st, older, newer);
	st->s2s->unproved_count--;
}

/* --- streams of one partner --- */

static bool has_proved(const struct stream *st, const char *remote)
{
	const struct pair *pair;

	DL_FOREACH (st->pairs, pair)
		if (pair->counted && strcmp(pair->remote, remote) == 0)
			return true;
	return false;
}

void limits_prove(struct stream *st, struct pair *pair)
{
	pair->valid = true;
	if (st->edge == EDGE_INTERNAL || has_proved(st, pair->remote))
		return;
	pair->counted = shares_take(&st->s2s->proved, pair->remote, strlen(pair->remote), SIZE_MAX);
}

void limits_unprove(struct stream *st, struct pair *pair)
{
	if (pair->counted)
		shares_give(&st->s2s->proved, pair->remote, strlen(pair->remote));
	pair->counted = false;
}

/*
 * Only proved ones count: by claiming its name nobody can keep a partner out. The legacy gateway comes
 * with a stream for every partner.
 */
bool limits_full(const struct stream *st, const char *remote, const struct stream_policy *policy)
{
	unsigned limit = policy->connections ? policy->connections
					     : (unsigned)st->s2s->setup.config->s2s.streams_per_partner;

	return st->edge != EDGE_INTERNAL && !has_proved(st, remote) &&
	       shares_of(&st->s2s->proved, remote, strlen(remote)) >= limit;
}

void limits_release(struct stream *st)
{
	struct pair *pair;

	DL_FOREACH (st->pairs, pair)
		limits_unprove(st, pair);
	limits_authenticated(st);
	if (st->is_counted)
		count_source(st, -1);
	st->is_counted = false;
	loop_timer_destroy(st->throttle);
	st->throttle = NULL;
}

void stream_pause(struct stream *st, enum pause reason, bool paused)
{
	unsigned before = st->paused;

	st->paused = paused ? before | (unsigned)reason : before & ~(unsigned)reason;
	if ((st->paused != 0) != (before != 0))
		sock_pause(st->sock, st->paused != 0);
}

static void on_throttle_over(void *ctx)
{
	stream_pause(ctx, PAUSE_RATE, false);
}

static void fill(const struct s2s *s2s, struct bucket *b)
{
	const struct config *config = s2s->setup.config;
	int64_t now = s2s_now(s2s);

	b->tokens += (double)(now - b->filled_at) * (double)config->s2s.stanza_rate / 1000;
	if (b->tokens > (double)config->s2s.stanza_burst)
		b->tokens = (double)config->s2s.stanza_burst;
	b->filled_at = now;
}

/* A full bucket says no more than none. One that is not outlives its streams: a new stream brings no new tokens. */
static void drop_full_buckets(struct s2s *s2s)
{
	struct bucket *b, *next;

	HASH_ITER (hh, s2s->buckets, b, next) {
		fill(s2s, b);
		if (b->tokens < (double)s2s->setup.config->s2s.stanza_burst)
			continue;
		HASH_DEL(s2s->buckets, b);
		free(b);
	}
}

static struct bucket *bucket_of(struct s2s *s2s, const char *remote)
{
	struct bucket *b;

	HASH_FIND_STR(s2s->buckets, remote, b);
	if (b) {
		fill(s2s, b);
		return b;
	}
	drop_full_buckets(s2s);
	b = xcalloc(1, sizeof(*b));
	str_copy(b->remote, sizeof(b->remote), remote);
	b->tokens = (double)s2s->setup.config->s2s.stanza_burst;
	b->filled_at = s2s_now(s2s);
	HASH_ADD_STR(s2s->buckets, remote, b);
	return b;
}

void limits_cleanup(struct s2s *s2s)
{
	struct bucket *b, *next;

	HASH_ITER (hh, s2s->buckets, b, next) {
		HASH_DEL(s2s->buckets, b);
		free(b);
	}
}

void limits_pay(struct stream *st, const char *remote)
{
	double rate = (double)st->s2s->setup.config->s2s.stanza_rate;
	struct bucket *b;

	if (st->edge == EDGE_INTERNAL || st->is_component)
		return;
	b = bucket_of(st->s2s, remote);
	b->tokens -= 1;
	if (b->tokens >= 0)
		return;
	if (!st->throttle)
		st->throttle = loop_timer_create(st->s2s->setup.loop, on_throttle_over, st);
	if (!(st->paused & PAUSE_RATE))
		log_event(LOG_DEBUG, "stream-slowed", st->name, "remote=%s", remote);
	stream_pause(st, PAUSE_RATE, true);
	loop_timer_set(st->throttle, (int64_t)(-b->tokens * 1000 / rate) + 1);
}
