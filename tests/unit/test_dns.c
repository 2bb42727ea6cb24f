/*
 * test_dns.c - look-ups against a real server: dnsmasq on a loopback address
 * of its own, with records made for each case.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/core/log.h"
#include "bridge/xmpp/dns.h"
#include "nettest.h"

#define SERVICE "_xmpp-server._tcp"
#define DIRECT  "_xmpps-server._tcp"
#define LABEL60 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"

enum { DNS_PORT = 5300, TIMEOUT_MS = 20000 };

/* What dnsmasq serves; @ stands for the service, $ for that of direct TLS. Below "test" it knows everything, beside it nothing. */
static const char *const records[] = {
	"local=/test/",
	/* two priorities, written in the wrong order */
	"srv-host=@.prio.test,b.prio.test,5270,20,0",
	"srv-host=@.prio.test,a.prio.test,5269,10,0",
	"host-record=a.prio.test,127.31.3.1,fd00::1",
	"host-record=b.prio.test,127.31.3.2",
	/* decidedly not available, alone and beside a real record */
	"srv-host=@.root.test",
	"host-record=root.test,127.31.3.3",
	"srv-host=@.mixed.test",
	"srv-host=@.mixed.test,b.prio.test,5275,10,0",
	/* no SRV record */
	"host-record=plain.test,127.31.3.4",
	"host-record=six.test,fd00::6",
	"txt-record=onlytxt.test,hello",
	/* targets that do not exist, or exist under another name */
	"srv-host=@.lost.test,nowhere.test,5269,10,0",
	"host-record=lost.test,127.31.3.5",
	"srv-host=@.half.test,nowhere.test,5269,10,0",
	"srv-host=@.half.test,b.prio.test,5269,20,0",
	"srv-host=@.alias.test,www.alias.test,5269,10,0",
	"cname=www.alias.test,b.prio.test",
	/* a target below a domain that dnsmasq refuses to answer for */
	"srv-host=@.unsure.test,host.example,5269,10,0",
	/* raw data: port 0; a label with a dot in it; cut off */
	"dns-rr=@.zero.test,33,000a00000000016104746573740000",
	"dns-rr=@.dotted.test,33,000a0000149503612e620474657374",
	"dns-rr=@.short.test,33,000a0000",
	/* both services, in one order of priorities; one of them; decidedly not one of them */
	"srv-host=@.both.test,a.prio.test,5269,10,0",
	"srv-host=$.both.test,b.prio.test,5270,5,0",
	"srv-host=@.both.test,c.both.test,5269,1,0",
	"srv-host=$.both.test,c.both.test,443,20,0",
	"host-record=c.both.test,127.31.3.6",
	"srv-host=$.direct.test,b.prio.test,5270,5,0",
	"host-record=direct.test,127.31.3.7",
	"srv-host=$.nodirect.test",
	"srv-host=@.nodirect.test,b.prio.test,5269,5,0",
	"srv-host=@.onlydirect.test",
	"srv-host=$.onlydirect.test,b.prio.test,5270,5,0",
	"srv-host=@.neither.test",
	"srv-host=$.neither.test",
	"host-record=neither.test,127.31.3.8",
	"srv-host=$.nofallback.test",
	"host-record=nofallback.test,127.31.3.8",
	"dns-rr=$.halfbad.test,33,000a0000",
	"srv-host=@.halfbad.test,b.prio.test,5269,5,0",
	"dns-rr=$.bad.test,33,000a0000",
	"host-record=bad.test,127.31.3.8",
	/* for direct TLS the silent server is asked */
	"srv-host=@.tardy.test,b.prio.test,5269,5,0",
	/* TLSA without DNSSEC */
	"dns-rr=_5269._tcp.a.prio.test,52,030101aabb",
	/* many addresses, and a backup */
	"srv-host=@.crowd.test,crowd.test,5269,10,0",
	"srv-host=@.crowd.test,b.prio.test,5269,20,0",
	/* IPv4 is known; for IPv6 the silent server is asked */
	"host-record=slow.test,127.31.3.7",
};

struct answer {
	int calls;
	enum dns_status status;
	size_t count;
	char text[8192]; /* "host:port=address ..." */
	struct dns_query *cancel;
	struct dns **destroy;
};

static struct {
	struct nettest t;
	struct dns *dns;
	char address[16], resolver[32], silent[32];
	int silent_fd; /* a server that hears and does not answer */
	pid_t server;
	char *folder, *file;
} w;

static void write_record(FILE *f, const char *record)
{
	for (; *record != '\0'; record++) {
		if (*record == '@')
			fputs(SERVICE, f);
		else if (*record == '$')
			fputs(DIRECT, f);
		else
			fputc(*record, f);
	}
	fputc('\n', f);
}

static void write_configuration(void)
{
	FILE *f = fopen(w.file, "w");

	assert_non_null(f);
	fprintf(f, "server=/slow.test/" DIRECT ".tardy.test/%.*s#%s\n", (int)strcspn(w.silent, "@"), w.silent,
		strchr(w.silent, '@') + 1);
	fprintf(f, "no-daemon\nno-resolv\nno-hosts\nbind-interfaces\nlisten-address=%s\nport=%d\n", w.address,
		DNS_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++)
		write_record(f, records[i]);
	for (int i = 1; i <= 12; i++)
		fprintf(f, "host-record=crowd.test,127.31.4.%d\n", i);
	for (int i = 1; i <= 20; i++) {
		fprintf(f, "srv-host=" SERVICE ".many.test,m%d.many.test,5269,%d,0\n", i, 2 * i);
		fprintf(f, "srv-host=" DIRECT ".many.test,m%d.many.test,5270,%d,0\n", i, 2 * i + 1);
		fprintf(f, "host-record=m%d.many.test,127.31.5.%d\n", i, i);
	}
	fclose(f);
}

/* Returns when dnsmasq says that it has started. */
static void start_server(void)
{
	char line[512];
	int out[2];
	FILE *log;

	assert_int_equal(pipe(out), 0);
	w.server = fork();
	assert_true(w.server >= 0);
	if (w.server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		execlp("dnsmasq", "dnsmasq", "-C", w.file, (char *)NULL);
		execl("/usr/sbin/dnsmasq", "dnsmasq", "-C", w.file, (char *)NULL);
		dprintf(STDERR_FILENO, "dnsmasq was not found: apt-get install dnsmasq-base\n");
		_exit(127);
	}
	close(out[1]);
	log = fdopen(out[0], "r");
	do {
		if (fgets(line, sizeof(line), log) == NULL)
			fail_msg("dnsmasq has not started: %s", line);
	} while (strstr(line, ": started") == NULL);
	fclose(log);
}

static void stop_server(void)
{
	if (w.server <= 0)
		return;
	kill(w.server, SIGKILL);
	waitpid(w.server, NULL, 0);
	w.server = 0;
}

static void open_silent_server(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	assert_int_equal(inet_pton(AF_INET, w.address, &addr.sin_addr), 1);
	w.silent_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w.silent_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(w.silent_fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(w.silent, sizeof(w.silent), "%s@%d", w.address, ntohs(addr.sin_port));
}

static int group_setup(void **state)
{
	const int pid = getpid();

	(void)state;
	/* An address of this process alone, so that tests may run side by side. */
	snprintf(w.address, sizeof(w.address), "127.31.%d.%d", 64 + pid % 128, 1 + pid / 128 % 254);
	snprintf(w.resolver, sizeof(w.resolver), "%s@%d", w.address, DNS_PORT);
	open_silent_server();
	w.folder = nettest_folder();
	w.file = nettest_path(w.folder, "dnsmasq.conf");
	write_configuration();
	start_server();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	stop_server();
	close(w.silent_fd);
	free(w.file);
	nettest_remove(w.folder);
	return 0;
}

static enum err create(const char *resolver, const char *zone, int64_t timeout_ms)
{
	const struct dns_config config = {
		.resolver = resolver,
		.transparent_zones = &zone,
		.transparent_count = zone != NULL ? 1 : 0,
		.timeout_ms = timeout_ms,
	};

	return dns_create(w.t.loop, &config, &w.dns);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	nettest_begin(&w.t);
	assert_int_equal(create(w.resolver, "test", TIMEOUT_MS), OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dns_destroy(w.dns);
	w.dns = NULL;
	nettest_end(&w.t);
	return 0;
}

static void on_done(void *ctx, enum dns_status status, const struct dns_target *targets, size_t count)
{
	struct answer *a = ctx;
	size_t used = 0;

	a->calls++;
	a->status = status;
	a->count = count;
	a->text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&targets[i].addr;
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&targets[i].addr;
		const bool six = in->sin_family == AF_INET6;
		char text[INET6_ADDRSTRLEN];

		assert_non_null(inet_ntop(in->sin_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr,
					  text, sizeof(text)));
		assert_int_equal(ntohs(six ? in6->sin6_port : in->sin_port), targets[i].port);
		assert_int_equal(targets[i].addr_len, six ? sizeof(*in6) : sizeof(*in));
		assert_false(targets[i].secure); /* nothing is signed here */
		used += (size_t)snprintf(a->text + used, sizeof(a->text) - used, "%s%s%s:%d=%s",
					 i > 0 ? " " : "", targets[i].direct_tls ? "direct:" : "",
					 targets[i].host, targets[i].port, text);
	}
	if (a->cancel != NULL)
		dns_cancel(a->cancel);
	if (a->destroy != NULL) {
		dns_destroy(*a->destroy);
		*a->destroy = NULL;
	}
}

/* Stands for both services together. */
static const char s2s[] = "s2s";

static bool is_done(void *ctx)
{
	return ((const struct answer *)ctx)->calls > 0;
}

static void ask(const char *service, const char *name, struct answer *a)
{
	if (service == s2s)
		dns_s2s(w.dns, name, 5269, on_done, a);
	else if (service != NULL)
		dns_srv(w.dns, service, name, 5269, on_done, a);
	else
		dns_host(w.dns, name, 5222, on_done, a);
	assert_int_equal(a->calls, 0);
	nettest_run(&w.t, is_done, a);
	assert_int_equal(a->calls, 1);
}

struct row {
	const char *service, *name;
	enum dns_status status;
	const char *targets;
};

static const struct row answers[] = {
	{ SERVICE, "prio.test", DNS_OK,
	  "a.prio.test:5269=127.31.3.1 a.prio.test:5269=fd00::1 b.prio.test:5270=127.31.3.2" },
	{ SERVICE, "PRIO.test.", DNS_OK,
	  "a.prio.test:5269=127.31.3.1 a.prio.test:5269=fd00::1 b.prio.test:5270=127.31.3.2" },
	{ SERVICE, "root.test", DNS_NONE, "" },
	{ SERVICE, "mixed.test", DNS_OK, "b.prio.test:5275=127.31.3.2" },
	{ SERVICE, "plain.test", DNS_OK, "plain.test:5269=127.31.3.4" },
	{ SERVICE, "six.test", DNS_OK, "six.test:5269=fd00::6" },
	{ SERVICE, "onlytxt.test", DNS_NONE, "" },
	{ SERVICE, "nothing.test", DNS_NONE, "" },
	{ SERVICE, "lost.test", DNS_NONE, "" },
	{ SERVICE, "half.test", DNS_OK, "b.prio.test:5269=127.31.3.2" },
	{ SERVICE, "alias.test", DNS_OK, "www.alias.test:5269=127.31.3.2" },
	{ SERVICE, "unsure.test", DNS_FAILURE, "" },
	{ SERVICE, "zero.test", DNS_FAILURE, "" },
	{ SERVICE, "dotted.test", DNS_FAILURE, "" },
	{ SERVICE, "short.test", DNS_FAILURE, "" },
	{ SERVICE, "partner.example", DNS_FAILURE, "" },
	{ SERVICE, "127.31.3.9", DNS_OK, "127.31.3.9:5269=127.31.3.9" },
	{ SERVICE, "fd00::9", DNS_OK, "fd00::9:5269=fd00::9" },
	{ SERVICE, LABEL60 LABEL60 ".test", DNS_NONE, "" },
	{ SERVICE, LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 ".test", DNS_NONE, "" },
	{ s2s, "both.test", DNS_OK,
	  "c.both.test:5269=127.31.3.6 direct:b.prio.test:5270=127.31.3.2 a.prio.test:5269=127.31.3.1 "
	  "a.prio.test:5269=fd00::1 direct:c.both.test:443=127.31.3.6" },
	{ s2s, "prio.test", DNS_OK,
	  "a.prio.test:5269=127.31.3.1 a.prio.test:5269=fd00::1 b.prio.test:5270=127.31.3.2" },
	{ s2s, "direct.test", DNS_OK, "direct:b.prio.test:5270=127.31.3.2" },
	{ s2s, "nodirect.test", DNS_OK, "b.prio.test:5269=127.31.3.2" },
	{ s2s, "onlydirect.test", DNS_OK, "direct:b.prio.test:5270=127.31.3.2" },
	{ s2s, "neither.test", DNS_NONE, "" },
	{ s2s, "nofallback.test", DNS_NONE, "" },
	{ s2s, "plain.test", DNS_OK, "plain.test:5269=127.31.3.4" },
	{ s2s, "nothing.test", DNS_NONE, "" },
	{ s2s, "halfbad.test", DNS_OK, "b.prio.test:5269=127.31.3.2" },
	{ s2s, "bad.test", DNS_FAILURE, "" },
	{ s2s, "partner.example", DNS_FAILURE, "" },
	{ s2s, "127.31.3.9", DNS_OK, "127.31.3.9:5269=127.31.3.9" },
	{ s2s, LABEL60 LABEL60 ".test", DNS_NONE, "" },
	{ NULL, "plain.test", DNS_OK, "plain.test:5222=127.31.3.4" },
	{ NULL, "a.prio.test", DNS_OK, "a.prio.test:5222=127.31.3.1 a.prio.test:5222=fd00::1" },
	{ NULL, "nothing.test", DNS_NONE, "" },
	{ NULL, "partner.example", DNS_FAILURE, "" },
	{ NULL, "127.31.3.9", DNS_OK, "127.31.3.9:5222=127.31.3.9" },
	{ NULL, "::1", DNS_OK, "::1:5222=::1" },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct answer a = { 0 };

		ask(answers[i].service, answers[i].name, &a);
		if (a.status != answers[i].status || strcmp(a.text, answers[i].targets) != 0)
			fail_msg("row %zu, '%s': status %d, targets '%s'", i, answers[i].name, a.status,
				 a.text);
	}
}

/* --- limits --- */

static void test_one_host_leaves_room_for_its_backup(void **state)
{
	struct answer a = { 0 };
	const char *last;

	(void)state;
	ask(SERVICE, "crowd.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.count, 9);
	last = strrchr(a.text, ' ');
	assert_non_null(last);
	assert_string_equal(last, " b.prio.test:5269=127.31.3.2");
}

static void test_many_targets(void **state)
{
	struct answer a = { 0 };

	(void)state;
	ask(SERVICE, "many.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.count, 16); /* of 20, those of the best priority */
	assert_memory_equal(a.text, "m1.many.test:5269=127.31.5.1 m2.", 32);
	assert_non_null(strstr(a.text, " m16.many.test:5269=127.31.5.16"));
	assert_null(strstr(a.text, "m17."));
}

/* The best of each service, and no more in all than there is room for. */
static void test_many_of_both_services(void **state)
{
	static const char first[] = "m1.many.test:5269=127.31.5.1 direct:m1.many.test:5270=127.31.5.1 m2.";
	struct answer a = { 0 };

	(void)state;
	ask(s2s, "many.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.count, DNS_TARGETS_MAX);
	assert_memory_equal(a.text, first, strlen(first));
	assert_non_null(strstr(a.text, " direct:m16.many.test:5270="));
	assert_null(strstr(a.text, "m17."));
}

/* --- TLSA without DNSSEC --- */

static void on_tlsa(void *ctx, enum dns_status status, const struct dns_tlsa *tlsa, size_t count)
{
	struct answer *a = ctx;

	(void)tlsa;
	a->calls++;
	a->status = status;
	a->count = count;
	if (a->destroy != NULL) {
		dns_destroy(*a->destroy);
		*a->destroy = NULL;
	}
}

static void test_tlsa_unsigned(void **state)
{
	static const struct {
		const char *host;
		enum dns_status status;
	} cases[] = {
		{ "a.prio.test", DNS_NONE },           { "b.prio.test", DNS_NONE },
		{ "nothing.test", DNS_NONE },          { "partner.example", DNS_FAILURE },
		{ LABEL60 LABEL60 ".test", DNS_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a = { 0 };

		dns_tlsa(w.dns, cases[i].host, 5269, on_tlsa, &a);
		assert_int_equal(a.calls, 0);
		nettest_run(&w.t, is_done, &a);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.status, cases[i].status);
		assert_int_equal(a.count, 0);
	}
}

static void test_destroy_from_tlsa(void **state)
{
	struct answer a = { .destroy = &w.dns };

	(void)state;
	dns_tlsa(w.dns, "a.prio.test", 5269, on_tlsa, &a);
	nettest_run(&w.t, is_done, &a);
	assert_null(w.dns);
}

/* --- cancelling and destroying --- */

static void test_cancel(void **state)
{
	struct answer cancelled = { 0 }, literal = { 0 }, other = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		dns_cancel(dns_srv(w.dns, SERVICE, "prio.test", 5269, on_done, &cancelled));
	dns_cancel(dns_s2s(w.dns, "both.test", 5269, on_done, &cancelled));
	dns_cancel(dns_tlsa(w.dns, "a.prio.test", 5269, on_tlsa, &cancelled));
	dns_cancel(dns_host(w.dns, "127.0.0.1", 5269, on_done, &literal));
	dns_cancel(NULL);
	ask(SERVICE, "prio.test", &other);
	assert_int_equal(other.status, DNS_OK);
	assert_int_equal(cancelled.calls, 0);
	assert_int_equal(literal.calls, 0);
}

/* The first one answered cancels the other: they are asked in one breath, and may be answered so. */
static void test_cancel_from_a_callback(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct answer first = { 0 }, second = { 0 }, later = { 0 };
		struct dns_query *a = dns_host(w.dns, "plain.test", 1, on_done, &first);
		struct dns_query *b = dns_host(w.dns, "plain.test", 1, on_done, &second);

		first.cancel = b;
		second.cancel = a;
		ask(NULL, "plain.test", &later);
		ask(NULL, "six.test", &(struct answer){ 0 });
		assert_int_equal(first.calls + second.calls, 1);
	}
}

static void test_cancel_itself(void **state)
{
	struct answer a = { 0 };

	(void)state;
	a.cancel = dns_host(w.dns, "plain.test", 1, on_done, &a);
	nettest_run(&w.t, is_done, &a);
	assert_int_equal(a.calls, 1);
}

/* Right after asking, and when the answers wait to be read. */
static void test_destroy_with_queries_pending(void **state)
{
	struct answer a = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++) {
		dns_srv(w.dns, SERVICE, "prio.test", 5269, on_done, &a);
		dns_s2s(w.dns, "slow.test", 5269, on_done, &a);
		dns_tlsa(w.dns, "slow.test", 5269, on_tlsa, &a);
		dns_host(w.dns, "127.0.0.1", 5269, on_done, &a);
		if (i % 2 == 1)
			ask(NULL, "plain.test", &(struct answer){ 0 });
		a.calls = 0;
		dns_destroy(w.dns);
		assert_int_equal(create(w.resolver, "test", TIMEOUT_MS), OK);
	}
	ask(NULL, "plain.test", &(struct answer){ 0 });
	assert_int_equal(a.calls, 0);
}

static void test_destroy_from_a_callback(void **state)
{
	struct answer a = { .destroy = &w.dns }, others = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++)
		dns_srv(w.dns, SERVICE, "slow.test", 5269, on_done, &others);
	ask(SERVICE, "prio.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_null(w.dns);
	assert_int_equal(others.calls, 0);
}

/* A literal is told from a timer: that way, too. */
static void test_destroy_from_a_literal(void **state)
{
	struct answer a = { .destroy = &w.dns };

	(void)state;
	ask(NULL, "127.0.0.1", &a);
	assert_null(w.dns);
}

/* --- servers that do not answer --- */

static void recreate(const char *resolver, const char *zone, int64_t timeout_ms)
{
	dns_destroy(w.dns);
	w.dns = NULL;
	assert_int_equal(create(resolver, zone, timeout_ms), OK);
}

static void test_silent_server(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(w.silent, "test", 100);
	ask(SERVICE, "prio.test", &a);
	assert_int_equal(a.status, DNS_FAILURE);
}

/* What is known when the time is up is used. */
static void test_half_an_answer(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(w.resolver, "test", 300);
	ask(NULL, "slow.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_string_equal(a.text, "slow.test:5222=127.31.3.7");
}

/* A service that nobody answers for takes its time, but not what is known of the other. */
static void test_one_silent_service(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(w.resolver, "test", 300);
	ask(s2s, "tardy.test", &a);
	assert_int_equal(a.status, DNS_OK);
	assert_string_equal(a.text, "b.prio.test:5269=127.31.3.2");
}

static bool is_over(void *turns)
{
	return --*(int *)turns == 0;
}

static void test_server_goes_and_comes_back(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(w.resolver, "test", 500);
	stop_server();
	for (int i = 0; i < 3; i++) {
		a = (struct answer){ 0 };
		ask(SERVICE, "prio.test", &a);
		assert_int_equal(a.status, DNS_FAILURE);
	}
	start_server();
	/* What it said while it was away may be remembered for seconds, but not for good. */
	a.status = DNS_FAILURE;
	for (int tries = 0; tries < 500 && a.status == DNS_FAILURE; tries++) {
		int turns = 50;

		nettest_run(&w.t, is_over, &turns);
		a = (struct answer){ 0 };
		ask(SERVICE, "plain.test", &a);
	}
	assert_string_equal(a.text, "plain.test:5269=127.31.3.4");
}

/* --- configuration --- */

/* libunbound denies "test" by itself unless told otherwise. */
static void test_builtin_zone(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(w.resolver, NULL, TIMEOUT_MS);
	ask(NULL, "plain.test", &a);
	assert_int_equal(a.status, DNS_NONE);
}

static void test_bad_configuration(void **state)
{
	static const struct {
		const char *resolver, *zone;
	} rows[] = {
		{ "resolver.test", "test" }, { "127.0.0.1@", "test" },        { "127.0.0.1@port", "test" },
		{ "127.0.0.1:53", "test" },  { "127.0.0.1", "te st" },        { "127.0.0.1", "" },
		{ "127.0.0.1", "a\"b" },     { "127.0.0.1", "a\nserver: b" },
	};

	(void)state;
	dns_destroy(w.dns);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		w.dns = NULL;
		if (create(rows[i].resolver, rows[i].zone, 1000) != ERR_SYNTAX)
			fail_msg("row %zu is accepted", i);
		assert_null(w.dns);
	}
}

/* DNSSEC that cannot begin is found at the start, not by the first partner. */
static void test_bad_trust_anchor(void **state)
{
	static const char *const texts[] = { "this is no key\n", "corp.test. IN DS 1 2\n" };
	struct dns *dns = NULL;
	char *file = nettest_path(w.folder, "anchor");
	struct dns_config config = { .resolver = w.resolver, .trust_anchor = file, .timeout_ms = TIMEOUT_MS };

	(void)state;
	assert_int_equal(dns_create(w.t.loop, &config, &dns), ERR_IO);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *f = fopen(file, "w");

		assert_non_null(f);
		fputs(texts[i], f);
		fclose(f);
		assert_int_equal(dns_create(w.t.loop, &config, &dns), ERR_IO);
	}
	config.trust_anchor = w.folder; /* a folder opens, but does not read */
	assert_int_equal(dns_create(w.t.loop, &config, &dns), ERR_IO);
	assert_null(dns);
	free(file);
}

/* The system's files are read, whatever they hold; nobody is asked. */
static void test_system_resolver(void **state)
{
	struct answer a = { 0 };

	(void)state;
	recreate(NULL, "test", TIMEOUT_MS);
	ask(NULL, "127.0.0.1", &a);
	assert_int_equal(a.status, DNS_OK);
	recreate("", "test", TIMEOUT_MS);
}

/* libunbound's thread must leave SIGTERM to the loop, even when nobody has blocked it yet. */
static void test_thread_takes_no_signals(void **state)
{
	DIR *tasks;
	struct dirent *entry;
	int threads = 0;

	(void)state;
	ask(NULL, "plain.test", &(struct answer){ 0 });
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], line[256];
		unsigned long long blocked = 0;
		FILE *f;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		f = fopen(path, "r");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f) != NULL) {
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				break;
		}
		fclose(f);
		assert_true((blocked >> (SIGTERM - 1) & 1) != 0);
		threads++;
	}
	closedir(tasks);
	assert_true(threads >= 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_one_host_leaves_room_for_its_backup),
		TEST(test_many_targets),
		TEST(test_many_of_both_services),
		TEST(test_tlsa_unsigned),
		TEST(test_destroy_from_tlsa),
		TEST(test_cancel),
		TEST(test_cancel_from_a_callback),
		TEST(test_cancel_itself),
		TEST(test_destroy_with_queries_pending),
		TEST(test_destroy_from_a_callback),
		TEST(test_destroy_from_a_literal),
		TEST(test_silent_server),
		TEST(test_half_an_answer),
		TEST(test_one_silent_service),
		TEST(test_server_goes_and_comes_back),
		TEST(test_builtin_zone),
		TEST(test_bad_configuration),
		TEST(test_bad_trust_anchor),
		TEST(test_system_resolver),
		TEST(test_thread_takes_no_signals),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
