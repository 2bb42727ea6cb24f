/*
 * test_subscription.c - the state machine of presence subscriptions against
 * subscription.table, which has every cell of RFC 6121, Appendix A.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/subscription.h"

enum { STATES = 9, DIRECTIONS = 2, CELLS = STATES * DIRECTIONS * SUBSCRIPTION_EVENTS };

static struct subscription state_number(int i)
{
	return (struct subscription){ (enum subscription_half)(i / 3), (enum subscription_half)(i % 3) };
}

static int number_of_state(const char *name)
{
	for (int i = 0; i < STATES; i++)
		if (strcmp(subscription_name(state_number(i)), name) == 0)
			return i;
	fail_msg("'%s' is no state of section A.1", name);
	return -1;
}

/* Sections A.2.1 to A.2.4 and A.3.1 to A.3.4 are about these. */
static const char *event_of_section(int number)
{
	static const char *const names[] = { "subscribe", "unsubscribe", "subscribed", "unsubscribed" };

	assert_in_range(number, 1, 4);
	return names[number - 1];
}

struct row {
	int part, number, state, next;
	enum subscription_event event;
	bool pass;
	const char *reply; /* "-": none */
};

static void read_row(int line, char *text, struct row *out)
{
	char *field[6], *at = text;

	for (int i = 0; i < 6; i++) {
		field[i] = at ? at + strspn(at, " ") : NULL;
		if (!field[i])
			fail_msg("subscription.table:%d: %d fields", line, i);
		at = strchr(field[i], i < 5 ? ';' : '\n');
		if (at)
			*at++ = '\0';
	}
	assert_int_equal(sscanf(field[0], "A.%d.%d", &out->part, &out->number), 2);
	assert_true(out->part == 2 || out->part == 3);
	assert_int_equal(subscription_event_parse(field[1], &out->event), OK);
	assert_string_equal(field[1], event_of_section(out->number));
	out->state = number_of_state(field[2]);
	out->pass = strcmp(field[3], "must") == 0;
	assert_true(out->pass || strcmp(field[3], "must-not") == 0 || strcmp(field[3], "should-not") == 0);
	out->next = strcmp(field[4], "=") == 0 ? out->state : number_of_state(field[4]);
	out->reply = field[5];
}

static void check_row(int line, const struct row *row)
{
	struct subscription s = state_number(row->state);
	struct subscription_step step =
		row->part == 2 ? subscription_outbound(s, row->event) : subscription_inbound(s, row->event);
	const char *next = subscription_name(step.next), *reply = step.reply ? step.reply : "-";

	if (strcmp(next, subscription_name(state_number(row->next))) != 0 || step.pass != row->pass ||
	    strcmp(reply, row->reply) != 0)
		fail_msg("subscription.table:%d: got %s, %s, reply %s", line, next,
			 step.pass ? "passed" : "not passed", reply);
}

static void test_table(void **state)
{
	const char *top = getenv("top_srcdir");
	char *path = xasprintf("%s/tests/unit/subscription.table", top ? top : ".");
	FILE *table = fopen(path, "r");
	bool seen[CELLS] = { false };
	char text[256];
	int cells = 0;
	(void)state;

	assert_non_null(table);
	for (int line = 1; fgets(text, sizeof(text), table); line++) {
		struct row row;
		int cell;

		if (text[0] == '#' || text[0] == '\n')
			continue;
		read_row(line, text, &row);
		check_row(line, &row);
		cell = ((row.part - 2) * SUBSCRIPTION_EVENTS + (int)row.event) * STATES + row.state;
		assert_false(seen[cell]);
		seen[cell] = true;
		cells++;
	}
	fclose(table);
	free(path);
	assert_int_equal(cells, CELLS);
}

/* Both ends of one subscription agree when every stanza arrives: what one sends out, the other takes in. */
static void test_both_ends(void **state)
{
	(void)state;
	for (int i = 0; i < STATES; i++) {
		struct subscription us = state_number(i), them = { us.in, us.out };

		for (unsigned e = 0; e < SUBSCRIPTION_EVENTS; e++) {
			struct subscription_step ours = subscription_outbound(us, (enum subscription_event)e);
			struct subscription_step theirs =
				subscription_inbound(them, (enum subscription_event)e);

			if (!ours.pass)
				continue;
			assert_int_equal(ours.next.out, theirs.next.in);
			assert_int_equal(ours.next.in, theirs.next.out);
		}
	}
}

static void test_events(void **state)
{
	static const char *const names[SUBSCRIPTION_EVENTS] = {
		[SUBSCRIPTION_SUBSCRIBE] = "subscribe",
		[SUBSCRIPTION_SUBSCRIBED] = "subscribed",
		[SUBSCRIPTION_UNSUBSCRIBE] = "unsubscribe",
		[SUBSCRIPTION_UNSUBSCRIBED] = "unsubscribed",
	};
	static const char *const wrong[] = { "", "Subscribe", "subscribe ", "probe", "unavailable", "error" };
	enum subscription_event event = SUBSCRIPTION_EVENTS;
	(void)state;

	for (unsigned i = 0; i < SUBSCRIPTION_EVENTS; i++) {
		assert_int_equal(subscription_event_parse(names[i], &event), OK);
		assert_int_equal(event, i);
	}
	event = SUBSCRIPTION_EVENTS;
	assert_int_equal(subscription_event_parse(NULL, &event), ERR_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(subscription_event_parse(wrong[i], &event), ERR_NOT_FOUND);
	assert_int_equal(event, SUBSCRIPTION_EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_both_ends),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
