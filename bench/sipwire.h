/*
 * sipwire.h - SIP messages as text, for bench/sippeer: read in one pass, and answered.
 *
 * Only what that program needs: no folded lines, no several values in one line.
 */
#ifndef POOLBRIDGE_BENCH_SIPWIRE_H
#define POOLBRIDGE_BENCH_SIPWIRE_H

#include "bridge/core/base.h"

enum { SIPWIRE_COPIES = 8 };

/* Points into the bytes that were read. */
struct slice {
	const char *s;
	size_t n;
};

struct sipwire {
	struct slice first;                  /* the start line */
	struct slice copied[SIPWIRE_COPIES]; /* Via, From, Call-ID and CSeq: whole lines */
	size_t copies;
	struct slice to, call_id, cseq, contact;
	struct slice body;
	size_t size; /* of all */
};

/* False: it is not all there yet, or no such message. */
bool sipwire_read(const char *data, size_t size, struct sipwire *out);
bool sipwire_is(const struct sipwire *m, const char *beginning); /* of the start line */
/* 0: a request. */
unsigned sipwire_status(const struct sipwire *m);
/* status: "200 OK"; tag: for To, where it has none; rest: further lines, the empty line, and a body. */
void sipwire_answer(struct strbuf *out, const struct sipwire *request, const char *status, const char *tag,
		    const char *rest);

#endif
