/*
 * outbound.h - one XMPP message on its way to a pool: how it is written in SIP,
 * and what its response means.
 */
#ifndef POOLBRIDGE_GATEWAY_OUTBOUND_H
#define POOLBRIDGE_GATEWAY_OUTBOUND_H

#include "bridge/gateway/gateway_internal.h"

/* One message on its way to a pool. */
struct outbound {
	struct stanza *stanza;
	delivery_fn *done;
	void *done_ctx;
	enum pool pool;
	char *from_uri, *to_uri;        /* owned, like the next four */
	char *bare_uri;                 /* for a second try; NULL: none, or it was made */
	char *subject, *call_id, *body; /* the first two may be NULL */
	int64_t since;
	struct outbound *prev, *next;
};

/* Why a message cannot go; text NULL: it can. */
struct objection {
	enum condition condition;
	const char *text;
};

struct outbound *outbound_create(struct stanza *stanza, delivery_fn *done, void *done_ctx);
void outbound_free(struct outbound *o);

/* Its strings, from the stanza's tree. */
struct objection outbound_map(const struct gateway *g, struct outbound *o, enum pool pool,
			      const struct jid *from, const struct jid *to, struct stanza_tree *tree);
struct sip_outgoing *outbound_send(const struct gateway *g, const struct outbound *o, sip_response_fn *done,
				   void *ctx);

/*
 * The pool does not know the device: from now on the message is for the user.
 * False: it was already, or the response says something else.
 */
bool outbound_retarget(struct outbound *o, unsigned status);

/* The outcome is told; the message is gone then. */
void outbound_respond(struct gateway *g, struct outbound *o, const struct sip_response *response);
void outbound_fail(struct gateway *g, struct outbound *o, struct objection objection);

#endif
