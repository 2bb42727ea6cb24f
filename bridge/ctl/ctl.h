/*
 * ctl.h - what every command of poolbridgectl works with: the invocation, the
 * registry, and one way to report results, warnings and errors.
 *
 * With --json, standard output holds exactly one JSON document, whatever happens.
 */
#ifndef POOLBRIDGE_CTL_CTL_H
#define POOLBRIDGE_CTL_CTL_H

#include <jansson.h>

#include "bridge/core/config.h"
#include "bridge/ctl/command.h"
#include "bridge/xmpp/jid.h"
#include "db/audit.h"
#include "db/registry.h"

struct ctl {
	const struct invocation *inv;
	const struct config *config;
	struct db *db;
	char actor[128]; /* "alice via poolbridgectl" */
	json_t *warnings, *errors;
	bool committed; /* a change is in the registry */
	bool printed;   /* the document is out, or has begun */
	size_t listed;  /* items of a list so far */
};

/* --- reporting: ctl_report.c --- */

/* An error: what, where, how to mend. Always returns 1, the exit status. */
int ctl_fail(struct ctl *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same for a command line that cannot be meant: returns 2. */
int ctl_usage(struct ctl *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The registry failed (not: refused); returns 1. */
int ctl_fail_db(struct ctl *ctl, enum err e);
void ctl_warn(struct ctl *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* With --json the document (consumed) with the warnings so far; else nothing. Returns 0. */
int ctl_document(struct ctl *ctl, json_t *document);
/* For people: printed unless --json is given; controls in the text are made harmless. */
void ctl_say(struct ctl *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A JSON string of any text: what is no UTF-8 in it is replaced. */
json_t *ctl_text(const char *text);

/* A list too long to be held: a JSON array, an item at a time (consumed). */
void ctl_list_begin(struct ctl *ctl);
void ctl_list_item(struct ctl *ctl, json_t *item);
void ctl_list_end(struct ctl *ctl);

/* What is still owed at the end: the errors as a document; lost output is an error too. Returns the status. */
int ctl_finish(struct ctl *ctl, int status);

/* --- the registry: ctl.c --- */

void ctl_init(struct ctl *ctl, const struct invocation *inv);
void ctl_free(struct ctl *ctl);

/* A change: begin, and commit when status is 0, else roll back. Both report their failures. */
int ctl_begin(struct ctl *ctl);
int ctl_end(struct ctl *ctl, int status);

/* --- names: name.c. False: reported as an error with the place ("FILE:3: ", or "") before it --- */

MUST_CHECK bool name_domain(struct ctl *ctl, const char *where, const char *text,
			    char out[JID_DOMAIN_MAX + 1]);
/* A domain, or "*". */
MUST_CHECK bool name_partner(struct ctl *ctl, const char *where, const char *text,
			     char out[JID_DOMAIN_MAX + 1]);
/* local@domain without a resource; "sip:" before it is dropped. */
MUST_CHECK bool name_address(struct ctl *ctl, const char *where, const char *text, char out[JID_BARE_SIZE]);
/* The same in a local domain of the registry: a mistyped one would look like a user for whom there is nothing. */
MUST_CHECK bool name_local_user(struct ctl *ctl, const char *text, char out[JID_BARE_SIZE]);
/* An address of any kind, for routes: a resource is allowed, and so is a domain alone. */
MUST_CHECK bool name_jid(struct ctl *ctl, const char *text, struct jid *out);

/* Report that there is no such domain or partner, and which one is near; returns 1. */
int name_no_domain(struct ctl *ctl, const char *where, const char *name);
int name_no_partner(struct ctl *ctl, const char *where, const char *name);

#endif
