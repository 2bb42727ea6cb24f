/*
 * dnstest.c - the helpers of dnstest.h.
 */
#include "dnstest.h"

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

#include "nettest.h"

enum { DNS_PORT = 5300 };

void dnstest_hosts(const struct dnstest *t, const char *text)
{
	FILE *f = fopen(t->hosts, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	if (t->server > 0)
		kill(t->server, SIGHUP);
}

static void write_configuration(const struct dnstest *t, const char *path, const char *extra)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
		"no-daemon\nno-resolv\nno-hosts\nbind-interfaces\nlocal=/test/\nlisten-address=%s\nport=%d\n"
		"addn-hosts=%s\n%s",
		t->address, DNS_PORT, t->hosts, extra);
	fclose(f);
}

/* Returns when dnsmasq says that it has started. Its later words go unread, so there must be few. */
static void start_server(struct dnstest *t, const char *file)
{
	char line[512] = "";
	int out[2];
	FILE *log;

	assert_int_equal(pipe(out), 0);
	t->server = fork();
	assert_true(t->server >= 0);
	if (t->server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		execlp("dnsmasq", "dnsmasq", "-C", file, (char *)NULL);
		execl("/usr/sbin/dnsmasq", "dnsmasq", "-C", file, (char *)NULL);
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

void dnstest_begin(struct dnstest *t, int net, const char *extra)
{
	const int pid = getpid();
	char *file;

	*t = (struct dnstest){ .server = 0 };
	snprintf(t->address, sizeof(t->address), "127.%d.%d.%d", net, 64 + pid % 128, 1 + pid / 128 % 254);
	snprintf(t->resolver, sizeof(t->resolver), "%s@%d", t->address, DNS_PORT);
	t->folder = nettest_folder();
	t->hosts = nettest_path(t->folder, "hosts");
	file = nettest_path(t->folder, "dnsmasq.conf");
	dnstest_hosts(t, "");
	write_configuration(t, file, extra);
	start_server(t, file);
	free(file);
}

void dnstest_end(struct dnstest *t)
{
	if (t->server > 0)
		kill(t->server, SIGKILL);
	waitpid(t->server, NULL, 0);
	free(t->hosts);
	nettest_remove(t->folder);
}
