/*
 * pool.h - a SIP endpoint of memory, with a pool behind it that says 200 to everything: in the place of
 * bridge/sip/endpoint*.c and relay.c.
 */
#ifndef POOLBRIDGE_TESTS_INSTRUCTIONS_POOL_H
#define POOLBRIDGE_TESTS_INSTRUCTIONS_POOL_H

#include "bridge/sip/endpoint.h"

/* Answers what was sent since; returns how many requests there have been in all. */
unsigned pool_answer(void);
/* A MESSAGE of the pool; call_id and the body's text are its own. */
void pool_send_message(const char *from_uri, const char *to_uri, const char *call_id, const char *text);
/* How many of those had a 2xx. */
unsigned pool_accepted(void);

#endif
