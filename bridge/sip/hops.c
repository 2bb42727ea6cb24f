/*
 * hops.c - the state of each target: up, paused at its own wish, or down; who
 * gets the next request; when to ask by OPTIONS.
 *
 * All requests go to the first target that is up, in the order of the
 * configuration and of DNS, not to all of them in turn: messages keep their
 * order, and connections are few. One failed connection is enough to try the
 * next; a request that nobody answers is not, as long as others are answered
 * (RFC 3263 section 4.3 knows no users behind a target).
 *
 * A target that has never answered OPTIONS is not believed to be down because it
 * is silent about it: there are peers that drop it. Such a one is tried with a
 * request.
 *
 * Owns the targets. Nothing is fatal.
 */
#include "bridge/sip/hops_internal.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/core/log.h"

enum { SILENCE_MS = 32 * 1000 }; /* timer F: as long as a request without an answer was under way */

static const char *pool_word(enum pool pool)
{
	return pool == POOL_NEW ? "new" : "legacy";
}

static int64_t now_of(const struct target *t)
{
	return loop_now(t->entry->hops->setup.loop);
}

static const struct config *config_of(const struct target *t)
{
	return t->entry->hops->setup.config;
}

static struct target *find(const struct sip_hops *h, unsigned id)
{
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e)
		DL_FOREACH (e->targets, t)
			if (t->id == id)
				return t;
	return NULL;
}

/* --- states --- */

/* The one timer of a target: the end of its rest, or the next ping. */
static void set_timer(struct target *t)
{
	const int64_t now = now_of(t), ping_ms = config_of(t)->sip.ping_ms;
	int64_t at;

	if (t->pinging || (t->state == TARGET_UP && ping_ms == 0)) {
		loop_timer_cancel(t->timer);
		return;
	}
	at = t->state == TARGET_UP ? t->heard + ping_ms : t->rest_until;
	loop_timer_set(t->timer, at > now ? at - now : 0);
}

static void set_state(struct target *t, enum target_state state)
{
	static const char *const events[] = {
		[TARGET_UP] = "sip-hop-up",
		[TARGET_PAUSED] = "sip-hop-paused",
		[TARGET_DOWN] = "sip-hop-down",
	};

	if (t->state != state && state == TARGET_UP)
		log_event(LOG_NOTICE, events[state], NULL, "pool=%s hop=%s", pool_word(t->entry->pool),
			  log_value(t->hop.log));
	else if (t->state != state)
		log_event(LOG_WARNING, events[state], NULL, "pool=%s hop=%s why=%s",
			  pool_word(t->entry->pool), log_value(t->hop.log), log_value(t->error));
	t->state = state;
	set_timer(t);
}

static void ping(struct target *t)
{
	const struct sip_hops_setup *setup = &t->entry->hops->setup;

	t->pinging = true;
	setup->ping(setup->ctx, &t->hop);
}

static void on_timer(void *ctx)
{
	struct target *t = ctx;
	const int64_t ping_ms = config_of(t)->sip.ping_ms;

	if (t->state == TARGET_PAUSED || (t->state == TARGET_DOWN && ping_ms == 0)) {
		t->heard = now_of(t); /* of it is not known more; the next ping has time */
		set_state(t, TARGET_UP);
	} else if (t->state == TARGET_UP && t->heard + ping_ms > now_of(t)) {
		set_timer(t); /* heard of meanwhile */
	} else {
		ping(t);
	}
}

static void note_error(struct target *t, const char *why)
{
	const char *words = t->explained[0] != '\0' ? t->explained : why;

	snprintf(t->error, sizeof(t->error), "%s", words);
	t->error_at = time(NULL);
	t->explained[0] = '\0';
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* It is asked no more rarely than one that is well, so that it is soon found to be back. */
static int64_t rest_of(const struct target *t)
{
	const struct config *c = config_of(t);
	const int64_t rest = c->sip.backoff_min_ms << (t->failures < 20 ? t->failures : 20);

	return least(least(rest, c->sip.backoff_max_ms), c->sip.ping_ms > 0 ? c->sip.ping_ms : INT64_MAX);
}

static void fail(struct target *t, const char *why)
{
	t->failed++;
	note_error(t, why);
	/* What was under way to it fails all at once: one failure. */
	if (t->state == TARGET_DOWN && now_of(t) < t->rest_until && !t->pinging)
		return;
	t->rest_until = now_of(t) + rest_of(t);
	t->failures++;
	set_state(t, TARGET_DOWN);
}

static void pause_for(struct target *t, int64_t seconds)
{
	const int64_t max = config_of(t)->sip.backoff_max_ms;
	char words[64];

	snprintf(words, sizeof(words), "503, Retry-After %lld", (long long)seconds);
	note_error(t, words);
	t->heard = now_of(t);
	t->failures = 0;
	t->rest_until = now_of(t) + (seconds < max / 1000 ? seconds * 1000 : max);
	set_state(t, TARGET_PAUSED);
}

/* An answer to what was sent before it asked for a pause does not end the pause. */
static void hear(struct target *t)
{
	t->heard = now_of(t);
	t->failures = 0;
	t->explained[0] = '\0';
	if (t->state == TARGET_PAUSED)
		set_timer(t);
	else
		set_state(t, TARGET_UP);
}

static void conclude(struct target *t, enum sip_outcome outcome, int64_t retry_after, const char *why)
{
	switch (outcome) {
	case SIP_HOP_ANSWERED:
		hear(t);
		break;
	case SIP_HOP_BUSY:
		pause_for(t, retry_after);
		break;
	case SIP_HOP_SILENT:
		fail(t, why != NULL ? why : "no answer");
		break;
	case SIP_HOP_REFUSED:
		fail(t, why != NULL ? why : "no connection");
		break;
	}
}

/*
 * A request without an answer: of the server, or of one user behind it, who must not take the
 * others' next hop away. Heard of meanwhile, it is there; else a ping tells.
 */
static void suspect(struct target *t)
{
	if (t->state == TARGET_UP && now_of(t) - t->heard < SILENCE_MS)
		return;
	if (t->state == TARGET_UP && config_of(t)->sip.ping_ms > 0 && t->answers_pings) {
		if (!t->pinging)
			ping(t);
		return;
	}
	fail(t, "no answer");
}

void sip_hops_report(struct sip_hops *h, unsigned id, enum sip_outcome outcome, int64_t retry_after)
{
	struct target *t = find(h, id);

	if (t == NULL)
		return;
	if (outcome == SIP_HOP_SILENT)
		suspect(t);
	else
		conclude(t, outcome, retry_after, NULL);
}

void sip_hops_pinged(struct sip_hops *h, unsigned id, enum sip_outcome outcome, int64_t retry_after,
		     const char *why)
{
	struct target *t = find(h, id);

	if (t == NULL)
		return;
	if (outcome == SIP_HOP_ANSWERED || outcome == SIP_HOP_BUSY)
		t->answers_pings = true;
	if (outcome == SIP_HOP_SILENT && !t->answers_pings) /* deaf, perhaps; it takes a request to know */
		outcome = SIP_HOP_ANSWERED;
	conclude(t, outcome, retry_after, why);
	t->pinging = false;
	set_timer(t);
}

void sip_hops_explain(struct sip_hops *h, const struct sockaddr *peer, const char *why)
{
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e)
		DL_FOREACH (e->targets, t)
			if (hops_same_address((const struct sockaddr *)&t->addr, peer, true))
				snprintf(t->explained, sizeof(t->explained), "%s", why);
}

bool sip_hops_is_explained(const struct sip_hops *h, unsigned id)
{
	const struct target *t = find(h, id);

	return t != NULL && t->explained[0] != '\0';
}

/* --- choosing --- */

static bool was_tried(const struct sip_attempts *tried, unsigned id)
{
	for (unsigned i = 0; i < tried->count; i++)
		if (tried->id[i] == id)
			return true;
	return false;
}

enum err sip_hops_pick(struct sip_hops *h, enum pool pool, struct sip_attempts *tried, struct sip_hop *out,
		       int64_t *wait_ms)
{
	int64_t wait = INT64_MAX;
	struct entry *e;
	struct target *t;

	if (tried->count == SIP_ATTEMPTS_MAX)
		return ERR_NOT_FOUND;
	DL_FOREACH (h->entries, e) {
		DL_FOREACH (e->targets, t) {
			if (e->pool != pool || was_tried(tried, t->id))
				continue;
			if (t->state == TARGET_UP) {
				tried->id[tried->count++] = t->id;
				t->requests++;
				*out = t->hop;
				return OK;
			}
			if (t->rest_until - now_of(t) < wait)
				wait = t->rest_until - now_of(t);
		}
	}
	if (wait == INT64_MAX)
		return ERR_NOT_FOUND;
	*wait_ms = wait > 0 ? wait : 0;
	return ERR_BUSY;
}

/* --- targets --- */

static void write_names(struct target *t, socklen_t len)
{
	const bool v6 = t->addr.ss_family == AF_INET6;
	const struct next_hop *configured = &t->entry->configured;
	char host[64], port[8], address[80];

	if (getnameinfo((const struct sockaddr *)&t->addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		abort(); /* it is an address */
	snprintf(address, sizeof(address), v6 ? "[%s]:%s" : "%s:%s", host, port);
	t->hop.transport = configured->transport;
	snprintf(t->hop.uri, sizeof(t->hop.uri), "sip:%s;transport=%s", address,
		 transport_name(configured->transport));
	if (t->entry->is_address)
		snprintf(t->hop.log, sizeof(t->hop.log), "%s", address);
	else
		snprintf(t->hop.log, sizeof(t->hop.log), "%.70s/%s", configured->host, address);
}

struct target *hops_add_target(struct entry *e, const struct sockaddr *addr, socklen_t len)
{
	struct target *t = xcalloc(1, sizeof(*t));

	t->entry = e;
	t->id = t->hop.id = ++e->hops->last_id;
	memcpy(&t->addr, addr, len);
	write_names(t, len);
	t->timer = loop_timer_create(e->hops->setup.loop, on_timer, t);
	t->heard = now_of(t);
	DL_APPEND(e->targets, t);
	set_timer(t);
	return t;
}

void hops_remove_target(struct target *t)
{
	DL_DELETE(t->entry->targets, t);
	loop_timer_destroy(t->timer);
	free(t);
}

/* --- the object --- */

static void add_entries(struct sip_hops *h, enum pool pool)
{
	const struct config_list *list = config_next_hops(h->setup.config, pool);

	for (size_t i = 0; i < list->count; i++) {
		struct entry *e = xcalloc(1, sizeof(*e));

		e->hops = h;
		e->pool = pool;
		/* config_check_daemon() has seen to its form. */
		if (next_hop_parse(list->item[i], &e->configured) == OK)
			DL_APPEND(h->entries, e);
		else
			free(e);
	}
}

enum err sip_hops_create(const struct sip_hops_setup *setup, struct sip_hops **out, const char **why)
{
	struct sip_hops *h = xcalloc(1, sizeof(*h));
	enum err e;

	h->setup = *setup;
	add_entries(h, POOL_NEW);
	add_entries(h, POOL_LEGACY);
	e = hops_resolve_now(h, why);
	if (e != OK) {
		sip_hops_destroy(h);
		return e;
	}
	hops_resolve_begin(h);
	*out = h;
	return OK;
}

void sip_hops_destroy(struct sip_hops *h)
{
	struct entry *e, *next_entry;
	struct target *t, *next;

	if (h == NULL)
		return;
	hops_resolve_end(h);
	DL_FOREACH_SAFE (h->entries, e, next_entry) {
		DL_FOREACH_SAFE (e->targets, t, next)
			hops_remove_target(t);
		free(e);
	}
	free(h);
}

/* --- status --- */

static json_t *status_of(const struct target *t)
{
	static const char *const states[] = {
		[TARGET_UP] = "up",
		[TARGET_PAUSED] = "paused",
		[TARGET_DOWN] = "down",
	};
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "pool", pool_word(t->entry->pool), "hop",
			      t->hop.log, "transport", transport_name(t->hop.transport), "state",
			      states[t->state], "requests", (json_int_t)t->requests, "failures",
			      (json_int_t)t->failed);
	char at[32];
	struct tm tm;

	if (t->entry->unknown) /* by DNS, now; the address is the last known */
		json_object_set_new(o, "stale", json_true());
	if (t->error[0] != '\0') {
		json_object_set_new(o, "error", json_stringn_nocheck(t->error, strlen(t->error)));
		if (gmtime_r(&t->error_at, &tm) != NULL &&
		    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
			json_object_set_new(o, "error_at", json_string(at));
	}
	return o;
}

json_t *sip_hops_status(const struct sip_hops *h)
{
	json_t *list = json_array();
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e) {
		DL_FOREACH (e->targets, t)
			json_array_append_new(list, status_of(t));
		if (e->targets == NULL)
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s, s:s, s:s}", "pool",
							pool_word(e->pool), "hop", e->configured.host,
							"transport", transport_name(e->configured.transport),
							"state", "down", "error", "name not known"));
	}
	return list;
}
