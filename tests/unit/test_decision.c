/*
 * test_decision.c - route_decide() and route_decide_local() against the cases
 * in decision.table, and against every combination there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/route/decision.h"

struct facts {
	bool has_domain, has_partner, has_user, is_local;
	struct domain domain;
	struct partner partner;
	struct user user;
};

static struct verdict decide(const struct facts *f)
{
	struct route_facts facts = {
		.domain = f->has_domain ? &f->domain : NULL,
		.partner = f->has_partner ? &f->partner : NULL,
		.user = f->has_user ? &f->user : NULL,
	};

	return f->is_local ? route_decide_local(facts.domain, facts.user) : route_decide(&facts);
}

/* Cuts "/off" from the end of a word; true when it was there. */
static bool cut_off(char *word)
{
	char *end = strstr(word, "/off");

	if (end)
		*end = '\0';
	return end != NULL;
}

static void read_domain(char *word, struct facts *f)
{
	char *unlisted;

	domain_init(&f->domain, "corp.test");
	f->has_domain = strcmp(word, "-") != 0;
	if (!f->has_domain)
		return;
	f->domain.xmpp_access = !cut_off(word);
	unlisted = strchr(word, '/');
	assert_non_null(unlisted);
	*unlisted++ = '\0';
	assert_int_equal(phase_parse(word, &f->domain.phase), OK);
	assert_int_equal(unlisted_parse(unlisted, &f->domain.unlisted), OK);
}

static void read_partner(const char *word, struct facts *f)
{
	partner_init(&f->partner, "partner.test");
	f->is_local = strcmp(word, "local") == 0;
	f->has_partner = !f->is_local && strcmp(word, "-") != 0;
	if (f->has_partner)
		assert_int_equal(partner_gateway_parse(word, &f->partner.gateway), OK);
}

static void read_user(char *word, struct facts *f)
{
	f->has_user = strcmp(word, "-") != 0;
	if (!f->has_user)
		return;
	f->user.xmpp_access = !cut_off(word);
	assert_int_equal(mark_parse(word, &f->user.mark), OK);
}

static FILE *open_table(void)
{
	const char *top = getenv("top_srcdir");
	char path[4096];
	FILE *table;

	snprintf(path, sizeof(path), "%s/tests/unit/decision.table", top ? top : ".");
	table = fopen(path, "r");
	assert_non_null(table);
	return table;
}

static void test_table(void **state)
{
	char line[256], domain[64], partner[64], user[64], route[64], pool[64];
	bool row_seen[12] = { false };
	FILE *table = open_table();
	unsigned row;
	(void)state;

	for (int number = 1; fgets(line, sizeof(line), table); number++) {
		struct facts f = { .has_domain = false };
		struct verdict v;
		const char *told;
		int fields;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		pool[0] = '\0';
		fields =
			sscanf(line, "%63s %63s %63s %u %63s %63s", domain, partner, user, &row, route, pool);
		assert_true(fields >= 5 && row <= 11);
		read_domain(domain, &f);
		read_partner(partner, &f);
		read_user(user, &f);
		v = decide(&f);
		if (v.row != row || strcmp(route_name(v.route), route) != 0 ||
		    (pool[0] && strcmp(pool_name(v.pool), pool) != 0))
			fail_msg("decision.table:%d: got row %u %s %s", number, v.row, route_name(v.route),
				 pool_name(v.pool));
		assert_true(v.reason && v.reason[0]);
		if (v.route == ROUTE_REJECT) {
			route_rejection(&v, &told);
			assert_non_null(told);
		}
		row_seen[row] = true;
	}
	fclose(table);
	for (row = 0; row < ARRAY_SIZE(row_seen); row++)
		assert_true(row_seen[row]);
}

/* The conditions of the rows once more, each by itself: the verdict's row must be the first that holds. */
static bool row_holds(unsigned row, const struct facts *f)
{
	bool moving = f->has_user && f->user.mark == MARK_MOVING;

	switch (row) {
	case 1:
		return !f->has_domain;
	case 2:
		return !f->has_partner || f->partner.gateway == GATEWAY_BLOCKED;
	case 3:
		return f->has_user ? !f->user.xmpp_access : f->has_domain && !f->domain.xmpp_access;
	case 4:
		return f->has_partner && f->partner.gateway == GATEWAY_LEGACY;
	case 5:
		return f->has_domain && f->domain.phase == PHASE_LEGACY;
	case 6:
		return moving;
	case 7:
		return f->has_partner && f->partner.gateway == GATEWAY_BRIDGE;
	case 8:
		return f->has_domain && f->domain.phase == PHASE_MIGRATED;
	case 9:
		return f->has_user && f->user.mark == MARK_MIGRATED;
	case 10:
		return f->has_user && f->user.mark == MARK_LEGACY;
	default:
		return true;
	}
}

static void check_first_row(const struct facts *f)
{
	struct verdict v = decide(f);
	unsigned first = 1;

	while (!row_holds(first, f))
		first++;
	assert_int_equal(v.row, first);
	/* A message for a user being moved never goes anywhere else, and a blocked partner never gets through. */
	if (v.route == ROUTE_GATEWAY && v.pool == POOL_NEW && f->has_user)
		assert_true(f->user.mark == MARK_MIGRATED || f->domain.phase == PHASE_MIGRATED);
	if (!f->has_partner || f->partner.gateway == GATEWAY_BLOCKED)
		assert_int_equal(v.route, ROUTE_REJECT);
}

/* Digits of a number in mixed bases enumerate every combination of facts. */
static void test_every_combination(void **state)
{
	const int bases[] = { 2, 3, 3, 2, 5, 4, 2 };
	int total = 1;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		total *= bases[i];
	for (int n = 0; n < total; n++) {
		struct facts f = { .has_domain = false };
		int digit[ARRAY_SIZE(bases)], rest = n;

		for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
			digit[i] = rest % bases[i];
			rest /= bases[i];
		}
		f.has_domain = digit[0];
		f.domain.phase = (enum phase)digit[1];
		f.domain.unlisted = (enum unlisted)digit[2];
		f.domain.xmpp_access = digit[3];
		f.has_partner = digit[4] < 4;
		f.partner.gateway = (enum partner_gateway)(digit[4] % 4);
		f.has_user = digit[5] < 3;
		f.user.mark = (enum mark)(digit[5] % 3);
		f.user.xmpp_access = digit[6];
		check_first_row(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_every_combination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
