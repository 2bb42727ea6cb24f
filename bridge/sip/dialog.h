/*
 * dialog.h - the state of a SIP dialog (RFC 3261 section 12) as a plain value,
 * which can be written down and read back. Pure but for the tokens, which are
 * random; nothing of sofia-sip.
 *
 * Its requests are sent by sip_send(), which counts local_cseq up and, for a
 * 2xx to INVITE or SUBSCRIBE, calls sip_dialog_confirm().
 */
#ifndef POOLBRIDGE_SIP_DIALOG_H
#define POOLBRIDGE_SIP_DIALOG_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/sip/endpoint.h"

struct sip_dialog {
	enum pool pool; /* whose next hop its requests take when the route set is empty */
	char *call_id, *local_uri, *local_tag, *remote_uri; /* owned, like the next three */
	char *remote_tag, *target;                          /* NULL before they are known */
	char **route; /* the route set: URIs without brackets, in the order of Route in our requests */
	size_t route_count;
	uint32_t local_cseq, remote_cseq; /* last used, last seen; 0: none yet */
};

enum {
	SIP_CALL_ID_MAX = 255,
	SIP_TAG_MAX = 127,
	SIP_ROUTES_MAX = 32,
	SIP_DIALOG_KEY_SIZE = SIP_CALL_ID_MAX + 2 * (SIP_TAG_MAX + 1) + 1
};

/* We are the UAC. The strings are copied; call_id NULL: made here. */
struct sip_dialog *sip_dialog_create(enum pool pool, const char *local_uri, const char *remote_uri,
				     const char *call_id);
/*
 * We are the UAS, of a dialog-creating request (section 12.1.1); the local tag
 * is the one that our answers to it have. ERR_SYNTAX: no tag or Contact, or a
 * Record-Route that cannot be read; ERR_LIMIT: longer than we keep: 400 for both.
 */
MUST_CHECK enum err sip_dialog_accept(const struct sip_request *r, struct sip_dialog **out);
/* A 2xx to our INVITE or SUBSCRIBE: remote tag and route set when they are not known yet, and the target. */
void sip_dialog_confirm(struct sip_dialog *d, const struct sip_response *response);
/*
 * A request in the dialog. False: its CSeq is not higher than the last one's,
 * to be answered 500 (section 12.2.2). Target refresh requests (INVITE,
 * SUBSCRIBE, NOTIFY) change the target; one that comes before the response to
 * our SUBSCRIBE completes the dialog (RFC 6665 section 4.1.2.4).
 */
bool sip_dialog_take(struct sip_dialog *d, const struct sip_request *r);
struct sip_dialog *sip_dialog_copy(const struct sip_dialog *d);
void sip_dialog_free(struct sip_dialog *d); /* NULL is allowed */

/* Round trip. ERR_SYNTAX: not written by sip_dialog_write(), or changed since. The caller owns the object. */
json_t *sip_dialog_write(const struct sip_dialog *d);
MUST_CHECK enum err sip_dialog_read(const json_t *j, struct sip_dialog **out);

/*
 * For hash tables: Call-ID, remote tag, local tag. False: a part is longer than
 * we keep, or, for a request, it is outside a dialog. A dialog that has no
 * remote tag yet has a key as well; sip_request_early_key() makes the same of a
 * request that may belong to it. sip_request_caller_key(): with what the key of a
 * dialog begins that the sender of this request began, whose local tag he does not
 * know yet.
 */
bool sip_dialog_key(const struct sip_dialog *d, char out[SIP_DIALOG_KEY_SIZE]);
bool sip_request_dialog_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE]);
bool sip_request_early_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE]);
bool sip_request_caller_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE]);

/* 128 random bits in hexadecimal, for tags and Call-IDs. */
enum { SIP_TOKEN_SIZE = 33 };
void sip_token(char out[SIP_TOKEN_SIZE]);

#endif
