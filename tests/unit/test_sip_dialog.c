/*
 * test_sip_dialog.c - dialogs as values: what makes them, what changes them,
 * their keys, and the way to the state file and back. What they do on the wire
 * is tested by test_endpoint_calls.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/sip/dialog.h"

/* A request that creates a dialog; without a view, it has no Record-Route. */
static const struct sip_request invite = {
	.method = "INVITE",
	.pool = POOL_LEGACY,
	.from_uri = "sip:romeo@corp.test",
	.to_uri = "sip:juliet@partner.test",
	.from_tag = "R1",
	.local_tag = "j1",
	.call_id = "Call-1@x",
	.cseq = 7,
	.contact_uri = "sip:10.1.1.1:5070;transport=tcp",
};

static char *text_of(const struct sip_dialog *d)
{
	json_t *j = sip_dialog_write(d);
	char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

	assert_non_null(text);
	json_decref(j);
	return text;
}

static void test_create(void **state)
{
	struct sip_dialog *a = sip_dialog_create(POOL_NEW, "sip:j@p.test", "sip:r@c.test", NULL);
	struct sip_dialog *b = sip_dialog_create(POOL_NEW, "sip:j@p.test", "sip:r@c.test", "given");
	(void)state;

	assert_int_equal(strlen(a->call_id), 32);
	assert_int_equal(strlen(a->local_tag), 32);
	assert_string_not_equal(a->call_id, a->local_tag);
	assert_string_not_equal(a->local_tag, b->local_tag);
	assert_string_equal(b->call_id, "given");
	assert_null(a->remote_tag);
	assert_null(a->target);
	assert_int_equal(a->local_cseq, 0);
	sip_dialog_free(a);
	sip_dialog_free(b);
	sip_dialog_free(NULL);
}

static void test_accept(void **state)
{
	struct sip_request r = invite;
	struct sip_dialog *d = NULL;
	(void)state;

	assert_int_equal(sip_dialog_accept(&r, &d), OK);
	assert_int_equal(d->pool, POOL_LEGACY);
	assert_string_equal(d->call_id, "Call-1@x");
	assert_string_equal(d->local_uri, "sip:juliet@partner.test");
	assert_string_equal(d->remote_uri, "sip:romeo@corp.test");
	assert_string_equal(d->local_tag, "j1");
	assert_string_equal(d->remote_tag, "R1");
	assert_string_equal(d->target, "sip:10.1.1.1:5070;transport=tcp");
	assert_int_equal(d->remote_cseq, 7);
	assert_int_equal(d->local_cseq, 0);
	sip_dialog_free(d);

	/* Another allowed peer; a request that has no transaction. */
	r.pool = -1;
	r.local_tag = NULL;
	assert_int_equal(sip_dialog_accept(&r, &d), OK);
	assert_int_equal(d->pool, POOL_NEW);
	assert_int_equal(strlen(d->local_tag), 32);
	sip_dialog_free(d);
}

static void test_not_accepted(void **state)
{
	char long_id[SIP_CALL_ID_MAX + 2], long_tag[SIP_TAG_MAX + 2];
	struct sip_dialog *d = NULL;
	struct sip_request r;
	(void)state;

	memset(long_id, 'x', sizeof(long_id));
	memset(long_tag, 'x', sizeof(long_tag));
	long_id[sizeof(long_id) - 1] = long_tag[sizeof(long_tag) - 1] = '\0';
	r = invite;
	r.from_tag = NULL;
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_SYNTAX);
	r = invite;
	r.contact_uri = NULL;
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_SYNTAX);
	r = invite;
	r.contact_uri = "mailto:romeo@corp.test";
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_SYNTAX);
	r = invite;
	r.to_uri = NULL; /* a tel: in To */
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_SYNTAX);
	r = invite;
	r.call_id = long_id;
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_LIMIT);
	r = invite;
	r.from_tag = long_tag;
	assert_int_equal(sip_dialog_accept(&r, &d), ERR_LIMIT);
	assert_null(d);
	r.from_tag = long_tag + 1;
	assert_int_equal(sip_dialog_accept(&r, &d), OK);
	sip_dialog_free(d);
}

/* RFC 3261 section 12.2.2: order, and which requests refresh the target. */
static void test_take(void **state)
{
	static const struct {
		const char *method;
		uint32_t cseq;
		const char *contact;
		bool taken;
		const char *target; /* afterwards */
	} cases[] = {
		{ "MESSAGE", 7, NULL, false, "sip:10.1.1.1:5070;transport=tcp" },
		{ "MESSAGE", 0, NULL, false, "sip:10.1.1.1:5070;transport=tcp" },
		{ "MESSAGE", 8, "sip:10.2.2.2", true, "sip:10.1.1.1:5070;transport=tcp" },
		{ "INVITE", 12, "sip:10.2.2.2", true, "sip:10.2.2.2" },
		{ "INVITE", 11, "sip:10.3.3.3", false, "sip:10.2.2.2" },
		{ "INVITE", 13, NULL, true, "sip:10.2.2.2" },
		{ "NOTIFY", 14, "sip:10.4.4.4", true, "sip:10.4.4.4" },
		{ "BENOTIFY", 15, "sip:10.5.5.5", true, "sip:10.5.5.5" },
		{ "SUBSCRIBE", 16, "not a URI", true, "sip:10.5.5.5" },
		{ "BYE", UINT32_MAX, "sip:10.6.6.6", true, "sip:10.5.5.5" },
		{ "BYE", UINT32_MAX, NULL, false, "sip:10.5.5.5" },
	};
	struct sip_dialog *d = NULL;
	(void)state;

	assert_int_equal(sip_dialog_accept(&invite, &d), OK);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sip_request r = invite;

		r.method = cases[i].method;
		r.cseq = cases[i].cseq;
		r.to_tag = "j1";
		r.from_tag = "another"; /* the dialog has its own */
		r.contact_uri = cases[i].contact;
		assert_int_equal(sip_dialog_take(d, &r), cases[i].taken);
		assert_string_equal(d->target, cases[i].target);
		assert_string_equal(d->remote_tag, "R1");
	}
	sip_dialog_free(d);
}

static void test_confirm(void **state)
{
	struct sip_dialog *d = sip_dialog_create(POOL_NEW, "sip:j@p.test", "sip:r@c.test", NULL);
	struct sip_response response = { .status = 200, .contact_uri = "sip:10.1.1.1" };
	(void)state;

	sip_dialog_confirm(d, &response); /* no tag: a peer of old */
	assert_null(d->remote_tag);
	assert_string_equal(d->target, "sip:10.1.1.1");
	response.to_tag = "r1";
	response.contact_uri = NULL;
	sip_dialog_confirm(d, &response);
	assert_string_equal(d->remote_tag, "r1");
	assert_string_equal(d->target, "sip:10.1.1.1");
	response.to_tag = "r2";
	response.contact_uri = "sip:10.2.2.2";
	sip_dialog_confirm(d, &response);
	assert_string_equal(d->remote_tag, "r1");
	assert_string_equal(d->target, "sip:10.2.2.2");
	sip_dialog_free(d);
}

static void test_keys(void **state)
{
	char ours[SIP_DIALOG_KEY_SIZE], theirs[SIP_DIALOG_KEY_SIZE], long_id[SIP_CALL_ID_MAX + 2];
	struct sip_request r = invite;
	struct sip_dialog *d = NULL, *early;
	(void)state;

	assert_int_equal(sip_dialog_accept(&invite, &d), OK);
	assert_true(sip_dialog_key(d, ours));
	assert_false(sip_request_dialog_key(&r, theirs)); /* outside a dialog */
	r.to_tag = "J1";
	r.from_tag = "r1";
	assert_true(sip_request_dialog_key(&r, theirs)); /* tags have no case */
	assert_string_equal(ours, theirs);
	r.call_id = "call-1@x"; /* Call-IDs do */
	assert_true(sip_request_dialog_key(&r, theirs));
	assert_string_not_equal(ours, theirs);
	r = invite;
	r.to_tag = "r1";
	r.from_tag = "j1"; /* the other way round */
	assert_true(sip_request_dialog_key(&r, theirs));
	assert_string_not_equal(ours, theirs);
	r.from_tag = NULL;
	assert_false(sip_request_dialog_key(&r, theirs));

	/* Before the other side has its tag. */
	early = sip_dialog_create(POOL_NEW, "sip:j@p.test", "sip:r@c.test", "x");
	assert_true(sip_dialog_key(early, ours));
	r = invite;
	r.call_id = "x";
	r.to_tag = early->local_tag;
	assert_true(sip_request_early_key(&r, theirs));
	assert_string_equal(ours, theirs);
	assert_true(sip_request_dialog_key(&r, theirs));
	assert_string_not_equal(ours, theirs);
	r.to_tag = NULL;
	assert_false(sip_request_early_key(&r, theirs));
	sip_dialog_free(early);

	memset(long_id, 'x', sizeof(long_id));
	long_id[sizeof(long_id) - 1] = '\0';
	r = invite;
	r.to_tag = "j1";
	r.call_id = long_id;
	assert_false(sip_request_dialog_key(&r, theirs));
	sip_dialog_free(d);
}

static void test_round_trip(void **state)
{
	struct sip_dialog *early =
		sip_dialog_create(POOL_NEW, "sip:tsch%C3%BCss@p.test", "sip:r@c.test", NULL);
	struct sip_dialog *full = NULL, *copy, *read = NULL;
	struct sip_dialog *all[2];
	(void)state;

	assert_int_equal(sip_dialog_accept(&invite, &full), OK);
	full->local_cseq = 0x7fffffff;
	full->remote_cseq = UINT32_MAX;
	assert_null(full->route);
	full->route = xcalloc(2, sizeof(*full->route));
	full->route_count = 2;
	full->route[0] = xstrdup("sip:a.test;lr;opaque=state:F");
	full->route[1] = xstrdup("sip:b.test:5061;transport=tls");
	all[0] = early;
	all[1] = full;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		json_t *j = sip_dialog_write(all[i]);
		char *before = text_of(all[i]), *after;

		assert_int_equal(sip_dialog_read(j, &read), OK);
		after = text_of(read);
		assert_string_equal(before, after);
		free(after);
		copy = sip_dialog_copy(read);
		sip_dialog_free(read);
		after = text_of(copy);
		assert_string_equal(before, after);
		free(after);
		free(before);
		sip_dialog_free(copy);
		json_decref(j);
	}
	sip_dialog_free(early);
	sip_dialog_free(full);
}

/* The file is on a disk: every part of it is asked again. */
static void test_bad_records(void **state)
{
	static const struct {
		const char *key, *value; /* JSON; NULL: the key is missing */
	} cases[] = {
		{ "pool", "\"old\"" },
		{ "pool", "1" },
		{ "pool", NULL },
		{ "call_id", "\"\"" },
		{ "call_id", "\"a\\r\\nX-Evil: 1\"" },
		{ "call_id", NULL },
		{ "local_uri", "\"mailto:a@b\"" },
		{ "local_uri", "\"sip:a@b>;tag=x\"" },
		{ "local_tag", "\"\"" },
		{ "local_tag", "\"x\\ny\"" },
		{ "local_tag", "null" },
		{ "remote_uri", "\"\"" },
		{ "remote_tag", "\"\"" },
		{ "remote_tag", "7" },
		{ "target", "\"sip:\"" },
		{ "target", "\"http://x/\"" },
		{ "route", "{}" },
		{ "route", "[1]" },
		{ "route", "[\"sip:a.test\", \"x\"]" },
		{ "route", NULL },
		{ "local_cseq", "-1" },
		{ "local_cseq", "2147483648" },
		{ "local_cseq", "\"1\"" },
		{ "remote_cseq", "4294967296" },
		{ "remote_cseq", "1.5" },
		{ "more", "1" },
	};
	struct sip_dialog *full = NULL, *out = NULL;
	json_t *routes = json_array();
	(void)state;

	assert_int_equal(sip_dialog_accept(&invite, &full), OK);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *j = sip_dialog_write(full);

		if (cases[i].value == NULL)
			json_object_del(j, cases[i].key);
		else
			json_object_set_new(j, cases[i].key,
					    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		if (sip_dialog_read(j, &out) != ERR_SYNTAX)
			fail_msg("%s: %s was read", cases[i].key, cases[i].value);
		json_decref(j);
	}
	for (int i = 0; i <= SIP_ROUTES_MAX; i++)
		json_array_append_new(routes, json_string("sip:a.test;lr"));
	for (int i = 0; i < 2; i++) {
		json_t *j = sip_dialog_write(full);

		json_object_set(j, "route", routes);
		assert_int_equal(sip_dialog_read(j, &out), i == 0 ? ERR_SYNTAX : OK);
		json_array_remove(routes, 0);
		json_decref(j);
	}
	assert_int_equal(out->route_count, SIP_ROUTES_MAX);
	json_decref(routes);
	assert_int_equal(sip_dialog_read(NULL, &full), ERR_SYNTAX);
	sip_dialog_free(out);
	sip_dialog_free(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),       cmocka_unit_test(test_accept),
		cmocka_unit_test(test_not_accepted), cmocka_unit_test(test_take),
		cmocka_unit_test(test_confirm),      cmocka_unit_test(test_keys),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
