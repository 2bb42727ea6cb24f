/*
 * daemon.h - the running daemon: every module made, joined, and taken down.
 */
#ifndef POOLBRIDGE_DAEMON_H
#define POOLBRIDGE_DAEMON_H

#include "bridge/core/config.h"

/* Run until a signal says to stop; the configuration stays the caller's. Returns main()'s exit status. */
int daemon_run(const struct config *config);

/* The certificate and its key, which only OpenSSL can judge. On failure *why is a static buffer. */
MUST_CHECK enum err daemon_check_certificate(const struct config *config, const char **why);

#endif
