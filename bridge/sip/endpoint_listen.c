/*
 * endpoint_listen.c - the sockets on which the SIP endpoint is reached, and from
 * which its requests leave.
 *
 * That each pool has one of its transport is checked with the configuration. The
 * agent owns them. A listener that cannot be opened ends the start; one that the
 * kernel will not guard does not.
 */
#include "bridge/sip/endpoint_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridge/core/hostport.h"
#include "bridge/core/log.h"
#include "bridge/sip/shed.h"

enum {
	IDLE_MS = 600 * 1000,   /* an unused connection */
	PARTIAL_MS = 20 * 1000, /* the rest of a message that has begun */
	QUEUE_MESSAGES = 1000   /* on one connection */
};

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

/* --- who may be at the other end of TLS --- */

static size_t names_at(void *ctx, const struct sockaddr *peer, const char **out, size_t max)
{
	return sip_hops_names_at(((struct sip_endpoint *)ctx)->hops, peer, out, max);
}

static size_t names(void *ctx, const char **out, size_t max)
{
	return sip_hops_names(((struct sip_endpoint *)ctx)->hops, out, max);
}

static void on_refused(void *ctx, const struct sockaddr *peer, const char *why)
{
	sip_hops_explain(((struct sip_endpoint *)ctx)->hops, peer, why);
}

/* --- listeners --- */

static int add_tport(struct sip_endpoint *ep, const char *url)
{
	return nta_agent_add_tport(ep->agent, URL_STRING_MAKE(url), TPTAG_STUN_SERVER(0), TPTAG_SDWN_ERROR(1),
				   TPTAG_IDLE(IDLE_MS), TPTAG_TIMEOUT(PARTIAL_MS),
				   TPTAG_QUEUESIZE(QUEUE_MESSAGES), TAG_END());
}

/*
 * The certificate's folder is none: tls.c gives the context its certificate. The policy is sofia-sip's
 * own and comes on top: a certificate always, in both directions, that was verified.
 */
static int add_tls_tport(struct sip_endpoint *ep, const char *url)
{
	int result;

	sip_tls_begin_listener(ep->tls);
	result = nta_agent_add_tport(ep->agent, URL_STRING_MAKE(url), TPTAG_CERTIFICATE("/dev/null"),
				     TPTAG_TLS_VERIFY_POLICY(TPTLS_VERIFY_ALL), TPTAG_SDWN_ERROR(1),
				     TPTAG_IDLE(IDLE_MS), TPTAG_TIMEOUT(PARTIAL_MS),
				     TPTAG_QUEUESIZE(QUEUE_MESSAGES), TAG_END());
	if (sip_tls_end_listener(ep->tls) != OK && result >= 0) {
		errno = EPROTO;
		result = -1;
	}
	return result;
}

static enum err open_tls(struct sip_endpoint *ep, const char **why)
{
	const struct sip_tls_setup setup = {
		.loop = ep->loop,
		.config = ep->config,
		.names_at = names_at,
		.names = names,
		.refused = on_refused,
		.ctx = ep,
	};

	return ep->tls == NULL ? sip_tls_create(&setup, &ep->tls, why) : OK;
}

static enum transport listener_transport(const char *listen)
{
	return strncmp(listen, "tls:", 4) == 0   ? TRANSPORT_TLS
	       : strncmp(listen, "tcp:", 4) == 0 ? TRANSPORT_TCP
						 : TRANSPORT_UDP;
}

/* listen: "udp:ADDRESS:PORT", "tcp:..." or "tls:...". */
static enum err open_listener(struct sip_endpoint *ep, const char *listen, const char **why)
{
	static char words[400];
	const enum transport t = listener_transport(listen);
	char url[300];
	int failure;

	if (t == TRANSPORT_TLS && open_tls(ep, why) != OK)
		return ERR_IO;
	/* sofia-sip knows TLS listeners as those of sips: only. */
	snprintf(url, sizeof(url), "%s:%s;transport=%s", t == TRANSPORT_TLS ? "sips" : "sip",
		 strlen(listen) > 4 ? listen + 4 : "", transport_name(t));
	errno = 0;
	if ((t == TRANSPORT_TLS ? add_tls_tport(ep, url) : add_tport(ep, url)) < 0) {
		failure = errno;
		snprintf(words, sizeof(words), "sip.listen: cannot listen on %.80s: %s: %s", listen,
			 failure != 0 ? strerror(failure) : "no such form", hostport_mend(failure));
		*why = words;
		return ERR_IO;
	}
	*(t == TRANSPORT_TLS ? &ep->has_tls : t == TRANSPORT_TCP ? &ep->has_tcp : &ep->has_udp) = true;
	guard(ep, listen, t == TRANSPORT_UDP);
	if (t != TRANSPORT_UDP) {
		const struct hostport at = listener_address(listen);

		sip_shed_add(&ep->shed, ep->loop, sip_listening_socket(&at));
	}
	log_event(LOG_NOTICE, "sip-listening", NULL, "address=%s", log_value(listen));
	return OK;
}

enum err endpoint_listen(struct sip_endpoint *ep, const char **why)
{
	const struct config *config = ep->config;
	enum err e = OK;

	for (size_t i = 0; e == OK && i < config->sip.listen.count; i++)
		e = open_listener(ep, config->sip.listen.item[i], why);
	return e;
}
