/* Tests of registry.h: words, rows, look-ups, lists, and the rules that the schema keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/registry.h"
#include "db/statement.h"
#include "tests/unit/dbtest.h"

static const char actor[] = "tester";

#define CHANGE(t, call)                                                                                      \
	do {                                                                                                 \
		assert_int_equal(db_begin((t)->db, actor), OK);                                              \
		assert_int_equal(call, OK);                                                                  \
		assert_int_equal(db_commit((t)->db), OK);                                                    \
	} while (0)

#define REFUSE(t, expected, call)                                                                            \
	do {                                                                                                 \
		assert_int_equal(db_begin((t)->db, actor), OK);                                              \
		assert_int_equal(call, expected);                                                            \
		db_rollback((t)->db);                                                                        \
	} while (0)

static void add_domain(struct dbtest *t, const char *name)
{
	struct domain d;

	domain_init(&d, name);
	CHANGE(t, registry_add_domain(t->db, &d));
}

static void add_partner(struct dbtest *t, const char *name)
{
	struct partner p;

	partner_init(&p, name);
	CHANGE(t, registry_add_partner(t->db, &p));
}

/* Every word of a table: to the enum and back, and accepted by the schema. */
#define CHECK_WORDS(t, type, name_fn, parse_fn, last, format)                                                \
	do {                                                                                                 \
		enum type v = (enum type)99, back;                                                           \
		char sql[256];                                                                               \
		assert_int_equal(parse_fn("LEGACY", &v), ERR_SYNTAX);                                        \
		assert_int_equal(parse_fn("", &v), ERR_SYNTAX);                                              \
		assert_int_equal(parse_fn(NULL, &v), ERR_SYNTAX);                                            \
		assert_int_equal(v, 99);                                                                     \
		for (int i = 0; i <= (int)(last); i++) {                                                     \
			assert_int_equal(parse_fn(name_fn((enum type)i), &back), OK);                        \
			assert_int_equal(back, i);                                                           \
			snprintf(sql, sizeof(sql), format, name_fn((enum type)i));                           \
			assert_null(dbtest_sql(t, sql));                                                     \
		}                                                                                            \
	} while (0)

static void test_words(void **state)
{
	struct dbtest *t = *state;

	add_domain(t, "corp.test");
	add_partner(t, "partner.test");
	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_LEGACY, NULL));
	CHECK_WORDS(t, phase, phase_name, phase_parse, PHASE_MIGRATED, "UPDATE domain SET phase = '%s'");
	CHECK_WORDS(t, unlisted, unlisted_name, unlisted_parse, UNLISTED_REJECT,
		    "UPDATE domain SET unlisted = '%s'");
	CHECK_WORDS(t, mark, mark_name, mark_parse, MARK_MIGRATED, "UPDATE user SET mark = '%s'");
	CHECK_WORDS(t, partner_gateway, partner_gateway_name, partner_gateway_parse, GATEWAY_BLOCKED,
		    "UPDATE partner SET gateway = '%s'");
	CHECK_WORDS(t, partner_type, partner_type_name, partner_type_parse, PARTNER_PUBLIC_UNVERIFIED,
		    "UPDATE partner SET type = '%s'");
	CHECK_WORDS(t, requirement, requirement_name, requirement_parse, REQUIRE_REQUIRED,
		    "UPDATE partner SET tls = '%s'");
	CHECK_WORDS(t, requirement, requirement_name, requirement_parse, REQUIRE_REQUIRED,
		    "UPDATE partner SET sasl = '%s'");
}

static void test_domain(void **state)
{
	struct dbtest *t = *state;
	struct domain d, found;

	domain_init(&d, "corp.test");
	assert_int_equal(d.phase, PHASE_COEXIST);
	assert_int_equal(d.unlisted, UNLISTED_LEGACY);
	assert_true(d.xmpp_access);
	CHANGE(t, registry_add_domain(t->db, &d));
	REFUSE(t, ERR_EXISTS, registry_add_domain(t->db, &d));

	d.phase = PHASE_MIGRATED;
	d.unlisted = UNLISTED_REJECT;
	d.xmpp_access = false;
	CHANGE(t, registry_set_domain(t->db, &d));
	assert_int_equal(registry_find_domain(t->db, "corp.test", &found), OK);
	assert_memory_equal(&found, &d, sizeof(d));

	domain_init(&d, "other.test");
	REFUSE(t, ERR_NOT_FOUND, registry_set_domain(t->db, &d));
	REFUSE(t, ERR_NOT_FOUND, registry_remove_domain(t->db, "other.test"));
	memset(&found, 0x5a, sizeof(found));
	d = found;
	assert_int_equal(registry_find_domain(t->db, "other.test", &found), ERR_NOT_FOUND);
	assert_memory_equal(&found, &d, sizeof(d)); /* untouched */

	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_LEGACY, NULL));
	REFUSE(t, ERR_CONFLICT, registry_remove_domain(t->db, "corp.test"));
	CHANGE(t, registry_remove_user(t->db, "bob@corp.test"));
	CHANGE(t, registry_remove_domain(t->db, "corp.test"));
	assert_int_equal(registry_find_domain(t->db, "corp.test", &found), ERR_NOT_FOUND);
}

static void test_partner(void **state)
{
	struct dbtest *t = *state;
	struct partner p, found;

	partner_init(&p, "partner.test");
	CHANGE(t, registry_add_partner(t->db, &p));
	assert_int_equal(registry_get_partner(t->db, "partner.test", &found), OK);
	assert_memory_equal(&found, &p, sizeof(p));
	REFUSE(t, ERR_EXISTS, registry_add_partner(t->db, &p));

	p.gateway = GATEWAY_BRIDGE;
	p.type = PARTNER_PUBLIC_UNVERIFIED;
	p.tls = REQUIRE_OPTIONAL;
	p.sasl = REQUIRE_REQUIRED;
	p.dialback = false;
	p.keepalive = false;
	p.connections = 4294967295U;
	strcpy(p.proxy, "[2001:db8::1]:5269");
	memset(p.description, 'x', sizeof(p.description) - 1);
	memcpy(p.description, "\"quoted\",\n\xc3\xbc", 12);
	CHANGE(t, registry_set_partner(t->db, &p));
	assert_int_equal(registry_get_partner(t->db, "partner.test", &found), OK);
	assert_memory_equal(&found, &p, sizeof(p));

	p.tls = REQUIRE_NONE;
	REFUSE(t, ERR_REFUSED, registry_set_partner(t->db, &p));
	assert_non_null(strstr(db_error(t->db), "cannot be authenticated"));
	partner_init(&p, "other.test");
	REFUSE(t, ERR_NOT_FOUND, registry_set_partner(t->db, &p));
	REFUSE(t, ERR_NOT_FOUND, registry_remove_partner(t->db, "other.test"));
	CHANGE(t, registry_remove_partner(t->db, "partner.test"));
	assert_int_equal(registry_get_partner(t->db, "partner.test", &found), ERR_NOT_FOUND);
}

static bool append_alias(void *ctx, const char *alias)
{
	strcat(ctx, alias);
	strcat(ctx, " ");
	return true;
}

static void test_aliases(void **state)
{
	struct dbtest *t = *state;
	struct partner p;
	char list[256] = "";

	add_partner(t, "partner.test");
	add_partner(t, "second.test");
	CHANGE(t, registry_add_alias(t->db, "partner.test", "b.test"));
	CHANGE(t, registry_add_alias(t->db, "partner.test", "a.test"));
	REFUSE(t, ERR_EXISTS, registry_add_alias(t->db, "second.test", "a.test"));
	REFUSE(t, ERR_EXISTS, registry_add_alias(t->db, "partner.test", "second.test"));
	REFUSE(t, ERR_EXISTS, registry_add_alias(t->db, "partner.test", "partner.test"));
	REFUSE(t, ERR_NOT_FOUND, registry_add_alias(t->db, "third.test", "c.test"));
	REFUSE(t, ERR_REFUSED, registry_add_alias(t->db, "partner.test", "*"));
	REFUSE(t, ERR_NOT_FOUND, registry_remove_alias(t->db, "second.test", "a.test"));
	partner_init(&p, "a.test");
	REFUSE(t, ERR_REFUSED, registry_add_partner(t->db, &p));
	assert_non_null(strstr(db_error(t->db), "alias of another partner"));

	assert_int_equal(registry_each_alias(t->db, "partner.test", append_alias, list), OK);
	assert_string_equal(list, "a.test b.test ");
	CHANGE(t, registry_remove_alias(t->db, "partner.test", "b.test"));
	CHANGE(t, registry_remove_partner(t->db, "partner.test"));
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM partner_alias"), "0");
}

static void test_find_partner(void **state)
{
	struct dbtest *t = *state;
	struct partner p;

	add_partner(t, "partner.test");
	CHANGE(t, registry_add_alias(t->db, "partner.test", "alias.test"));
	assert_int_equal(registry_find_partner(t->db, "partner.test", &p), OK);
	assert_string_equal(p.name, "partner.test");
	assert_int_equal(registry_find_partner(t->db, "alias.test", &p), OK);
	assert_string_equal(p.name, "partner.test");
	assert_int_equal(registry_find_partner(t->db, "sub.partner.test", &p), ERR_NOT_FOUND);
	assert_int_equal(registry_find_partner(t->db, "", &p), ERR_NOT_FOUND);
	add_partner(t, "*");
	assert_int_equal(registry_find_partner(t->db, "sub.partner.test", &p), OK);
	assert_string_equal(p.name, "*");
	assert_int_equal(registry_find_partner(t->db, "alias.test", &p), OK);
	assert_string_equal(p.name, "partner.test");
	assert_int_equal(registry_get_partner(t->db, "alias.test", &p), ERR_NOT_FOUND);
}

static void test_user(void **state)
{
	struct dbtest *t = *state;
	struct user u;
	bool changed = false;

	add_domain(t, "corp.test");
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_NOT_FOUND);
	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_MOVING, &changed));
	assert_true(changed);
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), OK);
	assert_string_equal(u.address, "bob@corp.test");
	assert_string_equal(u.domain, "corp.test");
	assert_int_equal(u.mark, MARK_MOVING);
	assert_true(u.xmpp_access);

	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_MOVING, &changed));
	assert_false(changed);
	CHANGE(t, registry_set_user_access(t->db, "bob@corp.test", false));
	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_LEGACY, &changed));
	assert_true(changed);
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), OK);
	assert_false(u.xmpp_access); /* a mark leaves it alone */
	assert_int_equal(u.mark, MARK_LEGACY);

	changed = true;
	REFUSE(t, ERR_NOT_FOUND, registry_mark_user(t->db, "bob@other.test", MARK_LEGACY, &changed));
	REFUSE(t, ERR_REFUSED, registry_mark_user(t->db, "corp.test", MARK_LEGACY, &changed));
	REFUSE(t, ERR_REFUSED, registry_mark_user(t->db, "Bob@corp.test", MARK_LEGACY, &changed));
	REFUSE(t, ERR_NOT_FOUND, registry_set_user_access(t->db, "al@corp.test", true));
	REFUSE(t, ERR_NOT_FOUND, registry_remove_user(t->db, "al@corp.test"));
	assert_true(changed); /* untouched */
	CHANGE(t, registry_remove_user(t->db, "bob@corp.test"));
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_NOT_FOUND);
}

static void append_name(void *ctx, const char *address)
{
	strcat(strcat(ctx, address), " ");
}

static void test_users_at_once(void **state)
{
	static const char list[] = "[\"a@corp.test\", \"b@corp.test\", \"b@corp.test\", \"c@corp.test\", "
				   "\"d@none.test\", \"Ä@corp.test\"]";
	struct dbtest *t = *state;
	char unlisted[200] = "";
	int64_t changed = -1;
	struct user u;

	add_domain(t, "corp.test");
	CHANGE(t, registry_mark_user(t->db, "a@corp.test", MARK_MOVING, NULL));
	CHANGE(t, registry_mark_user(t->db, "b@corp.test", MARK_LEGACY, NULL));
	CHANGE(t, registry_mark_listed(t->db, list, MARK_MOVING, &changed));
	assert_int_equal(changed, 1);
	assert_int_equal(registry_find_user(t->db, "b@corp.test", &u), OK);
	assert_int_equal(u.mark, MARK_MOVING);
	assert_int_equal(registry_find_user(t->db, "c@corp.test", &u), ERR_NOT_FOUND);
	assert_int_equal(registry_each_unlisted(t->db, list, append_name, unlisted), OK);
	assert_string_equal(unlisted, "c@corp.test d@none.test Ä@corp.test ");
	REFUSE(t, ERR_IO, registry_mark_listed(t->db, "no list", MARK_MOVING, &changed));
}

static bool append_user(void *ctx, const struct user *u)
{
	strncat(ctx, u->address, (size_t)(strchr(u->address, '@') - u->address));
	strcat(ctx, " ");
	return true;
}

static void test_user_lists(void **state)
{
	static const struct {
		struct user_filter filter;
		const char *expected;
		int64_t count;
	} cases[] = {
		{ { 0 }, "a b c d ", 4 },
		{ { .domain = "corp.test" }, "a b c ", 3 },
		{ { .domain = "none.test" }, "", 0 },
		{ { .has_mark = true, .mark = MARK_LEGACY }, "a d ", 2 },
		{ { .domain = "corp.test", .has_mark = true, .mark = MARK_LEGACY }, "a ", 1 },
		{ { .has_mark = true, .mark = MARK_MOVING }, "c ", 1 },
		{ { .after = "b@corp.test" }, "c d ", 2 },
		{ { .limit = 2 }, "a b ", 4 },
		{ { .after = "a@corp.test", .limit = 1 }, "b ", 3 },
	};
	struct dbtest *t = *state;

	add_domain(t, "corp.test");
	add_domain(t, "other.test");
	assert_null(dbtest_sql(t, "INSERT INTO user (address, mark) VALUES ('d@other.test', 'legacy'),"
				  "('c@corp.test', 'moving'), ('b@corp.test', 'migrated'),"
				  "('a@corp.test', 'legacy')"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char list[64] = "";
		int64_t count = -1;

		assert_int_equal(registry_each_user(t->db, &cases[i].filter, append_user, list), OK);
		assert_string_equal(list, cases[i].expected);
		assert_int_equal(registry_count_users(t->db, &cases[i].filter, &count), OK);
		assert_int_equal(count, cases[i].count);
	}
}

/* A callback may ask the registry again, even for the same list. */
struct walk {
	struct db *db;
	int domains, inner;
};

static bool count_inner(void *ctx, const struct domain *d)
{
	struct walk *w = ctx;

	(void)d;
	w->inner++;
	return false; /* ends the inner walk at its first row */
}

static bool walk_again(void *ctx, const struct domain *d)
{
	struct walk *w = ctx;

	(void)d;
	w->domains++;
	return registry_each_domain(w->db, count_inner, w) == OK;
}

static void test_walk_in_a_walk(void **state)
{
	struct dbtest *t = *state;
	struct walk w = { .db = t->db };

	add_domain(t, "a.test");
	add_domain(t, "b.test");
	add_domain(t, "c.test");
	assert_int_equal(registry_each_domain(t->db, walk_again, &w), OK);
	assert_int_equal(w.domains, 3);
	assert_int_equal(w.inner, 3);
}

/* What an administrator may type: NULL is done, else words of the refusal. */
static void test_hand_typed(void **state)
{
	static const struct {
		const char *sql, *refusal;
	} cases[] = {
		{ "INSERT INTO domain (name) VALUES ('corp.test')", NULL },
		{ "INSERT INTO domain (name, xmpp_access) VALUES ('off.test', 'off'), ('one.test', '1')",
		  NULL },
		{ "INSERT INTO domain (name) VALUES ('Corp2.test')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('m\xc3\xbcller.test')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('bob@corp.test')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('corp.test/x')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('corp.test ')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('corp.test.')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('corp..test')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('.test')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES ('*')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES (NULL)", "NOT NULL" },
		{ "INSERT INTO domain (name) VALUES (x'612e74657374')", "lower-case ASCII" },
		{ "INSERT INTO domain (name) VALUES (replace(hex(zeroblob(127)), '00', 'aa'))",
		  "lower-case ASCII" },
		{ "INSERT INTO domain (name, phase) VALUES ('x.test', 'Legacy')", "domain.phase is" },
		{ "UPDATE domain SET phase = NULL", "NOT NULL" },
		{ "UPDATE domain SET unlisted = 'moving'", "domain.unlisted is" },
		{ "UPDATE domain SET xmpp_access = 2", "domain.xmpp_access is" },
		{ "UPDATE domain SET xmpp_access = 'maybe'", "domain.xmpp_access is" },

		{ "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'legacy')", NULL },
		{ "INSERT INTO user (address, domain, mark) VALUES ('al@corp.test', 'corp.test', 'legacy')",
		  NULL },
		{ "INSERT INTO user (address, mark) VALUES ('m\xc3\xbcller@corp.test', 'legacy')", NULL },
		{ "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'moving')", "UNIQUE" },
		{ "INSERT INTO user (address, domain, mark) VALUES ('x@corp.test', 'off.test', 'legacy')",
		  "after the @" },
		{ "INSERT INTO user (address, mark) VALUES ('x@none.test', 'legacy')",
		  "not in the registry" },
		{ "INSERT INTO user (address, mark) VALUES ('Bob@CORP.test', 'legacy')", "lower case" },
		{ "INSERT INTO user (address, mark) VALUES ('sip:x@corp.test', 'legacy')", "no sip:" },
		{ "INSERT INTO user (address, mark) VALUES ('x@y@corp.test', 'legacy')",
		  "not in the registry" },
		{ "INSERT INTO user (address, mark) VALUES ('@corp.test', 'legacy')", "local@domain" },
		{ "INSERT INTO user (address, mark) VALUES ('corp.test', 'legacy')", "local@domain" },
		{ "INSERT INTO user (address, mark) VALUES ('x/y@corp.test', 'legacy')", "local@domain" },
		{ "INSERT INTO user (address, mark) VALUES ('x y@corp.test', 'legacy')", "local@domain" },
		{ "INSERT INTO user (address, mark) VALUES ('x' || char(9) || '@corp.test', 'legacy')",
		  "local@domain" },
		{ "INSERT INTO user (address, mark) VALUES ('x' || char(0) || '@corp.test', 'legacy')",
		  "not in the registry" },
		{ "INSERT INTO user (address, mark) VALUES ('x@corp.test', 'gone')", "user.mark is" },
		{ "INSERT INTO user (address) VALUES ('x@corp.test')", "NOT NULL" },
		{ "UPDATE user SET domain = NULL", "after the @" },
		{ "UPDATE user SET address = 'al@corp.test' WHERE address = 'bob@corp.test'", "already" },
		{ "UPDATE OR REPLACE user SET address = 'al@corp.test' WHERE address = 'bob@corp.test'",
		  "already" },
		{ "UPDATE user SET address = 'bob@off.test' WHERE address = 'bob@corp.test'", "after the @" },
		{ "UPDATE user SET address = 'bob@off.test', domain = 'off.test' "
		  "WHERE address = 'bob@corp.test'",
		  NULL },
		{ "UPDATE domain SET name = 'new.test' WHERE name = 'corp.test'", "remove them first" },
		{ "DELETE FROM domain WHERE name = 'corp.test'", "remove them first" },
		{ "DELETE FROM domain WHERE name = 'one.test'", NULL },

		{ "INSERT INTO partner (name) VALUES ('partner.test')", NULL },
		{ "INSERT INTO partner (name) VALUES ('*')", NULL },
		{ "INSERT INTO partner (name) VALUES ('*.test')", "partner.name is" },
		{ "INSERT INTO partner (name) VALUES ('Partner.test')", "partner.name is" },
		{ "UPDATE partner SET gateway = 'none'", "partner.gateway is" },
		{ "UPDATE partner SET type = 'x'", "partner.type is" },
		{ "UPDATE partner SET connections = -1", "partner.connections is" },
		{ "UPDATE partner SET connections = 'many'", "partner.connections is" },
		{ "UPDATE partner SET connections = 4294967296", "partner.connections is" },
		{ "UPDATE partner SET proxy = 'a b'", "partner.proxy is" },
		{ "UPDATE partner SET proxy = 'gw.partner.test:5269'", NULL },
		{ "UPDATE partner SET description = hex(zeroblob(256))", "partner.description is" },
		{ "UPDATE partner SET keepalive = 'no', dialback = 'yes'", NULL },
		{ "UPDATE partner SET dialback = 'no', tls = 'none'", "cannot be authenticated" },
		{ "UPDATE partner SET dialback = 0, sasl = 'none'", "cannot be authenticated" },
		{ "UPDATE partner SET dialback = 0", NULL },
		{ "UPDATE partner SET sasl = 'none'", "cannot be authenticated" },
		{ "INSERT INTO partner_alias VALUES ('alias.test', 'partner.test')", NULL },
		{ "INSERT INTO partner_alias VALUES ('b.test', 'none.test')", "not in the registry" },
		{ "INSERT INTO partner_alias VALUES ('b.test', '*')", "not *" },
		{ "INSERT INTO partner_alias VALUES ('partner.test', 'partner.test')", "name of a partner" },
		{ "INSERT INTO partner (name) VALUES ('alias.test')", "alias of another" },
		{ "UPDATE partner SET name = 'alias.test' WHERE name = 'partner.test'", "alias of" },
		{ "UPDATE partner SET name = 'renamed.test' WHERE name = 'partner.test'", NULL },
		{ "UPDATE partner_alias SET partner = 'none.test'", "not in the registry" },
		{ "UPDATE partner_alias SET alias = 'renamed.test'", "name of a partner" },
	};
	struct dbtest *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *error = dbtest_sql(t, cases[i].sql);

		if (!cases[i].refusal ? error != NULL : !error || !strstr(error, cases[i].refusal))
			fail_msg("%s: expected %s, was %s", cases[i].sql,
				 cases[i].refusal ? cases[i].refusal : "success", error ? error : "success");
	}
	/* The key followed the partner, and the domain was filled in. */
	assert_string_equal(dbtest_value(t, "SELECT partner FROM partner_alias"), "renamed.test");
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM user WHERE domain IS NULL"), "0");
	assert_string_equal(dbtest_value(t, "PRAGMA foreign_key_check"), "");
	assert_null(dbtest_sql(t, "DELETE FROM partner WHERE name = 'renamed.test'"));
	assert_string_equal(dbtest_value(t, "SELECT count(*) FROM partner_alias"), "0");
}

/* Every combination of the negotiation matrix, against what the schema lets in. */
static void test_authentication(void **state)
{
	struct dbtest *t = *state;

	for (int tls = REQUIRE_NONE; tls <= REQUIRE_REQUIRED; tls++)
		for (int sasl = REQUIRE_NONE; sasl <= REQUIRE_REQUIRED; sasl++)
			for (int dialback = 0; dialback < 2; dialback++) {
				bool valid = dialback || (tls != REQUIRE_NONE && sasl != REQUIRE_NONE);
				struct partner p;

				partner_init(&p, "partner.test");
				p.tls = (enum requirement)tls;
				p.sasl = (enum requirement)sasl;
				p.dialback = dialback;
				REFUSE(t, valid ? OK : ERR_REFUSED, registry_add_partner(t->db, &p));
			}
}

static void test_booleans(void **state)
{
	static const struct {
		const char *value;
		bool expected;
	} cases[] = {
		{ "1", true },  { "'1'", true },  { "'on'", true },   { "'yes'", true }, { "TRUE", true },
		{ "0", false }, { "'0'", false }, { "'off'", false }, { "'no'", false }, { "FALSE", false },
	};
	struct dbtest *t = *state;

	add_domain(t, "corp.test");
	add_partner(t, "partner.test");
	CHANGE(t, registry_mark_user(t->db, "bob@corp.test", MARK_LEGACY, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct domain d;
		struct partner p;
		struct user u;
		char sql[256];

		snprintf(sql, sizeof(sql),
			 "UPDATE domain SET xmpp_access = %s; UPDATE user SET xmpp_access = %s;"
			 "UPDATE partner SET keepalive = %s, dialback = %s",
			 cases[i].value, cases[i].value, cases[i].value, cases[i].value);
		assert_null(dbtest_sql(t, sql));
		assert_int_equal(registry_find_domain(t->db, "corp.test", &d), OK);
		assert_int_equal(d.xmpp_access, cases[i].expected);
		assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), OK);
		assert_int_equal(u.xmpp_access, cases[i].expected);
		assert_int_equal(registry_find_partner(t->db, "partner.test", &p), OK);
		assert_int_equal(p.keepalive, cases[i].expected);
		assert_int_equal(p.dialback, cases[i].expected);
	}
}

/* A row that no rule would have let in is damage, not a default. */
static void test_damaged_row(void **state)
{
	struct dbtest *t = *state;
	struct user u;

	add_domain(t, "corp.test");
	assert_null(dbtest_sql(t, "PRAGMA ignore_check_constraints = ON;"
				  "INSERT INTO user (address, mark) VALUES ('bob@corp.test', 'gone')"));
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_IO);
	assert_non_null(strstr(db_error(t->db), "damaged"));
}

/* How the statements prepared so far reach their rows, as SQLite plans it. */
static bool plans_hold(struct db *db, const char *word)
{
	bool found = false;

	for (sqlite3_stmt *st = NULL; (st = sqlite3_next_stmt(db->handle, st));) {
		char *sql = xasprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(st));
		sqlite3_stmt *plan = NULL;

		if (strncmp(sqlite3_sql(st), "SELECT", 6) == 0 && !strstr(sqlite3_sql(st), "sqlite_schema")) {
			assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &plan, NULL), SQLITE_OK);
			while (sqlite3_step(plan) == SQLITE_ROW)
				found |= strstr((const char *)sqlite3_column_text(plan, 3), word) != NULL;
			sqlite3_finalize(plan);
		}
		free(sql);
	}
	return found;
}

/* Each look-up is a descent of a primary key: tests/unit/test_load has the numbers to it. */
static void test_look_ups_are_indexed(void **state)
{
	struct dbtest *t = *state;
	struct domain d;
	struct partner p;
	struct user u;

	assert_int_equal(registry_find_domain(t->db, "corp.test", &d), ERR_NOT_FOUND);
	assert_int_equal(registry_find_partner(t->db, "partner.test", &p), ERR_NOT_FOUND);
	assert_int_equal(registry_find_user(t->db, "bob@corp.test", &u), ERR_NOT_FOUND);
	assert_false(plans_hold(t->db, "SCAN"));
	assert_false(plans_hold(t->db, ">?"));
	assert_true(plans_hold(t->db, "SEARCH domain USING PRIMARY KEY (name=?)"));
	assert_true(plans_hold(t->db, "SEARCH partner USING PRIMARY KEY (name=?)"));
	assert_true(plans_hold(t->db, "SEARCH partner_alias USING PRIMARY KEY (alias=?)"));
	assert_true(plans_hold(t->db, "SEARCH user USING PRIMARY KEY (address=?)"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, dbtest_setup, dbtest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_words),          CASE(test_domain),
		CASE(test_partner),        CASE(test_aliases),
		CASE(test_find_partner),   CASE(test_user),
		CASE(test_users_at_once),  CASE(test_user_lists),
		CASE(test_walk_in_a_walk), CASE(test_hand_typed),
		CASE(test_authentication), CASE(test_booleans),
		CASE(test_damaged_row),    CASE(test_look_ups_are_indexed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
