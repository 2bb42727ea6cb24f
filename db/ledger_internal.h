/*
 * ledger_internal.h - what the two files of the ledger share. Internal to db/.
 */
#ifndef POOLBRIDGE_DB_LEDGER_INTERNAL_H
#define POOLBRIDGE_DB_LEDGER_INTERNAL_H

#include "db/ledger.h"
#include "db/statement.h"

struct ledger {
	struct state *state;
	struct db *db;
	struct ledger_limits limits;
	int64_t last_dialog; /* the number that one was given last; 0: none yet */
};

/* Parameters 1 to 3. */
void ledger_bind_key(struct statement *st, const struct ledger_key *key);
/* Columns 0 to 2. ERR_IO: what is stored there is no key. */
MUST_CHECK enum err ledger_read_key(struct ledger *l, struct statement *st, struct ledger_key *out);

#endif
