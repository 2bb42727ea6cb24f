/*
 * gateway_out.c - XMPP -> SIP: an XMPP message becomes a SIP MESSAGE to the
 * user's pool (RFC 7572 section 4), and its final response the outcome.
 *
 * Order: one request is under way for each (bare from, bare to); the others
 * wait behind it, which is also what RFC 3428 section 8 asks for. A queue exists
 * only while something is in it. The queues of a pool take turns, so that no
 * more requests are under way to it than its connection can hold. Both limits
 * of the configuration count what is under way too; s2s.queue_time is how long a
 * message may wait for its turn.
 *
 * Owns the pairs and, through them, every message until its outcome is told; how
 * one message is written is outbound.c. Nothing is fatal.
 */
#include "bridge/gateway/outbound.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* Requests under way to a pool: well below what sofia-sip queues for one connection (endpoint.c). */
enum { UNDER_WAY_MAX = 256 };

/*
 * From its first message to the outcome of its last, a pair is in its pool's
 * window, has its first message's request under way, or is telling an outcome.
 */
struct pair {
	struct gateway *gateway;
	struct outbound *first;
	size_t count;
	struct sip_outgoing *request;
	struct window *window; /* that the request is counted in */
	bool telling;
	struct pair *prev, *next; /* in a window */
	UT_hash_handle hh;
	char key[]; /* "FROM TO", bare: neither can hold a space */
};

size_t gateway_pair_count(const struct gateway *g)
{
	return HASH_COUNT(g->pairs);
}

static void on_response(void *ctx, const struct sip_response *response);

static void send_first(struct pair *pair)
{
	pair->request = outbound_send(pair->gateway, pair->first, on_response, pair);
}

static void close_pair(struct pair *pair)
{
	HASH_DEL(pair->gateway->pairs, pair);
	free(pair);
}

static struct outbound *take(struct pair *pair, struct outbound *o)
{
	DL_DELETE(pair->first, o);
	pair->count--;
	pair->gateway->queued--;
	return o;
}

static struct outbound *take_first(struct pair *pair)
{
	return take(pair, pair->first);
}

/* Its turn comes too late: what waits behind a silent pool would wait for timer F once for each before it. */
static bool is_late(const struct outbound *o, const struct gateway *g)
{
	return loop_now(g->loop) - o->since > g->config->s2s.queue_ms;
}

/* False: nothing is left, and the pair is gone. */
static bool fail_late(struct pair *pair)
{
	const struct objection late = { COND_REMOTE_SERVER_TIMEOUT, "this user's system does not answer" };
	struct gateway *g = pair->gateway;

	pair->telling = true;
	while (pair->first != NULL && is_late(pair->first, g))
		outbound_fail(g, take_first(pair), late);
	pair->telling = false;
	if (pair->first != NULL)
		return true;
	close_pair(pair);
	return false;
}

static void send_ready(struct gateway *g)
{
	for (size_t i = 0; i < ARRAY_SIZE(g->window); i++) {
		struct window *w = &g->window[i];

		while (w->ready != NULL && w->under_way < UNDER_WAY_MAX) {
			struct pair *pair = w->ready;

			DL_DELETE(w->ready, pair);
			if (!fail_late(pair))
				continue;
			pair->window = w;
			w->under_way++;
			send_first(pair);
		}
	}
}

/* Behind the others. */
static void make_ready(struct pair *pair)
{
	DL_APPEND(pair->gateway->window[pair->first->pool].ready, pair);
}

static void on_response(void *ctx, const struct sip_response *response)
{
	struct pair *pair = ctx;
	struct gateway *g = pair->gateway;

	pair->request = NULL;
	if (outbound_retarget(pair->first, response->status)) {
		send_first(pair);
		return;
	}
	pair->window->under_way--;
	/* The callback may bring the next message of this pair: it finds the pair busy. */
	pair->telling = true;
	outbound_respond(g, take_first(pair), response);
	pair->telling = false;
	if (pair->first != NULL)
		make_ready(pair);
	else
		close_pair(pair);
	send_ready(g);
	gateway_check_stopped(g);
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

static bool is_full(const struct gateway *g, const struct pair *pair)
{
	return pair->count >= (size_t)g->config->sip.queue_messages ||
	       g->queued >= (size_t)g->config->sip.queue_total;
}

static void enqueue(struct gateway *g, struct outbound *o, const struct jid *from, const struct jid *to)
{
	struct pair *pair = find_pair(g, from, to);
	bool idle = pair->first == NULL && !pair->telling;

	if (is_full(g, pair)) {
		if (idle)
			close_pair(pair);
		outbound_fail(g, o,
			      (struct objection){ COND_RESOURCE_CONSTRAINT,
						  "too many messages wait for this system" });
		return;
	}
	o->since = loop_now(g->loop);
	DL_APPEND(pair->first, o);
	pair->count++;
	g->queued++;
	if (idle) {
		make_ready(pair);
		send_ready(g);
	}
}

/*
 * A message without a body that nobody will miss: chat states, receipts and
 * markers, which pager mode has nothing to carry in, and headlines (RFC 6121
 * section 5.2.2). Any other, encrypted ones for instance, has content.
 */
static bool is_note(const struct stanza *stanza, struct stanza_tree *tree)
{
	static const char *const notes[] = {
		NS_SERVER,           "http://jabber.org/protocol/chatstates",
		"urn:xmpp:receipts", "urn:xmpp:chat-markers:0",
		"urn:xmpp:hints",    "urn:xmpp:sid:0",
		"urn:xmpp:delay",    "jabber:x:event",
		"jabber:x:delay",    "http://jabber.org/protocol/nick",
	};
	const char *subject = stanza_tree_text(tree, "subject", NULL);

	return stanza_has_type(stanza, "headline") || ((subject == NULL || subject[0] == '\0') &&
						       stanza_tree_is_within(tree, notes, ARRAY_SIZE(notes)));
}

void gateway_send(struct gateway *g, struct stanza *stanza, enum pool pool, delivery_fn *done, void *done_ctx)
{
	struct outbound *o = outbound_create(stanza, done, done_ctx);
	struct objection objection = { COND_BAD_REQUEST, "this is no message" };
	struct stanza_tree *tree = NULL;
	const char *body = NULL;
	struct jid from, to;

	if (g->stopped) {
		objection = (struct objection){ COND_REMOTE_SERVER_TIMEOUT, "shutting down" };
	} else if (jid_parse(stanza->from, &from) == OK && jid_parse(stanza->to, &to) == OK &&
		   stanza_tree_build(stanza, &tree) == OK) {
		body = stanza_tree_text(tree, "body", NULL);
		if ((body == NULL || body[0] == '\0') && is_note(stanza, tree)) {
			g->bodiless++;
			done(done_ctx, stanza, &(struct outcome){ .confirmed = true });
			stanza_tree_free(tree);
			outbound_free(o);
			return;
		}
		if (body == NULL || body[0] == '\0')
			objection = (struct objection){ COND_NOT_ACCEPTABLE,
							"only text is carried to this user's system" };
		else
			objection = outbound_map(g, o, pool, &from, &to, tree);
	}
	stanza_tree_free(tree);
	if (objection.text != NULL)
		outbound_fail(g, o, objection);
	else
		enqueue(g, o, &from, &to);
}

static const struct objection stopped = { COND_REMOTE_SERVER_TIMEOUT, "shutting down" };

/* A message that was sent stays: the pool usually delivers it, and an error would make its sender send it again. */
void gateway_fail_queued(struct gateway *g)
{
	struct pair *pair, *next;

	for (size_t i = 0; i < ARRAY_SIZE(g->window); i++)
		g->window[i].ready = NULL; /* all of these close now */
	HASH_ITER (hh, g->pairs, pair, next) {
		struct outbound *o = pair->request != NULL ? pair->first->next : pair->first, *after;

		for (; o != NULL; o = after) {
			after = o->next;
			outbound_fail(g, take(pair, o), stopped);
		}
		if (pair->request == NULL)
			close_pair(pair);
	}
}

void gateway_fail_sent(struct gateway *g)
{
	struct pair *pair, *next;

	HASH_ITER (hh, g->pairs, pair, next) {
		sip_outgoing_cancel(pair->request);
		pair->window->under_way--;
		outbound_fail(g, take_first(pair), stopped);
		close_pair(pair);
	}
}

size_t gateway_under_way(const struct gateway *g)
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(g->window); i++)
		count += g->window[i].under_way;
	return count;
}
