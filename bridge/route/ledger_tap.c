/*
 * ledger_tap.c - what a passing presence stanza says about subscriptions.
 *
 * The four stanzas of the handshake move the state machine (subscription.h). A
 * probe, and presence that is sent as to a subscriber, to a bare address (RFC
 * 6121, sections 4.2.2 and 4.3), show a subscription that is older than we are.
 * A partner is believed as far as a server would believe him that kept the
 * roster. The legacy gateway does keep it: its approval counts even where we have
 * not seen the request, which may have come before our time.
 *
 * What a contact was told of the legacy user's resources is remembered, without
 * notes, so that whoever takes the user over can take it back. While he is moved,
 * the end of a resource is only noted: the contact is to see the new one first.
 *
 * Rows with via 'gateway' belong to the gateway's own presence and are left
 * alone. An error of the ledger goes to the log, once a minute, and never to the
 * stanza.
 */
#include "bridge/route/ledger_tap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge/core/log.h"
#include "bridge/gateway/map_told.h"
#include "bridge/route/subscription.h"

#define LOG_SECONDS  60
#define SEEN_SECONDS 86400 /* how old "seen" may grow before a row is written for it */

struct ledger_tap {
	struct ledger *ledger;
	time_t logged_at; /* 0: never */
	uint64_t unsaid;
};

/* One stanza being read. */
struct reading {
	struct ledger *ledger;
	char local[JID_BARE_SIZE], contact[JID_BARE_SIZE];
	int64_t now;
};

struct half {
	enum subscription_half state;
	struct ledger_entry entry; /* unless the state is none */
};

struct ledger_tap *ledger_tap_create(struct ledger *ledger)
{
	struct ledger_tap *t = xcalloc(1, sizeof(*t));

	t->ledger = ledger;
	return t;
}

void ledger_tap_destroy(struct ledger_tap *t)
{
	free(t);
}

/* --- halves --- */

static struct ledger_key key_of(const struct reading *r, enum ledger_direction direction)
{
	return (struct ledger_key){ r->local, r->contact, direction };
}

static enum err read_half(const struct reading *r, enum ledger_direction direction, struct half *out)
{
	const struct ledger_key key = key_of(r, direction);
	struct half h = { .state = SUBSCRIPTION_NONE };
	enum err e = ledger_get(r->ledger, &key, &h.entry);

	if (e == OK)
		h.state = h.entry.state == LEDGER_ACTIVE ? SUBSCRIPTION_ACTIVE : SUBSCRIPTION_PENDING;
	else if (e != ERR_NOT_FOUND)
		return e;
	*out = h;
	return OK;
}

static enum err write_half(const struct reading *r, enum ledger_direction direction, const struct half *old,
			   enum subscription_half state, enum ledger_evidence evidence)
{
	const struct ledger_key key = key_of(r, direction);
	struct ledger_entry entry = {
		.state = state == SUBSCRIPTION_ACTIVE ? LEDGER_ACTIVE : LEDGER_PENDING,
		.via = LEDGER_LEGACY,
		.evidence = evidence,
		.since = r->now,
		.seen = r->now,
	};

	if (old->state != SUBSCRIPTION_NONE && old->entry.via != LEDGER_LEGACY)
		return OK;
	if (state == SUBSCRIPTION_NONE)
		return old->state == SUBSCRIPTION_NONE ? OK : ledger_remove(r->ledger, &key);
	if (state == old->state) {
		entry.since = old->entry.since;
		if (entry.evidence < old->entry.evidence)
			entry.evidence = old->entry.evidence;
		if (entry.evidence == old->entry.evidence && r->now - old->entry.seen < SEEN_SECONDS)
			return OK;
	}
	return ledger_put(r->ledger, &key, &entry);
}

/* --- what the stanzas say --- */

static enum err handshake(const struct reading *r, bool is_outbound, enum subscription_event event)
{
	struct half out, in;
	struct subscription before;
	struct subscription_step step;
	bool is_approval = is_outbound && event == SUBSCRIPTION_SUBSCRIBED;
	enum err e = read_half(r, LEDGER_TO_CONTACT, &out);

	if (e == OK)
		e = read_half(r, LEDGER_TO_LOCAL, &in);
	if (e != OK)
		return e;
	before = (struct subscription){ .out = out.state, .in = in.state };
	step = is_outbound ? subscription_outbound(before, event) : subscription_inbound(before, event);
	if (is_approval)
		step.next.in = SUBSCRIPTION_ACTIVE;
	if (step.next.out != before.out)
		e = write_half(r, LEDGER_TO_CONTACT, &out, step.next.out, LEDGER_HANDSHAKE);
	if (e == OK && (step.next.in != before.in || is_approval))
		e = write_half(r, LEDGER_TO_LOCAL, &in, step.next.in, LEDGER_HANDSHAKE);
	if (e == OK && (step.next.in != before.in || step.next.out != before.out))
		log_event(LOG_DEBUG, "subscription", NULL, "local=%s contact=%s was=\"%s\" is=\"%s\"",
			  log_value(r->local), log_value(r->contact), subscription_name(before),
			  subscription_name(step.next));
	return e;
}

/* Only presence of the side that keeps the roster ends a request: an approval that we have missed. */
static enum err evidence(const struct reading *r, bool is_outbound, bool is_probe)
{
	enum ledger_direction direction = is_outbound == is_probe ? LEDGER_TO_CONTACT : LEDGER_TO_LOCAL;
	struct half half;
	enum err e = read_half(r, direction, &half);

	if (e != OK || (half.state == SUBSCRIPTION_PENDING && (is_probe || !is_outbound)))
		return e;
	return write_half(r, direction, &half, SUBSCRIPTION_ACTIVE,
			  is_probe ? LEDGER_PROBE : LEDGER_PRESENCE);
}

/* --- what the contact was told --- */

static enum err read_told(const struct reading *r, const struct ledger_key *key, struct presence_list *out)
{
	struct strbuf text = { .s = NULL };
	enum err e = ledger_told(r->ledger, key, &text);

	if (e == OK)
		told_read(text.s, out);
	strbuf_free(&text);
	return e;
}

/* The one resource, or all that he has (NULL). True: the contact believes it to be there. */
static bool end(struct presence_list *told, const char *resource, bool moved)
{
	bool shown = false;

	for (size_t i = told->count; i-- > 0;) {
		struct presence *p = &told->items[i];

		if (resource != NULL && (p->resource == NULL || strcmp(p->resource, resource) != 0))
			continue;
		shown = true;
		if (moved) {
			p->available = false;
			p->show = SHOW_NONE;
			p->priority = 0;
		} else {
			presence_list_remove(told, p->resource);
		}
	}
	return shown;
}

/* Notes are no part of it: they change often, and each change would be a write for each contact. */
static enum err show(struct presence_list *told, struct presence *p)
{
	free(p->status);
	free(p->lang);
	p->status = p->lang = NULL;
	return presence_list_put(told, p);
}

static enum err remember(const struct reading *r, const struct stanza *stanza, bool moved, bool *kept)
{
	const struct ledger_key key = key_of(r, LEDGER_TO_LOCAL);
	struct presence_list told = { .count = 0 }, before = { .count = 0 };
	struct presence p = { .available = false };
	bool is_shown = false;
	char *text;
	enum err e = read_told(r, &key, &told);

	if (e == OK)
		e = presence_from_stanza(stanza, &p);
	if (e != OK)
		goto done;
	presence_list_copy(&told, &before);
	if (p.available)
		e = show(&told, &p);
	else
		is_shown = end(&told, p.resource, moved);
	if (e == OK && !presence_list_equal(&told, &before)) {
		text = told_write(&told);
		e = ledger_tell(r->ledger, &key, text);
		free(text);
	}
	if (e == OK)
		*kept = is_shown && moved;
done:
	presence_clear(&p);
	presence_list_clear(&told);
	presence_list_clear(&before);
	return e;
}

/* To a full address too, as probes are answered by some: but only to one who is subscribed. */
static enum err state(const struct reading *r, const struct stanza *stanza, bool moved, bool *kept)
{
	struct half in;
	enum err e = read_half(r, LEDGER_TO_LOCAL, &in);

	if (e != OK || in.state != SUBSCRIPTION_ACTIVE || in.entry.via != LEDGER_LEGACY)
		return e;
	e = remember(r, stanza, moved, kept);
	/* A stanza that cannot be read, or one resource too many: no matter of the ledger's. */
	return e == ERR_SYNTAX || e == ERR_LIMIT ? OK : e;
}

static void note_failure(struct ledger_tap *t, const struct reading *r, enum err e)
{
	t->unsaid++;
	if (t->logged_at != 0 && r->now - t->logged_at < LOG_SECONDS)
		return;
	log_event(LOG_WARNING, "subscription-not-kept", NULL, "local=%s contact=%s why=%s times=%llu",
		  log_value(r->local), log_value(r->contact),
		  e == ERR_LIMIT ? "limit" : log_value(ledger_error(t->ledger)),
		  (unsigned long long)t->unsaid);
	t->logged_at = (time_t)r->now;
	t->unsaid = 0;
}

static bool is_state(const struct stanza *stanza)
{
	return !stanza->type || stanza_has_type(stanza, "unavailable");
}

static bool read_addresses(const struct stanza *stanza, const struct jid *local, const struct jid *contact,
			   struct reading *r)
{
	if (stanza->kind != STANZA_PRESENCE || !local->local[0])
		return false;
	jid_bare(local, r->local);
	jid_bare(contact, r->contact);
	return true;
}

static enum err read_stanza(const struct reading *r, const struct stanza *stanza, const struct jid *to,
			    bool is_outbound)
{
	enum subscription_event event;

	if (subscription_event_parse(stanza->type, &event) == OK)
		return handshake(r, is_outbound, event);
	if (!to->resource[0] && (!stanza->type || stanza_has_type(stanza, "probe")))
		return evidence(r, is_outbound, stanza->type != NULL);
	return OK;
}

bool ledger_tap_outbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			 const struct jid *to, bool moved)
{
	struct reading r = { .ledger = t->ledger, .now = time(NULL) };
	bool kept = false;
	enum err e;

	if (!read_addresses(stanza, from, to, &r))
		return false;
	e = read_stanza(&r, stanza, to, true);
	if (e == OK && is_state(stanza))
		e = state(&r, stanza, moved, &kept);
	if (e != OK)
		note_failure(t, &r, e);
	return kept;
}

void ledger_tap_inbound(struct ledger_tap *t, const struct stanza *stanza, const struct jid *from,
			const struct jid *to)
{
	struct reading r = { .ledger = t->ledger, .now = time(NULL) };
	enum err e;

	if (!read_addresses(stanza, to, from, &r))
		return;
	e = read_stanza(&r, stanza, to, false);
	if (e != OK)
		note_failure(t, &r, e);
}
