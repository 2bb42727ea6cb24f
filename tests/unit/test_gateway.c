/*
 * test_gateway.c - the gateway between a router that only records and a SIP
 * peer of bare sockets: what each side sees, in what order, and who is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/gateway/gateway.h"
#include "fakerouter.h"
#include "nettest.h"
#include "sippeer.h"

#define OURS     "127.32.8.1"
#define NEW_POOL "127.32.8.2"
#define OLD_POOL "127.32.8.3"

#define JULIET "juliet@partner.test/balcony"
#define TYBALT "tybalt@corp.test"

enum { RECORDS = 16 };

/* What the router was given. */
struct submitted {
	struct stanza *stanza;
	char from[JID_FULL_SIZE], to[JID_FULL_SIZE];
	enum origin origin;
	int64_t deadline_ms;
	delivery_fn *done;
	void *ctx;
};

/* What was told of a stanza that the gateway took. */
struct told {
	char id[32];
	bool confirmed;
	enum condition condition;
	char text[256], uri[256];
};

struct router {
	struct fakerouter fake;
	struct submitted submitted[RECORDS];
	size_t submitted_count;
	const struct outcome *at_once; /* NULL: delivery is the test's to tell */
	bool no_records;
	struct told told[RECORDS];
	size_t told_count;
};

void router_submit(struct router *r, const struct submission *s)
{
	struct submitted *record = &r->submitted[r->submitted_count++];

	assert_true(r->submitted_count <= RECORDS);
	*record = (struct submitted){ .stanza = stanza_ref(s->stanza),
				      .origin = s->origin,
				      .deadline_ms = s->deadline_ms,
				      .done = s->done,
				      .ctx = s->ctx };
	jid_full(s->from, record->from);
	jid_full(s->to, record->to);
	if (r->at_once != NULL)
		s->done(s->ctx, s->stanza, r->at_once);
}

enum err router_decide(struct router *r, const struct jid *local, const char *partner, struct verdict *out)
{
	(void)r;
	(void)local;
	(void)partner;
	*out = (struct verdict){ .route = ROUTE_GATEWAY, .pool = POOL_NEW };
	return OK;
}

struct fixture {
	struct nettest net;
	struct config config;
	struct router router;
	struct gateway *gateway;
	struct sippeer pool; /* of NEW_POOL, UDP */
};

/* new_pool: its next hop. */
static void begin_with(struct fixture *f, const char *new_pool)
{
	const char *why = "";

	memset(f, 0, sizeof(*f));
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen.item[f->config.sip.listen.count++] = "udp:" OURS ":5060";
	f->config.sip.listen.item[f->config.sip.listen.count++] = "tcp:" OURS ":5060";
	f->config.sip.new_pool = (struct config_list){ { new_pool }, 1 };
	f->config.sip.legacy_pool = (struct config_list){ { "sip:" OLD_POOL ":5060;transport=tcp" }, 1 };
	fakerouter_configure(&f->config);
	f->config.sip.queue_messages = 3;
	f->config.sip.queue_total = 10;
	if (gateway_create(&(struct gateway_setup){ .loop = f->net.loop,
						    .config = &f->config,
						    .router = &f->router },
			   &f->gateway, &why) != OK)
		fail_msg("%s", why);
	sippeer_udp(&f->pool, &f->net, NEW_POOL);
	sippeer_aim(&f->pool, OURS);
}

static void begin(struct fixture *f)
{
	begin_with(f, "sip:" NEW_POOL ":5060;transport=udp");
}

static void end(struct fixture *f)
{
	gateway_destroy(f->gateway);
	colleagues_destroy(f->router.fake.colleagues);
	assert_null(f->router.fake.egress);
	for (size_t i = 0; i < f->router.submitted_count; i++)
		stanza_unref(f->router.submitted[i].stanza);
	sippeer_close(&f->pool);
	nettest_end(&f->net);
}

static int64_t counter(const struct fixture *f, const char *name)
{
	json_t *status = gateway_status(f->gateway);
	const json_t *value = json_object_get(status, name);
	int64_t n = json_integer_value(value);

	assert_true(json_is_integer(value));
	json_decref(status);
	return n;
}

/* --- XMPP -> SIP --- */

static void on_told(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct router *r = ctx;
	struct told *t = &r->told[r->told_count++];

	if (r->no_records) {
		r->told_count = 0;
		return;
	}
	assert_true(r->told_count <= RECORDS);
	snprintf(t->id, sizeof(t->id), "%s", stanza->id);
	t->confirmed = outcome->confirmed;
	t->condition = outcome->condition;
	snprintf(t->text, sizeof(t->text), "%s", outcome->text != NULL ? outcome->text : "(none)");
	snprintf(t->uri, sizeof(t->uri), "%s", outcome->uri != NULL ? outcome->uri : "(none)");
}

struct sent {
	enum stanza_kind kind;
	const char *from, *to, *id, *type, *lang, *inner;
	enum pool pool;
};

static void give(struct fixture *f, struct sent s, delivery_fn *done, void *ctx)
{
	struct strbuf inner = { .s = NULL };
	struct stanza *stanza;

	strbuf_puts(&inner, s.inner != NULL ? s.inner : "<body>hi</body>");
	stanza = stanza_make(s.kind, s.from != NULL ? s.from : JULIET, s.to != NULL ? s.to : TYBALT,
			     s.id != NULL ? s.id : "1", s.type, s.lang, &inner);
	f->router.fake.egress(f->router.fake.egress_ctx, stanza,
			      &(struct verdict){ .route = ROUTE_GATEWAY, .pool = s.pool }, done, ctx);
	stanza_unref(stanza);
	strbuf_free(&inner);
}

#define GIVE(f, ...) give(f, (struct sent){ .pool = POOL_NEW, __VA_ARGS__ }, on_told, &(f)->router)

static bool has_told(void *ctx)
{
	return ((struct fixture *)ctx)->router.told_count > 0;
}

/* The next outcome. */
static const struct told *wait_told(struct fixture *f)
{
	nettest_run(&f->net, has_told, f);
	assert_int_equal(f->router.told_count, 1);
	f->router.told_count = 0;
	return &f->router.told[0];
}

static void test_out(void **state)
{
	const struct told *told;
	const char *message;
	struct fixture f;
	(void)state;

	begin(&f);
	GIVE(&f, .type = "chat", .lang = "cs", .id = "m1",
	     .inner = "<subject>Gr\xC3\xBC\xC3\x9F &lt;dich&gt; &amp; \"mich\"</subject>"
		      "<body>Nic z ob\xC3\xA9ho,\nm\xC3\xA1 &lt;d\xC4\x9Bvo&gt; \xF0\x9F\x92\x8C</body>"
		      "<thread>e0ffe42b28561960c6b12b944a092794b9683a38</thread>"
		      "<delay xmlns='urn:xmpp:delay' from='corp.test' stamp='2026-11-21T21:00:05Z'/>");
	message = sippeer_receive(&f.pool);
	assert_memory_equal(message, "MESSAGE sip:tybalt@corp.test SIP/2.0\r\n", 38);
	assert_string_equal(sip_field(message, "Date"), "Sat, 21 Nov 2026 21:00:05 GMT");
	assert_string_equal(sip_field(message, "To"), "<sip:tybalt@corp.test>");
	assert_memory_equal(sip_field(message, "From"), "<sip:juliet@partner.test>;tag=", 30);
	assert_string_equal(sip_field(message, "Call-ID"), "e0ffe42b28561960c6b12b944a092794b9683a38");
	assert_string_equal(sip_field(message, "Subject"), "Gr\xC3\xBC\xC3\x9F <dich> & \"mich\"");
	assert_string_equal(sip_field(message, "Content-Language"), "cs");
	assert_string_equal(sip_field(message, "Content-Type"), "text/plain;charset=UTF-8");
	assert_string_equal(sip_body(message),
			    "Nic z ob\xC3\xA9ho,\nm\xC3\xA1 <d\xC4\x9Bvo> \xF0\x9F\x92\x8C");
	assert_null(sip_field(message, "Contact"));
	assert_int_equal(f.router.told_count, 0);
	assert_int_equal(counter(&f, "queued"), 1);
	sippeer_answer(&f.pool, "200 OK", "");
	told = wait_told(&f);
	assert_string_equal(told->id, "m1");
	assert_true(told->confirmed);
	assert_int_equal(counter(&f, "queued"), 0);
	assert_int_equal(counter(&f, "queued"), 0);
	assert_int_equal(counter(&f, "to_sip"), 1);
	end(&f);
}

/* No type, normal, chat and headline are all messages; what is not there makes no header field. */
static void test_out_plain(void **state)
{
	static const char *const types[] = { NULL, "normal", "chat", "headline", "unheard-of" };
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const char *message;

		GIVE(&f, .type = types[i], .from = "juliet@partner.test", .to = TYBALT "/gr\xC3\xBC n",
		     .inner = "<subject/><body>hi</body><thread>not a call id</thread>");
		message = sippeer_receive(&f.pool);
		assert_memory_equal(message, "MESSAGE sip:tybalt@corp.test;gr=gr%C3%BC%20n SIP/2.0\r\n", 54);
		assert_memory_equal(sip_field(message, "From"), "<sip:juliet@partner.test>;tag=", 30);
		assert_null(sip_field(message, "Subject"));
		assert_null(sip_field(message, "Content-Language"));
		assert_null(sip_field(message, "Date"));
		assert_int_equal(strlen(sip_field(message, "Call-ID")), 32);
		sippeer_answer(&f.pool, "202 Accepted", "");
		assert_true(wait_told(&f)->confirmed);
	}
	end(&f);
}

/* Escaped addresses are what they stand for on the other side. */
static void test_out_addresses(void **state)
{
	const char *message;
	struct fixture f;
	(void)state;

	begin(&f);
	GIVE(&f, .from = "d\\27artagnan\\40x@partner.test/a \"b\" <c>;d=e", .to = "f\xC3\xBC@corp.test");
	message = sippeer_receive(&f.pool);
	assert_memory_equal(message, "MESSAGE sip:f%C3%BC@corp.test SIP/2.0\r\n", 39);
	assert_memory_equal(sip_field(message, "From"), "<sip:d'artagnan%40x@partner.test>;tag=", 38);
	sippeer_answer(&f.pool, "200 OK", "");
	assert_true(wait_told(&f)->confirmed);
	end(&f);
}

static void test_outcomes(void **state)
{
	static const struct {
		const char *status, *extra;
		const char *condition, *text, *uri;
	} cases[] = {
		{ "404 Not Found", "", "item-not-found", "Not Found", "(none)" },
		{ "480 Temporarily Unavailable", "", "recipient-unavailable", "Temporarily Unavailable",
		  "(none)" },
		{ "486 Nicht da \xC3\xA4", "", "recipient-unavailable", "Nicht da \xC3\xA4", "(none)" },
		{ "415 ", "", "not-acceptable", "(none)", "(none)" },
		{ "403 Forb\xFFidden", "", "forbidden", "(none)", "(none)" },
		{ "403 \xEF\xBF\xBF", "", "forbidden", "(none)", "(none)" },
		{ "699 Odd", "", "recipient-unavailable", "Odd", "(none)" },
		{ "301 Moved", "Contact: <sip:tyb'alt@CORP.test:5061;gr=x>\r\n", "gone", "Moved",
		  "xmpp:tyb%5C27alt@corp.test" },
		{ "301 Moved", "", "gone", "Moved", "(none)" },
		{ "302 Moved", "Contact: <sip:t@corp.test>\r\n", "redirect", "Moved", "xmpp:t@corp.test" },
		/* How the pool is built is not the partner's business. */
		{ "302 Moved", "Contact: <sip:t@10.1.2.3>\r\n", "recipient-unavailable", "Moved", "(none)" },
		{ "302 Moved", "Contact: <sip:t@fe1.corp.test>\r\n", "recipient-unavailable", "Moved",
		  "(none)" },
		{ "302 Moved", "Contact: <sip:corp.test>\r\n", "recipient-unavailable", "Moved", "(none)" },
		{ "480 No", "Contact: <sip:t@corp.test>\r\n", "recipient-unavailable", "No", "(none)" },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct told *told;

		GIVE(&f, .type = "chat");
		sippeer_receive(&f.pool);
		sippeer_answer(&f.pool, cases[i].status, cases[i].extra);
		told = wait_told(&f);
		assert_false(told->confirmed);
		if (strcmp(condition_name(told->condition), cases[i].condition) != 0)
			fail_msg("%s: %s", cases[i].status, condition_name(told->condition));
		assert_string_equal(told->text, cases[i].text);
		assert_string_equal(told->uri, cases[i].uri);
	}
	end(&f);
}

/* A device that the pool does not know: then the user himself, once, and before anything else for him. */
static void test_unknown_device(void **state)
{
	static const struct {
		const char *first, *second; /* answers; NULL: no second request */
		bool confirmed;
		enum condition condition;
	} cases[] = {
		{ "480 Temporarily Unavailable", "200 OK", true, 0 },
		{ "404 Not Found", "200 OK", true, 0 },
		{ "604 Does Not Exist Anywhere", "480 Away", false, COND_RECIPIENT_UNAVAILABLE },
		{ "200 OK", NULL, true, 0 },
		{ "486 Busy Here", NULL, false, COND_RECIPIENT_UNAVAILABLE },
		{ "603 Decline", NULL, false, COND_RECIPIENT_UNAVAILABLE },
		{ "403 Forbidden", NULL, false, COND_FORBIDDEN },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct told *told;
		char call_id[64];

		GIVE(&f, .id = "device", .to = TYBALT "/old");
		assert_memory_equal(sippeer_receive(&f.pool),
				    "MESSAGE sip:tybalt@corp.test;gr=old SIP/2.0\r\n", 45);
		snprintf(call_id, sizeof(call_id), "%s", sip_field(f.pool.message.s, "Call-ID"));
		GIVE(&f, .id = "next");
		sippeer_answer(&f.pool, cases[i].first, "");
		if (cases[i].second != NULL) {
			assert_memory_equal(sippeer_receive(&f.pool),
					    "MESSAGE sip:tybalt@corp.test SIP/2.0\r\n", 38);
			assert_string_equal(sip_field(f.pool.message.s, "To"), "<sip:tybalt@corp.test>");
			assert_string_not_equal(sip_field(f.pool.message.s, "Call-ID"), call_id);
			assert_int_equal(f.router.told_count, 0);
			sippeer_answer(&f.pool, cases[i].second, "");
		}
		told = wait_told(&f);
		assert_string_equal(told->id, "device");
		assert_int_equal(told->confirmed, cases[i].confirmed);
		if (!told->confirmed)
			assert_int_equal(told->condition, cases[i].condition);
		sippeer_receive(&f.pool);
		sippeer_answer(&f.pool, "480 Away", "");
		told = wait_told(&f);
		assert_string_equal(told->id, "next");
		assert_false(told->confirmed);
	}
	end(&f);
}

/* One request under way for a pair, whatever the resources; another pair does not wait. */
static void test_order(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f);
	GIVE(&f, .id = "a1", .from = "juliet@partner.test/1", .inner = "<body>a1</body>");
	GIVE(&f, .id = "a2", .from = "juliet@partner.test/2", .inner = "<body>a2</body>");
	GIVE(&f, .id = "a3", .from = "juliet@partner.test", .to = TYBALT "/x", .inner = "<body>a3</body>");
	assert_string_equal(sip_body(sippeer_receive(&f.pool)), "a1");
	/* The other pair: were a2 under way, it would have come before. */
	GIVE(&f, .id = "b1", .from = "nurse@partner.test", .inner = "<body>b1</body>");
	{
		char *a1 = xstrdup(f.pool.message.s);

		assert_string_equal(sip_body(sippeer_receive(&f.pool)), "b1");
		sippeer_answer(&f.pool, "200 OK", "");
		assert_string_equal(wait_told(&f)->id, "b1");
		assert_int_equal(counter(&f, "queued"), 3);
		strbuf_reset(&f.pool.message);
		strbuf_puts(&f.pool.message, a1);
		free(a1);
	}
	sippeer_answer(&f.pool, "404 Not Found", "");
	assert_string_equal(wait_told(&f)->id, "a1");
	/* A failure does not hold up the next. */
	assert_string_equal(sip_body(sippeer_receive(&f.pool)), "a2");
	sippeer_answer(&f.pool, "200 OK", "");
	assert_string_equal(wait_told(&f)->id, "a2");
	assert_string_equal(sip_body(sippeer_receive(&f.pool)), "a3");
	sippeer_answer(&f.pool, "200 OK", "");
	assert_string_equal(wait_told(&f)->id, "a3");
	assert_int_equal(counter(&f, "queued"), 0);
	end(&f);
}

/* Many pairs at once: so many requests under way and no more, and each has its turn. */
static void test_window(void **state)
{
	enum { PAIRS = 600, WINDOW = 256 };
	struct sippeer pool; /* TCP: nothing is sent twice */
	struct fixture f;
	bool seen[PAIRS] = { false };
	unsigned left = PAIRS;
	(void)state;

	begin_with(&f, "sip:" NEW_POOL ":5060;transport=tcp");
	sippeer_listen(&pool, &f.net, NEW_POOL);
	f.config.sip.queue_total = 2000;
	f.router.no_records = true;
	for (unsigned i = 0; i < PAIRS; i++) {
		char from[64], body[64];

		snprintf(from, sizeof(from), "user%u@partner.test", i);
		snprintf(body, sizeof(body), "<body>%u</body>", i);
		GIVE(&f, .from = from, .inner = body);
	}
	for (unsigned i = 0; i < WINDOW; i++)
		sippeer_receive(&pool);
	assert_false(sippeer_poll(&pool));
	/* The last one is answered, and one more comes, until all have been. */
	while (left > WINDOW) {
		unsigned n = (unsigned)strtoul(sip_body(pool.message.s), NULL, 10);

		assert_true(n < PAIRS && !seen[n]);
		seen[n] = true;
		sippeer_answer(&pool, "200 OK", "");
		left--;
		sippeer_receive(&pool);
		assert_int_equal(counter(&f, "queued"), left);
	}
	end(&f);
	sippeer_close(&pool);
}

/* The turn comes too late: an error, and the request is not made. */
static void test_late(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f);
	GIVE(&f, .id = "first");
	GIVE(&f, .id = "late");
	GIVE(&f, .id = "late too");
	sippeer_receive(&f.pool);
	f.config.s2s.queue_ms = -1;
	sippeer_answer(&f.pool, "200 OK", "");
	nettest_run(&f.net, has_told, &f);
	assert_int_equal(f.router.told_count, 3);
	assert_true(f.router.told[0].confirmed);
	assert_int_equal(f.router.told[1].condition, COND_REMOTE_SERVER_TIMEOUT);
	assert_int_equal(f.router.told[2].condition, COND_REMOTE_SERVER_TIMEOUT);
	assert_int_equal(counter(&f, "queued"), 0);
	assert_false(sippeer_poll(&f.pool));
	f.config.s2s.queue_ms = 60000;
	f.router.told_count = 0;
	GIVE(&f, .id = "in time");
	sippeer_receive(&f.pool);
	sippeer_answer(&f.pool, "200 OK", "");
	assert_true(wait_told(&f)->confirmed);
	end(&f);
}

static void test_limits(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f);
	for (int i = 0; i < 3; i++)
		GIVE(&f, .id = "waits");
	assert_int_equal(f.router.told_count, 0);
	GIVE(&f, .id = "one too many");
	assert_int_equal(wait_told(&f)->condition, COND_RESOURCE_CONSTRAINT);
	GIVE(&f, .id = "another pair", .to = "paris@corp.test");
	GIVE(&f, .id = "a third", .to = "romeo@corp.test");
	assert_int_equal(f.router.told_count, 0);
	assert_int_equal(counter(&f, "queued"), 5);
	assert_int_equal(counter(&f, "conversations"), 3);
	/* As many as are left for other partners. */
	GIVE(&f, .id = "too many of this one", .from = "nurse@partner.test", .to = "benvolio@corp.test");
	assert_int_equal(wait_told(&f)->condition, COND_RESOURCE_CONSTRAINT);
	assert_int_equal(counter(&f, "queued"), 5);
	GIVE(&f, .id = "another partner", .from = "ann@other.test", .to = "benvolio@corp.test");
	GIVE(&f, .id = "again", .from = "bob@other.test", .to = "benvolio@corp.test");
	GIVE(&f, .id = "bare", .from = "other.test", .to = "benvolio@corp.test");
	assert_int_equal(f.router.told_count, 0);
	GIVE(&f, .id = "too many in all", .from = "cid@third.test", .to = "benvolio@corp.test");
	GIVE(&f, .id = "nine", .from = "cid@other.test", .to = "benvolio@corp.test");
	assert_int_equal(wait_told(&f)->condition, COND_RESOURCE_CONSTRAINT);
	assert_int_equal(counter(&f, "queued"), 9);
	end(&f);
	assert_int_equal(f.router.told_count, 9);
}

/* What cannot be carried as it is goes back, with the reason; nothing reaches the pool. */
static void test_refused(void **state)
{
	static const struct {
		struct sent sent;
		enum condition condition;
	} cases[] = {
		{ { .pool = POOL_NEW, .inner = "<subject>a&#10;b</subject><body>hi</body>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW, .inner = "<subject>a&#13;&#10;X-Evil: 1</subject><body>hi</body>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW, .inner = "<subject>a&#9;b</subject><body>hi</body>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW, .inner = "<subject>a\xC2\x85</subject><body>hi</body>" },
		  COND_NOT_ACCEPTABLE },
		/* Content that is not text. */
		{ { .pool = POOL_NEW, .inner = "<subject>no body</subject>" }, COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW,
		    .inner = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
			     "<encrypted xmlns='eu.siacs.conversations.axolotl'/>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW,
		    .type = "chat",
		    .inner = "<body/><x xmlns='jabber:x:oob'><url>https://a.test/</url></x>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW,
		    .inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>"
			     "<body>not mine</body></message></forwarded>" },
		  COND_NOT_ACCEPTABLE },
		{ { .pool = POOL_NEW, .type = "groupchat" }, COND_SERVICE_UNAVAILABLE },
		{ { .pool = POOL_LEGACY }, COND_SERVICE_UNAVAILABLE },
		{ { .pool = POOL_NEW, .from = "foo\\5cbar@partner.test" }, COND_JID_MALFORMED },
		{ { .pool = POOL_NEW, .to = "foo\\20@corp.test" }, COND_JID_MALFORMED },
		{ { .pool = POOL_NEW,
		    .kind = STANZA_IQ,
		    .type = "get",
		    .inner = "<query xmlns='jabber:iq:last'/>" },
		  COND_SERVICE_UNAVAILABLE },
		{ { .pool = POOL_NEW, .kind = STANZA_IQ, .type = "set", .inner = "<x xmlns='y'/>" },
		  COND_SERVICE_UNAVAILABLE },
		/* There is no ledger here. */
		{ { .pool = POOL_NEW, .kind = STANZA_PRESENCE, .type = "subscribe", .inner = "" },
		  COND_SERVICE_UNAVAILABLE },
	};
	struct fixture f;
	struct strbuf longest = { .s = NULL };
	(void)state;

	begin(&f);
	f.config.sip.legacy_pool.count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sent sent = cases[i].sent;

		give(&f, sent, on_told, &f.router);
		assert_int_equal(f.router.told_count, 1);
		if (f.router.told[0].confirmed || f.router.told[0].condition != cases[i].condition)
			fail_msg("case %zu: %s", i, condition_name(f.router.told[0].condition));
		f.router.told_count = 0;
	}
	strbuf_puts(&longest, "<subject>");
	for (int i = 0; i < 200; i++)
		strbuf_puts(&longest, "0123456789");
	strbuf_puts(&longest, "</subject><body>hi</body>");
	GIVE(&f, .inner = longest.s);
	assert_int_equal(wait_told(&f)->condition, COND_POLICY_VIOLATION);
	strbuf_free(&longest);
	assert_int_equal(counter(&f, "queued"), 0);
	assert_false(sippeer_poll(&f.pool));
	end(&f);
}

/* What has nothing to deliver is confirmed, and makes no request. */
static void test_nothing_to_send(void **state)
{
	static const struct sent cases[] = {
		{ .type = "chat", .inner = "<composing xmlns='http://jabber.org/protocol/chatstates'/>" },
		{ .inner = "<received xmlns='urn:xmpp:receipts' id='1'/>" },
		{ .inner = "<body/>" },
		{ .inner = "" },
		{ .inner = "<subject/><thread>t</thread>" },
		{ .inner = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><no-store "
			   "xmlns='urn:xmpp:hints'/>" },
		{ .type = "headline",
		  .inner = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items/></event>" },
		{ .type = "error",
		  .inner = "<error type='cancel'><gone "
			   "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>" },
		{ .kind = STANZA_IQ, .type = "result", .inner = "" },
		{ .kind = STANZA_IQ, .type = "error", .inner = "" },
		{ .kind = STANZA_PRESENCE, .inner = "" },
		{ .kind = STANZA_PRESENCE, .type = "unavailable", .inner = "" },
		{ .kind = STANZA_PRESENCE, .type = "unsubscribed", .inner = "" },
		{ .kind = STANZA_PRESENCE, .type = "probe", .inner = "" },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sent sent = cases[i];

		sent.pool = POOL_NEW;
		give(&f, sent, on_told, &f.router);
		assert_int_equal(f.router.told_count, 1);
		assert_true(f.router.told[0].confirmed);
		f.router.told_count = 0;
	}
	assert_int_equal(counter(&f, "bodiless"), 7);
	assert_int_equal(counter(&f, "dropped"), 3);
	assert_int_equal(counter(&f, "to_sip"), 0);
	assert_false(sippeer_poll(&f.pool));
	end(&f);
}

/* Threads and languages that are none make no header field, and no line. */
static void test_out_injection(void **state)
{
	static const char *const evil[] = {
		"x&#13;&#10;X-Evil: 1", "x&#10;X-Evil: 1", "x y", "x;tag=1", "x,y", "&lt;sip:a@b&gt; c", "",
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
		char inner[256];
		const char *message;

		snprintf(inner, sizeof(inner),
			 "<body>x&#13;&#10;&#13;&#10;X-Evil: 1</body><thread>%s</thread>", evil[i]);
		GIVE(&f, .inner = inner, .lang = "en\r\nX-Evil: 1");
		message = sippeer_receive(&f.pool);
		assert_int_equal(sip_count_lines(message, "X-Evil"), 0);
		assert_int_equal(strlen(sip_field(message, "Call-ID")), 32);
		assert_null(sip_field(message, "Content-Language"));
		assert_string_equal(sip_body(message), "x\r\n\r\nX-Evil: 1");
		sippeer_answer(&f.pool, "200 OK", "");
		assert_true(wait_told(&f)->confirmed);
	}
	end(&f);
}

/* The legacy pool has its own next hop; a large message leaves UDP for TCP. */
static void test_hops(void **state)
{
	struct strbuf large = { .s = NULL };
	struct sippeer tcp;
	struct fixture f;
	(void)state;

	begin(&f);
	sippeer_listen(&tcp, &f.net, OLD_POOL);
	give(&f, (struct sent){ .pool = POOL_LEGACY }, on_told, &f.router);
	assert_string_equal(sip_body(sippeer_receive(&tcp)), "hi");
	sippeer_answer(&tcp, "200 OK", "");
	assert_true(wait_told(&f)->confirmed);
	sippeer_close(&tcp);

	sippeer_listen(&tcp, &f.net, NEW_POOL);
	strbuf_puts(&large, "<body>");
	for (int i = 0; i < 2000; i++)
		strbuf_puts(&large, "\xC3\xBC");
	strbuf_puts(&large, "</body>");
	GIVE(&f, .inner = large.s);
	assert_int_equal(strlen(sip_body(sippeer_receive(&tcp))), 4000);
	assert_false(sippeer_poll(&f.pool));
	sippeer_answer(&tcp, "200 OK", "");
	assert_true(wait_told(&f)->confirmed);
	sippeer_close(&tcp);
	GIVE(&f, .inner = "<body>until it is known that the connection is closed</body>");
	sippeer_receive(&f.pool);
	sippeer_answer(&f.pool, "200 OK", "");
	assert_true(wait_told(&f)->confirmed);
	/* And nobody at the TCP port: RFC 7572 section 6. */
	GIVE(&f, .inner = large.s);
	assert_int_equal(wait_told(&f)->condition, COND_POLICY_VIOLATION);
	strbuf_free(&large);
	end(&f);
}

/* Told of one message, the router brings the next one for the same pair at once. */
static void on_told_and_more(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	struct fixture *f = ctx;

	on_told(&f->router, stanza, outcome);
	GIVE(f, .id = "next", .inner = "<body>next</body>");
}

static void test_reentrant(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f);
	give(&f, (struct sent){ .pool = POOL_NEW, .id = "first", .inner = "<body>first</body>" },
	     on_told_and_more, &f);
	assert_string_equal(sip_body(sippeer_receive(&f.pool)), "first");
	sippeer_answer(&f.pool, "200 OK", "");
	assert_string_equal(wait_told(&f)->id, "first");
	assert_string_equal(sip_body(sippeer_receive(&f.pool)), "next");
	sippeer_answer(&f.pool, "200 OK", "");
	assert_string_equal(wait_told(&f)->id, "next");
	assert_int_equal(counter(&f, "queued"), 0);
	end(&f);
}

static void test_stop_sending(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f);
	GIVE(&f, .id = "under way");
	GIVE(&f, .id = "queued");
	GIVE(&f, .id = "other", .to = "paris@corp.test");
	sippeer_receive(&f.pool);
	gateway_abort(f.gateway);
	assert_int_equal(f.router.told_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_false(f.router.told[i].confirmed);
		assert_int_equal(f.router.told[i].condition, COND_REMOTE_SERVER_TIMEOUT);
	}
	/* The answer that comes now is nobody's; what comes now is not taken. */
	sippeer_answer(&f.pool, "200 OK", "");
	GIVE(&f, .id = "late");
	assert_int_equal(f.router.told_count, 4);
	assert_int_equal(f.router.told[3].condition, COND_REMOTE_SERVER_TIMEOUT);
	end(&f);
	assert_int_equal(f.router.told_count, 4);
}

static void count_up(void *ctx)
{
	++*(int *)ctx;
}

static bool is_above_0(void *ctx)
{
	return *(int *)ctx > 0;
}

/* What the pool was sent has time for its answer; what waits behind it has not. */
static void test_stop_waits_for_answers(void **state)
{
	struct fixture f;
	int finished = 0;
	(void)state;

	begin(&f);
	GIVE(&f, .id = "under way");
	GIVE(&f, .id = "queued");
	sippeer_receive(&f.pool);
	gateway_stop(f.gateway, count_up, &finished);
	assert_int_equal(f.router.told_count, 1);
	assert_string_equal(f.router.told[0].id, "queued");
	assert_int_equal(f.router.told[0].condition, COND_REMOTE_SERVER_TIMEOUT);
	assert_int_equal(finished, 0);
	sippeer_answer(&f.pool, "200 OK", "");
	nettest_run(&f.net, is_above_0, &finished);
	assert_int_equal(f.router.told_count, 2);
	assert_string_equal(f.router.told[1].id, "under way");
	assert_true(f.router.told[1].confirmed);
	assert_int_equal(finished, 1);
	end(&f);
	assert_int_equal(f.router.told_count, 2);
	assert_int_equal(finished, 1);
}

/* The pool stays silent: its time is bounded. */
static void test_stop_waits_no_longer(void **state)
{
	struct fixture f;
	int finished = 0;
	(void)state;

	begin(&f);
	GIVE(&f, .id = "silent");
	sippeer_receive(&f.pool);
	gateway_stop(f.gateway, count_up, &finished);
	assert_int_equal(f.router.told_count, 0);
	nettest_run(&f.net, is_above_0, &finished);
	assert_int_equal(f.router.told_count, 1);
	assert_int_equal(f.router.told[0].condition, COND_REMOTE_SERVER_TIMEOUT);
	assert_int_equal(counter(&f, "queued"), 0);
	end(&f);
	assert_int_equal(finished, 1);

	/* Nothing is under way: at once. */
	begin(&f);
	finished = 0;
	gateway_stop(f.gateway, count_up, &finished);
	assert_int_equal(finished, 1);
	end(&f);
}

/* --- SIP -> XMPP --- */

struct parts {
	const char *uri, *from, *extra, *body;
};

static void send_request(struct sippeer *p, struct parts parts)
{
	static unsigned number;
	const char *body = parts.body != NULL ? parts.body : "hi";

	number++;
	sippeer_printf(
		p,
		"MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP " NEW_POOL ";branch=z9hG4bKg%u\r\n"
		"Max-Forwards: 70\r\nFrom: %s\r\nTo: <sip:juliet@partner.test>\r\nCall-ID: call-%u@x\r\n"
		"CSeq: 1 MESSAGE\r\n%sContent-Length: %zu\r\n\r\n%s",
		parts.uri != NULL ? parts.uri : "sip:juliet@partner.test", number,
		parts.from != NULL ? parts.from : "\"Tybalt\" <sip:tybalt@corp.test>;tag=1", number,
		parts.extra != NULL ? parts.extra : "Content-Type: text/plain\r\n", strlen(body), body);
}

static void expect_status(struct sippeer *p, const char *status)
{
	const char *message = sippeer_receive(p);
	char line[256];

	snprintf(line, sizeof(line), "SIP/2.0 %s\r\n", status);
	if (strncmp(message, line, strlen(line)) != 0)
		fail_msg("not '%s' but %s", status, message);
}

static bool has_submitted(void *ctx)
{
	return ((struct fixture *)ctx)->router.submitted_count > 0;
}

/* The next submission; the record keeps its stanza until forget(). */
static struct submitted *wait_submitted(struct fixture *f)
{
	nettest_run(&f->net, has_submitted, f);
	assert_int_equal(f->router.submitted_count, 1);
	return &f->router.submitted[0];
}

static void forget(struct fixture *f)
{
	stanza_unref(f->router.submitted[0].stanza);
	f->router.submitted_count = 0;
}

static void deliver(struct submitted *s, const struct outcome *outcome)
{
	s->done(s->ctx, s->stanza, outcome);
}

static const struct outcome confirmed = { .confirmed = true };

static void test_in(void **state)
{
	struct submitted *s;
	char expected[1024];
	struct fixture f;
	(void)state;

	begin(&f);
	send_request(&f.pool, (struct parts){ .uri = "sip:juliet@partner.test;gr=balcony",
					      .from = "<sip:TYBALT@corp.test;gr=pc%201>;tag=1",
					      .extra = "Subject: a <b> & \"c\"\r\nContent-Language: cs\r\n"
						       "Content-Type: text/plain; charset=UTF-8\r\n",
					      .body = "Nic z ob\xC3\xA9ho,\r\nm\xC3\xA1 <d\xC4\x9Bvo>" });
	s = wait_submitted(&f);
	assert_int_equal(s->origin, ORIGIN_POOL);
	assert_int_equal(s->deadline_ms, 8000);
	assert_string_equal(s->from, "tybalt@corp.test/pc 1");
	assert_string_equal(s->to, JULIET);
	assert_string_equal(s->stanza->from, s->from);
	assert_string_equal(s->stanza->to, s->to);
	assert_string_equal(s->stanza->lang, "cs");
	assert_null(s->stanza->type);
	snprintf(expected, sizeof(expected),
		 "<subject>a &lt;b&gt; &amp; &quot;c&quot;</subject>"
		 "<body>Nic z ob\xC3\xA9ho,\nm\xC3\xA1 &lt;d\xC4\x9Bvo&gt;</body><thread>call-");
	assert_non_null(memmem(s->stanza->bytes, s->stanza->size, expected, strlen(expected)));
	assert_false(sippeer_poll(&f.pool));
	deliver(s, &confirmed);
	expect_status(&f.pool, "200 OK");
	assert_null(sip_field(f.pool.message.s, "Contact"));
	assert_int_equal(counter(&f, "to_xmpp"), 1);
	end(&f);
}

/* Ids are told apart, and an outsider cannot guess them. */
static void test_ids(void **state)
{
	char first[64];
	struct fixture f;
	(void)state;

	begin(&f);
	f.router.at_once = &confirmed;
	send_request(&f.pool, (struct parts){ 0 });
	expect_status(&f.pool, "200 OK");
	snprintf(first, sizeof(first), "%s", f.router.submitted[0].stanza->id);
	assert_int_equal(strspn(first, "0123456789abcdef"), 16);
	send_request(&f.pool, (struct parts){ 0 });
	expect_status(&f.pool, "200 OK");
	assert_string_not_equal(f.router.submitted[1].stanza->id, first);
	end(&f);
	begin(&f);
	f.router.at_once = &confirmed;
	send_request(&f.pool, (struct parts){ 0 });
	expect_status(&f.pool, "200 OK");
	assert_string_not_equal(f.router.submitted[0].stanza->id, first);
	end(&f);
}

static void test_failures(void **state)
{
	static const struct {
		enum condition condition;
		const char *text;
		const char *full, *bare;
	} cases[] = {
		{ COND_ITEM_NOT_FOUND, "no such user", "404 no such user", "604 no such user" },
		{ COND_NOT_ALLOWED, NULL, "403 Forbidden", "403 Forbidden" },
		{ COND_RECIPIENT_UNAVAILABLE, "away \xC3\xA4", "480 away \xC3\xA4", "600 away \xC3\xA4" },
		{ COND_SERVICE_UNAVAILABLE, "a\r\nX-Evil: 1", "403 Forbidden", "403 Forbidden" },
		/* RFC 4320 forbids 408 here. */
		{ COND_REMOTE_SERVER_TIMEOUT, NULL, "504 Gateway Time-out", "504 Gateway Time-out" },
		{ COND_RESOURCE_CONSTRAINT, NULL, "500 Internal Server Error", "500 Internal Server Error" },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outcome outcome = { .condition = cases[i].condition, .text = cases[i].text };

		for (int full = 0; full < 2; full++) {
			f.router.at_once = full ? &outcome : NULL;
			send_request(&f.pool,
				     (struct parts){ .uri = full ? "sip:juliet@partner.test;gr=x" : NULL });
			if (!full)
				deliver(wait_submitted(&f), &outcome);
			expect_status(&f.pool, full ? cases[i].full : cases[i].bare);
			assert_int_equal(sip_count_lines(f.pool.message.s, "X-Evil"), 0);
			forget(&f);
		}
	}
	assert_int_equal(counter(&f, "to_xmpp_failed"), 12);
	end(&f);
}

static void test_in_refused(void **state)
{
	static const struct {
		const char *status;
		struct parts parts;
	} cases[] = {
		{ "415 Unsupported Media Type", { .extra = "Content-Type: text/rtf\r\n" } },
		{ "415 Unsupported Media Type", { .extra = "Content-Type: image/gif\r\n" } },
		{ "415 Unsupported Media Type",
		  { .extra = "Content-Type: text/plain;charset=no-such-charset\r\n" } },
		{ "415 Unsupported Media Type", { .extra = "" } },
		{ "400 Body Cannot Be Read",
		  { .extra = "Content-Type: multipart/alternative;boundary=x\r\n" } },
		{ "400 Body Cannot Be Read",
		  { .extra = "Content-Type: application/im-iscomposing+xml\r\n" } },
		{ "400 Body Cannot Be Read", { .body = "gr\xFC\xDF" } },
		{ "400 Body Cannot Be Read", { .body = "a\x1B[2J" } },
		{ "400 Body Cannot Be Read", { .body = "\xED\xA0\x80" } },
		{ "403 From Has No XMPP Address", { .from = "<sip:tybalt@192.0.2.1>;tag=1" } },
		{ "403 From Has No XMPP Address", { .from = "<sips:tybalt@corp.test>;tag=1" } },
		{ "403 From Has No XMPP Address", { .from = "<sip:tybalt%20@corp.test>;tag=1" } },
		{ "404 No Such XMPP Address", { .uri = "sip:juliet@192.0.2.1" } },
		{ "404 No Such XMPP Address", { .uri = "sip:%EF%BC%A0@partner.test" } },
		{ "200 OK", { .body = "" } },
		{ "200 OK", { .body = "", .extra = "" } },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		send_request(&f.pool, cases[i].parts);
		expect_status(&f.pool, cases[i].status);
		if (strncmp(cases[i].status, "415", 3) == 0)
			assert_non_null(strstr(sip_field(f.pool.message.s, "Accept"), "text/plain"));
	}
	assert_int_equal(f.router.submitted_count, 0);
	assert_int_equal(counter(&f, "bodiless"), 2);
	/* The other names of the same charset. */
	f.router.at_once = &confirmed;
	send_request(&f.pool, (struct parts){ .extra = "Content-Type: TEXT/plain;charset=\"Utf-8\"\r\n" });
	expect_status(&f.pool, "200 OK");
	send_request(&f.pool, (struct parts){ .extra = "Content-Type: text/plain;charset=US-ASCII\r\n" });
	expect_status(&f.pool, "200 OK");
	end(&f);
}

#define ERROR_OF(condition)                                                                                  \
	"<error type='cancel'><" condition " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"                  \
	"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>so it is</text></error>"

/* The partner's error answers the request that waits, if it is the partner's and about it. */
static void test_error_answers(void **state)
{
	static const struct {
		const char *from, *to, *id; /* id NULL: the right one */
		bool concerns;
	} cases[] = {
		{ "juliet@partner.test", TYBALT, NULL, true },
		{ "juliet@partner.test/balcony", TYBALT, NULL, true },
		{ "partner.test", TYBALT, NULL, true },
		{ "juliet@partner.test", TYBALT "/pc", NULL, true },
		{ "nurse@partner.test", TYBALT, NULL, false },
		{ "juliet@evil.test", TYBALT, NULL, false },
		{ "evil.test", TYBALT, NULL, false },
		{ "juliet@partner.test", "paris@corp.test", NULL, false },
		{ "juliet@partner.test", "tybalt@other.test", NULL, false },
		{ "juliet@partner.test", TYBALT, "another", false },
	};
	struct fixture f;
	(void)state;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t dropped = counter(&f, "dropped");
		struct submitted *s;

		send_request(&f.pool, (struct parts){ 0 });
		s = wait_submitted(&f);
		GIVE(&f, .type = "error", .from = cases[i].from, .to = cases[i].to,
		     .id = cases[i].id != NULL ? cases[i].id : s->stanza->id,
		     .inner = ERROR_OF("item-not-found"));
		assert_true(wait_told(&f)->confirmed);
		assert_int_equal(counter(&f, "dropped"), dropped + !cases[i].concerns);
		/* Once more, and the delivery after it: nobody is left to be told. */
		GIVE(&f, .type = "error", .from = cases[i].from, .to = cases[i].to, .id = "x",
		     .inner = ERROR_OF("gone"));
		f.router.told_count = 0;
		deliver(s, &confirmed);
		expect_status(&f.pool, cases[i].concerns ? "604 so it is" : "200 OK");
		forget(&f);
	}
	end(&f);
}

/* A new address that a partner names is not handed to a pool, which would follow it unseen. */
static void test_gone_elsewhere(void **state)
{
	struct submitted *s;
	struct fixture f;
	(void)state;

	begin(&f);
	send_request(&f.pool, (struct parts){ .uri = "sip:juliet@partner.test;gr=x" });
	s = wait_submitted(&f);
	GIVE(&f, .type = "error", .from = "juliet@partner.test/x", .id = s->stanza->id,
	     .inner = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>"
		      "xmpp:juliet@elsewhere.test</gone></error>");
	expect_status(&f.pool, "410 Gone");
	assert_null(sip_field(f.pool.message.s, "Contact"));
	assert_true(wait_told(&f)->confirmed);
	deliver(s, &confirmed);
	end(&f);
}

static void test_error_after_answer(void **state)
{
	char id[64];
	struct submitted *s;
	struct fixture f;
	(void)state;

	begin(&f);
	send_request(&f.pool, (struct parts){ 0 });
	s = wait_submitted(&f);
	snprintf(id, sizeof(id), "%s", s->stanza->id);
	deliver(s, &confirmed);
	expect_status(&f.pool, "200 OK");
	GIVE(&f, .type = "error", .from = "juliet@partner.test", .id = id,
	     .inner = ERROR_OF("item-not-found"));
	assert_true(wait_told(&f)->confirmed);
	assert_int_equal(counter(&f, "dropped"), 1);
	/* Without an id, without an <error/>. */
	GIVE(&f, .type = "error", .id = "", .inner = "");
	assert_true(wait_told(&f)->confirmed);
	assert_int_equal(counter(&f, "dropped"), 2);
	end(&f);
}

static void test_stop_receiving(void **state)
{
	struct submitted *s;
	struct fixture f;
	(void)state;

	begin(&f);
	send_request(&f.pool, (struct parts){ 0 });
	s = wait_submitted(&f);
	gateway_abort(f.gateway);
	expect_status(&f.pool, "503 Shutting Down");
	send_request(&f.pool, (struct parts){ 0 });
	expect_status(&f.pool, "503 Service Unavailable");
	deliver(s, &confirmed);
	end(&f);

	/* The gateway is gone when the router answers. */
	begin(&f);
	send_request(&f.pool, (struct parts){ 0 });
	s = wait_submitted(&f);
	gateway_destroy(f.gateway);
	f.gateway = NULL;
	deliver(s, &confirmed);
	end(&f);
}

/* What the partner was sent has time to be confirmed, and an answer; what comes now is refused. */
static void test_stop_waits_for_the_partner(void **state)
{
	struct submitted *s;
	struct fixture f;
	int finished = 0;
	(void)state;

	begin(&f);
	send_request(&f.pool, (struct parts){ 0 });
	s = wait_submitted(&f);
	gateway_stop(f.gateway, count_up, &finished);
	assert_int_equal(finished, 0);
	deliver(s, &confirmed);
	expect_status(&f.pool, "200 OK");
	assert_int_equal(finished, 1);
	send_request(&f.pool, (struct parts){ 0 });
	expect_status(&f.pool, "503 Service Unavailable");
	end(&f);

	/* It stays silent. */
	begin(&f);
	finished = 0;
	send_request(&f.pool, (struct parts){ 0 });
	s = wait_submitted(&f);
	gateway_stop(f.gateway, count_up, &finished);
	expect_status(&f.pool, "503 Shutting Down");
	assert_int_equal(finished, 1);
	deliver(s, &confirmed);
	end(&f);
}

/* Without SIP in the configuration there is a gateway that refuses. */
static void test_without_sip(void **state)
{
	struct fixture f;
	const char *why = "";
	json_t *status;
	(void)state;

	memset(&f, 0, sizeof(f));
	nettest_begin(&f.net);
	f.config.sip.new_pool.count = f.config.sip.legacy_pool.count = 0;
	assert_int_equal(gateway_create(&(struct gateway_setup){ .loop = f.net.loop,
								 .config = &f.config,
								 .router = &f.router },
					&f.gateway, &why),
			 OK);
	GIVE(&f, .type = "chat");
	assert_int_equal(f.router.told_count, 1);
	assert_int_equal(f.router.told[0].condition, COND_SERVICE_UNAVAILABLE);
	status = gateway_status(f.gateway);
	assert_true(json_is_null(json_object_get(status, "sip")));
	json_decref(status);
	gateway_destroy(f.gateway);
	colleagues_destroy(f.router.fake.colleagues);
	nettest_end(&f.net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_out_plain),
		cmocka_unit_test(test_out_addresses),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_unknown_device),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nothing_to_send),
		cmocka_unit_test(test_out_injection),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_reentrant),
		cmocka_unit_test(test_stop_sending),
		cmocka_unit_test(test_stop_waits_for_answers),
		cmocka_unit_test(test_stop_waits_no_longer),
		cmocka_unit_test(test_in),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_in_refused),
		cmocka_unit_test(test_error_answers),
		cmocka_unit_test(test_gone_elsewhere),
		cmocka_unit_test(test_error_after_answer),
		cmocka_unit_test(test_stop_receiving),
		cmocka_unit_test(test_stop_waits_for_the_partner),
		cmocka_unit_test(test_without_sip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
