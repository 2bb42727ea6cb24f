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

#include "bridge/core/hash.h"
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
	bool again;                   /* when the request under way has its answer: where he lives then */
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
	struct presence_list ending;   /* ends that have not arrived yet */
	struct notifier *notifiers;
	bool withheld;              /* news were not told, because the user is being moved, or was */
	struct crossing *crossing;  /* the user is being handed over; NULL: he is not */
	bool heard;                 /* known is what the contact says, not what we assume */
	bool blind;                 /* the user may not see the contact now */
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

/* One side takes the user over from the other: until it has shown him to the contact, or its time is over. */
struct crossing {
	struct watch *watch;
	struct loop_timer *timer;
	bool back;                  /* to the legacy gateway */
	bool over;                  /* it has shown him */
	bool ends;                  /* back: the ends of ours are under way */
	struct presence_list shown; /* back: by the legacy gateway since */
};

struct presence_book {
	struct gateway *gateway;
	struct ledger *ledger;
	struct delivery *delivery;
	struct watch *watches;
	struct subscriber *subscribers; /* by key */
	struct notifier *notifiers;     /* by key */
	size_t under_way;               /* SUBSCRIBEs */
	struct shares probing;          /* subscribers begun by a probe alone; by partner, like the next */
	struct shares looks;            /* notifiers that were asked for one NOTIFY */
	struct watch *next_watch;       /* after the start: to be looked after */
	struct loop_timer *start_timer;
	bool asked; /* contacts have been asked for their presence since the start */
	struct handover *handover;
	struct parting *partings; /* subscriptions at pools that are being ended, nobody's any more */
	size_t crossings;
	/* Counters for status. */
	uint64_t notified, notices, refused, taken_over, given_back, overdue;
};

/* presence.c */
struct watch *watch_get(struct presence_book *b, const struct jid *local, const struct jid *contact);
struct watch *watch_find(struct presence_book *b, const struct jid *local, const struct jid *contact);
/* Before one is looked for whose user is ours: the ledger may know it from the legacy gateway. Errors as there. */
MUST_CHECK enum err watch_know(struct presence_book *b, const struct jid *local, const struct jid *contact);
/* Its user is not ours any more, and nobody has said so: he is looked at. */
void watch_look(const struct watch *w);
/* Nothing is left of it: it is forgotten. */
void watch_check(struct watch *w);
bool watch_jids(const struct watch *w, struct jid *local, struct jid *contact);
const char *watch_contact(const struct watch *w);
const char *watch_partner(const struct watch *w); /* his domain */
void watch_local(const struct watch *w, char out[JID_BARE_SIZE]);
/* From the local user to the contact: one of the types of subscriptions, or a probe. */
void watch_send(struct watch *w, const char *type);
/* "subscribe"; name: what the local user is called (XEP-0172); "", or the address again: nothing. */
void watch_ask(struct watch *w, const char *name);
/* Where it is to be carried now, and what the partner may see. */
MUST_CHECK enum err watch_decide(const struct watch *w, struct verdict *out);
/* The watch's own errors are the caller's to answer. */
MUST_CHECK enum err watch_step(struct watch *w, struct subscription next);

/* presence_takeover.c: rows that change sides. */
/*
 * A pair that the ledger knows and nobody carries here, as a rule from the legacy gateway, whose user is ours
 * now: it is taken up, and its contact is not asked again. OK too where there is no such pair; else nothing can
 * be said of it now. *taken: it was one; may be NULL.
 */
MUST_CHECK enum err watch_take_over(struct presence_book *b, const struct jid *local,
				    const struct jid *contact, bool *taken);
/*
 * Where a row and the memory do not agree, because a commit has failed: the row of a half that is ours; a row of ours
 * that nobody carries, which is the legacy gateway's.
 */
MUST_CHECK enum err watch_claim(struct watch *w, enum ledger_direction direction);
MUST_CHECK enum err row_give_back(struct presence_book *b, const struct ledger_key *key);
/* The rows are the legacy gateway's from now on, with what the contact was told, and the ends that have not arrived. */
MUST_CHECK enum err watch_give_back(struct watch *w);

/* presence_crossing.c: a pair whose user is being handed over. */
void crossing_begin(struct watch *w);      /* to us: until something is heard of him */
void crossing_begin_back(struct watch *w); /* to the legacy gateway; the watch goes */
void crossing_cancel(struct watch *w);     /* back to us, before that was over */
void crossing_heard(struct watch *w);      /* what the new side says has been told */
void crossing_free(struct crossing *c);
void crossing_ended(struct watch *w);         /* back: the ends have arrived */
bool crossing_end_failed(struct watch *w);    /* true: of one on its way back, which keeps the end as it is */
bool crossing_is_on(const struct watch *w);   /* to us: nothing is known of him yet, which is no news */
bool crossing_is_back(const struct watch *w); /* to the legacy gateway */
/* The legacy gateway shows the user to the contact. True: it does not go on (router_presence_fn). */
bool crossing_legacy_says(struct presence_book *b, const struct submission *s, const struct verdict *v);

/* presence_store.c: what the ledger keeps of it. */
struct ledger_key watch_key(const struct watch *w, enum ledger_direction direction,
			    char local[JID_BARE_SIZE]);
void store_dialog(struct watch *w, enum ledger_direction direction, const struct sip_dialog *dialog,
		  const char *event_id, int64_t expires_at, int64_t *row);
void store_remove_dialog(struct presence_book *b, int64_t *row);
void store_told(struct watch *w);
char *store_text(const struct watch *w); /* what it stores; the caller frees it */
int64_t unix_now(void);

/* presence_start.c: what is done once, at the start. */
MUST_CHECK enum err start_load(struct presence_book *b);
void start_asking(struct presence_book *b);

/* presence_tell.c: what the contact is told of the local user. */
void tell(struct watch *w, const struct presence_list *now);
void tell_heard(struct watch *w, const struct presence_list *now); /* by a NOTIFY */
void tell_lost(struct watch *w);                                   /* nothing is known of him any more */
/* The contact has these, of a user who is not ours now: once more. */
void tell_for(struct presence_book *b, const char *local, const char *contact,
	      const struct presence_list *told);
/* The end of all that he was told, but for these, which another side has shown. */
void tell_ends(struct watch *w, const struct presence_list *shown);
/* What the legacy gateway has ended, and the ledger has kept from him, of a user who is its again. */
void tell_legacy_ends(struct presence_book *b, const char *local, const char *contact);
void tell_again(struct watch *w); /* all of it, as it is */
void tell_gone(struct watch *w);

/* presence_deliver.c: to the contact; of a resource that is not available, its end. */
void deliver(struct presence_book *b, const char *local, const char *contact, const struct presence *p);

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
/* Frees; type: what the contact is told, or NULL. */
void subscriber_finish(struct subscriber *s, const char *type);
void subscriber_deny(struct subscriber *s);   /* frees */
void subscriber_settle(struct subscriber *s); /* it is more than a probe's now */
void subscriber_read_body(struct subscriber *s, const struct presence_body *body);
/* Nothing is known of the user now; the subscription stays. */
void subscriber_lose_sight(struct subscriber *s);
void subscriber_begin_anew(struct subscriber *s); /* frees; another dialog */
void subscriber_wait_for_refresh(struct subscriber *s);
/* after: seconds that the pool has asked for; -1: none. */
void subscriber_retry_later(struct subscriber *s, int64_t after);
void subscriber_rest(struct subscriber *s); /* from half an hour to an hour */
/* Now, or behind the request that is under way, which may have gone to a place where the user is no more. */
void subscriber_refresh(struct subscriber *s);
/* At the pool only: the contact hears nothing of it. Frees. */
void subscriber_leave(struct subscriber *s);

/* presence_parting.c: Expires: 0 in this dialog, if it is one; borrowed. */
void parting_begin(struct presence_book *b, const struct sip_dialog *dialog);
void parting_free_all(struct presence_book *b);

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
