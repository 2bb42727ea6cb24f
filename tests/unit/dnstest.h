/*
 * dnstest.h - dnsmasq for tests: a DNS server on a loopback address of this
 * process alone, whose hosts file may change while it runs.
 */
#ifndef POOLBRIDGE_TESTS_DNSTEST_H
#define POOLBRIDGE_TESTS_DNSTEST_H

#include <sys/types.h>

#include "bridge/core/base.h"

struct dnstest {
	char address[16], resolver[32]; /* "ADDRESS@PORT" */
	char *folder, *hosts;
	pid_t server;
};

/* net: the second byte of its address, 127.NET.x.y. extra: lines of dnsmasq's configuration. It knows all below "test". */
void dnstest_begin(struct dnstest *t, int net, const char *extra);
void dnstest_end(struct dnstest *t);

/* "ADDRESS NAME" lines; dnsmasq has read them soon after. */
void dnstest_hosts(const struct dnstest *t, const char *text);

#endif
