/*
 * map.h - XMPP <-> SIP mapping: pure functions (RFC 7247, RFC 7572, XEP-0106).
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_H
#define POOLBRIDGE_GATEWAY_MAP_H

#include "bridge/gateway/map_typing.h"
#include "bridge/sip/address.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"

/*
 * Addresses: RFC 7247 section 6. A sips: URI is ERR_REFUSED (section 8). ERR_SYNTAX also for an
 * address that would map onto the one that another address maps to.
 */
MUST_CHECK enum err map_jid_to_sip(const struct jid *jid, struct sip_address *out);
/* The same as the URI's text. */
MUST_CHECK enum err map_jid_to_sip_uri(const struct jid *jid, char uri[SIP_URI_SIZE]);
MUST_CHECK enum err map_sip_to_jid(const struct sip_address *a, struct jid *out);

/* "xmpp:local@domain" (RFC 5122): the bare address, for <gone/> and <redirect/>. */
#define MAP_URI_SIZE (5 + 3 * JID_BARE_SIZE)
void map_jid_to_uri(const struct jid *jid, char out[MAP_URI_SIZE]);

/* XEP-0106, all ten sequences. ERR_SYNTAX: the result would begin or end with \20. */
MUST_CHECK enum err map_escape_local(const char *text, char *out, size_t size);
MUST_CHECK enum err map_unescape_local(const char *local, char *out, size_t size);

/* Errors: RFC 7247 section 7, tables 2 and 3. */
unsigned map_condition_to_status(enum condition c, bool to_full_jid, bool has_uri);
enum condition map_status_to_condition(unsigned status, bool has_uri);
bool map_status_is(unsigned status, const unsigned *list, size_t count); /* one of these */

/* Call-ID from a thread (RFC 7572 section 4): false when the thread is no valid Call-ID. */
bool map_thread_to_call_id(const char *thread, char *out, size_t size);
/*
 * Date (RFC 3261 section 20.17) from the stamp of a delay (XEP-0203, in the form of XEP-0082). False: it is no time
 * that a Date can say.
 */
enum { MAP_DATE_SIZE = 40 };
bool map_stamp_to_date(const char *stamp, char out[MAP_DATE_SIZE]);
/* Content-Language from xml:lang: false when it is no language tag (RFC 5646's shape). */
bool map_lang_valid(const char *lang);

/*
 * The XMPP message for what a pool's user says (RFC 7572 section 5, RFC 7573).
 * What is NULL, false or CHAT_STATE_NONE is not in it. ERR_SYNTAX: a text is not UTF-8
 * or holds characters that XML cannot carry.
 */
struct map_message {
	const char *from, *to, *id; /* JIDs as text; id may be NULL */
	const char *subject, *thread, *lang;
	const char *body;
	size_t body_size;
	const char *type; /* "chat"; NULL: normal */
	enum chat_state chat_state;
	bool receipt_request;
	const char *received_id; /* receipt for that message */
	const char *nick;
	const struct strbuf *more; /* elements, XML already */
};
MUST_CHECK enum err map_message_to_stanza(const struct map_message *m, struct stanza **out);

#endif
