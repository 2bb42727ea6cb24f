/*
 * peers.c - who may speak SIP to us: a list of addresses, asked for every
 * request, and the same list as a socket filter on the listeners.
 *
 * The filter is there because sofia-sip accepts every connection, has no limit
 * on their number and starts no time-out before the first byte: anybody could
 * use up our descriptors. sofia-sip does not give its sockets away, so the
 * listener is found by its address. Where the kernel will not take a filter,
 * the list alone still keeps strangers' requests out.
 *
 * Where sip.allow is empty, the list follows the addresses of the next hops, and
 * the filters are made anew. IPv4 addresses are kept as IPv4-mapped IPv6
 * addresses. Nothing is fatal.
 */
#include "bridge/sip/peers.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

enum {
	PEERS_MAX = 64,
	LISTENERS_MAX = CONFIG_LIST_MAX,
	DESCRIPTORS_MAX = 1024, /* listeners are opened at the start, so their numbers are low */
	/* Instructions: 3 for UDP, 3 to tell the version, 2 a peer of version 4, 9 a peer of version 6, the ends. */
	FILTER_MAX = 3 + 3 + 1 + 2 * PEERS_MAX + 1 + 9 * PEERS_MAX + 1
};

struct sip_peers {
	struct in6_addr address[PEERS_MAX];
	size_t count;
	bool fixed; /* by sip.allow */
	struct {
		struct hostport listener;
		bool udp;
	} guarded[LISTENERS_MAX];
	size_t guarded_count;
};

static bool to_v6(const struct sockaddr *sa, struct in6_addr *out)
{
	if (sa->sa_family == AF_INET6) {
		*out = ((const struct sockaddr_in6 *)sa)->sin6_addr;
		return true;
	}
	if (sa->sa_family != AF_INET)
		return false;
	memset(out, 0, sizeof(*out));
	memset(out->s6_addr + 10, 0xFF, 2);
	memcpy(out->s6_addr + 12, &((const struct sockaddr_in *)sa)->sin_addr, 4);
	return true;
}

bool sip_peers_allow(const struct sip_peers *p, const struct sockaddr *source)
{
	struct in6_addr address;

	if (!to_v6(source, &address))
		return false;
	for (size_t i = 0; i < p->count; i++)
		if (memcmp(&p->address[i], &address, sizeof(address)) == 0)
			return true;
	return false;
}

static const char *address_text(const struct in6_addr *a, char out[INET6_ADDRSTRLEN])
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(a);

	return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->s6_addr + 12 : a->s6_addr, out, INET6_ADDRSTRLEN);
}

json_t *sip_peers_status(const struct sip_peers *p)
{
	json_t *list = json_array();
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < p->count; i++)
		json_array_append_new(list, json_string(address_text(&p->address[i], text)));
	return list;
}

/* Others get no answer on TCP, so whoever looks for the reason finds the list. */
static void log_peers(const struct sip_peers *p)
{
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < p->count; i++)
		log_event(LOG_NOTICE, "sip-peer", NULL, "address=%s",
			  log_value(address_text(&p->address[i], text)));
}

static void add(struct sip_peers *p, const struct sockaddr *address)
{
	if (p->count < PEERS_MAX && !sip_peers_allow(p, address) && to_v6(address, &p->address[p->count]))
		p->count++;
}

static enum err add_text(struct sip_peers *p, const char *address, const char **why)
{
	static char words[300];
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list = NULL;

	if (getaddrinfo(address, NULL, &hints, &list) != 0) {
		snprintf(words, sizeof(words), "sip.allow: %.200s is no IP address", address);
		*why = words;
		return ERR_SYNTAX;
	}
	add(p, list->ai_addr);
	freeaddrinfo(list);
	return OK;
}

enum err sip_peers_create(const struct config *config, struct sip_peers **out, const char **why)
{
	const struct config_list *allow = &config->sip.allow;
	struct sip_peers *p = xcalloc(1, sizeof(*p));
	enum err e = OK;

	p->fixed = allow->count > 0;
	for (size_t i = 0; e == OK && i < allow->count; i++)
		e = add_text(p, allow->item[i], why);
	if (e != OK) {
		free(p);
		return e;
	}
	log_peers(p);
	*out = p;
	return OK;
}

static enum err guard(const struct sip_peers *p, const struct hostport *listener, bool udp);

void sip_peers_follow(struct sip_peers *p, const struct sockaddr_storage *list, size_t count)
{
	if (p->fixed)
		return;
	p->count = 0;
	for (size_t i = 0; i < count; i++)
		add(p, (const struct sockaddr *)&list[i]);
	log_peers(p);
	for (size_t i = 0; i < p->guarded_count; i++)
		if (guard(p, &p->guarded[i].listener, p->guarded[i].udp) != OK)
			log_event(LOG_WARNING, "sip-unguarded", NULL, "listener=%s port=%u",
				  log_value(p->guarded[i].listener.host),
				  (unsigned)p->guarded[i].listener.port);
}

void sip_peers_destroy(struct sip_peers *p)
{
	free(p);
}

/* --- the socket filter --- */

struct program {
	struct sock_filter code[FILTER_MAX];
	unsigned short used;
};

static void emit(struct program *p, unsigned short code, unsigned k, size_t jump_true, size_t jump_false)
{
	p->code[p->used++] = (struct sock_filter){
		.code = code, .jt = (unsigned char)jump_true, .jf = (unsigned char)jump_false, .k = k
	};
}

static void load_word(struct program *p, unsigned offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_NET_OFF + offset, 0, 0);
}

static uint32_t word_of(const struct in6_addr *a, size_t i)
{
	uint32_t word;

	memcpy(&word, a->s6_addr + 4 * i, sizeof(word));
	return ntohl(word);
}

/* Source address: bytes 12 to 15 of an IPv4 header. */
static void emit_v4(struct program *p, const struct sip_peers *peers)
{
	load_word(p, 12);
	for (size_t i = 0; i < peers->count; i++) {
		if (!IN6_IS_ADDR_V4MAPPED(&peers->address[i]))
			continue;
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, word_of(&peers->address[i], 3), 0, 1);
		emit(p, BPF_RET | BPF_K, UINT32_MAX, 0, 0);
	}
	emit(p, BPF_RET | BPF_K, 0, 0, 0);
}

/* Source address: bytes 8 to 23 of an IPv6 header. */
static void emit_v6(struct program *p, const struct sip_peers *peers)
{
	for (size_t i = 0; i < peers->count; i++) {
		if (IN6_IS_ADDR_V4MAPPED(&peers->address[i]))
			continue;
		for (unsigned w = 0; w < 4; w++) {
			load_word(p, 8 + 4 * w);
			/* Unequal: over the remaining words and the return. */
			emit(p, BPF_JMP | BPF_JEQ | BPF_K, word_of(&peers->address[i], w), 0,
			     2 * (3 - w) + 1);
		}
		emit(p, BPF_RET | BPF_K, UINT32_MAX, 0, 0);
	}
	emit(p, BPF_RET | BPF_K, 0, 0, 0);
}

/*
 * A response may come from another address than the request went to, so it is
 * left to sofia-sip, which answers none. The filter sees the UDP header too.
 */
static void emit_response(struct program *p)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, sizeof(struct udphdr), 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0x5349502F /* "SIP/" */, 0, 1);
	emit(p, BPF_RET | BPF_K, UINT32_MAX, 0, 0);
}

static void make_program(struct program *p, const struct sip_peers *peers, bool udp)
{
	unsigned short branch;

	p->used = 0;
	if (udp)
		emit_response(p);
	emit(p, BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, 0xF0, 0, 0);
	branch = p->used;
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 0);
	emit_v4(p, peers);
	p->code[branch].jf = (unsigned char)(p->used - branch - 1);
	emit_v6(p, peers);
}

_Static_assert(1 + 2 * PEERS_MAX + 1 <= UINT8_MAX, "the jump over the IPv4 part must fit");

static uint16_t port_of(const struct sockaddr *sa)
{
	return ntohs(sa->sa_family == AF_INET ? ((const struct sockaddr_in *)sa)->sin_port
					      : ((const struct sockaddr_in6 *)sa)->sin6_port);
}

static bool is_wildcard(const struct in6_addr *a)
{
	return IN6_IS_ADDR_UNSPECIFIED(a) || (IN6_IS_ADDR_V4MAPPED(a) && word_of(a, 3) == INADDR_ANY);
}

static bool has_option(int fd, int option, int wanted)
{
	int value;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/* Does this descriptor listen there? For a wildcard sofia-sip opens a socket for each address of the machine. */
static bool listens_at(int fd, const struct sockaddr *wanted, bool udp)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	const struct sockaddr *local = (const struct sockaddr *)&storage;
	struct in6_addr bound, address;
	socklen_t size = sizeof(storage);

	if (udp ? !has_option(fd, SO_TYPE, SOCK_DGRAM) : !has_option(fd, SO_ACCEPTCONN, 1))
		return false;
	if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0 || local->sa_family != wanted->sa_family)
		return false;
	return to_v6(local, &bound) && to_v6(wanted, &address) && port_of(local) == port_of(wanted) &&
	       (is_wildcard(&address) || memcmp(&bound, &address, sizeof(bound)) == 0);
}

/* To every socket that listens there. */
static enum err attach(const struct sock_fprog *filter, const struct sockaddr *listener, bool udp)
{
	enum err e = ERR_NOT_FOUND;

	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
		if (!listens_at(fd, listener, udp))
			continue;
		if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) != 0)
			return ERR_IO;
		e = OK;
	}
	return e;
}

/* NULL: it is no address. */
static struct addrinfo *address_of(const struct hostport *listener)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", (unsigned)listener->port);
	return getaddrinfo(listener->host, port, &hints, &list) == 0 ? list : NULL;
}

int sip_listening_socket(const struct hostport *listener)
{
	struct addrinfo *list = address_of(listener);
	int found = -1;

	for (int fd = 0; list != NULL && found < 0 && fd < DESCRIPTORS_MAX; fd++)
		if (listens_at(fd, list->ai_addr, false))
			found = fd;
	if (list != NULL)
		freeaddrinfo(list);
	return found;
}

static enum err guard(const struct sip_peers *p, const struct hostport *listener, bool udp)
{
	struct addrinfo *list = address_of(listener);
	struct program program;
	struct sock_fprog filter = { .filter = program.code };
	enum err e;

	if (list == NULL)
		return ERR_NOT_FOUND;
	make_program(&program, p, udp);
	filter.len = program.used;
	e = attach(&filter, list->ai_addr, udp);
	freeaddrinfo(list);
	return e;
}

enum err sip_peers_guard(struct sip_peers *p, const struct hostport *listener, bool udp)
{
	enum err e = guard(p, listener, udp);

	if (e != OK || p->guarded_count == LISTENERS_MAX)
		return e;
	p->guarded[p->guarded_count].listener = *listener;
	p->guarded[p->guarded_count++].udp = udp;
	return OK;
}
