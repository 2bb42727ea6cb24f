/*
 * map_presence.h - presence as a plain value, and its forms on the wire: the
 * presence stanza (RFC 6121), PIDF with RPID (RFC 3863, 4480, 8048), and the two
 * forms of Microsoft's pools. docs/mapping.md has the tables. Pure functions.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_PRESENCE_H
#define POOLBRIDGE_GATEWAY_MAP_PRESENCE_H

#include "bridge/core/base.h"
#include "bridge/xmpp/stanza.h"

#define PIDF_TYPE "application/pidf+xml"
#define NS_NICK   "http://jabber.org/protocol/nick"

enum presence_show { SHOW_NONE, SHOW_CHAT, SHOW_AWAY, SHOW_XA, SHOW_DND };

enum { PRIORITY_MIN = -128, PRIORITY_MAX = 127, PRESENCE_STATUS_MAX = 1024, PRESENCE_RESOURCES = 32 };

/* Of one resource. Unavailable, it has SHOW_NONE and priority 0. Strings are owned. */
struct presence {
	bool available;
	enum presence_show show;
	int priority;   /* PRIORITY_MIN to PRIORITY_MAX */
	char *status;   /* what the user says of it, cut after PRESENCE_STATUS_MAX bytes; NULL when blank */
	char *lang;     /* of the status; NULL when not known, or without a status */
	char *resource; /* a resourcepart (RFC 7622); NULL: of the bare address */
};

/* Of one user; each resource is there once, at most PRESENCE_RESOURCES of them. Zero-initialise it. */
struct presence_list {
	struct presence *items; /* owned */
	size_t count;
};

const char *presence_show_name(enum presence_show show); /* "away"; NULL for SHOW_NONE */

void presence_clear(struct presence *p); /* frees what it owns */
void presence_copy(const struct presence *p, struct presence *out);
bool presence_equal(const struct presence *a, const struct presence *b);
/* Below 0: a is preferred: the more available one, then by priority, at last by resource. */
int presence_compare(const struct presence *a, const struct presence *b);

void presence_list_clear(struct presence_list *l);
void presence_list_copy(const struct presence_list *l, struct presence_list *out);
/* In whatever order: such a list need not be sent again. */
bool presence_list_equal(const struct presence_list *a, const struct presence_list *b);
/* NULL when it is not there; resource NULL: the bare address. */
const struct presence *presence_list_find(const struct presence_list *l, const char *resource);
/* In the place of what is there for its resource; a copy. ERR_LIMIT: one resource too many. */
MUST_CHECK enum err presence_list_put(struct presence_list *l, const struct presence *p);
void presence_list_remove(struct presence_list *l, const char *resource);

/*
 * What the body of a NOTIFY (or PUBLISH, or a 200 to SUBSCRIBE) tells:
 * application/pidf+xml, text/xml+msrtc.pidf, application/msrtc-event-categories+xml,
 * or the first document of these within a multipart that can be read.
 *
 * An empty list: it says nothing of availability, which counts as unavailable
 * (RFC 8048 section 5.2.1). ERR_NOT_FOUND: of another type or charset, or another
 * document (415). ERR_SYNTAX, ERR_LIMIT: not readable (400).
 */
struct presence_body {
	const char *type;     /* Content-Type, with its parameters */
	const char *language; /* Content-Language; NULL when absent */
	const char *bytes;
	size_t size;
	/* Categories may be partial: what they leave out is as in here. NULL: nothing is known. */
	const struct presence_list *known;
};
MUST_CHECK enum err presence_read(const struct presence_body *body, struct presence_list *out);

/* For Accept, the form that tells most first. */
#define PRESENCE_ACCEPT                                                                                      \
	"application/pidf+xml, text/xml+msrtc.pidf;q=0.5, application/msrtc-event-categories+xml;q=0.5"

/* A document that would be longer leaves out the least preferred resources. */
enum { PIDF_BYTES = 25 * 1024 };
/*
 * A PIDF document: a tuple for each resource, the preferred one first. The same
 * list gives the same bytes in whatever order it is, and presence_read() gives
 * that list back, but for negative priorities, which PIDF cannot say. An empty
 * list is written as one closed tuple, so that no watcher keeps the last state.
 *
 * entity: the user's URI; sip: rather than pres:, since clients look a contact up
 * by this very text. ERR_SYNTAX: a string that XML cannot carry.
 */
MUST_CHECK enum err pidf_write(const struct presence_list *list, const char *entity, struct strbuf *out);

/*
 * From a presence stanza without a type, or of type unavailable; its from names
 * the resource. ERR_REFUSED: of another type. ERR_SYNTAX, ERR_LIMIT: not readable.
 */
MUST_CHECK enum err presence_from_stanza(const struct stanza *s, struct presence *out);

/* from and to are JIDs as text. ERR_SYNTAX: a string that XML cannot carry. */
struct presence_stanza {
	const char *from, *to;
	const char *nick; /* XEP-0172; NULL: none */
	bool no_status;   /* the partner's type forbids it */
};
MUST_CHECK enum err presence_to_stanza(const struct presence *p, const struct presence_stanza *how,
				       struct stanza **out);

#endif
