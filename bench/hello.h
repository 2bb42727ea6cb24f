/*
 * hello.h - what peer.c writes until a stream is trusted: headers, features, and the proofs of
 * XEP-0114 and SASL EXTERNAL, all as its options say. Nothing is kept.
 */
#ifndef POOLBRIDGE_BENCH_HELLO_H
#define POOLBRIDGE_BENCH_HELLO_H

#include "bench/end.h"

void hello_stream(struct connection *c);    /* of a server */
void hello_component(struct connection *c); /* of a component */
void hello_host(struct connection *c);      /* the server's answer to it */
void hello_handshake(struct connection *c, const char *id);
void hello_features(struct connection *c, bool trusted);
void hello_auth(struct connection *c);

#endif
