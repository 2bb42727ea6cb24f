/*
 * map_told.h - what a contact was told of a local user, as the ledger keeps it:
 * a small JSON text, at most LEDGER_TOLD_MAX bytes. Pure functions.
 *
 * A resource that is not available in such a list has ended on the other side
 * while its user is moved, and the contact has not been told so yet.
 */
#ifndef POOLBRIDGE_GATEWAY_MAP_TOLD_H
#define POOLBRIDGE_GATEWAY_MAP_TOLD_H

#include "bridge/gateway/map_presence.h"

/* "" for an empty list; notes are left out where it would be too long. The caller frees it. */
char *told_write(const struct presence_list *list);
/* Into an empty list. What cannot be read is left out. */
void told_read(const char *text, struct presence_list *out);

#endif
