/*
 * hops_internal.h - what the files of the next hops share.
 *
 *	hops.c          which target is used, and which rests
 *	hops_address.c  targets by their addresses
 *	hops_resolve.c  from names to targets
 */
#ifndef POOLBRIDGE_SIP_HOPS_INTERNAL_H
#define POOLBRIDGE_SIP_HOPS_INTERNAL_H

#include <time.h>

#include "bridge/sip/hops.h"
#include "bridge/xmpp/dns.h"

enum target_state {
	TARGET_UP,
	TARGET_PAUSED, /* has asked for it by Retry-After */
	TARGET_DOWN    /* has failed */
};

struct target {
	unsigned id;
	struct entry *entry;
	struct sockaddr_storage addr; /* with the port */
	struct sip_hop hop;
	enum target_state state;
	int64_t rest_until;  /* not up: when it is asked, or tried, again */
	unsigned failures;   /* in a row */
	int64_t heard;       /* when it last answered */
	bool pinging;        /* OPTIONS is under way */
	bool answers_pings;  /* it has answered one */
	char explained[160]; /* why the connection that is about to fail does */
	char error[160];     /* the last one; "" for none */
	time_t error_at;
	uint64_t requests, failed;
	struct loop_timer *timer; /* the next ping, or the end of its rest */
	struct target *prev, *next;
};

/* One next hop of the configuration. */
struct entry {
	struct sip_hops *hops;
	enum pool pool;
	struct next_hop configured;
	bool is_address;         /* nothing to look up */
	bool unknown;            /* the last look-up found nothing */
	struct target *targets;  /* in their order */
	struct dns_query *query; /* under way */
	struct entry *prev, *next;
};

struct sip_hops {
	struct sip_hops_setup setup;
	struct entry *entries; /* the new pool's, then the legacy pool's */
	unsigned last_id;
	struct loop_timer *resolve_timer;
	struct sockaddr_storage addresses[SIP_TARGETS_MAX];
	size_t address_count;
};

/* hops.c */
struct target *hops_add_target(struct entry *e, const struct sockaddr *addr, socklen_t len);
void hops_remove_target(struct target *t);

/* hops_address.c */
bool hops_same_address(const struct sockaddr *a, const struct sockaddr *b, bool with_port);

/* hops_resolve.c */
MUST_CHECK enum err hops_resolve_now(struct sip_hops *h, const char **why); /* blocking */
void hops_resolve_begin(struct sip_hops *h);                                /* from now on, again and again */
void hops_resolve_end(struct sip_hops *h);

#endif
