/*
 * ledger.h - the subscription ledger: who watches whose presence across the
 * bridge, how we know, and the SIP dialogs that carry it. In the state file.
 *
 * A row is a half of a subscription: no row means none. Addresses are bare and
 * normalised (jid_bare). Every change joins the turn's transaction
 * (state_begin); times are Unix seconds, given by the caller.
 *
 * Changes: ERR_LIMIT when the row would be one too many; ERR_REFUSED, a rule of
 * the schema; ERR_NOT_FOUND where a row must be there; ERR_IO, ERR_BUSY.
 */
#ifndef POOLBRIDGE_DB_LEDGER_H
#define POOLBRIDGE_DB_LEDGER_H

#include "db/state.h"

enum ledger_direction {
	LEDGER_TO_CONTACT, /* the local user watches the contact */
	LEDGER_TO_LOCAL    /* the contact watches the local user */
};
enum ledger_state { LEDGER_PENDING, LEDGER_ACTIVE };
enum ledger_via { LEDGER_GATEWAY, LEDGER_LEGACY }; /* whose user made it: ours, or the legacy gateway's */
/*
 * How we know; the weakest first. A probe is only the watcher's word: it approves nothing.
 * Presence was sent as to a subscriber. A handshake was seen to its end, or to where it stands.
 */
enum ledger_evidence { LEDGER_PROBE, LEDGER_PRESENCE, LEDGER_HANDSHAKE };

const char *ledger_direction_name(enum ledger_direction v); /* "to-contact", "to-local" */
const char *ledger_state_name(enum ledger_state v);         /* "pending", "active" */
const char *ledger_via_name(enum ledger_via v);             /* "gateway", "legacy" */
const char *ledger_evidence_name(enum ledger_evidence v);   /* "probe", "presence", "handshake" */

struct ledger_key {
	const char *local, *contact;
	enum ledger_direction direction;
};

struct ledger_entry {
	enum ledger_state state;
	enum ledger_via via;
	enum ledger_evidence evidence;
	int64_t since; /* when it came into this state */
	int64_t seen;  /* when something last showed that it is so */
};

struct ledger_limits {
	int64_t per_user, total; /* rows; half of each for rows that are not an active handshake */
};

#define LEDGER_TOLD_MAX    65536 /* bytes of a text that was told */
#define LEDGER_DIALOGS_MAX 64    /* dialogs of one row */

struct ledger;

/* The state is borrowed. A reader (state_open_reader) needs no limits: NULL. */
struct ledger *ledger_create(struct state *state, const struct ledger_limits *limits);
void ledger_destroy(struct ledger *l); /* NULL is allowed */
struct state *ledger_state(const struct ledger *l);

/* The words for the last failure. */
const char *ledger_error(const struct ledger *l);

MUST_CHECK enum err ledger_get(struct ledger *l, const struct ledger_key *key, struct ledger_entry *out);
/* Insert or change; what was told is kept. */
MUST_CHECK enum err ledger_put(struct ledger *l, const struct ledger_key *key,
			       const struct ledger_entry *entry);
/* With its dialogs. */
MUST_CHECK enum err ledger_remove(struct ledger *l, const struct ledger_key *key);
/* All rows of one address, local user or contact; how many there were. */
MUST_CHECK enum err ledger_erase(struct ledger *l, const char *address, int64_t *count);

/*
 * The presence that the watcher was told last, in whatever form the caller keeps it, so that after
 * a restart nobody stays online who is not. "": nothing.
 */
MUST_CHECK enum err ledger_tell(struct ledger *l, const struct ledger_key *key, const char *told);
MUST_CHECK enum err ledger_told(struct ledger *l, const struct ledger_key *key, struct strbuf *out);

/*
 * All rows, or those of one local user (NULL: all), in order of local, contact, direction; one at a
 * time, none is kept. The strings last for the callback, which changes nothing in the ledger;
 * false ends the walk.
 */
typedef bool ledger_each_fn(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
			    const char *told);
MUST_CHECK enum err ledger_each(struct ledger *l, const char *local, ledger_each_fn *fn, void *ctx);
/*
 * All rows behind this key in that order; there need be no such row. { local, "", LEDGER_TO_CONTACT } is
 * before all of a user's, { "", "", LEDGER_TO_CONTACT } before all. For walks in slices.
 */
MUST_CHECK enum err ledger_each_after(struct ledger *l, const struct ledger_key *key, ledger_each_fn *fn,
				      void *ctx);

/* A SIP dialog of a subscription whose row is there; several for one row when several endpoints watch. */
struct ledger_dialog {
	int64_t id; /* given by ledger_add_dialog(), never used twice */
	struct ledger_key key;
	const char *dialog;   /* JSON text */
	const char *event_id; /* the id parameter of Event; "" for none */
	int64_t expires_at;
};
MUST_CHECK enum err ledger_add_dialog(struct ledger *l, const struct ledger_dialog *d, int64_t *id);
/* The dialog's text, event_id and expires_at, by id. */
MUST_CHECK enum err ledger_set_dialog(struct ledger *l, const struct ledger_dialog *d);
MUST_CHECK enum err ledger_remove_dialog(struct ledger *l, int64_t id);
/* As ledger_each(). */
typedef bool ledger_dialog_fn(void *ctx, const struct ledger_dialog *d);
MUST_CHECK enum err ledger_each_dialog(struct ledger *l, const char *local, ledger_dialog_fn *fn, void *ctx);

struct ledger_counts {
	int64_t subscriptions, dialogs;
};
MUST_CHECK enum err ledger_count(struct ledger *l, struct ledger_counts *out);

#endif
