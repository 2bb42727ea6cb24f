/*
 * outbound.h - one thing that an XMPP user says, on its way to a pool: how it is
 * written in SIP, and what its response means.
 */
#ifndef POOLBRIDGE_GATEWAY_OUTBOUND_H
#define POOLBRIDGE_GATEWAY_OUTBOUND_H

#include "bridge/gateway/gateway_internal.h"

enum outbound_kind {
	OUTBOUND_TEXT, /* a message: its sender is told what became of it; the others are nobody's to keep */
	OUTBOUND_TYPING, /* composing, or no longer */
	OUTBOUND_NOTICE, /* a message of the pool has arrived */
	OUTBOUND_GONE    /* the conversation is over */
};

struct outbound {
	enum outbound_kind kind;
	struct stanza *stanza; /* NULL but for a text; likewise the next two */
	delivery_fn *done;
	void *done_ctx;
	enum pool pool;
	char *from_uri, *to_uri;                  /* owned, like the next ones */
	char *bare_uri;                           /* for a second try; NULL: none, or it was made */
	char *display, *subject, *call_id, *date; /* may be NULL */
	char *body;
	const char *content_type;
	bool composing;         /* OUTBOUND_TYPING */
	bool embedded;          /* the text rode in an INVITE */
	bool revived;           /* it has been in a dialog that was dead */
	bool stale;             /* under way while its user left that pool */
	bool receipt_wanted;    /* XEP-0184 */
	enum pool_mode refused; /* the client has refused it in this mode; POOL_AUTO: in none */
	int64_t since;
	struct outbound *prev, *next;
};

/* Why a message cannot go; text NULL: it can. */
struct objection {
	enum condition condition;
	const char *text;
};

/* A text. */
struct outbound *outbound_create(struct stanza *stanza, delivery_fn *done, void *done_ctx);
/* Anything else between these two. NULL: one of them has no SIP address. */
struct outbound *outbound_signal(enum outbound_kind kind, enum pool pool, const struct jid *from,
				 const struct jid *to);
void outbound_free(struct outbound *o);

/* A text's strings, from the stanza's tree. */
struct objection outbound_map(const struct gateway *g, struct outbound *o, enum pool pool,
			      const struct jid *from, const struct jid *to, struct stanza_tree *tree);
/* OUTBOUND_TYPING: the body, for a client that takes isComposing or for one that does not. */
void outbound_write_typing(struct outbound *o, bool is_composing);

/*
 * The pool does not know the device: from now on the message is for the user.
 * False: it was already, or the response says something else.
 */
bool outbound_retarget(struct outbound *o, unsigned status);

/* The outcome is told; the message is gone then. True: it was put back, to be tried again. */
bool outbound_respond(struct gateway *g, struct outbound *o, const struct sip_response *response);
void outbound_fail(struct gateway *g, struct outbound *o, struct objection objection);
/* The same for one that was not sent: it may be tried again. */
void outbound_put_back(struct gateway *g, struct outbound *o, struct objection objection);

#endif
