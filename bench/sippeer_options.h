/* sippeer_options.h - the command line of sippeer.c. */
#ifndef POOLBRIDGE_BENCH_SIPPEER_OPTIONS_H
#define POOLBRIDGE_BENCH_SIPPEER_OPTIONS_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>

struct sippeer_options {
	struct sockaddr_in listen, connect; /* connect.sin_port 0: not given */
	const char *address, *log, *tally;  /* address: the one that it listens on */
	const char *transport;              /* as in a Via: UDP, TCP or TLS */
	char flow;
	char *from, *to;
	const char *from_domain, *to_domain;
	unsigned pairs, size;
	unsigned long first;
	double rate;
	bool deaf, registers, sessions, udp;
	SSL_CTX *server_tls, *client_tls; /* NULL: without */
};

extern struct sippeer_options sippeer_options;

/* Ends the program where it is wrong, or only help is wanted. */
void sippeer_read_options(int argc, char **argv);
void sippeer_free_options(void);

#endif
