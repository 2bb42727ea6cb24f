/* The fakes behind pool.h. */
#include "tests/instructions/pool.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/sip/relay.h"

enum { OUTGOING_MAX = 256 };

struct sip_outgoing {
	sip_response_fn *done;
	void *ctx;
};

struct sip_endpoint {
	struct sip_setup setup;
	struct sip_outgoing outgoing[OUTGOING_MAX];
	size_t count;
};

/* What a transaction and a relay are does not matter, but that there is one. */
struct sip_transaction {
	int unused;
};
struct sip_relay {
	int unused;
};

static struct sip_endpoint pool;
static struct sip_transaction transaction;
static struct sip_relay the_relay;
static unsigned sent, accepted;

enum err sip_endpoint_create(const struct sip_setup *setup, struct sip_endpoint **out, const char **why)
{
	(void)why;
	pool.setup = *setup;
	*out = &pool;
	return OK;
}

void sip_endpoint_destroy(struct sip_endpoint *ep)
{
	(void)ep;
}

struct sip_outgoing *sip_send(struct sip_endpoint *ep, const struct sip_send *s, sip_response_fn *done,
			      void *ctx)
{
	struct sip_outgoing *o = &ep->outgoing[ep->count++];

	if (ep->count == OUTGOING_MAX || strcmp(s->method, "MESSAGE") != 0)
		abort();
	*o = (struct sip_outgoing){ done, ctx };
	return o;
}

unsigned pool_answer(void)
{
	static const struct sip_response response = {
		.status = 200, .phrase = "OK", .content_type = "", .charset = "", .body = ""
	};
	struct sip_outgoing outgoing[OUTGOING_MAX];
	const size_t count = pool.count;

	/* Answers may bring the next requests. */
	memcpy(outgoing, pool.outgoing, sizeof(outgoing));
	pool.count = 0;
	for (size_t i = 0; i < count; i++)
		outgoing[i].done(outgoing[i].ctx, &response);
	sent += (unsigned)count;
	return sent;
}

void pool_send_message(const char *from_uri, const char *to_uri, const char *call_id, const char *text)
{
	struct sip_request r = { .transaction = &transaction,
				 .method = "MESSAGE",
				 .source = "192.0.2.50:5060/tcp",
				 .pool = POOL_NEW,
				 .from_uri = from_uri,
				 .to_uri = to_uri,
				 .from_display = "",
				 .to_display = "",
				 .from_tag = "a",
				 .local_tag = "b",
				 .call_id = call_id,
				 .cseq = 1,
				 .max_forwards = 70,
				 .expires = -1,
				 .state_expires = -1,
				 .retry_after = -1,
				 .content_type = "text/plain",
				 .charset = "",
				 .body = text,
				 .body_size = strlen(text) };

	if (sip_address_parse(from_uri, &r.from) != OK || sip_address_parse(to_uri, &r.to) != OK)
		abort();
	r.to_header = r.to;
	r.way = pool.setup.on_route(pool.setup.ctx, &r);
	if (r.way != SIP_TAKEN)
		pool.setup.on_request(pool.setup.ctx, &r);
}

unsigned pool_accepted(void)
{
	return accepted;
}

const char *sip_header(const struct sip_view *v, const char *name, unsigned index)
{
	(void)v;
	return index == 0 && strcmp(name, "Content-Type") == 0 ? "text/plain" : NULL;
}

void sip_reply(struct sip_transaction *t, const struct sip_reply *reply)
{
	(void)t;
	accepted += reply->status / 100 == 2;
}

void sip_answer(struct sip_transaction *t, unsigned status, const char *phrase, const char *header)
{
	(void)phrase, (void)header;
	sip_reply(t, &(struct sip_reply){ .status = status });
}

/* --- what no path of the scenario comes to --- */

void sip_outgoing_cancel(struct sip_outgoing *o)
{
	(void)o;
	abort();
}

void sip_outgoing_give_up(struct sip_outgoing *o)
{
	(void)o;
	abort();
}

void sip_forget_ack(struct sip_endpoint *ep, const void *ack_ctx)
{
	(void)ep, (void)ack_ctx;
	abort();
}

const char *sip_endpoint_host(const struct sip_endpoint *ep, enum pool to)
{
	(void)ep, (void)to;
	abort();
}

enum err sip_endpoint_reload(struct sip_endpoint *ep, const char **why)
{
	(void)ep, (void)why;
	abort();
}

json_t *sip_endpoint_status(const struct sip_endpoint *ep)
{
	(void)ep;
	abort();
}

struct sip_relay *sip_relay_create(struct sip_endpoint *ep)
{
	(void)ep;
	return &the_relay;
}

void sip_relay_destroy(struct sip_relay *r)
{
	(void)r;
}

void sip_relay_stop(struct sip_relay *r)
{
	(void)r;
}

void sip_relay_forward(struct sip_relay *r, const struct sip_request *request, enum pool to)
{
	(void)r, (void)request, (void)to;
	abort();
}

json_t *sip_relay_status(const struct sip_relay *r)
{
	(void)r;
	abort();
}
