/*
 * nettest.c - the helpers of nettest.h.
 */
#include "nettest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { GIVE_UP_MS = 60000, TICK_MS = 1, QUIET_TICK_MS = 10, QUIET_TICKS = 5 };

static void on_tick(void *ctx)
{
	struct nettest *t = ctx;

	t->ticks++;
	loop_timer_set(t->tick, t->tick_ms);
}

static void on_turn(void *ctx)
{
	struct nettest *t = ctx;

	t->turns++;
	if (t->until(t->ctx) || loop_now(t->loop) > t->deadline)
		loop_stop(t->loop);
}

/* A name that the kernel gives to one at a time, and takes back from the dead. */
void nettest_claim(const char *address)
{
	static bool claimed;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const struct timespec pause = { .tv_nsec = 20000000 };
	int fd;

	if (claimed)
		return;
	claimed = true;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "poolbridge unit tests at %s", address);
	while (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		nanosleep(&pause, NULL);
}

void nettest_begin(struct nettest *t)
{
	*t = (struct nettest){ .loop = loop_create(), .tick_ms = TICK_MS };
	t->tick = loop_timer_create(t->loop, on_tick, t);
	loop_phase_add(t->loop, LOOP_FLUSH, on_turn, t);
}

void nettest_end(struct nettest *t)
{
	loop_timer_destroy(t->tick);
	loop_destroy(t->loop);
}

void nettest_run(struct nettest *t, bool (*until)(void *ctx), void *ctx)
{
	t->until = until;
	t->ctx = ctx;
	t->deadline = loop_now(t->loop) + GIVE_UP_MS;
	loop_timer_set(t->tick, 0);
	loop_run(t->loop);
	loop_timer_cancel(t->tick);
	if (loop_now(t->loop) > t->deadline)
		fail_msg("what was waited for did not happen in %d ms", GIVE_UP_MS);
}

static bool has_ticked(void *ctx)
{
	const struct nettest *t = ctx;

	return t->ticks >= QUIET_TICKS;
}

/* One turn a tick, and a few that were on their way; a loop that spins makes hundreds. */
bool nettest_is_quiet(struct nettest *t)
{
	t->tick_ms = QUIET_TICK_MS;
	t->ticks = t->turns = 0;
	nettest_run(t, has_ticked, t);
	t->tick_ms = TICK_MS;
	return t->turns <= 4 * QUIET_TICKS;
}

int nettest_listen(const char *address, int rcvbuf, struct sockaddr_in *out)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*out);

	*out = (struct sockaddr_in){ .sin_family = AF_INET };
	assert_int_equal(inet_pton(AF_INET, address, &out->sin_addr), 1);
	assert_true(fd >= 0);
	if (rcvbuf != 0)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)out, sizeof(*out)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)out, &len), 0);
	return fd;
}

char *nettest_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = xasprintf("%s/poolbridge-test.XXXXXX", tmp != NULL ? tmp : "/tmp");

	assert_non_null(mkdtemp(folder));
	return folder;
}

void nettest_remove(char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0); /* not . and .., which stay */
	closedir(dir);
	assert_int_equal(rmdir(folder), 0);
	free(folder);
}

char *nettest_path(const char *folder, const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static FILE *create(const char *folder, const char *name, const char *ending)
{
	char *path = xasprintf("%s/%s.%s", folder, name, ending);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	free(path);
	return f;
}

void nettest_certificate(const char *folder, const char *name, enum nettest_key kind, long from, long until)
{
	EVP_PKEY *key = kind == KEY_EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(1024);
	X509 *x = X509_new();
	X509_NAME *subject = X509_NAME_new();
	FILE *f;

	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_set_subject_name(x, subject);
	X509_set_issuer_name(x, subject);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	f = create(folder, name, "pem");
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	f = create(folder, name, "key");
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	X509_NAME_free(subject);
	X509_free(x);
	EVP_PKEY_free(key);
}
