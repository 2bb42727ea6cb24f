/*
 * map_held.c - a MESSAGE between colleagues in the form in which it is kept.
 *
 * The stanza's own elements hold what people can read: text, subject, thread,
 * name. A child of ours has the rest: dates, and of a body that is more than
 * plain text (HTML, CPIM with its wish for notifications, alternatives) the
 * bytes themselves, so that it leaves as it came. Other header fields are not
 * kept: those of proxies were for that one transaction.
 *
 * Pure. The bytes may come from a damaged file, so what is read is checked again.
 * Nothing but memory is fatal.
 */
#include "bridge/gateway/map_held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/map.h"
#include "bridge/gateway/map_content.h"
#include "bridge/gateway/map_mime.h"
#include "bridge/xmpp/xml.h"

#define NS_HELD   "urn:poolbridge:sip"
#define UTF8_TEXT "text/plain;charset=UTF-8"

/* --- writing --- */

static bool is_plain_text(const char *content_type)
{
	char name[MIME_NAME_SIZE];
	const char *parameters;

	return mime_name_parse(content_type, name, &parameters) == OK && strcmp(name, "text/plain") == 0;
}

static bool is_xml(const char *text)
{
	return text == NULL || utf8_is_xml(text, strlen(text));
}

static bool is_writable(const struct map_held *m)
{
	return is_xml(m->call_id) && is_xml(m->date) && is_xml(m->content_type);
}

static void put_request(struct strbuf *b, const struct map_held *m)
{
	char expires[24];

	snprintf(expires, sizeof(expires), "%lld", (long long)m->expires);
	strbuf_puts(b, "<request xmlns='" NS_HELD "'");
	xml_attr(b, "date", m->date);
	xml_attr(b, "expires", m->expires >= 0 ? expires : NULL);
	if (is_plain_text(m->content_type)) {
		strbuf_puts(b, "/>");
		return;
	}
	xml_attr(b, "type", m->content_type);
	strbuf_putc(b, '>');
	mime_base64_encode((struct mime_span){ m->body, m->size }, b);
	strbuf_puts(b, "</request>");
}

static enum err write_text(const struct jid *from, const struct jid *to, const struct map_held *m,
			   const struct map_content *text, struct stanza **out)
{
	char *id = xasprintf("%s %u", m->call_id, (unsigned)m->cseq);
	char sender[JID_BARE_SIZE], recipient[JID_BARE_SIZE];
	struct strbuf request = { .s = NULL };
	const struct map_message message = {
		.from = sender,
		.to = recipient,
		.id = id,
		.subject = m->subject,
		.thread = m->call_id,
		.lang = m->language,
		.body = text->text,
		.body_size = strlen(text->text),
		.nick = m->name,
		.more = &request,
	};
	enum err e = ERR_SYNTAX;

	jid_bare(from, sender);
	jid_bare(to, recipient);
	if (is_writable(m)) {
		put_request(&request, m);
		e = map_message_to_stanza(&message, out);
	}
	strbuf_free(&request);
	free(id);
	return e;
}

enum err map_held_write(const struct jid *from, const struct jid *to, const struct map_held *m,
			struct stanza **out)
{
	struct map_content content;
	enum err e = map_content_read(m->content_type, m->body, m->size, &content);

	if (e != OK)
		return e;
	e = content.kind == MAP_CONTENT_TEXT ? write_text(from, to, m, &content, out) : ERR_REFUSED;
	map_content_free(&content);
	return e;
}

/* --- reading --- */

static const char *filled(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

static enum err read_expires(const char *text, int64_t *out)
{
	char *end;
	long long seconds;

	if (text == NULL) {
		*out = -1;
		return OK;
	}
	seconds = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || seconds < 0 || seconds > UINT32_MAX)
		return ERR_SYNTAX;
	*out = seconds;
	return OK;
}

static enum err read_body(struct map_held *m, const char *type)
{
	const char *text = stanza_tree_text(m->tree, "body", NULL);
	const char *base64 = stanza_tree_text(m->tree, "request", NS_HELD);
	enum err e;

	if (type == NULL) {
		m->content_type = UTF8_TEXT;
		m->body = text != NULL ? text : "";
		m->size = strlen(m->body);
		return m->size > 0 ? OK : ERR_SYNTAX;
	}
	e = base64 != NULL ? mime_base64_decode((struct mime_span){ base64, strlen(base64) }, &m->raw)
			   : ERR_SYNTAX;
	m->content_type = type;
	m->body = m->raw.s != NULL ? m->raw.s : "";
	m->size = m->raw.len;
	return e;
}

enum err map_held_read(const struct stanza *stanza, struct map_held *out)
{
	struct map_held m = { .expires = -1 };
	enum err e = stanza_tree_build(stanza, &m.tree);

	if (e != OK)
		return e;
	m.call_id = filled(stanza_tree_text(m.tree, "thread", NULL));
	m.name = filled(stanza_tree_text(m.tree, "nick", NS_NICK));
	m.subject = filled(stanza_tree_text(m.tree, "subject", NULL));
	m.language = stanza->lang;
	m.date = stanza_tree_attribute(m.tree, "request", NS_HELD, "date");
	e = read_expires(stanza_tree_attribute(m.tree, "request", NS_HELD, "expires"), &m.expires);
	if (e == OK)
		e = read_body(&m, stanza_tree_attribute(m.tree, "request", NS_HELD, "type"));
	if (e == OK)
		*out = m;
	else
		map_held_free(&m);
	return e;
}

void map_held_free(struct map_held *m)
{
	stanza_tree_free(m->tree);
	strbuf_free(&m->raw);
}

/* --- the notice --- */

/* A stranger's words: text that XML can hold, or none. */
static void put_reason(struct strbuf *b, const char *why)
{
	strbuf_puts(b, "This message could not be delivered");
	if (why != NULL && why[0] != '\0' && utf8_is_xml(why, strlen(why)))
		strbuf_printf(b, " (%s)", why);
	strbuf_puts(b, ":\n\n");
}

struct stanza *map_held_notice(const struct stanza *stanza, const char *why)
{
	struct stanza_tree *tree;
	struct stanza *notice = NULL;
	struct strbuf text = { .s = NULL };
	char *id;

	if (stanza_has_type(stanza, "error") || stanza_tree_build(stanza, &tree) != OK)
		return NULL;
	id = xasprintf("undelivered %s", stanza->id != NULL ? stanza->id : "");
	put_reason(&text, why);
	if (stanza_tree_text(tree, "body", NULL) != NULL)
		strbuf_puts(&text, stanza_tree_text(tree, "body", NULL));
	if (map_message_to_stanza(&(struct map_message){ .from = stanza->to,
							 .to = stanza->from,
							 .id = id,
							 .thread = stanza_tree_text(tree, "thread", NULL),
							 .body = text.s,
							 .body_size = text.len,
							 .type = "error" },
				  &notice) != OK)
		notice = NULL;
	strbuf_free(&text);
	stanza_tree_free(tree);
	free(id);
	return notice;
}
