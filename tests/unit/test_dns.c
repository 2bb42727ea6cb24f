/*
 * test_dns.c - look-ups against a real server: dnsmasq on a loopback address
 * of its own, with records made for each case.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/xmpp/dns.h"
#include "nettest.h"

#define SERVICE "_xmpp-server._tcp"
#define LABEL60 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"

enum { DNS_PORT = 5300, TIMEOUT_MS = 20000 };

/* What dnsmasq serves; @ stands for the service. Below "test" it knows everything, beside it nothing. */
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
	/* many addresses, and a backup */
	"srv-host=@.crowd.test,crowd.test,5269,10,0",
	"srv-host=@.crowd.test,b.prio.test,5269,20,0",
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
	char address[16], resolver[32];
	pid_t server;
	char *folder, *file;
} w;

static void write_configuration(void)
{
	FILE *f = fopen(w.file, "w");

	assert_non_null(f);
	fprintf(f, "no-daemon\nno-resolv\nno-hosts\nbind-interfaces\nlisten-address=%s\nport=%d\n", w.address,
		DNS_PORT);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		const char *at = strchr(records[i], '@');

		if (at != NULL)
			fprintf(f, "%.*s" SERVICE "%s\n", (int)(at - records[i]), records[i], at + 1);
		else
			fprintf(f, "%s\n", records[i]);
	}
	for (int i = 1; i <= 12; i++)
		fprintf(f, "host-record=crowd.test,127.31.4.%d\n", i);
	for (int i = 1; i <= 20; i++) {
		fprintf(f, "srv-host=" SERVICE ".many.test,m%d.many.test,5269,%d,0\n", i, i);
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

static int group_setup(void **state)
{
	const int pid = getpid();

	(void)state;
	/* An address of this process alone, so that tests may run side by side. */
	snprintf(w.address, sizeof(w.address), "127.31.%d.%d", 64 + pid % 128, 1 + pid / 128 % 254);
	snprintf(w.resolver, sizeof(w.resolver), "%s@%d", w.address, DNS_PORT);
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
		used += (size_t)snprintf(a->text + used, sizeof(a->text) - used, "%s%s:%d=%s",
					 i > 0 ? " " : "", targets[i].host, targets[i].port, text);
	}
	if (a->cancel != NULL)
		dns_cancel(a->cancel);
	if (a->destroy != NULL) {
		dns_destroy(*a->destroy);
		*a->destroy = NULL;
	}
}

static bool is_done(void *ctx)
{
	return ((const struct answer *)ctx)->calls > 0;
}

static void ask(const char *service, const char *name, struct answer *a)
{
	if (service != NULL)
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

static const struct row rows[] = {
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
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a = { 0 };

		ask(rows[i].service, rows[i].name, &a);
		if (a.status != rows[i].status || strcmp(a.text, rows[i].targets) != 0)
			fail_msg("row %zu, '%s': status %d, targets '%s'", i, rows[i].name, a.status, a.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
