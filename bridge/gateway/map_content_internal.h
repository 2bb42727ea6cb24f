/*
 * map_content_internal.h - the kinds of bodies that map_content.c tells apart.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_CONTENT_INTERNAL_H
#define POOLBRIDGE_GATEWAY_MAP_CONTENT_INTERNAL_H

#include "bridge/gateway/map_content.h"
#include "bridge/gateway/map_mime.h"

/*
 * map_text.c: bytes in a charset ("" is UTF-8; in lower case) as text that XML can carry, LF line ends;
 * out is untouched on failure. ERR_NOT_FOUND: a charset that we do not read. ERR_SYNTAX: the bytes are
 * not of it, or XML cannot carry them.
 */
MUST_CHECK enum err map_text_decode(const char *charset, struct mime_span bytes, struct strbuf *out);
/* A character that was given by its number, in UTF-8. */
void map_text_put(struct strbuf *out, uint32_t c);

/* map_html.c: the text of an HTML document, at most as long as it; of what XML can carry the same. */
void map_html_strip(const char *html, size_t size, struct strbuf *out);

/* map_cpim.c: the header of message/cpim, and the MIME entity behind it. ERR_REFUSED: it requires what we do not do. */
MUST_CHECK enum err map_cpim_read(struct mime_span body, struct map_cpim **out, struct mime_span *entity);
void map_cpim_free(struct map_cpim *c); /* NULL is allowed */

/* map_imdn.c: message/imdn+xml, and Microsoft's own. ERR_NOT_FOUND: another document. */
MUST_CHECK enum err map_imdn_read(struct mime_span body, enum imdn_status *status, char **message_id);
MUST_CHECK enum err map_ms_imdn_read(struct mime_span body, enum imdn_status *status, char **message_id);

#endif
