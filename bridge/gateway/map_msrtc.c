/*
 * map_msrtc.c - what Microsoft's pools say of a user: text/xml+msrtc.pidf (Live
 * Communications Server) and application/msrtc-event-categories+xml (Office
 * Communications Server and later).
 *
 * Both know a user's aggregated state, not his devices: one resource without a
 * name. Ours is the choice of a <show/> for each range of numbers; docs/mapping.md
 * has the tables. A state that cannot be read is unavailable.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <string.h>

#define NS_PRESENTITY "http://schemas.microsoft.com/2002/09/sip/presence"
#define NS_CATEGORIES "http://schemas.microsoft.com/2006/09/sip/categories"
#define NS_STATE      "http://schemas.microsoft.com/2006/09/sip/state"
#define NS_NOTE       "http://schemas.microsoft.com/2006/09/sip/note"
#define NS_XSI        "http://www.w3.org/2001/XMLSchema-instance"

/* Numbers of ours are this at most; a larger one cannot be read. */
enum { NUMBER_MAX = 1000000 };

struct range {
	unsigned below; /* the number is less; 0: every other number */
	bool available;
	enum presence_show show;
};

static const struct range availabilities[] = {
	{ 4500, true, SHOW_NONE },  /* available */
	{ 6000, true, SHOW_AWAY },  /* available, idle */
	{ 7500, true, SHOW_DND },   /* busy */
	{ 9000, true, SHOW_DND },   /* busy, idle */
	{ 12000, true, SHOW_DND },  /* do not disturb */
	{ 15000, true, SHOW_AWAY }, /* be right back */
	{ 18000, true, SHOW_AWAY }, /* away */
	{ 0, false, SHOW_NONE },    /* offline */
};

/* Of one who is available, aggregate availability 100 or more. */
static const struct range activities[] = {
	{ 150, true, SHOW_AWAY }, /* away */
	{ 200, true, SHOW_AWAY }, /* out for lunch */
	{ 300, true, SHOW_AWAY }, /* idle */
	{ 400, true, SHOW_AWAY }, /* be right back */
	{ 500, true, SHOW_NONE }, /* active */
	{ 600, true, SHOW_DND },  /* in a call */
	{ 700, true, SHOW_DND },  /* busy */
	{ 800, true, SHOW_AWAY }, /* away */
	{ 0, true, SHOW_NONE },   /* active */
};

enum { ONLINE = 100 }; /* the least aggregate availability of one who is available */

static void apply(const struct range *range, unsigned number, struct presence *p)
{
	while (range->below != 0 && number >= range->below)
		range++;
	p->available = range->available;
	p->show = range->show;
}

/* --- text/xml+msrtc.pidf --- */

static bool read_aggregate(const struct xmlnode *root, const char *name, unsigned *out)
{
	const struct xmlnode *node = xmlnode_child(root, root->ns, name);

	return node != NULL && word_number(xmlnode_attribute(node, "", "aggregate"), NUMBER_MAX, out);
}

/* Some pools leave the namespace out. */
enum err msrtc_read(const struct xmlnode *root, struct presence_list *out)
{
	const struct xmlnode *note =
		xmlnode_child(xmlnode_child(root, root->ns, "userInfo"), root->ns, "note");
	struct presence p = { .available = false };
	unsigned availability, activity;
	enum err e;

	if (!xmlnode_is(root, NS_PRESENTITY, "presentity") && !xmlnode_is(root, "", "presentity"))
		return ERR_NOT_FOUND;
	if (read_aggregate(root, "availability", &availability) && availability >= ONLINE) {
		p.available = true;
		if (read_aggregate(root, "activity", &activity))
			apply(activities, activity, &p);
	}
	if (note != NULL)
		presence_set_status(&p, note->text, note->lang);
	e = presence_list_put(out, &p);
	presence_clear(&p);
	return e;
}

/* --- application/msrtc-event-categories+xml --- */

/* xsi:type is a qualified name. */
static bool is_aggregate(const struct xmlnode *state)
{
	const char *type = xmlnode_attribute(state, NS_XSI, "type"), *colon;

	if (type == NULL)
		return false;
	colon = strchr(type, ':');
	return word_is(colon != NULL ? colon + 1 : type, "aggregateState");
}

/*
 * The aggregated state; of states without it, the one furthest from available.
 * An empty category, or one that cannot be read, is offline.
 */
struct states {
	bool seen, aggregate;
	bool known; /* a number */
	unsigned availability;
};

static void read_state(const struct xmlnode *category, struct states *s)
{
	const struct xmlnode *state = xmlnode_child(category, NS_STATE, "state");

	s->seen = true;
	for (; state != NULL; state = xmlnode_next(state, NS_STATE, "state")) {
		const struct xmlnode *node = xmlnode_child(state, NS_STATE, "availability");
		bool aggregate = is_aggregate(state);
		unsigned number;

		if (node == NULL || !word_number(node->text, NUMBER_MAX, &number) ||
		    (s->aggregate && !aggregate))
			continue;
		if (!s->known || aggregate || number > s->availability)
			s->availability = number;
		s->aggregate = aggregate;
		s->known = true;
	}
}

/* The first body that says something: personal, or out of office. */
static void read_note(const struct xmlnode *category, struct presence *p)
{
	const struct xmlnode *note = xmlnode_child(category, NS_NOTE, "note");

	for (; note != NULL; note = xmlnode_next(note, NS_NOTE, "note")) {
		const struct xmlnode *body = xmlnode_child(note, NS_NOTE, "body");

		for (; body != NULL && p->status == NULL; body = xmlnode_next(body, NS_NOTE, "body"))
			presence_set_status(p, body->text, body->lang);
	}
}

enum err categories_read(const struct xmlnode *root, const struct presence_list *known,
			 struct presence_list *out)
{
	const struct xmlnode *category = xmlnode_child(root, NS_CATEGORIES, "category");
	const struct presence *before = known != NULL ? presence_list_find(known, NULL) : NULL;
	struct presence p = { .available = false };
	struct states states = { .seen = false };
	bool has_note = false;
	enum err e = OK;

	if (!xmlnode_is(root, NS_CATEGORIES, "categories"))
		return ERR_NOT_FOUND;
	for (; category != NULL; category = xmlnode_next(category, NS_CATEGORIES, "category")) {
		const char *name = xmlnode_attribute(category, "", "name");

		if (name != NULL && word_is(name, "state")) {
			read_state(category, &states);
		} else if (name != NULL && word_is(name, "note")) {
			has_note = true;
			read_note(category, &p);
		}
	}
	if (states.known) {
		apply(availabilities, states.availability, &p);
	} else if (!states.seen && before != NULL) {
		p.available = before->available;
		p.show = before->show;
	}
	if (!has_note && before != NULL && before->status != NULL)
		presence_set_status(&p, before->status, before->lang);
	if (states.seen || before != NULL)
		e = presence_list_put(out, &p);
	presence_clear(&p);
	return e;
}
