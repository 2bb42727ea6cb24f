/*
 * map_content.h - what the body of a SIP request says: text, typing, a
 * disposition notification, or nothing that we could tell an XMPP user.
 *
 * Pure functions. Hostile input costs time and memory in proportion to its
 * size; multiparts and CPIM may be nested MAP_CONTENT_DEPTH deep.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_CONTENT_H
#define POOLBRIDGE_GATEWAY_MAP_CONTENT_H

#include "bridge/gateway/map_typing.h"

/* What map_content_read() takes, for the Accept header field of a 415. */
#define MAP_CONTENT_ACCEPT                                                                                   \
	"text/plain, text/html, multipart/alternative, message/cpim, message/imdn+xml, "                     \
	"application/im-iscomposing+xml, application/xml"

enum { MAP_CONTENT_DEPTH = 4, MAP_CONTENT_PARTS = 16 };

enum map_content_kind {
	MAP_CONTENT_UNSUPPORTED, /* answer 415: a type, charset or encoding that we cannot read */
	MAP_CONTENT_EMPTY,       /* no body, or one without text: nothing to tell */
	MAP_CONTENT_TEXT,
	MAP_CONTENT_TYPING,
	MAP_CONTENT_IMDN
};

/* OTHER: no word on delivery (processed, stored, forbidden, error ...). */
enum imdn_status { IMDN_OTHER, IMDN_DELIVERED, IMDN_DISPLAYED, IMDN_FAILED };

/* Which notifications the sender asks for (RFC 5438 section 6.2). */
enum { IMDN_WANT_DELIVERY = 1, IMDN_WANT_FAILURE = 2, IMDN_WANT_DISPLAY = 4 };

/*
 * The header of message/cpim (RFC 3862). It is the sender's claim: who wrote,
 * the SIP header says. All strings are owned and may be NULL; none but the
 * subject holds a control.
 */
struct map_cpim {
	char *from_uri, *to_uri;
	char *date_time; /* as it was written */
	char *subject;   /* UTF-8 that XML can carry, escapes resolved */
	char *message_id;
	unsigned wanted; /* IMDN_WANT_...; 0 without a message_id, and in a notification */
};

struct map_content {
	enum map_content_kind kind;
	char *text;              /* TEXT: UTF-8 that XML can carry, LF line ends, not empty; owned */
	bool composing;          /* TYPING */
	unsigned refresh;        /* TYPING: seconds that it holds, 1 to MAP_REFRESH_MAX */
	enum imdn_status status; /* IMDN */
	char *message_id;        /* IMDN: of the message that it is about; owned */
	struct map_cpim *cpim;   /* NULL: it did not come as message/cpim; owned */
};

/*
 * type: the whole value of Content-Type, NULL or "" when there is none. A body of no
 * bytes is EMPTY whatever its type. ERR_SYNTAX (answer 400): malformed, or text
 * that does not decode or that XML 1.0 cannot carry. ERR_LIMIT: too many parts.
 */
MUST_CHECK enum err map_content_read(const char *type, const char *body, size_t size,
				     struct map_content *out);
void map_content_free(struct map_content *c); /* what it owns; zero-initialised is allowed */

/*
 * The first message of a session, in the INVITE's header fields ms-text-format
 * (or ms-im-format): "text/plain; charset=UTF-8; ms-body=BASE64". Of several
 * values the first text/plain is taken, else the first of another type.
 * map_content_read() reads the result. ERR_NOT_FOUND: no values. ERR_SYNTAX: that value is malformed or
 * its base64 is not canonical.
 */
struct map_first_message {
	char *type, *body; /* owned; the body ends with a NUL that size does not count */
	size_t size;
};
MUST_CHECK enum err map_first_message_read(const char *const *values, size_t count,
					   struct map_first_message *out);
void map_first_message_free(struct map_first_message *m);

/* Ours: the value for UTF-8 text. False, and nothing added: the text is empty or longer than MAP_FIRST_MESSAGE_MAX. */
enum { MAP_FIRST_MESSAGE_MAX = 2048 };
bool map_first_message_write(const char *text, struct strbuf *out);

/*
 * The notification that answers a message with that CPIM header, as a body of
 * type message/cpim (RFC 5438 section 7.2); the caller frees it. id: its own
 * Message-ID, unique. ERR_SYNTAX: asked names no message or no addresses, or
 * something would break a header line. Status is not IMDN_OTHER.
 */
#define MAP_IMDN_TYPE "message/cpim"
MUST_CHECK enum err map_imdn_write(const struct map_cpim *asked, enum imdn_status status, const char *id,
				   char **out);

#endif
