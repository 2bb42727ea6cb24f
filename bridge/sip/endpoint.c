/*
 * endpoint.c - the SIP endpoint as an object: agent, listeners, peers, status.
 *
 * sofia-sip's nta layer keeps transactions: retransmissions, their absorption,
 * time-outs. Its nua layer (dialogs, SDP) is not used. The agent has no leg: a
 * request comes to endpoint_receive() before there is any state for it, so a
 * stranger gets none. What is received is endpoint_in.c, what is sent
 * endpoint_out.c.
 *
 * Left to sofia-sip before we are asked, of peers: 400 to what is no request, 505,
 * STUN. Its answers can be larger than what they
 * answer, so strangers on UDP must not reach it; peers.c sees to that.
 *
 * Owns the agent and its sockets, and every transaction until its end.
 * Nothing is fatal; a listener that cannot be opened ends the start.
 */
#include "bridge/sip/endpoint_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sofia-sip/su_log.h>

#include "bridge/core/log.h"

enum {
	IDLE_MS = 600 * 1000,          /* an unused connection */
	PARTIAL_MS = 20 * 1000,        /* the rest of a message that has begun */
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

static struct hostport listener_address(const char *listen)
{
	struct hostport hp = { .port = 0 };

	/* config_check_daemon() has seen to its form; what is wrong here fails to open. */
	if (strlen(listen) <= 4 || hostport_parse(listen + 4, 0, &hp) != OK)
		hp = (struct hostport){ .port = 0 };
	return hp;
}

static void guard(struct sip_endpoint *ep, const char *listen, bool udp)
{
	struct hostport hp = listener_address(listen);
	enum err e = sip_peers_guard(ep->peers, &hp, udp);

	if (e != OK)
		log_event(LOG_WARNING, "sip-unguarded", NULL, "listener=%s why=%s", log_value(listen),
			  log_value(err_text(e)));
}

/* listen: "udp:ADDRESS:PORT" or "tcp:ADDRESS:PORT". */
static enum err open_listener(struct sip_endpoint *ep, const char *listen, const char **why)
{
	static char words[256];
	bool tcp = strncmp(listen, "tcp:", 4) == 0;
	char url[300];
	int failure;

	snprintf(url, sizeof(url), "sip:%s;transport=%.3s", strlen(listen) > 4 ? listen + 4 : "", listen);
	errno = 0;
	if (nta_agent_add_tport(ep->agent, URL_STRING_MAKE(url), TPTAG_STUN_SERVER(0), TPTAG_SDWN_ERROR(1),
				TPTAG_IDLE(IDLE_MS), TPTAG_TIMEOUT(PARTIAL_MS), TPTAG_QUEUESIZE(1000),
				TAG_END()) < 0) {
		failure = errno;
		snprintf(words, sizeof(words), "sip.listen: cannot listen on %s: %s", listen,
			 failure != 0 ? strerror(failure) : "no such form");
		*why = words;
		return ERR_IO;
	}
	*(tcp ? &ep->has_tcp : &ep->has_udp) = true;
	guard(ep, listen, !tcp);
	log_event(LOG_NOTICE, "sip-listening", NULL, "address=%s", log_value(listen));
	return OK;
}

/* Requests leave from a listener's address, so each pool's transport must have one. */
static enum err check_pool(const struct sip_endpoint *ep, const char *option, const char *next_hop,
			   const char **why)
{
	static char words[256];
	bool tcp = strstr(next_hop, ";transport=tcp") != NULL;

	if (next_hop[0] == '\0' || (tcp ? ep->has_tcp : ep->has_udp))
		return OK;
	snprintf(words, sizeof(words),
		 "%s: \"%s\" needs a %s: listener in sip.listen, from which requests leave", option, next_hop,
		 tcp ? "tcp" : "udp");
	*why = words;
	return ERR_NOT_FOUND;
}

static nta_agent_t *create_agent(struct sip_endpoint *ep, const struct sip_setup *setup)
{
	const url_string_t *no_default_listener = (const url_string_t *)-1;

	/*
	 * MERGE_482: a request that reaches us by two ways is one request (RFC 3261 section 8.2.2.2).
	 * MAXSIZE: sofia-sip counts what a connection has brought in one go, so a pool's burst of small
	 * messages would end it; one message's size is checked in endpoint_in.c.
	 * UDP_MTU: never asked; endpoint_out.c has measured before, and chosen the transport.
	 */
	return nta_agent_create(loop_root(setup->loop), no_default_listener, endpoint_receive, ep,
				NTATAG_MAXSIZE(BURST_BYTES), NTATAG_UDP_MTU(65535), NTATAG_MERGE_482(1),
				NTATAG_CLIENT_RPORT(1), NTATAG_SIP_T1(setup->t1_ms),
				NTATAG_SIP_T1X64(64 * setup->t1_ms), TAG_END());
}

static enum err open_all(struct sip_endpoint *ep, const char **why)
{
	const struct config *config = ep->config;
	enum err e = OK;

	for (size_t i = 0; e == OK && i < config->sip.listen.count; i++)
		e = open_listener(ep, config->sip.listen.item[i], why);
	if (e == OK)
		e = check_pool(ep, "sip.new_pool", config->sip.new_pool, why);
	if (e == OK)
		e = check_pool(ep, "sip.legacy_pool", config->sip.legacy_pool, why);
	return e;
}

enum err sip_endpoint_create(const struct sip_setup *setup, struct sip_endpoint **out, const char **why)
{
	struct sip_endpoint *ep = xcalloc(1, sizeof(*ep));
	enum err e;

	ep->loop = setup->loop;
	ep->config = setup->config;
	ep->on_request = setup->on_request;
	ep->ctx = setup->ctx;
	/* RFC 3261 section 8.1.1.5: a clock, so that a restart does not begin anew. */
	ep->cseq = (uint32_t)time(NULL) & 0x3fffffff;
	su_log_redirect(NULL, log_sofia, NULL);
	e = sip_peers_create(setup->config, &ep->peers, why);
	if (e == OK)
		ep->agent = create_agent(ep, setup);
	if (e == OK && ep->agent == NULL) {
		*why = "sofia-sip could not be started";
		e = ERR_IO;
	}
	if (e == OK)
		e = open_all(ep, why);
	if (e != OK)
		sip_endpoint_destroy(ep);
	else
		*out = ep;
	return e;
}

void sip_endpoint_destroy(struct sip_endpoint *ep)
{
	if (ep == NULL)
		return;
	endpoint_end_received(ep);
	endpoint_end_sent(ep);
	nta_agent_destroy(ep->agent);
	sip_peers_destroy(ep->peers);
	free(ep);
}

json_t *sip_endpoint_status(const struct sip_endpoint *ep)
{
	const struct config_list *listen = &ep->config->sip.listen;
	json_t *listeners = json_array();

	for (size_t i = 0; i < listen->count; i++)
		json_array_append_new(listeners, json_string(listen->item[i]));
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "listeners", listeners, "peers",
			 sip_peers_status(ep->peers), "received", (json_int_t)ep->received, "refused",
			 (json_int_t)ep->refused, "strangers", (json_int_t)ep->strangers, "expired",
			 (json_int_t)ep->expired, "waiting", (json_int_t)ep->waiting_count, "sent",
			 (json_int_t)ep->requests, "upgraded", (json_int_t)ep->upgraded);
}
