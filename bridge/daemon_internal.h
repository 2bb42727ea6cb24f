/*
 * daemon_internal.h - what the daemon's files share: daemon.c joins the modules,
 * daemon_control.c answers poolbridgectl from them.
 */
#ifndef POOLBRIDGE_DAEMON_INTERNAL_H
#define POOLBRIDGE_DAEMON_INTERNAL_H

#include "bridge/core/config.h"
#include "bridge/core/loop.h"
#include "db/db.h"

struct daemon {
	const struct config *config;
	struct db *db;
	struct state *state;
	struct ledger *ledger;
	struct spool *spool;
	struct custody *custody;
	struct duplicates *duplicates;
	struct changes *changes;
	struct ledger_tap *tap;
	struct loop *loop;
	struct loop_timer *another_turn; /* for what was begun after a commit */
	struct dns *dns;
	struct tls *tls; /* NULL: no certificate */
	struct s2s *s2s;
	struct router *router;
	struct gateway *gateway;
	struct control *control;
	struct loop_timer *watchdog; /* NULL: systemd has set none */
	int64_t watchdog_ms;
	bool stopping;
};

/* The control socket with everything that may be asked on it. On failure *why is a static buffer. */
MUST_CHECK enum err daemon_open_control(struct daemon *d, const char **why);

#endif
