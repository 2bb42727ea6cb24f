/*
 * nettest.h - what the tests of sockets share: a loop that runs until
 * something is true, listeners on loopback, certificates in a temporary folder.
 */
#ifndef POOLBRIDGE_TESTS_NETTEST_H
#define POOLBRIDGE_TESTS_NETTEST_H

#include <netinet/in.h>

#include "bridge/core/base.h"
#include "bridge/core/loop.h"

struct nettest {
	struct loop *loop;
	struct loop_timer *tick; /* a condition may come true without an event of ours */
	int64_t tick_ms, deadline;
	int ticks, turns;
	bool (*until)(void *ctx);
	void *ctx;
};

/* The address is this program's until it ends: another one that is run beside it waits here. */
void nettest_claim(const char *address);

void nettest_begin(struct nettest *t);
void nettest_end(struct nettest *t);

/* Run the loop until the condition is true; fails the test when it does not come true. */
void nettest_run(struct nettest *t, bool (*until)(void *ctx), void *ctx);

/* False when the loop is kept busy by something that is always ready. */
bool nettest_is_quiet(struct nettest *t);

/* A listening socket on address, at a port of the kernel's choice. rcvbuf: 0 for the default. */
int nettest_listen(const char *address, int rcvbuf, struct sockaddr_in *out);

/* A folder of our own below $TMPDIR or /tmp, and its removal with the files in it. */
char *nettest_folder(void);
void nettest_remove(char *folder); /* frees the name */
char *nettest_path(const char *folder, const char *name);

enum nettest_key { KEY_EC, KEY_RSA_1024 };
/*
 * NAME.pem and NAME.key in folder: a self-signed certificate, valid from
 * now + from to now + until (seconds).
 */
void nettest_certificate(const char *folder, const char *name, enum nettest_key kind, long from, long until);

#endif
