/*
 * sippeer.h - a SIP peer of bare sockets, for tests that look at the bytes on
 * the wire. It knows message boundaries and nothing else.
 */
#ifndef POOLBRIDGE_TESTS_SIPPEER_H
#define POOLBRIDGE_TESTS_SIPPEER_H

#include "nettest.h"

struct sippeer {
	struct nettest *net;
	bool tcp;
	int listener; /* -1: none */
	int fd;       /* -1: nobody has connected yet */
	struct sockaddr_in to;
	struct strbuf in;
	struct strbuf message; /* the last one received */
	/*
	 * Over UDP a slow machine makes the other side repeat its requests: those are passed
	 * over, unless the test is about them.
	 */
	bool hear_repeats;
	char *recent[32];
	size_t recent_next;
};

/* All fail the test when the system refuses. */
void sippeer_udp(struct sippeer *p, struct nettest *net, const char *address);    /* at port 5060 */
void sippeer_listen(struct sippeer *p, struct nettest *net, const char *address); /* TCP, at port 5060 */
void sippeer_connect(struct sippeer *p, struct nettest *net, const char *from, const char *to); /* TCP */
void sippeer_close(struct sippeer *p);

/* Where a UDP peer sends to, until it receives something. */
void sippeer_aim(struct sippeer *p, const char *address);
void sippeer_send(struct sippeer *p, const char *bytes, size_t size);
void sippeer_printf(struct sippeer *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Is there a whole message (in p->message then)? Does not wait. */
bool sippeer_poll(struct sippeer *p);
/* Run the loop until there is one; the text is p->message.s. */
const char *sippeer_receive(struct sippeer *p);

/* Answer the message received last; extra: whole header lines, or "". */
void sippeer_answer(struct sippeer *p, const char *status, const char *extra);

/* The value of a header field of that message, in a static buffer; NULL when there is none. */
const char *sip_field(const char *message, const char *name);
/* How many lines of the header begin with this text. */
unsigned sip_count_lines(const char *message, const char *start);
const char *sip_body(const char *message);

#endif
