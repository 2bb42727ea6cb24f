/*
 * sock_out.c - the buffers of output. Most streams are idle most of the time, and
 * have none; a busy one would make a new one each turn, so one is kept for whoever
 * writes next.
 */
#include "bridge/xmpp/sock_out.h"

enum { SPARE_MAX = 256 * 1024 /* bytes of a buffer that is kept */ };

static struct strbuf spare; /* empty */

size_t sock_out_left(const struct sock_out *o)
{
	return o->bytes.len - o->first;
}

const char *sock_out_next(const struct sock_out *o)
{
	return o->bytes.s + o->first;
}

void sock_out_add(struct sock_out *o, const void *bytes, size_t n)
{
	if (o->bytes.s == NULL) {
		o->bytes = spare;
		spare = (struct strbuf){ NULL, 0, 0 };
	}
	strbuf_add(&o->bytes, bytes, n);
}

void sock_out_written(struct sock_out *o, size_t n)
{
	o->first += n;
}

static void give_back(struct sock_out *o)
{
	if (o->bytes.cap > spare.cap && o->bytes.cap <= SPARE_MAX) {
		strbuf_free(&spare);
		spare = o->bytes;
		strbuf_reset(&spare);
		o->bytes = (struct strbuf){ NULL, 0, 0 };
	} else {
		strbuf_free(&o->bytes);
	}
	o->first = 0;
}

void sock_out_settle(struct sock_out *o)
{
	if (sock_out_left(o) == 0) {
		give_back(o);
	} else if (o->first > o->bytes.len / 2) {
		strbuf_consume(&o->bytes, o->first);
		o->first = 0;
	}
}

void sock_out_free(struct sock_out *o)
{
	strbuf_free(&o->bytes);
	o->first = 0;
}

void sock_out_cleanup(void)
{
	strbuf_free(&spare);
}
