/*
 * xmlstream.c - bytes from the network -> stream header, first-level elements,
 * end of stream: expat, with what RFC 6120 section 11 takes away from XML, and
 * with limits.
 *
 * Expat runs in namespace mode with prefixes, and is never given more than may
 * still belong to the element in progress: so a limit holds inside an unfinished
 * tag too, and the verdict does not depend on how the bytes are cut. An element
 * that lies whole in the bytes fed is passed on from there; only what spans two
 * calls is copied (see 'kept').
 *
 * Owns its buffers; what callbacks see is valid until they return. A stream
 * that failed stays failed. Nothing but memory is fatal.
 */
#include "config.h"

#include "bridge/xmpp/xmlstream.h"

#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridge/xmpp/xmlname.h"
#include "bridge/xmpp/xmlpending.h"

#define NS_CLIENT "jabber:client"

/* How often an unfinished tag may be scanned again for bytes that could have ended it. */
enum { FUTILE_MAX = 100 };

enum state {
	STATE_HEADER,  /* before the end of the stream header */
	STATE_CONTENT, /* inside the stream element */
	STATE_CLOSED,  /* after its end tag: what follows is dropped */
	STATE_STOPPED,
	STATE_FAILED
};

struct xmlstream {
	const char *content, *form; /* namespaces */
	const struct xmlstream_limits *limits;
	const struct xmlstream_ops *ops;
	void *ctx;
	XML_Parser expat;
	enum state state;
	const char *condition;

	/* Offsets in the stream. Everything before 'done' is dealt with; what lies between is in progress. */
	uint64_t parsed, done;
	const char *fed; /* the bytes of the present call, from fed_at on */
	uint64_t fed_at;
	struct strbuf kept; /* the bytes [kept_at, fed_at) */
	uint64_t kept_at;

	bool content_namespace; /* the header's default namespace is the content namespace */
	bool has_dialback;

	unsigned futile; /* consecutive scans of an unfinished tag */

	unsigned depth;        /* open elements below the stream element */
	unsigned elements;     /* in the present first-level element */
	unsigned declarations; /* of namespaces, in the present tag */
	unsigned foreign;      /* depth of the outermost open element beyond the content namespace; 0: none */
	bool renames;          /* the present tag declares the content namespace, and the form is another */
	struct xml_pending pending;
};

/* Between events: the stream is still wanted. Expat may report one more event after it was stopped. */
static bool is_live(const struct xmlstream *x)
{
	return x->state == STATE_HEADER || x->state == STATE_CONTENT;
}

static void fail(struct xmlstream *x, const char *condition)
{
	if (!is_live(x))
		return;
	x->state = STATE_FAILED;
	x->condition = condition;
	XML_StopParser(x->expat, XML_FALSE);
}

static uint64_t event_start(const struct xmlstream *x)
{
	return (uint64_t)XML_GetCurrentByteIndex(x->expat);
}

static uint64_t event_end(const struct xmlstream *x)
{
	return event_start(x) + (uint64_t)XML_GetCurrentByteCount(x->expat);
}

/* Namespace declarations are attributes too, but expat does not list them. */
static bool check_count(struct xmlstream *x, const char **attributes)
{
	unsigned count = x->declarations;

	x->declarations = 0;
	for (; attributes[0] != NULL; attributes += 2)
		count++;
	if (count > x->limits->attributes)
		fail(x, "policy-violation");
	return is_live(x);
}

/*
 * Note which prefixes the element uses. One for the content namespace is
 * refused wherever it stands: RFC 6120 section 4.8.5 asks servers not to route
 * such an element, and what parsers read differently is a way to smuggle.
 */
static bool check_prefixes(struct xmlstream *x, const struct xml_name *name, const char **attributes)
{
	if (name->prefix != NULL) {
		if (xml_name_has_ns(name, x->content) || xml_name_has_ns(name, x->form)) {
			fail(x, "bad-namespace-prefix");
			return false;
		}
		xml_scope_use(&x->pending.scope, name->prefix);
	}
	for (; attributes[0] != NULL; attributes += 2) {
		const char *prefix = xml_attribute_prefix(attributes[0]);

		if (prefix != NULL)
			xml_scope_use(&x->pending.scope, prefix);
	}
	return true;
}

static void read_header(const char **attributes, struct xml_header *header)
{
	const char *values[XML_FIELDS + 1] = { NULL }; /* the last one is what nobody reads */

	for (; attributes[0] != NULL; attributes += 2)
		values[xml_attribute_field(attributes[0])] = attributes[1];
	header->from = values[XML_FROM];
	header->to = values[XML_TO];
	header->id = values[XML_ID];
	header->version = values[XML_VERSION];
	header->lang = values[XML_LANG];
}

/* The stream header (RFC 6120 section 4.8). */
static void open_stream(struct xmlstream *x, const struct xml_name *name, const char **attributes)
{
	struct xml_header header = { .has_dialback = x->has_dialback };

	if (!xml_name_has_ns(name, NS_STREAMS) || !x->content_namespace) {
		fail(x, "invalid-namespace");
		return;
	}
	if (!xml_name_is_local(name, "stream")) {
		fail(x, "invalid-xml");
		return;
	}
	if (!check_count(x, attributes))
		return;
	read_header(attributes, &header);
	xml_scope_set_lang(&x->pending.scope, header.lang);
	x->state = STATE_CONTENT;
	x->done = event_end(x);
	x->ops->open(x->ctx, &header);
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int n);

static void begin_element(struct xmlstream *x, const struct xml_name *name, const char **attributes)
{
	/* A content namespace that is not that of the stream (RFC 6120 section 4.8.3). */
	if (xml_name_has_ns(name, NS_CLIENT) || (x->form != x->content && xml_name_has_ns(name, x->form))) {
		fail(x, "invalid-namespace");
		return;
	}
	x->done = event_start(x);
	xml_pending_begin(&x->pending, name, xml_name_has_ns(name, x->content) ? x->form : NULL, attributes);
	if (x->pending.is_stanza)
		XML_SetCharacterDataHandler(x->expat, NULL);
}

/*
 * A tag inside the element declares the content namespace by name. Within foreign
 * elements (a forwarded message) jabber:server is as good on a component's stream as
 * on another, but jabber:component:accept is known nowhere else.
 */
static void note_rename(struct xmlstream *x, const struct xml_name *name)
{
	bool is_wanted = x->renames;

	x->renames = false;
	if (x->foreign == 0 && !xml_name_has_ns(name, x->content))
		x->foreign = x->depth;
	if (is_wanted && (x->foreign == 0 || strcmp(x->content, NS_COMPONENT) == 0))
		xml_pending_rename(&x->pending, (size_t)(event_start(x) - x->done));
}

static void XMLCALL on_start(void *ctx, const XML_Char *reported, const XML_Char **attributes)
{
	struct xmlstream *x = ctx;
	struct xml_name name;

	if (!is_live(x))
		return;
	name = xml_name_split(reported);
	if (x->state == STATE_HEADER) {
		open_stream(x, &name, attributes);
		return;
	}
	if (++x->depth == 1)
		x->elements = 0;
	if (x->depth > x->limits->depth || ++x->elements > x->limits->elements) {
		fail(x, "policy-violation");
		return;
	}
	if (!check_count(x, attributes) || !check_prefixes(x, &name, attributes))
		return;
	if (x->depth == 1)
		begin_element(x, &name, attributes);
	else if (!x->pending.is_stanza)
		xml_capture_start(&x->pending.capture, &name);
	if (is_live(x))
		note_rename(x, &name);
}

/* The bytes of the element that ends here, in one piece. */
static const char *element_bytes(struct xmlstream *x, uint64_t end)
{
	if (x->done >= x->fed_at)
		return x->fed + (x->done - x->fed_at);
	strbuf_add(&x->kept, x->fed, (size_t)(end - x->fed_at));
	return x->kept.s + (x->done - x->kept_at);
}

static void finish_element(struct xmlstream *x)
{
	uint64_t end = event_end(x);
	struct xml_element e;

	xml_pending_finish(&x->pending, element_bytes(x, end), (size_t)(end - x->done), x->form, &e);
	x->done = end;
	XML_SetCharacterDataHandler(x->expat, on_text);
	x->ops->element(x->ctx, &e);
	xml_pending_reset(&x->pending);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct xmlstream *x = ctx;

	(void)name;
	if (x->state != STATE_CONTENT)
		return;
	if (x->depth <= x->foreign)
		x->foreign = 0;
	if (x->depth == 0) {
		x->state = STATE_CLOSED;
		x->done = event_end(x);
		XML_StopParser(x->expat, XML_FALSE);
		x->ops->close(x->ctx);
	} else if (--x->depth == 0) {
		finish_element(x);
	} else if (!x->pending.is_stanza) {
		xml_capture_end(&x->pending.capture);
	}
}

/*
 * Not called inside a stanza. Between elements only white space may stand (RFC
 * 6120 section 11.7). Other text is called ill-formed: "x]]>" is, and whether
 * expat reports the x before depends on how the bytes are cut.
 */
static void XMLCALL on_text(void *ctx, const XML_Char *text, int n)
{
	struct xmlstream *x = ctx;

	if (x->state != STATE_CONTENT)
		return;
	if (x->depth > 0) {
		xml_capture_text(&x->pending.capture, text, (size_t)n);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (strchr(" \t\r\n", text[i]) == NULL) {
			fail(x, "not-well-formed");
			return;
		}
	}
	x->done = event_end(x);
}

static void XMLCALL on_namespace(void *ctx, const XML_Char *prefix, const XML_Char *uri)
{
	struct xmlstream *x = ctx;

	if (!is_live(x))
		return;
	if (++x->declarations > x->limits->attributes) {
		fail(x, "policy-violation");
		return;
	}
	if (x->state == STATE_CONTENT) {
		if (prefix != NULL)
			xml_scope_enter(&x->pending.scope, prefix);
		else
			x->renames = x->form != x->content && uri != NULL && strcmp(uri, x->content) == 0;
		return;
	}
	if (uri != NULL && strcmp(uri, NS_DIALBACK) == 0)
		x->has_dialback = true;
	if (prefix == NULL)
		x->content_namespace = uri != NULL && strcmp(uri, x->content) == 0;
	else if (strcmp(prefix, "xml") != 0)
		xml_scope_declare(&x->pending.scope, prefix, uri);
}

static void XMLCALL on_namespace_end(void *ctx, const XML_Char *prefix)
{
	struct xmlstream *x = ctx;

	if (x->state == STATE_CONTENT && prefix != NULL)
		xml_scope_leave(&x->pending.scope, prefix);
}

static void XMLCALL on_declaration(void *ctx, const XML_Char *version, const XML_Char *encoding,
				   int standalone)
{
	(void)version;
	(void)standalone;
	if (encoding != NULL && strcasecmp(encoding, "UTF-8") != 0)
		fail(ctx, "unsupported-encoding");
}

/* RFC 6120 section 11.1. */
static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
			       int has_subset)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_subset;
	fail(ctx, "restricted-xml");
}

static void XMLCALL on_instruction(void *ctx, const XML_Char *target, const XML_Char *data)
{
	(void)target;
	(void)data;
	fail(ctx, "restricted-xml");
}

static void XMLCALL on_comment(void *ctx, const XML_Char *text)
{
	(void)text;
	fail(ctx, "restricted-xml");
}

/* What expat itself refuses. Namespaces used wrongly are ill-formed too (RFC 6120 section 11.3). */
static const char *condition_of(enum XML_Error error)
{
	switch (error) {
	case XML_ERROR_UNDEFINED_ENTITY:
	case XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
		return "restricted-xml";
	default:
		return "not-well-formed";
	}
}

struct xmlstream *xmlstream_create(const char *content, const char *form,
				   const struct xmlstream_limits *limits, const struct xmlstream_ops *ops,
				   void *ctx)
{
	static const XML_Memory_Handling_Suite memory = { xmalloc, xrealloc, free };
	static const char separator[] = { XML_SEPARATOR, '\0' };
	struct xmlstream *x = xcalloc(1, sizeof(*x));

	x->content = content;
	x->form = strcmp(form, content) == 0 ? content : form;
	x->limits = limits;
	x->ops = ops;
	x->ctx = ctx;
	x->expat = XML_ParserCreate_MM("UTF-8", &memory, separator);
	XML_SetUserData(x->expat, x);
	XML_SetReturnNSTriplet(x->expat, XML_TRUE);
	XML_SetElementHandler(x->expat, on_start, on_end);
	XML_SetCharacterDataHandler(x->expat, on_text);
	XML_SetNamespaceDeclHandler(x->expat, on_namespace, on_namespace_end);
	XML_SetXmlDeclHandler(x->expat, on_declaration);
	XML_SetDoctypeDeclHandler(x->expat, on_doctype, NULL);
	XML_SetProcessingInstructionHandler(x->expat, on_instruction);
	XML_SetCommentHandler(x->expat, on_comment);
	return x;
}

void xmlstream_destroy(struct xmlstream *x)
{
	if (x == NULL)
		return;
	XML_ParserFree(x->expat);
	xml_pending_free(&x->pending);
	strbuf_free(&x->kept);
	free(x);
}

void xmlstream_set_limits(struct xmlstream *x, const struct xmlstream_limits *limits)
{
	x->limits = limits;
}

/*
 * Told to read UTF-8, expat still takes UTF-16 when the first two bytes look
 * like it, and drops a byte order mark, which is a character here like any
 * other (RFC 6120 section 11.6). So the first two bytes are looked at before.
 */
static bool check_first(struct xmlstream *x, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && x->parsed + i < 2; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == 0x00 || c == 0xFE || c == 0xFF)
			fail(x, "unsupported-encoding");
		else if (x->parsed + i == 0 && strchr("< \t\r\n", c) == NULL)
			fail(x, "not-well-formed");
	}
	return is_live(x);
}

/*
 * Expat scans an unfinished token from its beginning whenever it is called. An
 * expat that defers that until the token has doubled is safe from a peer that
 * sends a long tag byte by byte (CVE-2023-52425), but lets an element that came
 * in two packets wait for the third. No event of ours comes of bytes without
 * '>': they are left to the deferral, others are parsed at once. As '>' may stand
 * in a value, there is a limit to what that may cost.
 * The last bytes within the size limit are parsed in any case: what is wrong
 * with the bytes may be seen later when they are cut, but is seen all the same.
 */
static void parse(struct xmlstream *x, const char *bytes, size_t n, bool at_limit)
{
	bool now = at_limit || memchr(bytes, '>', n) != NULL;
	XML_Index before = XML_GetCurrentByteIndex(x->expat);

#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	XML_SetReparseDeferralEnabled(x->expat, now ? XML_FALSE : XML_TRUE);
#endif
	if (XML_Parse(x->expat, bytes, (int)n, XML_FALSE) != XML_STATUS_OK)
		fail(x, condition_of(XML_GetErrorCode(x->expat)));
	else if (XML_GetCurrentByteIndex(x->expat) != before)
		x->futile = 0;
	else if (now && ++x->futile > FUTILE_MAX)
		fail(x, "policy-violation");
}

/* Give expat what may still belong to the element in progress; returns how much that was. */
static size_t parse_some(struct xmlstream *x, const char *bytes, size_t n)
{
	uint64_t room = x->done + x->limits->stanza_bytes - x->parsed;
	size_t chunk = n;

	if (room == 0) {
		fail(x, "policy-violation");
		return 0;
	}
	if (chunk > room)
		chunk = (size_t)room;
	if (chunk > INT_MAX)
		chunk = INT_MAX;
	if (!check_first(x, bytes, chunk))
		return 0;
	x->parsed += chunk;
	parse(x, bytes, chunk, chunk == room);
	return chunk;
}

/* The call ends: copy the bytes that are still in progress. */
static void keep_rest(struct xmlstream *x, size_t n)
{
	size_t from = 0;

	if (x->done >= x->fed_at) {
		from = (size_t)(x->done - x->fed_at);
		xml_recycle(&x->kept);
		x->kept_at = x->done;
	}
	if (from < n)
		strbuf_add(&x->kept, x->fed + from, n - from);
}

enum err xmlstream_feed(struct xmlstream *x, const char *bytes, size_t n, size_t *used)
{
	size_t given = 0;

	if (x->state == STATE_STOPPED) {
		*used = 0;
		return OK;
	}
	x->fed = bytes;
	x->fed_at = x->parsed;
	while (given < n && is_live(x))
		given += parse_some(x, bytes + given, n - given);
	switch (x->state) {
	case STATE_FAILED:
		return strcmp(x->condition, "policy-violation") == 0 ? ERR_LIMIT : ERR_SYNTAX;
	case STATE_STOPPED:
		*used = (size_t)(x->done - x->fed_at);
		return OK;
	case STATE_CLOSED:
		*used = n;
		return OK;
	default:
		keep_rest(x, n);
		*used = n;
		return OK;
	}
}

void xmlstream_stop(struct xmlstream *x)
{
	if (x->state == STATE_FAILED)
		return;
	x->state = STATE_STOPPED;
	XML_StopParser(x->expat, XML_FALSE);
}

const char *xmlstream_condition(const struct xmlstream *x)
{
	return x->condition;
}
