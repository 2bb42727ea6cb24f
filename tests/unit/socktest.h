/*
 * socktest.h - the scene of the socket tests: a listener, two ends that are
 * ours, and a plain descriptor that can misbehave.
 */
#ifndef POOLBRIDGE_TESTS_SOCKTEST_H
#define POOLBRIDGE_TESTS_SOCKTEST_H

#include "bridge/xmpp/sock.h"
#include "nettest.h"

enum { LIMIT = 256 * 1024, LINGER_MS = 30000 };

/* One of our sockets, and what it was told. */
struct end {
	struct sock *s;
	int fd; /* of an accepted one */
	struct strbuf got;
	int connected, secured, closed;
	bool reset;
	char why[128];
	/* What a test wants done in a callback; may be NULL. Without on_input all is used. */
	void (*on_accepted)(struct end *e);
	void (*on_connected)(struct end *e);
	void (*on_secured)(struct end *e);
	size_t (*on_input)(struct end *e, const char *bytes, size_t n);
	void (*on_closed)(struct end *e);
};

struct socktest {
	struct nettest t;
	struct tls *tls;
	int listener;
	struct sockaddr_in addr;
	struct loop_fd *watch;
	struct end client, server;
	int raw; /* the plain descriptor, non-blocking; -1: none */
	struct strbuf raw_got;
	int turns;   /* of five_turns_later() */
	int raw_end; /* 0: none yet, 1: FIN, else -errno */
};

extern struct socktest w;

/* How the two ends begin TLS. */
extern const struct tls_peer as_server, as_client;

/* Fixtures of every test. */
int socktest_setup(void **state);
int socktest_teardown(void **state);

/* Listen, and accept into w.server. rcvbuf: of what is accepted, 0 for the default. */
void socktest_listen(int rcvbuf);
/* Accept again, where a test has taken w.watch away. */
void socktest_accept_all(void);
/* w.client begins to connect. from: NULL for any address. */
void socktest_connect(const char *from);
/* w.client and w.server, connected and (tls) secured. */
void socktest_pair(bool tls, int rcvbuf);
/* w.raw connects to w.server. */
void socktest_raw_client(void);
/* w.client connects to w.raw. */
void socktest_raw_server(int rcvbuf);

void socktest_say(struct end *e, const char *text);
void socktest_run(bool (*until)(void *ctx), void *ctx);

/* Read what has come to w.raw. */
void socktest_raw_read(void);
void socktest_raw_send(const char *bytes, size_t n);
/* Close w.raw so that the other side gets a reset. */
void socktest_raw_reset(void);

/* Conditions. */
bool client_closed(void *ctx);
bool server_closed(void *ctx);
bool server_heard(void *text);
bool client_heard(void *text);
bool raw_ended(void *ctx);
bool raw_heard(void *text);
bool five_turns_later(void *ctx);

/* Bytes that have come to a descriptor and are not read yet. */
int socktest_waiting(int fd);

#endif
