/*
 * partner_file.h - partners as JSON documents and as rows of a CSV file, ours
 * or what Get-CsXmppAllowedPartner exports.
 */
#ifndef POOLBRIDGE_CTL_PARTNER_FILE_H
#define POOLBRIDGE_CTL_PARTNER_FILE_H

#include "bridge/ctl/csv.h"
#include "bridge/ctl/ctl.h"

/* Every column, and the aliases; NULL when the registry failed. */
json_t *partner_document(struct db *db, const struct partner *p);

/* The same and what the settings amount to: "authentication". */
json_t *partner_details(struct db *db, const struct partner *p);

/* The negotiation's refusal or warning for a partner; false: refused and reported. */
MUST_CHECK bool partner_check(struct ctl *ctl, const char *where, const struct partner *p);

/* "HOST[:PORT]", normalised; an empty text is no proxy. */
MUST_CHECK bool partner_set_proxy(struct ctl *ctl, const char *where, const char *text, struct partner *p);
MUST_CHECK bool partner_set_connections(struct ctl *ctl, const char *where, const char *text,
					struct partner *p);
MUST_CHECK bool partner_set_description(struct ctl *ctl, const char *where, const char *text,
					struct partner *p);
/* One alias, normalised; false: refused and reported. *added is false when it was there. */
MUST_CHECK bool partner_add_alias(struct ctl *ctl, const char *where, const char *partner, const char *text,
				  bool *added);

#define PARTNER_FIELDS 11

struct partner_file {
	const char *path;
	struct csv csv;
	bool microsoft;             /* Get-CsXmppAllowedPartner's, with its defaults */
	int column[PARTNER_FIELDS]; /* by field; -1: not there */
};
/* False: it cannot be read, or is none, and that is reported. Close it in both cases. */
MUST_CHECK bool partner_file_open(struct ctl *ctl, const char *path, struct partner_file *out);
void partner_file_close(struct partner_file *f);

/* The next row, over what the registry has; false at the end. Bad rows are reported and skipped. */
struct partner_row {
	char where[300]; /* "FILE:3: " */
	struct partner partner;
	bool known;          /* the registry had it */
	const char *aliases; /* as written; NULL: the file does not say */
};
MUST_CHECK bool partner_file_next(struct ctl *ctl, struct partner_file *f, struct partner_row *row);

/* Writing our kind: the line of names, and a partner_document() as a row. */
void partner_file_header(struct strbuf *out);
void partner_file_row(struct strbuf *out, const json_t *document);

#endif
