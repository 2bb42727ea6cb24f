/*
 * fingerprint.h - what a message is known by when it is sent again: who sent it
 * with which id, and what it says to whom, as two keyed hashes.
 *
 * The text is in it because an id alone proves nothing: RFC 6120 section 8.1.3
 * lets a sender use it again in another stream. Another text is another message.
 */
#ifndef POOLBRIDGE_ROUTE_FINGERPRINT_H
#define POOLBRIDGE_ROUTE_FINGERPRINT_H

#include "bridge/sip/endpoint.h"
#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/stanza.h"
#include "db/seen.h"

struct fingerprint;

struct fingerprint *fingerprint_create(const unsigned char key[SEEN_KEY_SIZE]);
void fingerprint_destroy(struct fingerprint *f); /* NULL is allowed */

/* Its name. false: it is none that is looked for; errors, headlines, group chat, without an id. */
bool fingerprint_stanza(struct fingerprint *f, const struct stanza *stanza, const struct jid *from,
			uint64_t *name);
/* What it says to whom. false: nothing, and it is not looked for. */
bool fingerprint_content(struct fingerprint *f, const struct stanza *stanza, const struct jid *to,
			 uint64_t *content);
/* The name alone. */
uint64_t fingerprint_name(struct fingerprint *f, const struct jid *from, const char *id);
/* By Call-ID, CSeq and the tag of From: RFC 3261 section 8.2.2.2, whatever the branch. */
void fingerprint_request(struct fingerprint *f, const struct sip_request *request, struct seen_hash *out);

#endif
