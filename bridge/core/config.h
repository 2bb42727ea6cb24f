/*
 * config.h - the configuration file (libconfig) as one immutable struct, made
 * by one table of options: name, type, default, range, help. The table is the
 * only place that knows an option; the man page is compared with it by a test.
 */
#ifndef POOLBRIDGE_CORE_CONFIG_H
#define POOLBRIDGE_CORE_CONFIG_H

#include "bridge/core/base.h"
#include "bridge/core/log.h"

#define CONFIG_LIST_MAX 32

enum pool { POOL_LEGACY, POOL_NEW, POOLS };
/* How messages go to a pool: what its clients take, in IM sessions, or each by itself. */
enum pool_mode { POOL_AUTO, POOL_SESSION, POOL_PAGER };

struct config_list {
	const char *item[CONFIG_LIST_MAX];
	size_t count;
};

struct config {
	const char *file; /* where it was read from */
	/* top level */
	const char *registry;       /* path; relative to the configuration file's folder */
	const char *state;          /* path; default: the registry's path + ".state" */
	const char *control_socket; /* path; default: the registry's path + ".sock" */
	enum log_level log_level;
	/* external: faces partners */
	struct {
		struct config_list listen;     /* "ADDRESS:PORT" */
		struct config_list listen_tls; /* "ADDRESS:PORT" for direct TLS (XEP-0368) */
		const char *certificates;      /* folder with DOMAIN.crt and DOMAIN.key; "" for none */
		const char *ca;                /* PEM bundle or hashed folder; "": the system's */
		int certificate_usage;         /* of an originating server: 0 any, 1 for clients */
		const char *certificate, *key; /* PEM; "" for none: then no TLS is offered */
		const char *bind;              /* source address of connections to partners; "" for any */
	} external;
	/* component: an XMPP server that faces partners for one local domain (XEP-0114) */
	struct {
		const char *server; /* "HOST:PORT"; "" for none */
		const char *domain; /* the component's name, a local domain */
		const char *secret;
	} component;
	/* internal: faces the legacy gateway only */
	struct {
		struct config_list listen; /* empty: no internal edge */
		struct config_list allow;  /* source addresses allowed to connect; empty: any */
		const char *gateway;       /* "HOST:PORT" of the legacy gateway; "" for none */
		const char *bind;
		int tls; /* enum requirement's order: 0 none, 1 optional, 2 required */
	} internal;
	struct {
		const char *secret; /* dialback; "": random at start */
	} dialback;
	struct {
		const char *resolver; /* "ADDRESS[@PORT]"; "": /etc/resolv.conf */
		struct config_list transparent_zones;
		int64_t timeout_ms;
		const char *trust_anchor; /* DNSSEC; "": nothing is validated */
	} dns;
	struct {
		struct config_list listen; /* "udp:ADDRESS:PORT", "tcp:...", "tls:..."; empty: no SIP */
		struct config_list
			allow; /* source addresses of pools; empty: the hosts of new_pool and legacy_pool */
		struct config_list new_pool; /* next hops: "sip:HOST[:PORT];transport=tcp", best first */
		struct config_list legacy_pool;
		const char *certificate, *key; /* PEM; "": those of external */
		const char *ca;                /* as external.ca; "": that one */
		struct config_list tls_names;  /* names of pools' certificates; empty: the next hops' hosts */
		int64_t ping_ms; /* OPTIONS to a next hop that is silent for so long; 0: never */
		int64_t backoff_min_ms, backoff_max_ms; /* how long a next hop that failed rests */
		int64_t message_bytes;                  /* largest SIP message */
		int64_t answer_ms;                      /* a MESSAGE from a pool is answered within this */
		int64_t queue_messages;                 /* waiting per (from, to) */
		int64_t queue_total;
		int64_t udp_remembered;              /* requests by UDP within 32 s; 0: any number */
		int new_pool_mode, legacy_pool_mode; /* enum pool_mode */
		int64_t session_ms;                  /* a session ends after this without a message */
		int64_t invite_ms;                   /* how long a pool's user may take to accept one */
		int64_t conversations;               /* remembered at the same time */
	} sip;
	struct {
		int64_t stanza_bytes, depth, elements, attributes;
		int64_t streams; /* in all */
		int64_t streams_per_partner;
		int64_t streams_per_address;       /* on the external edge */
		int64_t streams_unauthenticated;   /* on the external edge, in all */
		int64_t stanza_rate, stanza_burst; /* per remote domain on the external edge; per second */
		int64_t pairs_per_stream;
		int64_t window_bytes, window_total; /* unfinished: of one stream, and of all */
		int64_t connect_ms;
		int64_t establish_ms;
		int64_t inactivity_ms;
		int64_t keepalive_ms;
		int64_t queue_stanzas, queue_bytes; /* per link */
		int64_t queue_ms;   /* how long a stanza waits for its link before it is bounced */
		int64_t confirm_ms; /* how long to wait for the proof that the peer has it */
		int64_t backoff_min_ms, backoff_max_ms;
	} s2s;
	struct {
		int64_t subscriptions_per_user, subscriptions; /* rows of the ledger */
		int64_t expires_ms;                            /* of subscriptions at the pools */
		int64_t handover_ms; /* as long the side that takes a user over may take to show him */
	} presence;
	/* spool: messages that wait */
	struct {
		int64_t keep_ms; /* how long one may wait */
		int64_t move_ms; /* how long a user may be marked moving */
		int64_t messages_per_user, bytes_per_user;
		int64_t messages_per_hop, bytes_per_hop;
		int64_t messages, bytes;
		int64_t window, window_ms; /* what was taken lately: how many, how long */
	} spool;
};

/*
 * Read and check a file (config_read is libconfig's name). On failure *why (static buffer) is
 * "FILE:LINE: option 's2s.queue_time': ..." with what is wrong and how to mend it.
 * Unknown options are errors and name the nearest known one.
 * A file with only `registry = "PATH";` is complete.
 */
MUST_CHECK enum err config_load(const char *file, struct config **out, const char **why);
void config_free(struct config *c);

/* sip.new_pool or sip.legacy_pool. */
const struct config_list *config_next_hops(const struct config *c, enum pool pool);

/* What the daemon needs beyond what poolbridgectl needs: addresses that parse, files that open. */
MUST_CHECK enum err config_check_daemon(const struct config *c, const char **why);

enum config_type { CONFIG_STRING, CONFIG_PATH, CONFIG_STRINGS, CONFIG_INT, CONFIG_SECONDS, CONFIG_CHOICE };
struct config_option {
	const char *name; /* "s2s.queue_time" */
	enum config_type type;
	const char *fallback; /* as text, the items of a list with spaces between; NULL: must be given */
	double min, max;      /* CONFIG_INT; CONFIG_SECONDS in seconds */
	const char *choices;  /* "none optional required" */
	const char *help;     /* one sentence */
	size_t offset;        /* in struct config */
};
/* The table, for the man page test and --help. */
const struct config_option *config_options(size_t *count);
const char *config_type_name(enum config_type type); /* "seconds" */
/* Whether the option has the same value in both. */
bool config_same(const struct config_option *option, const struct config *a, const struct config *b);

#endif
