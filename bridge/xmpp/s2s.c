/*
 * s2s.c - the s2s edges as a whole: set-up, whose domain is whose, the delivery
 * callbacks at the end of each turn, and stopping.
 *
 * Streams and links are owned by the two tables here. Whose domain is whose is
 * read from the registry each time: a change is in force at once.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

/*
 * What an element may be before authentication: memory that anybody can have
 * held. RFC 6120 section 13.12 wants 10000 bytes to be possible.
 */
#define STRANGER_BYTES    10000
#define STRANGER_ELEMENTS 100

#define STOP_TICK_MS 50
#define STOP_STEP_MS 2000 /* how long each step of stopping may take */

const char *edge_name(enum edge edge)
{
	return edge == EDGE_INTERNAL ? "internal" : "external";
}

int64_t s2s_now(const struct s2s *s2s)
{
	return loop_now(s2s->setup.loop);
}

struct stream *s2s_find_stream(struct s2s *s2s, uint64_t number)
{
	struct stream *st;

	HASH_FIND(hh, s2s->streams, &number, sizeof(number), st);
	return st;
}

static enum err is_local_domain(struct s2s *s2s, const char *name, bool *out)
{
	struct domain domain;
	enum err e = registry_find_domain(s2s->setup.db, name, &domain);

	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	*out = e == OK;
	return OK;
}

enum err s2s_is_ours(struct s2s *s2s, enum edge edge, const char *domain, bool *out)
{
	struct partner partner;
	bool local;
	enum err e = is_local_domain(s2s, domain, &local);

	if (e == OK && edge == EDGE_INTERNAL && !local) {
		e = registry_find_partner(s2s->setup.db, domain, &partner);
		if (e == OK || e == ERR_NOT_FOUND) {
			*out = e == OK;
			return OK;
		}
	}
	if (e == OK)
		*out = local && edge == EDGE_EXTERNAL && !component_serves(s2s, edge, domain);
	return e;
}

/* The legacy gateway is configured, not registered; it never uses SASL (OCS 2007 R2: TCP dialback). */
static struct stream_policy internal_policy(const struct s2s *s2s, bool is_local)
{
	enum requirement tls = (enum requirement)s2s->setup.config->internal.tls;

	return (struct stream_policy){
		.tls = tls,
		.methods = policy_methods(tls, REQUIRE_NONE, true),
		.keepalive = true,
		.allowed = is_local,
		.listed = true,
	};
}

/*
 * An unknown partner gets the defaults of a new one, but is not allowed in; a
 * domain of our own is never a partner, whoever claims it from outside.
 */
enum err s2s_policy_for(struct s2s *s2s, enum edge edge, const char *remote, struct stream_policy *out)
{
	struct partner partner;
	bool is_local, known;
	enum err e = is_local_domain(s2s, remote, &is_local);

	if (e != OK)
		return e;
	if (edge == EDGE_INTERNAL) {
		*out = internal_policy(s2s, is_local);
		return OK;
	}
	e = registry_find_partner(s2s->setup.db, remote, &partner);
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	known = e == OK;
	if (!known)
		partner_init(&partner, remote);
	*out = (struct stream_policy){
		.tls = partner.tls,
		.methods = policy_methods(partner.tls, partner.sasl, partner.dialback),
		.keepalive = partner.keepalive,
		.allowed = known && partner.gateway != GATEWAY_BLOCKED && !is_local,
		.listed = known && strcmp(partner.name, "*") != 0,
		.connections = partner.connections,
	};
	str_copy(out->proxy, sizeof(out->proxy), partner.proxy);
	return OK;
}

void s2s_finish(struct s2s *s2s, struct outgoing *o)
{
	DL_APPEND(s2s->finished, o);
}

/* A callback may send again, and that may finish at once: until nothing is left. */
static void deliver_finished(void *ctx)
{
	struct s2s *s2s = ctx;
	struct outgoing *o;

	while ((o = s2s->finished)) {
		struct outcome outcome = { .confirmed = o->confirmed,
					   .unsent = o->unsent,
					   .condition = o->condition,
					   .text = o->text };

		DL_DELETE(s2s->finished, o);
		if (s2s->finished)
			__builtin_prefetch(s2s->finished->ctx);
		o->done(o->ctx, o->stanza, &outcome);
		stanza_unref(o->stanza);
		free(o->text);
		free(o);
	}
}

void s2s_send(struct s2s *s2s, enum edge edge, const char *local, const char *remote, struct stanza *stanza,
	      int64_t deadline_ms, delivery_fn *done, void *ctx)
{
	if (component_serves(s2s, edge, local))
		component_send(s2s, remote, stanza, deadline_ms, done, ctx);
	else
		link_send(link_get(s2s, edge, local, remote), stanza, deadline_ms, done, ctx);
}

void s2s_try(struct s2s *s2s, enum edge edge, const char *local, const char *remote, struct stanza *stanza,
	     delivery_fn *done, void *ctx)
{
	if (component_serves(s2s, edge, local))
		component_send(s2s, remote, stanza, 0, done, ctx);
	else
		link_try(link_get(s2s, edge, local, remote), stanza, done, ctx);
}

/* The dialback secret of the configuration is shared by several bridges; else it is this run's own, like the pings. */
static enum err make_secrets(struct s2s *s2s)
{
	char random[65], run[9];
	enum err e = random_hex(run, sizeof(run));

	if (e != OK)
		return e;
	snprintf(s2s->ping_prefix, sizeof(s2s->ping_prefix), "poolbridge-ping-%s-", run);
	if (s2s->setup.config->dialback.secret[0]) {
		s2s->secret = xstrdup(s2s->setup.config->dialback.secret);
	} else {
		e = random_hex(random, sizeof(random));
		if (e == OK)
			s2s->secret = xstrdup(random);
	}
	return e;
}

static void on_stop_tick(void *ctx);

enum err s2s_create(const struct s2s_setup *setup, struct s2s **out, const char **why)
{
	const struct config *config = setup->config;
	struct s2s *s2s = xcalloc(1, sizeof(*s2s));
	enum err e;

	s2s->setup = *setup;
	s2s->limits = (struct xmlstream_limits){
		.stanza_bytes = (size_t)config->s2s.stanza_bytes,
		.depth = (unsigned)config->s2s.depth,
		.elements = (unsigned)config->s2s.elements,
		.attributes = (unsigned)config->s2s.attributes,
	};
	s2s->stranger_limits = s2s->limits;
	s2s->stranger_limits.stanza_bytes = STRANGER_BYTES;
	if (s2s->limits.elements > STRANGER_ELEMENTS)
		s2s->stranger_limits.elements = STRANGER_ELEMENTS;
	e = make_secrets(s2s);
	if (e != OK)
		*why = "the system gives no random numbers for secrets";
	else
		e = listeners_open(s2s, why);
	if (e != OK) {
		free(s2s->secret);
		free(s2s);
		return e;
	}
	sock_setup(setup->loop);
	loop_phase_add(setup->loop, LOOP_COMMIT, deliver_finished, s2s);
	s2s->stop_timer = loop_timer_create(setup->loop, on_stop_tick, s2s);
	e = component_open(s2s, why);
	if (e != OK) {
		s2s_destroy(s2s);
		return e;
	}
	*out = s2s;
	return OK;
}

/* A component's stream brings, too: it ends with those that do, and may be opened again for answers. */
static bool is_of(const struct stream *st, enum direction direction)
{
	return st->direction == direction || st->is_component;
}

static unsigned count_streams(const struct s2s *s2s, enum direction direction)
{
	const struct stream *st, *next;
	unsigned count = 0;

	HASH_ITER (hh, s2s->streams, st, next)
		if (is_of(st, direction))
			count++;
	return count;
}

static bool has_custody(const struct s2s *s2s)
{
	const struct link *link, *next;

	HASH_ITER (hh, s2s->links, link, next)
		if (link->count > 0)
			return true;
	return s2s->finished != NULL;
}

static void finish_streams(struct s2s *s2s, enum direction direction)
{
	struct stream *st, *next;

	HASH_ITER (hh, s2s->streams, st, next)
		if (is_of(st, direction))
			stream_finish(st);
}

bool s2s_gives_up(const struct s2s *s2s)
{
	return s2s->stopping && s2s->stop_step == STOP_OUTBOUND;
}

/* What waits for a link that is not there. Errors to senders may wait on until it is too late for them too. */
static void fail_waiting(struct s2s *s2s, bool late)
{
	struct link *link, *next;

	HASH_ITER (hh, s2s->links, link, next) {
		if (link->state == LINK_STREAM && link->stream->state == S2S_TRUSTED)
			continue;
		if (late)
			link_fail(link, COND_REMOTE_SERVER_TIMEOUT, "this server is shutting down");
		else
			link_fail_requests(link, COND_REMOTE_SERVER_TIMEOUT, "this server is shutting down");
	}
}

static void begin_step(struct s2s *s2s, enum stop_step step)
{
	s2s->stop_step = step;
	s2s->stop_deadline = s2s_now(s2s) + STOP_STEP_MS;
}

/*
 * Stopping goes in steps, each with its time. What waits for a link goes back to
 * its sender, and what is in custody is confirmed: the proofs come in by the
 * inbound streams, which is why these close after it. What peers had still sent
 * on them leaves by the outbound streams, which close last.
 */
static void on_stop_tick(void *ctx)
{
	struct s2s *s2s = ctx;
	bool late = s2s_now(s2s) >= s2s->stop_deadline;

	fail_waiting(s2s, late || s2s->stop_step == STOP_OUTBOUND);
	if (s2s->stop_step == STOP_CUSTODY && (late || !has_custody(s2s))) {
		finish_streams(s2s, DIRECTION_IN);
		begin_step(s2s, STOP_INBOUND);
	} else if (s2s->stop_step == STOP_INBOUND &&
		   (late || (count_streams(s2s, DIRECTION_IN) == 0 && !has_custody(s2s)))) {
		finish_streams(s2s, DIRECTION_OUT);
		begin_step(s2s, STOP_OUTBOUND);
	} else if (s2s->stop_step == STOP_OUTBOUND && (late || count_streams(s2s, DIRECTION_OUT) == 0)) {
		s2s->stopped(s2s->stopped_ctx);
		return;
	}
	loop_timer_set(s2s->stop_timer, STOP_TICK_MS);
}

void s2s_stop(struct s2s *s2s, void (*finished)(void *ctx), void *ctx)
{
	s2s->stopping = true;
	s2s->stopped = finished;
	s2s->stopped_ctx = ctx;
	begin_step(s2s, STOP_CUSTODY);
	listeners_close(s2s);
	loop_timer_set(s2s->stop_timer, 0);
}

bool s2s_is_stopping(const struct s2s *s2s)
{
	return s2s->stopping;
}

void s2s_destroy(struct s2s *s2s)
{
	struct stream *st, *next_stream;
	struct link *link, *next_link;

	if (!s2s)
		return;
	s2s->stopping = true;
	s2s->stop_step = STOP_OUTBOUND;
	listeners_close(s2s);
	HASH_ITER (hh, s2s->streams, st, next_stream)
		stream_destroy_now(st);
	HASH_ITER (hh, s2s->links, link, next_link) {
		verify_fail_all(link);
		link_fail(link, COND_REMOTE_SERVER_TIMEOUT, "this server is shutting down");
	}
	deliver_finished(s2s);
	HASH_ITER (hh, s2s->links, link, next_link)
		link_destroy(link);
	limits_cleanup(s2s);
	loop_timer_destroy(s2s->stop_timer);
	sock_cleanup(s2s->setup.loop);
	free(s2s->secret);
	free(s2s);
}
