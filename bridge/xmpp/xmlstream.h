/*
 * xmlstream.h - the front end: bytes from the network -> stream header,
 * first-level elements, end of stream. Nothing else in the program sees a byte
 * that has not passed here.
 *
 * Enforced (RFC 6120 section 11): UTF-8 only; no comment, processing
 * instruction, DTD or entity but the five; well-formedness and namespaces;
 * and the configured limits on size, depth, elements and attributes. Size
 * counts from the first byte of an element, so an unfinished one cannot grow
 * without bound; white space between elements is dropped.
 *
 * A first-level element leaves here as its very bytes, made standalone: a
 * namespace prefix declared on the stream header and used inside gets its
 * declaration, and the header's xml:lang (where it has one and the element has
 * none) its attribute, both inserted into the start tag; all other bytes are
 * as received. Between streams of two content namespaces (jabber:server,
 * jabber:component:accept) an element changes its form: what inherits the
 * stream's content namespace inherits the other one's there, and where the
 * stream's is declared by name, the other name takes its place.
 *
 * No sockets, no policy, no stanza semantics.
 */
#ifndef POOLBRIDGE_XMPP_XMLSTREAM_H
#define POOLBRIDGE_XMPP_XMLSTREAM_H

#include "bridge/core/base.h"

#define NS_SERVER           "jabber:server"
#define NS_COMPONENT        "jabber:component:accept"
#define NS_STREAMS          "http://etherx.jabber.org/streams"
#define NS_STREAM_ERRORS    "urn:ietf:params:xml:ns:xmpp-streams"
#define NS_STANZA_ERRORS    "urn:ietf:params:xml:ns:xmpp-stanzas"
#define NS_DIALBACK         "jabber:server:dialback"
#define NS_DIALBACK_FEATURE "urn:xmpp:features:dialback"
#define NS_TLS              "urn:ietf:params:xml:ns:xmpp-tls"
#define NS_SASL             "urn:ietf:params:xml:ns:xmpp-sasl"

struct xmlstream;

struct xmlstream_limits {
	size_t stanza_bytes; /* one first-level element, or the stream header */
	unsigned depth;      /* below the stream element */
	unsigned elements;   /* in one first-level element */
	unsigned attributes; /* of one element */
};

/* Unescaped values; NULL when absent. All pointers are valid during the callback only. */
struct xml_header {
	const char *from, *to, *id, *version, *lang;
	bool has_dialback; /* the dialback namespace is declared */
};

/* A descendant of a first-level element that is not a stanza, in document order. */
struct xml_child {
	unsigned depth; /* 1 = child of the first-level element */
	const char *ns, *name;
	const char *text; /* its character data, joined; "" when none */
};

struct xml_element {
	const char *ns, *name;                    /* ns: the content namespace under the name of the form */
	const char *from, *to, *id, *type, *lang; /* lang: its own or the header's */
	const char *mechanism, *h;                /* SASL's and XEP-0198's */
	const char *bytes;                        /* the standalone element */
	size_t size;
	/* Filled only for elements that are not message, presence or iq in the content namespace: */
	const char *text; /* character data directly inside, joined; "" when none */
	const struct xml_child *children;
	size_t child_count;
};

struct xmlstream_ops {
	void (*open)(void *ctx, const struct xml_header *header);
	void (*element)(void *ctx, const struct xml_element *element);
	void (*close)(void *ctx); /* </stream:stream> */
};

/*
 * content: the content namespace of the stream, which its header must declare; form: that of the
 * streams for which elements are made standalone. Both are one of the two constants above, the same
 * but for a component's streams. ops and limits are borrowed for the life of the object, like these.
 */
struct xmlstream *xmlstream_create(const char *content, const char *form,
				   const struct xmlstream_limits *limits, const struct xmlstream_ops *ops,
				   void *ctx);
void xmlstream_destroy(struct xmlstream *x); /* not from its own callback; NULL is allowed */
/* Wider limits from now on, borrowed like the first; also from a callback. */
void xmlstream_set_limits(struct xmlstream *x, const struct xmlstream_limits *limits);

/*
 * Feed bytes as they come. On failure xmlstream_condition() names the stream
 * error (RFC 6120 section 4.9.3): policy-violation (a limit; ERR_LIMIT), or
 * not-well-formed, restricted-xml, unsupported-encoding, bad-namespace-prefix,
 * invalid-namespace, invalid-xml (ERR_SYNTAX); it fails from then on. What is
 * wrong with bytes that are cut may be noticed only with the next '>', or when
 * the limit is reached. What follows the end of the stream is dropped.
 * After xmlstream_stop() (from a callback) it returns OK at once and *used says
 * how many bytes were consumed: up to and including the element that stopped it.
 */
MUST_CHECK enum err xmlstream_feed(struct xmlstream *x, const char *bytes, size_t n, size_t *used);
void xmlstream_stop(struct xmlstream *x);
const char *xmlstream_condition(const struct xmlstream *x);

#endif
