/*
 * stanza.c - messages, presences and iqs: made from an element of the stream,
 * made by us, and answered with an error (RFC 6120 section 8).
 *
 * A stanza is one allocation: the struct, its attributes, its bytes. It never
 * changes; the last stanza_unref() frees it. The bytes are an element of the
 * content namespace jabber:server, which the stream that carries them declares.
 * What is written into a stanza of ours is escaped here, but for 'inner', which
 * the caller has escaped. Nothing is fatal.
 */
#include "bridge/xmpp/stanza.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/xml.h"

static const char *const kind_names[] = {
	[STANZA_MESSAGE] = "message",
	[STANZA_PRESENCE] = "presence",
	[STANZA_IQ] = "iq",
};

/* RFC 6120 section 8.3.3; where it leaves a choice, the type by which the sender may mend it or try again. */
static const struct {
	const char *name, *type;
} conditions[CONDITIONS] = {
	[COND_BAD_REQUEST] = { "bad-request", "modify" },
	[COND_CONFLICT] = { "conflict", "cancel" },
	[COND_FEATURE_NOT_IMPLEMENTED] = { "feature-not-implemented", "cancel" },
	[COND_FORBIDDEN] = { "forbidden", "auth" },
	[COND_GONE] = { "gone", "cancel" },
	[COND_INTERNAL_SERVER_ERROR] = { "internal-server-error", "cancel" },
	[COND_ITEM_NOT_FOUND] = { "item-not-found", "cancel" },
	[COND_JID_MALFORMED] = { "jid-malformed", "modify" },
	[COND_NOT_ACCEPTABLE] = { "not-acceptable", "modify" },
	[COND_NOT_ALLOWED] = { "not-allowed", "cancel" },
	[COND_NOT_AUTHORIZED] = { "not-authorized", "auth" },
	[COND_POLICY_VIOLATION] = { "policy-violation", "modify" },
	[COND_RECIPIENT_UNAVAILABLE] = { "recipient-unavailable", "wait" },
	[COND_REDIRECT] = { "redirect", "modify" },
	[COND_REGISTRATION_REQUIRED] = { "registration-required", "auth" },
	[COND_REMOTE_SERVER_NOT_FOUND] = { "remote-server-not-found", "cancel" },
	[COND_REMOTE_SERVER_TIMEOUT] = { "remote-server-timeout", "wait" },
	[COND_RESOURCE_CONSTRAINT] = { "resource-constraint", "wait" },
	[COND_SERVICE_UNAVAILABLE] = { "service-unavailable", "cancel" },
	[COND_SUBSCRIPTION_REQUIRED] = { "subscription-required", "auth" },
	[COND_UNDEFINED_CONDITION] = { "undefined-condition", "cancel" },
	[COND_UNEXPECTED_REQUEST] = { "unexpected-request", "wait" },
};

static size_t size_of(const char *s)
{
	return s != NULL ? strlen(s) + 1 : 0;
}

/* Copies a string to *end and moves *end behind it; NULL stays NULL. */
static const char *pack(char **end, const char *s)
{
	char *at = *end;

	if (s == NULL)
		return NULL;
	*end = stpcpy(at, s) + 1;
	return at;
}

static struct stanza *create(enum stanza_kind kind, const struct xml_element *e)
{
	size_t strings =
		size_of(e->from) + size_of(e->to) + size_of(e->id) + size_of(e->type) + size_of(e->lang);
	struct stanza *s = xmalloc(sizeof(*s) + strings + e->size + 1);
	char *end = (char *)(s + 1);

	s->refs = 1;
	s->kind = kind;
	s->from = pack(&end, e->from);
	s->to = pack(&end, e->to);
	s->id = pack(&end, e->id);
	s->type = pack(&end, e->type);
	s->lang = pack(&end, e->lang);
	memcpy(end, e->bytes, e->size);
	end[e->size] = '\0';
	s->bytes = end;
	s->size = e->size;
	return s;
}

enum err stanza_from_element(const struct xml_element *element, struct stanza **out)
{
	if (strcmp(element->ns, NS_SERVER) != 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
		if (strcmp(element->name, kind_names[i]) == 0) {
			*out = create((enum stanza_kind)i, element);
			return OK;
		}
	}
	return ERR_SYNTAX;
}

struct stanza *stanza_make(enum stanza_kind kind, const char *from, const char *to, const char *id,
			   const char *type, const char *lang, const struct strbuf *inner)
{
	struct xml_element e = { .from = from, .to = to, .id = id, .type = type, .lang = lang };
	const char *name = kind_names[kind];
	struct strbuf b = { 0 };
	struct stanza *s;

	strbuf_putc(&b, '<');
	strbuf_puts(&b, name);
	xml_attr(&b, "from", from);
	xml_attr(&b, "to", to);
	xml_attr(&b, "id", id);
	xml_attr(&b, "type", type);
	xml_attr(&b, "xml:lang", lang);
	if (inner != NULL && inner->len > 0) {
		strbuf_putc(&b, '>');
		strbuf_add(&b, inner->s, inner->len);
		strbuf_puts(&b, "</");
		strbuf_puts(&b, name);
		strbuf_putc(&b, '>');
	} else {
		strbuf_puts(&b, "/>");
	}
	e.bytes = b.s;
	e.size = b.len;
	s = create(kind, &e);
	strbuf_free(&b);
	return s;
}

struct stanza *stanza_ref(struct stanza *s)
{
	s->refs++;
	return s;
}

void stanza_unref(struct stanza *s)
{
	if (s != NULL && --s->refs == 0)
		free(s);
}

const char *stanza_kind_name(enum stanza_kind kind)
{
	return kind_names[kind];
}

bool stanza_has_type(const struct stanza *s, const char *type)
{
	if (s->type == NULL || type == NULL)
		return s->type == type;
	return s->type[0] == type[0] &&
	       strcmp(s->type, type) == 0; /* it is asked often, and mostly in vain */
}

const char *condition_name(enum condition c)
{
	return conditions[c].name;
}

const char *condition_type(enum condition c)
{
	return conditions[c].type;
}

enum err condition_parse(const char *name, enum condition *out)
{
	for (size_t i = 0; i < CONDITIONS; i++) {
		if (strcmp(name, conditions[i].name) == 0) {
			*out = (enum condition)i;
			return OK;
		}
	}
	return ERR_NOT_FOUND;
}

/* RFC 6120 sections 8.2.3 and 8.3.1: never to an error, nor to the answer to a request. */
static bool may_answer(const struct stanza *s)
{
	if (s->from == NULL || stanza_has_type(s, "error"))
		return false;
	return s->kind != STANZA_IQ || !stanza_has_type(s, "result");
}

static void add_condition(struct strbuf *b, enum condition c, const char *uri)
{
	strbuf_putc(b, '<');
	strbuf_puts(b, conditions[c].name);
	xml_attr(b, "xmlns", NS_STANZA_ERRORS);
	if (uri != NULL && (c == COND_GONE || c == COND_REDIRECT)) {
		strbuf_putc(b, '>');
		xml_text(b, uri, strlen(uri));
		strbuf_puts(b, "</");
		strbuf_puts(b, conditions[c].name);
		strbuf_putc(b, '>');
	} else {
		strbuf_puts(b, "/>");
	}
}

struct stanza *stanza_error(const struct stanza *s, enum condition c, const char *text, const char *uri)
{
	struct strbuf inner = { 0 };
	struct stanza *answer;

	if (!may_answer(s))
		return NULL;
	strbuf_puts(&inner, "<error");
	xml_attr(&inner, "type", conditions[c].type);
	strbuf_putc(&inner, '>');
	add_condition(&inner, c, uri);
	if (text != NULL) {
		strbuf_puts(&inner, "<text");
		xml_attr(&inner, "xmlns", NS_STANZA_ERRORS);
		xml_attr(&inner, "xml:lang", "en");
		strbuf_putc(&inner, '>');
		xml_text(&inner, text, strlen(text));
		strbuf_puts(&inner, "</text>");
	}
	strbuf_puts(&inner, "</error>");
	answer = stanza_make(s->kind, s->to, s->from, s->id, "error", NULL, &inner);
	strbuf_free(&inner);
	return answer;
}
