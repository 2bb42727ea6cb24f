/*
 * shed.h - what becomes of a peer's connection when there is no descriptor for it:
 * it is closed, rather than waited for by a loop that spins.
 */
#ifndef POOLBRIDGE_SIP_SHED_H
#define POOLBRIDGE_SIP_SHED_H

#include "bridge/core/loop.h"

struct sip_shed;

/* A listening socket of sofia-sip's, which stays its; -1 is left alone. */
void sip_shed_add(struct sip_shed **list, struct loop *loop, int listener);
void sip_shed_free(struct sip_shed **list);

#endif
