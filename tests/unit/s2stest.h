/*
 * s2stest.h - what the unit tests of the s2s edge have in common: an edge in the
 * world of tests/fuzz/s2s_world.h, and the part of its peers.
 */
#ifndef POOLBRIDGE_TESTS_S2STEST_H
#define POOLBRIDGE_TESTS_S2STEST_H

#include "bridge/xmpp/s2s_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/fuzz/s2s_world.h"

#define PAIR " from='partner.test' to='corp.test'"
#define HEADER                                                                                               \
	"<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "                            \
	"xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='x'"
#define FEATURES "<stream:features/>"

extern const struct config s2stest_config;
extern struct s2s *s2s;
/* Stanzas that came in; those sent by on_delivered() that arrived, or not, and why the last one did not. */
extern unsigned stanzas, confirmed, failed;
extern enum condition failure;
/* What comes in while holding is not finished, but kept here. */
extern bool holding;
extern struct receipt unfinished[200];
extern size_t unfinished_count;

int s2stest_begin(void **state);
int s2stest_end(void **state);
void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome);

void hear(struct sock *s, const char *text);
void pass(int64_t ms);
struct sock *newest(void);
/* Our own connection, up to the peer's features; pair: the addresses of its header. */
struct sock *reach(const char *pair);
/* One of partner.test, up to its header; with a key, so that partner.test must be asked about it. */
struct sock *come(void);
struct sock *come_with_key(void);

/* Is the text in the output, behind the first `from` bytes? */
bool says(const struct sock *s, size_t from, const char *text);
/* What follows `before` there; never NULL. */
const char *said_behind(const struct sock *s, size_t from, const char *before);
/* The authority of `ours` is asked by `theirs`. */
void answer(struct sock *s, size_t from, const char *ours, const char *theirs, const char *verdict);
void answer_question(struct sock *s, size_t from, const char *verdict);
/* The ping that went out on `on`; answers come by another stream. */
void answer_ping(const struct sock *on, size_t from, struct sock *by);

/* A message from juliet@partner.test to the legacy gateway; returns its bytes. */
size_t send_large(size_t size);
/* A link to the legacy gateway that has answered a ping, and the stream by which it answers. */
struct sock *open_link(struct sock **back);

#endif
