/*
 * inbound.h - the text of one SIP request on its way to an XMPP user.
 */
#ifndef POOLBRIDGE_GATEWAY_INBOUND_H
#define POOLBRIDGE_GATEWAY_INBOUND_H

#include "bridge/gateway/conversation.h"

struct inbound_source {
	const struct jid *from, *to;
	struct conversation *conversation;
	struct session
		*session; /* its INVITE brought the text: answered by session_accept() or session_refuse() */
	struct session *within; /* the text came in its dialog: session_received() tells of its end */
};

/* Takes the request: answered when the XMPP side has, or has refused, the text. */
void inbound_submit(struct gateway *g, const struct sip_request *r, const struct inbound_source *source,
		    struct map_content *text);
/* The session ends before its first message has arrived. */
void inbound_forget_session(struct inbound *in);

#endif
