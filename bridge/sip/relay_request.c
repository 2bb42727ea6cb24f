/*
 * relay_request.c - a received request as it goes on (RFC 3261 sections 16.3 to
 * 16.6): what is checked, which header fields change, and where it goes.
 *
 * Changed are Max-Forwards, Route, Record-Route, and, where a strict router is
 * before or behind us, the Request-URI. The rest passes: the body byte for
 * byte, header fields in their order, those that sofia-sip knows in its spelling
 * (compact names become long ones, folded lines one line).
 *
 * An initial request goes to its pool's next hop, whatever Route it brings. In
 * a dialog its Route or Request-URI names the place, by a host of the sender's
 * choice; endpoint_choose_target() sees to it that this is a peer's address,
 * else it goes to the next hop of the pool on that side. So a pool cannot use
 * us to reach hosts that it could not reach itself.
 *
 * Owns nothing. Nothing is fatal.
 */
#include "bridge/sip/relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sofia-sip/hostdomain.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip_util.h>

#include "bridge/core/log.h"

#define MARK "pb"
#define PAIR "pair"

enum { MAX_FORWARDS = 70 /* RFC 3261 section 8.1.1.6 */ };

static struct relay_refusal refusal(unsigned status, const char *phrase)
{
	return (struct relay_refusal){ .status = status, .phrase = phrase };
}

/* --- checks (section 16.3) --- */

/* Section 16.3 step 5: what we should understand as a proxy is nothing. */
static struct relay_refusal check_proxy_require(const sip_t *sip)
{
	const sip_proxy_require_t *wanted = sip->sip_proxy_require;
	struct relay_refusal r = refusal(SIP_420_BAD_EXTENSION);
	struct strbuf list = { 0 };

	if (wanted == NULL || wanted->k_items == NULL || wanted->k_items[0] == NULL)
		return (struct relay_refusal){ 0 };
	for (size_t i = 0; wanted->k_items[i] != NULL; i++)
		strbuf_printf(&list, "%s%s", i > 0 ? ", " : "Unsupported: ", wanted->k_items[i]);
	if (list.len < sizeof(r.header))
		memcpy(r.header, list.s, list.len + 1);
	strbuf_free(&list);
	return r;
}

static struct relay_refusal check(const struct sip_relay *r, const sip_t *sip)
{
	const sip_max_forwards_t *hops = sip->sip_max_forwards;

	if (hops != NULL && hops->mf_count == 0)
		return refusal(SIP_483_TOO_MANY_HOPS);
	/* sips: asks for TLS on every hop, which a next hop's configuration does not promise. */
	if (sip->sip_request->rq_url->url_type != url_sip)
		return refusal(SIP_416_UNSUPPORTED_URI);
	if (sip->sip_payload != NULL && sip->sip_payload->pl_len > (usize_t)r->ep->config->sip.message_bytes)
		return refusal(SIP_413_REQUEST_TOO_LARGE);
	return check_proxy_require(sip);
}

static void print_uri(struct strbuf *b, const url_t *uri)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const char *text = url_as_string(home, uri);

	strbuf_printf(b, "\n%s", text != NULL ? text : "");
	su_home_deinit(home);
}

/*
 * All that decides where a request goes (section 16.6 step 8): when it comes
 * back unchanged, it would go round for ever. Not the method, so that ACK and
 * CANCEL get what their INVITE got.
 */
static void describe_route(const sip_t *sip, enum pool to, struct strbuf *out)
{
	strbuf_printf(out, "%d\n%s\n%s\n%s\n%u", to, sip->sip_call_id->i_id,
		      sip->sip_from->a_tag != NULL ? sip->sip_from->a_tag : "",
		      sip->sip_to->a_tag != NULL ? sip->sip_to->a_tag : "", sip->sip_cseq->cs_seq);
	print_uri(out, sip->sip_request->rq_url);
	for (const sip_route_t *route = sip->sip_route; route != NULL; route = route->r_next)
		print_uri(out, route->r_url);
}

/* Section 16.11: what passes without state gets the same branch each time that it comes. */
static char *salt_of(const sip_t *sip)
{
	const sip_via_t *via = sip->sip_via;

	if (sip->sip_request->rq_method != sip_method_ack)
		return NULL;
	return xasprintf("%s %s:%s", via->v_branch != NULL ? via->v_branch : "", via->v_host,
			 via->v_port != NULL ? via->v_port : "");
}

static void make_branch(const struct sip_relay *r, const sip_t *sip, enum pool to,
			char out[RELAY_BRANCH_SIZE])
{
	struct strbuf route = { 0 };
	char *salt = salt_of(sip);

	describe_route(sip, to, &route);
	relay_branch_make(&r->key, route.s, salt, out);
	strbuf_free(&route);
	free(salt);
}

/* Section 16.3 step 4. That a Via is ours needs no look at its address: nobody else can make its branch. */
static bool is_loop(const sip_t *sip, const char branch[RELAY_BRANCH_SIZE])
{
	for (const sip_via_t *via = sip->sip_via; via != NULL; via = via->v_next)
		if (via->v_branch != NULL && relay_branch_matches(via->v_branch, branch))
			return true;
	return false;
}

/* --- routes (sections 16.4 and 16.6 step 6) --- */

bool relay_uri_mark(const struct sip_relay *r, const url_t *uri, char out[RELAY_MARK_SIZE])
{
	char mark[RELAY_MARK_SIZE];

	if (uri->url_params == NULL || !endpoint_is_our_uri(r->ep, uri) ||
	    url_param(uri->url_params, MARK, mark, sizeof(mark)) != sizeof(mark))
		return false;
	memcpy(out, mark, sizeof(mark));
	return true;
}

static bool is_pair(const struct sip_relay *r, const url_t *uri, const char *mark)
{
	char other[RELAY_MARK_SIZE];

	return relay_uri_mark(r, uri, other) && strcmp(other, mark) == 0 && url_has_param(uri, PAIR);
}

static bool set_request_uri(msg_t *msg, sip_t *sip, const url_t *uri)
{
	const sip_request_t *old = sip->sip_request;
	sip_request_t *rq = sip_request_create(msg_home(msg), old->rq_method, old->rq_method_name,
					       (const url_string_t *)uri, old->rq_version);

	return rq != NULL && msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)rq) >= 0;
}

/* A strict router before us has put our URI into the Request-URI, and what was there behind the last Route. */
static bool undo_strict_router(const struct sip_relay *r, msg_t *msg, sip_t *sip)
{
	char mark[RELAY_MARK_SIZE];
	const sip_route_t *last;

	if (sip->sip_route == NULL || !relay_uri_mark(r, sip->sip_request->rq_url, mark))
		return true;
	last = sip_route_pop(msg, sip);
	return last != NULL && set_request_uri(msg, sip, last->r_url);
}

/* Our own Route, or both of ours (RFC 5658). */
static void remove_own_routes(const struct sip_relay *r, msg_t *msg, sip_t *sip)
{
	const url_t *uri = sip->sip_route != NULL ? sip->sip_route->r_url : NULL;
	char mark[RELAY_MARK_SIZE];
	bool pair;

	if (uri == NULL || !endpoint_is_our_uri(r->ep, uri))
		return;
	pair = relay_uri_mark(r, uri, mark) && is_pair(r, uri, mark);
	sip_route_remove(msg, sip);
	if (pair && sip->sip_route != NULL && is_pair(r, sip->sip_route->r_url, mark))
		sip_route_remove(msg, sip);
}

/* A strict router behind us wants its URI in the Request-URI. */
static bool obey_strict_router(msg_t *msg, sip_t *sip)
{
	sip_route_t last[1];
	const sip_route_t *first = sip->sip_route;

	if (first == NULL || sip_route_is_loose(first))
		return true;
	*sip_route_init(last)->r_url = *sip->sip_request->rq_url;
	if (msg_header_add_dup(msg, (msg_pub_t *)sip, (msg_header_t *)last) < 0)
		return false;
	first = sip_route_remove(msg, sip);
	return set_request_uri(msg, sip, first->r_url);
}

/* --- Record-Route (section 16.6 step 4, RFC 5658) --- */

/* Requests that begin dialogs or say their sender's address anew; a NOTIFY may come before its 200 (RFC 6665). */
static bool makes_dialog(const sip_t *sip)
{
	switch (sip->sip_request->rq_method) {
	case sip_method_invite:
	case sip_method_subscribe:
	case sip_method_notify:
	case sip_method_refer:
		return true;
	default:
		return false;
	}
}

static const tp_name_t *listener_of_target(const struct sip_relay *r, su_home_t *home,
					   const struct endpoint_target *target)
{
	tp_name_t name[1] = { { NULL } };
	tport_t *tport;

	if (tport_name_by_url(home, name, URL_STRING_MAKE(target->uri)) < 0)
		return NULL;
	tport = tport_by_name(nta_agent_tports(r->ep->agent), name);
	return tport != NULL ? tport_name(tport_parent(tport)) : NULL;
}

const tp_name_t *relay_listener_of(const struct sip_relay *r, nta_incoming_t *irq)
{
	tport_t *tport = nta_incoming_transport(r->ep->agent, irq, NULL);
	const tp_name_t *name = tport != NULL ? tport_name(tport_parent(tport)) : NULL;

	tport_unref(tport);
	return name;
}

static bool add_record_route(msg_t *msg, sip_t *sip, const tp_name_t *listener, const char *mark, bool pair)
{
	char text[512];
	sip_record_route_t *entry;

	snprintf(text, sizeof(text), "<sip:%s:%s;transport=%s;lr;" MARK "=%s%s>", listener->tpn_host,
		 listener->tpn_port, listener->tpn_proto, mark, pair ? ";" PAIR : "");
	entry = sip_record_route_make(msg_home(msg), text);
	return entry != NULL && msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)entry) >= 0;
}

static bool same_listener(const tp_name_t *a, const tp_name_t *b)
{
	return strcasecmp(a->tpn_host, b->tpn_host) == 0 && strcmp(a->tpn_port, b->tpn_port) == 0 &&
	       strcasecmp(a->tpn_proto, b->tpn_proto) == 0;
}

/* Each side gets the listener that it speaks with; where they differ, both stand there, the far side's on top. */
static bool record_route(const struct sip_relay *r, const struct relay_way *way, struct relay_onward *out)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const tp_name_t *near = way->near;
	const tp_name_t *far = listener_of_target(r, home, &out->target);
	sip_t *sip = sip_object(out->msg);
	bool ok = near != NULL && far != NULL, pair = ok && !same_listener(near, far);

	if (ok && pair)
		ok = add_record_route(out->msg, sip, near, way->mark, true);
	if (ok)
		ok = add_record_route(out->msg, sip, far, way->mark, pair);
	su_home_deinit(home);
	return ok;
}

/* --- the whole --- */

static bool count_hop(msg_t *msg, sip_t *sip)
{
	sip_max_forwards_t *hops = sip->sip_max_forwards;

	if (hops != NULL) {
		hops->mf_count--;
		sip_fragment_clear(hops->mf_common);
		return true;
	}
	hops = sip_max_forwards_format(msg_home(msg), "%d", MAX_FORWARDS);
	return hops != NULL && msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)hops) >= 0;
}

/* Section 18.1.1; for a MESSAGE there is no other way (RFC 3428 section 8). */
static bool fit_transport(const struct sip_relay *r, struct relay_onward *out)
{
	return endpoint_fit(r->ep, out->msg, out->branch, &out->target, NULL) ||
	       sip_object(out->msg)->sip_request->rq_method != sip_method_message;
}

/* failed: the target that was tried last; NULL: none yet. */
static bool choose_target(const struct sip_relay *r, const struct relay_way *way,
			  const struct endpoint_target *failed, struct relay_onward *out)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const sip_t *sip = sip_object(out->msg);
	const url_t *next = sip->sip_route != NULL ? sip->sip_route->r_url : sip->sip_request->rq_url;
	bool ok;

	if (failed != NULL) {
		out->target = *failed;
		ok = endpoint_next_target(r->ep, way->to, &out->target);
	} else {
		ok = endpoint_choose_target(r->ep, way->to, way->in_dialog ? url_as_string(home, next) : NULL,
					    &out->target);
	}
	su_home_deinit(home);
	return ok;
}

/* Every next hop of the pool is known to be down, or there is none. */
static struct relay_refusal no_target(const struct relay_onward *out)
{
	struct relay_refusal r = refusal(500, "Next Hop Unreachable");

	if (out->target.wait_ms < 0)
		return refusal(480, "No Way To That Pool");
	snprintf(r.header, sizeof(r.header), "Retry-After: %lld",
		 (long long)(out->target.wait_ms / 1000 + 1));
	return r;
}

/* The copy becomes what leaves. */
static struct relay_refusal change(struct sip_relay *r, const struct relay_way *way,
				   const struct endpoint_target *failed, struct relay_onward *out)
{
	msg_t *msg = out->msg;
	sip_t *sip = sip_object(msg);

	if (!undo_strict_router(r, msg, sip))
		return refusal(SIP_500_INTERNAL_SERVER_ERROR);
	remove_own_routes(r, msg, sip);
	if (!way->in_dialog && sip->sip_route != NULL)
		return refusal(403, "Route Not Allowed");
	if (!choose_target(r, way, failed, out))
		return no_target(out);
	if (!obey_strict_router(msg, sip) || !count_hop(msg, sip))
		return refusal(SIP_500_INTERNAL_SERVER_ERROR);
	if (makes_dialog(sip) && !record_route(r, way, out))
		return refusal(SIP_500_INTERNAL_SERVER_ERROR);
	if (!fit_transport(r, out))
		return refusal(513, "Too Large for UDP");
	return refusal(0, NULL);
}

struct relay_refusal relay_make_onward(struct sip_relay *r, msg_t *received, const struct relay_way *way,
				       const struct endpoint_target *failed, struct relay_onward *out)
{
	const sip_t *sip = sip_object(received);
	struct relay_refusal refused = check(r, sip);

	if (refused.status != 0)
		return refused;
	make_branch(r, sip, way->to, out->branch);
	if (is_loop(sip, out->branch)) {
		r->loops++;
		return refusal(SIP_482_LOOP_DETECTED);
	}
	out->msg = msg_dup(received);
	if (out->msg == NULL)
		return refusal(SIP_500_INTERNAL_SERVER_ERROR);
	refused = change(r, way, failed, out);
	if (refused.status != 0)
		msg_destroy(out->msg);
	return refused;
}

msg_t *relay_make_cancel(struct sip_relay *r, nta_outgoing_t *invite)
{
	msg_t *request = nta_outgoing_getrequest(invite), *msg = nta_msg_create(r->ep->agent, 0);
	const sip_t *sip = sip_object(request);
	su_home_t *home = msg_home(msg);
	bool ok;

	ok = sip_add_tl(
		     msg, sip_object(msg),
		     SIPTAG_REQUEST(sip_request_create(home, SIP_METHOD_CANCEL,
						       (const url_string_t *)sip->sip_request->rq_url, NULL)),
		     SIPTAG_MAX_FORWARDS_STR("70"), SIPTAG_ROUTE(sip->sip_route), SIPTAG_FROM(sip->sip_from),
		     SIPTAG_TO(sip->sip_to), SIPTAG_CALL_ID(sip->sip_call_id),
		     SIPTAG_CSEQ(sip_cseq_create(home, sip->sip_cseq->cs_seq, SIP_METHOD_CANCEL)),
		     TAG_END()) >= 0;
	msg_destroy(request);
	if (ok)
		return msg;
	msg_destroy(msg);
	return NULL;
}
