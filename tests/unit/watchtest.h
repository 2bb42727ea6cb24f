/*
 * watchtest.h - presence between a router that only records, a pool of bare
 * sockets and a real ledger in a temporary folder; and starting it again.
 */
#ifndef POOLBRIDGE_TESTS_WATCHTEST_H
#define POOLBRIDGE_TESTS_WATCHTEST_H

#include "bridge/gateway/gateway.h"
#include "fakerouter.h"
#include "sippeer.h"
#include "statetest.h"

/* TEST_NET: three quarters of an address, of each program its own (tests/Makefile.inc). */
#define OURS     TEST_NET ".1"
#define NEW_POOL TEST_NET ".2"
#define OLD_POOL TEST_NET ".3"

#define JULIET  "juliet@partner.test"
#define BALCONY JULIET "/balcony"
#define TYBALT  "tybalt@corp.test"

#define PIDF_IS "Content-Type: application/pidf+xml\r\n"

enum { WATCHTEST_RECORDS = 2048 };

struct router {
	struct fakerouter fake;
	struct verdict verdict; /* of everything */
	bool unreadable;        /* the registry */
	bool lost;              /* what is submitted is not delivered */
	bool hold;              /* nobody says yet what became of it */
	struct submission held[WATCHTEST_RECORDS];
	size_t held_count;
	struct stanza *submitted[WATCHTEST_RECORDS];
	size_t submitted_count;
};

struct watchtest {
	struct nettest net;
	struct config config;
	struct router router;
	struct statetest state;
	struct gateway *gateway;
	struct sippeer pool;   /* where our requests go */
	struct sippeer client; /* of the same pool: where its requests come from */
	struct sippeer legacy; /* where our requests to the legacy pool go */
	struct outcome told;   /* of the stanza given last */
	unsigned number, t1_ms;
	unsigned expires;        /* seconds that the pool grants */
	int64_t per_user, total; /* limits of the ledger */
	bool no_ledger;
	bool no_commit;      /* what a turn has written is not on disk at its end */
	const char *event;   /* of the SUBSCRIBEs to us; NULL: presence */
	const char *display; /* before their From; NULL: nothing */
};

/* A dialog as the pool sees it. */
struct peer_dialog {
	char call_id[256], from[512], to[512], target[256], event[128];
	unsigned cseq;
};

/* watchtest_prepare(), the test's own settings, watchtest_open(). */
void watchtest_prepare(struct watchtest *t);
void watchtest_open(struct watchtest *t);
void watchtest_begin(struct watchtest *t); /* both */
void watchtest_end(struct watchtest *t);
void watchtest_clean(struct watchtest *t); /* after a test that failed; t is not on its stack */
/* As after kill -9, but for what the last turn wrote, which is on disk. */
void watchtest_stop(struct watchtest *t);
void watchtest_restart(struct watchtest *t);
int64_t watchtest_counter(const struct watchtest *t, const char *name);
/* Runs until the counter is that. */
void watchtest_becomes(struct watchtest *t, const char *name, int64_t value);
/* The first column of the first row in the state file. */
const char *watchtest_value(struct watchtest *t, const char *sql);

/* --- XMPP --- */

/* Presence of Juliet to Tybalt; type NULL: available; from NULL: her bare address, but for "available". */
void watchtest_give(struct watchtest *t, const char *type, const char *from, const char *inner);
/* A message of Juliet to Tybalt. */
void watchtest_write(struct watchtest *t);
/* The next stanza for XMPP, in order, as text; good until the next call. */
const char *watchtest_stanza(struct watchtest *t);
/* The same, and it holds that text. */
const char *watchtest_hears(struct watchtest *t, const char *text);
/* A stanza from Tybalt to Juliet of that type ("available" for none), bare, with nothing in it. */
void watchtest_hears_type(struct watchtest *t, const char *type);
/* The next one is of that type, in Juliet's name to Tybalt, for the legacy gateway. */
void watchtest_asks(struct watchtest *t, const char *type);
/* Nothing more has been said, to either side. */
void watchtest_quiet(struct watchtest *t);

/* --- SIP, from us: a subscription at the pool --- */

/* The next request that we sent to the pool, which must be of that method. */
const char *watchtest_request(struct watchtest *t, const char *method);
const char *watchtest_request_at(struct watchtest *t, struct sippeer *peer, const char *method);
/* Answers it; its To gets the tag "peer" where it has none. extra: whole header lines. */
void watchtest_answer(struct watchtest *t, const char *status, const char *extra, const char *body);
void watchtest_answer_at(struct sippeer *peer, const char *status, const char *extra, const char *body);
/* The dialog of the SUBSCRIBE received last, before it is answered; a refresh must be in this one. */
void watchtest_dialog(struct watchtest *t, struct peer_dialog *d);
/* A request in a dialog. */
void watchtest_send(struct watchtest *t, struct peer_dialog *d, const char *method, const char *extra,
		    const char *body);
/* A NOTIFY with that Subscription-State, which is answered 200; body NULL: none. */
void watchtest_notify(struct watchtest *t, struct peer_dialog *d, const char *state, const char *body);
/* The next response to the pool: "200 OK", to that method. */
const char *watchtest_response(struct watchtest *t, const char *status, const char *method);

/* SUBSCRIBE is received and answered 200, "active" follows with that document. */
void watchtest_accept(struct watchtest *t, struct peer_dialog *d, const char *body);
/* Juliet has asked, and it was so; she has been told "subscribed" and what is in the document. */
void watchtest_subscribed(struct watchtest *t, struct peer_dialog *d, const char *body);

/* --- SIP, to us: an endpoint of Tybalt watches Juliet --- */

/* A SUBSCRIBE outside a dialog; extra: whole header lines. */
void watchtest_subscribe(struct watchtest *t, struct peer_dialog *d, const char *extra);
/* It was answered 200; d is complete then. */
const char *watchtest_accepted(struct watchtest *t, struct peer_dialog *d);
/*
 * The next NOTIFY, answered 200: its Subscription-State begins with that, and it is of that dialog
 * (NULL: any). Returns it; it has no document when body is NULL, else one with that text.
 */
const char *watchtest_notified(struct watchtest *t, const struct peer_dialog *d, const char *state,
			       const char *body);
/* Tybalt has subscribed, and Juliet approved. */
void watchtest_approved(struct watchtest *t, struct peer_dialog *d);

#endif
