/*
 * outbound.c - one XMPP message on its way to a pool (RFC 7572 section 4).
 *
 * A message is mapped when it comes: one that SIP cannot carry as it is is
 * refused, never changed. One to a full JID goes to that device (gr), and when
 * the pool does not know it, to the user, as an XMPP server would do (RFC 6121
 * section 8.5.3.2.1): partners' clients go on writing to the resource that a
 * user had before he was moved.
 *
 * Owns its copy of every string until the outcome is told. Nothing is fatal.
 */
#include "bridge/gateway/outbound.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/gateway/receipt.h"

struct outbound *outbound_create(struct stanza *stanza, delivery_fn *done, void *done_ctx)
{
	struct outbound *o = xcalloc(1, sizeof(*o));

	o->kind = OUTBOUND_TEXT;
	o->stanza = stanza_ref(stanza);
	o->done = done;
	o->done_ctx = done_ctx;
	o->content_type = "text/plain;charset=UTF-8";
	return o;
}

void outbound_free(struct outbound *o)
{
	stanza_unref(o->stanza);
	free(o->from_uri);
	free(o->to_uri);
	free(o->bare_uri);
	free(o->display);
	free(o->subject);
	free(o->call_id);
	free(o->date);
	free(o->body);
	free(o);
}

static const struct objection none = { .text = NULL };

/* The SIP URI of a JID; NULL: it has none. */
static char *uri_of(const struct jid *jid)
{
	char uri[SIP_URI_SIZE];

	return map_jid_to_sip_uri(jid, uri) == OK ? xstrdup(uri) : NULL;
}

/*
 * Who writes: the user, not the device. RFC 7572 puts the resource into From as gr, too; but clients
 * then show another sender for each device, none of which is the contact that they know.
 */
static char *sender_uri(const struct jid *from)
{
	struct jid bare = *from;

	bare.resource[0] = '\0';
	return uri_of(&bare);
}

struct outbound *outbound_signal(enum outbound_kind kind, enum pool pool, const struct jid *from,
				 const struct jid *to)
{
	struct outbound *o = xcalloc(1, sizeof(*o));

	o->kind = kind;
	o->pool = pool;
	o->from_uri = sender_uri(from);
	o->to_uri = uri_of(to);
	if (o->from_uri != NULL && o->to_uri != NULL)
		return o;
	outbound_free(o);
	return NULL;
}

static struct objection map_subject(struct outbound *o, struct stanza_tree *tree)
{
	const char *subject = stanza_tree_text(tree, "subject", NULL);
	char text[TEXT_SIZE];

	if (subject == NULL || subject[0] == '\0')
		return none;
	switch (sip_header_text(subject, text, sizeof(text))) {
	case OK:
		o->subject = xstrdup(text);
		return none;
	case ERR_LIMIT:
		return (struct objection){ COND_POLICY_VIOLATION, "the subject is too long for SIP" };
	default:
		return (struct objection){
			COND_NOT_ACCEPTABLE,
			"SIP cannot carry a subject with line breaks or control characters"
		};
	}
}

/* A thread that is no Call-ID is left out: a Call-ID of its own groups the message with no other. */
static void map_thread(struct outbound *o, struct stanza_tree *tree)
{
	const char *thread = stanza_tree_text(tree, "thread", NULL);
	char call_id[CALL_ID_SIZE];

	if (thread != NULL && map_thread_to_call_id(thread, call_id, sizeof(call_id)))
		o->call_id = xstrdup(call_id);
}

/* When it was said, of one that has waited: here, or at the partner's. */
static void map_date(struct outbound *o, const struct stanza_tree *tree)
{
	const char *stamp = stanza_tree_attribute(tree, "delay", "urn:xmpp:delay", "stamp");
	char date[MAP_DATE_SIZE];

	if (stamp != NULL && map_stamp_to_date(stamp, date))
		o->date = xstrdup(date);
}

struct objection outbound_map(const struct gateway *g, struct outbound *o, enum pool pool,
			      const struct jid *from, const struct jid *to, struct stanza_tree *tree)
{
	o->pool = pool;
	if (g->endpoint == NULL || config_next_hops(g->config, pool)->count == 0)
		return (struct objection){ COND_SERVICE_UNAVAILABLE,
					   "this user's SIP pool is not configured" };
	o->from_uri = sender_uri(from);
	o->to_uri = uri_of(to);
	if (o->from_uri == NULL || o->to_uri == NULL)
		return (struct objection){ COND_JID_MALFORMED,
					   "one of the addresses cannot be written as a SIP address" };
	if (to->resource[0] != '\0') {
		struct jid bare = *to;

		bare.resource[0] = '\0';
		o->bare_uri = uri_of(&bare);
	}
	o->body = xstrdup(stanza_tree_text(tree, "body", NULL));
	map_thread(o, tree);
	map_date(o, tree);
	return map_subject(o, tree);
}

void outbound_write_typing(struct outbound *o, bool is_composing)
{
	enum typing typing = o->composing ? TYPING_ACTIVE : TYPING_IDLE;

	free(o->body);
	o->body = is_composing ? map_iscomposing_write(typing, MAP_REFRESH_DEFAULT)
			       : map_keyboard_write(typing);
	o->content_type = is_composing ? MAP_ISCOMPOSING_TYPE : MAP_KEYBOARD_TYPE;
}

/* A user who declines or is busy has been found: those are not in the list. */
bool outbound_retarget(struct outbound *o, unsigned status)
{
	static const unsigned unknown[] = { 404, 410, 430, 480, 484, 604 };

	for (size_t i = 0; o->bare_uri != NULL && i < ARRAY_SIZE(unknown); i++) {
		if (status != unknown[i])
			continue;
		free(o->to_uri);
		o->to_uri = o->bare_uri;
		o->bare_uri = NULL;
		return true;
	}
	return false;
}

/* --- outcomes --- */

static void finish(struct gateway *g, struct outbound *o, const struct outcome *outcome)
{
	if (o->kind == OUTBOUND_TEXT) {
		*(outcome->confirmed ? &g->to_sip : &g->to_sip_failed) += 1;
		o->done(o->done_ctx, o->stanza, outcome);
	}
	outbound_free(o);
}

static void fail(struct gateway *g, struct outbound *o, struct objection objection, bool unsent)
{
	struct outcome outcome = { .condition = objection.condition,
				   .text = objection.text,
				   .unsent = unsent };

	finish(g, o, &outcome);
}

void outbound_fail(struct gateway *g, struct outbound *o, struct objection objection)
{
	fail(g, o, objection, false);
}

void outbound_put_back(struct gateway *g, struct outbound *o, struct objection objection)
{
	fail(g, o, objection, true);
}

/*
 * The new address of a user who has moved within the domain; a Contact beyond
 * it would tell the partner how the pool is built. False: none to tell.
 */
static bool new_address(const struct outbound *o, const char *contact_uri, char uri[MAP_URI_SIZE])
{
	struct sip_address address;
	struct jid to, moved;

	if (contact_uri == NULL || sip_address_parse(contact_uri, &address) != OK ||
	    map_sip_to_jid(&address, &moved) != OK || jid_parse(o->stanza->to, &to) != OK)
		return false;
	if (moved.local[0] == '\0' || strcmp(moved.domain, to.domain) != 0)
		return false;
	map_jid_to_uri(&moved, uri);
	return true;
}

/* Why, in words: a Warning says more than the phrase (RFC 3261 section 20.43): 309 AGENT "TEXT". */
static const char *reason_of(const struct sip_response *r, char text[TEXT_SIZE])
{
	const char *warning = r->view != NULL ? sip_header(r->view, "Warning", 0) : NULL;
	const char *start = warning != NULL ? strchr(warning, '"') : NULL;
	const char *end = start != NULL ? strchr(start + 1, '"') : NULL;
	char *quoted = end != NULL ? xstrndup(start + 1, (size_t)(end - start - 1)) : NULL;
	const char *reason = quoted != NULL && quoted[0] != '\0' ? quoted : r->phrase;
	/* A stranger's words: text that XML can hold, or none. */
	bool clean = reason[0] != '\0' && sip_header_text(reason, text, TEXT_SIZE) == OK &&
		     utf8_is_xml(text, strlen(text));

	free(quoted);
	return clean ? text : NULL;
}

static void log_failure(const struct outbound *o, const struct sip_response *r)
{
	const char *diagnostics = r->view != NULL ? sip_header(r->view, "ms-diagnostics", 0) : NULL;

	log_event(LOG_INFO, "sip-failed", NULL, "from=%s to=%s pool=%s status=%u phrase=%s diagnostics=%s",
		  log_value(o->from_uri), log_value(o->to_uri), pool_name(o->pool), r->status,
		  log_value(r->phrase), log_value(diagnostics));
}

/* The endpoint's own 503 is no server's: the pool cannot be reached now, and may be later (RFC 6120 section 8.3.3.17). */
static enum condition condition_of(const struct sip_response *r, bool moved)
{
	return r->view == NULL && r->status == 503 ? COND_REMOTE_SERVER_TIMEOUT
						   : map_status_to_condition(r->status, moved);
}

bool outbound_respond(struct gateway *g, struct outbound *o, const struct sip_response *r)
{
	char uri[MAP_URI_SIZE], text[TEXT_SIZE];
	bool moved = o->kind == OUTBOUND_TEXT && r->status / 100 == 3 && new_address(o, r->contact_uri, uri);
	/* 503: the pool has not taken it, by its own word or by ours that it was never reached. */
	struct outcome outcome = { .confirmed = r->status / 100 == 2, .unsent = r->status == 503 };

	if (!outcome.confirmed) {
		outcome.condition = condition_of(r, moved);
		outcome.text = reason_of(r, text);
		outcome.uri = moved ? uri : NULL;
		log_failure(o, r);
	} else if (o->receipt_wanted && r->status == 200) {
		receipt_tell(g, o->stanza);
	}
	finish(g, o, &outcome);
	return outcome.unsent;
}
