/*
 * endpoint_internal.h - what the files of the SIP endpoint share. The only
 * header that shows sofia-sip's types.
 */
#ifndef POOLBRIDGE_SIP_ENDPOINT_INTERNAL_H
#define POOLBRIDGE_SIP_ENDPOINT_INTERNAL_H

#define NTA_AGENT_MAGIC_T    struct sip_endpoint
#define NTA_OUTGOING_MAGIC_T struct sip_outgoing

#include <sofia-sip/nta.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/tport_tag.h>

#include "bridge/sip/endpoint.h"
#include "bridge/sip/peers.h"

struct sip_endpoint {
	struct loop *loop;
	const struct config *config;
	sip_request_fn *on_request;
	void *ctx;
	nta_agent_t *agent;
	struct sip_peers *peers;
	struct sip_transaction *waiting; /* received, not yet answered */
	size_t waiting_count;
	struct sip_outgoing *sent; /* not yet at their end */
	uint32_t cseq;
	bool has_udp, has_tcp; /* listeners */
	int64_t stranger_logged;
	/* Counters for status. */
	uint64_t received, refused, strangers, expired, requests, upgraded;
};

/* The agent's callback for every message that belongs to no transaction. */
int endpoint_receive(struct sip_endpoint *ep, nta_agent_t *agent, msg_t *msg, sip_t *sip);

/* The strings that a request's view points to. */
enum { VIEW_TEXT_SIZE = 2048 };
struct view_text {
	char source[64];
	char display[VIEW_TEXT_SIZE], call_id[VIEW_TEXT_SIZE], subject[VIEW_TEXT_SIZE];
	char language[VIEW_TEXT_SIZE], type[VIEW_TEXT_SIZE], charset[VIEW_TEXT_SIZE];
};

/* Where a message came from, while it is being delivered. */
void endpoint_source(struct view_text *text, nta_agent_t *agent, msg_t *msg);
/* The first value that cannot be read gives the phrase of the 400; NULL: all is well. */
const char *endpoint_view(const sip_t *sip, struct view_text *text, struct sip_request *r);

/* The end of all that is under way: 503 for each. */
void endpoint_end_received(struct sip_endpoint *ep);
void endpoint_end_sent(struct sip_endpoint *ep);

#endif
