/*
 * map_pidf.c - a PIDF document to presence (RFC 3863), with RPID (RFC 4480) and
 * the XMPP show (RFC 8048 section 6).
 *
 * A tuple is a resource. What it says itself counts before what is said of the
 * person, for <show/>, activities and notes alike. Elements that are not
 * understood are ignored, with whatever mustUnderstand says inside them (RFC
 * 3863 section 4.2.3); so are the times that RPID gives an activity, since only
 * the presence server knows what it has heard since.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/sip/address.h"

/* RFC 4480 section 3.2. What is not here (looking-for-work, other, playing ...) says nothing of availability. */
static const struct {
	const char *name;
	enum presence_show show;
} activities[] = {
	{ "appointment", SHOW_DND },
	{ "away", SHOW_AWAY },
	{ "breakfast", SHOW_AWAY },
	{ "busy", SHOW_DND },
	{ "dinner", SHOW_AWAY },
	{ "holiday", SHOW_XA },
	{ "in-transit", SHOW_AWAY },
	{ "lunch", SHOW_AWAY },
	{ "meal", SHOW_AWAY },
	{ "meeting", SHOW_DND },
	{ "on-the-phone", SHOW_DND },
	{ "performance", SHOW_DND },
	{ "permanent-absence", SHOW_XA },
	{ "presentation", SHOW_DND },
	{ "shopping", SHOW_AWAY },
	{ "sleeping", SHOW_XA },
	{ "steering", SHOW_DND },
	{ "travel", SHOW_AWAY },
	{ "vacation", SHOW_XA },
	{ "worship", SHOW_DND },
};

/* Of several activities the one that leaves the least room for a talk (the enum is in that order). */
static enum presence_show stronger(enum presence_show a, enum presence_show b)
{
	return a > b ? a : b;
}

/* <rpid:away/>, and before RFC 4480 <ep:activity>away</ep:activity>. */
static enum presence_show activity_show(const struct xmlnode *activity)
{
	bool is_old = strcmp(activity->name, "activity") == 0;
	const char *name = is_old ? activity->text : activity->name;

	for (size_t i = 0; i < ARRAY_SIZE(activities); i++)
		if (word_is(name, activities[i].name))
			return activities[i].show;
	return SHOW_NONE;
}

/* All that is said of activities directly in a tuple, its status, or a person; idle counts as away. */
static enum presence_show show_of(const struct xmlnode *node)
{
	static const char *const namespaces[] = { NS_RPID, NS_RPID_STATUS };
	enum presence_show show = SHOW_NONE;

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		const char *ns = namespaces[i];
		const struct xmlnode *list = xmlnode_child(node, ns, "activities"), *activity;
		const struct xmlnode *input = xmlnode_child(node, ns, "user-input");

		for (; list != NULL; list = xmlnode_next(list, ns, "activities"))
			for (activity = list->children; activity != NULL; activity = activity->next)
				if (strcmp(activity->ns, ns) == 0)
					show = stronger(show, activity_show(activity));
		if (input != NULL && word_is(input->text, "idle"))
			show = stronger(show, SHOW_AWAY);
	}
	return show;
}

/* The first note of these that says something; what p has already is kept. */
static void read_note(const struct xmlnode *parent, const char *ns, const char *language, struct presence *p)
{
	const struct xmlnode *note = xmlnode_child(parent, ns, "note");

	for (; note != NULL && p->status == NULL; note = xmlnode_next(note, ns, "note"))
		presence_set_status(p, note->text, note->lang != NULL ? note->lang : language);
}

/* What is said of the user, not of a tuple. */
static void read_person(const struct xmlnode *root, const char *language, struct presence *p)
{
	const struct xmlnode *person = xmlnode_child(root, NS_DATA_MODEL, "person");

	for (; person != NULL; person = xmlnode_next(person, NS_DATA_MODEL, "person")) {
		p->show = stronger(p->show, show_of(person));
		read_note(person, NS_DATA_MODEL, language, p);
		read_note(xmlnode_child(person, NS_RPID, "activities"), NS_RPID, language, p);
	}
	read_note(root, NS_PIDF, language, p);
}

/* "0" to "1", three decimals at most, in thousandths (RFC 3863 section 4.1.5). */
static bool read_thousandths(const char *text, unsigned *out)
{
	unsigned value, unit = 1000;

	if ((text[0] != '0' && text[0] != '1') || (text[1] != '.' && text[1] != '\0'))
		return false;
	value = (unsigned)(text[0] - '0') * unit;
	for (text += text[1] == '.' ? 2 : 1; *text != '\0'; text++) {
		unit /= 10;
		if (unit == 0 || *text < '0' || *text > '9')
			return false;
		value += (unsigned)(*text - '0') * unit;
	}
	if (value > 1000)
		return false;
	*out = value;
	return true;
}

/* The lowest priority for what has none, or a wrong one (RFC 3863 section 4.1.5); the reverse of pidf_write(). */
static int priority_of(const struct xmlnode *contact)
{
	const char *text = contact != NULL ? xmlnode_attribute(contact, "", "priority") : NULL;
	unsigned thousandths;

	if (text == NULL || !read_thousandths(text, &thousandths))
		return 0;
	return (int)((thousandths * PRIORITY_MAX + 999) / 1000);
}

/*
 * The resource by which the tuple is reached: that of its GRUU (RFC 7247 section
 * 6.4), else the tuple's identifier. One that can be no resource names none.
 */
static void read_resource(const struct xmlnode *tuple, const struct xmlnode *contact, struct presence *p)
{
	const char *id = xmlnode_attribute(tuple, "", "id");
	struct sip_address address;
	char *resource;

	if (contact != NULL && sip_address_parse(contact->text, &address) == OK && address.gr[0] != '\0' &&
	    presence_set_resource(p, address.gr))
		return;
	if (id == NULL)
		return;
	resource = pidf_id_read(id);
	(void)presence_set_resource(p, resource);
	free(resource);
}

/* false: the tuple does not say whether it is open. */
static bool read_tuple(const struct xmlnode *tuple, const struct presence *person, const char *language,
		       struct presence *p)
{
	const struct xmlnode *status = xmlnode_child(tuple, NS_PIDF, "status");
	const struct xmlnode *basic = xmlnode_child(status, NS_PIDF, "basic");
	const struct xmlnode *show = xmlnode_child(status, NS_CLIENT, "show");
	const struct xmlnode *contact = xmlnode_child(tuple, NS_PIDF, "contact");

	if (basic == NULL || (!word_is(basic->text, "open") && !word_is(basic->text, "closed")))
		return false;
	p->available = word_is(basic->text, "open");
	if (p->available) {
		p->priority = priority_of(contact);
		p->show = stronger(show_of(tuple), show_of(status));
		if (p->show == SHOW_NONE)
			p->show = person->show;
		if (show != NULL)
			word_show(show->text, &p->show);
	}
	read_note(tuple, NS_PIDF, language, p);
	if (p->status == NULL && person->status != NULL)
		presence_set_status(p, person->status, person->lang);
	read_resource(tuple, contact, p);
	return true;
}

/* Two tuples of one resource are two of its services (RFC 4479 section 3.2): the more available one counts. */
static enum err put_tuple(struct presence_list *l, const struct presence *p)
{
	const struct presence *there = presence_list_find(l, p->resource);

	if (there != NULL && presence_compare(there, p) <= 0)
		return OK;
	return presence_list_put(l, p);
}

enum err pidf_read(const struct xmlnode *root, const char *language, struct presence_list *out)
{
	const struct xmlnode *tuple = xmlnode_child(root, NS_PIDF, "tuple");
	struct presence person = { .available = false };
	enum err e = OK;

	if (!xmlnode_is(root, NS_PIDF, "presence"))
		return ERR_NOT_FOUND;
	read_person(root, language, &person);
	for (; tuple != NULL && e == OK; tuple = xmlnode_next(tuple, NS_PIDF, "tuple")) {
		struct presence p = { .available = false };

		if (read_tuple(tuple, &person, language, &p))
			e = put_tuple(out, &p);
		presence_clear(&p);
	}
	presence_clear(&person);
	return e;
}
