/*
 * s2s_internal.h - what the files of the s2s edge share. Private to them.
 *
 *   s2s.c          set-up, whose domain is whose, stopping, status
 *   s2s_listen.c   the listening sockets
 *   s2s_status.c   what status shows
 *   s2s_stream.c   one stream: bytes in, table of steps, bytes out
 *   s2s_in.c       the steps of the receiving server
 *   s2s_out.c      the steps of the originating server
 *   s2s_bidi.c     streams that carry stanzas both ways
 *   s2s_limits.c   how much a stranger, an address and a partner may take
 *   s2s_sasl.c     SASL EXTERNAL
 *   s2s_sm.c       stream management
 *   s2s_verify.c   asking the authoritative server, for us or relayed
 *   s2s_link.c     one outbound link: queue, custody, deadlines
 *   s2s_push.c     blanks behind what a peer seems to have left unread
 *   s2s_check.c    telling every step of a stream to a partner
 *   s2s_component.c  a local domain behind another server (XEP-0114)
 *   s2s_connect.c  finding and reaching the link's next hop, back-off
 */
#ifndef POOLBRIDGE_XMPP_S2S_INTERNAL_H
#define POOLBRIDGE_XMPP_S2S_INTERNAL_H

#include <utlist.h>

#include "bridge/core/hash.h"
#include "bridge/core/shares.h"
#include "bridge/xmpp/dialback.h"
#include "bridge/xmpp/policy.h"
#include "bridge/xmpp/s2s.h"
#include "bridge/xmpp/smacks.h"
#include "bridge/xmpp/sock.h"

#define NS_BIDI         "urn:xmpp:bidi"
#define NS_BIDI_FEATURE "urn:xmpp:features:bidi"

#define DOMAIN_SIZE (JID_DOMAIN_MAX + 1)
#define WHY_SIZE    640
#define LINGER_MS   2000

#define PING_PREFIX_SIZE (sizeof("poolbridge-ping--") + 8)

enum direction { DIRECTION_IN, DIRECTION_OUT };

/* The life of a stream, in order. */
enum stream_state {
	S2S_CONNECTING,  /* out: TCP on its way */
	S2S_OPENING,     /* waiting for the peer's stream header */
	S2S_FEATURES,    /* out: waiting for its features */
	S2S_STARTTLS,    /* out: asked, waiting for <proceed/> */
	S2S_SECURING,    /* TLS handshake; no XML */
	S2S_NEGOTIATING, /* authentication may begin */
	S2S_SASL,        /* out: <auth/> sent, waiting for its outcome */
	S2S_TRUSTED,     /* a domain pair is authenticated */
	S2S_CLOSING,     /* </stream:stream> sent, released to the loop */
	S2S_STATES
};

enum stream_event {
	EV_FEATURES,
	EV_STARTTLS,
	EV_PROCEED,
	EV_TLS_FAILURE,
	EV_SASL_AUTH,
	EV_SASL_SUCCESS,
	EV_SASL_FAILURE,
	EV_DB_RESULT,
	EV_DB_VERIFY,
	EV_BIDI,
	EV_SM_ENABLE,
	EV_SM_ENABLED,
	EV_SM_FAILED,
	EV_SM_REQUEST,
	EV_SM_ACKNOWLEDGEMENT,
	EV_STANZA,
	EV_STREAM_ERROR,
	EV_HANDSHAKE,
	EV_OTHER,
	EV_EVENTS
};

struct stream;
struct link;

typedef void stream_step(struct stream *st, const struct xml_element *el);
typedef stream_step *const stream_steps[S2S_STATES][EV_EVENTS];

extern stream_steps s2s_in_steps, s2s_out_steps, component_steps;

/* A (local, remote) pair on an inbound stream: asked for, then perhaps valid. */
struct pair {
	char local[DOMAIN_SIZE], remote[DOMAIN_SIZE];
	bool valid, counted; /* among the streams of its remote domain: the first one of the stream */
	struct pair *prev, *next;
};

/* What a partner's row, or the configuration of the internal edge, asks of a stream. */
struct stream_policy {
	enum requirement tls;
	unsigned methods; /* METHOD_ bits */
	bool keepalive;
	bool allowed; /* known and not blocked */
	bool listed;  /* by its own name, not only by "*": a stranger under open federation is not */
	unsigned connections;
	char proxy[REGISTRY_TEXT_SIZE];
};

struct source;
struct bucket;

/* Why a stream is not read at present. */
enum pause { PAUSE_CUSTODY = 1, PAUSE_RATE = 2 };

struct stream {
	struct s2s *s2s;
	UT_hash_handle hh; /* s2s->streams, by number */
	uint64_t number;
	char name[24]; /* "i17", "o18": the id in the log */
	enum direction direction;
	enum edge edge;
	enum stream_state state;
	struct sock *sock;
	struct xmlstream *xml;
	struct loop_timer *timer; /* establishment, then idleness and keep-alive */
	char *id;                 /* the stream id: ours inbound, the peer's outbound */
	char local[DOMAIN_SIZE], remote[DOMAIN_SIZE];
	struct stream_policy policy;
	bool is_v1;        /* the peer's header said version 1.0 */
	bool header_sent;  /* on the present XML stream */
	bool restart;      /* after SASL: a new XML stream on the same connection, likewise */
	bool is_external;  /* SASL EXTERNAL has proved the peer (in) or us (out) */
	bool is_bidi;      /* agreed: stanzas go both ways (XEP-0288) */
	bool is_component; /* ours to the component's server; always outbound */
	char end[32];      /* the condition of the peer's stream error, "closed" when it went without one */
	bool direct_tls;   /* TLS comes before the first XML stream (XEP-0368) */
	bool start_tls;    /* as soon as the present input is dealt with */
	bool peer_closed;  /* </stream:stream> received */
	bool close_sent;   /* </stream:stream> sent, still reading */
	bool established;  /* the idle rules hold, no longer the establishment time */
	bool certificate_judged, is_certified; /* the peer's, for its domain, in this TLS session */
	unsigned sasl_failures;
	char *tlsa_base;       /* out: whose TLSA records decide; NULL: none do */
	char *certificate_why; /* NULL, or what is wrong with it */
	bool feeding;          /* inside xmlstream_feed() */
	int64_t opened_at, active_at;
	/* inbound */
	struct pair *pairs;
	unsigned pair_count;
	bool is_counted, is_unproved; /* among its source's streams; among those that proved nothing */
	struct stream *older, *newer; /* of those that proved nothing */
	unsigned paused;              /* PAUSE_ bits */
	struct loop_timer *throttle;
	struct sm_received *received; /* NULL: the peer has not enabled stream management */
	unsigned unfinished;          /* stanzas; s2s_window.c */
	size_t unfinished_bytes;
	/* outbound */
	bool offers_external, offers_sm;
	bool sm_out; /* we have enabled it */
	struct link *link;
	bool result_sent; /* our db:result waits for its verdict */
};

/* A stanza in a link's custody. */
struct outgoing {
	struct stanza *stanza;
	delivery_fn *done;
	void *ctx;
	int64_t deadline;
	uint64_t number; /* in the order of sending, per link */
	uint64_t end;    /* sock_offset() behind its last byte */
	/* once it is over */
	bool confirmed;
	bool unsent;
	bool exposed; /* some of it was on a wire: it may have arrived */
	bool trial;   /* given back when it cannot be written soon */
	enum condition condition;
	char *text;
	struct outgoing *prev, *next;
};

/* A question to the authoritative server: is this key yours? */
struct verify {
	uint64_t requester; /* number of the inbound stream that waits for the verdict */
	bool relayed;       /* the requester sent db:verify itself; else db:result */
	bool sent;          /* on the present stream: */
	int64_t sent_at;    /* when */
	size_t size;        /* in so many bytes */
	char *id, *key;
	int64_t deadline;
	struct verify *prev, *next;
};

enum verdict_kind { VERDICT_VALID, VERDICT_INVALID, VERDICT_ERROR };

enum link_state {
	LINK_IDLE,
	LINK_RESOLVING,
	LINK_STREAM, /* there is a stream, in whatever state */
	LINK_BACKOFF
};

/* Somebody asked what is wrong with a partner; s2s_check.c. */
struct check {
	json_t *steps;
	int64_t started_at;
	s2s_check_fn *done;
	void *ctx;
};

/* (edge, local, remote): everything that leaves for remote in local's name. */
struct link {
	struct s2s *s2s;
	UT_hash_handle hh; /* s2s->links, by key */
	char *key;
	enum edge edge;
	char local[DOMAIN_SIZE], remote[DOMAIN_SIZE];
	enum link_state state;
	struct stream *stream;
	struct stream_policy policy;
	/* custody, oldest first: written but not confirmed, then not yet written */
	struct outgoing *sent, *queue;
	size_t count, bytes;
	uint64_t last_number;
	struct verify *verifies;
	/* next hop */
	struct dns_query *query;
	struct dns_target targets[DNS_TARGETS_MAX];
	size_t target_count, target_next;
	struct dns_tlsa *tlsa; /* of the present target, proved by DNSSEC */
	size_t tlsa_count;
	bool without_sasl; /* EXTERNAL was refused: this round goes without */
	bool without_tls;  /* STARTTLS failed where it is optional: this round goes without */
	unsigned failures;
	int64_t retry_at;
	/* proof of delivery: an XMPP ping behind the stanzas; its answer proves that they were read */
	char ping_id[2 * PING_PREFIX_SIZE];
	bool ping_out;
	bool answers_pings; /* was seen to: then silence means trouble */
	uint64_t ping_number;
	int64_t ping_at, unproved_since;
	int64_t pushed_at;          /* blanks went out behind all that was written before; 0: never */
	uint64_t sm_base, sm_acked; /* last_number when counting began, and what h has covered since */
	struct loop_timer *tick;
	bool for_check;      /* made for a check, and of no use after it */
	struct check *check; /* NULL: an ordinary link, or it is over */
	/* for status and error texts */
	enum condition failure;
	char why[WHY_SIZE];
};

struct listener;

/* Stopping: what we have in custody, then the streams that bring, then those that carry away. */
enum stop_step { STOP_CUSTODY, STOP_INBOUND, STOP_OUTBOUND };

struct s2s {
	struct s2s_setup setup;
	char *secret;                       /* dialback */
	char ping_prefix[PING_PREFIX_SIZE]; /* this run's own: a partner may have a poolbridge too */
	struct xmlstream_limits limits, stranger_limits; /* of trusted streams, and of the others */
	struct listener *listeners;
	struct stream *streams;
	uint64_t last_stream;
	struct link *links;
	struct link *trunk; /* the link to the component's server; NULL: no component is configured */
	struct source *sources;
	struct bucket *buckets;
	struct stream *unproved; /* from outside, that have proved nothing; the oldest first */
	unsigned unproved_count;
	struct shares proved;    /* inbound streams of the external edge, by a domain that they have proved */
	size_t unfinished_bytes; /* of all streams, also of those that have ended meanwhile */
	struct outgoing *finished; /* their callbacks are due at the end of the turn */
	bool stopping;
	enum stop_step stop_step;
	int64_t stop_deadline;
	struct loop_timer *stop_timer;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* s2s.c */
int64_t s2s_now(const struct s2s *s2s);
/* Is this a domain in whose name we speak on this edge, and one that we may speak to? ERR_IO: the registry fails. */
MUST_CHECK enum err s2s_is_ours(struct s2s *s2s, enum edge edge, const char *domain, bool *out);
MUST_CHECK enum err s2s_policy_for(struct s2s *s2s, enum edge edge, const char *remote,
				   struct stream_policy *out);
/* Too late to open a stream: we are stopping, and past the time in which senders get their answers. */
bool s2s_gives_up(const struct s2s *s2s);
struct stream *s2s_find_stream(struct s2s *s2s, uint64_t number); /* NULL: it is gone */
void s2s_finish(struct s2s *s2s,
		struct outgoing *o); /* takes it; its callback comes at the end of the turn */

/* s2s_listen.c */
MUST_CHECK enum err listeners_open(struct s2s *s2s, const char **why);
void listeners_close(struct s2s *s2s);
/* A numeric host as a socket address. */
MUST_CHECK enum err numeric_address(const char *host, uint16_t port, struct sockaddr_storage *out,
				    socklen_t *len);

/* s2s_stream.c */
const char *stream_state_name(enum stream_state state);
void stream_accept(struct s2s *s2s, enum edge edge, bool direct_tls, int fd);
struct stream *stream_connect(struct link *link, const struct dns_target *target, const struct sockaddr *bind,
			      socklen_t bind_len);
void stream_set_state(struct stream *st, enum stream_state state);
/* A fresh id of our own, for an XML stream that a peer has opened. */
MUST_CHECK enum err stream_renew_id(struct stream *st);
void stream_send_header(struct stream *st);
/* False: the stream was closed, because its output is full. */
bool stream_write(struct stream *st, const struct strbuf *b);
void stream_set_established(struct stream *st, bool established);
/* Say </stream:stream> but read on until the peer says it too, for a short time. */
void stream_finish(struct stream *st);
/* Close with a stream error (condition of RFC 6120 section 4.9.3) or without (NULL); text may be NULL. */
void stream_close(struct stream *st, const char *condition, const char *text);
/* The same with an application-specific condition, XML already. */
void stream_close_with(struct stream *st, const char *condition, const char *text, const char *specific);
void stream_destroy_now(struct stream *st); /* without a word, at the very end */

/* s2s_in.c */
void s2s_in_header(struct stream *st, const struct xml_header *header);
stream_step s2s_in_stanza;
struct pair *s2s_add_pair(struct stream *st, const char *local, const char *remote);
/* A new XML stream begins: verdicts on keys that were shown on the old one come too late. */
void s2s_in_forget_pairs(struct stream *st);
void s2s_in_pair_verdict(struct stream *st, const char *local, const char *remote, enum verdict_kind verdict);
void s2s_in_verify_verdict(struct stream *st, const struct verify *v, const char *local, const char *remote,
			   enum verdict_kind verdict);

/* s2s_out.c */
void s2s_out_connected(struct stream *st);
void s2s_out_header(struct stream *st, const struct xml_header *header);
/* Send what authentication or verification still needs on a negotiated stream. */
bool s2s_offers(const struct xml_element *features, const char *ns, const char *name);
void s2s_out_negotiate(struct stream *st);

/* s2s_limits.c */
bool limits_admit(struct stream *st); /* false: it has no place */
void limits_authenticated(struct stream *st);
/* The pair is valid from now on; until it is dropped, or the stream ends. */
void limits_prove(struct stream *st, struct pair *pair);
void limits_unprove(struct stream *st, struct pair *pair);
/* Do other streams of this domain use up what it may have? Not where this one has proved it already. */
bool limits_full(const struct stream *st, const char *remote, const struct stream_policy *policy);
void limits_release(struct stream *st);
/* For one stanza of this remote domain, which the stream has proved. */
void limits_pay(struct stream *st, const char *remote);
void limits_cleanup(struct s2s *s2s);
void stream_pause(struct stream *st, enum pause reason, bool paused);

/* s2s_sasl.c */
bool sasl_peer_is_certified(struct stream *st);
void sasl_write_mechanisms(struct stream *st, struct strbuf *b);
bool sasl_can_authenticate(struct stream *st);
void sasl_send_auth(struct stream *st);
stream_step sasl_on_auth, sasl_on_success, sasl_on_failure;

/* s2s_bidi.c */
void bidi_write_feature(const struct stream *st, struct strbuf *b);
void bidi_ask(struct stream *st, const struct xml_element *features);
void bidi_trusted(struct stream *st, const char *local, const char *remote);
stream_step bidi_on_request;

/* s2s_sm.c */
void sm_write_acknowledgement(struct stream *st,
			      struct strbuf *b); /* nothing, where the peer does not count */
void sm_write_feature(const struct stream *st, struct strbuf *b);
void sm_acknowledge_if_owed(struct stream *st); /* it counts */
void sm_enable(struct stream *st);
bool sm_request(struct stream *st);
stream_step sm_on_enable, sm_on_enabled, sm_on_failed, sm_on_request, sm_on_acknowledgement;

/* s2s_window.c */
/* A stanza of so many bytes has come; s2s_receipt_done() ends it. */
struct receipt window_enter(struct stream *st, size_t size);
/* Whether we do not read at present by what an answer of the link's peer would come. */
bool window_deafens(const struct link *link);

/* s2s_verify.c */
void verify_request(struct link *link, uint64_t requester, bool relayed, const char *id, const char *key);
void verify_send_pending(struct link *link);
void verify_on_verdict(struct link *link, const struct xml_element *el);
void verify_fail_all(struct link *link);
void verify_expire(struct link *link, int64_t now);

/* s2s_push.c */
void link_push(struct link *link, int64_t now);

/* s2s_link.c */
struct link *link_get(struct s2s *s2s, enum edge edge, const char *local, const char *remote);
struct link *link_find(struct s2s *s2s, enum edge edge, const char *local, const char *remote);
void link_enqueue(struct link *link, struct outgoing *o);
void link_trusted(struct link *link);
/* The peer has all stanzas up to this number. */
void link_proved(struct link *link, uint64_t number);
/*
 * orderly: the peer closed its XML stream, so it read all that its TCP had acknowledged.
 * True: stanzas were taken back that the socket may still hold.
 */
bool link_stream_ended(struct link *link, bool orderly, const char *why);
/* Everything in custody fails with this condition. */
void link_fail(struct link *link, enum condition condition, const char *text);
/* Likewise, but for error stanzas: nobody could be told that those went nowhere. */
void link_fail_requests(struct link *link, enum condition condition, const char *text);
/* True when the stanza was the answer to our ping, which goes no further. */
bool link_is_pong(struct s2s *s2s, enum edge edge, const struct stanza *stanza, const struct jid *from,
		  const struct jid *to);
/* An inbound stream of the right pair carries what leaves, too, unless there is one already. */
void link_adopt(struct link *link, struct stream *st);
bool link_is_empty(const struct link *link);
void link_arm(struct link *link);
void link_destroy(struct link *link);
/* The stream that carries it with others is there, or has ended; the latter as link_stream_ended(). */
void link_board(struct link *link, struct stream *st);
bool link_unboard(struct link *link, bool orderly, const char *why);
/* A question whose answer proves what was sent so far; link->ping_out tells whether it could be asked. */
void link_ask_for_proof(struct link *link);
/* How long an answer that was always given may take. */
int64_t link_patience(const struct link *link);

struct link *link_create_for_check(struct s2s *s2s, const char *local, const char *remote);
void link_send(struct link *link, struct stanza *stanza, int64_t deadline_ms, delivery_fn *done, void *ctx);
void link_try(struct link *link, struct stanza *stanza, delivery_fn *done, void *ctx);

/* s2s_component.c */
MUST_CHECK enum err component_open(struct s2s *s2s, const char **why);
/* Is the domain attached to another server? Its links share that stream. */
bool component_serves(const struct s2s *s2s, enum edge edge, const char *local);
bool component_carries(const struct link *link);
void component_send(struct s2s *s2s, const char *remote, struct stanza *stanza, int64_t deadline_ms,
		    delivery_fn *done, void *ctx);
/* One of the links that share the stream has something to send. */
void component_board(struct link *link);
/* The trunk is there for what comes in, too: it is wanted when nothing waits. */
bool component_is_wanted(const struct s2s *s2s);
void component_policy(struct stream_policy *out);
void component_send_header(struct stream *st);
void component_header(struct stream *st, const struct xml_header *header);
void component_idle(struct stream *st);
/* The stream has ended; what it was, in words. True: as link_stream_ended(). */
bool component_ended(struct stream *st, const char *why, char words[WHY_SIZE]);

/* s2s_check.c */
/* A step of the link's stream, when somebody wants to know; link may be NULL. */
void check_note(struct link *link, const char *step, bool ok, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* s2s_connect.c */
void link_work(struct link *link); /* do what the queue and the state ask for */
void link_next_target(struct link *link, const char *why);
void link_back_off(struct link *link, enum condition failure, const char *why);

#endif
