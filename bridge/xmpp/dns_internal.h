/*
 * dns_internal.h - private to dns.c and dns_hosts.c: what a query is made of.
 */
#ifndef POOLBRIDGE_XMPP_DNS_INTERNAL_H
#define POOLBRIDGE_XMPP_DNS_INTERNAL_H

#include <arpa/nameser.h>
#include <unbound.h>

#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/dns_parse.h"

enum {
	SRV_READ_MAX = 64, /* of one answer */
	SRV_USED_MAX = 16, /* of those, in their order */
	ADDRESSES_MAX = 8, /* of one host and family, so that no host crowds out its backup */
	SERVICES_MAX = 2
};

enum answer { ANSWER_PENDING, ANSWER_DATA, ANSWER_NONE, ANSWER_FAILED };

struct lookup {
	struct dns_query *query;
	ns_type type; /* ns_t_srv, ns_t_a, ns_t_aaaa, ns_t_tlsa */
	int id;       /* libunbound's, while running */
	bool running;
	enum answer answer;
	bool secure; /* the answer, which may be that there is none */
};

struct addresses {
	struct lookup lookup; /* first: its callback knows the whole */
	size_t count;
	unsigned char bytes[ADDRESSES_MAX][DNS_ADDRESS_SIZE];
};

struct host {
	struct srv_record srv; /* all 0 but for target and port without one */
	bool direct_tls;
	bool secure; /* how it was found */
	struct addresses a, aaaa;
};

struct service {
	struct lookup lookup;
	bool direct_tls;
	struct host *hosts; /* its targets, the best SRV_USED_MAX of them */
	size_t host_count;
};

struct dns_query {
	struct dns *dns;
	dns_done_fn *done; /* one of the two */
	dns_tlsa_fn *tlsa_done;
	void *ctx;
	struct loop_timer *timer;
	char *name;
	uint16_t port; /* of the host, or the fallback */
	struct service services[SERVICES_MAX];
	size_t service_count;
	struct host *only; /* without SRV: the name itself */
	struct lookup tlsa;
	struct ub_result *tlsa_result; /* while it is needed */
	size_t running;                /* look-ups */
	bool failed;                   /* one of them got no answer */
	bool ready;                    /* in that list */
	bool ended;
	struct dns_query *prev, *next;
};

/* dns.c: begin, or find at once that there is nothing to ask for. */
void dns_lookup(struct dns_query *q, struct lookup *l, const char *name, ns_type type);
void dns_log_failure(const char *name, ns_type type, const char *why);

/* dns_hosts.c: from SRV records to addresses. */
void dns_hosts_service(struct dns_query *q, const char *service, bool direct_tls);
void dns_hosts_only(struct dns_query *q, bool secure); /* the name itself */
bool dns_hosts_literal(struct dns_query *q); /* the name is an address, so there is nothing to ask */
/* The name itself, if all services are known to have no record, and only then (RFC 6120 section 3.2.2). */
void dns_hosts_fall_back(struct dns_query *q);
void dns_hosts_answered(struct lookup *l, const struct ub_result *result);
size_t dns_hosts_targets(struct dns_query *q, struct dns_target targets[DNS_TARGETS_MAX]);
/* Every look-up of the query that is about hosts. */
void dns_hosts_each(struct dns_query *q, void (*visit)(struct lookup *l));
void dns_hosts_free(struct dns_query *q);

#endif
