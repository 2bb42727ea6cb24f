/*
 * endpoint.h - the SIP endpoint: sofia-sip's nta layer behind plain structs.
 * sofia-sip's types stay in bridge/sip/.
 *
 * Requests are taken only from configured peers. Every received request is
 * answered exactly once by sip_answer(), or by the endpoint itself when it is
 * refused, and every sent one ends with exactly one callback.
 */
#ifndef POOLBRIDGE_SIP_ENDPOINT_H
#define POOLBRIDGE_SIP_ENDPOINT_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "bridge/sip/address.h"

struct sip_endpoint;
struct sip_transaction; /* a received request that waits for its answer */

/* A received request; all pointers are valid during the callback only. */
struct sip_request {
	struct sip_transaction *transaction;
	const char *method;
	const char *source;          /* "127.0.0.60:5060/tcp", for the log */
	struct sip_address from, to; /* to: the request URI */
	const char *from_display;    /* decoded; "" when absent */
	const char *call_id;
	const char *subject; /* NULL when absent; likewise the next ones */
	const char *content_language;
	const char *content_type; /* lower case, without parameters */
	const char *charset;
	const char *body;
	size_t body_size;
};
typedef void sip_request_fn(void *ctx, const struct sip_request *request);

/* The outcome of a sent request: status 408 and 503 are also what the endpoint itself says of silence and refused connections. */
typedef void sip_response_fn(void *ctx, unsigned status, const char *phrase, const char *contact_uri);

/* A MESSAGE to send. Header values have passed sip_header_text() or sip_quoted_text(). */
struct sip_message {
	const char *next_hop; /* "sip:HOST:PORT;transport=tcp" */
	const char *to_uri;   /* request URI and To */
	const char *from_uri;
	const char *from_display;     /* quoted-string, or NULL */
	const char *call_id;          /* NULL: made here; must be a valid Call-ID */
	const char *subject;          /* may be NULL */
	const char *content_language; /* may be NULL */
	const char *content_type;
	const char *body;
	size_t body_size;
};

struct sip_outgoing; /* a sent request that waits for its end */

struct sip_setup {
	struct loop *loop;
	const struct config *config;
	sip_request_fn *on_request;
	void *ctx;
	unsigned t1_ms; /* timer T1 (RFC 3261 section 17.1.1.1), from which the others follow; 0: 500 ms */
};
MUST_CHECK enum err sip_endpoint_create(const struct sip_setup *setup, struct sip_endpoint **out,
					const char **why);
/* Ends what is under way: received requests are answered 503, sent ones end with 503. */
void sip_endpoint_destroy(struct sip_endpoint *ep);

/*
 * A message over 1300 bytes never leaves by UDP: it goes by TCP to the same
 * next hop (RFC 3428 section 8, RFC 3261 section 18.1.1).
 * done is never called from inside this call.
 */
struct sip_outgoing *sip_send_message(struct sip_endpoint *ep, const struct sip_message *m,
				      sip_response_fn *done, void *ctx);
void sip_outgoing_cancel(struct sip_outgoing *o); /* forget it: no callback */

/*
 * Answer and free the transaction: once for each request, also after the
 * endpoint has answered for itself (504 when the answer is late, 503 when the
 * endpoint ends), even after its end; it only frees then. phrase NULL: the
 * standard one. header may be NULL, else a whole "Name: value" line that has
 * passed sip_header_text(). 408 leaves as 504 (RFC 4320 section 4.2).
 */
void sip_answer(struct sip_transaction *t, unsigned status, const char *phrase, const char *header);

/* For status: {"listeners": [...], ...}; the caller owns it. */
json_t *sip_endpoint_status(const struct sip_endpoint *ep);

#endif
