/*
 * outbound.c - one XMPP message on its way to a pool (RFC 7572 section 4).
 *
 * A message is mapped when it comes: one that SIP cannot carry as it is is
 * refused, never changed. One to a full JID goes to that device (gr), and when
 * the pool does not know it, to the user, as an XMPP server would do (RFC 6121
 * section 8.5.3.2.1): partners' clients go on writing to the resource that a
 * user had before he was moved.
 *
 * Owns its copy of every string until the outcome is told. Nothing is fatal.
 */
#include "bridge/gateway/outbound.h"

#include <stdlib.h>
#include <string.h>

struct outbound *outbound_create(struct stanza *stanza, delivery_fn *done, void *done_ctx)
{
	struct outbound *o = xcalloc(1, sizeof(*o));

	o->stanza = stanza_ref(stanza);
	o->done = done;
	o->done_ctx = done_ctx;
	return o;
}

void outbound_free(struct outbound *o)
{
	stanza_unref(o->stanza);
	free(o->from_uri);
	free(o->to_uri);
	free(o->bare_uri);
	free(o->subject);
	free(o->call_id);
	free(o->body);
	free(o);
}

static const struct objection none = { .text = NULL };

/* The SIP URI of a JID; NULL: it has none. */
static char *uri_of(const struct jid *jid)
{
	struct sip_address address;
	char uri[SIP_URI_SIZE];

	if (map_jid_to_sip(jid, &address) != OK || sip_address_format(&address, uri) != OK)
		return NULL;
	return xstrdup(uri);
}

static struct objection map_subject(struct outbound *o, struct stanza_tree *tree)
{
	const char *subject = stanza_tree_text(tree, "subject", NULL);
	char text[TEXT_SIZE];

	if (subject == NULL || subject[0] == '\0')
		return none;
	switch (sip_header_text(subject, text, sizeof(text))) {
	case OK:
		o->subject = xstrdup(text);
		return none;
	case ERR_LIMIT:
		return (struct objection){ COND_POLICY_VIOLATION, "the subject is too long for SIP" };
	default:
		return (struct objection){
			COND_NOT_ACCEPTABLE,
			"SIP cannot carry a subject with line breaks or control characters"
		};
	}
}

/* A thread that is no Call-ID is left out: a Call-ID of its own groups the message with no other. */
static void map_thread(struct outbound *o, struct stanza_tree *tree)
{
	const char *thread = stanza_tree_text(tree, "thread", NULL);
	char call_id[CALL_ID_SIZE];

	if (thread != NULL && map_thread_to_call_id(thread, call_id, sizeof(call_id)))
		o->call_id = xstrdup(call_id);
}

struct objection outbound_map(const struct gateway *g, struct outbound *o, enum pool pool,
			      const struct jid *from, const struct jid *to, struct stanza_tree *tree)
{
	o->pool = pool;
	if (g->endpoint == NULL || config_next_hops(g->config, pool)->count == 0)
		return (struct objection){ COND_SERVICE_UNAVAILABLE,
					   "this user's SIP pool is not configured" };
	o->from_uri = uri_of(from);
	o->to_uri = uri_of(to);
	if (o->from_uri == NULL || o->to_uri == NULL)
		return (struct objection){ COND_JID_MALFORMED,
					   "one of the addresses cannot be written as a SIP address" };
	if (to->resource[0] != '\0') {
		struct jid bare = *to;

		bare.resource[0] = '\0';
		o->bare_uri = uri_of(&bare);
	}
	o->body = xstrdup(stanza_tree_text(tree, "body", NULL));
	map_thread(o, tree);
	return map_subject(o, tree);
}

struct sip_outgoing *outbound_send(const struct gateway *g, const struct outbound *o, sip_response_fn *done,
				   void *ctx)
{
	const char *lang = o->stanza->lang, *headers[2];
	char *subject = NULL, *language = NULL;
	struct sip_outgoing *request;
	struct sip_send s = {
		.method = "MESSAGE",
		.pool = o->pool,
		.to_uri = o->to_uri,
		.from_uri = o->from_uri,
		.call_id = o->call_id,
		.headers = headers,
		.content_type = "text/plain;charset=UTF-8",
		.body = o->body,
		.body_size = strlen(o->body),
	};

	if (o->subject != NULL)
		headers[s.header_count++] = subject = xasprintf("Subject: %s", o->subject);
	if (lang != NULL && map_lang_valid(lang))
		headers[s.header_count++] = language = xasprintf("Content-Language: %s", lang);
	request = sip_send(g->endpoint, &s, done, ctx);
	free(subject);
	free(language);
	return request;
}

/* A user who declines or is busy has been found: those are not in the list. */
bool outbound_retarget(struct outbound *o, unsigned status)
{
	static const unsigned unknown[] = { 404, 410, 430, 480, 484, 604 };

	for (size_t i = 0; o->bare_uri != NULL && i < ARRAY_SIZE(unknown); i++) {
		if (status != unknown[i])
			continue;
		free(o->to_uri);
		o->to_uri = o->bare_uri;
		o->bare_uri = NULL;
		return true;
	}
	return false;
}

/* --- outcomes --- */

static void finish(struct gateway *g, struct outbound *o, const struct outcome *outcome)
{
	*(outcome->confirmed ? &g->to_sip : &g->to_sip_failed) += 1;
	o->done(o->done_ctx, o->stanza, outcome);
	outbound_free(o);
}

void outbound_fail(struct gateway *g, struct outbound *o, struct objection objection)
{
	struct outcome outcome = { .condition = objection.condition, .text = objection.text };

	finish(g, o, &outcome);
}

/*
 * The new address of a user who has moved within the domain; a Contact beyond
 * it would tell the partner how the pool is built. False: none to tell.
 */
static bool new_address(const struct outbound *o, const char *contact_uri, char uri[MAP_URI_SIZE])
{
	struct sip_address address;
	struct jid to, moved;

	if (contact_uri == NULL || sip_address_parse(contact_uri, &address) != OK ||
	    map_sip_to_jid(&address, &moved) != OK || jid_parse(o->stanza->to, &to) != OK)
		return false;
	if (moved.local[0] == '\0' || strcmp(moved.domain, to.domain) != 0)
		return false;
	map_jid_to_uri(&moved, uri);
	return true;
}

void outbound_respond(struct gateway *g, struct outbound *o, const struct sip_response *response)
{
	char uri[MAP_URI_SIZE], text[TEXT_SIZE];
	bool moved = response->status / 100 == 3 && new_address(o, response->contact_uri, uri);
	struct outcome outcome = { .confirmed = response->status / 100 == 2 };

	if (!outcome.confirmed) {
		/* The phrase is a stranger's: text that XML can hold, or none. */
		bool clean = response->phrase[0] != '\0' &&
			     sip_header_text(response->phrase, text, sizeof(text)) == OK &&
			     utf8_is_xml(text, strlen(text));

		outcome.condition = map_status_to_condition(response->status, moved);
		outcome.text = clean ? text : NULL;
		outcome.uri = moved ? uri : NULL;
		log_event(LOG_INFO, "sip-failed", NULL, "from=%s to=%s status=%u phrase=%s",
			  log_value(o->stanza->from), log_value(o->stanza->to), response->status,
			  log_value(response->phrase));
	}
	finish(g, o, &outcome);
}
