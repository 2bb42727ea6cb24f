/*
 * map_sdp.h - the session descriptions of IM sessions: "m=message 5060 sip
 * null" (older: x-ms-message) with a=accept-types. Pure functions (RFC 4566,
 * RFC 3264).
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_SDP_H
#define POOLBRIDGE_GATEWAY_MAP_SDP_H

#include "bridge/core/base.h"

#define MAP_SDP_TYPE "application/sdp"

/* What we take: map_content_read() reads all of them. */
#define MAP_SDP_ACCEPT_TYPES "text/plain text/html multipart/alternative application/im-iscomposing+xml"

enum { MAP_SDP_MEDIA = 16 };

/* What the other side takes. */
enum { MAP_SDP_PLAIN = 1, MAP_SDP_HTML = 2, MAP_SDP_ALTERNATIVE = 4, MAP_SDP_ISCOMPOSING = 8 };

struct map_sdp_media {
	char *media;                     /* owned; the next two point into it */
	const char *transport, *formats; /* printable ASCII */
	uint16_t port;
};

struct map_sdp {
	unsigned accepts; /* MAP_SDP_... of the chosen line; without accept-types: MAP_SDP_PLAIN */
	size_t chosen;    /* the IM session's line: the first that can be used */
	size_t count;
	struct map_sdp_media media[]; /* in their order: an answer has the same (RFC 3264 section 6) */
};

/*
 * An offer or an answer. ERR_SYNTAX: malformed (400). ERR_LIMIT: more than
 * MAP_SDP_MEDIA media. ERR_REFUSED: no IM session that can be used: other
 * media, other transports (MSRP), port 0, no text/plain (488).
 */
MUST_CHECK enum err map_sdp_read(const char *body, size_t size, struct map_sdp **out);
void map_sdp_free(struct map_sdp *s); /* NULL is allowed */

/*
 * Ours, added to out. host: address or name of ours, IPv6 with or without
 * brackets; uri: of the user we speak for, as sip_address_format() writes it.
 */
void map_sdp_write_offer(struct strbuf *out, const char *host);
void map_sdp_write_answer(struct strbuf *out, const struct map_sdp *offer, const char *host, const char *uri);

#endif
