/* crowd_options.h - what the command line told crowd.c. */
#ifndef POOLBRIDGE_BENCH_CROWD_OPTIONS_H
#define POOLBRIDGE_BENCH_CROWD_OPTIONS_H

#include <netinet/in.h>

#include "bridge/core/base.h"

enum said { SAID_NOTHING, SAID_HEADER, SAID_ELEMENT, SAID_SECURE, SAID_TRUSTED };

struct crowd_options {
	struct sockaddr_in listen, connect;
	const char *from, *to;
	unsigned domains;
	enum said said;
};
extern struct crowd_options crowd_options;

/* Ends the program where something is wrong. */
void crowd_read_options(int argc, char **argv);

#endif
