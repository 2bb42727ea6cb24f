/*
 * gateway_out.c - XMPP -> SIP: an XMPP message becomes a SIP MESSAGE to the
 * user's pool (RFC 7572 section 4), and its final response the outcome.
 *
 * Order: one request is under way for each (bare from, bare to); the others
 * wait behind it, which is also what RFC 3428 section 8 asks for. A queue exists
 * only while something is in it. Both limits of the configuration count what is
 * under way too.
 *
 * A message is mapped when it comes: one that SIP cannot carry as it is is
 * refused, never changed. One to a full JID goes to that device (gr), and when
 * the pool does not know it, to the user, as an XMPP server would do (RFC 6121
 * section 8.5.3.2.1): partners' clients go on writing to the resource that a
 * user had before he was moved.
 *
 * Owns its copy of every string until the outcome is told. Nothing is fatal.
 */
#include "bridge/gateway/gateway_internal.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* One message on its way to a pool. */
struct outbound {
	struct stanza *stanza;
	delivery_fn *done;
	void *done_ctx;
	const char *next_hop;           /* the configuration's */
	char *from_uri, *to_uri;        /* owned, like the next four */
	char *bare_uri;                 /* for a second try; NULL: none, or it was made */
	char *subject, *call_id, *body; /* the first two may be NULL */
	struct outbound *prev, *next;
};

struct pair {
	struct gateway *gateway;
	struct outbound *first; /* its request is under way */
	size_t count;
	struct sip_outgoing *request; /* NULL while an outcome is being told */
	bool telling;
	UT_hash_handle hh;
	char key[]; /* "FROM TO", bare: neither can hold a space */
};

size_t gateway_pair_count(const struct gateway *g)
{
	return HASH_COUNT(g->pairs);
}

static void free_outbound(struct outbound *o)
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

/* --- mapping --- */

/* Why a message cannot go; text NULL: it can. */
struct objection {
	enum condition condition;
	const char *text;
};

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

static struct objection map_message(const struct gateway *g, struct outbound *o, enum pool pool,
				    const struct jid *from, const struct jid *to, struct stanza_tree *tree)
{
	o->next_hop = pool == POOL_NEW ? g->config->sip.new_pool : g->config->sip.legacy_pool;
	if (g->endpoint == NULL || o->next_hop[0] == '\0')
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

/* --- outcomes --- */

/* The outcome is told; the message is gone then. */
static void finish(struct gateway *g, struct outbound *o, const struct outcome *outcome)
{
	*(outcome->confirmed ? &g->to_sip : &g->to_sip_failed) += 1;
	o->done(o->done_ctx, o->stanza, outcome);
	free_outbound(o);
}

static void fail(struct gateway *g, struct outbound *o, struct objection objection)
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

static void tell_response(struct gateway *g, struct outbound *o, unsigned status, const char *phrase,
			  const char *contact_uri)
{
	char uri[MAP_URI_SIZE], text[TEXT_SIZE];
	bool moved = status / 100 == 3 && new_address(o, contact_uri, uri);
	struct outcome outcome = { .confirmed = status / 100 == 2 };

	if (!outcome.confirmed) {
		/* The phrase is a stranger's: text that XML can hold, or none. */
		bool clean = phrase[0] != '\0' && sip_header_text(phrase, text, sizeof(text)) == OK &&
			     utf8_is_xml(text, strlen(text));

		outcome.condition = map_status_to_condition(status, moved);
		outcome.text = clean ? text : NULL;
		outcome.uri = moved ? uri : NULL;
		log_event(LOG_INFO, "sip-failed", NULL, "from=%s to=%s hop=%s status=%u phrase=%s",
			  log_value(o->stanza->from), log_value(o->stanza->to), log_value(o->next_hop),
			  status, log_value(phrase));
	}
	finish(g, o, &outcome);
}

/* --- the queues --- */

static void send_first(struct pair *pair);

static void close_pair(struct pair *pair)
{
	HASH_DEL(pair->gateway->pairs, pair);
	free(pair);
}

static struct outbound *take_first(struct pair *pair)
{
	struct outbound *o = pair->first;

	DL_DELETE(pair->first, o);
	pair->count--;
	pair->gateway->queued--;
	return o;
}

/* The pool has no such device: then to the user, once. A user who declines or is busy has been found. */
static bool retarget(struct outbound *o, unsigned status)
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

/* The callback may bring the next message of this pair: it is sent from here then. */
static void on_response(void *ctx, unsigned status, const char *phrase, const char *contact_uri)
{
	struct pair *pair = ctx;

	pair->request = NULL;
	if (retarget(pair->first, status)) {
		send_first(pair);
		return;
	}
	pair->telling = true;
	tell_response(pair->gateway, take_first(pair), status, phrase, contact_uri);
	pair->telling = false;
	if (pair->first != NULL)
		send_first(pair);
	else
		close_pair(pair);
}

static void send_first(struct pair *pair)
{
	const struct outbound *o = pair->first;
	const char *lang = o->stanza->lang;
	struct sip_message m = {
		.next_hop = o->next_hop,
		.to_uri = o->to_uri,
		.from_uri = o->from_uri,
		.call_id = o->call_id,
		.subject = o->subject,
		.content_language = lang != NULL && map_lang_valid(lang) ? lang : NULL,
		.content_type = "text/plain;charset=UTF-8",
		.body = o->body,
		.body_size = strlen(o->body),
	};

	pair->request = sip_send_message(pair->gateway->endpoint, &m, on_response, pair);
}

static struct pair *find_pair(struct gateway *g, const struct jid *from, const struct jid *to)
{
	char key[2 * JID_BARE_SIZE];
	struct pair *pair;
	size_t n;

	jid_bare(from, key);
	strcat(key, " ");
	n = strlen(key);
	jid_bare(to, key + n);
	HASH_FIND_STR(g->pairs, key, pair);
	if (pair == NULL) {
		pair = xcalloc(1, sizeof(*pair) + strlen(key) + 1);
		pair->gateway = g;
		strcpy(pair->key, key);
		HASH_ADD_KEYPTR(hh, g->pairs, pair->key, strlen(pair->key), pair);
	}
	return pair;
}

static void enqueue(struct gateway *g, struct outbound *o, const struct jid *from, const struct jid *to)
{
	struct pair *pair = find_pair(g, from, to);

	if (pair->count >= (size_t)g->config->sip.queue_messages ||
	    g->queued >= (size_t)g->config->sip.queue_total) {
		if (pair->count == 0 && !pair->telling)
			close_pair(pair);
		fail(g, o,
		     (struct objection){ COND_RESOURCE_CONSTRAINT,
					 "too many messages wait for this system" });
		return;
	}
	DL_APPEND(pair->first, o);
	pair->count++;
	g->queued++;
	if (pair->request == NULL && !pair->telling)
		send_first(pair);
}

void gateway_send(struct gateway *g, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx)
{
	struct outbound *o = xcalloc(1, sizeof(*o));
	struct objection objection = { COND_BAD_REQUEST, "this is no message" };
	struct stanza_tree *tree = NULL;
	const char *body = NULL;
	struct jid from, to;

	*o = (struct outbound){ .stanza = stanza_ref(stanza), .done = done, .done_ctx = done_ctx };
	if (g->stopped) {
		objection = (struct objection){ COND_REMOTE_SERVER_TIMEOUT, "shutting down" };
	} else if (jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK &&
		   stanza_tree_build(stanza, &tree) == OK) {
		body = stanza_tree_text(tree, "body", NULL);
		/* Chat states, receipts and markers: pager mode has nothing to carry them in. */
		if (body == NULL || body[0] == '\0') {
			g->bodiless++;
			done(done_ctx, stanza, &(struct outcome){ .confirmed = true });
			stanza_tree_free(tree);
			free_outbound(o);
			return;
		}
		objection = map_message(g, o, pool, &from, &to, tree);
	}
	stanza_tree_free(tree);
	if (objection.text != NULL)
		fail(g, o, objection);
	else
		enqueue(g, o, &from, &to);
}

void gateway_end_sending(struct gateway *g)
{
	const struct objection stopped = { COND_REMOTE_SERVER_TIMEOUT, "shutting down" };
	struct pair *pair, *next;

	HASH_ITER(hh, g->pairs, pair, next)
	{
		if (pair->request != NULL)
			sip_outgoing_cancel(pair->request);
		while (pair->first != NULL)
			fail(g, take_first(pair), stopped);
		close_pair(pair);
	}
}
