/*
 * test_endpoint_calls.c - dialogs of the SIP endpoint against bare sockets: INVITE
 * in both directions with all that can become of it, subscriptions, routes.
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

#include "bridge/sip/dialog.h"
#include "endpointtest.h"
#include "sippeer.h"

#define OURS "127.32.4.1"
#define POOL "127.32.4.2"
#define EDGE "127.32.4.3" /* an allowed peer that is no pool */

#define JULIET "sip:juliet@partner.test"
#define ROMEO  "sip:romeo@corp.test"

/* What the callbacks saw. */
struct seen {
	unsigned requests, responses, acks, cancels;
	struct sip_transaction *transaction; /* the newest */
	struct sip_dialog *dialog;           /* accepted from the newest INVITE or SUBSCRIBE */
	char method[32], to_tag[64], from_tag[64], local_tag[64], contact[256], event[64], state[64],
		reason[64];
	char target[256], type[64], body[4096];
	int pool;
	uint32_t cseq;
	int64_t expires, state_expires, retry_after;
	bool taken; /* sip_dialog_take()'s word, for a request within the dialog */
	bool acked;
	unsigned status;
	char phrase[256], response_body[4096], response_type[64], response_tag[64];
};

struct fixture {
	struct nettest net;
	struct config config;
	struct sip_endpoint *endpoint;
	struct sip_dialog *dialog; /* ours, as UAC */
	struct seen seen;
};

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "(none)");
}

#define COPY(field, value) copy(s->field, sizeof(s->field), value)

static void on_request(void *ctx, const struct sip_request *r)
{
	struct fixture *f = ctx;
	struct seen *s = &f->seen;
	struct sip_dialog *d = s->dialog != NULL ? s->dialog : f->dialog;

	s->requests++;
	s->transaction = r->transaction;
	COPY(method, r->method);
	COPY(to_tag, r->to_tag);
	COPY(from_tag, r->from_tag);
	COPY(local_tag, r->local_tag);
	COPY(contact, r->contact_uri);
	COPY(event, r->event);
	COPY(state, r->subscription_state);
	COPY(reason, r->reason);
	COPY(type, r->content_type);
	COPY(body, r->body);
	s->pool = r->pool;
	s->cseq = r->cseq;
	s->expires = r->expires;
	s->state_expires = r->state_expires;
	s->retry_after = r->retry_after;
	if (r->to_tag == NULL && r->contact_uri != NULL) {
		sip_dialog_free(s->dialog);
		s->dialog = NULL;
		assert_int_equal(sip_dialog_accept(r, &s->dialog), OK);
	} else if (d != NULL && r->transaction != NULL) {
		s->taken = sip_dialog_take(d, r);
	}
}

static void on_cancel(void *ctx, struct sip_transaction *t)
{
	struct fixture *f = ctx;

	f->seen.cancels++;
	assert_ptr_equal(t, f->seen.transaction);
	sip_answer(t, 200, NULL, NULL); /* frees only */
	f->seen.transaction = NULL;
}

static void on_response(void *ctx, const struct sip_response *r)
{
	struct seen *s = &((struct fixture *)ctx)->seen;

	s->responses++;
	s->status = r->status;
	COPY(phrase, r->phrase);
	COPY(response_body, r->body);
	COPY(response_type, r->content_type);
	COPY(response_tag, r->to_tag);
	s->expires = r->expires;
	s->retry_after = r->retry_after;
}

static void on_ack(void *ctx, bool acked)
{
	struct seen *s = &((struct fixture *)ctx)->seen;

	s->acks++;
	s->acked = acked;
}

static void begin(struct fixture *f, unsigned t1_ms)
{
	const struct sip_setup setup = {
		.on_request = on_request, .on_cancel = on_cancel, .ctx = f, .t1_ms = t1_ms
	};

	memset(f, 0, sizeof(*f));
	nettest_claim(OURS);
	nettest_begin(&f->net);
	f->config.sip.listen = (struct config_list){ { "udp:" OURS ":5060", "tcp:" OURS ":5060" }, 2 };
	f->config.sip.allow = (struct config_list){ { POOL, EDGE }, 2 };
	f->config.sip.new_pool = (struct config_list){ { "sip:" POOL ":5060;transport=udp" }, 1 };
	f->config.sip.legacy_pool = (struct config_list){ { "sip:" POOL ":5060;transport=tcp" }, 1 };
	f->config.sip.queue_total = 8;
	f->endpoint = endpointtest_open(&f->net, &f->config, setup);
}

static void end(struct fixture *f)
{
	sip_endpoint_destroy(f->endpoint);
	sip_dialog_free(f->dialog);
	sip_dialog_free(f->seen.dialog);
	nettest_end(&f->net);
}

static bool has_request(void *ctx)
{
	return ((struct fixture *)ctx)->seen.requests > 0;
}

static bool has_response(void *ctx)
{
	return ((struct fixture *)ctx)->seen.responses > 0;
}

static bool has_ack(void *ctx)
{
	return ((struct fixture *)ctx)->seen.acks > 0;
}

static bool has_cancel(void *ctx)
{
	return ((struct fixture *)ctx)->seen.cancels > 0;
}

static void wait_request(struct fixture *f)
{
	nettest_run(&f->net, has_request, f);
	f->seen.requests = 0;
}

static void wait_response(struct fixture *f)
{
	nettest_run(&f->net, has_response, f);
	f->seen.responses = 0;
}

/* The pool's end: UDP for the new pool, TCP for the legacy one. */
static void open_pool(struct fixture *f, struct sippeer *pool, bool tcp)
{
	if (tcp) {
		sippeer_listen(pool, &f->net, POOL);
	} else {
		sippeer_udp(pool, &f->net, POOL);
		sippeer_aim(pool, OURS);
	}
}

static void expect(struct sippeer *p, const char *start)
{
	const char *message = sippeer_receive(p);

	if (strncmp(message, start, strlen(start)) != 0)
		fail_msg("not '%s' but %s", start, message);
}

static void expect_field(const struct sippeer *p, const char *name, const char *value)
{
	const char *found = sip_field(p->message.s, name);

	if (found == NULL || strcmp(found, value) != 0)
		fail_msg("%s: not '%s' but '%s' in %s", name, value, found != NULL ? found : "(none)",
			 p->message.s);
}

/* Answer a request that was received before; tag: for To when it has none. */
static void respond(struct sippeer *p, const char *request, const char *status, const char *tag,
		    const char *extra)
{
	const char *to = sip_field(request, "To");

	sippeer_printf(p,
		       "SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s%s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n%s"
		       "Content-Length: 0\r\n\r\n",
		       status, sip_field(request, "Via"), sip_field(request, "From"), to,
		       strstr(to, ";tag=") == NULL && tag[0] != '\0' ? ";tag=" : "",
		       strstr(to, ";tag=") == NULL ? tag : "", sip_field(request, "Call-ID"),
		       sip_field(request, "CSeq"), extra);
}

/* What was sent before has been dealt with, and nothing came of it: the next message answers this OPTIONS. */
static void barrier(struct sippeer *p)
{
	static unsigned number;

	sippeer_printf(p,
		       "OPTIONS " JULIET " SIP/2.0\r\nVia: SIP/2.0/%s " POOL ";branch=z9hG4bKo%u\r\n"
		       "From: <" ROMEO ">;tag=1\r\nTo: <" JULIET
		       ">\r\nCall-ID: barrier\r\nCSeq: %u OPTIONS\r\n"
		       "Content-Length: 0\r\n\r\n",
		       p->tcp ? "TCP" : "UDP", number, number);
	number++;
	expect(p, "SIP/2.0 200 OK\r\n");
	expect_field(p, "Call-ID", "barrier");
}

static struct sip_outgoing *send_method(struct fixture *f, const char *method, bool with_sdp)
{
	const struct sip_send s = {
		.method = method,
		.dialog = f->dialog,
		.content_type = with_sdp ? "application/sdp" : NULL,
		.body = "v=0\r\n",
		.body_size = with_sdp ? 5 : 0,
	};

	return sip_send(f->endpoint, &s, on_response, f);
}

static struct sip_outgoing *invite(struct fixture *f, bool tcp)
{
	sip_dialog_free(f->dialog);
	f->dialog = sip_dialog_create(tcp ? POOL_LEGACY : POOL_NEW, JULIET, ROMEO, NULL);
	return send_method(f, "INVITE", true);
}

/* INVITE, 200: a dialog is there. The INVITE's text; the caller frees it. */
static char *set_up(struct fixture *f, struct sippeer *pool, bool tcp, const char *extra)
{
	char *request;

	invite(f, tcp);
	expect(pool, "INVITE " ROMEO " SIP/2.0\r\n");
	request = xstrdup(pool->message.s);
	respond(pool, request, "200 OK", "r1", extra);
	wait_response(f);
	assert_int_equal(f->seen.status, 200);
	return request;
}

/* --- INVITE from us --- */

static void test_invite(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		struct sippeer pool;
		struct fixture f;
		char *request, *ack, line[128];

		begin(&f, 0);
		open_pool(&f, &pool, tcp);
		invite(&f, tcp);
		expect(&pool, "INVITE " ROMEO " SIP/2.0\r\n");
		request = xstrdup(pool.message.s);
		expect_field(&pool, "CSeq", "1 INVITE");
		expect_field(&pool, "To", "<" ROMEO ">");
		expect_field(&pool, "Call-ID", f.dialog->call_id);
		expect_field(&pool, "Content-Type", "application/sdp");
		snprintf(line, sizeof(line), "<sip:" OURS ";transport=%s>", tcp ? "tcp" : "udp");
		expect_field(&pool, "Contact", line);
		snprintf(line, sizeof(line), "<" JULIET ">;tag=%s", f.dialog->local_tag);
		expect_field(&pool, "From", line);
		assert_int_equal(sip_count_lines(pool.message.s, "Route"), 0);

		respond(&pool, request, "100 Trying", "", "");
		respond(&pool, request, "180 Ringing", "r1", "");
		respond(&pool, request, "101 Progress Report", "r1", "");
		respond(&pool, request, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1:5070;x=y>\r\n");
		wait_response(&f);
		assert_int_equal(f.seen.status, 200);
		assert_string_equal(f.seen.response_tag, "r1");
		assert_string_equal(f.dialog->remote_tag, "r1");
		assert_string_equal(f.dialog->target, "sip:romeo@10.1.1.1:5070;x=y");

		/* The ACK is a request of its own, to the target, by the pool. */
		expect(&pool, "ACK sip:romeo@10.1.1.1:5070;x=y SIP/2.0\r\n");
		expect_field(&pool, "CSeq", "1 ACK");
		expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
		expect_field(&pool, "From", line);
		expect_field(&pool, "Content-Length", "0");
		assert_null(sip_field(pool.message.s, "Contact"));
		assert_string_not_equal(sip_field(pool.message.s, "Via"), sip_field(request, "Via"));
		ack = xstrdup(pool.message.s);

		/* Whenever the 2xx is repeated, the same again; nobody else hears of it. */
		pool.hear_repeats = true;
		for (int i = 0; i < 2; i++) {
			respond(&pool, request, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1:5070;x=y>\r\n");
			assert_string_equal(sippeer_receive(&pool), ack);
		}
		assert_int_equal(f.seen.responses, 0);

		send_method(&f, "BYE", false);
		expect(&pool, "BYE sip:romeo@10.1.1.1:5070;x=y SIP/2.0\r\n");
		expect_field(&pool, "CSeq", "2 BYE");
		expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
		respond(&pool, pool.message.s, "200 OK", "", "");
		wait_response(&f);
		assert_int_equal(f.seen.status, 200);
		free(ack);
		free(request);
		end(&f);
		sippeer_close(&pool);
	}
}

/* Which is not what the pool sends by itself: RFC 3261 sections 12.1.2 and 12.2.1.1. */
static void test_routes(void **state)
{
	static const struct {
		const char *record_route;
		const char *uri, *route[3]; /* of the ACK, and what follows */
	} cases[] = {
		{ "Record-Route: <sip:a.test;lr>;tag=0123, <sip:b.test;lr;opaque=state:F>\r\n"
		  "Record-Route: <sip:c.test;lr=on>\r\n",
		  "sip:romeo@10.1.1.1",
		  { "<sip:c.test;lr=on>", "<sip:b.test;lr;opaque=state:F>", "<sip:a.test;lr>" } },
		{ "Record-Route: <sip:a.test;lr>\r\nRecord-Route: <sip:b.test;method=INVITE;x>\r\n",
		  "sip:b.test;x",
		  { "<sip:a.test;lr>", "<sip:romeo@10.1.1.1>" } },
		{ "Record-Route: <sip:" POOL ":5060;lr>\r\n",
		  "sip:romeo@10.1.1.1",
		  { "<sip:" POOL ":5060;lr>" } },
		/* What cannot be read is no route set: the pool knows the way. */
		{ "Record-Route: <sip:a:b@c.test;lr>\r\n", "sip:romeo@10.1.1.1", { NULL } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sippeer pool;
		struct fixture f;
		char extra[512], line[128];

		begin(&f, 0);
		open_pool(&f, &pool, false);
		snprintf(extra, sizeof(extra), "%sContact: <sip:romeo@10.1.1.1>\r\n", cases[i].record_route);
		free(set_up(&f, &pool, false, extra));
		for (int n = 0; n < 2; n++) {
			const char *route;

			snprintf(line, sizeof(line), "%s %s SIP/2.0\r\n", n == 0 ? "ACK" : "INFO",
				 cases[i].uri);
			expect(&pool, line);
			route = pool.message.s;
			for (size_t r = 0; r < ARRAY_SIZE(cases[i].route) && cases[i].route[r] != NULL; r++) {
				snprintf(line, sizeof(line), "\r\nRoute: %s\r\n", cases[i].route[r]);
				route = strstr(route, line);
				if (route == NULL)
					fail_msg("no %s in %s", line, pool.message.s);
			}
			assert_int_equal(sip_count_lines(pool.message.s, "Route"), f.dialog->route_count);
			if (n == 0)
				send_method(&f, "INFO", false);
		}
		respond(&pool, pool.message.s, "200 OK", "", "");
		wait_response(&f);
		end(&f);
		sippeer_close(&pool);
	}
}

/* A Route that is a peer's address is where the request goes, with its transport. */
static void test_route_is_followed(void **state)
{
	struct sippeer pool, edge;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	sippeer_listen(&edge, &f.net, EDGE);
	free(set_up(&f, &pool, false,
		    "Record-Route: <sip:" EDGE ";transport=TCP;lr>\r\nContact: <sip:romeo@10.1.1.1>\r\n"));
	expect(&edge, "ACK sip:romeo@10.1.1.1 SIP/2.0\r\n");
	expect_field(&edge, "Route", "<sip:" EDGE ";transport=TCP;lr>");
	send_method(&f, "MESSAGE", false);
	expect(&edge, "MESSAGE sip:romeo@10.1.1.1 SIP/2.0\r\n");
	respond(&edge, edge.message.s, "202 Accepted", "", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 202);
	assert_false(sippeer_poll(&pool));
	end(&f);
	sippeer_close(&pool);
	sippeer_close(&edge);
}

/* Whoever writes a Record-Route or Contact cannot make us talk to a stranger, nor ask for his name. */
static void test_route_to_stranger(void **state)
{
	static const char *const routes[] = {
		"Record-Route: <sip:127.32.4.9:22;transport=tcp;lr>\r\n",
		"Record-Route: <sip:intranet.test;lr>\r\n",
		"Record-Route: <sips:" EDGE ";lr>\r\n",
		"Record-Route: <sip:" EDGE ";transport=sctp;lr>\r\n",
		"Record-Route: <sip:[::1];lr>\r\n",
		"",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		struct sippeer pool;
		struct fixture f;
		char extra[256];

		begin(&f, 0);
		open_pool(&f, &pool, false);
		snprintf(extra, sizeof(extra), "%sContact: <sip:127.32.4.9:22>\r\n", routes[i]);
		free(set_up(&f, &pool, false, extra));
		expect(&pool, "ACK sip:127.32.4.9:22 SIP/2.0\r\n");
		assert_int_equal(sip_count_lines(pool.message.s, "Route"), routes[i][0] != '\0');
		end(&f);
		sippeer_close(&pool);
	}
}

/* Two phones answer: the first has the call, the other is told so (RFC 3261 section 13.2.2.4). */
static void test_fork(void **state)
{
	struct sippeer pool;
	struct fixture f;
	char *request, *ack;
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		begin(&f, 0);
		open_pool(&f, &pool, tcp);
		request = set_up(&f, &pool, tcp, "Contact: <sip:romeo@10.1.1.1>\r\n");
		expect(&pool, "ACK sip:romeo@10.1.1.1 SIP/2.0\r\n");
		respond(&pool, request, "200 OK", "r2",
			"Contact: <sip:romeo@10.2.2.2>\r\nRecord-Route: <sip:b.test;lr>\r\n");
		expect(&pool, "ACK sip:romeo@10.2.2.2 SIP/2.0\r\n");
		expect_field(&pool, "To", "<" ROMEO ">;tag=r2");
		expect_field(&pool, "Route", "<sip:b.test;lr>");
		expect_field(&pool, "CSeq", "1 ACK");
		ack = xstrdup(pool.message.s);
		expect(&pool, "BYE sip:romeo@10.2.2.2 SIP/2.0\r\n");
		expect_field(&pool, "To", "<" ROMEO ">;tag=r2");
		expect_field(&pool, "Route", "<sip:b.test;lr>");
		expect_field(&pool, "CSeq", "2 BYE");
		respond(&pool, pool.message.s, "200 OK", "", "");
		pool.hear_repeats = true;
		respond(&pool, request, "200 OK", "r2", "Contact: <sip:romeo@10.2.2.2>\r\n");
		assert_string_equal(sippeer_receive(&pool), ack);
		assert_int_equal(f.seen.responses, 0);
		assert_string_equal(f.dialog->remote_tag, "r1");
		assert_string_equal(f.dialog->target, "sip:romeo@10.1.1.1");
		assert_int_equal(f.dialog->local_cseq, 1);
		free(ack);
		free(request);
		end(&f);
		sippeer_close(&pool);
	}
}

/* Whoever answers for ever makes us send no more than a few ACKs and BYEs. */
static void test_fork_without_end(void **state)
{
	struct sippeer pool;
	struct fixture f;
	char *request, tag[32];
	unsigned byes = 0;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, true);
	request = set_up(&f, &pool, true, "Contact: <sip:romeo@10.1.1.1>\r\n");
	expect(&pool, "ACK sip:romeo@10.1.1.1 SIP/2.0\r\n");
	for (int i = 0; i < 100; i++) {
		snprintf(tag, sizeof(tag), "other%d", i);
		respond(&pool, request, "200 OK", tag, "Contact: <sip:romeo@10.2.2.2>\r\n");
	}
	/* Behind all of them. */
	respond(&pool, request, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1>\r\n");
	do {
		byes += strncmp(sippeer_receive(&pool), "BYE ", 4) == 0;
	} while (strncmp(pool.message.s, "ACK sip:romeo@10.1.1.1 ", 23) != 0);
	assert_int_equal(byes, 16);
	free(request);
	end(&f);
	sippeer_close(&pool);
}

static void test_invite_refused(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		struct sippeer pool;
		struct fixture f;
		char *request;

		begin(&f, 0);
		open_pool(&f, &pool, tcp);
		invite(&f, tcp);
		expect(&pool, "INVITE ");
		request = xstrdup(pool.message.s);
		respond(&pool, request, "486 Busy Here", "r1", "Retry-After: 30\r\n");
		expect(&pool, "ACK " ROMEO " SIP/2.0\r\n");
		assert_string_equal(sip_field(pool.message.s, "Via"), sip_field(request, "Via"));
		expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
		wait_response(&f);
		assert_int_equal(f.seen.status, 486);
		assert_int_equal(f.seen.retry_after, 30);
		assert_null(f.dialog->remote_tag);
		free(request);
		end(&f);
		sippeer_close(&pool);
	}
}

/* RFC 3261 section 9.1: not before a provisional response. */
static void test_cancel(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		for (int ringing = 0; ringing < 2; ringing++) {
			struct sip_outgoing *o;
			struct sippeer pool;
			struct fixture f;
			char *request;

			begin(&f, 0);
			open_pool(&f, &pool, tcp);
			o = invite(&f, tcp);
			expect(&pool, "INVITE ");
			request = xstrdup(pool.message.s);
			if (ringing) {
				respond(&pool, request, "100 Trying", "", "");
				barrier(&pool);
			}
			sip_outgoing_cancel(o);
			sip_dialog_free(f.dialog); /* the caller's right */
			f.dialog = NULL;
			if (!ringing) {
				barrier(&pool);
				respond(&pool, request, "180 Ringing", "r1", "");
			}
			expect(&pool, "CANCEL " ROMEO " SIP/2.0\r\n");
			assert_string_equal(sip_field(pool.message.s, "Via"), sip_field(request, "Via"));
			assert_string_equal(sip_field(pool.message.s, "From"), sip_field(request, "From"));
			expect_field(&pool, "To", "<" ROMEO ">");
			expect_field(&pool, "CSeq", "1 CANCEL");
			assert_string_equal(sip_field(pool.message.s, "Call-ID"),
					    sip_field(request, "Call-ID"));
			respond(&pool, pool.message.s, "200 OK", "r1", "");
			respond(&pool, request, "487 Request Terminated", "r1", "");
			expect(&pool, "ACK " ROMEO " SIP/2.0\r\n");
			assert_string_equal(sip_field(pool.message.s, "Via"), sip_field(request, "Via"));
			assert_int_equal(f.seen.responses, 0);
			free(request);
			end(&f);
			sippeer_close(&pool);
		}
	}
}

/* Answered before the CANCEL came there: a call that nobody wants is acknowledged and ended. */
static void test_cancel_too_late(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		struct sip_outgoing *o;
		struct sippeer pool;
		struct fixture f;
		char *request;

		begin(&f, 0);
		open_pool(&f, &pool, tcp);
		o = invite(&f, tcp);
		expect(&pool, "INVITE ");
		request = xstrdup(pool.message.s);
		sip_outgoing_cancel(o);
		sip_dialog_free(f.dialog);
		f.dialog = NULL;
		respond(&pool, request, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1>\r\n");
		expect(&pool, "ACK sip:romeo@10.1.1.1 SIP/2.0\r\n");
		expect(&pool, "BYE sip:romeo@10.1.1.1 SIP/2.0\r\n");
		expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
		expect_field(&pool, "CSeq", "2 BYE");
		respond(&pool, pool.message.s, "481 Gone", "", "");
		barrier(&pool);
		assert_int_equal(f.seen.responses, 0);
		free(request);
		end(&f);
		sippeer_close(&pool);
	}
}

/* An INVITE that the endpoint's end, or nobody's answer, finishes. */
static void test_invite_ends(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 10);
	open_pool(&f, &pool, false);
	invite(&f, false);
	wait_response(&f);
	assert_int_equal(f.seen.status, 408);
	invite(&f, false);
	expect(&pool, "INVITE ");
	sip_outgoing_cancel(invite(&f, false));
	end(&f);
	assert_int_equal(f.seen.responses, 1);
	assert_int_equal(f.seen.status, 503);
	sippeer_close(&pool);
}

/* Routes and a description make it larger than UDP may carry: the INVITE, its CANCEL and ACK go by TCP. */
static void test_large_invite(void **state)
{
	char body[1400];
	struct sip_send s = { .method = "INVITE", .content_type = "application/sdp", .body = body };
	struct sippeer udp, tcp;
	struct fixture f;
	(void)state;

	memset(body, 'x', sizeof(body));
	s.body_size = sizeof(body);
	begin(&f, 0);
	open_pool(&f, &udp, false);
	sippeer_listen(&tcp, &f.net, POOL);
	f.dialog = sip_dialog_create(POOL_NEW, JULIET, ROMEO, NULL);
	s.dialog = f.dialog;
	sip_send(f.endpoint, &s, on_response, &f);
	expect(&tcp, "INVITE " ROMEO);
	expect_field(&tcp, "Contact", "<sip:" OURS ";transport=udp>");
	respond(&tcp, tcp.message.s, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1>\r\n");
	wait_response(&f);
	assert_int_equal(f.seen.status, 200);
	expect(&udp, "ACK sip:romeo@10.1.1.1 SIP/2.0\r\n"); /* that one is small again */
	end(&f);
	sippeer_close(&udp);
	sippeer_close(&tcp);
}

/* The connection breaks under an INVITE: the same once more, whether or not a telephone rings already. */
static void test_broken_connection(void **state)
{
	(void)state;

	for (int ringing = 0; ringing < 2; ringing++) {
		struct sippeer pool;
		struct fixture f;
		char *first;

		begin(&f, 0);
		open_pool(&f, &pool, true);
		invite(&f, true);
		first = xstrdup(sippeer_receive(&pool));
		if (ringing) {
			respond(&pool, first, "180 Ringing", "r1", "");
			barrier(&pool);
		}
		close(pool.fd);
		pool.fd = -1;
		assert_string_equal(sippeer_receive(&pool), first);
		respond(&pool, first, "200 OK", "r1", "Contact: <sip:romeo@10.1.1.1>\r\n");
		wait_response(&f);
		assert_int_equal(f.seen.status, 200);
		expect(&pool, "ACK ");
		free(first);
		end(&f);
		sippeer_close(&pool);
	}
}

/* Nothing in a dialog, wherever it was kept, becomes a line of a header. */
static void test_injection(void **state)
{
	static const char evil[] = "sip:x@y>\r\nX-Evil: 1";
	const size_t fields[] = {
		offsetof(struct sip_dialog, call_id),    offsetof(struct sip_dialog, local_uri),
		offsetof(struct sip_dialog, local_tag),  offsetof(struct sip_dialog, remote_uri),
		offsetof(struct sip_dialog, remote_tag), offsetof(struct sip_dialog, target),
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	f.dialog = sip_dialog_create(POOL_NEW, JULIET, ROMEO, NULL);
	for (size_t i = 0; i <= ARRAY_SIZE(fields); i++) {
		struct sip_dialog *good = f.dialog, *bad = sip_dialog_copy(good);
		char **field = i < ARRAY_SIZE(fields) ? (char **)((char *)bad + fields[i]) : NULL;

		if (field == NULL) {
			field = bad->route = xcalloc(1, sizeof(*bad->route));
			bad->route_count = 1;
		}
		free(*field);
		*field = xstrdup(evil);
		f.dialog = bad;
		send_method(&f, "MESSAGE", true);
		wait_response(&f);
		assert_int_equal(f.seen.status, 400);
		sip_dialog_free(bad);
		f.dialog = good;
	}
	send_method(&f, "MESSAGE", true);
	expect(&pool, "MESSAGE " ROMEO " SIP/2.0\r\n");
	assert_int_equal(sip_count_lines(pool.message.s, "X-Evil"), 0);
	end(&f);
	sippeer_close(&pool);
}

/* A new target for the dialog; its tag and its route set stay (RFC 3261 section 12.2.1.2). */
static void test_reinvite(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	free(set_up(&f, &pool, false, "Contact: <sip:romeo@10.1.1.1>\r\nRecord-Route: <sip:a.test;lr>\r\n"));
	expect(&pool, "ACK ");
	send_method(&f, "INVITE", true);
	expect(&pool, "INVITE sip:romeo@10.1.1.1 SIP/2.0\r\n");
	expect_field(&pool, "CSeq", "2 INVITE");
	expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
	respond(&pool, pool.message.s, "200 OK", "",
		"Contact: <sip:romeo@10.3.3.3>\r\nRecord-Route: <sip:b.test;lr>\r\n");
	wait_response(&f);
	expect(&pool, "ACK sip:romeo@10.3.3.3 SIP/2.0\r\n");
	expect_field(&pool, "CSeq", "2 ACK");
	expect_field(&pool, "Route", "<sip:a.test;lr>");
	assert_int_equal(f.dialog->route_count, 1);
	assert_string_equal(f.dialog->target, "sip:romeo@10.3.3.3");
	end(&f);
	sippeer_close(&pool);
}

/* --- requests to us --- */

struct parts {
	const char *method, *uri, *to, *extra, *body;
	unsigned cseq;
	const char *branch;
};

/* A request of Romeo's, who calls himself r1. */
static void request(struct sippeer *p, const struct parts *parts)
{
	static unsigned branches;
	const char *body = parts->body != NULL ? parts->body : "";
	char branch[32];

	snprintf(branch, sizeof(branch), "c%u", ++branches);
	sippeer_printf(p,
		       "%s %s SIP/2.0\r\nVia: SIP/2.0/%s " POOL ";branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"
		       "From: \"Romeo\" <" ROMEO ">;tag=r1;epid=5a1b\r\nTo: %s\r\nCall-ID: 4d2c1f0a\r\n"
		       "CSeq: %u %s\r\n%sContent-Length: %zu\r\n\r\n%s",
		       parts->method, parts->uri != NULL ? parts->uri : JULIET, p->tcp ? "TCP" : "UDP",
		       parts->branch != NULL ? parts->branch : branch,
		       parts->to != NULL ? parts->to : "<" JULIET ">", parts->cseq != 0 ? parts->cseq : 1,
		       parts->method, parts->extra != NULL ? parts->extra : "", strlen(body), body);
}

/* As a server of the pool writes it: everything that need not be understood is there as well. */
static const struct parts pool_invite = {
	.method = "INVITE",
	.branch = "5F3A.8D02",
	.extra = "Record-Route: <sip:fe.corp.test:5061;transport=tls;ms-fe=fe1;opaque=state:F;lr>;tag=01\r\n"
		 "Record-Route: <sip:" EDGE ":5060;transport=tcp;lr>\r\n"
		 "Contact: <sip:romeo@corp.test;opaque=user:epid:AbCd;gruu>\r\n"
		 "User-Agent: UCCAPI/16.0 OC/16.0 (Client)\r\n"
		 "ms-text-format: text/plain; charset=UTF-8; ms-body=SGVsbG8=\r\n"
		 "Supported: ms-embedded-first-message\r\nSupported: ms-sender\r\n"
		 "EndPoints: <sip:romeo@corp.test>, <sip:juliet@partner.test>\r\n"
		 "Content-Type: application/sdp\r\n",
	.body = "v=0\r\n",
};

static void connect_pool(struct fixture *f, struct sippeer *pool, bool tcp)
{
	if (tcp)
		sippeer_connect(pool, &f->net, POOL, OURS);
	else
		open_pool(f, pool, false);
}

static void accept_invite(struct fixture *f)
{
	static const char *const headers[] = { SIP_ALLOW, "Supported: ms-text-format" };
	const struct sip_reply reply = {
		.status = 200,
		.headers = headers,
		.header_count = ARRAY_SIZE(headers),
		.dialog = f->seen.dialog,
		.content_type = "application/sdp",
		.body = "v=0\r\no=x\r\n",
		.body_size = 10,
		.on_ack = on_ack,
		.ack_ctx = f,
	};

	sip_reply(f->seen.transaction, &reply);
}

/* The pool's next request in the dialog, to our Contact. */
static void in_dialog(struct fixture *f, struct sippeer *p, const char *method, unsigned cseq,
		      const char *extra)
{
	char to[128];

	snprintf(to, sizeof(to), "<" JULIET ">;tag=%s", f->seen.dialog->local_tag);
	request(p, &(struct parts){ .method = method,
				    .uri = "sip:" OURS ":5060",
				    .to = to,
				    .cseq = cseq,
				    .extra = extra });
}

static void test_invited(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		struct sippeer pool;
		struct fixture f;
		char line[160];

		begin(&f, 100);
		connect_pool(&f, &pool, tcp);
		request(&pool, &pool_invite);
		wait_request(&f);
		assert_string_equal(f.seen.method, "INVITE");
		assert_string_equal(f.seen.contact, "sip:romeo@corp.test;opaque=user:epid:AbCd;gruu");
		assert_string_equal(f.seen.type, "application/sdp");
		assert_true(f.seen.pool >= 0); /* both pools have this address */
		assert_string_equal(f.seen.dialog->local_tag, f.seen.local_tag);
		assert_string_equal(f.seen.dialog->remote_tag, "r1");
		assert_int_equal(f.seen.dialog->route_count, 2);
		assert_string_equal(f.seen.dialog->route[1], "sip:" EDGE ":5060;transport=tcp;lr");
		assert_int_equal(f.seen.dialog->remote_cseq, 1);

		sip_progress(f.seen.transaction, 180);
		snprintf(line, sizeof(line), "<" JULIET ">;tag=%s", f.seen.local_tag);
		do { /* a slow machine sends 100 first */
			sippeer_receive(&pool);
		} while (strncmp(pool.message.s, "SIP/2.0 100", 11) == 0);
		assert_memory_equal(pool.message.s, "SIP/2.0 180 Ringing\r\n", 21);
		expect_field(&pool, "To", line);
		accept_invite(&f);
		pool.hear_repeats = true;
		/* Until the ACK comes, over TCP, too (RFC 3261 section 13.3.1.4). */
		for (int i = 0; i < 3; i++) {
			expect(&pool, "SIP/2.0 200 OK\r\n");
			expect_field(&pool, "To", line);
			expect_field(&pool, "Contact",
				     tcp ? "<sip:" OURS ";transport=tcp>" : "<sip:" OURS ";transport=udp>");
			expect_field(&pool, "Content-Type", "application/sdp");
			expect_field(&pool, "Supported", "ms-text-format");
			assert_int_equal(sip_count_lines(pool.message.s, "Record-Route"), 2);
			assert_string_equal(sip_body(pool.message.s), "v=0\r\no=x\r\n");
		}
		in_dialog(&f, &pool, "ACK", 1, "");
		nettest_run(&f.net, has_ack, &f);
		assert_true(f.seen.acked);
		wait_request(&f);
		assert_string_equal(f.seen.method, "ACK");
		assert_null(f.seen.transaction);
		/* Another one is nothing new, and one with another CSeq is for nothing. */
		in_dialog(&f, &pool, "ACK", 1, "");
		in_dialog(&f, &pool, "ACK", 7, "");
		in_dialog(&f, &pool, "BYE", 2, "");
		wait_request(&f);
		assert_string_equal(f.seen.method, "BYE");
		assert_true(f.seen.taken);
		assert_int_equal(f.seen.acks, 1);
		sip_answer(f.seen.transaction, 200, NULL, NULL);
		do {
			sippeer_receive(&pool);
		} while (strstr(sip_field(pool.message.s, "CSeq"), "INVITE") != NULL);
		expect_field(&pool, "CSeq", "2 BYE");
		end(&f);
		sippeer_close(&pool);
	}
}

/* A repeated INVITE has the same answer again, before and after it. */
static void test_invite_absorbed(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	pool.hear_repeats = true;
	request(&pool, &pool_invite);
	wait_request(&f);
	request(&pool, &pool_invite);
	accept_invite(&f);
	do {
		sippeer_receive(&pool);
	} while (strncmp(pool.message.s, "SIP/2.0 100", 11) == 0);
	assert_memory_equal(pool.message.s, "SIP/2.0 200 OK\r\n", 16);
	request(&pool, &pool_invite);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	assert_int_equal(f.seen.requests, 0);
	in_dialog(&f, &pool, "ACK", 1, "");
	nettest_run(&f.net, has_ack, &f);
	end(&f);
	sippeer_close(&pool);
}

static void test_no_ack(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 5);
	connect_pool(&f, &pool, true);
	request(&pool, &pool_invite);
	wait_request(&f);
	accept_invite(&f);
	assert_int_equal(f.seen.acks, 0);
	nettest_run(&f.net, has_ack, &f);
	assert_false(f.seen.acked);
	in_dialog(&f, &pool, "ACK", 1, ""); /* too late: it is for nothing */
	in_dialog(&f, &pool, "OPTIONS", 3, "");
	do {
		sippeer_receive(&pool);
	} while (strstr(sip_field(pool.message.s, "CSeq"), "INVITE") != NULL);
	assert_int_equal(f.seen.acks, 1);
	assert_int_equal(f.seen.requests, 0);
	end(&f);
	sippeer_close(&pool);
}

/* The holder has gone; the 2xx is repeated all the same. The end of the endpoint tells those who wait. */
static void test_forget_ack(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	for (int forget = 0; forget < 2; forget++) {
		begin(&f, 20);
		connect_pool(&f, &pool, true);
		pool.hear_repeats = true;
		request(&pool, &pool_invite);
		wait_request(&f);
		accept_invite(&f);
		if (forget)
			sip_forget_ack(f.endpoint, &f);
		for (int i = 0; i < 3; i++)
			expect(&pool, "SIP/2.0 200 OK\r\n");
		end(&f);
		assert_int_equal(f.seen.acks, !forget);
		assert_false(f.seen.acked);
		sippeer_close(&pool);
	}
}

/* Who sends INVITEs and never an ACK is held off: of sip.queue_total a pool has as much as it leaves. */
static void test_unacked_limit(void **state)
{
	struct sippeer pool, edge;
	struct fixture f;
	struct parts parts = pool_invite;
	(void)state;

	begin(&f, 0);
	connect_pool(&f, &pool, true);
	pool.hear_repeats = true;
	parts.branch = NULL;
	for (parts.cseq = 1; parts.cseq <= 4; parts.cseq++) {
		request(&pool, &parts);
		wait_request(&f);
		accept_invite(&f);
	}
	request(&pool, &parts);
	do {
		sippeer_receive(&pool);
	} while (strncmp(pool.message.s, "SIP/2.0 503", 11) != 0);
	expect_field(&pool, "CSeq", "5 INVITE");
	expect_field(&pool, "Retry-After", "5");
	request(&pool, &(struct parts){ .method = "ACK", .branch = NULL, .cseq = 5 });
	assert_int_equal(f.seen.requests, 0);
	/* Others are not held off with it. */
	sippeer_connect(&edge, &f.net, EDGE, OURS);
	edge.hear_repeats = true;
	parts.cseq = 6;
	request(&edge, &parts);
	wait_request(&f);
	accept_invite(&f);
	assert_memory_equal(sippeer_receive(&edge), "SIP/2.0 200", 11);
	sippeer_close(&edge);
	end(&f);
	assert_int_equal(f.seen.acks, 5);
	sippeer_close(&pool);
}

/* What is remembered by UDP is not what holds off who comes by TCP. */
static void fill_udp(struct fixture *f, unsigned count)
{
	struct sippeer udp;

	open_pool(f, &udp, false);
	for (unsigned i = 0; i < count; i++)
		barrier(&udp);
	sippeer_close(&udp);
}

/* An INVITE that was refused is remembered until its ACK, by TCP, too: only so many may be. */
static void test_refused_without_ack(void **state)
{
	enum { MOST = 6 };
	const struct parts *parts = &(struct parts){ .method = "INVITE", .uri = "sips:juliet@partner.test" };
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	f.config.sip.udp_remembered = MOST;
	fill_udp(&f, MOST);
	connect_pool(&f, &pool, true);
	for (int i = 0; i < MOST; i++) {
		request(&pool, parts);
		expect(&pool, "SIP/2.0 416 ");
	}
	for (int i = 0; i < 3; i++) {
		request(&pool, parts);
		expect(&pool, "SIP/2.0 503 ");
		expect_field(&pool, "Retry-After", "5");
	}
	/* What is not remembered may come. */
	barrier(&pool);
	end(&f);
	sippeer_close(&pool);
}

/* An ACK makes room. */
static void test_refused_with_ack(void **state)
{
	struct parts parts = { .uri = "sips:juliet@partner.test" };
	struct sippeer pool;
	struct fixture f;
	char branch[32];
	(void)state;

	begin(&f, 0);
	f.config.sip.udp_remembered = 1;
	connect_pool(&f, &pool, true);
	for (int i = 0; i < 4; i++) {
		snprintf(branch, sizeof(branch), "acked%d", i);
		parts.branch = branch;
		parts.method = "INVITE";
		/* The library has a look now and then at what is over. */
		do {
			request(&pool, &parts);
			sippeer_receive(&pool);
		} while (strncmp(pool.message.s, "SIP/2.0 503", 11) == 0);
		assert_memory_equal(pool.message.s, "SIP/2.0 416", 11);
		parts.method = "ACK";
		request(&pool, &parts);
	}
	end(&f);
	sippeer_close(&pool);
}

/* Its connection closes before the answer, and nobody listens where its Via says. */
static void test_inviter_gone(void **state)
{
	struct sippeer gone, pool;
	struct fixture f;
	(void)state;

	begin(&f, 5);
	connect_pool(&f, &gone, true);
	request(&gone, &pool_invite);
	wait_request(&f);
	sippeer_close(&gone);
	connect_pool(&f, &pool, true);
	barrier(&pool);
	accept_invite(&f);
	nettest_run(&f.net, has_ack, &f);
	assert_false(f.seen.acked);
	barrier(&pool);
	end(&f);
	sippeer_close(&pool);
}

static void test_cancelled(void **state)
{
	(void)state;

	for (int tcp = 0; tcp < 2; tcp++) {
		struct sippeer pool;
		struct fixture f;
		char line[160];

		begin(&f, 0);
		connect_pool(&f, &pool, tcp);
		request(&pool, &pool_invite);
		wait_request(&f);
		request(&pool, &(struct parts){ .method = "CANCEL", .branch = pool_invite.branch });
		nettest_run(&f.net, has_cancel, &f);
		snprintf(line, sizeof(line), "<" JULIET ">;tag=%s", f.seen.local_tag);
		for (int i = 0; i < 2; i++) {
			bool is_cancel;

			do {
				sippeer_receive(&pool);
			} while (strncmp(pool.message.s, "SIP/2.0 100", 11) == 0);
			is_cancel = strcmp(sip_field(pool.message.s, "CSeq"), "1 CANCEL") == 0;
			assert_int_equal(strncmp(pool.message.s,
						 is_cancel ? "SIP/2.0 200 OK\r\n"
							   : "SIP/2.0 487 Request Terminated\r\n",
						 16),
					 0);
			expect_field(&pool, "To", line);
		}
		request(&pool, &(struct parts){ .method = "ACK", .branch = pool_invite.branch, .to = line });
		/* A CANCEL of what is over changes nothing. */
		request(&pool, &(struct parts){ .method = "CANCEL", .branch = pool_invite.branch });
		expect(&pool, "SIP/2.0 ");
		assert_int_equal(f.seen.cancels, 1);
		assert_int_equal(f.seen.requests, 0);
		end(&f);
		sippeer_close(&pool);
	}
}

/* It comes when the INVITE has been accepted: there is nothing to cancel any more. */
static void test_cancelled_too_late(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	connect_pool(&f, &pool, true);
	request(&pool, &pool_invite);
	wait_request(&f);
	accept_invite(&f);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	request(&pool, &(struct parts){ .method = "CANCEL", .branch = pool_invite.branch });
	do {
		sippeer_receive(&pool);
	} while (strstr(sip_field(pool.message.s, "CSeq"), "INVITE") != NULL);
	expect_field(&pool, "CSeq", "1 CANCEL");
	assert_int_equal(f.seen.cancels, 0);
	end(&f);
	sippeer_close(&pool);
}

/* What comes in the dialog goes by it: order by CSeq, the target by its Contact, our requests by its route. */
static void test_within_dialog(void **state)
{
	struct sippeer pool, edge;
	struct fixture f;
	struct sip_send s = {
		.method = "MESSAGE", .content_type = "text/plain", .body = "hi", .body_size = 2
	};
	(void)state;

	begin(&f, 0);
	connect_pool(&f, &pool, true);
	sippeer_listen(&edge, &f.net, EDGE);
	request(&pool, &pool_invite);
	wait_request(&f);
	accept_invite(&f);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	in_dialog(&f, &pool, "ACK", 1, "");
	wait_request(&f);

	in_dialog(&f, &pool, "INFO", 5, "Contact: <sip:nobody@10.9.9.9>\r\n");
	wait_request(&f);
	assert_true(f.seen.taken);
	assert_int_equal(f.seen.cseq, 5);
	assert_string_equal(f.seen.to_tag, f.seen.dialog->local_tag);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	/* INFO refreshes no target. */
	assert_string_equal(f.seen.dialog->target, "sip:romeo@corp.test;opaque=user:epid:AbCd;gruu");
	in_dialog(&f, &pool, "MESSAGE", 4, "");
	wait_request(&f);
	assert_false(f.seen.taken);
	sip_answer(f.seen.transaction, 500, NULL, NULL);
	expect(&pool, "SIP/2.0 500 ");
	in_dialog(&f, &pool, "INVITE", 6, "Contact: <sip:romeo@10.4.4.4>\r\n");
	wait_request(&f);
	assert_true(f.seen.taken);
	sip_answer(f.seen.transaction, 488, NULL, NULL);
	do {
		sippeer_receive(&pool);
	} while (strncmp(pool.message.s, "SIP/2.0 100", 11) == 0);
	assert_string_equal(f.seen.dialog->target, "sip:romeo@10.4.4.4");

	s.dialog = f.seen.dialog;
	s.dialog->route_count = 1; /* the first of the two is no address of a peer: that one first */
	free(s.dialog->route[0]);
	s.dialog->route[0] = s.dialog->route[1];
	sip_send(f.endpoint, &s, on_response, &f);
	expect(&edge, "MESSAGE sip:romeo@10.4.4.4 SIP/2.0\r\n");
	expect_field(&edge, "To", "<" ROMEO ">;tag=r1");
	expect_field(&edge, "Route", "<sip:" EDGE ":5060;transport=tcp;lr>");
	expect_field(&edge, "CSeq", "1 MESSAGE");
	respond(&edge, edge.message.s, "481 Gone", "", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 481);
	end(&f);
	sippeer_close(&pool);
	sippeer_close(&edge);
}

static void test_refused(void **state)
{
	static const struct {
		const char *status, *header;
		struct parts parts;
	} cases[] = {
		{ "420 Bad Extension",
		  "Unsupported: 100rel",
		  { .method = "INVITE", .extra = "Require: 100rel\r\nContact: <" ROMEO ">\r\n" } },
		{ "400 Bad Contact", NULL, { .method = "INVITE" } },
		{ "400 Bad Contact", NULL, { .method = "SUBSCRIBE", .extra = "Contact: <tel:+1>\r\n" } },
		{ "400 Bad Contact", NULL, { .method = "SUBSCRIBE", .extra = "Contact: *\r\n" } },
		{ "400 Bad Event",
		  NULL,
		  { .method = "SUBSCRIBE", .extra = "Event: pres\x01\r\nContact: <" ROMEO ">\r\n" } },
		{ "483 Too Many Hops", NULL, { .method = "BYE", .extra = "" } },
		{ "482 Loop Detected",
		  NULL,
		  { .method = "MESSAGE", .extra = "Via: SIP/2.0/UDP " OURS ":5060;branch=z9hG4bKours\r\n" } },
		{ "482 Loop Detected",
		  NULL,
		  { .method = "INVITE",
		    .extra = "Via: SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKx\r\n"
			     "Via: SIP/2.0/TCP " OURS ";branch=z9hG4bKours\r\nContact: <" ROMEO ">\r\n" } },
	};
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char status[64];
		const char *colon = cases[i].header != NULL ? strchr(cases[i].header, ':') : NULL;
		struct parts parts = cases[i].parts;

		parts.cseq = 100 + (unsigned)i; /* none is another one by another way */
		connect_pool(&f, &pool, true);
		if (strncmp(cases[i].status, "483", 3) == 0)
			sippeer_printf(&pool, "BYE " JULIET " SIP/2.0\r\nVia: SIP/2.0/TCP " POOL
					      ";branch=z9hG4bKhops\r\nMax-Forwards: 0\r\nFrom: <" ROMEO
					      ">;tag=1\r\nTo: <" JULIET ">;tag=2\r\nCall-ID: hops\r\n"
					      "CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n");
		else
			request(&pool, &parts);
		snprintf(status, sizeof(status), "SIP/2.0 %s\r\n", cases[i].status);
		expect(&pool, status);
		if (colon != NULL) {
			char name[32];

			snprintf(name, sizeof(name), "%.*s", (int)(colon - cases[i].header), cases[i].header);
			expect_field(&pool, name, colon + 2);
		}
		sippeer_close(&pool);
	}
	assert_int_equal(f.seen.requests, 0);
	/* A spiral is none: somebody on the way has aimed it at another user. */
	connect_pool(&f, &pool, true);
	request(&pool, &(struct parts){ .method = "MESSAGE",
					.uri = "sip:mercutio@partner.test",
					.extra = "Via: SIP/2.0/TCP " OURS ";branch=z9hG4bKours\r\n" });
	wait_request(&f);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	end(&f);
	sippeer_close(&pool);
}

/* --- subscriptions --- */

static void subscribe(struct fixture *f)
{
	static const char *const headers[] = { "Event: presence", "Expires: 3600",
					       "Accept: application/pidf+xml, text/xml+msrtc.pidf" };
	struct sip_send s = { .method = "SUBSCRIBE",
			      .headers = headers,
			      .header_count = ARRAY_SIZE(headers) };

	f->dialog = sip_dialog_create(POOL_NEW, JULIET, ROMEO, NULL);
	s.dialog = f->dialog;
	sip_send(f->endpoint, &s, on_response, f);
}

static void notify(struct fixture *f, struct sippeer *p, const char *method, unsigned cseq, const char *state)
{
	static unsigned branches;

	sippeer_printf(
		p,
		"%s sip:" OURS ":5060 SIP/2.0\r\nVia: SIP/2.0/UDP " POOL
		";branch=z9hG4bKn%u\r\nMax-Forwards: 70\r\nRecord-Route: <sip:a.test;lr>\r\n"
		"From: <" ROMEO ">;tag=ffd2\r\nTo: <" JULIET ">;tag=%s\r\nCall-ID: %s\r\n"
		"CSeq: %u %s\r\nContact: <sip:fe1.corp.test:5061>\r\nEvent: Presence;id=7\r\n"
		"subscription-state: %s\r\nContent-Type: text/xml+msrtc.pidf\r\nContent-Length: 2\r\n\r\n<>",
		method, ++branches, f->dialog->local_tag, f->dialog->call_id, cseq, method, state);
}

/* RFC 6665 section 4.1.2.4: the NOTIFY is faster than the 200. */
static void test_subscribe(void **state)
{
	char early[SIP_DIALOG_KEY_SIZE], key[SIP_DIALOG_KEY_SIZE];
	struct sippeer pool;
	struct fixture f;
	char *subscription;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	subscribe(&f);
	expect(&pool, "SUBSCRIBE " ROMEO " SIP/2.0\r\n");
	expect_field(&pool, "Event", "presence");
	expect_field(&pool, "Expires", "3600");
	expect_field(&pool, "Contact", "<sip:" OURS ";transport=udp>");
	subscription = xstrdup(pool.message.s);
	assert_true(sip_dialog_key(f.dialog, early));
	notify(&f, &pool, "NOTIFY", 2, "Active;Expires=3500;retry-after=x");
	wait_request(&f);
	assert_true(f.seen.taken);
	assert_string_equal(f.seen.event, "presence");
	assert_string_equal(f.seen.state, "active");
	assert_string_equal(f.seen.reason, "(none)");
	assert_int_equal(f.seen.state_expires, 3500);
	assert_int_equal(f.seen.retry_after, -1);
	assert_string_equal(f.seen.type, "text/xml+msrtc.pidf");
	assert_string_equal(f.dialog->remote_tag, "ffd2");
	assert_string_equal(f.dialog->target, "sip:fe1.corp.test:5061");
	assert_string_equal(f.dialog->route[0], "sip:a.test;lr");
	assert_true(sip_dialog_key(f.dialog, key));
	assert_string_not_equal(key, early);
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	assert_null(sip_field(pool.message.s, "Contact"));
	respond(&pool, subscription, "200 OK", "ffd2",
		"Contact: <sip:fe2.corp.test:5061>\r\nExpires: 1800\r\nRecord-Route: <sip:b.test;lr>\r\n");
	wait_response(&f);
	assert_int_equal(f.seen.expires, 1800);
	assert_string_equal(f.dialog->target, "sip:fe2.corp.test:5061");
	assert_int_equal(f.dialog->route_count, 1);
	assert_string_equal(f.dialog->route[0], "sip:a.test;lr");

	notify(&f, &pool, "NOTIFY", 3, "terminated;reason=\"Rejected\"");
	wait_request(&f);
	assert_string_equal(f.seen.state, "terminated");
	assert_string_equal(f.seen.reason, "rejected");
	sip_answer(f.seen.transaction, 481, NULL, NULL);
	expect(&pool, "SIP/2.0 481 ");
	free(subscription);
	end(&f);
	sippeer_close(&pool);
}

/* BENOTIFY is never answered, whatever is in it; a 200 to SUBSCRIBE may have a body. */
static void test_microsoft(void **state)
{
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	subscribe(&f);
	expect(&pool, "SUBSCRIBE ");
	sippeer_printf(
		&pool,
		"SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: <" ROMEO ">;tag=ffd2\r\nCall-ID: %s\r\n"
		"CSeq: %s\r\nContact: <sip:fe1.corp.test:5061;transport=tls>\r\nExpires: 3600\r\n"
		"Event: presence\r\nsubscription-state: active;expires=3600\r\nms-piggyback-cseq: 1\r\n"
		"Supported: com.microsoft.autoextend, ms-piggyback-first-notify, ms-benotify\r\n"
		"Content-Type: application/pidf+xml\r\nContent-Length: 11\r\n\r\n<presence/>",
		sip_field(pool.message.s, "Via"), sip_field(pool.message.s, "From"),
		sip_field(pool.message.s, "Call-ID"), sip_field(pool.message.s, "CSeq"));
	wait_response(&f);
	assert_string_equal(f.seen.response_type, "application/pidf+xml");
	assert_string_equal(f.seen.response_body, "<presence/>");

	notify(&f, &pool, "BENOTIFY", 4, "active;expires=3500");
	wait_request(&f);
	assert_string_equal(f.seen.method, "BENOTIFY");
	assert_string_equal(f.seen.local_tag, "(none)");
	assert_null(f.seen.transaction);
	sip_answer(f.seen.transaction, 500, NULL, NULL);
	notify(&f, &pool, "BENOTIFY", 5, "act\x01ive");
	notify(&f, &pool, "NOTIFY", 6, "active");
	wait_request(&f);
	assert_string_equal(f.seen.method, "NOTIFY");
	sip_answer(f.seen.transaction, 200, NULL, NULL);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	expect_field(&pool, "CSeq", "6 NOTIFY");
	end(&f);
	sippeer_close(&pool);
}

static void test_subscribed_to(void **state)
{
	struct sip_send s = { .method = "NOTIFY" };
	static const char *const headers[] = { "Event: presence",
					       "Subscription-State: pending;expires=3600" };
	struct sip_reply reply = { .status = 200 };
	static const char *const expires[] = { "Expires: 3600" };
	struct sippeer pool;
	struct fixture f;
	(void)state;

	begin(&f, 0);
	open_pool(&f, &pool, false);
	request(&pool, &(struct parts){ .method = "SUBSCRIBE",
					.extra = "Event: presence\r\nExpires: 28800\r\n"
						 "Accept: application/pidf+xml\r\n"
						 "Contact: <sip:romeo@corp.test;gruu>\r\n" });
	wait_request(&f);
	assert_int_equal(f.seen.expires, 28800);
	assert_string_equal(f.seen.event, "presence");
	reply.dialog = f.seen.dialog;
	reply.headers = expires;
	reply.header_count = 1;
	sip_reply(f.seen.transaction, &reply);
	expect(&pool, "SIP/2.0 200 OK\r\n");
	expect_field(&pool, "Contact", "<sip:" OURS ";transport=udp>");
	expect_field(&pool, "Expires", "3600");
	s.dialog = f.seen.dialog;
	s.dialog->pool = POOL_NEW; /* the two have one address here */
	s.headers = headers;
	s.header_count = ARRAY_SIZE(headers);
	sip_send(f.endpoint, &s, on_response, &f);
	expect(&pool, "NOTIFY sip:romeo@corp.test;gruu SIP/2.0\r\n");
	expect_field(&pool, "Contact", "<sip:" OURS ";transport=udp>");
	expect_field(&pool, "Subscription-State", "pending;expires=3600");
	expect_field(&pool, "To", "<" ROMEO ">;tag=r1");
	respond(&pool, pool.message.s, "481 Gone", "", "");
	wait_response(&f);
	assert_int_equal(f.seen.status, 481);
	end(&f);
	sippeer_close(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invite),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_route_is_followed),
		cmocka_unit_test(test_route_to_stranger),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_without_end),
		cmocka_unit_test(test_invite_refused),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_too_late),
		cmocka_unit_test(test_invite_ends),
		cmocka_unit_test(test_large_invite),
		cmocka_unit_test(test_broken_connection),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_reinvite),
		cmocka_unit_test(test_invited),
		cmocka_unit_test(test_invite_absorbed),
		cmocka_unit_test(test_no_ack),
		cmocka_unit_test(test_forget_ack),
		cmocka_unit_test(test_unacked_limit),
		cmocka_unit_test(test_refused_without_ack),
		cmocka_unit_test(test_refused_with_ack),
		cmocka_unit_test(test_inviter_gone),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_cancelled_too_late),
		cmocka_unit_test(test_within_dialog),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_microsoft),
		cmocka_unit_test(test_subscribed_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
