/*
 * s2s_push.c - blanks behind what a peer seems to have left unread.
 *
 * COMPAT: since CVE-2023-52425 expat leaves a start tag that came to it in two
 * pieces alone until the bytes are twice those of the first piece, and servers
 * that read with expat (Prosody 0.12 on Debian 12) let it. In a backlog a peer's
 * reads cut anywhere, so what comes last may wait there for more: a question of
 * six kilobytes for six more, and with it all that is behind it. If nothing
 * more is to be said, a link that is well would be found dead. So when an answer
 * is late, as many blanks follow as the longest element has bytes that the
 * peer has not been seen to have read, once for everything written before. A
 * peer that is only slow skips them: RFC 6120 section 4.6.1 allows them between
 * stanzas at any time, section 6.3.5 not while SASL is under way.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

#define PUSH_PART 4   /* of confirm_ms: an answer is late */
#define PING_SIZE 160 /* at most, without the two domains; <r/> is shorter */

/* Was it written so long ago, and not pushed since? */
static bool is_late(const struct link *link, int64_t written_at, int64_t now)
{
	return written_at >= link->pushed_at &&
	       now - written_at >= link->s2s->setup.config->s2s.confirm_ms / PUSH_PART;
}

static bool has_late(const struct link *link, int64_t now)
{
	const struct verify *v;

	if (link->ping_out && is_late(link, link->ping_at, now))
		return true;
	DL_FOREACH (link->verifies, v)
		if (v->sent && is_late(link, v->sent_at, now))
			return true;
	return false;
}

/* No start tag within it has more bytes. */
static size_t longest_unread(const struct link *link)
{
	size_t longest = PING_SIZE + strlen(link->local) + strlen(link->remote);
	const struct outgoing *o;
	const struct verify *v;

	DL_FOREACH (link->sent, o)
		if (o->stanza->size > longest)
			longest = o->stanza->size;
	DL_FOREACH (link->verifies, v)
		if (v->sent && v->size > longest)
			longest = v->size;
	return longest;
}

void link_push(struct link *link, int64_t now)
{
	struct stream *st = link->stream;
	size_t count;
	char *blanks;

	if (!st || st->close_sent || (st->state != S2S_NEGOTIATING && st->state != S2S_TRUSTED) ||
	    !has_late(link, now))
		return;
	count = longest_unread(link);
	blanks = xmalloc(count);
	memset(blanks, ' ', count);
	/* A full output buffer: the peer's TCP takes nothing, so it is not its parser that waits. */
	if (sock_write(st->sock, blanks, count) == OK) {
		link->pushed_at = now;
		log_event(LOG_DEBUG, "link-pushed", st->name, "local=%s remote=%s bytes=%zu", link->local,
			  link->remote, count);
	}
	free(blanks);
}
