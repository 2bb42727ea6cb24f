/*
 * presence_crossing.c - a pair whose user is being handed over: the contact is to
 * see him on the new side first, then the end of what the old one showed.
 *
 * To us, the first NOTIFY of his pool does both (presence_tell.c). To the legacy
 * gateway, it is asked in the contact's name, by a probe; when its presence has
 * gone by, what we have shown is ended, and the watch goes: the rows are the
 * legacy gateway's then, which has a roster of its own. A side that says nothing
 * within presence.handover_time is waited for no longer.
 *
 * As long as a user is ours, or on his way to us, the legacy gateway's own words
 * about his presence do not reach the contact: they are of a place where he is no
 * more. Its "unsubscribed", in answer to our probe, says that its roster has no
 * such contact: for him that is nobody's presence, not the end of an approval.
 *
 * Owns its timer. Nothing is fatal.
 */
#include "bridge/gateway/presence_internal.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 1000 };

/* --- the object --- */

static void on_timer(void *ctx);

static void begin(struct watch *w, bool back)
{
	struct crossing *c = xcalloc(1, sizeof(*c));
	struct gateway *g = w->book->gateway;

	crossing_free(w->crossing);
	c->watch = w;
	c->back = back;
	c->timer = loop_timer_create(g->loop, on_timer, c);
	w->crossing = c;
	w->book->crossings++;
	loop_timer_set(c->timer, g->config->presence.handover_ms);
}

void crossing_free(struct crossing *c)
{
	if (c == NULL)
		return;
	c->watch->crossing = NULL;
	c->watch->book->crossings--;
	loop_timer_destroy(c->timer);
	presence_list_clear(&c->shown);
	free(c);
}

bool crossing_is_on(const struct watch *w)
{
	return w->crossing != NULL && !w->crossing->back;
}

bool crossing_is_back(const struct watch *w)
{
	return w->crossing != NULL && w->crossing->back;
}

/* --- to us --- */

void crossing_begin(struct watch *w)
{
	begin(w, false);
	w->untold = true;
}

void crossing_heard(struct watch *w)
{
	if (!crossing_is_on(w))
		return;
	w->book->taken_over++;
	crossing_free(w->crossing);
}

/* --- to the legacy gateway --- */

static void on_submitted(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)ctx;
	(void)stanza;
	(void)outcome;
}

/* As if the contact had sent it to the user (ORIGIN_PARTNER), or the legacy gateway's user to him. */
static void submit(const struct watch *w, enum origin origin, const char *type)
{
	char local_text[JID_BARE_SIZE];
	const char *contact_text = watch_contact(w);
	struct jid local, contact;
	struct submission s = { .origin = origin, .done = on_submitted };
	bool is_contacts = origin == ORIGIN_PARTNER;

	if (w->book->gateway->stopped || !watch_jids(w, &local, &contact))
		return;
	watch_local(w, local_text);
	s.from = is_contacts ? &contact : &local;
	s.to = is_contacts ? &local : &contact;
	s.stanza = stanza_make(STANZA_PRESENCE, is_contacts ? contact_text : local_text,
			       is_contacts ? local_text : contact_text, NULL, type, NULL, NULL);
	router_submit(w->book->gateway->router, &s);
	stanza_unref(s.stanza);
}

/* What was asked here and not answered is asked there; what was approved is only looked at. */
static void ask_legacy(const struct watch *w)
{
	if (w->state.in == SUBSCRIPTION_ACTIVE)
		submit(w, ORIGIN_PARTNER, "probe");
	else if (w->state.in == SUBSCRIPTION_PENDING)
		submit(w, ORIGIN_PARTNER, "subscribe");
	if (w->state.out == SUBSCRIPTION_ACTIVE)
		submit(w, ORIGIN_LEGACY, "probe");
}

void crossing_begin_back(struct watch *w)
{
	if (w->subscriber != NULL && !w->subscriber->ending)
		subscriber_leave(w->subscriber);
	notifier_end_all(w, "deactivated");
	presence_list_clear(&w->known); /* what she says now, he hears there */
	w->heard = false;
	begin(w, true);
	if (w->state.in != SUBSCRIPTION_ACTIVE)
		loop_timer_set(w->crossing->timer, 0);
	ask_legacy(w);
}

void crossing_cancel(struct watch *w)
{
	if (!crossing_is_back(w))
		return;
	crossing_begin(w);
	if (w->state.in != SUBSCRIPTION_NONE && w->subscriber == NULL)
		subscriber_resume(w, NULL, 0, 0, 0);
}

static void finish_back(struct crossing *c)
{
	struct watch *w = c->watch;

	if (watch_give_back(w) != OK) {
		loop_timer_set(c->timer, RETRY_MS);
		return;
	}
	w->state = (struct subscription){ .out = SUBSCRIPTION_NONE, .in = SUBSCRIPTION_NONE };
	w->book->given_back++;
	presence_list_clear(&w->told);
	presence_list_clear(&w->ending);
	crossing_free(c);
	watch_check(w);
}

/*
 * The end of the bare address may be taken for that of all resources by some clients, so the legacy gateway is to
 * show its own once more.
 */
static void end_ours(struct crossing *c)
{
	struct watch *w = c->watch;
	bool had_bare = presence_list_find(&w->told, NULL) != NULL;

	c->ends = true;
	loop_timer_set(c->timer, w->book->gateway->config->presence.handover_ms);
	tell_ends(w, &c->shown);
	if (had_bare && presence_list_find(&c->shown, NULL) == NULL)
		submit(w, ORIGIN_PARTNER, "probe");
	if (w->ending.count == 0)
		loop_timer_set(c->timer, 0);
}

void crossing_ended(struct watch *w)
{
	if (crossing_is_back(w) && w->crossing->ends)
		loop_timer_set(w->crossing->timer, 0);
}

/* It stays in the ledger, and is sent again when somebody looks at the user. */
bool crossing_end_failed(struct watch *w)
{
	if (!crossing_is_back(w) || !w->crossing->ends)
		return false;
	loop_timer_set(w->crossing->timer, 0);
	return true;
}

static void note_overdue(const struct crossing *c)
{
	struct watch *w = c->watch;

	if (c->over || c->ends || w->state.in != SUBSCRIPTION_ACTIVE)
		return;
	w->book->overdue++;
	log_event(LOG_NOTICE, "handover-overdue", NULL, "pair=%s to=%s", log_value(w->key),
		  c->back ? "legacy" : "gateway");
}

static void on_timer(void *ctx)
{
	struct crossing *c = ctx;
	struct watch *w = c->watch;

	if (w->book->gateway->stopped)
		return;
	note_overdue(c);
	if (c->back && !c->ends) {
		end_ours(c);
	} else if (c->back) {
		finish_back(c);
	} else {
		crossing_free(c);
		tell_gone(w);
	}
}

/* --- what the legacy gateway says --- */

static void note_shown(struct watch *w, const struct presence *p)
{
	presence_list_remove(&w->ending, p->resource);
	if (presence_list_put(&w->told, p) == OK)
		store_told(w);
}

static void note_end(struct crossing *c, const struct presence *p)
{
	struct watch *w = c->watch;

	if (p->resource != NULL) {
		presence_list_remove(&c->shown, p->resource);
		presence_list_remove(&w->told, p->resource);
	} else {
		for (size_t i = 0; i < c->shown.count; i++)
			presence_list_remove(&w->told, c->shown.items[i].resource);
		presence_list_clear(&c->shown);
	}
	store_told(w);
}

/* Its answer has gone by at the end of this turn, and what we send then comes behind it. */
static void note_answer(struct crossing *c, const struct presence *p)
{
	c->over = true;
	if (!c->ends)
		loop_timer_set(c->timer, 0);
	if (p == NULL)
		return;
	if (!p->available)
		note_end(c, p);
	else if (presence_list_put(&c->shown, p) == OK)
		note_shown(c->watch, p);
}

/* He is not handed over yet, but may be: what begins there is seen at once, what ends only behind it. */
static bool note_early(struct watch *w, const struct presence *p)
{
	if (!p->available)
		return p->resource == NULL ? w->told.count > 0
					   : presence_list_find(&w->told, p->resource) != NULL;
	note_shown(w, p);
	return false;
}

static bool take_state(struct watch *w, const struct stanza *stanza, const struct verdict *v)
{
	struct presence p = { .available = false };
	bool keep = true;

	if (v->route == ROUTE_GATEWAY)
		return true;
	if (presence_from_stanza(stanza, &p) != OK)
		return false;
	if (crossing_is_back(w)) {
		note_answer(w->crossing, &p);
		keep = false;
	} else {
		keep = note_early(w, &p);
	}
	presence_clear(&p);
	return keep;
}

bool crossing_legacy_says(struct presence_book *b, const struct submission *s, const struct verdict *v)
{
	struct watch *w = watch_find(b, s->from, s->to);

	if (w == NULL || w->state.in != SUBSCRIPTION_ACTIVE)
		return false;
	if (s->stanza->type == NULL || stanza_has_type(s->stanza, "unavailable"))
		return take_state(w, s->stanza, v);
	if (!stanza_has_type(s->stanza, "unsubscribed") || !crossing_is_back(w) || w->crossing->over)
		return false;
	note_answer(w->crossing, NULL);
	return true;
}
