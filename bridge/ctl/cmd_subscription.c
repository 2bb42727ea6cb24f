/*
 * cmd_subscription.c - poolbridgectl subscription list: what the daemon knows of
 * presence subscriptions.
 *
 * The state file is only read, beside the daemon or without it. One that is not
 * there yet holds nothing.
 */
#include "bridge/ctl/commands.h"
#include "bridge/ctl/ctl.h"
#include "bridge/ctl/output.h"

#include <string.h>

#include "db/ledger.h"

static bool print_subscription(void *ctx, const struct ledger_key *key, const struct ledger_entry *entry,
			       const char *told)
{
	struct ctl *ctl = ctx;
	char since[OUTPUT_TIME_SIZE], seen[OUTPUT_TIME_SIZE];
	bool is_local_watching = key->direction == LEDGER_TO_CONTACT;

	(void)told; /* what somebody's presence says is nobody else's business */
	if (ctl->listed == 0)
		ctl_say(ctl, "%-8s  %-8s  %-9s  %-20s  %s\n", "STATE", "VIA", "EVIDENCE", "SINCE",
			"WHO WATCHES WHOM");
	ctl_say(ctl, "%-8s  %-8s  %-9s  %-20s  %s watches %s\n", ledger_state_name(entry->state),
		ledger_via_name(entry->via), ledger_evidence_name(entry->evidence),
		output_time(entry->since, since), is_local_watching ? key->local : key->contact,
		is_local_watching ? key->contact : key->local);
	ctl_list_item(ctl,
		      json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "local", ctl_text(key->local),
				"contact", ctl_text(key->contact), "direction",
				ledger_direction_name(key->direction), "state",
				ledger_state_name(entry->state), "via", ledger_via_name(entry->via),
				"evidence", ledger_evidence_name(entry->evidence), "since",
				output_time(entry->since, since), "seen", output_time(entry->seen, seen)));
	return true;
}

static int list_rows(struct ctl *ctl, struct state *state, const char *user)
{
	struct ledger *ledger = ledger_create(state, NULL);
	enum err e;

	ctl_list_begin(ctl);
	e = ledger_each(ledger, user, print_subscription, ctl);
	if (e != OK)
		ctl_fail(ctl, "%s: %s", ctl->config->state, ledger_error(ledger));
	ledger_destroy(ledger);
	return e == OK ? 0 : 1;
}

int cmd_subscription_list(struct ctl *ctl)
{
	const char *user = command_value(ctl->inv, "user"), *why = NULL;
	char address[JID_BARE_SIZE];
	struct state *state = NULL;
	int status = 0;
	enum err e;

	if (user && !name_local_user(ctl, user, address))
		return 1;
	e = state_open_reader(ctl->config->state, &state, &why);
	if (e == ERR_NOT_FOUND)
		ctl_list_begin(ctl);
	else if (e != OK)
		return ctl_fail(ctl, "%s", why);
	else
		status = list_rows(ctl, state, user ? address : NULL);
	state_close(state);
	if (status != 0)
		return status;
	if (ctl->listed == 0)
		ctl_say(ctl, user ? "no subscriptions of this user\n" : "no subscriptions yet\n");
	ctl_list_end(ctl);
	return 0;
}
