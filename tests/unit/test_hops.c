/*
 * test_hops.c - next hops: which target gets a request, which rests and for how
 * long, when it is asked by OPTIONS, and what DNS makes of the names.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/core/log.h"
#include "bridge/sip/hops.h"
#include "bridge/xmpp/dns.h"
#include "dnstest.h"
#include "nettest.h"

static struct dnstest w;

struct fixture {
	struct nettest net;
	struct config config;
	struct sip_hops *hops;
	struct dns *dns;
	unsigned pings, moves;
	struct sip_hop pinged; /* the newest */
	unsigned pinged_before;
};

static void on_ping(void *ctx, const struct sip_hop *hop)
{
	struct fixture *f = ctx;

	f->pings++;
	f->pinged = *hop;
}

static void on_moved(void *ctx)
{
	((struct fixture *)ctx)->moves++;
}

static void begin(struct fixture *f, const char *first, const char *second)
{
	memset(f, 0, sizeof(*f));
	nettest_begin(&f->net);
	f->config.sip.new_pool = (struct config_list){ { first, second }, second != NULL ? 2 : 1 };
	f->config.sip.ping_ms = 0;
	f->config.sip.backoff_min_ms = 60000; /* for ever, as far as a test is concerned */
	f->config.sip.backoff_max_ms = 60000;
	f->config.dns.resolver = w.resolver;
	f->config.dns.trust_anchor = "";
	f->config.dns.timeout_ms = 20000;
	f->config.dns.transparent_zones = (struct config_list){ { "test" }, 1 };
}

static enum err start(struct fixture *f, int64_t resolve_ms, const char **why)
{
	const struct sip_hops_setup setup = {
		.loop = f->net.loop,
		.dns = f->dns,
		.config = &f->config,
		.resolve_ms = resolve_ms,
		.ping = on_ping,
		.moved = on_moved,
		.ctx = f,
	};

	return sip_hops_create(&setup, &f->hops, why);
}

static void start_well(struct fixture *f)
{
	const char *why = "";

	if (start(f, 0, &why) != OK)
		fail_msg("%s", why);
}

static void end(struct fixture *f)
{
	sip_hops_destroy(f->hops);
	dns_destroy(f->dns);
	nettest_end(&f->net);
}

/* The URI that a fresh request would go to, or words for none. */
static const char *pick(struct fixture *f, struct sip_hop *out)
{
	static char uri[120];
	struct sip_attempts tried = { .count = 0 };
	int64_t wait_ms = -1;

	switch (sip_hops_pick(f->hops, POOL_NEW, &tried, out, &wait_ms)) {
	case OK:
		snprintf(uri, sizeof(uri), "%s", out->uri);
		return uri;
	case ERR_BUSY:
		assert_true(wait_ms >= 0);
		return "busy";
	default:
		return "none";
	}
}

static const char *state_of(const struct fixture *f, size_t index)
{
	static char state[16];
	json_t *status = sip_hops_status(f->hops);

	snprintf(state, sizeof(state), "%s",
		 json_string_value(json_object_get(json_array_get(status, index), "state")));
	json_decref(status);
	return state;
}

static void expect_error(const struct fixture *f, size_t index, const char *error)
{
	json_t *status = sip_hops_status(f->hops);

	assert_string_equal(json_string_value(json_object_get(json_array_get(status, index), "error")),
			    error);
	json_decref(status);
}

#define A     "127.32.4.1"
#define B     "127.32.4.2"
#define A_URI "sip:" A ":5060;transport=tcp"
#define B_URI "sip:" B ":5062;transport=tcp"

/* --- without DNS --- */

static void test_forms(void **state)
{
	static const struct {
		const char *configured, *uri;
	} rows[] = {
		{ "sip:127.0.0.1", "sip:127.0.0.1:5060;transport=udp" },
		{ "sip:127.0.0.1;transport=tcp", "sip:127.0.0.1:5060;transport=tcp" },
		{ "sip:127.0.0.1;transport=tls", "sip:127.0.0.1:5061;transport=tls" },
		{ "sip:127.0.0.1:5080;transport=tls", "sip:127.0.0.1:5080;transport=tls" },
		{ "sip:[::1]:5080;transport=udp", "sip:[::1]:5080;transport=udp" },
		{ "sip:localhost:5070;transport=tcp", "sip:127.0.0.1:5070;transport=tcp" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sip_hop hop;
		struct fixture f;

		begin(&f, rows[i].configured, NULL);
		start_well(&f);
		if (strncmp(rows[i].configured, "sip:localhost", 13) != 0)
			assert_string_equal(pick(&f, &hop), rows[i].uri);
		else /* whichever family the system prefers */
			assert_non_null(strstr(pick(&f, &hop), ":5070;transport=tcp"));
		end(&f);
	}
}

static void test_unknown_name(void **state)
{
	struct sip_hop hop;
	const char *why = "";
	struct fixture f;
	(void)state;

	begin(&f, "sip:no.such.host.invalid:5060", NULL);
	assert_int_equal(start(&f, 0, &why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "sip.new_pool"));
	assert_non_null(strstr(why, "no.such.host.invalid"));
	/* Where sip.allow says who the peers are, the daemon starts, and the name may come. */
	f.config.sip.allow = (struct config_list){ { A }, 1 };
	start_well(&f);
	assert_string_equal(pick(&f, &hop), "none");
	assert_string_equal(state_of(&f, 0), "down");
	expect_error(&f, 0, "name not known");
	end(&f);
}

/* The order of the configuration; a request that failed at one goes to the next, and never twice to one. */
static void test_failover(void **state)
{
	struct sip_attempts tried = { .count = 0 };
	struct sip_hop first, second, hop;
	int64_t wait_ms;
	struct fixture f;
	(void)state;

	begin(&f, A_URI, B_URI);
	start_well(&f);
	assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &first, &wait_ms), OK);
	assert_string_equal(first.uri, A_URI);
	assert_int_equal(first.transport, TRANSPORT_TCP);
	sip_hops_report(f.hops, first.id, SIP_HOP_REFUSED, 0);
	assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &second, &wait_ms), OK);
	assert_string_equal(second.uri, B_URI);
	assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &hop, &wait_ms), ERR_NOT_FOUND);
	sip_hops_report(f.hops, second.id, SIP_HOP_ANSWERED, 0);

	/* The next request does not even try the first. */
	assert_string_equal(pick(&f, &hop), B_URI);
	assert_string_equal(state_of(&f, 0), "down");
	expect_error(&f, 0, "no connection");
	assert_string_equal(state_of(&f, 1), "up");

	/* A late answer of the first is a sign of life. */
	sip_hops_report(f.hops, first.id, SIP_HOP_ANSWERED, 0);
	assert_string_equal(pick(&f, &hop), A_URI);

	/* One user behind it who does not answer takes nothing away from the others. */
	sip_hops_report(f.hops, first.id, SIP_HOP_SILENT, 0);
	assert_string_equal(pick(&f, &hop), A_URI);

	sip_hops_report(f.hops, first.id, SIP_HOP_REFUSED, 0);
	expect_error(&f, 0, "no connection");

	/* All rest. */
	sip_hops_report(f.hops, second.id, SIP_HOP_REFUSED, 0);
	assert_string_equal(pick(&f, &hop), "busy");
	/* The other pool has none. */
	tried.count = 0;
	assert_int_equal(sip_hops_pick(f.hops, POOL_LEGACY, &tried, &hop, &wait_ms), ERR_NOT_FOUND);
	sip_hops_report(f.hops, 12345, SIP_HOP_REFUSED, 0); /* nobody */
	end(&f);
}

static bool is_up(void *ctx)
{
	return strcmp(state_of(ctx, 0), "up") == 0;
}

/* 503 with Retry-After is a pause of that length, at most of sip.backoff_max; answers meanwhile do not end it. */
static void test_retry_after(void **state)
{
	struct sip_attempts tried = { .count = 0 };
	struct sip_hop hop;
	int64_t wait_ms = -1;
	struct fixture f;
	(void)state;

	begin(&f, A_URI, NULL);
	f.config.sip.backoff_max_ms = 300000;
	start_well(&f);
	assert_string_equal(pick(&f, &hop), A_URI);
	sip_hops_report(f.hops, hop.id, SIP_HOP_BUSY, 200);
	assert_string_equal(state_of(&f, 0), "paused");
	expect_error(&f, 0, "503, Retry-After 200");
	sip_hops_report(f.hops, hop.id, SIP_HOP_ANSWERED, 0);
	assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &hop, &wait_ms), ERR_BUSY);
	assert_true(wait_ms > 100000 && wait_ms <= 200000);
	/* As long as a peer likes is as long as we like. */
	sip_hops_report(f.hops, hop.id, SIP_HOP_BUSY, INT64_MAX);
	assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &hop, &wait_ms), ERR_BUSY);
	assert_true(wait_ms > 200000 && wait_ms <= 300000);
	/* It ends by itself. */
	sip_hops_report(f.hops, hop.id, SIP_HOP_BUSY, 0);
	nettest_run(&f.net, is_up, &f);
	assert_int_equal(f.pings, 0);
	end(&f);
}

/* Each rest is twice as long as the one before, to a limit; many failures at once are one. */
static void test_backoff(void **state)
{
	static const int64_t limits[] = { 4000, 8000, 16000, 20000, 20000 };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct sip_attempts tried = { .count = 0 };
		struct sip_hop hop, none;
		int64_t wait_ms = -1;
		struct fixture f;

		begin(&f, A_URI, NULL);
		start_well(&f);
		assert_string_equal(pick(&f, &hop), A_URI);
		f.config.sip.backoff_min_ms = f.config.sip.backoff_max_ms = 1;
		for (size_t failures = 0; failures < i; failures++) {
			sip_hops_report(f.hops, hop.id, SIP_HOP_REFUSED, 0);
			nettest_run(&f.net, is_up, &f);
		}
		f.config.sip.backoff_min_ms = 4000;
		f.config.sip.backoff_max_ms = 20000;
		for (int burst = 0; burst < 3; burst++)
			sip_hops_report(f.hops, hop.id, SIP_HOP_REFUSED, 0);
		assert_int_equal(sip_hops_pick(f.hops, POOL_NEW, &tried, &none, &wait_ms), ERR_BUSY);
		assert_true(wait_ms > limits[i] / 2 && wait_ms <= limits[i]);
		end(&f);
	}
}

static bool has_pinged(void *ctx)
{
	const struct fixture *f = ctx;

	return f->pings > f->pinged_before;
}

static void wait_ping(struct fixture *f)
{
	f->pinged_before = f->pings;
	nettest_run(&f->net, has_pinged, f);
}

static void test_pings(void **state)
{
	struct sip_hop hop;
	struct fixture f;
	(void)state;

	begin(&f, A_URI, NULL);
	f.config.sip.ping_ms = 5;
	f.config.sip.backoff_min_ms = f.config.sip.backoff_max_ms = 5;
	start_well(&f);
	/* Idle: asked. Silent about it, as it always was: used all the same, and asked again. */
	wait_ping(&f);
	assert_string_equal(f.pinged.uri, A_URI);
	assert_string_equal(pick(&f, &hop), A_URI);
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_SILENT, 0, NULL);
	assert_string_equal(pick(&f, &hop), A_URI);
	wait_ping(&f);
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_ANSWERED, 0, NULL);
	/* Silence of one that has answered is another matter. */
	wait_ping(&f);
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_SILENT, 0, "no answer to OPTIONS");
	assert_string_equal(pick(&f, &hop), "busy");
	expect_error(&f, 0, "no answer to OPTIONS");
	/* Only an answer brings it back. */
	wait_ping(&f);
	assert_string_equal(state_of(&f, 0), "down");
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_REFUSED, 0, NULL);
	assert_string_equal(pick(&f, &hop), "busy");
	wait_ping(&f);
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_ANSWERED, 0, NULL);
	assert_string_equal(pick(&f, &hop), A_URI);
	/* It may ask for a pause there, too. */
	wait_ping(&f);
	f.config.sip.backoff_max_ms = 60000;
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_BUSY, 30, NULL);
	assert_string_equal(state_of(&f, 0), "paused");
	end(&f);
}

/* One that is down and drops OPTIONS, as it may always have done, is tried with a request. */
static void test_deaf_to_options(void **state)
{
	struct sip_hop hop;
	struct fixture f;
	(void)state;

	begin(&f, A_URI, NULL);
	f.config.sip.ping_ms = 30000;
	f.config.sip.backoff_min_ms = 5;
	start_well(&f);
	assert_string_equal(pick(&f, &hop), A_URI);
	sip_hops_report(f.hops, hop.id, SIP_HOP_REFUSED, 0);
	wait_ping(&f);
	assert_string_equal(pick(&f, &hop), "busy");
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_REFUSED, 0, NULL);
	assert_string_equal(pick(&f, &hop), "busy");
	wait_ping(&f);
	sip_hops_pinged(f.hops, f.pinged.id, SIP_HOP_SILENT, 0, "no answer to OPTIONS");
	assert_string_equal(pick(&f, &hop), A_URI);
	end(&f);
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &sa.sin_addr), 1);
	return sa;
}

static int pool_of(const struct fixture *f, const char *text, uint16_t port)
{
	const struct sockaddr_in sa = address(text, port);

	return sip_hops_pool_of(f->hops, (const struct sockaddr *)&sa);
}

static void test_addresses(void **state)
{
	const struct sockaddr_in sa = address(B, 5062);
	const struct sockaddr_storage *list;
	const char *names[4];
	struct sip_hop hop;
	struct fixture f;
	(void)state;

	begin(&f, A_URI, B_URI);
	f.config.sip.legacy_pool = (struct config_list){ { "sip:" A ":5080;transport=tcp" }, 1 };
	start_well(&f);
	assert_int_equal(sip_hops_addresses(f.hops, &list), 3);
	/* Two pools on one machine are told by their ports where those are theirs. */
	assert_int_equal(pool_of(&f, A, 5060), POOL_NEW);
	assert_int_equal(pool_of(&f, A, 5080), POOL_LEGACY);
	assert_int_equal(pool_of(&f, A, 40000), POOL_NEW);
	assert_int_equal(pool_of(&f, "127.32.4.3", 5060), -1);
	assert_int_equal(sip_hops_names_at(f.hops, (const struct sockaddr *)&sa, names, 4), 1);
	assert_string_equal(names[0], B);
	assert_int_equal(sip_hops_names(f.hops, names, 4), 2);
	/* What is known of the reason is kept for the failure that follows. */
	assert_string_equal(pick(&f, &hop), A_URI);
	sip_hops_explain(f.hops, (const struct sockaddr *)&sa, "certificate: expired");
	sip_hops_report(f.hops, hop.id + 1, SIP_HOP_REFUSED, 0);
	expect_error(&f, 1, "certificate: expired");
	end(&f);
}

/* --- with DNS --- */

static int server_setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	dnstest_begin(&w, 32,
		      "srv-host=_sip._tcp.pool.test,b.pool.test,5062,20,0\n"
		      "srv-host=_sip._tcp.pool.test,a.pool.test,5060,10,0\n"
		      "srv-host=_sips._tcp.pool.test,a.pool.test,5071,10,0\n"
		      "srv-host=_sip._udp.pool.test,a.pool.test,5070,10,0\n");
	return 0;
}

static int server_teardown(void **state)
{
	(void)state;
	dnstest_end(&w);
	return 0;
}

static void begin_with_dns(struct fixture *f, const char *hop)
{
	struct dns_config settings;

	begin(f, hop, NULL);
	settings = (struct dns_config){ .resolver = w.resolver,
					.transparent_zones = f->config.dns.transparent_zones.item,
					.transparent_count = 1,
					.timeout_ms = 20000 };
	assert_int_equal(dns_create(f->net.loop, &settings, &f->dns), OK);
}

/* The server may not have read its file yet. */
static void start_when_known(struct fixture *f)
{
	const char *why = "";

	for (int i = 0; i < 1000 && start(f, 1, &why) != OK; i++)
		;
	if (f->hops == NULL)
		fail_msg("%s", why);
}

static void expect_targets(const struct fixture *f, const char *expected)
{
	json_t *status = sip_hops_status(f->hops);
	struct strbuf text = { .s = NULL };
	size_t i;
	json_t *o;

	json_array_foreach (status, i, o)
		strbuf_printf(&text, "%s%s", i > 0 ? " " : "", json_string_value(json_object_get(o, "hop")));
	assert_string_equal(text.s, expected);
	strbuf_free(&text);
	json_decref(status);
}

static void test_srv(void **state)
{
	static const struct {
		const char *hop, *targets;
	} rows[] = {
		/* priorities, not the order of the records */
		{ "sip:pool.test;transport=tcp", "pool.test/127.32.4.11:5060 pool.test/127.32.4.12:5062" },
		{ "sip:pool.test;transport=tls", "pool.test/127.32.4.11:5071" },
		{ "sip:pool.test", "pool.test/127.32.4.11:5070" },
		/* with a port, the name is the host's own */
		{ "sip:pool.test:5090;transport=tls", "pool.test/127.32.4.10:5090" },
		/* without SRV records, likewise */
		{ "sip:a.pool.test;transport=tls", "a.pool.test/127.32.4.11:5061" },
	};
	(void)state;

	dnstest_hosts(&w, "127.32.4.10 pool.test\n127.32.4.11 a.pool.test\n127.32.4.12 b.pool.test\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *names[2];
		struct fixture f;

		begin_with_dns(&f, rows[i].hop);
		start_when_known(&f);
		expect_targets(&f, rows[i].targets);
		/* The name to be found in a certificate is the configured one. */
		assert_int_equal(sip_hops_names(f.hops, names, 2), 1);
		assert_non_null(strstr(rows[i].hop, names[0]));
		end(&f);
	}
}

static bool has_moved(void *ctx)
{
	return ((struct fixture *)ctx)->moves > 0;
}

static void wait_move(struct fixture *f)
{
	f->moves = 0;
	nettest_run(&f->net, has_moved, f);
}

static bool is_stale(void *ctx)
{
	json_t *status = sip_hops_status(((struct fixture *)ctx)->hops);
	const bool stale = json_is_true(json_object_get(json_array_get(status, 0), "stale"));

	json_decref(status);
	return stale;
}

static bool is_fresh(void *ctx)
{
	return !is_stale(ctx);
}

/* Addresses come and go with DNS; what is still there keeps its state, and a resolver that fails takes nothing away. */
static void test_dns_changes(void **state)
{
	struct sip_hop hop;
	struct fixture f;
	(void)state;

	dnstest_hosts(&w, "127.32.4.21 c.pool.test\n");
	begin_with_dns(&f, "sip:c.pool.test:5060;transport=tcp");
	start_when_known(&f);
	expect_targets(&f, "c.pool.test/127.32.4.21:5060");
	assert_string_equal(pick(&f, &hop), "sip:127.32.4.21:5060;transport=tcp");
	sip_hops_report(f.hops, hop.id, SIP_HOP_REFUSED, 0);

	dnstest_hosts(&w, "127.32.4.22 c.pool.test\n127.32.4.21 c.pool.test\n");
	wait_move(&f);
	assert_int_equal(pool_of(&f, "127.32.4.22", 1), POOL_NEW);
	assert_string_equal(pick(&f, &hop), "sip:127.32.4.22:5060;transport=tcp");

	dnstest_hosts(&w, "127.32.4.22 c.pool.test\n");
	wait_move(&f);
	expect_targets(&f, "c.pool.test/127.32.4.22:5060");
	assert_int_equal(pool_of(&f, "127.32.4.21", 1), -1);

	/* No such name: the last known addresses stay. */
	dnstest_hosts(&w, "");
	nettest_run(&f.net, is_stale, &f);
	expect_targets(&f, "c.pool.test/127.32.4.22:5060");
	dnstest_hosts(&w, "127.32.4.22 c.pool.test\n");
	nettest_run(&f.net, is_fresh, &f);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_unknown_name),
		cmocka_unit_test(test_failover),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_deaf_to_options),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_dns_changes),
	};

	return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
