/*
 * stanza.h - a message, presence or iq: its bytes and the few attributes that
 * routing needs. Lazy: a stanza that passes through is never built into a tree.
 *
 * Immutable and reference-counted; every holder has its own reference. This
 * file's .c is the only one that sees libstrophe's stanza API (the tree).
 */
#ifndef POOLBRIDGE_XMPP_STANZA_H
#define POOLBRIDGE_XMPP_STANZA_H

#include "bridge/core/base.h"
#include "bridge/xmpp/xmlstream.h"

enum stanza_kind { STANZA_MESSAGE, STANZA_PRESENCE, STANZA_IQ };

struct stanza {
	unsigned refs;
	enum stanza_kind kind;
	const char *from, *to, *id, *type, *lang; /* unescaped; NULL when absent */
	const char *bytes;
	size_t size;
};

/* ERR_SYNTAX when the element is no jabber:server stanza. */
MUST_CHECK enum err stanza_from_element(const struct xml_element *element, struct stanza **out);

/* A stanza of ours; inner is XML already escaped, or NULL. Attributes may be NULL. */
struct stanza *stanza_make(enum stanza_kind kind, const char *from, const char *to, const char *id,
			   const char *type, const char *lang, const struct strbuf *inner);

/* One that was kept as bytes. ERR_SYNTAX: they are not one stanza. */
MUST_CHECK enum err stanza_parse(const char *bytes, size_t size, struct stanza **out);
/*
 * The same with a stamp of XEP-0203 behind what it has: since (Unix seconds) in the custody of from.
 * NULL: it has no content, and is as good without.
 */
struct stanza *stanza_delayed(const struct stanza *s, const char *from, int64_t since);

struct stanza *stanza_ref(struct stanza *s);
void stanza_unref(struct stanza *s); /* NULL is allowed */

const char *stanza_kind_name(enum stanza_kind kind);
bool stanza_has_type(const struct stanza *s, const char *type); /* NULL: no type attribute */

/* The stanza error conditions of RFC 6120 section 8.3.3, in its order. */
enum condition {
	COND_BAD_REQUEST,
	COND_CONFLICT,
	COND_FEATURE_NOT_IMPLEMENTED,
	COND_FORBIDDEN,
	COND_GONE,
	COND_INTERNAL_SERVER_ERROR,
	COND_ITEM_NOT_FOUND,
	COND_JID_MALFORMED,
	COND_NOT_ACCEPTABLE,
	COND_NOT_ALLOWED,
	COND_NOT_AUTHORIZED,
	COND_POLICY_VIOLATION,
	COND_RECIPIENT_UNAVAILABLE,
	COND_REDIRECT,
	COND_REGISTRATION_REQUIRED,
	COND_REMOTE_SERVER_NOT_FOUND,
	COND_REMOTE_SERVER_TIMEOUT,
	COND_RESOURCE_CONSTRAINT,
	COND_SERVICE_UNAVAILABLE,
	COND_SUBSCRIPTION_REQUIRED,
	COND_UNDEFINED_CONDITION,
	COND_UNEXPECTED_REQUEST,
	CONDITIONS
};
const char *condition_name(enum condition c);
const char *condition_type(enum condition c); /* the error type: auth, cancel, modify, wait */
MUST_CHECK enum err condition_parse(const char *name, enum condition *out);

/*
 * Appends the texts of all its elements as they are written, but for those of delay stamps (XEP-0203,
 * XEP-0091), which a server adds when it sends again. false: no body with text was among them.
 */
bool stanza_texts(const struct stanza *s, struct strbuf *out);

/*
 * The children of a stanza in turn, by a walk over its bytes: a tenth of what a tree costs, for who wants to
 * know of every message that passes whether it says a certain thing. It understands what clients
 * usually write. Names with prefixes, sections of CDATA, and references or line ends in a namespace are beyond it: then
 * it ends, and is_complex says that only a tree knows.
 */
struct stanza_walk {
	const char *at, *end;
	bool is_complex;
};
/* Strings are pieces of the stanza. */
struct stanza_child {
	const char *name, *ns; /* ns NULL: that of the stanza */
	size_t name_size, ns_size;
	const char *text; /* as it is written; NULL: it has elements within */
	size_t text_size;
	bool is_literal; /* the text means what is written: no references, no line ends to normalise */
};
struct stanza_walk stanza_walk_begin(const struct stanza *s);
bool stanza_walk_next(struct stanza_walk *w, struct stanza_child *out);
bool stanza_child_is(const struct stanza_child *child, const char *name, const char *ns);

/*
 * The error answer to a stanza (RFC 6120 section 8.3): addresses exchanged, id
 * mirrored. NULL where none may be sent: to an error, to an iq result, to a
 * stanza without 'from'. text (may be NULL) is plain UTF-8 text; uri (may be
 * NULL) is the content of <gone/> or <redirect/>.
 */
struct stanza *stanza_error(const struct stanza *s, enum condition c, const char *text, const char *uri);

/* The tree, for the gateway alone. Strings belong to the tree. */
struct stanza_tree;
MUST_CHECK enum err stanza_tree_build(const struct stanza *s, struct stanza_tree **out);
void stanza_tree_free(struct stanza_tree *t); /* NULL is allowed */
/* Text of the first child of that name and namespace (NULL ns: jabber:server); NULL when there is none. */
const char *stanza_tree_text(struct stanza_tree *t, const char *name, const char *ns);
/*
 * An attribute without namespace of the first child of that name and namespace; NULL when there is
 * none. Those of deeper elements are not in the tree.
 */
const char *stanza_tree_attribute(const struct stanza_tree *t, const char *name, const char *ns,
				  const char *attribute);
/* Whether each child is in one of these namespaces. */
bool stanza_tree_is_within(const struct stanza_tree *t, const char *const *namespaces, size_t count);
/* For type='error': the condition in <error/> (undefined-condition when none) and <text/> (NULL when none). */
enum condition stanza_tree_error(struct stanza_tree *t, const char **text);

#endif
