/*
 * hops.h - the next hops of the pools: which addresses stand behind the names
 * in sip.new_pool and sip.legacy_pool (RFC 3263), which of them answer, and
 * which one a request goes to.
 *
 * A target that refuses, is silent or says 503 with Retry-After rests; with
 * sip.ping_time it is asked by OPTIONS before it gets requests again. Where
 * every target of a pool rests, that is known at once, without waiting.
 */
#ifndef POOLBRIDGE_SIP_HOPS_H
#define POOLBRIDGE_SIP_HOPS_H

#include <jansson.h>
#include <sys/socket.h>

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "bridge/core/nexthop.h"

enum { SIP_TARGETS_MAX = 32 /* of both pools */, SIP_ATTEMPTS_MAX = 4 /* of one request */ };

struct dns;
struct sip_hops;

struct sip_hop {
	unsigned id; /* never 0 */
	enum transport transport;
	char uri[100]; /* the route: "sip:192.0.2.30:5061;transport=tls" */
	char log[160]; /* "pool.example.org/192.0.2.30:5061" */
};

struct sip_hops_setup {
	struct loop *loop;
	struct dns *dns; /* NULL: names are looked up at the start only, by the system */
	const struct config *config;
	int64_t resolve_ms; /* how often names are looked up; 0: every minute */
	/* Send OPTIONS there; sip_hops_pinged() ends it. From the loop. */
	void (*ping)(void *ctx, const struct sip_hop *hop);
	void (*moved)(void *ctx); /* sip_hops_addresses() has changed; from the loop */
	void *ctx;
};

/*
 * Looks the names up: a blocking call, for the start only. A name that is not
 * known is a failure where sip.allow does not say who the peers are: *why
 * (static buffer) names it; else it is asked for again later.
 */
MUST_CHECK enum err sip_hops_create(const struct sip_hops_setup *setup, struct sip_hops **out,
				    const char **why);
void sip_hops_destroy(struct sip_hops *h); /* NULL is allowed */

/* What one request has been sent to; begin with all zero. */
struct sip_attempts {
	unsigned id[SIP_ATTEMPTS_MAX];
	unsigned count;
};

/*
 * The best target of the pool that does not rest and was not tried, which is
 * then among the tried. ERR_BUSY: those that are left rest, *wait_ms until the
 * first of them may be there again; ERR_NOT_FOUND: none is left, or known.
 */
MUST_CHECK enum err sip_hops_pick(struct sip_hops *h, enum pool pool, struct sip_attempts *tried,
				  struct sip_hop *out, int64_t *wait_ms);

/* What became of what was sent to a target. */
enum sip_outcome {
	SIP_HOP_ANSWERED, /* any response but those below */
	SIP_HOP_BUSY,     /* 503 with Retry-After, in retry_after seconds */
	SIP_HOP_SILENT,   /* timer B or F */
	SIP_HOP_REFUSED   /* no connection, or it broke */
};
/* retry_after: with SIP_HOP_BUSY only. A target that is gone by now is no mistake. */
void sip_hops_report(struct sip_hops *h, unsigned id, enum sip_outcome outcome, int64_t retry_after);
/* The end of a ping; answered: by anything that shows that it serves. why: words for the status, or NULL. */
void sip_hops_pinged(struct sip_hops *h, unsigned id, enum sip_outcome outcome, int64_t retry_after,
		     const char *why);
/* Why the connection to this address that is about to fail does: words for the status. */
void sip_hops_explain(struct sip_hops *h, const struct sockaddr *peer, const char *why);
/* Has that been said of this target, so that a second attempt would fail likewise? */
bool sip_hops_is_explained(const struct sip_hops *h, unsigned id);

/* The addresses of all targets; *out is valid until the next turn of the loop. */
size_t sip_hops_addresses(const struct sip_hops *h, const struct sockaddr_storage **out);
/* The pool that has a target at this address, the one at this port before others; -1: none. */
int sip_hops_pool_of(const struct sip_hops *h, const struct sockaddr *source);
/* What the configuration knows of an address with its port. */
enum sip_place { SIP_PLACE_UNKNOWN, SIP_PLACE_ADDRESS, SIP_PLACE_TARGET };
enum sip_place sip_hops_place(const struct sip_hops *h, const struct sockaddr *address);
/* All targets at this address are reached by TLS, so that nothing else from or to it is to be believed. */
bool sip_hops_need_tls(const struct sip_hops *h, const struct sockaddr *peer);
/* The configured hosts behind an address and port, or else behind the address; at most max. */
size_t sip_hops_names_at(const struct sip_hops *h, const struct sockaddr *peer, const char **out, size_t max);
/* All configured hosts. */
size_t sip_hops_names(const struct sip_hops *h, const char **out, size_t max);

/* An array, in the order in which targets are used; the caller owns it. */
json_t *sip_hops_status(const struct sip_hops *h);

#endif
