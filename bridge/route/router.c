/*
 * router.c - what arrives is decided and handed to its next hop; what cannot be
 * delivered is answered.
 *
 * router_submit() looks the facts up, asks route_decide(), and gives the stanza
 * to one of three next hops: the partner (external edge), the legacy gateway
 * (internal edge), or our own gateway. Each of them answers exactly once. A
 * submission without its own delivery callback is answered here on failure: its
 * sender gets an error stanza on the way back (answers.c), and the message is acknowledged
 * when that has arrived.
 *
 * A message that cannot go on now, because its user is being moved or its next
 * hop is certainly without it, is kept (custody.c) and comes back through
 * router_release() for a new decision; what follows it waits behind it.
 *
 * The router itself keeps no stanza and owns no timer. A registry that cannot be read
 * is an error to the sender, never a default route.
 */
#include "bridge/route/router.h"

#include <stdlib.h>

#include <utlist.h>

#include "bridge/core/log.h"
#include "bridge/route/answers.h"
#include "bridge/route/ledger_tap.h"
#include "bridge/route/lookup.h"
#include "bridge/route/service.h"

struct router {
	struct s2s *s2s;
	struct db *db;
	router_egress_fn *egress;
	void *egress_ctx;
	struct ledger_tap *tap; /* NULL: nobody reads */
	router_presence_fn *presence;
	void *presence_ctx;
	router_passing_fn *passing;
	void *passing_ctx;
	struct custody *custody; /* NULL: nothing is kept */
	struct duplicates *duplicates;
	struct colleagues *colleagues;
	struct answers *answers;
	struct passage *failing; /* the one whose second ones are being told; NULL: none */
	/* Counters for status. */
	uint64_t submitted, routed[ROUTE_RELAY + 1], drift;
};

/* One submission on its way; lives until its next hop has answered. */
struct passage {
	struct router *router;
	enum origin origin;
	delivery_fn *done;
	void *ctx;
	struct receipt receipt;
	struct arrival arrival;   /* none: nobody looks for a second one */
	struct custody_pass pass; /* what did not arrive is kept; in no lane: it fails */
	enum spool_hop hop;       /* its next hop, or for what it waits */
	bool kept;
	release_fn *release;              /* it comes out of custody; NULL: it does not */
	struct passage *followers, *next; /* the same that came again: acknowledged with it */
};

static const char *const origin_names[] = {
	[ORIGIN_PARTNER] = "partner",
	[ORIGIN_LEGACY] = "legacy",
	[ORIGIN_POOL] = "pool",
};

struct router *router_create(struct s2s *s2s, struct db *db)
{
	struct router *r = xcalloc(1, sizeof(*r));

	r->s2s = s2s;
	r->db = db;
	r->colleagues = colleagues_create(db);
	r->answers = answers_create(s2s);
	return r;
}

void router_destroy(struct router *r)
{
	if (r == NULL)
		return;
	colleagues_destroy(r->colleagues);
	answers_destroy(r->answers);
	free(r);
}

void router_set_tap(struct router *r, struct ledger_tap *tap)
{
	r->tap = tap;
}

void router_set_custody(struct router *r, struct custody *custody)
{
	r->custody = custody;
	colleagues_set_custody(r->colleagues, custody);
}

void router_set_duplicates(struct router *r, struct duplicates *duplicates)
{
	r->duplicates = duplicates;
	answers_set_duplicates(r->answers, duplicates);
}

void router_view(const struct router *r, bool begins)
{
	if (begins)
		registry_view_begin(r->db);
	else
		registry_view_end(r->db);
}

struct duplicates *router_duplicates(const struct router *r)
{
	return r->duplicates;
}

struct colleagues *router_colleagues(struct router *r)
{
	return r->colleagues;
}

void router_set_presence(struct router *r, router_presence_fn *presence, void *ctx)
{
	r->presence = presence;
	r->presence_ctx = ctx;
}

void router_set_passing(struct router *r, router_passing_fn *passing, void *ctx)
{
	r->passing = passing;
	r->passing_ctx = ctx;
}

void router_set_gateway(struct router *r, router_egress_fn *egress, void *ctx)
{
	r->egress = egress;
	r->egress_ctx = ctx;
}

static void log_outcome(enum origin origin, const struct stanza *stanza, const struct outcome *outcome)
{
	if (outcome->confirmed)
		log_event(LOG_DEBUG, "delivered", NULL, "from=%s to=%s", log_value(stanza->from),
			  log_value(stanza->to));
	else
		log_event(LOG_NOTICE, "undelivered", NULL,
			  "kind=%s origin=%s from=%s to=%s condition=%s why=%s",
			  stanza_kind_name(stanza->kind), origin_names[origin], log_value(stanza->from),
			  log_value(stanza->to), condition_name(outcome->condition),
			  log_value(outcome->text));
}

/* Out of custody: done with, to be tried again, or its sender is to be told. */
static void tell_release(struct passage *p, const struct outcome *outcome)
{
	enum release release = outcome->confirmed ? RELEASE_DONE
			       : outcome->unsent  ? RELEASE_WAIT
						  : RELEASE_FAILED;

	p->release(p->ctx, release, p->hop, outcome->confirmed ? NULL : outcome);
}

static void passage_done(void *ctx, struct stanza *stanza, const struct outcome *outcome);

/* False: it is none that is kept. */
static bool keep(struct passage *p, struct stanza *stanza, enum spool_hop hop)
{
	struct jid from, to;

	if (custody_kind_of(stanza) != CUSTODY_KEEP || jid_parse(stanza->from, &from) != OK ||
	    jid_parse(stanza->to, &to) != OK)
		return false;
	p->kept = true;
	duplicates_keep(&p->arrival);
	custody_keep(&p->pass, &(struct custody_item){ stanza, &from, &to, hop, SPOOL_FROM_PARTNER },
		     passage_done, p);
	return true;
}

/* The end of a passage, and of those that came again behind it. */
static void end_passage(struct passage *p, bool acknowledge)
{
	struct passage *f, *next;

	LL_FOREACH_SAFE (p->followers, f, next)
		end_passage(f, acknowledge);
	if (acknowledge)
		s2s_receipt_done(p->router->s2s, p->receipt);
	free(p);
}

static void on_answered(void *ctx, bool over)
{
	end_passage(ctx, over);
}

/* Where nothing is counted, nothing can be held back: what the stanza took is free. */
static void finish_uncounted(struct passage *p)
{
	if (p->receipt.counted)
		return;
	s2s_receipt_done(p->router->s2s, p->receipt);
	p->receipt = (struct receipt){ .stream = 0 };
}

/*
 * Its sender is told, and it counts as finished when his server has the error: what is killed before that is sent
 * again by that server. Whoever sends it again behind the error means it, so it is no duplicate any more.
 */
static void answer(struct passage *p, struct stanza *stanza, const struct outcome *outcome)
{
	const struct answer what = { .edge = p->origin == ORIGIN_PARTNER ? EDGE_EXTERNAL : EDGE_INTERNAL,
				     .stanza = stanza,
				     .outcome = outcome };

	p->router->failing = p;
	duplicates_settle(&p->arrival, false);
	p->router->failing = NULL;
	finish_uncounted(p);
	answers_send(p->router->answers, &what, on_answered, p);
}

/* The answer of the next hop, or of custody: the only end of a passage, but for its sender's error. */
static void passage_done(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct passage *p = ctx;

	custody_return(&p->pass);
	if (!outcome->confirmed && outcome->unsent && p->pass.lane && !p->kept && keep(p, stanza, p->hop))
		return;
	custody_leave(&p->pass);
	if (!p->release || !outcome->unsent)
		log_outcome(p->origin, stanza, outcome);
	if (!outcome->confirmed && !p->release && !p->done) {
		answer(p, stanza, outcome);
		return;
	}
	duplicates_settle(&p->arrival, outcome->confirmed);
	if (p->release)
		tell_release(p, outcome);
	else if (p->done)
		p->done(p->ctx, stanza, outcome);
	end_passage(p, true);
}

static void fail(struct passage *p, struct stanza *stanza, enum condition condition, const char *text)
{
	struct outcome outcome = { .condition = condition, .text = text };

	passage_done(p, stanza, &outcome);
}

/* To the local domain itself, where we stand for it. */
static bool is_for_bare_domain(const struct submission *s, enum route route)
{
	return s->origin == ORIGIN_PARTNER && !s->to->local[0] && route != ROUTE_LEGACY &&
	       route != ROUTE_REJECT;
}

static void reject(struct passage *p, struct stanza *stanza, const struct verdict *v)
{
	const char *text;
	enum condition condition = route_rejection(v, &text);

	fail(p, stanza, condition, text);
}

/* A stanza of the legacy gateway for a user who has moved: carried all the same, and counted. */
static void note_drift(struct router *r, const struct submission *s, const struct verdict *v)
{
	if (s->origin != ORIGIN_LEGACY || v->route == ROUTE_LEGACY || v->route == ROUTE_REJECT)
		return;
	r->drift++;
	log_event(LOG_NOTICE, "drift", NULL, "from=%s to=%s route=%s reason=\"%s\"",
		  log_value(s->stanza->from), log_value(s->stanza->to), route_name(v->route), v->reason);
}

/*
 * Before it leaves: what the ledger makes of it is on disk when it does. True: of a user who is being moved, or has
 * been; the contact is shown it, or its end, when he may see it.
 */
static bool show_presence(struct router *r, const struct submission *s, const struct verdict *v)
{
	bool moved = v->route != ROUTE_LEGACY, kept = false;

	if (s->stanza->kind != STANZA_PRESENCE || v->route == ROUTE_REJECT)
		return false;
	if (s->origin == ORIGIN_LEGACY) {
		kept = r->presence && r->presence(r->presence_ctx, s, v);
		kept = (r->tap && ledger_tap_outbound(r->tap, s->stanza, s->from, s->to, moved)) || kept;
	} else if (s->origin == ORIGIN_PARTNER && r->tap &&
		   (!moved || (v->route == ROUTE_HOLD && stanza_has_type(s->stanza, "probe")))) {
		ledger_tap_inbound(r->tap, s->stanza, s->from, s->to);
	}
	return kept;
}

static void to_s2s(struct router *r, const struct submission *s, enum edge edge, struct passage *p)
{
	s2s_send(r->s2s, edge, s->from->domain, s->to->domain, s->stanza, s->deadline_ms, passage_done, p);
}

/* By its type it is none that is kept, nor one for which others wait. */
static bool stands_apart(const struct stanza *stanza)
{
	return stanza->kind != STANZA_MESSAGE || stanza_has_type(stanza, "error") ||
	       stanza_has_type(stanza, "headline") || stanza_has_type(stanza, "groupchat");
}

static void show_passing(struct router *r, const struct submission *s)
{
	if (r->passing && !stands_apart(s->stanza))
		r->passing(r->passing_ctx, s);
}

static void to_legacy_gateway(struct router *r, const struct submission *s, struct passage *p)
{
	show_passing(r, s);
	if (p->pass.lane || p->release)
		s2s_try(r->s2s, EDGE_INTERNAL, s->from->domain, s->to->domain, s->stanza, passage_done, p);
	else
		to_s2s(r, s, EDGE_INTERNAL, p);
}

static void on_served(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	if (!outcome->confirmed)
		answers_note(ctx, stanza, outcome);
}

/* The answer goes the way of an error: back where the question came from. */
static void serve(struct router *r, const struct submission *s, struct passage *p)
{
	struct stanza *answer = service_answer(&service_of_domain, s->stanza);
	struct outcome outcome = { .confirmed = true };

	if (!answer) {
		fail(p, s->stanza, COND_SERVICE_UNAVAILABLE, NULL);
		return;
	}
	s2s_send(r->s2s, EDGE_EXTERNAL, s->to->domain, s->from->domain, answer, 0, on_served, r->answers);
	stanza_unref(answer);
	passage_done(p, s->stanza, &outcome);
}

/*
 * A resource that our gateway has shown a contact is there no more, or nobody types there any more: he may know,
 * wherever the user lives now.
 * Of the bare address it would be said of what another gateway shows, too. Rows 1 and 2: no such way at all.
 */
static bool takes_back(const struct submission *s, const struct verdict *v)
{
	return s->origin == ORIGIN_POOL && v->row > 2 &&
	       (s->takes_back || (s->stanza->kind == STANZA_PRESENCE &&
				  stanza_has_type(s->stanza, "unavailable") && s->from->resource[0] != '\0'));
}

/* Nobody is to miss it: whoever asks is answered from what is known, and what a contact says now is kept up. */
static bool is_told_presence(const struct submission *s)
{
	return s->origin == ORIGIN_PARTNER && s->stanza->kind == STANZA_PRESENCE && s->to->local[0] &&
	       (!s->stanza->type || stanza_has_type(s->stanza, "unavailable") ||
		stanza_has_type(s->stanza, "probe"));
}

/* What a verdict means for each origin: the second table of docs/architecture.md, "The decision". */
static void carry_out(struct router *r, const struct submission *s, const struct verdict *v,
		      struct passage *p)
{
	if (takes_back(s, v)) {
		to_s2s(r, s, EDGE_EXTERNAL, p);
	} else if (v->route == ROUTE_REJECT) {
		reject(p, s->stanza, v);
	} else if (s->origin == ORIGIN_LEGACY) {
		show_passing(r, s);
		to_s2s(r, s, EDGE_EXTERNAL, p);
	} else if (v->route == ROUTE_HOLD && p->release) {
		p->hop = SPOOL_MOVE;
		passage_done(p, s->stanza, &(struct outcome){ .unsent = true, .text = "being moved" });
	} else if (v->route == ROUTE_HOLD && is_told_presence(s) && r->egress) {
		r->egress(r->egress_ctx, s->stanza, v, passage_done, p);
	} else if (v->route == ROUTE_HOLD && s->origin == ORIGIN_PARTNER) {
		fail(p, s->stanza, COND_RECIPIENT_UNAVAILABLE,
		     "this user is being moved; send it again in a few minutes");
	} else if (v->route == ROUTE_LEGACY && s->origin == ORIGIN_POOL) {
		fail(p, s->stanza, COND_RECIPIENT_UNAVAILABLE,
		     "this user's messages go through the legacy pool");
	} else if (s->origin == ORIGIN_POOL) {
		to_s2s(r, s, EDGE_EXTERNAL, p);
	} else if (v->route == ROUTE_LEGACY) {
		to_legacy_gateway(r, s, p);
	} else if (is_for_bare_domain(s, v->route)) {
		serve(r, s, p);
	} else if (!r->egress) {
		fail(p, s->stanza, COND_SERVICE_UNAVAILABLE, NULL);
	} else {
		r->egress(r->egress_ctx, s->stanza, v, passage_done, p);
	}
}

static enum spool_hop hop_of(const struct verdict *v)
{
	if (v->route == ROUTE_LEGACY)
		return SPOOL_LEGACY_GATEWAY;
	return v->pool == POOL_NEW ? SPOOL_NEW_POOL : SPOOL_LEGACY_POOL;
}

/* Being moved: typing is nothing later, and what cannot be kept fails. */
static void cannot_keep(struct passage *p, struct stanza *stanza)
{
	if (custody_kind_of(stanza) == CUSTODY_DROP)
		passage_done(p, stanza, &(struct outcome){ .confirmed = true });
	else
		fail(p, stanza, COND_RECIPIENT_UNAVAILABLE,
		     "this user is being moved; send it again in a few minutes");
}

/* False: it is to go on now. */
static bool waits(struct router *r, const struct submission *s, const struct verdict *v, struct passage *p)
{
	if (!r->custody || s->origin != ORIGIN_PARTNER || v->route == ROUTE_REJECT ||
	    (stands_apart(s->stanza) && !custody_is_handshake(s->stanza)))
		return false;
	p->hop = v->route == ROUTE_HOLD ? SPOOL_MOVE : hop_of(v);
	custody_enter(r->custody, s->from, s->to, &p->pass);
	if ((v->route == ROUTE_HOLD || custody_waits(&p->pass, p->hop)) && keep(p, s->stanza, p->hop))
		return true;
	if (v->route == ROUTE_HOLD) {
		cannot_keep(p, s->stanza);
		return true;
	}
	custody_go(&p->pass, p->hop);
	return false;
}

enum err router_decide(struct router *r, const struct jid *local, const char *partner, struct verdict *out)
{
	enum err e = route_lookup(r->db, local, partner, out);

	if (e != OK)
		log_event(LOG_ERROR, "registry-unreadable", NULL, "why=%s", log_value(db_error(r->db)));
	return e;
}

/* Of the first one's failure its sender is being told. */
static void end_duplicate(void *ctx, bool confirmed)
{
	struct passage *p = ctx;

	if (!confirmed && p->router->failing) {
		finish_uncounted(p);
		LL_PREPEND(p->router->failing->followers, p);
	} else {
		end_passage(p, true);
	}
}

/* Where nothing is counted (XEP-0198), a peer has little reason to send again what we have read. */
static uint32_t source_of(const struct submission *s)
{
	return s->receipt.counted ? (uint32_t)s->receipt.stream : UINT32_MAX;
}

/* True: it ends here, with the first one. An error says that its sender's message has not arrived after all. */
static bool is_duplicate(struct router *r, const struct submission *s, struct passage *p)
{
	struct seen_hash hash;
	enum arrival_kind kind;

	if (s->stanza->kind == STANZA_MESSAGE && stanza_has_type(s->stanza, "error"))
		duplicates_forget(r->duplicates, s->to, s->stanza->id);
	if (s->origin == ORIGIN_POOL || !duplicates_hash(r->duplicates, s->stanza, s->from, s->to, &hash))
		return false;
	kind = duplicates_enter(r->duplicates, &hash, source_of(s), end_duplicate, p, &p->arrival);
	if (kind == ARRIVAL_NEW)
		return false;
	log_event(LOG_DEBUG, "duplicate", NULL, "from=%s to=%s id=%s", log_value(s->stanza->from),
		  log_value(s->stanza->to), log_value(s->stanza->id));
	if (kind == ARRIVAL_AGAIN)
		end_duplicate(p, true);
	return true;
}

void router_submit(struct router *r, const struct submission *s)
{
	const struct jid *local = s->origin == ORIGIN_PARTNER ? s->to : s->from;
	const struct jid *partner = s->origin == ORIGIN_PARTNER ? s->from : s->to;
	struct passage *p = xmalloc(sizeof(*p));
	struct verdict v;

	*p = (struct passage){
		.router = r, .origin = s->origin, .done = s->done, .ctx = s->ctx, .receipt = s->receipt
	};
	r->submitted++;
	if (is_duplicate(r, s, p))
		return;
	if (router_decide(r, local, partner->domain, &v) != OK) {
		fail(p, s->stanza, COND_INTERNAL_SERVER_ERROR, "the registry cannot be read");
		return;
	}
	r->routed[v.route]++;
	note_drift(r, s, &v);
	log_event(LOG_DEBUG, "route", NULL, "kind=%s origin=%s from=%s to=%s route=%s row=%u",
		  stanza_kind_name(s->stanza->kind), origin_names[s->origin], log_value(s->stanza->from),
		  log_value(s->stanza->to), route_name(v.route), v.row);
	if (show_presence(r, s, &v))
		passage_done(p, s->stanza, &(struct outcome){ .confirmed = true });
	else if (!waits(r, s, &v, p))
		carry_out(r, s, &v, p);
}

void router_release(void *ctx, const struct custody_item *item, release_fn *done, void *done_ctx)
{
	struct router *r = ctx;
	struct passage *p;
	struct submission s = {
		.origin = ORIGIN_PARTNER, .stanza = item->stanza, .from = item->from, .to = item->to
	};
	struct verdict v;

	if (item->origin == SPOOL_FROM_POOL) {
		colleagues_release(r->colleagues, item, done, done_ctx);
		return;
	}
	if (router_decide(r, item->to, item->from->domain, &v) != OK) {
		done(done_ctx, RELEASE_AGAIN, item->hop,
		     &(struct outcome){ .unsent = true, .text = "the registry cannot be read" });
		return;
	}
	p = xmalloc(sizeof(*p));
	*p = (struct passage){
		.router = r, .origin = ORIGIN_PARTNER, .ctx = done_ctx, .release = done, .hop = item->hop
	};
	if (v.route != ROUTE_REJECT && v.route != ROUTE_HOLD)
		p->hop = hop_of(&v);
	if (show_presence(r, &s, &v))
		passage_done(p, item->stanza, &(struct outcome){ .confirmed = true });
	else
		carry_out(r, &s, &v, p);
}

void router_expire(void *ctx, const struct custody_item *item, const struct outcome *outcome, told_fn *done,
		   void *done_ctx)
{
	const struct answer what = {
		.edge = EDGE_EXTERNAL, .stanza = item->stanza, .outcome = outcome, .again = true
	};
	struct router *r = ctx;

	if (item->origin == SPOOL_FROM_POOL)
		colleagues_bounce(r->colleagues, item, outcome, done, done_ctx);
	else
		answers_send(r->answers, &what, done, done_ctx);
}

/*
 * A pool that asks us for a user whom it is to know itself has not heard of his
 * move, or our registry has not: drift, as from the legacy gateway.
 */
enum err router_decide_request(struct router *r, const struct jid *from, const struct jid *to, int source,
			       struct request_verdict *out)
{
	enum err e = request_lookup(r->db, from, to, source, out);

	if (e != OK) {
		log_event(LOG_ERROR, "registry-unreadable", NULL, "why=%s", log_value(db_error(r->db)));
		return e;
	}
	if (out->route == REQUEST_RELAY)
		r->routed[ROUTE_RELAY]++;
	if (out->route == REQUEST_LOOP)
		r->drift++;
	return OK;
}

json_t *router_status(const struct router *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "submitted",
			 (json_int_t)r->submitted, "legacy", (json_int_t)r->routed[ROUTE_LEGACY], "gateway",
			 (json_int_t)r->routed[ROUTE_GATEWAY], "hold", (json_int_t)r->routed[ROUTE_HOLD],
			 "reject", (json_int_t)r->routed[ROUTE_REJECT], "bounced",
			 (json_int_t)answers_sent(r->answers), "unanswerable",
			 (json_int_t)answers_failed(r->answers), "drift", (json_int_t)r->drift, "colleagues",
			 colleagues_status(r->colleagues));
}
