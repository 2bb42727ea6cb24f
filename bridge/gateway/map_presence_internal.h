/*
 * map_presence_internal.h - what the files of presence's forms share.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_PRESENCE_INTERNAL_H
#define POOLBRIDGE_GATEWAY_MAP_PRESENCE_INTERNAL_H

#include "bridge/gateway/map_presence.h"
#include "bridge/xmpp/xmltree.h"

#define MSRTC_TYPE      "text/xml+msrtc.pidf"
#define CATEGORIES_TYPE "application/msrtc-event-categories+xml"

#define NS_PIDF       "urn:ietf:params:xml:ns:pidf"
#define NS_DATA_MODEL "urn:ietf:params:xml:ns:pidf:data-model"
#define NS_RPID       "urn:ietf:params:xml:ns:pidf:rpid"
#define NS_RPID_STATUS                                                                                       \
	"urn:ietf:params:xml:ns:pidf:status:rpid-status" /* before RFC 4480; Microsoft's clients */
#define NS_CLIENT "jabber:client"

/* A word or a number in an element or an attribute: white space around it does not count. */
bool word_is(const char *text, const char *word);
/* Decimal digits only; false when it is none, or above max. text may be NULL. */
bool word_number(const char *text, unsigned max, unsigned *out);
/* Untouched when it is none of the four that XMPP has. */
void word_show(const char *text, enum presence_show *out);

/* The status of p: text without white space at its ends, cut; lang where it is one (NULL: not known). */
void presence_set_status(struct presence *p, const char *text, const char *lang);
/* false: this part of an address cannot be a resourcepart; out is untouched. */
bool presence_set_resource(struct presence *p, const char *text);

/* The identifier of a resource's tuple, an xs:ID; resource NULL: "ID-". And back, from whoever wrote it. */
void pidf_id_write(struct strbuf *b, const char *resource);
char *pidf_id_read(const char *id); /* the caller frees it; it may be no resourcepart */

/* One reader for each form; ERR_NOT_FOUND: another document. On failure out may hold what was read so far. */
MUST_CHECK enum err pidf_read(const struct xmlnode *root, const char *language, struct presence_list *out);
MUST_CHECK enum err msrtc_read(const struct xmlnode *root, struct presence_list *out);
MUST_CHECK enum err categories_read(const struct xmlnode *root, const struct presence_list *known,
				    struct presence_list *out);

#endif
