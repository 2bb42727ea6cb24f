/*
 * presence.c - the book of who watches whom across the bridge, and what each
 * presence stanza means for it.
 *
 * The bridge stands in for the local user's server: RFC 6121 appendix A
 * (bridge/route/subscription.c) says what a stanza changes, passes and answers;
 * approval itself is the pool's or the contact's, never ours. Each change is in
 * the ledger before the turn ends.
 *
 * A probe that the ledger knows nothing of is no reason to deny: contacts may
 * know each other from before us. The pool is asked, and its word alone decides;
 * a state that was only fetched would soon be wrong, so it becomes a subscription
 * where the pool says "active".
 *
 * Owns the watches. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/gateway/handover.h"
#include "bridge/gateway/map_told.h"
#include "bridge/xmpp/xml.h"

/* --- the book --- */

struct watch *watch_find(struct presence_book *b, const struct jid *local, const struct jid *contact)
{
	char key[JID_PAIR_SIZE];
	struct watch *w;

	jid_pair(local, contact, key);
	HASH_FIND_STR(b->watches, key, w);
	return w;
}

struct watch *watch_get(struct presence_book *b, const struct jid *local, const struct jid *contact)
{
	struct watch *w = watch_find(b, local, contact);
	char key[JID_PAIR_SIZE];
	size_t n;

	if (w != NULL)
		return w;
	n = jid_pair(local, contact, key);
	w = xcalloc(1, sizeof(*w) + strlen(key) + 1);
	w->book = b;
	w->local_length = n;
	strcpy(w->key, key);
	HASH_ADD_KEYPTR(hh, b->watches, w->key, strlen(w->key), w);
	return w;
}

enum err watch_know(struct presence_book *b, const struct jid *local, const struct jid *contact)
{
	const struct watch *w = watch_find(b, local, contact);

	if (b->ledger == NULL ||
	    (w != NULL && (w->state.in != SUBSCRIPTION_NONE || w->state.out != SUBSCRIPTION_NONE)))
		return OK;
	return watch_take_over(b, local, contact, NULL);
}

const char *watch_contact(const struct watch *w)
{
	return w->key + w->local_length + 1;
}

const char *watch_partner(const struct watch *w)
{
	const char *contact = watch_contact(w), *at = strchr(contact, '@');

	return at != NULL ? at + 1 : contact;
}

void watch_local(const struct watch *w, char out[JID_BARE_SIZE])
{
	memcpy(out, w->key, w->local_length);
	out[w->local_length] = '\0';
}

bool watch_jids(const struct watch *w, struct jid *local, struct jid *contact)
{
	char text[JID_BARE_SIZE];

	watch_local(w, text);
	return jid_parse(text, local) == OK && jid_parse(watch_contact(w), contact) == OK;
}

static void watch_free(struct watch *w)
{
	struct presence_book *b = w->book;

	if (b->next_watch == w)
		b->next_watch = w->hh.next;
	HASH_DEL(b->watches, w);
	crossing_free(w->crossing);
	if (w->subscriber != NULL)
		subscriber_free(w->subscriber);
	while (w->notifiers != NULL)
		notifier_free(w->notifiers);
	presence_list_clear(&w->told);
	presence_list_clear(&w->ending);
	presence_list_clear(&w->known);
	free(w);
}

void watch_check(struct watch *w)
{
	if (w->state.in == SUBSCRIPTION_NONE && w->state.out == SUBSCRIPTION_NONE && w->subscriber == NULL &&
	    w->notifiers == NULL)
		watch_free(w);
}

/* --- the ledger --- */

static enum err store_half(struct watch *w, enum ledger_direction direction, enum subscription_half half)
{
	char local[JID_BARE_SIZE];
	struct ledger_key key = watch_key(w, direction, local);
	struct ledger_entry entry = { .state = half == SUBSCRIPTION_ACTIVE ? LEDGER_ACTIVE : LEDGER_PENDING,
				      .via = LEDGER_GATEWAY,
				      .evidence = LEDGER_HANDSHAKE,
				      .since = unix_now(),
				      .seen = unix_now() };
	enum err e = half != SUBSCRIPTION_NONE ? ledger_put(w->book->ledger, &key, &entry)
					       : ledger_remove(w->book->ledger, &key);

	return e == ERR_NOT_FOUND ? OK : e;
}

/* The rows of dialogs go with the half that they hang on. */
static void forget_rows(struct watch *w)
{
	struct notifier *n;

	if (w->state.in == SUBSCRIPTION_NONE && w->subscriber != NULL)
		w->subscriber->row = 0;
	if (w->state.out == SUBSCRIPTION_NONE)
		DL_FOREACH (w->notifiers, n)
			n->row = 0;
}

enum err watch_step(struct watch *w, struct subscription next)
{
	enum err e = OK;

	if (next.in != w->state.in)
		e = store_half(w, LEDGER_TO_LOCAL, next.in);
	if (e == OK && next.out != w->state.out)
		e = store_half(w, LEDGER_TO_CONTACT, next.out);
	if (e == OK) {
		w->state = next;
		forget_rows(w);
	} else {
		log_event(LOG_ERROR, "ledger", NULL, "pair=%s why=%s", log_value(w->key),
			  log_value(err_text(e)));
	}
	return e;
}

enum err watch_decide(const struct watch *w, struct verdict *out)
{
	struct jid local, contact;

	if (!watch_jids(w, &local, &contact))
		return ERR_SYNTAX;
	return router_decide(w->book->gateway->router, &local, contact.domain, out);
}

void watch_look(const struct watch *w)
{
	char local[JID_BARE_SIZE];

	watch_local(w, local);
	handover_look(w->book->handover, local);
}

/* --- to the contact --- */

static void submit(struct watch *w, const char *type, const struct strbuf *inner)
{
	char local[JID_BARE_SIZE];
	struct stanza *stanza;

	watch_local(w, local);
	stanza = stanza_make(STANZA_PRESENCE, local, watch_contact(w), NULL, type, NULL, inner);
	gateway_submit(w->book->gateway, stanza);
	stanza_unref(stanza);
}

void watch_send(struct watch *w, const char *type)
{
	submit(w, type, NULL);
}

void watch_ask(struct watch *w, const char *name)
{
	struct strbuf inner = { .s = NULL };

	if (name[0] != '\0' && strchr(name, '@') == NULL && utf8_is_xml(name, strlen(name))) {
		strbuf_puts(&inner, "<nick xmlns='" NS_NICK "'>");
		xml_text(&inner, name, strlen(name));
		strbuf_puts(&inner, "</nick>");
	}
	submit(w, "subscribe", &inner);
	strbuf_free(&inner);
}

/* --- stanzas from the contact --- */

struct event {
	struct presence_book *book;
	struct stanza *stanza;
	const struct verdict *verdict;
	const struct jid *local, *contact;
	struct outcome outcome;
};

static void fail(struct event *e, enum condition condition, const char *text)
{
	e->outcome = (struct outcome){ .condition = condition, .text = text };
}

/* Partners whose users are verified by nobody must have been added first. */
static bool may_ask(const struct event *e, const struct watch *w)
{
	return e->verdict->partner_type != PARTNER_PUBLIC_UNVERIFIED || w->state.out != SUBSCRIPTION_NONE;
}

static void take_subscribe(struct event *e, struct watch *w)
{
	struct subscription_step step = subscription_inbound(w->state, SUBSCRIPTION_SUBSCRIBE);

	if (!may_ask(e, w)) {
		watch_send(w, "unsubscribed");
		return;
	}
	if (watch_step(w, step.next) != OK) {
		fail(e, COND_RESOURCE_CONSTRAINT, "the subscription cannot be kept now");
		return;
	}
	if (step.reply != NULL) {
		watch_send(w, step.reply);
		tell_again(w);
	}
	if (w->subscriber == NULL)
		subscriber_start(w, false);
	else
		subscriber_asked(w->subscriber);
}

static void take_unsubscribe(struct event *e, struct watch *w)
{
	struct subscription_step step = subscription_inbound(w->state, SUBSCRIPTION_UNSUBSCRIBE);

	if (watch_step(w, step.next) != OK)
		fail(e, COND_INTERNAL_SERVER_ERROR, "the subscription cannot be changed now");
	else if (w->subscriber != NULL)
		subscriber_end(w->subscriber, step.reply != NULL);
}

static void take_subscribed(struct event *e, struct watch *w)
{
	struct subscription_step step = subscription_inbound(w->state, SUBSCRIPTION_SUBSCRIBED);

	if (!step.pass)
		return;
	if (watch_step(w, step.next) != OK)
		fail(e, COND_INTERNAL_SERVER_ERROR, "the subscription cannot be changed now");
	else
		notifier_notify_all(w);
}

static void take_unsubscribed(struct event *e, struct watch *w)
{
	struct subscription_step step = subscription_inbound(w->state, SUBSCRIPTION_UNSUBSCRIBED);

	if (watch_step(w, step.next) != OK) {
		fail(e, COND_INTERNAL_SERVER_ERROR, "the subscription cannot be changed now");
		return;
	}
	presence_list_clear(&w->known);
	w->heard = false;
	notifier_end_all(w, "rejected");
}

static void take_probe(struct event *e, struct watch *w)
{
	if (crossing_is_on(w) && w->told.count == 0)
		return; /* the first NOTIFY answers */
	if (w->state.in == SUBSCRIPTION_ACTIVE) {
		tell_again(w);
		if (w->subscriber == NULL)
			subscriber_start(w, false);
	} else if (w->state.in == SUBSCRIPTION_NONE && !may_ask(e, w)) {
		watch_send(w, "unsubscribed");
	} else if (w->subscriber == NULL) {
		subscriber_start(w, w->state.in == SUBSCRIPTION_NONE);
	}
}

/* Whether it says something new. */
static bool put_known(struct watch *w, const struct presence *p)
{
	const struct presence *old = presence_list_find(&w->known, p->resource);
	bool there = old != NULL;

	if (p->available)
		return (!there || !presence_equal(old, p)) && presence_list_put(&w->known, p) == OK;
	presence_list_remove(&w->known, p->resource);
	return there;
}

/* Of a contact who has not approved, it is the answer to a probe, or nobody's business. */
static void take_state(struct event *e, struct watch *w)
{
	struct presence p = { .available = false };
	bool changed;

	if (w->state.out != SUBSCRIPTION_ACTIVE && !notifier_looks(w))
		return;
	if (presence_from_stanza(e->stanza, &p) != OK)
		return;
	if (p.resource == NULL && !p.available) {
		changed = w->known.count > 0;
		presence_list_clear(&w->known); /* of the user, so of all that he has */
	} else {
		changed = put_known(w, &p);
	}
	presence_clear(&p);
	changed = changed || !w->heard;
	w->heard = true;
	if (changed)
		notifier_notify_all(w);
}

/* A user who is being moved: who asks is answered with what he was told before. */
static void answer_probe(struct event *e)
{
	char local[JID_BARE_SIZE], contact[JID_BARE_SIZE];
	const struct ledger_key key = { local, contact, LEDGER_TO_LOCAL };
	struct ledger_entry entry;
	struct presence_list told = { .count = 0 };
	struct strbuf text = { .s = NULL };

	jid_bare(e->local, local);
	jid_bare(e->contact, contact);
	if (ledger_get(e->book->ledger, &key, &entry) == OK && entry.state == LEDGER_ACTIVE &&
	    entry.evidence != LEDGER_PROBE && ledger_told(e->book->ledger, &key, &text) == OK) {
		told_read(text.s, &told);
		tell_for(e->book, local, contact, &told);
	}
	presence_list_clear(&told);
	strbuf_free(&text);
}

/* Of what is asked, nothing is begun before he is there: the router gives us no more than these. */
static void take_held(struct event *e)
{
	struct watch *w = watch_find(e->book, e->local, e->contact);

	if (stanza_has_type(e->stanza, "probe"))
		answer_probe(e);
	else if (w != NULL)
		take_state(e, w);
}

static void take(struct event *e)
{
	static const struct {
		const char *type;
		void (*take)(struct event *e, struct watch *w);
		bool make; /* a pair that nothing is known of */
	} types[] = {
		{ "subscribe", take_subscribe, true },
		{ "subscribed", take_subscribed, false },
		{ "unsubscribe", take_unsubscribe, false },
		{ "unsubscribed", take_unsubscribed, false },
		{ "probe", take_probe, true },
		{ "unavailable", take_state, false },
		{ NULL, take_state, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct watch *w;

		if (!stanza_has_type(e->stanza, types[i].type))
			continue;
		w = types[i].make ? watch_get(e->book, e->local, e->contact)
				  : watch_find(e->book, e->local, e->contact);
		if (w == NULL)
			return;
		types[i].take(e, w);
		w = watch_find(e->book, e->local, e->contact); /* its last end may have freed it */
		if (w != NULL)
			watch_check(w);
		return;
	}
}

static void take_now(struct event *e)
{
	if (e->verdict->route == ROUTE_HOLD)
		take_held(e);
	else if (watch_know(e->book, e->local, e->contact) == OK)
		take(e);
	else
		fail(e, COND_INTERNAL_SERVER_ERROR, "the ledger cannot be read or changed now");
}

void presence_take_stanza(struct presence_book *b, struct stanza *stanza, const struct verdict *v,
			  delivery_fn *done, void *done_ctx)
{
	struct jid local, contact;
	struct event e = { .book = b,
			   .stanza = stanza,
			   .verdict = v,
			   .local = &local,
			   .contact = &contact,
			   .outcome = { .confirmed = true } };

	if (jid_parse(stanza->to, &local) != OK || jid_parse(stanza->from, &contact) != OK)
		fail(&e, COND_JID_MALFORMED, NULL);
	else if (b->gateway->endpoint != NULL && b->ledger != NULL && !b->gateway->stopped)
		take_now(&e);
	else if (stanza_has_type(stanza, "subscribe"))
		fail(&e, COND_SERVICE_UNAVAILABLE, "presence is not carried now");
	done(done_ctx, stanza, &e.outcome);
}

/* --- requests in a dialog --- */

static struct subscriber *find_subscriber(struct presence_book *b, const struct sip_request *r)
{
	char key[SIP_DIALOG_KEY_SIZE];
	struct subscriber *s = NULL;

	if (sip_request_early_key(r, key))
		HASH_FIND_STR(b->subscribers, key, s);
	if (s != NULL && s->dialog->remote_tag != NULL && strcmp(s->dialog->remote_tag, r->from_tag) != 0)
		return NULL; /* a forked one: the first that answered counts (RFC 6665 section 4.1.4) */
	return s;
}

bool presence_take(struct presence_book *b, const struct sip_request *r)
{
	char key[SIP_DIALOG_KEY_SIZE];
	struct subscriber *s;
	struct notifier *n = NULL;

	if (strcmp(r->method, "NOTIFY") == 0 || strcmp(r->method, "BENOTIFY") == 0) {
		s = find_subscriber(b, r);
		if (s != NULL)
			subscriber_take_notify(s, r);
		return s != NULL;
	}
	if (sip_request_dialog_key(r, key))
		HASH_FIND_STR(b->notifiers, key, n);
	if (n != NULL)
		notifier_take(n, r);
	return n != NULL;
}

/* --- the book as an object --- */

static bool on_legacy_presence(void *ctx, const struct submission *s, const struct verdict *v)
{
	return crossing_legacy_says(ctx, s, v);
}

void presence_changed(struct presence_book *b, const char *user)
{
	handover_look(b->handover, user);
}

/* --- forgetting --- */

static bool is_of(const struct watch *w, const char *address)
{
	return strcmp(watch_contact(w), address) == 0 ||
	       (strlen(address) == w->local_length && strncmp(w->key, address, w->local_length) == 0);
}

/* May free it. */
static void end_all(struct watch *w)
{
	static const struct subscription none = { SUBSCRIPTION_NONE, SUBSCRIPTION_NONE };

	if (w->state.in != SUBSCRIPTION_NONE)
		watch_send(w, "unsubscribed");
	if (w->state.out != SUBSCRIPTION_NONE)
		watch_send(w, "unsubscribe");
	if (watch_step(w, none) != OK)
		return;
	notifier_end_all(w, "noresource");
	if (w->subscriber != NULL)
		subscriber_end(w->subscriber, false);
	else
		watch_check(w);
}

void presence_erase(struct presence_book *b, const char *address)
{
	struct watch *w, *next;

	HASH_ITER (hh, b->watches, w, next)
		if (is_of(w, address))
			end_all(w);
}

enum err presence_create(struct gateway *g, struct ledger *ledger, struct presence_book **out)
{
	struct presence_book *b = xcalloc(1, sizeof(*b));
	enum err e = OK;

	b->gateway = g;
	b->ledger = ledger;
	b->delivery = xcalloc(1, sizeof(*b->delivery));
	b->delivery->book = b;
	if (ledger != NULL && g->endpoint != NULL)
		e = start_load(b);
	if (e != OK) {
		presence_destroy(b);
		return e;
	}
	start_asking(b);
	if (ledger != NULL && g->endpoint != NULL) {
		b->handover = handover_create(b);
		router_set_presence(g->router, on_legacy_presence, b);
	}
	*out = b;
	return OK;
}

void presence_destroy(struct presence_book *b)
{
	if (b == NULL)
		return;
	if (b->handover != NULL)
		router_set_presence(b->gateway->router, NULL, NULL);
	handover_destroy(b->handover);
	parting_free_all(b);
	while (b->watches != NULL)
		watch_free(b->watches);
	loop_timer_destroy(b->start_timer);
	b->delivery->book = NULL;
	if (b->delivery->under_way == 0)
		free(b->delivery);
	free(b);
}

bool presence_is_added(struct presence_book *b, const struct stanza *stanza)
{
	struct jid local, contact;
	struct watch *w = NULL;

	if (jid_parse(stanza->to, &local) == OK && jid_parse(stanza->from, &contact) == OK &&
	    watch_know(b, &local, &contact) == OK)
		w = watch_find(b, &local, &contact);
	return w != NULL && w->state.out != SUBSCRIPTION_NONE;
}

json_t *presence_status(const struct presence_book *b)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "pairs",
			 (json_int_t)HASH_COUNT(b->watches), "subscribers",
			 (json_int_t)HASH_COUNT(b->subscribers), "notifiers",
			 (json_int_t)HASH_COUNT(b->notifiers), "notified", (json_int_t)b->notified, "notices",
			 (json_int_t)b->notices, "refused", (json_int_t)b->refused, "taken_over",
			 (json_int_t)b->taken_over, "given_back", (json_int_t)b->given_back, "overdue",
			 (json_int_t)b->overdue, "handover", handover_status(b->handover));
}
