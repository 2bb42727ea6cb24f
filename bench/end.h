/*
 * end.h - what the playing ends (peer.c, sippeer.c) have in common: one loop,
 * connections that can be broken in the ways that networks do, numbered messages
 * at a rate, and a log of what was sent, acknowledged and received.
 *
 * A turn: what came in is read and noted; what is due is made; the log goes to
 * its file; only then bytes leave. So whoever was told that a message arrived
 * finds it in the log, even after kill -9.
 *
 * Memory that cannot be had and files that cannot be written end the program.
 */
#ifndef POOLBRIDGE_BENCH_END_H
#define POOLBRIDGE_BENCH_END_H

#include <netinet/in.h>

#include "bridge/core/base.h"

/* A message: its flow is one way from many senders to many recipients, numbered for each pair of them. */
struct numbered {
	char flow;
	unsigned pair;
	unsigned long number;
};

/* In decimal digits; printf takes ten times as long. */
void number_text(unsigned long number, struct strbuf *out);
/* Its text, and back from there; false: it is none of ours. */
void numbered_text(const struct numbered *m, struct strbuf *out);
bool numbered_parse(const char *text, struct numbered *out);

/* What is noted of a message. */
enum note {
	NOTE_SENT = 's',
	NOTE_AGAIN = 'r',   /* sent again on a new connection */
	NOTE_ACKED = 'a',   /* the bridge has taken it over */
	NOTE_ERROR = 'e',   /* the bridge has said that it was not delivered */
	NOTE_UNKNOWN = 'x', /* the connection ended before any answer, and it is not sent again */
	NOTE_GOT = 'g'      /* the other end has it */
};
/* id: of the connection. */
void end_note(enum note note, const struct numbered *m, unsigned id);

/* --- connections --- */

struct connection;
struct ssl_ctx_st;

struct connection_ops {
	void (*ready)(struct connection *c); /* connected; after a handshake once more */
	/* Returns how many bytes were used up. */
	size_t (*input)(struct connection *c, const char *data, size_t size);
	void (*ended)(struct connection *c); /* frees what owner points to; the connection goes by itself */
	/* Of datagrams: how many bytes of out the next one has. */
	size_t (*next)(const char *data, size_t size);
};

struct connection {
	const struct connection_ops *ops;
	void *owner;
	unsigned id;
	bool inbound;
	struct strbuf out; /* what is to leave at the end of the turn */
	/* of end.c */
	int fd;
	bool connecting, dead, wants_write, datagrams;
	struct ssl_st *ssl;
	struct ssl_ctx_st *tls_next; /* begins when all has left */
	bool handshaking;
	struct strbuf in;
	bool touched;
	struct connection *prev, *next, *next_touched;
};

/* ADDRESS:PORT or ADDRESS; ends the program when it is neither. */
struct sockaddr_in end_address(const char *text, unsigned short port);
void end_listen(const struct sockaddr_in *address, void (*accepted)(struct connection *c));
struct connection *end_connect(const struct sockaddr_in *to, const struct sockaddr_in *from,
			       const struct connection_ops *ops, void *owner);
/* By UDP, to one address alone. It is always ready; nothing is sent again, and no command breaks it. */
struct connection *end_datagrams(const struct sockaddr_in *at, const struct sockaddr_in *to,
				 const struct connection_ops *ops);
/* After what is in out has left; ops->ready follows. */
void end_start_tls(struct connection *c, struct ssl_ctx_st *context);
/* files: "CERTIFICATE,KEY", PEM; they end the program when they are none. */
void end_tls_contexts(const char *files, struct ssl_ctx_st **server, struct ssl_ctx_st **client);
void end_close(struct connection *c);
/* Whoever writes to another connection than the one that calls him says so, where turns are sparse. */
void end_touch(struct connection *c);

/* --- the generator and the loop --- */

struct end_setup {
	const char *log; /* appended to; NULL: nothing is noted */
	double rate;     /* messages a second; 0: only receives; infinite: as many as send() takes */
	/* Make and send one, the next; false: not now. */
	bool (*send)(void);
	void (*turn)(void); /* each turn, a few milliseconds apart at most */
	/* For the line that the command "status" is answered with: JSON members that begin with a comma. */
	void (*status)(struct strbuf *out);
	/* A command that is none of the below; NULL: there are no others. False: unknown, which ends the program. */
	bool (*command)(const char *line);
	/* For thousands of connections: a turn looks only at those that had an event, are new, or were touched. */
	bool is_sparse;
};

/*
 * Until "quit" or the end of standard input. Commands, a line each: start, stop (the
 * generator), start MESSAGES (so many; with a meter, its report is printed when the last one has come),
 * rate MESSAGES (a second, or "inf", from the next start on), status, cut (connections are reset in mid-message), refuse SECONDS, blackhole SECONDS.
 */
void end_run(const struct end_setup *setup);
int64_t end_now(void); /* microseconds, the same for all programs of the machine */
/* New connections are pointless now: refused or black-holed by command. */
bool end_is_away(void);
/* Command-line help. */
_Noreturn void end_usage(const char *text, int status);
_Noreturn void end_fail(const char *what);

#endif
