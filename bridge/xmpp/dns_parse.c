/*
 * dns_parse.c - SRV, TLSA and address record data, as the network sent them.
 *
 * The bytes are hostile: every length is checked against what is there. A
 * target that no host can have (a dot or a control character inside a label) is
 * an error, so that a target is safe to log, to look up and to offer as SNI.
 * Compression pointers do not occur in what libunbound gives, and are refused.
 *
 * Pure; nothing is fatal.
 */
#include "bridge/xmpp/dns_parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { SRV_FIXED = 6, TLSA_FIXED = 3, LABEL_MAX = 63 };

static uint16_t get16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool is_host_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* One label at p, at most left bytes with its length byte, behind out[n]. Its size there, or 0. */
static size_t parse_label(const unsigned char *p, size_t left, char *out, size_t n)
{
	const size_t len = p[0], dot = n > 0 ? 1 : 0;

	if (len > LABEL_MAX || len >= left || n + dot + len >= DNS_NAME_SIZE)
		return 0;
	for (size_t i = 1; i <= len; i++) {
		if (!is_host_char(p[i]))
			return 0;
	}
	if (dot > 0)
		out[n] = '.';
	memcpy(out + n + dot, p + 1, len);
	return dot + len;
}

/* A name that fills len bytes; "" for the root. */
static enum err parse_name(const unsigned char *p, size_t len, char out[DNS_NAME_SIZE])
{
	char name[DNS_NAME_SIZE];
	size_t at = 0, n = 0;

	while (at < len && p[at] != 0) {
		const size_t added = parse_label(p + at, len - at, name, n);

		if (added == 0)
			return ERR_SYNTAX;
		at += 1 + (size_t)p[at];
		n += added;
	}
	if (at + 1 != len)
		return ERR_SYNTAX;
	memcpy(out, name, n);
	out[n] = '\0';
	return OK;
}

enum err srv_parse(const void *rdata, size_t len, struct srv_record *out)
{
	const unsigned char *p = rdata;
	struct srv_record r = { 0 };

	if (len <= SRV_FIXED)
		return ERR_SYNTAX;
	r.priority = get16(p);
	r.weight = get16(p + 2);
	r.port = get16(p + 4);
	if (parse_name(p + SRV_FIXED, len - SRV_FIXED, r.target) != OK)
		return ERR_SYNTAX;
	if (r.port == 0 && r.target[0] != '\0')
		return ERR_SYNTAX;
	*out = r;
	return OK;
}

enum err tlsa_parse(const void *rdata, size_t len, struct dns_tlsa *out)
{
	const unsigned char *p = rdata;

	if (len <= TLSA_FIXED)
		return ERR_SYNTAX;
	*out = (struct dns_tlsa){ p[0], p[1], p[2], p + TLSA_FIXED, len - TLSA_FIXED };
	return OK;
}

struct dns_tlsa *dns_tlsa_copy(const struct dns_tlsa *records, size_t count)
{
	size_t size = count * sizeof(*records);
	struct dns_tlsa *copy;
	unsigned char *data;

	for (size_t i = 0; i < count; i++)
		size += records[i].size;
	copy = xmalloc(size);
	data = (unsigned char *)(copy + count);
	for (size_t i = 0; i < count; i++) {
		copy[i] = records[i];
		copy[i].data = memcpy(data, records[i].data, records[i].size);
		data += records[i].size;
	}
	return copy;
}

/* Within a priority weight 0 comes first, which gives it a small chance (RFC 2782). */
static int compare(const void *a, const void *b)
{
	const struct srv_record *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->weight > y->weight) - (x->weight < y->weight);
}

/* The record that a number below the sum of the weights + 1 selects. */
static size_t pick(const struct srv_record *records, size_t count, uint32_t number)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		sum += records[i].weight;
		if (sum >= number)
			return i;
	}
	return count - 1;
}

/* Records of one priority, lowest weight first: each next one by the chance of those that are left. */
static void order_group(struct srv_record *records, size_t count, srv_random_fn *random, void *ctx)
{
	for (; count > 1; records++, count--) {
		uint32_t sum = 0;
		struct srv_record chosen;
		size_t i;

		for (i = 0; i < count; i++)
			sum += records[i].weight;
		i = pick(records, count, random(ctx, sum + 1));
		chosen = records[i];
		memmove(records + 1, records, i * sizeof(*records)); /* the others keep their order */
		records[0] = chosen;
	}
}

void srv_order(struct srv_record *records, size_t count, srv_random_fn *random, void *ctx)
{
	size_t first = 0;

	if (count == 0)
		return;
	qsort(records, count, sizeof(*records), compare);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && records[i].priority == records[first].priority)
			continue;
		order_group(records + first, i - first, random, ctx);
		first = i;
	}
}

enum err dns_address(int family, const void *rdata, size_t len, uint16_t port, struct sockaddr_storage *out,
		     socklen_t *out_len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (family == AF_INET && len == sizeof(in.sin_addr)) {
		memcpy(&in.sin_addr, rdata, len);
		memset(out, 0, sizeof(*out));
		memcpy(out, &in, sizeof(in));
		*out_len = sizeof(in);
		return OK;
	}
	if (family == AF_INET6 && len == sizeof(in6.sin6_addr)) {
		memcpy(&in6.sin6_addr, rdata, len);
		memset(out, 0, sizeof(*out));
		memcpy(out, &in6, sizeof(in6));
		*out_len = sizeof(in6);
		return OK;
	}
	return ERR_SYNTAX;
}

int dns_literal(const char *text, unsigned char out[DNS_ADDRESS_SIZE])
{
	unsigned char bytes[DNS_ADDRESS_SIZE] = { 0 };
	int family = AF_UNSPEC;

	if (inet_pton(AF_INET, text, bytes) == 1)
		family = AF_INET;
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		family = AF_INET6;
	if (family != AF_UNSPEC)
		memcpy(out, bytes, sizeof(bytes));
	return family;
}
