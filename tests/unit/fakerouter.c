/*
 * fakerouter.c - the part of router.h that records nothing: who has registered,
 * and a decision that every SIP request is the gateway's.
 */
#include "fakerouter.h"

#include "bridge/route/request.h"

static struct fakerouter *fake_of(struct router *r)
{
	return (struct fakerouter *)r; /* its first member */
}

void router_set_gateway(struct router *r, router_egress_fn *egress, void *ctx)
{
	fake_of(r)->egress = egress;
	fake_of(r)->egress_ctx = ctx;
}

void router_set_presence(struct router *r, router_presence_fn *presence, void *ctx)
{
	fake_of(r)->presence = presence;
	fake_of(r)->presence_ctx = ctx;
}

void router_set_passing(struct router *r, router_passing_fn *passing, void *ctx)
{
	fake_of(r)->passing = passing;
	fake_of(r)->passing_ctx = ctx;
}

void router_view(const struct router *r, bool begins)
{
	(void)r;
	(void)begins;
}

struct duplicates *router_duplicates(const struct router *r)
{
	(void)r;
	return NULL;
}

struct colleagues *router_colleagues(struct router *r)
{
	if (fake_of(r)->colleagues == NULL)
		fake_of(r)->colleagues = colleagues_create(NULL);
	return fake_of(r)->colleagues;
}

enum err router_decide_request(struct router *r, const struct jid *from, const struct jid *to, int source,
			       struct request_verdict *out)
{
	(void)r;
	(void)from;
	(void)to;
	(void)source;
	*out = (struct request_verdict){ .route = REQUEST_GATEWAY };
	return OK;
}

void fakerouter_configure(struct config *c)
{
	c->sip.message_bytes = 65536;
	c->sip.answer_ms = 8000;
	c->sip.new_pool_mode = c->sip.legacy_pool_mode = POOL_PAGER;
	c->sip.conversations = 1000;
	c->sip.session_ms = c->sip.invite_ms = 60000;
	c->sip.queue_messages = 100;
	c->sip.queue_total = 200;
	c->s2s.queue_ms = 60000;
}
