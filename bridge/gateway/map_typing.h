/*
 * map_typing.h - what two clients tell each other beside text: who is typing
 * (isComposing and KeyboardActivity in SIP, chat states in XMPP), and receipts.
 * Pure functions (RFC 3994, RFC 7573 section 5, XEP-0085, XEP-0184).
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_TYPING_H
#define POOLBRIDGE_GATEWAY_MAP_TYPING_H

#include "bridge/xmpp/stanza.h"

#define MAP_ISCOMPOSING_TYPE "application/im-iscomposing+xml"
#define MAP_KEYBOARD_TYPE    "application/xml"

#define NS_CHAT_STATES "http://jabber.org/protocol/chatstates"
#define NS_RECEIPTS    "urn:xmpp:receipts"
#define NS_NICK        "http://jabber.org/protocol/nick"

enum typing { TYPING_IDLE, TYPING_ACTIVE };

enum chat_state {
	CHAT_STATE_NONE,
	CHAT_STATE_ACTIVE,
	CHAT_STATE_COMPOSING,
	CHAT_STATE_PAUSED,
	CHAT_STATE_INACTIVE,
	CHAT_STATE_GONE
};
const char *chat_state_name(enum chat_state state); /* the element's name; NULL for CHAT_STATE_NONE */

/* RFC 7573 table 4. False: nothing is said (CHAT_STATE_NONE), or a BYE says it (CHAT_STATE_GONE). */
bool map_chatstate_to_typing(enum chat_state state, enum typing *out);
/* RFC 7573 table 3. */
enum chat_state map_typing_to_chatstate(enum typing typing);

/* The bodies; the caller frees them. refresh: seconds, 0 for none; it goes with TYPING_ACTIVE only. */
char *map_iscomposing_write(enum typing typing, unsigned refresh);
char *map_keyboard_write(enum typing typing);

/* What a message from a pool says about typing. */
struct map_typing {
	enum typing state;
	unsigned refresh; /* seconds, 1 to MAP_REFRESH_MAX; the default where none was given */
};
/* After so many seconds without news nobody types any more (RFC 3994 section 3.3). */
enum { MAP_REFRESH_DEFAULT = 120, MAP_REFRESH_MAX = 3600 };

/* ERR_SYNTAX: not well-formed. ERR_NOT_FOUND: another document. */
MUST_CHECK enum err map_iscomposing_read(const char *body, size_t size, struct map_typing *out);
MUST_CHECK enum err map_keyboard_read(const char *body, size_t size, struct map_typing *out);

/* What an XMPP message says beside its text. Strings belong to the tree. */
struct map_signals {
	enum chat_state chat_state; /* CHAT_STATE_NONE: the client said nothing */
	bool receipt_request;
	const char *received_id; /* of the message that arrived there; NULL: no receipt */
	const char *nick;        /* XEP-0172; NULL: none, or empty */
};
void map_signals_read(struct stanza_tree *tree, struct map_signals *out);

#endif
