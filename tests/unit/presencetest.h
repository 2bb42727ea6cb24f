/*
 * presencetest.h - presence written in one line, for tables of tests.
 */
#ifndef POOLBRIDGE_TESTS_PRESENCETEST_H
#define POOLBRIDGE_TESTS_PRESENCETEST_H

#include "bridge/gateway/map_presence.h"

/* "balcony: open away 5 'on the balcony'@en": "-" for no resource, "none" for SHOW_NONE. */
void presence_draw(struct strbuf *b, const struct presence *p);
/* The resources in their order, with "; " between. The caller frees it. */
char *presence_list_draw(const struct presence_list *l);

#endif
