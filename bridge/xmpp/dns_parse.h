/*
 * dns_parse.h - raw DNS record data to typed values, and the order in which
 * RFC 2782 wants SRV records used. Pure.
 */
#ifndef POOLBRIDGE_XMPP_DNS_PARSE_H
#define POOLBRIDGE_XMPP_DNS_PARSE_H

#include <sys/socket.h>

#include "bridge/core/base.h"
#include "bridge/xmpp/dns.h"

#define DNS_NAME_SIZE 254 /* 253 characters, without the last dot */

struct srv_record {
	uint16_t priority, weight, port;
	char target[DNS_NAME_SIZE]; /* "": the root, the service is decidedly not available */
	unsigned tag;               /* the caller's; srv_order() carries it along */
};

/*
 * The data of one SRV record. ERR_SYNTAX unless it is complete to the byte, its target is an
 * uncompressed host name (letters, digits, hyphen, underscore), and the port is not 0.
 */
MUST_CHECK enum err srv_parse(const void *rdata, size_t len, struct srv_record *out);

/* The data of one TLSA record; out points into it. ERR_SYNTAX unless there is something to compare. */
MUST_CHECK enum err tlsa_parse(const void *rdata, size_t len, struct dns_tlsa *out);

/* A number from 0 to bound - 1; bound is at least 1. */
typedef uint32_t srv_random_fn(void *ctx, uint32_t bound);

/* Order by priority, and within one by weighted chance. */
void srv_order(struct srv_record *records, size_t count, srv_random_fn *random, void *ctx);

/* The data of one A (AF_INET) or AAAA (AF_INET6) record. */
MUST_CHECK enum err dns_address(int family, const void *rdata, size_t len, uint16_t port,
				struct sockaddr_storage *out, socklen_t *out_len);

#define DNS_ADDRESS_SIZE 16

/* "192.0.2.1", "2001:db8::1": the family, and its bytes in out; AF_UNSPEC for all else. */
int dns_literal(const char *text, unsigned char out[DNS_ADDRESS_SIZE]);

#endif
