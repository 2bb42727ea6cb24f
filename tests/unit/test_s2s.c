/* The s2s edge where time decides: its loop, sockets, DNS and registry are those of tests/fuzz/s2s_world.h. */
#include "bridge/xmpp/s2s_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/log.h"
#include "tests/fuzz/s2s_world.h"

#define PAIR " from='partner.test' to='corp.test'"
#define HEADER                                                                                               \
	"<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "                            \
	"xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='x'"
#define FEATURES "<stream:features/>"

static const struct config config = {
	.component = { .server = "", .domain = "", .secret = "" },
	.external = { .bind = "" },
	.internal = { .gateway = "gateway.corp.test:5269", .bind = "", .tls = REQUIRE_OPTIONAL },
	.dialback = { .secret = "secret" },
	.s2s = { .stanza_bytes = 20000,
		 .depth = 20,
		 .elements = 50,
		 .attributes = 10,
		 .streams = 50,
		 .streams_per_partner = 20,
		 .streams_per_address = 20,
		 .streams_unauthenticated = 20,
		 .stanza_rate = 10,
		 .stanza_burst = 5,
		 .pairs_per_stream = 3,
		 .connect_ms = 5000,
		 .establish_ms = 60000,
		 .inactivity_ms = 600000,
		 .keepalive_ms = 300000,
		 .queue_stanzas = 8,
		 .queue_bytes = 40000,
		 .queue_ms = 30000,
		 .confirm_ms = 2000,
		 .backoff_min_ms = 1000,
		 .backoff_max_ms = 60000 },
};

static struct s2s *s2s;
static unsigned stanzas, confirmed, failed;

static void on_stanza(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
		      const struct jid *to, struct receipt receipt)
{
	(void)ctx, (void)edge, (void)stanza, (void)from, (void)to;
	stanzas++;
	s2s_receipt_done(s2s, receipt);
}

static void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)ctx, (void)stanza;
	(*(outcome->confirmed ? &confirmed : &failed))++;
}

static int begin(void **state)
{
	const struct s2s_setup setup = { .config = &config, .on_stanza = on_stanza };
	const char *why;

	(void)state;
	log_set_level(LOG_ERROR);
	world_begin();
	stanzas = confirmed = failed = 0;
	return s2s_create(&setup, &s2s, &why) == OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	s2s_destroy(s2s);
	world_retire();
	world_end();
	return 0;
}

/* --- the peer's part --- */

static void hear(struct sock *s, const char *text)
{
	world_input(s, text, strlen(text));
	world_turn();
}

static void pass(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		world.now += 10;
		world_turn();
	}
}

static struct sock *newest(void)
{
	return world.socks;
}

/* Our own connection, up to the peer's features. */
static struct sock *reach(const char *pair)
{
	struct sock *before = newest(), *s;
	char *header = xasprintf(HEADER "%s>" FEATURES, pair);

	world_answer_dns(1, false, false);
	world_turn();
	s = newest();
	assert_ptr_not_equal(s, before);
	world_connected(s);
	world_turn();
	hear(s, header);
	free(header);
	return s;
}

static struct sock *come(void)
{
	struct sock *s;

	stream_accept(s2s, EDGE_EXTERNAL, false, -1);
	s = newest();
	hear(s, HEADER PAIR ">");
	return s;
}

/* One that shows a key, so that partner.test must be asked about it. */
static struct sock *come_with_key(void)
{
	struct sock *s = come();

	hear(s, "<db:result" PAIR ">0123</db:result>");
	return s;
}

static bool says(const struct sock *s, size_t from, const char *text)
{
	return strbuf_has(&s->out, from, text);
}

/* What follows `before` in the output, from there on; never NULL. */
static const char *said_behind(const struct sock *s, size_t from, const char *before)
{
	const char *found = s->out.len > from ? strstr(s->out.s + from, before) : NULL;

	assert_non_null(found);
	return found + strlen(before);
}

/* The authority of `ours` is asked by `theirs`. */
static void answer(struct sock *s, size_t from, const char *ours, const char *theirs, const char *verdict)
{
	char *question = xasprintf("<db:verify from='%s' to='%s' id='", theirs, ours), *text;
	const char *id = said_behind(s, from, question);

	text = xasprintf("<db:verify from='%s' to='%s' id='%.*s' type='%s'/>", ours, theirs,
			 (int)strcspn(id, "'"), id, verdict);
	hear(s, text);
	free(text);
	free(question);
}

static void answer_question(struct sock *s, size_t from, const char *verdict)
{
	answer(s, from, "partner.test", "corp.test", verdict);
}

/* The ping that went out on `on`; answers come by another stream. */
static void answer_ping(const struct sock *on, size_t from, struct sock *by)
{
	const char *id = said_behind(on, from, "<iq type='get' id='");
	char *text = xasprintf("<iq type='result' id='%.*s' from='corp.test' to='partner.test'/>",
			       (int)strcspn(id, "'"), id);

	hear(by, text);
	free(text);
}

static size_t send_large(size_t size)
{
	struct strbuf inner = { 0 };
	struct stanza *stanza;
	size_t sent;

	strbuf_puts(&inner, "<x xmlns='urn:x' a='");
	for (size_t i = 0; i < size; i++)
		strbuf_putc(&inner, 'a');
	strbuf_puts(&inner, "'/>");
	stanza = stanza_make(STANZA_MESSAGE, "juliet@partner.test", "romeo@corp.test", "i", "chat", NULL,
			     &inner);
	strbuf_free(&inner);
	sent = stanza->size;
	s2s_send(s2s, EDGE_INTERNAL, "partner.test", "corp.test", stanza, 0, on_delivered, NULL);
	stanza_unref(stanza);
	world_turn();
	return sent;
}

/* A link to the legacy gateway that has answered a ping, and the stream by which it answers. */
static struct sock *open_link(struct sock **back)
{
	struct sock *s;

	send_large(1000);
	s = reach(" from='corp.test' to='partner.test'");
	hear(s, "<db:result from='corp.test' to='partner.test' type='valid'/>");
	stream_accept(s2s, EDGE_INTERNAL, false, -1);
	*back = newest();
	hear(*back, HEADER " from='corp.test' to='partner.test'>");
	hear(*back, "<db:result from='corp.test' to='partner.test'>0123</db:result>");
	answer(s, 0, "corp.test", "partner.test", "valid");
	pass(50);
	answer_ping(s, 0, *back);
	assert_int_equal(confirmed, 1);
	return s;
}

static size_t count_blanks(const struct sock *s, size_t from)
{
	return s->out.len > from ? strspn(s->out.s + from, " ") : 0;
}

/* --- an answer that is late --- */

static void test_blanks_behind_a_late_ping(void **state)
{
	struct sock *back, *s = open_link(&back);
	size_t size, start = s->out.len, mark;

	(void)state;
	size = send_large(3000);
	pass(400);
	assert_true(says(s, start, "urn:xmpp:ping"));
	mark = s->out.len;
	pass(200);
	assert_true(count_blanks(s, mark) >= size);
	assert_int_equal(count_blanks(s, mark), s->out.len - mark);
	mark = s->out.len;
	pass(5000);
	assert_int_equal(s->out.len, mark);
	assert_int_equal(confirmed, 1);
	answer_ping(s, start, back);
	assert_int_equal(confirmed, 2);
	assert_false(s->gone);
}

static void test_blanks_do_not_keep_the_dead(void **state)
{
	struct sock *back, *s = open_link(&back);

	(void)state;
	s->stalled = true;
	send_large(1000);
	pass(7500);
	assert_false(s->gone);
	pass(1000);
	assert_true(s->gone);
	assert_true(says(s, 0, "<connection-timeout "));
}

static void test_blanks_behind_a_question(void **state)
{
	struct sock *s, *asking = come_with_key();
	size_t mark;

	(void)state;
	s = reach(PAIR);
	assert_true(says(s, 0, "<db:verify from='corp.test' to='partner.test'"));
	mark = s->out.len;
	pass(300);
	assert_int_equal(s->out.len, mark);
	pass(500);
	assert_true(count_blanks(s, mark) > 100);
	assert_int_equal(count_blanks(s, mark), s->out.len - mark);
	mark = s->out.len;
	pass(5000);
	assert_int_equal(s->out.len, mark);
	answer_question(s, 0, "valid");
	assert_true(says(asking, 0, "type='valid'"));
}

static void test_no_blanks_where_all_is_answered(void **state)
{
	struct sock *s, *asking = come_with_key();
	size_t mark;

	(void)state;
	s = reach(PAIR);
	answer_question(s, 0, "valid");
	assert_true(says(asking, 0, "type='valid'"));
	mark = s->out.len;
	pass(10000);
	assert_int_equal(s->out.len, mark);
}

/* --- questions on a stream that ends --- */

static void test_question_is_put_once_more(void **state)
{
	struct sock *first = come_with_key(), *second, *s, *again;
	size_t mark;

	(void)state;
	s = reach(PAIR);
	answer_question(s, 0, "valid");
	assert_true(says(first, 0, "type='valid'"));
	pass(5000);
	mark = s->out.len;
	second = come_with_key();
	assert_true(says(s, mark, "<db:verify "));
	hear(s, "<stream:error><connection-timeout "
		"xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
	assert_true(s->gone);
	assert_false(says(second, 0, "<db:result"));
	again = reach(PAIR);
	answer_question(again, 0, "valid");
	assert_true(says(second, 0, "type='valid'"));
}

static void test_question_is_not_put_for_ever(void **state)
{
	struct sock *asking = come_with_key(), *s;

	(void)state;
	s = reach(PAIR);
	world_close(s, true);
	world_turn();
	assert_false(says(asking, 0, "<db:result"));
	s = reach(PAIR);
	assert_true(says(s, 0, "<db:verify "));
	world_close(s, true);
	world_turn();
	assert_true(says(asking, 0, "type='error'"));
}

/* --- the first words --- */

/* The id that stands in the header at the beginning of this text. */
static const char *header_id(const char *text)
{
	static const char start[] = "<?xml version='1.0'?><stream:stream ";
	const char *id = strstr(text, " id='");

	assert_memory_equal(text, start, sizeof(start) - 1);
	assert_non_null(id);
	assert_true(id < strchr(text + sizeof(start), '>'));
	assert_int_equal(strspn(id + 5, "0123456789abcdef"), 32);
	return id + 5;
}

static void test_error_before_the_peers_header(void **state)
{
	static const char *const beginnings[] = { "GET / HTTP/1.0\r\n\r\n", "<!DOCTYPE x>", "<a></b>" };
	char ids[ARRAY_SIZE(beginnings)][33];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++) {
		struct sock *s;

		stream_accept(s2s, EDGE_EXTERNAL, false, -1);
		s = newest();
		hear(s, beginnings[i]);
		assert_true(s->gone);
		snprintf(ids[i], sizeof(ids[i]), "%s", header_id(s->out.s));
		assert_true(says(s, 0, "<stream:error>"));
		assert_true(says(s, 0, "version='1.0'"));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
	}
}

/* The XML stream before TLS had an id of its own. */
static void test_error_first_after_tls(void **state)
{
	struct sock *s = come();
	const char *first, *second;
	size_t mark;

	(void)state;
	hear(s, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	mark = s->out.len;
	world_handshake(s, true);
	hear(s, "hello");
	first = header_id(s->out.s);
	second = header_id(s->out.s + mark);
	assert_memory_not_equal(first, second, 32);
	assert_true(says(s, mark, "from='corp.test' to='partner.test'"));
	assert_true(says(s, mark, "<stream:error>"));
}

/* --- the rate --- */

static void test_one_read_is_paid_for(void **state)
{
	struct sock *s = come_with_key(), *authority;
	struct strbuf many = { 0 };

	(void)state;
	authority = reach(PAIR);
	answer_question(authority, 0, "valid");
	assert_true(says(s, 0, "type='valid'"));
	for (int i = 0; i < 40; i++)
		strbuf_puts(&many, "<message from='a@partner.test' to='b@corp.test'/>");
	hear(s, many.s);
	strbuf_free(&many);
	assert_int_equal(stanzas, 40);
	assert_true(s->paused);
	pass(3400); /* 35 above the burst, 10 a second */
	assert_true(s->paused);
	pass(200);
	assert_false(s->paused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blanks_behind_a_late_ping, begin, end),
		cmocka_unit_test_setup_teardown(test_blanks_do_not_keep_the_dead, begin, end),
		cmocka_unit_test_setup_teardown(test_blanks_behind_a_question, begin, end),
		cmocka_unit_test_setup_teardown(test_no_blanks_where_all_is_answered, begin, end),
		cmocka_unit_test_setup_teardown(test_question_is_put_once_more, begin, end),
		cmocka_unit_test_setup_teardown(test_question_is_not_put_for_ever, begin, end),
		cmocka_unit_test_setup_teardown(test_error_before_the_peers_header, begin, end),
		cmocka_unit_test_setup_teardown(test_error_first_after_tls, begin, end),
		cmocka_unit_test_setup_teardown(test_one_read_is_paid_for, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
