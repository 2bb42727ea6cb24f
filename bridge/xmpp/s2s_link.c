/*
 * s2s_link.c - one outbound link: the stanzas in its custody, from s2s_send()
 * until each has been answered by its delivery callback, exactly once.
 *
 * Custody. A stanza waits in `queue`, is written and moves to `sent`, and leaves
 * when there is proof that the peer has it. TCP's acknowledgement is no such
 * proof: a server that dies has acknowledged what it never read. So an XMPP ping
 * (XEP-0199) follows the stanzas, one under way at a time; whatever answers it,
 * a result or an error, proves that all before it was read, since a stream is
 * read in order. A peer that never answers pings is believed on its TCP's word
 * (SIOCOUTQ), and so is one whose answer cannot come because we do not read its
 * stream at present (s2s_window.c). When a stream breaks, what TCP never
 * acknowledged goes out again on the next one, in order; what was acknowledged
 * but not proved goes back to its sender with an error, because sending it again
 * might double it.
 *
 * Every end goes through s2s_finish(), so callbacks come at the end of the turn
 * and never from inside a loop over these lists.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

#define PROOF_DELAY_MS 20  /* stanzas of this time share a ping */
#define PROOF_STANZAS  256 /* this many do not wait for it */
#define TICK_BUSY_MS   20
#define TICK_QUIET_MS  250
#define TRY_MS         5000
#define KEY_SIZE       (2 * DOMAIN_SIZE + 4)
#define DEAD_FACTOR    4 /* times confirm_ms: a peer that answered pings and is silent for so long is dead */

static void on_tick(void *ctx);

/* A domain holds no blank, so no two triples share a key. */
static void make_key(enum edge edge, const char *local, const char *remote, char out[KEY_SIZE])
{
	out[0] = (char)('0' + edge);
	out[1] = ' ';
	out = stpcpy(out + 2, local);
	*out++ = ' ';
	strcpy(out, remote);
}

struct link *link_find(struct s2s *s2s, enum edge edge, const char *local, const char *remote)
{
	char key[KEY_SIZE];
	struct link *link;

	make_key(edge, local, remote, key);
	HASH_FIND_STR(s2s->links, key, link);
	return link;
}

/* Takes the key. */
static struct link *create(struct s2s *s2s, char *key, enum edge edge, const char *local, const char *remote)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->s2s = s2s;
	link->key = key;
	link->edge = edge;
	str_copy(link->local, sizeof(link->local), local);
	str_copy(link->remote, sizeof(link->remote), remote);
	link->failure = COND_REMOTE_SERVER_TIMEOUT;
	link->tick = loop_timer_create(s2s->setup.loop, on_tick, link);
	HASH_ADD_KEYPTR(hh, s2s->links, link->key, strlen(link->key), link);
	return link;
}

struct link *link_get(struct s2s *s2s, enum edge edge, const char *local, const char *remote)
{
	struct link *link = link_find(s2s, edge, local, remote);
	char key[KEY_SIZE];

	if (link)
		return link;
	make_key(edge, local, remote, key);
	return create(s2s, xstrdup(key), edge, local, remote);
}

struct link *link_create_for_check(struct s2s *s2s, const char *local, const char *remote)
{
	char *key = xasprintf("check %llu", (unsigned long long)++s2s->last_stream);
	struct link *link = create(s2s, key, EDGE_EXTERNAL, local, remote);

	link->for_check = true;
	return link;
}

void link_destroy(struct link *link)
{
	HASH_DEL(link->s2s->links, link);
	dns_cancel(link->query);
	free(link->tlsa);
	loop_timer_destroy(link->tick);
	free(link->key);
	free(link);
}

bool link_is_empty(const struct link *link)
{
	return !link->queue && !link->sent && !link->verifies;
}

void link_arm(struct link *link)
{
	if (!loop_timer_pending(link->tick))
		loop_timer_set(link->tick, link->sent ? TICK_BUSY_MS : TICK_QUIET_MS);
}

/* Takes o out of the custody of the list's link. */
static void finish(struct link *link, struct outgoing *o, bool confirmed, enum condition condition,
		   const char *text)
{
	link->count--;
	link->bytes -= o->stanza->size;
	o->confirmed = confirmed;
	o->condition = condition;
	o->text = confirmed ? NULL : xstrdup(text ? text : "");
	s2s_finish(link->s2s, o);
}

/* It is not confirmed; of one that waited still, nothing can have arrived. */
static void fail_one(struct link *link, struct outgoing **list, struct outgoing *o, enum condition condition,
		     const char *text)
{
	DL_DELETE(*list, o);
	o->unsent = list == &link->queue && !o->exposed;
	finish(link, o, false, condition, text);
}

static void fail_list(struct link *link, struct outgoing **list, enum condition condition, const char *text)
{
	while (*list)
		fail_one(link, list, *list, condition, text);
}

void link_fail(struct link *link, enum condition condition, const char *text)
{
	log_event(LOG_NOTICE, "link-failed", NULL,
		  "edge=%s local=%s remote=%s stanzas=%zu condition=%s why=%s", edge_name(link->edge),
		  link->local, link->remote, link->count, condition_name(condition), log_value(text));
	str_copy(link->why, sizeof(link->why), text);
	fail_list(link, &link->sent, condition, text);
	fail_list(link, &link->queue, condition, text);
}

void link_fail_requests(struct link *link, enum condition condition, const char *text)
{
	struct outgoing **const lists[] = { &link->sent, &link->queue };
	struct outgoing *o, *next;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		DL_FOREACH_SAFE (*lists[i], o, next) {
			if (!stanza_has_type(o->stanza, "error"))
				fail_one(link, lists[i], o, condition, text);
		}
	}
}

static bool is_writable(const struct link *link)
{
	return link->stream && link->stream->state == S2S_TRUSTED && !link->stream->close_sent;
}

static void send_ping(struct link *link)
{
	struct strbuf b = { 0 };
	char random[17];

	if (random_hex(random, sizeof(random)) != OK)
		return;
	snprintf(link->ping_id, sizeof(link->ping_id), "%s%s", link->s2s->ping_prefix, random);
	strbuf_printf(&b, "<iq type='get' id='%s' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>",
		      link->ping_id, link->local, link->remote);
	if (sock_write(link->stream->sock, b.s, b.len) == OK) {
		link->ping_out = true;
		link->ping_number = link->last_number;
	}
	strbuf_free(&b);
}

int64_t link_patience(const struct link *link)
{
	return DEAD_FACTOR * link->s2s->setup.config->s2s.confirm_ms;
}

void link_ask_for_proof(struct link *link)
{
	if (link->stream->sm_out)
		link->ping_out = sm_request(link->stream);
	else
		send_ping(link);
	if (link->ping_out)
		link->ping_at = s2s_now(link->s2s);
}

/* Write what the stream takes; a full output buffer is tried again on the next tick. */
static void pump(struct link *link)
{
	bool was_quiet = !link->sent;
	struct outgoing *o;

	while (is_writable(link) && (o = link->queue)) {
		if (sock_write(link->stream->sock, o->stanza->bytes, o->stanza->size) != OK)
			break;
		DL_DELETE(link->queue, o);
		o->number = ++link->last_number;
		if (o->trial)
			o->deadline = s2s_now(link->s2s) + link->s2s->setup.config->s2s.queue_ms;
		o->end = sock_offset(link->stream->sock);
		if (!link->sent)
			link->unproved_since = s2s_now(link->s2s);
		DL_APPEND(link->sent, o);
		link->stream->active_at = s2s_now(link->s2s);
		if (!link->ping_out && link->last_number - link->sent->number >= PROOF_STANZAS)
			link_ask_for_proof(link);
	}
	/* Not for each stanza: a stream of them would put the tick off for ever. */
	if (link->sent && was_quiet)
		loop_timer_set(link->tick, TICK_BUSY_MS);
	else
		link_arm(link);
}

void link_trusted(struct link *link)
{
	link->failures = 0;
	link->without_tls = false;
	link->why[0] = '\0';
	pump(link);
}

void link_adopt(struct link *link, struct stream *st)
{
	if (link->stream || (link->state != LINK_IDLE && link->state != LINK_BACKOFF))
		return;
	link->stream = st;
	link->state = LINK_STREAM;
	link->policy = st->policy;
	st->link = link;
	link_trusted(link);
	link_work(link);
}

void link_enqueue(struct link *link, struct outgoing *o)
{
	const struct config *config = link->s2s->setup.config;

	link->count++;
	link->bytes += o->stanza->size;
	if (link->count > (size_t)config->s2s.queue_stanzas ||
	    link->bytes > (size_t)config->s2s.queue_bytes) {
		o->unsent = true;
		finish(link, o, false, COND_RESOURCE_CONSTRAINT, "too much is waiting for this server");
		return;
	}
	DL_APPEND(link->queue, o);
	if (is_writable(link))
		pump(link);
	else
		link_work(link);
}

static struct outgoing *make_outgoing(const struct link *link, struct stanza *stanza, int64_t deadline_ms,
				      delivery_fn *done, void *ctx)
{
	struct outgoing *o = xmalloc(sizeof(*o));

	*o = (struct outgoing){ .stanza = stanza_ref(stanza),
				.done = done,
				.ctx = ctx,
				.deadline = s2s_now(link->s2s) + deadline_ms };
	return o;
}

void link_send(struct link *link, struct stanza *stanza, int64_t deadline_ms, delivery_fn *done, void *ctx)
{
	if (deadline_ms == 0)
		deadline_ms = link->s2s->setup.config->s2s.queue_ms;
	link_enqueue(link, make_outgoing(link, stanza, deadline_ms, done, ctx));
}

void link_try(struct link *link, struct stanza *stanza, delivery_fn *done, void *ctx)
{
	int64_t patience = link->s2s->setup.config->s2s.queue_ms;
	struct outgoing *o = make_outgoing(link, stanza, patience < TRY_MS ? patience : TRY_MS, done, ctx);

	o->trial = true;
	if (link->state != LINK_BACKOFF) {
		link_enqueue(link, o);
		return;
	}
	link->count++;
	link->bytes += stanza->size;
	o->unsent = true;
	finish(link, o, false, link->failure, link->why);
}

static void confirm_through(struct link *link, uint64_t number)
{
	while (link->sent && link->sent->number <= number) {
		struct outgoing *o = link->sent;

		DL_DELETE(link->sent, o);
		finish(link, o, true, 0, NULL);
	}
	link->unproved_since = s2s_now(link->s2s);
}

/* Second best: the peer's TCP has it. */
static void confirm_by_tcp(struct link *link)
{
	uint64_t acked = sock_acked(link->stream->sock), number = 0;
	const struct outgoing *o;

	DL_FOREACH (link->sent, o) {
		if (o->end > acked)
			break;
		number = o->number;
	}
	confirm_through(link, number);
}

void link_proved(struct link *link, uint64_t number)
{
	link->ping_out = false;
	link->answers_pings = true;
	confirm_through(link, number);
	if (link->sent && is_writable(link))
		link_ask_for_proof(link);
	pump(link);
}

static bool is_answered(const struct link *link, const char *id)
{
	return link && link->ping_out && strcmp(link->ping_id, id) == 0;
}

/* A check's link has the same two domains as an ordinary one. */
static struct link *find_check(struct s2s *s2s, const char *id, const struct jid *local,
			       const struct jid *remote)
{
	struct link *link, *next;

	HASH_ITER (hh, s2s->links, link, next)
		if (link->check && is_answered(link, id) && strcmp(link->local, local->domain) == 0 &&
		    strcmp(link->remote, remote->domain) == 0)
			return link;
	return NULL;
}

bool link_is_pong(struct s2s *s2s, enum edge edge, const struct stanza *stanza, const struct jid *from,
		  const struct jid *to)
{
	struct link *link;

	if (stanza->kind != STANZA_IQ || from->local[0] || to->local[0] || !stanza->id ||
	    strncmp(stanza->id, s2s->ping_prefix, strlen(s2s->ping_prefix)) != 0 ||
	    !(stanza_has_type(stanza, "result") || stanza_has_type(stanza, "error")))
		return false;
	link = link_find(s2s, edge, to->domain, from->domain);
	if (!is_answered(link, stanza->id))
		link = find_check(s2s, stanza->id, to, from);
	if (link)
		link_proved(link, link->ping_number);
	return true;
}

/* Ask for proof, believe the second best, or find the peer dead. */
static void seek_proof(struct link *link, int64_t now)
{
	int64_t patience = link->s2s->setup.config->s2s.confirm_ms;
	int64_t waited = now - link->ping_at;
	bool is_shared = component_carries(link), by_tcp;

	if (!link->sent || !is_writable(link))
		return;
	by_tcp = !link->answers_pings && !link->stream->sm_out && !is_shared;
	if (!by_tcp && link->ping_out && waited >= patience && !is_shared && window_deafens(link)) {
		confirm_by_tcp(link);
		link->ping_at = now; /* its patience begins when we listen again */
		return;
	}
	if (!link->ping_out && now - link->unproved_since >= PROOF_DELAY_MS)
		link_ask_for_proof(link);
	else if (link->ping_out && by_tcp && waited >= patience)
		confirm_by_tcp(link);
	else if (link->ping_out && is_shared && waited >= link_patience(link))
		link_ask_for_proof(link); /* the way behind the other server may have lost the question */
	else if (link->ping_out && !by_tcp && !is_shared && waited >= link_patience(link))
		stream_close(link->stream, "connection-timeout", "the peer has stopped answering");
}

static void expire_list(struct link *link, struct outgoing **list, int64_t now, const char *text)
{
	struct outgoing *o, *next;

	DL_FOREACH_SAFE (*list, o, next) {
		if (o->deadline <= now)
			fail_one(link, list, o, link->failure, text);
	}
}

static void on_tick(void *ctx)
{
	struct link *link = ctx;
	int64_t now = s2s_now(link->s2s);

	verify_expire(link, now);
	expire_list(link, &link->queue, now,
		    link->why[0] ? link->why : "the other server did not answer in time");
	seek_proof(link, now);
	link_push(link, now);
	expire_list(link, &link->sent, now, "the other server did not confirm the delivery in time");
	if (link->state == LINK_BACKOFF && link->retry_at <= now) {
		link->state = LINK_IDLE;
		link_work(link);
	}
	if (component_carries(link) && link_is_empty(link)) {
		link->stream = NULL;
		link->state = LINK_IDLE;
	}
	/* A check's answer is told at the end of the turn, and needs the link. */
	if (link->state == LINK_IDLE && link_is_empty(link) && !link->check && link != link->s2s->trunk) {
		link_destroy(link);
		return;
	}
	if (link->state == LINK_STREAM && link->verifies)
		link_work(link);
	if (is_writable(link))
		pump(link);
	if (!link_is_empty(link) || link->state == LINK_BACKOFF)
		link_arm(link);
}

/*
 * Counted by the peer (XEP-0198), all that it did not acknowledge goes out again.
 * Else what the peer's TCP never had goes out again, before all newer; what it had may have been read.
 * Returns true when the peer must not get anything more by this stream, since it gets it by the next.
 */
static bool settle_sent(struct link *link, bool counted, bool orderly, struct sock *sock, const char *why)
{
	const uint64_t acked = sock_acked(sock), sent = sock_sent(sock);
	struct outgoing *lost = NULL, *o;
	bool taken_back = false;

	while ((o = link->sent)) {
		DL_DELETE(link->sent, o);
		taken_back = taken_back || o->end > acked;
		o->exposed = o->exposed || o->end - o->stanza->size < sent;
		if ((counted && o->number > link->sm_base) || o->end > acked)
			DL_APPEND(lost, o);
		else if (orderly)
			finish(link, o, true, 0, NULL);
		else
			finish(link, o, false, COND_REMOTE_SERVER_TIMEOUT,
			       "the connection broke before the delivery was confirmed");
	}
	if (lost)
		log_event(LOG_INFO, "link-resend", NULL, "edge=%s local=%s remote=%s why=%s",
			  edge_name(link->edge), link->local, link->remote, log_value(why));
	DL_CONCAT(lost, link->queue);
	link->queue = lost;
	return taken_back;
}

void link_board(struct link *link, struct stream *st)
{
	link->stream = st;
	link->state = LINK_STREAM;
	link_trusted(link);
}

bool link_unboard(struct link *link, bool orderly, const char *why)
{
	struct stream *st = link->stream;

	link->stream = NULL;
	link->state = LINK_IDLE;
	link->ping_out = false;
	str_copy(link->why, sizeof(link->why), why);
	link_arm(link);
	return settle_sent(link, false, orderly, st->sock, why);
}

bool link_stream_ended(struct link *link, bool orderly, const char *why)
{
	struct stream *st = link->stream;
	bool was_trusted = st->state == S2S_TRUSTED;
	bool was_negotiated = st->state >= S2S_NEGOTIATING;
	bool sasl_failed = st->state == S2S_SASL || (st->state == S2S_NEGOTIATING && st->sasl_failures > 0);
	bool tls_failed = st->state == S2S_STARTTLS || st->state == S2S_SECURING;
	int64_t lived = s2s_now(link->s2s) - st->opened_at;
	struct verify *v;
	bool taken_back;

	link->stream = NULL;
	link->state = LINK_IDLE;
	link->ping_out = false;
	taken_back = settle_sent(link, st->sm_out, orderly, st->sock, why);
	DL_FOREACH (link->verifies, v)
		v->sent = false;
	if (tls_failed && !st->direct_tls && link->policy.tls == REQUIRE_OPTIONAL && !link->without_tls) {
		link->without_tls = true;
		link->target_next--;
	}
	/* A peer that closes after refusing EXTERNAL is asked once more, with dialback, where that is allowed. */
	if (sasl_failed && (link->policy.methods & METHOD_DIALBACK_TLS)) {
		link->without_sasl = true;
		link->target_next--;
		link_next_target(link, why);
	} else if (was_trusted && (orderly || st->close_sent) &&
		   lived >= link->s2s->setup.config->s2s.backoff_min_ms) {
		/* A peer that closes as soon as it is reached is not asked again at once. */
		link_work(link);
	} else if (was_negotiated && link->verifies && link->failures == 0) {
		/* Peers close a stream that only asks when they like, also as a question comes: it is put once more. */
		link->failures++;
		link_work(link);
	} else if (was_negotiated) {
		link_back_off(link, COND_REMOTE_SERVER_TIMEOUT, why);
	} else {
		link_next_target(link, why);
	}
	link_arm(link);
	return taken_back;
}
