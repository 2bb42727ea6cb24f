/*
 * s2s_out.c - the steps of the originating server: we opened the stream to send
 * stanzas, or to ask the authoritative server about a key.
 *
 * STARTTLS comes first where the partner's policy wants it, also when the peer
 * does not advertise it but the policy requires it (RFC 7590 section 3.1: a
 * stripped offer must not lead to clear text). Then dialback, by an HMAC over
 * the peer's stream id.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/xml.h"

void s2s_out_connected(struct stream *st)
{
	stream_set_state(st, S2S_OPENING);
	stream_send_header(st);
}

/* This stream cannot come up whatever we do: the stanzas go back, the stream goes. */
static void give_up(struct stream *st, enum condition condition, const char *text)
{
	link_fail(st->link, condition, text);
	stream_close(st, NULL, text);
}

static unsigned dialback_method(const struct stream *st)
{
	return sock_is_tls(st->sock) ? METHOD_DIALBACK_TLS : METHOD_DIALBACK_TCP;
}

static void send_result(struct stream *st)
{
	char key[DIALBACK_KEY_SIZE];
	struct strbuf b = { 0 };

	dialback_key(st->s2s->secret, st->remote, st->local, st->id, key);
	strbuf_puts(&b, "<db:result");
	xml_attr(&b, "from", st->local);
	xml_attr(&b, "to", st->remote);
	strbuf_printf(&b, ">%s</db:result>", key);
	st->result_sent = true;
	stream_set_established(st, false);
	stream_write(st, &b);
	strbuf_free(&b);
}

/* In words, what keeps the two servers from authenticating. */
static const char *why_no_method(struct stream *st)
{
	if (!sock_is_tls(st->sock))
		return "the settings for this partner require SASL EXTERNAL, but the stream has no TLS";
	if (!tls_has_certificate(st->s2s->setup.tls, st->local))
		return "the settings for this partner require SASL EXTERNAL, but no certificate is "
		       "configured here";
	if (!sasl_peer_is_certified(st))
		return st->certificate_why;
	if (!st->offers_external)
		return "the settings for this partner require SASL EXTERNAL, but its server does not offer "
		       "it";
	return "the other server refused our certificate (SASL EXTERNAL)";
}

void s2s_out_negotiate(struct stream *st)
{
	if (st->close_sent)
		return;
	verify_send_pending(st->link);
	if (st->state != S2S_NEGOTIATING || st->result_sent)
		return;
	if (!st->link->queue)
		stream_set_established(st, true);
	else if (sasl_can_authenticate(st))
		sasl_send_auth(st);
	else if (st->policy.methods & dialback_method(st))
		send_result(st);
	else
		give_up(st, COND_REMOTE_SERVER_NOT_FOUND, why_no_method(st));
}

void s2s_out_header(struct stream *st, const struct xml_header *header)
{
	free(st->id);
	st->id = xstrdup(header->id ? header->id : "");
	st->is_v1 = header->version && atoi(header->version) >= 1;
	if (!st->id[0]) {
		stream_close(st, "improper-addressing", "the stream header has no 'id'");
	} else if (st->is_v1) {
		stream_set_state(st, S2S_FEATURES);
	} else if (st->policy.tls == REQUIRE_REQUIRED) {
		stream_close(st, "policy-violation", "TLS is required and the peer has no XMPP 1.0");
	} else {
		stream_set_state(st, S2S_NEGOTIATING);
		s2s_out_negotiate(st);
	}
}

bool s2s_offers(const struct xml_element *el, const char *ns, const char *name)
{
	for (size_t i = 0; i < el->child_count; i++)
		if (el->children[i].depth == 1 && strcmp(el->children[i].name, name) == 0 &&
		    strcmp(el->children[i].ns, ns) == 0)
			return true;
	return false;
}

static bool offers_mechanism(const struct xml_element *el, const char *mechanism)
{
	for (size_t i = 0; i < el->child_count; i++)
		if (el->children[i].depth == 2 && strcmp(el->children[i].ns, NS_SASL) == 0 &&
		    strcmp(el->children[i].text, mechanism) == 0)
			return true;
	return false;
}

static bool wants_tls(const struct stream *st, const struct xml_element *features)
{
	if (sock_is_tls(st->sock) || st->policy.tls == REQUIRE_NONE)
		return false;
	if (st->policy.tls == REQUIRE_REQUIRED)
		return true;
	return s2s_offers(features, NS_TLS, "starttls") && !st->link->without_tls;
}

/* <required/> within <starttls/>. */
static bool insists_on_tls(const struct xml_element *features)
{
	for (size_t i = 0; i < features->child_count; i++)
		if (features->children[i].depth == 2 && strcmp(features->children[i].name, "required") == 0 &&
		    strcmp(features->children[i].ns, NS_TLS) == 0)
			return true;
	return false;
}

static void become_trusted(struct stream *st)
{
	stream_set_state(st, S2S_TRUSTED);
	stream_set_established(st, true);
	bidi_trusted(st, st->local, st->remote);
	if (st->offers_sm)
		sm_enable(st);
	if (st->state != S2S_TRUSTED)
		return;
	link_trusted(st->link);
	s2s_out_negotiate(st);
}

static void out_features(struct stream *st, const struct xml_element *el)
{
	struct strbuf b = { 0 };

	st->offers_sm = s2s_offers(el, NS_SM, "sm");
	check_note(st->link, "features", true, "offers%s%s%s%s%s",
		   s2s_offers(el, NS_TLS, "starttls") ? " STARTTLS" : "",
		   offers_mechanism(el, "EXTERNAL") ? " SASL-EXTERNAL" : "",
		   s2s_offers(el, NS_DIALBACK_FEATURE, "dialback") ? " dialback" : "",
		   st->offers_sm ? " stream-management" : "",
		   s2s_offers(el, NS_BIDI_FEATURE, "bidi") ? " bidirectional-streams" : "");
	if (st->is_external) {
		become_trusted(st);
	} else if (wants_tls(st, el)) {
		stream_set_state(st, S2S_STARTTLS);
		strbuf_puts(&b, "<starttls xmlns='" NS_TLS "'/>");
		stream_write(st, &b);
		strbuf_free(&b);
	} else if (!sock_is_tls(st->sock) && st->policy.tls == REQUIRE_NONE && insists_on_tls(el)) {
		stream_set_state(st, S2S_NEGOTIATING);
		give_up(st, COND_REMOTE_SERVER_NOT_FOUND,
			"the other server requires TLS, but the settings for this partner exclude it");
	} else {
		bidi_ask(st, el);
		st->offers_external = offers_mechanism(el, "EXTERNAL");
		stream_set_state(st, S2S_NEGOTIATING);
		s2s_out_negotiate(st);
	}
}

static void out_proceed(struct stream *st, const struct xml_element *el)
{
	(void)el;
	st->start_tls = true;
	xmlstream_stop(st->xml);
}

/* The link then tries without TLS where that is allowed, else elsewhere. */
static void out_tls_failure(struct stream *st, const struct xml_element *el)
{
	(void)el;
	stream_close(st, NULL, "the peer refused STARTTLS");
}

static bool is_about(const struct stream *st, const struct xml_element *el)
{
	char from[DOMAIN_SIZE], to[DOMAIN_SIZE];

	return el->from && el->to && el->type && jid_domain(el->from, from) == OK &&
	       jid_domain(el->to, to) == OK && strcmp(from, st->remote) == 0 && strcmp(to, st->local) == 0;
}

/* The condition that an error verdict names, as words. */
static const char *verdict_reason(const struct xml_element *el)
{
	for (size_t i = 0; i < el->child_count; i++)
		if (el->children[i].depth == 2 && strcmp(el->children[i].ns, NS_STANZA_ERRORS) == 0)
			return el->children[i].name;
	return "no reason given";
}

/* Whoever the other server asked did not know our key: say whose DNS to look at. */
static void log_invalid(const struct stream *st)
{
	log_event(
		LOG_WARNING, "dialback-invalid", st->name, "local=%s remote=%s hint=\"%s\"", st->local,
		st->remote,
		st->edge == EDGE_INTERNAL
			? "the legacy gateway's DNS must point _xmpp-server._tcp of the partner at "
			  "internal.listen"
			: "the SRV record of the local domain must point at external.listen of this bridge");
}

/* Step 4 of dialback: the verdict on our own key. XEP-0220 sections 2.1.1 and 2.4. */
static void out_db_result(struct stream *st, const struct xml_element *el)
{
	char text[WHY_SIZE];

	if (!st->result_sent || !is_about(st, el)) {
		stream_close(st, "policy-violation", "a dialback verdict that was not asked for");
		return;
	}
	st->result_sent = false;
	check_note(st->link, "authentication", strcmp(el->type, "valid") == 0, "dialback: %s", el->type);
	log_event(LOG_INFO, "dialback", st->name, "edge=%s from=%s to=%s verdict=%s", edge_name(st->edge),
		  st->local, st->remote, log_value(el->type));
	if (strcmp(el->type, "valid") == 0) {
		become_trusted(st);
	} else if (strcmp(el->type, "invalid") == 0) {
		log_invalid(st);
		give_up(st, COND_INTERNAL_SERVER_ERROR,
			"the other server says that our dialback key is invalid");
	} else {
		snprintf(text, sizeof(text), "the other server refused dialback: %.100s", verdict_reason(el));
		give_up(st, COND_REMOTE_SERVER_TIMEOUT, text);
	}
}

static void out_db_verify(struct stream *st, const struct xml_element *el)
{
	verify_on_verdict(st->link, el);
}

stream_steps s2s_out_steps = {
	[S2S_FEATURES] = { [EV_FEATURES] = out_features },
	[S2S_STARTTLS] = { [EV_PROCEED] = out_proceed, [EV_TLS_FAILURE] = out_tls_failure },
	[S2S_NEGOTIATING] = { [EV_DB_RESULT] = out_db_result, [EV_DB_VERIFY] = out_db_verify },
	[S2S_SASL] = { [EV_SASL_SUCCESS] = sasl_on_success,
		       [EV_SASL_FAILURE] = sasl_on_failure,
		       [EV_DB_VERIFY] = out_db_verify },
	[S2S_TRUSTED] = { [EV_DB_VERIFY] = out_db_verify,
			  [EV_SM_ENABLED] = sm_on_enabled,
			  [EV_SM_FAILED] = sm_on_failed,
			  [EV_SM_REQUEST] = sm_on_request,
			  [EV_STANZA] = s2s_in_stanza,
			  [EV_SM_ACKNOWLEDGEMENT] = sm_on_acknowledgement },
};
