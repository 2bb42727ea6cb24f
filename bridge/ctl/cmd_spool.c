/*
 * cmd_spool.c - poolbridgectl spool: the messages that wait.
 *
 * list and show read the state file, beside the daemon or without it. What
 * changes something is asked of the daemon, which alone writes there; which
 * messages an option names is looked up here first. What a message says is shown
 * to nobody who has not asked for it (--body).
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/ctl.h"
#include "bridge/ctl/daemon_client.h"
#include "bridge/ctl/output.h"
#include "bridge/xmpp/stanza.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/spool.h"

enum {
	ASK_SECONDS = 30,
	IDS_MAX = 180 /* in one request: CONTROL_REQUEST_MAX bytes, and 20 a number */
};

/* Which messages are meant. */
struct selection {
	struct ctl *ctl;
	char address[JID_BARE_SIZE];
	const char *user, *hop; /* NULL: any */
	json_t *ids;            /* of those that match, where they are collected */
};

static bool is_meant(const struct selection *s, const struct spool_message *m)
{
	if (!s->hop)
		return true;
	if (m->failed[0] != '\0')
		return strcmp(s->hop, "error") == 0;
	if (m->quarantined)
		return strcmp(s->hop, "quarantine") == 0;
	return strcmp(s->hop, spool_hop_name(m->hop)) == 0;
}

static const char *waits_for(const struct spool_message *m)
{
	if (m->failed[0] != '\0')
		return "its error's arrival";
	return m->quarantined ? "nothing (quarantine)" : spool_hop_name(m->hop);
}

static json_t *describe(const struct spool_message *m)
{
	char received[OUTPUT_TIME_SIZE], expires[OUTPUT_TIME_SIZE];
	size_t from = strcspn(m->pair, " ");

	return json_pack("{s:I, s:s%, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:b, s:s}", "id",
			 (json_int_t)m->id, "from", m->pair, from, "to", m->user, "waits_for",
			 spool_hop_name(m->hop), "origin", spool_origin_name(m->origin), "received",
			 output_time(m->received_at, received), "expires",
			 output_time(m->expires_at, expires), "attempts", (json_int_t)m->attempts, "bytes",
			 (json_int_t)m->size, "trouble", m->trouble, "quarantined", m->quarantined, "failed",
			 m->failed);
}

static bool print_row(void *ctx, const struct spool_message *m)
{
	struct selection *s = ctx;
	struct ctl *ctl = s->ctl;
	char received[OUTPUT_TIME_SIZE];

	if (!is_meant(s, m))
		return true;
	if (ctl->listed == 0)
		ctl_say(ctl, "%-6s  %-20s  %-20s  %8s  %s\n", "ID", "RECEIVED", "WAITS FOR", "ATTEMPTS",
			"FROM AND TO");
	ctl_say(ctl, "%-6lld  %-20s  %-20s  %8lld  %s\n", (long long)m->id,
		output_time(m->received_at, received), waits_for(m), (long long)m->attempts, m->pair);
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
static bool select_messages(struct ctl *ctl, struct selection *s)
{
	const char *user = command_value(ctl->inv, "user");

	*s = (struct selection){ .ctl = ctl, .hop = command_value(ctl->inv, "hop") };
	if (!user)
		return true;
	s->user = s->address;
	return name_local_user(ctl, user, s->address);
}

/* The exit status. */
static int walk(struct selection *s, spool_each_fn *fn)
{
	int status;
	struct state *state = open_reader(s->ctl, &status);
	struct spool *spool;

	if (!state)
		return status;
	spool = spool_create(state, NULL);
	if (spool_each(spool, s->user, fn, s) != OK)
		status = read_failed(s->ctl, spool);
	spool_destroy(spool);
	state_close(state);
	return status;
}

int cmd_spool_list(struct ctl *ctl)
{
	struct selection s;
	int status;

	if (!select_messages(ctl, &s))
		return 1;
	ctl_list_begin(ctl);
	status = walk(&s, print_row);
	if (status != 0)
		return status;
	if (ctl->listed == 0)
		ctl_say(ctl, s.user || s.hop ? "no such messages wait\n" : "no messages wait\n");
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
	if (command_value(ctl->inv, "body"))
		json_object_set_new(f->document, "stanza", ctl_text(f->stanza));
	output_fields(ctl, f->document);
	return ctl_document(ctl, json_incref(f->document));
}

/* 0: none, said. */
static int64_t read_id(struct ctl *ctl, const char *text)
{
	char *end;
	long long id;

	errno = 0;
	id = strtoll(text, &end, 10);
	if (*end == '\0' && id > 0 && errno == 0)
		return id;
	ctl_usage(ctl, "'%s' is no number of a message: poolbridgectl spool list shows them", text);
	return 0;
}

int cmd_spool_show(struct ctl *ctl)
{
	struct found f = { NULL, NULL };
	int64_t id = read_id(ctl, ctl->inv->words[0]);
	struct state *state;
	struct spool *spool;
	enum err e = ERR_NOT_FOUND;
	int status;

	if (id == 0)
		return 2;
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

struct asking {
	struct ctl *ctl;
	const char *command;
	json_int_t done;
	json_t *refused; /* as the daemon says */
};

/* False: reported. */
static bool ask(struct asking *a, json_t *request)
{
	json_t *document = daemon_ask(a->ctl, request, ASK_SECONDS);
	const char *why = json_string_value(json_object_get(document, "failed"));
	bool ok = false;

	if (!document)
		return false;
	if (!json_is_true(json_object_get(document, "running"))) {
		ctl_fail(a->ctl, "poolbridge is not running (nobody answers at %s): start it, and ask again",
			 a->ctl->config->control_socket);
	} else if (why) {
		ctl_fail(a->ctl, "%s", why);
	} else {
		a->done += json_integer_value(json_object_get(document, "messages"));
		json_array_extend(a->refused, json_object_get(document, "refused"));
		ok = true;
	}
	json_decref(document);
	return ok;
}

static bool ask_for(struct asking *a, const json_t *ids)
{
	bool ok = true;

	for (size_t i = 0; ok && i < json_array_size(ids); i += IDS_MAX) {
		json_t *some = json_array();

		for (size_t k = i; k < i + IDS_MAX && k < json_array_size(ids); k++)
			json_array_append(some, json_array_get(ids, k));
		ok = ask(a, json_pack("{s:s, s:o}", "command", a->command, "ids", some));
	}
	return ok;
}

/* What was refused is an error each; done: what the number is. Without an answer to the last question it is one, too. */
static int report(struct asking *a, const char *done, bool answered)
{
	json_t *item;
	size_t i;

	if (!answered && a->done > 0)
		ctl_fail(a->ctl, "%s before that: %lld", done, (long long)a->done);
	else if (answered && (a->done > 0 || json_array_size(a->refused) == 0))
		ctl_say(a->ctl, "%s: %lld\n", done, (long long)a->done);
	json_array_foreach (a->refused, i, item)
		ctl_fail(a->ctl, "message %lld: %s",
			 (long long)json_integer_value(json_object_get(item, "id")),
			 json_string_value(json_object_get(item, "why")));
	if (i > 0 || !answered)
		return 1;
	return ctl_document(a->ctl, json_pack("{s:I}", "messages", a->done));
}

static bool collect(void *ctx, const struct spool_message *m)
{
	struct selection *s = ctx;

	if (is_meant(s, m) && m->failed[0] == '\0')
		json_array_append_new(s->ids, json_integer((json_int_t)m->id));
	return true;
}

static int collect_words(struct ctl *ctl, json_t *ids)
{
	for (size_t i = 0; i < ctl->inv->word_count; i++) {
		int64_t id = read_id(ctl, ctl->inv->words[i]);

		if (id == 0)
			return 2;
		json_array_append_new(ids, json_integer((json_int_t)id));
	}
	return 0;
}

/* The numbers of those that are meant: given, or found by the options. */
static int pick(struct selection *s)
{
	struct ctl *ctl = s->ctl;

	if (ctl->inv->word_count == 0)
		return walk(s, collect);
	if (s->user || s->hop)
		return ctl_usage(ctl, "either numbers or options name the messages, not both");
	return collect_words(ctl, s->ids);
}

static int change(struct selection *s, const char *command, const char *done)
{
	struct asking a = { s->ctl, command, 0, json_array() };
	int status;

	s->ids = json_array();
	status = pick(s);
	if (status == 0)
		status = report(&a, done, ask_for(&a, s->ids));
	json_decref(s->ids);
	json_decref(a.refused);
	return status;
}

/* All, or all of a user's: the daemon knows them. */
static int retry_all(struct selection *s)
{
	struct asking a = { s->ctl, "spool-retry", 0, json_array() };
	bool ok = ask(&a, json_pack("{s:s, s:s*}", "command", a.command, "user", s->user));
	int status = report(&a, "messages that are tried again now", ok);

	json_decref(a.refused);
	return status;
}

int cmd_spool_retry(struct ctl *ctl)
{
	struct selection s;

	if (!select_messages(ctl, &s))
		return 1;
	return ctl->inv->word_count == 0 && !s.hop
		       ? retry_all(&s)
		       : change(&s, "spool-retry", "messages that are tried again now");
}

int cmd_spool_bounce(struct ctl *ctl)
{
	struct selection s;

	if (!select_messages(ctl, &s))
		return 1;
	if (ctl->inv->word_count == 0 && !s.user && !s.hop)
		return ctl_usage(ctl, "which messages? their numbers, --user or --hop is missing");
	return change(&s, "spool-bounce", "messages given back to their senders");
}
