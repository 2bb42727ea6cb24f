/*
 * endpoint_internal.h - what the files of the SIP endpoint share, and the relay
 * with them. The only header that shows sofia-sip's types.
 *
 *	endpoint.c         the object: agent, start, end, status
 *	endpoint_listen.c  the listeners
 *	endpoint_target.c  where a request goes, and from which pool one came
 *	endpoint_view.c    a received message as plain values
 *	endpoint_in.c      received requests: which are taken
 *	endpoint_method.c  methods
 *	endpoint_header.c  how long a header may be, and where its lines end
 *	endpoint_burst.c   many messages at once on one connection
 *	endpoint_merge.c   which of them have come before, by another way
 *	endpoint_remembered.c  how many are remembered behind their answers
 *	endpoint_answer.c  their answers
 *	endpoint_invite.c  2xx to a received INVITE, until its ACK
 *	endpoint_build.c   requests as messages
 *	endpoint_out.c     sent requests, to their one end
 *	endpoint_attempt.c one of them, or of the relay's, on its way to one next hop
 *	endpoint_abort.c   the end of a connection that has fallen silent
 *	endpoint_ping.c    whether a next hop is there
 *	endpoint_ack.c     ACKs for 2xx to a sent INVITE
 */
#ifndef POOLBRIDGE_SIP_ENDPOINT_INTERNAL_H
#define POOLBRIDGE_SIP_ENDPOINT_INTERNAL_H

#define NTA_AGENT_MAGIC_T    struct sip_endpoint
#define NTA_OUTGOING_MAGIC_T void
#define NTA_INCOMING_MAGIC_T void

#include <sofia-sip/nta.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/tport_tag.h>

#include "bridge/sip/dialog.h"
#include "bridge/sip/endpoint.h"
#include "bridge/sip/hops.h"
#include "bridge/sip/peers.h"
#include "bridge/sip/tls.h"
#include "bridge/sip/turns.h"

/*
 * The relay's part in what is received; ctx is the relay. It is asked about
 * every request but ACKs for an INVITE of ours, after the checks of source, hops
 * and loops, and takes those of its dialogs; and about responses that belong to
 * no transaction (a repeated 2xx to INVITE). True: it has taken what it was
 * given. irq NULL: ACK and BENOTIFY. What to do at a CANCEL it says to
 * nta_incoming_bind().
 */
struct endpoint_relay {
	bool (*on_request)(void *ctx, nta_incoming_t *irq, msg_t *msg, sip_t *sip);
	bool (*on_response)(void *ctx, msg_t *msg, sip_t *sip);
	void *ctx;
};

enum { UNDER_WAY_MAX = 512 }; /* requests to a pool */

/* Requests that came by UDP, by the second; a little more than 64*T1. */
enum { REMEMBERED_SECONDS = 34 };
struct endpoint_remembered {
	int64_t second;
	unsigned count[REMEMBERED_SECONDS], total;
};

struct sip_endpoint {
	struct loop *loop;
	const struct config *config;
	struct sip_setup setup;
	nta_agent_t *agent;
	struct sip_peers *peers;
	struct sip_hops *hops;
	struct sip_tls *tls; /* NULL: no listener has TLS */
	struct endpoint_remembered remembered;
	struct sip_shed *shed;           /* for each listener that takes connections */
	struct endpoint_relay relay;     /* on_request NULL: there is none */
	struct endpoint_merge *merge;    /* what was taken, to know it when it comes by another way */
	struct sip_transaction *waiting; /* received, not yet answered */
	size_t waiting_count;
	size_t waiting_of[POOLS + 1]; /* by enum pool + 1, other peers first */
	struct unacked *unacked;      /* answered INVITEs whose ACK has not come */
	struct unacked *asked;        /* those of which somebody wants to know, by him */
	size_t unacked_count;
	size_t unacked_of[POOLS + 1];
	struct sip_outgoing *sent; /* not yet at their end */
	struct turns window[POOLS];
	struct acked *acked; /* sent INVITEs that a 2xx has answered */
	struct ping *pings;
	uint32_t cseq; /* of requests outside dialogs */
	unsigned t1_ms;
	const tport_t *aborted; /* the one that was looked at last, perhaps gone; to be compared only */
	int64_t abort_at;       /* no second look at it before */
	bool ending;
	bool has_udp, has_tcp, has_tls; /* listeners */
	int64_t stranger_logged;
	/* Counters for status. */
	uint64_t received, refused, strangers, expired, requests, upgraded;
};

/* --- endpoint_remembered.c --- */

/* One more that the library will remember, if it is one of those. False: they are too many. */
bool endpoint_may_remember(struct sip_endpoint *ep, enum transport transport, sip_method_t method);

/* --- endpoint_listen.c --- */

MUST_CHECK enum err endpoint_listen(struct sip_endpoint *ep, const char **why);

/* --- endpoint_target.c --- */

/* Where one request goes: sofia-sip's route URL. */
struct endpoint_target {
	char uri[300]; /* "sip:HOST:PORT;transport=tcp" */
	bool tcp;      /* or TLS */
	enum transport transport;
	bool fixed;      /* by a Route: there is no other */
	unsigned hop;    /* for sip_hops_report(); 0: none of the pool's next hops */
	int64_t wait_ms; /* none was found: when one may be there again; -1: there is none at all */
	struct sip_attempts tried;
};

/* Looks the pools' addresses up: a blocking call, for the start only. */
MUST_CHECK enum err endpoint_open_hops(struct sip_endpoint *ep, const char **why);
/*
 * The one place where a target is chosen. route: the topmost Route's URI; NULL: none. False: the pool has no next
 * hop that is there now; wait_ms says more.
 */
bool endpoint_choose_target(struct sip_endpoint *ep, enum pool pool, const char *route,
			    struct endpoint_target *out);
/* When nothing was heard from this one: the next, which was not tried yet. False: there is none. */
bool endpoint_next_target(struct sip_endpoint *ep, enum pool pool, struct endpoint_target *target);
/* What came of it: the status, and the response; NULL: the library's own word. */
void endpoint_report(struct sip_endpoint *ep, const struct endpoint_target *target, int status,
		     const sip_t *sip);
/* That of the pool's first next hop. */
enum transport endpoint_pool_transport(const struct sip_endpoint *ep, enum pool pool);
/* enum pool, or -1. */
int endpoint_pool_of(const struct sip_endpoint *ep, const su_sockaddr_t *source);
/* A Contact URI that comes back to a listener of this transport. False: there is none. */
bool endpoint_contact(const struct sip_endpoint *ep, enum transport transport, char out[SIP_URI_SIZE]);
/* By which a message came. */
enum transport endpoint_transport_of(nta_agent_t *agent, const msg_t *msg);
/* Does a Via or a URI name one of our listeners? */
bool endpoint_is_our_via(const struct sip_endpoint *ep, const sip_via_t *via);
bool endpoint_is_our_uri(const struct sip_endpoint *ep, const url_t *url);

/* --- endpoint_ping.c --- */

/* OPTIONS to a next hop (struct sip_hops_setup's ping). */
void endpoint_ping(void *ctx, const struct sip_hop *hop);
void endpoint_end_pings(struct sip_endpoint *ep);

/* --- endpoint_view.c --- */

enum { VIEW_TEXT_SIZE = 2048, VIEW_AREA_SIZE = 3072 };

/* What the strings of a request or response point to; between view_begin and view_end. */
struct sip_view {
	const sip_t *sip;
	su_home_t *home; /* in area, until that is full */
	char source[64];
	long area[VIEW_AREA_SIZE / sizeof(long)];
};
void endpoint_view_begin(struct sip_view *v, const sip_t *sip);
void endpoint_view_end(struct sip_view *v);
/* Where a message came from, while it is being delivered. */
void endpoint_view_source(struct sip_view *v, nta_agent_t *agent, msg_t *msg);
/* Only what on_route gets. */
const char *endpoint_view_route(struct sip_view *v, struct sip_request *r);
/* After it, all else. */
const char *endpoint_view_rest(struct sip_view *v, struct sip_request *r);
/* Both. The first value that cannot be read gives the phrase of the 400; NULL: all is well. */
const char *endpoint_view_request(struct sip_view *v, struct sip_request *r);
/* What cannot be read is absent. */
void endpoint_view_response(struct sip_view *v, struct sip_response *r);

/* --- endpoint_in.c --- */

/* The agent's callback for every message that belongs to no transaction. */
int endpoint_receive(struct sip_endpoint *ep, nta_agent_t *agent, msg_t *msg, sip_t *sip);

/* --- endpoint_method.c --- */

/* Of the gateway; OPTIONS is answered by the endpoint itself. */
bool endpoint_takes_method(sip_method_t method);

/* --- endpoint_header.c --- */

/* Before anything is received. False: sofia-sip is another one than we know. */
MUST_CHECK bool endpoint_bound_headers(void);

/* --- endpoint_burst.c --- */

/* From now on what is written leaves at the end of the turn, and on_burst is told, until the endpoint ends. */
void endpoint_begin_bursts(const struct sip_endpoint *ep);
void endpoint_end_bursts(const struct sip_endpoint *ep);

/* --- endpoint_merge.c --- */

struct endpoint_merge *endpoint_merge_create(void);
void endpoint_merge_destroy(struct endpoint_merge *m); /* NULL is allowed */
/* Has this request, outside a dialog, been taken before? If not, it is now. */
bool endpoint_is_merged(struct sip_endpoint *ep, const sip_t *sip);

/* --- endpoint_answer.c --- */

struct sip_transaction {
	struct sip_endpoint *ep; /* NULL: the endpoint has answered for itself */
	nta_incoming_t *irq;
	struct loop_timer *timer;
	enum transport transport; /* by which it came */
	int pool;                 /* from which; -1: another peer */
	struct sip_transaction *prev, *next;
};
struct sip_transaction *endpoint_open_transaction(struct sip_endpoint *ep, nta_incoming_t *irq,
						  enum transport transport, int pool);
/* The transaction is the caller's from now on, and t is gone. NULL: it has been answered (expired, cancelled). */
nta_incoming_t *endpoint_take_transaction(struct sip_transaction *t);
void endpoint_refuse(nta_incoming_t *irq, unsigned status, const char *phrase, const char *header);
/* The end of all that is under way. */
void endpoint_end_received(struct sip_endpoint *ep);

/* --- endpoint_invite.c --- */

/* Takes irq, to which a 2xx has been sent. */
void endpoint_await_ack(struct sip_endpoint *ep, nta_incoming_t *irq, const struct sip_reply *reply,
			int pool);
/* False: it is for no INVITE of ours. */
bool endpoint_take_ack(struct sip_endpoint *ep, const sip_t *sip);
void endpoint_end_unacked(struct sip_endpoint *ep);

/* --- endpoint_build.c --- */

bool endpoint_is_clean(const char *text); /* NULL is */
/* NULL: sofia-sip cannot make sense of a value. */
msg_t *endpoint_build(struct sip_endpoint *ep, const struct sip_send *s, const struct sip_dialog *d,
		      uint32_t cseq);
/*
 * A request that is too large for UDP, as it would be on the wire, goes by TCP to
 * the same host; upgraded (may be NULL) tells. False: there is no TCP listener.
 */
bool endpoint_fit(const struct sip_endpoint *ep, msg_t *msg, const char *branch,
		  struct endpoint_target *target, bool *upgraded);

enum { BRANCH_SIZE = sizeof("z9hG4bK") + SIP_TOKEN_SIZE };
void endpoint_branch(char out[BRANCH_SIZE]);

/* --- endpoint_attempt.c --- */

enum { ATTEMPT_BRANCH_SIZE = 64 };

/* The first three are set by who sends it. */
struct endpoint_attempt {
	struct sip_endpoint *ep;
	struct endpoint_target target;
	char branch[ATTEMPT_BRANCH_SIZE];
	nta_outgoing_t *orq; /* NULL: not sent, or ended */
	tport_t *connection; /* by which it went; NULL: none, or UDP */
	int64_t sent_at;
	bool pass_100;
	bool repeated;         /* on a second connection */
	bool may_have_arrived; /* before it failed */
};
/* To or from the address in a target's URI, perhaps not yet open; to be given back by tport_unref(). NULL: there is none. */
tport_t *endpoint_connection(const struct sip_endpoint *ep, const char *uri);
/* Takes the message. */
bool attempt_send(struct endpoint_attempt *a, msg_t *msg, nta_response_f *on_response, void *ctx,
		  bool pass_100);
/*
 * There is no connection, or it is gone: the same request once more, but where it failed for its
 * certificate. False: it has failed.
 */
bool attempt_again(struct endpoint_attempt *a, nta_response_f *on_response, void *ctx);
/* Of one that has failed: the next hop may have it all the same. */
bool attempt_may_have_arrived(const struct endpoint_attempt *a);
/* The request as it was sent, without our Via. NULL: there is no memory. */
msg_t *attempt_copy(const struct endpoint_attempt *a);
/* Another target and branch follow. */
void attempt_renew(struct endpoint_attempt *a);
void attempt_end(struct endpoint_attempt *a);

/* --- endpoint_abort.c --- */

/* Nobody has answered by TCP: what the kernel still holds for that peer is not to reach it later. */
void attempt_abort_connection(const struct endpoint_attempt *a);

/* --- endpoint_out.c --- */

void endpoint_end_sent(struct sip_endpoint *ep);

/* --- endpoint_ack.c --- */

/* The key of an INVITE: Call-ID, CSeq, From tag, To tag (may be NULL). The caller owns it. */
char *endpoint_invite_key(const char *call_id, uint32_t cseq, const char *from_tag, const char *to_tag);
/* A 2xx to an INVITE of ours: acknowledge it, and again when it is repeated; unwanted: and end it with BYE. */
void endpoint_acknowledge(struct sip_endpoint *ep, const struct sip_dialog *d, uint32_t cseq, bool unwanted);
/* A response that belongs to no transaction. True: it was a 2xx to an INVITE of ours. */
bool endpoint_take_response(struct sip_endpoint *ep, const sip_t *sip);
void endpoint_end_acked(struct sip_endpoint *ep);

#endif
