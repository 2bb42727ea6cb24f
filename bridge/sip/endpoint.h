/*
 * endpoint.h - the SIP endpoint: sofia-sip's nta layer behind plain structs.
 * sofia-sip's types stay in bridge/sip/.
 *
 * Requests are taken only from configured peers. Every received request is
 * answered exactly once by sip_reply() or sip_answer(), or by the endpoint
 * itself when it is refused, and every sent one ends with exactly one callback.
 */
#ifndef POOLBRIDGE_SIP_ENDPOINT_H
#define POOLBRIDGE_SIP_ENDPOINT_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "bridge/sip/address.h"

struct dns;
struct sip_dialog;
struct sip_endpoint;
struct sip_transaction; /* a received request that waits for its answer */
struct sip_view;        /* the parsed message behind a request or a response */

/* What is taken from peers. */
#define SIP_ALLOW "Allow: INVITE, ACK, CANCEL, BYE, MESSAGE, INFO, SUBSCRIBE, NOTIFY, BENOTIFY, OPTIONS"

/*
 * The value of the index-th header field of that name (the long form, any
 * case), known or not, as text: folded lines joined, no controls, UTF-8. Header
 * fields that hold several values count each, but lists of tokens (Supported,
 * Accept, Allow) are one value whatever the number of lines. NULL: there is
 * none, or it is no clean text. It lives as long as the view.
 */
const char *sip_header(const struct sip_view *v, const char *name, unsigned index);

/*
 * A received request; all pointers are valid during the callback only. Strings
 * are NULL when absent, but for those said to be "".
 */
struct sip_request {
	struct sip_transaction *transaction; /* NULL: ACK and BENOTIFY, which are never answered */
	int way;                             /* what on_route said; 0: it was not asked */
	const char *method;
	const char *source;           /* "127.0.0.60:5060/tcp", for the log */
	int pool;                     /* enum pool whose next hop has this source address; -1: another peer */
	struct sip_address from, to;  /* to: the Request-URI */
	struct sip_address to_header; /* empty when to_uri is NULL */
	const char *from_uri;         /* of the header field, as on the wire, like the next one */
	const char *to_uri;           /* NULL: another scheme, which is allowed in To */
	const char *from_display;     /* decoded; "" when absent, like the next one */
	const char *to_display;
	const char *from_tag;
	const char *to_tag;    /* NULL: outside a dialog */
	const char *local_tag; /* what To has or will have in our answers; NULL: never answered */
	const char *call_id;
	uint32_t cseq;
	unsigned max_forwards; /* 70 when absent */
	const char *contact_uri;
	int64_t expires;   /* seconds; -1: absent, like the other times */
	const char *event; /* the package, lower case, without parameters */
	/* Subscription-State (RFC 6665 section 8.2.3), lower case */
	const char *subscription_state, *reason;
	int64_t state_expires, retry_after;
	const char *subject;
	const char *content_language;
	const char *content_type; /* lower case, without parameters; "" when absent, like the next one */
	const char *charset;
	const char *body; /* never NULL */
	size_t body_size;
	const struct sip_view *view;
};
typedef void sip_request_fn(void *ctx, const struct sip_request *request);

/* The one final response. Status 408 and 503 are also what the endpoint itself says of silence and refused connections. */
struct sip_response {
	unsigned status;
	const char *phrase; /* as received: any bytes but line breaks; never NULL */
	const char *to_tag;
	const char *contact_uri;
	int64_t expires, retry_after; /* -1: absent */
	const char *content_type;     /* "" when absent, like the next one */
	const char *charset;
	const char *body; /* never NULL */
	size_t body_size;
	const struct sip_view *view; /* NULL: the endpoint's own word */
};
typedef void sip_response_fn(void *ctx, const struct sip_response *response);

/* A request to send. Everything that goes into a header field has passed sip_header_text() or sip_quoted_text(). */
struct sip_send {
	const char *method;
	enum pool pool; /* without a dialog */
	/*
	 * NULL: a request of its own (a MESSAGE in pager mode). Else its pool, Call-ID, tags, URIs, route set
	 * and target, and its local_cseq, counted up; borrowed until the callback.
	 */
	struct sip_dialog *dialog;
	const char *to_uri, *from_uri; /* without a dialog; to_uri is the Request-URI, too */
	const char *from_display;      /* quoted-string, or NULL */
	const char *call_id;           /* without a dialog; NULL: made here; must be a valid Call-ID */
	const char *const *headers;    /* whole "Name: value" lines */
	size_t header_count;
	const char *content_type; /* NULL: no body */
	const char *body;
	size_t body_size;
};

struct sip_outgoing; /* a sent request that waits for its end */

enum { SIP_TAKEN = -1 };

struct sip_setup {
	struct loop *loop;
	struct dns *dns; /* NULL: next hops' names are looked up at the start only */
	const struct config *config;
	/*
	 * Asked first about every request outside a dialog that will be answered, before anything is checked
	 * that only its receiver may ask; no more of it is set than method, source, pool, from, to, from_tag,
	 * call_id and view. SIP_TAKEN; or a number of the caller's, with which it comes to on_request when all
	 * is well with it. May be NULL.
	 */
	int (*on_route)(void *ctx, const struct sip_request *request);
	sip_request_fn *on_request;
	/*
	 * A CANCEL has ended an INVITE that waits for its answer, and both have been answered (200, 487): the
	 * holder drops it with sip_answer(), which only frees it now. May be NULL.
	 */
	void (*on_cancel)(void *ctx, struct sip_transaction *transaction);
	/*
	 * What comes between true and false was read at one time, before the true. By TLS it is not told. May
	 * be NULL.
	 */
	void (*on_burst)(void *ctx, bool begins);
	void *ctx;
	int64_t resolve_ms; /* how often next hops' names are looked up; 0: every minute */
	unsigned t1_ms; /* timer T1 (RFC 3261 section 17.1.1.1), from which the others follow; 0: 500 ms */
};
MUST_CHECK enum err sip_endpoint_create(const struct sip_setup *setup, struct sip_endpoint **out,
					const char **why);
/*
 * Ends what is under way: received requests are answered 503, sent ones end
 * with 503, acknowledgements that are waited for did not come.
 */
void sip_endpoint_destroy(struct sip_endpoint *ep);

/*
 * Contact is added where the method needs one. A 2xx to INVITE or SUBSCRIBE
 * completes the dialog, or refreshes its target, before the callback; a 2xx to
 * INVITE is acknowledged here, each time it comes, and one of another branch
 * ended with BYE (RFC 3261 section 13.2.2.4).
 *
 * A request over 1300 bytes never leaves by UDP: it goes by TCP to the same
 * next hop (RFC 3428 section 8, RFC 3261 section 18.1.1).
 * done is never called from inside this call.
 */
struct sip_outgoing *sip_send(struct sip_endpoint *ep, const struct sip_send *s, sip_response_fn *done,
			      void *ctx);
/*
 * Forget it: no callback. An INVITE is cancelled (CANCEL); a 2xx that comes all
 * the same is acknowledged and ended with BYE. The dialog may be freed then.
 */
void sip_outgoing_cancel(struct sip_outgoing *o);
/* An INVITE is cancelled, and the callback still comes: 487, or a 2xx that has crossed the CANCEL. */
void sip_outgoing_give_up(struct sip_outgoing *o);

struct sip_reply {
	unsigned status;            /* 200 to 699; 408 leaves as 504, but for INVITE (RFC 4320 section 4.2) */
	const char *phrase;         /* NULL: the standard one */
	const char *const *headers; /* whole "Name: value" lines */
	size_t header_count;
	const struct sip_dialog *dialog; /* NULL: none; its local tag is that of To */
	const char *content_type;        /* NULL: no body */
	const char *body;
	size_t body_size;
	/*
	 * A 2xx to INVITE is repeated until its ACK comes (true), for 64*T1 at most (false); NULL: not told.
	 * Called once, never from inside sip_reply(), unless sip_forget_ack() was called before.
	 */
	void (*on_ack)(void *ctx, bool acked);
	void *ack_ctx;
};
/*
 * Answer and free the transaction: once for each request, also after the
 * endpoint has answered for itself (504 when the answer is late, 503 when the
 * endpoint ends, 487 after CANCEL), even after its end; it only frees then.
 * t NULL (ACK, BENOTIFY): nothing. Contact is added to a 2xx to INVITE and
 * SUBSCRIBE, Record-Route copied by the library. Text that is not clean is left out.
 */
void sip_reply(struct sip_transaction *t, const struct sip_reply *reply);
/* The short form. header may be NULL, else a whole "Name: value" line. */
void sip_answer(struct sip_transaction *t, unsigned status, const char *phrase, const char *header);
/* A provisional response, 100 to 199; the time for the answer (sip.answer_time) begins anew. */
void sip_progress(struct sip_transaction *t, unsigned status);
/* The holder of this ack_ctx goes: its on_ack is not called. */
void sip_forget_ack(struct sip_endpoint *ep, const void *ack_ctx);

/* The host of our Contact towards that pool, for session descriptions. */
const char *sip_endpoint_host(const struct sip_endpoint *ep, enum pool pool);

/* Read certificates again (SIGHUP). On failure what was loaded before stays in use. */
MUST_CHECK enum err sip_endpoint_reload(struct sip_endpoint *ep, const char **why);

/* For status: {"listeners": [...], ...}; the caller owns it. */
json_t *sip_endpoint_status(const struct sip_endpoint *ep);

#endif
