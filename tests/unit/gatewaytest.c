/*
 * gatewaytest.c - the helpers of gatewaytest.h.
 */
#include "gatewaytest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- the router --- */

void router_submit(struct router *r, const struct submission *s)
{
	struct submitted *record = &r->submitted[r->submitted_count++];

	assert_true(r->submitted_count <= GATEWAYTEST_RECORDS);
	assert_int_equal(s->origin, ORIGIN_POOL);
	*record = (struct submitted){ .stanza = stanza_ref(s->stanza), .takes_back = s->takes_back };
	if (r->hold) {
		record->done = s->done;
		record->ctx = s->ctx;
	} else {
		s->done(s->ctx, s->stanza, &(struct outcome){ .confirmed = true });
	}
}

enum err router_decide(struct router *r, const struct jid *local, const char *partner, struct verdict *out)
{
	(void)local;
	(void)partner;
	*out = r->verdict;
	return OK;
}

/* --- begin and end --- */

void gatewaytest_prepare(struct gatewaytest *t, enum pool_mode mode)
{
	memset(t, 0, sizeof(*t));
	t->router.verdict = (struct verdict){ .route = ROUTE_GATEWAY, .pool = POOL_NEW };
	nettest_claim(OURS);
	nettest_begin(&t->net);
	t->config.sip.listen.item[t->config.sip.listen.count++] = "udp:" OURS ":5060";
	t->config.sip.listen.item[t->config.sip.listen.count++] = "tcp:" OURS ":5060";
	t->config.sip.new_pool = (struct config_list){ { "sip:" NEW_POOL ":5060;transport=udp" }, 1 };
	t->config.sip.legacy_pool = (struct config_list){ { "sip:" OLD_POOL ":5060;transport=udp" }, 1 };
	fakerouter_configure(&t->config);
	t->config.sip.new_pool_mode = t->config.sip.legacy_pool_mode = (int)mode;
}

void gatewaytest_open(struct gatewaytest *t)
{
	const struct gateway_setup setup = {
		.loop = t->net.loop, .config = &t->config, .router = &t->router, .t1_ms = t->t1_ms
	};
	const char *why = "";

	if (gateway_create(&setup, &t->gateway, &why) != OK)
		fail_msg("%s", why);
	sippeer_udp(&t->pool, &t->net, NEW_POOL);
	sippeer_aim(&t->pool, OURS);
	sippeer_udp(&t->legacy, &t->net, OLD_POOL);
	sippeer_aim(&t->legacy, OURS);
	t->peer = &t->pool;
}

void gatewaytest_begin(struct gatewaytest *t, enum pool_mode mode)
{
	gatewaytest_prepare(t, mode);
	gatewaytest_open(t);
}

void gatewaytest_end(struct gatewaytest *t)
{
	gateway_destroy(t->gateway);
	colleagues_destroy(t->router.fake.colleagues);
	for (size_t i = 0; i < t->router.submitted_count; i++)
		stanza_unref(t->router.submitted[i].stanza);
	sippeer_close(&t->pool);
	sippeer_close(&t->legacy);
	nettest_end(&t->net);
}

int64_t gatewaytest_counter(const struct gatewaytest *t, const char *name)
{
	json_t *status = gateway_status(t->gateway);
	const json_t *value = json_object_get(status, name);
	int64_t n = json_integer_value(value);

	assert_true(json_is_integer(value));
	json_decref(status);
	return n;
}

/* --- XMPP --- */

static void on_told(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct router *r = ctx;
	struct told *told = &r->told[r->told_count++];

	assert_true(r->told_count <= GATEWAYTEST_RECORDS);
	*told = (struct told){ .confirmed = outcome->confirmed,
			       .condition = outcome->condition,
			       .unsent = outcome->unsent };
	snprintf(told->id, sizeof(told->id), "%s", stanza->id);
	snprintf(told->text, sizeof(told->text), "%s", outcome->text != NULL ? outcome->text : "(none)");
}

void gatewaytest_give(struct gatewaytest *t, const struct given *g)
{
	struct strbuf inner = { .s = NULL };
	struct stanza *stanza;

	strbuf_puts(&inner, g->inner != NULL ? g->inner : "<body>hi</body>");
	stanza =
		stanza_make(g->kind, g->from != NULL ? g->from : JULIET, g->to != NULL ? g->to : TYBALT,
			    g->id != NULL ? g->id : "1", g->type != NULL ? g->type : "chat", g->lang, &inner);
	t->router.fake.egress(
		t->router.fake.egress_ctx, stanza,
		&(struct verdict){ .route = ROUTE_GATEWAY, .pool = g->at_legacy ? POOL_LEGACY : POOL_NEW },
		on_told, &t->router);
	stanza_unref(stanza);
	strbuf_free(&inner);
}

void gatewaytest_pass(struct gatewaytest *t, bool from_partner, const char *type, const char *inner)
{
	struct strbuf text = { .s = NULL };
	struct submission s = { .origin = from_partner ? ORIGIN_PARTNER : ORIGIN_LEGACY };
	struct jid from, to;

	strbuf_puts(&text, inner);
	s.stanza =
		stanza_make(STANZA_MESSAGE, from_partner ? JULIET : OLD_CLIENT,
			    from_partner ? TYBALT : JULIET, "p", type != NULL ? type : "chat", NULL, &text);
	assert_int_equal(jid_parse(s.stanza->from, &from), OK);
	assert_int_equal(jid_parse(s.stanza->to, &to), OK);
	s.from = &from;
	s.to = &to;
	t->router.fake.passing(t->router.fake.passing_ctx, &s);
	stanza_unref(s.stanza);
	strbuf_free(&text);
}

static bool has_told(void *ctx)
{
	return ((struct gatewaytest *)ctx)->router.told_count > 0;
}

struct told gatewaytest_told(struct gatewaytest *t)
{
	struct router *r = &t->router;
	struct told told;

	nettest_run(&t->net, has_told, t);
	told = r->told[0];
	memmove(r->told, r->told + 1, --r->told_count * sizeof(r->told[0]));
	return told;
}

void gatewaytest_confirmed(struct gatewaytest *t, const char *id)
{
	struct told told = gatewaytest_told(t);

	assert_string_equal(told.id, id);
	if (!told.confirmed)
		fail_msg("%s: %s", id, condition_name(told.condition));
}

void gatewaytest_refused(struct gatewaytest *t, const char *id, enum condition condition)
{
	struct told told = gatewaytest_told(t);

	assert_string_equal(told.id, id);
	assert_false(told.confirmed);
	assert_string_equal(condition_name(told.condition), condition_name(condition));
}

void gatewaytest_put_back(struct gatewaytest *t, const char *id)
{
	struct told told = gatewaytest_told(t);

	assert_string_equal(told.id, id);
	assert_false(told.confirmed);
	assert_true(told.unsent);
}

void gatewaytest_moved(struct gatewaytest *t, enum route route, enum pool pool)
{
	t->router.verdict = (struct verdict){ .route = route, .pool = pool };
	gateway_registry_changed(t->gateway, TYBALT);
}

static bool has_submitted(void *ctx)
{
	return ((struct gatewaytest *)ctx)->router.submitted_count > 0;
}

/* The record stays the first of the list until the next one is asked for. */
const char *gatewaytest_stanza(struct gatewaytest *t)
{
	static char text[8192];
	struct router *r = &t->router;
	struct stanza *stanza;

	nettest_run(&t->net, has_submitted, t);
	stanza = r->submitted[0].stanza;
	assert_true(stanza->size < sizeof(text));
	snprintf(text, sizeof(text), "%.*s", (int)stanza->size, stanza->bytes);
	if (!r->hold) {
		memmove(r->submitted, r->submitted + 1, --r->submitted_count * sizeof(r->submitted[0]));
		stanza_unref(stanza);
	}
	return text;
}

const char *gatewaytest_hears(struct gatewaytest *t, const char *text)
{
	const char *stanza = gatewaytest_stanza(t);

	if (strstr(stanza, text) == NULL)
		fail_msg("no '%s' in %s", text, stanza);
	return stanza;
}

void gatewaytest_delivered(struct gatewaytest *t, const struct outcome *outcome)
{
	struct router *r = &t->router;
	struct submitted s = r->submitted[0];

	assert_true(r->submitted_count > 0 && s.done != NULL);
	memmove(r->submitted, r->submitted + 1, --r->submitted_count * sizeof(r->submitted[0]));
	s.done(s.ctx, s.stanza, outcome);
	stanza_unref(s.stanza);
}

/* --- SIP --- */

static bool is_request(const char *message)
{
	return strncmp(message, "SIP/2.0 ", 8) != 0;
}

/* A 200 to INVITE is repeated when the machine is slow with the ACK, a request when it is slow with the answer. */
static const char *receive(struct gatewaytest *t, const char *expected, const char *method)
{
	for (;;) {
		const char *message = sippeer_receive(t->peer), *cseq = sip_field(message, "CSeq");

		if (strncmp(message, expected, strlen(expected)) == 0 &&
		    strcmp(cseq + strspn(cseq, "0123456789 "), method) == 0)
			return message;
		if (is_request(message) || !is_request(expected) || strstr(cseq, "INVITE") == NULL)
			fail_msg("not '%s' to %s but %s", expected, method, message);
	}
}

const char *gatewaytest_request(struct gatewaytest *t, const char *method)
{
	char start[64];

	snprintf(start, sizeof(start), "%s sip:", method);
	return receive(t, start, method);
}

const char *gatewaytest_response(struct gatewaytest *t, const char *status, const char *method)
{
	char start[256];

	snprintf(start, sizeof(start), "SIP/2.0 %s\r\n", status);
	return receive(t, start, method);
}

void gatewaytest_quiet(struct gatewaytest *t)
{
	nettest_is_quiet(&t->net);
	if (t->router.told_count > 0)
		fail_msg("told of %s", t->router.told[0].id);
	if (t->router.submitted_count > 0)
		fail_msg("heard %s", gatewaytest_stanza(t));
	if (sippeer_poll(&t->pool) || sippeer_poll(&t->legacy))
		fail_msg("received %s%s", t->pool.message.s, t->legacy.message.s);
}

void gatewaytest_answer(struct gatewaytest *t, const char *status, const char *extra, const char *body)
{
	static const char *const copied[] = { "Via", "From", "Call-ID", "CSeq" };
	const char *request = t->peer->message.s, *to = sip_field(request, "To");
	struct strbuf out = { .s = NULL };

	strbuf_printf(&out, "SIP/2.0 %s\r\n", status);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		strbuf_printf(&out, "%s: %s\r\n", copied[i], sip_field(request, copied[i]));
	strbuf_printf(&out, "To: %s%s\r\n%sContent-Length: %zu\r\n\r\n%s", to,
		      strstr(to, ";tag=") != NULL ? "" : ";tag=peer", extra, strlen(body), body);
	sippeer_send(t->peer, out.s, out.len);
	strbuf_free(&out);
}

/* What stands between < and >. */
static void copy_uri(char *out, size_t size, const char *value)
{
	const char *start = strchr(value, '<');

	assert_non_null(start);
	snprintf(out, size, "%.*s", (int)strcspn(start + 1, ">"), start + 1);
}

void gatewaytest_dialog(struct gatewaytest *t, struct peer_dialog *d)
{
	const char *invite = t->peer->message.s;

	memset(d, 0, sizeof(*d));
	snprintf(d->call_id, sizeof(d->call_id), "%s", sip_field(invite, "Call-ID"));
	snprintf(d->from, sizeof(d->from), "%s;tag=peer", sip_field(invite, "To"));
	snprintf(d->to, sizeof(d->to), "%s", sip_field(invite, "From"));
	copy_uri(d->target, sizeof(d->target), sip_field(invite, "Contact"));
}

static void send_request(struct gatewaytest *t, struct peer_dialog *d, const char *method, const char *extra,
			 const char *body)
{
	const char *address = t->peer == &t->pool ? NEW_POOL : OLD_POOL;

	if (strcmp(method, "ACK") != 0)
		d->cseq++;
	sippeer_printf(t->peer,
		       "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK-test-%u\r\n"
		       "Max-Forwards: 69\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n"
		       "%sContent-Length: %zu\r\n\r\n%s",
		       method, d->target, address, ++t->number, d->from, d->to, d->call_id, d->cseq, method,
		       extra, strlen(body), body);
}

void gatewaytest_invite(struct gatewaytest *t, struct peer_dialog *d, const char *extra, const char *body)
{
	char lines[4096];

	memset(d, 0, sizeof(*d));
	snprintf(d->call_id, sizeof(d->call_id), "call-%u", ++t->number);
	snprintf(d->from, sizeof(d->from), "\"Tybalt\" <sip:tybalt@corp.test>;tag=t%u", t->number);
	snprintf(d->to, sizeof(d->to), "<sip:juliet@partner.test>");
	snprintf(d->target, sizeof(d->target), "sip:juliet@partner.test");
	snprintf(lines, sizeof(lines), "Contact: <sip:tybalt@%s:5060>\r\n%s",
		 t->peer == &t->pool ? NEW_POOL : OLD_POOL, extra);
	send_request(t, d, "INVITE", lines, body);
}

const char *gatewaytest_accepted(struct gatewaytest *t, struct peer_dialog *d)
{
	const char *message = gatewaytest_response(t, "200 OK", "INVITE");

	snprintf(d->to, sizeof(d->to), "%s", sip_field(message, "To"));
	copy_uri(d->target, sizeof(d->target), sip_field(message, "Contact"));
	send_request(t, d, "ACK", "", NO_BODY);
	return message;
}

void gatewaytest_in_dialog(struct gatewaytest *t, struct peer_dialog *d, const char *method,
			   const char *extra, const char *body)
{
	send_request(t, d, method, extra, body);
}

void gatewaytest_session(struct gatewaytest *t, struct peer_dialog *d, const char *sdp)
{
	struct peer_dialog ours;

	GIVE(t, .id = "first", .inner = "<body>first</body>" STATE("active"));
	gatewaytest_request(t, "INVITE");
	gatewaytest_dialog(t, d != NULL ? d : &ours);
	gatewaytest_answer(t, "200 OK", ACCEPTED READ_IT, sdp);
	gatewaytest_request(t, "ACK");
	gatewaytest_confirmed(t, "first");
}

void gatewaytest_theirs(struct gatewaytest *t, struct peer_dialog *d, const char *sdp)
{
	gatewaytest_invite(t, d, SDP_TYPE, sdp);
	gatewaytest_accepted(t, d);
}

void gatewaytest_absent(const char *text, const char *what)
{
	if (strstr(text, what) != NULL)
		fail_msg("'%s' in %s", what, text);
}
