/*
 * endpoint_out.c - requests that we send: built, measured, and followed to
 * their one end.
 *
 * sofia-sip writes what it is given, line breaks too, so every string is asked
 * once more here whether it is text. It also moves a large request from UDP to
 * TCP by itself, but back to UDP when TCP is refused; RFC 3428 section 8 does
 * not allow that, so the transport is chosen here, by the size on the wire, and
 * is final.
 *
 * A TCP connection that breaks under a request is told to us at once (SDWN_ERROR
 * in endpoint.c; sofia-sip would wait for timer F), and the request goes out once
 * more on a fresh connection: the same transaction, so that a server which has
 * it already can tell.
 *
 * Owns a sip_outgoing until its callback or its cancelling. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sofia-sip/sip_util.h>

enum {
	UDP_MAX = 1300, /* RFC 3261 section 18.1.1, RFC 3428 section 8 */
	TOKEN_SIZE = 33 /* 128 random bits */
};

struct sip_outgoing {
	struct sip_endpoint *ep;
	nta_outgoing_t *orq;
	sip_response_fn *done;
	void *ctx;
	char route[300];
	char branch[sizeof("z9hG4bK") + TOKEN_SIZE];
	bool tcp;
	bool upgraded; /* too large for UDP: TCP or nothing */
	bool repeated;
	struct loop_timer *failed; /* it could not even be sent: the callback comes in a turn of its own */
	unsigned failed_status;
	const char *failed_phrase;
	struct sip_outgoing *prev, *next;
};

/* Unlinked: it has no way back to the endpoint but the callback that follows. */
static void unlink_outgoing(struct sip_outgoing *o)
{
	DL_DELETE(o->ep->sent, o);
	loop_timer_destroy(o->failed);
	o->failed = NULL;
}

static void free_outgoing(struct sip_outgoing *o)
{
	if (o->orq != NULL)
		nta_outgoing_destroy(o->orq);
	free(o);
}

static void finish(struct sip_outgoing *o, unsigned status, const char *phrase, const char *contact_uri)
{
	unlink_outgoing(o);
	o->done(o->ctx, status, phrase, contact_uri);
	free_outgoing(o);
}

static void on_failed(void *ctx)
{
	struct sip_outgoing *o = ctx;

	finish(o, o->failed_status, o->failed_phrase, NULL);
}

static void fail_later(struct sip_outgoing *o, unsigned status, const char *phrase)
{
	o->failed_status = status;
	o->failed_phrase = phrase;
	o->failed = loop_timer_create(o->ep->loop, on_failed, o);
	loop_timer_set(o->failed, 0);
}

static int on_response(struct sip_outgoing *o, nta_outgoing_t *orq, sip_t const *sip);

/* Takes the message. */
static bool send_request(struct sip_outgoing *o, msg_t *msg)
{
	o->orq = nta_outgoing_mcreate(o->ep->agent, on_response, o, URL_STRING_MAKE(o->route), msg,
				      NTATAG_BRANCH_KEY(o->branch), TAG_END());
	if (o->orq == NULL)
		msg_destroy(msg);
	return o->orq != NULL;
}

/* The connection is gone, or could not be made: the same request, once more. */
static bool send_again(struct sip_outgoing *o)
{
	msg_t *request, *copy;

	if (!o->tcp || o->repeated)
		return false;
	o->repeated = true;
	request = nta_outgoing_getrequest(o->orq);
	copy = msg_dup(request);
	msg_destroy(request);
	nta_outgoing_destroy(o->orq);
	o->orq = NULL;
	if (copy == NULL)
		return false;
	sip_via_remove(copy, sip_object(copy));
	return send_request(o, copy);
}

/* sip is NULL, or made by sofia-sip, when there was no answer. */
static int on_response(struct sip_outgoing *o, nta_outgoing_t *orq, sip_t const *sip)
{
	int status = nta_outgoing_status(orq);
	bool silent = sip == NULL || nta_sip_is_internal(sip);
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const char *contact = NULL;

	if (status < 200 || (silent && status == 503 && send_again(o)))
		return 0;
	if (silent) {
		if (status == 503 && o->upgraded)
			finish(o, 513, "Too Large for UDP, and TCP Failed", NULL);
		else
			finish(o, (unsigned)status, sip_status_phrase(status), NULL);
		return 0;
	}
	if (sip->sip_contact != NULL)
		contact = url_as_string(home, sip->sip_contact->m_url);
	finish(o, (unsigned)status, sip->sip_status->st_phrase, contact);
	su_home_deinit(home);
	return 0;
}

/* --- building --- */

/* glibc's arc4random() is the kernel's generator and does not fail. */
static void random_token(char out[TOKEN_SIZE])
{
	for (int i = 0; i < 4; i++)
		snprintf(out + (ptrdiff_t)8 * i, 9, "%08x", arc4random());
}

static bool is_clean(const char *text)
{
	char scratch[SIP_URI_SIZE];

	return text == NULL || sip_header_text(text, scratch, sizeof(scratch)) == OK;
}

static bool fields_are_clean(const struct sip_message *m)
{
	return is_clean(m->to_uri) && is_clean(m->from_uri) && is_clean(m->from_display) &&
	       is_clean(m->call_id) && is_clean(m->subject) && is_clean(m->content_language) &&
	       is_clean(m->content_type);
}

static bool add_headers(struct sip_endpoint *ep, msg_t *msg, const struct sip_message *m, const char *tag,
			const char *call_id)
{
	struct strbuf from = { .s = NULL }, to = { .s = NULL };
	su_home_t *home = msg_home(msg);
	sip_t *sip = sip_object(msg);
	bool ok;

	if (m->from_display != NULL)
		strbuf_printf(&from, "%s ", m->from_display);
	strbuf_printf(&from, "<%s>;tag=%s", m->from_uri, tag);
	strbuf_printf(&to, "<%s>", m->to_uri);
	ok = sip_add_tl(msg, sip,
			SIPTAG_REQUEST(sip_request_create(home, SIP_METHOD_MESSAGE,
							  URL_STRING_MAKE(m->to_uri), NULL)),
			SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_FROM_STR(from.s), SIPTAG_TO_STR(to.s),
			SIPTAG_CALL_ID_STR(m->call_id != NULL ? m->call_id : call_id),
			SIPTAG_CSEQ(sip_cseq_create(home, ep->cseq, SIP_METHOD_MESSAGE)),
			TAG_IF(m->subject != NULL, SIPTAG_SUBJECT_STR(m->subject)),
			TAG_IF(m->content_language != NULL, SIPTAG_CONTENT_LANGUAGE_STR(m->content_language)),
			SIPTAG_CONTENT_TYPE_STR(m->content_type),
			SIPTAG_PAYLOAD(sip_payload_create(home, m->body, (isize_t)m->body_size)),
			TAG_END()) >= 0 &&
	     sip_complete_message(msg) >= 0;
	strbuf_free(&from);
	strbuf_free(&to);
	return ok;
}

/* NULL: sofia-sip cannot make sense of a value. */
static msg_t *build(struct sip_endpoint *ep, const struct sip_message *m)
{
	char tag[TOKEN_SIZE], call_id[TOKEN_SIZE];
	msg_t *msg;

	random_token(tag);
	random_token(call_id);
	/* One counter for all: it increases for each Call-ID too. */
	ep->cseq = (ep->cseq + 1) & 0x7fffffff;
	msg = nta_msg_create(ep->agent, 0);
	if (add_headers(ep, msg, m, tag, call_id))
		return msg;
	msg_destroy(msg);
	return NULL;
}

/* --- choosing the transport --- */

/* The longest Via line that a UDP listener of ours adds. */
static size_t via_size(const struct sip_endpoint *ep, const char *branch)
{
	size_t longest = 0;

	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		size_t size =
			strlen("Via: SIP/2.0/UDP ;rport;branch=\r\n") + strlen(v->v_host) + strlen(branch);

		if (v->v_port != NULL)
			size += 1 + strlen(v->v_port);
		if (strcasecmp(v->v_protocol, sip_transport_udp) == 0 && size > longest)
			longest = size;
	}
	return longest;
}

static size_t wire_size(const struct sip_endpoint *ep, msg_t *msg, const char *branch)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	size_t size = 0;

	if (msg_as_string(home, msg, NULL, 0, &size) == NULL)
		size = SIZE_MAX / 2;
	su_home_deinit(home);
	return size + via_size(ep, branch);
}

/* --- sending --- */

static void start(struct sip_outgoing *o, const struct sip_message *m)
{
	msg_t *msg = fields_are_clean(m) ? build(o->ep, m) : NULL;

	if (msg == NULL) {
		fail_later(o, 400, "Cannot Be Sent by SIP");
		return;
	}
	strcpy(o->branch, "z9hG4bK");
	random_token(o->branch + strlen(o->branch));
	o->tcp = strstr(m->next_hop, ";transport=tcp") != NULL;
	if (!o->tcp && wire_size(o->ep, msg, o->branch) > UDP_MAX) {
		o->tcp = o->upgraded = true;
		o->ep->upgraded++;
	}
	snprintf(o->route, sizeof(o->route), "%.*s;transport=%s", (int)strcspn(m->next_hop, ";"), m->next_hop,
		 o->tcp ? "tcp" : "udp");
	if (o->tcp && !o->ep->has_tcp) {
		msg_destroy(msg);
		fail_later(o, 513, "Too Large for UDP");
	} else if (!send_request(o, msg)) {
		fail_later(o, 500, "Cannot Be Sent");
	}
}

struct sip_outgoing *sip_send_message(struct sip_endpoint *ep, const struct sip_message *m,
				      sip_response_fn *done, void *ctx)
{
	struct sip_outgoing *o = xcalloc(1, sizeof(*o));

	o->ep = ep;
	o->done = done;
	o->ctx = ctx;
	DL_APPEND(ep->sent, o);
	ep->requests++;
	start(o, m);
	return o;
}

/* sofia-sip sees the transaction through; nobody hears of it. */
void sip_outgoing_cancel(struct sip_outgoing *o)
{
	unlink_outgoing(o);
	free_outgoing(o);
}

void endpoint_end_sent(struct sip_endpoint *ep)
{
	struct sip_outgoing *o, *next;

	DL_FOREACH_SAFE (ep->sent, o, next)
		finish(o, 503, "Shutting Down", NULL);
}
