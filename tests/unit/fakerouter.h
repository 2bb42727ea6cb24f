/*
 * fakerouter.h - what the recording routers of the gateway's tests have in
 * common. Each is a struct router of its test's own, whose first member is this.
 */
#ifndef POOLBRIDGE_TESTS_FAKEROUTER_H
#define POOLBRIDGE_TESTS_FAKEROUTER_H

#include "bridge/core/config.h"
#include "bridge/route/colleagues.h"
#include "bridge/route/router.h"

struct fakerouter {
	router_egress_fn *egress;
	void *egress_ctx;
	router_presence_fn *presence;
	void *presence_ctx;
	router_passing_fn *passing;
	void *passing_ctx;
	struct colleagues *colleagues; /* made when asked for; the test destroys it */
};

/* What the gateway cannot do without; the listeners and pools are the test's. */
void fakerouter_configure(struct config *c);

#endif
