/*
 * hostport.h - "HOST", "HOST:PORT", "[V6]" and "[V6]:PORT": pure.
 */
#ifndef POOLBRIDGE_CORE_HOSTPORT_H
#define POOLBRIDGE_CORE_HOSTPORT_H

#include "bridge/core/base.h"

struct hostport {
	char host[254]; /* without brackets */
	uint16_t port;
};

/* fallback: the port where none is given; 0: one must be given. ERR_SYNTAX otherwise. */
MUST_CHECK enum err hostport_parse(const char *text, uint16_t fallback, struct hostport *out);

/* In words: what to do when one cannot be listened on; error: of bind() or listen(). */
const char *hostport_mend(int error);

#endif
