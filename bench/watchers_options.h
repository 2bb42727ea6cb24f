/* watchers_options.h - what the command line told watchers.c. */
#ifndef POOLBRIDGE_BENCH_WATCHERS_OPTIONS_H
#define POOLBRIDGE_BENCH_WATCHERS_OPTIONS_H

#include <netinet/in.h>

struct watchers_options {
	struct sockaddr_in listen, xmpp, sip;
	const char *address;
	unsigned long pairs;
};
extern struct watchers_options watchers_options;

/* Ends the program where something is wrong. */
void watchers_read_options(int argc, char **argv);

#endif
