/*
 * hops_address.c - the targets by their addresses: whose an address is, how it
 * is to be reached, and by which configured names.
 *
 * Owns nothing. Nothing is fatal.
 */
#include "bridge/sip/hops_internal.h"

#include <netinet/in.h>
#include <string.h>
#include <utlist.h>

static bool is_same_v4(const struct sockaddr *a, const struct sockaddr *b, bool with_port)
{
	const struct sockaddr_in *x = (const struct sockaddr_in *)a, *y = (const struct sockaddr_in *)b;

	return x->sin_addr.s_addr == y->sin_addr.s_addr && (!with_port || x->sin_port == y->sin_port);
}

static bool is_same_v6(const struct sockaddr *a, const struct sockaddr *b, bool with_port)
{
	const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a, *y = (const struct sockaddr_in6 *)b;

	return memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0 &&
	       (!with_port || x->sin6_port == y->sin6_port);
}

bool hops_same_address(const struct sockaddr *a, const struct sockaddr *b, bool with_port)
{
	if (a->sa_family != b->sa_family)
		return false;
	return a->sa_family == AF_INET    ? is_same_v4(a, b, with_port)
	       : a->sa_family == AF_INET6 ? is_same_v6(a, b, with_port)
					  : false;
}

size_t sip_hops_addresses(const struct sip_hops *h, const struct sockaddr_storage **out)
{
	*out = h->addresses;
	return h->address_count;
}

int sip_hops_pool_of(const struct sip_hops *h, const struct sockaddr *source)
{
	int found = -1;
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e) {
		DL_FOREACH (e->targets, t) {
			const struct sockaddr *addr = (const struct sockaddr *)&t->addr;

			if (hops_same_address(addr, source, true))
				return (int)e->pool;
			if (found < 0 && hops_same_address(addr, source, false))
				found = (int)e->pool;
		}
	}
	return found;
}

enum sip_place sip_hops_place(const struct sip_hops *h, const struct sockaddr *address)
{
	enum sip_place found = SIP_PLACE_UNKNOWN;
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e) {
		DL_FOREACH (e->targets, t) {
			const struct sockaddr *addr = (const struct sockaddr *)&t->addr;

			if (hops_same_address(addr, address, true))
				return SIP_PLACE_TARGET;
			if (hops_same_address(addr, address, false))
				found = SIP_PLACE_ADDRESS;
		}
	}
	return found;
}

bool sip_hops_need_tls(const struct sip_hops *h, const struct sockaddr *peer)
{
	bool found = false;
	struct entry *e;
	struct target *t;

	DL_FOREACH (h->entries, e) {
		DL_FOREACH (e->targets, t) {
			if (!hops_same_address((const struct sockaddr *)&t->addr, peer, false))
				continue;
			if (t->hop.transport != TRANSPORT_TLS)
				return false;
			found = true;
		}
	}
	return found;
}

static void add_name(const char *name, const char **out, size_t *count, size_t max)
{
	for (size_t i = 0; i < *count; i++)
		if (strcasecmp(out[i], name) == 0)
			return;
	if (*count < max)
		out[(*count)++] = name;
}

size_t sip_hops_names_at(const struct sip_hops *h, const struct sockaddr *peer, const char **out, size_t max)
{
	size_t count = 0;
	struct entry *e;
	struct target *t;

	for (int with_port = 1; with_port >= 0 && count == 0; with_port--)
		DL_FOREACH (h->entries, e)
			DL_FOREACH (e->targets, t)
				if (hops_same_address((const struct sockaddr *)&t->addr, peer, with_port))
					add_name(e->configured.host, out, &count, max);
	return count;
}

size_t sip_hops_names(const struct sip_hops *h, const char **out, size_t max)
{
	size_t count = 0;
	struct entry *e;

	DL_FOREACH (h->entries, e)
		add_name(e->configured.host, out, &count, max);
	return count;
}
