/*
 * control.h - the daemon's side of the control socket: a Unix stream socket on
 * which poolbridgectl asks the daemon for what only it knows or can do.
 *
 * One request a connection, one line of JSON: {"command": "status"}, perhaps with
 * further members that are the command's arguments. The answer
 * is the one JSON document that the command's provider made, and the end of the
 * stream; for a request that is not understood, {"error": "..."}.
 */
#ifndef POOLBRIDGE_CTL_CONTROL_H
#define POOLBRIDGE_CTL_CONTROL_H

#include <jansson.h>

#include "bridge/core/base.h"
#include "bridge/core/loop.h"

#define CONTROL_REQUEST_MAX 4096  /* bytes of a request line */
#define CONTROL_CLIENTS_MAX 16    /* connections at the same time; further ones wait */
#define CONTROL_IDLE_MS     10000 /* a client that neither asks nor reads for so long is dropped */
#define CONTROL_ANSWER_MS   60000 /* a provider that has not answered after so long is not waited for */

struct control;

/*
 * A command and what answers it: fn calls control_reply() once, at once or later.
 * The request is borrowed.
 */
struct control_reply;
struct control_provider {
	const char *name;
	void (*fn)(void *ctx, const json_t *request, struct control_reply *reply);
};

/* Takes both. The client may be gone by now, and the control socket too: then nothing happens. */
void control_reply(struct control_reply *reply, json_t *document);

/*
 * Listen at path (mode 0660). A socket file that nobody answers is replaced;
 * one that a living daemon answers is ERR_EXISTS, anything else in the way ERR_IO:
 * *why (static buffer) says which, and how to mend it. The table is borrowed.
 */
MUST_CHECK enum err control_create(struct loop *loop, const char *path,
				   const struct control_provider *providers, size_t count, void *ctx,
				   struct control **out, const char **why);
/* Removes the socket file; NULL is allowed. */
void control_destroy(struct control *c);

#endif
