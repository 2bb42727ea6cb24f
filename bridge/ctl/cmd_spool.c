/*
 * cmd_spool.c - poolbridgectl spool: the messages that wait.
 *
 * list and show read the state file, beside the daemon or without it. What
 * changes something is asked of the daemon, which alone writes there. What a
 * message says is shown to nobody who has not asked for it (--body).
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/ctl.h"
#include "bridge/ctl/daemon_client.h"
#include "bridge/xmpp/stanza.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/spool.h"

enum { TIME_SIZE = 32, ASK_SECONDS = 10 };

static const char *time_text(int64_t seconds, char out[TIME_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return "?";
	return out;
}

static const char *waits_for(const struct spool_message *m)
{
	return m->quarantined ? "nothing (quarantine)" : spool_hop_name(m->hop);
}

static json_t *describe(const struct spool_message *m)
{
	char received[TIME_SIZE], expires[TIME_SIZE];
	size_t from = strcspn(m->pair, " ");

	return json_pack("{s:I, s:s%, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:b}", "id", (json_int_t)m->id,
			 "from", m->pair, from, "to", m->user, "waits_for", spool_hop_name(m->hop), "origin",
			 spool_origin_name(m->origin), "received", time_text(m->received_at, received),
			 "expires", time_text(m->expires_at, expires), "attempts", (json_int_t)m->attempts,
			 "bytes", (json_int_t)m->size, "trouble", m->trouble, "quarantined", m->quarantined);
}

static bool print_row(void *ctx, const struct spool_message *m)
{
	struct ctl *ctl = ctx;
	char received[TIME_SIZE];

	if (ctl->listed == 0)
		ctl_say(ctl, "%-6s  %-20s  %-20s  %8s  %s\n", "ID", "RECEIVED", "WAITS FOR", "ATTEMPTS",
			"FROM AND TO");
	ctl_say(ctl, "%-6lld  %-20s  %-20s  %8lld  %s\n", (long long)m->id,
		time_text(m->received_at, received), waits_for(m), (long long)m->attempts, m->pair);
	ctl_list_item(ctl, describe(m));
	return true;
}

/* NULL with status 0: there is no state file yet, and so no message. */
static struct state *open_reader(struct ctl *ctl, int *status)
{
	struct state *state = NULL;
	const char *why = NULL;
	enum err e = state_open_reader(ctl->config->state, &state, &why);

	*status = e == OK || e == ERR_NOT_FOUND ? 0 : ctl_fail(ctl, "%s", why);
	return e == OK ? state : NULL;
}

static int read_failed(struct ctl *ctl, const struct spool *spool)
{
	return ctl_fail(ctl, "%s: %s", ctl->config->state, spool_error(spool));
}

/* False: said what is wrong. */
static bool user_option(struct ctl *ctl, char address[JID_BARE_SIZE], const char **user)
{
	const char *text = command_value(ctl->inv, "user");

	*user = text ? address : NULL;
	return !text || name_address(ctl, "", text, address);
}

int cmd_spool_list(struct ctl *ctl)
{
	char address[JID_BARE_SIZE];
	const char *user;
	struct state *state;
	int status;

	if (!user_option(ctl, address, &user))
		return 1;
	state = open_reader(ctl, &status);
	if (status != 0)
		return status;
	ctl_list_begin(ctl);
	if (state) {
		struct spool *spool = spool_create(state, NULL);

		if (spool_each(spool, user, print_row, ctl) != OK)
			status = read_failed(ctl, spool);
		spool_destroy(spool);
	}
	state_close(state);
	if (status != 0)
		return status;
	if (ctl->listed == 0)
		ctl_say(ctl, "no messages wait\n");
	ctl_list_end(ctl);
	return 0;
}

/* --- one message --- */

struct found {
	json_t *document;
	char *stanza;
};

static bool note_row(void *ctx, const struct spool_message *m)
{
	struct found *f = ctx;

	f->document = describe(m);
	f->stanza = xstrndup(m->stanza, m->size);
	return false;
}

static int show(struct ctl *ctl, struct found *f)
{
	static const char *const names[] = { "id",        "from",     "to",      "received", "expires",
					     "waits_for", "attempts", "trouble", "bytes",    "quarantined" };
	bool body = command_value(ctl->inv, "body") != NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *value = json_dumps(json_object_get(f->document, names[i]), JSON_ENCODE_ANY);

		ctl_say(ctl, "%-12s %s\n", names[i], value);
		free(value);
	}
	if (body) {
		ctl_say(ctl, "%-12s %s\n", "stanza", f->stanza);
		json_object_set_new(f->document, "stanza", ctl_text(f->stanza));
	}
	return ctl_document(ctl, json_incref(f->document));
}

/* 0: none, said. */
static int64_t id_argument(struct ctl *ctl)
{
	const char *text = ctl->inv->words[0];
	char *end;
	long long id = strtoll(text, &end, 10);

	if (*end != '\0' || id <= 0) {
		ctl_fail(ctl, "'%s' is no number of a message; 'poolbridgectl spool list' shows them", text);
		return 0;
	}
	return id;
}

int cmd_spool_show(struct ctl *ctl)
{
	struct found f = { NULL, NULL };
	int64_t id = id_argument(ctl);
	struct state *state;
	struct spool *spool;
	enum err e = ERR_NOT_FOUND;
	int status;

	if (id == 0)
		return 1;
	state = open_reader(ctl, &status);
	if (status != 0)
		return status;
	if (state) {
		spool = spool_create(state, NULL);
		e = spool_get(spool, id, note_row, &f);
		if (e != OK && e != ERR_NOT_FOUND)
			status = read_failed(ctl, spool);
		spool_destroy(spool);
	}
	state_close(state);
	if (e == OK)
		status = show(ctl, &f);
	else if (status == 0)
		status = ctl_fail(ctl, "no message %lld waits; it may have gone on meanwhile", (long long)id);
	json_decref(f.document);
	free(f.stanza);
	return status;
}

/* --- what the daemon does --- */

/* done: what the number that comes back is the number of. */
static int ask(struct ctl *ctl, json_t *request, const char *done)
{
	json_t *document = daemon_ask(ctl, request, ASK_SECONDS);
	const char *error = json_string_value(json_object_get(document, "error"));
	int status = 0;

	if (!document)
		return 1;
	if (!json_is_true(json_object_get(document, "running")))
		status = ctl_fail(ctl, "poolbridge is not running (no daemon at %s): start it and ask again",
				  ctl->config->control_socket);
	else if (error)
		status = ctl_fail(ctl, "%s", error);
	else
		ctl_say(ctl, "%lld %s\n",
			(long long)json_integer_value(json_object_get(document, "messages")), done);
	if (status == 0)
		return ctl_document(ctl, document);
	json_decref(document);
	return status;
}

int cmd_spool_retry(struct ctl *ctl)
{
	char address[JID_BARE_SIZE];
	const char *user;

	if (!user_option(ctl, address, &user))
		return 1;
	return ask(ctl, json_pack("{s:s, s:s*}", "command", "spool-retry", "user", user),
		   "messages are tried again now");
}

int cmd_spool_bounce(struct ctl *ctl)
{
	int64_t id = id_argument(ctl);

	if (id == 0)
		return 1;
	return ask(ctl, json_pack("{s:s, s:I}", "command", "spool-bounce", "id", (json_int_t)id),
		   "message has gone back to its sender");
}

int cmd_spool_erase(struct ctl *ctl)
{
	char address[JID_BARE_SIZE];

	if (!name_address(ctl, "", ctl->inv->words[0], address))
		return 1;
	return ask(ctl, json_pack("{s:s, s:s}", "command", "spool-erase", "user", address),
		   "messages are erased; nobody was told");
}
