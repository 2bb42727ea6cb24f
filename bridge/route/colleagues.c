/*
 * colleagues.c - messages between users of the two pools, kept and let go.
 *
 * A kept one was answered 202, so its sender's transaction is over: when it
 * cannot be delivered he gets a message that says so, which takes the same way
 * and is kept like any other, in the transaction in which the undelivered one
 * leaves. A notice that cannot be delivered is logged, and no more: never an
 * error for an error.
 *
 * A pool that does not answer, or not now, is away: the message waits. One that
 * was sent and never answered is sent again, for it was promised; it may then
 * come twice, rather than never.
 *
 * Owns nothing but what is under way. Nothing is fatal.
 */
#include "bridge/route/colleagues.h"

#include <stdlib.h>

#include "bridge/core/log.h"
#include "bridge/route/request.h"

struct colleagues {
	struct db *db;
	struct custody *custody;
	struct colleagues_egress egress; /* send NULL: there is none */
	uint64_t kept, delivered, undelivered;
};

/* One message that is being kept, or is let go. */
struct passage {
	struct colleagues *colleagues;
	struct custody_pass pass; /* while it is being kept */
	delivery_fn *done;
	release_fn *release;
	void *ctx;
	enum spool_hop hop; /* to which it goes, or for what it waits */
};

struct colleagues *colleagues_create(struct db *db)
{
	struct colleagues *c = xcalloc(1, sizeof(*c));

	c->db = db;
	return c;
}

void colleagues_destroy(struct colleagues *c)
{
	free(c);
}

void colleagues_set_custody(struct colleagues *c, struct custody *custody)
{
	c->custody = custody;
}

void colleagues_set_egress(struct colleagues *c, const struct colleagues_egress *egress)
{
	c->egress = egress != NULL ? *egress : (struct colleagues_egress){ .send = NULL };
}

static enum spool_hop hop_of(int pool)
{
	if (pool < 0)
		return SPOOL_MOVE;
	return pool == POOL_NEW ? SPOOL_NEW_POOL : SPOOL_LEGACY_POOL;
}

/* --- keeping --- */

bool colleagues_wait(struct colleagues *c, const struct jid *from, const struct jid *to, enum pool pool)
{
	struct custody_pass pass;
	bool wait;

	if (c->custody == NULL)
		return false;
	custody_enter(c->custody, from, to, &pass);
	wait = custody_waits(&pass, hop_of((int)pool));
	custody_leave(&pass);
	return wait;
}

static void on_kept(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct passage *p = ctx;

	custody_leave(&p->pass);
	p->colleagues->kept += outcome->confirmed;
	p->done(p->ctx, stanza, outcome);
	free(p);
}

void colleagues_keep(struct colleagues *c, struct stanza *stanza, const struct jid *from,
		     const struct jid *to, int pool, delivery_fn *done, void *done_ctx)
{
	const struct custody_item item = { stanza, from, to, hop_of(pool), SPOOL_FROM_POOL };
	struct passage *p;

	if (c->custody == NULL) {
		done(done_ctx, stanza,
		     &(struct outcome){ .condition = COND_RECIPIENT_UNAVAILABLE, .text = "being moved" });
		return;
	}
	p = xcalloc(1, sizeof(*p));
	*p = (struct passage){ .colleagues = c, .done = done, .ctx = done_ctx };
	custody_enter(c->custody, from, to, &p->pass);
	custody_keep(&p->pass, &item, on_kept, p);
}

/* --- bouncing --- */

static void log_unanswerable(const struct stanza *stanza, const char *why)
{
	log_event(LOG_WARNING, "error-undeliverable", NULL, "from=%s to=%s why=%s", log_value(stanza->from),
		  log_value(stanza->to), log_value(why));
}

static void on_notice_kept(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)ctx;
	if (!outcome->confirmed)
		log_unanswerable(stanza, outcome->text);
}

void colleagues_bounce(struct colleagues *c, const struct custody_item *item, const struct outcome *outcome,
		       told_fn *done, void *done_ctx)
{
	const char *why = outcome->text != NULL ? outcome->text : condition_name(outcome->condition);
	struct stanza *notice =
		c->egress.notice != NULL ? c->egress.notice(item->stanza, outcome->text) : NULL;
	char sender[JID_BARE_SIZE];

	c->undelivered++;
	if (notice == NULL) {
		log_unanswerable(item->stanza, why);
		done(done_ctx, true);
		return;
	}
	log_event(LOG_NOTICE, "undelivered", NULL, "origin=pool from=%s to=%s condition=%s why=%s",
		  log_value(item->stanza->from), log_value(item->stanza->to),
		  condition_name(outcome->condition), log_value(why));
	colleagues_keep(c, notice, item->to, item->from, -1, on_notice_kept, c);
	/* Where the sender is is looked up when it is let go: now, for he need not be on the move. */
	jid_bare(item->from, sender);
	custody_wake(c->custody, sender);
	stanza_unref(notice);
	done(done_ctx, true);
}

/* --- letting go --- */

static void on_outcome(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct passage *p = ctx;

	(void)stanza;
	if (outcome->confirmed) {
		p->colleagues->delivered++;
		p->release(p->ctx, RELEASE_DONE, p->hop, NULL);
	} else {
		p->release(p->ctx, outcome->unsent ? RELEASE_WAIT : RELEASE_FAILED, p->hop, outcome);
	}
	free(p);
}

static void put_back(struct passage *p, struct stanza *stanza, const char *why)
{
	on_outcome(p, stanza, &(struct outcome){ .unsent = true, .text = why });
}

static void fail(struct passage *p, struct stanza *stanza, const struct verdict *v)
{
	struct outcome outcome = { .confirmed = false };

	outcome.condition = route_rejection(v, &outcome.text);
	on_outcome(p, stanza, &outcome);
}

/* As a request of a pool that nobody knows: there is no way back that would be a loop. */
void colleagues_release(struct colleagues *c, const struct custody_item *item, release_fn *done,
			void *done_ctx)
{
	struct passage *p;
	struct request_verdict v;

	if (request_lookup(c->db, item->from, item->to, -1, &v) != OK) {
		done(done_ctx, RELEASE_AGAIN, item->hop,
		     &(struct outcome){ .unsent = true, .text = "the registry cannot be read" });
		return;
	}
	p = xcalloc(1, sizeof(*p));
	*p = (struct passage){ .colleagues = c, .release = done, .ctx = done_ctx, .hop = SPOOL_MOVE };
	if (v.route == REQUEST_RELAY)
		p->hop = hop_of((int)v.pool);
	if (v.route == REQUEST_HOLD)
		put_back(p, item->stanza, "being moved");
	else if (v.route != REQUEST_RELAY)
		fail(p, item->stanza, &v.verdict);
	else if (c->egress.send == NULL)
		put_back(p, item->stanza, "there is no SIP here now");
	else
		c->egress.send(c->egress.ctx, item->stanza, v.pool, on_outcome, p);
}

json_t *colleagues_status(const struct colleagues *c)
{
	return json_pack("{s:I, s:I, s:I}", "kept", (json_int_t)c->kept, "delivered",
			 (json_int_t)c->delivered, "undelivered", (json_int_t)c->undelivered);
}
