/*
 * handover.h - who has been moved, and whose presence follows: walks over the
 * ledger, at a pace that neither the pools nor the loop feel.
 */
#ifndef POOLBRIDGE_GATEWAY_HANDOVER_H
#define POOLBRIDGE_GATEWAY_HANDOVER_H

#include <jansson.h>

struct handover;
struct presence_book;

/* Looks at everybody: what was begun before a restart goes on. The book has its ledger. */
struct handover *handover_create(struct presence_book *b);
/* Rows were written for a pair that changes sides: should this turn's commit fail, all are looked at again. */
void handover_wrote(struct handover *h);
void handover_destroy(struct handover *h); /* NULL is allowed, here and below */

/* Something has changed that decides where this user's presence is carried; NULL: anybody's. */
void handover_look(struct handover *h, const char *user);

/* {"waiting": users to look at, "walking": whether everybody is, "under_way": pairs}; the caller owns it. */
json_t *handover_status(const struct handover *h);

#endif
