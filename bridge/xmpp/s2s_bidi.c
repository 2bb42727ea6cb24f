/*
 * s2s_bidi.c - streams that carry stanzas both ways (XEP-0288).
 *
 * Inbound: the peer asks before it authenticates; when its pair is proved, the
 * link back uses the same stream, unless it has one. Outbound: asked for only
 * when the peer's certificate is good for its domain, because what then comes in
 * is taken for its own; dialback alone proves us to it, not it to us.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <string.h>

#include "bridge/core/log.h"

void bidi_write_feature(const struct stream *st, struct strbuf *b)
{
	if (!st->is_external)
		strbuf_puts(b, "<bidi xmlns='" NS_BIDI_FEATURE "'/>");
}

void bidi_on_request(struct stream *st, const struct xml_element *el)
{
	(void)el;
	st->is_bidi = true;
}

void bidi_ask(struct stream *st, const struct xml_element *features)
{
	struct strbuf b = { 0 };

	if (st->is_bidi || !s2s_offers(features, NS_BIDI_FEATURE, "bidi") || !sasl_peer_is_certified(st))
		return;
	st->is_bidi = true;
	strbuf_puts(&b, "<bidi xmlns='" NS_BIDI "'/>");
	stream_write(st, &b);
	strbuf_free(&b);
}

void bidi_trusted(struct stream *st, const char *local, const char *remote)
{
	if (!st->is_bidi)
		return;
	log_event(LOG_DEBUG, "stream-bidi", st->name, "local=%s remote=%s", local, remote);
	if (st->direction == DIRECTION_OUT)
		s2s_add_pair(st, local, remote)->valid = true;
	else if (strcmp(st->local, local) == 0 && strcmp(st->remote, remote) == 0)
		link_adopt(link_get(st->s2s, st->edge, local, remote), st);
}
