/*
 * map_held.h - a MESSAGE between colleagues as a stanza, in which form it is kept
 * while its recipient is being moved, and back. Pure.
 *
 * A stanza so that the spool holds one kind of thing; what an administrator is
 * shown is its text, what leaves is the body as it came.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_HELD_H
#define POOLBRIDGE_GATEWAY_MAP_HELD_H

#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"

/* Header fields as decoded text; NULL: absent. */
struct map_held {
	const char *call_id; /* never NULL when it is written */
	uint32_t cseq;       /* written only: part of the stanza's id, like the Call-ID */
	const char *name;    /* the sender's */
	const char *subject, *language;
	const char *date;         /* when it was sent, or came */
	int64_t expires;          /* seconds from then; -1: never */
	const char *content_type; /* the whole value; never NULL, like the body */
	const char *body;
	size_t size;
	struct stanza_tree *tree; /* read only, like the next one: what the strings stand in */
	struct strbuf raw;
};

/*
 * ERR_REFUSED: nothing that somebody wrote (typing, a notification, no text), or of a type that
 * the gateway cannot read; ERR_SYNTAX: malformed, or nothing that XML can carry.
 */
MUST_CHECK enum err map_held_write(const struct jid *from, const struct jid *to, const struct map_held *m,
				   struct stanza **out);
/* ERR_SYNTAX: it is none. */
MUST_CHECK enum err map_held_read(const struct stanza *stanza, struct map_held *out);
void map_held_free(struct map_held *m); /* one that was read */

/*
 * The message that tells the sender of one that it was not delivered (RFC 3428 has no other way after
 * 202), from its recipient, of type error. why: words of anybody's. NULL: it is such a one itself, and is not
 * answered.
 */
struct stanza *map_held_notice(const struct stanza *stanza, const char *why);

#endif
