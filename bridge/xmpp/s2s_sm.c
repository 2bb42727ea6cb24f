/*
 * s2s_sm.c - stream management on a stream (XEP-0198), without resumption.
 *
 * Inbound, h is what custody permits: the longest prefix of received stanzas that
 * are with their next hop or answered, told by s2s_receipt_done(). An <r/> is
 * answered at once, and again when all that it asked about is finished: the peer
 * may have nothing more to send that would make it ask again, and a server that
 * closes a stream tells the senders of what it believes lost. Outbound,
 * <r/> takes the place of the link's ping, and what was not acknowledged when the
 * stream breaks goes out again on the next.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/core/log.h"

static bool write_text(struct stream *st, const char *text)
{
	struct strbuf b = { 0 };
	bool written;

	strbuf_puts(&b, text);
	written = stream_write(st, &b);
	strbuf_free(&b);
	return written;
}

void sm_write_feature(const struct stream *st, struct strbuf *b)
{
	(void)st;
	strbuf_puts(b, "<sm xmlns='" NS_SM "'/>");
}

void sm_write_acknowledgement(struct stream *st, struct strbuf *b)
{
	if (st->received)
		strbuf_printf(b, "<a xmlns='" NS_SM "' h='%u'/>", sm_tell(st->received));
}

/* What we send from here on is covered by the peer's h. */
static void start_counting(struct stream *st)
{
	st->sm_out = true;
	st->link->sm_base = st->link->last_number;
	st->link->sm_acked = 0;
}

/* The peer will count what it sends from here on. */
void sm_on_enable(struct stream *st, const struct xml_element *el)
{
	(void)el;
	if (st->received) {
		write_text(st, "<failed xmlns='" NS_SM "'><unexpected-request xmlns='" NS_STANZA_ERRORS
			       "'/></failed>");
		return;
	}
	st->received = xcalloc(1, sizeof(*st->received));
	if (st->link)
		start_counting(st);
	write_text(st, "<enabled xmlns='" NS_SM "'/>");
	log_event(LOG_DEBUG, "sm-enabled", st->name, "by=peer");
}

static void acknowledge(struct stream *st)
{
	struct strbuf b = { 0 };

	sm_write_acknowledgement(st, &b);
	stream_write(st, &b);
	strbuf_free(&b);
}

void sm_on_request(struct stream *st, const struct xml_element *el)
{
	(void)el;
	if (!st->received) {
		stream_close(st, "policy-violation", "stream management is not enabled");
		return;
	}
	sm_ask(st->received);
	acknowledge(st);
}

void sm_acknowledge_if_owed(struct stream *st)
{
	if (sm_is_owed(st->received) && !st->close_sent)
		acknowledge(st);
}

/* Counting begins with <enable/>: what follows is covered by h, also before <enabled/> comes. */
void sm_enable(struct stream *st)
{
	start_counting(st);
	if (st->is_bidi)
		st->received = xcalloc(1, sizeof(*st->received));
	write_text(st, "<enable xmlns='" NS_SM "'/>");
}

void sm_on_enabled(struct stream *st, const struct xml_element *el)
{
	(void)el;
	if (!st->sm_out) {
		stream_close(st, "policy-violation", "stream management was not asked for");
		return;
	}
	log_event(LOG_DEBUG, "sm-enabled", st->name, "by=us");
}

/* The stream goes on, with pings for proof. */
void sm_on_failed(struct stream *st, const struct xml_element *el)
{
	(void)el;
	st->sm_out = false;
	st->link->ping_out = false;
}

/* The error of XEP-0198 section 4: more than we sent, or less than before. */
static void refuse_count(struct stream *st, uint32_t h, uint64_t sent)
{
	char specific[160];

	log_event(LOG_WARNING, "sm-impossible-h", st->name, "remote=%s h=%u sent=%llu", log_value(st->remote),
		  h, (unsigned long long)sent);
	snprintf(specific, sizeof(specific),
		 "<handled-count-too-high xmlns='" NS_SM "' h='%u' send-count='%u'/>", h, (uint32_t)sent);
	stream_close_with(st, "undefined-condition", "an acknowledgement that cannot be", specific);
}

/*
 * COMPAT: Prosody says <a h='0'/> before it closes a stream that it opened, although
 * nothing was ever sent on it that it could count.
 */
void sm_on_acknowledgement(struct stream *st, const struct xml_element *el)
{
	struct link *link = st->sm_out ? st->link : NULL;
	uint64_t sent = link ? link->last_number - link->sm_base : 0, acked;
	uint32_t h;

	if ((!link && !st->received) || !el->h || sm_parse_h(el->h, &h) != OK) {
		stream_close(st, "policy-violation", "an acknowledgement that cannot be");
	} else if (sm_acknowledged(sent, link ? link->sm_acked : 0, h, &acked) != OK) {
		refuse_count(st, h, sent);
	} else if (link) {
		link->sm_acked = acked;
		link_proved(link, link->sm_base + acked);
	}
}

bool sm_request(struct stream *st)
{
	return write_text(st, "<r xmlns='" NS_SM "'/>");
}
