/*
 * endpoint_ack.c - 2xx to our INVITEs (RFC 3261 section 13.2.2.4).
 *
 * The ACK for a 2xx is a request without a transaction: it is kept for 64*T1
 * and sent again whenever the 2xx is repeated. A 2xx with another To tag comes
 * from another branch of a forked INVITE; that dialog is acknowledged and ended
 * at once, and so is one that comes after our CANCEL.
 *
 * Owns its copies of dialogs, so that the caller's may go. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/hash.h"
#include "bridge/core/log.h"

enum {
	LIFETIME_T1 = 64,
	BRANCHES_MAX = 16 /* each costs an ACK, a BYE and a dialog, whoever answers so often */
};

struct acked {
	struct sip_endpoint *ep;
	char *key; /* of the INVITE; with the To tag for what is no more than another branch of it */
	struct sip_dialog *dialog;
	uint32_t cseq;
	unsigned branches; /* others that were ended */
	msg_t *ack;        /* NULL: it cannot be written */
	struct endpoint_target target;
	char branch[BRANCH_SIZE];
	struct loop_timer *timer;
	UT_hash_handle hh;
};

static void destroy(struct acked *a)
{
	HASH_DEL(a->ep->acked, a);
	loop_timer_destroy(a->timer);
	msg_destroy(a->ack);
	sip_dialog_free(a->dialog);
	free(a->key);
	free(a);
}

static void on_timer(void *ctx)
{
	destroy(ctx);
}

static void send_ack(struct acked *a)
{
	msg_t *copy = a->ack != NULL ? msg_dup(a->ack) : NULL;

	if (copy != NULL)
		nta_msg_tsend(a->ep->agent, copy, URL_STRING_MAKE(a->target.uri),
			      NTATAG_BRANCH_KEY(a->branch), TAG_END());
}

static void build_ack(struct acked *a)
{
	const struct sip_send ack = { .method = "ACK", .pool = a->dialog->pool };
	const char *route = a->dialog->route_count > 0 ? a->dialog->route[0] : NULL;

	endpoint_branch(a->branch);
	a->ack = endpoint_build(a->ep, &ack, a->dialog, a->cseq);
	if (a->ack == NULL)
		return;
	if (endpoint_choose_target(a->ep, a->dialog->pool, route, &a->target) &&
	    endpoint_fit(a->ep, a->ack, a->branch, &a->target, NULL))
		return;
	msg_destroy(a->ack);
	a->ack = NULL;
}

/* --- ending what nobody wants --- */

static void on_bye_done(void *ctx, const struct sip_response *response)
{
	(void)response;
	sip_dialog_free(ctx);
}

static void hang_up(const struct acked *a)
{
	struct sip_dialog *d = sip_dialog_copy(a->dialog);
	const struct sip_send bye = { .method = "BYE", .pool = d->pool, .dialog = d };

	log_event(LOG_INFO, "sip-hang-up", NULL, "call=%s to=%s", log_value(d->call_id),
		  log_value(d->remote_uri));
	d->local_cseq = a->cseq;
	sip_send(a->ep, &bye, on_bye_done, d);
}

/* --- 2xx --- */

/* key: taken. */
static struct acked *acknowledge(struct sip_endpoint *ep, char *key, const struct sip_dialog *d,
				 uint32_t cseq)
{
	struct acked *a = xcalloc(1, sizeof(*a)), *old = NULL;

	a->ep = ep;
	a->key = key;
	a->dialog = sip_dialog_copy(d);
	a->cseq = cseq;
	a->timer = loop_timer_create(ep->loop, on_timer, a);
	loop_timer_set(a->timer, (int64_t)LIFETIME_T1 * ep->t1_ms);
	HASH_FIND_STR(ep->acked, key, old);
	if (old != NULL)
		destroy(old);
	HASH_ADD_KEYPTR(hh, ep->acked, a->key, strlen(a->key), a);
	build_ack(a);
	send_ack(a);
	return a;
}

void endpoint_acknowledge(struct sip_endpoint *ep, const struct sip_dialog *d, uint32_t cseq, bool unwanted)
{
	struct acked *a = acknowledge(ep, endpoint_invite_key(d->call_id, cseq, d->local_tag, NULL), d, cseq);

	if (unwanted)
		hang_up(a);
}

static struct acked *find(struct sip_endpoint *ep, const sip_t *sip, const char *to_tag)
{
	char *key = endpoint_invite_key(sip->sip_call_id->i_id, sip->sip_cseq->cs_seq, sip->sip_from->a_tag,
					to_tag);
	struct acked *a = NULL;

	HASH_FIND_STR(ep->acked, key, a);
	free(key);
	return a;
}

static bool is_same_tag(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

/* Another branch: a dialog of its own, with what its response says. */
static void end_branch(struct acked *first, const sip_t *sip)
{
	struct sip_dialog *d = sip_dialog_create(first->dialog->pool, first->dialog->local_uri,
						 first->dialog->remote_uri, first->dialog->call_id);
	struct sip_response response;
	struct sip_view view;

	free(d->local_tag);
	d->local_tag = xstrdup(first->dialog->local_tag);
	endpoint_view_begin(&view, sip);
	endpoint_view_response(&view, &response);
	sip_dialog_confirm(d, &response);
	endpoint_view_end(&view);
	hang_up(acknowledge(first->ep,
			    endpoint_invite_key(d->call_id, first->cseq, d->local_tag, sip->sip_to->a_tag), d,
			    first->cseq));
	sip_dialog_free(d);
}

bool endpoint_take_response(struct sip_endpoint *ep, const sip_t *sip)
{
	struct acked *first, *branch;

	if (sip->sip_cseq->cs_method != sip_method_invite || sip->sip_status->st_status / 100 != 2)
		return false;
	first = find(ep, sip, NULL);
	if (first == NULL)
		return false;
	branch = find(ep, sip, sip->sip_to->a_tag);
	if (is_same_tag(first->dialog->remote_tag, sip->sip_to->a_tag))
		send_ack(first);
	else if (branch != NULL)
		send_ack(branch);
	else if (first->branches++ < BRANCHES_MAX)
		end_branch(first, sip);
	return true;
}

void endpoint_end_acked(struct sip_endpoint *ep)
{
	while (ep->acked != NULL)
		destroy(ep->acked);
}
