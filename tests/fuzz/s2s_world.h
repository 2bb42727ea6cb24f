/*
 * s2s_world.h - a world of memory for the s2s edge: its loop, sockets, TLS, DNS,
 * registry and random numbers, behind the headers of the real ones.
 *
 * Time passes and answers come only when the fuzz target says so. Each fake
 * checks that its caller keeps the rules of its header: no write to a connection
 * that has ended, no header in the middle of a stream, nothing left behind.
 */
#ifndef POOLBRIDGE_TESTS_S2S_WORLD_H
#define POOLBRIDGE_TESTS_S2S_WORLD_H

#include "bridge/core/loop.h"
#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/sock.h"
#include "db/registry.h"

#define SEGMENTS_MAX 8

/* What one connection said and heard. Output is cut where an XML stream begins anew. */
struct sock {
	const struct sock_ops *ops;
	void *ctx;
	unsigned number;
	bool client, connecting, tls_wanted, tls_begun, secured, paused;
	bool ended; /* closed() was called */
	bool gone;  /* given back; it stays for the oracle */
	bool stalled;
	size_t limit;
	char name[24];
	struct strbuf in, out;
	size_t taken, acked; /* of out: by the peer's kernel, and acknowledged */
	size_t segments[SEGMENTS_MAX], segment_count;
	size_t tls_segment; /* the first one under TLS */
	size_t tls_in;      /* of in: where TLS began */
	enum certificate_trust trust;
	char certified[254]; /* the domain for which trust was told */
	struct sock *next;
};

struct world {
	int64_t now;
	struct sock *socks; /* all that ever were, newest first */
	unsigned sock_count;
	struct partner partner; /* partner.test, changed by the input */
	bool registry_fails, no_certificate;
	enum certificate_trust trust; /* of certificates from now on */
};

extern struct world world;

bool strbuf_has(const struct strbuf *b, size_t from, const char *text);

void world_begin(void);
/* Ends the world; everything must have been given back. */
void world_end(void);
void world_turn(void); /* due timers, then the phases, then what was retired */
void world_retire(void);

struct sock *world_sock(
	unsigned index); /* a live one, counted from the oldest, modulo; NULL when there is none */
void world_input(struct sock *s, const char *bytes, size_t n);
void world_connected(struct sock *s);
void world_handshake(struct sock *s, bool success);
void world_close(struct sock *s, bool reset);
/* Answer the oldest question; targets is how many (0: none), SIZE_MAX for failure. */
void world_answer_dns(size_t targets, bool direct_tls, bool secure);

/* s2s_oracle.c: may this connection speak for remote to local, by all that was said on all of them? */
bool oracle_has_proved(const struct sock *s, const char *local, const char *remote);

#endif
