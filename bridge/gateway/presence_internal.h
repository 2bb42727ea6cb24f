/*
 * presence_internal.h - what the files of presence share.
 *
 * Two users know each other in two halves (RFC 6121 appendix A), from the local
 * user's side: "in", the contact watches the local user, for which we subscribe
 * at the pool (presence_subscriber.c); and "out", the local user watches the
 * contact, for which his endpoints subscribe at us (presence_notifier.c).
 */
#ifndef POOLBRIDGE_GATEWAY_PRESENCE_INTERNAL_H
#define POOLBRIDGE_GATEWAY_PRESENCE_INTERNAL_H

#include <uthash.h>

#include "bridge/gateway/map_presence.h"
#include "bridge/gateway/presence.h"
#include "bridge/route/subscription.h"
#include "bridge/sip/dialog.h"

/* The contact's subscription at the pool: ours, in his name. */
struct subscriber {
	struct watch *watch;
	struct sip_dialog *dialog;    /* NULL: there is none now */
	struct sip_outgoing *request; /* NULL: none under way */
	struct loop_timer *timer;     /* the next SUBSCRIBE, or the NOTIFY that is waited for */
	int64_t row;                  /* of the dialog in the ledger; 0: none */
	int64_t expires_at;           /* Unix seconds: as long holds what was last heard */
	int64_t began_ms;             /* when the dialog was made, of loop_now(); 0: before the start */
	int64_t least;                /* seconds that the pool insists on; 0: any */
	unsigned failures;            /* in a row */
	bool probed;                  /* begun by a probe alone: nobody has asked for approval */
	bool awaited;                 /* a NOTIFY has to follow the SUBSCRIBE */
	bool ending;                  /* Expires: 0 was sent */
	bool farewell;                /* ending: "unsubscribed" is still to be said */
	bool last_heard;              /* ending: the last NOTIFY has come */
	UT_hash_handle hh;
	char *key; /* Call-ID and local tag; owned */
};

/* One endpoint of the local user that watches the contact. */
struct notifier {
	struct watch *watch;
	struct sip_dialog *dialog;
	struct sip_outgoing *request; /* a NOTIFY; NULL: none under way */
	struct loop_timer *timer;     /* the end of the subscription */
	char *event_id;               /* the id parameter of Event; NULL: none */
	int64_t row, expires_at;
	bool dirty;         /* there is something new since the NOTIFY that is under way */
	bool over;          /* the NOTIFY under way, or to come, is the last */
	bool look;          /* one NOTIFY was asked for */
	unsigned failures;  /* of NOTIFYs, in a row */
	const char *reason; /* of its end; static */
	struct notifier *prev, *next;
	UT_hash_handle hh;
	char *key; /* owned */
};

/* A local user and a contact who know each other, one way or both. */
struct watch {
	struct presence_book *book;
	struct subscription state;
	struct subscriber *subscriber; /* NULL: the contact does not watch */
	bool untold;                   /* it may not have arrived: tell all of it again */
	struct presence_list told;     /* of the local user, as the contact has it */
	struct notifier *notifiers;
	bool heard;                 /* known is what the contact says, not what we assume */
	struct presence_list known; /* of the contact */
	UT_hash_handle hh;
	size_t local_length;
	char key[]; /* "LOCAL CONTACT", bare */
};

/* What is on its way to contacts; outlives the book until the router has told of all of it. */
struct delivery {
	struct presence_book *book; /* NULL: gone */
	size_t under_way;
};

struct presence_book {
	struct gateway *gateway;
	struct ledger *ledger;
	struct delivery *delivery;
	struct watch *watches;
	struct subscriber *subscribers; /* by key */
	struct notifier *notifiers;     /* by key */
	size_t under_way;               /* SUBSCRIBEs */
	size_t probing;                 /* subscribers begun by a probe alone */
	struct watch *next_watch;       /* after the start: to be looked after */
	struct loop_timer *start_timer;
	bool asked; /* contacts have been asked for their presence since the start */
	/* Counters for status. */
	uint64_t notified, notices, refused;
};

/* presence.c */
struct watch *watch_get(struct presence_book *b, const struct jid *local, const struct jid *contact);
struct watch *watch_find(struct presence_book *b, const struct jid *local, const struct jid *contact);
/* Nothing is left of it: it is forgotten. */
void watch_check(struct watch *w);
bool watch_jids(const struct watch *w, struct jid *local, struct jid *contact);
const char *watch_contact(const struct watch *w);
void watch_local(const struct watch *w, char out[JID_BARE_SIZE]);
/* From the local user to the contact: one of the types of subscriptions, or a probe. */
void watch_send(struct watch *w, const char *type);
/* "subscribe"; name: what the local user is called (XEP-0172); "", or the address again: nothing. */
void watch_ask(struct watch *w, const char *name);
/* Where it is to be carried now, and what the partner may see. */
MUST_CHECK enum err watch_decide(const struct watch *w, struct verdict *out);
/* The watch's own errors are the caller's to answer. */
MUST_CHECK enum err watch_step(struct watch *w, struct subscription next);

/* presence_store.c: what the ledger keeps of it. */
struct ledger_key watch_key(const struct watch *w, enum ledger_direction direction,
			    char local[JID_BARE_SIZE]);
void store_dialog(struct watch *w, enum ledger_direction direction, const struct sip_dialog *dialog,
		  const char *event_id, int64_t expires_at, int64_t *row);
void store_remove_dialog(struct presence_book *b, int64_t *row);
void store_told(struct watch *w);
void store_read_told(struct watch *w, const char *text);
int64_t unix_now(void);

/* presence_start.c: what is done once, at the start. */
MUST_CHECK enum err start_load(struct presence_book *b);
void start_asking(struct presence_book *b);

/* presence_tell.c: what the contact is told of the local user. */
void tell(struct watch *w, const struct presence_list *now);
void tell_again(struct watch *w); /* all of it, as it is */
void tell_gone(struct watch *w);

/* presence_subscriber.c */
void subscriber_start(struct watch *w, bool probed);
void subscriber_resume(struct watch *w, struct sip_dialog *dialog, int64_t row, int64_t expires_at,
		       int64_t delay_ms);
/* The contact has asked, now or again. */
void subscriber_asked(struct subscriber *s);
/* The contact wants no more: Expires: 0. said: he is told "unsubscribed" then. */
void subscriber_end(struct subscriber *s, bool said);
void subscriber_free(struct subscriber *s);
/* For presence_notified.c. Those that say so may free the subscriber, and the watch with it. */
void subscriber_finish(struct subscriber *s,
		       const char *type);   /* frees; type: what the contact is told, or NULL */
void subscriber_deny(struct subscriber *s); /* frees */
void subscriber_set_probed(struct subscriber *s, bool probed);
void subscriber_read_body(struct subscriber *s, const struct presence_body *body);
void subscriber_lose_sight(
	struct subscriber *s); /* nothing is known of the user now; the subscription stays */
void subscriber_begin_anew(struct subscriber *s); /* frees; another dialog */
void subscriber_wait_for_refresh(struct subscriber *s);
void subscriber_retry_later(struct subscriber *s,
			    int64_t after); /* seconds that the pool has asked for; -1: none */
void subscriber_rest(struct subscriber *s); /* from half an hour to an hour */

/* presence_notified.c */
void subscriber_take_notify(struct subscriber *s, const struct sip_request *r);

/* presence_notifier.c */
void notifier_resume(struct watch *w, struct sip_dialog *dialog, const char *event_id, int64_t row,
		     int64_t expires_at, int64_t delay_ms);
void notifier_free(struct notifier *n);
void notifier_take(struct notifier *n, const struct sip_request *r);
bool notifier_looks(const struct watch *w); /* somebody waits for what a probe brings */
void notifier_notify_all(struct watch *w);
void notifier_end_all(struct watch *w, const char *reason);

#endif
