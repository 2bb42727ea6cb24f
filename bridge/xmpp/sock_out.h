/*
 * sock_out.h - what is to leave a connection: bytes in order, in a buffer that is
 * there only while it holds something.
 */
#ifndef POOLBRIDGE_XMPP_SOCK_OUT_H
#define POOLBRIDGE_XMPP_SOCK_OUT_H

#include "bridge/core/base.h"

/* Zero-initialise it. */
struct sock_out {
	struct strbuf bytes;
	size_t first; /* so many are written already */
};

size_t sock_out_left(const struct sock_out *o);
const char *sock_out_next(const struct sock_out *o);
void sock_out_add(struct sock_out *o, const void *bytes, size_t n);
void sock_out_written(struct sock_out *o, size_t n);
/* Behind a round of writing: memory that is not needed is given back. */
void sock_out_settle(struct sock_out *o);
void sock_out_free(struct sock_out *o);
/* The end of the process. */
void sock_out_cleanup(void);

#endif
