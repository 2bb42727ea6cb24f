/*
 * component.h - what a component says and sends differently from a server
 * (XEP-0114): the proof of its secret, and the namespace of its stanzas.
 *
 * Pure; the connection is s2s_component.c's.
 */
#ifndef POOLBRIDGE_XMPP_COMPONENT_H
#define POOLBRIDGE_XMPP_COMPONENT_H

#include "bridge/core/base.h"
#include "bridge/xmpp/stanza.h"

#define COMPONENT_HANDSHAKE_SIZE 41 /* of the string, with its NUL */

/* XEP-0114 section 3: SHA-1 of the stream id and the secret, in small hexadecimal digits. */
void component_handshake(const char *stream_id, const char *secret, char out[COMPONENT_HANDSHAKE_SIZE]);

/*
 * The stanza as it may stand on a component's stream: a reference to itself, unless it declares
 * jabber:server by name. ERR_SYNTAX when it is no stanza; ours all are.
 */
MUST_CHECK enum err component_stanza(struct stanza *stanza, struct stanza **out);

#endif
