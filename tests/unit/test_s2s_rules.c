/* The s2s edge: what it never does, how much it holds, and how long it waits before it tries again. */
#include "tests/unit/s2stest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/base.h"

#define BACK " from='corp.test' to='partner.test'"

static void send_out(void)
{
	struct stanza *stanza = stanza_make(STANZA_MESSAGE, "romeo@corp.test", "juliet@partner.test", "i",
					    "chat", NULL, NULL);

	s2s_send(s2s, EDGE_EXTERNAL, "corp.test", "partner.test", stanza, 0, on_delivered, NULL);
	stanza_unref(stanza);
	world_turn();
}

/* --- clear text --- */

static void test_starttls_is_asked_for_where_it_is_not_offered(void **state)
{
	struct sock *s;

	(void)state;
	world.partner.tls = REQUIRE_REQUIRED;
	send_out();
	s = reach(PAIR);
	assert_true(says(s, 0, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
	hear(s, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	assert_true(s->gone);
	assert_false(says(s, 0, "<db:result"));
	assert_false(says(s, 0, "<message"));
	assert_int_equal(confirmed, 0);
}

/* --- keys --- */

static void test_invalid_key_ends_a_stream_that_proved_nothing(void **state)
{
	struct sock *s = come_with_key(), *authority;

	(void)state;
	authority = reach(PAIR);
	answer_question(authority, 0, "invalid");
	assert_true(
		says(s, 0, "<db:result from='corp.test' to='partner.test' type='invalid'/></stream:stream>"));
}

static void test_no_verdict_does_not_end_a_stream(void **state)
{
	struct sock *s = come_with_key(), *authority;

	(void)state;
	authority = reach(PAIR);
	answer_question(authority, 0, "error");
	assert_true(says(s, 0, "<db:result from='corp.test' to='partner.test' type='error'>"));
	assert_false(says(s, 0, "</stream:stream>"));
}

/* --- answers to pings --- */

/* What has the id of our question, and is no answer to it. */
static void test_pong_is_more_than_its_id(void **state)
{
	static const struct {
		const char *start, *end;
	} others[] = {
		{ "<iq type='get' id='", "'" BACK "/>" },
		{ "<iq type='set' id='", "'" BACK "/>" },
		{ "<message type='error' id='", "'" BACK "/>" },
		{ "<iq type='result' id='", "' from='romeo@corp.test' to='partner.test'/>" },
		{ "<iq type='result' id='", "' from='corp.test' to='juliet@partner.test'/>" },
		{ "<iq type='result' id='", "x'" BACK "/>" },
		{ "<iq type='result' xml:id='", "'" BACK "/>" },
	};
	struct sock *back, *s = open_link(&back), *stranger, *authority;
	const size_t start = s->out.len;
	char *id, *text;

	(void)state;
	send_large(1000);
	pass(400);
	id = xstrdup(said_behind(s, start, "<iq type='get' id='"));
	id[strcspn(id, "'")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		text = xasprintf("%s%s%s", others[i].start, id, others[i].end);
		hear(back, text);
		assert_int_equal(confirmed, 1);
		free(text);
	}
	/* A partner that knows the id says it on a stream of its own. */
	stranger = come_with_key();
	authority = reach(PAIR);
	answer_question(authority, 0, "valid");
	text = xasprintf("<iq type='result' id='%s'" PAIR "/>", id);
	hear(stranger, text);
	free(text);
	free(id);
	assert_false(back->gone || stranger->gone);
	assert_int_equal(confirmed, 1);
	answer_ping(s, start, back);
	assert_int_equal(confirmed, 2);
}

/* --- how much --- */

static void test_queue_is_bounded_by_count(void **state)
{
	(void)state;
	for (int64_t i = 0; i < s2stest_config.s2s.queue_stanzas; i++)
		send_large(100);
	assert_int_equal(failed, 0);
	send_large(100);
	assert_int_equal(failed, 1);
	assert_int_equal(failure, COND_RESOURCE_CONSTRAINT);
}

static void test_queue_is_bounded_by_bytes(void **state)
{
	(void)state;
	send_large(19000);
	send_large(19000);
	assert_int_equal(failed, 0);
	send_large(19000);
	assert_int_equal(failed, 1);
	assert_int_equal(failure, COND_RESOURCE_CONSTRAINT);
	send_large(100);
	assert_int_equal(failed, 1);
}

/* As many as one partner may have that have proved it. */
static void test_streams_of_a_partner(void **state)
{
	const int64_t limit = s2stest_config.s2s.streams_per_partner;
	struct sock *authority = NULL, *s;

	(void)state;
	for (int64_t i = 0; i < limit; i++) {
		size_t mark = authority ? authority->out.len : 0;

		s = come_with_key();
		if (!authority)
			authority = reach(PAIR);
		answer_question(authority, mark, "valid");
		assert_true(says(s, 0, " type='valid'"));
	}
	s = come();
	assert_true(says(s, 0, "<resource-constraint "));
	assert_true(s->gone);
	/* The registry's own number counts before it. */
	world.partner.connections = (unsigned)limit + 1;
	s = come();
	assert_false(s->gone);
}

/* Several keys were shown before any of them was proved. */
static void test_streams_proved_at_one_time(void **state)
{
	struct sock *authority, *first = come_with_key(), *second;
	size_t mark;

	(void)state;
	world.partner.connections = 1;
	authority = reach(PAIR);
	mark = authority->out.len;
	second = come_with_key();
	answer_question(authority, mark, "valid");
	assert_true(says(second, 0, " type='valid'"));
	answer_question(authority, 0, "valid");
	assert_false(says(first, 0, " type='valid'"));
	assert_true(says(first, 0, "<resource-constraint "));
	assert_false(first->gone);
	/* When there is room again, the same stream may. */
	world_close(second, false);
	world_turn();
	mark = authority->out.len;
	hear(first, "<db:result" PAIR ">0123</db:result>");
	answer_question(authority, mark, "valid");
	assert_true(says(first, 0, " type='valid'"));
}

static void test_pairs_of_a_stream(void **state)
{
	static const char *const pairs[] = { PAIR, " from='partner.test' to='branch.test'",
					     " from='tls.test' to='corp.test'",
					     " from='tls.test' to='branch.test'" };
	struct sock *s = come();

	(void)state;
	hear(s, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	world_handshake(s, true);
	hear(s, HEADER PAIR ">");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		char *key = xasprintf("<db:result%s>0123</db:result>", pairs[i]);
		size_t mark = s->out.len;

		hear(s, key);
		free(key);
		assert_int_equal(says(s, mark, "<resource-constraint "),
				 i >= (size_t)s2stest_config.s2s.pairs_per_stream);
	}
	assert_false(s->gone);
}

/* --- how long --- */

/* Until somebody is connected to again. */
static int64_t time_to_next_try(void)
{
	const struct sock *before = newest();
	const int64_t began = world.now;

	while (newest() == before && world.now - began < 100000) {
		pass(10);
		world_answer_dns(1, false, false);
		world_turn();
	}
	return world.now - began;
}

/* Twice as long each time, a half of it by chance, and three tries at least in a stanza's time. */
static void test_back_off(void **state)
{
	static const int64_t longest[] = { 1000, 2000, 4000, 8000, 10000, 10000 };
	bool differs = false;

	(void)state;
	send_out();
	time_to_next_try();
	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		int64_t waited;

		send_out();
		world_close(newest(), true);
		world_turn();
		waited = time_to_next_try();
		assert_in_range(waited, longest[i] / 2, longest[i] + 20);
		differs = differs || (waited > longest[i] / 2 + 20 && waited < longest[i] - 20);
	}
	assert_true(differs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_starttls_is_asked_for_where_it_is_not_offered,
						s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_invalid_key_ends_a_stream_that_proved_nothing,
						s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_no_verdict_does_not_end_a_stream, s2stest_begin,
						s2stest_end),
		cmocka_unit_test_setup_teardown(test_pong_is_more_than_its_id, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_queue_is_bounded_by_count, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_queue_is_bounded_by_bytes, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_streams_of_a_partner, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_streams_proved_at_one_time, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_pairs_of_a_stream, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_back_off, s2stest_begin, s2stest_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
