/*
 * decisions.c - what a routing decision costs: the daemon's own, with a registry file as it is.
 *
 *	decisions REGISTRY DOMAIN PARTNER USERS COUNT
 *
 * USERS are those that bench/registries.py has written: u0@DOMAIN, u1@DOMAIN and so on. Prints one JSON object:
 * microseconds a decision, each a mean over COUNT of them.
 *
 *   any     a user of all, by chance, for each message
 *   active  a user of the same thousand
 *   alone   the same, but each message came alone: the file is asked each time whether it has changed
 *   first   any user after another program has changed the registry, when nothing is known any more; of 1,000 only
 *
 * Users are told apart by a number series with a fixed start. A verdict that is not the user's ends the program.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge/route/lookup.h"
#include "db/registry.h"

enum { ACTIVE = 1000, FIRST = 1000, READ = 50 /* messages that one read from a network brings */ };

struct bench {
	struct db *db;
	const char *domain, *partner;
	unsigned long users, series;
};

static const char usage[] = "Usage: decisions REGISTRY DOMAIN PARTNER USERS COUNT\n"
			    "\n"
			    "What a routing decision costs, in microseconds, with a registry of "
			    "bench/registries.py: u0@DOMAIN, u1@DOMAIN\n"
			    "and so on, 1,000 users or more; each figure a mean over COUNT decisions. It "
			    "changes the registry. Prints one JSON object.\n";

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "decisions: %s: %s\n", what, why);
	exit(1);
}

/* Of this process: what else the machine does is left out. */
static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static unsigned long next_user(struct bench *b, unsigned long among)
{
	b->series = b->series * 6364136223846793005 + 1442695040888963407;
	return (b->series >> 33) % among;
}

/* As the writer of the registry marked him. */
static unsigned row_of(unsigned long user)
{
	return user % 2 ? 9 : 10;
}

static void decide(struct bench *b, unsigned long user)
{
	struct jid local = { .resource = "" };
	struct verdict v;

	snprintf(local.local, sizeof(local.local), "u%lu", user);
	str_copy(local.domain, sizeof(local.domain), b->domain);
	if (route_lookup(b->db, &local, b->partner, &v) != OK)
		fail("the registry cannot be read", db_error(b->db));
	if (v.row != row_of(user))
		fail("not the row of this user", local.local);
}

static double measure(struct bench *b, unsigned long among, unsigned long count, unsigned read)
{
	double began = cpu_us();

	for (unsigned long i = 0; i < count; i++) {
		if (i % read == 0)
			registry_view_begin(b->db);
		decide(b, next_user(b, among));
		if ((i + 1) % read == 0 || i + 1 == count)
			registry_view_end(b->db);
	}
	return (cpu_us() - began) / (double)count;
}

/* Another program, as far as SQLite is concerned. */
static void change(struct db *other, const char *name)
{
	struct domain d;
	enum err e = registry_find_domain(other, name, &d);

	if (e != OK)
		fail("the domain cannot be read", name);
	d.unlisted = d.unlisted == UNLISTED_REJECT ? UNLISTED_LEGACY : UNLISTED_REJECT;
	e = db_begin(other, "bench");
	if (e == OK)
		e = registry_set_domain(other, &d);
	if (e == OK)
		e = db_commit(other);
	if (e != OK)
		fail("the registry cannot be changed", db_error(other));
}

int main(int argc, char **argv)
{
	struct bench b = { .series = 1 };
	struct db *other;
	unsigned long count = 0;
	const char *why;
	double any, active, alone, first;

	if (argc == 6) {
		b.users = strtoul(argv[4], NULL, 10);
		count = strtoul(argv[5], NULL, 10);
	}
	if (b.users < ACTIVE || count == 0) {
		bool is_asked = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(usage, is_asked ? stdout : stderr);
		return is_asked ? 0 : 2;
	}
	b.domain = argv[2];
	b.partner = argv[3];
	if (db_open(argv[1], &b.db, &why) != OK || db_open(argv[1], &other, &why) != OK)
		fail("the registry cannot be opened", why);
	registry_keep_rows(b.db);
	change(other, b.domain);
	first = measure(&b, b.users, FIRST, READ);
	(void)measure(&b, b.users, count, READ); /* warm */
	any = measure(&b, b.users, count, READ);
	active = measure(&b, ACTIVE, count, READ);
	alone = measure(&b, ACTIVE, count, 1);
	printf("{\"any\": %.3f, \"active\": %.3f, \"alone\": %.3f, \"first\": %.3f}\n", any, active, alone,
	       first);
	db_close(other);
	db_close(b.db);
	return 0;
}
