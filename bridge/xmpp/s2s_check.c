/*
 * s2s_check.c - the partner doctor: one stream to a partner, made like any
 * other, with every step written down in words.
 *
 * A check is a link of its own, beside the one that carries messages, which it
 * does not disturb. The steps are noted by the very code that takes them, so
 * the check cannot say what the bridge would not do. What it sends is a ping in
 * the local domain's name; nothing a user would see.
 */
#include "bridge/xmpp/s2s_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

#define CHECK_MS 20000

/* Who can mend a step, and how: the first row whose step and words fit. */
static const struct {
	const char *step, *words, *side, *mend;
} remedies[] = {
	{ "dns", "no such domain", "theirs",
	  "check the spelling; the partner must publish _xmpp-server._tcp or an address for its domain, or "
	  "give it "
	  "a proxy: poolbridgectl partner set DOMAIN --proxy HOST:PORT" },
	{ "dns", "", "ours", "check dns.resolver in poolbridge.conf, and that it answers from here" },
	{ "component", "", "ours",
	  "check the group component of poolbridge.conf, and the component's entry in that server's "
	  "configuration" },
	{ "tcp", "refused", "theirs",
	  "nothing listens there: the partner's server is down, or its SRV record is old" },
	{ "tcp", "", "either",
	  "a firewall between the two servers drops the connection: TCP 5269 in both directions" },
	{ "tls", "refused STARTTLS", "theirs",
	  "the partner's server needs a certificate and TLS switched on; until then, where that is "
	  "acceptable: "
	  "poolbridgectl partner set DOMAIN --tls optional" },
	{ "tls", "", "either",
	  "the servers agree on no TLS version or cipher; TLS 1.2 is the least taken here" },
	{ "certificate", "", "theirs",
	  "the partner must renew its certificate, or, where its CA is a private one, name that in "
	  "external.ca" },
	{ "authentication", "no certificate is configured", "ours",
	  "set external.certificate and external.key to a certificate for the local domain" },
	{ "authentication", "refused our certificate", "either",
	  "the partner must trust the CA of our certificate; see external.certificate" },
	{ "authentication", "requires TLS", "ours",
	  "poolbridgectl partner set DOMAIN --tls required, or ask the partner to take streams without TLS" },
	{ "authentication", "invalid", "ours",
	  "the SRV record of the local domain must lead to external.listen of this bridge; bridges that "
	  "share a "
	  "domain must share dialback.secret" },
	{ "authentication", "", "either",
	  "the partner's settings and its server leave no way in common: compare partner show DOMAIN" },
	{ "ping", "", "theirs",
	  "the partner's server must be able to reach us: our SRV record, its firewall, its list of allowed "
	  "domains" },
	{ "", "", "either", "see the log of poolbridge at level debug" },
};

static void add_remedy(json_t *row, const char *step, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++) {
		if ((remedies[i].step[0] && strcmp(remedies[i].step, step) != 0) ||
		    !strstr(text, remedies[i].words))
			continue;
		json_object_set_new(row, "side", json_string(remedies[i].side));
		json_object_set_new(row, "mend", json_string(remedies[i].mend));
		return;
	}
}

/* The end of a stream tells again what a step has told better. */
static bool has_failed(const struct check *check, const char *step)
{
	const json_t *last = json_array_get(check->steps, json_array_size(check->steps) - 1);

	return last && !json_is_true(json_object_get(last, "ok")) &&
	       strcmp(json_string_value(json_object_get(last, "step")), step) == 0;
}

void check_note(struct link *link, const char *step, bool ok, const char *fmt, ...)
{
	char text[WHY_SIZE * 2];
	json_t *row;
	va_list args;

	if (!link || !link->check || (!ok && has_failed(link->check, step)))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	row = json_pack("{s:s, s:b, s:s%}", "step", step, "ok", ok, "text", text, strlen(text));
	if (!row) /* words of the peer that are no UTF-8 */
		row = json_pack("{s:s, s:b, s:s}", "step", step, "ok", ok, "text", "(unprintable)");
	if (!ok)
		add_remedy(row, step, text);
	json_array_append_new(link->check->steps, row);
}

static bool all_ok(const json_t *steps)
{
	size_t i;
	json_t *row;

	json_array_foreach (steps, i, row)
		if (!json_is_true(json_object_get(row, "ok")))
			return false;
	return true;
}

/* What holds between the two servers besides the handshake. */
static void note_limits(struct link *link)
{
	const struct config *config = link->s2s->setup.config;

	if (component_carries(link))
		return;
	check_note(link, "limits", true,
		   "we %s white space after %lld s of silence and close a stream that was idle for %lld s; a "
		   "partner that closes earlier is reached by a new stream",
		   link->policy.keepalive ? "send" : "send no", (long long)config->s2s.keepalive_ms / 1000,
		   (long long)config->s2s.inactivity_ms / 1000);
}

static void on_ping_done(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct link *link = ctx;
	struct check *check = link->check;
	long long ms = s2s_now(link->s2s) - check->started_at;
	json_t *report;

	(void)stanza;
	if (outcome->confirmed && (link->answers_pings || (link->stream && link->stream->sm_out)))
		check_note(link, "ping", true, "answered; the whole check took %lld ms", ms);
	else if (outcome->confirmed)
		check_note(link, "ping", false,
			   "sent and taken by the partner's TCP, but not answered: its stream to us does not "
			   "come up, "
			   "or it answers no pings");
	else if (all_ok(check->steps))
		check_note(link, "ping", false, "%s", outcome->text);
	note_limits(link);
	report = json_pack("{s:s, s:s, s:b, s:O}", "local", link->local, "partner", link->remote, "ok",
			   all_ok(check->steps), "steps", check->steps);
	link->check = NULL;
	check->done(check->ctx, report);
	json_decref(check->steps);
	free(check);
	if (link->stream && !link->stream->is_component)
		stream_finish(link->stream);
	link_arm(link);
}

void s2s_check(struct s2s *s2s, const char *local, const char *partner, s2s_check_fn *done, void *ctx)
{
	struct check *check = xcalloc(1, sizeof(*check));
	struct strbuf inner = { 0 };
	struct stanza *ping;
	struct link *link = link_create_for_check(s2s, local, partner);
	char id[17];

	check->steps = json_array();
	check->started_at = s2s_now(s2s);
	check->done = done;
	check->ctx = ctx;
	link->check = check;
	if (random_hex(id, sizeof(id)) != OK)
		id[0] = '\0';
	strbuf_puts(&inner, "<ping xmlns='urn:xmpp:ping'/>");
	ping = stanza_make(STANZA_IQ, local, partner, id, "get", NULL, &inner);
	strbuf_free(&inner);
	link_send(link, ping, CHECK_MS, on_ping_done, link);
	stanza_unref(ping);
}
