/*
 * watchtest.c - the helpers of watchtest.h.
 */
#include "watchtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the router --- */

void router_submit(struct router *r, const struct submission *s)
{
	assert_true(s->origin == ORIGIN_POOL || r->verdict.route == ROUTE_LEGACY);
	if (r->hold) {
		assert_true(r->held_count < WATCHTEST_RECORDS);
		r->held[r->held_count] = *s;
		r->held[r->held_count++].stanza = stanza_ref(s->stanza);
		return;
	}
	assert_true(r->submitted_count < WATCHTEST_RECORDS);
	if (!r->lost)
		r->submitted[r->submitted_count++] = stanza_ref(s->stanza);
	s->done(s->ctx, s->stanza, &(struct outcome){ .confirmed = !r->lost });
}

enum err router_decide(struct router *r, const struct jid *local, const char *partner, struct verdict *out)
{
	assert_string_equal(local->domain, "corp.test");
	assert_string_equal(partner, "partner.test");
	*out = r->verdict;
	return r->unreadable ? ERR_IO : OK;
}

/* --- begin and end --- */

static void on_commit(void *ctx)
{
	struct watchtest *t = ctx;

	if (t->state.state == NULL)
		return;
	if (t->no_commit && state_has_begun(t->state.state))
		assert_int_equal(state_wrote(t->state.state, ERR_IO), ERR_IO);
	state_commit(t->state.state);
}

void watchtest_prepare(struct watchtest *t)
{
	memset(t, 0, sizeof(*t));
	nettest_claim(OURS);
	nettest_begin(&t->net);
	loop_phase_add(t->net.loop, LOOP_COMMIT, on_commit, t);
	t->state.files = dbtest_folder();
	t->per_user = t->total = 100000;
	t->expires = 3600;
	t->router.verdict = (struct verdict){ .route = ROUTE_GATEWAY, .pool = POOL_NEW };
	t->config.sip.listen.item[t->config.sip.listen.count++] = "tcp:" OURS ":5060";
	t->config.sip.new_pool = (struct config_list){ { "sip:" NEW_POOL ":5060;transport=tcp" }, 1 };
	t->config.sip.legacy_pool = (struct config_list){ { "sip:" OLD_POOL ":5060;transport=tcp" }, 1 };
	fakerouter_configure(&t->config);
	t->config.presence.expires_ms = 3600 * 1000;
	t->config.presence.handover_ms = 600 * 1000;
	t->client.fd = t->client.listener = -1;
	sippeer_listen(&t->pool, &t->net, NEW_POOL);
	sippeer_listen(&t->legacy, &t->net, OLD_POOL);
}

static void open_gateway(struct watchtest *t)
{
	struct gateway_setup setup = {
		.loop = t->net.loop, .config = &t->config, .router = &t->router, .t1_ms = t->t1_ms
	};
	const char *why = "";

	statetest_open_limited(&t->state, t->per_user, t->total);
	setup.ledger = t->no_ledger ? NULL : t->state.ledger;
	if (gateway_create(&setup, &t->gateway, &why) != OK)
		fail_msg("%s", why);
}

void watchtest_open(struct watchtest *t)
{
	open_gateway(t);
	sippeer_connect(&t->client, &t->net, NEW_POOL, OURS);
}

void watchtest_begin(struct watchtest *t)
{
	watchtest_prepare(t);
	watchtest_open(t);
}

static void forget_stanzas(struct watchtest *t)
{
	for (size_t i = 0; i < t->router.submitted_count; i++)
		stanza_unref(t->router.submitted[i]);
	t->router.submitted_count = 0;
}

/* A peer's connection is over; it goes on listening. */
static void hang_up(struct sippeer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	strbuf_free(&p->in);
}

void watchtest_stop(struct watchtest *t)
{
	gateway_destroy(t->gateway);
	t->gateway = NULL;
	statetest_close(&t->state);
	hang_up(&t->pool);
	hang_up(&t->legacy);
	sippeer_close(&t->client);
	forget_stanzas(t);
}

void watchtest_restart(struct watchtest *t)
{
	watchtest_stop(t);
	watchtest_open(t);
}

/* The router has the last word, after the gateway is gone. */
static void tell_held(struct router *r)
{
	for (size_t i = 0; i < r->held_count; i++) {
		struct submission *s = &r->held[i];

		s->done(s->ctx, s->stanza, &(struct outcome){ .confirmed = !r->lost });
		stanza_unref(s->stanza);
	}
	r->held_count = 0;
}

void watchtest_end(struct watchtest *t)
{
	gateway_destroy(t->gateway);
	colleagues_destroy(t->router.fake.colleagues);
	tell_held(&t->router);
	statetest_close(&t->state);
	dbtest_remove(t->state.files);
	forget_stanzas(t);
	sippeer_close(&t->pool);
	sippeer_close(&t->legacy);
	sippeer_close(&t->client);
	nettest_end(&t->net);
	memset(t, 0, sizeof(*t));
}

void watchtest_clean(struct watchtest *t)
{
	if (t->net.loop != NULL)
		watchtest_end(t);
}

int64_t watchtest_counter(const struct watchtest *t, const char *name)
{
	json_t *status = gateway_status(t->gateway);
	const json_t *value = json_object_get(json_object_get(status, "presence"), name);
	int64_t n = json_integer_value(value);

	assert_true(json_is_integer(value));
	json_decref(status);
	return n;
}

struct awaited {
	const struct watchtest *test;
	const char *name;
	int64_t value;
};

static bool has_become(void *ctx)
{
	const struct awaited *a = ctx;

	return watchtest_counter(a->test, a->name) == a->value;
}

void watchtest_becomes(struct watchtest *t, const char *name, int64_t value)
{
	struct awaited awaited = { t, name, value };

	nettest_run(&t->net, has_become, &awaited);
}

const char *watchtest_value(struct watchtest *t, const char *sql)
{
	state_commit(t->state.state);
	return dbtest_value(t->state.files, sql);
}

/* --- XMPP --- */

static void on_told(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)stanza;
	((struct watchtest *)ctx)->told = *outcome;
}

static void give(struct watchtest *t, enum stanza_kind kind, const char *type, const char *from,
		 const char *inner)
{
	struct strbuf text = { .s = NULL };
	struct stanza *stanza;

	strbuf_puts(&text, inner);
	stanza = stanza_make(kind, from, TYBALT, "1", type, NULL, &text);
	t->router.fake.egress(t->router.fake.egress_ctx, stanza, &t->router.verdict, on_told, t);
	stanza_unref(stanza);
	strbuf_free(&text);
}

void watchtest_write(struct watchtest *t)
{
	give(t, STANZA_MESSAGE, "chat", BALCONY, "<body>hi</body>");
}

void watchtest_give(struct watchtest *t, const char *type, const char *from, const char *inner)
{
	bool available = type == NULL || strcmp(type, "available") == 0;

	if (from == NULL)
		from = available ? BALCONY : JULIET;
	give(t, STANZA_PRESENCE, available ? NULL : type, from, inner != NULL ? inner : "");
}

static bool has_submitted(void *ctx)
{
	return ((struct watchtest *)ctx)->router.submitted_count > 0;
}

/* The next one; the caller's. */
static struct stanza *take_stanza(struct watchtest *t)
{
	struct router *r = &t->router;
	struct stanza *stanza;

	nettest_run(&t->net, has_submitted, t);
	stanza = r->submitted[0];
	memmove(r->submitted, r->submitted + 1, --r->submitted_count * sizeof(r->submitted[0]));
	return stanza;
}

void watchtest_asks(struct watchtest *t, const char *type)
{
	struct stanza *stanza = take_stanza(t);

	assert_int_equal(stanza->kind, STANZA_PRESENCE);
	assert_string_equal(stanza->type, type);
	assert_string_equal(stanza->from, JULIET);
	assert_string_equal(stanza->to, TYBALT);
	stanza_unref(stanza);
}

const char *watchtest_stanza(struct watchtest *t)
{
	static char text[8192];
	struct stanza *stanza = take_stanza(t);

	assert_true(stanza->size < sizeof(text));
	snprintf(text, sizeof(text), "%.*s", (int)stanza->size, stanza->bytes);
	/* Presence of a local user is for the contact alone. */
	assert_int_equal(stanza->kind, STANZA_PRESENCE);
	assert_memory_equal(stanza->from, TYBALT, strlen(TYBALT));
	assert_string_equal(stanza->to, JULIET);
	stanza_unref(stanza);
	return text;
}

const char *watchtest_hears(struct watchtest *t, const char *text)
{
	const char *stanza = watchtest_stanza(t);

	if (strstr(stanza, text) == NULL)
		fail_msg("no '%s' in %s", text, stanza);
	return stanza;
}

void watchtest_hears_type(struct watchtest *t, const char *type)
{
	struct stanza *expected =
		stanza_make(STANZA_PRESENCE, TYBALT, JULIET, NULL,
			    strcmp(type, "available") != 0 ? type : NULL, NULL, &(struct strbuf){ 0 });
	const char *text = watchtest_stanza(t);

	if (strlen(text) != expected->size || memcmp(text, expected->bytes, expected->size) != 0)
		fail_msg("not %s but %s", type, text);
	stanza_unref(expected);
}

void watchtest_quiet(struct watchtest *t)
{
	nettest_is_quiet(&t->net);
	if (t->router.submitted_count > 0)
		fail_msg("heard %s", watchtest_stanza(t));
	if (sippeer_poll(&t->pool))
		fail_msg("received %s", t->pool.message.s);
	if (sippeer_poll(&t->client))
		fail_msg("received %s", t->client.message.s);
	if (sippeer_poll(&t->legacy))
		fail_msg("received %s", t->legacy.message.s);
}

/* --- SIP --- */

static const char *receive(struct sippeer *peer, const char *expected, const char *method)
{
	const char *message = sippeer_receive(peer), *cseq = sip_field(message, "CSeq");

	if (strncmp(message, expected, strlen(expected)) != 0 ||
	    strcmp(cseq + strspn(cseq, "0123456789 "), method) != 0)
		fail_msg("not '%s' to %s but %s", expected, method, message);
	return message;
}

const char *watchtest_request_at(struct watchtest *t, struct sippeer *peer, const char *method)
{
	char start[64];

	(void)t;
	snprintf(start, sizeof(start), "%s sip:", method);
	return receive(peer, start, method);
}

const char *watchtest_request(struct watchtest *t, const char *method)
{
	return watchtest_request_at(t, &t->pool, method);
}

const char *watchtest_response(struct watchtest *t, const char *status, const char *method)
{
	char start[256];

	snprintf(start, sizeof(start), "SIP/2.0 %s\r\n", status);
	return receive(&t->client, start, method);
}

void watchtest_answer_at(struct sippeer *peer, const char *status, const char *extra, const char *body)
{
	static const char *const copied[] = { "Via", "From", "Call-ID", "CSeq" };
	const char *request = peer->message.s, *to = sip_field(request, "To");
	struct strbuf out = { .s = NULL };

	strbuf_printf(&out, "SIP/2.0 %s\r\n", status);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		strbuf_printf(&out, "%s: %s\r\n", copied[i], sip_field(request, copied[i]));
	strbuf_printf(&out, "To: %s%s\r\nContact: <sip:tybalt@%s:5060;transport=tcp>\r\n", to,
		      strstr(to, ";tag=") != NULL ? "" : ";tag=peer", NEW_POOL);
	strbuf_printf(&out, "%sContent-Length: %zu\r\n\r\n%s", extra, strlen(body), body);
	sippeer_send(peer, out.s, out.len);
	strbuf_free(&out);
}

void watchtest_answer(struct watchtest *t, const char *status, const char *extra, const char *body)
{
	watchtest_answer_at(&t->pool, status, extra, body);
}

/* What stands between < and >. */
static void copy_uri(char *out, size_t size, const char *value)
{
	const char *start = strchr(value, '<');

	assert_non_null(start);
	snprintf(out, size, "%.*s", (int)strcspn(start + 1, ">"), start + 1);
}

void watchtest_dialog(struct watchtest *t, struct peer_dialog *d)
{
	const char *subscribe = t->pool.message.s;

	if (strstr(sip_field(subscribe, "To"), ";tag=") != NULL) {
		assert_string_equal(sip_field(subscribe, "Call-ID"), d->call_id);
		return;
	}
	memset(d, 0, sizeof(*d));
	snprintf(d->call_id, sizeof(d->call_id), "%s", sip_field(subscribe, "Call-ID"));
	snprintf(d->from, sizeof(d->from), "%s;tag=peer", sip_field(subscribe, "To"));
	snprintf(d->to, sizeof(d->to), "%s", sip_field(subscribe, "From"));
	copy_uri(d->target, sizeof(d->target), sip_field(subscribe, "Contact"));
	snprintf(d->event, sizeof(d->event), "presence");
}

void watchtest_send(struct watchtest *t, struct peer_dialog *d, const char *method, const char *extra,
		    const char *body)
{
	sippeer_printf(&t->client,
		       "%s %s SIP/2.0\r\nVia: SIP/2.0/TCP " NEW_POOL ":5060;branch=z9hG4bK-test-%u\r\n"
		       "Max-Forwards: 69\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n"
		       "Contact: <sip:tybalt@" NEW_POOL ":5060;transport=tcp>\r\nEvent: %s\r\n"
		       "%sContent-Length: %zu\r\n\r\n%s",
		       method, d->target, ++t->number, d->from, d->to, d->call_id, ++d->cseq, method,
		       d->event, extra, strlen(body), body);
}

void watchtest_notify(struct watchtest *t, struct peer_dialog *d, const char *state, const char *body)
{
	char extra[256];

	snprintf(extra, sizeof(extra), "Subscription-State: %s\r\n%s", state, body != NULL ? PIDF_IS : "");
	watchtest_send(t, d, "NOTIFY", extra, body != NULL ? body : "");
	watchtest_response(t, "200 OK", "NOTIFY");
}

void watchtest_accept(struct watchtest *t, struct peer_dialog *d, const char *body)
{
	char expires[64], state[64];

	snprintf(expires, sizeof(expires), "Expires: %u\r\n", t->expires);
	snprintf(state, sizeof(state), "active;expires=%u", t->expires);
	watchtest_request(t, "SUBSCRIBE");
	watchtest_dialog(t, d);
	watchtest_answer(t, "200 OK", expires, "");
	watchtest_notify(t, d, state, body);
}

void watchtest_subscribed(struct watchtest *t, struct peer_dialog *d, const char *body)
{
	watchtest_give(t, "subscribe", NULL, NULL);
	watchtest_accept(t, d, body);
	watchtest_hears_type(t, "subscribed");
	watchtest_stanza(t);
	watchtest_quiet(t);
}

void watchtest_subscribe(struct watchtest *t, struct peer_dialog *d, const char *extra)
{
	memset(d, 0, sizeof(*d));
	snprintf(d->call_id, sizeof(d->call_id), "call-%u", ++t->number);
	snprintf(d->from, sizeof(d->from), "%s<sip:tybalt@corp.test>;tag=t%u",
		 t->display != NULL ? t->display : "", t->number);
	snprintf(d->to, sizeof(d->to), "<sip:juliet@partner.test>");
	snprintf(d->target, sizeof(d->target), "sip:juliet@partner.test");
	snprintf(d->event, sizeof(d->event), "%s", t->event != NULL ? t->event : "presence");
	watchtest_send(t, d, "SUBSCRIBE", extra, "");
}

const char *watchtest_accepted(struct watchtest *t, struct peer_dialog *d)
{
	const char *message = watchtest_response(t, "200 OK", "SUBSCRIBE");

	snprintf(d->to, sizeof(d->to), "%s", sip_field(message, "To"));
	copy_uri(d->target, sizeof(d->target), sip_field(message, "Contact"));
	return message;
}

const char *watchtest_notified(struct watchtest *t, const struct peer_dialog *d, const char *state,
			       const char *body)
{
	const char *message = watchtest_request(t, "NOTIFY"),
		   *said = sip_field(message, "Subscription-State");

	if (strncmp(said, state, strlen(state)) != 0)
		fail_msg("not %s but %s", state, message);
	if (d != NULL) {
		assert_string_equal(sip_field(message, "Call-ID"), d->call_id);
		assert_string_equal(sip_field(message, "To"), d->from);
		assert_string_equal(sip_field(message, "From"), d->to);
	}
	if (body == NULL) {
		assert_null(sip_field(message, "Content-Type"));
		assert_string_equal(sip_body(message), "");
	} else {
		assert_string_equal(sip_field(message, "Content-Type"), "application/pidf+xml");
		if (strstr(sip_body(message), body) == NULL)
			fail_msg("no '%s' in %s", body, message);
	}
	watchtest_answer(t, "200 OK", "", "");
	return message;
}

void watchtest_approved(struct watchtest *t, struct peer_dialog *d)
{
	watchtest_subscribe(t, d, "");
	watchtest_accepted(t, d);
	watchtest_notified(t, d, "pending", NULL);
	watchtest_hears_type(t, "subscribe");
	watchtest_give(t, "subscribed", NULL, NULL);
	watchtest_notified(t, d, "active", NULL);
}
