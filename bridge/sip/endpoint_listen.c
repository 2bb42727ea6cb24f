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
				TPTAG_IDLE(IDLE_MS), TPTAG_TIMEOUT(PARTIAL_MS),
				TPTAG_QUEUESIZE(QUEUE_MESSAGES), TAG_END()) < 0) {
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

enum err endpoint_listen(struct sip_endpoint *ep, const char **why)
{
	const struct config *config = ep->config;
	enum err e = OK;

	for (size_t i = 0; e == OK && i < config->sip.listen.count; i++)
		e = open_listener(ep, config->sip.listen.item[i], why);
	return e;
}
