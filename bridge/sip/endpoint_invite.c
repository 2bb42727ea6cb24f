/*
 * endpoint_invite.c - INVITEs of a peer that we have accepted, until they are
 * acknowledged (RFC 3261 section 13.3.1.4).
 *
 * The 2xx is repeated at intervals that double from T1 to T2, over TCP, too,
 * until the ACK comes or 64*T1 are over. The ACK is a transaction of its own, so
 * it is found by its dialog and CSeq. Until then the server transaction stays,
 * and absorbs repetitions of the INVITE.
 *
 * Owns the transaction from the 2xx on. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/hash.h"
#include "bridge/core/log.h"

enum { T2_MS = 4000, LIFETIME_T1 = 64 };

struct unacked {
	struct sip_endpoint *ep;
	nta_incoming_t *irq;
	int pool;  /* -1: another peer */
	char *key; /* of the INVITE, with our tag */
	struct loop_timer *timer;
	int64_t interval, deadline;
	void (*on_ack)(void *ctx, bool acked); /* NULL: nobody asks */
	void *ctx;
	UT_hash_handle hh, hh_asked; /* the latter: while somebody asks */
};

char *endpoint_invite_key(const char *call_id, uint32_t cseq, const char *from_tag, const char *to_tag)
{
	return xasprintf("%s\n%u\n%s\n%s", call_id, (unsigned)cseq, from_tag != NULL ? from_tag : "",
			 to_tag != NULL ? to_tag : "");
}

static void finish(struct unacked *u, bool acked)
{
	HASH_DEL(u->ep->unacked, u);
	if (u->on_ack != NULL)
		HASH_DELETE(hh_asked, u->ep->asked, u);
	u->ep->unacked_count--;
	u->ep->unacked_of[u->pool + 1]--;
	loop_timer_destroy(u->timer);
	nta_incoming_destroy(u->irq);
	if (u->on_ack != NULL)
		u->on_ack(u->ctx, acked);
	free(u->key);
	free(u);
}

static void repeat(struct unacked *u)
{
	msg_t *response = nta_incoming_getresponse(u->irq);
	msg_t *copy = response != NULL ? msg_dup(response) : NULL;

	msg_destroy(response);
	if (copy != NULL)
		nta_incoming_mreply(u->irq, copy);
}

static void on_timer(void *ctx)
{
	struct unacked *u = ctx;

	if (loop_now(u->ep->loop) >= u->deadline) {
		log_event(LOG_INFO, "sip-no-ack", NULL, "call=%s", log_value(u->key));
		finish(u, false);
		return;
	}
	repeat(u);
	u->interval = 2 * u->interval < T2_MS ? 2 * u->interval : T2_MS;
	loop_timer_set(u->timer, u->interval);
}

void endpoint_await_ack(struct sip_endpoint *ep, nta_incoming_t *irq, const struct sip_reply *reply, int pool)
{
	struct unacked *u = xcalloc(1, sizeof(*u)), *old = NULL;
	msg_t *request = nta_incoming_getrequest(irq);
	const sip_t *sip = sip_object(request);

	u->ep = ep;
	u->irq = irq;
	u->pool = pool;
	u->key = endpoint_invite_key(sip->sip_call_id->i_id, sip->sip_cseq->cs_seq, sip->sip_from->a_tag,
				     nta_incoming_gettag(irq));
	msg_destroy(request);
	u->on_ack = reply->on_ack;
	u->ctx = reply->ack_ctx;
	u->interval = ep->t1_ms;
	u->deadline = loop_now(ep->loop) + (int64_t)LIFETIME_T1 * ep->t1_ms;
	u->timer = loop_timer_create(ep->loop, on_timer, u);
	loop_timer_set(u->timer, u->interval);
	/* A peer that repeats a CSeq in a dialog: the newer INVITE gets its ACK. */
	HASH_FIND_STR(ep->unacked, u->key, old);
	if (old != NULL)
		finish(old, false);
	HASH_ADD_KEYPTR(hh, ep->unacked, u->key, strlen(u->key), u);
	if (u->on_ack != NULL)
		HASH_ADD(hh_asked, ep->asked, ctx, sizeof(u->ctx), u);
	ep->unacked_count++;
	ep->unacked_of[pool + 1]++;
}

bool endpoint_take_ack(struct sip_endpoint *ep, const sip_t *sip)
{
	char *key = endpoint_invite_key(sip->sip_call_id->i_id, sip->sip_cseq->cs_seq, sip->sip_from->a_tag,
					sip->sip_to->a_tag);
	struct unacked *u = NULL;

	HASH_FIND_STR(ep->unacked, key, u);
	free(key);
	if (u == NULL)
		return false;
	finish(u, true);
	return true;
}

void sip_forget_ack(struct sip_endpoint *ep, const void *ack_ctx)
{
	struct unacked *u;

	for (;;) {
		HASH_FIND(hh_asked, ep->asked, &ack_ctx, sizeof(ack_ctx), u);
		if (u == NULL)
			return;
		HASH_DELETE(hh_asked, ep->asked, u);
		u->on_ack = NULL;
	}
}

void endpoint_end_unacked(struct sip_endpoint *ep)
{
	while (ep->unacked != NULL)
		finish(ep->unacked, false);
}
