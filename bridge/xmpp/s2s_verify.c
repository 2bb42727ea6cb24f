/*
 * s2s_verify.c - questions to the authoritative server (db:verify): for a key
 * that a peer showed to us, or relayed for a key that is not ours.
 *
 * A question waits with its link until the link's stream can carry it, and is
 * answered exactly once: by the verdict that fits it on the very stream that
 * carried it, by the link's failure, or by its deadline.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/xml.h"

#define PENDING_MAX 100 /* questions per link */
#define RELAYED_MAX 50  /* of these; anybody may ask them, and must leave room for our own */

static void finish(struct link *link, struct verify *v, enum verdict_kind verdict)
{
	struct stream *requester = s2s_find_stream(link->s2s, v->requester);

	DL_DELETE(link->verifies, v);
	/* The link's names are the pair's as the requester's edge sees it; relayed, both are exchanged. */
	if (requester && v->relayed)
		s2s_in_verify_verdict(requester, v, link->remote, link->local, verdict);
	/* Another id: the key was shown on the XML stream before TLS. */
	else if (requester && strcmp(v->id, requester->id) == 0)
		s2s_in_pair_verdict(requester, link->local, link->remote, verdict);
	free(v->id);
	free(v->key);
	free(v);
	if (link_is_empty(link) && !link->policy.listed && link->stream &&
	    link->stream->state == S2S_NEGOTIATING)
		stream_finish(
			link->stream); /* opened for the question alone, to a domain that is listed nowhere */
}

void verify_request(struct link *link, uint64_t requester, bool relayed, const char *id, const char *key)
{
	struct verify *v = xcalloc(1, sizeof(*v)), *other;
	size_t pending = 0, alike = 0;

	v->requester = requester;
	v->relayed = relayed;
	v->id = xstrdup(id);
	v->key = xstrdup(key);
	v->deadline = s2s_now(link->s2s) + link->s2s->setup.config->s2s.queue_ms;
	DL_APPEND(link->verifies, v);
	DL_FOREACH (link->verifies, other) {
		pending++;
		alike += other->relayed == relayed;
	}
	if (pending > PENDING_MAX || (relayed && alike > RELAYED_MAX))
		finish(link, v, VERDICT_ERROR);
	else
		link_work(link);
}

/* False: the output is full. */
static bool write_question(const struct link *link, struct verify *v)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, "<db:verify");
	xml_attr(&b, "from", link->local);
	xml_attr(&b, "to", link->remote);
	xml_attr(&b, "id", v->id);
	strbuf_puts(&b, ">");
	xml_text(&b, v->key, strlen(v->key));
	strbuf_puts(&b, "</db:verify>");
	v->sent = sock_write(link->stream->sock, b.s, b.len) == OK;
	v->sent_at = s2s_now(link->s2s);
	v->size = b.len;
	strbuf_free(&b);
	return v->sent;
}

/* What finds no room goes out at a later tick: a stranger's questions must not cost the link its stream. */
void verify_send_pending(struct link *link)
{
	struct verify *v;

	DL_FOREACH (link->verifies, v)
		if (!v->sent && !write_question(link, v))
			break;
}

/* From the server that was asked, to the domain that asked. */
static bool is_from(const struct link *link, const struct xml_element *el)
{
	char from[DOMAIN_SIZE], to[DOMAIN_SIZE];

	return el->from && el->to && jid_domain(el->from, from) == OK && jid_domain(el->to, to) == OK &&
	       strcmp(from, link->remote) == 0 && strcmp(to, link->local) == 0;
}

/* A verdict counts only for a question of the same addresses and id that went out on this link's stream. */
void verify_on_verdict(struct link *link, const struct xml_element *el)
{
	enum verdict_kind verdict = VERDICT_ERROR;
	struct verify *v;

	DL_FOREACH (link->verifies, v)
		if (v->sent && el->id && strcmp(v->id, el->id) == 0)
			break;
	if (!v || !el->type || !is_from(link, el)) {
		stream_close(link->stream, "policy-violation", "a dialback verdict that was not asked for");
		return;
	}
	/* It answers: a link that only asks is as good as one that sends. */
	link->failures = 0;
	if (strcmp(el->type, "valid") == 0)
		verdict = VERDICT_VALID;
	else if (strcmp(el->type, "invalid") == 0)
		verdict = VERDICT_INVALID;
	finish(link, v, verdict);
}

void verify_fail_all(struct link *link)
{
	while (link->verifies)
		finish(link, link->verifies, VERDICT_ERROR);
}

void verify_expire(struct link *link, int64_t now)
{
	struct verify *v, *next;

	DL_FOREACH_SAFE (link->verifies, v, next)
		if (v->deadline <= now)
			finish(link, v, VERDICT_ERROR);
}
