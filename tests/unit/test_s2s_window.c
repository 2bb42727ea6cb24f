/* The s2s edge: how much of what streams have brought may be unfinished, and what follows where it is too much. */
#include "tests/unit/s2stest.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE "<message from='corp.test' to='partner.test'/>"
#define BACK    " from='corp.test' to='partner.test'"

/* The window of the configuration, in messages; each counts 512 bytes more than it has. */
enum { WINDOW = 8000 / 557 + 1, HALF = 4000 / 557 };

static void finish_first(size_t count)
{
	for (size_t i = 0; i < count; i++)
		s2s_receipt_done(s2s, unfinished[i]);
	unfinished_count -= count;
	memmove(unfinished, unfinished + count, unfinished_count * sizeof(unfinished[0]));
	world_turn();
}

/* A stream of the legacy gateway's own, where nothing is paid for; whoever vouches for it is connected to for the first one. */
static struct sock *come_again(struct sock **authority)
{
	size_t from = *authority ? (*authority)->out.len : 0;
	struct sock *s;

	stream_accept(s2s, EDGE_INTERNAL, false, -1);
	s = newest();
	hear(s, HEADER BACK ">");
	hear(s, "<db:result" BACK ">0123</db:result>");
	if (!*authority)
		*authority = reach(BACK);
	answer(*authority, from, "corp.test", "partner.test", "valid");
	assert_true(says(s, 0, "type='valid'"));
	return s;
}

static struct sock *come_from_gateway(void)
{
	struct sock *authority = NULL;

	return come_again(&authority);
}

static void test_a_full_window_is_not_read(void **state)
{
	struct sock *s = come_from_gateway();

	(void)state;
	holding = true;
	for (int i = 1; i < WINDOW; i++) {
		hear(s, MESSAGE);
		assert_false(s->paused);
	}
	hear(s, MESSAGE);
	assert_true(s->paused);
	assert_int_equal(unfinished_count, WINDOW);
	finish_first(WINDOW - HALF - 1);
	assert_true(s->paused);
	finish_first(1);
	assert_false(s->paused);
	finish_first(unfinished_count);
	assert_int_equal(s2s->unfinished_bytes, 0);
}

/* With acknowledgements (XEP-0198) likewise: bytes count there, too. */
static void test_a_counted_stream(void **state)
{
	struct sock *s = come_from_gateway();

	(void)state;
	hear(s, "<enable xmlns='urn:xmpp:sm:3'/>");
	holding = true;
	for (int i = 0; i < WINDOW; i++)
		hear(s, MESSAGE);
	assert_true(s->paused);
	finish_first(WINDOW);
	assert_false(s->paused);
	hear(s, "<r xmlns='urn:xmpp:sm:3'/>");
	assert_true(says(s, 0, "h='15'"));
}

/* What came before counting began is finished without harm. */
static void test_counting_begins_late(void **state)
{
	struct sock *s = come_from_gateway();

	(void)state;
	holding = true;
	hear(s, MESSAGE);
	hear(s, "<enable xmlns='urn:xmpp:sm:3'/>");
	hear(s, MESSAGE "<r xmlns='urn:xmpp:sm:3'/>");
	finish_first(1);
	hear(s, "<r xmlns='urn:xmpp:sm:3'/>");
	assert_false(says(s, 0, "h='1'"));
	finish_first(1);
	assert_true(says(s, 0, "h='1'"));
}

/* One read of many: all of it is taken, and each is finished. */
static void test_one_read_is_taken(void **state)
{
	struct sock *s = come_from_gateway();
	struct strbuf many = { 0 };

	(void)state;
	holding = true;
	for (int i = 0; i < 40; i++)
		strbuf_puts(&many, MESSAGE);
	hear(s, many.s);
	strbuf_free(&many);
	assert_int_equal(unfinished_count, 40);
	assert_true(s->paused);
	finish_first(40);
	assert_false(s->paused);
}

/* Many busy streams have less each, and an idle one is read all the same. */
static void test_the_total_is_shared(void **state)
{
	struct sock *busy[12], *authority = NULL, *idle = come_again(&authority);
	size_t before = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		busy[i] = come_again(&authority);
	holding = true;
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++) {
		before = unfinished_count;
		while (!busy[i]->paused)
			hear(busy[i], MESSAGE);
		assert_true(unfinished_count - before <= WINDOW);
	}
	/* The last one found less than the first. */
	assert_true(unfinished_count - before < WINDOW);
	assert_true(s2s->unfinished_bytes < 64000 + ARRAY_SIZE(busy) * 557);
	hear(idle, MESSAGE);
	assert_int_equal(s2s->unfinished_bytes, unfinished_count * 557);
	finish_first(unfinished_count);
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		assert_false(busy[i]->paused);
}

static void test_a_stream_that_ended_holds_nothing_up(void **state)
{
	struct sock *s = come_from_gateway();

	(void)state;
	holding = true;
	hear(s, MESSAGE);
	hear(s, MESSAGE "</stream:stream>");
	assert_int_equal(unfinished_count, 2);
	assert_true(s2s->unfinished_bytes > 0);
	finish_first(2);
	assert_int_equal(s2s->unfinished_bytes, 0);
}

/*
 * The answer to a ping waits behind what we do not read: then the peer's TCP is believed, nobody is found
 * dead, and its patience begins anew when it is heard again.
 */
static void test_deaf_to_a_ping(void **state)
{
	struct sock *back, *s = open_link(&back);
	unsigned before = confirmed;

	(void)state;
	holding = true;
	while (!back->paused)
		hear(back, MESSAGE);
	send_large(100);
	pass(1900);
	s->acked = s->out.len;
	assert_int_equal(confirmed, before);
	pass(500);
	assert_int_equal(confirmed, before + 1);
	send_large(100);
	pass(20000);
	assert_false(s->gone);
	assert_int_equal(failed, 0);
	finish_first(unfinished_count);
	assert_false(back->paused);
	pass(7000);
	assert_false(s->gone);
	pass(5000);
	assert_true(s->gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_full_window_is_not_read, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_a_counted_stream, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_counting_begins_late, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_one_read_is_taken, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_the_total_is_shared, s2stest_begin, s2stest_end),
		cmocka_unit_test_setup_teardown(test_a_stream_that_ended_holds_nothing_up, s2stest_begin,
						s2stest_end),
		cmocka_unit_test_setup_teardown(test_deaf_to_a_ping, s2stest_begin, s2stest_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
