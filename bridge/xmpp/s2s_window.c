/*
 * s2s_window.c - how much of what streams have brought may be unfinished: with
 * neither a next hop, nor the spool, nor an answer yet.
 *
 * A stream whose window is full is not read until half of it is finished, so that
 * what is too much waits at the peer, in its memory and not in ours; what one
 * read has brought by then is still taken. The window of a stream is
 * s2s.window_bytes and SM_WINDOW stanzas, but never more than a quarter of what
 * s2s.window_total leaves: many busy streams get less each, and there is always
 * some left for one that was idle. A stream with nothing unfinished is always
 * read. A component's stream carries all partners, so that one of them must not
 * stop it: it has only the total's quarter, which is more than a link may queue.
 *
 * Pings' answers wait behind what is not read, too: see window_deafens().
 * Nothing is fatal.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <string.h>

#include "bridge/core/log.h"

#define OVERHEAD 512 /* what a stanza costs besides its bytes, until it is finished */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t bytes_allowed(const struct stream *st)
{
	const struct config *config = st->s2s->setup.config;
	size_t total = (size_t)config->s2s.window_total, used = st->s2s->unfinished_bytes,
	       share = used < total ? (total - used) / 4 : 0;

	return st->is_component ? share : least((size_t)config->s2s.window_bytes, share);
}

static bool is_full(const struct stream *st)
{
	if (st->received && sm_is_full(st->received))
		return true;
	return st->unfinished_bytes > bytes_allowed(st) || (st->unfinished >= SM_WINDOW && !st->is_component);
}

static bool has_room_again(const struct stream *st)
{
	if (st->received && sm_is_full(st->received))
		return false;
	return st->unfinished == 0 ||
	       (st->unfinished_bytes <= bytes_allowed(st) / 2 && st->unfinished <= SM_WINDOW / 2);
}

struct receipt window_enter(struct stream *st, size_t size)
{
	struct receipt receipt = { .stream = st->number, .size = size + OVERHEAD };

	receipt.counted = st->received != NULL;
	if (receipt.counted)
		receipt.stanza = sm_receive(st->received);
	st->unfinished++;
	st->unfinished_bytes += receipt.size;
	st->s2s->unfinished_bytes += receipt.size;
	if (!(st->paused & PAUSE_CUSTODY) && is_full(st)) {
		log_event(LOG_DEBUG, "stream-held", st->name, "remote=%s stanzas=%u bytes=%zu",
			  log_value(st->remote), st->unfinished, st->unfinished_bytes);
		stream_pause(st, PAUSE_CUSTODY, true);
	}
	return receipt;
}

void s2s_receipt_done(struct s2s *s2s, struct receipt receipt)
{
	struct stream *st = receipt.stream ? s2s_find_stream(s2s, receipt.stream) : NULL;

	s2s->unfinished_bytes -= receipt.size;
	if (!st)
		return;
	st->unfinished--;
	st->unfinished_bytes -= receipt.size;
	if (receipt.counted)
		sm_finish(st->received, receipt.stanza);
	if ((st->paused & PAUSE_CUSTODY) && has_room_again(st))
		stream_pause(st, PAUSE_CUSTODY, false);
	if (receipt.counted)
		sm_acknowledge_if_owed(st);
}

static bool brings(const struct stream *st, const struct link *link)
{
	const struct pair *pair;

	if (st == link->stream)
		return true;
	if (st->edge != link->edge)
		return false;
	DL_FOREACH (st->pairs, pair)
		if (pair->valid && strcmp(pair->remote, link->remote) == 0 &&
		    strcmp(pair->local, link->local) == 0)
			return true;
	return false;
}

bool window_deafens(const struct link *link)
{
	const struct stream *st, *next;

	HASH_ITER (hh, link->s2s->streams, st, next)
		if (st->paused && brings(st, link))
			return true;
	return false;
}
