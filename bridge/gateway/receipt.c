/*
 * receipt.c - notes that a message has arrived: XEP-0184 on the XMPP side, the
 * pool's final response or IMDN (RFC 5438) on its own.
 *
 * Only from real evidence. To the XMPP user: 200, by which the recipient's
 * client has the message (RFC 3428 section 8; 202 says that somebody stored it),
 * or a notification. To the pool, where it asked in CPIM: the XMPP client's
 * receipt for that very message. A few questions a conversation are remembered,
 * the newest. Nothing is fatal.
 */
#include "bridge/gateway/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { EXPECTED_MAX = 32 };

/* A message whose arrival one side wants to know, by the id that the other side got. */
struct expected {
	struct map_content asked; /* the pool's question: its cpim alone */
	struct expected *prev, *next;
	char id[];
};

static void forget(struct conversation *c, struct expected *e)
{
	DL_DELETE(c->expected, e);
	c->expected_count--;
	map_content_free(&e->asked);
	free(e);
}

void receipt_forget_all(struct conversation *c)
{
	while (c->expected != NULL)
		forget(c, c->expected);
}

void receipt_expect(struct conversation *c, const char *id, struct map_content *text)
{
	struct expected *e = xcalloc(1, sizeof(*e) + strlen(id) + 1);

	if (c->expected_count >= EXPECTED_MAX)
		forget(c, c->expected);
	strcpy(e->id, id);
	e->asked.cpim = text->cpim;
	text->cpim = NULL;
	DL_APPEND(c->expected, e);
	c->expected_count++;
}

/* The XMPP client has it. */
void receipt_received(struct conversation *c, const char *id)
{
	struct outbound *o;
	struct expected *e;
	char *body = NULL, token[SIP_TOKEN_SIZE];

	DL_FOREACH (c->expected, e)
		if (strcmp(e->id, id) == 0)
			break;
	if (e == NULL)
		return;
	sip_token(token);
	if (map_imdn_write(e->asked.cpim, IMDN_DELIVERED, token, &body) == OK) {
		o = conversation_signal(c, OUTBOUND_NOTICE);
		if (o != NULL) {
			o->content_type = MAP_IMDN_TYPE;
			o->body = body;
			body = NULL;
			queue_add(c, o);
		}
	}
	free(body);
	forget(c, e);
}

void receipt_tell(struct gateway *g, const struct stanza *message)
{
	struct map_message m = {
		.from = message->to, .to = message->from, .received_id = message->id, .type = message->type
	};
	struct stanza *stanza;

	if (g->stopped || message->id == NULL || map_message_to_stanza(&m, &stanza) != OK)
		return;
	gateway_submit(g, stanza);
	stanza_unref(stanza);
}
