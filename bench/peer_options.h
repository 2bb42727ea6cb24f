/* peer_options.h - the command line of peer.c. */
#ifndef POOLBRIDGE_BENCH_PEER_OPTIONS_H
#define POOLBRIDGE_BENCH_PEER_OPTIONS_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct peer_options {
	const char *domain, *remote, *log, *from, *to, *tally;
	struct sockaddr_in listen, connect; /* port 0: not given */
	char flow;
	unsigned pairs, size, length; /* length 0: not given */
	unsigned long first, window;
	double rate;
	bool sm, external, host;
	const char *secret;               /* of the component; NULL: a server */
	SSL_CTX *server_tls, *client_tls; /* NULL: without */
};

extern struct peer_options peer_options;

/* Ends the program where it is wrong, or only help is wanted. */
void peer_read_options(int argc, char **argv);
void peer_free_options(void);

#endif
