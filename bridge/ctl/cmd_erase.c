/*
 * cmd_erase.c - poolbridgectl user erase: forgets somebody who asks for it, or who
 * is gone: the messages that wait for him or from him, his presence
 * subscriptions, his mark, and the audit of it.
 *
 * First the daemon, which alone writes to the state file, then the registry; where
 * the first fails nothing is changed, and where the second does it is said what is
 * erased already. Either file is free of the texts afterwards,
 * and so is the log beside it.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/ctl.h"
#include "bridge/ctl/daemon_client.h"

#include "db/state.h"

enum { ASK_SECONDS = 30 };

/* Without a daemon there may be nothing to erase there, either. */
static bool has_state(const struct ctl *ctl)
{
	const char *why;
	struct state *state = NULL;
	enum err e = state_open_reader(ctl->config->state, &state, &why);

	state_close(state);
	return e != ERR_NOT_FOUND;
}

/* What the daemon has erased; NULL: reported. */
static json_t *erase_state(struct ctl *ctl, const char *address)
{
	json_t *document =
		daemon_ask(ctl, json_pack("{s:s, s:s}", "command", "erase", "address", address), ASK_SECONDS);
	const char *why = json_string_value(json_object_get(document, "failed"));

	if (!document)
		return NULL;
	if (why)
		ctl_fail(ctl, "%s", why);
	else if (json_is_true(json_object_get(document, "running")))
		return document;
	else if (has_state(ctl))
		ctl_fail(ctl,
			 "poolbridge is not running (nobody answers at %s), and only it may write to %s: "
			 "start it, and ask again; nothing was erased",
			 ctl->config->control_socket, ctl->config->state);
	else
		return document;
	json_decref(document);
	return NULL;
}

static enum err erase_row(struct ctl *ctl, const char *address, bool *listed, int64_t *entries)
{
	enum err e = registry_remove_user(ctl->db, address);

	*listed = e == OK;
	return e == OK || e == ERR_NOT_FOUND ? audit_erase(ctl->db, "user", address, entries) : e;
}

static int erase_registry(struct ctl *ctl, const char *address, bool *listed, int64_t *entries)
{
	int status = ctl_begin(ctl);
	enum err e = OK;

	if (status == 0) {
		e = erase_row(ctl, address, listed, entries);
		status = ctl_end(ctl, e == OK ? 0 : ctl_fail_db(ctl, e));
	}
	if (status == 0) {
		e = db_scrub(ctl->db);
		if (e != OK)
			status = ctl_fail(ctl,
					  "%s: erased, but traces are left in the log beside it, for another "
					  "program reads it: ask again",
					  ctl->config->registry);
	}
	return status;
}

int cmd_user_erase(struct ctl *ctl)
{
	char address[JID_BARE_SIZE];
	json_t *document;
	bool listed = false;
	int64_t entries = 0;
	json_int_t messages, subscriptions;
	int status;

	if (!name_address(ctl, "", ctl->inv->words[0], address))
		return 1;
	document = erase_state(ctl, address);
	if (!document)
		return 1;
	messages = json_integer_value(json_object_get(document, "messages"));
	subscriptions = json_integer_value(json_object_get(document, "subscriptions"));
	json_decref(document);
	status = erase_registry(ctl, address, &listed, &entries);
	if (status != 0 && messages + subscriptions > 0)
		ctl_fail(ctl,
			 "of the state file %lld messages and %lld halves of subscriptions are erased "
			 "already: ask again, for what is left in the registry",
			 (long long)messages, (long long)subscriptions);
	if (status != 0)
		return status;
	ctl_say(ctl,
		"%s: erased %lld messages, %lld halves of subscriptions, %s, %lld entries of the audit\n",
		address, (long long)messages, (long long)subscriptions, listed ? "the mark" : "no mark",
		(long long)entries);
	return ctl_document(ctl, json_pack("{s:s, s:I, s:I, s:b, s:I}", "address", address, "messages",
					   messages, "subscriptions", subscriptions, "mark", listed, "audit",
					   (json_int_t)entries));
}
