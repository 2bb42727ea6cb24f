/*
 * map_pidf_write.c - presence to a PIDF document, as RFC 8048 section 6.2 has it.
 *
 * The state is said three times, since no form is read by all: <show/> for other
 * XMPP gateways; the activity of the person (RFC 4480), that of the preferred
 * resource; and COMPAT: the activity in <status/> of before RFC 4480, the only
 * one that clients of the Microsoft protocol read. They and others look at the
 * first tuple alone, so the preferred resource comes first.
 *
 * There is no timestamp (RFC 3863 section 4.1.7 would like one): a document
 * that says the same is the same, and is not sent again.
 *
 * Pure. Nothing is fatal.
 */
#include "bridge/gateway/map_presence_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/jid.h"
#include "bridge/xmpp/xml.h"

/* RPID has no word for chat; absence and extended absence are one. NULL: nothing to say. */
static const char *activity_of(const struct presence *p)
{
	static const char *const activities[] = {
		[SHOW_NONE] = NULL, [SHOW_CHAT] = NULL,  [SHOW_AWAY] = "away",
		[SHOW_XA] = "away", [SHOW_DND] = "busy",
	};

	return p->available ? activities[p->show] : NULL;
}

static void put_status(struct strbuf *b, const struct presence *p)
{
	const char *show = p->available ? presence_show_name(p->show) : NULL;
	const char *activity = activity_of(p);

	strbuf_printf(b, "<status><basic>%s</basic>", p->available ? "open" : "closed");
	if (activity != NULL)
		strbuf_printf(b, "<ep:activities><ep:activity>%s</ep:activity></ep:activities>", activity);
	if (show != NULL)
		strbuf_printf(b, "<show xmlns='" NS_CLIENT "'>%s</show>", show);
	strbuf_puts(b, "</status>");
}

/* 0 to 0, 127 to 1, all different (RFC 8048 section 6.2, note 6); nothing for a negative priority. */
static void put_contact(struct strbuf *b, const struct presence *p, const char *entity)
{
	unsigned thousandths;

	if (!p->available || p->priority < 0)
		return;
	thousandths = (unsigned)p->priority * 1000 / PRIORITY_MAX;
	strbuf_puts(b, "<contact priority='");
	if (thousandths % 1000 == 0)
		strbuf_printf(b, "%u'>", thousandths / 1000);
	else
		strbuf_printf(b, "0.%03u'>", thousandths);
	xml_text(b, entity, strlen(entity));
	strbuf_puts(b, "</contact>");
}

static void put_tuple(struct strbuf *b, const struct presence *p, const char *entity)
{
	strbuf_puts(b, "<tuple id='");
	pidf_id_write(b, p->resource);
	strbuf_puts(b, "'>");
	put_status(b, p);
	put_contact(b, p, entity);
	if (p->status != NULL) {
		strbuf_puts(b, "<note");
		xml_attr(b, "xml:lang", p->lang);
		strbuf_putc(b, '>');
		xml_text(b, p->status, strlen(p->status));
		strbuf_puts(b, "</note>");
	}
	strbuf_puts(b, "</tuple>\n");
}

static void put_head(struct strbuf *b, const char *entity)
{
	strbuf_puts(b, "<?xml version='1.0' encoding='UTF-8'?>\n"
		       "<presence xmlns='" NS_PIDF "' xmlns:dm='" NS_DATA_MODEL "' xmlns:rpid='" NS_RPID
		       "' xmlns:ep='" NS_RPID_STATUS "'");
	xml_attr(b, "entity", entity);
	strbuf_puts(b, ">\n");
}

static void put_person(struct strbuf *b, const struct presence *preferred)
{
	const char *activity = activity_of(preferred);

	if (activity != NULL)
		strbuf_printf(
			b,
			"<dm:person id='person'><rpid:activities><rpid:%s/></rpid:activities></dm:person>\n",
			activity);
	strbuf_puts(b, "</presence>\n");
}

static int by_preference(const void *a, const void *b)
{
	return presence_compare(*(const struct presence *const *)a, *(const struct presence *const *)b);
}

/* The first tuple whatever its size; a further one while the document stays within PIDF_BYTES. */
static void put_tuples(struct strbuf *b, const struct presence *const *order, size_t count,
		       const char *entity)
{
	struct strbuf tuple = { 0 };

	for (size_t i = 0; i < count; i++) {
		strbuf_reset(&tuple);
		put_tuple(&tuple, order[i], entity);
		if (i > 0 && b->len + tuple.len > PIDF_BYTES)
			break;
		strbuf_add(b, tuple.s, tuple.len);
	}
	strbuf_free(&tuple);
}

static bool is_xml(const char *s)
{
	return s == NULL || utf8_is_xml(s, strlen(s));
}

enum err pidf_write(const struct presence_list *list, const char *entity, struct strbuf *out)
{
	static const struct presence nothing = { .available = false };
	const struct presence *order[PRESENCE_RESOURCES] = { &nothing };
	size_t count = list->count > 0 ? list->count : 1;

	if (!is_xml(entity))
		return ERR_SYNTAX;
	for (size_t i = 0; i < list->count; i++) {
		order[i] = &list->items[i];
		if (!is_xml(order[i]->status) || !is_xml(order[i]->lang))
			return ERR_SYNTAX;
	}
	qsort(order, count, sizeof(*order), by_preference);
	put_head(out, entity);
	put_tuples(out, order, count, entity);
	put_person(out, order[0]);
	return OK;
}
