/* The s2s edge where time decides: its loop, sockets, DNS and registry are those of tests/fuzz/s2s_world.h. */
#include "tests/unit/s2stest.h"

#include <stdio.h>
#include <string.h>

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

/* Messages come faster than proof is asked for, and yet it is. */
static void test_a_steady_stream_is_proved(void **state)
{
	struct sock *back, *s = open_link(&back);
	size_t start = s->out.len;

	(void)state;
	for (int i = 0; i < 4; i++) {
		send_large(100);
		pass(10);
	}
	assert_true(says(s, start, "urn:xmpp:ping"));
	answer_ping(s, start, back);
	assert_true(confirmed > 1);
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
		cmocka_unit_test_setup_teardown(test_blanks_behind_a_late_ping, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_a_steady_stream_is_proved, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_blanks_do_not_keep_the_dead, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_blanks_behind_a_question, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_no_blanks_where_all_is_answered, s2stest_begin,
						s2stest_end),
		cmocka_unit_test_setup_teardown(test_question_is_put_once_more, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_question_is_not_put_for_ever, s2stest_begin,
						s2stest_end),
		cmocka_unit_test_setup_teardown(test_error_before_the_peers_header, s2stest_begin,
						s2stest_end),
		cmocka_unit_test_setup_teardown(test_error_first_after_tls, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_one_read_is_paid_for, s2stest_begin, s2stest_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
