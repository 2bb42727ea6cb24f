/*
 * answers.h - the error stanza that tells a sender that what he sent was not
 * delivered, from when it is made until his server has it.
 *
 * Whoever is answered for lets go of the message only then: acknowledges it
 * upstream, or takes it out of the spool.
 */
#ifndef POOLBRIDGE_ROUTE_ANSWERS_H
#define POOLBRIDGE_ROUTE_ANSWERS_H

#include "bridge/route/custody.h"
#include "bridge/route/duplicates.h"

struct answers;

/* What is answered, and how. */
struct answer {
	enum edge edge; /* by which it came, and the error leaves */
	const struct stanza *stanza;
	const struct outcome *outcome;
	bool again; /* kept elsewhere: while the link's queue is full it is not over, but to be tried again */
};

struct answers *answers_create(struct s2s *s2s);
void answers_destroy(struct answers *a);                                       /* NULL is allowed */
void answers_set_duplicates(struct answers *a, struct duplicates *duplicates); /* borrowed; NULL: none */

/*
 * done is called once: over when the error was delivered, when it cannot be delivered for as long as a stanza may
 * wait (which is logged and counted), and, from inside, when none is to be sent: for an error, or for presence that
 * only tells a state. Not over, when the bridge stops: the next process, or the sender's server, has it still.
 */
void answers_send(struct answers *a, const struct answer *what, told_fn *done, void *ctx);

/* An answer of another kind that has not arrived: logged, counted. */
void answers_note(struct answers *a, const struct stanza *stanza, const struct outcome *outcome);

uint64_t answers_sent(const struct answers *a);
uint64_t answers_failed(const struct answers *a); /* undeliverable */

#endif
