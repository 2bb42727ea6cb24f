/*
 * gatewaytest.h - the gateway between a router that only records and a pool of
 * bare sockets, with what a SIP session needs: for tests of conversations.
 */
#ifndef POOLBRIDGE_TESTS_GATEWAYTEST_H
#define POOLBRIDGE_TESTS_GATEWAYTEST_H

#include "bridge/gateway/gateway.h"
#include "fakerouter.h"
#include "sippeer.h"

/* TEST_NET: three quarters of an address, of each program its own (tests/Makefile.inc). */
#define OURS     TEST_NET ".1"
#define NEW_POOL TEST_NET ".2"
#define OLD_POOL TEST_NET ".3"

#define JULIET "juliet@partner.test/balcony"
#define TYBALT "tybalt@corp.test"

#define NO_BODY   ""
#define TEXT_TYPE "Content-Type: text/plain;charset=UTF-8\r\n"
#define SDP_TYPE  "Content-Type: application/sdp\r\n"
#define SDP_LINES                                                                                            \
	"v=0\r\no=- 0 0 IN IP4 192.0.2.50\r\ns=session\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"                  \
	"m=message 5060 sip null\r\na=accept-types:text/plain"
#define SDP        SDP_LINES " text/html\r\n"
#define SDP_TYPING SDP_LINES " application/im-iscomposing+xml\r\n"
/* A session with an answer like this has been accepted; the text in the INVITE was read, or not. */
#define ACCEPTED "Contact: <sip:tybalt@" NEW_POOL ":5060>\r\n" SDP_TYPE
#define READ_IT  "Supported: ms-sender, MS-Text-Format\r\n"

/* The router was given this. */
struct submitted {
	struct stanza *stanza;
	delivery_fn *done; /* NULL: it was told at once */
	void *ctx;
	bool takes_back;
};

/* What was told of a stanza that the gateway took. */
struct told {
	char id[32];
	bool confirmed;
	enum condition condition;
	bool unsent;
	char text[256];
};

enum { GATEWAYTEST_RECORDS = 128 };

struct router {
	struct fakerouter fake;
	struct submitted submitted[GATEWAYTEST_RECORDS];
	size_t submitted_count;
	struct verdict verdict; /* of every user; at first the gateway, to the new pool */
	bool hold;              /* delivery is the test's to tell; else it is confirmed at once */
	struct told told[GATEWAYTEST_RECORDS];
	size_t told_count;
};

struct gatewaytest {
	struct nettest net;
	struct config config;
	struct router router;
	struct gateway *gateway;
	struct sippeer pool, legacy; /* UDP, both */
	struct sippeer *peer;        /* the one that is spoken with now; at first the new pool */
	unsigned number;
	unsigned t1_ms; /* before gatewaytest_open() */
};

/* A dialog as the pool's client sees it. */
struct peer_dialog {
	char call_id[256], from[512], to[512], target[256];
	unsigned cseq;
};

/* gatewaytest_prepare(), the test's own settings, gatewaytest_open(). */
void gatewaytest_prepare(struct gatewaytest *t, enum pool_mode mode);
void gatewaytest_open(struct gatewaytest *t);
void gatewaytest_begin(struct gatewaytest *t, enum pool_mode mode); /* both */
void gatewaytest_end(struct gatewaytest *t);
int64_t gatewaytest_counter(const struct gatewaytest *t, const char *name);

/* --- XMPP --- */

/* What is NULL is a chat message "hi" from Juliet to Tybalt with the id "1". */
struct given {
	enum stanza_kind kind;
	const char *from, *to, *id, *type, *lang, *inner;
	bool at_legacy; /* the user is at the legacy pool, rather than the new one */
};
void gatewaytest_give(struct gatewaytest *t, const struct given *g);
#define GIVE(t, ...) gatewaytest_give(t, &(struct given){ __VA_ARGS__ })
#define STATE(name)  "<" name " xmlns='http://jabber.org/protocol/chatstates'/>"

/* A message that passes by the legacy gateway, of Tybalt's client there or (from_partner) to it; NULL as above. */
void gatewaytest_pass(struct gatewaytest *t, bool from_partner, const char *type, const char *inner);
#define OLD_CLIENT TYBALT "/old"

/* The next outcome, in order. */
struct told gatewaytest_told(struct gatewaytest *t);
void gatewaytest_confirmed(struct gatewaytest *t, const char *id);
/* It was not sent, and is to be tried again. */
void gatewaytest_put_back(struct gatewaytest *t, const char *id);
void gatewaytest_refused(struct gatewaytest *t, const char *id, enum condition condition);
/* The next stanza for XMPP, in order, as text; good until the next call. */
const char *gatewaytest_stanza(struct gatewaytest *t);
/* The same, and it holds that text. */
const char *gatewaytest_hears(struct gatewaytest *t, const char *text);
/* The user is somewhere else now, and the gateway is told of it. */
void gatewaytest_moved(struct gatewaytest *t, enum route route, enum pool pool);
/* Nothing more has been said or told. */
void gatewaytest_quiet(struct gatewaytest *t);
/* router.hold: the stanza that came last has arrived, or has not. */
void gatewaytest_delivered(struct gatewaytest *t, const struct outcome *outcome);

/* --- SIP: all of them speak with t->peer --- */

/* The next request, which must be of that method. */
const char *gatewaytest_request(struct gatewaytest *t, const char *method);
/* Answers the request received last; extra: whole header lines. Its To gets the tag "peer", where there is none. */
void gatewaytest_answer(struct gatewaytest *t, const char *status, const char *extra, const char *body);
/* The next response: "200 OK", to that method. */
const char *gatewaytest_response(struct gatewaytest *t, const char *status, const char *method);

/* After our INVITE has been received, and before it is answered. */
void gatewaytest_dialog(struct gatewaytest *t, struct peer_dialog *d);
/* An INVITE from Tybalt to Juliet; a dialog of its own. */
void gatewaytest_invite(struct gatewaytest *t, struct peer_dialog *d, const char *extra, const char *body);
/* The 200 to it, which is acknowledged; d is complete then. */
const char *gatewaytest_accepted(struct gatewaytest *t, struct peer_dialog *d);
/* A request in it. */
void gatewaytest_in_dialog(struct gatewaytest *t, struct peer_dialog *d, const char *method,
			   const char *extra, const char *body);

/* The XMPP user has written "first", and it opened a session; d may be NULL. */
void gatewaytest_session(struct gatewaytest *t, struct peer_dialog *d, const char *sdp);

/* A session of the pool's, without a first message. */
void gatewaytest_theirs(struct gatewaytest *t, struct peer_dialog *d, const char *sdp);

/* The text has nothing of that. */
void gatewaytest_absent(const char *text, const char *what);

#endif
