/*
 * daemon_client.h - poolbridgectl's side of the control socket.
 */
#ifndef POOLBRIDGE_CTL_DAEMON_CLIENT_H
#define POOLBRIDGE_CTL_DAEMON_CLIENT_H

#include "bridge/ctl/ctl.h"

/*
 * Ask the running daemon; the request is consumed. The document with "running"
 * set; {"running": false} when none runs; NULL: a failure, reported. seconds: how
 * long to wait without a byte of an answer.
 */
json_t *daemon_ask(struct ctl *ctl, json_t *request, int seconds);

#endif
