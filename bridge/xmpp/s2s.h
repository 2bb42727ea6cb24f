/*
 * s2s.h - the s2s edges: listeners, streams, dialback in its three roles, and
 * one outbound link for each (edge, local domain, remote domain).
 *
 * External edge: local is a local domain, remote a partner, found by SRV or the
 * partner's proxy. Internal edge: local is a partner domain for which we speak,
 * remote a local domain, found at the configured legacy gateway.
 *
 * A stanza given to s2s_send() is answered exactly once by its delivery
 * callback: confirmed (the peer has it) or failed, with the condition to tell
 * its sender. Order is kept within a link.
 */
#ifndef POOLBRIDGE_XMPP_S2S_H
#define POOLBRIDGE_XMPP_S2S_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"
#include "bridge/xmpp/tls.h"
#include "db/registry.h"

struct s2s;

enum edge { EDGE_EXTERNAL, EDGE_INTERNAL, EDGES };
const char *edge_name(enum edge edge);

/* What became of a stanza. */
struct outcome {
	bool confirmed;
	enum condition condition; /* when not confirmed */
	const char *text;         /* words for <text/>; static or valid during the callback */
	const char *uri;          /* for gone and redirect: the new address; NULL, or as text */
	bool unsent; /* not confirmed, and nothing of it can have arrived: another try doubles nothing */
};
typedef void delivery_fn(void *ctx, struct stanza *stanza, const struct outcome *outcome);

/*
 * Names a stanza that came in, until it is finished: with its next hop, or
 * answered. Whoever got it says so once with s2s_receipt_done(), and only then is
 * it acknowledged to its sender (XEP-0198). A value; {0} asks for nothing.
 */
struct receipt {
	uint64_t stream, stanza;
	size_t size;  /* what it takes of the stream's window */
	bool counted; /* stanza is its number */
};

/*
 * Upwards: a stanza from an authenticated pair; from and to are its parsed
 * addresses, checked against the pair. The callback borrows all three.
 */
typedef void s2s_stanza_fn(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
			   const struct jid *to, struct receipt receipt);

struct s2s_setup {
	struct loop *loop;
	struct dns *dns;
	struct db *db;
	const struct config *config;
	struct tls *tls; /* NULL: no TLS */
	s2s_stanza_fn *on_stanza;
	void *ctx;
};

/* Opens the listeners. On failure *why (static buffer) says which and why. */
MUST_CHECK enum err s2s_create(const struct s2s_setup *setup, struct s2s **out, const char **why);

/*
 * Send over the link of (edge, local, remote), opening it where needed. Takes a
 * reference to the stanza. deadline_ms: how long it may wait to be confirmed
 * (0: the configured queue time). done is never called from inside this call.
 */
void s2s_send(struct s2s *s2s, enum edge edge, const char *local, const char *remote, struct stanza *stanza,
	      int64_t deadline_ms, delivery_fn *done, void *ctx);

/*
 * The same for a message that is kept elsewhere when it cannot go: it comes back unsent when the
 * peer is not reached within seconds, at the end of the turn when it was not reached just before.
 */
void s2s_try(struct s2s *s2s, enum edge edge, const char *local, const char *remote, struct stanza *stanza,
	     delivery_fn *done, void *ctx);

void s2s_receipt_done(struct s2s *s2s, struct receipt receipt);

/*
 * Stop: no new streams, what is queued fails (done is called), what is written
 * leaves, streams close with </stream:stream>. finished is called once.
 */
void s2s_stop(struct s2s *s2s, void (*finished)(void *ctx), void *ctx);
/* From s2s_stop() on: what fails now may be delivered by the next process. */
bool s2s_is_stopping(const struct s2s *s2s);
void s2s_destroy(struct s2s *s2s);

/*
 * Try a partner as a message would, beside the links there are, and tell every
 * step. done gets the report, {"local", "partner", "ok", "steps": [{"step", "ok",
 * "text", "side", "mend"}]}, which it owns, once and not from inside this call.
 */
typedef void s2s_check_fn(void *ctx, json_t *report);
void s2s_check(struct s2s *s2s, const char *local, const char *partner, s2s_check_fn *done, void *ctx);

/* For status: listeners and links, as JSON arrays the caller owns. */
json_t *s2s_listeners(const struct s2s *s2s);
json_t *s2s_links(const struct s2s *s2s);

#endif
