/*
 * s2s_sasl.c - SASL EXTERNAL on a stream, in both roles (RFC 6120 section 6,
 * XEP-0178).
 *
 * Receiving: offered only under TLS and only when the peer's certificate is
 * good for the stream's 'from', so that <auth/> can hardly fail; success makes
 * the pair (to, from) valid. Originating: used where the partner's policy has it
 * and the peer's certificate is good for its domain, since what we send is as
 * confidential as the peer is genuine. Refused, the same stream goes on with
 * dialback where the policy has that.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/sasl.h"
#include "bridge/xmpp/xml.h"

#define FAILURES_MAX 3

/* An untrusted certificate fails a check only where nothing else can prove the peer. */
static void note_certificate(struct stream *st, const struct certificate_report *r)
{
	bool needed = !(st->policy.methods & METHOD_DIALBACK_TLS);

	check_note(
		st->link, "certificate", st->is_certified || !needed,
		"%s (issued by %s, valid %s to %s)%s%s%s", r->subject, r->issuer, r->not_before, r->not_after,
		st->is_certified ? (r->trust == CERTIFICATE_DANE ? ": trusted by DANE" : ": trusted") : ": ",
		st->is_certified ? "" : r->why,
		r->server_only ? "; made for servers only, which some refuse when it connects to them" : "");
}

/* Everything that the two administrators need to find the certificate and mend it. */
static char *why_untrusted(const char *remote, const struct certificate_report *r)
{
	if (r->trust == CERTIFICATE_NONE)
		return xasprintf("the certificate of %s is not trusted: %s", remote, r->why);
	return xasprintf(
		"the certificate of %s is not trusted: %s (subject %s; issuer %s; valid from %s until %s)",
		remote, r->why, r->subject, r->issuer, r->not_before, r->not_after);
}

/* The peer's certificate, judged for its domain, once per TLS session; the words are kept for who asks why. */
bool sasl_peer_is_certified(struct stream *st)
{
	struct certificate_report report;

	if (!sock_is_tls(st->sock) || !st->remote[0])
		return false;
	if (st->certificate_judged)
		return st->is_certified;
	sock_certificate(st->sock, st->remote, &report);
	st->certificate_judged = true;
	st->is_certified = report.trust == CERTIFICATE_TRUSTED || report.trust == CERTIFICATE_DANE;
	free(st->certificate_why);
	st->certificate_why = NULL;
	note_certificate(st, &report);
	if (!st->is_certified) {
		st->certificate_why = why_untrusted(st->remote, &report);
		log_event(LOG_NOTICE, "certificate-untrusted", st->name,
			  "remote=%s subject=%s issuer=%s from=%s until=%s why=%s", st->remote,
			  log_value(report.subject), log_value(report.issuer), log_value(report.not_before),
			  log_value(report.not_after), log_value(report.why));
	}
	return st->is_certified;
}

/* A new XML stream begins on the same connection; what was said before counts no more. */
static void restart(struct stream *st)
{
	st->is_external = true;
	st->restart = true;
	xmlstream_stop(st->xml);
}

static void answer_failure(struct stream *st, const char *condition)
{
	struct strbuf b = { 0 };

	log_event(LOG_NOTICE, "sasl-refused", st->name, "from=%s condition=%s", log_value(st->remote),
		  condition);
	strbuf_printf(&b, "<failure xmlns='" NS_SASL "'><%s/></failure>", condition);
	if (stream_write(st, &b) && ++st->sasl_failures >= FAILURES_MAX)
		stream_close(st, "policy-violation", "too many attempts to authenticate");
	strbuf_free(&b);
}

void sasl_write_mechanisms(struct stream *st, struct strbuf *b)
{
	if ((st->policy.methods & METHOD_SASL_TLS) && !st->is_external && sasl_peer_is_certified(st))
		strbuf_puts(b,
			    "<mechanisms xmlns='" NS_SASL "'><mechanism>EXTERNAL</mechanism></mechanisms>");
}

void sasl_on_auth(struct stream *st, const struct xml_element *el)
{
	struct strbuf b = { 0 };
	enum err e;

	if (!(st->policy.methods & METHOD_SASL_TLS) || !el->mechanism ||
	    strcmp(el->mechanism, "EXTERNAL") != 0) {
		answer_failure(st, "invalid-mechanism");
		return;
	}
	if (!sasl_peer_is_certified(st)) {
		answer_failure(st, "not-authorized");
		return;
	}
	e = sasl_check_authzid(el->text, st->remote);
	if (e != OK) {
		answer_failure(st, e == ERR_SYNTAX ? "incorrect-encoding" : "invalid-authzid");
		return;
	}
	log_event(LOG_INFO, "sasl-external", st->name, "edge=%s from=%s to=%s", edge_name(st->edge),
		  st->remote, st->local);
	strbuf_puts(&b, "<success xmlns='" NS_SASL "'/>");
	if (stream_write(st, &b)) {
		s2s_in_forget_pairs(st);
		restart(st);
	}
	strbuf_free(&b);
}

bool sasl_can_authenticate(struct stream *st)
{
	return st->offers_external && !st->link->without_sasl && (st->policy.methods & METHOD_SASL_TLS) &&
	       tls_has_certificate(st->s2s->setup.tls, st->local) && sasl_peer_is_certified(st);
}

void sasl_send_auth(struct stream *st)
{
	char authzid[SASL_AUTHZID_SIZE];
	struct strbuf b = { 0 };

	sasl_encode_authzid(st->local, authzid);
	strbuf_printf(&b, "<auth xmlns='" NS_SASL "' mechanism='EXTERNAL'>%s</auth>", authzid);
	stream_set_state(st, S2S_SASL);
	stream_set_established(st, false);
	stream_write(st, &b);
	strbuf_free(&b);
}

void sasl_on_success(struct stream *st, const struct xml_element *el)
{
	(void)el;
	log_event(LOG_INFO, "sasl-external", st->name, "edge=%s from=%s to=%s", edge_name(st->edge),
		  st->local, st->remote);
	check_note(st->link, "authentication", true, "SASL EXTERNAL: our certificate was accepted");
	restart(st);
}

/* COMPAT: ejabberd offers EXTERNAL to a certificate that it then refuses, and goes on with dialback. */
void sasl_on_failure(struct stream *st, const struct xml_element *el)
{
	const char *condition = el->child_count > 0 ? el->children[0].name : "no reason given";

	log_event(LOG_NOTICE, "sasl-refused-by-peer", st->name, "remote=%s condition=%s", st->remote,
		  log_value(condition));
	check_note(st->link, "sasl", !!(st->policy.methods & METHOD_DIALBACK_TLS),
		   "the other server refused our certificate (%s)", condition);
	st->link->without_sasl = true;
	st->sasl_failures++;
	stream_set_state(st, S2S_NEGOTIATING);
	s2s_out_negotiate(st);
}
