/*
 * s2s_in.c - the steps of the receiving server: the peer opened the stream and
 * wants to send us stanzas.
 *
 * A stanza is taken only from a (local, remote) pair that dialback has proved
 * on this very stream, and only when its addresses belong to that pair. The
 * same stream may carry questions to us as authoritative server (db:verify),
 * which need no proof: the answer is public.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/xml.h"

#define DIALBACK_TEXT_MAX 1024

static struct pair *find_pair(struct stream *st, const char *local, const char *remote)
{
	struct pair *pair;

	DL_FOREACH (st->pairs, pair) {
		if (strcmp(pair->remote, remote) == 0 && strcmp(pair->local, local) == 0) {
			/* Most streams have one pair; a busy one of several moves to the front. */
			if (pair != st->pairs) {
				DL_DELETE(st->pairs, pair);
				DL_PREPEND(st->pairs, pair);
			}
			return pair;
		}
	}
	return NULL;
}

struct pair *s2s_add_pair(struct stream *st, const char *local, const char *remote)
{
	struct pair *pair = xcalloc(1, sizeof(*pair));

	str_copy(pair->local, sizeof(pair->local), local);
	str_copy(pair->remote, sizeof(pair->remote), remote);
	DL_APPEND(st->pairs, pair);
	st->pair_count++;
	return pair;
}

static void drop_pair(struct stream *st, struct pair *pair)
{
	limits_unprove(st, pair);
	DL_DELETE(st->pairs, pair);
	st->pair_count--;
	free(pair);
}

void s2s_in_forget_pairs(struct stream *st)
{
	while (st->pairs)
		drop_pair(st, st->pairs);
}

/* Until the peer has said who it is, no more is known than that it must prove it. */
static struct stream_policy stranger_policy(void)
{
	return (struct stream_policy){
		.tls = REQUIRE_OPTIONAL,
		.methods = METHOD_SASL_TLS | METHOD_DIALBACK_TLS | METHOD_DIALBACK_TCP,
		.allowed = true,
	};
}

static unsigned dialback_method(const struct stream *st)
{
	return sock_is_tls(st->sock) ? METHOD_DIALBACK_TLS : METHOD_DIALBACK_TCP;
}

/* A server needs a certificate for TLS. */
static bool can_secure(const struct stream *st)
{
	return tls_has_certificate(st->s2s->setup.tls, st->local);
}

static void send_features(struct stream *st)
{
	struct strbuf b = { 0 };

	strbuf_puts(&b, "<stream:features>");
	if (can_secure(st) && !sock_is_tls(st->sock) && st->policy.tls != REQUIRE_NONE)
		strbuf_puts(&b, st->policy.tls == REQUIRE_REQUIRED ? "<starttls xmlns='" NS_TLS
								     "'><required/></starttls>"
								   : "<starttls xmlns='" NS_TLS "'/>");
	sasl_write_mechanisms(st, &b);
	if (!st->is_external && (st->policy.methods & dialback_method(st)))
		strbuf_puts(&b, "<dialback xmlns='" NS_DIALBACK_FEATURE "'><errors/></dialback>");
	bidi_write_feature(st, &b);
	sm_write_feature(st, &b);
	strbuf_puts(&b, "</stream:features>");
	stream_write(st, &b);
	strbuf_free(&b);
}

struct refusal {
	const char *condition, *text;
};

/* Is the domain that the peer wants to reach ours, and the peer one that we know? */
static struct refusal check_parties(struct stream *st)
{
	bool ours = true;

	st->policy = stranger_policy();
	if ((st->local[0] && s2s_is_ours(st->s2s, st->edge, st->local, &ours) != OK) ||
	    (st->remote[0] && s2s_policy_for(st->s2s, st->edge, st->remote, &st->policy) != OK))
		return (struct refusal){ "internal-server-error", "the registry cannot be read" };
	if (!ours)
		return (struct refusal){ "host-unknown", NULL };
	if (!st->policy.allowed)
		return (struct refusal){ "policy-violation", "federation with this domain is not allowed" };
	if (st->remote[0] && limits_full(st, st->remote, &st->policy))
		return (struct refusal){ "resource-constraint", "too many streams from this domain" };
	if (st->policy.tls == REQUIRE_REQUIRED && !sock_is_tls(st->sock) && !st->is_v1)
		return (struct refusal){ "policy-violation", "TLS is required; use XMPP 1.0" };
	if (st->policy.tls == REQUIRE_REQUIRED && !sock_is_tls(st->sock) && !can_secure(st))
		return (struct refusal){ "internal-server-error",
					 "TLS is required here, but no certificate is configured" };
	if (sock_is_tls(st->sock) && st->remote[0] && !(st->policy.methods & METHOD_DIALBACK_TLS) &&
	    !sasl_peer_is_certified(st))
		return (struct refusal){ "not-authorized", st->certificate_why };
	return (struct refusal){ NULL, NULL };
}

/*
 * The header's addresses; after a restart under TLS they must be what they were (CVE-2018-10847).
 * COMPAT: jabberd2 without a certificate opens streams as they were before XMPP 1.0, which had no addresses;
 * each element of dialback has its own.
 */
static struct refusal read_addresses(struct stream *st, const struct xml_header *header)
{
	char local[DOMAIN_SIZE] = "", remote[DOMAIN_SIZE] = "";

	if (!header->to && st->is_v1)
		return (struct refusal){ "improper-addressing", "the stream header has no 'to'" };
	if (header->to && jid_domain(header->to, local) != OK)
		return (struct refusal){ "host-unknown", NULL };
	if (header->from && jid_domain(header->from, remote) != OK)
		return (struct refusal){ "improper-addressing", "the stream header's 'from' is no domain" };
	if ((st->local[0] && strcmp(st->local, local) != 0) ||
	    (st->remote[0] && strcmp(st->remote, remote) != 0))
		return (struct refusal){ "invalid-from", "the stream's addresses have changed" };
	str_copy(st->local, sizeof(st->local), local);
	str_copy(st->remote, sizeof(st->remote), remote);
	return check_parties(st);
}

/* After SASL EXTERNAL: the stream's own pair is proved. */
static void trust_external(struct stream *st)
{
	limits_prove(st, s2s_add_pair(st, st->local, st->remote));
	limits_authenticated(st);
	stream_set_state(st, S2S_TRUSTED);
	stream_set_established(st, true);
	bidi_trusted(st, st->local, st->remote);
}

void s2s_in_header(struct stream *st, const struct xml_header *header)
{
	struct refusal refusal;

	if (stream_renew_id(st) != OK) {
		stream_close(st, "internal-server-error", NULL);
		return;
	}
	st->is_v1 = header->version && atoi(header->version) >= 1;
	refusal = read_addresses(st, header);
	stream_send_header(st);
	if (st->state == S2S_CLOSING)
		return;
	if (refusal.condition) {
		log_event(LOG_NOTICE, "stream-refused", st->name, "peer=%s from=%s to=%s condition=%s why=%s",
			  sock_peer(st->sock), log_value(header->from), log_value(header->to),
			  refusal.condition, log_value(refusal.text));
		stream_close(st, refusal.condition, refusal.text);
		return;
	}
	if (st->is_external)
		trust_external(st);
	else
		stream_set_state(st, S2S_NEGOTIATING);
	if (st->is_v1)
		send_features(st);
}

static void in_starttls(struct stream *st, const struct xml_element *el)
{
	struct strbuf b = { 0 };
	(void)el;

	if (sock_is_tls(st->sock) || !can_secure(st) || st->policy.tls == REQUIRE_NONE) {
		strbuf_puts(&b, "<failure xmlns='" NS_TLS "'/>");
		if (stream_write(st, &b))
			stream_close(st, NULL, "STARTTLS was not offered");
	} else {
		strbuf_puts(&b, "<proceed xmlns='" NS_TLS "'/>");
		if (stream_write(st, &b)) {
			/* A verdict on a key that was shown in clear text comes too late. */
			s2s_in_forget_pairs(st);
			st->start_tls = true;
			xmlstream_stop(st->xml);
		}
	}
	strbuf_free(&b);
}

/* An answer to db:result or db:verify; condition (an error's) with type 'error' only. */
static void answer_dialback(struct stream *st, const char *element, const char *local, const char *remote,
			    const char *id, const char *type, enum condition condition)
{
	struct strbuf b = { 0 };

	strbuf_printf(&b, "<db:%s", element);
	xml_attr(&b, "from", local);
	xml_attr(&b, "to", remote);
	xml_attr(&b, "id", id);
	xml_attr(&b, "type", type);
	if (strcmp(type, "error") == 0)
		strbuf_printf(&b, "><error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/></error></db:%s>",
			      condition_type(condition), condition_name(condition), element);
	else
		strbuf_puts(&b, "/>");
	stream_write(st, &b);
	strbuf_free(&b);
}

static const char *verdict_type(enum verdict_kind verdict)
{
	static const char *const types[] = {
		[VERDICT_VALID] = "valid",
		[VERDICT_INVALID] = "invalid",
		[VERDICT_ERROR] = "error",
	};

	return types[verdict];
}

/* The addresses of a dialback element, from our point of view. */
static bool read_parties(const struct xml_element *el, char local[DOMAIN_SIZE], char remote[DOMAIN_SIZE])
{
	return el->to && el->from && jid_domain(el->to, local) == OK && jid_domain(el->from, remote) == OK;
}

/* Keys and ids that are kept while somebody is asked; a real one has 64 digits. */
static bool is_short(const char *text)
{
	return strlen(text) <= DIALBACK_TEXT_MAX;
}

/* Why a db:result is refused before anybody is asked, if it is. XEP-0220 section 2.1.2. */
static bool is_refused(struct stream *st, const char *local, const char *remote, enum condition *why)
{
	struct stream_policy policy;
	bool ours;

	if (s2s_is_ours(st->s2s, st->edge, local, &ours) != OK ||
	    s2s_policy_for(st->s2s, st->edge, remote, &policy) != OK)
		*why = COND_INTERNAL_SERVER_ERROR;
	else if (!ours)
		*why = COND_ITEM_NOT_FOUND;
	else if (!policy.allowed)
		*why = COND_NOT_ALLOWED;
	else if (!(policy.methods & dialback_method(st)))
		*why = COND_POLICY_VIOLATION;
	else if (st->pair_count >= (unsigned)st->s2s->setup.config->s2s.pairs_per_stream ||
		 limits_full(st, remote, &policy))
		*why = COND_RESOURCE_CONSTRAINT;
	else
		return false;
	return true;
}

/* Step 1 of dialback reaches us: ask the authoritative server. */
static void in_db_result(struct stream *st, const struct xml_element *el)
{
	char local[DOMAIN_SIZE], remote[DOMAIN_SIZE];
	enum condition why;
	struct pair *pair;

	if (!read_parties(el, local, remote) || el->type || !el->text[0] || !is_short(el->text)) {
		stream_close(st, "improper-addressing", "db:result needs 'from', 'to' and a key");
		return;
	}
	pair = find_pair(st, local, remote);
	if (pair) {
		/* COMPAT: jabberd2 asks twice; one verdict answers both. */
		if (pair->valid)
			answer_dialback(st, "result", local, remote, NULL, "valid", 0);
		return;
	}
	if (is_refused(st, local, remote, &why)) {
		log_event(LOG_NOTICE, "dialback-refused", st->name, "from=%s to=%s condition=%s", remote,
			  local, condition_name(why));
		answer_dialback(st, "result", local, remote, NULL, "error", why);
		return;
	}
	s2s_add_pair(st, local, remote);
	verify_request(link_get(st->s2s, st->edge, local, remote), st->number, false, st->id, el->text);
}

/* Others may have been proved since it was asked for. */
static bool has_room(const struct stream *st, const char *remote)
{
	struct stream_policy policy;

	return s2s_policy_for(st->s2s, st->edge, remote, &policy) == OK && !limits_full(st, remote, &policy);
}

void s2s_in_pair_verdict(struct stream *st, const char *local, const char *remote, enum verdict_kind verdict)
{
	struct pair *pair = find_pair(st, local, remote);
	enum condition why = COND_REMOTE_SERVER_TIMEOUT;
	bool any_valid = false;

	if (!pair || pair->valid)
		return;
	if (verdict == VERDICT_VALID && !has_room(st, remote)) {
		verdict = VERDICT_ERROR;
		why = COND_RESOURCE_CONSTRAINT;
	}
	log_event(verdict == VERDICT_VALID ? LOG_INFO : LOG_NOTICE, "dialback", st->name,
		  "edge=%s from=%s to=%s verdict=%s", edge_name(st->edge), remote, local,
		  verdict_type(verdict));
	answer_dialback(st, "result", local, remote, NULL, verdict_type(verdict), why);
	if (st->state == S2S_CLOSING)
		return;
	if (verdict == VERDICT_VALID) {
		limits_prove(st, pair);
		limits_authenticated(st);
		stream_set_state(st, S2S_TRUSTED);
		stream_set_established(st, true);
		bidi_trusted(st, local, remote);
		return;
	}
	drop_pair(st, pair);
	DL_FOREACH (st->pairs, pair)
		any_valid = any_valid || pair->valid;
	/* XEP-0220 section 2.1.2: an invalid key ends a stream that proved nothing else; an error does not. */
	if (verdict == VERDICT_INVALID && !any_valid)
		stream_close(st, NULL, "the dialback key is invalid");
}

/*
 * We are asked whether a key is ours. One that is not may be the legacy
 * gateway's, when that sends to partners by itself: it is asked in turn, in the
 * partner's name, but only for partners that we know.
 */
static void in_db_verify(struct stream *st, const struct xml_element *el)
{
	char local[DOMAIN_SIZE], remote[DOMAIN_SIZE];
	struct stream_policy policy;
	bool ours;

	if (el->type && el->id && st->is_bidi && st->link) {
		verify_on_verdict(st->link, el);
		return;
	}
	if (!read_parties(el, local, remote) || !el->id || el->type || !el->text[0] || !is_short(el->text) ||
	    !is_short(el->id)) {
		stream_close(st, "improper-addressing", "db:verify needs 'from', 'to', 'id' and a key");
		return;
	}
	if (s2s_is_ours(st->s2s, st->edge, local, &ours) != OK ||
	    s2s_policy_for(st->s2s, st->edge, remote, &policy) != OK) {
		answer_dialback(st, "verify", local, remote, el->id, "error", COND_INTERNAL_SERVER_ERROR);
	} else if (!ours) {
		answer_dialback(st, "verify", local, remote, el->id, "error", COND_ITEM_NOT_FOUND);
	} else if (dialback_key_valid(st->s2s->secret, remote, local, el->id, el->text)) {
		answer_dialback(st, "verify", local, remote, el->id, "valid", 0);
	} else if (st->edge == EDGE_EXTERNAL && policy.allowed &&
		   st->s2s->setup.config->internal.gateway[0]) {
		verify_request(link_get(st->s2s, EDGE_INTERNAL, remote, local), st->number, true, el->id,
			       el->text);
	} else {
		answer_dialback(st, "verify", local, remote, el->id, "invalid", 0);
	}
	/* A stream that only asks is no less established than one that sends. */
	if (st->state == S2S_NEGOTIATING)
		stream_set_established(st, true);
}

void s2s_in_verify_verdict(struct stream *st, const struct verify *v, const char *local, const char *remote,
			   enum verdict_kind verdict)
{
	/* It has begun TLS meanwhile: the question was asked on the XML stream before. */
	if (st->state != S2S_NEGOTIATING && st->state != S2S_TRUSTED)
		return;
	log_event(LOG_INFO, "dialback-relayed", st->name, "from=%s to=%s verdict=%s", remote, local,
		  verdict_type(verdict));
	answer_dialback(st, "verify", local, remote, v->id, verdict_type(verdict),
			COND_REMOTE_SERVER_TIMEOUT);
}

/* The domain of an address that may be malformed elsewhere. */
static bool domain_of(const char *address, char out[DOMAIN_SIZE])
{
	size_t end = strcspn(address, "/"), at = strcspn(address, "@");
	char part[JID_BARE_SIZE];
	const char *start = at < end ? address + at + 1 : address;
	size_t n = (size_t)(address + end - start);

	if (n >= sizeof(part))
		return false;
	memcpy(part, start, n);
	part[n] = '\0';
	return jid_domain(part, out) == OK;
}

/* A malformed stanza whose error is on its way. */
struct malformed {
	struct s2s *s2s;
	struct receipt receipt;
};

/* Its server sends again what we have not acknowledged when we stop. */
static void error_done(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct malformed *m = ctx;

	if (!outcome->confirmed)
		log_event(LOG_NOTICE, "error-undeliverable", NULL, "to=%s", log_value(stanza->to));
	if (outcome->confirmed || !m->s2s->stopping)
		s2s_receipt_done(m->s2s, m->receipt);
	free(m);
}

/* The pair is proved but a localpart or resource is not one: the stanza is at fault, not the stream. */
static void answer_malformed(struct stream *st, const struct stanza *stanza, const char *local,
			     const char *remote, struct receipt receipt)
{
	struct stanza *error = stanza_error(stanza, COND_JID_MALFORMED, NULL, NULL);
	struct malformed *m;

	if (!error || !receipt.counted)
		s2s_receipt_done(st->s2s, receipt);
	if (!error)
		return;
	m = xcalloc(1, sizeof(*m));
	*m = (struct malformed){ st->s2s, receipt.counted ? receipt : (struct receipt){ .stream = 0 } };
	s2s_send(st->s2s, st->edge, local, remote, error, 0, error_done, m);
	stanza_unref(error);
}

/* A component's server vouches for all who write to the component. */
static bool is_proved(struct stream *st, const char *local, const char *remote)
{
	const struct pair *pair;

	if (st->is_component)
		return strcmp(st->local, local) == 0;
	pair = find_pair(st, local, remote);
	return pair && pair->valid;
}

/* Of one that is malformed elsewhere, at least the domain. */
static bool read_address(const char *text, struct jid *jid, bool *is_whole)
{
	*is_whole = *is_whole && jid_parse(text, jid) == OK;
	return *is_whole || domain_of(text, jid->domain);
}

void s2s_in_stanza(struct stream *st, const struct xml_element *el)
{
	const struct s2s_setup *setup = &st->s2s->setup;
	const char *local, *remote;
	struct receipt receipt;
	struct stanza *stanza;
	bool are_whole = true;
	struct jid from, to;

	if (!el->from || !el->to || !read_address(el->from, &from, &are_whole) ||
	    !read_address(el->to, &to, &are_whole)) {
		stream_close(st, "improper-addressing", "a stanza needs 'from' and 'to'");
		return;
	}
	local = to.domain;
	remote = from.domain;
	if (!is_proved(st, local, remote)) {
		if (st->is_component)
			stream_close(st, "host-unknown",
				     "a component gets what is for its own domain (ejabberd: global_routes: "
				     "false)");
		else
			stream_close(st, "invalid-from", "this stream has not proved that pair of domains");
		return;
	}
	if (stanza_from_element(el, &stanza) != OK) {
		stream_close(st, "unsupported-stanza-type", NULL);
		return;
	}
	limits_pay(st, remote);
	receipt = window_enter(st, stanza->size);
	if (!are_whole) {
		answer_malformed(st, stanza, local, remote, receipt);
	} else if (link_is_pong(st->s2s, st->edge, stanza, &from, &to)) {
		s2s_receipt_done(st->s2s, receipt);
	} else {
		setup->on_stanza(setup->ctx, st->edge, stanza, &from, &to, receipt);
	}
	stanza_unref(stanza);
}

stream_steps s2s_in_steps = {
	[S2S_NEGOTIATING] = { [EV_STARTTLS] = in_starttls,
			      [EV_SASL_AUTH] = sasl_on_auth,
			      [EV_BIDI] = bidi_on_request,
			      [EV_DB_RESULT] = in_db_result,
			      [EV_DB_VERIFY] = in_db_verify },
	[S2S_TRUSTED] = { [EV_DB_RESULT] = in_db_result,
			  [EV_DB_VERIFY] = in_db_verify,
			  [EV_SM_ENABLE] = sm_on_enable,
			  [EV_SM_REQUEST] = sm_on_request,
			  [EV_SM_ACKNOWLEDGEMENT] = sm_on_acknowledgement,
			  [EV_STANZA] = s2s_in_stanza },
};
