/*
 * s2s_status.c - links and streams as JSON, for `poolbridgectl status` and
 * `poolbridgectl streams`: what an administrator asks when a partner says that
 * nothing arrives.
 *
 * It reads and changes nothing. Stanzas and keys are never shown.
 */
#include "bridge/xmpp/s2s_internal.h"

/* How the pair was proved: to us on a stream that came in, by us on one that goes out. */
static const char *auth_name(const struct stream *st, bool proved)
{
	if (!proved)
		return "none";
	if (st->is_component)
		return "component";
	return st->is_external ? "external" : "dialback";
}

static json_t *describe(const struct s2s *s2s, const struct stream *st)
{
	char tls[64] = "";

	if (!st)
		return json_pack("{s:s, s:s, s:s}", "address", "", "tls", "", "auth", "none");
	sock_tls_describe(st->sock, tls, sizeof(tls));
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:I, s:I}", "id", st->name, "state",
			 stream_state_name(st->state), "address", sock_peer(st->sock), "tls", tls,
			 "direct_tls", st->direct_tls, "certificate",
			 st->certificate_why ? st->certificate_why : (st->is_certified ? "trusted" : ""),
			 "bidi", st->is_bidi, "age_seconds",
			 (json_int_t)((s2s_now(s2s) - st->opened_at) / 1000), "idle_seconds",
			 (json_int_t)((s2s_now(s2s) - st->active_at) / 1000));
}

/* acknowledged, handled: stanzas of this stream, as XEP-0198 counts them on either side. */
static json_t *describe_link(const struct s2s *s2s, const struct link *link)
{
	json_t *row = describe(s2s, link->stream);
	bool sm = link->stream && link->stream->sm_out, is_trunk = link == s2s->trunk;
	const struct outgoing *o;
	size_t unconfirmed = 0;

	DL_FOREACH (link->sent, o)
		unconfirmed++;
	json_object_update_new(row,
			       json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:s}", "edge",
					 edge_name(link->edge), "direction", is_trunk ? "both" : "out",
					 "local", link->local, "remote", is_trunk ? "*" : link->remote, "sm",
					 sm, "acknowledged", (json_int_t)(sm ? link->sm_acked : 0), "queued",
					 (json_int_t)(link->count - unconfirmed), "unconfirmed",
					 (json_int_t)unconfirmed, "last_error", link->why));
	if (link->stream)
		json_object_set_new(row, "auth",
				    json_string(auth_name(link->stream, link->stream->state == S2S_TRUSTED)));
	else
		json_object_set_new(row, "state",
				    json_string(link->state == LINK_BACKOFF ? "waiting" : "resolving"));
	return row;
}

static json_t *describe_pair(const struct s2s *s2s, const struct stream *st, const struct pair *pair)
{
	json_t *row = describe(s2s, st);
	uint64_t unfinished = st->received ? st->received->received - st->received->finished : 0;

	json_object_update_new(row, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:b, s:b, s:I, s:I}", "edge",
					      edge_name(st->edge), "direction", "in", "local", pair->local,
					      "remote", pair->remote, "authenticated", pair->valid, "auth",
					      auth_name(st, pair->valid), "sm", st->received != NULL,
					      "slowed", st->paused != 0, "handled",
					      (json_int_t)(st->received ? st->received->finished : 0),
					      "unacknowledged", (json_int_t)unfinished));
	return row;
}

json_t *s2s_links(const struct s2s *s2s)
{
	json_t *list = json_array();
	const struct link *link, *next_link;
	const struct stream *st, *next_stream;
	const struct pair *pair;

	/* What a check leaves behind for a moment would be read as trouble. */
	HASH_ITER (hh, s2s->links, link, next_link)
		if (!link->for_check || link->check)
			json_array_append_new(list, describe_link(s2s, link));
	HASH_ITER (hh, s2s->streams, st, next_stream)
		DL_FOREACH (st->pairs, pair)
			json_array_append_new(list, describe_pair(s2s, st, pair));
	return list;
}
