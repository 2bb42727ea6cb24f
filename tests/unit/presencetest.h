/*
 * presencetest.h - presence written in one line, for tables of tests; documents and their reading.
 */
#ifndef POOLBRIDGE_TESTS_PRESENCETEST_H
#define POOLBRIDGE_TESTS_PRESENCETEST_H

#include "bridge/gateway/map_presence_internal.h"

#define PIDF(inner)                                                                                          \
	"<?xml version='1.0' encoding='UTF-8'?>\n<presence xmlns='" NS_PIDF "' xmlns:dm='" NS_DATA_MODEL     \
	"' xmlns:rpid='" NS_RPID "' xmlns:ep='" NS_RPID_STATUS "' entity='sip:romeo@corp.test'>" inner       \
	"</presence>"
#define OPEN          "<status><basic>open</basic></status>"
#define TUPLE(inner)  PIDF("<tuple id='t'>" inner "</tuple>")
#define STATUS(inner) TUPLE("<status><basic>open</basic>" inner "</status>")

/* "balcony: open away 5 'on the balcony'@en": "-" for no resource, "none" for SHOW_NONE. */
void presence_draw(struct strbuf *b, const struct presence *p);
/* The resources in their order, with "; " between. The caller frees it. */
char *presence_list_draw(const struct presence_list *l);

MUST_CHECK enum err presence_read_text(const char *type, const char *bytes, const struct presence_list *known,
				       struct presence_list *out);
/* The test fails, with the number of its case, unless that is what is read. */
void presence_expect(size_t at, const char *type, const char *bytes, const struct presence_list *known,
		     const char *drawn);

#endif
