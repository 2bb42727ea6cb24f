/*
 * conversation.h - all that one XMPP user and one user of a pool say to each
 * other: the queue to the pool, the SIP sessions, and what is known of both
 * clients (RFC 7572, RFC 7573, and the Microsoft form of a session).
 *
 * Shared by the files of the gateway only.
 */
#ifndef POOLBRIDGE_GATEWAY_CONVERSATION_H
#define POOLBRIDGE_GATEWAY_CONVERSATION_H

#include "bridge/core/hash.h"
#include "bridge/gateway/gateway_internal.h"
#include "bridge/gateway/map_content.h"
#include "bridge/gateway/map_sdp.h"
#include "bridge/gateway/outbound.h"
#include "bridge/sip/dialog.h"

/* The request that is under way for the first item of the queue. */
enum errand { ERRAND_NONE, ERRAND_PAGER, ERRAND_INVITE, ERRAND_DIALOG };

enum session_state {
	SESSION_INVITING,  /* ours; no final response yet */
	SESSION_ANSWERING, /* the pool's; its first message is on its way to the XMPP user */
	SESSION_OPEN,
	SESSION_ENDED /* and a request in it still under way */
};

/* One IM session: a SIP dialog. A conversation may have several: both sides may begin one at the same time. */
struct session {
	struct conversation *conversation;
	enum session_state state;
	struct sip_dialog *dialog;
	struct sip_transaction *invite; /* SESSION_ANSWERING: to be answered; ours */
	struct map_sdp *offer;          /* the pool's last one; NULL: we offered, or it did not */
	struct inbound *inbound;        /* SESSION_ANSWERING: the text that came with it; NULL: none */
	bool is_composing;              /* it takes isComposing; else typing goes as INFO */
	bool hashed;
	bool bye;           /* SESSION_ENDED: the pool does not know yet */
	bool leaving;       /* it ends when nothing is in flight in it */
	bool unacked;       /* our 200 has no ACK yet */
	unsigned receiving; /* texts of the pool that are on their way to the XMPP user */
	struct session *prev, *next;
	UT_hash_handle hh, hh_invite, hh_caller;
	char key[SIP_DIALOG_KEY_SIZE];
};

enum support { SUPPORT_UNKNOWN, SUPPORT_YES, SUPPORT_NO };

enum { CALL_IDS = 8 };

struct conversation {
	struct gateway *gateway;
	enum pool pool; /* where the user was last */

	/* XMPP -> SIP. */
	struct outbound *first; /* the queue, in order */
	size_t count;
	enum errand errand;
	struct sip_outgoing *request; /* NULL: none under way */
	bool gave_up;                 /* the INVITE under way is cancelled */
	struct session *carrier;      /* in which the request was sent; NULL: none */
	struct window *window;        /* that the request is counted in; NULL: in none */
	bool ready;                   /* in a window's list */
	bool telling;                 /* an outcome is being told: its callback may come back here */
	enum pool_mode works;         /* what this user's client took last; POOL_AUTO: not known */
	bool no_typing;               /* it refused typing (RFC 3994 section 3.3) */
	bool composing;               /* what it was told last */

	/* SIP -> XMPP. */
	struct session *sessions;    /* the newest first */
	char *partner;               /* the full JID that wrote last (RFC 6121 section 5.1); NULL: none */
	char *name;                  /* of the user of the pool, as it was given last; NULL: none */
	char *thread;                /* NULL: none */
	bool passing;                /* by the legacy gateway, of which this is only heard */
	char *typist;                /* the full JID there that was shown composing; NULL: none */
	bool chat;                   /* the XMPP user chats, rather than sends single messages */
	enum support chat_states;    /* of the XMPP client (XEP-0085 section 5.1) */
	enum chat_state told;        /* the last one that it got */
	char *conversation_id;       /* Ms-Conversation-ID; NULL: none yet */
	uint64_t call_ids[CALL_IDS]; /* hashes of those that dialogs have had, the oldest overwritten first */
	size_t call_id_next;

	struct expected *expected; /* questions of the pool whether a message has arrived */
	size_t expected_count;

	int64_t used;
	int64_t typing_until, invite_until, refresh_at; /* 0: nothing is waited for */
	int64_t composing_since;
	struct loop_timer *timer;
	struct conversation *prev, *next;   /* in a window */
	struct conversation *older, *newer; /* of all, by last use */
	struct correspondent *correspondent;
	struct conversation *before, *behind; /* of his */
	UT_hash_handle hh;
	size_t partner_length; /* of the partner's address in the key */
	char key[];            /* "PARTNER USER", bare: neither can hold a space */
};

/* conversation.c: the object. */

/* Made when there is none. */
struct conversation *conversation_get(struct gateway *g, const struct jid *partner, const struct jid *user);
struct conversation *conversation_find(struct gateway *g, const struct jid *partner, const struct jid *user);
/* The sessions of the one used longest ago that has any end, if nothing is under way there. False: there is none. */
bool conversation_end_oldest(struct gateway *g);
/* It was used now: it lives on from here, and its timer is set by all that it waits for. */
void conversation_touch(struct conversation *c);
void conversation_schedule(struct conversation *c);          /* the second half of it */
const char *conversation_user(const struct conversation *c); /* bare JID */
/* Where the XMPP user's client is, or was: a full JID, else the bare one. */
const char *conversation_partner(const struct conversation *c, char bare[JID_BARE_SIZE]);
/* Something that the XMPP user's client says, to be queued; NULL: there is no way to write it. */
struct outbound *conversation_signal(const struct conversation *c, enum outbound_kind kind);
/* All with that user of a pool; NULL: there is none. */
struct correspondent *correspondent_find(struct gateway *g, const char *user);
struct conversation *correspondent_first(struct correspondent *one); /* by "behind" from there */
/* Both users, parsed; the partner with its resource. */
bool conversation_jids(const struct conversation *c, struct jid *partner, struct jid *user);
void conversation_set(char **field, const char *value); /* a copy; NULL or "" clears it */
/* The client that speaks with the pool's user now, NULL: any; what was known of another one is forgotten. */
void conversation_lock(struct conversation *c, const char *full);
/* A dialog has this Call-ID from now on. False: one at that pool has had it. */
bool conversation_use_call_id(struct conversation *c, enum pool pool, const char *call_id);
void conversation_free(struct conversation *c); /* nothing of it is left anywhere */

/* How a client of the XMPP user's writes from now on. thread: NULL or "" for none. */
void conversation_note_sender(struct conversation *c, const struct stanza *stanza, const struct jid *from,
			      const char *thread);
/* conversation_passing.c: router_passing_fn; ctx is the gateway. */
void conversation_passing(void *ctx, const struct submission *s);

/* conversation_queue.c: XMPP -> SIP. */
void queue_add(struct conversation *c, struct outbound *o);
/* The first item's request is over; o is still the first. */
void queue_again(struct conversation *c);
void queue_finish(struct conversation *c, const struct sip_response *response);
void queue_fail(struct conversation *c, struct objection objection);
void queue_drop(struct conversation *c, struct outbound *o); /* nobody waits for it */
/* The first item was not taken, and nothing behind it goes there any more: all are to be tried again. */
void queue_put_back(struct conversation *c);
/* The user has left for another pool, or NULL: for none of ours. What was not sent is put back. */
void queue_leave(struct conversation *c, const enum pool *pool);
/* The pool's INVITE, upon which the first item has waited, is answered. */
void queue_wake(struct conversation *c);

/* session.c: the sessions of a conversation. */
struct session *session_create(struct conversation *c, enum session_state state, struct sip_dialog *dialog);
struct session *session_open(const struct conversation *c); /* the newest that is open; NULL: none */
void session_opened(struct session *s);
/* Its end, said to the pool by BYE or CANCEL where it does not know yet. */
void session_close(struct session *s, bool bye);
void session_close_all(struct conversation *c);
/* The user has left its pool: it ends when what is in flight in it has arrived. */
void session_leave(struct session *s);
void session_leave_all(struct conversation *c, const enum pool *home); /* those elsewhere; NULL: all */
void session_check_leaving(struct session *s);                         /* something has arrived */
/* A text that came in a dialog has arrived, or has not; the session may be gone. */
void session_received(struct gateway *g, const char *key);

/* The pool's INVITE belongs to it until it is taken, to be answered. */
void session_give_transaction(struct session *s, struct sip_transaction *invite);
struct sip_transaction *session_take_transaction(struct session *s);
struct session *session_of_transaction(const struct gateway *g, const struct sip_transaction *invite);

/* session_in.c: the answer to the pool's INVITE. */
void session_accept(struct session *s,
		    bool was_read); /* was_read: the XMPP user has the text that came with it */
void session_refuse(struct session *s, unsigned status, const char *phrase);

/* Whether the pool's INVITE will be answered soon: what the XMPP user writes meanwhile waits for that session. */
bool session_is_coming(const struct conversation *c, enum pool pool);

/* session_out.c: what is sent for the first item of the queue. False: nothing, it is to be dropped. */
bool session_send_first(struct conversation *c);
void session_give_up_invite(struct conversation *c);

/* chat_state.c: typing, both ways. */
void chat_state_heard(struct conversation *c, enum chat_state state, bool content); /* in an XMPP message */
/* From another client of the XMPP user's than the one that the conversation is with. */
void chat_state_heard_elsewhere(struct conversation *c, enum chat_state state);
void chat_state_tell(struct conversation *c,
		     enum chat_state state); /* to the XMPP user, where he may be told */
void chat_state_typed(struct conversation *c, const struct map_content *typing);
void chat_state_stopped(struct conversation *c); /* the XMPP user's client is gone */
/* Time for RFC 3994's refresh. */
void chat_state_refresh(struct conversation *c);
/* The pool's user has left it: what was shown to either side of the other's typing ends. */
void chat_state_leave(struct conversation *c);

#endif
