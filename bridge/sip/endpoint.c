/*
 * endpoint.c - the SIP endpoint as an object: agent, start, end, status. The
 * other files are listed in endpoint_internal.h.
 *
 * sofia-sip's nta layer keeps transactions: retransmissions, their absorption,
 * time-outs. Its nua layer (dialogs, SDP) is not used. The agent has no leg: a
 * request comes to endpoint_receive() before there is any state for it, so a
 * stranger gets none. Nor is it a user agent in sofia-sip's sense (NTATAG_UA),
 * which would keep 2xx to INVITE and their ACKs from the relay; for calls of our
 * own, endpoint_invite.c and endpoint_ack.c do that part.
 *
 * Left to sofia-sip before we are asked, of peers: 400 to what is no request, 505,
 * STUN. Its answers can be larger than what they
 * answer, so strangers on UDP must not reach it; peers.c sees to that.
 *
 * Owns the agent and its sockets, and every transaction until its end.
 * Nothing is fatal; a listener that cannot be opened ends the start.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sofia-sip/su_log.h>

#include "bridge/core/log.h"
#include "bridge/sip/shed.h"

enum {
	T1_MS = 500,                   /* RFC 3261 section 17.1.1.1 */
	BURST_BYTES = 16 * 1024 * 1024 /* more than a socket's buffer holds */
};

static void log_sofia(void *stream, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

/* sofia-sip's own words, as our lines: they can hold what the network sent. */
static void log_sofia(void *stream, const char *fmt, va_list args)
{
	char line[256];

	(void)stream;
	if (log_get_level() < LOG_DEBUG)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	log_event(LOG_DEBUG, "sofia", NULL, "text=%s", log_value(line));
}

static nta_agent_t *create_agent(struct sip_endpoint *ep)
{
	const url_string_t *no_default_listener = (const url_string_t *)-1;

	/*
	 * CANCEL_487: not by itself; the relay passes on what the next hop says.
	 * MAXSIZE: sofia-sip counts what a connection has brought in one go, so a pool's burst of small
	 * messages would end it; one message's size is checked in endpoint_in.c.
	 * UDP_MTU: never asked; endpoint_fit() has measured before, and chosen the transport.
	 * TIMER_C: far away. sofia-sip's CANCEL would forget an INVITE that went by TCP, with its response;
	 * endpoint_out.c and the relay have timers of their own.
	 */
	return nta_agent_create(loop_root(ep->loop), no_default_listener, endpoint_receive, ep,
				NTATAG_MAXSIZE(BURST_BYTES), NTATAG_UDP_MTU(65535), NTATAG_CANCEL_487(0),
				NTATAG_CLIENT_RPORT(1), NTATAG_TIMER_C(NTA_TIME_MAX),
				NTATAG_SIP_T1(ep->t1_ms), NTATAG_SIP_T1X64(64 * ep->t1_ms), TAG_END());
}

enum err sip_endpoint_create(const struct sip_setup *setup, struct sip_endpoint **out, const char **why)
{
	struct sip_endpoint *ep = xcalloc(1, sizeof(*ep));
	enum err e;

	ep->setup = *setup;
	ep->merge = endpoint_merge_create();
	ep->loop = setup->loop;
	ep->config = setup->config;
	ep->t1_ms = setup->t1_ms != 0 ? setup->t1_ms : T1_MS;
	/* RFC 3261 section 8.1.1.5: a clock, so that a restart does not begin anew. */
	ep->cseq = (uint32_t)time(NULL) & 0x3fffffff;
	for (size_t i = 0; i < ARRAY_SIZE(ep->window); i++)
		ep->window[i].max = UNDER_WAY_MAX;
	su_log_redirect(NULL, log_sofia, NULL);
	e = sip_peers_create(setup->config, &ep->peers, why);
	if (e == OK)
		e = endpoint_open_hops(ep, why);
	if (e == OK)
		ep->agent = create_agent(ep);
	if (e == OK && (ep->agent == NULL || !endpoint_bound_headers())) {
		*why = "sofia-sip could not be started";
		e = ERR_IO;
	}
	if (e == OK)
		e = endpoint_listen(ep, why);
	if (e != OK) {
		sip_endpoint_destroy(ep);
		return e;
	}
	endpoint_begin_bursts(ep);
	*out = ep;
	return OK;
}

void sip_endpoint_destroy(struct sip_endpoint *ep)
{
	if (ep == NULL)
		return;
	ep->ending = true;
	endpoint_end_bursts(ep);
	endpoint_end_received(ep);
	endpoint_end_unacked(ep);
	endpoint_end_sent(ep);
	endpoint_end_pings(ep);
	endpoint_end_acked(ep);
	sip_shed_free(&ep->shed);
	nta_agent_destroy(ep->agent);
	sip_tls_destroy(ep->tls);
	sip_hops_destroy(ep->hops);
	endpoint_merge_destroy(ep->merge);
	sip_peers_destroy(ep->peers);
	free(ep);
}

enum err sip_endpoint_reload(struct sip_endpoint *ep, const char **why)
{
	return ep->tls != NULL ? sip_tls_reload(ep->tls, why) : OK;
}

json_t *sip_endpoint_status(const struct sip_endpoint *ep)
{
	const struct config_list *listen = &ep->config->sip.listen;
	json_t *listeners = json_array();

	for (size_t i = 0; i < listen->count; i++)
		json_array_append_new(listeners, json_string(listen->item[i]));
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "listeners",
			 listeners, "peers", sip_peers_status(ep->peers), "hops", sip_hops_status(ep->hops),
			 "tls_connections", (json_int_t)sip_tls_connections(ep->tls), "received",
			 (json_int_t)ep->received, "refused", (json_int_t)ep->refused, "strangers",
			 (json_int_t)ep->strangers, "expired", (json_int_t)ep->expired, "waiting",
			 (json_int_t)ep->waiting_count, "sent", (json_int_t)ep->requests, "upgraded",
			 (json_int_t)ep->upgraded, "parked",
			 (json_int_t)(ep->window[POOL_NEW].waiting + ep->window[POOL_LEGACY].waiting));
}
