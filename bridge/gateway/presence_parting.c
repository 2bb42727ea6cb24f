/*
 * presence_parting.c - the end of our subscription at a pool whose user is
 * another's now: SUBSCRIBE with Expires: 0 (RFC 6665 section 4.1.2.3), in a dialog
 * that nobody else knows any more.
 *
 * The contact hears nothing of it, and whatever the pool answers is right; a NOTIFY
 * that still comes gets 481. Owns its dialog until then. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <utlist.h>

struct parting {
	struct presence_book *book;
	struct sip_dialog *dialog;
	struct sip_outgoing *request;
	struct parting *prev, *next;
};

static void parting_free(struct parting *p)
{
	if (p->request != NULL)
		sip_outgoing_cancel(p->request);
	DL_DELETE(p->book->partings, p);
	sip_dialog_free(p->dialog);
	free(p);
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct parting *p = ctx;

	(void)r;
	p->request = NULL;
	parting_free(p);
}

void parting_begin(struct presence_book *b, const struct sip_dialog *dialog)
{
	const char *headers[] = { "Event: presence", "Expires: 0" };
	struct sip_send send = { .method = "SUBSCRIBE",
				 .headers = headers,
				 .header_count = ARRAY_SIZE(headers) };
	struct parting *p;

	if (dialog == NULL || dialog->remote_tag == NULL || b->gateway->stopped)
		return;
	p = xcalloc(1, sizeof(*p));
	p->book = b;
	p->dialog = sip_dialog_copy(dialog);
	DL_APPEND(b->partings, p);
	send.pool = p->dialog->pool;
	send.dialog = p->dialog;
	p->request = sip_send(b->gateway->endpoint, &send, on_response, p);
}

void parting_free_all(struct presence_book *b)
{
	while (b->partings != NULL)
		parting_free(b->partings);
}
