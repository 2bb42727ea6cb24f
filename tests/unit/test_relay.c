/*
 * test_relay.c - the SIP relay between two pools of bare sockets: what passes,
 * to the byte where it matters, and what does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/sip/relay.h"
#include "endpointtest.h"
#include "sippeer.h"

#define OURS     "127.44.1.1"
#define NEW      "127.44.1.2"
#define LEGACY   "127.44.1.3"
#define STRANGER "127.44.1.4"
#define NOBODY   "127.44.1.5"

struct wiring {
	const char *new_hop, *legacy_hop;
	const char *callee;    /* the callee's Contact */
	const char *first_hop; /* of the legacy pool; NULL: there is one only */
	unsigned t1_ms;
	int64_t queue_total;
};

struct fixture {
	const struct wiring *wiring;
	struct nettest net;
	struct config config;
	struct sip_endpoint *endpoint;
	struct sip_relay *relay;
	struct sippeer new_pool, legacy;
	unsigned not_relayed; /* requests that came to on_request instead */
};

/* From one pool to the other, as the decision would have it. */
static int on_route(void *ctx, const struct sip_request *r)
{
	struct fixture *f = ctx;

	if (r->to.user[0] == '\0')
		return 0;
	sip_relay_forward(f->relay, r, r->pool == POOL_NEW ? POOL_LEGACY : POOL_NEW);
	return SIP_TAKEN;
}

static void on_request(void *ctx, const struct sip_request *r)
{
	struct fixture *f = ctx;

	f->not_relayed++;
	sip_answer(r->transaction, r->to_tag != NULL ? 481 : 404, NULL, NULL);
}

#define NEW_UDP    "sip:" NEW ":5060;transport=udp"
#define NEW_TCP    "sip:" NEW ":5060;transport=tcp"
#define LEGACY_UDP "sip:" LEGACY ":5060;transport=udp"
#define LEGACY_TCP "sip:" LEGACY ":5060;transport=tcp"
#define AT_LEGACY  "sip:romeo@" LEGACY ":5060"

static const struct wiring by_udp = { NEW_UDP, LEGACY_UDP, AT_LEGACY, NULL, 0, 0 };
static const struct wiring by_tcp = { NEW_TCP, LEGACY_TCP, AT_LEGACY ";transport=tcp", NULL, 0, 0 };
static const struct wiring mixed = { NEW_UDP, LEGACY_TCP, AT_LEGACY ";transport=tcp", NULL, 0, 0 };
/* The callee is behind the pool, at an address that is no peer's. */
static const struct wiring hidden = { NEW_UDP, LEGACY_TCP, "sip:romeo@10.1.2.3:5060;maddr=" STRANGER,
				      NULL,    0,          0 };
static const struct wiring impatient = { NEW_UDP, LEGACY_UDP, AT_LEGACY, NULL, 5, 0 };
static const struct wiring small = { NEW_UDP, LEGACY_UDP, AT_LEGACY, NULL, 0, 1 };

static const struct wiring two_hops = { NEW_UDP, LEGACY_UDP, AT_LEGACY, "sip:" NOBODY ":5060;transport=tcp",
					0,       0 };

static void configure(struct fixture *f, const struct wiring *w)
{
	struct config *c = &f->config;

	c->sip.listen.item[c->sip.listen.count++] = "udp:" OURS ":5060";
	c->sip.listen.item[c->sip.listen.count++] = "tcp:" OURS ":5060";
	c->sip.allow.item[c->sip.allow.count++] = NEW;
	c->sip.allow.item[c->sip.allow.count++] = LEGACY;
	c->sip.new_pool.item[c->sip.new_pool.count++] = w->new_hop;
	if (w->first_hop != NULL)
		c->sip.legacy_pool.item[c->sip.legacy_pool.count++] = w->first_hop;
	c->sip.legacy_pool.item[c->sip.legacy_pool.count++] = w->legacy_hop;
	c->sip.queue_total = w->queue_total != 0 ? w->queue_total : 100;
	c->sip.certificate = c->sip.key = c->sip.ca = "";
	c->sip.backoff_min_ms = c->sip.backoff_max_ms = 1;
	c->dialback.secret = "";
}

static void begin(struct fixture *f, const struct wiring *w)
{
	const struct sip_setup setup = {
		.on_route = on_route, .on_request = on_request, .ctx = f, .t1_ms = w->t1_ms
	};

	memset(f, 0, sizeof(*f));
	f->wiring = w;
	nettest_claim(OURS);
	nettest_begin(&f->net);
	configure(f, w);
	f->endpoint = endpointtest_open(&f->net, &f->config, setup);
	f->relay = sip_relay_create(f->endpoint);
	if (strstr(w->new_hop, "udp") != NULL) {
		sippeer_udp(&f->new_pool, &f->net, NEW);
		sippeer_aim(&f->new_pool, OURS);
	} else {
		sippeer_connect(&f->new_pool, &f->net, NEW, OURS);
	}
	if (strstr(w->legacy_hop, "udp") != NULL)
		sippeer_udp(&f->legacy, &f->net, LEGACY);
	else
		sippeer_listen(&f->legacy, &f->net, LEGACY);
}

static void end(struct fixture *f)
{
	sippeer_close(&f->new_pool);
	sippeer_close(&f->legacy);
	sip_relay_destroy(f->relay);
	sip_endpoint_destroy(f->endpoint);
	nettest_end(&f->net);
}

static int64_t counter(const struct fixture *f, const char *name)
{
	json_t *status = sip_relay_status(f->relay);
	const json_t *value = json_object_get(status, name);
	int64_t n = json_integer_value(value);

	assert_true(json_is_integer(value));
	json_decref(status);
	return n;
}

/* --- what the new pool sends --- */

/* extra: whole header lines. */
static void send_as(struct sippeer *p, const char *method, const char *uri, const char *branch,
		    const char *to_tag, const char *cseq, const char *extra, const char *body)
{
	bool is_new = p->tcp ? strstr(branch, "legacy") == NULL : true;

	sippeer_printf(p,
		       "%s %s SIP/2.0\r\n"
		       "Via: SIP/2.0/%s %s:5060;branch=z9hG4bK%s\r\n"
		       "From: <sip:tybalt@corp.test>;tag=caller\r\n"
		       "To: <sip:romeo@corp.test>%s\r\n"
		       "Call-ID: call@corp.test\r\n"
		       "CSeq: %s %s\r\n"
		       "%s"
		       "Content-Length: %zu\r\n\r\n%s",
		       method, uri, p->tcp ? "TCP" : "UDP", is_new ? NEW : LEGACY, branch, to_tag, cseq,
		       method, extra, strlen(body), body);
}

#define ROMEO   "sip:romeo@corp.test"
#define CONTACT "Contact: <sip:tybalt@" NEW ":5060>\r\n"

static void invite(struct fixture *f)
{
	send_as(&f->new_pool, "INVITE", ROMEO, "invite", "", "1",
		"Max-Forwards: 70\r\n" CONTACT "Content-Type: application/sdp\r\n", "v=0\r\n");
}

static void expect_status(struct sippeer *p, const char *status)
{
	const char *message = sippeer_receive(p);

	if (strncmp(message, "SIP/2.0 ", 8) != 0 || strncmp(message + 8, status, strlen(status)) != 0)
		fail_msg("expected %s, got:\n%s", status, message);
}

static void expect_request(struct sippeer *p, const char *method)
{
	const char *message = sippeer_receive(p);

	if (strncmp(message, method, strlen(method)) != 0 || message[strlen(method)] != ' ')
		fail_msg("expected %s, got:\n%s", method, message);
}

static void expect_field(const struct sippeer *p, const char *name, const char *value)
{
	const char *got = sip_field(p->message.s, name);

	if (got == NULL || strcmp(got, value) != 0)
		fail_msg("%s: expected \"%s\", got \"%s\" in\n%s", name, value, got != NULL ? got : "nothing",
			 p->message.s);
}

/* All values of a field, in order, in one line. The caller frees it. */
static char *all_values(const char *message, const char *name)
{
	struct strbuf out = { 0 };
	char start[64];
	const char *line = message;

	snprintf(start, sizeof(start), "\r\n%s: ", name);
	strbuf_puts(&out, "");
	while ((line = strstr(line, start)) != NULL) {
		line += strlen(start);
		strbuf_printf(&out, "%s%.*s", out.len > 0 ? ", " : "", (int)strcspn(line, "\r"), line);
	}
	return strbuf_take(&out);
}

/* Answer the request received last, with all its Via and Record-Route. */
static void answer(struct sippeer *p, const char *status, const char *extra)
{
	struct strbuf out = { 0 };
	char *via = all_values(p->message.s, "Via"), *routes = all_values(p->message.s, "Record-Route");
	const char *to = sip_field(p->message.s, "To");

	strbuf_printf(&out, "SIP/2.0 %s\r\nVia: %s\r\n", status, via);
	if (routes[0] != '\0')
		strbuf_printf(&out, "Record-Route: %s\r\n", routes);
	strbuf_printf(&out, "From: %s\r\nTo: %s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: 0\r\n\r\n",
		      sip_field(p->message.s, "From"), to, strstr(to, "tag=") == NULL ? ";tag=callee" : "",
		      sip_field(p->message.s, "Call-ID"), sip_field(p->message.s, "CSeq"), extra);
	sippeer_send(p, out.s, out.len);
	strbuf_free(&out);
	free(via);
	free(routes);
}

/* --- one transaction --- */

static const char unusual[] = "Max-Forwards: 70\r\n"
			      "User-Agent: a pool\r\n"
			      "P-Asserted-Identity: \"Tybalt\" <sip:tybalt@corp.test>\r\n"
			      "Ms-Sensitivity:  unknown  value\r\n"
			      "X-Order: 1\r\n"
			      "X-Order: 2\r\n"
			      "Content-Type: text/plain;charset=UTF-8;msgr=WAAtAE0ATQ\r\n";

static void check_message_passes(const struct wiring *w)
{
	static const char *const kept[][2] = {
		{ "From", "<sip:tybalt@corp.test>;tag=caller" },
		{ "To", "<sip:romeo@corp.test>" },
		{ "Call-ID", "call@corp.test" },
		{ "CSeq", "7 MESSAGE" },
		{ "Max-Forwards", "69" },
		{ "User-Agent", "a pool" },
		{ "P-Asserted-Identity", "\"Tybalt\" <sip:tybalt@corp.test>" },
		{ "Content-Type", "text/plain;charset=UTF-8;msgr=WAAtAE0ATQ" },
		{ "Ms-Sensitivity", "unknown  value" },
	};
	static const char body[] = "Gr\xC3\xBC\xC3\x9F dich,\r\n\tRomeo\n";
	struct fixture f;
	const char *second;
	char *orders;

	begin(&f, w);
	send_as(&f.new_pool, "MESSAGE", ROMEO ";gr=a", "one", "", "7", unusual, body);
	expect_request(&f.legacy, "MESSAGE " ROMEO ";gr=a SIP/2.0\r\nVia:");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		expect_field(&f.legacy, kept[i][0], kept[i][1]);
	assert_string_equal(sip_body(f.legacy.message.s), body);
	assert_null(sip_field(f.legacy.message.s, "Record-Route"));
	/* Ours on top, the pool's below. */
	assert_non_null(strstr(sip_field(f.legacy.message.s, "Via"), OURS));
	second = strstr(strstr(f.legacy.message.s, "Via: ") + 1, "Via: ");
	assert_non_null(second);
	assert_non_null(strstr(second, NEW ":5060;branch=z9hG4bKone"));
	orders = all_values(f.legacy.message.s, "X-Order");
	assert_string_equal(orders, "1, 2");
	free(orders);

	answer(&f.legacy, "202 Accepted", "X-Ours: as it was\r\n");
	expect_status(&f.new_pool, "202 Accepted");
	assert_int_equal(sip_count_lines(f.new_pool.message.s, "Via:"), 1);
	assert_non_null(strstr(sip_field(f.new_pool.message.s, "Via"), "branch=z9hG4bKone"));
	expect_field(&f.new_pool, "X-Ours", "as it was");
	expect_field(&f.new_pool, "To", "<sip:romeo@corp.test>;tag=callee");
	assert_int_equal(counter(&f, "under_way"), 0);
	assert_int_equal(counter(&f, "requests"), 1);
	end(&f);
}

static void test_message(void **state)
{
	(void)state;
	check_message_passes(&by_udp);
	check_message_passes(&by_tcp);
	check_message_passes(&mixed);
}

/* Methods and extensions that only the receiver must know. */
static void test_unknown_method(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "NONESUCH", ROMEO, "nonesuch", "", "1",
		"Require: something\r\nContent-Encoding: gzip\r\n", "x");
	expect_request(&f.legacy, "NONESUCH");
	expect_field(&f.legacy, "Max-Forwards", "70");
	expect_field(&f.legacy, "Require", "something");
	answer(&f.legacy, "405 Method Not Allowed", "Allow: INVITE\r\n");
	expect_status(&f.new_pool, "405");
	expect_field(&f.new_pool, "Allow", "INVITE");
	end(&f);
}

/* The pool repeats its request: it has been heard once, and the answer is repeated. */
static void test_retransmission(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	f.new_pool.hear_repeats = f.legacy.hear_repeats = true;
	for (int i = 0; i < 2; i++)
		send_as(&f.new_pool, "MESSAGE", ROMEO, "again", "", "7", "", "once");
	expect_request(&f.legacy, "MESSAGE");
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");
	send_as(&f.new_pool, "MESSAGE", ROMEO, "again", "", "7", "", "once");
	expect_status(&f.new_pool, "200");
	assert_int_equal(counter(&f, "requests"), 1);
	end(&f);
}

/* --- dialogs --- */

/* The Route of the caller: Record-Route in reverse; of the callee: as it is. */
static char *route_line(const char *record_route, bool reversed)
{
	struct strbuf out = { 0 };
	const char *comma = strchr(record_route, ',');

	strbuf_puts(&out, "Route: ");
	if (comma == NULL || !reversed)
		strbuf_puts(&out, record_route);
	else
		strbuf_printf(&out, "%s, %.*s", comma + 2, (int)(comma - record_route), record_route);
	strbuf_puts(&out, "\r\n");
	return strbuf_take(&out);
}

/* INVITE, 180, 200. Routes as header lines, for both sides; the caller frees them. */
static void establish(struct fixture *f, char **callers, char **callees)
{
	struct strbuf contact = { 0 };
	char *routes;

	invite(f);
	expect_request(&f->legacy, "INVITE");
	assert_string_equal(sip_body(f->legacy.message.s), "v=0\r\n");
	routes = all_values(f->legacy.message.s, "Record-Route");
	*callees = route_line(routes, false);
	free(routes);
	expect_status(&f->new_pool, "100");
	answer(&f->legacy, "180 Ringing", "");
	expect_status(&f->new_pool, "180");
	strbuf_printf(&contact, "Contact: <%s>\r\n", f->wiring->callee);
	answer(&f->legacy, "200 OK", contact.s);
	strbuf_free(&contact);
	expect_status(&f->new_pool, "200");
	/* The caller learns the route from what comes back. */
	routes = all_values(f->new_pool.message.s, "Record-Route");
	*callers = route_line(routes, true);
	free(routes);
}

/* A request of the callee's. */
static void send_back(struct fixture *f, const char *method, const char *uri, const char *cseq,
		      const char *extra)
{
	sippeer_printf(&f->legacy,
		       "%s %s SIP/2.0\r\n"
		       "Via: SIP/2.0/%s " LEGACY ":5060;branch=z9hG4bKback%s\r\n"
		       "From: <sip:romeo@corp.test>;tag=callee\r\nTo: <sip:tybalt@corp.test>;tag=caller\r\n"
		       "Call-ID: call@corp.test\r\nCSeq: %s %s\r\n%sContent-Length: 0\r\n\r\n",
		       method, uri, f->legacy.tcp ? "TCP" : "UDP", cseq, cseq, method, extra);
}

static void check_session(const struct wiring *w, unsigned record_routes)
{
	struct fixture f;
	char *callers, *callees;

	begin(&f, w);
	establish(&f, &callers, &callees);
	assert_int_equal(strstr(callers, ", ") != NULL ? 2 : 1, record_routes);
	/* Each side's first Route is the listener that it speaks with (RFC 5658). */
	assert_ptr_equal(strstr(callers, "Route: <sip:" OURS ":5060;transport=udp;lr;"), callers);
	assert_ptr_equal(strstr(callees, f.legacy.tcp ? "Route: <sip:" OURS ":5060;transport=tcp;lr;"
						      : "Route: <sip:" OURS ":5060;transport=udp;lr;"),
			 callees);

	send_as(&f.new_pool, "ACK", w->callee, "ack", ";tag=callee", "1", callers, "");
	expect_request(&f.legacy, "ACK");
	assert_ptr_equal(strstr(f.legacy.message.s + 4, w->callee), f.legacy.message.s + 4);
	assert_null(sip_field(f.legacy.message.s, "Route"));
	assert_int_equal(sip_count_lines(f.legacy.message.s, "Via:"), 2);

	send_as(&f.new_pool, "INFO", w->callee, "info", ";tag=callee", "2", callers, "");
	expect_request(&f.legacy, "INFO");
	assert_null(sip_field(f.legacy.message.s, "Route"));
	assert_null(sip_field(f.legacy.message.s, "Record-Route"));
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");

	send_back(&f, "BYE", "sip:tybalt@" NEW ":5060", "1", callees);
	expect_request(&f.new_pool, "BYE");
	assert_null(sip_field(f.new_pool.message.s, "Route"));
	answer(&f.new_pool, "200 OK", "");
	expect_status(&f.legacy, "200");
	assert_int_equal(f.not_relayed, 0);
	free(callers);
	free(callees);
	end(&f);
}

static void test_session(void **state)
{
	(void)state;
	check_session(&by_udp, 1);
	check_session(&mixed, 2);
	check_session(&hidden, 2);
}

/* The 2xx until its ACK comes, and the ACK each time: nobody here answers for the ends. */
static void check_repeated_2xx(const struct wiring *w)
{
	struct fixture f;
	char *callers, *callees, *ok;

	begin(&f, w);
	f.new_pool.hear_repeats = f.legacy.hear_repeats = true;
	establish(&f, &callers, &callees);
	ok = xstrdup(f.new_pool.message.s);
	for (int i = 0; i < 2; i++) {
		struct strbuf again = { 0 };
		const char *end = strstr(ok, "Via: ");

		/* As the callee would say it: with our Via. */
		strbuf_printf(&again, "%.*sVia: %s\r\n%s", (int)(end - ok), ok,
			      sip_field(f.legacy.message.s, "Via"), end);
		sippeer_send(&f.legacy, again.s, again.len);
		strbuf_free(&again);
		expect_status(&f.new_pool, "200");
		assert_string_equal(f.new_pool.message.s, ok);
	}
	for (int i = 0; i < 2; i++) {
		static char branch[64];
		const char *via;

		send_as(&f.new_pool, "ACK", w->callee, "ack", ";tag=callee", "1", callers, "");
		expect_request(&f.legacy, "ACK");
		via = strstr(sip_field(f.legacy.message.s, "Via"), "branch=");
		assert_non_null(via);
		if (i == 0)
			assert_true(str_copy(branch, sizeof(branch), via));
		else
			assert_string_equal(branch, via);
	}
	assert_int_equal(counter(&f, "acks"), 2);
	free(ok);
	free(callers);
	free(callees);
	end(&f);
}

static void test_repeated_2xx(void **state)
{
	(void)state;
	check_repeated_2xx(&by_udp);
	check_repeated_2xx(&mixed);
}

/* A target refresh keeps us on the way, for both sides in their order. */
static void test_reinvite(void **state)
{
	struct fixture f;
	char *callers, *callees, *routes, *line;
	(void)state;

	begin(&f, &mixed);
	establish(&f, &callers, &callees);
	send_as(&f.new_pool, "ACK", mixed.callee, "ack", ";tag=callee", "1", callers, "");
	expect_request(&f.legacy, "ACK");
	send_back(&f, "INVITE", "sip:tybalt@" NEW ":5060", "1", callees);
	expect_request(&f.new_pool, "INVITE");
	routes = all_values(f.new_pool.message.s, "Record-Route");
	line = route_line(routes, false);
	/* From the callee's side, the caller's Route stands first. */
	assert_string_equal(line, callers);
	free(line);
	free(routes);
	answer(&f.new_pool, "488 Not Acceptable Here", "");
	expect_request(&f.new_pool, "ACK");
	expect_status(&f.legacy, "100");
	expect_status(&f.legacy, "488");
	free(callers);
	free(callees);
	end(&f);
}

/* --- INVITE that does not succeed --- */

static void test_busy(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	answer(&f.legacy, "486 Busy Here", "Warning: 399 x \"busy\"\r\n");
	expect_request(&f.legacy, "ACK"); /* hop by hop */
	expect_status(&f.new_pool, "100");
	expect_status(&f.new_pool, "486");
	expect_field(&f.new_pool, "Warning", "399 x \"busy\"");
	send_as(&f.new_pool, "ACK", ROMEO, "invite", ";tag=callee", "1", "", "");
	assert_int_equal(counter(&f, "under_way"), 0);
	end(&f);
}

static void check_cancel(const struct wiring *w)
{
	struct fixture f;
	struct sippeer first = { .net = NULL };
	char *invite_via;

	begin(&f, w);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	invite_via = xstrdup(sip_field(f.legacy.message.s, "Via"));
	strbuf_add(&first.message, f.legacy.message.s, f.legacy.message.len);
	answer(&f.legacy, "180 Ringing", "");
	expect_status(&f.new_pool, "100");
	expect_status(&f.new_pool, "180");
	send_as(&f.new_pool, "CANCEL", ROMEO, "invite", "", "1", "", "");
	expect_status(&f.new_pool, "200");
	expect_field(&f.new_pool, "CSeq", "1 CANCEL");
	expect_request(&f.legacy, "CANCEL " ROMEO);
	/* One Via, the INVITE's (section 9.1). */
	assert_int_equal(sip_count_lines(f.legacy.message.s, "Via:"), 1);
	expect_field(&f.legacy, "Via", invite_via);
	expect_field(&f.legacy, "CSeq", "1 CANCEL");
	answer(&f.legacy, "200 OK", "");
	strbuf_reset(&f.legacy.message);
	strbuf_add(&f.legacy.message, first.message.s, first.message.len);
	answer(&f.legacy, "487 Request Terminated", "");
	expect_request(&f.legacy, "ACK");
	expect_status(&f.new_pool, "487");
	expect_field(&f.new_pool, "CSeq", "1 INVITE");
	assert_int_equal(counter(&f, "under_way"), 0);
	strbuf_free(&first.message);
	free(invite_via);
	end(&f);
}

static void test_cancel(void **state)
{
	(void)state;
	check_cancel(&by_udp);
	check_cancel(&mixed);
}

/* The 200 was on its way: it wins, and the caller has to end the session. */
static void test_cancel_crosses_200(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	expect_status(&f.new_pool, "100");
	/* Before a provisional response no CANCEL may leave (section 9.1). */
	send_as(&f.new_pool, "CANCEL", ROMEO, "invite", "", "1", "", "");
	expect_status(&f.new_pool, "200");
	expect_field(&f.new_pool, "CSeq", "1 CANCEL");
	answer(&f.legacy, "200 OK", "Contact: <" AT_LEGACY ">\r\n");
	expect_status(&f.new_pool, "200");
	expect_field(&f.new_pool, "CSeq", "1 INVITE");
	end(&f);
}

/* --- nobody answers --- */

static void test_silence(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &impatient);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	expect_status(&f.new_pool, "100");
	expect_status(&f.new_pool, "408");
	assert_int_equal(counter(&f, "silent"), 1);
	assert_int_equal(counter(&f, "under_way"), 0);
	end(&f);
}

static bool is_over(void *ctx)
{
	return counter(ctx, "under_way") == 0;
}

/* RFC 4320: the sender of anything but INVITE has given up by then, so nothing is said. */
static void test_silence_of_message(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &impatient);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	nettest_run(&f.net, is_over, &f);
	assert_int_equal(counter(&f, "silent"), 1);
	assert_false(sippeer_poll(&f.new_pool));
	end(&f);
}

/* Timer C: it rang, and rang. */
static void test_ringing_ends(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &impatient);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	answer(&f.legacy, "180 Ringing", "");
	expect_status(&f.new_pool, "100");
	expect_status(&f.new_pool, "180");
	expect_request(&f.legacy, "CANCEL");
	expect_status(&f.new_pool, "408");
	assert_int_equal(counter(&f, "under_way"), 0);
	end(&f);
}

static void test_refused_connection(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &mixed);
	sippeer_close(&f.legacy);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_status(&f.new_pool, "500");
	assert_int_equal(counter(&f, "unreachable"), 1);
	end(&f);
}

/* 503 would say that we are overloaded (section 16.7 step 6). */
static void test_503(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	answer(&f.legacy, "503 Service Unavailable", "Retry-After: 9\r\n");
	expect_status(&f.new_pool, "500");
	assert_null(sip_field(f.new_pool.message.s, "Retry-After"));
	end(&f);
}

/* The first next hop refuses: the second gets it, and Record-Route names the listener for that one. */
static void test_failover(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &two_hops);
	invite(&f);
	expect_request(&f.legacy, "INVITE");
	assert_non_null(strstr(sip_field(f.legacy.message.s, "Record-Route"), ";transport=udp;lr"));
	assert_int_equal(sip_count_lines(f.legacy.message.s, "Via:"), 2);
	expect_field(&f.legacy, "Max-Forwards", "69");
	answer(&f.legacy, "603 Decline", "");
	expect_status(&f.new_pool, "100");
	expect_status(&f.new_pool, "603");
	assert_int_equal(counter(&f, "elsewhere"), 1);
	end(&f);
}

/* The connection was idle, and is gone: the request goes out on a new one. */
static void test_broken_connection(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &mixed);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");
	sippeer_close(&f.legacy);
	sippeer_listen(&f.legacy, &f.net, LEGACY);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "two", "", "8", "", "y");
	expect_request(&f.legacy, "MESSAGE");
	assert_string_equal(sip_body(f.legacy.message.s), "y");
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");
	end(&f);
}

/* It breaks behind a message, and there is no other one: the first next hop may have it, and the second does not get it. */
static void test_broken_is_not_sent_elsewhere(void **state)
{
	struct sippeer first = { .fd = -1, .listener = -1 };
	struct fixture f;
	(void)state;

	begin(&f, &two_hops);
	sippeer_listen(&first, &f.net, NOBODY);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&first, "MESSAGE");
	sippeer_close(&first);
	expect_status(&f.new_pool, "504");
	assert_int_equal(counter(&f, "elsewhere"), 0);
	assert_false(sippeer_poll(&f.legacy));
	end(&f);
}

/* --- what is refused --- */

static const struct {
	const char *extra, *status, *field, *value;
} refusals[] = {
	{ "Max-Forwards: 0\r\n", "483", NULL, NULL },
	{ "Proxy-Require: one, two\r\n", "420", "Unsupported", "one, two" },
	{ "Proxy-Require: ms-benotify, two\r\n", "420", "Unsupported", "two" },
	/* An initial request goes where the registry says. */
	{ "Route: <sip:10.0.0.1;lr>\r\n", "403", NULL, NULL },
	{ "Route: <sip:" OURS ";lr>, <sip:10.0.0.1;lr>\r\n", "403", NULL, NULL },
	{ "Route: <sip:" LEGACY ";lr>\r\n", "403", NULL, NULL },
	/* What would not be the same text behind us. */
	{ "X-Bell: a\ab\r\n", "400", NULL, NULL },
	{ "Route: <sip:" OURS ";lr x>\r\n", "400", NULL, NULL },
};

static void test_refusals(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		char branch[16];

		snprintf(branch, sizeof(branch), "refused%zu", i);
		send_as(&f.new_pool, "INVITE", ROMEO, branch, "", "1", refusals[i].extra, "");
		expect_status(&f.new_pool, refusals[i].status);
		if (refusals[i].field != NULL)
			expect_field(&f.new_pool, refusals[i].field, refusals[i].value);
	}
	assert_false(sippeer_poll(&f.legacy));
	assert_int_equal(counter(&f, "under_way"), 0);
	end(&f);
}

static void test_unclean_response(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	answer(&f.legacy, "200 OK", "X-Bell: a\ab\r\n");
	expect_status(&f.new_pool, "502");
	assert_int_equal(counter(&f, "under_way"), 0);
	end(&f);
}

/* A Route that names us only brought it here. */
static void test_preloaded_route(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7",
		"Route: <sip:" OURS ":5060;lr>\r\nProxy-Require: ms-benotify\r\n", "x");
	expect_request(&f.legacy, "MESSAGE");
	assert_null(sip_field(f.legacy.message.s, "Route"));
	end(&f);
}

/* Who is asked for here is not passed on; nor is a user at our own address anybody's but ours. */
static void test_to_ourselves(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "OPTIONS", "sip:ping@" OURS, "one", "", "1", "", "");
	expect_status(&f.new_pool, "200");
	send_as(&f.new_pool, "OPTIONS", "sip:corp.test", "two", "", "2", "", "");
	expect_status(&f.new_pool, "200");
	send_as(&f.new_pool, "MESSAGE", "sip:someone@" OURS ":5060", "three", "", "3", "", "x");
	expect_status(&f.new_pool, "404");
	/* Section 16.4: a maddr that is ours only brought it here. */
	send_as(&f.new_pool, "OPTIONS", ROMEO ":5060;maddr=" OURS ";transport=udp;x=y", "four", "", "4", "",
		"");
	expect_request(&f.legacy, "OPTIONS " ROMEO ";x=y");
	send_as(&f.new_pool, "OPTIONS", ROMEO ";maddr=" STRANGER, "five", "", "5", "", "");
	expect_request(&f.legacy, "OPTIONS " ROMEO ";maddr=" STRANGER);
	end(&f);
}

/* What comes back as we sent it goes no further; aimed at somebody else it does (a spiral). */
static void test_loop(void **state)
{
	struct fixture f;
	char *via;
	struct strbuf extra = { 0 };
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "INVITE", "sip:paris@corp.test", "one", "", "7", CONTACT, "");
	expect_request(&f.legacy, "INVITE");
	via = all_values(f.legacy.message.s, "Via");
	strbuf_printf(&extra, "Via: %s\r\nMax-Forwards: 50\r\n" CONTACT, via);
	expect_status(&f.new_pool, "100");
	send_as(&f.new_pool, "INVITE", "sip:paris@corp.test", "two", "", "7", extra.s, "");
	expect_status(&f.new_pool, "482");
	/* What began with this Request-URI the endpoint knows. */
	send_as(&f.new_pool, "INVITE", ROMEO, "begin", "", "7", extra.s, "");
	expect_status(&f.new_pool, "482");
	assert_int_equal(counter(&f, "loops"), 1);
	send_as(&f.new_pool, "INVITE", "sip:nurse@corp.test", "three", "", "7", extra.s, "");
	expect_request(&f.legacy, "INVITE sip:nurse@corp.test");
	free(via);
	strbuf_free(&extra);
	end(&f);
}

static void test_full(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &small);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	send_as(&f.new_pool, "MESSAGE", ROMEO, "two", "", "8", "", "x");
	expect_status(&f.new_pool, "503");
	assert_non_null(sip_field(f.new_pool.message.s, "Retry-After"));
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");
	send_as(&f.new_pool, "MESSAGE", ROMEO, "three", "", "9", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	end(&f);
}

static void test_stop(void **state)
{
	struct fixture f;
	(void)state;

	begin(&f, &by_udp);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "", "x");
	expect_request(&f.legacy, "MESSAGE");
	sip_relay_stop(f.relay);
	send_as(&f.new_pool, "MESSAGE", ROMEO, "two", "", "8", "", "x");
	expect_status(&f.new_pool, "503");
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");
	send_as(&f.new_pool, "MESSAGE", ROMEO, "three", "", "9", "", "x");
	expect_status(&f.new_pool, "503");
	end(&f);
}

/* --- marks that are not for this request --- */

static void test_forged_route(void **state)
{
	static const char *const forged[] = {
		"Route: <sip:" OURS ";lr;pb=nl00112233445566778899aabbccddeeff>\r\n",
		"Route: <sip:" OURS
		":5060;transport=udp;lr;pb=nl00112233445566778899aabbccddeeff>, <sip:10.0.0.1;lr>\r\n",
	};
	struct fixture f;
	char *callers, *callees, *flipped;
	(void)state;

	begin(&f, &by_udp);
	establish(&f, &callers, &callees);
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		char branch[16];

		snprintf(branch, sizeof(branch), "forged%zu", i);
		send_as(&f.new_pool, "INFO", AT_LEGACY, branch, ";tag=callee", "2", forged[i], "");
		expect_status(&f.new_pool, "481");
	}
	/* The mark of this dialog for another one: neither tag is the caller's. */
	sippeer_printf(&f.new_pool,
		       "INFO " AT_LEGACY " SIP/2.0\r\nVia: SIP/2.0/UDP " NEW ";branch=z9hG4bKother\r\n"
		       "From: <sip:tybalt@corp.test>;tag=x\r\nTo: <sip:romeo@corp.test>;tag=callee\r\n"
		       "Call-ID: call@corp.test\r\nCSeq: 2 INFO\r\n%sContent-Length: 0\r\n\r\n",
		       callers);
	expect_status(&f.new_pool, "481");
	/* Its sides exchanged. */
	flipped = strstr(callers, "pb=nl");
	assert_non_null(flipped);
	memcpy(flipped, "pb=ln", 5);
	send_as(&f.new_pool, "INFO", AT_LEGACY, "flipped", ";tag=callee", "2", callers, "");
	expect_status(&f.new_pool, "481");
	/* No mark at all: the gateway's, which knows no such dialog. */
	send_as(&f.new_pool, "INFO", AT_LEGACY, "bare", ";tag=callee", "2", "Route: <sip:" OURS ";lr>\r\n",
		"");
	expect_status(&f.new_pool, "481");
	assert_int_equal(f.not_relayed, 1);
	assert_false(sippeer_poll(&f.legacy));
	free(callers);
	free(callees);
	end(&f);
}

/* In a dialog the sender names the place. It is a peer's, or the pool's next hop. */
static void test_hostile_target(void **state)
{
	static const char *const targets[] = {
		"sip:romeo@10.1.2.3:22",
		"sip:romeo@" STRANGER,
		"sip:romeo@localhost:631",
		"sip:romeo@corp.test;maddr=" STRANGER,
		"sip:romeo@" LEGACY ":5060;maddr=" STRANGER,
		"sip:romeo@[::1]",
		/* A peer's machine, but not where one serves. */
		"sip:romeo@" LEGACY ":22;transport=tcp",
		"sip:romeo@" LEGACY ":5061",
		"sip:romeo@" NEW ":6379;transport=tcp",
	};
	struct fixture f;
	struct sippeer stranger;
	char *callers, *callees;
	(void)state;

	begin(&f, &by_udp);
	sippeer_udp(&stranger, &f.net, STRANGER);
	establish(&f, &callers, &callees);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct strbuf route = { 0 };
		char branch[16], cseq[8];

		snprintf(branch, sizeof(branch), "hostile%zu", i);
		snprintf(cseq, sizeof(cseq), "%zu", 2 + 2 * i);
		send_as(&f.new_pool, "INFO", targets[i], branch, ";tag=callee", cseq, callers, "");
		expect_request(&f.legacy, "INFO");
		answer(&f.legacy, "200 OK", "");
		expect_status(&f.new_pool, "200");
		/* The same behind our Route. */
		strbuf_printf(&route, "%.*s, <%s;lr>\r\n", (int)strlen(callers) - 2, callers, targets[i]);
		snprintf(branch, sizeof(branch), "behind%zu", i);
		snprintf(cseq, sizeof(cseq), "%zu", 3 + 2 * i);
		send_as(&f.new_pool, "INFO", AT_LEGACY, branch, ";tag=callee", cseq, route.s, "");
		expect_request(&f.legacy, "INFO");
		answer(&f.legacy, "200 OK", "");
		expect_status(&f.new_pool, "200");
		strbuf_free(&route);
	}
	assert_false(sippeer_poll(&stranger));
	sippeer_close(&stranger);
	free(callers);
	free(callees);
	end(&f);
}

/* Strict routers before and behind us (sections 16.4, 16.6 step 6). */
static void test_strict_routers(void **state)
{
	struct fixture f;
	char *callers, *callees, *ours;
	struct strbuf extra = { 0 };
	(void)state;

	begin(&f, &by_udp);
	establish(&f, &callers, &callees);
	ours = xstrndup(callers + strlen("Route: <"), strcspn(callers, ">") - strlen("Route: <"));
	strbuf_printf(&extra, "Route: <" AT_LEGACY ">\r\n");
	send_as(&f.new_pool, "INFO", ours, "before", ";tag=callee", "2", extra.s, "");
	expect_request(&f.legacy, "INFO " AT_LEGACY);
	assert_null(sip_field(f.legacy.message.s, "Route"));
	answer(&f.legacy, "200 OK", "");
	expect_status(&f.new_pool, "200");

	strbuf_reset(&extra);
	strbuf_printf(&extra, "Route: <%s>, <sip:" LEGACY ":5060>\r\n", ours);
	send_as(&f.new_pool, "INFO", "sip:romeo@10.1.2.3", "behind", ";tag=callee", "3", extra.s, "");
	expect_request(&f.legacy, "INFO sip:" LEGACY ":5060");
	expect_field(&f.legacy, "Route", "<sip:romeo@10.1.2.3>");
	strbuf_free(&extra);
	free(ours);
	free(callers);
	free(callees);
	end(&f);
}

/* With a secret, marks outlive the process. */
static void test_restart(void **state)
{
	struct fixture f;
	char *callers, *callees;
	(void)state;

	begin(&f, &by_udp);
	sip_relay_destroy(f.relay);
	f.config.dialback.secret = "a secret of sixteen letters";
	f.relay = sip_relay_create(f.endpoint);
	establish(&f, &callers, &callees);
	sip_relay_destroy(f.relay);
	f.relay = sip_relay_create(f.endpoint);
	send_back(&f, "BYE", "sip:tybalt@" NEW ":5060", "1", callees);
	expect_request(&f.new_pool, "BYE");
	answer(&f.new_pool, "200 OK", "");
	expect_status(&f.legacy, "200");
	free(callers);
	free(callees);
	end(&f);
}

/* A response of a transaction that is not there goes nowhere, whatever its Via says. */
static void test_stray_response(void **state)
{
	struct fixture f;
	struct sippeer stranger;
	(void)state;

	begin(&f, &by_udp);
	sippeer_udp(&stranger, &f.net, STRANGER);
	sippeer_aim(&f.legacy, OURS);
	sippeer_printf(&f.legacy, "SIP/2.0 200 OK\r\n"
				  "Via: SIP/2.0/UDP " OURS
				  ":5060;branch=z9hG4bK0011223344556677.001122334455667788990011\r\n"
				  "Via: SIP/2.0/UDP " STRANGER ":5060;branch=z9hG4bKx\r\n"
				  "From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>;tag=b\r\nCall-ID: x\r\n"
				  "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
	/* Behind it, something that is answered. */
	send_as(&f.new_pool, "MESSAGE", ROMEO, "one", "", "7", "Max-Forwards: 0\r\n", "x");
	expect_status(&f.new_pool, "483");
	assert_false(sippeer_poll(&stranger));
	sippeer_close(&stranger);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_unknown_method),
		cmocka_unit_test(test_retransmission),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_repeated_2xx),
		cmocka_unit_test(test_reinvite),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_crosses_200),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_silence_of_message),
		cmocka_unit_test(test_ringing_ends),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_503),
		cmocka_unit_test(test_failover),
		cmocka_unit_test(test_broken_connection),
		cmocka_unit_test(test_broken_is_not_sent_elsewhere),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_unclean_response),
		cmocka_unit_test(test_preloaded_route),
		cmocka_unit_test(test_to_ourselves),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_forged_route),
		cmocka_unit_test(test_hostile_target),
		cmocka_unit_test(test_strict_routers),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_stray_response),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
